//! Which rules newly fire: for the entry at hand, and for earlier ones whose windows it falls into.

use std::sync::Arc;

use super::absences::search;
use super::draft::{Draft, own_duty_at};
use super::recall::WITHDRAWAL_RULE;
use crate::engine::context::StepError;
use crate::engine::decide::{Moment, Verdict, judge};
use crate::engine::facts::AsOf;
use crate::engine::history::agreement::{AGREEMENT_RECORDED, GIVEN, REACHES_BACK_MS, said};
use crate::engine::history::decisions::{DECISION, is_put_to_rest};
use crate::engine::history::known_as::are_two;
use crate::engine::history::{RECALLED, death, episodes, is_open, significant_harm};
use crate::engine::model::history::{Entry, HeldTask, History, said_by};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::{FactValue, Timestamp};
use crate::engine::rules::book::Rule;
use crate::engine::rules::catalogue::is_concern;
use crate::engine::rules::expression::Truth;
use crate::engine::tasks::Finding;

pub const STATUS: &str = "status.changed";
const MISSING_EDUCATION: &str = "education.missing";

/// Most earlier judgements looked at again for one newcomer, the newest first, of kinds that it may move: half of what a history
/// keeps. What is left out is said, and a person is asked to look.
const JUDGED_AGAIN_MAX: usize = 128;

const LEFT_OUT_RULE: &str = "not-judged-again";
const LEFT_OUT_TITLE: &str = "Too much was judged before to be judged again";
const LEFT_OUT_ACTION: &str =
    "Look through what was reported of the child before: it may weigh more by what is known now";

/// The rules that fired for an entry and are not among `done`.
pub fn findings_of<'a>(entry: &Arc<Entry>, verdict: &Arc<Verdict<'a>>, done: &[String]) -> Vec<Finding<'a>> {
    verdict
        .fired
        .iter()
        .filter(|rule| !done.contains(&rule.id))
        .map(|rule| Finding { entry: Arc::clone(entry), rule, verdict: Arc::clone(verdict), before: None })
        .collect()
}

/// The rules among `done` that ask something more of someone than they did `before`.
pub fn asking_more<'a>(
    draft: &Draft<'a>,
    referral: Option<&Referral>,
    entry: &Arc<Entry>,
    (before, after): (&Arc<Verdict<'a>>, &Arc<Verdict<'a>>),
    done: &[String],
) -> Result<Vec<Finding<'a>>, StepError> {
    let raising = draft.raising(referral, "");
    let mut asking = Vec::new();
    for rule in after.fired.iter().filter(|rule| done.contains(&rule.id)) {
        let (verdict, before) = (Arc::clone(after), Some(Arc::clone(before)));
        let finding = Finding { entry: Arc::clone(entry), rule, verdict, before };
        if raising.asks_anything(&finding)? {
            asking.push(finding);
        }
    }
    Ok(asking)
}

/// What newly fires for earlier entries because of a newcomer.
pub struct Again<'a> {
    pub findings: Vec<Finding<'a>>,
    /// How many earlier judgements it may change that were not looked at.
    pub left_out: usize,
}

