//! A referral arrives: recognised, remembered, judged, and every window it falls in judged again.

use std::sync::Arc;

use super::draft::{Draft, OWN_DUTY};
use super::findings::{findings_of, judged_again};
use super::{Step, alias, revision};
use crate::engine::calendar::LONDON;
use crate::engine::context::{Context, StepError};
use crate::engine::decide::{Moment, judge};
use crate::engine::facts::AsOf;
use crate::engine::history::{self, Known, entry};
use crate::engine::model::decision::{Disposition, Trigger};
use crate::engine::model::detail::{DecisionRecorded, Detail};
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{AgreementStanding, Entry, History, RecordedDecision, Timer};
use crate::engine::model::inbox::{InboxRecord, Referral};
use crate::engine::model::scalar::{Coded, FactValue, Timestamp};
use crate::engine::rules::catalogue::is_concern;
use crate::engine::rules::facts::KindId;
use crate::engine::state::State;
use crate::engine::tasks::{Finding, Wanted, due_at};

/// The id under which the fallback gives its reason.
pub const FALLBACK_RULE: &str = "fallback";
const FALLBACK_TITLE: &str = "A referral that no rule gives to anyone";
const FALLBACK_ACTION: &str = "Triage this referral: decide what happens next and record it";

pub fn referral(
    context: &Context,
    state: &State,
    record: &InboxRecord,
    referral: &Referral,
) -> Result<Step, StepError> {
    if let Some(stronger) = state.history(record.subject).and_then(|history| history.alias_of) {
        return alias::pass_on(context, state, record, stronger);
    }
    let event = &referral.event;
    let mut draft = Draft::open(context, state, record.subject, record.receipt, Trigger::Event, &record.id)?;
    let arriving = entry::of(referral, record.receipt, &LONDON);
    draft.about(&arriving);
    match history::recognise(&draft.history, &arriving) {
        Known::Retransmission => draft.disposed(Disposition::Retransmission),
        Known::Duplicate(index) => revision::duplicate(&mut draft, referral, arriving, index)?,
        Known::New => {
            if let Detail::EventCorrected(correction) = &event.detail {
                revision::correction(&mut draft, referral, arriving, correction)?;
            } else if let Detail::EventWithdrawn(withdrawal) = &event.detail {
                revision::withdrawal(&mut draft, referral, arriving, &withdrawal.original_event_id)?;
            } else {
                arrive(&mut draft, referral, arriving)?;
            }
        }
    }
    Ok(draft.finish())
}

/// Something new: remembered first, then judged with all that is known.
fn arrive<'a>(draft: &mut Draft<'a>, referral: &Referral, mut arriving: Entry) -> Result<(), StepError> {
    let event = &referral.event;
    let before = draft.history.clone();
    remember(&mut draft.history, referral, &arriving);
    revision::apply_awaiting(draft, &mut arriving);
    let place = history::insert(&mut draft.history, arriving);
    let Some(entry) = draft.history.entries.get(place).cloned() else { return Ok(()) };
    if event.backfill {
        draft.disposed(Disposition::Backfilled);
        return Ok(());
    }
    if entry.withdrawn {
        draft.decision.notes.push("Withdrawn by its sender before it came: nobody is told.".to_owned());
        draft.tell_sender(event, &entry, FeedbackStatus::Received, &["Received, with your withdrawal."]);
        return Ok(());
    }
    let Some(verdict) = draft.judge(&entry).map(Arc::new) else { return Ok(()) };
    draft.record_facts(&entry.kind, &verdict);
    let mut findings = findings_of(&entry, &verdict, &[]);
    findings.extend(due_already(draft, &entry)?);
    let raising = draft.raising(Some(referral), &event.event_id);
    let open = raising.left_open(&entry, &verdict, &findings)?;
    let find_out = raising.find_out(&open, &entry)?;
    draft.decision.unknown = open.unknown;
    findings.extend(judged_again(draft, &before, &entry));
    raise_with_fallback(draft, referral, &entry, &findings, find_out)?;
    start_timers(draft, &entry)?;
    draft.note_coverage(&entry);
    let mut words = vec!["Received."];
    if !draft.decision.tasks.is_empty() {
        words.push("It is being looked at.");
    }
    words.extend(findings.iter().filter_map(|finding| finding.rule.tell_referrer.as_deref()));
    draft.tell_sender(event, &entry, FeedbackStatus::Received, &words);
    Ok(())
}

