//! What is remembered of a subject: insertion, duplicates, statuses, retention and merging.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::model::detail::StatusChanged;
use super::model::event::Source;
use super::model::history::{
    AgreementStanding, Corroboration, Entry, HeldBack, HeldTask, History, RecordedDecision, Status, said_by,
};
use super::model::scalar::{Coded, DAY_MS, FactValue, Level, Timestamp};

pub mod agreement;
pub mod correction;
pub mod death;
pub mod decisions;
pub mod entry;
pub mod episodes;
pub mod folding;
pub mod joining;
pub mod keeping;
pub mod known_as;
pub mod parting;
pub mod routes;
pub mod senders;
pub mod significant_harm;
#[cfg(test)]
mod tests;
pub mod used_id;

/// The timer of a subject whose tasks wait for the next rung of their ladder.
pub const ESCALATION: &str = "escalation";
/// The timer of a subject of whom something is too old to be kept.
pub const FOLD: &str = "fold";
/// The timer that counts deadlines again by a corrected calendar.
pub const RECOUNT: &str = "recount";

/// The state of what was told and asks for nothing.
pub const TOLD: &str = "told";

/// The state of a task whose recipient was told to stop.
pub const RECALLED: &str = "recalled";

/// How an arriving event relates to what is already known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// Nothing like it.
    New,
    /// The same id and content from the same source.
    Retransmission,
    /// The same happening as the entry at this index: under the same id with other content, the same police
    /// reference, or an overlapping missing episode.
    Duplicate(usize),
    /// The same id as an event that its sender withdrew.
    Withdrawn,
}

/// What a correction or withdrawal speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spoken {
    /// The entry at this index, by whom it was first reported.
    Own(usize),
    /// A later report of the same happening, kept beside the entry at this index.
    Corroborated(usize),
    /// Any of several events that partners sent under one id: which, nobody can say but whoever speaks of it.
    OneOfSeveral,
}

/// Looks an arriving event up in what is known. Recognised within one subject only.
pub fn recognise(history: &History, arriving: &Entry) -> Known {
    recognise_by(history, history, arriving)
}

/// The same, where more is known of what happened between: `known`.
fn recognise_by(history: &History, known: &History, arriving: &Entry) -> Known {
    // What was told before go-live was never judged: a live report of it is not the same over again.
    let anew = |entry: &Entry| entry.backfilled && !arriving.backfilled;
    if folding::is_folded_import(history, arriving) || folding::is_folded(history, arriving) {
        return Known::Retransmission;
    }
    for (index, entry) in history.entries.iter().enumerate() {
        let same_id = entry.is_same_event(arriving);
        if (same_id && entry.withdrawn) || entry.is_taken_back(&arriving.event_id, &arriving.source.partner) {
            return Known::Withdrawn;
        }
        if same_id && entry.content_digest == arriving.content_digest {
            return if anew(entry) { Known::Duplicate(index) } else { Known::Retransmission };
        }
        let corroborated = entry.corroborated_by.iter().chain(&entry.denied).find(|corroboration| {
            corroboration.event_id == arriving.event_id && corroboration.source.partner == arriving.source.partner
        });
        if corroborated.is_some_and(|corroboration| corroboration.content_digest == arriving.content_digest)
            && !anew(entry)
        {
            return Known::Retransmission;
        }
        if (same_id || corroborated.is_some()) && !entry.withdrawn {
            return Known::Duplicate(index);
        }
    }
    history
        .entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| !entry.withdrawn && entry.kind == arriving.kind)
        .find(|(_, entry)| {
            let same_happening = same_police_reference(known, entry, arriving)
                || episodes::same_episode(known, entry, arriving)
                || same_incident(entry, arriving)
                || same_death(entry, arriving);
            // Two children under one identifier: what happened to one did not happen to the other. That a child takes an
            // allegation back is an event of its own.
            same_happening && !known_as::are_two(history, entry, arriving) && retracts(entry) == retracts(arriving)
        })
        .map_or(Known::New, |(index, _)| Known::Duplicate(index))
}

/// Whether the child takes an allegation back.
pub fn retracts(entry: &Entry) -> bool {
    entry.facts.get("retraction") == Some(&FactValue::Bool(true))
}

