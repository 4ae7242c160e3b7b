//! Books on their topic: the first counts at once, later ones when they come early enough, alike for every reader.

use std::sync::Mutex;

use super::*;
use crate::broker::TopicSpec;
use crate::broker::memory::{Memory, MemoryOptions};
use crate::config::default_rules::FILES;
use crate::engine::model::scalar::Timestamp;

const START: i64 = 1_800_000_000_000;

struct House {
    broker: Memory,
    now: Arc<Mutex<i64>>,
}

impl House {
    fn open() -> Self {
        let now = Arc::new(Mutex::new(START));
        let clock = now.clone();
        let options =
            MemoryOptions { clock: Arc::new(move || Timestamp(*clock.lock().unwrap())), ..Default::default() };
        let broker = Memory::new(options);
        let topic = TopicSpec { name: RULE_BOOKS.to_owned(), partitions: 1, compacted: true, retention: None };
        broker.ensure_topics(&[topic]).unwrap();
        Self { broker, now }
    }

    fn publish(&self, write: Write) {
        self.broker.publisher().publish(vec![write], Box::new(|result| drop(result.unwrap())));
    }

    fn shelf(&self) -> Shelf {
        let mut shelf = Shelf::default();
        shelf.read(&*self.broker.reader()).unwrap();
        shelf
    }
}

/// The default book, with another title, from some time on.
fn book(title: &str, from_ms: i64) -> Publication {
    let files: Vec<SourceFile> = FILES
        .iter()
        .map(|(name, text)| {
            let titled = |line: &str| match line.starts_with("title") && *name == "book.toml" {
                true => format!("title = \"{title}\""),
                false => line.to_owned(),
            };
            let text = text.lines().map(titled).collect::<Vec<_>>().join("\n");
            SourceFile { name: (*name).to_owned(), text }
        })
        .collect();
    Publication::of(&files, Some(Timestamp(from_ms))).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn in_force(shelf: &Shelf, at: i64) -> Option<String> {
    shelf.rule_books().in_force(Timestamp(at)).map(|book| book.rules.title.clone())
}

#[test]
fn the_first_book_counts_at_once_and_later_ones_from_their_time_on() {
    let house = House::open();
    begin(&house.broker, &Ok(book("First", START - 1_000)), Timestamp(START)).unwrap();
    let next = START + AHEAD_MS + 5_000;
    house.publish(book("Second", next).write());
    let again = begin(&house.broker, &Ok(book("Other folder", START - 1_000)), Timestamp(START)).unwrap();
    for shelf in [&house.shelf(), &again] {
        assert_eq!(in_force(shelf, START - 1_001).as_deref(), Some("First"), "before there was a book");
        assert_eq!(in_force(shelf, START).as_deref(), Some("First"));
        assert_eq!(in_force(shelf, next - 1).as_deref(), Some("First"));
        assert_eq!(in_force(shelf, next).as_deref(), Some("Second"));
    }
}

#[test]
fn how_each_book_stands_is_told() {
    use Standing::{InForce, Over, Replaced, ToCome};
    let house = House::open();
    begin(&house.broker, &Ok(book("First", START - 1_000)), Timestamp(START)).unwrap();
    let next = START + AHEAD_MS + 5_000;
    for (title, from) in [("Wrong", next), ("Later", next + 10), ("Right", next)] {
        house.publish(book(title, from).write());
    }
    let shelf = house.shelf();
    for (now, expected) in [
        (START - 2_000, [InForce, Replaced, ToCome, ToCome]),
        (START, [InForce, Replaced, ToCome, ToCome]),
        (next, [Over, Replaced, ToCome, InForce]),
        (next + 10, [Over, Replaced, InForce, Over]),
    ] {
        assert_eq!(shelf.standings(Timestamp(now)), expected, "{now}");
        let title =
            expected.iter().zip(["First", "Wrong", "Later", "Right"]).find(|(standing, _)| **standing == InForce);
        assert_eq!(in_force(&shelf, now).as_deref(), title.map(|(_, title)| title), "as it is decided");
    }
}

#[test]
fn a_book_that_comes_too_late_is_passed_over_by_everyone() {
    let house = House::open();
    begin(&house.broker, &Ok(book("First", START)), Timestamp(START)).unwrap();
    *house.now.lock().unwrap() += 60_000;
    house.publish(book("Late", START + AHEAD_MS).write());
    house.publish(book("In time", START + AHEAD_MS + 60_000).write());
    let shelf = house.shelf();
    assert_eq!(in_force(&shelf, START + AHEAD_MS + 59_999).as_deref(), Some("First"));
    assert_eq!(in_force(&shelf, START + AHEAD_MS + 60_000).as_deref(), Some("In time"));
}

#[test]
fn no_other_book_stands_in_for_one_that_cannot_be_read() {
    let house = House::open();
    begin(&house.broker, &Ok(book("First", START)), Timestamp(START)).unwrap();
    let from = START + AHEAD_MS + 1_000;
    let mut unreadable = book("Newer", from);
    unreadable.files[0].text.push_str("\n[a.table.of.a.later.version]\n");
    house.publish(unreadable.write());
    house.publish(book("Third", from + 1_000).write());
    let shelf = house.shelf();
    assert_eq!(in_force(&shelf, from - 1).as_deref(), Some("First"));
    assert_eq!(in_force(&shelf, from), None);
    assert_eq!(in_force(&shelf, from + 1_000).as_deref(), Some("Third"));
}

#[test]
fn a_first_book_that_cannot_be_read_is_waited_for_by_what_came_before_it_too() {
    let house = House::open();
    let mut unreadable = book("First", START - 1_000);
    unreadable.files[0].text.push_str("\n[a.table.of.a.later.version]\n");
    house.publish(unreadable.write());
    house.publish(book("Second", START + AHEAD_MS + 1_000).write());
    let shelf = house.shelf();
    assert_eq!(in_force(&shelf, START - 2_000), None);
    assert_eq!(in_force(&shelf, START), None);
    assert_eq!(in_force(&shelf, START + AHEAD_MS + 1_000).as_deref(), Some("Second"));
}

#[test]
fn a_book_over_which_this_release_panics_is_one_that_it_cannot_read() {
    let house = House::open();
    begin(&house.broker, &Ok(book("First", START)), Timestamp(START)).unwrap();
    let from = START + AHEAD_MS + 1_000;
    house.publish(book("Newer", from).write());
    house.publish(book("Third", from + 5_000).write());
    let fails_on_newer: Load = |publication| match publication.title.as_str() {
        "Newer" => panic!("made to"),
        _ => publication.book().map(PreparedBook::new),
    };
    let mut shelf = Shelf { load: fails_on_newer, ..Shelf::default() };
    shelf.read(&*house.broker.reader()).unwrap();
    assert_eq!(in_force(&shelf, from - 1).as_deref(), Some("First"));
    assert_eq!(in_force(&shelf, from), None);
    assert_eq!(in_force(&shelf, from + 5_000).as_deref(), Some("Third"));
    let readiness = Readiness::default();
    for (at, told) in [(START, 1), (from + 4_999, 1), (from + 5_000, 0)] {
        shelf.warn(&readiness, Timestamp(at));
        assert_eq!(readiness.warnings().len(), told, "at {at}");
    }
    shelf.warn(&readiness, Timestamp(START));
    let warning = readiness.warnings().remove(0);
    assert!(warning.contains("this release fails on it") && warning.contains("nothing is decided"), "{warning}");
}
