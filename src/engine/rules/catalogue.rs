//! What a rule book may name: kinds, built-in facts, anchors, flags and the fields an agency may see. One table each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use crate::engine::model::codes::AgreementState;
use crate::engine::model::detail::{self, KINDS};
use crate::engine::model::scalar::{Coded, FactType, Level};

/// Kinds that are records, not concerns: they have no level and need reach nobody.
pub const NOT_CONCERNS: &[&str] = &[
    "status.changed",
    "decision.recorded",
    "agreement.recorded",
    "event.corrected",
    "event.withdrawn",
    "review.learning",
    "audit.finding",
    "information.requested",
];

/// Kinds that are applied to their original and never judged themselves.
pub const NEVER_JUDGED: &[&str] = &["event.corrected", "event.withdrawn"];

/// Symbols of `result.level`, lowest first; `L0` is "no rule gave a level".
pub const RESULT_LEVELS: &[&str] = &["L0", "L1", "L2", "L3", "L4a", "L4b"];

/// What a rule may set besides a level and tasks.
/// `re-referral`: marks the decision; `open-case`: this is no new referral; `siblings`: the same event is
/// judged for each other child named; `one-family`: each other child named comes to social care with this one.
/// `beside`: whoever gets its tasks joins those who see to the event, and does not stand in for them.
pub const FLAGS: &[&str] = &["re-referral", OPEN_CASE, "siblings", "one-family", BESIDE];

pub const BESIDE: &str = "beside";

/// The flag of a rule that tells those who hold the child's open case: no new referral to their agency.
pub const OPEN_CASE: &str = "open-case";

/// The role kept only while a worker holds the child's plan.
pub const ALLOCATED_WORKER: &str = "allocated-worker";

/// Stands in a task's `to` for the sender of the event: their own unit, where they are an agency of the book.
pub const REFERRER: &str = "referrer";

/// Instants a clock may run from. Where the event has none, receipt stands in.
/// `strategy_discussion` is the one that started a section 47 enquiry, for the decision that says it started;
/// `pregnancy_28_weeks` is twelve weeks before the due date; `turns_18` the eighteenth birthday, known from some weeks
/// before it; `as_index` when social care must act for the child whose referral names this one.
pub const ANCHORS: &[&str] = &[
    "receipt",
    "occurred_at",
    "reported_at",
    "last_seen_at",
    "ended_at",
    "completed_at",
    "strategy_discussion",
    "pregnancy_28_weeks",
    "turns_18",
    "as_index",
];

/// Rules of the router's own, which stand in no book: in a decision and in the reasons of a task they are named as the book's are.
pub const OWN_RULES: &[&str] = &[
    "R40",
    "R40-overdue",
    "agreed",
    "agreement",
    "answer-refused",
    "awaiting_original",
    "back-grown",
    "calendar",
    "case-closed",
    "closed-while-missing",
    "correction",
    "danger",
    "death",
    "decided-level",
    "decision-not-applied",
    "decision-taken-back",
    "fallback",
    "find-out",
    "first-receipt",
    "forgotten",
    "harm-suspected",
    "held-back",
    "help-goes-on",
    "joined",
    "not-judged-again",
    "not-taken-on",
    "one-family",
    "readdressed",
    "return",
    "same-child",
    "unlinked",
    "unread_record",
    "withdrawal",
];

/// Parts of a task, besides facts and the child's own fields, that an agency may be allowed to see.
pub const TASK_FIELDS: &[&str] = &["level", "narrative", "voice_of_child", "carers", "call_back", "partner_reference"];

/// Fields of the child that an agency may be allowed to see, each as `child.<field>`.
pub const CHILD_FIELDS: &[&str] = &[
    "nhs_number",
    "upn",
    "given_names",
    "family_name",
    "date_of_birth",
    "due_date",
    "school_urn",
    "gp_ods",
    "locality",
    "addresses",
    "sex",
    "ethnicity",
    "disability_or_send",
    "first_language",
    "interpreter_needed",
];

