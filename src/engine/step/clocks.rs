//! Timer rules of an entry: those whose time has passed already, and those that start to run.

use std::sync::Arc;

use super::draft::Draft;
use super::findings::findings_of;
use crate::engine::context::StepError;
use crate::engine::decide::{Moment, judge};
use crate::engine::facts::AsOf;
use crate::engine::history::entry::FIRST_RECEIPT;
use crate::engine::history::episodes;
use crate::engine::model::history::{Entry, Timer};
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::book::TimerRule;
use crate::engine::rules::facts::KindId;
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
