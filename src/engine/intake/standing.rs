//! What the rule book says of a sender and of whom an event names: who may decide, and which agencies there are.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use super::Partner;
use super::refuse::Refusal;
use crate::engine::history::correction::{DATE_OF_BIRTH, DUE_DATE, date_of};
use crate::engine::history::entry::{A_PERSON, AN_ADDRESS, is_sender_name};
use crate::engine::identity::{IdentifierKind, Identifiers, Keys};
use crate::engine::model::codes::{AgreementState, HeldBackFor, HumanDecision, StatusChange};
use crate::engine::model::detail::{DecisionRecorded, Detail};
use crate::engine::model::event::{DoNotInform, ReferralEvent};
use crate::engine::model::quarantine::QuarantineReason;
use crate::engine::model::scalar::{Coded, DAY_MS, Date, FactType, Timestamp};
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::UnitKind;
use crate::engine::rules::directory::as_meant;
use crate::engine::schema::Fault;
use crate::engine::schema::names::nearest;

const NOBODY_WITH_STATUS: &str =
    "identifies nobody: give an NHS number, UPN or local_id that is right, or names and date_of_birth";
const NOBODY_DECIDED_ABOUT: &str = "identifies nobody: give the reply_to of a task about the child, an NHS number, UPN or local_id \
that is right, or names and date_of_birth";

const NOBODY_AGREED: &str = "identifies nobody: give the reply_to of a task or feedback about the child, an NHS number, UPN or local_id \
that is right, or names and date_of_birth";
const NOBODY_RIGHT: &str = "identifies nobody: give an NHS number, UPN or local_id, or names and date_of_birth, as the event that is \
sent instead has them; or leave it out";

/// Ten months: a pregnancy, and some days.
const DUE_WITHIN_DAYS: i32 = 305;
/// Whatever the time of the event.
pub const BESIDE_A_BIRTH: &str =
    "stands beside date_of_birth: give due_date for a child who is not born yet, else date_of_birth";
const NO_DUE_DATE: &str = "lies more than ten months away: give the day the child is due";

/// The agencies of the rule books.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Agencies {
    pub names: BTreeSet<String>,
    /// Titles that mean them, and names, as `as_meant` writes them.
    pub meant: BTreeSet<String>,
    /// Those that triage, decide and hold cases: one, unless books differ.
    pub front_doors: BTreeSet<String>,
    /// Those who are asked in place of a front door that is the suspect's own.
    pub stand_ins: BTreeSet<String>,
    /// Those whose units must not see one another's tasks.
    pub of_many_units: BTreeSet<String>,
    /// By agency of many units, those that are listed: nobody else is given its tasks. Left out where a book lists none.
    pub units: BTreeMap<String, BTreeSet<String>>,
}

impl Agencies {
    pub fn of<'b>(books: impl IntoIterator<Item = &'b RuleBook>) -> Self {
        let mut agencies = Self::default();
        for book in books {
            agencies.names.extend(book.agencies.keys().cloned());
            let named = book.agencies.values().flat_map(|agency| [&agency.name, &agency.title]);
            agencies.meant.extend(named.map(|name| as_meant(name)));
            agencies.front_doors.insert(book.front_door.clone());
            agencies.stand_ins.extend(book.stand_ins.iter().cloned());
            let many = book.agencies.iter().filter(|(_, agency)| agency.units != UnitKind::One);
            agencies.of_many_units.extend(many.clone().map(|(name, _)| name.clone()));
            for (name, agency) in many.filter(|(_, agency)| book.directory.lists(agency.units)) {
                agencies.units.entry(name.clone()).or_default().extend(book.directory.units_of(agency.units));
            }
        }
        agencies
    }

    /// A unit as it is listed, whatever its case. None: it is not.
    pub fn unit_listed(&self, agency: &str, written: &str) -> Option<&str> {
        let mut units = self.units.get(agency).into_iter().flatten();
        units.find(|unit| unit.eq_ignore_ascii_case(written.trim())).map(String::as_str)
    }

    /// Whether nobody is ever given a task of that agency under this unit.
    pub fn is_unlisted(&self, agency: &str, unit: &str) -> bool {
        self.units.contains_key(agency) && self.unit_listed(agency, unit).is_none()
    }

    fn knows(&self, written: &str) -> bool {
        self.meant.contains(&as_meant(written))
    }

    fn names_listed(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }
}

/// Decisions and statuses move a case: only the front door's own agency may record them. Whoever is asked in its place, when
/// the suspect is its own, may say what becomes of a held-back route: of which child, DECIDE knows.
pub fn may_send(agencies: &Agencies, partner: &Partner, event: &ReferralEvent) -> Result<(), Refusal> {
    let moves_a_case = matches!(event.detail, Detail::DecisionRecorded(_) | Detail::StatusChanged(_));
    if !moves_a_case || partner.agency.as_ref().is_some_and(|agency| agencies.front_doors.contains(agency)) {
        return Ok(());
    }
    if partner.agency.as_ref().is_some_and(|agency| agencies.stand_ins.contains(agency)) && may_be_about_a_route(event)
    {
        return Ok(());
    }
    let front_doors: Vec<&str> = agencies.front_doors.iter().map(String::as_str).collect();
    let problem = format!("is not this sender's: only {} may record a decision or a status", front_doors.join(" or "));
    Err(Refusal::of(QuarantineReason::WrongSource, "source.partner", &problem))
}

