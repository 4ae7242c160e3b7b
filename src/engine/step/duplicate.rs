//! The same happening by another report: kept beside the first, acted on only where it would do more.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::correction::confirm;
use super::draft::Draft;
use super::findings::findings_of;
use crate::engine::context::StepError;
use crate::engine::decide::{Moment, Verdict, judge};
use crate::engine::facts::AsOf;
use crate::engine::history::{corroborate, put};
use crate::engine::model::decision::Disposition;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::Entry;
use crate::engine::model::inbox::Referral;

/// Whoever reports it again is told that it is known. Routes that either sender holds back stay held back.
pub fn received(draft: &mut Draft<'_>, referral: &Referral, arriving: Entry, index: usize) -> Result<(), StepError> {
    draft.disposed(Disposition::Duplicate);
    let event = &referral.event;
    let Some(first) = draft.history.entries.get(index).cloned() else { return Ok(()) };
    let mut kept = first.as_ref().clone();
    kept.held_back.extend(arriving.held_back.clone());
    kept.held_back.sort();
    kept.held_back.dedup();
    corroborate(&mut kept, &arriving);
    let before = draft.judge(&first);
    let mut joined = kept.clone();
    joined.facts.extend(arriving.facts.clone());
    let kept = put(&mut draft.history, kept);
    let mut with_more = draft.history.clone();
    let joined = put(&mut with_more, joined);
    let after = judge(draft.book, &with_more, &joined, AsOf::entry(&joined), Moment::Arrival).map(Arc::new);
    let (Some(before), Some(after)) = (before, after) else { return Ok(()) };
    let judged = !first.backfilled && !event.backfill;
    if judged && fires_more(&before, &after) {
        draft.history = with_more;
        draft.record_facts(&joined.kind, &after);
        let findings = findings_of(&joined, &after, &joined.fired);
        draft.decision.notes.push("This second report would do more than the first, and was acted on.".to_owned());
        draft.raise(Some(referral), &event.event_id, &findings, Vec::new())?;
    } else if judged && arriving.event_id == first.event_id && after.level < before.level {
        let extra = vec![confirm(draft, &kept, after.level)?];
        draft.raise(Some(referral), &event.event_id, &[], extra)?;
    }
    draft.tell_sender(event, FeedbackStatus::AlreadyKnown, &["Received. This is known already."]);
    Ok(())
}

/// More than before: a higher level, or everything as before and something besides.
fn fires_more(before: &Verdict<'_>, after: &Verdict<'_>) -> bool {
    let ids =
        |verdict: &Verdict<'_>| -> BTreeSet<String> { verdict.fired.iter().map(|rule| rule.id.clone()).collect() };
    let (before_ids, after_ids) = (ids(before), ids(after));
    after.level > before.level
        || (after.level == before.level && after_ids.is_superset(&before_ids) && after_ids != before_ids)
}
