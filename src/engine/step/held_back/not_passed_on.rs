//! A route is shut while somebody is asked to find its unit, or to say who the child is, and to pass a task on by it: they are told at
//! once that they are not to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::context::StepError;
use crate::engine::history::entry::is_marker;
use crate::engine::history::{RECALLED, held_back_of, holds, is_held_still, is_open, newly_held_back};
use crate::engine::model::decision::Disposition;
use crate::engine::model::history::{Entry, HeldTask, History};
use crate::engine::model::inbox::Referral;
use crate::engine::rules::book::{Agency, Rule};
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft};
use crate::engine::step::outcomes::readdressed::{as_first_asked, is_its_own_too, stands_in};
use crate::engine::step::word::{Word, each_holder};
use crate::engine::tasks::route::Address;
use crate::engine::tasks::{HELD_BACK_RULE, Relation, Wanted};

const STOP: Word = Word {
    rule: HELD_BACK_RULE,
    title: "Not to be passed on",
    why: "Whoever this was meant for is not to hear of it before a person decides.",
    action: "Stop: do not pass on what you were asked to, and ring the front door, also if you have passed it on already",
    wants_answer: true,
};
/// Somebody else is to be found for it, who must not pass it on, either.
const DECLINED: &str = "declined";
const YOURS: &str = "You were asked to pass this on: do not.";
const YOURS_GOES_ON: &str = "What of it you were asked for yourselves goes on.";
const PASSED_ON: &str =
    "Where it was passed on already, they know of the child: see what they know, and that the child is safe.";

/// Holds back what was to be passed on by routes that were open when the record at hand came, and are shut now, whatever shut them.
pub fn hold_back(draft: &mut Draft<'_>, referral: Option<&Referral>) -> Result<(), StepError> {
    let shut: Vec<Shut> = draft.sides().map(|side| Shut::since(side, &draft.history)).collect();
    // What is imported tells nobody anything.
    if shut.iter().all(|shut| shut.agencies.is_empty()) || draft.decision.disposition == Disposition::Backfilled {
        return Ok(());
    }
    for entry in draft.history.entries.clone() {
        let held = to_be_passed_on(draft, &entry, &shut);
        if !held.is_empty() {
            stop(draft, referral, &entry, &held)?;
        }
    }
    Ok(())
}

/// Agencies of which no unit was shut by what one record knew, and one is now.
struct Shut {
    side: Arc<History>,
    agencies: BTreeSet<String>,
}

impl Shut {
    fn since(side: &Arc<History>, now: &History) -> Self {
        let newly = newly_held_back(side, now);
        let mut agencies: BTreeSet<String> = newly.into_iter().map(|route| route.agency.clone()).collect();
        agencies.retain(|agency| !is_marker(agency));
        if !agencies.is_empty() {
            for route in held_back_of(side) {
                agencies.remove(&route.agency);
            }
        }
        Self { side: Arc::clone(side), agencies }
    }
}

/// What somebody holds of an event in the place of an agency whose route is shut since, and for whom it was meant.
fn to_be_passed_on<'a>(draft: &Draft<'a>, entry: &Entry, shut: &[Shut]) -> Vec<(Arc<HeldTask>, &'a Agency)> {
    // What is asked now is asked by the routes that are open now.
    let of_event = draft.history.tasks.iter().filter(|task| {
        task.is_of(entry)
            && (is_open(&task.state) || task.state == DECLINED)
            && task.chases.is_none()
            && is_held_still(task.raised_at, draft.at)
            && !draft.is_raised_now(task)
    });
    let rules = &draft.book.rules;
    let meant_for = |task: &Arc<HeldTask>| {
        let shut = shut.iter().find(|shut| holds(&shut.side, task))?;
        let mut agencies = shut.agencies.iter().filter_map(|agency| rules.agencies.get(agency));
        agencies.find(|agency| stands_in(draft, task, agency))
    };
    of_event.filter_map(|task| Some((Arc::clone(task), meant_for(task)?))).collect()
}

