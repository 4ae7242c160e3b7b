//! The running service: one bad record costs its sender alone, clocks run out, and every record is accounted for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use pathway_router::broker::headers::Headers;
use pathway_router::broker::memory::{Memory, MemoryOptions};
use pathway_router::broker::{Clock, Placement, Reader, Record, Write, system_clock};
use pathway_router::config::default_rules;
use pathway_router::engine::codec;
use pathway_router::engine::context::{Context, RuleBooks};
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::codes::Grade;
use pathway_router::engine::model::detail::Detail;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::history::History;
use pathway_router::engine::model::inbox::{InboxBody, InboxRecord, Signal};
use pathway_router::engine::model::quarantine::{QuarantineReason, Quarantined};
use pathway_router::engine::model::scalar::{Date, FactValue, Level, Timestamp};
use pathway_router::engine::model::subject::SubjectKey;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::rules;
use pathway_router::engine::rules::fault::SourceFile;
use pathway_router::engine::schema::Published;
use pathway_router::engine::state::State;
use pathway_router::engine::step::{Effect, step};
use pathway_router::runtime::{Service, ServiceOptions};
use pathway_router::simulate;
use pathway_router::telemetry::metrics::Metrics;

use super::kit;

pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn all<T: Published>(reader: &dyn Reader, topic: &str) -> Vec<T> {
    let records = reader.read(topic, 0, 0, usize::MAX).unwrap();
    records.iter().map(|record| codec::decode(record.value.as_deref().unwrap_or_default()).unwrap()).collect()
}

/// The sum of a metric over its labels, or the one without labels.
pub fn total(metrics: &Metrics, name: &str) -> u64 {
    let text = metrics.render();
    let is_meant = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let of_name = text.lines().filter(is_meant);
    of_name.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

pub fn started(context: pathway_router::engine::context::Context, clock: Clock) -> (Memory, Arc<Metrics>, Service) {
    let memory = Memory::new(MemoryOptions { clock: clock.clone(), ..MemoryOptions::default() });
    let metrics = Arc::new(Metrics::new().unwrap());
    let options = kit::options(Arc::new(memory.clone()), context, metrics.clone(), clock);
    let service = Service::start(options).unwrap();
    wait_until("readiness", || service.ready());
    (memory, metrics, service)
}

pub fn events(count: usize) -> Vec<ReferralEvent> {
    simulate::referral_events(3, count, system_clock()())
}

#[test]
fn every_record_is_accounted_for() {
    let (memory, metrics, service) = started(kit::context(None), system_clock());
    for event in events(150) {
        kit::publish(&memory, vec![kit::write_of(&event)]).unwrap();
    }
    let mut torn = kit::write_of(&events(1)[0]);
    torn.value.as_mut().unwrap().truncate(40);
    kit::publish(&memory, vec![torn]).unwrap();
    wait_until("the end of the inbox", || kit::is_drained(&memory));
    assert!(service.stop(Duration::from_secs(60)), "every lane ends by itself");
    assert!(!service.ready());
    assert_eq!(total(&metrics, "pathway_intake_consumed_total"), 151);
    assert_eq!(total(&metrics, "pathway_intake_disposed_total"), 151);
    let inbox: i64 = (0..kit::PARTITIONS).map(|partition| memory.end_offset("inbox", partition).unwrap()).sum();
    assert_eq!(total(&metrics, "pathway_decide_consumed_total"), u64::try_from(inbox).unwrap());
    assert_eq!(total(&metrics, "pathway_decide_disposed_total"), u64::try_from(inbox).unwrap());
    each_alias_is_told_once(&memory);
    let quarantined: Vec<Quarantined> = all(&memory, "quarantine");
    assert!(quarantined.iter().any(|kept| kept.reason == QuarantineReason::Undecodable && kept.original.len() == 40));
    kit::check(&memory, &kit::context(None), &kit::partners(), system_clock()());
}

/// However many events carry the same identifiers, a weaker key hears of the stronger once.
fn each_alias_is_told_once(reader: &dyn Reader) {
    let mut told = each_alias_is_told(reader);
    let count = told.len();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), count);
}