/// One that is not said, or not known here, is refused as that.
fn may_be_about_a_route(event: &ReferralEvent) -> bool {
    let Detail::DecisionRecorded(recorded) = &event.detail else { return false };
    let of_routes = [HumanDecision::RouteLifted, HumanDecision::RouteConfirmed, HumanDecision::Unknown];
    recorded.decision.is_none_or(|decision| of_routes.contains(&decision))
}

/// Everything wrong with whom the event names: a wish that names nobody would be kept by nobody.
pub fn names(agencies: &Agencies, event: &ReferralEvent, receipt: Timestamp) -> Result<(), Refusal> {
    let entries = event.do_not_inform.iter().enumerate();
    let mut faults: Vec<Fault> = entries.filter_map(|(index, entry)| do_not_inform(agencies, index, entry)).collect();
    let children = std::iter::once(("child".to_owned(), &event.child)).chain(
        event.siblings.iter().enumerate().map(|(index, sibling)| (format!("siblings[{index}].child"), &sibling.child)),
    );
    // Clocks and time zones differ: a child born tomorrow may be born today elsewhere.
    let latest = Date::from_civil(receipt.plus_millis(DAY_MS).date_in(&TimeZone::UTC));
    for (path, child) in children {
        if child.date_of_birth.is_some_and(|born| born > latest) {
            let problem = "lies in the future: give the day of birth, or due_date for an unborn child";
            faults.push(Fault::new(format!("{path}.date_of_birth"), problem));
        }
        if child.date_of_birth.is_some() && child.due_date.is_some() {
            faults.push(Fault::new(format!("{path}.due_date"), BESIDE_A_BIRTH));
        } else if child.due_date.is_some_and(|due| is_no_due_date(event, due, receipt)) {
            faults.push(Fault::new(format!("{path}.due_date"), NO_DUE_DATE));
        }
    }
    faults.extend(of_detail(event, latest, receipt));
    faults.extend(says_nothing(&event.detail));
    if let Detail::DecisionRecorded(decision) = &event.detail {
        faults.extend(decides(decision));
        faults.extend(decides_about(agencies, decision));
        faults.extend(sets_level(decision));
    }
    if faults.is_empty() { Ok(()) } else { Err(Refusal::new(QuarantineReason::InvalidField, faults)) }
}

/// Whether a decision, status or agreement says of which child it is. A referral by nothing that identifies is a record of its
/// own; these would be about nobody, and change nothing. That asking is unsafe a person hears all the same.
pub fn child_is_said(keys: &Keys, event: &ReferralEvent) -> Result<(), Refusal> {
    let problem = if matches!(event.detail, Detail::DecisionRecorded(_)) {
        NOBODY_DECIDED_ABOUT
    } else if matches!(event.detail, Detail::StatusChanged(_)) {
        NOBODY_WITH_STATUS
    } else if matches!(&event.detail, Detail::AgreementRecorded(said) if said.state != Some(AgreementState::UnsafeToAsk))
    {
        NOBODY_AGREED
    } else {
        return Ok(());
    };
    let (strongest, _) = Identifiers::of(keys, &event.child, &event.source, &event.event_id).strongest;
    if strongest != IdentifierKind::None {
        return Ok(());
    }
    Err(Refusal::of(QuarantineReason::InvalidField, "child", problem))
}

/// Whether a withdrawal that names the right child identifies one: else the time of first receipt would be lost, and nobody hear of
/// it. Of a number that is wrong its sender is told in the feedback: nothing that identifies a child is a reason to refuse.
pub fn right_child_is_said(keys: &Keys, event: &ReferralEvent) -> Result<(), Refusal> {
    let Detail::EventWithdrawn(withdrawn) = &event.detail else { return Ok(()) };
    let Some(right) = withdrawn.right_child.as_deref() else { return Ok(()) };
    let identifiers = Identifiers::of(keys, right, &event.source, &event.event_id);
    if identifiers.strongest.0 != IdentifierKind::None || !identifiers.unverified.is_empty() {
        return Ok(());
    }
    Err(Refusal::of(QuarantineReason::InvalidField, "detail.right_child", NOBODY_RIGHT))
}

