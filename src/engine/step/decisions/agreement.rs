//! Agreement to a service: where it is refused after all, or asking for it is unsafe, the service stops, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::by_agreement::{asks_the_family, is_asked_still, is_for_refusal, needs_agreement};
use super::services::social_care_acts;
use super::{offers, refusal};
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::history::agreement::{
    GIVEN, UNSAFE_TO_ASK, is_unsafe, recorded, said, settles, standing_for, taken_back_since, unsafe_by, unsafe_since,
};
use crate::engine::history::decisions::DECISION;
use crate::engine::history::{RECALLED, death, held_back_of, is_arranged, is_open};
use crate::engine::model::codes::AgreementState;
use crate::engine::model::detail::AgreementRecorded;
use crate::engine::model::history::{AgreementStanding, Entry, HeldTask, History, said_by};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::Timestamp;
use crate::engine::step::about;
use crate::engine::step::deadlines::ladder;
use crate::engine::step::draft::{Draft, OWN_DUTY};
use crate::engine::step::outcomes::outcome::SUPERSEDED;
use crate::engine::step::recall::is_senders_own;
use crate::engine::step::word::{Word, each_holder};
use crate::engine::tasks::asking::{AGREEMENT_RULE, UNSAFE_ACTION, UNSAFE_TITLE, reason_given};
use crate::engine::tasks::route::{Address, is_suppressed};
use crate::engine::tasks::{Wanted, who_says};

const STOP_ACTION: &str = "Stop: the family does not agree to this service; nothing else that you were asked changes";
/// They were not asked: whoever rings them to hear why they refuse would do the harm.
const STOP_UNSAFE_ACTION: &str =
    "Stop, and do not contact the family: asking for their agreement was said to be unsafe; ask the front door first";

const UNSAFE_TO_BE_ASKED: &str = "It was found unsafe to ask the family for agreement to help.";

const NOT_AGREED: Stop = Stop {
    since: Timestamp(0),
    title: "An agreement was taken back",
    action: "Stop, and do not begin with the family: that they agreed was taken back; ask the front door first",
    clock: OWN_DUTY,
    why: "Those who had said that the family agreed to this service have taken it back. They have not refused.",
};
/// What was stopped, and goes on.
struct GoesOn {
    word: Word,
    /// What whoever decides is told, and asked, where it begins again.
    begun: Option<(&'static str, &'static str)>,
    /// The same where it does not.
    left: (&'static str, &'static str),
}

const SAFE_AFTER_ALL: GoesOn = GoesOn {
    word: Word {
        rule: AGREEMENT_RULE,
        title: "That asking is unsafe was taken back",
        why: "Those who had said that asking the family is unsafe have taken it back, and the family had agreed to this service.",
        action: "Go on with what you were asked: that asking the family is unsafe was taken back; ring the front door first",
        wants_answer: true,
    },
    begun: Some((
        "Those who had said that asking the family is unsafe have taken it back, and services that the family agreed to go on.",
        "See that it is safe to go on: that asking the family is unsafe was taken back",
    )),
    left: (
        "Those who had said that asking the family is unsafe have taken it back. The services that it had stopped stay stopped: social care \
         acts for the child, or the case is closed.",
        "Decide whether a service that the family had agreed to begins: that asking is unsafe was taken back",
    ),
};
/// Of those who were to ask the family alone.
const SAFE_TO_ASK: GoesOn = GoesOn {
    word: Word {
        why: "Those who had said that asking the family is unsafe have taken it back, and you were to ask them.",
        ..SAFE_AFTER_ALL.word
    },
    begun: Some((
        "Those who had said that asking the family is unsafe have taken it back, and whoever was to ask them does.",
        "See that it is safe to go on: that asking the family is unsafe was taken back",
    )),
    left: (
        "Those who had said that asking the family is unsafe have taken it back. Whoever was to ask them does not: social care acts for the \
         child, or the case is closed.",
        "Decide whether the family is asked for their agreement: that asking is unsafe was taken back",
    ),
};
const AGREED_AFTER_ALL: GoesOn = GoesOn {
    word: Word {
        title: "That the family refuses was taken back",
        why: "Those who had said that the family refuses this service have taken it back, and the family had agreed to it.",
        action: "Go on with what you were asked: that the family refuses was taken back",
        ..SAFE_AFTER_ALL.word
    },
    begun: None,
    left: (
        "Those who had said that the family refuses have taken it back. The services that it had stopped stay stopped: social care acts for \
         the child, or the case is closed.",
        "Decide whether a service that the family had agreed to begins: that they refuse was taken back",
    ),
};
/// Where agreement stands now. What happened later stands, in whatever order it came; that asking is unsafe ends only by what
/// settles it.
pub fn remember(history: &mut History, state: String, arriving: &Entry) {
    let ends_it = |later: &str| settles(later) || !settles(&state);
    let is_later = |entry: &Arc<Entry>| {
        !entry.withdrawn && recorded(entry).is_some_and(ends_it) && entry.holds_from() > arriving.holds_from()
    };
    let warns = history.agreement.as_ref().is_some_and(|standing| standing.state == UNSAFE_TO_ASK);
    if (warns && !settles(&state)) || history.entries.iter().any(is_later) {
        return;
    }
    let (event_id, partner) = (Some(arriving.event_id.clone()), Some(arriving.source.partner.clone()));
    history.agreement = Some(AgreementStanding { state, at: arriving.received_at, event_id, partner });
}

