//! What happens to whom: one incident with its referral event and those that follow from it.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use uuid::Builder;

use super::hours::Hours;
use super::partners::{
    CAMHS, COUNCIL, EDUCATION, HOSPITAL, INTERVIEWS, MIDWIFERY, POLICE, PRACTICES, Partner, SCHOOLS,
};
use super::people::{Person, Population};
use super::{DAY_MS, HOUR_MS, MINUTE_MS, details};
use crate::engine::model::codes::{AgreementState, Grade, VoiceObtained};
use crate::engine::model::detail::Detail;
use crate::engine::model::event::{Agreement, Child, DoNotInform, Practitioner, ReferralEvent, Source, VoiceOfChild};
use crate::engine::model::scalar::Timestamp;

/// An event and when its partner sends it.
pub type Sent = (Timestamp, ReferralEvent);

/// How often a kind of event occurs, when, from whom, about whom.
struct Kind {
    /// Of about a thousand.
    weight: u32,
    hours: Hours,
    senders: &'static [Partner],
    ages: (i16, i16),
    detail: fn(&mut ChaCha8Rng, Timestamp) -> Detail,
}

const fn kind(
    weight: u32,
    hours: Hours,
    senders: &'static [Partner],
    ages: (i16, i16),
    detail: fn(&mut ChaCha8Rng, Timestamp) -> Detail,
) -> Kind {
    Kind { weight, hours, senders, ages, detail }
}

const KINDS: &[Kind] = &[
    kind(230, Hours::School, &[SCHOOLS, PRACTICES, HOSPITAL, COUNCIL, CAMHS], (0, 17), details::concern),
    kind(150, Hours::Evening, &[POLICE], (0, 17), details::domestic_abuse),
    kind(150, Hours::School, &[SCHOOLS, EDUCATION], (5, 16), details::absence),
    kind(110, Hours::Evening, &[POLICE, POLICE, COUNCIL], (9, 17), details::missing),
    kind(70, Hours::Always, &[HOSPITAL, HOSPITAL, SCHOOLS, CAMHS], (10, 17), details::self_harm),
    kind(40, Hours::Office, &[POLICE, SCHOOLS, COUNCIL], (10, 17), details::exploitation),
    kind(40, Hours::Office, &[COUNCIL], (0, 17), details::status),
    kind(30, Hours::Office, &[COUNCIL, SCHOOLS], (0, 17), details::agreement),
    kind(25, Hours::Office, &[COUNCIL, SCHOOLS, PRACTICES], (0, 15), details::neglect),
    kind(25, Hours::Always, &[HOSPITAL, CAMHS, POLICE], (11, 17), details::crisis),
    kind(25, Hours::Office, &[COUNCIL, HOSPITAL], (0, 17), details::information),
    kind(20, Hours::Office, &[SCHOOLS, POLICE, HOSPITAL], (3, 17), details::sexual_abuse),
    kind(20, Hours::Office, &[COUNCIL], (0, 17), details::decision),
    kind(15, Hours::Office, &[EDUCATION, SCHOOLS], (5, 16), details::missing_education),
    kind(12, Hours::School, &[SCHOOLS], (6, 17), details::sexual_behaviour),
    kind(12, Hours::Office, &[MIDWIFERY, PRACTICES], (0, 17), details::unborn),
    kind(4, Hours::Office, &[SCHOOLS, POLICE], (4, 17), details::position_of_trust),
    kind(2, Hours::Office, &[COUNCIL], (0, 17), details::learning),
    kind(2, Hours::Office, &[COUNCIL], (0, 17), details::audit),
    kind(1, Hours::Always, &[POLICE, HOSPITAL], (0, 17), details::serious_incident),
];

