//! A referral says that the family refuses help, and a service that they had agreed to runs on: whoever gives it asks them, once, and as soon as
//! they may.

use std::sync::Arc;

use super::by_agreement::needs_agreement;
use super::services::{is_same_holder, is_under_way, waits_on, waits_still};
use crate::engine::context::StepError;
use crate::engine::history::agreement::{GIVEN, REFUSED, is_unsafe, said};
use crate::engine::history::{RECALLED, death, decisions, is_held_still, is_open};
use crate::engine::model::codes::AgreementState;
use crate::engine::model::decision::Disposition;
use crate::engine::model::event::Source;
use crate::engine::model::history::{Entry, HeldTask, History};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::Timestamp;
use crate::engine::step::draft::{Draft, OWN_DUTY};
use crate::engine::step::recall::is_senders_own;
use crate::engine::step::word::{Word, tell_each};
use crate::engine::tasks::asking::AGREEMENT_RULE;

const SAID_TO_REFUSE: Word = Word {
    rule: AGREEMENT_RULE,
    title: "The family is said to refuse help",
    why: "Another referral says that the family refuses help. That they had agreed to this service is not said to be taken back.",
    action: "Ask the family whether they still want this service: a later referral says that they refuse help",
    wants_answer: true,
};
const REFUSAL_WITHDRAWN: Word = Word {
    title: "The referral that said that the family refuses help was withdrawn",
    why: "You were told that another referral says that the family refuses help: its sender has withdrawn it. If you have asked them already, \
        ring the front door.",
    action: "Do not ask the family because of that referral: it was withdrawn; do not use what you were told of it",
    ..SAID_TO_REFUSE
};

/// Of two records that were counted together, the other says it.
const REFUSAL_OF_ANOTHER: Word = Word {
    title: "The referral that said that the family refuses help was about another child",
    why: "You were told that another referral says that the family refuses help: it was about another child. If you have asked them already, \
        ring the front door.",
    action: "Do not ask the family because of that referral: it was about another child; do not use what you were told of it",
    ..SAID_TO_REFUSE
};

/// Who says that the family refuses, and when that came; None: just now.
type Said = (Option<Timestamp>, Source);

/// What an event, a report of it or a correction says.
pub fn tell(draft: &mut Draft<'_>, referral: &Referral) -> Result<(), StepError> {
    let event = &referral.event;
    let said = event.agreement.as_ref().and_then(|said| said.state);
    if said != Some(AgreementState::Refused) || event.backfill {
        return Ok(());
    }
    tell_of(draft, &event.event_id, &[(None, event.source.clone())])
}

/// When a step ends: what came while nobody was to be sent to the family (social care acted, a death was notified, asking was unsafe) is told
/// once they may be. Not what came before a person closed the case.
pub fn tell_what_was_kept(draft: &mut Draft<'_>) -> Result<(), StepError> {
    // Most children are given no service by agreement.
    let mut tasks = draft.history.tasks.iter();
    let is_to_tell = !matches!(draft.decision.disposition, Disposition::Backfilled | Disposition::Retransmission);
    if !is_to_tell || !tasks.any(|task| task.needs_agreement == Some(true)) {
        return Ok(());
    }
    let closed_at = decisions::last_closed(&draft.history);
    let is_to_be_told = |entry: &&Arc<Entry>| says_so(entry) && Some(entry.received_at) > closed_at;
    let said = draft.history.entries.iter().filter(is_to_be_told);
    let said: Vec<Said> = said.map(|entry| (Some(entry.received_at), entry.source.clone())).collect();
    if said.is_empty() {
        return Ok(());
    }
    let cause = draft.decision.decision_id.clone();
    tell_of(draft, &cause, &said)
}

fn says_so(entry: &Entry) -> bool {
    !entry.withdrawn && !entry.backfilled && said(entry) == Some(REFUSED)
}

/// Not those who said it, nor those who ring the front door first, nor of the family of a child who has died.
fn tell_of(draft: &mut Draft<'_>, cause: &str, said: &[Said]) -> Result<(), StepError> {
    let (history, rules) = (&draft.history, &draft.book.rules);
    if is_unsafe(history, None) {
        return Ok(());
    }
    let agreed_at = agreed_at(history);
    let since = |task: &HeldTask| agreed_at.max(Some(task.raised_at));
    let is_said_of = |task: &HeldTask| {
        let is_since = |at: &Option<Timestamp>| at.is_none() || *at > since(task);
        let is_news = |at: &Timestamp| is_held_still(*at, draft.at) || was_kept(draft, task);
        let runs = |at: Timestamp| is_open(&task.state) || is_under_way(history, task, at);
        let is_told = |at: &Option<Timestamp>| is_since(at) && at.as_ref().is_none_or(is_news);
        let is_anothers = |source: &Source| !is_senders_own(rules, source, task);
        said.iter().any(|(at, source)| is_told(at) && is_anothers(source) && runs(at.unwrap_or(draft.at)))
    };
    let heard = |task: &HeldTask| {
        let mut words = history.tasks.iter().filter(|word| is_word_of_refusal(word));
        words.any(|word| is_same_holder(rules, word, task) && Some(word.raised_at) >= since(task))
    };
    let is_told = |task: &&Arc<HeldTask>| {
        task.chases.is_none()
            && needs_agreement(rules, task)
            && !draft.is_raised_now(task)
            && is_said_of(task)
            && !waits_still(draft, task)
            && !death::overtook(history, task)
            && !heard(task)
    };
    let held: Vec<Arc<HeldTask>> = history.tasks.iter().filter(is_told).cloned().collect();
    tell_each(draft, &format!("{cause}\0refused"), &held, &SAID_TO_REFUSE, &OWN_DUTY)
}