/// Every weaker key with the stronger it was told of, each time.
fn each_alias_is_told(reader: &dyn Reader) -> Vec<(SubjectKey, SubjectKey)> {
    let records = (0..kit::PARTITIONS).flat_map(|partition| reader.read("inbox", partition, 0, usize::MAX).unwrap());
    let inbox = records.map(|record| codec::decode::<InboxRecord>(&record.value.unwrap()).unwrap());
    let told: Vec<_> = inbox
        .filter_map(|record| match record.body {
            InboxBody::Alias(alias) => alias.checked_for.is_none().then_some((record.subject, alias.stronger)),
            InboxBody::Referral(_)
            | InboxBody::Outcome(_)
            | InboxBody::Forward(_)
            | InboxBody::Signal(_)
            | InboxBody::Tick(_) => None,
        })
        .collect();
    assert!(told.len() > 20, "{} aliases", told.len());
    told
}

/// The start of every record in `topic`: its schema.
fn schemas(reader: &dyn Reader, topic: &str) -> BTreeSet<Vec<u8>> {
    let records = (0..kit::PARTITIONS).flat_map(|partition| reader.read(topic, partition, 0, usize::MAX).unwrap());
    records.filter_map(|record| record.value).map(|value| value[..10].to_vec()).collect()
}

