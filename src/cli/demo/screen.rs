//! The demo's screen: on a terminal a live table and a progress bar, else a plain line now and then.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::tally::{TASKS_SHOWN, Tally, heading};
use crate::cli::output;

/// On no terminal: a line this often.
const PLAIN_EVERY: Duration = Duration::from_secs(2);

pub enum Screen {
    Terminal { rows: Vec<ProgressBar>, bar: ProgressBar, all: MultiProgress },
    Plain { next: Cell<Duration>, events: Option<u64> },
}

impl Screen {
    /// `events`: how many will be sent; None: until someone stops it.
    pub fn new(events: Option<u64>) -> Self {
        if !std::io::stdout().is_terminal() || !std::io::stderr().is_terminal() {
            return Self::Plain { next: Cell::new(Duration::ZERO), events };
        }
        let all = MultiProgress::new();
        let line = || all.add(ProgressBar::new(0).with_style(style("{wide_msg}")));
        let title = line();
        title.set_message(heading());
        title.tick();
        let mut rows = vec![title];
        rows.extend((0..TASKS_SHOWN).map(|_| line()));
        let bar = match events {
            Some(events) => ProgressBar::new(events).with_style(style("{bar:30} {pos}/{len} events  {msg}")),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {pos} events  {msg}")),
        };
        Self::Terminal { rows, bar: all.add(bar), all }
    }

    pub fn draw(&self, tally: &Tally, elapsed: Duration) {
        let sent = u64::try_from(tally.sent()).unwrap_or(u64::MAX);
        let counts = format!("{} tasks, {} in quarantine", tally.tasks, tally.in_quarantine());
        match self {
            Self::Terminal { rows, bar, .. } => {
                for (row, task) in rows.iter().skip(1).zip(&tally.last_tasks) {
                    row.set_message(task.clone());
                }
                bar.set_position(sent);
                bar.set_message(counts);
                bar.tick();
            }
            Self::Plain { next, events } if elapsed >= next.get() => {
                next.set(elapsed + PLAIN_EVERY);
                let of = events.map(|events| format!(" of {events}")).unwrap_or_default();
                output::line(format_args!("{sent}{of} events, {counts}"));
            }
            Self::Plain { .. } => {}
        }
    }

    /// Takes the live table away and leaves the last tasks as lines.
    pub fn finish(&self, tally: &Tally) {
        if let Self::Terminal { all, rows, bar } = self {
            for row in rows.iter().chain([bar]) {
                row.finish_and_clear();
            }
            let _ = all.clear();
        }
        output::line(format_args!("\nThe last tasks:\n{}", heading()));
        for task in &tally.last_tasks {
            output::line(task);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
