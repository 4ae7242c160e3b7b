//! An event is taken back: all who were told are recalled, counts are redone, and what they led to goes to a person.
//!
//! Of suspected significant harm nothing stops before a named person says so: what was asked stays asked until a decision
//! closes the case or sets a lower level. The level of a case is lowered by no withdrawal.

use std::sync::Arc;

use super::another_unit::{ANOTHER_UNITS, ONE_OF_SEVERAL};
use super::correction::{IS_WITHDRAWN, level_if_it_stood, review};
use super::refused::{ask_sender, refuse};
use super::{another_child, another_unit, asked_by_others};
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::history::death::is_notice;
use crate::engine::history::{self, RECALLED, Spoken, episodes, forget, is_open, put, used_id};
use crate::engine::model::decision::Disposition;
use crate::engine::model::detail::{EventCorrected, EventWithdrawn};
use crate::engine::model::event::Source;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Awaiting, Corroboration, Entry, HeldBack, HeldTask, History};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::{Level, Timestamp};
use crate::engine::rules::catalogue::{NEVER_JUDGED, is_concern};
use crate::engine::step::Effect;
use crate::engine::step::absences::still_missing;
use crate::engine::step::arriving::first_receipt::{right_child, tell_right_child};
use crate::engine::step::arriving::{awaiting, siblings};
use crate::engine::step::deadlines::clocks::{due_already, start_timers};
use crate::engine::step::decisions::{
    agreement, closed, enquiry, lowered, own_case, raising, redecided, refusal, repeated, services, taken_back,
};
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft, OWN_DUTY, own_duty_at};
use crate::engine::step::findings::{Again, add_new, asked_after_all, judged_again, over_since, tell_left_out};
use crate::engine::step::held_back::lifted;
use crate::engine::step::outcomes::{readdressed, responsible};
use crate::engine::step::recall::{RECALL, RECALL_NOT_YET, WITHDRAWAL_RULE, breach, end, is_recall_or_breach, recalls};
use crate::engine::tasks::route::sender_held_back;
use crate::engine::tasks::{Finding, Wanted, due_at, is_urgent};

const ANOTHER_STANDS: &str = "What you sent of another kind under this id stands, and nobody is recalled for it: to take it back, ring the front door.";
const CONFIRM_ACTION: &str = "Confirm or refuse the withdrawal: level 4b stands, and nothing stops, until you decide";
pub const UNHEARD_ACTION: &str =
    "Decide: a referral at level 4b was withdrawn before it came, and nobody else has heard of it";
const SECOND_ACTION: &str = "Decide: one of several who reported the same has withdrawn their report";
const OWN_SECOND_ACTION: &str =
    "Decide: a sender has withdrawn one of their reports of the same, and another of theirs stands";
const SEND_AGAIN: &str =
    "Send it again about the right child now, if you have not: nobody is asked to act for them before.";
const SEND_IF_ANOTHER: &str = "If it was about another child, send it again about that child now.";

/// What a decision about the level or the case does not open.
const STAYS_SHUT: &str = "The route of an accused one's own agency stays held back, though what accused them was withdrawn: it is opened by \
a decision of its own (route_lifted, with the agency).";