/// What those who give a service hear.
struct Stop {
    since: Timestamp,
    title: &'static str,
    action: &'static str,
    clock: Clock,
    why: &'static str,
}

fn stop(history: &History) -> Option<Stop> {
    if let Some(since) = unsafe_since(history) {
        let why = "It was found unsafe to ask the family for agreement to this service. They have not refused.";
        return Some(Stop { since, title: UNSAFE_TITLE, action: STOP_UNSAFE_ACTION, clock: Clock::SameDay, why });
    }
    let refused = history.agreement.as_ref().filter(|standing| standing.state == "refused")?;
    let why = "The family has refused agreement to this service.";
    Some(Stop { since: refused.at, title: "No agreement", action: STOP_ACTION, clock: OWN_DUTY, why })
}

/// Stops each service that agreement was given to before it was refused, or before asking was found unsafe, by whatever event: one that is to
/// begin, and one that is arranged and under way. Whoever is to ask the family does not, once that is unsafe.
pub fn stop_services(draft: &mut Draft<'_>, cause: &str) -> Result<(), StepError> {
    let Some(stop) = stop(&draft.history) else { return Ok(()) };
    let (history, rules) = (&draft.history, &draft.book.rules);
    let ends_by_it = |task: &HeldTask| {
        let mut of_task = history.entries.iter().filter(|entry| task.is_of(entry));
        task.raised_at <= stop.since || of_task.any(|entry| !had_agreed(history, entry))
    };
    let is_stopped = |task: &&Arc<HeldTask>| runs(draft, task) && ends_by_it(task);
    let stopped: Vec<Arc<HeldTask>> = history.tasks.iter().filter(is_stopped).cloned().collect();
    let asks = |task: &&Arc<HeldTask>| {
        is_open(&task.state) && task.chases.is_none() && asks_the_family(rules, task) && !draft.is_raised_now(task)
    };
    let is_unsafe = stop.action == STOP_UNSAFE_ACTION;
    let asking: Vec<Arc<HeldTask>> = history.tasks.iter().filter(|_| is_unsafe).filter(asks).cloned().collect();
    stop_each(draft, cause, &stopped, &stop)?;
    stop_each(draft, cause, &asking, &Stop { why: UNSAFE_TO_BE_ASKED, ..stop })
}

/// Whether a service by agreement is to begin, or is arranged and under way, from before this step.
fn runs(draft: &Draft<'_>, task: &HeldTask) -> bool {
    let history = &draft.history;
    let is_under_way = || is_arranged(history, task, draft.at) && !death::overtook(history, task);
    task.chases.is_none()
        && needs_agreement(&draft.book.rules, task)
        && (is_open(&task.state) || is_under_way())
        && !draft.is_raised_now(task)
}

fn stop_each(draft: &mut Draft<'_>, cause: &str, stopped: &[Arc<HeldTask>], stop: &Stop) -> Result<(), StepError> {
    let Stop { title, action, clock, why, .. } = stop;
    for task in stopped {
        let Some(entry) = draft.history.entries.iter().find(|entry| task.is_of(entry)).cloned() else { continue };
        let raising = draft.raising(None, "");
        let due = raising.deadline_from_now(clock)?;
        let own = raising.own_duty(AGREEMENT_RULE, title, (*why).to_owned(), action, due, &entry);
        let notes = vec![format!("What you were asked: {}.", task.action)];
        let wanted = Wanted { address: Address::of_holder(task), notes, ..own };
        draft.raise(None, &format!("{cause}\0{}", task.task_id), &[], vec![wanted])?;
        let closed = task.closed_as(RECALLED, draft.at);
        if let Some(present) = draft.history.tasks.iter_mut().find(|present| present.task_id == task.task_id) {
            *present = Arc::new(closed);
        }
    }
    Ok(())
}

