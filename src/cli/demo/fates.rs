//! What happened to every task of the simulated year, counted from what was published: tasks, and decisions that say how they
//! stand. What the histories remember at the end must agree.

use std::collections::BTreeMap;

use crate::engine::history::TOLD;
use crate::engine::model::decision::Decision;
use crate::engine::model::history::History;
use crate::engine::model::outcome::Outcome;
use crate::engine::model::scalar::Timestamp;
use crate::engine::model::task::{Task, WORD};
use crate::engine::step::deadlines::forgotten::FORGOTTEN;
use crate::engine::step::deadlines::ladder::ESCALATION_RULE;
use crate::engine::step::deadlines::overdue::OVERDUE_RULE;
use crate::engine::step::outcomes::outcome::REFUSED_RULE;

#[cfg(test)]
mod tests;

/// The state of a task that nobody has said anything about.
const RAISED: &str = "raised";
/// How a task may stand, in the order of the columns.
const STATES: [(&str, &[&str]); 10] = [
    ("completed", &["completed"]),
    ("taken on", &["acknowledged", "accepted"]),
    ("declined", &["declined"]),
    ("disputed", &["challenged"]),
    ("recalled", &["recalled"]),
    ("replaced", &["superseded", "readdressed"]),
    ("open", &[RAISED]),
    ("forgotten", &[FORGOTTEN]),
    ("digest", &[TOLD]),
    ("word", &[WORD]),
];

/// Rules listed of those that asked for most tasks.
const RULES_LISTED: usize = 12;

#[derive(Default)]
pub struct Fates {
    sent: usize,
    tasks: BTreeMap<String, Fate>,
    /// The task that each outcome answers.
    answers: BTreeMap<String, String>,
    /// Answers to a task that was over already, as their agencies were told.
    refused: usize,
    /// What decisions said of tasks that have not been read yet: another lane may publish between two topics' reading.
    early: BTreeMap<String, Early>,
    faults: Faults,
}

/// What decisions said of a task before it was read.
#[derive(Default)]
struct Early {
    raised: usize,
    state: Option<String>,
}

/// What does not add up.
#[derive(Default)]
struct Faults {
    unreadable: usize,
    /// Published twice under one id.
    repeated: usize,
    /// Decisions that raise, or change, a task which was never published.
    unpublished: usize,
    /// Published, and raised by no decision.
    undecided: usize,
    /// Raised by more than one decision.
    raised_again: usize,
    /// In a state that has no column.
    unnamed: usize,
    /// Remembered otherwise than the decisions say, by what they say and what is remembered.
    disagreeing: BTreeMap<(String, String), usize>,
}

struct Fate {
    agency: String,
    answer_by: Timestamp,
    answered_at: Option<Timestamp>,
    is_rung: bool,
    /// The first rule that asked for it.
    asked_by: String,
    /// As the decisions have said so far.
    state: String,
    /// How many decisions raised it.
    raised: usize,
    /// The unanswered task that it is about.
    chases: Vec<String>,
}

/// One row: how many tasks, how they were answered, how they stand.
#[derive(Default, Clone)]
struct Row {
    tasks: usize,
    in_time: usize,
    late: usize,
    never: usize,
    states: [usize; STATES.len()],
}

impl Fates {
    pub fn sent(&mut self, count: usize) {
        self.sent += count;
    }

    pub fn unreadable(&mut self) {
        self.faults.unreadable += 1;
    }

    /// Whether the task wants an answer, as it says itself.
    pub fn published(&mut self, task: &Task) -> bool {
        let by = |rule: &str| task.reasons.iter().any(|reason| reason.rule == rule);
        self.refused += usize::from(by(REFUSED_RULE));
        let is_rung = by(ESCALATION_RULE) || by(OVERDUE_RULE);
        let state = match task.kind.as_deref() {
            None => RAISED,
            Some(WORD) => WORD,
            Some(_) => TOLD,
        };
        let chased = task.follows.iter().chain(task.follows_also.iter().flatten());
        let early = self.early.remove(&task.task_id).unwrap_or_default();
        let wants_answer = state == RAISED;
        let fate = Fate {
            agency: task.agency.clone(),
            answer_by: task.acknowledge_by.unwrap_or(task.due_at),
            answered_at: None,
            asked_by: task.reasons.first().map_or(String::new(), |reason| reason.rule.clone()),
            is_rung,
            raised: early.raised,
            state: early.state.unwrap_or_else(|| state.to_owned()),
            chases: if is_rung { chased.cloned().collect() } else { Vec::new() },
        };
        self.faults.repeated += usize::from(self.tasks.insert(task.task_id.clone(), fate).is_some());
        wants_answer
    }

