//! Reading one's own records: agencies their tasks, partners their feedback. By long poll, and as a stream.
//!
//! A unit's reader is shown the records stamped with its unit and nothing else; the rest is passed over unread.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::{Extension, Json};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Gateway;
use super::caller::{AgencyCaller, PartnerCaller, Presented};
use super::cursor::Cursor;
use super::envelope::text_header;
use super::house::Answering;
use super::problem::Problem;
use super::query::{Asked, Names, page_size};
use super::streams::StreamPlace;
use crate::broker::{BrokerError, Reader, Record};
use crate::engine::codec;
use crate::engine::model::feedback::Feedback;
use crate::engine::model::task::{DIGEST, Task};
use crate::engine::schema::{Published, to_json};
use crate::runtime::outputs::{TASK_KIND, UNIT, header};

/// Records returned at once, unless fewer are asked for.
const ITEMS_MAX: usize = 500;
const ITEMS_USUAL: usize = 100;
/// Records that a stream reads ahead of what its client has taken.
const AHEAD_MAX: usize = 16;
/// Records read at a time.
const CHUNK_RECORDS: usize = 500;
/// Records passed over in one look: a unit that is far behind gets an empty page and a cursor, not a slow answer.
const SCANNED_MAX: usize = 20_000;
/// Commits are looked at no more often than this by one waiting reader.
const WAKE_EVERY: Duration = Duration::from_millis(100);

/// Query of tasks: as of any list, and `kind=digest|work`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct TasksQuery {
    after: Option<String>,
    wait: Option<u64>,
    limit: Option<usize>,
    kind: Option<KindAsked>,
}

/// Which tasks are shown.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindAsked {
    /// What is to be read with others of its day.
    Digest,
    /// Everything else.
    Work,
}

/// Query of a list: `?after=CURSOR&wait=SECONDS&limit=N`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    after: Option<String>,
    wait: Option<u64>,
    limit: Option<usize>,
}

/// Query of a stream: `?after=CURSOR`, where the `Last-Event-ID` header gives none.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct StreamQuery {
    after: Option<String>,
}

impl Names for TasksQuery {
    const NAMES: &'static str = "after (a cursor), wait (seconds), limit (a number), kind (digest or work)";
}

impl Names for ListQuery {
    const NAMES: &'static str = "after (a cursor), wait (seconds), limit (a number)";
}

impl Names for StreamQuery {
    const NAMES: &'static str = "after (a cursor)";
}

/// Whose records are read: one topic, and within it one unit or all; as long as their token stands.
#[derive(Clone)]
pub struct View {
    token: Presented,
    topic: String,
    unit: Option<String>,
    /// None: of every kind.
    kind: Option<KindAsked>,
}

impl View {
    pub fn tasks(caller: AgencyCaller) -> Self {
        let AgencyCaller { agency, unit, token } = caller;
        Self { token, topic: format!("tasks.{agency}"), unit, kind: None }
    }

    pub fn feedback(caller: PartnerCaller) -> Self {
        let PartnerCaller { partner, unit, token } = caller;
        Self { token, topic: format!("feedback.{partner}"), unit: Some(unit), kind: None }
    }

    /// What tells this list from every other: a place in one is none in another, where it would pass over what is owed.
    fn name(&self) -> String {
        let kind = match self.kind {
            None => "",
            Some(KindAsked::Digest) => DIGEST,
            Some(KindAsked::Work) => "work",
        };
        format!("{}\0{}\0{kind}", self.topic, self.unit.as_deref().unwrap_or_default())
    }

    fn shows(&self, record: &Record) -> bool {
        let stamped = |name: &str| header(record, name);
        let of_kind = self.kind.is_none_or(|kind| {
            let is_digest = stamped(TASK_KIND) == Some(DIGEST.as_bytes());
            is_digest == (kind == KindAsked::Digest)
        });
        of_kind && self.unit.as_ref().is_none_or(|unit| stamped(UNIT) == Some(unit.as_bytes()))
    }
}

/// `GET /v1/agencies/{agency}/tasks`.
pub async fn list_tasks(
    State(gateway): State<Arc<Gateway>>,
    Path(agency): Path<String>,
    caller: AgencyCaller,
    query: Asked<TasksQuery>,
) -> Result<Json<Value>, Problem> {
    caller.must_be(&agency)?;
    let TasksQuery { after, wait, limit, kind } = query.0;
    let view = View { kind, ..View::tasks(caller) };
    list::<Task>(&gateway, view, ListQuery { after, wait, limit }, "tasks").await
}

