//! A referral arrives: recognised, remembered, judged, and every window it falls in judged again.

use std::sync::Arc;

use super::besides::{self, Beside};
use super::{awaiting, danger, duplicate, first_receipt, look_alike, named_elsewhere};
use crate::engine::calendar::london_date;
use crate::engine::context::{Context, StepError};
use crate::engine::danger::is_said;
use crate::engine::facts::date_in_words;
use crate::engine::history::{self, Known, decisions, entry, routes, used_id};
use crate::engine::identity::{IdentifierKind, Keys};
use crate::engine::intake::KEYED_BY_REPLY;
use crate::engine::model::codes::HumanDecision;
use crate::engine::model::decision::{Disposition, TaskRaised, Trigger};
use crate::engine::model::detail::{DecisionRecorded, Detail, ProposedLevel};
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Entry, History};
use crate::engine::model::inbox::{InboxRecord, Referral};
use crate::engine::model::scalar::{Coded, FactValue, Level};
use crate::engine::rules::RuleBook;
use crate::engine::rules::catalogue::{BESIDE, is_concern};
use crate::engine::state::State;
use crate::engine::step::absences::{back_grown, returned, told_right};
use crate::engine::step::changed::correction;
use crate::engine::step::changed::refused;
use crate::engine::step::changed::withdrawal;
use crate::engine::step::deadlines::clocks;
use crate::engine::step::decisions::unapplied::Unapplied;
use crate::engine::step::decisions::{agreement, closed, decided, lowered, own_case, redecided, unapplied};
use crate::engine::step::draft::{Draft, OWN_DUTY};
use crate::engine::step::findings::{Again, judged_again, tell_left_out};
use crate::engine::step::held_back::{lifted, not_passed_on, persons, shut_again, suspect};
use crate::engine::step::one_child::{alias, link, sighting};
use crate::engine::step::outcomes::{readdressed, responsible};
use crate::engine::step::{Step, death};
use crate::engine::tasks::find_out::FIND_OUT_RULE;
use crate::engine::tasks::{Finding, Wanted};

/// The id under which the fallback gives its reason.
pub const FALLBACK_RULE: &str = "fallback";
const KNOWN_FROM_IMPORT: &str =
    "It was known from before go-live, and nobody had been asked then: it is judged as new.";
const FALLBACK_TITLE: &str = "A referral that no rule gives to anyone";
const FALLBACK_ACTION: &str = "Triage this referral: decide what happens next and record it";

pub fn referral(
    context: &Context,
    state: &State,
    record: &InboxRecord,
    referral: &Referral,
) -> Result<Step, StepError> {
    let standing = state.history(record.subject).filter(|history| !link::frees(history, referral, context));
    if let Some(stronger) = standing.and_then(|history| history.alias_of) {
        return alias::pass_on(context, state, record, stronger);
    }
    let event = &referral.event;
    let own = referral.named_with.is_some();
    let trigger = if own { Trigger::Signal } else { Trigger::Event };
    let mut draft = Draft::open(context, state, record.subject, record.receipt, trigger, &record.id)?;
    draft.sender_knows = own;
    let by_name = referral.keyed_by == IdentifierKind::NameAndBirth.symbol();
    let keys = &context.keys;
    let known_as = if by_name { keys.known_without_number(&event.child) } else { keys.known_as(&event.child) };
    let mut arriving = Entry { known_as, ..entry::of(keys, &draft.book.rules, referral, record.receipt) };
    suspect::hold_back(&draft.book.rules, referral, &mut arriving);
    draft.about(&arriving);
    remember_making(&mut draft.history, referral);
    if !look_alike::is_in_doubt(&draft.history, &arriving) {
        alias::tell_weaker(&mut draft, referral);
    }
    sighting::leave(&mut draft, referral);
    let endangered = is_said(event).then(|| arriving.clone());
    if endangered.is_some() {
        draft.words_of_danger = danger::words(draft.book);
    }
    take_in(&mut draft, referral, arriving)?;
    if let Some(endangered) = endangered.filter(|_| draft.decision.disposition != Disposition::Retransmission) {
        danger::see_to_it(&mut draft, referral, &endangered)?;
    }
    // What a withdrawal brings names no child: it may be about the wrong one.
    let names_child = !matches!(event.detail, Detail::EventWithdrawn(_));
    not_passed_on::hold_back(&mut draft, Some(referral).filter(|_| names_child))?;
    draft.say_what_is_held_back(Some(referral).filter(|_| names_child))?;
    if draft.decision.disposition != Disposition::Retransmission {
        let words = entry::not_understood(&draft.book.rules, event);
        draft.decision.notes.extend(words);
    }
    draft.finish()
}

