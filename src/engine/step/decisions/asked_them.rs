//! A referral says that the family refuses help, and a service that they had agreed to runs on: whoever gives it asks them, once, and as soon as
//! they may; and does not, once nobody says it any more.

use std::sync::Arc;

use super::by_agreement::Standing;
use super::reconcile::{Held, is_shut, services};
use super::services::{is_same_holder, is_under_way, waits_on, waits_still};
use super::told::{ASK_ACTION, is_asking, put};
use crate::engine::context::StepError;
use crate::engine::history::agreement::{GIVEN, REFUSED, is_unsafe, said, settled_by};
use crate::engine::history::{RECALLED, death, decisions, is_held_still, is_open};
use crate::engine::model::codes::AgreementState;
use crate::engine::model::decision::{Disposition, Trigger};
use crate::engine::model::event::Source;
use crate::engine::model::history::{Entry, HeldTask, History, Told};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::Timestamp;
use crate::engine::step::draft::{Draft, OWN_DUTY};
use crate::engine::step::recall::is_senders_own;
use crate::engine::step::word::{Word, tell_each};
use crate::engine::tasks::asking::AGREEMENT_RULE;
use crate::engine::tasks::route::Address;

const ASK: Word = Word {
    rule: AGREEMENT_RULE,
    title: "The family is said to refuse help",
    why: "Another referral says that the family refuses help. That they had agreed to this service is not said to be taken back.",
    action: ASK_ACTION,
    wants_answer: true,
};
const REFUSAL_WITHDRAWN: Word = Word {
    title: "The referral that said that the family refuses help was withdrawn",
    why: "You were told that another referral says that the family refuses help: its sender has withdrawn it. If you have asked them already, \
        ring the front door.",
    action: "Do not ask the family because of that referral: it was withdrawn; do not use what you were told of it",
    ..ASK
};
/// Of two records that were counted together, the other says it.
const REFUSAL_OF_ANOTHER: Word = Word {
    title: "The referral that said that the family refuses help was about another child",
    why: "You were told that another referral says that the family refuses help: it was about another child. If you have asked them already, \
        ring the front door.",
    action: "Do not ask the family because of that referral: it was about another child; do not use what you were told of it",
    ..ASK
};
const REFUSAL_CORRECTED: Word = Word {
    title: "The referral that said that the family refuses help was corrected",
    why: "You were told that another referral says that the family refuses help: its sender has corrected that. If you have asked them already, \
        ring the front door.",
    action: "Do not ask the family because of that referral: it was corrected, and does not say that they refuse",
    ..ASK
};

/// When a step ends, too: what came while nobody was to be sent to the family (social care acted, a death was notified, asking was unsafe, a route
/// was shut) is told once they may be; and what was told, and is said no longer, is taken back.
pub fn when_step_ends(draft: &mut Draft<'_>) -> Result<(), StepError> {
    // Most children are given no service by agreement.
    let mut tasks = draft.history.tasks.iter();
    let is_to_tell = !matches!(draft.decision.disposition, Disposition::Backfilled | Disposition::Retransmission);
    if !is_to_tell || !tasks.any(|task| task.needs_agreement == Some(true)) {
        return Ok(());
    }
    let cause = draft.decision.decision_id.clone();
    settle(draft, &cause, None)
}

/// `referral`: what says so now, which may be a report that is kept beside another.
pub fn settle(draft: &mut Draft<'_>, cause: &str, referral: Option<&Referral>) -> Result<(), StepError> {
    let says_so = |referral: &&Referral| {
        let said = referral.event.agreement.as_ref().and_then(|said| said.state);
        said == Some(AgreementState::Refused) && !referral.event.backfill
    };
    let now = referral.filter(says_so).map(|referral| (draft.at, referral.event.source.clone()));
    // What a person knew who closed the case is told to nobody.
    let closed_at = decisions::last_closed(&draft.history);
    let last = refusal(&draft.history).filter(|entry| !entry.backfilled && Some(entry.received_at) > closed_at);
    let last = last.map(|entry| (entry.received_at, entry.source.clone()));
    if let Some((at, source)) = now.or(last) {
        ask(draft, cause, at, &source)?;
    }
    take_back(draft, cause)
}

/// The referral that says last that they refuse, where none has said otherwise since.
fn refusal(history: &History) -> Option<&Arc<Entry>> {
    settled_by(history).filter(|entry| said(entry) == Some(REFUSED))
}

