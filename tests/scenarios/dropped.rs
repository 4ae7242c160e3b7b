//! An agency that a later book no longer names: what its open tasks bring goes to the front door, and nothing vanishes.

use pathway_router::engine::cloud_event;
use pathway_router::engine::context::RuleBooks;
use pathway_router::engine::facts::PreparedBook;
use pathway_router::engine::model::scalar::Timestamp;
use pathway_router::engine::model::task::Task;
use pathway_router::engine::rules::{self, RuleBook};
use pathway_router::replay::{Replay, ReplayOptions, Results};
use serde_json::json;

use crate::files::{shipped, sources};

const AGENCY: &str = "\n[youth-charity]\ntitle = \"Youth charity\"\nunits = \"one\"\nsees = [\"child.given_names\"]\n";
const RULE: &str = "\n[R-CHARITY]\ntitle = \"Young carers\"\nsentence = \"A charity sees young carers.\"\nsource = \"local\"\n\
                    on = \"concern.reported\"\nwhen = \"event.concern == 'young_carer'\"\nbasis = \"P\"\nwhy = \"A young carer.\"\n\
                    tasks = [{ to = \"youth-charity\", do = \"See the young carer\", by = \"1 wd\" }]\n";

/// The shipped book from an instant on; `with`: it names a charity, and asks it to see young carers.
fn book(from: &str, with: bool) -> PreparedBook {
    let mut files = sources(&shipped());
    for file in &mut files {
        match file.name.as_str() {
            "book.toml" => file.text = file.text.replace("2012-01-01T00:00:00Z", from),
            "agencies.toml" if with => file.text.push_str(AGENCY),
            "rules/front-door.toml" if with => file.text.push_str(RULE),
            _ => {}
        }
    }
    let book: RuleBook = rules::load(&files).unwrap_or_else(|faults| panic!("{faults:#?}"));
    PreparedBook::new(book)
}

fn at(text: &str) -> Timestamp {
    Timestamp::from_jiff(text.parse().unwrap())
}

fn submit(replay: &mut Replay, number: u8, kind: &str, time: &str, detail: &serde_json::Value) -> Results {
    let json = json!({
        "specversion": "1.0", "id": format!("00000000-0000-4000-8000-0000000000{number:02}"), "source": "gp/N81001",
        "type": kind, "time": time,
        "data": {
            "practitioner": { "role": "doctor", "call_back": "101" },
            "child": { "nhs_number": "9990000018", "date_of_birth": "2014-01-02", "school_urn": "999001", "gp_ods": "N81001" },
            "detail": detail,
        }
    });
    replay.submit(&cloud_event::read(&json).unwrap().event, at(time)).unwrap()
}

/// What the charity is told, or the front door in its place.
fn of_charity(tasks: &[Task]) -> Vec<(&str, &str)> {
    let about = |task: &&Task| {
        let named = |text: &String| text.contains("youth-charity") || text.contains("See the young carer");
        task.agency == "youth-charity" || task.notes.iter().any(named)
    };
    tasks.iter().filter(about).map(|task| (task.agency.as_str(), task.action.as_str())).collect()
}

#[test]
fn what_an_agency_that_was_dropped_does_not_answer_reaches_the_front_door() {
    let chase = "Answer the task you hold: acknowledge it, or say why not";
    for (dropped, told) in [(true, "social-care"), (false, "youth-charity")] {
        let books = vec![book("2012-01-01T00:00:00Z", true), book("2026-06-01T12:00:00Z", !dropped)];
        let mut replay = Replay::new(RuleBooks::new(books), ReplayOptions::default());
        let detail = json!({ "concern": "young_carer", "proposed_level": "L2" });
        let first = submit(&mut replay, 1, "concern.reported", "2026-06-01T09:00:00Z", &detail);
        assert_eq!(of_charity(&first.tasks), [("youth-charity", "See the young carer")]);
        let silence = replay.pass_time(at("2026-06-02T16:30:00Z")).unwrap();
        assert_eq!(of_charity(&silence.tasks), [(told, chase)], "a working day later");
        let word =
            silence.tasks.iter().find(|task| task.agency == told && of_charity(&[(*task).clone()]).len() == 1).unwrap();
        let note = "Meant for youth-charity, an agency that the rule book no longer names";
        assert_eq!(word.notes.iter().any(|said| said.starts_with(note)), dropped);
        let withdrawn = json!({ "original_event_id": "00000000-0000-4000-8000-000000000001", "reason": "mistake" });
        let recalled = submit(&mut replay, 2, "event.withdrawn", "2026-06-03T09:00:00Z", &withdrawn);
        let to: Vec<&str> = of_charity(&recalled.tasks).iter().map(|(agency, _)| *agency).collect();
        assert!(to.contains(&told), "whoever was told is recalled, or who reaches them: {to:?}");
    }
}
