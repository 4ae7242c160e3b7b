//! Facts of one judgement: what the rules may read, gathered from event, child, status and history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil;

use super::calendar::{london_date, month_in_words};
use super::history::agreement::AGREEMENT_RECORDED;
use super::history::decisions::decided;
use super::history::entry::{is_adult, is_grown};
use super::history::{agreement, death, episodes, latest_status, significant_harm, status_open};
use super::model::history::{Entry, History};
use super::model::scalar::{FactValue, Level, Timestamp};
use super::rules::RuleBook;
use super::rules::book::{Aggregate, Rule, Window};
use super::rules::catalogue::{IS_ADULT, is_concern};
use super::rules::expression::Truth;
use super::rules::facts::{Absences, FactId, FactTable, KindId};
use super::rules::names::ByName;

mod absences;
mod counts;

pub use counts::Counting;
use counts::{Kinds, Remembered, each_counted};

const PLANS: [&str; 3] = ["cin", "cpp", "lac"];

/// Concerns that speak of an earlier referral and are none themselves.
const FOLLOWS_A_REFERRAL: [&str; 3] = [episodes::REGRADED, episodes::ENDED, "return_interview.completed"];
/// What holds for children alone.
const ENDS_AT_18: [&str; 5] = ["cin", "cpp", "lac", "placed_by_other", "out_of_area"];
const CASE_CLOSED: &str = "status.case_closed_12m";
const STATUS_PREFIX: &str = "status.";
const AGENCY_PREFIX: &str = "result.agencies.";

/// A rule book with what is looked up for every event worked out once.
#[derive(Debug)]
pub struct PreparedBook {
    pub rules: RuleBook,
    /// Facts kept with an entry, by the name they are kept under.
    kept: ByName<String, FactId>,
    /// With whether they end at 18.
    statuses: Vec<(FactId, String, bool)>,
    agencies: BTreeMap<String, FactId>,
    level: Option<FactId>,
    turns_18: Option<FactId>,
    is_adult: Option<FactId>,
    /// For each kind, the facts that its rules read: what a decision records.
    read_by_kind: BTreeMap<&'static str, BTreeSet<FactId>>,
    /// For each kind, the counts among them, as places in `rules.aggregates`: no other is worked out for it.
    counts_by_kind: BTreeMap<&'static str, Vec<usize>>,
    /// The kinds that each count counts, in the order of `rules.aggregates`.
    counted_kinds: Vec<Kinds>,
    /// By the place of the kind in the catalogue.
    absences: Vec<Absences>,
}

/// The instants a judgement looks from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AsOf {
    /// Windows end on this instant's London date.
    pub windows: Timestamp,
    /// Statuses are as recorded to hold at this instant.
    pub statuses: Timestamp,
}

impl AsOf {
    /// An event is judged by when it happened, and by what was so at its receipt.
    pub fn entry(entry: &Entry) -> Self {
        Self { windows: entry.occurred_at, statuses: entry.received_at }
    }

    /// A timer is judged by how things stand when it fires.
    pub fn instant(at: Timestamp) -> Self {
        Self { windows: at, statuses: at }
    }
}

