//! The particulars of each kind of event, and the words that go with it.

use jiff::ToSpan;
use jiff::tz::TimeZone;
use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::HOUR_MS;
use super::incidents::uuid;
use crate::engine::model::codes::{
    AgreementState, CheckKind, Concern, CrisisForm, ExploitationKind, Grade, Hackett, HumanDecision, IncidentKind,
    MissingEducationReason, PlanCategory, PoliceRisk, Score, Setting, StatusChange, SuspectIs, UnbornRisk,
};
use crate::engine::model::detail::{
    AgreementRecorded, AuditFinding, ConcernReported, DecisionRecorded, Detail, DomesticAbuseAttended,
    EducationAbsence, EducationMissing, ExploitationScreened, InformationRequested, MentalHealthCrisis, MissingEnded,
    MissingRegraded, MissingStarted, NeglectAssessed, PositionOfTrustAlleged, ProposedLevel, ReturnInterviewCompleted,
    ReviewLearning, SelfHarmReported, SeriousIncidentNotified, SexualAbuseAlleged, SexualBehaviourReported,
    StatusChanged, UnbornConcern,
};
use crate::engine::model::scalar::{Date, Timestamp};

/// Known and true, known and false, or not known.
fn maybe(rng: &mut ChaCha8Rng, known: f64, yes: f64) -> Option<bool> {
    rng.random_bool(known).then(|| rng.random_bool(yes))
}

fn one<T: Copy>(rng: &mut ChaCha8Rng, of: &[T]) -> Option<T> {
    of.choose(rng).copied()
}

pub fn concern(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    use Concern::{
        EmotionalAbuse, EmotionalHealth, Housing, Neglect, Other, PhysicalAbuse, Radicalisation, SubstanceMisuse,
        YoungCarer,
    };
    use ProposedLevel::{L2, L3, L4a, L4b};
    let concern = [
        PhysicalAbuse,
        EmotionalAbuse,
        EmotionalHealth,
        Neglect,
        Radicalisation,
        YoungCarer,
        Housing,
        SubstanceMisuse,
        Other,
    ];
    let levels = [L2, L2, L2, L2, L3, L3, L3, L4a, L4a, L4b];
    let proposed_level = if rng.random_bool(0.85) { one(rng, &levels) } else { None };
    Detail::ConcernReported(ConcernReported { concern: one(rng, &concern), proposed_level })
}

pub fn domestic_abuse(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    use PoliceRisk::{High, Medium, Standard};
    Detail::DomesticAbuseAttended(DomesticAbuseAttended {
        police_risk: one(rng, &[Standard, Standard, Standard, Medium, Medium, High]),
        child_present: maybe(rng, 0.9, 0.6),
        address_confidential: maybe(rng, 0.5, 0.1),
    })
}

pub fn absence(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    Detail::EducationAbsence(EducationAbsence {
        percent_missed: Some(rng.random_range(5..60)),
        unauthorised_days: rng.random_bool(0.8).then(|| rng.random_range(0..14)),
        unexplained_today: maybe(rng, 0.8, 0.3),
    })
}

pub fn missing(rng: &mut ChaCha8Rng, at: Timestamp) -> Detail {
    use Grade::{Absent, Away, High, Low, Medium, NotGraded};
    const PLACES: &[&str] = &["home", "placement", "school", "town centre", "railway station"];
    Detail::MissingStarted(MissingStarted {
        episode_ref: Some(uuid(rng)),
        grade: one(rng, &[Absent, Away, Low, Low, Medium, Medium, Medium, Medium, High, NotGraded]),
        last_seen_at: rng.random_bool(0.8).then(|| at.plus_millis(-HOUR_MS)),
        place: one(rng, PLACES).map(str::to_owned),
    })
}

pub fn regraded(episode: Option<&str>, grade: Grade) -> Detail {
    Detail::MissingRegraded(MissingRegraded { episode_ref: episode.map(str::to_owned), grade: Some(grade) })
}

pub fn returned(rng: &mut ChaCha8Rng, episode: Option<&str>, at: Timestamp) -> Detail {
    let harm_disclosed = maybe(rng, 0.7, 0.05);
    Detail::MissingEnded(MissingEnded { episode_ref: episode.map(str::to_owned), ended_at: at, harm_disclosed })
}

