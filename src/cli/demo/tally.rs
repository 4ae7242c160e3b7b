//! What the demo counts, and the summary it closes with.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::engine::calendar::instant_in_words;
use crate::engine::model::decision::{Decision, Disposition, Trigger};
use crate::engine::model::quarantine::Quarantined;
use crate::engine::model::task::Task;

/// How many of the last tasks the live table shows.
pub const TASKS_SHOWN: usize = 12;
const WHY_WIDTH: usize = 110;

/// Everything seen so far.
#[derive(Default)]
pub struct Tally {
    pub accepted: usize,
    pub refused: usize,
    /// Sent past the gateway, and unreadable.
    pub unreadable: usize,
    /// Could not be sent.
    pub failed: usize,
    pub answered: usize,
    pub tasks: usize,
    /// One line each, oldest first.
    pub last_tasks: VecDeque<String>,
    by_agency: BTreeMap<String, usize>,
    by_level: BTreeMap<&'static str, usize>,
    dispositions: BTreeMap<&'static str, usize>,
    rules: BTreeMap<String, usize>,
    quarantined: BTreeMap<&'static str, usize>,
    escalations: usize,
    feedback: usize,
}

impl Tally {
    pub fn sent(&self) -> usize {
        self.accepted + self.refused + self.unreadable + self.failed
    }

    pub fn task(&mut self, task: &Task) {
        self.tasks += 1;
        *self.by_agency.entry(task.agency.clone()).or_default() += 1;
        self.last_tasks.push_back(row(task));
        if self.last_tasks.len() > TASKS_SHOWN {
            self.last_tasks.pop_front();
        }
    }

    pub fn decision(&mut self, decision: &Decision) {
        match decision.trigger {
            Trigger::Event => {
                *self.dispositions.entry(words(decision.disposition)).or_default() += 1;
                let level = decision.event_level.map_or("no level", |level| level.symbol());
                *self.by_level.entry(level).or_default() += 1;
            }
            Trigger::Timer => self.escalations += decision.tasks.len(),
            Trigger::Outcome | Trigger::Alias | Trigger::Forward | Trigger::Signal | Trigger::Unknown => {}
        }
        for fired in &decision.fired {
            *self.rules.entry(fired.rule.clone()).or_default() += 1;
        }
    }

    pub fn quarantined(&mut self, record: &Quarantined) {
        *self.quarantined.entry(record.reason.symbol()).or_default() += 1;
    }

    pub fn feedback(&mut self) {
        self.feedback += 1;
    }

    /// How many records ended in quarantine.
    pub fn in_quarantine(&self) -> usize {
        self.quarantined.values().sum()
    }

    /// What came of it all, in lines.
    pub fn summary(&self, sending: Duration) -> String {
        let sent = self.sent();
        let rate = rate(sent, sending);
        let mut text = format!(
            "Events in        {sent} in {:.1} s ({rate} a second): {} accepted, {} refused at the door, {} unreadable\n",
            sending.as_secs_f64(),
            self.accepted,
            self.refused,
            self.unreadable,
        );
        let mut row = |name: &str, values: String| text.push_str(&format!("{name:<16} {values}\n"));
        if self.failed > 0 {
            row("Not sent", self.failed.to_string());
        }
        row("What became", listed(&self.dispositions));
        row("Proposed levels", listed(&self.by_level));
        row("Tasks", format!("{}: {}", self.tasks, listed(&self.by_agency)));
        row("Rules fired", listed(&self.rules));
        row("Quarantined", format!("{}: {}", self.in_quarantine(), listed(&self.quarantined)));
        row("Raised by time", format!("{} tasks, because a deadline passed", self.escalations));
        row("Answers", format!("{} by agencies; {} feedback messages to senders", self.answered, self.feedback));
        text
    }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for display")]
fn rate(count: usize, time: Duration) -> u64 {
    (count as f64 / time.as_secs_f64().max(0.001)) as u64
}

fn listed<K: std::fmt::Display>(counts: &BTreeMap<K, usize>) -> String {
    let listed: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if listed.is_empty() { "none".to_owned() } else { listed.join(", ") }
}

fn words(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Judged => "judged",
        Disposition::Retransmission => "sent twice",
        Disposition::Duplicate => "told by two",
        Disposition::Forwarded => "passed to a stronger key",
        Disposition::Backfilled => "history only",
        Disposition::AwaitingOriginal => "waiting for the original",
        Disposition::Refused => "not applied",
        Disposition::Unknown => "other",
    }
}

/// The columns of the live table.
pub fn heading() -> String {
    format!("{:<5} {:<26} {:<33} {}", "LEVEL", "TO", "BY", "WHAT, AND WHY")
}

fn row(task: &Task) -> String {
    let level = task.level.map_or("", |level| level.symbol());
    let unit = task.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
    let to = format!("{}{unit}", task.agency);
    let why = task.reasons.first().map_or("", |reason| reason.why.as_str());
    let what: String = format!("{}: {why}", task.action).chars().take(WHY_WIDTH).collect();
    format!("{level:<5} {to:<26} {:<33} {what}", instant_in_words(task.due_at))
}
