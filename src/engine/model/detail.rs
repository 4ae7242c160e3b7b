//! The `detail` of a referral event: one record for each kind of event in the partnership's catalogue.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::codes::{
    AgreementState, CheckKind, Concern, CrisisForm, ExploitationKind, Grade, Hackett, HeldBackFor, HumanDecision,
    IncidentKind, MissingEducationReason, PlanCategory, PoliceRisk, Score, Setting, StatusChange, SuspectIs,
    UnbornRisk,
};
use super::event::Child;
use super::scalar::{Coded, Date, FactType, FactValue, Level, Timestamp, Told};

macro_rules! details {
    ($($(#[$meta:meta])* $name:ident = $kind:literal as $avro:literal {
        $($(#[$field_meta:meta])* $field:ident : $type:ty),* $(,)?
    })+) => {
        $(
            $(#[$meta])*
            #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
            pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }
        )+

        /// What happened. Each branch is one event kind; the tag is the branch's full Avro name.
        #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
        pub enum Detail { $(#[serde(rename = $avro)] $name($name),)+ }

        /// Every event kind with the full name of its Avro record, in catalogue order.
        pub const KINDS: &[(&str, &str)] = &[$(($kind, $avro),)+];

        /// Every field of a kind with the type of the fact it carries, None for text, times and lists.
        pub fn fields(kind: &str) -> Option<&'static [(&'static str, Option<FactType>)]> {
            match kind {
                $($kind => Some(&[$((stringify!($field), <$type as Coded>::FACT),)*]),)+
                _ => None,
            }
        }

        impl Detail {
            /// The event kind: `missing.started`.
            pub fn kind(&self) -> &'static str {
                match self { $(Detail::$name(_) => $kind,)+ }
            }

            /// Hands every coded field that is present to `visit`, in schema order.
            pub fn coded_facts(&self, visit: &mut dyn FnMut(&'static str, FactValue)) {
                match self {
                    $(Detail::$name(detail) => {
                        let _ = detail;
                        $(if let Some(value) = Coded::fact(&detail.$field) { visit(stringify!($field), value); })*
                    })+
                }
            }

            /// Hands every field to `visit` that is present and no fact, in schema order.
            pub fn other_fields(&self, visit: &mut dyn FnMut(&'static str, Told)) {
                match self {
                    $(Detail::$name(detail) => {
                        let _ = detail;
                        $(if let Some(told) = Coded::told(&detail.$field) { visit(stringify!($field), told); })*
                    })+
                }
            }
        }
    };
}

details! {
    /// A child has harmed themselves, or is suspected to have died by suicide.
    SelfHarmReported = "self_harm.reported" as "pathway.SelfHarmReported" {
        setting: Option<Setting>,
        first_known: Option<bool>,
        superficial: Option<bool>,
        overdose: Option<bool>,
        intent_stated: Option<bool>,
        admitted: Option<bool>,
        abuse_indicator: Option<bool>,
        multi_agency_plan: Option<bool>,
        suspected_suicide: Option<bool>,
    }
    /// A child's whereabouts cannot be established, or they are away without authorisation.
    MissingStarted = "missing.started" as "pathway.MissingStarted" {
        episode_ref: Option<String>,
        grade: Option<Grade>,
        last_seen_at: Option<Timestamp>,
        place: Option<String>,
    }
    /// The police changed the grade of an open episode.
    MissingRegraded = "missing.regraded" as "pathway.MissingRegraded" {
        episode_ref: Option<String>,
        grade: Option<Grade>,
    }
    /// The child is back.
    MissingEnded = "missing.ended" as "pathway.MissingEnded" {
        episode_ref: Option<String>,
        ended_at: Timestamp,
        harm_disclosed: Option<bool>,
    }
    /// The independent return home interview.
    ReturnInterviewCompleted = "return_interview.completed" as "pathway.ReturnInterviewCompleted" {
        episode_ref: Option<String>,
        offered: Option<bool>,
        accepted: Option<bool>,
        completed_at: Option<Timestamp>,
        harm_disclosed: Option<bool>,
    }
    /// A screen for criminal or sexual exploitation.
    ExploitationScreened = "exploitation.screened" as "pathway.ExploitationScreened" {
        exploitation: Option<ExploitationKind>,
        score: Option<Score>,
        any_high_factor: Option<bool>,
        disclosure: Option<bool>,
        place_ref: Option<String>,
        person_ref: Option<String>,
        group_ref: Option<String>,
    }
    /// A Graded Care Profile 2 assessment: 1 best to 5 worst.
    NeglectAssessed = "neglect.assessed" as "pathway.NeglectAssessed" {
        gcp2_grade: Option<i32>,
        medical_neglect: Option<bool>,
    }
    /// Sessions missed at school.
    EducationAbsence = "education.absence" as "pathway.EducationAbsence" {
        percent_missed: Option<i32>,
        unauthorised_days: Option<i32>,
        unexplained_today: Option<bool>,
    }
    /// A child of school age is not receiving education.
    EducationMissing = "education.missing" as "pathway.EducationMissing" {
        reason: Option<MissingEducationReason>,
        last_school: Option<String>,
    }
    /// An allegation of sexual abuse. `retraction`: the child has taken it back, itself an indicator.
    SexualAbuseAlleged = "sexual_abuse.alleged" as "pathway.SexualAbuseAlleged" {
        suspect_role: Option<String>,
        suspect_agency: Option<String>,
        suspect_unit: Option<String>,
        under_13_activity: Option<bool>,
        suspect_is: Option<SuspectIs>,
        retraction: Option<bool>,
    }
    /// Harmful sexual behaviour; every child involved is a subject.
    SexualBehaviourReported = "sexual_behaviour.reported" as "pathway.SexualBehaviourReported" {
        hackett: Option<Hackett>,
    }
    /// A mental-health crisis.
    MentalHealthCrisis = "mental_health.crisis" as "pathway.MentalHealthCrisis" {
        form: Option<CrisisForm>,
        s136: Option<bool>,
        emergency_department: Option<bool>,
    }
    /// Police attended domestic abuse.
    DomesticAbuseAttended = "domestic_abuse.attended" as "pathway.DomesticAbuseAttended" {
        police_risk: Option<PoliceRisk>,
        child_present: Option<bool>,
        address_confidential: Option<bool>,
    }
    /// A concern for an unborn child.
    UnbornConcern = "unborn.concern" as "pathway.UnbornConcern" {
        due_date: Option<Date>,
        risk_factors: Vec<UnbornRisk>,
        earlier_child_removed: Option<bool>,
    }
    /// An allegation against a person in a position of trust.
    PositionOfTrustAlleged = "position_of_trust.alleged" as "pathway.PositionOfTrustAlleged" {
        employer: Option<String>,
        role: Option<String>,
        employer_agency: Option<String>,
        employer_unit: Option<String>,
    }
    /// Any other referral, with the level its sender proposes.
    ConcernReported = "concern.reported" as "pathway.ConcernReported" {
        concern: Option<Concern>,
        proposed_level: Option<ProposedLevel>,
    }
    /// The council's case system: a plan or flag opened or closed.
    StatusChanged = "status.changed" as "pathway.StatusChanged" {
        status: Option<StatusChange>,
        open: Option<bool>,
        category: Option<PlanCategory>,
        placing_authority: Option<String>,
        out_of_area: Option<bool>,
        allocated_worker: Option<String>,
    }
    /// A decision by a named person.
    DecisionRecorded = "decision.recorded" as "pathway.DecisionRecorded" {
        decision: Option<HumanDecision>,
        level: Option<ProposedLevel>,
        decided_by: String,
        decided_by_role: String,
        reason: Option<String>,
        other_reply_to: Option<String>,
        agency: Option<String>,
        #[serde(skip_serializing_if = "super::optional::none_left_out")]
        unit: Option<String>,
        #[serde(skip_serializing_if = "super::optional::none_left_out")]
        held_back_for: Option<HeldBackFor>,
    }
    /// Where the family's agreement to a service stands.
    AgreementRecorded = "agreement.recorded" as "pathway.AgreementRecorded" {
        state: Option<AgreementState>,
        reason: Option<String>,
    }
    /// A correction of an earlier event of the same sender: coded fields by name, with their right values.
    EventCorrected = "event.corrected" as "pathway.EventCorrected" {
        original_event_id: String,
        changes: BTreeMap<String, FactValue>,
        reason: Option<String>,
    }
    /// An earlier event of the same sender is taken back (the wrong child, say).
    /// `right_child`: whom it was about, by what the event sent instead carries.
    EventWithdrawn = "event.withdrawn" as "pathway.EventWithdrawn" {
        original_event_id: String,
        reason: Option<String>,
        #[serde(skip_serializing_if = "super::optional::none_left_out")]
        right_child: Option<Box<Child>>,
        #[serde(skip_serializing_if = "super::optional::none_left_out")]
        right_event_id: Option<String>,
    }
    /// Death of, or serious harm to, a child.
    SeriousIncidentNotified = "serious_incident.notified" as "pathway.SeriousIncidentNotified" {
        incident: Option<IncidentKind>,
        abuse_or_neglect_suspected: Option<bool>,
    }
    /// A lesson of a review.
    ReviewLearning = "review.learning" as "pathway.ReviewLearning" {
        review: String,
        lesson: String,
        rules: Vec<String>,
        decisions: Vec<String>,
    }
    /// A finding of an audit.
    AuditFinding = "audit.finding" as "pathway.AuditFinding" {
        audit: String,
        finding: String,
        rules: Vec<String>,
        decisions: Vec<String>,
    }
    /// A check, not a concern: it has no level.
    InformationRequested = "information.requested" as "pathway.InformationRequested" {
        check: Option<CheckKind>,
        reason: Option<String>,
    }
}

impl Detail {
    /// The event that this one corrects or takes back.
    pub fn original_event_id(&self) -> Option<&String> {
        if let Detail::EventCorrected(EventCorrected { original_event_id, .. })
        | Detail::EventWithdrawn(EventWithdrawn { original_event_id, .. }) = self
        {
            return Some(original_event_id);
        }
        None
    }
}

impl Coded for Box<Child> {}

/// A level as a partner may propose it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ProposedLevel {
    L1,
    L2,
    L3,
    L4a,
    L4b,
    #[serde(other, rename = "unknown")]
    Unknown,
}

impl Coded for ProposedLevel {
    const FACT: Option<FactType> = Some(FactType::Code(&["L1", "L2", "L3", "L4a", "L4b"]));

    fn fact(&self) -> Option<FactValue> {
        self.level().map(|level| FactValue::Code(level.symbol().to_owned()))
    }
}

impl From<Level> for ProposedLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::L1 => ProposedLevel::L1,
            Level::L2 => ProposedLevel::L2,
            Level::L3 => ProposedLevel::L3,
            Level::L4a => ProposedLevel::L4a,
            Level::L4b => ProposedLevel::L4b,
        }
    }
}

impl ProposedLevel {
    /// The level of need, unless a later schema's symbol was read.
    pub fn level(self) -> Option<Level> {
        match self {
            ProposedLevel::L1 => Some(Level::L1),
            ProposedLevel::L2 => Some(Level::L2),
            ProposedLevel::L3 => Some(Level::L3),
            ProposedLevel::L4a => Some(Level::L4a),
            ProposedLevel::L4b => Some(Level::L4b),
            ProposedLevel::Unknown => None,
        }
    }
}
