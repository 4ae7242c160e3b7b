//! Another authority is responsible for a child than was known: what goes on is theirs, the former one is told to stop, and what is
//! no other authority's any more is somebody's all the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::readdressed::{self, Meant, Wrong, pass_on, stands_in, waits};
use crate::engine::context::StepError;
use crate::engine::decide::{Moment, judge};
use crate::engine::facts::{AsOf, is_own_authority};
use crate::engine::history::{RECALLED, episodes, latest_status};
use crate::engine::model::detail::Detail;
use crate::engine::model::history::{Entry, HeldTask, History, Status, said_by};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::Timestamp;
use crate::engine::rules::book::{Agency, Rule, TaskRule, UnitKind};
use crate::engine::rules::expression::Truth;
use crate::engine::step::decisions::closed;
use crate::engine::step::draft::Draft;
use crate::engine::step::findings::{self, asking_more, findings_of};
use crate::engine::step::recall::{Recall, recalls};
use crate::engine::step::word::tells_of_another;
use crate::engine::tasks::route::placed_by;
use crate::engine::tasks::{Finding, READDRESSED, READDRESSED_RULE, TOLD_BY_MISTAKE};

/// Of an authority that was rightly told, for the child was theirs then; or wrongly, and another is responsible.
pub const NO_LONGER_THEIRS: Recall = Recall {
    rule: READDRESSED_RULE,
    title: "Another authority is responsible for the child now",
    why: "It is recorded that another authority has placed the child, and what you were asked is with them.",
    action: "Stop: another authority is responsible for the child now; ask before you keep or delete what you were told",
};
/// Of one that was told of a child whom no other authority has placed.
const NEVER_THEIRS: Recall = Recall {
    rule: READDRESSED_RULE,
    title: "You were told by mistake",
    why: "It was recorded that your authority has placed the child, and that was put right.",
    action: TOLD_BY_MISTAKE,
};
const COMPLETED: &str = "completed";

/// What is so of a task that somebody was told.
type Told<'t> = &'t dyn Fn(&HeldTask) -> bool;

/// What changed who is responsible, and how it stood before.
struct Change<'c> {
    referral: Option<&'c Referral>,
    cause: &'c str,
    before: &'c History,
    /// A status says who is responsible from now on: the former authority was rightly told. Where one is withdrawn or corrected, another
    /// was told that should not have been.
    is_rightly_told: bool,
}

/// Another authority placed the child than was known, or it is known now, or what said so no longer stands. `referral`: what names
/// the child; a withdrawal does not.
pub fn pass_to_responsible_authority(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    before: &History,
) -> Result<(), StepError> {
    let is_status = |referral: &Referral| matches!(&referral.event.detail, Detail::StatusChanged(_));
    let change = Change { referral, cause, before, is_rightly_told: referral.is_some_and(is_status) };
    tell_whom_it_had_named(draft, &change)?;
    let (history, at) = (&draft.history, draft.at);
    let now = placed_by(history, at);
    // A status that is said anew says who is responsible; what it leaves out is not said to be otherwise.
    let as_before =
        now == placed_by(before, at) && (change.is_rightly_told || is_away(history, at) == is_away(before, at));
    if as_before || (now.is_none() && change.is_rightly_told) {
        return Ok(());
    }
    // Whoever is told to stop by what goes on is not told it again by what is over.
    let is_over = |entry: &Arc<Entry>| episodes::back_at(&draft.history, entry).is_some();
    let (over, ahead): (Vec<Arc<Entry>>, Vec<Arc<Entry>>) = draft.history.entries.iter().cloned().partition(is_over);
    of_entries(draft, &change, ahead.iter().chain(&over))
}

fn of_entries<'e>(
    draft: &mut Draft<'_>,
    change: &Change<'_>,
    entries: impl Iterator<Item = &'e Arc<Entry>> + Clone,
) -> Result<(), StepError> {
    let now = placed_by(&draft.history, draft.at);
    for agency in authorities(draft) {
        let meant = meant(draft, agency, now.as_deref());
        for entry in entries.clone() {
            of_entry(draft, change, entry, (agency, &meant))?;
        }
    }
    Ok(())
}

fn authorities<'a>(draft: &Draft<'a>) -> impl Iterator<Item = &'a Agency> + use<'a> {
    draft.book.rules.agencies.values().filter(|agency| agency.units == UnitKind::Authority)
}

