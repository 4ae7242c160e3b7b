//! `POST /v1/events`: partners' referral events, as CloudEvents in structured JSON, JSON batch or binary mode.
//!
//! What cannot be used is refused with every fault named, and the bytes go to the gateway's topic all the same: INTAKE
//! keeps them in quarantine, counts them and tells a person, exactly as for a partner that writes to the topic itself.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::Gateway;
use super::answer::{self, Refusal, Verdict};
use super::beside::Faults;
use super::body::{self, Read};
use super::caller::PartnerCaller;
use super::drain::DROP_WAIT;
use super::envelope::{self, Item, Mode, Unusable};
use super::problem::Problem;
use super::publish::{self, header, keyed};
use crate::broker::Write;
use crate::engine::codec;
use crate::engine::danger::says_danger;
use crate::engine::intake::Said;
use crate::engine::intake::refuse::{DANGER_HEADER, REFERENCE_HEADER};
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::quarantine::QuarantineReason;
use crate::engine::schema::Fault;
use crate::runtime::topics::GATEWAY;
use crate::telemetry::metrics::Answer;

/// How much is kept of a body that is too large: enough to see whose it is.
const TOO_LARGE_KEPT_BYTES: usize = 65_536;

/// One event: what is said of it, and what is written of it, good or bad.
struct Judged {
    verdict: Verdict,
    write: Write,
}

/// The handler.
pub async fn post(
    State(gateway): State<Arc<Gateway>>,
    caller: Result<PartnerCaller, Problem>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (caller, mode) = match caller.and_then(|caller| Ok((caller, Mode::of(&headers)?))) {
        Ok(known) => known,
        Err(problem) => return Err(unread(&gateway, body, problem).await),
    };
    let bytes_max = gateway.limits.body_bytes;
    let bytes = match body::read(&gateway, &caller.token, body, bytes_max).await {
        Ok(Read::Whole(bytes)) => bytes,
        Ok(Read::TooLarge(start)) => return Err(too_large(&gateway, &caller, start).await),
        Err(unread) => {
            let (problem, danger) = unread.looked_through(bytes_max, DROP_WAIT, says_danger).await;
            return Err(answer::ringing(&gateway, danger, problem));
        }
    };
    let (caller, size) = (Arc::new(caller), bytes.len());
    let (judging, sender) = (gateway.clone(), caller.clone());
    let judge_all = move || judge_all(&judging, &sender, (mode, &headers), bytes);
    let (mut judged, danger) = body::judged(&gateway, &caller.token, size, judge_all).await?;
    let writes = judged.iter().map(|one| one.write.clone()).collect();
    let published = match gateway.must_be_ready() {
        Ok(()) => gateway.publish(writes).await,
        Err(problem) => Err(problem),
    };
    let is_durable = published.is_ok();
    for one in &judged {
        let answer = match (&one.verdict.refusal, is_durable) {
            (_, false) => Answer::TryAgain,
            (None, true) => Answer::Accepted,
            (Some(_), true) => Answer::Refused,
        };
        gateway.metrics.http_event(&caller.partner, answer);
    }
    let published = published.map_err(|problem| answer::ringing(&gateway, danger, problem))?;
    for (one, at) in judged.iter_mut().zip(published) {
        one.verdict.quarantine_id = one.verdict.refusal.is_some().then(|| publish::quarantined_as(at));
    }
    let verdicts = judged.into_iter().map(|one| one.verdict).collect();
    Ok(match mode {
        Mode::Batch => answer::of_batch(&gateway, verdicts),
        Mode::Structured | Mode::Binary => answer::of_one(&gateway, verdicts),
    })
}

/// Any other method: what is meant for `post` may say that a child is in danger all the same.
pub async fn by_another_method(State(gateway): State<Arc<Gateway>>, body: Body) -> Problem {
    unread(&gateway, body, Problem::method_not_allowed()).await
}

/// Refuses a request whose events are not read, but not without a word to whoever says that a child is in danger.
async fn unread(gateway: &Gateway, body: Body, problem: Problem) -> Problem {
    let danger = body::holds(body, gateway.limits.body_bytes, DROP_WAIT, says_danger).await;
    answer::ringing(gateway, danger, problem)
}

/// Keeps the start of what was too large, and says so.
async fn too_large(gateway: &Gateway, caller: &PartnerCaller, mut start: Vec<u8>) -> Problem {
    let danger = says_danger(&start);
    start.truncate(TOO_LARGE_KEPT_BYTES);
    gateway.metrics.http_event(&caller.partner, Answer::Refused);
    let kept = start.len();
    let problem = format!("the request is larger than {} bytes: its first {kept} are kept", gateway.limits.body_bytes);
    let faults = [Fault::new("", problem)];
    // Said behind what is kept, it is heard all the same.
    let stamped = danger.then(|| header(DANGER_HEADER, "true"));
    let write = refused(caller, start, stamped.into_iter().collect(), QuarantineReason::TooLarge, &faults);
    let problem = match gateway.publish(vec![write]).await {
        Ok(published) => {
            let told = format!("Of this one its first {kept} bytes were kept, and nobody has acted on it.");
            let id = published.into_iter().next().map(publish::quarantined_as);
            answer::kept_as(id, Problem::too_large(gateway.limits.body_bytes, &told))
        }
        Err(problem) => problem,
    };
    answer::ringing(gateway, danger, problem)
}

