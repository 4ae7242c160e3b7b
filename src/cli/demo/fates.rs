//! What happened to every task of the simulated year: answered in time, late or never, and how it ended.

use std::collections::BTreeMap;

use crate::broker::{BrokerError, Reader};
use crate::engine::codec::decode;
use crate::engine::history::folding::TASKS_MAX;
use crate::engine::model::history::History;
use crate::engine::model::outcome::Outcome;
use crate::engine::model::scalar::Timestamp;
use crate::engine::model::task::Task;
use crate::engine::step::escalation::ESCALATION_RULE;
use crate::engine::step::outcome::REFUSED_RULE;
use crate::runtime::topics::HISTORY;

/// Records read from the histories at a time.
const CHUNK_RECORDS: usize = 10_000;

/// How a task may end, as its history says, in the order of the columns.
const ENDS: [(&str, &[&str]); 7] = [
    ("completed", &["completed"]),
    ("taken on", &["acknowledged", "accepted"]),
    ("declined", &["declined"]),
    ("disputed", &["challenged"]),
    ("recalled", &["recalled"]),
    ("replaced", &["superseded", "readdressed"]),
    ("open", &["raised"]),
];

#[derive(Default)]
pub struct Fates {
    sent: usize,
    tasks: BTreeMap<String, Fate>,
    /// The task that each outcome answers.
    answers: BTreeMap<String, String>,
    /// Answers that came too late for their task, as their agencies were told.
    refused: usize,
    /// Told for the daily digest: nobody has to answer.
    digest: usize,
    /// Published twice under one id.
    repeated: usize,
    unreadable: usize,
}

struct Fate {
    agency: String,
    answer_by: Timestamp,
    answered_at: Option<Timestamp>,
    is_rung: bool,
    /// The first rule that asked for it.
    asked_by: String,
    /// As the history of its child said last; None: it was never seen to remember the task.
    state: Option<String>,
    /// The history remembers it still.
    is_kept: bool,
}

/// One row: how many tasks, how they were answered, how they ended.
#[derive(Default, Clone)]
struct Row {
    tasks: usize,
    in_time: usize,
    late: usize,
    never: usize,
    ends: [usize; ENDS.len()],
    forgotten: usize,
}

impl Fates {
    pub fn sent(&mut self, count: usize) {
        self.sent += count;
    }

    /// Whether the task wants an answer: word that an answer was not applied wants none, nor does what is for the digest.
    pub fn raised(&mut self, task: &Task) -> bool {
        if task.reasons.iter().any(|reason| reason.rule == REFUSED_RULE) {
            self.refused += 1;
            return false;
        }
        if task.kind.is_some() {
            self.digest += 1;
            return false;
        }
        let fate = Fate {
            agency: task.agency.clone(),
            answer_by: task.acknowledge_by.unwrap_or(task.due_at),
            answered_at: None,
            asked_by: task.reasons.first().map_or(String::new(), |reason| reason.rule.clone()),
            is_rung: task.reasons.iter().any(|reason| reason.rule == ESCALATION_RULE),
            state: None,
            is_kept: false,
        };
        self.repeated += usize::from(self.tasks.insert(task.task_id.clone(), fate).is_some());
        true
    }

    pub fn will_answer(&mut self, outcome_id: &str, task_id: &str) {
        self.answers.insert(outcome_id.to_owned(), task_id.to_owned());
    }

    pub fn answered(&mut self, outcome: &Outcome) {
        let task = self.answers.get(&outcome.outcome_id).and_then(|task_id| self.tasks.get_mut(task_id));
        if let Some(fate) = task {
            fate.answered_at.get_or_insert(outcome.at);
        }
    }

