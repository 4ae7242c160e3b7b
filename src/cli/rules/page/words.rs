//! A condition in a practitioner's words: what the page says where the book has CEL.

use crate::engine::calendar::Clock;
use crate::engine::model::scalar::{FactType, FactValue};
use crate::engine::rules::RuleBook;
use crate::engine::rules::expression::{Condition, Expr, Predicate, Test};
use crate::engine::rules::facts::{Fact, FactId};
use crate::engine::tasks::deadline_in_words;

/// Facts whose label says what to find out, not what is so.
const STATEMENTS: [(&str, &str); 21] = [
    ("child.from_17_and_a_half", "the young person is 17 and a half or older"),
    ("child.turns_18_within_30d", "the young person turns 18 within 30 days"),
    ("child.is_adult", "the young person is 18 or older"),
    ("child.at_school", "the child's school is named (and they are not educated at home)"),
    ("result.turns_18_before_deadline", "they turn 18 before what is asked is due, or are 18 already"),
    ("status.missing_open", "the child is missing now"),
    ("status.absent_open", "the child is absent now"),
    ("status.lac", "the child is looked after"),
    ("status.cpp", "the child is on a child protection plan"),
    ("status.cpp_ever", "the child was ever on a child protection plan"),
    ("status.ce_flag", "the child is flagged for exploitation"),
    ("status.open_plan", "a plan is open (in need, child protection or looked after)"),
    ("status.out_of_area", "the child is looked after and placed across a border"),
    ("status.placed_by_other", "the child was placed here by another authority"),
    ("status.significant_harm", "significant harm is being looked into"),
    ("event.of_another_family", "the other child is of another family"),
    ("event.family_unclear", "whether the two are of one family cannot be told from what was said"),
    ("event.named_as_parent", "the child is said to be the other's mother or father"),
    ("event.agreement", "the family's agreement to a service"),
    ("event.grade", "the police's grade"),
    ("event.suspect_is", "the suspect"),
];

/// How a condition stands in another: bare, or in brackets where it is joined.
pub fn in_words(book: &RuleBook, condition: &Condition) -> String {
    expression(book, &condition.expr, Joined::Not)
}

/// The same without the agreement that a service needs, which the page says besides. None: nothing else is asked.
pub fn besides_agreement(book: &RuleBook, condition: &Condition, needs_agreement: bool) -> Option<String> {
    let agreed = |part: &Expr| matches!(part, Expr::Test(test) if test.written == AGREED);
    match &condition.expr {
        Expr::Test(_) if needs_agreement && agreed(&condition.expr) => None,
        Expr::And(parts) if needs_agreement => {
            let others: Vec<Expr> = parts.iter().filter(|part| !agreed(part)).cloned().collect();
            let other = if let [other] = others.as_slice() { other.clone() } else { Expr::And(others) };
            Some(expression(book, &other, Joined::Not))
        }
        other => Some(expression(book, other, Joined::Not)),
    }
}

const AGREED: &str = "event.agreement == 'given'";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Joined {
    Not,
    ByAnd,
    ByOr,
}

fn expression(book: &RuleBook, expr: &Expr, within: Joined) -> String {
    match expr {
        Expr::Constant(flag) => if *flag { "always" } else { "never" }.to_owned(),
        Expr::Test(test) => test_in_words(book, test, true),
        Expr::Not(inner) => match inner.as_ref() {
            Expr::Test(test) => test_in_words(book, test, false),
            Expr::Not(twice) => expression(book, twice, within),
            // Of none of several, and not of all of several.
            Expr::Or(parts) => joined(book, &negated(parts), Joined::ByAnd, within),
            Expr::And(parts) => joined(book, &negated(parts), Joined::ByOr, within),
            Expr::Constant(flag) => if *flag { "never" } else { "always" }.to_owned(),
        },
        Expr::And(parts) => joined(book, parts, Joined::ByAnd, within),
        Expr::Or(parts) => joined(book, parts, Joined::ByOr, within),
    }
}

fn negated(parts: &[Expr]) -> Vec<Expr> {
    parts.iter().map(|part| Expr::Not(Box::new(part.clone()))).collect()
}

