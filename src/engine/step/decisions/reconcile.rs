//! Whoever holds what hangs on the family's agreement hears how it stands, where that is not what they were told last: the one place that stops,
//! begins again and ends by agreement. A holder whose route is shut, or whose child is taken for dead, hears later, or by what opens it.

use std::sync::Arc;

use super::asked_them;
use super::by_agreement::{Hangs, Standing, hangs, standing};
use super::services::{is_arranged, is_same_holder, social_care_acts};
use super::told::{self, is_by, put, told};
use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::history::agreement::{REFUSED, had_agreed, is_refused, is_unsafe, last_word, recorded, said};
use crate::engine::history::{RECALLED, death, held_back_of, is_open};
use crate::engine::model::history::{Entry, HeldTask, History, Told};
use crate::engine::model::inbox::Referral;
use crate::engine::step::about;
use crate::engine::step::deadlines::ladder;
use crate::engine::step::draft::{Draft, OWN_DUTY};
use crate::engine::step::outcomes::outcome::SUPERSEDED;
use crate::engine::step::recall::is_senders_own;
use crate::engine::step::word::{Word, each_holder, tell_each};
use crate::engine::tasks::asking::{AGREEMENT_RULE, UNSAFE_TITLE};
use crate::engine::tasks::route::{Address, is_suppressed};
use crate::engine::tasks::{Deadline, Wanted};

/// The id under which whoever need not offer help any more hears so.
pub const AGREED_RULE: &str = "agreed";

/// What a holder hears who is to stop.
struct Stop {
    what: Standing,
    title: &'static str,
    action: &'static str,
    clock: Clock,
    why: &'static str,
}

const STOP_REFUSED: Stop = Stop {
    what: Standing::Refused,
    title: "No agreement",
    action: told::STOP_ACTION,
    clock: OWN_DUTY,
    why: "The family has refused agreement to this service.",
};
const STOP_UNSAFE: Stop = Stop {
    what: Standing::Unsafe,
    title: UNSAFE_TITLE,
    action: told::STOP_UNSAFE_ACTION,
    clock: Clock::SameDay,
    why: "It was found unsafe to ask the family for agreement to this service. They have not refused.",
};
/// Of those who were to ask the family, or to offer help again.
const STOP_ASKING: Stop = Stop { why: "It was found unsafe to ask the family for agreement to help.", ..STOP_UNSAFE };
const STOP_NOT_AGREED: Stop = Stop {
    what: Standing::NotAgreed,
    title: "An agreement was taken back",
    action: told::STOP_NOT_AGREED_ACTION,
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
/// Of those who were to ask the family, or to offer help again.
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

const AGREED_SINCE: Word = Word {
    rule: AGREED_RULE,
    title: "The family has agreed",
    why: "The family has agreed to help since you were asked to offer it again.",
    action: "Know that the family has agreed to help: it need not be offered again",
    wants_answer: false,
};
/// That they refuse was taken back.
const NOT_REFUSED: Word = Word {
    why: "You were asked to offer help again, for the family was said to refuse it: that was taken back, and they had agreed.",
    ..AGREED_SINCE
};
const REFUSED_AFTER_ALL: Word = Word {
    rule: AGREEMENT_RULE,
    title: "That the family has agreed was taken back",
    why: "You need not offer help again, for the family was said to have agreed to it: that was taken back.",
    action: "Go on with what you were asked: that the family has agreed was taken back",
    wants_answer: true,
};

/// A held task that hangs on agreement, of an event that is known, and how it stands.
pub struct Held<'d> {
    pub task: &'d Arc<HeldTask>,
    pub hangs: Hangs,
    pub entry: &'d Arc<Entry>,
    pub standing: Standing,
}

impl Held<'_> {
    pub fn told(&self, draft: &Draft<'_>) -> Option<Told> {
        told(&draft.history, &draft.book.rules, (self.task, self.hangs))
    }

    fn was_told(&self, draft: &Draft<'_>, what: Standing) -> bool {
        self.told(draft).is_some_and(|told| told.what == what.symbol())
    }

    /// Whether it went on before this step.
    fn went_on(&self, draft: &Draft<'_>) -> bool {
        let stood = |side: &History| standing(side, &draft.book.rules, (self.task, self.hangs), self.entry);
        draft.sides().any(|side| stood(side) == Standing::GoesOn)
    }
}