/// One incident between `start` and `end`; what follows from it may lie later.
pub fn incident(rng: &mut ChaCha8Rng, population: &Population, start: Timestamp, end: Timestamp) -> Vec<Sent> {
    let kind = pick(rng);
    let happened = kind.hours.instant(rng, start, end);
    let person = population.child(rng, kind.ages.0, kind.ages.1);
    let sender = kind.senders.choose(rng).copied().unwrap_or(POLICE);
    let detail = (kind.detail)(rng, happened);
    let sent_at = happened.plus_millis(rng.random_range(2..180) * MINUTE_MS);
    let event = event(rng, sender, person, happened, detail);
    let mut sent = vec![(sent_at, event)];
    if let Detail::MissingStarted(started) = &sent[0].1.detail {
        let (grade, episode) = (started.grade, started.episode_ref.clone());
        let police_reference = sent[0].1.police_reference.clone();
        for mut later in missing_follow_ups(rng, person, happened, grade, episode.as_deref()) {
            later.1.police_reference.clone_from(&police_reference);
            sent.push(later);
        }
    }
    sent
}

fn pick(rng: &mut ChaCha8Rng) -> &'static Kind {
    let mut left = rng.random_range(0..KINDS.iter().map(|kind| kind.weight).sum());
    for kind in KINDS {
        if left < kind.weight {
            return kind;
        }
        left -= kind.weight;
    }
    &KINDS[0]
}

/// A regrade sometimes, a return nearly always, an interview often.
fn missing_follow_ups(
    rng: &mut ChaCha8Rng,
    person: &Person,
    started: Timestamp,
    grade: Option<Grade>,
    episode: Option<&str>,
) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut add = |rng: &mut ChaCha8Rng, sender: Partner, at: Timestamp, detail: Detail| {
        let event = event(rng, sender, person, at, detail);
        sent.push((at.plus_millis(rng.random_range(2..60) * MINUTE_MS), event));
    };
    if grade == Some(Grade::Medium) && rng.random_bool(0.2) {
        let at = started.plus_millis(rng.random_range(2..6) * HOUR_MS);
        add(rng, POLICE, at, details::regraded(episode, Grade::High));
    }
    if rng.random_bool(0.95) {
        let returned = started.plus_millis(rng.random_range(6..40) * HOUR_MS);
        let detail = details::returned(rng, episode, returned);
        add(rng, POLICE, returned, detail);
        if rng.random_bool(0.7) {
            let at = returned.plus_millis(rng.random_range(12..90) * HOUR_MS);
            let detail = details::interview(rng, episode, at);
            add(rng, INTERVIEWS, at, detail);
        }
    }
    sent
}

fn event(
    rng: &mut ChaCha8Rng,
    sender: Partner,
    person: &Person,
    occurred_at: Timestamp,
    detail: Detail,
) -> ReferralEvent {
    let (role, call_back) = sender.practitioner(rng);
    let unit = match sender.name {
        "schools" => person.child.school_urn.clone().unwrap_or_else(|| sender.unit(rng)),
        "gp" => person.child.gp_ods.clone().unwrap_or_else(|| sender.unit(rng)),
        _ => sender.unit(rng),
    };
    let danger = details::may_be_dangerous(&detail) && rng.random_bool(0.06);
    ReferralEvent {
        event_id: uuid(rng),
        source: Source { partner: sender.name.to_owned(), agency: None, unit },
        partner_reference: Some(format!("REF-{:06}", rng.random_range(0..1_000_000))),
        police_reference: (sender == POLICE).then(|| format!("CC{:08}", rng.random_range(0..100_000_000))),
        practitioner: Practitioner { role: role.to_owned(), call_back, name: None },
        occurred_at,
        reported_at: rng.random_bool(0.5).then(|| occurred_at.plus_millis(MINUTE_MS)),
        date_only: false,
        backfill: false,
        child: child_as_sent(rng, sender, person, &detail),
        carers: if rng.random_bool(0.7) { person.carers.clone() } else { Vec::new() },
        siblings: if rng.random_bool(0.3) { person.siblings.clone() } else { Vec::new() },
        agreement: agreement(rng),
        voice_of_child: voice(rng, person.age),
        narrative: rng.random_bool(0.85).then(|| details::narrative(&detail)),
        do_not_inform: do_not_inform(rng, &detail),
        factors: details::factors(&detail),
        immediate_danger: danger.then_some(true),
        emergency_call_made: danger.then(|| rng.random_bool(0.8)),
        reply_to: None,
        detail,
    }
}