/// What a word on agreement had stopped that is taken back.
#[derive(Default)]
pub struct Begun {
    tasks: Vec<Arc<HeldTask>>,
    by: Option<&'static GoesOn>,
    /// Unless social care acts.
    begins: bool,
}

/// A word on agreement is taken back, with its event or with an undone link: what it had stopped, and nobody else does, is begun again, before
/// anything is asked anew. `before`: as it stood with that word.
pub fn begin_again(draft: &mut Draft<'_>, before: &History) -> Begun {
    let (history, rules) = (&draft.history, &draft.book.rules);
    let stands = stop(history);
    if stands.as_ref().is_some_and(|stands| stands.action == STOP_UNSAFE_ACTION) {
        return Begun::default();
    }
    let ended = stop(before);
    let entry_of = |task: &HeldTask| history.entries.iter().find(|entry| task.is_of(entry) && !entry.withdrawn);
    let is_same = |task: &HeldTask, other: &HeldTask| {
        (&task.agency, &task.unit, &task.action) == (&other.agency, &other.unit, &other.action)
    };
    let is_held = |task: &HeldTask| history.tasks.iter().any(|held| is_open(&held.state) && is_same(held, task));
    // Of several words that were taken back one after the other, the first had told them to stop.
    let told_to_stop = |task: &HeldTask| {
        stops(history).filter(|stop| stop.raised_at == task.state_at).find(|stop| is_theirs(stop, task))
    };
    let is_asked_since = |task: &HeldTask| {
        let mut of_event = history.tasks.iter().filter(|other| other.event_id == task.event_id && is_same(other, task));
        of_event.any(|other| other.raised_at > task.raised_at)
    };
    // Whose route is shut hears nothing now: what they were to do is asked of them when it opens.
    let held_back = held_back_of(history);
    let is_shut = |task: &HeldTask| {
        let (agency, unit, role) = (task.agency.clone(), task.unit.clone(), task.role.clone());
        is_suppressed(&Address { agency, unit, role, in_place_of: None }, &rules.front_door, &held_back)
    };
    let was_stopped = |task: &&Arc<HeldTask>| {
        let Some(entry) = entry_of(task).filter(|_| task.state == RECALLED && !is_shut(task)) else { return false };
        // The word that stopped it may have been taken back before, while another said that the family does not agree.
        // Where a refusal stands no service goes on, but whoever is to offer help again does.
        let newly = stands.is_none() && (ended.is_some() || !is_agreed(before, entry));
        let is_service = task.needs_agreement == Some(true) && is_agreed(history, entry) && newly;
        let is_told = || told_to_stop(task).is_some() && !is_asked_since(task);
        let by_that = || ended.as_ref().is_some_and(|ended| task.state_at >= ended.since) || is_told();
        let asks = || ended.is_some() && asks_the_family(rules, task) && is_asked_still(history, rules, task, entry);
        ((is_service && by_that()) || (asks() && is_told())) && !is_held(task)
    };
    let tasks: Vec<Arc<HeldTask>> = history.tasks.iter().filter(was_stopped).cloned().collect();
    let mut words = tasks.iter().filter_map(|task| told_to_stop(task));
    let is_safe_after_all = ended.is_some_and(|ended| ended.action == STOP_UNSAFE_ACTION)
        || words.any(|stop| stop.action == STOP_UNSAFE_ACTION);
    let by = match (is_safe_after_all, tasks.iter().all(|task| asks_the_family(rules, task))) {
        (true, true) => &SAFE_TO_ASK,
        (true, false) => &SAFE_AFTER_ALL,
        (false, _) => &AGREED_AFTER_ALL,
    };
    let begins = !waits_for_social_care(history);
    let at = draft.at;
    for task in draft.history.tasks.iter_mut().filter(|_| begins) {
        if tasks.iter().any(|stopped| stopped.task_id == task.task_id) {
            ladder::begin_again(Arc::make_mut(task), at);
        } else if is_stop(task) && is_open(&task.state) && tasks.iter().any(|stopped| is_theirs(task, stopped)) {
            *task = Arc::new(task.closed_as(SUPERSEDED, at));
        }
    }
    Begun { tasks, by: Some(by), begins }
}