/// Whether it is the first live report of what was known from before go-live: of that nobody was asked, so it is judged as new.
fn is_first_live(history: &History, index: usize, arriving: &Entry) -> bool {
    let same_kind = history.entries.get(index).is_some_and(|first| first.kind == arriving.kind);
    history::is_imported(history, index) && !arriving.backfilled && same_kind && is_concern(&arriving.kind)
}

/// Recognised, and acted on. What comes under an id that was used for something else is an event of its own.
fn take_in(draft: &mut Draft<'_>, referral: &Referral, arriving: Entry) -> Result<(), StepError> {
    if used_id::was_heard(&draft.history, &arriving) {
        draft.disposed(Disposition::Retransmission);
        return Ok(());
    }
    let known = history::recognise(&draft.history, &arriving);
    match besides::of(&draft.history, known, &referral.event, &arriving) {
        Some(beside) => arrive_beside(draft, referral, arriving, beside),
        None => act_on(draft, referral, arriving, known),
    }
}

fn act_on(draft: &mut Draft<'_>, referral: &Referral, mut arriving: Entry, mut known: Known) -> Result<(), StepError> {
    if let Known::Duplicate(index) = known
        && is_first_live(&draft.history, index, &arriving)
    {
        let imported = draft.history.entries.remove(index);
        history::take_place_of(&imported, &mut arriving);
        draft.decision.notes.push(KNOWN_FROM_IMPORT.to_owned());
        known = Known::New;
    }
    match known {
        Known::Retransmission => {
            draft.disposed(Disposition::Retransmission);
            Ok(())
        }
        Known::Withdrawn => sent_again(draft, referral, arriving),
        Known::Duplicate(index) if redecided::is_again(&draft.history, index, &arriving) => {
            redecided::under_used_id(draft, referral, arriving, index)
        }
        Known::Duplicate(index) => duplicate::received(draft, referral, arriving, index),
        Known::New => something_new(draft, referral, arriving),
    }
}

fn something_new(draft: &mut Draft<'_>, referral: &Referral, arriving: Entry) -> Result<(), StepError> {
    let event = &referral.event;
    let speaks_of_known =
        matches!(event.detail, Detail::EventCorrected(_) | Detail::EventWithdrawn(_) | Detail::AgreementRecorded(_));
    if speaks_of_known && decided::names_two(draft, referral, &arriving) {
        refused::of_two_children(draft, referral, arriving)
    } else if let Detail::EventCorrected(correction) = &event.detail {
        correction::received(draft, referral, arriving, correction)
    } else if let Detail::EventWithdrawn(withdrawal) = &event.detail {
        withdrawal::received(draft, referral, arriving, withdrawal)
    } else if decided::contradicts_itself(draft, referral, &arriving) {
        decided::refuse_contradiction(draft, event, arriving)
    } else if let Some(about) = own_case::ended_by(draft, event) {
        own_case::put_to_others(draft, referral, &Arc::new(arriving), &about)
    } else if let Some(problem) = lifted::problem(draft, event) {
        lifted::refuse(draft, referral, arriving, problem)
    } else {
        arrive(draft, referral, arriving)
    }
}