pub fn interview(rng: &mut ChaCha8Rng, episode: Option<&str>, at: Timestamp) -> Detail {
    let accepted = rng.random_bool(0.7);
    Detail::ReturnInterviewCompleted(ReturnInterviewCompleted {
        episode_ref: episode.map(str::to_owned),
        offered: Some(true),
        accepted: Some(accepted),
        completed_at: accepted.then_some(at),
        harm_disclosed: if accepted { maybe(rng, 0.9, 0.12) } else { None },
    })
}

pub fn self_harm(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    let overdose = maybe(rng, 0.9, 0.2);
    Detail::SelfHarmReported(SelfHarmReported {
        setting: one(rng, &[Setting::AAndE, Setting::AAndE, Setting::School, Setting::Home]),
        first_known: maybe(rng, 0.8, 0.6),
        superficial: maybe(rng, 0.8, 0.6),
        overdose,
        intent_stated: maybe(rng, 0.7, 0.15),
        admitted: maybe(rng, 0.8, 0.15),
        abuse_indicator: maybe(rng, 0.8, 0.08),
        multi_agency_plan: maybe(rng, 0.6, 0.2),
        suspected_suicide: maybe(rng, 0.9, 0.001),
    })
}

pub fn exploitation(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    Detail::ExploitationScreened(ExploitationScreened {
        exploitation: one(rng, &[ExploitationKind::Sexual, ExploitationKind::Criminal, ExploitationKind::Both]),
        score: one(rng, &[Score::Low, Score::Low, Score::Medium, Score::High]),
        any_high_factor: maybe(rng, 0.8, 0.3),
        disclosure: maybe(rng, 0.8, 0.1),
        place_ref: rng.random_bool(0.3).then(|| format!("place-{}", rng.random_range(0..6))),
        person_ref: rng.random_bool(0.2).then(|| format!("person-{}", rng.random_range(0..6))),
        group_ref: None,
    })
}

pub fn status(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    use StatusChange::{CeFlag, Cin, Cpp, Lac};
    let status = one(rng, &[Cin, Cin, Cpp, Lac, CeFlag]);
    let category = [PlanCategory::Neglect, PlanCategory::Physical, PlanCategory::Sexual, PlanCategory::Emotional];
    Detail::StatusChanged(StatusChanged {
        status,
        open: Some(rng.random_bool(0.7)),
        category: if status == Some(Cpp) { one(rng, &category) } else { None },
        placing_authority: None,
        out_of_area: (status == Some(Lac)).then(|| rng.random_bool(0.2)),
        allocated_worker: Some("Duty social worker".to_owned()),
    })
}

pub fn agreement(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    let states = [AgreementState::Asked, AgreementState::Given, AgreementState::Given, AgreementState::Refused];
    Detail::AgreementRecorded(AgreementRecorded { state: one(rng, &states), reason: None })
}

pub fn neglect(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    let gcp2_grade = one(rng, &[1, 2, 2, 3, 3, 3, 4, 4, 5]);
    Detail::NeglectAssessed(NeglectAssessed { gcp2_grade, medical_neglect: maybe(rng, 0.8, 0.1) })
}

pub fn crisis(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    let form = one(rng, &[CrisisForm::EmergencyDepartment, CrisisForm::EmergencyDepartment, CrisisForm::S136]);
    Detail::MentalHealthCrisis(MentalHealthCrisis {
        form,
        s136: Some(form == Some(CrisisForm::S136)),
        emergency_department: Some(form == Some(CrisisForm::EmergencyDepartment)),
    })
}

pub fn information(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    let check = one(rng, &[CheckKind::Cafcass, CheckKind::CpIs, CheckKind::OtherAuthority]);
    Detail::InformationRequested(InformationRequested { check, reason: None })
}

pub fn sexual_abuse(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    use SuspectIs::{Child, Family, Known, Professional, Stranger};
    Detail::SexualAbuseAlleged(SexualAbuseAlleged {
        suspect_role: None,
        suspect_agency: None,
        suspect_unit: None,
        under_13_activity: maybe(rng, 0.9, 0.1),
        suspect_is: one(rng, &[Family, Family, Known, Child, Stranger, Professional]),
        retraction: maybe(rng, 0.9, 0.05),
    })
}