/// Which earlier judgements an arriving entry can change, and what newly fires for them because of it, oldest first.
///
/// Each is judged with and without the newcomer, so that nothing but the newcomer's own effect is acted on.
pub fn judged_again<'a>(draft: &Draft<'a>, before: &History, newcomer: &Entry) -> Again<'a> {
    let day_start = draft.book.rules.calendar.window_start(newcomer.occurred_at, 0);
    let entries = draft.history.entries.iter().rev();
    let mut reached = entries.filter(|entry| reaches(draft, newcomer, day_start, entry));
    let mut looked_at: Vec<&Arc<Entry>> = reached.by_ref().take(JUDGED_AGAIN_MAX).collect();
    let left_out = reached.count();
    looked_at.reverse();
    let mut findings = Vec::new();
    // What the family refuses now, its own sender is asked to offer again: nobody is for what they had agreed to before.
    let refuses = said(newcomer).is_some_and(|state| state != GIVEN);
    for entry in looked_at {
        let as_of = if newcomer.kind == STATUS { as_it_stands(draft, entry) } else { AsOf::entry(entry) };
        let after = judge(draft.book, &draft.history, entry, as_of, Moment::Arrival).map(Arc::new);
        // A rule that has no level was put to rest with the event.
        let of_event = |rule: &Rule| rule.level.is_none() && opens_what_it_reads(draft, rule, newcomer);
        let level = |rule: &Rule| if of_event(rule) { entry.level } else { rule.level };
        let may_be_new = |rule: &Rule| !entry.fired.contains(&rule.id) || is_put_to_rest(before, entry, level(rule));
        let fires_anew = |verdict: &Verdict<'_>| verdict.fired.iter().any(|rule| may_be_new(rule));
        let may_ask = matches!(newcomer.kind.as_str(), AGREEMENT_RECORDED | STATUS);
        // Most newcomers change nothing of what was judged before: then there is nothing to tell apart.
        let Some(after) = after.filter(|after| may_ask || fires_anew(after)) else { continue };
        let Some(without) = judge(draft.book, before, entry, as_of, Moment::Arrival) else { continue };
        let is_new = |finding: &Finding<'a>| {
            let rule = finding.rule;
            let counts = !without.fires(&rule.id)
                || (opens_what_it_reads(draft, rule, newcomer) && entry.fired.contains(&rule.id));
            let is_answered = refuses && reads_agreement(draft, rule);
            // Whoever was told to stop, for a status that was taken back, is asked by another that is recorded since.
            let is_asked_anew =
                || newcomer.kind == STATUS && counts && is_recalled(draft, finding) && asks_anybody(draft, finding);
            let is_new = ((may_be_new(rule) || is_asked_anew()) && counts && !is_answered)
                || (newcomer.kind == AGREEMENT_RECORDED && is_agreed_newly(finding, &without));
            is_new && !is_put_off(draft, newcomer, finding)
        };
        findings.extend(findings_of(entry, &after, &[]).into_iter().filter(is_new));
    }
    Again { findings, left_out }
}

fn is_recalled(draft: &Draft<'_>, finding: &Finding<'_>) -> bool {
    let is_of_rule = |task: &&Arc<HeldTask>| task.is_of(&finding.entry) && task.rules.contains(&finding.rule.id);
    draft.history.tasks.iter().filter(is_of_rule).any(|task| task.state == RECALLED)
}

/// Whether anybody is to be given a task by a finding, who holds none of it.
fn asks_anybody<'a>(draft: &Draft<'a>, finding: &Finding<'a>) -> bool {
    let raised = draft.raising(None, "").raise(std::slice::from_ref(finding), Vec::new());
    raised.is_ok_and(|raised| !raised.tasks.is_empty())
}

/// What was not judged again is said, and the front door looks through it: once, until somebody did.
pub fn tell_left_out(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    newcomer: &Arc<Entry>,
    left_out: usize,
) -> Result<(), StepError> {
    if left_out == 0 {
        return Ok(());
    }
    draft.decision.notes.push(format!("{left_out} older entries that this may change were not judged again."));
    let mut held = draft.history.tasks.iter();
    if held.any(|task| is_open(&task.state) && task.rules.iter().any(|rule| rule == LEFT_OUT_RULE)) {
        return Ok(());
    }
    let raising = draft.raising(referral, cause);
    let due = raising.deadline_from_now(&own_duty_at(draft.history.case_level))?;
    let why = format!(
        "What came now may change what was judged before: the newest {JUDGED_AGAIN_MAX} were judged again, {left_out} older ones were not."
    );
    let own = raising.own_duty(LEFT_OUT_RULE, LEFT_OUT_TITLE, why, LEFT_OUT_ACTION, due, newcomer);
    draft.raise(referral, cause, &[], vec![own]).map(drop)
}

/// Whether a newcomer opens a plan or sets a flag that is among the reasons of a rule: it counts for itself, whatever else had made the
/// rule fire before.
fn opens_what_it_reads(draft: &Draft<'_>, rule: &Rule, newcomer: &Entry) -> bool {
    let is_open = newcomer.facts.get("open") == Some(&FactValue::Bool(true));
    let (Some(FactValue::Code(status)), true) = (newcomer.facts.get("status"), is_open && !newcomer.withdrawn) else {
        return false;
    };
    let reads = rule.when.iter().flat_map(|when| &when.reads);
    let names = &draft.book.rules.facts;
    newcomer.kind == STATUS
        && reads.map(|fact| names.name(*fact)).any(|name| name.strip_prefix("status.") == Some(status))
}