/// Kept and judged under an id that the router gives it. Its sender is told by the id they gave.
fn arrive_beside(
    draft: &mut Draft<'_>,
    referral: &Referral,
    mut arriving: Entry,
    beside: &'static Beside,
) -> Result<(), StepError> {
    let mut own = referral.clone();
    used_id::stands_over_earlier(&draft.history, &mut arriving, (&referral.event.event_id, &referral.event.source));
    own.event.event_id = used_id::own_id(&arriving);
    arriving.event_id.clone_from(&own.event.event_id);
    draft.decision.notes.push(beside.note.to_owned());
    draft.sent_under = Some((referral.event.event_id.clone(), beside.told));
    let known = history::recognise(&draft.history, &arriving);
    act_on(draft, &own, arriving, known)?;
    draft.sent_under = None;
    Ok(())
}

/// What made this key: the strongest identifier of whatever came under it first.
fn remember_making(history: &mut History, referral: &Referral) {
    let by_identifier = referral.hops == 0 && referral.keyed_by != KEYED_BY_REPLY && referral.keyed_by != "named_with";
    if by_identifier && history.keyed_by.is_none() {
        history.keyed_by = Some(referral.keyed_by.clone());
    }
}

/// Something new: remembered first, then judged with all that is known.
pub fn arrive<'a>(draft: &mut Draft<'a>, referral: &Referral, mut arriving: Entry) -> Result<(), StepError> {
    let before = Arc::clone(&draft.before);
    let waited = awaiting::taken_back_before_it_came(draft, &arriving);
    let as_corrected = redecided::corrected_before_it_came(draft, referral, &mut arriving);
    let referral = as_corrected.as_ref().unwrap_or(referral);
    let event = &referral.event;
    arriving.withdrawn = waited.is_some();
    first_receipt::take(draft, &mut arriving);
    decisions::note_discussion(&draft.history, &mut arriving);
    if !arriving.withdrawn {
        remember(&draft.context.keys, &draft.book.rules, &mut draft.history, referral, &mut arriving);
    }
    if let Some(at) = history::reference_used_for(&draft.history, &arriving) {
        let date = date_in_words(london_date(at), 0);
        draft.decision.notes.push(format!("Its reference was used before, of {date}: this is a happening of its own."));
    }
    let place = history::insert(&mut draft.history, arriving);
    let Some(entry) = draft.history.entries.get(place).cloned() else { return Ok(()) };
    decided::leave_what_came_since(draft, &entry);
    if event.backfill {
        draft.disposed(Disposition::Backfilled);
        return Ok(());
    }
    if let Some(waited) = waited {
        withdrawal::before_it_came(draft, referral, &entry, &waited)?;
        draft.tell_sender(event, FeedbackStatus::Received, &["Received, with your withdrawal."]);
        return Ok(());
    }
    let Some(verdict) = draft.judge(&entry).map(Arc::new) else { return Ok(()) };
    draft.record_facts(&entry.kind, &verdict);
    let mut findings = decided::findings_unless_over(draft, &entry, &verdict);
    findings.extend(clocks::due_already(draft, &entry)?);
    let raising = draft.raising(Some(referral), &event.event_id);
    let open = raising.left_open(&entry, &verdict, &findings)?;
    let mut own_duties: Vec<Wanted<'_>> = raising.find_out(&open, &entry)?.into_iter().collect();
    let impossible = returned::ask(draft, &entry)?;
    draft.sender_words.extend(impossible.is_some().then_some(returned::TO_SENDER));
    own_duties.extend(impossible);
    own_duties.extend(suspect::ask(draft, &entry, verdict.level)?);
    own_duties.extend(death::ask(draft, &entry)?);
    own_duties.extend(death::doubt(draft, &entry)?);
    own_duties.extend(suspect::ask_which_agency(draft, event, &entry, verdict.level)?);
    draft.decision.unknown = open.unknown;
    // Counts of earlier entries may have bounds on the level of this one.
    history::note_level(&mut draft.history, &entry, verdict.level);
    let Again { findings: again, left_out } = judged_again(draft, &before, &entry);
    findings.extend(again);
    raise_with_fallback(draft, referral, &entry, &findings, own_duties)?;
    tell_left_out(draft, Some(referral), &event.event_id, &entry, left_out)?;
    sighting::own_event(draft, referral);
    look_alike::ask(draft, &entry)?;
    clocks::start_timers(draft, &entry)?;
    awaiting::apply_to_known(draft, Some(referral))?;
    persons::named_anew(draft, referral, &entry)?;
    back_grown::tell_searchers(draft, &event.event_id, &entry)?;
    told_right::by_another(draft, &entry)?;
    let unapplied = follow_up(draft, referral, &entry, &before)?;
    agreement::heed(draft, referral, &entry)?;
    draft.note_coverage(&entry);
    if let Some(unapplied) = unapplied {
        return unapplied.tell(draft, event, Some(referral), &entry);
    }
    let mut words = vec!["Received."];
    if !draft.decision.tasks.is_empty() {
        words.push("It is being looked at.");
    }
    words.extend(&draft.sender_words);
    draft.tell_sender(event, FeedbackStatus::Received, &words);
    Ok(())
}