/// Every concern reaches a person: where no rule sees to that, the front door triages.
fn raise_with_fallback<'a>(
    draft: &mut Draft<'a>,
    referral: &Referral,
    entry: &Arc<Entry>,
    findings: &[Finding<'a>],
    find_out: Option<Wanted<'a>>,
) -> Result<(), StepError> {
    let cause = &referral.event.event_id;
    draft.raise(Some(referral), cause, findings, find_out.into_iter().collect())?;
    if is_concern(&entry.kind) && draft.decision.tasks.is_empty() {
        let raising = draft.raising(Some(referral), cause);
        let due = raising.deadline_from_now(&OWN_DUTY)?;
        let why = "No rule of the book gives this referral to anyone; every referral reaches a person.".to_owned();
        let wanted = raising.own_duty(FALLBACK_RULE, FALLBACK_TITLE, why, FALLBACK_ACTION, due, entry);
        draft.raise(Some(referral), cause, &[], vec![wanted])?;
    }
    Ok(())
}

/// What statuses, decisions and agreements leave behind besides their entry.
fn remember(history: &mut History, referral: &Referral, arriving: &Entry) {
    if let Detail::StatusChanged(change) = &referral.event.detail {
        history::apply_status(history, change, arriving.occurred_at);
    } else if let Detail::DecisionRecorded(decision) = &referral.event.detail {
        remember_decision(history, decision, arriving.occurred_at);
    } else if let Detail::AgreementRecorded(agreement) = &referral.event.detail
        && let Some(FactValue::Code(state)) = agreement.state.fact()
    {
        history.agreement = Some(AgreementStanding { state, at: arriving.received_at });
    }
}

/// Only a decision about the level or the case settles the level; one out of order does not undo a later one.
fn remember_decision(history: &mut History, recorded: &DecisionRecorded, at: Timestamp) {
    let Some(FactValue::Code(decision)) = recorded.decision.fact() else { return };
    let settles = matches!(decision.as_str(), "level_confirmed" | "level_set" | "stepped_down" | "closed");
    let newest = history.last_decision.as_ref().is_none_or(|last| last.at <= at);
    if !settles || !newest {
        return;
    }
    let closed = decision == "closed";
    let given = recorded.level.and_then(crate::engine::model::detail::ProposedLevel::level);
    let level = if closed { None } else { given.or(history.case_level) };
    history::apply_decision(history, RecordedDecision { decision, level, at, closed });
}

/// Timer rules whose time had already passed when the event arrived: judged at once.
fn due_already<'a>(draft: &Draft<'a>, entry: &Arc<Entry>) -> Result<Vec<Finding<'a>>, StepError> {
    let mut findings = Vec::new();
    for (rule, due_at) in timers_of(draft, entry)? {
        if due_at > draft.at {
            continue;
        }
        let moment = Moment::Timer(rule);
        let verdict = judge(draft.book, &draft.history, entry, AsOf::instant(draft.at), moment).map(Arc::new);
        let fired = verdict.iter().flat_map(|verdict| findings_of(entry, verdict, &[]));
        findings.extend(fired.filter(|finding| finding.rule.id == rule));
    }
    Ok(findings)
}

/// Starts the clocks that run from this entry and have not passed yet.
fn start_timers(draft: &mut Draft<'_>, entry: &Entry) -> Result<(), StepError> {
    let timers = timers_of(draft, entry)?;
    for (rule, due_at) in timers.into_iter().filter(|(_, due_at)| *due_at > draft.at) {
        let timer = Timer { due_at, rule: rule.to_owned(), event_id: entry.event_id.clone() };
        draft.history.timers.push(timer);
    }
    draft.history.timers.sort();
    Ok(())
}

/// The timer rules of an entry's kind with when each is due.
fn timers_of<'a>(draft: &Draft<'a>, entry: &Entry) -> Result<Vec<(&'a str, Timestamp)>, StepError> {
    let Some(kind) = KindId::of(&entry.kind) else { return Ok(Vec::new()) };
    let mut timers = Vec::new();
    for rule in draft.book.rules.timers(kind) {
        let Some(timer) = &rule.timer else { continue };
        let from = entry.anchors.get(timer.from).copied().unwrap_or(draft.at);
        let due = due_at(&draft.book.rules.calendar, &timer.after, from, None)?;
        timers.push((rule.id.as_str(), due.at));
    }
    Ok(timers)
}
