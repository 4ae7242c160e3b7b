//! What of a history a rule book still counts: that is folded after all else, and said. And when there is nothing left to keep.

use crate::engine::calendar::start_of;
use crate::engine::history::entry::TURNS_18;
use crate::engine::history::{agreement, episodes};
use crate::engine::model::history::{Entry, History};
use crate::engine::model::scalar::{DAY_MS, FactValue, Timestamp};
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::{Aggregate, Window};
use crate::engine::rules::catalogue::is_concern;
/// How far back it is looked whether the child was referred before, and that case closed, whatever the book counts.
const REFERRED_BEFORE_DAYS: i64 = 366;
/// Whoever was known before birth is grown by then.
const CHILDHOOD_DAYS: i64 = 19 * 366;
const PLANS: [&str; 3] = ["cin", "cpp", "lac"];
const CHILDHOOD_YEARS: i64 = 18;

/// How long a rule book keeps things, and what it counts meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Keeping<'b> {
    pub retention_days: i64,
    pub counts: &'b [Aggregate],
}

impl<'b> Keeping<'b> {
    pub fn by(rules: &'b RuleBook) -> Self {
        Self { retention_days: rules.retention_days, counts: &rules.aggregates }
    }

    pub fn retention_ms(&self) -> i64 {
        self.retention_days.saturating_mul(DAY_MS)
    }

    /// Whether a rule may still count an entry within a window, or read that the child was referred before.
    pub fn is_counted(&self, entry: &Entry, now: Timestamp) -> bool {
        if entry.withdrawn {
            return false;
        }
        let is_within = |days: i64| entry.occurred_at.plus_millis(days.saturating_add(1).saturating_mul(DAY_MS)) >= now;
        let of_kind = self.counts.iter().filter(|count| count.kinds.contains(entry.kind.as_str()));
        let mut windows = of_kind.filter_map(|count| count.window.days_at_most());
        (shows_a_case(entry) && is_within(REFERRED_BEFORE_DAYS)) || windows.any(is_within)
    }

    fn counts_for_ever(&self, history: &History) -> bool {
        let of_kinds = |count: &Aggregate| count.kinds.iter().any(|kind| history.folded.contains_key(*kind));
        self.counts.iter().any(|count| matches!(count.window, Window::Ever) && of_kinds(count))
    }

    /// When all that is left of a history of which nothing has a date of its own any more is too old: plans, routes held back
    /// and who was told apart stay for the childhood, and what else there is for as long as an entry would.
    pub fn rest_kept_by(&self, history: &History) -> Timestamp {
        let for_childhood = !history.statuses.is_empty()
            || history.held_back.is_some()
            || history.look_alikes.is_some()
            || history.pairs.is_some()
            || self.counts_for_ever(history);
        if for_childhood { grown_at(history).max(history.updated_at) } else { history.updated_at }
    }
}

/// Whether an entry may show that the child was referred, or that their case was closed.
fn shows_a_case(entry: &Entry) -> bool {
    let says = |fact: &str, codes: &[&str]| match entry.facts.get(fact) {
        Some(FactValue::Code(code)) => codes.contains(&code.as_str()),
        Some(FactValue::Bool(_) | FactValue::Int(_)) | None => false,
    };
    match entry.kind.as_str() {
        "decision.recorded" => says("decision", &["closed"]),
        "status.changed" => says("status", &PLANS),
        kind => is_concern(kind),
    }
}

/// The entries from which alone something is known that is so now: that the child is missing, or that asking is unsafe.
pub fn standing(history: &History) -> impl Fn(&Entry) -> bool + '_ {
    let settled = agreement::settled_by(history);
    move |entry: &Entry| {
        let of_absence = episodes::is_report(entry);
        let is_missing = of_absence && !entry.withdrawn && episodes::back_at(history, entry).is_none();
        is_missing || settled.is_some_and(|settled| settled.is_same_event(entry))
    }
}

/// When the child is grown, as far as is known, and surely.
fn grown_at(history: &History) -> Timestamp {
    let after = history.grown_by.and_then(|year| i16::try_from(year.saturating_add(1)).ok());
    let new_year = after.and_then(|year| jiff::civil::Date::new(year, 1, 1).ok()).map(start_of);
    new_year.unwrap_or_else(|| history.updated_at.plus_millis(CHILDHOOD_DAYS.saturating_mul(DAY_MS)))
}

/// The year by whose end the child of an entry is surely 18; None: the entry tells no age.
pub fn grown_by(entry: &Entry) -> Option<i32> {
    let year = |at: Timestamp| i32::from(crate::engine::calendar::london_date(at).year());
    if let Some(birthday) = entry.anchors.get(TURNS_18) {
        return Some(year(*birthday));
    }
    let Some(FactValue::Int(age)) = entry.facts.get("child.age_years") else { return None };
    let unborn = i32::from(entry.facts.get("child.unborn") == Some(&FactValue::Bool(true)));
    let left = i32::try_from(CHILDHOOD_YEARS.saturating_sub(*age).max(0)).unwrap_or_default();
    Some(year(entry.occurred_at).saturating_add(left).saturating_add(unborn))
}
