//! Immediate danger is never lost: whatever else becomes of the record that says so, whoever decides is told within the hour, and
//! its sender what to do now.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::context::StepError;
use crate::engine::danger::corrected_to;
use crate::engine::facts::PreparedBook;
use crate::engine::history::entry::EMERGENCY_CALL;
use crate::engine::history::{self, Spoken, is_open};
use crate::engine::model::decision::Disposition;
use crate::engine::model::detail::Detail;
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::history::{Entry, HeldTask};
use crate::engine::model::inbox::{InboxRecord, Referral, Signal};
use crate::engine::model::scalar::Level;
use crate::engine::rules::book::Rule;
use crate::engine::rules::expression::Truth;
use crate::engine::rules::facts::KindId;
use crate::engine::step::changed::refused::REFUSED_ACTION;
use crate::engine::step::changed::withdrawal::UNHEARD_ACTION;
use crate::engine::step::decisions::closed::is_waited_for_no_more;
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft};
use crate::engine::step::stand_in::stand_in_entry;
use crate::engine::tasks::Wanted;

const DANGER_RULE: &str = "danger";
const TITLE: &str = "Immediate danger";
const ACTION: &str = "See that the child is safe: a sender says that they are in immediate danger";
const UNREAD_ACTION: &str =
    "See that the child is safe: a record that could not be read says immediate danger; ring its sender now";
/// For a book that says nothing of its own.
const RING: &str = "If the child is in danger now, ring 999.";
/// As long as whoever decides has for it: who says it again meanwhile says nothing new.
const HOUR_MS: i64 = 60 * 60 * 1000;

/// The rules of a book that fire by danger alone, whatever else is known, and not without it.
fn rules_of_danger(book: &PreparedBook) -> impl Iterator<Item = &Rule> {
    let said = book.rules.facts.id("event.immediate_danger").zip(KindId::all().next());
    said.into_iter().flat_map(|(danger, kind)| {
        let table = |is_in_danger: bool| {
            let mut table = book.rules.facts.table(kind);
            table.set_bool(danger, is_in_danger);
            table
        };
        let (endangered, safe) = (table(true), table(false));
        let fires_by_it = move |rule: &&Rule| {
            let of_arrival = rule.stratum == 0 && rule.timer.is_none();
            of_arrival && rule.truth(&endangered) == Truth::True && rule.truth(&safe) == Truth::False
        };
        book.rules.rules.iter().filter(fires_by_it)
    })
}

/// What the book tells whoever says that a child is in danger.
pub fn words(book: &PreparedBook) -> Vec<&str> {
    let words: Vec<&str> = rules_of_danger(book).filter_map(|rule| rule.tell_referrer.as_deref()).collect();
    if words.is_empty() { vec![RING] } else { words }
}

/// After all that a record brought about: whoever decides has been told of the danger within the hour, or is told now.
pub fn see_to_it(draft: &mut Draft<'_>, referral: &Referral, arriving: &Entry) -> Result<(), StepError> {
    let event = &referral.event;
    let about = spoken_of(draft, event, arriving);
    if is_told(draft, event, &about) {
        return Ok(());
    }
    // Under one id other content may come, and each that says it counts.
    let cause = format!("{DANGER_RULE}\0{}\0{}", event.event_id, referral.content_digest);
    let raising = draft.raising(Some(referral), &cause);
    let due = raising.deadline_from_now(&AT_HIGHEST_LEVEL)?;
    let rung = match corrected_to(event, EMERGENCY_CALL).or(event.emergency_call_made) {
        Some(true) => "999 was rung, they say",
        Some(false) => "999 was not rung, they say",
        None => "whether 999 was rung is not said",
    };
    let became = match (&event.detail, draft.decision.disposition) {
        (_, Disposition::AwaitingOriginal) => {
            "The event that they correct or withdraw is not known here: it may be known of under another identifier of the child, or \
             still to come."
        }
        (_, Disposition::Refused) => "What they sent was not applied.",
        (Detail::EventWithdrawn(_), _) => "They withdraw what they sent before: ask them.",
        (_, _) => "The event that it is about was known before.",
    };
    let why = format!("The sender says that the child is in immediate danger; {rung}. {became}");
    let own = raising.own_duty(DANGER_RULE, TITLE, why, ACTION, due, &about);
    let wanted = Wanted { level: Some(Level::L4b), ..own };
    // Whoever sends at least once sends what was refused again, too.
    if raising.was_given(&wanted) {
        return Ok(());
    }
    draft.raise(Some(referral), &cause, &[], vec![wanted]).map(drop)
}

