//! A named person records that two subjects are one child, or that they are not: histories are joined, or parted again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::alias::forwarded_history;
use super::parted;
use super::sighting::{DIFFERENT, UNLINKED, pass_on, send, stand, standing};
use crate::engine::context::{Context, StepError};
use crate::engine::decide::{Moment, judge};
use crate::engine::facts::{AsOf, PreparedBook};
use crate::engine::history::decisions::settle_level;
use crate::engine::history::parting::take_out;
use crate::engine::history::{held_back_of, is_open, put};
use crate::engine::identity::IdentifierKind;
use crate::engine::model::codes::HumanDecision;
use crate::engine::model::decision::{Disposition, Trigger};
use crate::engine::model::detail::{DecisionRecorded, Detail};
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Entry, EventOf, HeldTask, History, Linked, said_by};
use crate::engine::model::inbox::{InboxRecord, Referral, Signal};
use crate::engine::model::subject::SubjectKey;
use crate::engine::state::State;
use crate::engine::step::arriving::look_alike;
use crate::engine::step::decisions::agreement;
use crate::engine::step::decisions::unapplied::{self, Unapplied};
use crate::engine::step::draft::{Draft, OWN_DUTY};
use crate::engine::step::held_back::lifted;
use crate::engine::step::outcomes::responsible;
use crate::engine::step::stand_in::stand_in_entry;
use crate::engine::step::{Effect, Step, about};
use crate::engine::tasks::Wanted;
use crate::engine::tasks::route::sender_held_back;

/// `other` is the same child, a person says: the weaker of the two passes everything on.
pub const LINK: &str = "link";
/// `other` is another child, a person says.
pub const UNLINK: &str = "unlink";
/// The link with `other` is undone: it gets back what came under its own key.
pub const GIVE_BACK: &str = "give_back";

const UNLINKED_RULE: &str = "unlinked";
const REVIEW_ACTION: &str = "Review what was started: two records were counted together and are apart again";
const NOT_UNDONE_ACTION: &str = "Look again: no link was undone";

const NO_OTHER: &str =
    "its other_reply_to cannot be read any longer: send it with the addresses of two tasks that are held now";
const ONE_ALREADY: &str =
    "both addresses lead to one record already. If another child was meant, give the address of a task of theirs";
const NOT_UNDONE: &str = "both addresses lead to the same record. Send as reply_to the address of a task from before the link, \
of the record that is to stand alone again, and as other_reply_to one of the other";
const BY_IDENTIFIERS: &str = "one event bore the identifiers of both records and made them one, which no decision parts. Weigh what \
is known of each child by itself, and ask whoever sent the two identifiers as one child's which is whose";

/// Events remembered as come under a linked key; what is older stays where it went.
const LINKED_EVENTS_MAX: usize = 512;

/// Times the two sides of an undone link are counted again: what was taken back may itself have been counted.
const RECOUNTS_MAX: usize = 3;

/// Whether this is a decision that two subjects are not one, for a key that a person linked to the other.
pub fn frees(history: &History, referral: &Referral, context: &Context) -> bool {
    let Detail::DecisionRecorded(decision) = &referral.event.detail else { return false };
    let parts = decision.decision == Some(HumanDecision::SubjectsUnlinked);
    let linked = history.linked.as_ref().map(|linked| linked.subject);
    parts && linked.is_some() && linked == other_of(context, decision)
}

/// Whether this is a person's word on whether two subjects are one.
pub fn is_of_two(detail: &Detail) -> bool {
    let Detail::DecisionRecorded(recorded) = detail else { return false };
    let of_two = [HumanDecision::SubjectsLinked, HumanDecision::SubjectsUnlinked];
    recorded.decision.is_some_and(|decision| of_two.contains(&decision))
}

fn other_of(context: &Context, decision: &DecisionRecorded) -> Option<SubjectKey> {
    let sealed = decision.other_reply_to.as_deref()?;
    context.sealer.open(sealed).ok().map(|address| address.subject)
}

