//! One child under two keys: the weaker passes everything on to the stronger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{link, sighting};
use crate::engine::calendar::instant_in_words;
use crate::engine::context::{Context, HOPS_MAX, StepError};
use crate::engine::decide::{Moment, judge};
use crate::engine::history::is_open;
use crate::engine::history::joining::merge;
use crate::engine::ids::derived;
use crate::engine::model::decision::{Disposition, Trigger};
use crate::engine::model::history::{Entry, HeldTask, History};
use crate::engine::model::inbox::{Alias, Forward, InboxBody, InboxRecord, Referral};
use crate::engine::model::subject::SubjectKey;
use crate::engine::rules::catalogue::is_concern;
use crate::engine::state::{Delta, State};
use crate::engine::step::arriving::{awaiting, first_receipt};
use crate::engine::step::decisions::{agreement, offers};
use crate::engine::step::draft::{Draft, own_duty_at};
use crate::engine::step::findings::{as_it_stands, findings_of};
use crate::engine::step::held_back::persons;
use crate::engine::step::outcomes::responsible;
use crate::engine::step::{Effect, Step};
use crate::engine::tasks::Wanted;

/// Weaker keys of one child that are remembered as told; one that was forgotten is told again, which changes nothing.
const WEAKER_MAX: usize = 64;
/// The id under which a joined record that was closed in part gives its reason.
const JOINED_RULE: &str = "joined";
const JOINED_ACTION: &str = "Decide about the open tasks: the case was closed before the two records were one";

/// Tells each weaker key that came with a referral, once, that this is the same child.
pub fn tell_weaker(draft: &mut Draft<'_>, referral: &Referral) {
    let mut told = draft.history.weaker.take().unwrap_or_default();
    for key in referral.weaker.iter().flatten() {
        if *key == draft.subject || told.contains(key) {
            continue;
        }
        told.push(*key);
        let event = &referral.event;
        draft.publish(Effect::Inbox(Box::new(InboxRecord {
            id: derived(&["alias", &key.to_hex(), &draft.subject.to_hex(), &event.source.partner, &event.event_id]),
            subject: *key,
            receipt: draft.at,
            body: InboxBody::Alias(Alias {
                stronger: draft.subject,
                event_id: event.event_id.clone(),
                partner: event.source.partner.clone(),
                checked_for: None,
            }),
        })));
    }
    let over = told.len().saturating_sub(WEAKER_MAX);
    told.drain(..over);
    draft.history.weaker = (!told.is_empty()).then_some(told);
}

/// This key turned out to be a weaker name of `alias.stronger`.
pub fn learned(context: &Context, state: &State, record: &InboxRecord, alias: &Alias) -> Result<Step, StepError> {
    let known = state.history(record.subject);
    let standing = known.and_then(|history| history.alias_of);
    if standing == Some(alias.stronger) || record.subject == alias.stronger {
        return Ok(Step::default());
    }
    if alias.checked_for.is_none() && known.is_none() {
        return Ok(empty_key(record, alias));
    }
    if let Some(standing) = standing {
        let mut draft = Draft::open(context, state, record.subject, record.receipt, Trigger::Alias, &record.id)?;
        draft.decision.event_id = Some(alias.event_id.clone());
        draft.disposed(Disposition::Forwarded);
        draft.publish(check_at(standing, record, alias));
        return draft.finish();
    }
    let asks = alias.checked_for.is_some() || known.is_some_and(|history| is_parted(history, alias.stronger));
    if asks {
        return Ok(known.map(|history| ask_same_child(context, history, record, alias)).unwrap_or_default());
    }
    let mut draft = Draft::open(context, state, record.subject, record.receipt, Trigger::Alias, &record.id)?;
    draft.decision.event_id = Some(alias.event_id.clone());
    draft.disposed(Disposition::Forwarded);
    let moved = std::mem::take(&mut draft.history);
    draft.history.alias_of = Some(alias.stronger);
    draft.history.weaker.clone_from(&moved.weaker);
    draft.history.keyed_by.clone_from(&moved.keyed_by);
    if holds_anything(&moved) {
        draft.publish(forwarded_history(record, record.subject, alias.stronger, moved, 1));
    }
    draft.finish()
}