pub fn decision(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    use HumanDecision::{Closed, LevelConfirmed, LevelSet, S47Started, SteppedDown};
    let decision = one(rng, &[LevelConfirmed, LevelConfirmed, LevelSet, SteppedDown, Closed, S47Started]);
    let with_level = matches!(decision, Some(LevelConfirmed | LevelSet | SteppedDown));
    let levels = [ProposedLevel::L2, ProposedLevel::L3, ProposedLevel::L4a];
    Detail::DecisionRecorded(DecisionRecorded {
        unit: None,
        held_back_for: None,
        decision,
        level: if with_level { one(rng, &levels) } else { None },
        decided_by: "A. Example".to_owned(),
        decided_by_role: "Team manager".to_owned(),
        reason: Some("Recorded at the daily meeting.".to_owned()),
        other_reply_to: None,
        agency: None,
    })
}

pub fn missing_education(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    use MissingEducationReason::{HomeEducationConcern, LeftArea, NoContact, NotOnRoll};
    let reason = one(rng, &[NotOnRoll, LeftArea, NoContact, HomeEducationConcern]);
    Detail::EducationMissing(EducationMissing { reason, last_school: None })
}

pub fn sexual_behaviour(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    use Hackett::{Abusive, Inappropriate, Problematic, Violent};
    let hackett = one(rng, &[Inappropriate, Inappropriate, Problematic, Problematic, Abusive, Violent]);
    Detail::SexualBehaviourReported(SexualBehaviourReported { hackett })
}

pub fn unborn(rng: &mut ChaCha8Rng, at: Timestamp) -> Detail {
    let days = rng.random_range(40..160).days();
    let due = at.date_in(&TimeZone::UTC).saturating_add(days);
    let risks = [UnbornRisk::SubstanceMisuse, UnbornRisk::DomesticAbuse, UnbornRisk::MentalHealth];
    Detail::UnbornConcern(UnbornConcern {
        due_date: Some(Date::from_civil(due)),
        risk_factors: one(rng, &risks).into_iter().collect(),
        earlier_child_removed: maybe(rng, 0.8, 0.2),
    })
}

pub fn position_of_trust(_: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    Detail::PositionOfTrustAlleged(PositionOfTrustAlleged {
        employer: Some("An example club".to_owned()),
        role: Some("Volunteer coach".to_owned()),
        employer_agency: None,
        employer_unit: None,
    })
}

pub fn learning(_: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    Detail::ReviewLearning(ReviewLearning {
        review: "Example review".to_owned(),
        lesson: "Ask the child, and write down what they said.".to_owned(),
        rules: vec!["R12".to_owned()],
        decisions: Vec::new(),
    })
}

pub fn audit(_: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    Detail::AuditFinding(AuditFinding {
        audit: "Example audit".to_owned(),
        finding: "Return interviews are offered, but late.".to_owned(),
        rules: vec!["R12".to_owned()],
        decisions: Vec::new(),
    })
}

pub fn serious_incident(rng: &mut ChaCha8Rng, _: Timestamp) -> Detail {
    Detail::SeriousIncidentNotified(SeriousIncidentNotified {
        incident: Some(IncidentKind::SeriousHarm),
        abuse_or_neglect_suspected: maybe(rng, 0.9, 0.7),
    })
}

/// Whether this kind may be about a child in danger now.
pub fn may_be_dangerous(detail: &Detail) -> bool {
    matches!(detail.kind(), "concern.reported" | "domestic_abuse.attended" | "missing.started" | "self_harm.reported")
}

/// Children-in-need census factors that go with the kind.
pub fn factors(detail: &Detail) -> Vec<String> {
    let factor = match detail.kind() {
        "missing.started" => "10A",
        "self_harm.reported" => "15A",
        "neglect.assessed" => "16A",
        "domestic_abuse.attended" => "3B",
        "exploitation.screened" => "24A",
        _ => return Vec::new(),
    };
    vec![factor.to_owned()]
}

/// A made-up account of what happened.
pub fn narrative(detail: &Detail) -> String {
    let told = match detail.kind() {
        "missing.started" => "Did not come home at the agreed time and does not answer the phone.",
        "missing.ended" => "Came back alone, hungry, and would not say where the night was spent.",
        "self_harm.reported" => "Came in with a friend, quiet, with fresh marks on the arm.",
        "domestic_abuse.attended" => "Shouting heard by neighbours; the child was upstairs.",
        "education.absence" => "The third week of absences without a reason that could be checked.",
        _ => "Seen today; more by telephone.",
    };
    format!("{told} (Made up.)")
}
