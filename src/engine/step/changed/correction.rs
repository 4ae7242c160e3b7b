//! A correction of an earlier event: upward it acts at once, downward it changes nothing until a person confirms.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::refused::refuse;
use super::{addition, another_unit, denied, reading, wish, withdrawal};
use crate::engine::calendar::instant_in_words;
use crate::engine::context::StepError;
use crate::engine::decide::{Moment, Verdict, judge};
use crate::engine::facts::AsOf;
use crate::engine::history::correction::{
    DATE_OF_BIRTH, DO_NOT_INFORM, DUE_DATE, TIMES, as_far_as_it_fits, corrected, time_of,
};
use crate::engine::history::death::{INCIDENT, is_notice};
use crate::engine::history::decisions::DECISION;
use crate::engine::history::entry::{DANGER, EMERGENCY_CALL, confidential_address};
use crate::engine::history::{self, Spoken, episodes, put, raise_case_level, restate, used_id};
use crate::engine::model::detail::EventCorrected;
use crate::engine::model::event::Source;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Entry, History};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::{FactValue, Level};
use crate::engine::rules::catalogue::{NEVER_JUDGED, is_concern};
use crate::engine::step::absences::returned;
use crate::engine::step::arriving::{awaiting, duplicate, siblings};
use crate::engine::step::deadlines::clocks::{due_already, restart_timers};
use crate::engine::step::deadlines::recount;
use crate::engine::step::death;
use crate::engine::step::decisions::{agreement, offers, redecided};
use crate::engine::step::draft::{Draft, own_duty_at};
use crate::engine::step::findings::{
    Again, add_new, as_it_stood, asked_after_all, asking_more, findings_of, judged_again, over_since, tell_left_out,
};
use crate::engine::step::held_back::{persons, suspect};
use crate::engine::step::outcomes::responsible;
use crate::engine::tasks::Wanted;

pub const CORRECTION_RULE: &str = "correction";
const CONFIRM_ACTION: &str = "Confirm or refuse the correction: it would lower what was proposed";
pub const IS_WITHDRAWN: &str = "its original was withdrawn";
/// To whoever sent what the front door corrects.
const BY_FRONT_DOOR: &str = "The front door has corrected what you sent, and it counts as corrected from now on.";
const OF_A_CORRECTION: &str =
    "what it corrects is itself a correction or withdrawal: correct the event again, by the event's own id";
const ANOTHER_STANDS: &str = "What you sent of another kind under this id stands as it was.";
const NAMED_NOBODY: &str = "It does not name the child: who was not asked about them before hears of it by way of the front door. Send the \
                            child whole with each correction.";
const REVIEW_ACTION: &str = "Review what was started: an event it counted on was changed or withdrawn";
const RISEN_ACTION: &str = "Look again: the proposed level has risen";

pub fn received(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    correction: &EventCorrected,
) -> Result<(), StepError> {
    let event = &referral.event;
    let mut correction = correction.clone();
    if event.immediate_danger == Some(true) {
        correction.changes.insert(DANGER.to_owned(), FactValue::Bool(true));
        let rung = event.emergency_call_made.map(|rung| (EMERGENCY_CALL.to_owned(), FactValue::Bool(rung)));
        correction.changes.extend(rung);
    }
    let front_door = &draft.book.rules.front_door;
    let spoken = history::find(&draft.history, &correction.original_event_id, &arriving.source, front_door);
    match spoken {
        None => match history::of_another_unit(&draft.history, &correction.original_event_id, &arriving.source) {
            Some(original) => another_unit::corrects(draft, referral, arriving, &original, &correction),
            None => {
                let original = &correction.original_event_id;
                awaiting::keep(draft, referral, arriving, original, Some(&correction.changes), None)
            }
        },
        Some(Spoken::OneOfSeveral) => another_unit::corrects_one_of_several(draft, referral, arriving, &correction),
        Some(Spoken::Corroborated(index)) => match draft.history.entries.get(index).cloned() {
            Some(first) if denied::stands_alone(&first, &correction, &arriving.source) => {
                first_reporter(draft, referral, arriving, &correction, &first)
            }
            Some(_) | None => second_reporter(draft, referral, arriving, &correction, index),
        },
        Some(Spoken::Own(index)) => {
            let fits = |entry: &Entry| corrected(entry, &correction).is_ok();
            let index = used_id::meant(&draft.history, &correction.original_event_id, index, fits);
            let Some(original) = draft.history.entries.get(index).cloned() else { return Ok(()) };
            if original.kind == DECISION && event.immediate_danger != Some(true) {
                return redecided::by_correction(draft, referral, arriving, &original, &correction);
            }
            if denied::stands_by_another(&original, &correction, &arriving.source) {
                return second_reporter(draft, referral, arriving, &correction, index);
            }
            first_reporter(draft, referral, arriving, &correction, &original)
        }
    }
}

