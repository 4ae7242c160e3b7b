//! The code sets: every enumeration a partner may send. A symbol a later schema adds is read as `unknown`,
//! which rules treat as a missing fact, never as a value.

use serde::{Deserialize, Serialize};

use super::scalar::{Coded, FactType, FactValue};

macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident { $($variant:ident = $symbol:literal),+ $(,)? })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum $name {
            $(#[serde(rename = $symbol)] $variant,)+
            #[serde(other, rename = "unknown")]
            Unknown,
        }

        impl $name {
            /// The code of a symbol.
            pub fn of_symbol(symbol: &str) -> Option<Self> {
                match symbol {
                    $($symbol => Some($name::$variant),)+
                    _ => None,
                }
            }

            /// The symbol as it is sent.
            pub fn symbol(self) -> &'static str {
                match self {
                    $($name::$variant => $symbol,)+
                    $name::Unknown => "unknown",
                }
            }
        }

        impl Coded for $name {
            const FACT: Option<FactType> = Some(FactType::Code(&[$($symbol),+]));

            fn fact(&self) -> Option<FactValue> {
                match self {
                    $($name::$variant => Some(FactValue::Code($symbol.to_owned())),)+
                    $name::Unknown => None,
                }
            }
        }
    )+};
}

codes! {
    /// Where self-harm was seen.
    Setting { AAndE = "a_and_e", School = "school", Home = "home", Custody = "custody", Other = "other" }
    /// Police grading of a missing child. `away`: away from placement without authorisation, whereabouts known.
    Grade { Absent = "absent", Away = "away", Low = "low", Medium = "medium", High = "high", NotGraded = "not_graded" }
    /// What an exploitation screen was about.
    ExploitationKind { Sexual = "sexual", Criminal = "criminal", Both = "both" }
    /// Score of a screening tool.
    Score { Low = "low", Medium = "medium", High = "high" }
    /// Police risk assessment of domestic abuse.
    PoliceRisk { Standard = "standard", Medium = "medium", High = "high" }
    /// Hackett continuum of harmful sexual behaviour.
    Hackett { Inappropriate = "inappropriate", Problematic = "problematic", Abusive = "abusive", Violent = "violent" }
    /// Who a suspect is to the child.
    SuspectIs { Family = "family", Known = "known", Professional = "professional", Child = "child", Stranger = "stranger" }
    /// Why a child is missing education.
    MissingEducationReason { NotOnRoll = "not_on_roll", LeftArea = "left_area", NoContact = "no_contact", HomeEducationConcern = "home_education_concern", Other = "other" }
    /// The form a mental-health crisis took.
    CrisisForm { S136 = "s136", EmergencyDepartment = "emergency_department", Community = "community" }
    /// A risk factor for an unborn child.
    UnbornRisk { EarlierChildRemoved = "earlier_child_removed", SubstanceMisuse = "substance_misuse", DomesticAbuse = "domestic_abuse", MentalHealth = "mental_health", ConcealedPregnancy = "concealed_pregnancy", LearningDisability = "learning_disability", ParentIsChild = "parent_is_child", Other = "other" }
    /// What a general referral is about.
    Concern { PhysicalAbuse = "physical_abuse", EmotionalAbuse = "emotional_abuse", EmotionalHealth = "emotional_health", Neglect = "neglect", FemaleGenitalMutilation = "female_genital_mutilation", Radicalisation = "radicalisation", YoungCarer = "young_carer", Housing = "housing", ForcedMarriage = "forced_marriage", ModernSlavery = "modern_slavery", SubstanceMisuse = "substance_misuse", PrivateFostering = "private_fostering", Other = "other" }
    /// What of a child's status with the council changed.
    StatusChange { Cin = "cin", Cpp = "cpp", Lac = "lac", CeFlag = "ce_flag" }
    /// Category of a child protection plan.
    PlanCategory { Neglect = "neglect", Physical = "physical", Sexual = "sexual", Emotional = "emotional" }
    /// What a named person decided.
    HumanDecision { LevelConfirmed = "level_confirmed", LevelSet = "level_set", SteppedDown = "stepped_down", Closed = "closed", S47Started = "s47_started", StrategyHeld = "strategy_held", EpisodesMerged = "episodes_merged", SubjectsLinked = "subjects_linked", SubjectsUnlinked = "subjects_unlinked", RouteLifted = "route_lifted", RouteConfirmed = "route_confirmed", AssessmentStarted = "assessment_started", TaskReaddressed = "task_readdressed" }
    /// Why a route is held back: a wish not to inform, or a suspect who works there.
    HeldBackFor { Wish = "wish", Suspect = "suspect" }
    /// Where agreement to a service stands. `unsafe_to_ask` carries a reason.
    AgreementState { NotAsked = "not_asked", Asked = "asked", Given = "given", Refused = "refused", UnsafeToAsk = "unsafe_to_ask" }
    /// What happened in a serious incident.
    IncidentKind { Death = "death", SeriousHarm = "serious_harm" }
    /// What an information request checks.
    CheckKind { Cafcass = "cafcass", CpIs = "cp_is", OtherAuthority = "other_authority", Other = "other" }
    /// Sex as recorded by the sender.
    Sex { Female = "female", Male = "male", Indeterminate = "indeterminate", NotKnown = "not_known" }
    /// A carer's role in the risk.
    RiskRole { None = "none", Suspected = "suspected", Victim = "victim", Protective = "protective" }
    /// How what the child wants was learned.
    VoiceObtained { Asked = "asked", Observed = "observed", Volunteered = "volunteered", ThroughAdult = "through_adult" }
    /// What an agency did with a task.
    OutcomeKind { Acknowledged = "acknowledged", Accepted = "accepted", Declined = "declined", Completed = "completed", Challenged = "challenged" }
}