pub fn received(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: Entry,
    withdrawn: &EventWithdrawn,
) -> Result<(), StepError> {
    let event = &referral.event;
    let original_event_id = withdrawn.original_event_id.as_str();
    let right = right_child(&draft.context.keys, event, withdrawn);
    let reason = withdrawn.reason.as_deref();
    let index = match history::find(&draft.history, original_event_id, &arriving.source, &draft.book.rules.front_door) {
        None => {
            return match history::of_another_unit(&draft.history, original_event_id, &arriving.source) {
                Some(_) => another_unit::withdraws(draft, referral, arriving, &ANOTHER_UNITS, reason),
                None => awaiting::keep(draft, referral, arriving, original_event_id, None, right),
            };
        }
        Some(Spoken::OneOfSeveral) => {
            return another_unit::withdraws(draft, referral, arriving, &ONE_OF_SEVERAL, reason);
        }
        Some(Spoken::Own(index) | Spoken::Corroborated(index)) => index,
    };
    let Some(original) = draft.history.entries.get(index).cloned() else { return Ok(()) };
    // A correction that is a decision of its own is withdrawn as that.
    let by_it = redecided::by_this(&draft.history, &original);
    let original_event_id = by_it.as_ref().map_or(original_event_id, |decision| &decision.event_id);
    let original = by_it.as_ref().unwrap_or(&original);
    let arriving = Arc::new(arriving);
    history::insert(&mut draft.history, arriving.as_ref().clone());
    if NEVER_JUDGED.contains(&original.kind.as_str()) {
        return refuse(draft, referral, &arriving, "what it withdraws is itself a correction or withdrawal", None);
    }
    let sender = original.sender_of(original_event_id, &event.source).cloned().unwrap_or_else(|| event.source.clone());
    if let Some(right) = &right {
        let reported_at = reported_at(original, original_event_id, &sender);
        tell_right_child(draft, &event.event_id, &event.source, original, reported_at, right);
    }
    if let Some(problem) = taken_back::cannot_be(original).filter(|_| !original.withdrawn) {
        return refuse(draft, referral, &arriving, problem, draft.history.case_level);
    }
    let named = withdrawn.right_child.is_some() || withdrawn.right_event_id.is_some();
    if named {
        another_child::ask(draft, &event.event_id, original)?;
    }
    if let Some((what, about)) = own_case::taken_back(draft, &event.source, original).filter(|_| !original.withdrawn) {
        return own_case::put_withdrawal_to_others(draft, referral, &arriving, (what, &about), named);
    }
    let again = what_to_send(draft, named, original_event_id, original);
    if original.withdrawn || original.is_taken_back(original_event_id, &sender.partner) {
        draft.disposed(Disposition::Duplicate);
        draft.tell_sender(event, FeedbackStatus::AlreadyKnown, &["Received. It was withdrawn already.", &again]);
        return Ok(());
    }
    if let Some(others) = others_of(original, original_event_id, &sender) {
        one_of_several(draft, referral, (original, others), (original_event_id, &sender.partner))?;
        draft.tell_sender(event, FeedbackStatus::Received, &[others.told, &again]);
        return Ok(());
    }
    let words = apply(draft, &event.event_id, original)?;
    let earlier = used_id::words_of(&draft.history, original_event_id, original);
    for before in earlier.iter().filter(|word| !word.is_same_event(original)) {
        apply(draft, &format!("{}\0{}", event.event_id, before.event_id), before)?;
    }
    if sender.partner != event.source.partner && is_concern(&original.kind) {
        let told = [taken_back::BY_FRONT_DOOR, SEND_IF_ANOTHER];
        tell_its_sender(draft, &sender, original_event_id, original, &told);
    }
    draft.tell_sender(event, FeedbackStatus::Received, &[words, &again]);
    Ok(())
}

/// One that waited for what it takes back, which is known now. The accused one's own house takes nothing back by having said so first.
pub fn waited(draft: &mut Draft<'_>, waiting: &Awaiting, original: &Arc<Entry>) -> Result<(), StepError> {
    if let Some(right) = &waiting.right_child {
        tell_right_child(draft, &waiting.event_id, &waiting.source, original, original.received_at, right);
        another_child::ask(draft, &waiting.event_id, original)?;
    }
    if !original.withdrawn && own_case::accuses_own(draft, &waiting.source, original) {
        return own_case::put_waiting_to_others(draft, waiting, original);
    }
    apply(draft, &waiting.event_id, original).map(drop)
}

/// What its sender does next: what stands under the same id is out of reach of a withdrawal.
fn what_to_send(draft: &mut Draft<'_>, named: bool, original_event_id: &str, original: &Entry) -> String {
    let again = if named { SEND_AGAIN } else { SEND_IF_ANOTHER };
    if !used_id::bears_another(&draft.history, original_event_id, original) {
        return again.to_owned();
    }
    draft.decision.notes.push(ANOTHER_STANDS.to_owned());
    format!("{again} {ANOTHER_STANDS}")
}

/// The front door took back or corrected what another had sent: they hear of it, unless their unit is told nothing.
pub fn tell_its_sender(draft: &mut Draft<'_>, sender: &Source, event_id: &str, original: &Entry, words: &[&str]) {
    let mut held_back = history::held_back_of(&draft.before);
    held_back.extend(history::held_back_of(&draft.history));
    if sender_held_back(&draft.context.keys, sender, &held_back) {
        return;
    }
    let reference = Some(original).filter(|original| original.source == *sender);
    let reference = reference.and_then(|original| original.partner_reference.clone());
    let feedback = draft.feedback(sender, event_id, reference, FeedbackStatus::Received, words);
    draft.publish(Effect::Feedback(feedback));
}

