//! The reference router: slow and obvious. Every input through the pure engine, one record after the other as the log
//! has them; no batch, no transaction, no lane. What a real router left in its topics must be that, no more and no less.

use std::collections::BTreeMap;

use pathway_router::broker::{Reader, Record, Write};
use pathway_router::engine::codec;
use pathway_router::engine::context::Context;
use pathway_router::engine::history::{ESCALATION, FOLD};
use pathway_router::engine::intake::standing::Agencies;
use pathway_router::engine::intake::{self, IncomingRecord, IntakeContext, Partners, Said};
use pathway_router::engine::model::history::{History, Timer};
use pathway_router::engine::model::inbox::{InboxBody, InboxRecord};
use pathway_router::engine::model::quarantine::QuarantineReason;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::subject::SubjectKey;
use pathway_router::engine::state::State;
use pathway_router::engine::step::{Effect, Step, step, step_timer};
use pathway_router::runtime::decide_lane::TIMERS_PER_TICK_MAX;
use pathway_router::runtime::outputs::{Outputs, TRACE, UNIT, Unusable, header};
use pathway_router::runtime::topics::{GATEWAY, INBOX, OutputTopics, is_read_by_intake};

/// Everything that lies in a broker: topic, partition, records in order.
pub type Log = BTreeMap<String, Vec<Vec<Record>>>;

pub fn log_of(reader: &dyn Reader) -> Log {
    let partitions = |topic: &str| {
        let all = |partition| reader.read(topic, partition, 0, usize::MAX).unwrap();
        (0..reader.partitions(topic).unwrap()).map(all).collect()
    };
    reader.topics().unwrap().into_iter().map(|topic| (topic.clone(), partitions(&topic))).collect()
}

pub struct Reference<'a> {
    context: &'a Context,
    partners: &'a Partners,
    agencies: Agencies,
    topics: OutputTopics,
    /// Everything it would have published.
    pub writes: Vec<Write>,
    /// By partition of the inbox.
    pub remembered: BTreeMap<u32, BTreeMap<SubjectKey, History>>,
}

impl<'a> Reference<'a> {
    /// Runs over all that was sent, and over the inbox as it came to be.
    pub fn run(log: &Log, context: &'a Context, partners: &'a Partners) -> Self {
        let topics = OutputTopics::of(log.keys().map(String::as_str));
        let agencies = Agencies::of(context.books.all().map(|book| &book.rules));
        let (writes, remembered) = (Vec::new(), BTreeMap::new());
        let mut reference = Self { context, partners, agencies, topics, writes, remembered };
        for (_, partitions) in log.iter().filter(|(topic, _)| is_read_by_intake(topic)) {
            partitions.iter().flatten().for_each(|record| reference.take_in(record));
        }
        for (partition, records) in (0..).zip(&log[INBOX]) {
            reference.decide(partition, records);
        }
        reference
    }

    /// Timers that were due by then and have not fired.
    pub fn overdue(&self, by: Timestamp) -> usize {
        self.remembered.values().map(|histories| due(histories, by).len()).sum()
    }

    fn write(&mut self, effect: &Effect, trace: Option<&[u8]>) {
        let outputs = Outputs { topics: &self.topics, keys: &self.context.keys };
        let write = outputs.effect(effect, trace).unwrap();
        self.writes.extend(write);
    }

    fn take_in(&mut self, record: &Record) {
        let intake = IntakeContext {
            keys: &self.context.keys,
            sealer: &self.context.sealer,
            partners: self.partners,
            agencies: &self.agencies,
            front_door_phone: self.context.front_door_phone.as_deref(),
        };
        let stamp = |name: &str| header(record, name).map(|value| std::str::from_utf8(value).unwrap());
        // On its own topic the gateway says who sent it; else the topic says so.
        let by_gateway = &*record.topic == GATEWAY;
        let (sender, said) = match (by_gateway, stamp("partner"), record.topic.split_once('.').unwrap()) {
            (true, Some(partner), _) if stamp("disagreement").is_some() => (partner, Said::Disagreement),
            (true, Some(partner), _) => (partner, Said::Event),
            (true, None, _) => (stamp("agency").unwrap(), Said::Answer),
            (false, _, ("outcomes", sender)) => (sender, Said::Answer),
            (false, _, (_, sender)) => (sender, Said::Event),
        };
        let incoming = IncomingRecord {
            topic: &record.topic,
            partition: record.partition,
            offset: record.offset,
            receipt: record.timestamp,
            sender,
            by_gateway,
            unit: stamp(UNIT).filter(|_| by_gateway),
            headers: &record.headers,
            fault: record.fault.as_deref(),
            value: record.value.as_deref().unwrap_or_default(),
            allow_backfill: by_gateway && stamp("backfill") == Some("true"),
        };
        let accepted = intake::take_in(&intake, &incoming, said);
        for inbox in accepted.inbox {
            self.write(&Effect::Inbox(Box::new(inbox)), header(record, TRACE));
        }
        if let Some(quarantined) = accepted.quarantined {
            let outputs = Outputs { topics: &self.topics, keys: &self.context.keys };
            self.writes.push(outputs.quarantined(&quarantined).unwrap());
        }
        if let Some(feedback) = accepted.feedback {
            self.write(&Effect::Feedback(feedback), header(record, TRACE));
        }
    }

