//! A task for a wrong unit is passed to the right one, by a person who knows both.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::outcome::SUPERSEDED;
use super::responsible::{NO_LONGER_THEIRS, was_theirs};
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::history::{RECALLED, is_open};
use crate::engine::model::detail::DecisionRecorded;
use crate::engine::model::history::{Entry, HeldTask};
use crate::engine::model::inbox::Referral;
use crate::engine::rules::book::{Agency, TaskRule, UnitKind};
use crate::engine::rules::directory::school_of;
use crate::engine::step::by_the_hour;
use crate::engine::step::decisions::unapplied::Unapplied;
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft, OWN_DUTY};
use crate::engine::step::recall::{Recall, breach, recalls};
use crate::engine::step::word::tells_of_another;
use crate::engine::tasks::route::{Address, note_of_unlisted};
use crate::engine::tasks::{Counted, Deadline, READDRESSED, READDRESSED_RULE, Relation, TOLD_BY_MISTAKE, Wanted, Why};

/// Why whoever stands in need do no more.
struct Enough {
    why: &'static str,
    action: &'static str,
    clock: Clock,
    wants_answer: bool,
}

const FOUND: Enough = Enough {
    why: "The unit that this was meant for is known now, and holds the task.",
    action: "Stop here: the task was passed on to the unit it was meant for; this word of it needs no answer",
    clock: OWN_DUTY,
    wants_answer: false,
};
const FOR_NOBODY: Enough = Enough {
    why: "It is asked of nobody of the agency that this was meant for any more.",
    action: "Stop here: there is nobody to pass this on to; this word of it needs no answer",
    clock: AT_HIGHEST_LEVEL,
    wants_answer: false,
};
/// Of a child whose death was notified nobody there is asked before that is settled.
const KEPT: Enough = Enough {
    why: "The unit that this was meant for is known now, and is asked nothing while a notice of the child's death stands.",
    action: "Stop here: this is kept from the unit it was meant for while the child's death stands notified; this word of it needs no answer",
    ..FOUND
};
const RING_BACK: Enough = Enough {
    why: "What you passed on was meant for an authority that was recorded by mistake.",
    action: "Ring whom you passed this on to: it was by mistake; they are to stop, and not to use it",
    clock: AT_HIGHEST_LEVEL,
    wants_answer: true,
};
const RING_FORMER: Enough = Enough {
    why: "Another authority is responsible for the child now than the one that you were to pass this on to.",
    action: "Ring whom you passed this on to: another authority is responsible for the child now; they are to stop, and to ask before they keep \
             or delete what they were told",
    clock: AT_HIGHEST_LEVEL,
    wants_answer: true,
};
/// To whoever passes it on.
const UNLISTED: &str = "No directory lists the unit that it goes to, so nobody would read what is sent there: a person is asked to find the unit \
out. Record it again with the unit as the directory lists it.";
/// The same, of a child whose death was notified.
const KEPT_FROM_THEM: &str =
    "The death of the child was notified: what was to be passed on is kept, and goes out if that stands no longer.";
pub const RECALL: Recall = Recall {
    rule: READDRESSED_RULE,
    title: "A task for another unit",
    why: "The task was meant for another unit.",
    action: "Recall: your task was meant for another unit; stop, do not use it, and ask before you keep or delete it",
};

/// To whom the task goes that a wrong unit was given.
pub enum Meant {
    /// An agency of one unit, whatever unit was named.
    Agency,
    /// A unit of the directory.
    Unit(String),
    /// One that the directory does not list, so that nobody reads what is sent to it.
    Unlisted(String),
    /// One that nobody has recorded.
    Unknown,
    /// Nobody: it is asked of no such agency any more.
    Nobody,
}

