//! What a DECIDE batch counts towards, kept until the batch is durable.

use std::collections::BTreeMap;

use crate::engine::model::decision::{Decision, Disposition as Decided};
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::quarantine::QuarantineReason;
use crate::engine::model::scalar::Level;
use crate::engine::step::{Effect, Step};
use crate::engine::tasks::find_out::FIND_OUT_RULE;
use crate::engine::tasks::voice::may_speak;
use crate::telemetry::metrics::{Disposition, Metrics, RecordKind};

/// Counted as they come rather than kept: a batch has thousands, of a few kinds.
#[derive(Default)]
struct Effects {
    tasks: BTreeMap<(Option<Level>, String), u64>,
    feedback: BTreeMap<String, Vec<FeedbackStatus>>,
    rules_fired: BTreeMap<String, u64>,
    rules_unknown: BTreeMap<String, u64>,
    suppressed_routes: BTreeMap<String, u64>,
    find_out_tasks: u64,
    windows_cut: u64,
}

#[derive(Default)]
pub struct Notes {
    consumed: Vec<RecordKind>,
    disposed: Vec<(RecordKind, Disposition)>,
    effects: Effects,
    /// Kinds of the referrals judged, and whether the child's voice was missing.
    referrals: Vec<(&'static str, bool)>,
    quarantined: Vec<(String, QuarantineReason)>,
}

impl Notes {
    /// A record was read. Noted before it is judged, so that one that comes to nothing shows as a difference.
    pub fn consumed(&mut self, kind: RecordKind) {
        self.consumed.push(kind);
    }

    pub fn disposed(&mut self, kind: RecordKind, disposition: Disposition) {
        self.disposed.push((kind, disposition));
    }

    /// Counted when it was judged, not when it was known already.
    pub fn referral(&mut self, event: &ReferralEvent, disposition: Disposition) {
        if disposition == Disposition::Decided {
            let said = event.voice_of_child.as_ref().and_then(|voice| voice.said.as_ref());
            self.referrals.push((event.detail.kind(), said.is_none() && may_speak(event)));
        }
    }

    pub fn effects(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Task(task, _) => *self.effects.tasks.entry((task.level, task.agency.clone())).or_default() += 1,
                Effect::Decision(decision) => self.effects.decision(decision),
                Effect::Feedback(feedback) => match self.effects.feedback.get_mut(&feedback.partner) {
                    Some(given) => given.push(feedback.status),
                    None => drop(self.effects.feedback.insert(feedback.partner.clone(), vec![feedback.status])),
                },
                Effect::Inbox(_) => {}
            }
        }
    }

    /// So many histories were cut within a window that rules count in.
    pub fn windows_cut(&mut self, histories: usize) {
        self.effects.windows_cut += histories as u64;
    }

    pub fn quarantined(&mut self, partner: String, reason: QuarantineReason) {
        self.quarantined.push((partner, reason));
    }

    /// What became of the record that gave this step.
    pub fn disposition(step: &Step) -> Disposition {
        match step.disposition() {
            None | Some(Decided::Backfilled | Decided::AwaitingOriginal | Decided::Unknown) => Disposition::Applied,
            Some(Decided::Judged) => Disposition::Decided,
            Some(Decided::Retransmission | Decided::Duplicate) => Disposition::Repeated,
            Some(Decided::Forwarded) => Disposition::Forwarded,
            Some(Decided::Refused) => Disposition::Refused,
        }
    }

    /// The batch is durable: all of it counts.
    pub fn count(&mut self, metrics: &Metrics) {
        for kind in self.consumed.drain(..) {
            metrics.decide_consumed(kind);
        }
        for (kind, disposition) in self.disposed.drain(..) {
            metrics.decide_disposed(kind, disposition);
        }
        for (kind, voice_is_missing) in self.referrals.drain(..) {
            metrics.referral(kind, voice_is_missing);
        }
        for (partner, reason) in self.quarantined.drain(..) {
            metrics.quarantined(&partner, reason);
        }
        std::mem::take(&mut self.effects).count(metrics);
    }
}

impl Effects {
    fn decision(&mut self, decision: &Decision) {
        decision.fired.iter().for_each(|fired| add(&mut self.rules_fired, &fired.rule));
        decision.unknown.iter().for_each(|unknown| add(&mut self.rules_unknown, &unknown.rule));
        decision.suppressed.iter().for_each(|suppressed| add(&mut self.suppressed_routes, &suppressed.agency));
        let find_out = decision.tasks.iter().filter(|task| task.rules.iter().any(|rule| rule == FIND_OUT_RULE));
        self.find_out_tasks += find_out.count() as u64;
    }

    fn count(self, metrics: &Metrics) {
        for ((level, agency), count) in self.tasks {
            metrics.tasks(&agency, level, count);
        }
        for (partner, statuses) in self.feedback {
            statuses.into_iter().for_each(|status| metrics.feedback(&partner, status));
        }
        self.rules_fired.iter().for_each(|(rule, count)| metrics.rules_fired(rule, *count));
        self.rules_unknown.iter().for_each(|(rule, count)| metrics.rules_unknown(rule, *count));
        self.suppressed_routes.iter().for_each(|(agency, count)| metrics.suppressed_routes(agency, *count));
        metrics.find_out_tasks(self.find_out_tasks);
        metrics.windows_cut(self.windows_cut);
    }
}

fn add(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.to_owned(), 1)),
    }
}