/// Nothing was known under this key: there is nothing to decide, only where to pass on what comes.
fn empty_key(record: &InboxRecord, alias: &Alias) -> Step {
    let history = History { alias_of: Some(alias.stronger), updated_at: record.receipt, ..History::default() };
    let delta = Delta { histories: BTreeMap::from([(record.subject, history)]) };
    Step { delta, effects: Vec::new() }
}

/// A key that belongs to another already may do so only because that one was itself found to be `alias.stronger` since:
/// it is asked, and by then has been told. Strength only rises, so the asking ends.
fn check_at(standing: SubjectKey, record: &InboxRecord, alias: &Alias) -> Effect {
    Effect::Inbox(Box::new(InboxRecord {
        id: derived(&["alias check", &record.id, &standing.to_hex()]),
        subject: standing,
        receipt: record.receipt,
        body: InboxBody::Alias(Alias { checked_for: Some(record.subject), ..alias.clone() }),
    }))
}

fn holds_anything(history: &History) -> bool {
    let History { entries, folded, statuses, tasks, awaiting, agreement, last_decision, pairs, .. } = history;
    !(entries.is_empty() && folded.is_empty() && statuses.is_empty() && tasks.is_empty() && awaiting.is_empty())
        || agreement.is_some()
        || last_decision.is_some()
        || pairs.as_ref().is_some_and(|pairs| !pairs.is_empty())
        || history.first_receipts.is_some()
        || history.held_back.is_some()
}

pub fn forwarded_history(cause: &InboxRecord, from: SubjectKey, to: SubjectKey, history: History, hops: i32) -> Effect {
    Effect::Inbox(Box::new(InboxRecord {
        id: derived(&["forward", &cause.id, &to.to_hex()]),
        subject: to,
        receipt: cause.receipt,
        body: InboxBody::Forward(Forward { from, history, hops }),
    }))
}

/// What a person has parted, no identifier joins again; and where a link was undone, none is taken for granted.
fn is_parted(history: &History, stronger: SubjectKey) -> bool {
    let undone = history.pairs.iter().flatten().any(|pair| pair.standing == sighting::UNLINKED);
    undone || sighting::standing(history, stronger) == Some(sighting::DIFFERENT)
}

/// The identifier already belongs to another subject, or a person parted the two: never merged by itself, a person is asked.
fn ask_same_child(context: &Context, history: &History, record: &InboxRecord, alias: &Alias) -> Step {
    if matches!(sighting::standing(history, alias.stronger), Some(sighting::DIFFERENT | sighting::ASKED)) {
        return Step::default();
    }
    let (cause, reason) = (&alias.event_id, sighting::BY_IDENTIFIER);
    let known = sighting::latest(history);
    let pair = (alias.stronger, record.subject);
    let effects = vec![sighting::put_to(&context.keys, pair, record.receipt, cause, reason, known.as_deref())];
    Step { effects, ..Step::default() }
}

/// Sends a record for an aliased subject on to the stronger key, with its own receipt.
pub fn pass_on(
    context: &Context,
    state: &State,
    record: &InboxRecord,
    stronger: SubjectKey,
) -> Result<Step, StepError> {
    let mut body = record.body.clone();
    let hops = match &mut body {
        InboxBody::Referral(referral) => {
            // Told by this key, below: the stronger one may have heard of them otherwise.
            referral.weaker = None;
            &mut referral.hops
        }
        InboxBody::Outcome(outcome) => &mut outcome.hops,
        InboxBody::Forward(forward) => &mut forward.hops,
        InboxBody::Alias(_) | InboxBody::Signal(_) | InboxBody::Tick(_) => return Ok(Step::default()),
    };
    *hops = hops.saturating_add(1);
    if *hops > HOPS_MAX {
        return Err(StepError::TooManyHops);
    }
    let mut draft = Draft::open(context, state, record.subject, record.receipt, trigger_of(&record.body), &record.id)?;
    draft.disposed(Disposition::Forwarded);
    if let InboxBody::Referral(referral) = &record.body {
        draft.decision.event_id = Some(referral.event.event_id.clone());
        draft.decision.event_kind = Some(referral.event.detail.kind().to_owned());
        tell_weaker(&mut draft, referral);
        link::note_passed_on(&mut draft.history, referral);
    }
    draft.publish(Effect::Inbox(Box::new(InboxRecord {
        id: derived(&["forward", &record.id, &stronger.to_hex()]),
        subject: stronger,
        receipt: record.receipt,
        body,
    })));
    draft.finish()
}

