//! Other children named with a child: what the rules ask for them goes on to each as a subject of their own. One hop.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil;

use crate::engine::calendar::london_date;
use crate::engine::context::StepError;
use crate::engine::family::is_shared;
use crate::engine::history::correction::DO_NOT_INFORM;
use crate::engine::history::known_as::differ;
use crate::engine::history::{TOLD, entry, put};
use crate::engine::identity::{Identifiers, Keys, expected, keys_alone};
use crate::engine::ids::derived;
use crate::engine::model::codes::Concern;
use crate::engine::model::detail::{
    ConcernReported, Detail, EventCorrected, EventWithdrawn, ProposedLevel, fields as fields_of,
};
use crate::engine::model::event::{Child, DoNotInform, Practitioner, ReferralEvent, Sibling, Source};
use crate::engine::model::history::{Entry, HeldTask, KnownAs, NamedChild};
use crate::engine::model::inbox::{InboxBody, InboxRecord, NamedWith, Referral};
use crate::engine::model::scalar::{FactValue, Level, Timestamp};
use crate::engine::model::subject::SubjectKey;
use crate::engine::rules::RuleBook;
use crate::engine::step::Effect;
use crate::engine::step::draft::{Draft, OWN_DUTY};
use crate::engine::tasks::{Deadline, Finding};

mod later;

pub use later::{as_first_told, named_later, naming_others};

/// The same event is judged for each child named: an incident that involves them all.
const SIBLINGS: &str = "siblings";
/// Each child named comes to social care with this one, at the same level and by the same time.
const ONE_FAMILY: &str = "one-family";

/// The id under which the front door is asked to see to children whom the router cannot name.
const FAMILY_RULE: &str = "one-family";
const SEE_TO_ACTION: &str =
    "See to the other children named with this one: each is a child of their own, in one family";

/// Most children of one referral: far more than a household or an incident holds. The front door sees to the rest.
const NAMED_MAX: usize = 24;
const ADULT_YEARS: i64 = 18;

/// What the rules that fired ask for the other children of an event.
struct Asked<'f> {
    entry: &'f Arc<Entry>,
    /// The rule that asks for it, for the ids of what is made.
    rule: &'f str,
    same_event: bool,
    level: Option<Level>,
}