/// `GET /v1/partners/{partner}/feedback`.
pub async fn list_feedback(
    State(gateway): State<Arc<Gateway>>,
    Path(partner): Path<String>,
    caller: PartnerCaller,
    query: Asked<ListQuery>,
) -> Result<Json<Value>, Problem> {
    caller.must_be(&partner)?;
    list::<Feedback>(&gateway, View::feedback(caller), query.0, "feedback").await
}

/// `GET /v1/agencies/{agency}/tasks/stream`.
pub async fn stream_tasks(
    State(gateway): State<Arc<Gateway>>,
    Path(agency): Path<String>,
    caller: AgencyCaller,
    query: Asked<StreamQuery>,
    Extension(answering): Extension<Arc<Answering>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    caller.must_be(&agency)?;
    stream::<Task>(gateway, View::tasks(caller), query.0, (&headers, &*answering), "task").await
}

/// `GET /v1/partners/{partner}/feedback/stream`.
pub async fn stream_feedback(
    State(gateway): State<Arc<Gateway>>,
    Path(partner): Path<String>,
    caller: PartnerCaller,
    query: Asked<StreamQuery>,
    Extension(answering): Extension<Arc<Answering>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    caller.must_be(&partner)?;
    stream::<Feedback>(gateway, View::feedback(caller), query.0, (&headers, &*answering), "feedback").await
}

async fn list<T: Published + Send + 'static>(
    gateway: &Arc<Gateway>,
    view: View,
    query: ListQuery,
    name: &str,
) -> Result<Json<Value>, Problem> {
    let cursor = start_cursor(gateway, &view, query.after.as_deref())?;
    let items_max = page_size(query.limit, ITEMS_USUAL, ITEMS_MAX)?;
    let wait = Duration::from_secs(query.wait.unwrap_or(0)).min(gateway.limits.long_poll);
    let mut waiter = Waiter::new(gateway);
    let deadline = tokio::time::Instant::now() + wait;
    let mut page = look::<T>(gateway, &view, cursor, items_max).await?;
    while page.items.is_empty() && page.is_at_end {
        match tokio::time::timeout_at(deadline, waiter.wait()).await {
            Ok(true) => page = look::<T>(gateway, &view, page.cursor, items_max).await?,
            Ok(false) | Err(_) => break,
        }
    }
    let items: Vec<Value> = page.items.into_iter().map(|item| item.json).collect();
    Ok(Json(json!({ name: items, "cursor": page.cursor.to_string(), "more": !page.is_at_end })))
}

async fn stream<T: Published + Send + 'static>(
    gateway: Arc<Gateway>,
    view: View,
    query: StreamQuery,
    (headers, answering): (&HeaderMap, &Answering),
    name: &'static str,
) -> Result<impl IntoResponse + use<T>, Problem> {
    let last = text_header(headers, "last-event-id").filter(|id| !id.is_empty());
    let cursor = start_cursor(&gateway, &view, last.or(query.after).as_deref())?;
    if *gateway.stopping.borrow() {
        return Err(Problem::from(BrokerError::Stopping));
    }
    let list = format!("{}\0{}", view.topic, view.unit.as_deref().unwrap_or_default());
    let opened = gateway.streams.open(list, view.token.hash());
    let place = opened.map_err(|over| view.token.too_many_streams(over))?;
    answering.streams();
    let (waiter, page) = (Waiter::new(&gateway), Vec::new().into_iter());
    let follower = Follower { waiter, gateway, view, cursor, page, place };
    Ok(Sse::new(follow::<T>(follower, name)).keep_alive(KeepAlive::default()))
}

fn start_cursor(gateway: &Gateway, view: &View, after: Option<&str>) -> Result<Cursor, Problem> {
    let partitions = gateway.reader.partitions(&view.topic).map_err(Problem::from)?;
    let name = view.name();
    let Some(text) = after else { return Ok(Cursor::start(&name, partitions)) };
    Cursor::parse(text, &name, &view.topic, &*gateway.reader)?.ok_or_else(|| {
        let detail = "`after` must be a cursor that this very list gave, unchanged: of this unit's token, and with the same `kind`. Keep \
                      one cursor for each. Leave it out to start at the beginning: nothing is lost, and `task_id` tells what you have.";
        Problem::bad_request("bad-cursor", detail, Vec::new())
    })
}

/// One record shown, and where reading goes on after it.
struct Item {
    json: Value,
    after: Cursor,
}

struct Page {
    items: Vec<Item>,
    cursor: Cursor,
    /// All there is has been looked at.
    is_at_end: bool,
}

