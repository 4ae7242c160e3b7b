//! A suspect works with children, and nobody has said where: nothing goes to those who do until a person says.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::context::StepError;
use crate::engine::history::{entry, held_back_of, holds, is_open, newly_held_back};
use crate::engine::model::event::{ReferralEvent, Source};
use crate::engine::model::history::{Entry, HeldBack, HeldTask, History};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::{FactValue, Level};
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::{Agency, UnitKind};
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft, own_duty_at};
use crate::engine::step::word::{Word, tell_each};
use crate::engine::tasks::{HELD_BACK_RULE, Wanted};

const ASK_ACTION: &str = "Find out where the suspect works, and record whose route it is, or that it is none of ours";

const WISH_ACTION: &str = "Ask the sender which agency must not learn of this, and see that it does not";

/// Where the name may be one under which events are sent: whoever sends them is told nothing of what becomes of them. It says no
/// name: that may be a person's, and whoever may see it reads it in the event.
const NOT_ANSWERED: &str = "What is sent under that name is not answered meanwhile, and its sender is not to be rung back: route_lifted \
with that name as agency, and held_back_for: suspect, ends it.";

/// Whoever was asked something by a report that came from where the suspect works, before they were accused, is shown its number. Whoever
/// decides is told why they are not to ring it.
const NOT_TO_BE_RUNG: Word = Word {
    rule: HELD_BACK_RULE,
    title: "Who reported it is of the suspect's own agency",
    why: "Since you were asked, somebody was accused who works where this was reported from.",
    action: "Do not ring back who reported what you were asked about, before you are told whom to speak to",
    wants_answer: true,
};
/// All others are told neither that anybody is accused, nor where they work.
const NOT_TO_BE_RUNG_BY_OTHERS: Word = Word {
    title: "Who reported it is not to be rung for now",
    why: "Since you were asked, it is to be said first whom you may speak to about it.",
    ..NOT_TO_BE_RUNG
};

/// When a step ends: who holds something that was reported from where a suspect works who was told of in this step is told not to ring
/// back. What is asked from now on says so itself.
pub fn warn_of_earlier_senders(draft: &mut Draft<'_>) -> Result<(), StepError> {
    let held: Vec<Arc<HeldTask>> = draft.sides().flat_map(|side| reported_by_accused(draft, side)).collect();
    let cause = format!("{}\0not to be rung", draft.decision.decision_id);
    let raising = draft.raising(None, "");
    let (theirs, of_others): (Vec<_>, Vec<_>) = held.into_iter().partition(|task| raising.decides(&task.agency));
    tell_each(draft, &cause, &theirs, &NOT_TO_BE_RUNG, &AT_HIGHEST_LEVEL)?;
    tell_each(draft, &cause, &of_others, &NOT_TO_BE_RUNG_BY_OTHERS, &AT_HIGHEST_LEVEL)
}

/// What is held by what one record knew, and was reported by an agency that is accused since.
fn reported_by_accused(draft: &Draft<'_>, side: &History) -> Vec<Arc<HeldTask>> {
    if !newly_held_back(side, &draft.history).iter().any(|route| route.is_of_suspect()) {
        return Vec::new();
    }
    let (before, now) = (held_back_of(side), held_back_of(&draft.history));
    let keys = &draft.context.keys;
    let is_own =
        |routes: &BTreeSet<HeldBack>, sender: &Source| routes.iter().any(|route| route.is_suspects_own(keys, sender));
    let is_accused = |entry: &&Arc<Entry>| is_own(&now, &entry.source) && !is_own(&before, &entry.source);
    let reported: Vec<&Arc<Entry>> = draft.history.entries.iter().filter(is_accused).collect();
    let shows_it = |task: &&Arc<HeldTask>| {
        is_open(&task.state)
            && task.chases.is_none()
            && !draft.is_raised_now(task)
            && reported.iter().any(|entry| task.is_of(entry))
            && holds(side, task)
    };
    draft.history.tasks.iter().filter(shows_it).cloned().collect()
}

