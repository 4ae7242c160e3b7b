//! What a sender corrects, or sends again with other content, by which no rule asks anything new: a person reads it, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::correction::{CORRECTION_RULE, changes_in_words};
use crate::engine::calendar::Clock;
use crate::engine::codec;
use crate::engine::context::StepError;
use crate::engine::history::RECALLED;
use crate::engine::ids::derived;
use crate::engine::model::detail::{Detail, EventCorrected};
use crate::engine::model::history::Entry;
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::{FactValue, Timestamp};
use crate::engine::rules::book::{Agency, Rule, UnitKind};
use crate::engine::rules::catalogue::is_concern;
use crate::engine::step::draft::{Draft, own_duty_at};
use crate::engine::tasks::asking::reason_given;

const READ_ACTION: &str = "Read what the sender corrected or sent again, and tell those at work what changes for them";

/// Whether there may be something to read: an account, what the child said, or all that is not said by another child's being
/// named, who is sent on.
pub fn is_owed(draft: &Draft<'_>, referral: &Referral, before: &Entry) -> bool {
    let event = &referral.event;
    let has_words =
        event.narrative.is_some() || event.voice_of_child.as_ref().is_some_and(|voice| voice.said.is_some());
    let now = draft.history.entries.iter().find(|entry| entry.is_same_event(before));
    has_words || now.is_none_or(|now| now.named.len() == before.named.len())
}

/// Whether a rule that newly fires asks something of whoever decides, who holds it already, and so hears nothing of what it fired for.
pub fn is_unheard(draft: &Draft<'_>, before: &Entry) -> bool {
    let (rules, front_door) = (&draft.book.rules, &draft.book.rules.front_door);
    let asks_them = |rule: &Rule| rule.tasks.iter().flat_map(|task| &task.to).any(|to| to.agency == *front_door);
    let fired = draft.decision.fired.iter().filter(|fired| !before.fired.contains(&fired.rule));
    let mut fired = fired.filter_map(|fired| rules.rule(&fired.rule));
    let is_told = draft.decision.tasks.iter().any(|task| task.agency == *front_door);
    !is_told && fired.any(asks_them)
}

/// What is so of the others where whoever decides hears nothing else.
fn asks_nothing(draft: &Draft<'_>) -> &'static str {
    if draft.decision.tasks.is_empty() {
        "no rule asks anything new by it"
    } else {
        "no rule asks anything new of you by it"
    }
}

/// A correction of `original` by which nobody was asked anything, or nobody who decides. `cause`: the correction's id.
pub fn of_correction(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    original: &Arc<Entry>,
    correction: &EventCorrected,
) -> Result<(), StepError> {
    let said = changes_in_words(original, &correction.changes);
    let at_hand = referral.filter(|referral| referral.event.event_id == cause);
    let Some(referral) = at_hand else {
        let why = format!(
            "A correction came before its event, which was judged as it was sent. By the correction: {said}. What its sender \
             wrote beside that is not kept: ask them."
        );
        return raise(draft, referral, original, &derived(&["read", cause]), ("A correction to read", why));
    };
    let reason = correction.reason.as_deref();
    let given = reason_given(reason);
    let so = asks_nothing(draft);
    let why = format!("The sender corrected what they said, and {so}: {said}.{given}");
    let cause = words_of(referral, original, reason);
    raise(draft, Some(referral), original, &cause, ("A correction to read", why))
}

/// The same of a report sent again under its id with other content.
pub fn of_report(
    draft: &mut Draft<'_>,
    referral: &Referral,
    first: &Arc<Entry>,
    said: &BTreeMap<String, FactValue>,
) -> Result<(), StepError> {
    let said = changes_in_words(first, said);
    let moved = told_elsewhere(draft, referral, first);
    let so = asks_nothing(draft);
    let why = format!("The sender sent it again with other content, and {so}: {said}.{moved}");
    let cause = words_of(referral, first, None);
    let clock = if moved.is_empty() { own_duty_at(first.level) } else { Clock::SameDay };
    raise_by(draft, Some(referral), first, &cause, ("Sent again with other content", why), &clock)
}

/// That the school or practice it names now is not the one that was told of the event; empty: it is, or none was.
fn told_elsewhere(draft: &Draft<'_>, referral: &Referral, first: &Entry) -> String {
    let rules = &draft.book.rules;
    let child = &referral.event.child;
    let named = |agency: &Agency| match agency.units {
        UnitKind::School => child.school_urn.as_deref(),
        UnitKind::Practice => child.gp_ods.as_deref(),
        UnitKind::One | UnitKind::Locality | UnitKind::Authority => None,
    };
    let tasks = draft.history.tasks.iter().filter(|task| task.is_of(first) && task.state != RECALLED);
    let elsewhere = tasks.filter_map(|task| {
        let agency = rules.agencies.get(&task.agency)?;
        let (told, named) = (task.unit.as_ref()?, named(agency)?);
        let meant = rules.directory.units_meant(agency, named);
        let words = || {
            format!(
                " It names {} {named} now, which was told nothing; {told} was: tell the right one today.",
                agency.title
            )
        };
        (told != named && !meant.contains(told)).then(words)
    });
    let words: BTreeSet<String> = elsewhere.collect();
    words.into_iter().collect()
}

/// To the front door, unless it is the sender, or was given the same to read before. History, and kinds that need reach
/// nobody, are for nobody to read; of what the router made for another child, the child it came from is told.
fn raise(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    entry: &Arc<Entry>,
    cause: &str,
    words: (&str, String),
) -> Result<(), StepError> {
    raise_by(draft, referral, entry, cause, words, &own_duty_at(entry.level))
}

fn raise_by(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    entry: &Arc<Entry>,
    cause: &str,
    (title, why): (&str, String),
    clock: &Clock,
) -> Result<(), StepError> {
    let front_door = Some(draft.book.rules.front_door.as_str());
    let nobodys = |referral: &Referral| {
        referral.event.backfill
            || referral.named_with.is_some()
            || referral.event.source.agency.as_deref() == front_door
    };
    if entry.backfilled || !is_concern(&entry.kind) || referral.is_some_and(nobodys) {
        return Ok(());
    }
    let raising = draft.raising(referral, cause);
    let due = raising.deadline_from_now(clock)?;
    let wanted = raising.own_duty(CORRECTION_RULE, title, why, READ_ACTION, due, entry);
    if raising.was_given(&wanted) {
        draft.decision.notes.push("The same was given to a person to read before.".to_owned());
        return Ok(());
    }
    draft.raise(referral, cause, &[], vec![wanted]).map(drop)
}

/// Names what an event says, whatever id it bears and whenever it was sent: the same words are read once.
fn words_of(referral: &Referral, original: &Entry, reason: Option<&str>) -> String {
    let mut event = referral.event.clone();
    event.event_id.clone_from(&original.event_id);
    (event.source.agency, event.reported_at, event.reply_to) = (None, None, None);
    if matches!(event.detail, Detail::EventCorrected(_)) {
        event.occurred_at = Timestamp(0);
    }
    let said = codec::encode_stably(&event).map_or_else(|_| referral.content_digest.clone(), hex::encode);
    derived(&["read", &said, reason.unwrap_or_default()])
}
