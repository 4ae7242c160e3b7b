//! Answers to tasks, and disagreement with feedback: where their address leads, and who may use it so.

use super::refuse::Refusal;
use super::{Found, IncomingRecord, IntakeContext, Said, attributes, decoded, opened, refuse_findings};
use crate::engine::ids::derived;
use crate::engine::model::codes::OutcomeKind;
use crate::engine::model::inbox::{InboxBody, InboxRecord, OutcomeReceived};
use crate::engine::model::outcome::Outcome;
use crate::engine::model::quarantine::QuarantineReason;
use crate::engine::schema::{Fault, inspect};
use crate::engine::seal::ReplyTo;

/// Of an outcome that answers no task, but the feedback on an event.
const TO_FEEDBACK: &str = "must be challenged, with a reason: to the address of feedback nothing else may be sent. A task is answered \
with its own reply_to, by the token of the agency's inbox";

/// What an agency answers to a task, or to the feedback on an event of its own partner.
pub fn answer(context: &IntakeContext<'_>, incoming: &IncomingRecord<'_>) -> Result<InboxRecord, Refusal> {
    let outcome: Outcome = decoded(incoming)?;
    let reply = of_sound_form(context, incoming, &outcome, Said::Answer)?;
    Ok(outcome_record(incoming, outcome, &reply, incoming.sender.to_owned(), None))
}

/// A partner's token speaks for its unit's own events alone, and answers no task.
pub fn disagreement(context: &IntakeContext<'_>, incoming: &IncomingRecord<'_>) -> Result<InboxRecord, Refusal> {
    let outcome: Outcome = decoded(incoming)?;
    let reply = of_sound_form(context, incoming, &outcome, Said::Disagreement)?;
    let agency = context.partners.get(incoming.sender).and_then(|partner| partner.agency.clone()).unwrap_or_default();
    Ok(outcome_record(incoming, outcome, &reply, agency, Some(incoming.sender.to_owned())))
}

/// Where the address of an answer leads, or all that it is refused for.
fn of_sound_form(
    context: &IntakeContext<'_>,
    incoming: &IncomingRecord<'_>,
    outcome: &Outcome,
    said: Said,
) -> Result<ReplyTo, Refusal> {
    let mut found = Found::default();
    found.unless_refused(attributes::of_outcome(incoming, outcome));
    found.unless_refused(refuse_findings(inspect::outcome(outcome, Some(incoming.receipt))));
    let reply = address_of(context, incoming, outcome, said, &mut found);
    let unread = || Refusal::of(QuarantineReason::BadReplyTo, "reply_to", "is not usable");
    found.refusal.map_or_else(|| reply.ok_or_else(unread), |refusal| Err(refusal.of_outcome(outcome)))
}

/// What is wrong with an answer beside its form.
pub fn faults_beside_form(
    context: &IntakeContext<'_>,
    incoming: &IncomingRecord<'_>,
    outcome: &Outcome,
    said: Said,
) -> Vec<Fault> {
    let mut found = Found::default();
    address_of(context, incoming, outcome, said, &mut found);
    found.refusal.map_or(Vec::new(), Refusal::into_faults)
}

/// Where an answer's address leads, if whoever answers may use it so.
fn address_of(
    context: &IntakeContext<'_>,
    incoming: &IncomingRecord<'_>,
    outcome: &Outcome,
    said: Said,
    found: &mut Found,
) -> Option<ReplyTo> {
    let reply = found.unless_refused(opened(context, "reply_to", &outcome.reply_to));
    let mut refuse = |reason, path: &str, problem: &str| {
        found.unless_refused::<()>(Err(Refusal::of(reason, path, problem)));
    };
    // One that is not known here is refused as that.
    let is_challenge = matches!(outcome.outcome, OutcomeKind::Challenged | OutcomeKind::Unknown);
    if said == Said::Disagreement {
        if !context.partners.contains_key(incoming.sender) {
            refuse(QuarantineReason::WrongSource, "", "is of no configured partner");
        }
        if !is_challenge {
            refuse(QuarantineReason::WrongSource, "outcome", TO_FEEDBACK);
        }
        let is_own = |reply: &ReplyTo| {
            reply.agency == incoming.sender && reply.unit.is_some() && reply.unit.as_deref() == incoming.unit
        };
        if reply.as_ref().is_some_and(|reply| !is_own(reply)) {
            let problem = "was not given to this unit: send that of the feedback on your own event";
            refuse(QuarantineReason::WrongSource, "reply_to", problem);
        }
    } else if let Some(reply) = &reply {
        if !is_addressed(context, incoming, reply) {
            let problem = "was sealed for another agency or unit: answer with the address of your own task";
            refuse(QuarantineReason::WrongSource, "reply_to", problem);
        } else if reply.agency != incoming.sender && !is_challenge {
            // Addresses of tasks name the agency; a partner's own name is in those of its feedback alone.
            refuse(QuarantineReason::InvalidField, "outcome", TO_FEEDBACK);
        }
    }
    reply
}

fn outcome_record(
    incoming: &IncomingRecord<'_>,
    outcome: Outcome,
    reply: &ReplyTo,
    agency: String,
    partner: Option<String>,
) -> InboxRecord {
    let task_id = reply.task_id.to_string();
    InboxRecord {
        // With what it says: another answer under the same id is another record.
        id: derived(&[
            "outcome",
            incoming.sender,
            &outcome.outcome_id,
            &task_id,
            outcome.outcome.symbol(),
            outcome.reason.as_deref().unwrap_or_default(),
            outcome.result.as_deref().unwrap_or_default(),
        ]),
        subject: reply.subject,
        receipt: incoming.receipt,
        body: InboxBody::Outcome(OutcomeReceived {
            task_id,
            agency,
            unit: incoming.unit.map(str::to_owned),
            outcome,
            hops: 0,
            partner,
        }),
    }
}

/// Whether an address was given to whoever answers: with a task, or with the feedback on what their own partner sent.
fn is_addressed(context: &IntakeContext<'_>, incoming: &IncomingRecord<'_>, reply: &ReplyTo) -> bool {
    let is_unit = reply.unit.is_none() || reply.unit.as_deref() == incoming.unit;
    let own_partner = context.partners.get(&reply.agency);
    let is_partner = own_partner.is_some_and(|partner| partner.agency.as_deref() == Some(incoming.sender));
    let of_one_unit = incoming.unit.is_none() && !context.agencies.of_many_units.contains(incoming.sender);
    (reply.agency == incoming.sender && is_unit) || (is_partner && (is_unit || of_one_unit))
}