/// Passes on what an agency's wrong unit was asked. The decision says which child, and so what the right unit is shown.
pub fn pass_to_right_unit(
    draft: &mut Draft<'_>,
    referral: &Referral,
    decision: &DecisionRecorded,
) -> Result<Option<Unapplied>, StepError> {
    let rules = &draft.book.rules;
    let Some(agency) = decision.agency.as_ref().and_then(|name| rules.agencies.get(name)) else {
        return Ok(Some(Unapplied::and_asked("no task was passed on: name in agency whose it is")));
    };
    let Some(meant) = meant(draft, referral, agency, decision) else {
        return Ok(Some(Unapplied::and_asked("no task was passed on: name the unit that it goes to")));
    };
    let is_wrong = |task: &&Arc<HeldTask>| {
        waits(task)
            && draft.history.entries.iter().any(|entry| task.is_of(entry))
            && match &meant {
                Meant::Agency => stands_in(draft, task, agency),
                Meant::Unit(unit) => {
                    (task.agency == agency.name && task.unit.as_ref() != Some(unit)) || stands_in(draft, task, agency)
                }
                Meant::Unlisted(_) | Meant::Unknown | Meant::Nobody => task.agency == agency.name,
            }
    };
    let wrong: Vec<Arc<HeldTask>> = draft.history.tasks.iter().filter(is_wrong).cloned().collect();
    if wrong.is_empty() {
        return Ok(Some(nothing_to_pass_on(draft, agency, &meant)));
    }
    if matches!(meant, Meant::Unlisted(_)) {
        draft.sender_words.push(UNLISTED);
    }
    for entry in draft.history.entries.clone() {
        let of_entry: Vec<Arc<HeldTask>> = wrong.iter().filter(|task| task.is_of(&entry)).cloned().collect();
        if !of_entry.is_empty() {
            let should_not: BTreeSet<String> = of_entry
                .iter()
                .filter(|task| !was_theirs(draft, agency, task))
                .map(|task| task.task_id.clone())
                .collect();
            let wrong = Wrong {
                held: &of_entry,
                goes_on: &|_| true,
                stop: &RECALL,
                by_mistake: &|task| should_not.contains(&task.task_id),
                went_to_former: &|_| false,
                state: READDRESSED,
            };
            pass_on(draft, (Some(referral), &referral.event.event_id), &entry, &wrong, (agency, &meant))?;
        }
    }
    Ok(None)
}

/// The unit as it was named, else that of the child as the decision describes them. None: neither is said.
fn meant(draft: &Draft<'_>, referral: &Referral, agency: &Agency, decision: &DecisionRecorded) -> Option<Meant> {
    let directory = &draft.book.rules.directory;
    let child = &referral.event.child;
    let placed_by = draft.raising(Some(referral), "").placed_by();
    let of_child = || match agency.units {
        UnitKind::One => None,
        UnitKind::School => school_of(child).map(str::to_owned),
        UnitKind::Practice => child.gp_ods.clone(),
        UnitKind::Locality => child.locality.clone(),
        UnitKind::Authority => placed_by,
    };
    if agency.units == UnitKind::One {
        return Some(Meant::Agency);
    }
    let named = decision.unit.clone().filter(|unit| !unit.trim().is_empty()).or_else(of_child)?;
    Some(directory.unit_named(agency, &named).map_or(Meant::Unlisted(named), Meant::Unit))
}

/// Of all that a unit may hold, what can be another's to do: no rung, and no word that it is to stop, or to go on.
pub fn waits(task: &HeldTask) -> bool {
    (is_open(&task.state) || task.state == "declined") && task.chases.is_none() && !tells_of_another(task)
}

pub fn is_word_to_stop(task: &HeldTask) -> bool {
    [RECALL.action, NO_LONGER_THEIRS.action, TOLD_BY_MISTAKE].contains(&task.action.as_str())
}

pub(super) fn same_work(one: &HeldTask, other: &HeldTask) -> bool {
    one.event_id == other.event_id && one.partner == other.partner && one.action == other.action
}

/// Whether its holder has a task because the unit that was meant was not known, or is in no directory: given at first to whoever
/// finds it out, or passed on to them.
pub fn stands_in(draft: &Draft<'_>, task: &HeldTask, agency: &Agency) -> bool {
    let rules = task.rules.iter().filter_map(|id| draft.book.rules.rule(id));
    let asked: Vec<&TaskRule> =
        rules.flat_map(|rule| &rule.tasks).filter(|asked| asked.action == task.action).collect();
    let is_to = |asked: &TaskRule, name: &str| asked.to.iter().any(|to| to.agency == name);
    let is_asked = |name: &str| asked.iter().any(|asked| is_to(asked, name));
    if is_asked(&agency.name) && !is_asked(&task.agency) {
        return true;
    }
    if task.in_place_of.as_ref() == Some(&agency.name) {
        return true;
    }
    let was_passed_on =
        |other: &Arc<HeldTask>| other.agency == agency.name && other.state == READDRESSED && same_work(other, task);
    let by_decision = task.rules.iter().any(|rule| rule == READDRESSED_RULE);
    task.agency != agency.name && by_decision && draft.history.tasks.iter().any(was_passed_on)
}