/// An absence goes on that was taken to be over since then: what was recorded meanwhile says who is responsible in it, too.
pub fn named_while_over(draft: &mut Draft<'_>, cause: &str, since: Timestamp) -> Result<(), StepError> {
    let history = &draft.history;
    let said = |status: &Status| {
        let by = |entry: &&Arc<Entry>| said_by(status.event_id.as_deref(), status.partner.as_deref(), entry);
        history.entries.iter().find(by).map_or(status.since, |entry| entry.received_at)
    };
    if !history.statuses.iter().any(|status| said(status) >= since) {
        return Ok(());
    }
    let mut before = history.clone();
    before.statuses.retain(|status| said(status) < since);
    let now = placed_by(history, draft.at);
    if now.is_none() || now == placed_by(&before, draft.at) {
        return Ok(());
    }
    let absences: Vec<Arc<Entry>> =
        history.entries.iter().filter(|entry| findings::goes_on(draft, entry)).cloned().collect();
    let change = Change { referral: None, cause, before: &before, is_rightly_told: true };
    of_entries(draft, &change, absences.iter())
}

/// A notice of death stands no longer: what had gone from one authority to another while it stood was held back from that one, and goes
/// to whichever is responsible now.
pub fn named_while_thought_dead(draft: &mut Draft<'_>, cause: &str, since: Timestamp) -> Result<(), StepError> {
    let now = placed_by(&draft.history, draft.at);
    for agency in authorities(draft) {
        let meant = meant(draft, agency, now.as_deref());
        if matches!(meant, Meant::Unknown | Meant::Nobody) {
            continue;
        }
        for entry in draft.history.entries.clone() {
            let is_left = |task: &&Arc<HeldTask>| {
                task.is_of(&entry)
                    && task.state == RECALLED
                    && task.state_at >= since
                    && task.chases.is_none()
                    && !tells_of_another(task)
                    && !closed::is_waited_for_no_more(&draft.history, &draft.book.rules, task)
                    && (task.agency == agency.name || stands_in(draft, task, agency))
            };
            let left: Vec<Arc<HeldTask>> = draft.history.tasks.iter().filter(is_left).cloned().collect();
            if !left.is_empty() && !entry.withdrawn && episodes::back_at(&draft.history, &entry).is_none() {
                readdressed::ask_right_unit(draft, cause, &entry, &left, (agency, &meant))?;
            }
        }
    }
    Ok(())
}

/// An authority that a status had named, and from when until when that said who is responsible.
struct Named {
    authority: String,
    since: Timestamp,
    until: Timestamp,
}

/// What had named an authority before another was recorded stands no longer. One that names the same still is enough.
fn named_wrongly(change: &Change<'_>, now: &History) -> Vec<Named> {
    let names = |status: &&Status| status.status == "lac" && status.placing_authority.is_some();
    let words =
        |history: &'_ History| history.statuses.iter().filter(|status| status.status == "lac").cloned().collect();
    let (before, now): (Vec<Status>, Vec<Status>) = (words(change.before), words(now));
    let stands = |authority: &String| {
        let mut named = now.iter().filter_map(|status| status.placing_authority.as_ref());
        named.any(|name| is_own_authority(Some(name), authority) || is_own_authority(Some(authority), name))
    };
    let followed = before.iter().zip(before.iter().skip(1));
    let gone = followed.filter(|(status, _)| names(status) && status.open).filter_map(|(status, next)| {
        let authority = status.placing_authority.clone().filter(|authority| !stands(authority))?;
        Some(Named { authority, since: status.since, until: next.since })
    });
    gone.collect()
}

