//! Which rules newly fire: for the entry at hand, and for earlier ones whose windows it falls into.

use std::sync::Arc;

use super::draft::Draft;
use crate::engine::calendar::london_date;
use crate::engine::decide::{Moment, Verdict, judge};
use crate::engine::facts::AsOf;
use crate::engine::model::history::{Entry, History};
use crate::engine::rules::catalogue::is_concern;
use crate::engine::tasks::Finding;

/// An agreement recorded now is put to what was judged in the last 90 days.
const AGREEMENT_REACHES_BACK_MS: i64 = 90 * 24 * 60 * 60 * 1000;

/// The rules that fired for an entry and are not among `done`.
pub fn findings_of<'a>(entry: &Arc<Entry>, verdict: &Arc<Verdict<'a>>, done: &[String]) -> Vec<Finding<'a>> {
    verdict
        .fired
        .iter()
        .filter(|rule| !done.contains(&rule.id))
        .map(|rule| Finding { entry: Arc::clone(entry), rule, verdict: Arc::clone(verdict) })
        .collect()
}

/// Which earlier judgements an arriving entry can change, and what newly fires for them because of it.
///
/// Each is judged with and without the newcomer, so that nothing but the newcomer's own effect is acted on.
pub fn judged_again<'a>(draft: &Draft<'a>, before: &History, newcomer: &Entry) -> Vec<Finding<'a>> {
    let mut findings = Vec::new();
    for entry in draft.history.entries.iter().filter(|entry| reaches(draft, newcomer, entry)) {
        let (Some(after), Some(without)) =
            (draft.judge(entry).map(Arc::new), judge(draft.book, before, entry, AsOf::entry(entry), Moment::Arrival))
        else {
            continue;
        };
        let fresh =
            findings_of(entry, &after, &entry.fired).into_iter().filter(|finding| !without.fires(&finding.rule.id));
        findings.extend(fresh);
    }
    findings
}

/// Whether a newcomer may lie in a window of an earlier judgement, or change a status it read.
fn reaches(draft: &Draft<'_>, newcomer: &Entry, entry: &Entry) -> bool {
    if entry.withdrawn || entry.backfilled || entry.event_id == newcomer.event_id || !is_concern(&entry.kind) {
        return false;
    }
    match newcomer.kind.as_str() {
        "agreement.recorded" => {
            let decided = draft.history.last_decision.as_ref().map(|decision| decision.at);
            decided.is_none_or(|at| entry.received_at > at)
                && entry.received_at.plus_millis(AGREEMENT_REACHES_BACK_MS) >= newcomer.received_at
        }
        "status.changed" => entry.received_at >= newcomer.occurred_at,
        _ => london_date(entry.occurred_at) >= london_date(newcomer.occurred_at),
    }
}