/// Sends on what newly fired, to each other child that the referral at hand names. What it does not name, though the
/// event judged did, the front door sees to.
pub fn send_on(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    findings: &[Finding<'_>],
) -> Result<(), StepError> {
    for mut asked in asked_for_others(findings) {
        if !asked.same_event && referral.is_some_and(|referral| is_over_again(referral, &asked)) {
            later::as_sent_on_before(draft, &mut asked);
        }
        let at_hand = referral.filter(|referral| serves(referral, &asked));
        let others = at_hand.map(|referral| &referral.event.siblings).filter(|others| !others.is_empty());
        if let (Some(referral), Some(others)) = (at_hand, others) {
            send_to_each(draft, referral, &asked, |_| true);
            if others.len() <= NAMED_MAX {
                continue;
            }
        } else if !named_others(asked.entry) || hears_it_too(draft, asked.entry) {
            continue;
        }
        ask_front_door(draft, referral, cause, asked.entry)?;
    }
    Ok(())
}

/// One for each event: the same event over again where any rule asks for that.
fn asked_for_others<'f>(findings: &'f [Finding<'_>]) -> Vec<Asked<'f>> {
    let mut found: Vec<Asked<'f>> = Vec::new();
    // What a rule asks besides, having been acted on, is of the child alone: the others were sent on then.
    for finding in findings.iter().filter(|finding| finding.before.is_none()) {
        let same_event = finding.rule.flags.contains(SIBLINGS);
        if !same_event && !finding.rule.flags.contains(ONE_FAMILY) {
            continue;
        }
        let level = finding.verdict.level;
        let of_event = |asked: &&mut Asked<'_>| asked.entry.is_same_event(&finding.entry);
        match found.iter_mut().find(of_event) {
            Some(asked) if same_event && !asked.same_event => {
                asked.rule = &finding.rule.id;
                asked.same_event = true;
            }
            Some(_) => {}
            None => found.push(Asked { entry: &finding.entry, rule: &finding.rule.id, same_event, level }),
        }
    }
    found
}

/// An event over again can only be made of one of its kind; a family is named by any event of the child.
fn serves(referral: &Referral, asked: &Asked<'_>) -> bool {
    referral.named_with.is_none() && (!asked.same_event || is_over_again(referral, asked))
}

fn is_over_again(referral: &Referral, asked: &Asked<'_>) -> bool {
    referral.named_with.is_none() && referral.event.detail.kind() == asked.entry.kind
}

/// Whether the event over again was sent to each other child: what is corrected of it is corrected for them.
fn hears_it_too(draft: &Draft<'_>, entry: &Entry) -> bool {
    let now = draft.history.entries.iter().find(|present| same(present, entry));
    let sent = now.map(|entry| entry.named.iter().filter(|child| child.same_event).count()).unwrap_or_default();
    (1..NAMED_MAX).contains(&sent)
}

fn named_others(entry: &Entry) -> bool {
    entry.facts.get("siblings_named") == Some(&FactValue::Bool(true))
}

/// Sends on each other child that is `wanted`. Returns how many.
fn send_to_each(
    draft: &mut Draft<'_>,
    referral: &Referral,
    asked: &Asked<'_>,
    wanted: impl Fn(SubjectKey) -> bool,
) -> usize {
    let due_at = social_care_due(draft, asked.entry);
    let mut named = Vec::new();
    let keys = &draft.context.keys;
    let mut seen = BTreeMap::from([(draft.subject, keys.known_as(&referral.event.child))]);
    let mut grown = 0_usize;
    let suspect = suspect(keys, &draft.book.rules, &referral.event.detail).unwrap_or_default();
    for (place, other) in referral.event.siblings.iter().enumerate().take(NAMED_MAX) {
        if is_grown(&other.child, draft.at) {
            grown = grown.saturating_add(1);
            continue;
        }
        // A child without any identifier is a subject by this event and their place in it.
        let own_id = derived(&["named", &asked.entry.event_id, &place.to_string()]);
        let known_as = keys.known_as(&other.child);
        let mut child = other.child.clone();
        let mut identifiers = Identifiers::of(keys, &child, &referral.event.source, &own_id);
        if seen.get(&identifiers.strongest.1).is_some_and(|other| are_named_apart(other.as_ref(), known_as.as_ref())) {
            // One identifier cannot be of two: this child is known by name and birth.
            (child.nhs_number, child.upn, child.local_id) = (None, None, None);
            identifiers = Identifiers::of(keys, &child, &referral.event.source, &own_id);
        }
        let (kind, subject) = identifiers.strongest;
        if seen.insert(subject, known_as).is_some() || !wanted(subject) {
            continue;
        }
        let event_id = derived(&["named", &asked.entry.event_id, asked.rule, &subject.to_hex()]);
        named.push(NamedChild { subject, event_id: event_id.clone(), same_event: asked.same_event });
        let is_family = is_shared(other.relationship.as_deref(), &referral.event.detail);
        let event = event_for(referral, asked, event_id, child, is_family);
        let made = Referral {
            expected: expected::keys(keys, &event, draft.at),
            event,
            content_digest: referral.content_digest.clone(),
            keyed_by: kind.symbol().to_owned(),
            unverified: identifiers.unverified,
            hops: 0,
            weaker: keys_alone(identifiers.weaker),
            named_with: Some(named_with(suspect.clone(), asked.entry, due_at, other, is_family)),
            sighting: identifiers.sighting,
        };
        publish(draft, subject, made);
    }
    note(draft, named.len(), grown);
    remember_named(draft, asked.entry, named)
}

fn remember_named(draft: &mut Draft<'_>, of: &Entry, mut named: Vec<NamedChild>) -> usize {
    let sent = named.len();
    let now = draft.history.entries.iter().find(|entry| same(entry, of)).cloned();
    if let Some(entry) = now {
        let mut entry = entry.as_ref().clone();
        named.retain(|child| !entry.named.contains(child));
        entry.named.extend(named);
        put(&mut draft.history, entry);
    }
    sent
}

fn named_with(
    (suspect_agency, suspect_unit): (Option<String>, Option<String>),
    entry: &Entry,
    due_at: Option<Timestamp>,
    other: &Sibling,
    is_family: bool,
) -> NamedWith {
    NamedWith {
        event_id: entry.event_id.clone(),
        due_at,
        suspect_agency,
        suspect_unit,
        other_family: (!is_family).then_some(true),
        relationship: other.relationship.clone(),
    }
}

/// Whether two children of one referral bear different names or birthdays.
fn are_named_apart(one: Option<&KnownAs>, other: Option<&KnownAs>) -> bool {
    one.zip(other).is_some_and(|(one, other)| differ(one, other))
}

fn note(draft: &mut Draft<'_>, sent: usize, grown: usize) {
    if sent > 0 {
        let words = format!("Other children named with this one: {sent}. Each is looked at as a child of their own.");
        draft.decision.notes.push(words);
    }
    if grown > 0 {
        draft
            .decision
            .notes
            .push(format!("Named with this child and 18 or older: {grown}. Not looked at as children."));
    }
}

fn same(entry: &Entry, other: &Entry) -> bool {
    entry.is_same_event(other)
}

/// The earliest that social care must act for the child of an event: by what is asked now, else by what it was asked.
fn social_care_due(draft: &Draft<'_>, entry: &Entry) -> Option<Timestamp> {
    let front_door = &draft.book.rules.front_door;
    let of_event = || {
        let held = draft.history.tasks.iter();
        let of_front_door = |task: &&Arc<_>| is_asked(task, entry, front_door);
        held.filter(of_front_door)
    };
    let now = of_event().filter(|task| task.raised_at == draft.at).map(|task| task.due_at).min();
    now.or_else(|| of_event().map(|task| task.due_at).min())
}

fn is_asked(task: &HeldTask, entry: &Entry, front_door: &str) -> bool {
    task.is_of(entry) && task.agency == front_door && task.state != TOLD
}

fn suspect(keys: &Keys, rules: &RuleBook, detail: &Detail) -> Option<(Option<String>, Option<String>)> {
    let (agency, unit) = entry::suspects_place(detail)?;
    if !entry::is_suspect_unknown(rules, detail) {
        return Some((agency.map(str::to_owned), unit.map(str::to_owned)));
    }
    // What may be a sender's name goes with it, and can be compared there and not read; who is to be held back is not known all the same.
    let of_sender = agency.and_then(|agency| entry::suspects_sender(keys, agency, unit));
    let (agency, unit) = of_sender.unwrap_or_else(|| (entry::ANY_AGENCY.to_owned(), None));
    Some((Some(agency), unit))
}

fn is_grown(child: &Child, at: Timestamp) -> bool {
    let birthday = child.date_of_birth.and_then(|born| entry::birthday(born.to_civil(), ADULT_YEARS));
    birthday.is_some_and(|birthday: civil::Date| birthday <= london_date(at))
}

/// The event for another child: nothing in it is of the first child's own, nor, for a child of another family, of the
/// first one's: not who cares for them, what they agreed to, or why someone must not learn of it.
fn event_for(referral: &Referral, asked: &Asked<'_>, event_id: String, child: Child, is_family: bool) -> ReferralEvent {
    let event = &referral.event;
    let (detail, danger, call) = if asked.same_event {
        (event.detail.clone(), event.immediate_danger, event.emergency_call_made)
    } else {
        let proposed_level = asked.level.map(ProposedLevel::from);
        (Detail::ConcernReported(ConcernReported { concern: Some(Concern::Other), proposed_level }), None, None)
    };
    ReferralEvent {
        event_id,
        child,
        siblings: Vec::new(),
        narrative: None,
        voice_of_child: None,
        factors: Vec::new(),
        immediate_danger: danger,
        emergency_call_made: call,
        reply_to: None,
        backfill: false,
        detail,
        // A correction of that event goes on to this one, too.
        source: asked.entry.source.clone(),
        carers: if is_family { event.carers.clone() } else { Vec::new() },
        agreement: event.agreement.clone().filter(|_| is_family),
        do_not_inform: event.do_not_inform.iter().map(|wish| wish_for(wish, is_family)).collect(),
        ..event.clone()
    }
}

fn wish_for(wish: &DoNotInform, is_family: bool) -> DoNotInform {
    DoNotInform { reason: wish.reason.clone().filter(|_| is_family), ..wish.clone() }
}

fn publish(draft: &mut Draft<'_>, subject: SubjectKey, made: Referral) {
    draft.publish(Effect::Inbox(Box::new(InboxRecord {
        id: derived(&["named", &made.event.event_id, &subject.to_hex(), &made.content_digest]),
        subject,
        receipt: draft.at,
        body: InboxBody::Referral(made),
    })));
}

/// The router keeps no names: where the referral at hand does not bring them, a person finds the other children.
pub fn ask_front_door(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    entry: &Arc<Entry>,
) -> Result<(), StepError> {
    let raising = draft.raising(referral, cause);
    let usual = raising.deadline_from_now(&OWN_DUTY)?;
    let due = match social_care_due(draft, entry).filter(|due| *due < usual.at) {
        Some(at) => Deadline { at: at.max(draft.at), urgent: true, words: usual.words.clone(), counted: None, ..usual },
        None => usual,
    };
    let source = &entry.source;
    let why = format!(
        "Other children are named in event {} of {}, {}, and have not been sent on.",
        entry.event_id, source.partner, source.unit
    );
    let wanted = raising.own_duty(FAMILY_RULE, "Other children of the family", why, SEE_TO_ACTION, due, entry);
    draft.raise(referral, cause, &[], vec![wanted]).map(drop)
}

/// What is corrected of an incident is corrected for every child it was sent on to.
pub fn corrected(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    original: &Entry,
    correction: &EventCorrected,
) {
    let of_kind = fields_of(&original.kind).unwrap_or_default();
    let of_all = [entry::DANGER, DO_NOT_INFORM];
    let shared = |name: &str| of_all.contains(&name) || of_kind.iter().any(|(field, _)| *field == name);
    // Why is said of this child alone: another may be of another family.
    let mut correction = EventCorrected { reason: None, ..correction.clone() };
    correction.changes.retain(|name, _| shared(name));
    if correction.changes.is_empty() {
        return;
    }
    let call_back = referral.map(|referral| referral.event.practitioner.clone());
    for named in original.named.iter().filter(|named| named.same_event) {
        let detail = EventCorrected { original_event_id: named.event_id.clone(), ..correction.clone() };
        follow_up(draft, cause, original, named, Detail::EventCorrected(detail), call_back.clone());
    }
}

/// What is said later of an event that names a child who is not of one family with the first, as far as is known, as it was first told.
/// None: it says so, or they are of one.
pub fn of_its_family(referral: &Referral, original: &Entry) -> Option<Referral> {
    let is = |name: &str| original.facts.get(name) == Some(&FactValue::Bool(true));
    let is_apart = is(entry::OF_ANOTHER_FAMILY) || is(entry::FAMILY_UNCLEAR);
    let named = referral.named_with.as_ref().filter(|named| is_apart && !named.is_apart())?;
    let named_with = Some(NamedWith { other_family: Some(true), ..named.clone() });
    Some(Referral { named_with, ..referral.clone() })
}

/// What is withdrawn is withdrawn for every child it was sent on to.
pub fn withdrawn(draft: &mut Draft<'_>, cause: &str, original: &Entry) {
    for named in &original.named {
        let detail = EventWithdrawn {
            original_event_id: named.event_id.clone(),
            reason: None,
            right_child: None,
            right_event_id: None,
        };
        follow_up(draft, cause, original, named, Detail::EventWithdrawn(detail), None);
    }
}

fn follow_up(
    draft: &mut Draft<'_>,
    cause: &str,
    original: &Entry,
    named: &NamedChild,
    detail: Detail,
    call_back: Option<Practitioner>,
) {
    let event_id = derived(&["named", cause, &named.event_id, &named.subject.to_hex()]);
    let named_with = NamedWith {
        event_id: original.event_id.clone(),
        due_at: None,
        suspect_agency: None,
        suspect_unit: None,
        other_family: None,
        relationship: None,
    };
    let made = Referral {
        content_digest: event_id.clone(),
        event: bare_event(event_id, original.source.clone(), draft.at, detail, call_back),
        keyed_by: "named_with".to_owned(),
        unverified: Vec::new(),
        hops: 0,
        weaker: None,
        named_with: Some(named_with),
        sighting: None,
        expected: None,
    };
    publish(draft, named.subject, made);
}

/// An event that names nobody: its subject is known by its key.
fn bare_event(
    event_id: String,
    source: Source,
    at: Timestamp,
    detail: Detail,
    call_back: Option<Practitioner>,
) -> ReferralEvent {
    let nobody = || Practitioner { role: "router".to_owned(), call_back: String::new(), name: None };
    ReferralEvent {
        event_id,
        source,
        partner_reference: None,
        police_reference: None,
        practitioner: call_back.unwrap_or_else(nobody),
        occurred_at: at,
        reported_at: None,
        date_only: false,
        backfill: false,
        child: Child::default(),
        carers: Vec::new(),
        siblings: Vec::new(),
        agreement: None,
        voice_of_child: None,
        narrative: None,
        do_not_inform: Vec::new(),
        factors: Vec::new(),
        immediate_danger: None,
        emergency_call_made: None,
        reply_to: None,
        detail,
    }
}
