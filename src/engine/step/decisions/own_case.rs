//! What a suspect's own agency decides of the case, or takes back of what others act on, ends nothing that those asked in its place hold: it is put to them.

use std::sync::Arc;

use super::unapplied::Unapplied;
use crate::engine::context::StepError;
use crate::engine::history::decisions::{closes, raises, settles};
use crate::engine::history::entry::SUSPECT;
use crate::engine::history::{death, episodes, is_open};
use crate::engine::model::codes::HumanDecision;
use crate::engine::model::detail::{DecisionRecorded, Detail, ProposedLevel};
use crate::engine::model::event::{ReferralEvent, Source};
use crate::engine::model::history::{Awaiting, Entry, HeldTask};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::Level;
use crate::engine::rules::catalogue::is_concern;
use crate::engine::step::changed::withdrawal::stands_until_decided;
use crate::engine::step::draft::{Draft, own_duty_at};
use crate::engine::tasks::HELD_BACK_RULE;

const TITLE: &str = "A suspect's own agency ends what others hold";
const TAKES_BACK_TITLE: &str = "A suspect's own agency takes back what others act on";
const ACTION: &str =
    "Decide in place of the accused one's own agency: it recorded what would end what you and others hold";
const NOT_ALONE: &str =
    "others hold something of this child that is not this agency's to end: another is asked in its place";

/// What the accused one's own agency takes back, and what is asked of it.
pub struct TakenBack {
    words: &'static str,
    action: &'static str,
}

const AN_ACCUSATION: TakenBack = TakenBack {
    words: "what accuses one of its own",
    action: "Decide in place of the accused one's own agency: it takes back what accuses one of its own",
};
const WHAT_ANOTHER_SENT: TakenBack = TakenBack {
    words: "what another had sent of this child",
    action: "Decide in place of the accused one's own agency: it takes back what another had sent",
};
const A_DECISION: TakenBack = TakenBack {
    words: "its decision by which others act",
    action: "Decide in place of the accused one's own agency: it takes back a decision by which others act",
};

const LIFTED_FIRST: &str = "lift its route (route_lifted), and it records that again";
/// Another house's allegation the front door may withdraw itself.
const WITHDRAWN_BY_YOU: &str = "the front door withdraws it where it was not true, or about another child";

/// The allegation against somebody of its own that a decision of the front door's agency would end, or lower.
pub fn ended_by(draft: &Draft<'_>, event: &ReferralEvent) -> Option<Arc<Entry>> {
    let Detail::DecisionRecorded(recorded) = &event.detail else { return None };
    if !would_end(draft, recorded) {
        return None;
    }
    accusation(draft, &event.source)
}

/// The latest that accuses somebody of the agency that sends this, and of which nobody has lifted its route.
fn accusation(draft: &Draft<'_>, source: &Source) -> Option<Arc<Entry>> {
    let is_held_by_others = |entry: &Entry| {
        let mut tasks = draft.history.tasks.iter();
        tasks.any(|task| is_open(&task.state) && task.is_of(entry) && Some(&task.agency) != source.agency.as_ref())
    };
    let stands = |entry: &&Arc<Entry>| {
        !entry.backfilled && is_about_own(source, entry) && (!entry.withdrawn || is_held_by_others(entry))
    };
    draft.history.entries.iter().rev().find(stands).cloned()
}

fn would_end(draft: &Draft<'_>, recorded: &DecisionRecorded) -> bool {
    let Some(decision) = recorded.decision.filter(|decision| settles(decision.symbol())) else { return false };
    let level = recorded.level.and_then(ProposedLevel::level);
    closes(decision.symbol()) || level.is_some_and(|level| Some(level) < draft.history.case_level)
}

/// Whether an event is about a suspect of the sender's own agency, and nobody has lifted that route.
fn is_about_own(source: &Source, entry: &Entry) -> bool {
    let is_own =
        |agency: &String| entry.held_back.iter().any(|route| route.cause == SUSPECT && route.agency == *agency);
    source.agency.as_ref().is_some_and(is_own)
}

/// What another decides in place of the accused one's own agency that takes something back, unless a person is asked anyway before
/// anything of it ends: what accuses them; and, of the front door, what others had sent, or that it set level 4b or began an enquiry. With
/// the event that it is put to them of.
pub fn taken_back(
    draft: &Draft<'_>,
    source: &Source,
    original: &Arc<Entry>,
) -> Option<(&'static TakenBack, Arc<Entry>)> {
    let is_asked_anyway = || stands_until_decided(draft, original);
    if accuses_own(draft, source, original) {
        let is_put = is_front_door(draft, source) || !is_asked_anyway();
        return is_put.then(|| (&AN_ACCUSATION, Arc::clone(original)));
    }
    if !is_front_door(draft, source) || is_asked_anyway() {
        return None;
    }
    let accusation = accusation(draft, source)?;
    if raises(original, Level::L4b) {
        return Some((&A_DECISION, accusation));
    }
    // That a child is back, or has died, ends what others do: taken back, they do it again.
    let ends_others = [episodes::ENDED, death::SERIOUS_INCIDENT].contains(&original.kind.as_str());
    let is_anothers = original.source.partner != source.partner && is_concern(&original.kind) && !ends_others;
    is_anothers.then(|| (&WHAT_ANOTHER_SENT, Arc::clone(original)))
}

