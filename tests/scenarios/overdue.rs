//! A return home interview that is owed and not held reaches a person once, whatever happened meanwhile, and however often the
//! router came back: with what it kept, or with what an earlier release did.

use std::sync::Arc;

use pathway_router::engine::cloud_event;
use pathway_router::engine::codec;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::codes::OutcomeKind;
use pathway_router::engine::model::history::History;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::rules;
use pathway_router::replay::{Replay, ReplayOptions, Results};
use serde_json::{Value, json};

use crate::files::{shipped, sources};
use crate::kit::{HOUR, START, id, outcome, written};

const CHILD: &str = "9990000018";
const TEAM_MANAGER: &str = "voluntary/team-manager";
const MANAGER: &str = "social-care/manager";

/// What happens, at an hour from the start.
#[derive(Clone)]
enum What {
    /// Came back so many hours ago; the reference of the absence.
    Returned(i64, &'static str),
    Interviewed(&'static str),
    /// To the interview that was asked for so many-th.
    Answered(usize, OutcomeKind),
    Status(Value),
    Decided(Value),
    /// The first event was about another child.
    Withdrawn,
}

struct Run {
    replay: Replay,
    events: usize,
    asked: Vec<Task>,
    /// Hour and recipient of each word that it is overdue.
    told: Vec<(i64, String)>,
}

/// The shipped book, with something in it put otherwise.
fn books(changes: &[(&str, &str, &str)]) -> RuleBooks {
    let mut files = sources(&shipped());
    for (name, before, after) in changes {
        let file = files.iter_mut().find(|file| file.name == *name).unwrap();
        assert!(file.text.contains(before), "{name}: {before}");
        file.text = file.text.replace(before, after);
    }
    let book = rules::load(&files).unwrap_or_else(|faults| panic!("{faults:#?}"));
    RuleBooks::new(vec![PreparedBook::new(book)])
}

impl Run {
    fn new(books: RuleBooks) -> Self {
        let replay = Replay::new(books, ReplayOptions::default());
        Self { replay, events: 0, asked: Vec::new(), told: Vec::new() }
    }

    fn take(&mut self, results: Results) {
        assert!(results.failed.is_empty() && results.quarantined.is_empty(), "{results:?}");
        for task in results.tasks {
            if task.reasons.iter().any(|reason| reason.rule == "R40-overdue") {
                let recipient = format!("{}/{}", task.agency, task.role.as_deref().unwrap_or_default());
                self.told.push(((task.raised_at.0 - START) / HOUR, recipient));
            } else if task.kind.is_none() && task.action.starts_with("Offer the independent return home interview") {
                self.asked.push(task);
            }
        }
    }

    fn happen(&mut self, hour: i64, what: &What) {
        let at = START + hour * HOUR;
        match what {
            What::Returned(ago, episode) => {
                let ended_at = at - ago * HOUR;
                let detail = json!({ "ended_at": written(ended_at), "episode_ref": episode });
                self.event("police/force-control", "missing.ended", (at, ended_at), &detail);
            }
            What::Interviewed(episode) => {
                let detail = json!({
                    "offered": true, "accepted": true, "completed_at": written(at), "episode_ref": episode,
                    "harm_disclosed": false
                });
                self.event("voluntary/return-home", "return_interview.completed", (at, at), &detail);
            }
            What::Answered(task, kind) => self.answer(at, *task, *kind),
            What::Status(detail) => self.event("social-care/checs", "status.changed", (at, at), detail),
            What::Decided(detail) => self.event("social-care/checs", "decision.recorded", (at, at), detail),
            What::Withdrawn => {
                let detail = json!({ "original_event_id": id(1) });
                self.event("police/force-control", "event.withdrawn", (at, at), &detail);
            }
        }
    }

    fn event(&mut self, source: &str, kind: &str, (at, occurred_at): (i64, i64), detail: &Value) {
        self.events += 1;
        let json = json!({
            "specversion": "1.0", "id": id(self.events), "source": source, "type": kind, "time": written(occurred_at),
            "data": {
                "practitioner": { "role": "worker", "call_back": "101" },
                "child": { "nhs_number": CHILD, "date_of_birth": "2013-01-02" },
                "detail": detail,
            }
        });
        let event = cloud_event::read(&json).unwrap().event;
        let results = self.replay.submit(&event, Timestamp(at)).unwrap();
        self.take(results);
    }

    fn answer(&mut self, at: i64, task: usize, kind: OutcomeKind) {
        let task = self.asked[task].clone();
        self.events += 1;
        let outcome = outcome(self.events, &task, kind, at);
        let results = self.replay.answer(&task.agency, task.unit.as_deref(), &outcome, Timestamp(at)).unwrap();
        self.take(results);
    }
}

fn as_kept(history: &History) -> History {
    codec::decode(&codec::encode(history).unwrap()).unwrap()
}

/// A release that knew of no such deadline.
fn as_kept_before(history: &History) -> History {
    let mut kept = as_kept(history);
    kept.tasks.iter_mut().for_each(|task| Arc::make_mut(task).complete_by = None);
    kept
}

/// How a history comes back.
type Kept = fn(&History) -> History;

/// Undisturbed, and coming back after each happening, who is told at which hour is the same.
fn check(script: &[(i64, What)], expected: &[(i64, &str)]) {
    let ways: [Option<Kept>; 3] = [None, Some(as_kept), Some(as_kept_before)];
    for (way, comes_back) in ways.into_iter().enumerate() {
        let mut run = Run::new(books(&[]));
        for (hour, what) in script {
            run.happen(*hour, what);
            if let Some(kept) = comes_back {
                run.replay.restart(kept);
            }
        }
        let results = run.replay.pass_time(Timestamp(START + 60 * 24 * HOUR)).unwrap();
        run.take(results);
        let mut told: Vec<(i64, &str)> = run.told.iter().map(|(hour, whom)| (*hour, whom.as_str())).collect();
        told.sort_unstable();
        assert_eq!(told, expected, "way {way}");
    }
}

const ACCEPTED: What = What::Answered(0, OutcomeKind::Accepted);

#[test]
fn taken_on_and_not_held() {
    let returned = (0, What::Returned(0, "E1"));
    let told = [(72, MANAGER), (72, TEAM_MANAGER)];
    check(&[returned.clone(), (5, ACCEPTED)], &told);
    // What was only read stands no better.
    check(&[returned.clone(), (5, What::Answered(0, OutcomeKind::Acknowledged))], &told);
    // Nor what nobody read: the ladder's own rungs say that alone.
    check(std::slice::from_ref(&returned), &told);
    // Owed again: what was declined was taken on after all.
    let challenged = What::Answered(0, OutcomeKind::Challenged);
    let declined = What::Answered(0, OutcomeKind::Declined);
    check(&[returned, (5, declined), (6, challenged), (7, ACCEPTED)], &told);
}

#[test]
fn late_on_arrival_its_silence_goes_up_the_ladder_alone() {
    check(&[(0, What::Returned(80, "E1")), (5, ACCEPTED)], &[]);
    check(&[(0, What::Returned(72, "E1"))], &[]);
    check(&[(0, What::Returned(71, "E1"))], &[(1, MANAGER), (1, TEAM_MANAGER)]);
}

#[test]
fn what_is_over_is_told_to_nobody() {
    let script = |what| [(0, What::Returned(0, "E1")), (5, ACCEPTED), (9, what)];
    check(&script(What::Answered(0, OutcomeKind::Completed)), &[]);
    check(&script(What::Interviewed("E1")), &[]);
    check(&script(What::Withdrawn), &[]);
}

#[test]
fn a_closed_case_does_not_end_the_interview() {
    let closed = json!({ "decision": "closed", "decided_by": "Test Manager", "decided_by_role": "team manager" });
    let script = [(0, What::Returned(0, "E1")), (5, ACCEPTED), (9, What::Decided(closed))];
    check(&script, &[(72, MANAGER), (72, TEAM_MANAGER)]);
}

#[test]
fn an_interview_about_another_return_leaves_this_one_owed() {
    let second = (40, What::Returned(0, "E2"));
    let told = |hour| [(hour, MANAGER), (hour, TEAM_MANAGER)];
    let script =
        |episode| [(0, What::Returned(0, "E1")), (5, ACCEPTED), second.clone(), (50, What::Interviewed(episode))];
    check(&script("E1"), &told(112));
    check(&script("E2"), &told(72));
    // A provider's own reference says nothing of which.
    check(&script("V-17"), &[]);
}

#[test]
fn passed_on_to_the_right_authority_it_is_owed_there() {
    let placed = json!({ "status": "lac", "open": true, "out_of_area": true, "placing_authority": "Stockport" });
    let passed_on = json!({
        "decision": "task_readdressed", "agency": "other-authority", "unit": "Cheshire West and Chester", "decided_by": "Test Manager",
        "decided_by_role": "team manager"
    });
    let script = |what| {
        let placed = (0, What::Status(placed.clone()));
        [
            placed,
            (1, What::Returned(0, "E1")),
            (2, what),
            (3, What::Decided(passed_on.clone())),
            (4, What::Answered(1, OutcomeKind::Accepted)),
        ]
    };
    let told = [(73, "other-authority/team-manager"), (73, MANAGER)];
    check(&script(What::Answered(0, OutcomeKind::Acknowledged)), &told);
    check(&script(What::Answered(0, OutcomeKind::Declined)), &told);
    let held = script(What::Answered(0, OutcomeKind::Declined)).into_iter().chain([(9, What::Interviewed("E1"))]);
    check(&held.collect::<Vec<_>>(), &[]);
}

#[test]
fn a_corrected_calendar_moves_what_is_counted_in_working_days() {
    let in_days = ("rules/missing.toml", "72 h\", from = \"ended_at\", completed_by_due", "3 wd\", completed_by_due");
    let holiday = ("calendar.toml", "\"2026-05-25\"", "\"2026-05-25\", \"2026-06-10\"");
    let (usual, longer) = ([in_days], [in_days, holiday]);
    // Thursday 17:00 without the bank holiday, Friday 17:00 with it.
    let cases: [(_, _, i64, &[i64]); 4] = [
        (&usual[..], &longer[..], 20, &[103]),
        (&longer, &usual, 20, &[79]),
        // Told already: once more when it is due by the corrected one.
        (&usual, &longer, 90, &[79, 103]),
        // Due since yesterday by the corrected one.
        (&longer, &usual, 90, &[90]),
    ];
    for (before, after, hour, expected) in cases {
        let mut run = Run::new(books(before));
        run.happen(0, &What::Returned(0, "E1"));
        run.happen(5, &ACCEPTED);
        for until in [hour, 24 * 60] {
            let results = run.replay.pass_time(Timestamp(START + until * HOUR)).unwrap();
            run.take(results);
            run.replay.restart_with(books(after), as_kept);
            let results = run.replay.tick(Timestamp(START + until * HOUR)).unwrap();
            run.take(results);
        }
        let told: Vec<i64> = run.told.iter().filter(|(_, whom)| whom == MANAGER).map(|(hour, _)| *hour).collect();
        assert_eq!(told, expected, "corrected at hour {hour}");
    }
}