/// A status is taken back, or corrected, after another authority was recorded: nothing else is asked by that, but whom it had named
/// should never have been told.
fn tell_whom_it_had_named(draft: &mut Draft<'_>, change: &Change<'_>) -> Result<(), StepError> {
    let named = if change.is_rightly_told { Vec::new() } else { named_wrongly(change, &draft.history) };
    let own = draft.book.rules.authority.as_deref();
    let named: Vec<Named> = named.into_iter().filter(|named| !is_own_authority(own, &named.authority)).collect();
    for agency in authorities(draft).filter(|_| !named.is_empty()) {
        let unit_of = |named: &Named| draft.book.rules.directory.unit_named(agency, &named.authority);
        let units: BTreeSet<String> = named.iter().filter_map(unit_of).collect();
        let mut told_by_mistake = Vec::new();
        for entry in draft.history.entries.clone() {
            let is_told = |task: &&Arc<HeldTask>| {
                let is_theirs =
                    task.agency == agency.name && task.unit.as_ref().is_some_and(|unit| units.contains(unit));
                is_theirs && task.chases.is_none() && !tells_of_another(task) && task.state != READDRESSED
            };
            let is_rung = |task: &&Arc<HeldTask>| {
                let by_name = |named: &Named| named.since <= task.state_at && named.until > task.raised_at;
                stands_in(draft, task, agency) && readdressed::has_rung(draft, task) && named.iter().any(by_name)
            };
            let of_entry: Vec<Arc<HeldTask>> =
                draft.history.tasks.iter().filter(|task| task.is_of(&entry)).cloned().collect();
            let told: Vec<Arc<HeldTask>> = of_entry.iter().filter(is_told).cloned().collect();
            let rung: Vec<Arc<HeldTask>> = of_entry.iter().filter(is_rung).cloned().collect();
            if entry.withdrawn || (told.is_empty() && rung.is_empty()) {
                continue;
            }
            readdressed::tell_of_mistake(draft, change.cause, &entry, (&told, &rung))?;
            end(draft, &rung);
            told_by_mistake.extend(told.into_iter().map(|task| (Arc::clone(&entry), task)));
        }
        recall_each_unit(draft, change.cause, &told_by_mistake)?;
    }
    Ok(())
}

/// Each unit hears once, of whatever events it was told.
fn recall_each_unit(draft: &mut Draft<'_>, cause: &str, told: &[(Arc<Entry>, Arc<HeldTask>)]) -> Result<(), StepError> {
    let units: BTreeSet<&Option<String>> = told.iter().map(|(_, task)| &task.unit).collect();
    for unit in units {
        let theirs = || told.iter().filter(|(_, task)| task.unit == *unit);
        let Some((latest, _)) = theirs().next_back() else { continue };
        let held: Vec<Arc<HeldTask>> = theirs().map(|(_, task)| Arc::clone(task)).collect();
        let recalled = recalls(draft, &NEVER_THEIRS, latest, &held)?;
        draft.raise(None, &format!("{cause}\0{}\0never theirs", latest.event_id), &[], recalled)?;
        end(draft, &held);
    }
    Ok(())
}

/// Whose the child is by what is recorded now. The book's own authority is no other: then another is asked only as host.
fn meant(draft: &Draft<'_>, agency: &Agency, now: Option<&str>) -> Meant {
    let rules = &draft.book.rules;
    match now.filter(|now| !is_own_authority(rules.authority.as_deref(), now)) {
        Some(other) => rules.directory.unit_named(agency, other).map_or(Meant::Unlisted(other.to_owned()), Meant::Unit),
        None if is_away(&draft.history, draft.at) => Meant::Unknown,
        None => Meant::Nobody,
    }
}

/// What another authority holds for one event, or whoever stands in for it.
fn of_entry(
    draft: &mut Draft<'_>,
    change: &Change<'_>,
    entry: &Arc<Entry>,
    (agency, meant): (&Agency, &Meant),
) -> Result<(), StepError> {
    if !draft.history.tasks.iter().any(|task| task.is_of(entry)) {
        return Ok(());
    }
    // Judged anew only where that says what goes on.
    let asked = match meant {
        Meant::Unknown => asked_now(draft, entry, agency),
        Meant::Unit(_) | Meant::Unlisted(_) | Meant::Agency | Meant::Nobody => BTreeSet::new(),
    };
    let closed: BTreeSet<String> = closed_since(draft, entry);
    let goes_on = |task: &HeldTask| match meant {
        _ if closed.contains(&task.task_id) => false,
        Meant::Unit(_) | Meant::Unlisted(_) | Meant::Agency => true,
        Meant::Unknown => asked.contains(task.action.as_str()),
        Meant::Nobody => false,
    };
    let placed_at = placed_since(draft, agency);
    let wrong_since = latest_status(change.before, "lac", draft.at).map(|wrong| wrong.since);
    let by_mistake = |task: &HeldTask| {
        let since = if task.agency == agency.name { placed_at } else { wrong_since };
        !change.is_rightly_told && !is_from_before(task, since)
    };
    let went_to_former = |task: &HeldTask| went_to_former(draft, change, task, (agency, meant));
    let held = held_by_former(draft, entry, (agency, meant), (&goes_on, &by_mistake, &went_to_former));
    let passed_on_before: BTreeSet<String> =
        held.iter().filter(|task| went_to_former(task)).map(|task| task.task_id.clone()).collect();
    let (told, held): (Vec<Arc<HeldTask>>, Vec<Arc<HeldTask>>) = held
        .into_iter()
        .partition(|task| episodes::back_at(&draft.history, entry).is_some() && is_told_to_stop(draft, task));
    end(draft, &told);
    if held.is_empty() {
        return Ok(());
    }
    // Of our own child another authority than the one that was told is responsible.
    let is_nobodys = placed_by(&draft.history, draft.at).is_none();
    let stop = if is_nobodys && !change.is_rightly_told { &NEVER_THEIRS } else { &NO_LONGER_THEIRS };
    // Whom a status names may be the former again: nothing is passed on from them then.
    let went_to_former = |task: &HeldTask| passed_on_before.contains(&task.task_id);
    let wrong = Wrong {
        held: &held,
        goes_on: &goes_on,
        stop,
        by_mistake: &by_mistake,
        went_to_former: &went_to_former,
        state: RECALLED,
    };
    pass_on(draft, (change.referral, change.cause), entry, &wrong, (agency, meant))?;
    let ended: Vec<&Arc<HeldTask>> =
        held.iter().filter(|task| !goes_on(task) && !closed.contains(&task.task_id)).collect();
    ask_instead(draft, change, entry, &ended)
}

