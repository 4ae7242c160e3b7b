//! Checks what a schema cannot say of a record from outside: sizes, times and form of its values, however it was
//! encoded. Walks the record beside its shape, by serde, without building anything unless there is a fault.

use std::collections::BTreeSet;

use super::limits::{AHEAD_MS_MAX, EARLIEST_MS, LATEST_MS, LIST_ITEMS_MAX, text_chars_max};
use super::names::{UNNAMED, by_alphabet, is_speakable, nearest, speakable};
use super::path::Path;
use super::read::{HOLDS_NUL, UNKNOWN_NAMED_MAX, expected, is_plausible, is_uuid, longer_than};
use super::shape::Shape;
use super::{Fault, Published};
use crate::engine::history::correction::{DATE_OF_BIRTH, DO_NOT_INFORM, DUE_DATE, TIMES, date_of, time_of};
use crate::engine::history::entry::envelope_fact;
use crate::engine::model::codes::OutcomeKind;
use crate::engine::model::detail::{self, Detail, EventCorrected, KINDS};
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::outcome::Outcome;
use crate::engine::model::scalar::{Date, FactType, FactValue, Timestamp};

mod walk;

use walk::{Visit, Walker};

/// What is wrong with a record from outside.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Findings {
    pub faults: Vec<Fault>,
    /// Times further after receipt than clocks may differ.
    pub future: Vec<Fault>,
}

/// Everything wrong with an event, by path from the event (`child.nhs_number`). `receipt`: when it came, if known.
pub fn event(event: &ReferralEvent, receipt: Option<Timestamp>) -> Findings {
    let mut findings = walk(event, receipt);
    let faults = &mut findings.faults;
    said(faults, "source.partner", &event.source.partner);
    said(faults, "practitioner.role", &event.practitioner.role);
    said(faults, "practitioner.call_back", &event.practitioner.call_back);
    match &event.detail {
        Detail::DecisionRecorded(decision) => {
            said(faults, "detail.decided_by", &decision.decided_by);
            said(faults, "detail.decided_by_role", &decision.decided_by_role);
        }
        Detail::NeglectAssessed(neglect) => within(faults, "detail", GCP2_GRADE, neglect.gcp2_grade),
        Detail::EducationAbsence(absence) => {
            within(faults, "detail", PERCENT_MISSED, absence.percent_missed);
            within(faults, "detail", UNAUTHORISED_DAYS, absence.unauthorised_days);
        }
        Detail::EventCorrected(corrected) => {
            changes(faults, corrected);
            findings.future.extend(times_ahead(corrected, latest_ms(receipt)));
        }
        Detail::SelfHarmReported(_)
        | Detail::MissingStarted(_)
        | Detail::MissingRegraded(_)
        | Detail::MissingEnded(_)
        | Detail::ReturnInterviewCompleted(_)
        | Detail::ExploitationScreened(_)
        | Detail::EducationMissing(_)
        | Detail::SexualAbuseAlleged(_)
        | Detail::SexualBehaviourReported(_)
        | Detail::MentalHealthCrisis(_)
        | Detail::DomesticAbuseAttended(_)
        | Detail::UnbornConcern(_)
        | Detail::PositionOfTrustAlleged(_)
        | Detail::ConcernReported(_)
        | Detail::StatusChanged(_)
        | Detail::AgreementRecorded(_)
        | Detail::EventWithdrawn(_)
        | Detail::SeriousIncidentNotified(_)
        | Detail::ReviewLearning(_)
        | Detail::AuditFinding(_)
        | Detail::InformationRequested(_) => {}
    }
    findings
}

/// Everything wrong with an outcome. `receipt`: when it came, if known.
pub fn outcome(outcome: &Outcome, receipt: Option<Timestamp>) -> Findings {
    let mut findings = walk(outcome, receipt);
    let faults = &mut findings.faults;
    said(faults, "by_name", &outcome.by_name);
    said(faults, "by_role", &outcome.by_role);
    let reason = outcome.reason.as_deref().unwrap_or_default();
    match outcome.outcome {
        OutcomeKind::Declined => said(faults, "reason", reason),
        OutcomeKind::Challenged => said(faults, "reason", reason),
        OutcomeKind::Unknown => {
            let kinds = "acknowledged, accepted, declined, completed, challenged";
            faults.push(Fault::new("outcome", format!("is not known here: give one of {kinds}")));
        }
        OutcomeKind::Acknowledged | OutcomeKind::Accepted | OutcomeKind::Completed => {}
    }
    findings
}

