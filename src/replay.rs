//! Driving the engine without a broker: decide, scenarios, what-if.

use std::collections::VecDeque;

use crate::engine::codec;
use crate::engine::context::{Context, RuleBooks, StepError};
use crate::engine::identity::Keys;
use crate::engine::intake::standing::Agencies;
use crate::engine::intake::{self, IncomingRecord, IntakeContext, Partner, Partners, Said};
use crate::engine::model::decision::Decision;
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::feedback::Feedback;
use crate::engine::model::history::{Entry, History};
use crate::engine::model::inbox::{InboxBody, InboxRecord};
use crate::engine::model::outcome::Outcome;
use crate::engine::model::quarantine::Quarantined;
use crate::engine::model::scalar::Timestamp;
use crate::engine::model::task::Task;
use crate::engine::seal::Sealer;
use crate::engine::state::State;
use crate::engine::step::{Effect, Step, catch_up, drop_timer, notice_book, step, step_timer};

pub mod coverage;
pub mod expected;
pub mod report;
pub mod scenario;
pub mod wall_time;

/// The key of commands that are given none. It is public: what it makes means nothing elsewhere.
const PUBLIC_TEST_SECRET: [u8; 32] = *b"public test key, no partnership!";

/// Timers fired at one instant before the next; far more than one subject's worth.
const TIMERS_MAX: usize = 10_000;

/// One partition of the router in memory, given events and time by hand.
#[derive(Debug)]
pub struct Replay {
    context: Context,
    partners: Partners,
    state: State,
    /// Names of the rule books' agencies: a partner of that name is that agency unless configured otherwise.
    agencies: Agencies,
    allow_backfill: bool,
    offset: i64,
    /// The last instant at which a book took effect that was looked at.
    noticed: Timestamp,
}

/// Everything that came of some input, in order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Results {
    pub tasks: Vec<Task>,
    pub decisions: Vec<Decision>,
    pub feedback: Vec<Feedback>,
    pub quarantined: Vec<Quarantined>,
    /// What steps wrote back to the inbox; what comes of it is among the others.
    pub sent_on: Vec<InboxRecord>,
    /// What could not be judged, and was left out: a running router would have put it into quarantine.
    pub failed: Vec<Failed>,
}

/// A record, or a clock that ran out, that could not be judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// The event, or the one the clock ran from.
    pub event_id: Option<String>,
    pub problem: String,
}

/// What the replay is asked to use beside the rule books.
#[derive(Debug)]
pub struct ReplayOptions {
    pub keys: Keys,
    pub sealer: Sealer,
    pub partners: Partners,
    pub allow_backfill: bool,
}

impl Default for ReplayOptions {
    /// The public test key, and any partner.
    fn default() -> Self {
        Self {
            keys: Keys::from_secret(&PUBLIC_TEST_SECRET),
            sealer: Sealer::from_secret(&PUBLIC_TEST_SECRET),
            partners: Partners::new(),
            allow_backfill: false,
        }
    }
}

/// Why the replay could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Step(#[from] StepError),
    #[error("the event could not be written: {0}")]
    Codec(#[from] codec::CodecError),
}

impl Replay {
    /// An empty partition under these books; the earliest stands in for the time before it.
    pub fn new(books: RuleBooks, options: ReplayOptions) -> Self {
        let agencies = Agencies::of(books.all().map(|book| &book.rules));
        let context = Context {
            books,
            keys: options.keys,
            sealer: options.sealer,
            covered_since: None,
            front_door_phone: None,
            panic_on: None,
        };
        let (partners, allow_backfill) = (options.partners, options.allow_backfill);
        Self {
            context,
            partners,
            state: State::default(),
            agencies,
            allow_backfill,
            offset: 0,
            noticed: Timestamp(i64::MIN),
        }
    }