/// A person's word on two subjects arrives with one of them.
pub fn decided(
    draft: &mut Draft<'_>,
    referral: &Referral,
    decision: &DecisionRecorded,
) -> Result<Option<Unapplied>, StepError> {
    let Some(other) = other_of(draft.context, decision) else { return Ok(Some(Unapplied::and_asked(NO_OTHER))) };
    let event_id = &referral.event.event_id;
    if other == draft.subject {
        if look_alike::answered(draft, &referral.event, decision)? {
            return Ok(None);
        }
        if decision.decision == Some(HumanDecision::SubjectsUnlinked) {
            let source = &referral.event.source;
            not_undone(draft, Some(referral), (event_id, event_id, Some(&source.partner)), NOT_UNDONE)?;
            return Ok(Some(Unapplied::because(NOT_UNDONE)));
        }
        return Ok(Some(Unapplied::and_asked(ONE_ALREADY)));
    }
    let linked = decision.decision == Some(HumanDecision::SubjectsLinked);
    let signal = Signal {
        kind: if linked { LINK } else { UNLINK }.to_owned(),
        cause: event_id.clone(),
        partner: Some(referral.event.source.partner.clone()),
        other: Some(draft.subject),
        keyed_by: draft.history.keyed_by.clone(),
        ..Signal::default()
    };
    let tells = send(other, draft.at, signal);
    if linked {
        draft.publish(tells);
        answered(draft, other);
        draft.decision.notes.push("A person linked this record with another: they are one child.".to_owned());
        return Ok(None);
    }
    let freed = free(draft, event_id);
    if freed != Some(other) {
        draft.publish(tells);
        answered(draft, other);
        stand(&mut draft.history, other, DIFFERENT, None);
    }
    draft.decision.notes.push("A person says that this record and another are two children.".to_owned());
    Ok(None)
}

/// Whoever undoes a link that there is none of, or with two addresses of the joined record, is told what to do instead.
fn not_undone(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    (cause, event_id, partner): (&str, &str, Option<&str>),
    problem: &str,
) -> Result<(), StepError> {
    let entry = Arc::new(stand_in_entry(event_id, partner.unwrap_or_default(), draft.at));
    let raising = draft.raising(referral, cause);
    let due = raising.deadline_from_now(&OWN_DUTY)?;
    let why = format!("A decision was recorded and not applied: {problem}.");
    let wanted = raising.own_duty(UNLINKED_RULE, "No link was undone", why, NOT_UNDONE_ACTION, due, &entry);
    draft.raise(None, cause, &[], vec![wanted]).map(drop)
}

fn tell_not_undone(draft: &mut Draft<'_>, signal: &Signal) {
    let is_recorded = |entry: &&Arc<Entry>| said_by(Some(&signal.cause), signal.partner.as_deref(), entry);
    let Some(recorded) = draft.history.entries.iter().find(is_recorded).cloned() else { return };
    if sender_held_back(&draft.context.keys, &recorded.source, &held_back_of(&draft.history)) {
        return;
    }
    let (source, event_id, reference) = (&recorded.source, &recorded.event_id, recorded.partner_reference.clone());
    let words = unapplied::words(BY_IDENTIFIERS);
    let feedback = draft.feedback(source, event_id, reference, FeedbackStatus::NotApplied, &[&words]);
    draft.publish(Effect::Feedback(feedback));
}

/// The question of this pair is answered: nobody waits for it any longer.
fn answered(draft: &mut Draft<'_>, other: SubjectKey) {
    let pairs = draft.history.pairs.get_or_insert_default();
    let asked = pairs.iter().position(|pair| pair.subject == other).map(|place| pairs.remove(place));
    let Some(task_id) = asked.and_then(|pair| pair.task_id) else { return };
    let waits = |task: &&mut Arc<_>| task_is(task, &task_id);
    if let Some(task) = draft.history.tasks.iter_mut().find(waits) {
        *task = Arc::new(task.closed_as("completed", draft.at));
    }
}

fn task_is(task: &HeldTask, task_id: &str) -> bool {
    task.task_id == task_id && is_open(&task.state)
}