/// What a recorded agreement or decision brings about beside what the rules ask; or why it brings about nothing.
fn follow_up(
    draft: &mut Draft<'_>,
    referral: &Referral,
    entry: &Arc<Entry>,
    before: &History,
) -> Result<Option<Unapplied>, StepError> {
    let event = &referral.event;
    let mut unapplied = None;
    if let Detail::AgreementRecorded(recorded) = &event.detail {
        agreement::stop_services(draft, &event.event_id)?;
        agreement::ask_how(draft, referral, recorded)?;
    } else if let Detail::StatusChanged(_) = &event.detail {
        responsible::pass_to_responsible_authority(draft, Some(referral), &event.event_id, before)?;
    } else if let Detail::DecisionRecorded(decision) = &event.detail {
        named_elsewhere::ask_where_known(draft, referral);
        if decision.decision == Some(HumanDecision::TaskReaddressed) {
            unapplied = readdressed::pass_to_right_unit(draft, referral, decision)?;
        }
        let of_routes = [HumanDecision::RouteLifted, HumanDecision::RouteConfirmed];
        if decision.decision.is_some_and(|decided| of_routes.contains(&decided)) {
            shut_again::confirmed(draft, referral, entry, decision, before)?;
            lifted::send_what_was_held_back(draft, referral, before)?;
            unapplied = lifted::of_no_route(&draft.context.keys, &draft.book.rules, before, decision);
            if unapplied.is_none() && decision.decision == Some(HumanDecision::RouteConfirmed) {
                unapplied = unapplied::of_unknown_child(draft, referral, before);
            }
        }
        if link::is_of_two(&event.detail) {
            unapplied = link::decided(draft, referral, decision)?;
        }
        if decisions::closes_in_danger(entry) {
            unapplied = Some(Unapplied::because(decided::IN_DANGER));
        }
        unapplied = unapplied.or_else(|| decided::of_older(draft, entry));
        if draft.history.last_decision != before.last_decision {
            decided::keep_for_other(draft, &event.event_id, entry)?;
            withdrawal::decided(draft, &event.event_id)?;
            decided::ask_what_level_asks(draft, referral, entry, before)?;
            closed::tell_holders(draft, &event.event_id, before)?;
            lowered::tell_holders(draft, &event.event_id, before)?;
            closed::ask_while_missing(draft, referral, entry)?;
            decided::tell_referrers(draft, entry, before.last_decision.as_ref().map(|before| before.at));
            unapplied = unapplied::of_unknown_child(draft, referral, before);
        }
        // By an enquiry, too. What they had heard last is put right first: it is said on one word.
        if lowered::is_heard_since_closed(before) {
            lowered::tell_raised_again(draft, &event.event_id, before)?;
        }
        decided::tell_whom_closing_told(draft, &event.event_id, entry, before)?;
        lowered::tell_raised_again(draft, &event.event_id, before)?;
    }
    Ok(unapplied)
}