impl PreparedBook {
    pub fn new(rules: RuleBook) -> Self {
        let mut kept = ByName::default();
        let mut statuses = Vec::new();
        let mut agencies = BTreeMap::new();
        for (id, fact) in rules.facts.iter() {
            if let Some(status) = fact.name.strip_prefix(STATUS_PREFIX) {
                statuses.push((id, status.to_owned(), ENDS_AT_18.contains(&status)));
            } else if let Some(agency) = fact.name.strip_prefix(AGENCY_PREFIX) {
                agencies.insert(agency.to_owned(), id);
            } else {
                let name = fact.name.strip_prefix("event.").unwrap_or(&fact.name);
                kept.insert(name.to_owned(), id);
            }
        }
        let mut read_by_kind: BTreeMap<&'static str, BTreeSet<FactId>> = BTreeMap::new();
        for rule in &rules.rules {
            for kind in &rule.on {
                read_by_kind.entry(kind).or_default().extend(rule.reads.iter().copied());
            }
        }
        let read_by = |kind: &&'static str, facts: &BTreeSet<FactId>| {
            let counts = (0..).zip(&rules.aggregates).filter(|(_, aggregate)| facts.contains(&aggregate.fact));
            (*kind, counts.map(|(place, _)| place).collect())
        };
        let counts_by_kind = read_by_kind.iter().map(|(kind, facts)| read_by(kind, facts)).collect();
        let level = rules.facts.id("result.level");
        let turns_18 = rules.facts.id("result.turns_18_before_deadline");
        let turns_18 = turns_18.filter(|id| rules.rules.iter().any(|rule| rule.reads.contains(id)));
        let is_adult = rules.facts.id(IS_ADULT);
        let absences = KindId::all().map(|kind| rules.facts.absences(kind)).collect();
        let counted_kinds = rules.aggregates.iter().map(Kinds::counted_by).collect();
        Self {
            rules,
            kept,
            statuses,
            agencies,
            level,
            turns_18,
            is_adult,
            read_by_kind,
            counts_by_kind,
            counted_kinds,
            absences,
        }
    }

    /// The facts that rules for this kind read, in the order of the book.
    pub fn read_by(&self, kind: &str) -> impl Iterator<Item = FactId> {
        self.read_by_kind.get(kind).into_iter().flatten().copied()
    }

    /// Whether a newcomer may change what the rules for a kind conclude: it is counted by them, or settles a status or agreement that
    /// they read.
    pub fn is_moved(&self, kind: &str, newcomer: &Entry) -> bool {
        if newcomer.kind == AGREEMENT_RECORDED {
            return true;
        }
        let read = self.counts_by_kind.get(kind).map_or(&[][..], Vec::as_slice);
        let newcomer_kind = Kinds::of(&newcomer.kind);
        let is_counted =
            read.iter().filter_map(|place| self.counted_kinds.get(*place)).any(|kinds| kinds.contains(newcomer_kind));
        let agreement = self.kept.get("agreement").filter(|_| newcomer.facts.contains_key("agreement"));
        let settles = |id: FactId| agreement == Some(&id) || self.statuses.iter().any(|(status, ..)| *status == id);
        is_counted || self.read_by(kind).any(settles)
    }

    /// Fills a table with all that is known of an entry before it has a level, save `result.*`. `counting`: of this very entry.
    pub fn gather(
        &self,
        history: &History,
        entry: &Entry,
        as_of: AsOf,
        counting: &mut Counting<'_>,
        table: &mut FactTable,
    ) {
        for (name, value) in &entry.facts {
            if let Some(id) = self.kept.get(name.as_str()) {
                self.rules.facts.set(table, *id, value);
            }
        }
        if let Some(id) = self.is_adult.filter(|_| is_adult(entry, entry.received_at)) {
            table.set_bool(id, true);
        }
        self.gather_agreement(history, entry, as_of, table);
        let grown = is_grown(history, entry, as_of.statuses);
        let authority = self.rules.authority.as_deref();
        for (id, status, ends_at_18) in &self.statuses {
            let over = *ends_at_18 && grown;
            table.set_bool(*id, !over && is_recorded(history, entry, status, as_of.statuses, authority));
        }
        counting.fill(table);
        if let Some(absences) = self.absences.get(table.kind().place()) {
            absences.fill(table);
        }
    }

    /// Where agreement stands: as last recorded, unless the event itself says. That asking is unsafe stands though an event says that
    /// nobody asked. What was agreed to when an event came is not agreed to any more once the family is said to refuse.
    fn gather_agreement(&self, history: &History, entry: &Entry, as_of: AsOf, table: &mut FactTable) {
        let Some(id) = self.kept.get("agreement") else { return };
        let until = entry.received_at.max(as_of.statuses);
        if agreement::said(entry).is_none() && agreement::is_unsafe(history, Some(until)) {
            self.rules.facts.set(table, *id, &FactValue::Code(agreement::UNSAFE_TO_ASK.to_owned()));
            return;
        }
        let standing =
            history.agreement.as_ref().filter(|standing| !entry.facts.contains_key("agreement") || standing.at > until);
        let state = agreement::standing_for(history, entry, standing).or_else(|| agreement::said(entry));
        let taken_back = state.filter(|state| *state == agreement::GIVEN);
        let taken_back = taken_back.and_then(|_| agreement::taken_back_since(history, entry));
        if let Some(state) = taken_back.or(state) {
            self.rules.facts.set(table, *id, &FactValue::Code(state.to_owned()));
        }
    }

    /// Sets what the rules of earlier strata concluded.
    pub fn set_results(&self, level: Option<Level>, named: &BTreeSet<&str>, table: &mut FactTable) {
        if let (Some(id), Some(level)) = (self.level, level) {
            self.rules.facts.set(table, id, &FactValue::Code(level.symbol().to_owned()));
        }
        for agency in named {
            if let Some(id) = self.agencies.get(*agency) {
                table.set_bool(*id, true);
            }
        }
    }

    /// Sets whether the child turns 18 before the last deadline that `rules` give, or is 18 already, deadline or none; missing
    /// while the age is.
    pub fn set_turns_18(&self, entry: &Entry, rules: &[&Rule], table: &mut FactTable) {
        let Some(id) = self.turns_18 else { return };
        let age_known = entry.facts.contains_key("child.age_years");
        match entry.anchors.get("turns_18") {
            Some(birthday) => {
                let last = rules.iter().filter_map(|rule| self.last_deadline(entry, rule, table)).max();
                table.set_bool(id, *birthday <= last.unwrap_or(entry.received_at));
            }
            None if age_known => table.set_bool(id, false),
            None => {}
        }
    }

    /// The latest deadline of a rule's tasks; those that the calendar cannot tell are left out.
    fn last_deadline(&self, entry: &Entry, rule: &Rule, table: &FactTable) -> Option<Timestamp> {
        let asked = rule.tasks.iter().filter(|task| task.applies(table) == Truth::True);
        let due = asked.filter_map(|task| {
            let from = entry.anchors.get(task.from).copied().unwrap_or(entry.received_at);
            self.rules.calendar.due(&task.by, from, None).ok()
        });
        due.map(|due| due.at).max()
    }

    /// When the entries happened that a count counts, and what each was, oldest first.
    pub fn counted(
        &self,
        aggregate: &Aggregate,
        history: &History,
        judged: &Entry,
        as_of: AsOf,
        level: Option<Level>,
    ) -> Vec<(Timestamp, String)> {
        let between = (self.window_start(aggregate.window, as_of), self.rules.calendar.window_end(as_of.windows));
        let (remembered, mut counted) = (Remembered::all(history, judged), Vec::new());
        let kinds = Kinds::counted_by(aggregate);
        each_counted((aggregate, kinds), &remembered, between, level, &mut |entry| {
            counted.push((entry.occurred_at, what(entry)));
        });
        counted
    }

    /// None: at the beginning.
    fn window_start(&self, window: Window, as_of: AsOf) -> Option<Timestamp> {
        let days = window.days_before(london_date(as_of.windows))?;
        Some(self.rules.calendar.window_start(as_of.windows, days))
    }

    /// The dates behind a count, in words: `12 March, 1 May, 10 June`; where it counts more than one sort of event, what each was:
    /// `12 March (self harm reported), 1 May (concern reported: housing)`.
    pub fn dates(&self, fact: FactId, history: &History, judged: &Entry, as_of: AsOf, level: Option<Level>) -> String {
        let Some(aggregate) = self.rules.aggregates.iter().find(|aggregate| aggregate.fact == fact) else {
            return String::new();
        };
        let this_year = london_date(as_of.windows).year();
        let dates = self.counted(aggregate, history, judged, as_of, level);
        let sorts: BTreeSet<&str> = aggregate.kinds.iter().filter_map(|kind| kind.split('.').next()).collect();
        let words = dates.into_iter().map(|(at, what)| {
            let date = date_in_words(london_date(at), this_year);
            if sorts.len() > 1 { format!("{date} ({what})") } else { date }
        });
        words.collect::<Vec<String>>().join(", ")
    }

    /// What looks back, among the facts an entry's rules read, to before `covered_since`: counts, and whether the child was referred
    /// before. Their names.
    pub fn uncovered(&self, kind: &str, as_of: AsOf, covered_since: Timestamp) -> Vec<&str> {
        let reads: BTreeSet<FactId> = self.read_by(kind).collect();
        let calendar = &self.rules.calendar;
        let reaches_back = |aggregate: &&Aggregate| {
            aggregate
                .window
                .days_before(london_date(as_of.windows))
                .is_none_or(|days| calendar.window_start(as_of.windows, days) < covered_since)
        };
        let counts = self.rules.aggregates.iter().filter(|aggregate| reads.contains(&aggregate.fact));
        let counts = counts.filter(reaches_back).map(|aggregate| aggregate.fact);
        let a_year_before = london_date(as_of.statuses).checked_sub(jiff::Span::new().years(1)).ok();
        let is_short = a_year_before.is_some_and(|since| since < london_date(covered_since));
        let closed = self.rules.facts.id(CASE_CLOSED).filter(|id| is_short && reads.contains(id));
        counts.chain(closed).map(|fact| self.rules.facts.label(fact)).collect()
    }
}