/// How far apart two reports of one incident may say that it happened. Under a reference that is used again later (a record's
/// number, a number that starts again) something else happened.
const SAME_INCIDENT_MAX_MS: i64 = 48 * 60 * 60 * 1000;

/// A police reference names one incident; a regrade or a status may come many times under one.
fn same_police_reference(history: &History, entry: &Entry, arriving: &Entry) -> bool {
    let repeats = matches!(
        arriving.kind.as_str(),
        "missing.regraded"
            | "status.changed"
            | "decision.recorded"
            | "agreement.recorded"
            | "event.corrected"
            | "event.withdrawn"
            | "information.requested"
    );
    let close = match arriving.kind.as_str() {
        // Under one reference, back and missing again.
        episodes::STARTED => {
            episodes::is_within_one(entry, arriving) && !episodes::is_over_before(history, entry, arriving)
        }
        episodes::ENDED => episodes::same_return(history, entry, arriving),
        _ => entry.occurred_at.0.abs_diff(arriving.occurred_at.0) <= SAME_INCIDENT_MAX_MS.unsigned_abs(),
    };
    let same = arriving.police_reference.is_some() && entry.police_reference == arriving.police_reference;
    same && !repeats && close
}

/// When the latest of its kind happened that came under the reference of this one and is not the same: of the police, or of an
/// absence.
pub fn reference_used_for(history: &History, arriving: &Entry) -> Option<Timestamp> {
    let of_police =
        |entry: &Entry| arriving.police_reference.is_some() && entry.police_reference == arriving.police_reference;
    let of_absence = |entry: &Entry| {
        arriving.kind == episodes::STARTED
            && arriving.episode_ref.is_some()
            && entry.episode_ref == arriving.episode_ref
            && entry.source.partner == arriving.source.partner
    };
    let same_kind =
        |entry: &&Arc<Entry>| !entry.withdrawn && entry.kind == arriving.kind && !entry.is_same_event(arriving);
    let mut earlier = history.entries.iter().rev().filter(same_kind);
    earlier.find(|entry| of_police(entry) || of_absence(entry)).map(|entry| entry.occurred_at)
}

/// One incident told of several children: what came by way of another child, and what the sender says of this one.
fn same_incident(entry: &Entry, arriving: &Entry) -> bool {
    let by_another = |entry: &Entry| entry.facts.get(entry::NAMED_WITH_ANOTHER) == Some(&FactValue::Bool(true));
    entry.source.partner == arriving.source.partner
        && entry.occurred_at == arriving.occurred_at
        && (by_another(entry) || by_another(arriving))
}

/// A child dies once, whoever notifies it.
fn same_death(entry: &Entry, arriving: &Entry) -> bool {
    death::is_notice(entry) && death::is_notice(arriving)
}

/// What was told before go-live takes the live report of it in its place: one happening, and nobody has been asked yet. What the
/// report leaves out stays as it was known.
pub fn take_place_of(imported: &Entry, live: &mut Entry) {
    for (name, value) in &imported.facts {
        live.facts.entry(name.clone()).or_insert_with(|| value.clone());
    }
    for (name, at) in imported.anchors.iter().filter(|(name, _)| *name == "last_seen_at") {
        let first = live.anchors.entry(name.clone()).or_insert(*at);
        *first = (*first).min(*at);
    }
    live.episode_ref = live.episode_ref.take().or_else(|| imported.episode_ref.clone());
    live.police_reference = live.police_reference.take().or_else(|| imported.police_reference.clone());
    routes::join(live, imported);
    if !imported.is_same_event(live) {
        corroborate(live, imported);
    }
    live.corroborated_by.extend(imported.corroborated_by.iter().cloned());
}

/// Keeps a second report of a known happening beside the first.
pub fn corroborate(entry: &mut Entry, arriving: &Entry) {
    entry.corroborated_by.push(Corroboration {
        event_id: arriving.event_id.clone(),
        source: arriving.source.clone(),
        content_digest: arriving.content_digest.clone(),
        received_at: arriving.received_at,
        call_back: arriving.call_back.clone(),
    });
}