/// Dates that a detail tells of the child: a clock would run from them.
fn of_detail(event: &ReferralEvent, latest: Date, receipt: Timestamp) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Detail::UnbornConcern(concern) = &event.detail {
        if event.child.date_of_birth.is_some() {
            let problem = "is of a child who is born: leave it out, and name the mother among carers, or among siblings if she is a child";
            faults.push(Fault::new("child.date_of_birth", problem));
        }
        if concern.due_date.is_some_and(|due| is_no_due_date(event, due, receipt)) {
            faults.push(Fault::new("detail.due_date", NO_DUE_DATE));
        }
    } else if let Detail::EventCorrected(corrected) = &event.detail {
        let said = |name: &str| corrected.changes.get(name).and_then(date_of);
        if said(DATE_OF_BIRTH).is_some_and(|born| born > latest) {
            faults.push(Fault::new("detail.changes.date_of_birth", "lies in the future: give the day of birth"));
        }
        if said(DUE_DATE).is_some_and(|due| is_no_due_date(event, due, receipt)) {
            faults.push(Fault::new("detail.changes.due_date", NO_DUE_DATE));
        }
    }
    faults
}

/// Nobody is pregnant for longer than that. What happened long ago may be told late, and history is as old as it says.
fn is_no_due_date(event: &ReferralEvent, due: Date, receipt: Timestamp) -> bool {
    let day = |at: Timestamp| Date::from_civil(at.date_in(&TimeZone::UTC)).0;
    let earliest = day(event.occurred_at.min(receipt)).saturating_sub(DUE_WITHIN_DAYS);
    !(earliest..=day(receipt).saturating_add(DUE_WITHIN_DAYS)).contains(&due.0)
}

fn do_not_inform(agencies: &Agencies, index: usize, entry: &DoNotInform) -> Option<Fault> {
    let path = format!("do_not_inform[{index}]");
    let Some(agency) = &entry.agency else {
        let names_nobody = entry.person.as_ref().is_none_or(|person| person.trim().is_empty());
        return names_nobody.then(|| Fault::new(path, "names nobody: give agency or person"));
    };
    is_no_agency(agencies, agency).map(|problem| Fault::new(format!("{path}.agency"), problem))
}

fn is_no_agency(agencies: &Agencies, named: &str) -> Option<String> {
    if agencies.knows(named) {
        return None;
    }
    let known = agencies.names_listed();
    Some(match nearest(named, &known) {
        Some(near) => format!("is no agency: did you mean {near}?"),
        None => format!("is no agency: give one of {}", known.join(", ")),
    })
}

/// Whether a decision says what was decided, as it is called here: else it would be taken in and change nothing.
fn decides(decision: &DecisionRecorded) -> Option<Fault> {
    let problem = match decision.decision {
        None => "is required",
        Some(HumanDecision::Unknown) => "is not known here",
        Some(_) => return None,
    };
    let known = match HumanDecision::FACT {
        Some(FactType::Code(symbols)) => symbols.join(", "),
        Some(FactType::Bool | FactType::Int) | None => String::new(),
    };
    Some(Fault::new("detail.decision", format!("{problem}: give what was decided, one of {known}")))
}

/// A status or an agreement that does not say which would be taken in, and change nothing.
fn says_nothing(detail: &Detail) -> Option<Fault> {
    let (path, is_said, kind) = if let Detail::StatusChanged(changed) = detail {
        let is_said = changed.status.is_some_and(|status| status != StatusChange::Unknown);
        ("detail.status", is_said, StatusChange::FACT)
    } else if let Detail::AgreementRecorded(agreement) = detail {
        let is_said = agreement.state.is_some_and(|state| state != AgreementState::Unknown);
        ("detail.state", is_said, AgreementState::FACT)
    } else {
        return None;
    };
    let Some(FactType::Code(symbols)) = kind.filter(|_| !is_said) else { return None };
    Some(Fault::new(path, format!("is required: give one of {}", symbols.join(", "))))
}

/// Of a decision that sets a level, whether it says which: else it would be taken in and change nothing.
fn sets_level(decision: &DecisionRecorded) -> Option<Fault> {
    let sets = matches!(decision.decision, Some(HumanDecision::LevelSet | HumanDecision::SteppedDown));
    let missing = sets && decision.level.is_none();
    missing.then(|| Fault::new("detail.level", "is required: give the level that was decided"))
}

/// Of a decision about an agency, whether it says which: else it would be taken in and change nothing.
fn decides_about(agencies: &Agencies, decision: &DecisionRecorded) -> Option<Fault> {
    let problem = match (decision.decision, decision.agency.as_deref()) {
        (Some(HumanDecision::RouteLifted | HumanDecision::RouteConfirmed), Some(A_PERSON | AN_ADDRESS)) => return None,
        // What a suspect's own unit sends is held back by its name, also where it is no agency.
        (Some(HumanDecision::RouteLifted | HumanDecision::RouteConfirmed), Some(agency))
            if decision.held_back_for == Some(HeldBackFor::Suspect)
                && is_sender_name(&as_meant(agency))
                && nearest(agency, &agencies.names_listed()).is_none() =>
        {
            return None;
        }
        (_, Some(agency)) => is_no_agency(agencies, agency)?,
        (Some(HumanDecision::TaskReaddressed), None) => {
            "is required: name the agency whose task goes to another unit".to_owned()
        }
        (_, None) => return None,
    };
    Some(Fault::new("detail.agency", problem))
}