/// Every concern reaches a person: where no rule sees to that, the front door triages.
fn raise_with_fallback<'a>(
    draft: &mut Draft<'a>,
    referral: &Referral,
    entry: &Arc<Entry>,
    findings: &[Finding<'a>],
    own_duties: Vec<Wanted<'a>>,
) -> Result<(), StepError> {
    let cause = &referral.event.event_id;
    let asked_already = draft.raise(Some(referral), cause, findings, own_duties)?;
    let told = |task: &TaskRaised| {
        let mut held = draft.history.tasks.iter();
        held.any(|held| held.task_id == task.task_id && held.state == history::TOLD)
    };
    let raising = draft.raising(Some(referral), cause);
    let triaged = raising.deadline_from_now(&OWN_DUTY)?;
    // What is not known is found out beside: it puts off nobody's looking at what is.
    let waits_longer = |task: &TaskRaised| task.rules.iter().all(|id| id == FIND_OUT_RULE) && task.due_at > triaged.at;
    let sees_to_it = |task: &TaskRaised| {
        let rules = task.rules.iter().map(|id| draft.book.rules.rule(id));
        !told(task)
            && !waits_longer(task)
            && rules.into_iter().any(|rule| rule.is_none_or(|rule| !rule.flags.contains(BESIDE)))
    };
    if is_concern(&entry.kind) && !draft.decision.tasks.iter().any(sees_to_it) && !asked_already {
        let why = "No rule asks anyone to act on this referral, and every referral reaches a person.".to_owned();
        let wanted = raising.own_duty(FALLBACK_RULE, FALLBACK_TITLE, why, FALLBACK_ACTION, triaged, entry);
        draft.raise(Some(referral), cause, &[], vec![wanted])?;
    }
    Ok(())
}

/// An event comes again under the id of one that its sender withdrew: not a repeat, and not to be lost.
fn sent_again(draft: &mut Draft<'_>, referral: &Referral, arriving: Entry) -> Result<(), StepError> {
    let same = |entry: &Arc<Entry>| entry.is_same_event(&arriving) && entry.content_digest == arriving.content_digest;
    let judged = if draft.history.entries.iter().any(same) { None } else { draft.judge(&arriving) };
    let level = judged.and_then(|verdict| verdict.level);
    let problem = "an event of this id was withdrawn; send it under a new id";
    // Whoever sends at least once sends this again, too: each content is told once.
    refused::refuse_new_content(draft, referral, &Arc::new(arriving), problem, level)
}

/// What statuses, decisions and agreements leave behind besides their entry.
fn remember(keys: &Keys, rules: &RuleBook, history: &mut History, referral: &Referral, arriving: &mut Entry) {
    if let Detail::StatusChanged(change) = &referral.event.detail {
        history::apply_status(history, change, arriving);
    } else if let Detail::DecisionRecorded(decision) = &referral.event.detail {
        remember_decision(keys, rules, history, decision, arriving);
    } else if let Detail::AgreementRecorded(agreement) = &referral.event.detail
        && let Some(FactValue::Code(state)) = agreement.state.fact()
    {
        agreement::remember(history, state, arriving);
    }
}

/// Only a decision about the level or the case settles the level; one out of order does not undo a later one.
fn remember_decision(
    keys: &Keys,
    rules: &RuleBook,
    history: &mut History,
    recorded: &DecisionRecorded,
    arriving: &mut Entry,
) {
    let at = decisions::known_until(arriving);
    let Some(FactValue::Code(decision)) = recorded.decision.fact() else { return };
    match (decision.as_str(), recorded.agency.as_deref()) {
        ("route_lifted", Some(_)) => {
            let opened = lifted::opened_by(keys, rules, history, recorded);
            routes::lift_routes(history, &opened, arriving);
        }
        ("route_lifted", None) => routes::suspect_is_known(history, &[], arriving),
        ("route_confirmed", Some(_)) => shut_again::hold(keys, rules, history, recorded, arriving),
        (_, _) => {}
    }
    let newest = history.last_decision.as_ref().is_none_or(|last| last.at <= at);
    let by_day = || history.last_decision.as_ref().is_some_and(|last| decisions::is_since_by_day(arriving, last.at));
    if decisions::starts_enquiry(arriving) && (newest || by_day()) {
        history::raise_case_level(history, Some(Level::L4b));
    }
    if !decisions::settles(&decision) || !newest || decisions::closes_in_danger(arriving) {
        return;
    }
    let given = recorded.level.and_then(ProposedLevel::level);
    let decision = decisions::recorded(arriving, &decision, given.or(history.case_level));
    history::apply_decision(history, decision);
}