/// What ran by an agreement that nobody has given any more stops; whoever goes on hears that; and what was asked because the family refused
/// is over. `before`: as it stood with the word that is taken back.
pub fn taken_back(draft: &mut Draft<'_>, cause: &str, before: &History, begun: &Begun) -> Result<(), StepError> {
    let stopped = ran_by_it(draft, before);
    stop_each(draft, cause, &stopped, &NOT_AGREED)?;
    go_on(draft, cause, begun)?;
    offers::agreed_after_all(draft, cause, before)?;
    offers::offer_again(draft, cause, before)?;
    refusal::taken_back(draft, cause, before)
}

fn is_stop(task: &HeldTask) -> bool {
    [STOP_ACTION, STOP_UNSAFE_ACTION].contains(&task.action.as_str())
}

fn stops(history: &History) -> impl Iterator<Item = &Arc<HeldTask>> {
    history.tasks.iter().filter(|task| is_stop(task))
}

/// Whether a word to stop is of what a task asks, to its holder.
fn is_theirs(stop: &HeldTask, task: &HeldTask) -> bool {
    (&stop.agency, &stop.unit, &stop.event_id, &stop.partner)
        == (&task.agency, &task.unit, &task.event_id, &task.partner)
}

/// Whom an event, or a report of it, had told that a service stops, or is to be offered again, for nothing: beside the house that sent it.
pub fn told_by(draft: &Draft<'_>, entry: &Entry) -> Vec<Arc<HeldTask>> {
    let (history, rules) = (&draft.history, &draft.book.rules);
    // What another says as well was so.
    let stands = stop(history).map(|stop| stop.action);
    let is_told = |task: &HeldTask| match stands {
        Some(action) => is_stop(task) && task.action != action,
        None => is_stop(task) || is_for_refusal(rules, task),
    };
    let by_it = |task: &HeldTask| entry.was_reported_at(task.raised_at) && is_told(task);
    let later = |task: &HeldTask| stands.is_none() && offers::is_asked_by(history, rules, entry, task);
    let ended = |task: &HeldTask| offers::was_ended_for_nothing(history, rules, entry, task);
    let by = |task: &&Arc<HeldTask>| {
        (by_it(task) || later(task) || ended(task)) && !is_senders_own(rules, &entry.source, task)
    };
    history.tasks.iter().filter(by).cloned().collect()
}

/// Services that run by an agreement which nobody has given any more. `before`: as it stood with the word that is taken back.
pub fn ran_by_it(draft: &Draft<'_>, before: &History) -> Vec<Arc<HeldTask>> {
    let history = &draft.history;
    let entry_of = |task: &HeldTask| history.entries.iter().find(|entry| task.is_of(entry) && !entry.withdrawn);
    let was_agreed = |task: &&Arc<HeldTask>| {
        let agreed = entry_of(task).is_some_and(|entry| is_agreed(before, entry) && !is_agreed(history, entry));
        agreed && runs(draft, task)
    };
    history.tasks.iter().filter(was_agreed).cloned().collect()
}

/// Whether a service by agreement is not begun now, whatever the family says: social care acts, or a named person closed the case.
pub fn waits_for_social_care(history: &History) -> bool {
    let is_closed = history.last_decision.as_ref().is_some_and(|decision| decision.closed);
    social_care_acts(history) || is_closed
}

/// Whoever gives a service that had been stopped goes on, unless social care acts; a person hears which, and looks.
fn go_on(draft: &mut Draft<'_>, cause: &str, Begun { tasks, by, begins }: &Begun) -> Result<(), StepError> {
    // Of a child who is taken for dead they hear once that is over.
    let tasks: Vec<Arc<HeldTask>> =
        tasks.iter().filter(|task| !death::overtook(&draft.history, task)).cloned().collect();
    let about = tasks.first().and_then(|first| draft.history.entries.iter().find(|entry| first.is_of(entry)));
    let Some((about, by)) = about.cloned().zip(*by) else { return Ok(()) };
    let due = draft.raising(None, cause).deadline_from_now(&OWN_DUTY)?;
    let mut wanted = Vec::new();
    if *begins {
        wanted = each_holder(draft, &tasks, &by.word, &|_| Ok(due.clone()))?;
    }
    if let Some((words, action)) = if *begins { by.begun } else { Some(by.left) } {
        let reports = about::reports(&draft.history, &tasks);
        let why = about::in_words(&draft.context.keys, words, &reports);
        let own = draft.raising(None, cause).own_duty(AGREEMENT_RULE, by.word.title, why, action, due, &about);
        wanted.push(Wanted { relation: about::follows(draft, &reports), ..own });
    }
    draft.raise(None, cause, &[], wanted).map(drop)
}

/// Whether the family is known to have agreed to what an event asks.
pub fn is_agreed(history: &History, entry: &Entry) -> bool {
    taken_back_since(history, entry).is_none() && had_agreed(history, entry)
}