/// When the report was received that is withdrawn: the first one, or one that is kept beside it.
fn reported_at(original: &Entry, withdrawn_event_id: &str, sender: &Source) -> Timestamp {
    let mut beside = original.corroborated_by.iter().chain(&original.denied);
    let is_withdrawn =
        |report: &&Corroboration| report.event_id == withdrawn_event_id && report.source.partner == sender.partner;
    let report = beside.find(is_withdrawn);
    report.map_or(original.received_at, |report| report.received_at)
}

/// Who reported the same, beside the report that is withdrawn.
struct Others {
    why: &'static str,
    action: &'static str,
    told: &'static str,
}

const BY_OTHERS: Others = Others {
    why: "A report was withdrawn that another sender also made. Nothing was recalled.",
    action: SECOND_ACTION,
    told: "Received. Others reported the same; a person decides.",
};

const BY_ITS_SENDER: Others = Others {
    why: "A report was withdrawn, and its sender's own other report of the same, under another id, stands. Nothing was recalled.",
    action: OWN_SECOND_ACTION,
    told: "Received. Your other report of the same stands; a person decides.",
};

/// None: nobody did. A report that was sent again under its own id is one report.
fn others_of(original: &Entry, withdrawn_event_id: &str, sender: &Source) -> Option<&'static Others> {
    let first = (&original.event_id, &original.source);
    let beside = original.corroborated_by.iter().chain(&original.denied);
    let beside = beside.map(|report| (&report.event_id, &report.source));
    let is_senders = |source: &Source| source.partner == sender.partner && source.unit == sender.unit;
    // Kept under another id than the one that its sender gave it, it is the report that is withdrawn all the same.
    let is_this = used_id::came_under(original, withdrawn_event_id, &sender.partner);
    let mut others = Some(first)
        .filter(|_| !is_this)
        .into_iter()
        .chain(beside)
        .filter(|(event_id, source)| *event_id != withdrawn_event_id || source.partner != sender.partner)
        .filter(|(event_id, source)| !original.is_taken_back(event_id, &source.partner))
        // By whoever says that the child lives no notice of death stands.
        .filter(|(event_id, source)| !(is_notice(original) && original.is_denied(event_id, &source.partner)));
    let any = others.next()?;
    let by_others = !is_senders(any.1) || others.any(|(_, source)| !is_senders(source));
    Some(if by_others { &BY_OTHERS } else { &BY_ITS_SENDER })
}

/// What others reported too does not end with one of them; with the last of them it does.
fn one_of_several(
    draft: &mut Draft<'_>,
    referral: &Referral,
    (original, others): (&Arc<Entry>, &Others),
    (event_id, partner): (&str, &str),
) -> Result<(), StepError> {
    let mut kept = original.as_ref().clone();
    kept.take_back(event_id, partner);
    put(&mut draft.history, kept);
    let cause = &referral.event.event_id;
    let raising = draft.raising(Some(referral), cause);
    let due = raising.deadline_from_now(&own_duty_at(original.level))?;
    let title = "One report of several was withdrawn";
    let wanted = raising.own_duty(WITHDRAWAL_RULE, title, others.why.to_owned(), others.action, due, original);
    draft.raise(Some(referral), cause, &[], vec![wanted]).map(drop)
}