    /// Everything that is remembered, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.state.histories().flat_map(|history| &history.entries).map(AsRef::as_ref)
    }

    /// What is remembered of every subject, in no order.
    pub fn histories(&self) -> impl Iterator<Item = &History> {
        self.state.histories().map(AsRef::as_ref)
    }

    /// Goes on as after a restart, with every history as `kept` gives it back.
    pub fn restart(&mut self, kept: impl Fn(&History) -> History) {
        let mut state = State::default();
        for (subject, history) in self.state.by_subject() {
            state.restore(subject, kept(history));
        }
        catch_up(&self.context, &mut state);
        let at = state.last_receipt();
        notice_book(&self.context, &mut state, at);
        (self.state, self.noticed) = (state, at);
    }

    /// Goes on as after a restart with other books.
    pub fn restart_with(&mut self, books: RuleBooks, kept: impl Fn(&History) -> History) {
        self.context.books = books;
        self.restart(kept);
    }

    /// Says from when on histories are complete.
    pub fn covered_since(&mut self, since: Timestamp) {
        self.context.covered_since = Some(since);
    }

    /// Says where the front door is rung.
    pub fn front_door_phone(&mut self, phone: &str) {
        self.context.front_door_phone = Some(phone.to_owned());
    }

    /// Lets time pass up to `receipt`, then takes in an event of the partner it names.
    pub fn submit(&mut self, event: &ReferralEvent, receipt: Timestamp) -> Result<Results, ReplayError> {
        let mut results = self.pass_time(receipt.plus_millis(-1))?;
        results.extend(self.submit_between_ticks(event, receipt)?);
        Ok(results)
    }

    /// Takes in an event though what is due waits for a tick still, as after the router was down.
    pub fn submit_between_ticks(&mut self, event: &ReferralEvent, receipt: Timestamp) -> Result<Results, ReplayError> {
        let value = codec::encode(event)?;
        self.receive(Said::Event, (&event.source.partner, Some(&event.source.unit)), receipt, &value)
    }

    /// Lets time pass up to `receipt`, then takes in an agency's answer, or the disagreement of a partner that is none.
    pub fn answer(
        &mut self,
        agency: &str,
        unit: Option<&str>,
        outcome: &Outcome,
        receipt: Timestamp,
    ) -> Result<Results, ReplayError> {
        let mut results = self.pass_time(receipt.plus_millis(-1))?;
        results.extend(self.answer_between_ticks(agency, unit, outcome, receipt)?);
        Ok(results)
    }

    /// Takes in an agency's answer though what is due waits for a tick still.
    pub fn answer_between_ticks(
        &mut self,
        agency: &str,
        unit: Option<&str>,
        outcome: &Outcome,
        receipt: Timestamp,
    ) -> Result<Results, ReplayError> {
        let said = if self.agencies.names.contains(agency) { Said::Answer } else { Said::Disagreement };
        let value = codec::encode(outcome)?;
        self.receive(said, (agency, unit), receipt, &value)
    }

    /// Fires every timer due up to and at `until`, each at the instant it is due. A book that takes effect meanwhile is
    /// noticed then.
    pub fn pass_time(&mut self, until: Timestamp) -> Result<Results, ReplayError> {
        let mut results = Results::default();
        loop {
            let change = self.context.books.next_change(self.noticed).filter(|change| *change <= until);
            let timer = self.state.next_timer().filter(|due_at| *due_at <= until);
            match (change, timer) {
                (Some(change), timer) if timer.is_none_or(|due_at| change <= due_at) => {
                    self.noticed = change;
                    notice_book(&self.context, &mut self.state, change);
                }
                (_, Some(due_at)) => self.fire(due_at, &mut results)?,
                (_, None) => return Ok(results),
            }
        }
    }

    /// One tick: all that is due by then is fired now, as after the router was down.
    pub fn tick(&mut self, at: Timestamp) -> Result<Results, ReplayError> {
        let mut results = Results::default();
        self.fire(at, &mut results)?;
        Ok(results)
    }

    fn fire(&mut self, due_at: Timestamp, results: &mut Results) -> Result<(), ReplayError> {
        let at = due_at.max(self.state.last_receipt());
        for (subject, timer) in self.state.due_timers(due_at, TIMERS_MAX) {
            let step = match step_timer(&self.context, &self.state, subject, &timer, at) {
                Ok(step) => step,
                Err(error) => {
                    results.fail(Some(timer.event_id.clone()).filter(|id| !id.is_empty()), error)?;
                    drop_timer(&self.context, &self.state, subject, &timer, at)
                }
            };
            self.apply(step, results)?;
        }
        Ok(())
    }

    fn receive(
        &mut self,
        said: Said,
        (sender, unit): (&str, Option<&str>),
        receipt: Timestamp,
        value: &[u8],
    ) -> Result<Results, ReplayError> {
        let mut results = Results::default();
        self.know(sender);
        let topic = format!("{}.{sender}", if said == Said::Event { "referrals" } else { "outcomes" });
        let accepted = intake::take_in(&self.intake(), &self.incoming(&topic, sender, unit, receipt, value), said);
        self.take_in(accepted, &mut results)?;
        Ok(results)
    }

    fn know(&mut self, sender: &str) {
        let agency = self.agencies.names.contains(sender).then(|| sender.to_owned());
        self.partners.entry(sender.to_owned()).or_insert(Partner { agency, units: None });
    }

    fn intake(&self) -> IntakeContext<'_> {
        IntakeContext {
            keys: &self.context.keys,
            sealer: &self.context.sealer,
            partners: &self.partners,
            agencies: &self.agencies,
            front_door_phone: self.context.front_door_phone.as_deref(),
        }
    }

    fn incoming<'r>(
        &self,
        topic: &'r str,
        sender: &'r str,
        unit: Option<&'r str>,
        receipt: Timestamp,
        value: &'r [u8],
    ) -> IncomingRecord<'r> {
        let allow_backfill = self.allow_backfill;
        IncomingRecord {
            topic,
            partition: 0,
            offset: self.offset,
            receipt,
            sender,
            by_gateway: unit.is_some(),
            unit,
            headers: &[],
            fault: None,
            value,
            allow_backfill,
        }
    }

    fn take_in(&mut self, accepted: intake::Accepted, results: &mut Results) -> Result<(), ReplayError> {
        self.offset += 1;
        results.quarantined.extend(accepted.quarantined);
        results.feedback.extend(accepted.feedback);
        for record in accepted.inbox {
            self.judge(&record, results)?;
        }
        Ok(())
    }

    fn judge(&mut self, record: &InboxRecord, results: &mut Results) -> Result<(), ReplayError> {
        match step(&self.context, &self.state, record) {
            Ok(step) => self.apply(step, results),
            Err(error) => results.fail(event_of(record), error),
        }
    }

    /// Applies a step, and whatever it writes back to the inbox after it.
    fn apply(&mut self, first: Step, results: &mut Results) -> Result<(), ReplayError> {
        let mut waiting: VecDeque<InboxRecord> = VecDeque::new();
        let mut next = Some(first);
        while let Some(done) = next {
            self.state.stage(done.delta);
            self.state.commit();
            for effect in done.effects {
                match effect {
                    Effect::Task(task, _) => results.tasks.push(*task),
                    Effect::Decision(decision) => results.decisions.push(*decision),
                    Effect::Feedback(feedback) => results.feedback.push(feedback),
                    Effect::Inbox(record) => {
                        results.sent_on.push((*record).clone());
                        waiting.push_back(*record);
                    }
                }
            }
            next = None;
            while let Some(record) = waiting.pop_front() {
                match step(&self.context, &self.state, &record) {
                    Ok(step) => {
                        next = Some(step);
                        break;
                    }
                    Err(error) => results.fail(event_of(&record), error)?,
                }
            }
        }
        Ok(())
    }
}

fn event_of(record: &InboxRecord) -> Option<String> {
    match &record.body {
        InboxBody::Referral(referral) => Some(referral.event.event_id.clone()),
        InboxBody::Alias(alias) => Some(alias.event_id.clone()),
        InboxBody::Outcome(_) | InboxBody::Forward(_) | InboxBody::Signal(_) | InboxBody::Tick(_) => None,
    }
}

impl Results {
    /// Adds what came later.
    pub fn extend(&mut self, later: Results) {
        self.tasks.extend(later.tasks);
        self.decisions.extend(later.decisions);
        self.feedback.extend(later.feedback);
        self.quarantined.extend(later.quarantined);
        self.sent_on.extend(later.sent_on);
        self.failed.extend(later.failed);
    }

    /// Notes what a running router would put into quarantine; what would stop it, stops here too.
    fn fail(&mut self, event_id: Option<String>, error: StepError) -> Result<(), ReplayError> {
        match error {
            StepError::NoBookInForce => Err(error.into()),
            StepError::TooManyHops | StepError::Calendar(_) => {
                self.failed.push(Failed { event_id, problem: error.to_string() });
                Ok(())
            }
        }
    }
}
