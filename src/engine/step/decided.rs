//! A named person has decided: those who referred the child may know that much.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::draft::Draft;
use super::unapplied::Unapplied;
use super::{Effect, link, named_elsewhere};
use crate::engine::context::StepError;
use crate::engine::history::held_back_of;
use crate::engine::history::known_as::another;
use crate::engine::intake::KEYED_BY_REPLY;
use crate::engine::model::detail::Detail;
use crate::engine::model::event::{ReferralEvent, Source};
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::Entry;
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::catalogue::is_concern;
use crate::engine::tasks::route::sender_held_back;

/// Most referrals whose senders are told of one decision.
const TOLD_MAX: usize = 64;

/// Tells whoever reported something since the decision before: never what was decided.
pub fn tell_referrers(draft: &mut Draft<'_>, decided_before: Option<Timestamp>) {
    let held_back = held_back_of(&draft.history);
    let since = |received_at: Timestamp| decided_before.is_none_or(|before| received_at > before);
    let mut told: BTreeSet<(String, String, String)> = BTreeSet::new();
    let mut senders: Vec<(Source, String, Option<String>)> = Vec::new();
    let reported =
        draft.history.entries.iter().rev().filter(|entry| {
            is_concern(&entry.kind) && !entry.withdrawn && !entry.backfilled && since(entry.received_at)
        });
    for entry in reported.take(TOLD_MAX) {
        let first = (entry.source.clone(), entry.event_id.clone(), entry.partner_reference.clone());
        let others = entry.corroborated_by.iter().map(|other| (other.source.clone(), other.event_id.clone(), None));
        for (source, event_id, reference) in std::iter::once(first).chain(others) {
            let is_new = told.insert((source.partner.clone(), source.unit.clone(), event_id.clone()));
            if is_new && !sender_held_back(source.agency.as_deref(), &source.unit, &held_back) {
                senders.push((source, event_id, reference));
            }
        }
    }
    let words = ["A named person has decided what happens next."];
    for (source, event_id, reference) in senders.into_iter().rev().take(TOLD_MAX) {
        let feedback = draft.feedback(&source, &event_id, reference, FeedbackStatus::Decided, &words);
        draft.publish(Effect::Feedback(feedback));
    }
}

/// Whether a decision or status names one child by its `child` and another by its `reply_to`: a named person meant one of them.
/// Which two records are one child is said with the addresses of both.
pub fn contradicts_itself(draft: &Draft<'_>, referral: &Referral, arriving: &Entry) -> bool {
    let event = &referral.event;
    let moves_a_case = matches!(event.detail, Detail::DecisionRecorded(_) | Detail::StatusChanged(_));
    let names_another =
        || another(&draft.history, arriving).is_some() || named_elsewhere::has_another_number(draft, event);
    moves_a_case && !link::is_of_two(&event.detail) && referral.keyed_by == KEYED_BY_REPLY && names_another()
}

/// Both its sender and a person hear: one of the two children may be left without what was decided. What the task shows is
/// of neither.
pub fn refuse_contradiction(draft: &mut Draft<'_>, event: &ReferralEvent, arriving: Entry) -> Result<(), StepError> {
    let problem = "its child and its reply_to name two children; send it with one of them";
    Unapplied::and_asked(problem).tell(draft, event, None, &Arc::new(arriving))
}