fn stop(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    entry: &Arc<Entry>,
    held: &[(Arc<HeldTask>, &Agency)],
) -> Result<(), StepError> {
    // Closed first: nobody holds in anyone's place what is asked of another instead.
    let kept = leave_place(draft, &held.iter().map(|(task, _)| Arc::clone(task)).collect::<Vec<_>>());
    let cause = format!("{}\0not passed on\0{}", draft.decision.decision_id, entry.event_id);
    let raising = draft.raising(None, &cause);
    let (theirs, others): (Vec<Arc<HeldTask>>, Vec<Arc<HeldTask>>) =
        held.iter().map(|(task, _)| Arc::clone(task)).partition(|task| raising.decides(&task.agency));
    let others: Vec<Arc<HeldTask>> = others.into_iter().filter(|task| task.state != DECLINED).collect();
    let due = raising.deadline_from_now(&AT_HIGHEST_LEVEL)?;
    let mut words = each_holder(draft, &others, &STOP, &|_| Ok(due.clone()))?;
    let level = others.iter().filter_map(|task| task.level).max();
    for word in &mut words {
        let is_own = |task: &&Arc<HeldTask>| task.agency == word.address.agency && kept.contains(&task.task_id);
        word.notes.extend(others.iter().find(is_own).map(|_| YOURS_GOES_ON.to_owned()));
        word.level = level;
    }
    let raising = draft.raising(referral, &cause);
    // Whose own route is shut, too, is not told to stop: that is put to whoever decides with what was to be passed on.
    let (unsaid, words): (Vec<Wanted<'_>>, Vec<Wanted<'_>>) =
        words.into_iter().partition(|word| raising.is_shut(&word.address));
    let mut notes: Vec<String> = if theirs.is_empty() { Vec::new() } else { vec![YOURS.to_owned()] };
    let told: BTreeSet<&str> = words.iter().map(|word| draft.book.rules.title_of(&word.address.agency)).collect();
    notes.extend(told.into_iter().map(|title| format!("It was to be passed on by {title}, who are told not to.")));
    notes.push(PASSED_ON.to_owned());
    let mut wanted: Vec<Wanted<'_>> =
        held.iter().flat_map(|(task, agency)| as_asked(draft, task, agency, entry)).collect();
    wanted.extend(unsaid);
    let raised = raising.hold_back_now(wanted, &due, notes)?;
    draft.take(raised);
    draft.raise(None, &cause, &[], words).map(drop)
}

/// Nobody holds these in another's place any more, and each keeps what they were asked for themselves: those are returned.
pub fn leave_place(draft: &mut Draft<'_>, held: &[Arc<HeldTask>]) -> BTreeSet<String> {
    let own = held.iter().filter(|task| is_its_own_too(draft, task));
    let kept: BTreeSet<String> = own.map(|task| task.task_id.clone()).collect();
    let at = draft.at;
    for task in &mut draft.history.tasks {
        if kept.contains(&task.task_id) {
            Arc::make_mut(task).in_place_of = None;
        } else if held.iter().any(|left| left.task_id == task.task_id) {
            *task = Arc::new(task.closed_as(RECALLED, at));
        }
    }
    kept
}

/// What was to be passed on, as the rules asked it: it is held back for each of them.
fn as_asked<'a>(draft: &Draft<'a>, task: &HeldTask, agency: &Agency, entry: &Arc<Entry>) -> Vec<Wanted<'a>> {
    let book = draft.book;
    let asks = |rule: &&Rule| {
        let mut asked = rule.tasks.iter().filter(|asked| asked.action == task.action);
        asked.any(|asked| asked.to.iter().any(|to| to.agency == agency.name))
    };
    let asking: BTreeMap<&str, &Rule> =
        book.rules.rules.iter().filter(asks).map(|rule| (rule.id.as_str(), rule)).collect();
    // What a person passed on before names the rules no more.
    let is_named = |rule: &&&Rule| task.rules.contains(&rule.id);
    let named: Vec<&Rule> = asking.values().filter(is_named).copied().collect();
    let rules: Vec<&Rule> = if named.is_empty() { asking.into_values().collect() } else { named };
    let address = Address { in_place_of: Some(agency.name.clone()), ..Address::of_holder(task) };
    let notes = draft.raising(None, "").notes_in_place(&address, &task.action, entry);
    let as_of = |rule: &str, title: &str| Wanted {
        address: address.clone(),
        action: task.action.clone(),
        due: as_first_asked(draft, task),
        acknowledge_by: None,
        rule: rule.to_owned(),
        title: title.to_owned(),
        why: None,
        bases: vec!["P".to_owned()],
        needs_agreement: task.needs_agreement.unwrap_or(false),
        minimum: false,
        entry: Arc::clone(entry),
        level: task.level,
        notes: notes.clone(),
        own_duty: false,
        relation: Relation::Usual,
    };
    if rules.is_empty() {
        return vec![as_of(HELD_BACK_RULE, STOP.title)];
    }
    rules.into_iter().map(|rule| as_of(&rule.id, &rule.title)).collect()
}