/// Withdraws an entry and acts on what follows. Names no child: the withdrawal may be about the wrong one. What was said anew of a decision is
/// withdrawn with it, at once, for what was decided before both stands again. Returns what its sender is told.
pub fn apply(draft: &mut Draft<'_>, cause: &str, original: &Arc<Entry>) -> Result<&'static str, StepError> {
    let before = draft.history.clone();
    let all: Vec<Arc<Entry>> = [original.clone()].into_iter().chain(redecided::said_anew(&before, original)).collect();
    let original = taken_back::by_which_it_stood(&before, &all).unwrap_or(original);
    let changed = put_withdrawn(draft, &all, original);
    let closes_again = redecided::close_again(draft, &changed);
    let is_repeated = repeated::hand_over(draft, &changed)?;
    for anew in all.iter().filter(|entry| !entry.is_same_event(&changed)) {
        repeated::hand_over(draft, anew)?;
    }
    let of_any = |task: &&Arc<HeldTask>| all.iter().any(|entry| is_told(task, entry));
    let told: Vec<Arc<HeldTask>> = draft.history.tasks.iter().filter(of_any).cloned().collect();
    // What the router itself asked of whoever decides shared nothing with anybody.
    let (own, told): (Vec<Arc<HeldTask>>, Vec<Arc<HeldTask>>) =
        told.into_iter().partition(|task| closed::is_of_question(&draft.history, task));
    let stands = stands_until_decided(draft, original);
    let mut extra = recalls(draft, if stands { &RECALL_NOT_YET } else { &RECALL }, &changed, &told)?;
    let warned = |entry: &Arc<Entry>| services::warned_by(&draft.history, entry);
    let warned: Vec<_> = all.iter().flat_map(warned).filter(|_| !is_repeated).collect();
    let raised_for = if is_repeated { Vec::new() } else { raising::told_by(draft, original, &before) };
    let heard = raised_for.iter().filter(|_| raising::is_told_of(&draft.history, original)).cloned();
    let had_heard = raising::had_heard(draft, original).into_iter().chain(lowered::had_heard(draft, original));
    let heard = heard.chain(had_heard.filter(|_| !is_repeated));
    let refused = all.iter().flat_map(|entry| refusal::told_by(draft, entry));
    let stopped = all.iter().flat_map(|entry| agreement::told_by(draft, entry));
    let mut shared_with: Vec<Arc<HeldTask>> =
        told.iter().cloned().chain(warned).chain(heard).chain(refused).chain(stopped).collect();
    if !shared_with.is_empty() {
        // Whoever helps by an agreement that is withdrawn was told of the child by that, too.
        shared_with.extend(agreement::ran_by_it(draft, &before));
    }
    extra.extend(breach(draft, RECALL.rule, &changed, &shared_with)?);
    extra.extend(if stands { Some(confirm(draft, &changed)?) } else { enquiry::ask(draft, &changed)? });
    extra.extend(review(draft, &before, &changed)?);
    let begun = agreement::begin_again(draft, &before);
    let Again { mut findings, left_out } = judged_again(draft, &before, &changed);
    if changed.kind == episodes::ENDED {
        responsible::named_while_over(draft, cause, over_since(&draft.history, &changed))?;
        missing_after_all(draft, &before, &changed, &mut findings, &mut extra)?;
    }
    asked_by_others::of_absence(draft, &before, &changed, &mut findings)?;
    draft.raise(None, cause, &findings, extra)?;
    tell_left_out(draft, None, cause, &changed, left_out)?;
    all.iter().for_each(|entry| siblings::withdrawn(draft, cause, entry));
    // Closed twice, the question stands while the other closing does, and nothing has opened the case since that was made.
    let is_closed = draft.history.last_decision.as_ref().is_some_and(|decision| decision.closed);
    if !is_closed || draft.history.case_level.is_some() {
        closed::end_question(draft, &own);
    }
    if !stands {
        end_and_ask_for_others(draft, cause, &told)?;
    }
    let words = taken_back::decision(draft, cause, &changed, &before)?;
    if closes_again {
        closed::tell_holders(draft, cause, &before)?;
    } else {
        raising::tell(draft, cause, original, &raised_for)?;
    }
    lowered::tell_raised_again(draft, cause, &before)?;
    responsible::pass_to_responsible_authority(draft, None, cause, &before)?;
    agreement::taken_back(draft, cause, &before, &begun)?;
    lifted::wish_ended(draft, cause, &before)?;
    Ok(words)
}

/// Nobody holds these any longer; what other events ask as well is asked for them.
fn end_and_ask_for_others(draft: &mut Draft<'_>, cause: &str, told: &[Arc<HeldTask>]) -> Result<(), StepError> {
    let open: Vec<Arc<HeldTask>> = told.iter().filter(|task| is_open(&task.state)).cloned().collect();
    end(draft, &open);
    asked_by_others::ask(draft, cause, &open)
}

/// All of these are withdrawn, and what they had settled is settled no longer. Returns this one as it is kept.
fn put_withdrawn(draft: &mut Draft<'_>, all: &[Arc<Entry>], of: &Entry) -> Arc<Entry> {
    let put = |entry: &Arc<Entry>| put(&mut draft.history, Entry { withdrawn: true, ..entry.as_ref().clone() });
    let changed: Vec<Arc<Entry>> = all.iter().map(put).collect();
    for entry in &changed {
        forget(&mut draft.history, entry);
        draft.history.timers.retain(|timer| !timer.is_of(entry));
    }
    let this = changed.iter().find(|entry| entry.is_same_event(of));
    this.cloned().unwrap_or_else(|| Arc::new(Entry { withdrawn: true, ..of.clone() }))
}

/// Its withdrawal came first: nobody is told, save whoever decides where significant harm was suspected, by the event as told
/// or as corrected, or where its sender corrected what they had taken back. `waited`: what came before it.
pub fn before_it_came(
    draft: &mut Draft<'_>,
    referral: &Referral,
    withdrawn: &Arc<Entry>,
    waited: &[Awaiting],
) -> Result<(), StepError> {
    let corrections: Vec<EventCorrected> = waited.iter().filter_map(as_correction).collect();
    let as_told = draft.judge(&Entry { withdrawn: false, ..withdrawn.as_ref().clone() });
    let level = as_told.and_then(|verdict| verdict.level).max(level_if_it_stood(draft, withdrawn, &corrections));
    let cause = &referral.event.event_id;
    if waited.iter().any(|waiting| waiting.right_child.is_some()) {
        let clock = clock_if_it_stood(draft, withdrawn, level)?;
        another_child::ask_by(draft, cause, withdrawn, (level, clock))?;
    }
    if level != Some(Level::L4b) {
        let taken_back_at =
            waited.iter().filter(|waiting| waiting.takes_back()).map(|waiting| waiting.received_at).min();
        if waited.iter().any(|waiting| !waiting.takes_back() && Some(waiting.received_at) >= taken_back_at) {
            draft
                .decision
                .notes
                .push("Withdrawn by its sender before it came, and then corrected: a person asks.".to_owned());
            return ask_sender(draft, Some(referral), cause, withdrawn, IS_WITHDRAWN, level);
        }
        draft.decision.notes.push("Withdrawn by its sender before it came: nobody is told.".to_owned());
        return Ok(());
    }
    draft.decision.notes.push("Withdrawn by its sender before it came: only who decides is told.".to_owned());
    let raising = draft.raising(Some(referral), cause);
    let due = raising.deadline_from_now(&AT_HIGHEST_LEVEL)?;
    let why = "Significant harm was suspected, and the sender's withdrawal came before the referral did: nobody else was told. \
               A sender may be mistaken or under pressure: ask them, and see that the child is safe."
        .to_owned();
    let own = raising.own_duty(WITHDRAWAL_RULE, "A withdrawal at level 4b", why, UNHEARD_ACTION, due, withdrawn);
    draft.raise(Some(referral), cause, &[], vec![Wanted { level, ..own }]).map(drop)
}

/// By when somebody must look after what nobody was asked: within the hour where one of its tasks would run no longer than the day.
fn clock_if_it_stood(draft: &Draft<'_>, withdrawn: &Arc<Entry>, level: Option<Level>) -> Result<Clock, StepError> {
    let as_told = draft.judge(&Entry { withdrawn: false, ..withdrawn.as_ref().clone() });
    let calendar = &draft.book.rules.calendar;
    let same_day = due_at(calendar, &Clock::SameDay, draft.at, None)?.at;
    let asked = as_told.iter().flat_map(|verdict| &verdict.fired).flat_map(|rule| &rule.tasks);
    let cannot_wait =
        |by: &Clock| is_urgent(by) && due_at(calendar, by, draft.at, None).is_ok_and(|due| due.at <= same_day);
    let urgent = level == Some(Level::L4b) || asked.map(|task| &task.by).any(cannot_wait);
    Ok(if urgent { AT_HIGHEST_LEVEL } else { OWN_DUTY })
}

fn as_correction(waiting: &Awaiting) -> Option<EventCorrected> {
    let (original_event_id, changes) = (waiting.original_event_id.clone(), waiting.changes.clone()?);
    Some(EventCorrected { original_event_id, changes, reason: None })
}

/// Whether nobody but a named person may end what an event brought about: it was of suspected significant harm, and so the
/// case still is.
pub fn stands_until_decided(draft: &Draft<'_>, original: &Entry) -> bool {
    original.level == Some(Level::L4b) && draft.history.case_level == Some(Level::L4b)
}

fn confirm<'w>(draft: &Draft<'_>, withdrawn: &Arc<Entry>) -> Result<Wanted<'w>, StepError> {
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&Clock::SameDay)?;
    let why = "A referral of suspected significant harm was withdrawn. A sender may be mistaken or under pressure: ask them, \
               see that the child is safe, and record a decision about the case."
        .to_owned();
    let title = "A withdrawal at level 4b";
    Ok(raising.own_duty(WITHDRAWAL_RULE, title, why, CONFIRM_ACTION, due, withdrawn))
}