/// Whether its holder, beside standing in for another, was asked the same for itself.
pub fn is_its_own_too(draft: &Draft<'_>, task: &HeldTask) -> bool {
    let rules = task.rules.iter().filter_map(|id| draft.book.rules.rule(id));
    let mut asked = rules.flat_map(|rule| &rule.tasks).filter(|asked| asked.action == task.action);
    asked.any(|asked| asked.to.iter().any(|recipient| recipient.agency == task.agency))
}

fn nothing_to_pass_on(draft: &Draft<'_>, agency: &Agency, meant: &Meant) -> Unapplied {
    let holds = |task: &Arc<HeldTask>| {
        let theirs = match meant {
            Meant::Agency => task.agency == agency.name,
            Meant::Unit(unit) => task.agency == agency.name && task.unit.as_ref() == Some(unit),
            Meant::Unlisted(_) | Meant::Unknown | Meant::Nobody => stands_in(draft, task, agency),
        };
        theirs && is_open(&task.state) && !tells_of_another(task)
    };
    if !draft.history.tasks.iter().any(holds) {
        return Unapplied::and_asked(
            "no task was passed on: nothing that the agency was asked about this child waits with another unit",
        );
    }
    Unapplied::because(match meant {
        Meant::Agency => {
            "that agency has one unit, which holds what was asked: nothing was passed on, and nothing recalled"
        }
        Meant::Unit(_) => "that unit holds what was asked: nothing was passed on, and nothing recalled",
        Meant::Unlisted(_) | Meant::Unknown | Meant::Nobody => {
            "it was passed on to whoever finds out the unit: nothing more was, and nothing recalled"
        }
    })
}

/// What wrong units held of an event, and what becomes of it.
pub struct Wrong<'w> {
    pub held: &'w [Arc<HeldTask>],
    /// Whether it is for the right unit to do, or for nobody of that agency any more.
    pub goes_on: &'w dyn Fn(&HeldTask) -> bool,
    pub stop: &'w Recall,
    /// Who should not have been told.
    pub by_mistake: &'w dyn Fn(&HeldTask) -> bool,
    /// What whoever stood in has passed on to one who was rightly told, and another is responsible now.
    pub went_to_former: &'w dyn Fn(&HeldTask) -> bool,
    /// How what they held stands from then on.
    pub state: &'static str,
}

/// What several wrong units held for one event goes to the right one; each of them is told once to stop, whatever it held.
pub fn pass_on(
    draft: &mut Draft<'_>,
    (referral, cause): (Option<&Referral>, &str),
    entry: &Arc<Entry>,
    wrong: &Wrong<'_>,
    (agency, meant): (&Agency, &Meant),
) -> Result<(), StepError> {
    let cause = format!("{cause}\0{}", entry.event_id);
    let goes_on = wrong.held.iter().filter(|task| (wrong.goes_on)(task));
    let wanted: Vec<Wanted<'_>> =
        goes_on.map(|task| passed_on(draft, referral, task, entry, (agency, meant))).collect();
    let raising = draft.raising(referral, &cause);
    let is_kept = wanted.iter().any(|one| raising.is_kept_by_death(one));
    draft.raise(referral, &cause, &[], wanted)?;
    let (misled, stood_in): (Vec<Arc<HeldTask>>, Vec<Arc<HeldTask>>) =
        wrong.held.iter().cloned().partition(|task| task.agency == agency.name);
    let mut told = recalls(draft, wrong.stop, entry, &misled)?;
    // Whoever stands in has told somebody by now of whom nothing else is known here.
    let rings_back = |task: &HeldTask| task.state == "completed" && (wrong.by_mistake)(task);
    let shared = misled.into_iter().chain(stood_in.iter().filter(|task| rings_back(task)).cloned());
    let by_mistake: Vec<Arc<HeldTask>> = shared.filter(|task| (wrong.by_mistake)(task)).collect();
    told.extend(breach(draft, RECALL.rule, entry, &by_mistake)?);
    let kept: BTreeSet<&String> =
        stood_in.iter().filter(|task| is_its_own_too(draft, task)).map(|task| &task.task_id).collect();
    for task in stood_in.iter().filter(|task| !kept.contains(&task.task_id)) {
        let word = match (wrong.goes_on)(task) {
            _ if rings_back(task) => &RING_BACK,
            _ if (wrong.went_to_former)(task) => &RING_FORMER,
            true if is_kept => &KEPT,
            true => &FOUND,
            false => &FOR_NOBODY,
        };
        told.push(word_to_stand_in(draft, task, entry, word)?);
    }
    if is_kept && wrong.state == READDRESSED {
        draft.sender_words.push(KEPT_FROM_THEM);
    }
    draft.raise(None, &cause, &[], told)?;
    let at = draft.at;
    for task in &mut draft.history.tasks {
        if kept.contains(&task.task_id) {
            Arc::make_mut(task).in_place_of = None;
        } else if wrong.held.iter().any(|passed| passed.task_id == task.task_id) {
            *task = Arc::new(task.closed_as(wrong.state, at));
        } else if is_over_now(task, entry, (agency, meant)) {
            *task = Arc::new(task.closed_as(SUPERSEDED, at));
        }
    }
    Ok(())
}