/// What this sender knows of the child: schools rarely know the NHS number, hospitals never the UPN.
fn child_as_sent(rng: &mut ChaCha8Rng, sender: Partner, person: &Person, detail: &Detail) -> Child {
    let mut child = person.child.clone();
    child.local_id = child.local_id.map(|id| format!("{}-{id}", sender.name));
    match sender.name {
        "schools" | "education-welfare" if rng.random_bool(0.8) => child.nhs_number = None,
        "police" if rng.random_bool(0.6) => (child.nhs_number, child.upn) = (None, None),
        "leighton-hospital" | "gp" | "camhs" | "midwifery" => child.upn = None,
        _ => {}
    }
    if let Detail::UnbornConcern(unborn) = detail {
        return Child {
            due_date: unborn.due_date,
            local_id: child.local_id,
            gp_ods: child.gp_ods,
            locality: child.locality,
            addresses: child.addresses,
            ..Child::default()
        };
    }
    child
}

fn agreement(rng: &mut ChaCha8Rng) -> Option<Agreement> {
    let state = match rng.random_range(0..100) {
        0..50 => AgreementState::Given,
        50..75 => AgreementState::NotAsked,
        75..85 => AgreementState::Refused,
        85..88 => AgreementState::UnsafeToAsk,
        _ => return None,
    };
    let reason = (state == AgreementState::UnsafeToAsk).then(|| "Asking might put the child at risk.".to_owned());
    Some(Agreement { state: Some(state), reason })
}

fn voice(rng: &mut ChaCha8Rng, age: i16) -> Option<VoiceOfChild> {
    const SAID: &[&str] = &[
        "Wants to talk to the school nurse, not to a teacher.",
        "Says home is fine, but does not want to go back tonight.",
        "Would like someone to help Mum.",
        "Does not want Dad to be told.",
        "Wants it to stop.",
    ];
    if age < 4 || rng.random_bool(0.1) {
        let absent_because = Some(if age < 4 { "Too young to ask" } else { "Not seen alone" }.to_owned());
        return Some(VoiceOfChild { said: None, obtained: None, absent_because });
    }
    let said = SAID.choose(rng).map(|said| (*said).to_owned());
    let obtained =
        Some(*[VoiceObtained::Asked, VoiceObtained::Volunteered].choose(rng).unwrap_or(&VoiceObtained::Asked));
    rng.random_bool(0.85).then_some(VoiceOfChild { said, obtained, absent_because: None })
}

fn do_not_inform(rng: &mut ChaCha8Rng, detail: &Detail) -> Vec<DoNotInform> {
    if !matches!(detail, Detail::SelfHarmReported(_)) || rng.random_bool(0.9) {
        return Vec::new();
    }
    let reason = Some("The child asks that school is not told.".to_owned());
    vec![DoNotInform { agency: Some("school".to_owned()), unit: None, person: None, reason }]
}

/// A random UUID from the seed.
pub fn uuid(rng: &mut ChaCha8Rng) -> String {
    Builder::from_random_bytes(rng.random()).into_uuid().to_string()
}

/// Up to how many days late a late event comes.
pub const LATE_DAYS_MAX: i64 = 20;

/// The same event, sent days after it happened.
pub fn late(rng: &mut ChaCha8Rng, (at, event): Sent) -> Sent {
    let days = rng.random_range(1..=LATE_DAYS_MAX);
    let happened = event.occurred_at.plus_millis(-days * DAY_MS);
    (at, ReferralEvent { occurred_at: happened, reported_at: None, ..event })
}
