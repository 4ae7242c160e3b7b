//! What goes wrong, and when: drawn from a seed, so that a run can be had again.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Chances, each 0 to 1, that a call meets a fault. All 0 by default.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FaultPlan {
    pub seed: u64,
    /// A commit is undone and the lane reads again from its committed positions.
    pub abort: f64,
    /// The process ends just before, or just after, a commit or an append is durable.
    pub crash_before: f64,
    pub crash_after: f64,
    /// The process ends in the middle of a commit: it comes to pass a little later, or not at all.
    pub crash_during: f64,
    /// A commit is not answered. It came to pass, or it did not: the lane has to find out.
    pub unknown: f64,
    /// What is restored breaks off half-way.
    pub restore: f64,
    /// A publication is appended twice, as by a sender that did not hear the answer.
    pub duplicate: f64,
    /// A publication is appended, but its answer is lost.
    pub lost_answer: f64,
    /// A publication is answered `Busy`.
    pub busy: f64,
}

/// What becomes of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Done,
    Refused,
    Twice,
    LostAnswer,
    CrashBefore,
    CrashAfter,
    /// With: after how many looks of anybody it is settled, and whether it then comes to pass.
    CrashDuring(u32, bool),
    /// With: whether it came to pass.
    Unknown(bool),
}

/// The most looks that an unsettled commit lasts.
const LOOKS_MAX: u32 = 12;

pub struct Faults {
    plan: FaultPlan,
    random: ChaCha8Rng,
}

impl Faults {
    pub fn new(plan: &FaultPlan) -> Self {
        Self { plan: plan.clone(), random: ChaCha8Rng::seed_from_u64(plan.seed) }
    }

    fn draw(&mut self, chances: &[(f64, Fate)]) -> Fate {
        let mut drawn: f64 = self.random.random();
        for (chance, fate) in chances {
            if drawn < *chance {
                return *fate;
            }
            drawn -= chance;
        }
        Fate::Done
    }

    pub fn of_publication(&mut self) -> Fate {
        let FaultPlan { crash_before, crash_after, duplicate, lost_answer, busy, .. } = self.plan;
        self.draw(&[
            (crash_before, Fate::CrashBefore),
            (crash_after, Fate::CrashAfter),
            (duplicate, Fate::Twice),
            (lost_answer, Fate::LostAnswer),
            (busy, Fate::Refused),
        ])
    }

    /// `Refused` is an abort.
    pub fn of_commit(&mut self) -> Fate {
        let FaultPlan { crash_before, crash_after, crash_during, unknown, abort, .. } = self.plan;
        let (looks, comes_to_pass) = (self.random.random_range(1..=LOOKS_MAX), self.random.random());
        self.draw(&[
            (crash_before, Fate::CrashBefore),
            (crash_after, Fate::CrashAfter),
            (crash_during, Fate::CrashDuring(looks, comes_to_pass)),
            (unknown, Fate::Unknown(comes_to_pass)),
            (abort, Fate::Refused),
        ])
    }

    /// Whether a restore breaks off.
    pub fn of_restore(&mut self) -> bool {
        self.draw(&[(self.plan.restore, Fate::Refused)]) == Fate::Refused
    }
}