fn joined(book: &RuleBook, parts: &[Expr], by: Joined, within: Joined) -> String {
    let said: Vec<String> = parts.iter().map(|part| expression(book, part, by)).collect();
    let words = said.join(if by == Joined::ByAnd { ", and " } else { ", or " });
    if within == Joined::Not || within == by { words } else { format!("({words})") }
}

fn test_in_words(book: &RuleBook, test: &Test, holds: bool) -> String {
    let Some(fact) = book.facts.get(test.fact) else { return test.written.clone() };
    let not = if holds { "" } else { "not " };
    let what = plain(label(book, test.fact));
    match (&test.predicate, fact.value_type) {
        (Predicate::Known, _) if holds => format!("it is known: {what}"),
        (Predicate::Known, _) => format!("it is not known: {what}"),
        (Predicate::Equal(slot), FactType::Bool) => flag_in_words(book, fact, (*slot != 0) == holds),
        (Predicate::Equal(slot), _) => format!("{what} is {not}{}", value(fact, *slot)),
        (Predicate::OneOf(slots), _) => {
            let values: Vec<String> = slots.iter().map(|slot| value(fact, *slot)).collect();
            let (none_of, or) = if holds { ("", " or ") } else { ("neither ", " nor ") };
            let none_of = if values.len() > 1 { none_of } else { not };
            format!("{what} is {none_of}{}", values.join(or))
        }
        (Predicate::Less(slot), _) => compared(&what, fact, *slot, if holds { "below" } else { AT_LEAST }),
        (Predicate::GreaterOrEqual(slot), _) => compared(&what, fact, *slot, if holds { AT_LEAST } else { "below" }),
        (Predicate::Greater(slot), _) => compared(&what, fact, *slot, if holds { "above" } else { AT_MOST }),
        (Predicate::LessOrEqual(slot), _) => compared(&what, fact, *slot, if holds { AT_MOST } else { "above" }),
    }
}

const AT_LEAST: &str = "at least";
const AT_MOST: &str = "at most";

fn compared(what: &str, fact: &Fact, slot: i64, how: &str) -> String {
    format!("{what} is {how} {}", value(fact, slot))
}

/// Labels say what to find out: `whether 999 was rung`, `how the police have graded the child`.
fn plain(label: &str) -> String {
    label.strip_prefix("whether ").unwrap_or(label).to_owned()
}

fn label(book: &RuleBook, fact: FactId) -> &str {
    let name = book.facts.name(fact);
    STATEMENTS.iter().find(|(known, _)| *known == name).map_or(book.facts.label(fact), |(_, words)| words)
}

fn flag_in_words(book: &RuleBook, fact: &Fact, holds: bool) -> String {
    if let Some(agency) = fact.name.strip_prefix("result.agencies.") {
        let title = book.agencies.get(agency).map_or(agency, |agency| super::short(&agency.title));
        let asked = if holds { "is asked" } else { "is not asked" };
        return format!("{title} {asked} something by a rule");
    }
    let words = book.facts.id(&fact.name).map_or(String::new(), |id| plain(label(book, id)));
    if holds { words } else { format!("it is not so that {words}") }
}

fn value(fact: &Fact, slot: i64) -> String {
    match fact.decode(slot) {
        Some(FactValue::Code(code)) => code_in_words(&code),
        Some(FactValue::Int(number)) => number.to_string(),
        Some(FactValue::Bool(flag)) => if flag { "yes" } else { "no" }.to_owned(),
        None => slot.to_string(),
    }
}

/// `L4a` as `level 4a`, `not_asked` as `not asked`, `concern.reported` as `concern reported`.
fn code_in_words(code: &str) -> String {
    match code.strip_prefix('L').filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit())) {
        Some("0") => "no level".to_owned(),
        Some(level) => format!("level {level}"),
        None => super::plain(code),
    }
}

/// When a rung is told, in words.
pub fn after_in_words(after: &Clock) -> String {
    super::without_receipt(&deadline_in_words(after, "receipt"))
}

/// The number of a rule: of `R13` and `R13-again` 13.
pub fn number_of(id: &str) -> Option<u32> {
    let digits: String = id.strip_prefix('R')?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
