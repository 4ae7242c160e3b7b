//! What was recorded in error and withdrawn leaves a child as if it had never been said, beside a slow, obvious model: the same records
//! without it. Whoever is asked something by what stands, and chased for it, is asked and chased by the whole, in whatever order it came.

use std::collections::BTreeMap;

use pathway_router::engine::model::scalar::Level;
use pathway_router::engine::rules::RuleBook;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::files::{book, shipped};
use crate::kit::{START, id, of_bea, runner, written};
use crate::standing::{Asked, Chased, MINUTE, Run, is_of_book};

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    /// The police, or the home that the child lives in, report them.
    Missing(&'static str),
    Regraded(&'static str),
    Back,
    Died,
    /// A flag or plan of social care's is open.
    Known(&'static str),
    /// By an authority of this name, across a border.
    Placed(&'static str),
    /// Of what was recorded so far, by its number: taken back.
    Withdrawn(usize),
}

/// What a person is asked, and nothing is recalled before they decide.
const ONE_OF_SEVERAL: [&str; 2] =
    ["Decide: one of several who reported the same", "Decide: a sender has withdrawn one of their reports of the same"];

const IS_OVER: &str = "Read this with what came after";
const INTERVIEW: &str = "Offer the independent return home interview and hold it";

/// How long after the one before, by which of those who may, and what.
type Script = Vec<(i64, bool, What)>;

/// Who sends it, of which kind it is, and what it holds.
fn event(what: What, other: bool, at: i64) -> ((&'static str, &'static str), Value) {
    let police = if other { "care-home/oak" } else { "police/force-control" };
    let episode = if other { "H1" } else { "M1" };
    match what {
        What::Missing(grade) => ((police, "missing.started"), json!({ "grade": grade, "episode_ref": episode })),
        What::Regraded(grade) => {
            (("police/force-control", "missing.regraded"), json!({ "grade": grade, "episode_ref": "M1" }))
        }
        What::Back => {
            let detail = json!({ "ended_at": written(at), "harm_disclosed": false });
            ((police, "missing.ended"), detail)
        }
        What::Died => {
            let detail = json!({ "incident": "death", "abuse_or_neglect_suspected": false });
            (("leighton-hospital/ed", "serious_incident.notified"), detail)
        }
        What::Known(status) => (("social-care/cms", "status.changed"), json!({ "status": status, "open": true })),
        What::Placed(by) => {
            let detail = json!({ "status": "lac", "open": true, "out_of_area": true, "placing_authority": by });
            (("social-care/cms", "status.changed"), detail)
        }
        What::Withdrawn(_) => unreachable!("said otherwise"),
    }
}

struct Record {
    at: i64,
    other: bool,
    what: What,
    /// When it is taken back.
    withdrawn: Option<i64>,
}

/// What is recorded, and when of it what is taken back; and when all is said.
fn records(script: &Script) -> (Vec<Record>, i64) {
    let (mut records, mut at): (Vec<Record>, i64) = (Vec::new(), START);
    for (gap, other, what) in script {
        at += gap * MINUTE;
        if let What::Withdrawn(which) = what {
            let number = records.len();
            if number > 0 && records[which % number].withdrawn.is_none() {
                records[which % number].withdrawn = Some(at);
            }
        } else {
            records.push(Record { at, other: *other, what: *what, withdrawn: None });
        }
    }
    (records, at)
}

fn play(book: &RuleBook, records: &[Record], until: i64, whole: bool) -> Run {
    let mut run = Run::new(book);
    let mut steps: Vec<(i64, usize, bool)> = Vec::new();
    for (number, record) in records.iter().enumerate() {
        if whole || record.withdrawn.is_none() {
            steps.push((record.at, number, false));
        }
        if let Some(at) = record.withdrawn.filter(|_| whole) {
            steps.push((at, number, true));
        }
    }
    steps.sort_unstable();
    for (at, number, takes_back) in steps {
        let record = &records[number];
        let (from, detail) = event(record.what, record.other, record.at);
        if takes_back {
            let detail = json!({ "original_event_id": id(number), "reason": "recorded in error" });
            run.say(100 + number, at, (from.0, "event.withdrawn"), of_bea(&detail));
        } else {
            run.say(number, at, from, of_bea(&detail));
        }
    }
    run.end(until);
    run
}

fn check(book: &RuleBook, script: &Script) -> Result<(), TestCaseError> {
    let (records, until) = records(script);
    let (whole, never) = (play(book, &records, until, true), play(book, &records, until, false));
    // What several reported is withdrawn with the last report that stands: until then a person decides.
    let is_put_to_person = whole.log.iter().any(|line| ONE_OF_SEVERAL.iter().any(|words| line.contains(words)));
    if is_put_to_person {
        return Ok(());
    }
    let told = || format!("\n-- with it\n{}\n-- never said\n{}", whole.log.join("\n"), never.log.join("\n"));
    let (asked, wanted) = (whole.open(None, |_| true), never.open(None, is_of_book));
    // What nobody is chased for is over by itself: a search for a child who is back, or anything of one who has died.
    for what in wanted.iter().filter(|(_, chased)| **chased == Chased::Since).map(|(what, _)| what) {
        let Some(chased) = whole.found(&asked, what) else {
            // At level 4b a person is asked the same day whether the withdrawal stands, and what is asked then instead is theirs.
            if is_to_be_confirmed(&whole) || is_another_s(&asked, what) {
                continue;
            }
            return Err(TestCaseError::fail(format!("nobody is asked: {what:?}{}", told())));
        };
        prop_assert!(chased != Chased::Not, "nobody is chased: {what:?}{}", told());
    }
    let still = whole.open(None, is_of_book);
    for what in still.keys().filter(|_| !is_kept(&whole, &records)) {
        // That the search is over is told as it is, whenever it turns out.
        let is_over = what.action.starts_with(IS_OVER);
        let is_wanted = is_over || wanted.keys().any(|wanted| wanted.action == what.action);
        prop_assert!(is_wanted, "asked for nothing: {what:?}{}", told());
    }
    Ok(())
}

/// What is asked in other words, or was never to be asked.
fn is_another_s(asked: &BTreeMap<Asked, Chased>, wanted: &Asked) -> bool {
    let is_asked = |words: &str| asked.keys().any(|asked| asked.action.starts_with(words));
    match wanted.action.as_str() {
        // An interview is somebody's: of an authority that is named once the child is back, theirs.
        INTERVIEW => is_asked(INTERVIEW),
        // Where a notice of death stands nobody reads that the search is over.
        words if words.starts_with(IS_OVER) => true,
        // Of a child who is graded absent since, it is the grade that is looked at.
        "Review the search after 24 hours together" => is_asked("Look again at the grade: the child is not back"),
        _ => false,
    }
}

fn is_to_be_confirmed(whole: &Run) -> bool {
    whole.log.iter().any(|line| line.contains("Confirm or refuse the withdrawal"))
}

/// What is asked on though what had asked it never was.
fn is_kept(whole: &Run, records: &[Record]) -> bool {
    // A flag or a plan that is withdrawn is put to the front door, which decides what of it stays asked; and one that was recorded while a
    // return or a notice of death stood counts for all that is asked of the absence since.
    let is_reviewed = |record: &Record| matches!(record.what, What::Known(_) | What::Placed(_));
    // At level 4b nothing stops before a named person decides.
    records.iter().any(is_reviewed) || whole.replay.histories().any(|history| history.case_level == Some(Level::L4b))
}

fn script() -> impl Strategy<Value = Script> {
    let grade = || prop::sample::select(vec!["medium", "absent", "high"]);
    let what = prop_oneof![
        4 => grade().prop_map(What::Missing),
        2 => grade().prop_map(What::Regraded),
        4 => Just(What::Back),
        3 => Just(What::Died),
        3 => prop::sample::select(vec!["ce_flag", "cpp"]).prop_map(What::Known),
        3 => prop::sample::select(vec!["Stockport", "Leeds"]).prop_map(What::Placed),
        9 => (0..8_usize).prop_map(What::Withdrawn),
    ];
    let gap = prop::sample::select(vec![10_i64, 10, 30, 600, 26 * 60]);
    prop::collection::vec((gap, prop::bool::weighted(0.2), what), 2..10)
}

#[test]
fn an_absence_is_seen_to_as_if_what_is_withdrawn_had_never_been_said() {
    let book = book(&shipped());
    let played = runner("NEVER_SAID_CASES", 60).run(&script(), |script| check(&book, &script));
    played.unwrap_or_else(|failed| panic!("{failed}"));
}