/// What was done, and the search is over or the case closed: nobody else need hear of it.
fn closed_since(draft: &Draft<'_>, entry: &Entry) -> BTreeSet<String> {
    let (history, rules) = (&draft.history, &draft.book.rules);
    let is_back = episodes::back_at(history, entry).is_some();
    let is_over = |task: &&Arc<HeldTask>| {
        is_back || (task.state == COMPLETED && closed::is_waited_for_no_more(history, rules, task))
    };
    let of_event = history.tasks.iter().filter(|task| task.is_of(entry));
    of_event.filter(is_over).map(|task| task.task_id.clone()).collect()
}

/// What the rules ask of an agency for an event as things stand.
fn asked_now<'a>(draft: &Draft<'a>, entry: &Arc<Entry>, agency: &Agency) -> BTreeSet<&'a str> {
    let book = draft.book;
    let as_of = AsOf { statuses: draft.at, ..AsOf::entry(entry) };
    let arrival = judge(book, &draft.history, entry, as_of, Moment::Arrival);
    let has_clock = |id: &&String| book.rules.rule(id).is_some_and(|rule| rule.timer.is_some());
    let by_clock = entry.fired.iter().filter(has_clock).filter_map(|id| {
        let verdict = judge(book, &draft.history, entry, AsOf::instant(draft.at), Moment::Timer(id))?;
        verdict.fires(id).then_some(verdict)
    });
    let mut asked = BTreeSet::new();
    for verdict in arrival.into_iter().chain(by_clock) {
        let tasks = verdict.fired.iter().flat_map(|rule| &rule.tasks);
        let applies = |task: &&TaskRule| task.applies(&verdict.table) == Truth::True;
        let of_agency = |task: &&TaskRule| task.to.iter().any(|to| to.agency == agency.name);
        asked.extend(tasks.filter(of_agency).filter(applies).map(|task| task.action.as_str()));
    }
    asked
}