#[test]
fn beside_the_previous_release_what_it_must_read_is_written_as_it_reads_it() {
    let memory = Memory::new(MemoryOptions::default());
    let metrics = Arc::new(Metrics::new().unwrap());
    let options = kit::options(Arc::new(memory.clone()), kit::context(None), metrics, system_clock());
    let service = Service::start(ServiceOptions { written_for_previous: true, ..options }).unwrap();
    wait_until("readiness", || service.ready());
    for event in events(60) {
        kit::publish(&memory, vec![kit::write_of(&event)]).unwrap();
    }
    wait_until("the end of the inbox", || kit::is_drained(&memory));
    assert!(service.stop(Duration::from_secs(60)));
    let previous = |name: &str| {
        let path = format!("{}/tests/samples/previous/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        BTreeSet::from([hex::decode(&line["avro"].as_str().unwrap()[..20]).unwrap()])
    };
    assert_eq!(schemas(&memory, "history"), previous("history"));
    assert_eq!(schemas(&memory, "inbox"), previous("inbox"));
    each_alias_is_told(&memory);
}

/// Of every agency.
fn tasks(reader: &dyn Reader) -> Vec<Record> {
    let topics = reader.topics().unwrap();
    let topics = topics.iter().filter(|topic| topic.starts_with("tasks."));
    topics.flat_map(|topic| reader.read(topic, 0, 0, usize::MAX).unwrap()).collect()
}

/// A clock that stands until it is moved.
pub fn movable_clock() -> (Arc<AtomicI64>, Clock) {
    let now = Arc::new(AtomicI64::new(system_clock()().0));
    let told = now.clone();
    (now, Arc::new(move || Timestamp(told.load(Ordering::SeqCst))))
}

#[test]
fn clocks_run_out_without_another_event() {
    let (now, clock) = movable_clock();
    let mut missing = events(2000)
        .into_iter()
        .find(|event| matches!(event.detail, Detail::MissingStarted(_)))
        .expect("children go missing in any simulation");
    missing.occurred_at = Timestamp(now.load(Ordering::SeqCst));
    missing.reported_at = None;
    if let Detail::MissingStarted(started) = &mut missing.detail {
        started.last_seen_at = Some(missing.occurred_at);
        started.grade = Some(Grade::Medium);
    }
    let (memory, _, service) = started(kit::context(None), clock);
    let mut write = kit::write_of(&missing);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    write.headers.push("traceparent", trace.as_bytes());
    kit::publish(&memory, vec![write]).unwrap();
    wait_until("the end of the inbox", || kit::is_drained(&memory));
    let before = (memory.end_offset("decisions", 0).unwrap(), tasks(&memory).len());
    now.fetch_add(30 * 3_600_000, Ordering::SeqCst);
    wait_until("a timer's decision", || memory.end_offset("decisions", 0).unwrap() > before.0);
    wait_until("a clock's task", || tasks(&memory).len() > before.1);
    let goes_on = |record: &Record| {
        record.headers.iter().any(|(name, value)| name == "traceparent" && *value == trace.as_bytes())
    };
    assert!(tasks(&memory).iter().all(goes_on), "what clocks raise goes on with the trace that the event came with");
    assert!(service.stop(Duration::from_secs(60)));
    kit::check(&memory, &kit::context(None), &kit::partners(), system_clock()());
}

#[test]
fn after_a_restart_an_idle_router_tells_that_the_log_is_ahead_of_the_clock() {
    let (now, clock) = movable_clock();
    let (memory, _, service) = started(kit::context(None), clock.clone());
    kit::publish(&memory, vec![kit::write_of(&events(1)[0])]).unwrap();
    wait_until("the end of the inbox", || kit::is_drained(&memory));
    assert!(service.stop(Duration::from_secs(60)));
    now.fetch_sub(2 * 3_600_000, Ordering::SeqCst);

    let (memory, metrics) = (memory.restart(), Arc::new(Metrics::new().unwrap()));
    let options = kit::options(Arc::new(memory), kit::context(None), metrics.clone(), clock);
    let readiness = options.readiness.clone();
    let service = Service::start(options).unwrap();
    wait_until("a warning", || {
        readiness.warnings().iter().any(|warning| warning.contains("ahead of this machine's clock"))
    });
    assert!(metrics.render().lines().any(|line| {
        let ahead = line.strip_prefix("pathway_log_ahead_seconds ").and_then(|seconds| seconds.parse::<u64>().ok());
        ahead.is_some_and(|seconds| seconds > 7_000)
    }));
    assert!(service.stop(Duration::from_secs(60)));
}

/// The shipped book from an instant on, with words of its calendar changed.
fn book_from(from: &str, calendar: (&str, &str)) -> PreparedBook {
    let source = |(name, text): &(&str, &str)| {
        let text = text.replace("2012-01-01T00:00:00Z", from).replacen(calendar.0, calendar.1, 1);
        SourceFile { name: (*name).to_owned(), text }
    };
    let files: Vec<SourceFile> = default_rules::FILES.iter().map(source).collect();
    PreparedBook::new(rules::load(&files).unwrap())
}

#[test]
fn a_book_that_takes_effect_while_lanes_run_counts_open_deadlines_again() {
    let at = |text: &str| Timestamp::from_jiff(text.parse().unwrap());
    let now = Arc::new(AtomicI64::new(at("2026-05-22T10:00:00Z").0));
    let clock: Clock = {
        let now = now.clone();
        Arc::new(move || Timestamp(now.load(Ordering::SeqCst)))
    };
    let holiday = "\"2026-05-25\", ";
    let books = || {
        vec![book_from("2012-01-01T00:00:00Z", (holiday, "")), book_from("2026-05-22T11:00:00Z", (holiday, holiday))]
    };
    let context = || Context { books: RuleBooks::new(books()), ..kit::context(None) };
    let (memory, _, service) = started(context(), clock);
    let mut assessed = events(2000)
        .into_iter()
        .find(|event| matches!(event.detail, Detail::NeglectAssessed(_)))
        .expect("neglect is assessed in any simulation");
    assessed.occurred_at = Timestamp(now.load(Ordering::SeqCst));
    assessed.reported_at = None;
    assessed.child.date_of_birth = Some(Date(15_000));
    if let Detail::NeglectAssessed(detail) = &mut assessed.detail {
        (detail.gcp2_grade, detail.medical_neglect) = (Some(5), Some(false));
    }
    kit::publish(&memory, vec![kit::write_of(&assessed)]).unwrap();
    wait_until("a task by the calendar without the holiday", || {
        let due: Vec<Task> = all(&memory, "tasks.social-care");
        due.iter().any(|task| task.due_at == at("2026-05-25T16:00:00Z"))
    });
    now.store(at("2026-05-22T11:05:00Z").0, Ordering::SeqCst);
    wait_until("word of the deadline that moved", || {
        let told: Vec<Task> = all(&memory, "tasks.social-care");
        told.iter().any(|task| {
            task.due_at == at("2026-05-26T16:00:00Z") && task.reasons.iter().any(|reason| reason.rule == "calendar")
        })
    });
    assert!(service.stop(Duration::from_secs(60)));
}

/// A history of more than a topic takes: nothing of the router's own makes one, and what reads it must go on all the same.
fn too_much_is_remembered_of(memory: &Memory, event: &ReferralEvent) {
    let records = (0..kit::PARTITIONS).flat_map(|partition| memory.read("history", partition, 0, usize::MAX).unwrap());
    let valued = records.filter_map(|record| Some((record.key, record.value?)));
    let histories = valued.map(|(key, value)| (key, codec::decode::<History>(&value).unwrap()));
    let of_event = |(_, history): &(Vec<u8>, History)| history.entries.iter().any(|one| one.event_id == event.event_id);
    let (key, mut history) = histories.into_iter().filter(of_event).last().expect("the event is remembered");
    let text = FactValue::Code("x".repeat(5 << 20));
    Arc::make_mut(&mut history.entries[0]).facts.insert("made_up".to_owned(), text);
    let value = Some(codec::encode(&history).unwrap());
    let (topic, placement, headers) = ("history".into(), Placement::ByKey, Headers::default());
    kit::publish(memory, vec![Write { topic, placement, key, value, headers }]).unwrap();
}

#[test]
fn an_output_that_cannot_be_written_costs_the_record_it_comes_of() {
    let events = events(12);
    let (memory, _, service) = started(kit::context(None), system_clock());
    kit::publish(&memory, vec![kit::write_of(&events[0])]).unwrap();
    wait_until("the end of the inbox", || kit::is_drained(&memory));
    assert!(service.stop(Duration::from_secs(60)));
    too_much_is_remembered_of(&memory, &events[0]);
    let metrics = Arc::new(Metrics::new().unwrap());
    let options = kit::options(Arc::new(memory.clone()), kit::context(None), metrics.clone(), system_clock());
    let service = Service::start(options).unwrap();
    let again = ReferralEvent { event_id: uuid::Uuid::new_v4().to_string(), ..events[0].clone() };
    // And what is too large to be kept in quarantine whole.
    let huge = Write { value: Some(vec![7; (4 << 20) - 100]), ..kit::write_of(&events[1]) };
    for write in [kit::write_of(&again), huge].into_iter().chain(events[1..].iter().map(kit::write_of)) {
        kit::publish(&memory, vec![write]).unwrap();
    }
    wait_until("the end of the inbox", || kit::is_drained(&memory));
    wait_until("readiness", || service.ready());
    assert!(service.stop(Duration::from_secs(60)));
    let kept: Vec<Quarantined> = all(&memory, "quarantine");
    let faulted: Vec<&Quarantined> = kept.iter().filter(|kept| kept.reason == QuarantineReason::RouterFault).collect();
    assert!(!faulted.is_empty() && faulted.iter().all(|kept| kept.faults[0].contains("more than a topic takes")));
    // Its original bytes: what was about that child, and nothing else.
    let originals = faulted.iter().map(|kept| codec::decode::<InboxRecord>(&kept.original).unwrap());
    let referrals: Vec<String> = originals
        .filter_map(|original| match original.body {
            InboxBody::Referral(referral) => Some(referral.event.event_id.clone()),
            InboxBody::Outcome(_)
            | InboxBody::Alias(_)
            | InboxBody::Forward(_)
            | InboxBody::Signal(_)
            | InboxBody::Tick(_) => None,
        })
        .collect();
    assert!(referrals.contains(&again.event_id), "the referral");
    let cut = kept.iter().find(|kept| kept.reason == QuarantineReason::TooLarge).expect("what was too large");
    assert!(cut.original.len() == 1 << 20 && cut.faults.last().unwrap().contains("the first 1048576 of its 4194204"));
    let triage = |task: &Task| task.reasons.iter().any(|reason| reason.rule == "unread_record");
    assert!(all::<Task>(&memory, "tasks.social-care").iter().any(triage), "a person is asked to look");
    let judged = total(&metrics, "pathway_referrals_total");
    assert!(judged > 6, "the others are judged: {judged}");
    assert!(total(&metrics, "pathway_step_faults_total") > 0);
    assert_eq!(total(&metrics, "pathway_decide_consumed_total"), total(&metrics, "pathway_decide_disposed_total"));
}

#[test]
fn what_came_before_the_first_book_is_judged_by_it() {
    let at = |text: &str| Timestamp::from_jiff(text.parse().unwrap());
    let clock: Clock = Arc::new(move || at("2026-05-22T10:00:00Z"));
    let books = RuleBooks::new(vec![book_from("2026-06-01T00:00:00Z", ("", ""))]);
    let (memory, metrics, service) = started(Context { books, ..kit::context(None) }, clock);
    let mut event = events(1).remove(0);
    (event.occurred_at, event.reported_at) = (at("2026-05-22T09:00:00Z"), None);
    kit::publish(&memory, vec![kit::write_of(&event)]).unwrap();
    wait_until("the end of the inbox", || kit::is_drained(&memory));
    assert!(service.stop(Duration::from_secs(60)));
    assert_eq!(total(&metrics, "pathway_referrals_total"), 1, "{}", metrics.render());
    assert_eq!(memory.end_offset("quarantine", 0).unwrap(), 0);
}

/// One task an hour for what a partner's records could not say, but never none for what comes after it was closed.
#[test]
fn a_record_that_cannot_be_read_after_the_hours_task_was_closed_asks_again() {
    let context = kit::context(None);
    let mut state = State::default();
    let subject = context.keys.partner_subject("police", None);
    let unread = |state: &mut State, minute: i64| {
        let signal = Signal {
            kind: "unread_record".to_owned(),
            cause: format!("00000000-0000-4000-8000-{minute:012}"),
            partner: Some("police".to_owned()),
            ..Signal::default()
        };
        let receipt = Timestamp(1_780_995_600_000 + minute * 60_000);
        let record = InboxRecord { id: signal.cause.clone(), subject, receipt, body: InboxBody::Signal(signal) };
        let stepped = step(&context, state, &record).unwrap();
        state.stage(stepped.delta);
        stepped.effects.iter().filter(|effect| matches!(effect, Effect::Task(..))).count()
    };
    assert_eq!((unread(&mut state, 1), unread(&mut state, 2)), (1, 0));
    let mut history = History::clone(state.history(subject).unwrap());
    history.tasks.iter_mut().for_each(|task| Arc::make_mut(task).state = "completed".to_owned());
    state.commit();
    state.restore(subject, history);
    assert_eq!((unread(&mut state, 3), unread(&mut state, 4)), (1, 0));
}

/// Of two children of one hour each gets a task of its own, which says nothing of who they are.
#[test]
fn each_record_that_cannot_be_read_and_says_danger_is_a_task_of_level_4b_within_the_hour_and_its_repeat_none() {
    let context = kit::context(None);
    let mut state = State::default();
    let subject = context.keys.partner_subject("police", None);
    let receipt = Timestamp(1_780_995_600_000);
    let mut asked = |minute: i64, said: &str, danger: Option<bool>| -> Vec<Task> {
        let cause = format!("00000000-0000-4000-8000-{minute:012}");
        let (kind, partner) = ("unread_record".to_owned(), Some("police".to_owned()));
        let signal = Signal { kind, cause, partner, danger, ..Signal::default() };
        let receipt = receipt.plus_millis(minute * 60_000);
        let record = InboxRecord { id: said.to_owned(), subject, receipt, body: InboxBody::Signal(signal) };
        let stepped = step(&context, &state, &record).unwrap();
        state.stage(stepped.delta);
        let task = |effect: Effect| if let Effect::Task(task, _) = effect { Some(*task) } else { None };
        stepped.effects.into_iter().filter_map(task).collect()
    };
    assert_eq!(asked(1, "another", None).len(), 1);
    for (minute, said) in [(2, "one"), (3, "two"), (70, "two")] {
        let [task] = asked(minute, said, Some(true)).try_into().unwrap();
        let (level, due_at, reason) = (task.level, task.due_at, task.reasons[0].rule.as_str());
        assert_eq!((level, task.agency.as_str(), reason), (Some(Level::L4b), "social-care", "danger"));
        assert_eq!(due_at, receipt.plus_millis((minute + 60) * 60_000));
        assert!(task.child.is_none() && task.action.contains("immediate danger"), "{task:?}");
        for later in [1, 2] {
            assert!(asked(minute + later, said, Some(true)).is_empty(), "the same again within the hour");
        }
    }
}
