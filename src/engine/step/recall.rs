//! Whoever was told is told to stop, and whoever looks into breaches hears what was shared and should not have been.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::draft::{Draft, OWN_DUTY};
use crate::engine::context::StepError;
use crate::engine::history::{RECALLED, is_open, used_id};
use crate::engine::model::event::Source;
use crate::engine::model::history::{Entry, HeldTask};
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::UnitKind;
use crate::engine::step::outcomes::readdressed::has_rung;
use crate::engine::step::word::tells_of_another;
use crate::engine::tasks::route::Address;
use crate::engine::tasks::{READDRESSED_RULE, Wanted};

pub const WITHDRAWAL_RULE: &str = "withdrawal";

/// What every recall begins with, and every word of a breach.
const RECALL_WORD: &str = "Recall:";

const BREACH_WORD: &str = "Information breach:";

const RECALL_ACTION: &str =
    "Recall: the referral behind your task was withdrawn; stop, do not use it, and ask before you keep or delete it";

const RECALL_NOT_YET_ACTION: &str = "Recall: the referral behind your task was withdrawn; share it no further, and ask before \
    you keep or delete it; go on keeping the child safe until social care has decided";

const BREACH_ACTION: &str = "Information breach: details were shared about the wrong child or event; look into it";

const BREACH_OF_UNIT_ACTION: &str = "Information breach: details went to the wrong unit; look into it";

/// Why those who were told are asked to stop.
pub struct Recall {
    pub rule: &'static str,
    pub title: &'static str,
    pub why: &'static str,
    pub action: &'static str,
}

pub const RECALL: Recall = Recall {
    rule: WITHDRAWAL_RULE,
    title: "A referral was withdrawn",
    why: "The sender withdrew the referral this came from.",
    action: RECALL_ACTION,
};

pub const RECALL_NOT_YET: Recall = Recall { action: RECALL_NOT_YET_ACTION, ..RECALL };

/// Whether a task asks its holder to stop, or to look into what was shared: of the child it asks nothing.
pub fn is_recall_or_breach(task: &HeldTask) -> bool {
    task.action.starts_with(RECALL_WORD) || task.action.starts_with(BREACH_WORD)
}

pub fn end(draft: &mut Draft<'_>, told: &[Arc<HeldTask>]) {
    for task in draft.history.tasks.iter_mut().filter(|task| is_open(&task.state)) {
        if told.iter().any(|told| told.task_id == task.task_id) {
            *task = Arc::new(task.closed_as(RECALLED, draft.at));
        }
    }
}

/// One recall for each who was told.
pub fn recalls<'w>(
    draft: &Draft<'_>,
    reason: &Recall,
    withdrawn: &Arc<Entry>,
    told: &[Arc<HeldTask>],
) -> Result<Vec<Wanted<'w>>, StepError> {
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&OWN_DUTY)?;
    let mut asked: BTreeMap<(String, Option<String>), Vec<String>> = BTreeMap::new();
    // A word to stop, or to go on, is named where its holder was asked nothing else.
    let (words, others): (Vec<&Arc<HeldTask>>, Vec<&Arc<HeldTask>>) =
        told.iter().partition(|task| tells_of_another(task));
    for task in others.into_iter().chain(words) {
        // An agency of one unit is told once, whoever of it was on duty.
        let agency = draft.book.rules.agencies.get(&task.agency).filter(|agency| agency.units == UnitKind::One);
        let unit = agency.map_or(task.unit.clone(), |agency| raising.single_unit(agency, due.urgent_by()));
        let actions = asked.entry((task.agency.clone(), unit)).or_default();
        // That nobody answered is nothing that they were asked about the child.
        let is_said = || actions.contains(&task.action) || (tells_of_another(task) && !actions.is_empty());
        if task.chases.is_none() && !is_said() {
            actions.push(task.action.clone());
        }
    }
    let stays = draft
        .history
        .case_level
        .map(|level| format!("The case stays at {} until a named person decides otherwise.", level.symbol()));
    let recall = |((agency, unit), actions): ((String, Option<String>), Vec<String>)| {
        let why = reason.why.to_owned();
        let own = raising.own_duty(reason.rule, reason.title, why, reason.action, due.clone(), withdrawn);
        let ring = draft.context.on_front_door_phone();
        let decides = raising.decides(&agency);
        let ask = if decides { String::new() } else { format!(" Ask the front door{ring}.") };
        let what = if actions.is_empty() { "what others had not answered".to_owned() } else { actions.join("; ") };
        let mut notes = vec![format!("What you were asked: {what}.{ask}")];
        notes.extend(stays.clone().filter(|_| decides));
        Wanted { address: Address { agency, unit, role: None, in_place_of: None }, notes, ..own }
    };
    Ok(asked.into_iter().map(recall).collect())
}

/// Whether it was asked of the very house that sent an event: what they hold by it, they knew.
pub fn is_senders_own(rules: &RuleBook, source: &Source, task: &HeldTask) -> bool {
    let theirs = Some(&task.agency) == source.agency.as_ref();
    theirs && (task.unit.as_ref() == Some(&source.unit) || !rules.has_many_units(&task.agency))
}

/// Word to whoever looks into breaches, of what was shared and should not have been. Where only the house that sent it was asked
/// anything, nothing was shared, unless it was asked in another's place and has passed it on; what a chase tells is of no child.
pub fn breach<'w>(
    draft: &Draft<'_>,
    rule: &str,
    withdrawn: &Arc<Entry>,
    told: &[Arc<HeldTask>],
) -> Result<Option<Wanted<'w>>, StepError> {
    let source = &withdrawn.source;
    let passed_on_to = |task: &HeldTask| task.in_place_of.clone().filter(|_| has_rung(draft, task));
    let is_shared = |task: &Arc<HeldTask>| {
        let is_theirs = is_senders_own(&draft.book.rules, source, task) && passed_on_to(task).is_none();
        task.chases.is_none() && !is_theirs
    };
    let told_of = draft.book.rules.told_of_breaches.clone().filter(|_| told.iter().any(is_shared));
    let Some(agency) = told_of else { return Ok(None) };
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&OWN_DUTY)?;
    let agencies: BTreeSet<String> =
        told.iter().flat_map(|task| [task.agency.clone()].into_iter().chain(passed_on_to(task))).collect();
    let agencies: Vec<String> = agencies.into_iter().collect();
    let reference = withdrawn.partner_reference.as_deref().unwrap_or("none given");
    let note = format!(
        "Sent by {}, {}; their reference: {reference}; event {}. Told: {}.",
        source.partner,
        source.unit,
        used_id::as_sent(&draft.history, withdrawn),
        agencies.join(", ")
    );
    let (why, action) = if rule == READDRESSED_RULE {
        ("What was meant for another unit was sent to these.", BREACH_OF_UNIT_ACTION)
    } else {
        ("What was sent to others should not have been, or not about this child.", BREACH_ACTION)
    };
    let own = raising.own_duty(rule, "An information breach", why.to_owned(), action, due, withdrawn);
    let address = Address { agency, unit: None, role: None, in_place_of: None };
    Ok(Some(Wanted { address, notes: vec![note], ..own }))
}