/// What nobody of an agency holds any more, and is still to be done, is asked of the unit that is right now.
pub fn ask_right_unit(
    draft: &mut Draft<'_>,
    cause: &str,
    entry: &Arc<Entry>,
    left: &[Arc<HeldTask>],
    (agency, meant): (&Agency, &Meant),
) -> Result<(), StepError> {
    let wanted = left.iter().map(|task| passed_on(draft, None, task, entry, (agency, meant))).collect();
    draft.raise(None, &format!("{cause}\0{}", entry.event_id), &[], wanted).map(drop)
}

/// Whether whoever stood in has passed it on: they say so, or were told to ring whom they passed it on to.
pub fn has_rung(draft: &Draft<'_>, task: &HeldTask) -> bool {
    let is_ring_back = |word: &Arc<HeldTask>| {
        word.action == RING_FORMER.action
            && word.agency == task.agency
            && word.event_id == task.event_id
            && word.partner == task.partner
            && word.raised_at == task.state_at
    };
    task.chases.is_none()
        && !tells_of_another(task)
        && (task.state == "completed" || (task.state == RECALLED && draft.history.tasks.iter().any(is_ring_back)))
}

/// Units that were told of an event should never have been: it is looked into, and whoever passed it on to them rings them.
pub fn tell_of_mistake(
    draft: &mut Draft<'_>,
    cause: &str,
    entry: &Arc<Entry>,
    (told, rung): (&[Arc<HeldTask>], &[Arc<HeldTask>]),
) -> Result<(), StepError> {
    let shared: Vec<Arc<HeldTask>> = told.iter().chain(rung).cloned().collect();
    let mut words: Vec<Wanted<'_>> = breach(draft, RECALL.rule, entry, &shared)?.into_iter().collect();
    for task in rung {
        words.push(word_to_stand_in(draft, task, entry, &RING_BACK)?);
    }
    draft.raise(None, &format!("{cause}\0{}\0by mistake", entry.event_id), &[], words).map(drop)
}

/// A unit that was once told to stop, and is the right one after all, need not answer that any more.
fn is_over_now(task: &HeldTask, entry: &Entry, (agency, meant): (&Agency, &Meant)) -> bool {
    let Meant::Unit(unit) = meant else { return false };
    let told_to_stop = is_word_to_stop(task) && is_open(&task.state);
    told_to_stop && task.is_of(entry) && task.agency == agency.name && task.unit.as_ref() == Some(unit)
}

/// Whoever stood in was rightly told, and need only know that it is done.
fn word_to_stand_in<'w>(
    draft: &Draft<'_>,
    task: &HeldTask,
    entry: &Arc<Entry>,
    word: &Enough,
) -> Result<Wanted<'w>, StepError> {
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&word.clock)?;
    let own = raising.own_duty(READDRESSED_RULE, RECALL.title, word.why.to_owned(), word.action, due, entry);
    let address = Address::of_holder(task);
    let relation = match word.wants_answer {
        true => Relation::Follows(vec![task.task_id.clone()]),
        false => Relation::Word(task.task_id.clone()),
    };
    let notes = if word.wants_answer { vec![format!("What you passed on: {}.", task.action)] } else { Vec::new() };
    Ok(Wanted { address, relation, notes, ..own })
}

