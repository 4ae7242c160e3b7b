//! A clock ran out: the rule that waited for it is judged by how things stand now.

use std::sync::Arc;

use super::clocks;
use crate::engine::context::{Context, StepError};
use crate::engine::decide::{Moment, judge};
use crate::engine::facts::AsOf;
use crate::engine::history::entry::{A_PERSON, AN_ADDRESS};
use crate::engine::history::{is_held_still, is_open};
use crate::engine::model::decision::Trigger;
use crate::engine::model::history::{Awaiting, Entry, Timer};
use crate::engine::model::scalar::Timestamp;
use crate::engine::model::subject::SubjectKey;
use crate::engine::state::State;
use crate::engine::step::Step;
use crate::engine::step::decisions::unapplied::{UNKNOWN_CHILD, still_unknown};
use crate::engine::step::draft::{Draft, OWN_DUTY};
use crate::engine::step::findings::findings_of;
use crate::engine::step::held_back::persons;

/// The timer that asks a person about a correction or withdrawal whose original never came.
pub const AWAITING_ORIGINAL: &str = "awaiting_original";
const ASK_ACTION: &str = "Ask the sender: no event of theirs with the id they correct or withdraw was received";

pub fn fired(
    context: &Context,
    state: &State,
    subject: SubjectKey,
    timer: &Timer,
    at: Timestamp,
) -> Result<Step, StepError> {
    let known = state.history(subject).is_some_and(|history| history.timers.contains(timer));
    if !known {
        return Ok(Step::default());
    }
    let partner = timer.partner.as_deref().unwrap_or_default();
    let cause = format!("timer\0{}\0{}\0{partner}\0{}", timer.rule, timer.event_id, timer.due_at.0);
    let mut draft = Draft::open(context, state, subject, at, Trigger::Timer, &cause)?;
    draft.history.timers.retain(|present| present != timer);
    let entry = draft.history.entries.iter().find(|entry| timer.is_of(entry) && !entry.withdrawn).cloned();
    let Some(entry) = entry else {
        draft.decision.notes.push("The event this clock ran from is no longer held.".to_owned());
        return draft.finish();
    };
    draft.about(&entry);
    if timer.rule == AWAITING_ORIGINAL {
        ask_for_original(&mut draft, &entry, &cause)?;
    } else if timer.rule == UNKNOWN_CHILD {
        still_unknown(&mut draft, &entry, &cause)?;
    } else {
        judge_now(&mut draft, &entry, &timer.rule, &cause)?;
    }
    draft.finish()
}

/// Tasks of a timer name no child: each follows the task its recipient holds already.
fn judge_now(draft: &mut Draft<'_>, entry: &Arc<Entry>, rule: &str, cause: &str) -> Result<(), StepError> {
    let verdict = judge(draft.book, &draft.history, entry, AsOf::instant(draft.at), Moment::Timer(rule));
    let Some(verdict) = verdict.map(Arc::new) else { return Ok(()) };
    draft.record_facts(&entry.kind, &verdict);
    let due = verdict.fires(rule);
    let mut findings = if due { findings_of(entry, &verdict, &entry.fired) } else { Vec::new() };
    if clocks::is_run_out_already(draft, entry, rule)? {
        findings.clear();
        draft.decision.notes.push("This clock ran out already, from an earlier report of the same absence.".to_owned());
    }
    draft.raise(None, cause, &findings, Vec::new()).map(drop)
}

fn ask_for_original(draft: &mut Draft<'_>, entry: &Arc<Entry>, cause: &str) -> Result<(), StepError> {
    let of_entry =
        |waiting: &Awaiting| waiting.event_id == entry.event_id && waiting.source.partner == entry.source.partner;
    let waiting = draft.history.awaiting.iter_mut().find(|waiting| of_entry(waiting) && !waiting.asked);
    let Some(waiting) = waiting else { return Ok(()) };
    waiting.asked = true;
    let raising = draft.raising(None, cause);
    let due = raising.deadline_from_now(&OWN_DUTY)?;
    let asked = entry.held_back.iter().filter(|route| route.agency != A_PERSON);
    let told =
        persons::told_already(draft, asked, |task| is_open(&task.state) || is_held_still(task.state_at, draft.at));
    let says_no_wish = entry.held_back.iter().all(|route| route.agency == AN_ADDRESS);
    let wish = match (says_no_wish, told.is_empty()) {
        (true, _) => String::new(),
        (false, true) => {
            " It also says who must not learn of it: that holds for this child until a person lifts the route."
                .to_owned()
        }
        (false, false) => format!(
            " It also says who must not learn of it, and that holds for this child until a person lifts the route; told already: {}.",
            told.join("; ")
        ),
    };
    let why = format!("A correction or withdrawal came a working day ago; the event it speaks of has not.{wish}");
    let title = "A correction without its original";
    let wanted = raising.own_duty(AWAITING_ORIGINAL, title, why, ASK_ACTION, due, entry);
    draft.raise(None, cause, &[], vec![wanted]).map(drop)
}
