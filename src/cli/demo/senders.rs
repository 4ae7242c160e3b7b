//! The simulated partners and agencies at work: over real HTTP, each with its own token.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::folder::DemoFolder;
use super::watch::Shared;
use crate::broker::{Placement, Publisher, Write};
use crate::cli::router::RemoteRouter;
use crate::cli::{CliError, output};
use crate::engine::cloud_event;
use crate::engine::model::scalar::Timestamp;
use crate::engine::model::task::Task;
use crate::engine::schema::to_json;
use crate::runtime::topics::REFERRALS_PREFIX;
use crate::simulate::{Payload, Simulated, agencies};

const STRUCTURED: &str = "application/cloudevents+json";

/// Where and how to send.
pub struct Post {
    pub url: String,
    pub folder: Arc<DemoFolder>,
    pub publisher: Arc<dyn Publisher>,
    pub shared: Arc<Shared>,
}

/// Sends one partner's events in their order; `pause` before each.
pub fn send_all(post: &Post, events: &[Simulated], pause: Duration) {
    let mut routers: BTreeMap<(&str, &str), RemoteRouter> = BTreeMap::new();
    for event in events {
        if post.shared.is_stopping() {
            return;
        }
        std::thread::sleep(pause);
        if let Err(CliError::Failed(_) | CliError::Usage(_)) = send(post, &mut routers, event) {
            post.shared.tally().failed += 1;
        }
    }
}

fn send<'e>(
    post: &Post,
    routers: &mut BTreeMap<(&'e str, &'e str), RemoteRouter>,
    event: &'e Simulated,
) -> Result<(), CliError> {
    let body = match &event.payload {
        Payload::Event(event) => cloud_event::write(event).map_err(CliError::failed)?.to_string().into_bytes(),
        Payload::Refused(body) => body.clone(),
        Payload::Unreadable(bytes) => {
            publish(post, event, bytes.clone());
            return Ok(());
        }
    };
    let router = match routers.entry((event.partner, event.unit.as_str())) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => {
            let token = post.folder.partner_token(event.partner, &event.unit).unwrap_or_default();
            new.insert(RemoteRouter::with_token(&post.url, token, None)?)
        }
    };
    let answer = router.post("/v1/events", STRUCTURED, &body)?;
    let mut tally = post.shared.tally();
    if answer.is_success() {
        tally.accepted += 1;
    } else {
        tally.refused += 1;
    }
    Ok(())
}

/// As a partner would that writes to its own topic, past the gateway.
fn publish(post: &Post, event: &Simulated, bytes: Vec<u8>) {
    let shared = post.shared.clone();
    let write = Write {
        topic: format!("{REFERRALS_PREFIX}{}", event.partner).into(),
        placement: Placement::Partition(0),
        key: Vec::new(),
        value: Some(bytes),
        headers: vec![("unit".to_owned(), event.unit.clone().into_bytes())].into(),
    };
    let done = move |published: Result<_, _>| {
        let mut tally = shared.tally();
        match published {
            Ok(_) => tally.unreadable += 1,
            Err(_) => tally.failed += 1,
        }
    };
    post.publisher.publish(vec![write], Box::new(done));
}

/// Answers tasks as they come, until told to stop.
pub fn answer_all(post: &Post, tasks: &Receiver<Task>, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut routers: BTreeMap<String, RemoteRouter> = BTreeMap::new();
    while !post.shared.is_stopping() {
        let task = match tasks.recv_timeout(Duration::from_millis(100)) {
            Ok(task) => task,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let now = Timestamp::from_jiff(jiff::Timestamp::now());
        let Some(outcome) = agencies::answer(&mut rng, &task.reply_to, now) else { continue };
        let Some(token) = post.folder.agency_token(&task.agency, task.unit.as_deref()) else { continue };
        let Ok(body) = to_json(&outcome) else { continue };
        if !routers.contains_key(token) {
            let Ok(router) = RemoteRouter::with_token(&post.url, token, None) else { continue };
            routers.insert(token.to_owned(), router);
        }
        let answer = routers
            .get(token)
            .map(|router| router.post("/v1/outcomes", "application/json", body.to_string().as_bytes()));
        if answer.is_some_and(|answer| answer.is_ok_and(|answer| answer.is_success())) {
            post.shared.tally().answered += 1;
        }
    }
}

/// The address, tokens to try things by hand, and a command that can be pasted.
pub fn print_how_to_try(url: &str, folder: &DemoFolder) {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    let id = uuid::Uuid::new_v4();
    let token = |token: Option<&str>| token.unwrap_or_default().to_owned();
    let police = token(folder.partner_token("police", "control-room"));
    let social_care = token(folder.agency_token("social-care", None));
    output::line(format_args!("The router answers at {url}. Stop it with Ctrl-C; nothing of it is kept.\n"));
    output::line("Tokens (each speaks for one partner's unit, one agency, or the operator):");
    let shown = [
        ("police, control-room", "sends", police.clone()),
        (
            "leighton-hospital, emergency-department",
            "sends",
            token(folder.partner_token("leighton-hospital", "emergency-department")),
        ),
        ("schools, 990001", "sends", token(folder.partner_token("schools", "990001"))),
        ("social-care", "reads tasks", social_care.clone()),
        ("police", "reads tasks", token(folder.agency_token("police", None))),
        ("camhs", "reads tasks", token(folder.agency_token("camhs", None))),
        ("school, 990001", "reads tasks", token(folder.agency_token("school", Some("990001")))),
        ("operator", "imports, quarantine", token(folder.operator_token())),
    ];
    for (who, does, token) in shown {
        output::line(format_args!("  {who:<40} {does:<20} {token}"));
    }
    output::line(format_args!(
        "\nReport a child missing:\n\n\
curl -sS {url}/v1/events \\\n  -H 'Authorization: Bearer {police}' \\\n  \
-H 'Content-Type: application/cloudevents+json' \\\n  \
-d '{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"police/control-room\",\"type\":\"missing.started\",\
\"time\":\"{now}\",\"data\":{{\"practitioner\":{{\"role\":\"Police sergeant\",\"call_back\":\"01632 960001\"}},\
\"child\":{{\"nhs_number\":\"9990000026\",\"given_names\":\"Asha\",\"family_name\":\"Example\",\
\"date_of_birth\":\"2011-04-02\"}},\"detail\":{{\"grade\":\"medium\"}}}}}}'\n\n\
Then read what social care is asked to do:\n\n\
curl -sS '{url}/v1/agencies/social-care/tasks?wait=5' \\\n  -H 'Authorization: Bearer {social_care}'\n"
    ));
}