/// Reads on from the cursor, on a thread that may wait for the disk. What was read is given to whom it is still for.
async fn look<T: Published + Send + 'static>(
    gateway: &Arc<Gateway>,
    view: &View,
    cursor: Cursor,
    items_max: usize,
) -> Result<Page, Problem> {
    let (reader, theirs) = (gateway.reader.clone(), view.clone());
    let page = tokio::task::spawn_blocking(move || scan::<T>(&*reader, &theirs, cursor, items_max))
        .await
        .map_err(|_| Problem::internal("The list could not be read."))?
        .map_err(Problem::from)?;
    view.token.still_stands(gateway)?;
    Ok(page)
}

fn scan<T: Published>(
    reader: &dyn Reader,
    view: &View,
    mut cursor: Cursor,
    items_max: usize,
) -> Result<Page, BrokerError> {
    let mut items = Vec::new();
    let mut scanned = 0;
    // Of a list that is shown whole no more is read than is shown, and one that tells whether there is more.
    let shows_all = view.unit.is_none() && view.kind.is_none();
    let chunk = if shows_all { CHUNK_RECORDS.min(items_max.saturating_add(1)) } else { CHUNK_RECORDS };
    for partition in 0..reader.partitions(&view.topic)? {
        loop {
            let records = reader.read(&view.topic, partition, cursor.next(partition), chunk)?;
            let is_last = records.len() < chunk;
            for record in records {
                if items.len() == items_max || scanned == SCANNED_MAX {
                    return Ok(Page { items, cursor, is_at_end: false });
                }
                scanned += 1;
                cursor.advance(partition, record.offset);
                if view.shows(&record) {
                    items.extend(shown::<T>(&record).map(|json| Item { json, after: cursor.clone() }));
                }
            }
            if is_last {
                break;
            }
        }
    }
    Ok(Page { items, cursor, is_at_end: true })
}

/// The record as JSON. One that cannot be read is passed over, and said in the log: it must not block the rest.
fn shown<T: Published>(record: &Record) -> Option<Value> {
    let json = codec::decode::<T>(record.value.as_deref()?).ok().and_then(|decoded| to_json(&decoded).ok());
    if json.is_none() {
        tracing::error!(topic = %record.topic, partition = record.partition, offset = record.offset, "unreadable record");
    }
    json
}

/// Wakes when something was committed or tokens were replaced, and for the last time when the router stops.
struct Waiter {
    changes: watch::Receiver<u64>,
    callers_replaced: watch::Receiver<()>,
    stopping: watch::Receiver<bool>,
}

impl Waiter {
    /// Taken before the first look, so that no commit falls between looking and waiting.
    fn new(gateway: &Gateway) -> Self {
        Self {
            changes: gateway.reader.changes(),
            callers_replaced: gateway.callers_replaced.subscribe(),
            stopping: gateway.stopping.subscribe(),
        }
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// True: look again. False: the router is stopping.
    async fn wait(&mut self) -> bool {
        let changed = async {
            let changed = self.changes.changed().await.is_ok();
            tokio::time::sleep(WAKE_EVERY).await;
            changed
        };
        tokio::select! {
            changed = changed => changed,
            replaced = self.callers_replaced.changed() => replaced.is_ok(),
            _ = self.stopping.wait_for(|stopping| *stopping) => false,
        }
    }
}

/// A stream's place.
struct Follower {
    gateway: Arc<Gateway>,
    waiter: Waiter,
    view: View,
    cursor: Cursor,
    page: std::vec::IntoIter<Item>,
    place: StreamPlace,
}

fn follow<T: Published + Send + 'static>(
    follower: Follower,
    name: &'static str,
) -> impl Stream<Item = Result<Event, std::convert::Infallible>> {
    stream::unfold(follower, move |mut follower| async move {
        loop {
            if follower.waiter.is_stopping() {
                return None;
            }
            if let Some(item) = follower.page.next() {
                // The reader may be slow, and its page long.
                follower.view.token.still_stands(&follower.gateway).ok()?;
                let event = Event::default().event(name).id(item.after.to_string()).data(item.json.to_string());
                return Some((Ok(event), follower));
            }
            let page = {
                let _reading = follower.place.reading().await?;
                look::<T>(&follower.gateway, &follower.view, follower.cursor.clone(), AHEAD_MAX).await.ok()?
            };
            follower.cursor = page.cursor;
            let is_idle = page.items.is_empty() && page.is_at_end;
            follower.page = page.items.into_iter();
            if is_idle && !follower.waiter.wait().await {
                return None;
            }
        }
    })
}