/// A record that could not be read says it: whoever decides is told of each within the hour, of one that comes again within it once.
/// What it says of the child is not known here, and lies in quarantine.
pub fn in_unread(draft: &mut Draft<'_>, record: &InboxRecord, signal: &Signal) -> Result<(), StepError> {
    let partner = signal.partner.as_deref().unwrap_or("unknown");
    let entry = |quarantined: &str| Arc::new(stand_in_entry(quarantined, partner, record.receipt));
    let raising = draft.raising(None, &record.id);
    let due = raising.deadline_from_now(&AT_HIGHEST_LEVEL)?;
    // The record's id says what was sent: the same sent again has it, too, and lies in quarantine as another.
    let is_this = |task: &HeldTask| {
        let entry = entry(&task.event_id);
        let asked = raising.own_duty(DANGER_RULE, TITLE, String::new(), UNREAD_ACTION, due.clone(), &entry);
        raising.was_given(&asked)
    };
    let in_the_hour = |task: &HeldTask| task.raised_at.plus_millis(HOUR_MS) > draft.at;
    let mut asked = draft.history.tasks.iter().filter(|task| task.action == UNREAD_ACTION && in_the_hour(task));
    if let Some(told) = asked.find(|task| is_this(task)) {
        let told = format!("The same came within the hour, and was told of as {}.", told.event_id);
        draft.decision.notes.push(told);
        draft.disposed(Disposition::Duplicate);
        return Ok(());
    }
    let entry = entry(&signal.cause);
    let unit = signal.unit.as_deref().map_or(String::new(), |unit| format!(", unit {unit}"));
    let reason = signal.reason.as_deref().unwrap_or("unknown");
    let why = format!(
        "A record of {partner}{unit} says that a child is in immediate danger. It could not be read ({reason}), nobody has acted on it, \
         and who the child is only its sender can say; it lies in quarantine as {}.",
        signal.cause
    );
    let own = raising.own_duty(DANGER_RULE, TITLE, why, UNREAD_ACTION, due, &entry);
    draft.raise(None, &record.id, &[], vec![Wanted { level: Some(Level::L4b), ..own }]).map(drop)
}

/// The event that a record is about, where it is known: what it corrects or takes back, or what it is kept beside.
fn spoken_of(draft: &Draft<'_>, event: &ReferralEvent, arriving: &Entry) -> Arc<Entry> {
    let entries = &draft.history.entries;
    let named = if let Detail::EventCorrected(correction) = &event.detail {
        Some(&correction.original_event_id)
    } else if let Detail::EventWithdrawn(withdrawal) = &event.detail {
        Some(&withdrawal.original_event_id)
    } else {
        None
    };
    let front_door = &draft.book.rules.front_door;
    let original = named.and_then(|named| history::find(&draft.history, named, &event.source, front_door));
    if let Some(Spoken::Own(index) | Spoken::Corroborated(index)) = original {
        return entries.get(index).cloned().unwrap_or_else(|| Arc::new(arriving.clone()));
    }
    let is_kept_beside = |entry: &&Arc<Entry>| {
        let mut beside = entry.corroborated_by.iter();
        beside.any(|report| report.event_id == event.event_id && report.source.partner == event.source.partner)
    };
    let own = entries.iter().find(|entry| entry.is_same_event(arriving));
    own.or_else(|| entries.iter().find(is_kept_beside)).cloned().unwrap_or_else(|| Arc::new(arriving.clone()))
}

/// Whether the front door holds it by this record, or by one of the last hour that this one says over again.
fn is_told(draft: &Draft<'_>, event: &ReferralEvent, about: &Entry) -> bool {
    let mut of_danger: BTreeSet<&str> = rules_of_danger(draft.book).map(|rule| rule.id.as_str()).collect();
    of_danger.insert(DANGER_RULE);
    let says_again = !matches!(event.detail, Detail::EventWithdrawn(_));
    // What a closing ended nobody holds any more.
    let is_held = |task: &HeldTask| !is_waited_for_no_more(&draft.history, &draft.book.rules, task);
    let in_the_hour =
        |task: &HeldTask| task.raised_at.plus_millis(HOUR_MS) > draft.at && task.is_of(about) && is_held(task);
    let says_so = |task: &HeldTask| {
        let of_harm = [REFUSED_ACTION, UNHEARD_ACTION].contains(&task.action.as_str());
        of_harm || task.rules.iter().any(|rule| of_danger.contains(rule.as_str()))
    };
    let raising = draft.raising(None, "");
    draft.history.tasks.iter().any(|task| {
        raising.acts_as_front_door(&task.agency)
            && task.level == Some(Level::L4b)
            && is_open(&task.state)
            && says_so(task)
            && (draft.is_raised_now(task) || (says_again && in_the_hour(task)))
    })
}