/// What an entry was, in plain words; of any other concern, what it was about.
fn what(entry: &Entry) -> String {
    let plain = |code: &str| code.replace(['.', '_'], " ");
    match entry.facts.get("concern") {
        Some(FactValue::Code(about)) => format!("{}: {}", plain(&entry.kind), plain(about)),
        _ => plain(&entry.kind),
    }
}

/// The date as a practitioner writes it; the year only when it is another.
pub fn date_in_words(date: civil::Date, this_year: i16) -> String {
    let month = month_in_words(date);
    if date.year() == this_year {
        format!("{} {month}", date.day())
    } else {
        format!("{} {month} {}", date.day(), date.year())
    }
}

/// Whether a status fact holds at an instant, as far as is recorded.
pub fn holds(history: &History, entry: &Entry, status: &str, at: Timestamp, authority: Option<&str>) -> bool {
    // A plan is a child's: it ends at 18, though nobody has said so.
    let over = ENDS_AT_18.contains(&status) && is_grown(history, entry, at);
    !over && is_recorded(history, entry, status, at, authority)
}

fn is_recorded(history: &History, entry: &Entry, status: &str, at: Timestamp, authority: Option<&str>) -> bool {
    match status {
        "placed_by_other" => placed_by_other(history, at, authority),
        "out_of_area" => latest_status(history, "lac", at).is_some_and(|lac| lac.open && lac.out_of_area == Some(true)),
        "open_plan" => open_plan(history, entry, at),
        "cpp_ever" => history.statuses.iter().any(|present| present.status == "cpp" && present.since <= at),
        "case_closed_12m" => referred_before_and_closed(history, entry, at),
        // A service that is agreed to later starts by what is so then.
        "significant_harm" => {
            let agreed_at = history.agreement.as_ref().map_or(at, |standing| standing.at);
            significant_harm::is_suspected(history, entry, at.max(agreed_at))
        }
        "missing_open" => is_looked_for(history, entry, at) && episodes::still_missing(history, entry, at),
        "absent_open" => is_looked_for(history, entry, at) && episodes::still_absent(history, entry, at),
        other => status_open(history, other, at),
    }
}