/// Not those who say it, nor those who ring the front door first, nor of the family of a child who has died, nor while asking is unsafe.
fn ask(draft: &mut Draft<'_>, cause: &str, refused_at: Timestamp, by: &Source) -> Result<(), StepError> {
    let history = &draft.history;
    let is_to_ask = |held: &Held<'_>| {
        let task = held.task;
        let says_so =
            held.standing == Standing::SaidToRefuse || (held.standing == Standing::GoesOn && refused_at == draft.at);
        says_so
            && (is_open(&task.state) || is_under_way(history, task, refused_at))
            && !draft.is_raised_now(task)
            && (is_held_still(refused_at, draft.at) || was_kept(draft, task))
            && was_asked(draft, held).is_none()
            && !is_senders_own(&draft.book.rules, by, task)
            && !waits_still(draft, task)
            && !death::overtook(history, task)
            && !is_shut(draft, &Address::of_holder(task))
    };
    let asked: Vec<Arc<HeldTask>> = services(draft).filter(is_to_ask).map(|held| Arc::clone(held.task)).collect();
    put(draft, &asked, None, Some(Standing::SaidToRefuse));
    tell_each(draft, &format!("{cause}\0refused"), &asked, &ASK, &OWN_DUTY)
}

/// What its holder was told of a refusal, where the family was not said, or recorded, to agree since.
fn was_asked(draft: &Draft<'_>, held: &Held<'_>) -> Option<Told> {
    let told = held.told(draft).filter(|told| told.what == Standing::SaidToRefuse.symbol())?;
    let history = &draft.history;
    let recorded = history.agreement.as_ref().filter(|standing| standing.state == GIVEN).map(|standing| standing.at);
    let agrees = |entry: &&Arc<Entry>| !entry.withdrawn && !entry.backfilled && said(entry) == Some(GIVEN);
    let mut agreed = history.entries.iter().filter(agrees).map(|entry| entry.received_at).chain(recorded);
    (!agreed.any(|at| at > told.at)).then_some(told)
}

/// Whether its holder was told nothing of a refusal until this step, for nobody was to be sent to the family: that may have lasted long.
fn was_kept(draft: &Draft<'_>, task: &HeldTask) -> bool {
    draft.sides().any(|side| is_unsafe(side, None) || waits_on(side) || death::overtook(side, task))
}

/// Once none says it any more, whoever was told so does not ask them by that.
fn take_back(draft: &mut Draft<'_>, cause: &str) -> Result<(), StepError> {
    // A report that was told as it came is kept beside another's.
    let is_said = |known: &History, told: &Told| {
        let by_report = |entry: &Arc<Entry>| {
            !entry.withdrawn && entry.corroborated_by.iter().any(|report| report.received_at == told.at)
        };
        refusal(known).is_some() || known.entries.iter().any(by_report)
    };
    let is_over = |held: &Held<'_>| {
        let told = was_asked(draft, held).filter(|told| !is_said(&draft.history, told));
        told.is_some_and(|told| draft.sides().any(|side| is_said(side, &told)))
    };
    // Most were never told so: then there is nothing to look up.
    let was_told =
        |task: &HeldTask| task.told.as_ref().is_some_and(|told| told.what == Standing::SaidToRefuse.symbol());
    if !draft.history.tasks.iter().any(|task| was_told(task) || is_asking(task)) {
        return Ok(());
    }
    let mut word = &REFUSAL_CORRECTED;
    let mut over = Vec::new();
    for held in services(draft).filter(is_over) {
        word = held.told(draft).map_or(word, |told| why_over(draft, &told));
        over.push(Arc::clone(held.task));
    }
    put(draft, &over, None, None);
    let (at, rules) = (draft.at, &draft.book.rules);
    for word in draft.history.tasks.iter_mut().filter(|word| is_asking(word)) {
        if over.iter().any(|task| is_same_holder(rules, word, task)) {
            *word = Arc::new(word.closed_as(RECALLED, at));
        }
    }
    tell_each(draft, &format!("{cause}\0refusal over"), &over, word, &OWN_DUTY)
}

fn why_over(draft: &Draft<'_>, told: &Told) -> &'static Word {
    let is_withdrawn = |entry: &Arc<Entry>| {
        let was_said = said(entry) == Some(REFUSED) && entry.received_at <= told.at;
        (entry.withdrawn && (was_said || entry.was_reported_at(told.at)))
            || entry.taken_back.iter().any(|report| report.received_at == told.at)
    };
    if draft.history.entries.iter().any(is_withdrawn) {
        &REFUSAL_WITHDRAWN
    } else if draft.decision.trigger == Trigger::Signal {
        &REFUSAL_OF_ANOTHER
    } else {
        &REFUSAL_CORRECTED
    }
}
