//! A report from before a section 47 enquiry began is withdrawn: who runs the enquiry decides whether it goes on.

use std::sync::Arc;

use crate::engine::calendar::{Clock, instant_in_words};
use crate::engine::context::StepError;
use crate::engine::history::decisions::{known_until, last_closed, starts_enquiry};
use crate::engine::model::history::{Entry, History};
use crate::engine::model::scalar::Level;
use crate::engine::rules::catalogue::is_concern;
use crate::engine::step::draft::Draft;
use crate::engine::step::recall::WITHDRAWAL_RULE;
use crate::engine::tasks::Wanted;

const TITLE: &str = "A report behind a section 47 enquiry was withdrawn";
const ACTION: &str = "Decide whether the section 47 enquiry goes on: a report from before it began was withdrawn";

/// The question; None: no enquiry runs, or it began without that report.
pub fn ask<'w>(draft: &Draft<'_>, withdrawn: &Arc<Entry>) -> Result<Option<Wanted<'w>>, StepError> {
    let Some(enquiry) = begun_after(&draft.history, withdrawn) else { return Ok(None) };
    let is_behind =
        |entry: &&Arc<Entry>| is_concern(&entry.kind) && !entry.withdrawn && entry.received_at <= enquiry.received_at;
    let others = match draft.history.entries.iter().filter(is_behind).count() {
        0 => "No other report from before it stands.".to_owned(),
        others => format!("Of the reports from before it {others} still stand."),
    };
    let why = format!(
        "A section 47 enquiry was started on {}, and a report from before that was withdrawn. {others} A sender may be mistaken or \
under pressure: ask them, see that the child is safe, and record a decision. Level 4b and the enquiry stand until then.",
        instant_in_words(enquiry.holds_from())
    );
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&Clock::SameDay)?;
    let own = raising.own_duty(WITHDRAWAL_RULE, TITLE, why, ACTION, due, withdrawn);
    Ok(Some(Wanted { level: Some(Level::L4b), ..own }))
}

/// The latest enquiry of the case as it stands that was started when this was known.
fn begun_after<'h>(history: &'h History, withdrawn: &Entry) -> Option<&'h Arc<Entry>> {
    if history.case_level < Some(Level::L4b) || !is_concern(&withdrawn.kind) {
        return None;
    }
    let closed_at = last_closed(history);
    let runs = |entry: &&Arc<Entry>| {
        let since = entry.received_at >= withdrawn.received_at && Some(known_until(entry)) >= closed_at;
        starts_enquiry(entry) && !entry.withdrawn && since
    };
    history.entries.iter().rev().find(runs)
}