/// Nobody looks for a child whose death was notified, unless they went missing after it.
fn is_looked_for(history: &History, entry: &Entry, at: Timestamp) -> bool {
    !death::is_known(history, entry, at) || death::is_searched_after(history, entry)
}

/// Whether the child is looked after by an authority other than the book's own.
fn placed_by_other(history: &History, at: Timestamp, authority: Option<&str>) -> bool {
    let lac = latest_status(history, "lac", at).filter(|lac| lac.open && lac.out_of_area == Some(true));
    let Some(placing) = lac.and_then(|lac| lac.placing_authority.as_deref()) else { return false };
    !is_own_authority(authority, placing)
}

/// Whether a placing authority is the book's own, by whatever is written after its name.
pub fn is_own_authority(own: Option<&str>, placing: &str) -> bool {
    let plain = |name: &str| name.trim().to_lowercase();
    own.is_some_and(|own| plain(placing).starts_with(&plain(own)))
}

/// Whether the child is in need, on a protection plan or looked after.
pub fn open_plan(history: &History, entry: &Entry, at: Timestamp) -> bool {
    !is_grown(history, entry, at) && PLANS.iter().any(|status| status_open(history, status, at))
}

/// Whether the child was referred in the 12 months before, by the date of that referral, and the case was closed since: by a
/// decision, or by the council closing the last plan. A plan that was opened shows a referral, for of the time before go-live
/// little else is known.
fn referred_before_and_closed(history: &History, judged: &Entry, at: Timestamp) -> bool {
    let known = || history.entries.iter().filter(|entry| !entry.withdrawn && entry.occurred_at <= at);
    let no_plan = !open_plan(history, judged, at);
    let closes = |entry: &Arc<Entry>| is_decided(entry, "closed") || (no_plan && is_plan(entry, false));
    let Some(last) = known().rev().find(|entry| closes(entry)).map(|entry| entry.occurred_at) else { return false };
    let Some(since) = london_date(at).checked_sub(jiff::Span::new().years(1)).ok() else { return false };
    let is_referral = |entry: &Entry| is_concern(&entry.kind) && !FOLLOWS_A_REFERRAL.contains(&entry.kind.as_str());
    known().any(|entry| {
        entry.occurred_at <= last
            && (is_referral(entry) || is_plan(entry, true))
            && !entry.is_same_event(judged)
            && london_date(entry.occurred_at) >= since
    })
}

fn is_decided(entry: &Entry, decision: &str) -> bool {
    decided(entry) == Some(decision)
}

/// Whether an entry says that a plan was opened, or closed.
fn is_plan(entry: &Entry, opened: bool) -> bool {
    if entry.kind != "status.changed" {
        return false;
    }
    let of_plan = matches!(entry.facts.get("status"), Some(FactValue::Code(code)) if PLANS.contains(&code.as_str()));
    let open = entry.facts.get("open") != Some(&FactValue::Bool(false));
    of_plan && open == opened
}