/// Groups an agency's `sees` may name instead of every member.
pub const FIELD_GROUPS: &[&str] = &["child.*", "event.*", "history.*", "status.*"];

/// What an agency sees of a task marked `minimum` unless it says otherwise.
pub const MINIMUM_FIELDS: &[&str] = &["child.given_names", "child.family_name", "child.date_of_birth", "call_back"];

/// A fact the router itself works out, whatever the rule book.
pub struct BuiltIn {
    pub name: &'static str,
    pub value_type: FactType,
    /// Never missing: what is recorded, false or zero where nothing is.
    pub always_known: bool,
    pub label: &'static str,
    /// The event kinds that carry it; None: every kind.
    pub kinds: Option<&'static [&'static str]>,
}

const fn may_be_missing(name: &'static str, value_type: FactType, label: &'static str) -> BuiltIn {
    BuiltIn { name, value_type, always_known: false, label, kinds: None }
}

const fn recorded(name: &'static str, value_type: FactType, label: &'static str) -> BuiltIn {
    BuiltIn { name, value_type, always_known: true, label, kinds: None }
}

const UNBORN: Option<&[&str]> = Some(&["unborn.concern"]);

const AGREEMENT: FactType = match AgreementState::FACT {
    Some(value_type) => value_type,
    None => FactType::Bool,
};

/// Worked out at receipt, and not kept: the services for children alone are given nothing then.
pub const IS_ADULT: &str = "child.is_adult";

/// Every built-in fact save `event.kind`, the fields of event kinds, and the agencies of `result.agencies`.
pub const BUILT_IN: &[BuiltIn] = &[
    may_be_missing("event.immediate_danger", FactType::Bool, "whether the child is in immediate danger"),
    may_be_missing("event.emergency_call_made", FactType::Bool, "whether 999 was rung"),
    may_be_missing("event.agreement", AGREEMENT, "where the family's agreement to a service stands"),
    recorded("event.siblings_named", FactType::Bool, "other children are named with this one"),
    recorded("event.named_with_another", FactType::Bool, "the child was named in another child's referral"),
    recorded("event.of_another_family", FactType::Bool, "that other child is of another family"),
    recorded(
        "event.family_unclear",
        FactType::Bool,
        "whether the two are of one family cannot be told from what was said",
    ),
    recorded("event.named_as_parent", FactType::Bool, "the child is said to be that other child's mother or father"),
    BuiltIn {
        kinds: UNBORN,
        ..may_be_missing(
            "event.any_risk_factor",
            FactType::Bool,
            "whether there is any risk factor for the unborn child",
        )
    },
    may_be_missing("child.age_years", FactType::Int, "the child's age"),
    may_be_missing("child.from_17_and_a_half", FactType::Bool, "whether the child is 17 years and 6 months or older"),
    may_be_missing("child.turns_18_within_30d", FactType::Bool, "whether the child turns 18 within 30 days"),
    recorded(IS_ADULT, FactType::Bool, "the young person is known to be 18 or older"),
    recorded("child.unborn", FactType::Bool, "the child is unborn"),
    may_be_missing("child.home_educated", FactType::Bool, "whether the child is educated at home"),
    recorded("child.at_school", FactType::Bool, "the referral names the child's school"),
    may_be_missing("child.weeks_of_pregnancy", FactType::Int, "how many weeks the pregnancy has lasted"),
    recorded("status.cin", FactType::Bool, "a child in need plan is open"),
    recorded("status.cpp", FactType::Bool, "a child protection plan is open"),
    recorded("status.lac", FactType::Bool, "the child is looked after"),
    recorded("status.ce_flag", FactType::Bool, "the child is flagged for exploitation"),
    recorded("status.out_of_area", FactType::Bool, "the child is placed across a border"),
    recorded("status.placed_by_other", FactType::Bool, "another authority placed the child here"),
    recorded("status.open_plan", FactType::Bool, "a plan is open: in need, child protection or looked after"),
    recorded(
        "status.significant_harm",
        FactType::Bool,
        "significant harm is suspected: the case is at level 4b, or an enquiry runs",
    ),
    recorded("status.cpp_ever", FactType::Bool, "a child protection plan was ever open"),
    recorded("status.case_closed_12m", FactType::Bool, "referred in the 12 months before, and that case closed"),
    recorded("status.missing_open", FactType::Bool, "the child is missing now"),
    recorded("status.absent_open", FactType::Bool, "the child is absent now"),
    recorded("result.level", FactType::Code(RESULT_LEVELS), "the level proposed so far"),
    may_be_missing("result.turns_18_before_deadline", FactType::Bool, "the child's age"),
];