/// Whoever first reported it corrects it, or the front door does.
fn first_reporter(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    correction: &EventCorrected,
    original: &Arc<Entry>,
) -> Result<(), StepError> {
    let event = &referral.event;
    let arriving = Arc::new(arriving);
    history::insert(&mut draft.history, arriving.as_ref().clone());
    let naming = siblings::of_its_family(referral, original);
    let naming = naming.or_else(|| naming_others(referral, original, correction));
    let referral = naming.as_ref().unwrap_or(referral);
    // What names no child is raised as by a clock: a task about nobody helps no child, and its holder cannot know that there is one.
    let named = Some(referral).filter(|referral| naming.is_some() || referral.event.child.is_named());
    if let Err(problem) = apply(draft, named, &event.event_id, original, correction)? {
        let level = level_refused(draft, original, correction);
        return refuse(draft, referral, &arriving, &problem, level);
    }
    denied::settle(draft, original, correction, &event.source);
    if used_id::bears_another(&draft.history, &correction.original_event_id, original) {
        draft.sender_words.push(ANOTHER_STANDS);
    }
    if !original.backfilled {
        let mut kept = original.as_ref().clone();
        kept.held_back.extend(arriving.held_back.iter().cloned());
        let kept = (original, &Arc::new(kept));
        persons::named_too_late(draft, named, &event.event_id, kept)?;
    }
    agreement::heed(draft, referral, original)?;
    let sent_on = !original.backfilled && siblings::named_later(draft, referral, &event.event_id, original)?;
    let is_unread = draft.decision.tasks.is_empty() || reading::is_unheard(draft, original);
    if is_unread && reading::is_owed(draft, referral, original) {
        reading::of_correction(draft, named, &event.event_id, original, correction)?;
    }
    recount::by_correction(draft, original)?;
    tell_its_sender_if_changed(draft, &event.source, correction, original);
    let mut words = vec![if sent_on || !draft.decision.tasks.is_empty() {
        "Received. Your correction is being looked at."
    } else {
        "Received. Your correction is kept with what was told before."
    }];
    if named.is_none() && !draft.decision.tasks.is_empty() {
        words.push(NAMED_NOBODY);
    }
    words.extend(&draft.sender_words);
    draft.tell_sender(event, FeedbackStatus::Received, &words);
    Ok(())
}

/// The front door has changed what another had sent: not what it said instead, which may not be theirs to know.
fn tell_its_sender_if_changed(draft: &mut Draft<'_>, by: &Source, correction: &EventCorrected, original: &Entry) {
    let event_id = correction.original_event_id.as_str();
    let Some(sender) = original.sender_of(event_id, by).cloned().filter(|sender| sender.partner != by.partner) else {
        return;
    };
    let is_changed = |entry: &Arc<Entry>| {
        entry.is_same_event(original)
            && (&entry.facts, &entry.anchors, &entry.held_back)
                != (&original.facts, &original.anchors, &original.held_back)
    };
    if !original.backfilled && is_concern(&original.kind) && draft.history.entries.iter().any(is_changed) {
        withdrawal::tell_its_sender(draft, &sender, event_id, original, &[BY_FRONT_DOOR]);
    }
}

/// A correction that names other children too: as the event itself would have.
fn naming_others(referral: &Referral, original: &Entry, correction: &EventCorrected) -> Option<Referral> {
    let corrected = corrected(original, correction).ok()?;
    let names = !referral.event.siblings.is_empty();
    names.then(|| siblings::as_first_told(referral, &corrected)).flatten()
}