const AHEAD: &str = "lies more than 24 hours ahead: give the time it happened, with its offset";

/// The latest time that something received then can have happened.
fn latest_ms(receipt: Option<Timestamp>) -> Option<i64> {
    receipt.map(|receipt| receipt.plus_millis(AHEAD_MS_MAX).0)
}

fn walk<T: Published>(record: &T, receipt: Option<Timestamp>) -> Findings {
    let mut inspector = Inspector { latest_ms: latest_ms(receipt), findings: Findings::default() };
    let followed = match T::SCHEMA.published() {
        Ok(schema) => {
            let shape = Shape::Record(schema.root().clone());
            let walker = Walker { shape: &shape, path: &Path::root(), visit: &mut inspector };
            record.serialize(walker).is_ok()
        }
        Err(_) => false,
    };
    if !followed {
        inspector.findings.faults.push(Fault::new("", "does not have the form its schema asks for"));
    }
    inspector.findings
}

fn said(faults: &mut Vec<Fault>, path: &str, text: &str) {
    if text.trim().is_empty() {
        faults.push(Fault::new(path, "is required: give text"));
    }
}

/// A number of a detail, and what it can be: told in an event or by a correction.
type Bounded = (&'static str, i32, i32);
const GCP2_GRADE: Bounded = ("gcp2_grade", 1, 5);
const PERCENT_MISSED: Bounded = ("percent_missed", 0, 100);
const UNAUTHORISED_DAYS: Bounded = ("unauthorised_days", 0, 366);
const BOUNDED: [Bounded; 3] = [GCP2_GRADE, PERCENT_MISSED, UNAUTHORISED_DAYS];

fn within(faults: &mut Vec<Fault>, of: &str, (name, least, most): Bounded, number: Option<i32>) {
    if number.is_some_and(|number| !(least..=most).contains(&number)) {
        let problem = format!("is not usable: give a whole number from {least} to {most}");
        faults.push(Fault::new(format!("{of}.{name}"), problem));
    }
}

const NOT_CORRECTED: &str = ". An account goes into the correction's own narrative; a name, number, school or practice is put right by \
withdrawing the event and sending it again (docs/http.md)";

/// A correction may change coded fields only, to values such a field can have. Beyond a hundred that cannot be, how many more.
fn changes(faults: &mut Vec<Fault>, corrected: &EventCorrected) {
    // More of them are refused as too many.
    let looked_at = (1..).zip(&corrected.changes).take(LIST_ITEMS_MAX);
    let wrong: Vec<Fault> = looked_at.filter_map(|(number, (name, value))| change(number, name, value)).collect();
    let more = wrong.len().saturating_sub(UNKNOWN_NAMED_MAX);
    faults.extend(wrong.into_iter().take(UNKNOWN_NAMED_MAX));
    if more > 0 {
        let problem = format!("stands for {more} more that cannot be corrected so: leave them out");
        faults.push(Fault::new(format!("detail.changes.{UNNAMED}"), problem));
    }
}

/// `number`: which it is of the names by the alphabet.
fn change(number: usize, name: &str, value: &FactValue) -> Option<Fault> {
    let candidates: Vec<FactType> = coded_fields().filter(|(field, _)| *field == name).map(|(_, fact)| fact).collect();
    let fault = |problem: String| Some(Fault::new(format!("detail.changes.{}", speakable(name)), problem));
    if let Some((usable, expected)) = beside_coded_fields(name, value) {
        return if usable { None } else { fault(format!("is not usable: give {expected}")) };
    }
    if candidates.is_empty() {
        let known: Vec<&str> = coded_fields().map(|(field, _)| field).collect();
        let instead = match nearest(name.strip_prefix("detail.").unwrap_or(name), &known) {
            Some(near) => format!(": did you mean {near}?"),
            None => NOT_CORRECTED.to_owned(),
        };
        let place = if is_speakable(name) { String::new() } else { by_alphabet(number) };
        return fault(format!("is not a coded field of any event kind{place}{instead}"));
    }
    if !candidates.iter().any(|fact| accepts(*fact, value)) {
        let expected: BTreeSet<String> = candidates.iter().map(|fact| in_words(*fact)).collect();
        let expected: Vec<String> = expected.into_iter().collect();
        return fault(format!("is not usable: give {}", expected.join(", or ")));
    }
    let bounded = BOUNDED.into_iter().find(|(bounded, ..)| *bounded == name)?;
    let FactValue::Int(number) = value else { return None };
    let mut beyond = Vec::new();
    within(&mut beyond, "detail.changes", bounded, i32::try_from(*number).ok());
    beyond.pop()
}

/// Times that are corrected to further after receipt than clocks may differ.
fn times_ahead(corrected: &EventCorrected, latest_ms: Option<i64>) -> Vec<Fault> {
    let times = corrected.changes.iter().filter(|(name, _)| TIMES.contains(&name.as_str()));
    let ahead =
        times.filter(|(_, value)| time_of(value).zip(latest_ms).is_some_and(|(time, latest_ms)| time.0 > latest_ms));
    ahead.map(|(name, _)| Fault::new(format!("detail.changes.{name}"), AHEAD)).collect()
}

/// What may be corrected besides coded fields: whether the value will do, and what would.
fn beside_coded_fields(name: &str, value: &FactValue) -> Option<(bool, &'static str)> {
    if TIMES.contains(&name) {
        let usable = time_of(value).is_some_and(|time| (EARLIEST_MS..LATEST_MS).contains(&time.0));
        Some((usable, "a time in RFC 3339, with its offset (-12:00 to +14:00)"))
    } else if name == DATE_OF_BIRTH || name == DUE_DATE {
        Some((date_of(value).is_some_and(is_plausible), "a date such as 2011-05-20"))
    } else if name == DO_NOT_INFORM {
        let expected = "false, to take its wishes back; name in the event's own do_not_inform who must not be told";
        Some((*value == FactValue::Bool(false), expected))
    } else {
        let fact = envelope_fact(name)?;
        Some((accepts(fact, value), "true or false"))
    }
}

fn coded_fields() -> impl Iterator<Item = (&'static str, FactType)> {
    KINDS
        .iter()
        .filter_map(|(kind, _)| detail::fields(kind))
        .flatten()
        .filter_map(|(field, fact)| fact.map(|fact| (*field, fact)))
}

fn accepts(fact: FactType, value: &FactValue) -> bool {
    match (fact, value) {
        (FactType::Bool, FactValue::Bool(_)) => true,
        (FactType::Int, FactValue::Int(number)) => i32::try_from(*number).is_ok(),
        (FactType::Code(symbols), FactValue::Code(symbol)) => symbols.contains(&symbol.as_str()),
        (FactType::Bool | FactType::Int | FactType::Code(_), _) => false,
    }
}

fn in_words(fact: FactType) -> String {
    match fact {
        FactType::Bool => "true or false".to_owned(),
        FactType::Int => "a whole number".to_owned(),
        FactType::Code(symbols) => format!("one of {}", symbols.join(", ")),
    }
}

struct Inspector {
    latest_ms: Option<i64>,
    findings: Findings,
}

impl Inspector {
    fn fault(&mut self, path: &Path<'_>, problem: String) {
        self.findings.faults.push(Fault::new(path.to_string(), problem));
    }
}

impl Visit for Inspector {
    fn text(&mut self, shape: &Shape, path: &Path<'_>, text: &str) {
        let chars_max = text_chars_max(path.last_field());
        if longer_than(text, chars_max) {
            self.fault(path, format!("is too long: give at most {chars_max} characters"));
        }
        if text.contains('\0') {
            self.fault(path, HOLDS_NUL.to_owned());
        }
        if matches!(shape, Shape::Uuid) && !is_uuid(text) {
            self.fault(path, format!("is not usable: {}", expected(shape)));
        }
    }

    fn number(&mut self, shape: &Shape, path: &Path<'_>, number: i64) {
        let plausible = match shape {
            Shape::Timestamp => (EARLIEST_MS..LATEST_MS).contains(&number),
            Shape::Date => i32::try_from(number).is_ok_and(|days| is_plausible(Date(days))),
            _ => true,
        };
        if !plausible {
            self.fault(path, format!("is not usable: {}", expected(shape)));
        } else if matches!(shape, Shape::Timestamp) && self.latest_ms.is_some_and(|latest_ms| number > latest_ms) {
            self.findings.future.push(Fault::new(path.to_string(), AHEAD));
        }
    }

    fn length(&mut self, path: &Path<'_>, items: usize) {
        if items > LIST_ITEMS_MAX {
            self.fault(path, format!("is too long: give at most {LIST_ITEMS_MAX} items"));
        }
    }
}
