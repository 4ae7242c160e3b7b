//! `demo`: a simulated partnership on a throw-away router, to watch referral events become tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use self::folder::DemoFolder;
use self::screen::Screen;
use self::senders::{Post, answer_all, print_how_to_try, send_all};
use self::watch::Shared;
use super::service::{RunningRouter, told_to_stop};
use super::{CliError, Ending, output};
use crate::broker::embedded::Expected;
use crate::engine::model::scalar::Timestamp;
use crate::simulate::{Simulated, generate};
use crate::telemetry::logging::{self, LogFormat, LogLevel};

mod fates;
mod folder;
mod screen;
mod senders;
mod tally;
mod watch;
mod year;

/// All is judged when the router has published nothing for so long.
const QUIET: Duration = Duration::from_millis(1500);
/// Without --events: how many are ready to trickle in, and how fast.
const TRICKLE_EVENTS: usize = 20_000;
const TRICKLE_PAUSE: Duration = Duration::from_millis(1500);
/// As many as a partnership of Cheshire East's size has.
const EVENTS_A_YEAR: u64 = 60_000;
const REDRAW: Duration = Duration::from_millis(150);

/// Watch a simulated partnership's referral events become tasks
#[derive(clap::Args)]
#[command(
    after_help = "Nothing is kept: folder, keys and tokens are thrown away at the end. All people are made up.\n\n\
Examples:\n  pathway-router demo --events 500 --seed 7   500 events, then a summary\n  \
pathway-router demo                         serves until Ctrl-C, with tokens to try things by hand"
)]
pub struct Arguments {
    /// How many events to send; without it the demo serves until Ctrl-C, and a year has 60,000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    events: Option<u64>,

    /// The same seed gives the same events
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Let a year pass on a clock of its own, with agencies that answer in time, late or never
    #[arg(long, conflicts_with = "kafka")]
    year: bool,

    /// Keep the log in this Apache Kafka instead of a file (it must be one for this demo alone)
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<Ending, CliError> {
    logging::start(LogFormat::Text, LogLevel::ERROR);
    if arguments.year {
        let events = arguments.events.unwrap_or(EVENTS_A_YEAR);
        return year::run(usize::try_from(events).unwrap_or(usize::MAX), arguments.seed);
    }
    let runtime = tokio::runtime::Runtime::new().map_err(CliError::failed)?;
    runtime.block_on(demo(arguments))
}

async fn demo(arguments: &Arguments) -> Result<Ending, CliError> {
    let (folder, config) = DemoFolder::create(arguments.kafka.as_deref())?;
    let folder = Arc::new(folder);
    let router = RunningRouter::start(&config, Expected::Either).await?;
    router.until_ready().await;
    let url = router.url(&config);
    let shared = Arc::new(Shared::default());
    let started = Instant::now();
    let post = Arc::new(Post {
        url: url.clone(),
        folder: folder.clone(),
        publisher: router.publisher(),
        shared: shared.clone(),
    });
    let helpers = start_helpers(&router, &post, started, arguments.seed);
    let (total, pause) = match arguments.events {
        Some(events) => (usize::try_from(events).unwrap_or(usize::MAX), Duration::ZERO),
        None => {
            print_how_to_try(&url, &folder);
            (TRICKLE_EVENTS, TRICKLE_PAUSE)
        }
    };
    let now = Timestamp::from_jiff(jiff::Timestamp::now());
    let senders = start_senders(&post, generate(arguments.seed, total, now), pause);
    let screen = Screen::new(arguments.events);
    let sending = watch_until_done(&shared, &senders, &screen, started, arguments.events).await;
    shared.stop.store(true, Ordering::Release);
    for thread in senders.into_iter().chain(helpers) {
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
    screen.finish(&shared.tally());
    output::line(format_args!("\n{}", shared.tally().summary(sending)));
    drop(post);
    let stopped = router.stop().await;
    let complete = stopped.is_ok() && shared.tally().failed == 0;
    Ok(if complete { Ending::Clean } else { Ending::FoundSomething })
}

/// Whoever follows what is published, and the agencies that answer.
fn start_helpers(router: &RunningRouter, post: &Arc<Post>, started: Instant, seed: u64) -> Vec<JoinHandle<()>> {
    let (tasks, received) = channel();
    let (reader, shared) = (router.reader(), post.shared.clone());
    let follower = thread::spawn(move || watch::follow(&*reader, &shared, started, &tasks));
    let post = post.clone();
    let agencies = thread::spawn(move || answer_all(&post, &received, seed));
    vec![follower, agencies]
}

/// One thread a partner, so that what one sends stays in order; a trickle comes from one thread.
fn start_senders(post: &Arc<Post>, events: Vec<Simulated>, pause: Duration) -> Vec<JoinHandle<()>> {
    let mut by_partner: BTreeMap<&'static str, Vec<Simulated>> = BTreeMap::new();
    for event in events {
        let lane = if pause.is_zero() { event.partner } else { "all" };
        by_partner.entry(lane).or_default().push(event);
    }
    let start = |events: Vec<Simulated>| {
        let post = post.clone();
        thread::spawn(move || send_all(&post, &events, pause))
    };
    by_partner.into_values().map(start).collect()
}

/// Redraws until everything sent is judged, or Ctrl-C; how long the sending took.
async fn watch_until_done(
    shared: &Arc<Shared>,
    senders: &[JoinHandle<()>],
    screen: &Screen,
    started: Instant,
    events: Option<u64>,
) -> Duration {
    let stop = told_to_stop();
    tokio::pin!(stop);
    let mut sent_after = None;
    loop {
        tokio::select! {
            () = &mut stop => break,
            () = tokio::time::sleep(REDRAW) => {}
        }
        screen.draw(&shared.tally(), started.elapsed());
        if events.is_some() && senders.iter().all(JoinHandle::is_finished) {
            sent_after.get_or_insert_with(|| started.elapsed());
            if shared.quiet_for(started) > QUIET {
                break;
            }
        }
    }
    sent_after.unwrap_or_else(|| started.elapsed())
}