    fn decide(&mut self, partition: u32, records: &[Record]) {
        let mut histories = BTreeMap::new();
        let mut state = State::default();
        for record in records {
            let inbox: InboxRecord = codec::decode(record.value.as_deref().unwrap_or_default()).unwrap();
            if let InboxBody::Tick(_) = inbox.body {
                let at = histories.values().map(|history: &History| history.updated_at).max().unwrap_or_default();
                let at = at.max(record.timestamp);
                for (_, subject, timer) in due(&histories, at) {
                    let stepped = step_timer(self.context, &state, subject, &timer, at).unwrap();
                    self.apply(stepped, record, &mut state, &mut histories);
                }
                continue;
            }
            match step(self.context, &state, &inbox) {
                Ok(mut stepped) => {
                    if let Some(trace) = header(record, TRACE) {
                        stepped.keep_trace(&inbox, std::str::from_utf8(trace).unwrap());
                    }
                    self.apply(stepped, record, &mut state, &mut histories);
                }
                Err(error) => self.give_up(record, &inbox, error.to_string()),
            }
        }
        self.remembered.insert(partition, histories);
    }

    fn apply(&mut self, step: Step, record: &Record, state: &mut State, histories: &mut BTreeMap<SubjectKey, History>) {
        for effect in &step.effects {
            self.write(effect, header(record, TRACE).or_else(|| step.trace_of(effect).map(str::as_bytes)));
        }
        for (subject, history) in step.delta.histories {
            state.restore(subject, history.clone());
            if history.holds_nothing() {
                histories.remove(&subject);
            } else {
                histories.insert(subject, history);
            }
        }
    }

    /// A record that cannot be judged goes to quarantine, and a person is asked to look.
    fn give_up(&mut self, record: &Record, inbox: &InboxRecord, fault: String) {
        let (partner, event_id) = match &inbox.body {
            InboxBody::Referral(referral) => {
                (Some(referral.event.source.partner.clone()), Some(referral.event.event_id.clone()))
            }
            InboxBody::Outcome(outcome) => (Some(outcome.agency.clone()), Some(outcome.outcome.outcome_id.clone())),
            InboxBody::Alias(alias) => (Some(alias.partner.clone()), Some(alias.event_id.clone())),
            InboxBody::Forward(_) | InboxBody::Signal(_) | InboxBody::Tick(_) => (None, None),
        };
        let reason = QuarantineReason::RouterFault;
        let unusable = Unusable { record, reason, fault, part: "", partner, event_id, receipt: inbox.receipt };
        let quarantined = unusable.quarantined();
        let outputs = Outputs { topics: &self.topics, keys: &self.context.keys };
        self.writes.push(outputs.quarantined(&quarantined).unwrap());
        if !matches!(inbox.body, InboxBody::Signal(_)) {
            let signal = unusable.signal(&self.context.keys, &quarantined);
            self.write(&Effect::Inbox(Box::new(signal)), None);
        }
    }
}

/// Every timer of every child, looked at one by one; the earliest first, then what is too old to be kept.
fn due(histories: &BTreeMap<SubjectKey, History>, at: Timestamp) -> Vec<(Timestamp, SubjectKey, Timer)> {
    let own = |rule: &str, due_at| Timer { due_at, rule: rule.to_owned(), event_id: String::new(), partner: None };
    let (mut due, mut folds) = (Vec::new(), Vec::new());
    for (subject, history) in histories {
        let escalation = history.tasks.iter().flat_map(|task| [task.escalate_at, task.complete_by]).flatten().min();
        let escalation = escalation.map(|due_at| own(ESCALATION, due_at));
        let timers = history.timers.iter().cloned().chain(escalation);
        due.extend(timers.map(|timer| (timer.due_at, *subject, timer)));
        folds.extend(history.fold_at.map(|due_at| (due_at, *subject, own(FOLD, due_at))));
    }
    due.sort();
    due.dedup();
    folds.sort();
    due.extend(folds);
    due.retain(|(due_at, _, _)| *due_at <= at);
    due.truncate(TIMERS_PER_TICK_MAX);
    due
}
