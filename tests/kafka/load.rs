//! Load for the real binary: partners over HTTP and on their topics, and an agency that reads and answers its tasks.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pathway_router::broker::kafka::Kafka;
use pathway_router::broker::{Placement, Write, system_clock};
use pathway_router::engine::cloud_event;
use pathway_router::engine::codec;
use pathway_router::engine::model::event::{ReferralEvent, Source};
use pathway_router::engine::rules::catalogue::is_concern;
use pathway_router::simulate;
use serde_json::{Value, json};

use super::kit::publish;
use super::router::{Home, agent};

/// Partner, unit and the file that holds its sample token.
const SENDERS: [(&str, &str, &str); 3] = [
    ("police", "missing-from-home", "police"),
    ("leighton-hospital", "emergency-department", "leighton-hospital"),
    ("council", "case-system", "council"),
];
/// The agency that reads its tasks, over whichever instance answers.
const AGENCY: &str = "camhs";
const TRY_AGAIN: Duration = Duration::from_millis(50);
/// Records in a produced publication.
const PRODUCED: usize = 10;

/// What the senders share with the test.
#[derive(Default)]
pub struct Load {
    /// Ends after what is being sent was acknowledged.
    pub finish: AtomicBool,
    /// Ends now: the test failed.
    abandon: AtomicBool,
    pub acknowledged: Mutex<BTreeSet<String>>,
    /// Ids of the tasks that the agency was shown, in order.
    pub read: Mutex<Vec<String>>,
}