/// Whether help that is under way goes on by their agreement: that another referral says that they refuse is asked about first.
pub fn goes_on_by(history: &History, entry: &Entry) -> bool {
    let is_stopped = stop(history).is_some_and(|stop| stop.since >= entry.received_at);
    had_agreed(history, entry) && !is_stopped
}

fn had_agreed(history: &History, entry: &Entry) -> bool {
    let recorded = history.agreement.as_ref().filter(|standing| settles(&standing.state));
    let is_given = |state: &str| state == GIVEN;
    match (said(entry), recorded) {
        (Some(said), Some(recorded)) if recorded.at <= entry.received_at => is_given(said),
        (None, recorded) if entry.kind == DECISION => standing_for(history, entry, recorded).is_some_and(is_given),
        (_, Some(recorded)) => is_given(&recorded.state),
        (said, None) => said.is_some_and(is_given),
    }
}

/// Recorded as unsafe to ask, or that the family was asked all the same: whoever decides hears of it, and why, though nobody is
/// asked anything else.
pub fn ask_how(draft: &mut Draft<'_>, referral: &Referral, recorded: &AgreementRecorded) -> Result<(), StepError> {
    let event = &referral.event;
    let is_this =
        |entry: &&Arc<Entry>| entry.event_id == event.event_id && entry.source.partner == event.source.partner;
    let Some(entry) = draft.history.entries.iter().find(is_this).cloned() else { return Ok(()) };
    let of_this =
        |standing: &AgreementStanding| said_by(standing.event_id.as_deref(), standing.partner.as_deref(), &entry);
    let why = match recorded.state {
        Some(AgreementState::UnsafeToAsk) if draft.history.agreement.as_ref().is_some_and(of_this) => {
            not_asked(recorded.reason.as_deref())
        }
        Some(AgreementState::Asked) if is_unsafe(&draft.history, None) => {
            let said: BTreeSet<String> =
                unsafe_by(&draft.history).map(|entry| who_says(&draft.context.keys, entry)).collect();
            let said = said.into_iter().collect::<Vec<_>>().join("; ");
            format!(
                "The family was asked for their agreement, which had been said to be unsafe, by {said}: see that nobody came to harm."
            )
        }
        Some(_) | None => return Ok(()),
    };
    ask_who_speaks(draft, referral, &entry, why)
}

fn not_asked(reason: Option<&str>) -> String {
    format!("The family was not asked, and has not refused.{}", reason_given(reason))
}

fn ask_who_speaks(
    draft: &mut Draft<'_>,
    referral: &Referral,
    entry: &Arc<Entry>,
    why: String,
) -> Result<(), StepError> {
    let cause = &referral.event.event_id;
    let raising = draft.raising(Some(referral), cause);
    let due = raising.deadline_from_now(&Clock::SameDay)?;
    let wanted = raising.own_duty(AGREEMENT_RULE, UNSAFE_TITLE, why, UNSAFE_ACTION, due, entry);
    draft.raise(Some(referral), cause, &[], vec![wanted]).map(drop)
}

/// What an event, a report of it or a correction says beside all else: that asking is unsafe. The services that run by agreement hear
/// it as by a record of its own, and so does whoever decides, unless what they were given by this very event says so.
pub fn heed(draft: &mut Draft<'_>, referral: &Referral, about: &Arc<Entry>) -> Result<(), StepError> {
    offers::agreed(draft, referral)?;
    refusal::tell(draft, referral)?;
    let event = &referral.event;
    let said = event.agreement.as_ref().filter(|said| said.state == Some(AgreementState::UnsafeToAsk));
    let Some(said) = said.filter(|_| !event.backfill) else { return Ok(()) };
    if !is_unsafe(&draft.history, None) {
        // A report that is kept beside the first has no place of its own.
        let (event_id, partner) = (Some(event.event_id.clone()), Some(event.source.partner.clone()));
        draft.history.agreement =
            Some(AgreementStanding { state: UNSAFE_TO_ASK.to_owned(), at: draft.at, event_id, partner });
    }
    stop_services(draft, &event.event_id)?;
    let raising = draft.raising(None, "");
    let at_front_door = |task: &HeldTask| raising.decides(&task.agency) && is_open(&task.state);
    let is_asked = draft.history.tasks.iter().any(|task| at_front_door(task) && draft.is_raised_now(task));
    if is_asked || is_unsafe(&draft.before, None) {
        return Ok(());
    }
    ask_who_speaks(draft, referral, about, not_asked(said.reason.as_deref()))
}