fn trigger_of(body: &InboxBody) -> Trigger {
    match body {
        InboxBody::Referral(_) => Trigger::Event,
        InboxBody::Outcome(_) => Trigger::Outcome,
        InboxBody::Alias(_) => Trigger::Alias,
        InboxBody::Forward(_) => Trigger::Forward,
        InboxBody::Signal(_) => Trigger::Signal,
        InboxBody::Tick(_) => Trigger::Timer,
    }
}

/// The joined record holds open tasks of a child whose case was closed under another key: nobody has said that they are done with.
fn still_open<'w>(draft: &Draft<'_>) -> Result<Vec<Wanted<'w>>, StepError> {
    let closed = draft.history.last_decision.as_ref().filter(|decision| decision.closed);
    let is_newly_apart =
        |task: &&Arc<HeldTask>| is_open(&task.state) && task.decided_apart == closed.map(|decision| decision.at);
    let Some(closed) = closed else { return Ok(Vec::new()) };
    let open: Vec<&Arc<HeldTask>> = draft.history.tasks.iter().filter(is_newly_apart).collect();
    let of_task = |entry: &&Arc<Entry>| open.iter().any(|task| task.is_of(entry));
    let Some(entry) = draft.history.entries.iter().rev().find(of_task) else { return Ok(Vec::new()) };
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&own_duty_at(draft.history.case_level))?;
    let actions: BTreeSet<&str> = open.iter().map(|task| task.action.as_str()).collect();
    let why = format!(
        "Two records became one. The case was closed under the one on {}; these tasks of the other are open, and go on: {}.",
        instant_in_words(closed.at),
        actions.into_iter().collect::<Vec<&str>>().join("; ")
    );
    let own = raising.own_duty(
        JOINED_RULE,
        "A closed case, and open tasks under another key",
        why,
        JOINED_ACTION,
        due,
        entry,
    );
    Ok(vec![Wanted { level: own.level.max(draft.history.case_level), ..own }])
}

/// A weaker key's history arrives: it is joined in, and judged as late events are.
pub fn history_arrived(
    context: &Context,
    state: &State,
    record: &InboxRecord,
    forward: &Forward,
) -> Result<Step, StepError> {
    if let Some(stronger) = state.history(record.subject).and_then(|history| history.alias_of) {
        return pass_on(context, state, record, stronger);
    }
    let mut draft = Draft::open(context, state, record.subject, record.receipt, Trigger::Forward, &record.id)?;
    let before = draft.history.clone();
    draft.joined = Some(Arc::new(forward.history.clone()));
    let added = merge(&mut draft.history, forward.history.clone(), record.receipt);
    draft.history.pairs.iter_mut().for_each(|pairs| pairs.retain(|pair| pair.subject != draft.subject));
    let mut findings = Vec::new();
    for entry in draft.history.entries.iter().filter(|entry| is_concern(&entry.kind)) {
        if entry.withdrawn || entry.backfilled {
            continue;
        }
        let was_here = !added.iter().any(|moved| moved.is_same_event(entry));
        let alone = if was_here { &before } else { &forward.history };
        // Nobody is sent to look for a child whose death was notified meanwhile.
        let as_of = as_it_stands(&draft, entry);
        let judged = |history| judge(draft.book, history, entry, as_of, Moment::Arrival);
        let (Some(after), Some(without)) = (judged(&draft.history).map(Arc::new), judged(alone)) else { continue };
        let fresh = findings_of(entry, &after, &entry.fired);
        findings.extend(fresh.into_iter().filter(|finding| !without.fires(&finding.rule.id)));
    }
    let open = still_open(&draft)?;
    draft.raise(None, &record.id, &findings, open)?;
    awaiting::apply_to_known(&mut draft, None)?;
    first_receipt::apply_to_known(&mut draft, &record.id)?;
    agreement::stop_services(&mut draft, &record.id)?;
    offers::agreed_by_the_other(&mut draft, &record.id)?;
    persons::told_by_one_record(&mut draft, &record.id)?;
    // Of either record another authority may have been asked than the joined one names.
    for alone in [&before, &forward.history] {
        responsible::pass_to_responsible_authority(&mut draft, None, &record.id, alone)?;
    }
    draft.finish()
}