/// Built-in facts that look back on what is kept with the entries, and how many days.
pub const REACHES_BACK_DAYS: &[(&str, i64)] = &[("status.case_closed_12m", 366)];

static KIND_NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| KINDS.iter().map(|(kind, _)| *kind).collect());

/// Every event kind, in catalogue order.
pub fn kinds() -> &'static [&'static str] {
    &KIND_NAMES
}

/// Every kind that is a concern for a child.
pub fn concerns() -> impl Iterator<Item = &'static str> {
    kinds().iter().copied().filter(|kind| is_concern(kind))
}

/// Whether a kind is a concern: such an event always reaches a person.
pub fn is_concern(kind: &str) -> bool {
    !NOT_CONCERNS.contains(&kind)
}

/// The coded fields of all kinds as `event.<field>` facts, with the kinds that carry each.
pub fn event_fields() -> BTreeMap<String, (FactType, Vec<&'static str>)> {
    let mut found: BTreeMap<String, (FactType, Vec<&'static str>)> = BTreeMap::new();
    for kind in kinds() {
        for (field, value_type) in detail::fields(kind).unwrap_or_default() {
            if let Some(value_type) = value_type {
                found.entry(format!("event.{field}")).or_insert((*value_type, Vec::new())).1.push(kind);
            }
        }
    }
    found
}

/// The fields of all kinds that no rule reads and a task may show, as `event.<field>`.
pub fn other_event_fields() -> BTreeSet<String> {
    let of_kind = |kind: &&'static str| detail::fields(kind).unwrap_or_default().iter();
    let others = kinds().iter().flat_map(of_kind).filter(|(_, value_type)| value_type.is_none());
    others.map(|(field, _)| format!("event.{field}")).collect()
}

/// Whether the symbols of a fact have an order: only levels do.
pub fn is_ordered(value_type: FactType) -> bool {
    match value_type {
        FactType::Int => true,
        FactType::Bool => false,
        FactType::Code(symbols) => symbols == RESULT_LEVELS || symbols == Level::ALL.map(Level::symbol).as_slice(),
    }
}

/// Whether a fact carries a level, so that `L2` is one of its values.
pub fn is_level(value_type: FactType) -> bool {
    is_ordered(value_type) && value_type != FactType::Int
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_one_type_whatever_the_kind() {
        for kind in kinds() {
            for (field, value_type) in detail::fields(kind).unwrap_or_default() {
                if let Some(value_type) = value_type {
                    let (first, _) = event_fields()[&format!("event.{field}")];
                    assert_eq!(first, *value_type, "{kind} {field}");
                }
            }
        }
    }

    #[test]
    fn named_kinds_exist() {
        for kind in NOT_CONCERNS.iter().chain(NEVER_JUDGED) {
            assert!(kinds().contains(kind), "{kind}");
        }
    }

    #[test]
    fn built_in_facts_clash_with_no_field() {
        for built_in in BUILT_IN {
            assert!(!event_fields().contains_key(built_in.name), "{}", built_in.name);
        }
    }
}
