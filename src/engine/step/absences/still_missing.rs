//! A return was taken back: whoever was asked to look for the child hears at once that they are still missing.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::search;
use crate::engine::calendar::{Clock, instant_in_words};
use crate::engine::context::StepError;
use crate::engine::facts::is_own_authority;
use crate::engine::history::senders::numbers;
use crate::engine::history::{RECALLED, episodes};
use crate::engine::model::history::{Entry, HeldTask};
use crate::engine::rules::book::{Agency, UnitKind};
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft};
use crate::engine::step::outcomes::readdressed::stands_in;
use crate::engine::step::recall::WITHDRAWAL_RULE;
use crate::engine::tasks::route::Address;
use crate::engine::tasks::{Deadline, READDRESSED, Wanted, Why};

const ACTION: &str = "The return was withdrawn: the child may still be missing; make sure that they are looked for";
const ABSENT_ACTION: &str = "The return was withdrawn: the child may still be absent; find out where they are";
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
    // Graded absent, a child is not missing: nobody need go out at once.
    let is_missing = episodes::still_missing(&draft.history, started, draft.at);
    let raising = draft.raising(None, "");
    // The sender of the return need not be who told that the child is missing.
    let may_not_be_rung = raising.may_reach_suspect(&ended.source);
    let words = |with_numbers: bool| {
        let ring = |entry: &Entry| {
            let may_be_rung = !raising.may_reach_suspect(&entry.source);
            let number = numbers(&draft.context.keys, entry).filter(|_| with_numbers && may_be_rung);
            number.map_or(String::new(), |number| format!(", on {number}"))
        };
        let name = |entry: &Entry| format!("{}, {}{}", entry.source.partner, entry.source.unit, ring(entry));
        format!(
            "The report that the child is back was withdrawn. {} since {}, reported by {} (their reference: {}). {}: {}.",
            if is_missing { "Missing" } else { "Absent" },
            instant_in_words(since),
            name(started),
            started.partner_reference.as_deref().unwrap_or("none given"),
            if may_not_be_rung { "Who withdrew the return" } else { "Ask who withdrew the return" },
            name(ended)
        )
    };
    let why = Why::Numbers { told: words(true), without: words(false) };
    let (action, clock) = if is_missing { (ACTION, Clock::Now) } else { (ABSENT_ACTION, AT_HIGHEST_LEVEL) };
    let after = After { rule: WITHDRAWAL_RULE, title: TITLE, action, why, clock };
    let mut told = tell_searching(draft, started, &after)?;
    told.iter_mut().for_each(|one| one.notes.extend(raising.not_to_be_rung(&ended.source, &one.address.agency)));
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
    let rules = &draft.book.rules;
    let searching = |task: &&Arc<HeldTask>| {
        let of_absence = |entry: &Arc<Entry>| {
            let is_start = episodes::is_report(entry);
            is_start && entry.occurred_at >= since && task.is_of(entry)
        };
        let soon = task.due_at <= task.raised_at.plus_millis(SEARCH_MS_MAX);
        // Who heard of the absence after the return was told that nobody need search any more.
        (soon || search::says_it_is_over(rules, task))
            && task.chases.is_none()
            && draft.history.entries.iter().any(of_absence)
    };
    let asked: Vec<&Arc<HeldTask>> = draft.history.tasks.iter().filter(searching).collect();
    let mut wanted = vec![told()];
    for agency in rules.agencies.values().filter(|agency| agency.name != rules.front_door) {
        let addresses = match agency.units {
            UnitKind::One if asked.iter().any(|task| task.agency == agency.name) => {
                let unit = raising.single_unit(agency, due.urgent_by());
                vec![(direct(agency, unit), Vec::new())]
            }
            UnitKind::Authority => of_authority(draft, agency, (started, asked.as_slice()), (after.action, &due)),
            // Who knows the child as a school does was asked to search by nobody.
            UnitKind::One | UnitKind::School | UnitKind::Practice | UnitKind::Locality => Vec::new(),
        };
        wanted.extend(addresses.into_iter().map(|(address, notes)| Wanted { address, notes, ..told() }));
    }
    Ok(wanted)
}

fn direct(agency: &Agency, unit: Option<String>) -> Address {
    Address { agency: agency.name.clone(), unit, role: None, in_place_of: None }
}

/// Of an agency that has a unit for each authority: the one that is responsible now, where any was to know of the absence; else those who
/// know of it, and whoever was to find out which it is. With what they must know besides.
fn of_authority(
    draft: &Draft<'_>,
    agency: &Agency,
    (started, asked): (&Arc<Entry>, &[&Arc<HeldTask>]),
    (action, due): (&str, &Deadline),
) -> Vec<(Address, Vec<String>)> {
    let rules = &draft.book.rules;
    let raising = draft.raising(None, "");
    let held = || asked.iter().filter(|task| ![RECALLED, READDRESSED].contains(&task.state.as_str()));
    let known: BTreeSet<&String> =
        held().filter(|task| task.agency == agency.name).filter_map(|task| task.unit.as_ref()).collect();
    let is_looked_for = held().any(|task| task.agency != agency.name && stands_in(draft, task, agency));
    if known.is_empty() && !is_looked_for {
        return Vec::new();
    }
    let stand_in = raising.stand_in(agency, due.urgent_by());
    let notes = raising.notes_in_place(&stand_in, action, started);
    match raising.placed_by().and_then(|placed_by| rules.directory.unit_named(agency, &placed_by)) {
        Some(unit) if known.contains(&unit) => vec![(direct(agency, Some(unit)), Vec::new())],
        Some(_) => vec![(stand_in, notes)],
        None => {
            // Another is named that is in no directory: who knows of it is the former one, and is told to stop.
            let is_other = |name: String| !is_own_authority(rules.authority.as_deref(), &name);
            let is_former = raising.placed_by().is_some_and(is_other);
            let told =
                known.into_iter().filter(|_| !is_former).map(|unit| (direct(agency, Some(unit.clone())), Vec::new()));
            told.chain(is_looked_for.then_some((stand_in, notes))).collect()
        }
    }
}
