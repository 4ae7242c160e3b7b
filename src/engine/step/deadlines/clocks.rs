//! Timer rules of an entry: those whose time has passed already, and those that start to run.

use std::sync::Arc;

use crate::engine::context::StepError;
use crate::engine::decide::{Moment, judge};
use crate::engine::facts::AsOf;
use crate::engine::history::entry::FIRST_RECEIPT;
use crate::engine::history::episodes;
use crate::engine::model::history::{Entry, Timer};
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::book::TimerRule;
use crate::engine::rules::facts::KindId;
use crate::engine::step::draft::Draft;
use crate::engine::step::findings::findings_of;
use crate::engine::tasks::{Finding, due_at};

/// Timer rules whose time had already passed when the event arrived: judged at once.
pub fn due_already<'a>(draft: &Draft<'a>, entry: &Arc<Entry>) -> Result<Vec<Finding<'a>>, StepError> {
    let mut findings = Vec::new();
    for (rule, due_at) in timers_of(draft, entry)? {
        if due_at > draft.at {
            continue;
        }
        let moment = Moment::Timer(rule);
        let verdict = judge(draft.book, &draft.history, entry, AsOf::instant(draft.at), moment).map(Arc::new);
        let fired = verdict.iter().flat_map(|verdict| findings_of(entry, verdict, &entry.fired));
        findings.extend(fired.filter(|finding| finding.rule.id == rule));
    }
    Ok(findings)
}

/// Starts the clocks that run from this entry and have not passed yet; none of an absence that is over already.
pub fn start_timers(draft: &mut Draft<'_>, entry: &Entry) -> Result<(), StepError> {
    if episodes::back_at(&draft.history, entry).is_some() {
        return Ok(());
    }
    let timers = timers_of(draft, entry)?;
    for (rule, due_at) in timers.into_iter().filter(|(_, due_at)| *due_at > draft.at) {
        draft.history.timers.push(Timer {
            due_at,
            rule: rule.to_owned(),
            event_id: entry.event_id.clone(),
            partner: Some(entry.source.partner.clone()),
        });
    }
    draft.history.timers.sort();
    Ok(())
}

/// Whether a clock of an absence has run out already from an earlier report of it, which no return followed: the child is out since
/// then, and a second start meanwhile calls for no second review.
pub fn is_run_out_already(draft: &Draft<'_>, entry: &Entry, rule: &str) -> Result<bool, StepError> {
    if entry.kind != episodes::STARTED {
        return Ok(false);
    }
    for earlier in episodes::earlier_of_absence(&draft.history, entry) {
        let timers = timers_of(draft, earlier)?;
        let ran = timers.iter().any(|(id, due_at)| *id == rule && *due_at >= entry.occurred_at);
        if ran && earlier.fired.iter().any(|fired| fired == rule) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Starts the clocks of a corrected entry. Of an absence that goes on none is later than it ran before: only a person moves it. True:
/// by the correction one would be.
pub fn restart_timers(draft: &mut Draft<'_>, entry: &Entry) -> Result<bool, StepError> {
    let running: Vec<Timer> = draft.history.timers.iter().filter(|timer| timer.is_of(entry)).cloned().collect();
    draft.history.timers.retain(|timer| !timer.is_of(entry));
    start_timers(draft, entry)?;
    let is_out = episodes::back_at(&draft.history, entry).is_none() && episodes::is_report(entry);
    let mut later = false;
    for earlier in running.into_iter().filter(|_| is_out) {
        let same = |timer: &Timer| timer.is_of(entry) && timer.rule == earlier.rule;
        if draft.history.timers.iter().any(|timer| same(timer) && timer.due_at > earlier.due_at) {
            draft.history.timers.retain(|timer| !same(timer));
            draft.history.timers.push(earlier);
            later = true;
        }
    }
    draft.history.timers.sort();
    Ok(later)
}

/// When the clock of a timer rule starts for an entry.
pub fn runs_from(entry: &Entry, timer: &TimerRule) -> Timestamp {
    let anchor = entry.anchors.get(timer.from).or_else(|| entry.anchors.get(FIRST_RECEIPT));
    anchor.copied().unwrap_or(entry.received_at)
}

/// The timer rules of an entry's kind with when each is due.
fn timers_of<'a>(draft: &Draft<'a>, entry: &Entry) -> Result<Vec<(&'a str, Timestamp)>, StepError> {
    let Some(kind) = KindId::of(&entry.kind) else { return Ok(Vec::new()) };
    let mut timers = Vec::new();
    for rule in draft.book.rules.timers(kind) {
        let Some(timer) = &rule.timer else { continue };
        let due = due_at(&draft.book.rules.calendar, &timer.after, runs_from(entry, timer), None)?;
        timers.push((rule.id.as_str(), due.at));
    }
    Ok(timers)
}