/// A named person has closed the case, or set it lower: what only a withdrawn event had asked ends now, and whoever holds it
/// is told.
pub fn decided(draft: &mut Draft<'_>, cause: &str) -> Result<(), StepError> {
    let before = draft.history.clone();
    let mut stays_shut = false;
    let level = draft.history.case_level;
    let ended = |entry: &&Arc<Entry>| entry.withdrawn && entry.level > level;
    for entry in draft.history.entries.iter().filter(ended).cloned().collect::<Vec<_>>() {
        let of_entry = |task: &&Arc<HeldTask>| is_open(&task.state) && is_told(task, &entry);
        let open: Vec<Arc<HeldTask>> = draft.history.tasks.iter().filter(of_entry).cloned().collect();
        let stop = recalls(draft, &RECALL, &entry, &open)?;
        draft.raise(None, cause, &[], stop)?;
        end_and_ask_for_others(draft, cause, &open)?;
        let mut free = entry.as_ref().clone();
        // A wish ends with it. Only a person who lifts it says that there is no suspect.
        free.held_back.retain(|route| !route.is_wish());
        stays_shut |= free.held_back.iter().any(HeldBack::is_of_suspect);
        put(&mut draft.history, free);
    }
    if stays_shut {
        draft.decision.notes.push(STAYS_SHUT.to_owned());
        draft.sender_words.push(STAYS_SHUT);
    }
    lifted::wish_ended(draft, cause, &before)
}