/// Puts an entry in its place: by when it happened, then receipt, then id. Returns where.
pub fn insert(history: &mut History, entry: Entry) -> usize {
    let place = place_of(history, &entry);
    history.entries.insert(place, Arc::new(entry));
    place
}

fn place_of(history: &History, entry: &Entry) -> usize {
    let key = |entry: &Entry| (entry.occurred_at, entry.received_at, entry.event_id.clone());
    history.entries.partition_point(|present| key(present) <= key(entry))
}

/// The event that a correction or withdrawal speaks of. Only the unit that sent it may speak of it, and the front door,
/// which finds out what others did not say: of its own first, for another partner may have chosen the same id.
pub fn find(history: &History, event_id: &str, by: &Source, front_door: &str) -> Option<Spoken> {
    let any = by.agency.as_deref() == Some(front_door);
    let own = |source: &Source| source.partner == by.partner && (any || source.unit == by.unit);
    let spoken = spoken_by(history, event_id, own);
    if spoken.is_some() || !any {
        return spoken;
    }
    let partners = partners_of(history, event_id);
    if partners.len() > 1 {
        return Some(Spoken::OneOfSeveral);
    }
    spoken_by(history, event_id, |source| partners.contains(source.partner.as_str()))
}

/// The partners that sent something under an id that stands; where nothing does, all who sent it.
fn partners_of<'h>(history: &'h History, event_id: &str) -> BTreeSet<&'h str> {
    let partners = |entry: &'h Entry| entry.sources_of(event_id).map(|source| source.partner.as_str());
    let all = || history.entries.iter().flat_map(|entry| partners(entry).map(move |partner| (entry, partner)));
    let stands = |(entry, partner): &(&Arc<Entry>, &str)| !entry.withdrawn && !entry.is_taken_back(event_id, partner);
    let standing: BTreeSet<&str> = all().filter(stands).map(|(_, partner)| partner).collect();
    if standing.is_empty() { all().map(|(_, partner)| partner).collect() } else { standing }
}

fn spoken_by(history: &History, event_id: &str, may: impl Fn(&Source) -> bool) -> Option<Spoken> {
    let own = |entry: &Arc<Entry>| entry.event_id == event_id && may(&entry.source);
    let beside = |entry: &Arc<Entry>| {
        let mut reports = entry.corroborated_by.iter().chain(&entry.taken_back).chain(&entry.denied);
        reports.any(|corroboration| corroboration.event_id == event_id && may(&corroboration.source))
    };
    let place =
        history.entries.iter().position(own).map(|place| Spoken::Own(used_id::latest(history, event_id, place)));
    place.or_else(|| history.entries.iter().position(beside).map(Spoken::Corroborated))
}

/// All that partners sent under one id, first or beside another's.
pub fn all_of_id(history: &History, event_id: &str) -> Vec<Arc<Entry>> {
    history.entries.iter().filter(|entry| entry.sources_of(event_id).next().is_some()).cloned().collect()
}

/// The event that a correction or withdrawal speaks of, where another unit of the same partner sent it.
pub fn of_another_unit(history: &History, event_id: &str, by: &Source) -> Option<Arc<Entry>> {
    let theirs = |id: &str, source: &Source| id == event_id && source.partner == by.partner && source.unit != by.unit;
    let is_theirs = |entry: &&Arc<Entry>| {
        let mut beside = entry.corroborated_by.iter();
        theirs(&entry.event_id, &entry.source) || beside.any(|report| theirs(&report.event_id, &report.source))
    };
    history.entries.iter().find(is_theirs).cloned()
}

/// Puts a changed entry in the place of the one it changes; in a new place when its time changed.
pub fn put(history: &mut History, changed: Entry) -> Arc<Entry> {
    let same = |entry: &Arc<Entry>| entry.event_id == changed.event_id && entry.source == changed.source;
    if let Some(place) = history.entries.iter().position(same) {
        history.entries.remove(place);
    }
    let kept = Arc::new(changed);
    let place = place_of(history, &kept);
    history.entries.insert(place, Arc::clone(&kept));
    kept
}

