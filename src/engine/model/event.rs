//! A referral event: the envelope every kind shares, and who and what it is about.

use serde::{Deserialize, Serialize};

use super::codes::{AgreementState, RiskRole, Sex, VoiceObtained};
use super::detail::Detail;
use super::scalar::{Date, Timestamp};

/// What a partner publishes. `event_id` is unique within the source.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReferralEvent {
    /// UUID, chosen by the sender.
    pub event_id: String,
    pub source: Source,
    /// The sender's own reference.
    pub partner_reference: Option<String>,
    /// The police's reference for the incident, by whoever knows it.
    pub police_reference: Option<String>,
    pub practitioner: Practitioner,
    pub occurred_at: Timestamp,
    pub reported_at: Option<Timestamp>,
    /// The times are known only to the day (an import): midnight Europe/London.
    pub date_only: bool,
    /// History only, no tasks: set by the router's own import, refused from anyone else.
    pub backfill: bool,
    pub child: Child,
    pub carers: Vec<Carer>,
    pub siblings: Vec<Sibling>,
    pub agreement: Option<Agreement>,
    pub voice_of_child: Option<VoiceOfChild>,
    pub narrative: Option<String>,
    pub do_not_inform: Vec<DoNotInform>,
    /// Children-in-need census factors: `10A`, `15A`.
    pub factors: Vec<String>,
    pub immediate_danger: Option<bool>,
    pub emergency_call_made: Option<bool>,
    /// The sealed address of an earlier task or feedback, echoed by a correction or withdrawal.
    pub reply_to: Option<String>,
    pub detail: Detail,
}

/// Who sent an event: stamped by whoever authenticated them, never believed from the body.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Source {
    /// The partner as configured: `leighton-hospital`.
    pub partner: String,
    /// The partner's own agency name in the rule book, if it is one: `police`.
    pub agency: Option<String>,
    /// The unit within the partner: `emergency-department`, a URN, an ODS code.
    pub unit: String,
}

/// The practitioner to ring back.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Practitioner {
    pub role: String,
    pub call_back: String,
    pub name: Option<String>,
}

/// The child. Every identifier is wanted, none is required.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Child {
    pub nhs_number: Option<String>,
    pub upn: Option<String>,
    /// The sender's own id for the child.
    pub local_id: Option<String>,
    pub given_names: Option<String>,
    pub family_name: Option<String>,
    pub date_of_birth: Option<Date>,
    /// For an unborn child.
    pub due_date: Option<Date>,
    pub school_urn: Option<String>,
    /// The practice's ODS code.
    pub gp_ods: Option<String>,
    pub locality: Option<String>,
    pub addresses: Vec<Address>,
    pub sex: Option<Sex>,
    pub ethnicity: Option<String>,
    pub disability_or_send: Option<String>,
    pub first_language: Option<String>,
    pub interpreter_needed: Option<bool>,
    pub home_educated: Option<bool>,
}

impl Child {
    /// Whether a reader can tell from it who the child is: by a number that others know, too, or a name that is not half of one.
    pub fn is_named(&self) -> bool {
        self.is_named_to(|_| true)
    }

    /// The same, for a reader who sees these fields.
    pub fn is_named_to(&self, sees: impl Fn(&str) -> bool) -> bool {
        let given = |value: &Option<String>, field: &str| value.is_some() && sees(field);
        let is_numbered = given(&self.nhs_number, "child.nhs_number") || given(&self.upn, "child.upn");
        let is_born = self.date_of_birth.is_some() && sees("child.date_of_birth");
        let is_expected = self.due_date.is_some() && sees("child.due_date");
        let names = [
            given(&self.given_names, "child.given_names"),
            given(&self.family_name, "child.family_name"),
            is_born || is_expected,
        ];
        is_numbered || (names.into_iter().filter(|said| *said).count() > 1)
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Address {
    pub lines: String,
    pub postcode: Option<String>,
    pub confidential: bool,
}

/// A parent, carer or member of the household.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Carer {
    pub name: Option<String>,
    pub relationship: String,
    pub parental_responsibility: Option<bool>,
    pub risk_role: Option<RiskRole>,
    /// Whether they were told of this referral.
    pub told: Option<bool>,
    pub not_told_because: Option<String>,
    pub safe_contact: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sibling {
    pub child: Child,
    pub relationship: Option<String>,
}

/// The family's agreement to a service. It is never consent to share.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Agreement {
    pub state: Option<AgreementState>,
    pub reason: Option<String>,
}

/// What the child said or wants, or why that is not known.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct VoiceOfChild {
    pub said: Option<String>,
    pub obtained: Option<VoiceObtained>,
    pub absent_because: Option<String>,
}

/// An agency or person who must not learn of the event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DoNotInform {
    pub agency: Option<String>,
    pub unit: Option<String>,
    pub person: Option<String>,
    pub reason: Option<String>,
}