/// A second reporter corrects their own report, not the first one's: it counts only where it would do more. So does whoever says that a
/// child lives, while another says that they have died.
fn second_reporter(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    correction: &EventCorrected,
    index: usize,
) -> Result<(), StepError> {
    let Some(first) = draft.history.entries.get(index).cloned() else { return Ok(()) };
    if let (Some(report), Ok(said)) =
        (denied::after_all(&first, correction, &arriving.source), corrected(&first, correction))
    {
        return denied::notify_again(draft, referral, arriving, (&first, said, report));
    }
    if first.withdrawn || is_taken_back(&first, correction, &arriving.source) {
        let level = level_refused(draft, &first, correction);
        return refuse(draft, referral, &Arc::new(arriving), IS_WITHDRAWN, level);
    }
    let said = corrected(&first, correction).map_err(|names| not_of_its_kind(&names, correction));
    match said.and_then(|said| Ok((said, wish::taken_back(&first, correction)?))) {
        Ok((said, wishes)) => {
            if denied::stands_by_another(&first, correction, &arriving.source) {
                denied::tell(draft);
            }
            let mut said = Entry { facts: said.facts, held_back: said.held_back, ..arriving.clone() };
            said.held_back.extend(arriving.held_back.iter().cloned());
            duplicate::received(draft, referral, said, index)?;
            denied::settle(draft, &first, correction, &arriving.source);
            // No report of its own: it neither stands nor falls with one.
            history::insert(&mut draft.history, arriving);
            let cause = &referral.event.event_id;
            wish::ask(draft, Some(referral), cause, &first, (&wishes, correction.reason.as_deref()))
        }
        Err(problem) => {
            let level = level_refused(draft, &first, correction);
            refuse(draft, referral, &Arc::new(arriving), &problem, level)
        }
    }
}

/// Whether the report that it corrects was withdrawn, and another of the same stands.
fn is_taken_back(entry: &Entry, correction: &EventCorrected, by: &Source) -> bool {
    let id = &correction.original_event_id;
    entry.sender_of(id, by).is_some_and(|sender| entry.is_taken_back(id, &sender.partner))
}

pub fn not_of_its_kind(names: &[String], correction: &EventCorrected) -> String {
    let rest = if correction.changes.len() > names.len() { "; nor was the rest of it applied" } else { "" };
    format!("these fields are not of its kind, or the values not of their type: {}{rest}", names.join(", "))
}

/// Changes an entry and acts on what follows. The inner error says, in words, why it cannot be applied.
pub fn apply(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    original: &Arc<Entry>,
    correction: &EventCorrected,
) -> Result<Result<(), String>, StepError> {
    if original.withdrawn || is_taken_back(original, correction, &original.source) {
        return Ok(Err(IS_WITHDRAWN.to_owned()));
    }
    if NEVER_JUDGED.contains(&original.kind.as_str()) {
        return Ok(Err(OF_A_CORRECTION.to_owned()));
    }
    let mut changed = match corrected(original, correction) {
        Ok(changed) => changed,
        Err(names) => return Ok(Err(not_of_its_kind(&names, correction))),
    };
    let wishes = match wish::taken_back(original, correction) {
        Ok(wishes) => wishes,
        Err(problem) => return Ok(Err(problem)),
    };
    let said = (wishes.as_slice(), correction.reason.as_deref());
    if wish::is_all(correction) {
        wish::ask(draft, referral, cause, original, said)?;
        siblings::corrected(draft, referral, cause, original, correction);
        return Ok(Ok(()));
    }
    siblings::naming_others(referral, &mut changed);
    suspect::corrected(&draft.book.rules, &mut changed);
    let before = draft.history.clone();
    let changed = put(&mut draft.history, changed);
    restate(&mut draft.history, &changed);
    if !original.backfilled {
        let as_before = before.clone();
        act_on_change(draft, referral, cause, before, (original, &changed), correction)?;
        responsible::pass_to_responsible_authority(draft, referral, cause, &as_before)?;
        agreement::stop_services(draft, cause)?;
        offers::offer_again(draft, cause, &as_before)?;
    }
    wish::ask(draft, referral, cause, &changed, said)?;
    wish::ask_about_address(draft, referral, cause, &changed, correction)?;
    siblings::corrected(draft, referral, cause, original, correction);
    Ok(Ok(()))
}