/// What an event that is taken back had settled is settled no longer.
pub fn forget(history: &mut History, withdrawn: &Entry) {
    let of_event = |event_id: &Option<String>, partner: &Option<String>| {
        said_by(event_id.as_deref(), partner.as_deref(), withdrawn)
    };
    history.statuses.retain(|status| !of_event(&status.event_id, &status.partner));
    if history.agreement.as_ref().is_some_and(|standing| of_event(&standing.event_id, &standing.partner)) {
        history.agreement = latest_agreement(history);
    }
    let is_latest =
        history.last_decision.as_ref().is_some_and(|decision| of_event(&decision.event_id, &decision.partner));
    if is_latest {
        history.last_decision = decisions::latest(history);
    }
    if is_latest || decisions::starts_enquiry(withdrawn) {
        decisions::settle_level(history);
    }
}

/// Where agreement stands by the latest word on it that was not taken back. That the family is being asked ends no warning.
fn latest_agreement(history: &History) -> Option<AgreementStanding> {
    let words = || history.entries.iter().filter(|entry| !entry.withdrawn && agreement::recorded(entry).is_some());
    let latest = |entry: &&Arc<Entry>| (entry.holds_from(), entry.received_at);
    let settles = |entry: &&Arc<Entry>| agreement::recorded(entry).is_some_and(agreement::settles);
    let settled = words().filter(settles).max_by_key(latest);
    let warns = settled.filter(|entry| agreement::recorded(entry) == Some(agreement::UNSAFE_TO_ASK));
    let entry = warns.or_else(|| words().max_by_key(latest))?;
    Some(AgreementStanding {
        state: agreement::recorded(entry)?.to_owned(),
        at: entry.received_at,
        event_id: Some(entry.event_id.clone()),
        partner: Some(entry.source.partner.clone()),
    })
}

/// What a corrected status or agreement settles now.
pub fn restate(history: &mut History, corrected: &Entry) {
    let flag = |name: &str| match corrected.facts.get(name) {
        Some(FactValue::Bool(flag)) => Some(*flag),
        Some(FactValue::Int(_) | FactValue::Code(_)) | None => None,
    };
    let of_event = |event_id: &Option<String>, partner: &Option<String>| {
        said_by(event_id.as_deref(), partner.as_deref(), corrected)
    };
    for status in history.statuses.iter_mut().filter(|status| of_event(&status.event_id, &status.partner)) {
        if let Some(FactValue::Code(named)) = corrected.facts.get("status") {
            status.status.clone_from(named);
        }
        status.open = flag("open").unwrap_or(status.open);
        status.out_of_area = flag("out_of_area").or(status.out_of_area);
        status.since = corrected.holds_from();
    }
    history.statuses.sort_by_key(|status| status.since);
    let standing = history.agreement.as_mut().filter(|standing| of_event(&standing.event_id, &standing.partner));
    if let (Some(standing), Some(FactValue::Code(state))) = (standing, corrected.facts.get("state")) {
        standing.state.clone_from(state);
    }
}

/// What a status event leaves behind: the newest word on each status wins.
pub fn apply_status(history: &mut History, change: &StatusChanged, arriving: &Entry) {
    let since = arriving.holds_from();
    let Some(FactValue::Code(status)) = change.status.fact() else { return };
    let changed = Status {
        status,
        open: change.open.unwrap_or(true),
        since,
        category: change.category.map(|category| category.symbol().to_owned()),
        placing_authority: change.placing_authority.clone(),
        out_of_area: change.out_of_area,
        allocated_worker: change.allocated_worker.clone(),
        event_id: Some(arriving.event_id.clone()),
        partner: Some(arriving.source.partner.clone()),
    };
    let position = history.statuses.partition_point(|present| present.since <= changed.since);
    history.statuses.insert(position, changed);
}

/// Whether a status was open at an instant, as far as is recorded.
pub fn status_open(history: &History, status: &str, at: Timestamp) -> bool {
    latest_status(history, status, at).is_some_and(|latest| latest.open)
}

/// The newest word on a status at an instant.
pub fn latest_status<'a>(history: &'a History, status: &str, at: Timestamp) -> Option<&'a Status> {
    history.statuses.iter().rev().find(|present| present.status == status && present.since <= at)
}

/// The worker who holds an open plan of this child at an instant.
pub fn allocated_worker(history: &History, at: Timestamp) -> Option<&str> {
    ["lac", "cpp", "cin"]
        .iter()
        .find_map(|status| latest_status(history, status, at).filter(|latest| latest.open)?.allocated_worker.as_deref())
}