    /// Takes note of what a decision raised and changed.
    pub fn decided(&mut self, decision: &Decision) {
        for raised in &decision.tasks {
            match self.tasks.get_mut(&raised.task_id) {
                Some(fate) => fate.raised += 1,
                None => self.early.entry(raised.task_id.clone()).or_default().raised += 1,
            }
        }
        for change in &decision.task_changes {
            match self.tasks.get_mut(&change.task_id) {
                Some(fate) => fate.state.clone_from(&change.state),
                None => self.early.entry(change.task_id.clone()).or_default().state = Some(change.state.clone()),
            }
        }
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

    /// Compares what was counted with what the histories remember: each task they hold stands as the decisions said, and
    /// each that is open by the decisions is held.
    pub fn compare<'h>(&mut self, histories: impl Iterator<Item = &'h History>) {
        let held: BTreeMap<&str, &str> = histories
            .flat_map(|history| &history.tasks)
            .map(|task| (task.task_id.as_str(), task.state.as_str()))
            .collect();
        for (task_id, fate) in &self.tasks {
            let is_open = matches!(fate.state.as_str(), RAISED | "acknowledged" | "accepted" | "challenged");
            let remembered = match held.get(task_id.as_str()) {
                Some(state) => *state,
                None if is_open => "nothing",
                None => continue,
            };
            if remembered != fate.state {
                *self.faults.disagreeing.entry((fate.state.clone(), remembered.to_owned())).or_default() += 1;
            }
        }
        self.faults.unpublished = self.early.len();
        self.faults.unpublished += held.keys().filter(|task_id| !self.tasks.contains_key(**task_id)).count();
        self.faults.undecided = self.tasks.values().filter(|fate| fate.raised == 0).count();
        self.faults.raised_again = self.tasks.values().filter(|fate| fate.raised > 1).count();
        let named = |fate: &&Fate| STATES.iter().any(|(_, states)| states.contains(&fate.state.as_str()));
        self.faults.unnamed = self.tasks.len() - self.tasks.values().filter(named).count();
    }

    /// Every task was published once, raised by a decision, and stands as decisions and histories say alike.
    pub fn all_accounted_for(&self) -> bool {
        self.faults.are_none()
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
            "{} events sent; {} tasks published, {rungs} of them rungs of a ladder; {} answers came when their task was over \
already, and were told so.\n\n",
            self.sent, all.tasks, self.refused
        );
        text.push_str(&format!("{:<24}{:>8} |{:>8}{:>8}{:>8} |", "agency", "tasks", "in time", "late", "never"));
        for (name, _) in STATES {
            text.push_str(&format!("{name:>10}"));
        }
        text.push('\n');
        for (agency, row) in rows.iter().map(|(agency, row)| (*agency, row)).chain([("all", &all)]) {
            text.push_str(&row.line(agency));
        }
        text.push_str(
            "\nAnswered: in time, late (after its clock) or never; digest and word ask for no answer. Then how each task stood \
at the end: the columns sum to the tasks.\n",
        );
        text.push_str(&self.by_rule());
        text.push_str(&self.faults.in_words());
        text
    }

    /// Which rules asked for most tasks, and how many rungs those led to.
    fn by_rule(&self) -> String {
        let mut by_rule: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let mut told = 0;
        let mut chased: BTreeMap<&str, usize> = BTreeMap::new();
        for fate in self.tasks.values().filter(|fate| !fate.is_rung) {
            by_rule.entry(&fate.asked_by).or_default().0 += 1;
        }
        for rung in self.tasks.values().filter(|fate| fate.is_rung) {
            told += 1;
            let first = rung.chases.first().and_then(|task_id| self.tasks.get(task_id));
            if let Some(first) = first {
                by_rule.entry(&first.asked_by).or_default().1 += 1;
            }
            for task_id in &rung.chases {
                *chased.entry(task_id).or_default() += 1;
            }
        }
        let mut most: Vec<(&str, (usize, usize))> = by_rule.into_iter().collect();
        most.sort_by_key(|(rule, (tasks, _))| (std::cmp::Reverse(*tasks), *rule));
        let listed: Vec<String> =
            most.iter().take(RULES_LISTED).map(|(rule, (tasks, rungs))| format!("{rule} {tasks} ({rungs})")).collect();
        format!(
            "\nAsked for most often, by the first rule that asked (and the rungs that silence brought): {}.\n{told} rungs chase \
{} tasks; at most {} chase one.\n",
            listed.join(", "),
            chased.len(),
            chased.values().max().unwrap_or(&0)
        )
    }
}

impl Faults {
    fn are_none(&self) -> bool {
        let Self { unreadable, repeated, unpublished, undecided, raised_again, unnamed, disagreeing } = self;
        unreadable + repeated + unpublished + undecided + raised_again + unnamed == 0 && disagreeing.is_empty()
    }

    fn in_words(&self) -> String {
        let Self { unreadable, repeated, unpublished, undecided, raised_again, unnamed, disagreeing } = self;
        if self.are_none() {
            return "Every task was published once, raised by one decision, and stands as decisions and histories say \
alike.\n"
                .to_owned();
        }
        format!(
            "NOT ACCOUNTED FOR: published twice: {repeated}; raised or changed, and never published: {unpublished}; published, \
and raised by no decision: {undecided}; raised by more than one: {raised_again}; in a state without a column: {unnamed}; by the decisions so and remembered otherwise: \
{disagreeing:?}; records that could not be read: {unreadable}\n"
        )
    }
}

impl Row {
    fn add(&mut self, fate: &Fate) {
        self.tasks += 1;
        match fate.answered_at {
            _ if matches!(fate.state.as_str(), TOLD | WORD) => {}
            Some(at) if at <= fate.answer_by => self.in_time += 1,
            Some(_) => self.late += 1,
            None => self.never += 1,
        }
        let column = STATES.iter().zip(&mut self.states).find(|((_, states), _)| states.contains(&fate.state.as_str()));
        if let Some((_, count)) = column {
            *count += 1;
        }
    }

    fn line(&self, agency: &str) -> String {
        let Self { tasks, in_time, late, never, .. } = self;
        let states: String = self.states.iter().map(|count| format!("{count:>10}")).collect();
        format!("{agency:<24}{tasks:>8} |{in_time:>8}{late:>8}{never:>8} |{states}\n")
    }
}