/// Stands alone again: from now on what comes stays here, and what came before is asked back.
fn free(draft: &mut Draft<'_>, cause: &str) -> Option<SubjectKey> {
    let linked = draft.history.linked.take()?;
    draft.history.alias_of = None;
    answered(draft, linked.subject);
    stand(&mut draft.history, linked.subject, UNLINKED, None);
    let asks_back = Signal {
        kind: GIVE_BACK.to_owned(),
        cause: cause.to_owned(),
        other: Some(draft.subject),
        events: Some(linked.events),
        ..Signal::default()
    };
    let effect = send(linked.subject, draft.at, asks_back);
    draft.publish(effect);
    Some(linked.subject)
}

/// Remembers what comes under a linked key on its way to the other.
pub fn note_passed_on(history: &mut History, referral: &Referral) {
    let Some(linked) = &mut history.linked else { return };
    let event = &referral.event;
    let came = EventOf { event_id: event.event_id.clone(), partner: event.source.partner.clone() };
    if !linked.events.contains(&came) {
        linked.events.push(came);
        let over = linked.events.len().saturating_sub(LINKED_EVENTS_MAX);
        linked.events.drain(..over);
    }
}

/// A person linked this subject with another: the weaker of the two joins the stronger, whichever hears of it.
pub fn join(context: &Context, state: &State, record: &InboxRecord, signal: &Signal) -> Result<Step, StepError> {
    let Some(other) = signal.other.filter(|other| *other != record.subject) else { return Ok(Step::default()) };
    let known = state.history(record.subject);
    if let Some(stronger) = known.and_then(|history| history.alias_of) {
        return if stronger == other { Ok(Step::default()) } else { pass_on(record, signal, stronger) };
    }
    let keyed_by = known.and_then(|history| history.keyed_by.clone());
    let mut draft = Draft::open(context, state, record.subject, record.receipt, Trigger::Signal, &record.id)?;
    draft.decision.event_id = Some(signal.cause.clone());
    answered(&mut draft, other);
    if strength(keyed_by.as_deref(), record.subject) < strength(signal.keyed_by.as_deref(), other) {
        let signal = Signal { other: Some(record.subject), keyed_by, ..signal.clone() };
        draft.publish(send(other, record.receipt, signal));
        return draft.finish();
    }
    draft.disposed(Disposition::Forwarded);
    let moved = std::mem::take(&mut draft.history);
    let own = &mut draft.history;
    own.alias_of = Some(other);
    own.weaker.clone_from(&moved.weaker);
    own.seen.clone_from(&moved.seen);
    own.pairs.clone_from(&moved.pairs);
    own.keyed_by.clone_from(&moved.keyed_by);
    let came = |entry: &Arc<Entry>| {
        let first = EventOf { event_id: entry.event_id.clone(), partner: entry.source.partner.clone() };
        let again = entry
            .corroborated_by
            .iter()
            .map(|report| EventOf { event_id: report.event_id.clone(), partner: report.source.partner.clone() });
        std::iter::once(first).chain(again).collect::<Vec<EventOf>>()
    };
    own.linked = Some(Linked { subject: other, events: moved.entries.iter().flat_map(came).collect() });
    draft.publish(forwarded_history(record, record.subject, other, moved, 1));
    draft.finish()
}

/// Strongest first. A key whose making is not known (kept by an earlier release) lies between those by an identifier and
/// those by a name; among equals the key itself decides, so that two links never go round in a circle.
fn strength(keyed_by: Option<&str>, key: SubjectKey) -> (usize, SubjectKey) {
    let kinds = [IdentifierKind::NhsNumber, IdentifierKind::Upn, IdentifierKind::LocalId];
    let identified = kinds.iter().position(|kind| Some(kind.symbol()) == keyed_by);
    let rank = identified.unwrap_or(if keyed_by.is_none() { kinds.len() } else { kinds.len().saturating_add(1) });
    (rank, key)
}

