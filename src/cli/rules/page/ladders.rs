//! What the page says of silence, of units on duty, and of numbers that have no rule.

use super::words::{after_in_words, number_of};
use super::{capitalised, number, plain, recipient};
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::{Ladder, LadderStep};

/// Numbers of the catalogue whose rules need what the router cannot do yet.
const NOT_WRITTEN: [(&str, &str); 2] = [
    ("R20", "three or more cases of self-harm at one school within 30 days"),
    ("R24", "three or more children linked to one place or person within 28 days"),
];

pub struct LadderShown {
    pub title: String,
    pub of: String,
    pub rungs: Vec<RungShown>,
}

pub struct RungShown {
    pub when: String,
    pub who: String,
    pub action: String,
}

pub struct NotWritten {
    pub number: String,
    pub what: String,
}

pub struct OnDuty {
    pub title: String,
    pub unit: String,
    pub out_of_hours: String,
}

pub fn ladders(book: &RuleBook) -> Vec<LadderShown> {
    book.ladders.iter().map(|ladder| shown(book, ladder)).collect()
}

fn shown(book: &RuleBook, ladder: &Ladder) -> LadderShown {
    let of = match &ladder.levels {
        Some(levels) => levels.iter().map(|level| format!("level {}", number(*level))).collect::<Vec<_>>().join(", "),
        None => "every other level".to_owned(),
    };
    let rung = |when: String, step: &LadderStep| {
        let role = step.role.as_deref();
        let who = match &step.to {
            Some(agency) => recipient(book, agency, role),
            None => role.map_or("Whoever holds the task".to_owned(), |role| {
                format!("The {} above whoever holds the task", plain(role))
            }),
        };
        RungShown { when, who, action: step.action.clone() }
    };
    let unanswered = ladder.steps.iter().map(|step| rung(format!("After {}", after_in_words(&step.after)), step));
    let overdue = ladder
        .overdue
        .iter()
        .map(|step| rung("At the deadline of what must be completed by it, if it is not".to_owned(), step));
    LadderShown { title: ladder.title.clone(), of: capitalised(&of), rungs: unanswered.chain(overdue).collect() }
}

/// The numbers of the catalogue that the book has no rule for, or none for all that they are about.
pub fn not_written(book: &RuleBook) -> Vec<NotWritten> {
    let highest = book.rules.iter().filter_map(|rule| number_of(&rule.id)).max();
    let is_lacking = |(id, _): &&(&str, &str)| book.rule(id).is_none() && number_of(id) < highest;
    let lacking = NOT_WRITTEN.iter().filter(is_lacking).map(|(id, what)| NotWritten {
        number: (*id).to_owned(),
        what: format!(
            "{}: not written yet. It comes with what the router learns across children; until then rely on nobody being told of it by the router.",
            capitalised(what)
        ),
    });
    lacking.collect()
}

/// Who is at an agency outside working hours.
pub fn on_duty(book: &RuleBook) -> Vec<OnDuty> {
    let shown = book.agencies.values().filter_map(|agency| {
        let out_of_hours = agency.out_of_hours_unit.clone()?;
        Some(OnDuty { title: agency.title.clone(), unit: agency.unit.clone().unwrap_or_default(), out_of_hours })
    });
    shown.collect()
}

/// Who triages what no rule gives to anyone.
pub fn front_door(book: &RuleBook) -> String {
    book.agencies.get(&book.front_door).map_or(book.front_door.clone(), |agency| agency.title.clone())
}
