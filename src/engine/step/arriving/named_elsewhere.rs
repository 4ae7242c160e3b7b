//! A decision comes by the address of a task, and names its child, too: whether both are one child.

use std::sync::Arc;

use crate::engine::context::{Context, StepError};
use crate::engine::history::is_open;
use crate::engine::identity::{IdentifierKind, Identifiers};
use crate::engine::intake::KEYED_BY_REPLY;
use crate::engine::model::decision::Trigger;
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::inbox::{InboxRecord, Referral, Signal};
use crate::engine::model::subject::SubjectKey;
use crate::engine::state::State;
use crate::engine::step::Step;
use crate::engine::step::decisions::unapplied::{TITLE, UNAPPLIED_RULE, is_known};
use crate::engine::step::draft::{Draft, own_duty_at};
use crate::engine::step::one_child::link;
use crate::engine::step::one_child::sighting::{pass_on, send};
use crate::engine::step::stand_in::stand_in_entry;

/// `other` took a decision by its address, which names its child by an identifier of this subject.
pub const NAMED_ELSEWHERE: &str = "named_elsewhere";

const ACTION: &str =
    "Look which child a recorded decision was meant for: it named one, and was applied to another's record";

/// Identifiers that a child has one of.
const ONE_EACH: [IdentifierKind; 2] = [IdentifierKind::NhsNumber, IdentifierKind::Upn];

/// Whether the event gives its child another number than the one this record was made by.
pub fn has_another_number(draft: &Draft<'_>, event: &ReferralEvent) -> bool {
    let given = not_known_here(draft, event);
    let made_by = |kind: IdentifierKind| draft.history.keyed_by.as_deref() == Some(kind.symbol());
    given.iter().any(|(kind, _)| ONE_EACH.contains(kind) && made_by(*kind))
}

/// Identifiers by which the event names its child; none where one of them is this record's.
fn not_known_here(draft: &Draft<'_>, event: &ReferralEvent) -> Vec<(IdentifierKind, SubjectKey)> {
    let identifiers = Identifiers::of(&draft.context.keys, &event.child, &event.source, &event.event_id);
    let given = || std::iter::once(&identifiers.strongest).chain(&identifiers.weaker);
    let is_here =
        |key: SubjectKey| key == draft.subject || draft.history.weaker.iter().flatten().any(|told| *told == key);
    if given().any(|(_, key)| is_here(*key)) {
        return Vec::new();
    }
    given().filter(|(kind, _)| *kind != IdentifierKind::None).copied().collect()
}

/// Identifiers that this record does not know may be another's: whoever is known by them has a person look.
pub fn ask_where_known(draft: &mut Draft<'_>, referral: &Referral) {
    let event = &referral.event;
    if referral.keyed_by != KEYED_BY_REPLY || link::is_of_two(&event.detail) {
        return;
    }
    for (_, key) in not_known_here(draft, event) {
        let signal = Signal {
            kind: NAMED_ELSEWHERE.to_owned(),
            cause: event.event_id.clone(),
            partner: Some(event.source.partner.clone()),
            other: Some(draft.subject),
            ..Signal::default()
        };
        draft.publish(send(key, draft.at, signal));
    }
}

/// Asked once, until that is answered. Nothing is asked where both are one record, or nothing is known under this key.
pub fn received(context: &Context, state: &State, record: &InboxRecord, signal: &Signal) -> Result<Step, StepError> {
    let known = state.history(record.subject);
    let stronger = known.and_then(|history| history.alias_of);
    if signal.other == Some(record.subject) || (stronger.is_some() && stronger == signal.other) {
        return Ok(Step::default());
    }
    if let Some(stronger) = stronger {
        return pass_on(record, signal, stronger);
    }
    let is_asked =
        known.is_some_and(|history| history.tasks.iter().any(|task| task.action == ACTION && is_open(&task.state)));
    if is_asked || !known.is_some_and(|history| is_known(history)) {
        return Ok(Step::default());
    }
    let mut draft = Draft::open(context, state, record.subject, record.receipt, Trigger::Signal, &record.id)?;
    draft.decision.event_id = Some(signal.cause.clone());
    let partner = signal.partner.as_deref().unwrap_or_default();
    let entry = Arc::new(stand_in_entry(&signal.cause, partner, record.receipt));
    let raising = draft.raising(None, &record.id);
    let due = raising.deadline_from_now(&own_duty_at(draft.history.case_level))?;
    let why = format!(
        "Event {} of {partner} names its child by an identifier of this record, and gives the reply_to of a task about \
         another, to which it was applied. Nothing changed here. If both are one child, link them; else record what was \
         meant for each.",
        signal.cause
    );
    let wanted = raising.own_duty(UNAPPLIED_RULE, TITLE, why, ACTION, due, &entry);
    draft.raise(None, &record.id, &[], vec![wanted])?;
    draft.finish()
}