/// Every event of a body, and whether any says that a child is in danger now.
fn judge_all(
    gateway: &Gateway,
    caller: &PartnerCaller,
    (mode, headers): (Mode, &HeaderMap),
    bytes: Vec<u8>,
) -> (Vec<Judged>, bool) {
    let items = envelope::split(mode, headers, bytes, gateway.limits.batch_events);
    let danger = items.iter().any(Item::immediate_danger);
    let trace = envelope::text_header(headers, "traceparent");
    let events = items.len();
    (items.into_iter().map(|item| judge(gateway, caller, (item, events), trace.as_deref())).collect(), danger)
}

/// One of so many events.
fn judge(gateway: &Gateway, caller: &PartnerCaller, (item, events): (Item, usize), trace: Option<&str>) -> Judged {
    let immediate_danger = item.immediate_danger();
    let id = item.id();
    let bad = |item: Item, reason, status, faults: Faults| {
        let faults = faults.told_of_one_of(events);
        let reference = item.partner_reference().map(|reference| header(REFERENCE_HEADER, reference));
        let (original, headers) = item.into_original();
        let stamped = immediate_danger.then(|| header(DANGER_HEADER, "true"));
        let named = id.as_deref().filter(|_| headers.is_empty()).map(|id| header("ce_id", id));
        let write = refused(
            caller,
            original,
            headers.into_iter().chain(named).chain(reference).chain(stamped).collect(),
            reason,
            &faults,
        );
        let refusal = Some(Refusal { status, faults });
        Judged {
            verdict: Verdict { id: id.clone(), immediate_danger, refusal, quarantine_id: None, known: None },
            write,
        }
    };
    let read = match item.read(gateway.now()) {
        Ok(read) => read,
        Err(Unusable { reason, mut faults, partly }) => {
            if let Some(partly) = partly {
                faults.add_others(not_its_own(caller, &partly.event));
                faults.add_judged(gateway.beside_form(&caller.partner, &caller.unit, *partly));
            }
            return bad(item, reason, StatusCode::BAD_REQUEST, faults);
        }
    };
    let mut faults = Faults::of(not_its_own(caller, &read.event));
    if !faults.is_empty() {
        let (reason, status) = match read.event.backfill {
            true => (QuarantineReason::InvalidField, StatusCode::BAD_REQUEST),
            false => (QuarantineReason::WrongSource, StatusCode::FORBIDDEN),
        };
        faults.add_judged(gateway.beside_form(&caller.partner, &caller.unit, read));
        return bad(item, reason, status, faults);
    }
    let dating = publish::dating(&read);
    let mut event = read.event;
    event.source.unit.clone_from(&caller.unit);
    let Ok(value) = codec::encode(&event) else {
        let faults = Faults::of(vec![Fault::new("", "does not follow schemas/referral-event.avsc")]);
        return bad(item, QuarantineReason::InvalidField, StatusCode::BAD_REQUEST, faults);
    };
    let mut headers = stamps(caller);
    headers.extend(dating);
    headers.extend(read.traceparent.as_deref().or(trace).map(|trace| header("traceparent", trace)));
    let write = keyed(GATEWAY, event.event_id.as_bytes(), value, headers);
    // INTAKE will refuse it by itself: the bytes go as they are, and the sender is told now.
    let refusal = gateway.intake_refusal(&caller.partner, Some(&caller.unit), Said::Event, &write);
    let verdict = Verdict { id: Some(event.event_id), immediate_danger, refusal, quarantine_id: None, known: None };
    Judged { verdict, write }
}

/// What an event claims to be that its sender may not say.
fn not_its_own(caller: &PartnerCaller, event: &ReferralEvent) -> Vec<Fault> {
    let claimed = &event.source;
    let is_own = claimed.partner == caller.partner && (claimed.unit.is_empty() || claimed.unit == caller.unit);
    let backfill =
        event.backfill.then(|| Fault::new("data.backfill", "is for the operator's import alone: leave it out"));
    let source = (!is_own).then(|| {
        let problem = format!("must be the source of your token: give {}/{}", caller.partner, caller.unit);
        Fault::new("source", problem)
    });
    backfill.into_iter().chain(source).collect()
}

fn stamps(caller: &PartnerCaller) -> Vec<(String, Vec<u8>)> {
    vec![header("partner", caller.partner.as_str()), header("unit", caller.unit.as_str())]
}

/// The bytes as they came, for INTAKE to keep in quarantine.
fn refused(
    caller: &PartnerCaller,
    original: Vec<u8>,
    attributes: Vec<(String, Vec<u8>)>,
    reason: QuarantineReason,
    faults: &[Fault],
) -> Write {
    let mut headers = stamps(caller);
    headers.extend(publish::refused(reason, faults));
    headers.extend(attributes);
    keyed(GATEWAY, &[], original, headers)
}