fn reads_agreement(draft: &Draft<'_>, rule: &Rule) -> bool {
    let agreement = draft.book.rules.facts.id("event.agreement");
    rule.when.iter().flat_map(|when| &when.reads).any(|fact| Some(*fact) == agreement)
}

/// Whether what a word on agreement had kept from beginning, which is taken back, waits for what is known of the child by now: significant harm
/// is suspected since the event was judged.
fn is_put_off(draft: &Draft<'_>, newcomer: &Entry, Finding { entry, rule, .. }: &Finding<'_>) -> bool {
    let is_suspected = || significant_harm::is_suspected(&draft.history, entry, draft.at);
    let is_service = rule.tasks.iter().any(|task| task.needs_agreement);
    let is_taken_back = newcomer.kind == AGREEMENT_RECORDED && newcomer.withdrawn;
    is_taken_back && is_service && draft.book.rules.waits_for_harm(rule) && is_suspected()
}

/// Whether a rule, though it fired before, asks for a service that nobody had agreed to until now. What else it asks is
/// held already, and is not asked again.
fn is_agreed_newly(finding: &Finding<'_>, without: &Verdict<'_>) -> bool {
    let fired_without = without.fires(&finding.rule.id);
    let mut services = finding.rule.tasks.iter().filter(|task| task.needs_agreement);
    services.any(|task| {
        task.applies(&finding.verdict.table) == Truth::True
            && !(fired_without && task.applies(&without.table) == Truth::True)
    })
}

/// A status that changes while a child is missing, absent or without education counts for what is going on.
pub fn as_it_stands(draft: &Draft<'_>, entry: &Entry) -> AsOf {
    let at_receipt = AsOf::entry(entry);
    if goes_on(draft, entry) { AsOf { statuses: draft.at, ..at_receipt } } else { at_receipt }
}

/// Since when nobody was looked for until now: a return and a notice of death that stood one after the other kept it from being asked since
/// the first of them came. `last`: the one that stood until now.
pub fn over_since(history: &History, last: &Entry) -> Timestamp {
    let is_notice = |entry: &Entry| death::is_notice(&Entry { withdrawn: false, ..entry.clone() });
    let kept = |entry: &&Arc<Entry>| {
        entry.withdrawn && (entry.kind == episodes::ENDED || is_notice(entry)) && !are_two(history, entry, last)
    };
    let mut kept: Vec<&Arc<Entry>> = history.entries.iter().filter(kept).collect();
    kept.sort_by_key(|entry| std::cmp::Reverse(entry.received_at));
    kept.into_iter().fold(last.received_at, |since, entry| {
        let reaches_it = stood_at(history, entry, since);
        if reaches_it { since.min(entry.received_at) } else { since }
    })
}

/// Whether what is withdrawn now stood at an instant, as far as is known: whoever was told to stop by its withdrawal was told when it stood
/// no longer.
pub fn stood_at(history: &History, withdrawn: &Entry, at: Timestamp) -> bool {
    let is_word =
        |task: &&Arc<HeldTask>| task.is_of(withdrawn) && task.rules.iter().any(|rule| rule == WITHDRAWAL_RULE);
    let until = history.tasks.iter().filter(is_word).map(|task| task.raised_at).max();
    until.is_none_or(|until| until >= at)
}