/// A person says that another subject is another child. What comes back to where it was said was passed on by a weaker identifier of
/// this one: no person had linked the two.
pub fn part(context: &Context, state: &State, record: &InboxRecord, signal: &Signal) -> Result<Step, StepError> {
    let Some(other) = signal.other else { return Ok(Step::default()) };
    if other == record.subject {
        let mut draft = Draft::open(context, state, record.subject, record.receipt, Trigger::Signal, &record.id)?;
        draft.decision.event_id = Some(signal.cause.clone());
        not_undone(&mut draft, None, (&record.id, &signal.cause, signal.partner.as_deref()), BY_IDENTIFIERS)?;
        tell_not_undone(&mut draft, signal);
        return draft.finish();
    }
    let known = state.history(record.subject);
    let linked = known.and_then(|history| history.linked.as_ref()).map(|linked| linked.subject);
    if let Some(stronger) = known.and_then(|history| history.alias_of).filter(|_| linked != Some(other)) {
        return pass_on(record, signal, stronger);
    }
    let mut draft = Draft::open(context, state, record.subject, record.receipt, Trigger::Signal, &record.id)?;
    draft.decision.event_id = Some(signal.cause.clone());
    if free(&mut draft, &signal.cause).is_none() {
        answered(&mut draft, other);
        stand(&mut draft.history, other, DIFFERENT, None);
    }
    draft.finish()
}

/// Gives a subject that stands alone again what came under its own key; counts are redone on both sides, and what they had
/// led to together goes to a person.
pub fn give_back(context: &Context, state: &State, record: &InboxRecord, signal: &Signal) -> Result<Step, StepError> {
    let Some(other) = signal.other.filter(|other| *other != record.subject) else { return Ok(Step::default()) };
    if let Some(stronger) = state.history(record.subject).and_then(|history| history.alias_of) {
        return pass_on(record, signal, stronger);
    }
    let mut draft = Draft::open(context, state, record.subject, record.receipt, Trigger::Signal, &record.id)?;
    draft.decision.event_id = Some(signal.cause.clone());
    answered(&mut draft, other);
    stand(&mut draft.history, other, UNLINKED, None);
    draft.history.weaker.iter_mut().for_each(|told| told.retain(|key| *key != other));
    let before = draft.history.clone();
    let events = signal.events.as_deref().unwrap_or_default();
    let mut given = take_out(&mut draft.history, events);
    let lost: Vec<String> = count_apart(&mut draft, &before, &mut given).into_iter().collect();
    settle_level(&mut given);
    let (here, there) = (parted::alone(&draft.history, &before), parted::alone(&given, &before));
    let mut lost: Vec<String> = lost;
    lost.extend(level_of_other(&draft.history));
    if !lost.is_empty() {
        let partner = signal.partner.as_deref().unwrap_or_default();
        let entry = Arc::new(stand_in_entry(&signal.cause, partner, record.receipt));
        let raising = draft.raising(None, &record.id);
        let due = raising.deadline_from_now(&OWN_DUTY)?;
        let mut reports = about::latest(&draft.history);
        reports.extend(about::latest(&given));
        let why = about::in_words(
            &draft.context.keys,
            &format!("Counted apart, these no longer hold: {}.", lost.join("; ")),
            &reports,
        );
        let own = raising.own_duty(UNLINKED_RULE, "A link of two records was undone", why, REVIEW_ACTION, due, &entry);
        let mut wanted = Wanted { level: before.case_level, relation: about::follows(&draft, &reports), ..own };
        wanted
            .notes
            .push("What was shared about the two together may have been shared about the wrong child.".to_owned());
        draft.raise(None, &record.id, &[], vec![wanted])?;
    }
    draft
        .decision
        .notes
        .push(format!("A link was undone: {} events went back to their own record.", given.entries.len()));
    let given = take_up_given(&mut draft, record, (other, &before), given)?;
    let back: Effect = forwarded_history(record, record.subject, other, given, 0);
    draft.publish(back);
    if let Some(told) = parted::tell(other, &draft, &signal.cause, there) {
        draft.publish(told);
    }
    parted::take_up(&mut draft, &record.id, &signal.cause, &here)?;
    stand_alone(&mut draft, &record.id, &before)?;
    // What the other's suspect or wish alone kept from going out for this child goes out.
    lifted::wish_ended(&mut draft, &record.id, &before)?;
    draft.finish()
}