/// Those of these tasks. `may_be`: what costs little, and leaves most out.
fn held<'d>(draft: &'d Draft<'_>, may_be: impl Fn(&HeldTask) -> bool) -> impl Iterator<Item = Held<'d>> {
    let (history, rules) = (&draft.history, &draft.book.rules);
    history.tasks.iter().filter(move |task| may_be(task)).filter_map(|task| {
        let hangs = hangs(rules, task)?;
        let entry = history.entries.iter().find(|entry| task.is_of(entry))?;
        Some(Held { task, hangs, entry, standing: standing(history, rules, (task, hangs), entry) })
    })
}

/// The services that are to begin, or were arranged.
pub fn services<'d>(draft: &'d Draft<'_>) -> impl Iterator<Item = Held<'d>> {
    let may_be = |task: &HeldTask| task.needs_agreement != Some(false) && is_open_or_done(task);
    held(draft, may_be).filter(|held| held.hangs == Hangs::Service)
}

fn is_open_or_done(task: &HeldTask) -> bool {
    is_open(&task.state) || task.state == "completed"
}

fn is_in<'s>(state: &'s str) -> impl Fn(&HeldTask) -> bool + 's {
    move |task| task.state == state
}

fn tasks<'d>(held: impl Iterator<Item = Held<'d>>) -> Vec<Arc<HeldTask>> {
    held.map(|held| Arc::clone(held.task)).collect()
}

/// Why what hangs on agreement may stand otherwise than before.
#[derive(Clone, Copy, Debug)]
pub enum By<'r> {
    /// It is said or recorded now.
    Said(&'r Referral),
    /// Two records are one from now on.
    Joined,
    /// It is withdrawn or corrected, or was of another record: `begin_again` comes before it.
    TakenBack,
}

/// Each holder is told how what they hold stands by agreement now.
pub fn settle(draft: &mut Draft<'_>, cause: &str, by: By<'_>) -> Result<(), StepError> {
    let is_taken_back = matches!(by, By::TakenBack);
    if is_taken_back || is_unsafe(&draft.history, None) || is_refused(&draft.history) {
        stop(draft, cause)?;
    }
    if is_taken_back {
        go_on(draft, cause)?;
        offer_again(draft, cause)?;
    }
    let referral = if let By::Said(referral) = by { Some(referral) } else { None };
    end_offers(draft, cause, referral)?;
    asked_them::settle(draft, cause, referral)
}

/// Whether a service by agreement is not begun now, whatever the family says: social care acts, or a named person closed the case.
fn waits_for_social_care(history: &History) -> bool {
    let is_closed = history.last_decision.as_ref().is_some_and(|decision| decision.closed);
    social_care_acts(history) || is_closed
}

/// What a warning or a refusal had stopped that is taken back runs again, before anything is asked anew; its holder hears so once it is settled.
pub fn begin_again(draft: &mut Draft<'_>) {
    if waits_for_social_care(&draft.history) {
        return;
    }
    let begun = tasks(held(draft, is_in(RECALLED)).filter(|held| begins(draft, held)));
    raise_again(draft, &begun);
    let at = draft.at;
    let is_overtaken = |word: &HeldTask| begun.iter().any(|one| told::stop_of(word, one).is_some());
    for word in draft.history.tasks.iter_mut().filter(|word| is_open(&word.state) && is_overtaken(word)) {
        *word = Arc::new(word.closed_as(SUPERSEDED, at));
    }
}

fn raise_again(draft: &mut Draft<'_>, tasks: &[Arc<HeldTask>]) {
    let at = draft.at;
    for task in draft.history.tasks.iter_mut().filter(|task| tasks.iter().any(|one| one.task_id == task.task_id)) {
        ladder::begin_again(Arc::make_mut(task), at);
    }
}

/// Whether what its holder was told to stop goes on by what this step says. What was asked of them anew of the same event is that again; and whose
/// route is shut hears nothing now: it is asked of them when that opens.
fn begins(draft: &Draft<'_>, held: &Held<'_>) -> bool {
    let task = held.task;
    let is_same = |other: &HeldTask| {
        (&other.event_id, &other.partner, &other.action) == (&task.event_id, &task.partner, &task.action)
            && is_same_holder(&draft.book.rules, other, task)
    };
    let is_asked_since = || draft.history.tasks.iter().any(|other| other.raised_at > task.raised_at && is_same(other));
    task.state == RECALLED
        && held.standing == Standing::GoesOn
        && (held.was_told(draft, Standing::Unsafe) || held.was_told(draft, Standing::Refused))
        && !held.entry.withdrawn
        && !held.went_on(draft)
        && !is_asked_since()
        && !is_shut(draft, &Address::of_holder(task))
}

