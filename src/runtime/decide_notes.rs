//! What a DECIDE batch counts towards, kept until the batch is durable.

use crate::engine::model::decision::{Decision, Disposition as Decided};
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::quarantine::QuarantineReason;
use crate::engine::step::{Effect, Step};
use crate::engine::tasks::find_out::FIND_OUT_RULE;
use crate::telemetry::metrics::{Disposition, Metrics, RecordKind};

#[derive(Default)]
pub struct Notes {
    consumed: Vec<RecordKind>,
    disposed: Vec<(RecordKind, Disposition)>,
    effects: Vec<Effect>,
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
            self.referrals.push((event.detail.kind(), said.is_none()));
        }
    }

    pub fn effects(&mut self, mut effects: Vec<Effect>) {
        self.effects.append(&mut effects);
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
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Task(task, _) => metrics.task(&task.agency, task.level),
                Effect::Decision(decision) => count_decision(metrics, &decision),
                Effect::Feedback(feedback) => metrics.feedback(&feedback.partner, feedback.status),
                Effect::Inbox(_) => {}
            }
        }
    }
}

fn count_decision(metrics: &Metrics, decision: &Decision) {
    for fired in &decision.fired {
        metrics.rule_fired(&fired.rule);
    }
    for unknown in &decision.unknown {
        metrics.rule_unknown(&unknown.rule);
    }
    for task in &decision.tasks {
        if task.rules.iter().any(|rule| rule == FIND_OUT_RULE) {
            metrics.find_out_task();
        }
    }
    for suppressed in &decision.suppressed {
        metrics.suppressed_route(&suppressed.agency);
    }
}