/// What an absence that goes on after all asks, and did not ask while it was taken to be over: what was reported of it or recorded then counts
/// from now on. `over`: as it stood then, since when.
pub fn asked_after_all<'a>(draft: &Draft<'a>, over: &History, since: Timestamp) -> Result<Vec<Finding<'a>>, StepError> {
    let is_absence = |entry: &&Arc<Entry>| episodes::is_report(entry);
    let on = |entry: &&Arc<Entry>| !entry.withdrawn && !entry.backfilled && goes_on(draft, entry);
    let (history, raising) = (&draft.history, draft.raising(None, ""));
    let mut findings = Vec::new();
    for absence in history.entries.iter().filter(is_absence).filter(on) {
        let stood = AsOf { statuses: AsOf::entry(absence).statuses.max(since), ..AsOf::entry(absence) };
        let judged = |history, as_of| judge(draft.book, history, absence, as_of, Moment::Arrival).map(Arc::new);
        let (Some(while_over), Some(gone_on)) = (judged(over, stood), judged(history, stood)) else { continue };
        let Some(after) = judged(history, as_it_stands(draft, absence)) else { continue };
        for rule in &after.fired {
            let is_told_as_over = absence.received_at >= since || was_told_as_over(draft, absence, rule);
            let before = Arc::clone(if is_told_as_over { &while_over } else { &gone_on });
            let is_new = !before.fires(&rule.id);
            let (entry, verdict) = (Arc::clone(absence), Arc::clone(&after));
            let finding = Finding { entry, rule, verdict, before: Some(before) };
            if is_new || raising.asks_anything(&finding)? {
                findings.push(finding);
            }
        }
    }
    Ok(findings)
}

/// Adds what is not among them yet.
pub fn add_new<'a>(findings: &mut Vec<Finding<'a>>, more: Vec<Finding<'a>>) {
    for new in more {
        if !findings.iter().any(|told| told.rule.id == new.rule.id && told.entry.is_same_event(&new.entry)) {
            findings.push(new);
        }
    }
}

/// Whether somebody heard by a rule that an absence was over: it was corrected then.
fn was_told_as_over(draft: &Draft<'_>, absence: &Entry, rule: &Rule) -> bool {
    let mut told = draft.history.tasks.iter().filter(|task| task.is_of(absence) && task.rules.contains(&rule.id));
    told.any(|task| search::says_it_is_over(&draft.book.rules, task))
}

/// How an entry was judged by what a status said: one that came while what it tells of went on counted for that.
pub fn as_it_stood(entry: &Entry, status: &Entry) -> AsOf {
    let at_receipt = AsOf::entry(entry);
    let lasts = matches!(entry.kind.as_str(), episodes::STARTED | episodes::REGRADED | MISSING_EDUCATION);
    let counted = status.kind == STATUS && lasts;
    if counted { AsOf { statuses: at_receipt.statuses.max(status.received_at), ..at_receipt } } else { at_receipt }
}

/// Whether what an event told of goes on: nobody says when a child is back in education, so that it does while somebody sees to it.
pub fn goes_on(draft: &Draft<'_>, entry: &Entry) -> bool {
    let (history, at) = (&draft.history, draft.at);
    match entry.kind.as_str() {
        episodes::STARTED | episodes::REGRADED => episodes::goes_on(history, entry, at),
        MISSING_EDUCATION => history.tasks.iter().any(|task| task.is_of(entry) && is_open(&task.state)),
        _ => false,
    }
}

/// Whether a newcomer may lie in a window of an earlier judgement, or change a status it read. `day_start`: of the London
/// date on which the newcomer happened.
fn reaches(draft: &Draft<'_>, newcomer: &Entry, day_start: Timestamp, entry: &Entry) -> bool {
    if entry.withdrawn || entry.backfilled || entry.is_same_event(newcomer) {
        return false;
    }
    let agreed_soon = || entry.received_at.plus_millis(REACHES_BACK_MS) >= newcomer.received_at;
    if newcomer.kind == AGREEMENT_RECORDED && entry.kind == DECISION {
        let last = draft.history.last_decision.as_ref();
        return last.is_some_and(|last| said_by(last.event_id.as_deref(), last.partner.as_deref(), entry))
            && agreed_soon();
    }
    if !is_concern(&entry.kind) || !draft.book.is_moved(&entry.kind, newcomer) {
        return false;
    }
    match newcomer.kind.as_str() {
        AGREEMENT_RECORDED => {
            let decided = draft.history.last_decision.as_ref().map(|decision| decision.at);
            decided.is_none_or(|at| entry.received_at > at) && agreed_soon()
        }
        STATUS => entry.received_at >= newcomer.occurred_at || goes_on(draft, entry),
        // What is so at receipt may have changed by them, too: whether the child is missing, whether the case was closed.
        DECISION | episodes::STARTED | episodes::REGRADED | episodes::ENDED => {
            entry.received_at >= newcomer.occurred_at || entry.occurred_at >= day_start
        }
        _ => entry.occurred_at >= day_start,
    }
}