/// Whether it accuses somebody of the front door that sends this, or of the house that does.
pub fn accuses_own(draft: &Draft<'_>, source: &Source, original: &Entry) -> bool {
    let is_suspects = || original.held_back.iter().any(|route| route.is_suspects_own(&draft.context.keys, source));
    if is_front_door(draft, source) { is_about_own(source, original) } else { is_suspects() }
}

fn is_front_door(draft: &Draft<'_>, source: &Source) -> bool {
    source.agency.as_ref() == Some(&draft.book.rules.front_door)
}

/// A decision, not applied: whoever is asked in its place decides. Its own unit hears nothing, for the accused one may read it.
pub fn put_to_others(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: &Arc<Entry>,
    about: &Arc<Entry>,
) -> Result<(), StepError> {
    let event = &referral.event;
    let decided = if let Detail::DecisionRecorded(recorded) = &event.detail { Some(recorded) } else { None };
    let level = decided.and_then(|recorded| recorded.level).and_then(ProposedLevel::level);
    let level = level.map_or(String::new(), |level| format!(", {}", level.symbol()));
    let decided = decided.and_then(|recorded| recorded.decision).map_or("", HumanDecision::symbol);
    let what = format!("a decision about the case ({decided}{level})");
    ask(draft, &event.event_id, &event.source, about, (&what, TITLE, ACTION))?;
    Unapplied::because(NOT_ALONE).tell(draft, event, Some(referral), arriving)
}

/// The same of a withdrawal. `of_another_child`: it says so.
pub fn put_withdrawal_to_others(
    draft: &mut Draft<'_>,
    referral: &Referral,
    arriving: &Arc<Entry>,
    (what, about): (&TakenBack, &Arc<Entry>),
    of_another_child: bool,
) -> Result<(), StepError> {
    let event = &referral.event;
    ask_of_withdrawal(draft, (&event.event_id, &event.source), (what, about), of_another_child)?;
    Unapplied::because(NOT_ALONE).tell(draft, event, Some(referral), arriving)
}

/// The same of one that came before what it takes back.
pub fn put_waiting_to_others(draft: &mut Draft<'_>, waiting: &Awaiting, about: &Arc<Entry>) -> Result<(), StepError> {
    draft.decision.notes.push(format!("A withdrawal that came before this event was not applied: {NOT_ALONE}."));
    let by = (waiting.event_id.as_str(), &waiting.source);
    ask_of_withdrawal(draft, by, (&AN_ACCUSATION, about), waiting.right_child.is_some())
}

/// Taken back once more, it is still to be decided. Of decisions, which are put to them of the one accusation, each is another.
fn ask_of_withdrawal(
    draft: &mut Draft<'_>,
    (cause, by): (&str, &Source),
    (what, about): (&TakenBack, &Arc<Entry>),
    of_another_child: bool,
) -> Result<(), StepError> {
    let asked = |task: &Arc<HeldTask>| task.action == what.action && task.is_of(about) && is_open(&task.state);
    if what.action != A_DECISION.action && draft.history.tasks.iter().any(asked) {
        return Ok(());
    }
    let of_another = if of_another_child { ", for it was about another child" } else { "" };
    let recorded = format!("that {} is withdrawn{of_another}", what.words);
    ask(draft, cause, by, about, (&recorded, TAKES_BACK_TITLE, what.action))
}

fn ask(
    draft: &mut Draft<'_>,
    cause: &str,
    by: &Source,
    about: &Arc<Entry>,
    (what, title, action): (&str, &str, &str),
) -> Result<(), StepError> {
    let raising = draft.raising(None, cause);
    let due = raising.deadline_from_now(&own_duty_at(draft.history.case_level))?;
    let how = if is_front_door(draft, by) { LIFTED_FIRST } else { WITHDRAWN_BY_YOU };
    let why = format!(
        "The accused one's own agency recorded {what}. It is not applied: everything that others hold goes on. Say whether it may: {how}; \
         else nothing changes."
    );
    let wanted = raising.own_duty(HELD_BACK_RULE, title, why, action, due, about);
    draft.raise(None, cause, &[], vec![wanted]).map(drop)
}