/// Tasks of the withdrawn event, save those that are about a withdrawal themselves.
fn is_told(task: &HeldTask, withdrawn: &Entry) -> bool {
    let is_of_withdrawal = || task.rules.iter().any(|rule| rule == WITHDRAWAL_RULE);
    // Whoever is to stop, or looks into what was shared, goes on with that.
    let is_to_stop = || is_recall_or_breach(task) || readdressed::is_word_to_stop(task);
    task.is_of(withdrawn) && task.state != RECALLED && !is_of_withdrawal() && !is_to_stop()
}

/// A return that was not: the clocks of the absence run on, and a person makes sure that someone is looking.
fn missing_after_all<'a>(
    draft: &mut Draft<'a>,
    before: &History,
    ended: &Arc<Entry>,
    findings: &mut Vec<Finding<'a>>,
    extra: &mut Vec<Wanted<'a>>,
) -> Result<(), StepError> {
    let missing = |entry: &&Arc<Entry>| episodes::goes_on(&draft.history, entry, draft.at);
    let of_absence = |entry: &&Arc<Entry>| !entry.withdrawn && episodes::opens(&draft.history, entry);
    let out = draft.history.entries.iter().rev().filter(of_absence).filter(missing).cloned();
    // What was told before go-live asked nobody, and no clock runs from it: of that somebody makes sure alone.
    let (before_go_live, out): (Vec<Arc<Entry>>, Vec<Arc<Entry>>) = out.partition(|entry| entry.backfilled);
    // Of a child whose absence was only regraded here, for the start is not known or was another's, that tells of it.
    let here = out.iter().find(|entry| entry.kind == episodes::STARTED).or(out.first());
    let Some(started) = here.or(before_go_live.first()).cloned() else {
        return Ok(());
    };
    if !started.backfilled {
        findings.extend(due_already(draft, &started)?);
        let meanwhile = asked_after_all(draft, before, over_since(&draft.history, ended))?;
        add_new(findings, meanwhile);
        draft.history.timers.retain(|timer| !timer.is_of(&started));
        start_timers(draft, &started)?;
    }
    extra.extend(still_missing::tell(draft, &started, ended)?);
    Ok(())
}