/// By when another unit had been asked.
pub fn as_first_asked(draft: &Draft<'_>, task: &HeldTask) -> Deadline {
    let late = task.due_at < draft.at;
    // What waits for no office waits for none after it is passed on, either.
    let by_the_hour = by_the_hour::clock_of(task);
    let counted = by_the_hour.map(|clock| match late {
        true => (Clock::Now, draft.at),
        false => (clock, task.clock_from.unwrap_or(task.raised_at)),
    });
    Deadline {
        at: task.due_at.max(draft.at),
        words: "as first asked of another unit".to_owned(),
        late,
        assumed: false,
        urgent: late || counted.is_some(),
        at_session: false,
        counted: counted.map(|(clock, from)| Counted { clock, from, school: None }),
    }
}

/// The same action by the same deadline, for the right unit.
pub(super) fn passed_on<'w>(
    draft: &Draft<'_>,
    referral: Option<&Referral>,
    task: &HeldTask,
    entry: &Arc<Entry>,
    (agency, meant): (&Agency, &Meant),
) -> Wanted<'w> {
    let (bases, minimum) = terms(draft, task, agency);
    let due = as_first_asked(draft, task);
    let why = if task.agency == agency.name {
        "It was first sent to another unit."
    } else {
        "It lay with another agency until it was known whose it is."
    };
    let raising = draft.raising(referral, "");
    // What names no child is understood by whoever holds something of the event already, and by nobody else.
    let holds = |unit: &String| {
        let mut held = draft.history.tasks.iter().filter(|held| held.is_of(entry));
        held.any(|held| held.agency == agency.name && held.unit.as_ref() == Some(unit))
    };
    let (address, notes) = match meant {
        Meant::Unit(unit) if referral.is_none() && !holds(unit) => {
            (raising.stand_in(agency, due.urgent_by()), vec![raising.note_of_unit(agency, unit)])
        }
        Meant::Unknown | Meant::Nobody => {
            let address = raising.stand_in(agency, due.urgent_by());
            let notes = raising.notes_in_place(&address, &task.action, entry);
            (address, notes)
        }
        Meant::Unit(unit) => {
            let role = task.role.clone();
            (Address { agency: agency.name.clone(), unit: Some(unit.clone()), role, in_place_of: None }, Vec::new())
        }
        Meant::Agency => {
            let unit = raising.single_unit(agency, due.urgent_by());
            (Address { agency: agency.name.clone(), unit, role: None, in_place_of: None }, Vec::new())
        }
        Meant::Unlisted(unit) => {
            let note = note_of_unlisted(agency, unit, &task.action);
            (raising.stand_in(agency, due.urgent_by()), vec![note])
        }
    };
    Wanted {
        address,
        action: task.action.clone(),
        due,
        acknowledge_by: None,
        rule: READDRESSED_RULE.to_owned(),
        title: "A task passed on to the right unit".to_owned(),
        why: Some(Why::Plain(why.to_owned())),
        bases,
        needs_agreement: task.needs_agreement.unwrap_or(false),
        minimum,
        entry: Arc::clone(entry),
        level: task.level,
        notes,
        own_duty: false,
        relation: Relation::Usual,
    }
}

/// The bases, and whether no more than the minimum is shown, by the rules that first asked it of the agency: a task that was
/// passed on before names them no more.
fn terms(draft: &Draft<'_>, task: &HeldTask, agency: &Agency) -> (Vec<String>, bool) {
    let book = draft.book;
    let is_theirs = |other: &&Arc<HeldTask>| {
        let of_agency = other.agency == agency.name || other.in_place_of.as_ref() == Some(&agency.name);
        of_agency || (other.task_id == task.task_id && stands_in(draft, other, agency))
    };
    let chain = draft.history.tasks.iter().filter(is_theirs).filter(|other| same_work(other, task));
    let rules = chain.flat_map(|other| &other.rules).filter_map(|id| book.rules.rule(id));
    let asked = rules.flat_map(|rule| &rule.tasks).filter(|asked| asked.action == task.action);
    let (mut bases, mut minimum) = (Vec::new(), None);
    for rule in asked {
        bases.extend(rule.bases.iter().cloned());
        minimum = Some(minimum.unwrap_or(true) && rule.minimum);
    }
    if bases.is_empty() {
        bases.push("P".to_owned());
    }
    (bases, minimum.unwrap_or(true))
}