/// Whether its holder was told nothing of a refusal until this step, for nobody was to be sent to the family: that may have lasted long.
fn was_kept(draft: &Draft<'_>, task: &HeldTask) -> bool {
    draft.sides().any(|side| is_unsafe(side, None) || waits_on(side) || death::overtook(side, task))
}

/// When the family was last said, or recorded, to agree.
fn agreed_at(history: &History) -> Option<Timestamp> {
    agreed_until(history, None)
}

/// The same, by what had come until then.
fn agreed_until(history: &History, until: Option<Timestamp>) -> Option<Timestamp> {
    let had_come = |at: &Timestamp| until.is_none_or(|until| *at <= until);
    let recorded = history.agreement.as_ref().filter(|standing| standing.state == GIVEN).map(|standing| standing.at);
    let agrees = |entry: &&Arc<Entry>| !entry.withdrawn && !entry.backfilled && said(entry) == Some(GIVEN);
    let said = history.entries.iter().filter(agrees).map(|entry| entry.received_at);
    recorded.into_iter().chain(said).filter(had_come).max()
}

/// Who was told by this event, or by a report of it, that the family is said to refuse, and by no other that stands.
pub fn told_by(draft: &Draft<'_>, entry: &Entry) -> Vec<Arc<HeldTask>> {
    let history = &draft.history;
    let others = |word: &HeldTask| history.entries.iter().any(|other| !other.withdrawn && told(draft, other, word));
    let by = |word: &&Arc<HeldTask>| is_word_of_refusal(word) && told(draft, entry, word) && !others(word);
    history.tasks.iter().filter(by).cloned().collect()
}

/// Whether a word told what an event says, or a report of it: that had come by then, and they had not agreed since.
fn told(draft: &Draft<'_>, entry: &Entry, word: &HeldTask) -> bool {
    let (history, told_at) = (&draft.history, word.raised_at);
    let says_so = said(entry) == Some(REFUSED)
        && entry.received_at <= told_at
        && Some(entry.received_at) > agreed_until(history, Some(told_at));
    let by_report = || entry.corroborated_by.iter().any(|report| report.received_at == told_at);
    !entry.backfilled && !is_senders_own(&draft.book.rules, &entry.source, word) && (says_so || by_report())
}

/// A word of a refusal that was not taken back.
fn is_word_of_refusal(task: &HeldTask) -> bool {
    task.action == SAID_TO_REFUSE.action && task.state != RECALLED
}

/// A referral that said that the family refuses is withdrawn, or turns out to be another child's: once none says it any more, whoever was told so
/// does not ask them by that.
pub fn taken_back(draft: &mut Draft<'_>, cause: &str, before: &History) -> Result<(), StepError> {
    let history = &draft.history;
    let since = |entry: &Entry, word: &HeldTask| says_so(entry) && entry.received_at >= word.raised_at;
    let is_said = |known: &History, word: &HeldTask| {
        known.entries.iter().any(|entry| !entry.withdrawn && (told(draft, entry, word) || since(entry, word)))
    };
    let is_over = |word: &&Arc<HeldTask>| is_word_of_refusal(word) && is_said(before, word) && !is_said(history, word);
    let over: Vec<Arc<HeldTask>> = history.tasks.iter().filter(is_over).cloned().collect();
    let was_withdrawn =
        |word: &HeldTask| history.entries.iter().any(|entry| entry.withdrawn && told(draft, entry, word));
    let (withdrawn, of_another): (Vec<_>, Vec<_>) = over.iter().cloned().partition(|word| was_withdrawn(word));
    tell_each(draft, &format!("{cause}\0refusal withdrawn"), &withdrawn, &REFUSAL_WITHDRAWN, &OWN_DUTY)?;
    tell_each(draft, &format!("{cause}\0refusal of another"), &of_another, &REFUSAL_OF_ANOTHER, &OWN_DUTY)?;
    let at = draft.at;
    for task in draft.history.tasks.iter_mut().filter(|task| over.iter().any(|word| word.task_id == task.task_id)) {
        *task = Arc::new(task.closed_as(RECALLED, at));
    }
    Ok(())
}
