//! What holders of what hangs on the family's agreement were told of it last. It is kept with each task; of what an earlier release told them, its
//! words tell.

use std::sync::Arc;

use super::by_agreement::{Hangs, Standing};
use super::services::is_same_holder;
use crate::engine::history::RECALLED;
use crate::engine::history::agreement::{GIVEN, REFUSED, UNSAFE_TO_ASK, recorded, said};
use crate::engine::model::history::{Entry, HeldTask, History, Told};
use crate::engine::rules::RuleBook;
use crate::engine::step::draft::Draft;
use crate::engine::step::outcomes::outcome::SUPERSEDED;

pub const STOP_ACTION: &str =
    "Stop: the family does not agree to this service; nothing else that you were asked changes";
/// They were not asked: whoever rings them to hear why they refuse would do the harm.
pub const STOP_UNSAFE_ACTION: &str =
    "Stop, and do not contact the family: asking for their agreement was said to be unsafe; ask the front door first";
pub const STOP_NOT_AGREED_ACTION: &str =
    "Stop, and do not begin with the family: that they agreed was taken back; ask the front door first";
pub const ASK_ACTION: &str =
    "Ask the family whether they still want this service: a later referral says that they refuse help";

/// The words that tell a holder to stop, and what of.
const STOPS: [(&str, Standing); 3] = [
    (STOP_ACTION, Standing::Refused),
    (STOP_UNSAFE_ACTION, Standing::Unsafe),
    (STOP_NOT_AGREED_ACTION, Standing::NotAgreed),
];

/// What a holder was told of a task last.
pub fn told(history: &History, rules: &RuleBook, (task, hangs): (&HeldTask, Hangs)) -> Option<Told> {
    task.told.clone().or_else(|| {
        let (what, at) = match hangs {
            _ if task.state == RECALLED => {
                let mut words = history.tasks.iter().filter(|word| word.raised_at == task.state_at);
                (words.find_map(|word| stop_of(word, task))?, task.state_at)
            }
            Hangs::Offer if task.state == SUPERSEDED => (Standing::Agreed, task.state_at),
            Hangs::Service => {
                let asks = history.tasks.iter().filter(|word| is_asking(word) && is_same_holder(rules, word, task));
                (Standing::SaidToRefuse, asks.map(|word| word.raised_at).filter(|at| *at >= task.raised_at).max()?)
            }
            Hangs::Offer | Hangs::Asks => return None,
        };
        Some(Told { what: what.symbol().to_owned(), at })
    })
}

/// What a word tells the holder of a task to stop of it for, if it does.
pub fn stop_of(word: &HeldTask, task: &HeldTask) -> Option<Standing> {
    let is_theirs = (&word.agency, &word.unit, &word.event_id, &word.partner)
        == (&task.agency, &task.unit, &task.event_id, &task.partner);
    STOPS.iter().find(|(action, _)| is_theirs && word.action == *action).map(|(_, what)| *what)
}

/// A word to ask the family whether they refuse that was not taken back.
pub fn is_asking(word: &HeldTask) -> bool {
    word.action == ASK_ACTION && word.state != RECALLED
}

/// Whether a holder was told this, which is not so, by an event or a report of it: as it came, or it says so as whatever told them did.
pub fn is_by(told: &Told, standing: Standing, entry: &Entry) -> bool {
    let (said, recorded) = (said(entry), recorded(entry));
    let is = |of: Standing| told.what == of.symbol();
    let says_so = (is(Standing::Unsafe) && said.or(recorded) == Some(UNSAFE_TO_ASK))
        || (is(Standing::Refused) && recorded == Some(REFUSED))
        || (is(Standing::SaidToRefuse) && said == Some(REFUSED))
        || (is(Standing::Agreed) && said.or(recorded) == Some(GIVEN));
    !is(standing) && (says_so || entry.was_reported_at(told.at))
}

/// Keeps what the holders of these tasks are told of them now, and the state in which that leaves them.
pub fn put(draft: &mut Draft<'_>, tasks: &[Arc<HeldTask>], state: Option<&str>, what: Option<Standing>) {
    let at = draft.at;
    for task in draft.history.tasks.iter_mut().filter(|task| tasks.iter().any(|one| one.task_id == task.task_id)) {
        let mut kept = state.map_or_else(|| task.as_ref().clone(), |state| task.closed_as(state, at));
        kept.told = what.map(|what| Told { what: what.symbol().to_owned(), at });
        *task = Arc::new(kept);
    }
}