/// A human decision: the only thing that lowers or closes.
pub fn apply_decision(history: &mut History, decision: RecordedDecision) {
    history.case_level = decision.level;
    history.last_decision = Some(decision);
}

/// Routes that some event of this subject asked to hold back, or that are a suspect's own: until a person lifts them they
/// hold for every event, also of senders who do not know why, and when the event is kept no longer. A wish ends with the event
/// that is taken back; a suspect's route does not, for only a person says that there is none.
pub fn held_back_of(history: &History) -> BTreeSet<HeldBack> {
    routes_of(&history.entries, history).cloned().collect()
}

/// Those that are held back now, and were not before. Nothing is looked up where no entry changed.
pub fn newly_held_back<'h>(before: &History, now: &'h History) -> BTreeSet<&'h HeldBack> {
    let mut routes: BTreeSet<&HeldBack> = routes_of(changed_since(before, now), now).collect();
    if !routes.is_empty() {
        for route in routes_of(&before.entries, before) {
            routes.remove(route);
        }
    }
    routes
}

/// Whether a history knew of a task.
pub fn holds(history: &History, task: &HeldTask) -> bool {
    history.tasks.iter().any(|known| known.task_id == task.task_id)
}

/// The entries between those that a history begins and ends with now as before.
fn changed_since<'h>(before: &History, now: &'h History) -> &'h [Arc<Entry>] {
    let is_same = |(one, other): &(&Arc<Entry>, &Arc<Entry>)| Arc::ptr_eq(one, other);
    let begins = before.entries.iter().zip(&now.entries).take_while(is_same).count();
    let was = before.entries.get(begins..).unwrap_or_default();
    let is = now.entries.get(begins..).unwrap_or_default();
    let ends = was.iter().rev().zip(is.iter().rev()).take_while(is_same).count();
    is.get(..is.len().saturating_sub(ends)).unwrap_or_default()
}

/// What these entries of a history hold back, and what is held back by none of them any more.
fn routes_of<'h>(entries: &'h [Arc<Entry>], history: &'h History) -> impl Iterator<Item = &'h HeldBack> {
    entries.iter().flat_map(|entry| held_back_by(entry)).chain(history.held_back.iter().flatten())
}

fn held_back_by(entry: &Entry) -> impl Iterator<Item = &HeldBack> {
    entry.held_back.iter().filter(|route| !entry.withdrawn || route.cause != "asked")
}

/// The highest level that fired for an entry so far.
pub fn note_level(history: &mut History, of: &Entry, level: Option<Level>) {
    let same = |entry: &&mut Arc<Entry>| entry.event_id == of.event_id && entry.source == of.source;
    if let Some(entry) = history.entries.iter_mut().find(same)
        && level > entry.level
    {
        Arc::make_mut(entry).level = level;
    }
}

/// Raises the case level; it is never lowered here.
pub fn raise_case_level(history: &mut History, level: Option<Level>) {
    history.case_level = history.case_level.max(level);
}

/// Whether a task in this state still waits for someone.
pub fn is_open(state: &str) -> bool {
    matches!(state, "raised" | "acknowledged" | "accepted" | "challenged")
}

/// What was asked longer ago was done, or given up, whatever was answered.
const STILL_HELD_DAYS: i64 = 28;

/// Whether what was asked then is still held by then, unless it was answered.
pub fn is_held_still(asked: Timestamp, at: Timestamp) -> bool {
    asked.plus_millis(STILL_HELD_DAYS * DAY_MS) > at
}

/// Whether help by agreement was arranged and is under way, whatever was said of their agreement since: "completed" is what is said then.
pub fn is_arranged(history: &History, task: &HeldTask, at: Timestamp) -> bool {
    task.state == "completed"
        && task.needs_agreement == Some(true)
        && is_held_still(task.state_at, at)
        && Some(task.state_at) > decisions::last_closed(history)
}

/// Whether the entry at this index was told before go-live.
pub fn is_imported(history: &History, index: usize) -> bool {
    history.entries.get(index).is_some_and(|entry| entry.backfilled)
}