/// Judges the changed entry, and what it counts towards, with and without the change.
fn act_on_change(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    before: History,
    (original, changed): (&Arc<Entry>, &Arc<Entry>),
    correction: &EventCorrected,
) -> Result<(), StepError> {
    let earlier = judge(draft.book, &before, original, AsOf::entry(original), Moment::Arrival).map(Arc::new);
    let (Some(earlier), Some(verdict)) = (earlier, draft.judge(changed).map(Arc::new)) else { return Ok(()) };
    let fires_less = earlier.fired.iter().any(|rule| changed.fired.contains(&rule.id) && !verdict.fires(&rule.id));
    if verdict.level < changed.level || (fires_less && verdict.level <= earlier.level) {
        return put_aside(draft, referral, cause, before, (original, changed), (&earlier, &verdict), correction);
    }
    draft.record_facts(&changed.kind, &verdict);
    let done = &done_already(draft, changed, &earlier);
    let mut findings = findings_of(changed, &verdict, done);
    findings.extend(asking_more(draft, referral, changed, (&earlier, &verdict), done)?);
    let Again { findings: again, left_out } = judged_again(draft, &before, changed);
    findings.extend(again);
    let mut extra = Vec::new();
    if changed.anchors != original.anchors {
        findings.extend(due_already(draft, changed)?);
        // A return that ends nothing any more, by its time: what was not asked while it did is asked now.
        if changed.kind == episodes::ENDED {
            let meanwhile = asked_after_all(draft, &before, over_since(&before, original))?;
            add_new(&mut findings, meanwhile);
        }
        if restart_timers(draft, changed)? {
            extra.push(returned::ask_about_clock(draft, changed)?);
        }
        extra.extend(returned::ask(draft, changed)?);
        extra.extend(death::doubt_anew(draft, &before, (original, changed))?);
    }
    extra.extend(review(draft, &before, changed)?);
    if !is_notice(original) {
        extra.extend(death::ask(draft, changed)?);
    }
    if changed.held_back != original.held_back {
        extra.extend(suspect::ask(draft, changed, verdict.level)?);
    }
    draft.raise(referral, cause, &findings, extra)?;
    tell_left_out(draft, referral, cause, changed, left_out)?;
    if verdict.level > earlier.level {
        raise_case_level(&mut draft.history, verdict.level);
        if draft.decision.tasks.is_empty() {
            let risen = vec![risen(draft, changed, verdict.level)?];
            draft.raise(referral, cause, &[], risen)?;
        }
    }
    Ok(())
}

/// Nothing is lowered before a person says so: facts that would stay as they were, and so do clocks and counts. What the
/// correction asks besides is asked at once.
fn put_aside<'b>(
    draft: &mut Draft<'b>,
    referral: Option<&Referral>,
    cause: &str,
    before: History,
    (original, changed): (&Arc<Entry>, &Arc<Entry>),
    (earlier, verdict): (&Arc<Verdict<'b>>, &Arc<Verdict<'b>>),
    correction: &EventCorrected,
) -> Result<(), StepError> {
    draft.history = before;
    if changed.held_back.contains(&confidential_address()) && !original.held_back.contains(&confidential_address()) {
        let mut kept = original.as_ref().clone();
        kept.held_back.push(confidential_address());
        put(&mut draft.history, kept);
    }
    // That a child lives is not put aside with the rest.
    if is_notice(original) && !is_notice(changed) {
        let mut kept = original.as_ref().clone();
        kept.facts.extend(changed.facts.get(INCIDENT).map(|incident| (INCIDENT.to_owned(), incident.clone())));
        put(&mut draft.history, kept);
    }
    let done = done_already(draft, original, earlier);
    let verdicts = (earlier, verdict);
    let added = addition::of(draft, referral, &draft.history, (original, changed), verdicts, &done)?;
    let mut findings = Vec::new();
    let mut extra = vec![confirm(draft, original, verdict.level, &correction.changes)?];
    let mut left_out = 0;
    if let Some(added) = added {
        let before = std::mem::replace(&mut draft.history, added.history);
        draft.record_facts(&added.entry.kind, &added.verdict);
        findings.extend(added.findings);
        let again = judged_again(draft, &before, &added.entry);
        findings.extend(again.findings);
        left_out = again.left_out;
        extra.extend(review(draft, &before, &added.entry)?);
        draft.decision.notes.push("What the correction asks more was asked at once.".to_owned());
    } else {
        draft.record_facts(&original.kind, earlier);
    }
    draft.decision.notes.push("The correction would lower: it waits for a person to confirm it.".to_owned());
    draft.raise(referral, cause, &findings, extra)?;
    tell_left_out(draft, referral, cause, original, left_out)
}

/// The rules that are not acted on again for this entry: those that fired since a person last decided.
fn done_already(draft: &Draft<'_>, entry: &Entry, earlier: &Verdict<'_>) -> Vec<String> {
    let decided_since = draft.history.last_decision.as_ref().is_some_and(|decision| decision.at > entry.received_at);
    let fired_before = || earlier.fired.iter().map(|rule| rule.id.clone()).collect();
    if decided_since { fired_before() } else { entry.fired.clone() }
}

/// A level that rises where everyone is at work already is still told to whoever decides.
pub fn risen<'w>(draft: &Draft<'_>, changed: &Arc<Entry>, to: Option<Level>) -> Result<Wanted<'w>, StepError> {
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&own_duty_at(to))?;
    let why = format!("By the corrected facts the event is at {}.", to.map_or("no level", Level::symbol));
    let own = raising.own_duty(CORRECTION_RULE, "The proposed level has risen", why, RISEN_ACTION, due, changed);
    Ok(Wanted { level: to, ..own })
}