pub fn is_shut(draft: &Draft<'_>, address: &Address) -> bool {
    is_suppressed(address, &draft.book.rules.front_door, &held_back_of(&draft.history))
}

/// Why whoever holds a task stops, if they do: a service that is to begin, or is arranged and under way, and whoever is sent to ask the family.
fn stop_for(draft: &Draft<'_>, held: &Held<'_>) -> Option<&'static Stop> {
    let (history, task) = (&draft.history, held.task);
    let is_service = held.hangs == Hangs::Service;
    let is_under_way = || is_service && is_arranged(history, task, draft.at) && !death::overtook(history, task);
    if draft.is_raised_now(task) || !(is_open(&task.state) || is_under_way()) {
        return None;
    }
    match held.standing {
        Standing::Unsafe => Some(if is_service { &STOP_UNSAFE } else { &STOP_ASKING }),
        Standing::Refused => Some(&STOP_REFUSED),
        Standing::NotAgreed if !held.entry.withdrawn => {
            draft.sides().any(|side| had_agreed(side, held.entry)).then_some(&STOP_NOT_AGREED)
        }
        Standing::NotAgreed | Standing::GoesOn | Standing::SaidToRefuse | Standing::Agreed | Standing::NotAsked => None,
    }
}

/// Services that ran by an agreement which nobody has given any more.
pub fn ran_by_it(draft: &Draft<'_>) -> Vec<Arc<HeldTask>> {
    tasks(services(draft).filter(|held| stop_for(draft, held).is_some_and(|stop| stop.what == Standing::NotAgreed)))
}

fn stop(draft: &mut Draft<'_>, cause: &str) -> Result<(), StepError> {
    let of_each = |held: Held<'_>| Some((Arc::clone(held.task), Arc::clone(held.entry), stop_for(draft, &held)?));
    let stopped: Vec<(Arc<HeldTask>, Arc<Entry>, &Stop)> = held(draft, is_open_or_done).filter_map(of_each).collect();
    for (task, entry, stop) in stopped {
        let raising = draft.raising(None, "");
        let due = raising.deadline_from_now(&stop.clock)?;
        let own = raising.own_duty(AGREEMENT_RULE, stop.title, stop.why.to_owned(), stop.action, due, &entry);
        let notes = vec![format!("What you were asked: {}.", task.action)];
        let wanted = Wanted { address: Address::of_holder(&task), notes, ..own };
        draft.raise(None, &format!("{cause}\0{}", task.task_id), &[], vec![wanted])?;
        put(draft, &[task], Some(RECALLED), Some(stop.what));
    }
    Ok(())
}

/// Whoever gives what had been stopped goes on, unless social care acts; a person hears which, and looks.
fn go_on(draft: &mut Draft<'_>, cause: &str) -> Result<(), StepError> {
    let is_begun = |task: &HeldTask| is_open(&task.state) && task.state_at == draft.at;
    let due = draft.raising(None, cause).deadline_from_now(&OWN_DUTY)?;
    let (mut wanted, mut begun) = (Vec::new(), Vec::new());
    for (word, told, is_service) in [
        (&SAFE_AFTER_ALL, Standing::Unsafe, true),
        (&SAFE_TO_ASK, Standing::Unsafe, false),
        (&AGREED_AFTER_ALL, Standing::Refused, true),
    ] {
        let is_of = |held: &Held<'_>| (held.hangs == Hangs::Service) == is_service && held.was_told(draft, told);
        let going = tasks(held(draft, is_begun).filter(is_of));
        let staying = tasks(held(draft, is_in(RECALLED)).filter(|held| is_of(held) && begins(draft, held)));
        wanted.extend(words_of(draft, (word, true), &going, &due)?);
        wanted.extend(words_of(draft, (word, false), &staying, &due)?);
        begun.extend(going);
    }
    put(draft, &begun, None, None);
    draft.raise(None, cause, &[], wanted).map(drop)
}

/// Of a child who is taken for dead they hear once that is over.
fn words_of<'w>(
    draft: &Draft<'_>,
    (by, begins): (&'static GoesOn, bool),
    tasks: &[Arc<HeldTask>],
    due: &Deadline,
) -> Result<Vec<Wanted<'w>>, StepError> {
    let mut tasks = tasks.to_vec();
    tasks.retain(|task| !death::overtook(&draft.history, task));
    let about = tasks.first().and_then(|first| draft.history.entries.iter().find(|entry| first.is_of(entry)));
    let Some(about) = about else { return Ok(Vec::new()) };
    let mut wanted = if begins { each_holder(draft, &tasks, &by.word, &|_| Ok(due.clone()))? } else { Vec::new() };
    if let Some((words, action)) = if begins { by.begun } else { Some(by.left) } {
        let reports = about::reports(&draft.history, &tasks);
        let why = about::in_words(&draft.context.keys, words, &reports);
        let own = draft.raising(None, "").own_duty(AGREEMENT_RULE, by.word.title, why, action, due.clone(), about);
        wanted.push(Wanted { relation: about::follows(draft, &reports), ..own });
    }
    Ok(wanted)
}