    /// The state of every task, from the newest history of each child. What a history has forgotten since it was last read
    /// stays as it stood.
    pub fn read_histories(&mut self, reader: &dyn Reader) -> Result<(), BrokerError> {
        self.tasks.values_mut().for_each(|fate| fate.is_kept = false);
        for partition in 0..reader.partitions(HISTORY)? {
            let mut newest: BTreeMap<Vec<u8>, History> = BTreeMap::new();
            let (mut next, end) = (0, reader.end_offset(HISTORY, partition)?);
            while next < end {
                let records = reader.read(HISTORY, partition, next, CHUNK_RECORDS)?;
                next = records.last().map_or(end, |last| last.offset + 1);
                for record in records {
                    match decode(record.value.as_deref().unwrap_or_default()) {
                        Ok(history) => drop(newest.insert(record.key, history)),
                        Err(_) => self.unreadable += 1,
                    }
                }
            }
            for held in newest.values().flat_map(|history| &history.tasks) {
                if let Some(fate) = self.tasks.get_mut(&held.task_id) {
                    (fate.state, fate.is_kept) = (Some(held.state.clone()), true);
                }
            }
        }
        Ok(())
    }

    /// No task was published twice, and each was remembered by its child's history.
    pub fn all_accounted_for(&self) -> bool {
        self.repeated == 0 && self.tasks.values().all(|fate| fate.state.is_some())
    }

    /// Every task once, by agency; then the sums.
    pub fn table(&self) -> String {
        let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
        let mut all = Row::default();
        for fate in self.tasks.values() {
            rows.entry(&fate.agency).or_default().add(fate);
            all.add(fate);
        }
        let rungs = self.tasks.values().filter(|fate| fate.is_rung).count();
        let mut text = format!(
            "{} events sent; {} tasks, {rungs} of them rungs of a ladder; {} answers came when their \
task was over already, and were told so; {} words for the front door's daily digest.\n\n",
            self.sent, all.tasks, self.refused, self.digest
        );
        text.push_str(&format!("{:<24}{:>8} |{:>9}{:>8}{:>8} |", "agency", "tasks", "in time", "late", "never"));
        for (name, _) in ENDS {
            text.push_str(&format!("{name:>10}"));
        }
        text.push('\n');
        for (agency, row) in rows.iter().map(|(agency, row)| (*agency, row)).chain([("all", &all)]) {
            text.push_str(&row.line(agency));
        }
        text.push_str("\nAnswered: in time, late (after its clock) or never. Then how each task stood at the end.\n");
        let no_longer = || self.tasks.values().filter(|fate| fate.state.is_some() && !fate.is_kept);
        let open = no_longer().filter(|fate| fate.state.as_deref() == Some("raised")).count();
        if no_longer().count() > 0 {
            text.push_str(&format!(
                "{} of them (open: {open}) are remembered no longer, for a history keeps {TASKS_MAX} tasks: they stand as last \
seen.\n",
                no_longer().count()
            ));
        }
        if all.forgotten + self.repeated > 0 {
            let mut asked_by: BTreeMap<&str, usize> = BTreeMap::new();
            for fate in self.tasks.values().filter(|fate| fate.state.is_none()) {
                *asked_by.entry(&fate.asked_by).or_default() += 1;
            }
            text.push_str(&format!(
                "NOT ACCOUNTED FOR: {}, by the rule that asked for them: {asked_by:?}; published twice: {}; histories \
that could not be read: {}\n",
                all.forgotten, self.repeated, self.unreadable
            ));
        }
        text
    }
}

impl Row {
    fn add(&mut self, fate: &Fate) {
        self.tasks += 1;
        match fate.answered_at {
            Some(at) if at <= fate.answer_by => self.in_time += 1,
            Some(_) => self.late += 1,
            None => self.never += 1,
        }
        let state = fate.state.as_deref().unwrap_or_default();
        let column = ENDS.iter().zip(&mut self.ends).find(|((_, states), _)| states.contains(&state));
        match column {
            Some((_, count)) => *count += 1,
            None => self.forgotten += 1,
        }
    }

    fn line(&self, agency: &str) -> String {
        let Self { tasks, in_time, late, never, .. } = self;
        let ends: String = self.ends.iter().map(|count| format!("{count:>10}")).collect();
        format!("{agency:<24}{tasks:>8} |{in_time:>9}{late:>8}{never:>8} |{ends}\n")
    }
}
