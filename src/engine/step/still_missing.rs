//! A return was taken back: whoever was asked to look for the child hears at once that they are still missing.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::draft::Draft;
use super::withdrawal::WITHDRAWAL_RULE;
use crate::engine::calendar::{Clock, instant_in_words};
use crate::engine::context::StepError;
use crate::engine::history::episodes;
use crate::engine::history::senders::numbers;
use crate::engine::model::history::{Entry, HeldTask};
use crate::engine::rules::book::UnitKind;
use crate::engine::tasks::route::Address;
use crate::engine::tasks::{Wanted, Why};

const ACTION: &str = "The return was withdrawn: the child may still be missing; make sure that they are looked for";
const TITLE: &str = "Not back after all";

/// Whoever was to act within so long of hearing of the absence was asked to search, not to know of it alone.
const SEARCH_MS_MAX: i64 = 4 * 60 * 60 * 1000;

/// Why a child counts as missing after all.
pub struct After<'w> {
    pub rule: &'static str,
    pub title: &'static str,
    pub action: &'static str,
    pub why: Why<'w>,
    pub clock: Clock,
}

/// Tasks for the front door and for all who were asked to search, at the level of the case: they follow the task of the search, and say
/// whom to ring, for the withdrawal itself names no child.
pub fn tell<'w>(draft: &Draft<'_>, started: &Arc<Entry>, ended: &Arc<Entry>) -> Result<Vec<Wanted<'w>>, StepError> {
    let since = episodes::out_since(&draft.history, started, draft.at).unwrap_or(started.occurred_at);
    let raising = draft.raising(None, "");
    // The sender of the return need not be who told that the child is missing.
    let not_to_be_rung = raising.not_to_be_rung(&ended.source);
    let words = |with_numbers: bool| {
        let ring = |entry: &Entry| {
            let may_be_rung = raising.not_to_be_rung(&entry.source).is_none();
            let number = numbers(&draft.context.keys, entry).filter(|_| with_numbers && may_be_rung);
            number.map_or(String::new(), |number| format!(", on {number}"))
        };
        let name = |entry: &Entry| format!("{}, {}{}", entry.source.partner, entry.source.unit, ring(entry));
        format!(
            "The report that the child is back was withdrawn. Missing since {}, reported by {} (their reference: {}). {}: {}.",
            instant_in_words(since),
            name(started),
            started.partner_reference.as_deref().unwrap_or("none given"),
            if not_to_be_rung.is_some() { "Who withdrew the return" } else { "Ask who withdrew the return" },
            name(ended)
        )
    };
    let why = Why::Numbers { told: words(true), without: words(false) };
    let after = After { rule: WITHDRAWAL_RULE, title: TITLE, action: ACTION, why, clock: Clock::Now };
    let mut told = tell_searching(draft, started, &after)?;
    told.iter_mut().for_each(|one| one.notes.extend(not_to_be_rung.clone()));
    Ok(told)
}

/// The front door and all who were asked to search hear of it.
pub fn tell_searching<'w>(
    draft: &Draft<'_>,
    started: &Arc<Entry>,
    after: &After<'w>,
) -> Result<Vec<Wanted<'w>>, StepError> {
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&after.clock)?;
    let since = episodes::out_since(&draft.history, started, draft.at).unwrap_or(started.occurred_at);
    let level = draft.history.case_level.max(started.level);
    let told = || {
        let (why, due) = (after.why.clone(), due.clone());
        Wanted { level, ..raising.own_duty(after.rule, after.title, why, after.action, due, started) }
    };
    let front_door = &draft.book.rules.front_door;
    let searching = |task: &&Arc<HeldTask>| {
        let of_absence = |entry: &Arc<Entry>| {
            let is_start = matches!(entry.kind.as_str(), episodes::STARTED | episodes::REGRADED);
            is_start && entry.occurred_at >= since && task.is_of(entry)
        };
        let is_one = draft.book.rules.agencies.get(&task.agency).is_some_and(|agency| agency.units == UnitKind::One);
        let soon = task.due_at <= task.raised_at.plus_millis(SEARCH_MS_MAX);
        is_one
            && soon
            && task.chases.is_none()
            && task.agency != *front_door
            && draft.history.entries.iter().any(of_absence)
    };
    let asked = draft.history.tasks.iter().filter(searching);
    let agencies: BTreeSet<&String> = asked.map(|task| &task.agency).collect();
    let mut wanted = vec![told()];
    for name in agencies {
        let Some(agency) = draft.book.rules.agencies.get(name) else { continue };
        let unit = raising.single_unit(agency, due.urgent_by());
        let address = Address { agency: name.clone(), unit, role: None, in_place_of: None };
        wanted.push(Wanted { address, ..told() });
    }
    Ok(wanted)
}