/// What the two together had said of the one is said of it no more: whose the child is, and what the family agreed to.
fn stand_alone(draft: &mut Draft<'_>, cause: &str, before: &History) -> Result<(), StepError> {
    responsible::pass_to_responsible_authority(draft, None, cause, before)?;
    let begun = agreement::begin_again(draft, before);
    agreement::taken_back(draft, cause, before, &begun)
}

/// What is given back is told as what is kept: held against the two together, which its own record does not know. Returns it with
/// what is asked of it by that.
fn take_up_given(
    draft: &mut Draft<'_>,
    record: &InboxRecord,
    (other, before): (SubjectKey, &History),
    given: History,
) -> Result<History, StepError> {
    let mut side = Draft::open(draft.context, &State::default(), other, draft.at, Trigger::Signal, &record.id)?;
    side.decision.event_id.clone_from(&draft.decision.event_id);
    side.before = Arc::new(before.clone());
    side.history = given;
    stand_alone(&mut side, &record.id, before)?;
    let Step { mut delta, effects } = side.finish()?;
    effects.into_iter().for_each(|effect| draft.publish(effect));
    Ok(delta.histories.remove(&other).unwrap_or_default())
}

/// The level that stands though what gave it went to the other record: only a person lowers it.
fn level_of_other(history: &History) -> Option<String> {
    let mut own = history.clone();
    settle_level(&mut own);
    let stands = history.case_level.filter(|level| Some(*level) > own.case_level)?;
    Some(format!("level {}, which stays until a named person decides", stands.symbol()))
}

/// Takes back, on either side, what had fired only because the two were counted together; returns the titles.
fn count_apart(draft: &mut Draft<'_>, before: &History, given: &mut History) -> BTreeSet<String> {
    let mut lost = BTreeSet::new();
    // What is taken back of one entry may have been counted for another.
    for _ in 0..RECOUNTS_MAX {
        let here = taken_back(draft.book, before, &draft.history);
        let there = taken_back(draft.book, before, given);
        if here.is_empty() && there.is_empty() {
            break;
        }
        for (history, changed) in [(&mut draft.history, here), (&mut *given, there)] {
            for (entry, titles) in changed {
                put(history, entry);
                lost.extend(titles);
            }
        }
    }
    lost
}

/// Entries of a history as they are without what fires for them no longer, with the titles of that.
fn taken_back(book: &PreparedBook, before: &History, after: &History) -> Vec<(Entry, Vec<String>)> {
    let mut changed = Vec::new();
    for entry in after.entries.iter().filter(|entry| !entry.withdrawn && !entry.fired.is_empty()) {
        let as_of = AsOf::entry(entry);
        let was = judge(book, before, entry, as_of, Moment::Arrival);
        let is = judge(book, after, entry, as_of, Moment::Arrival);
        let (Some(was), Some(is)) = (was, is) else { continue };
        let is_gone = |id: &String| was.fires(id) && !is.fires(id);
        if !entry.fired.iter().any(is_gone) {
            continue;
        }
        let mut kept = entry.as_ref().clone();
        kept.fired.retain(|id| !is_gone(id));
        let rule = |id: &String| book.rules.rule(id);
        kept.level = kept.fired.iter().filter_map(|id| rule(id)?.level).max();
        let gone = entry.fired.iter().filter(|id| is_gone(id)).filter_map(rule);
        changed.push((kept, gone.map(|rule| rule.title.clone()).collect()));
    }
    changed
}

/// A subject from which this one's link was undone may hold what is answered here.
pub fn parted_from(history: &History) -> Option<SubjectKey> {
    let pairs = history.pairs.iter().flatten().map(|pair| pair.subject);
    pairs.into_iter().find(|other| standing(history, *other) == Some(UNLINKED))
}