/// What goes on, and lies with another authority than the one that is meant; and what one was told by mistake, though it is done. Nobody
/// need know of a search that is over.
fn held_by_former(
    draft: &Draft<'_>,
    entry: &Entry,
    (agency, meant): (&Agency, &Meant),
    (goes_on, by_mistake, went_to_former): (Told<'_>, Told<'_>, Told<'_>),
) -> Vec<Arc<HeldTask>> {
    let is_back = episodes::back_at(&draft.history, entry).is_some();
    let absence_goes_on = findings::goes_on(draft, entry);
    let unit = match meant {
        Meant::Unit(unit) => Some(unit),
        Meant::Agency | Meant::Unlisted(_) | Meant::Unknown | Meant::Nobody => None,
    };
    let is_former = |task: &&Arc<HeldTask>| {
        let is_elsewhere = task.agency == agency.name && (unit.is_none() || task.unit.as_ref() != unit);
        let is_done = task.state == COMPLETED && task.chases.is_none() && !tells_of_another(task);
        let was_told = is_done && (absence_goes_on || by_mistake(task));
        // Who is to find out the unit goes on, unless it is known now, or there is none.
        let is_found = || unit.is_some() || !goes_on(task) || (is_done && (by_mistake(task) || went_to_former(task)));
        let finds_out = || is_found() && stands_in(draft, task, agency);
        let counts = !is_back || by_mistake(task);
        task.is_of(entry)
            && !draft.is_raised_now(task)
            && (waits(task) || was_told)
            && counts
            && (is_elsewhere || finds_out())
    };
    draft.history.tasks.iter().filter(is_former).cloned().collect()
}

/// Whether it was passed on to an authority that is in no directory, and another is responsible now: they can be told by whoever rang them
/// alone.
fn went_to_former(draft: &Draft<'_>, change: &Change<'_>, task: &HeldTask, (agency, meant): (&Agency, &Meant)) -> bool {
    if task.state != COMPLETED || !change.is_rightly_told || !stands_in(draft, task, agency) {
        return false;
    }
    let rules = &draft.book.rules;
    let is_other = |name: &String| !is_own_authority(rules.authority.as_deref(), name);
    let Some(former) = placed_by(change.before, task.state_at).filter(is_other) else { return false };
    match meant {
        Meant::Unit(unit) => rules.directory.unit_named(agency, &former).as_ref() != Some(unit),
        Meant::Unlisted(name) => !is_own_authority(Some(name), &former) && !is_own_authority(Some(&former), name),
        Meant::Agency | Meant::Unknown | Meant::Nobody => true,
    }
}

/// What is over, and its holder is told to stop anyway, done or not.
fn end(draft: &mut Draft<'_>, told: &[Arc<HeldTask>]) {
    let at = draft.at;
    for task in &mut draft.history.tasks {
        if told.iter().any(|told| told.task_id == task.task_id) {
            *task = Arc::new(task.closed_as(RECALLED, at));
        }
    }
}

/// Whether its holder is told to stop by the record at hand already.
fn is_told_to_stop(draft: &Draft<'_>, task: &HeldTask) -> bool {
    let mut raised = draft.decision.tasks.iter();
    raised.any(|stop| {
        let is_stop = [NO_LONGER_THEIRS.action, NEVER_THEIRS.action].contains(&stop.action.as_str());
        is_stop && stop.agency == task.agency && stop.unit == task.unit
    })
}

/// What must be done by somebody, and is no other authority's any more, is asked of whoever the rules name for it now: an interview.
fn ask_instead(
    draft: &mut Draft<'_>,
    change: &Change<'_>,
    entry: &Arc<Entry>,
    ended: &[&Arc<HeldTask>],
) -> Result<(), StepError> {
    let rules = &draft.book.rules;
    let asked = rules.rules.iter().flat_map(|rule| &rule.tasks).filter(|task| task.completed_by_due);
    let was_asked = |task: &&TaskRule| ended.iter().any(|ended| ended.action == task.action);
    let done_by: BTreeSet<&str> = asked.filter(was_asked).flat_map(|task| task.settled_by.iter().copied()).collect();
    let as_of = AsOf { statuses: draft.at, ..AsOf::entry(entry) };
    let judged = |history: &History| judge(draft.book, history, entry, as_of, Moment::Arrival).map(Arc::new);
    let (Some(before), Some(after)) = (judged(change.before), judged(&draft.history)) else { return Ok(()) };
    if done_by.is_empty() {
        return Ok(());
    }
    let must_be_done = |rule: &Rule| {
        let mut asked = rule.tasks.iter().filter(|task| task.applies(&after.table) == Truth::True);
        asked.any(|task| task.completed_by_due && task.settled_by.iter().any(|kind| done_by.contains(kind)))
    };
    let mut findings: Vec<Finding<'_>> = findings_of(entry, &after, &entry.fired);
    findings.extend(asking_more(draft, change.referral, entry, (&before, &after), &entry.fired)?);
    findings.retain(|finding| must_be_done(finding.rule));
    let cause = format!("{}\0instead\0{}", change.cause, entry.event_id);
    draft.raise(change.referral, &cause, &findings, Vec::new()).map(drop)
}

/// Whether the child is placed across a border, as far as is recorded.
fn is_away(history: &History, at: Timestamp) -> bool {
    latest_status(history, "lac", at).is_some_and(|lac| lac.open && lac.out_of_area == Some(true))
}

/// Since when the child is placed as they are.
fn placed_since(draft: &Draft<'_>, agency: &Agency) -> Option<Timestamp> {
    let placed = latest_status(&draft.history, "lac", draft.at).filter(|_| agency.units == UnitKind::Authority);
    placed.map(|placed| placed.since)
}

fn is_from_before(task: &HeldTask, placed_at: Option<Timestamp>) -> bool {
    placed_at.is_some_and(|placed_at| task.raised_at < placed_at)
}

/// Whether what an authority was asked is from before the child was placed as they are: it was theirs then.
pub fn was_theirs(draft: &Draft<'_>, agency: &Agency, task: &HeldTask) -> bool {
    is_from_before(task, placed_since(draft, agency))
}
