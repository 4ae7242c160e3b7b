//! Someone who must not learn of it is named only after tasks went out: those who hold them hear that there is one, the front
//! door who it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::draft::{Draft, within_the_hour_at};
use super::suspect::HELD_BACK_RULE;
use crate::engine::context::StepError;
use crate::engine::history::entry::{self, A_PERSON};
use crate::engine::history::{held_back_of, is_open};
use crate::engine::model::history::{Entry, HeldBack, HeldTask, History};
use crate::engine::model::inbox::Referral;
use crate::engine::tasks::Wanted;
use crate::engine::tasks::route::Address;

const TITLE: &str = "Someone must not learn of this";
const DECIDE_ACTION: &str = "Decide who must not learn of this, and tell those who act already";
const ASK_ACTION: &str = "Before you speak to the family: ask the front door who must not learn of this";

fn is_person(route: &HeldBack) -> bool {
    route.agency == A_PERSON
}

/// `of`: the event that a second report or a correction is about; `before`: what was known before it came.
pub fn named_later(
    draft: &mut Draft<'_>,
    referral: &Referral,
    of: &Arc<Entry>,
    before: &History,
) -> Result<(), StepError> {
    if !entry::held_back(&draft.book.rules, &referral.event).iter().any(is_person) {
        return Ok(());
    }
    let front_door = &draft.book.rules.front_door;
    let holds = |task: &&Arc<HeldTask>| is_open(&task.state) && task.chases.is_none() && task.agency != *front_door;
    let holders: BTreeSet<(String, Option<String>, Option<String>)> = (draft.history.tasks.iter())
        .filter(|task| task.is_of(of))
        .filter(holds)
        .map(|task| (task.agency.clone(), task.unit.clone(), task.role.clone()))
        .collect();
    let level = of.level.max(draft.history.case_level);
    let cause = &referral.event.event_id;
    let raising = draft.raising(Some(referral), cause);
    let due = raising.deadline_from_now(&within_the_hour_at(level))?;
    let why = "A later report says who must not learn of this. Tasks had gone out before it came.".to_owned();
    let own = raising.own_duty(HELD_BACK_RULE, TITLE, why.clone(), DECIDE_ACTION, due, of);
    let mut wanted = vec![Wanted { level, ..own.clone() }];
    let known_before = held_back_of(before).iter().any(is_person);
    for (agency, unit, role) in holders.into_iter().filter(|_| !known_before) {
        // Whoever was told the minimum is told no more now.
        let minimum = draft.book.rules.agencies.get(&agency).is_some_and(|agency| !agency.minimum.is_empty());
        let address = Address { agency, unit, role, in_place_of: None };
        wanted.push(Wanted { address, action: ASK_ACTION.to_owned(), minimum, ..own.clone() });
    }
    draft.raise(Some(referral), cause, &[], wanted).map(drop)
}
