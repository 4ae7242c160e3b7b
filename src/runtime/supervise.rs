//! Supervision: lanes on named threads, started again with growing pauses when they fail, stopped in good order.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::lane::{self, LaneControl, LaneError, LaneWork};
use crate::broker::{Broker, BrokerError, Health, LaneBroker, LanePlan, LaneShare};
use crate::telemetry::metrics::Stage;
use crate::telemetry::readiness::Readiness;

/// Pause before a failed lane is started again; doubled for each failure that follows soon.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A lane that ran this long starts over with the shortest pause.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// How soon a pause notices a stop.
const GLANCE: Duration = Duration::from_millis(50);

/// One lane as the supervisor knows it.
pub struct LaneSeat {
    /// `intake-0`: the thread's name, and the reason it gives when the service is not ready.
    pub name: String,
    pub broker: Arc<dyn Broker>,
    pub stage: Stage,
    pub plan: LanePlan,
    pub share: LaneShare,
    pub control: LaneControl,
    pub readiness: Arc<Readiness>,
    /// Fresh work, with no state, for each start.
    pub work: Box<dyn Fn() -> Box<dyn LaneWork> + Send>,
}

/// Why a lane ended that was not told to.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Failed(LaneError),
    #[error("{0}")]
    Panicked(&'static str),
}

impl End {
    /// Where this router stood still, another took over; two of one name are told as that.
    fn is_as_it_should_be(&self) -> bool {
        matches!(self, Self::Failed(LaneError::Broker(BrokerError::Fenced)))
    }
}

/// Whether a lane works, that failed and was started again.
#[derive(Default)]
struct Doubt {
    is_there: Cell<bool>,
    /// Topics that it failed over.
    gone: RefCell<Vec<String>>,
}

impl Doubt {
    fn is_raised_by(&self, why: &End) {
        self.is_there.set(!why.is_as_it_should_be());
        let gone = match why {
            End::Failed(LaneError::Broker(BrokerError::Gone(topics))) => topics.clone(),
            End::Failed(_) | End::Panicked(_) => Vec::new(),
        };
        self.gone.replace(gone);
    }

    /// Topics that are gone are so for every lane, whoever reads what is to be written to them.
    fn is_mended(&self, broker: &dyn Broker) -> bool {
        let gone = self.gone.borrow();
        let are_there = |topics: Vec<String>| gone.iter().all(|topic| topics.contains(topic));
        gone.is_empty() || broker.reader().topics().is_ok_and(are_there)
    }
}

/// Starts a lane. Not ready until its partitions are restored.
pub fn start(seat: LaneSeat) -> Result<JoinHandle<()>, BrokerError> {
    seat.readiness.hold(&seat.name, "restoring its partitions");
    let thread = std::thread::Builder::new().name(seat.name.clone());
    thread
        .spawn(move || seat.keep_running())
        .map_err(|error| BrokerError::Storage(format!("a lane's thread could not be started: {error}")))
}

impl LaneSeat {
    fn keep_running(&self) {
        let mut pause = PAUSE_MIN;
        let doubt = Doubt::default();
        while !self.control.stop.load(Ordering::Acquire) {
            let started = Instant::now();
            self.stands_still();
            let failed = |why: &End| {
                let pause = if started.elapsed() > HEALTHY_AFTER { PAUSE_MIN } else { pause };
                doubt.is_raised_by(why);
                self.ended(why, pause);
            };
            let ended = catch_unwind(AssertUnwindSafe(|| self.run_once(&doubt, &failed))).unwrap_or_else(|_| {
                failed(&End::Panicked("it panicked when it was opened or closed"));
                false
            });
            if ended || self.control.stop.load(Ordering::Acquire) {
                break;
            }
            if let Health::Failed(_) = self.broker.health() {
                rest_until_stopped(&self.control.stop);
                break;
            }
            if started.elapsed() > HEALTHY_AFTER {
                pause = PAUSE_MIN;
            }
            rest(pause, &self.control.stop);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Says why a lane ended, before it is closed: to leave its group may take long, and must not look like work.
    fn ended(&self, why: &End, pause: Duration) {
        if self.control.stop.load(Ordering::Acquire) {
            return;
        }
        self.stands_still();
        let reason = why.to_string();
        if let Health::Failed(_) = self.broker.health() {
            // It said so itself, once: until it is mended and restarted no lane can do anything.
            tracing::debug!(lane = %self.name, %reason, "a lane stopped");
            return self.readiness.hold(&self.name, "waits for the log to be mended");
        }
        let pause_ms = pause.as_millis();
        if why.is_as_it_should_be() {
            tracing::warn!(lane = %self.name, %reason, pause_ms, "a lane stopped; it is started again");
        } else {
            tracing::error!(lane = %self.name, %reason, pause_ms, "a lane stopped; it is started again");
        }
        self.readiness.hold(&self.name, &reason);
    }

    fn stands_still(&self) {
        let LaneControl { metrics, clock, number, .. } = &self.control;
        metrics.waiting().stands_still(self.stage, *number, clock());
    }

    /// True: it was told to stop. Else `failed` is told why it ended, while its broker's part is still open. While there is
    /// `doubt` it stays not ready, for the reason that it failed.
    fn run_once(&self, doubt: &Doubt, failed: &dyn Fn(&End)) -> bool {
        let mut broker: Box<dyn LaneBroker> = match self.broker.lane(self.plan.clone(), self.share) {
            Ok(broker) => broker,
            Err(error) => {
                failed(&End::Failed(error.into()));
                return false;
            }
        };
        let mut work = (self.work)();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let is_mended = || doubt.is_mended(&*self.broker);
            let doubted: Option<&dyn Fn() -> bool> = if doubt.is_there.get() { Some(&is_mended) } else { None };
            lane::run(&mut *broker, &mut *work, &self.control, doubted, &|| {
                tracing::info!(lane = %self.name, "the lane reads");
                doubt.is_there.set(false);
                self.readiness.release(&self.name);
            })
        }));
        match ended {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => failed(&End::Failed(error)),
            Err(_) => failed(&End::Panicked("it panicked")),
        }
        false
    }
}

/// Waits, but no longer than until told to stop.
pub fn rest(pause: Duration, stop: &AtomicBool) {
    let until = Instant::now() + pause;
    while !stop.load(Ordering::Acquire) {
        let left = until.saturating_duration_since(Instant::now());
        if left == Duration::ZERO {
            return;
        }
        std::thread::sleep(left.min(GLANCE));
    }
}

fn rest_until_stopped(stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        rest(PAUSE_MAX, stop);
    }
}

/// Waits for threads to end, until the deadline. True when all have.
pub fn join(threads: &mut Vec<JoinHandle<()>>, deadline: Instant) -> bool {
    loop {
        let (ended, running): (Vec<_>, Vec<_>) = threads.drain(..).partition(JoinHandle::is_finished);
        for thread in ended {
            let _ = thread.join();
        }
        *threads = running;
        if threads.is_empty() || Instant::now() >= deadline {
            return threads.is_empty();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests;