/// They have agreed: help is not to be offered again. Not to those who say it now.
fn end_offers(draft: &mut Draft<'_>, cause: &str, referral: Option<&Referral>) -> Result<(), StepError> {
    let may_be = |task: &HeldTask| is_open(&task.state) && task.raised_at < draft.at;
    let over = tasks(held(draft, may_be).filter(|held| held.standing == Standing::Agreed));
    put(draft, &over, Some(SUPERSEDED), Some(Standing::Agreed));
    let cause = format!("{cause}\0agreed");
    let agreed_at = last_word(&draft.history).map(|(_, at)| at);
    let (since, before): (Vec<_>, Vec<_>) = over.into_iter().partition(|task| agreed_at > Some(task.raised_at));
    tell_each(draft, &cause, &before, &NOT_REFUSED, &OWN_DUTY)?;
    let Some(referral) = referral else { return tell_each(draft, &cause, &since, &AGREED_SINCE, &OWN_DUTY) };
    let is_others = |task: &Arc<HeldTask>| !is_senders_own(&draft.book.rules, &referral.event.source, task);
    let others: Vec<Arc<HeldTask>> = since.into_iter().filter(is_others).collect();
    let due = draft.raising(None, &cause).deadline_from_now(&OWN_DUTY)?;
    let words = each_holder(draft, &others, &AGREED_SINCE, &|_| Ok(due.clone()))?;
    let (shut, open) = words.into_iter().partition(|one| is_shut(draft, &one.address));
    draft.raise(None, &cause, &[], open)?;
    // Whoever is not told will ask the family again: whoever decides hears of it, with the child and the reason.
    draft.raise(Some(referral), &cause, &[], shut).map(drop)
}

/// That they agree is taken back, or corrected, and they are said to refuse from before: help is to be offered again.
fn offer_again(draft: &mut Draft<'_>, cause: &str) -> Result<(), StepError> {
    let (history, rules) = (&draft.history, &draft.book.rules);
    let Some((_, refused_at)) = last_word(history).filter(|_| !waits_for_social_care(history)) else { return Ok(()) };
    let is_held = |task: &HeldTask| {
        let is_same = |other: &HeldTask| other.action == task.action && is_same_holder(rules, other, task);
        history.tasks.iter().any(|other| is_open(&other.state) && is_same(other))
    };
    let is_again = |held: &Held<'_>| {
        (held.hangs, held.standing) == (Hangs::Offer, Standing::GoesOn)
            && held.told(draft).is_some_and(|told| refused_at <= told.at)
            && !held.entry.withdrawn
            && !death::overtook(history, held.task)
            && !is_held(held.task)
    };
    let again = tasks(held(draft, is_in(SUPERSEDED)).filter(is_again));
    raise_again(draft, &again);
    put(draft, &again, None, None);
    tell_each(draft, &format!("{cause}\0offered again"), &again, &REFUSED_AFTER_ALL, &OWN_DUTY)
}

/// Whom a withdrawn event, or a report of it, had told what nobody says any more, or asked to offer help again; beside the house that sent it.
pub fn told_by(draft: &Draft<'_>, entry: &Entry) -> Vec<Arc<HeldTask>> {
    let refuses = said(entry).or_else(|| recorded(entry)) == Some(REFUSED);
    let by_it = |held: &Held<'_>| {
        let raised_at = held.task.raised_at;
        let may_be = || is_open(&held.task.state) || entry.received_at <= raised_at;
        let asked_by_it = || entry.was_reported_at(raised_at) || (refuses && may_be());
        let is_offered = matches!(held.standing, Standing::NotAsked | Standing::Agreed) && held.hangs == Hangs::Offer;
        let is_told = || held.told(draft).is_some_and(|told| is_by(&told, held.standing, entry));
        ((is_offered && asked_by_it()) || is_told()) && !is_senders_own(&draft.book.rules, &entry.source, held.task)
    };
    tasks(held(draft, |_| true).filter(by_it))
}