/// Ends the senders when the test panics, else its scope would wait for them.
pub struct Abandon<'a>(pub &'a Load);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon.store(true, Ordering::Release);
        self.0.finish.store(true, Ordering::Release);
    }
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.finish.load(Ordering::Acquire)
    }

    fn abandoned(&self) -> bool {
        self.abandon.load(Ordering::Acquire)
    }

    /// Starts every sender. `a_second` events come over HTTP, as many again are produced.
    pub fn start<'scope>(
        &'scope self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        home: &'scope Home,
        broker: &'scope Kafka,
        instances: usize,
        a_second: usize,
    ) {
        for (number, (partner, unit, token)) in SENDERS.into_iter().enumerate() {
            let events = events(partner, unit, number as u64);
            let every = Duration::from_millis((1000 * SENDERS.len() / a_second) as u64);
            let produced = self::events(partner, unit, 100 + number as u64);
            scope.spawn(move || self.send(home, instances, token, events, every));
            scope.spawn(move || self.produce(broker, partner, unit, produced, every * PRODUCED as u32));
        }
        scope.spawn(move || self.read_and_answer(home, instances));
    }

    /// Posts each event until an instance has acknowledged it, as a partner must.
    fn send(&self, home: &Home, instances: usize, token: &str, events: Events, every: Duration) {
        let (agent, token) = (agent(), home.token(token));
        for (number, event) in events.enumerate() {
            let body = cloud_event::write(&event).unwrap().to_string();
            for attempt in number.. {
                if self.abandoned() {
                    return;
                }
                let answer = agent
                    .post(home.url(attempt % instances, "/v1/events"))
                    .header("authorization", format!("Bearer {token}"))
                    .header("content-type", "application/cloudevents+json")
                    .send(body.as_bytes());
                match answer.map(|answer| answer.status().as_u16()) {
                    Ok(202) => break,
                    Ok(429 | 503) | Err(_) => std::thread::sleep(TRY_AGAIN),
                    Ok(status) => panic!("a sound event was answered {status}"),
                }
            }
            self.acknowledged.lock().unwrap().insert(event.event_id);
            if !self.goes_on() {
                return;
            }
            std::thread::sleep(every);
        }
    }

    /// Puts events on the partner's own topic, as a partner does that speaks Kafka.
    fn produce(&self, broker: &Kafka, partner: &str, unit: &str, mut events: Events, every: Duration) {
        while self.goes_on() {
            let events: Vec<ReferralEvent> = events.by_ref().take(PRODUCED).collect();
            let write = |event: &ReferralEvent| Write {
                topic: format!("referrals.{partner}").into(),
                placement: Placement::ByKey,
                key: event.event_id.as_bytes().to_vec(),
                value: Some(codec::encode(event).unwrap()),
                headers: vec![("unit".to_owned(), unit.as_bytes().to_vec())].into(),
            };
            let writes: Vec<Write> = events.iter().map(write).collect();
            while publish(broker, writes.clone()).is_err() {
                if self.abandoned() {
                    return;
                }
                std::thread::sleep(TRY_AGAIN);
            }
            self.acknowledged.lock().unwrap().extend(events.into_iter().map(|event| event.event_id));
            std::thread::sleep(every);
        }
    }

    /// Reads page after page, each over the other instance if that answers, and acknowledges every third task.
    fn read_and_answer(&self, home: &Home, instances: usize) {
        let token = home.token("inbox-camhs");
        let mut cursor = None;
        let mut attempt = 0;
        while self.goes_on() {
            attempt += 1;
            let Some(page) = read_page(home, attempt % instances, &token, cursor.as_deref()) else {
                std::thread::sleep(TRY_AGAIN);
                continue;
            };
            for task in page["tasks"].as_array().unwrap() {
                let id = task["task_id"].as_str().unwrap().to_owned();
                if id.as_bytes()[0] % 3 == 0 {
                    self.answer(home, instances, &token, task);
                }
                self.read.lock().unwrap().push(id);
            }
            cursor = Some(page["cursor"].as_str().unwrap().to_owned());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn answer(&self, home: &Home, instances: usize, token: &str, task: &Value) {
        let body = json!({
            "outcome_id": uuid::Uuid::new_v4().to_string(),
            "reply_to": task["reply_to"],
            "outcome": "acknowledged",
            "by_name": "A. Worker",
            "by_role": "duty worker",
            "at": system_clock()().to_jiff().to_string(),
        });
        let agent = agent();
        for attempt in 0.. {
            let answer = agent
                .post(home.url(attempt % instances, "/v1/outcomes"))
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", "application/json")
                .send(body.to_string().as_bytes());
            match answer.map(|answer| answer.status().as_u16()) {
                Ok(202) => return,
                Ok(429 | 503) | Err(_) if !self.abandoned() => std::thread::sleep(TRY_AGAIN),
                Err(_) => return,
                Ok(status) => panic!("an outcome was answered {status}"),
            }
        }
    }

    /// The rest of the agency's tasks, over one instance, from the start of the list and in pages.
    pub fn all_tasks(home: &Home, instance: usize) -> Vec<String> {
        let token = home.token("inbox-camhs");
        let (mut ids, mut cursor) = (Vec::new(), None);
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            assert!(Instant::now() < deadline, "the list does not end");
            let Some(page) = read_page(home, instance, &token, cursor.as_deref()) else { continue };
            let tasks = page["tasks"].as_array().unwrap();
            ids.extend(tasks.iter().map(|task| task["task_id"].as_str().unwrap().to_owned()));
            cursor = Some(page["cursor"].as_str().unwrap().to_owned());
            if page["more"] == false {
                return ids;
            }
        }
    }
}

fn read_page(home: &Home, instance: usize, token: &str, cursor: Option<&str>) -> Option<Value> {
    let after = cursor.map(|cursor| format!("&after={cursor}")).unwrap_or_default();
    let url = home.url(instance, &format!("/v1/agencies/{AGENCY}/tasks?limit=50{after}"));
    let mut answer = agent().get(url).header("authorization", format!("Bearer {token}")).call().ok()?;
    let status = answer.status().as_u16();
    if matches!(status, 429 | 503) {
        return None;
    }
    assert_eq!(status, 200, "a cursor of one instance serves at every other");
    serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()
}

type Events = Box<dyn Iterator<Item = ReferralEvent> + Send>;

/// Concerns that any partner may send, without end.
fn events(partner: &str, unit: &str, seed: u64) -> Events {
    let source = Source { partner: partner.to_owned(), agency: None, unit: unit.to_owned() };
    let end = system_clock()().plus_millis(-30 * 86_400_000);
    let batches = (0..).map(move |batch| simulate::referral_events(seed * 1_000_000 + batch, 500, end));
    let events = batches.flatten().filter(|event| is_concern(event.detail.kind()));
    Box::new(events.map(move |event| ReferralEvent { source: source.clone(), ..event }))
}