/// Holds back every route that such a suspect may see, for this event and for all that follow.
pub fn hold_back(rules: &RuleBook, referral: &Referral, arriving: &mut Entry) {
    if !referral.event.backfill && is_unknown(rules, referral) {
        hold_back_all(rules, arriving);
    }
}

/// The same where a correction says that the suspect works with children. Where they work no correction can say.
pub fn corrected(rules: &RuleBook, changed: &mut Entry) {
    let works_with_children = changed.facts.get("suspect_is") == Some(&FactValue::Code("professional".to_owned()));
    let is_suspects = |route: &HeldBack| [entry::SUSPECT, entry::UNKNOWN_SUSPECT].contains(&route.cause.as_str());
    let is_placed = changed.held_back.iter().any(is_suspects);
    if works_with_children && !is_placed && !changed.backfilled {
        hold_back_all(rules, changed);
    }
}

fn hold_back_all(rules: &RuleBook, entry: &mut Entry) {
    let works_with_children = |agency: &&Agency| {
        agency.children_only || matches!(agency.units, UnitKind::School | UnitKind::Practice | UnitKind::Locality)
    };
    let routes = rules.agencies.values().filter(works_with_children).filter(|agency| agency.name != rules.front_door);
    entry.held_back.extend(routes.map(|agency| HeldBack {
        agency: agency.name.clone(),
        unit: None,
        cause: entry::UNKNOWN_SUSPECT.to_owned(),
    }));
}

fn is_unknown(rules: &RuleBook, referral: &Referral) -> bool {
    let of_family = referral.named_with.as_ref().and_then(|named| named.suspect_agency.as_deref());
    let is_any = |agency: &str| agency == entry::ANY_AGENCY || rules.agency_meant(agency).is_none();
    entry::is_suspect_unknown(rules, &referral.event.detail) || of_family.is_some_and(is_any)
}

/// Puts it to whoever decides where the suspect works; asked once, of the child whose event says so.
pub fn ask<'w>(draft: &Draft<'_>, entry: &Arc<Entry>, level: Option<Level>) -> Result<Option<Wanted<'w>>, StepError> {
    let of_another = entry.facts.get(entry::NAMED_WITH_ANOTHER) == Some(&FactValue::Bool(true));
    if !entry.held_back.iter().any(|route| route.cause == entry::UNKNOWN_SUSPECT) || of_another {
        return Ok(None);
    }
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&own_duty_at(level))?;
    let why =
        "Someone who works with children is the suspect, and it is not said, or not by a name that is known here, for \
               which agency and unit. Until it is recorded, nothing goes to those who work with children: route_confirmed with the agency and unit, \
               and held_back_for: suspect, or route_lifted where it is none of ours."
            .to_owned();
    let of_sender = entry.held_back.iter().any(|route| route.cause == entry::SUSPECT_SENDER);
    let why = if of_sender { format!("{why} {NOT_ANSWERED}") } else { why };
    Ok(Some(raising.own_duty(HELD_BACK_RULE, "Where the suspect works is not known", why, ASK_ACTION, due, entry)))
}

/// Puts it to whoever decides which agency a wish means that names none of the book.
pub fn ask_which_agency<'w>(
    draft: &Draft<'_>,
    event: &ReferralEvent,
    entry: &Arc<Entry>,
    level: Option<Level>,
) -> Result<Option<Wanted<'w>>, StepError> {
    if !entry::wishes_unknown_agency(&draft.book.rules, event) {
        return Ok(None);
    }
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&own_duty_at(level))?;
    let why =
        "The sender asks that an agency does not learn of this, by a name that is not known here, so that no route is \
               held back for it."
            .to_owned();
    let title = "A wish not to inform that is not understood";
    Ok(Some(raising.own_duty(HELD_BACK_RULE, title, why, WISH_ACTION, due, entry)))
}