/// Only a person lowers: the front door confirms, the same day when the case stands at the highest level.
pub fn confirm<'w>(
    draft: &Draft<'_>,
    entry: &Arc<Entry>,
    to: Option<Level>,
    said: &BTreeMap<String, FactValue>,
) -> Result<Wanted<'w>, StepError> {
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&own_duty_at(draft.history.case_level))?;
    let from = entry.level.map_or("no level", Level::symbol);
    let would = match to.map_or("no level", Level::symbol) {
        to if to == from => format!("less would be asked; the level would still be {to}"),
        to => format!("the event would be at {to}, not {from}"),
    };
    let changes = changes_in_words(entry, said);
    let why = format!(
        "The sender corrected what they said: {changes}. By the corrected facts {would}. What was proposed stays until a \
         named person decides."
    );
    Ok(raising.own_duty(CORRECTION_RULE, "A correction that would lower", why, CONFIRM_ACTION, due, entry))
}

/// What is said now and was said otherwise: `grade is now low, was high`.
pub fn changes_in_words(entry: &Entry, said: &BTreeMap<String, FactValue>) -> String {
    let changed = said.iter().filter_map(|(name, now)| match entry.facts.get(name) {
        Some(was) if was == now => None,
        Some(was) => Some(format!("{name} is now {now}, was {was}")),
        None if TIMES.contains(&name.as_str()) => time_in_words(entry, name, now),
        // What was said of these is not kept.
        None if [DATE_OF_BIRTH, DUE_DATE, DO_NOT_INFORM].contains(&name.as_str()) => {
            Some(format!("{name} is corrected to {now}"))
        }
        None => Some(format!("{name} is now {now}, was not said")),
    });
    let changed: Vec<String> = changed.collect();
    if changed.is_empty() { "nothing that rules read".to_owned() } else { changed.join("; ") }
}

fn time_in_words(entry: &Entry, name: &str, now: &FactValue) -> Option<String> {
    let happened = || Some(entry.occurred_at).filter(|_| name == "occurred_at");
    let was = entry.anchors.get(name).copied().or_else(happened);
    if was.is_some() && was == time_of(now) {
        return None;
    }
    let in_words = time_of(now).map_or_else(|| now.to_string(), instant_in_words);
    Some(format!("{name} is now {in_words}, was {}", was.map_or("not said".to_owned(), instant_in_words)))
}

/// What had fired for other entries only because of the one that changed goes to a person.
pub fn review<'w>(draft: &Draft<'_>, before: &History, changed: &Arc<Entry>) -> Result<Option<Wanted<'w>>, StepError> {
    let (mut lost, mut level) = (BTreeSet::new(), None);
    for entry in before.entries.iter().filter(|entry| !entry.is_same_event(changed) && !entry.fired.is_empty()) {
        let as_of = as_it_stood(entry, changed);
        let was = judge(draft.book, before, entry, as_of, Moment::Arrival);
        let is = judge(draft.book, &draft.history, entry, as_of, Moment::Arrival);
        let (Some(was), Some(is)) = (was, is) else { continue };
        for rule in was.fired.iter().filter(|rule| entry.fired.contains(&rule.id) && !is.fires(&rule.id)) {
            level = level.max(rule.level);
            lost.insert(rule.title.clone());
        }
    }
    if lost.is_empty() {
        return Ok(None);
    }
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&own_duty_at(level))?;
    let titles: Vec<String> = lost.into_iter().collect();
    let why = format!("Counted again, these no longer hold: {}.", titles.join("; "));
    Ok(Some(raising.own_duty(CORRECTION_RULE, "What it counted on has changed", why, REVIEW_ACTION, due, changed)))
}

/// The highest level that a withdrawn event would be at by each of these corrections, one after the other, had it not been
/// withdrawn.
pub fn level_if_it_stood<'c>(
    draft: &Draft<'_>,
    withdrawn: &Entry,
    corrections: impl IntoIterator<Item = &'c EventCorrected>,
) -> Option<Level> {
    let mut told = Entry { withdrawn: false, ..withdrawn.clone() };
    let mut highest = None;
    for correction in corrections {
        told = as_far_as_it_fits(&told, correction).0;
        highest = highest.max(draft.judge(&told).and_then(|verdict| verdict.level));
    }
    highest
}

/// The level to which a correction that is not applied would have raised its original, as far as it fits. None: to none.
pub fn level_refused(draft: &Draft<'_>, original: &Entry, correction: &EventCorrected) -> Option<Level> {
    let level = level_if_it_stood(draft, original, [correction]);
    level.filter(|_| original.withdrawn || level > original.level)
}
