//! What the SSDA903 reader takes, refuses and repeats.

use jiff::civil::date;

use super::{BadRow, FileFault, read};
use crate::engine::model::codes::Grade;
use crate::engine::model::detail::Detail;

const HEADER: &str = "CHILD,DOB,MISSING,MIS_START,MIS_END\n";

fn file(text: &str) -> super::MissingFile {
    read(text.as_bytes(), "cheshire-east", "ssda903", date(2020, 1, 1)).expect("a MISSING file")
}

fn bad_rows(rows: &str) -> Vec<(u64, String)> {
    file(&format!("{HEADER}{rows}")).bad.into_iter().map(|BadRow { line, reason }| (line, reason)).collect()
}

#[test]
fn a_row_is_a_start_and_an_end_at_midnight_in_london() {
    let read = file(&format!("{HEADER}C1,01/02/2003,M,25/06/2017,26/06/2017\n"));
    assert_eq!((read.episodes, read.still_open, read.events.len()), (1, 0, 2));
    let [started, ended] = &read.events[..] else { panic!("two events") };
    assert_eq!(started.occurred_at.to_jiff().to_string(), "2017-06-24T23:00:00Z");
    assert_eq!(ended.occurred_at.to_jiff().to_string(), "2017-06-25T23:00:00Z");
    assert!(started.date_only && started.backfill && ended.date_only && ended.backfill);
    assert_eq!(started.child.local_id.as_deref(), Some("C1"));
    assert_eq!(started.source.partner, "cheshire-east");
    let (Detail::MissingStarted(start), Detail::MissingEnded(end)) = (&started.detail, &ended.detail) else {
        panic!("a start and an end")
    };
    assert_eq!(start.grade, Some(Grade::NotGraded));
    assert_eq!(start.episode_ref, end.episode_ref);
    assert_eq!(end.ended_at, ended.occurred_at);
}

#[test]
fn header_order_case_and_byte_order_mark_do_not_matter() {
    let read =
        file("\u{feff}mis_end, Mis_Start ,missing,dob,child,NOTE\r\n,02/11/2018,a,03/04/2005,C2,x\r\n\r\n,,,,,\r\n");
    assert_eq!((read.episodes, read.still_open, read.bad.len()), (1, 1, 0));
    let Detail::MissingStarted(start) = &read.events[0].detail else { panic!("a start") };
    assert_eq!(start.grade, Some(Grade::Away));
}

#[test]
fn the_same_file_gives_the_same_events_and_events_come_in_order() {
    let rows = "C2,01/01/2004,M,03/03/2018,\nC1,01/01/2004,M,02/03/2018,02/03/2018\n";
    let (first, second) = (file(&format!("{HEADER}{rows}")), file(&format!("{HEADER}{rows}{rows}")));
    assert_eq!(first.events, second.events);
    assert_eq!((second.repeated, second.children), (2, 2));
    assert_eq!(first.lines.get(&first.events[0].event_id), Some(&3));
    let kinds: Vec<_> = first.events.iter().map(|event| event.detail.kind()).collect();
    assert_eq!(kinds, ["missing.started", "missing.ended", "missing.started"]);
    let other = read(format!("{HEADER}{rows}").as_bytes(), "elsewhere", "ssda903", date(2020, 1, 1)).expect("a file");
    assert_ne!(other.events[0].event_id, first.events[0].event_id);
}

#[test]
fn a_bad_row_is_named_by_line_and_reason_without_its_words() {
    let rows = "SECRET,31/02/2004,M,03/03/2018,\n\
                ,01/01/2004,X,03/03/2018,02/03/2018\n\
                C1,01/01/2004,M,3 March 2018,\n\
                C1,01/01/2019,M,01/01/2018,\n\
                C1,01/01/2004,M,01/01/2021,\n\
                C1,01/01/2004,M\n\
                C3,01/01/2004,M,01/01/2018,\n\
                C3,01/01/2004,A,01/01/2018,\n";
    let bad = bad_rows(rows);
    let expected = [
        (2, "DOB is not a date dd/mm/yyyy"),
        (
            3,
            "CHILD is empty; MISSING is neither M (missing) nor A (away without authorisation); MIS_END is before MIS_START",
        ),
        (4, "MIS_START is not a date dd/mm/yyyy"),
        (5, "MIS_START is before DOB"),
        (6, "MIS_START is in the future"),
        (7, "3 fields, the first line has 5; MIS_START is empty"),
        (9, "line 8 has the same CHILD and MIS_START with something else; keep the one that is right"),
    ];
    assert_eq!(bad, expected.map(|(line, reason)| (line, reason.to_owned())));
    assert_eq!(file(&format!("{HEADER}{rows}")).episodes, 1);
}

#[test]
fn another_file_is_refused_whole() {
    let check = |text: &str, expected: FileFault| {
        assert_eq!(read(text.as_bytes(), "a", "b", date(2020, 1, 1)), Err(expected));
    };
    check("", FileFault::Empty);
    check("CHILD,DOB,DECOM\n", FileFault::ColumnsMissing("MISSING, MIS_START, MIS_END".to_owned()));
    check("CHILD,CHILD,DOB,MISSING,MIS_START,MIS_END\n", FileFault::ColumnTwice("CHILD"));
}

#[test]
fn an_open_quotation_mark_costs_its_own_row_only() {
    let rows = "\"C1,01/01/2004,M,01/01/2018,\n\"C2\",01/01/2004,M,01/01/2018,\n";
    assert_eq!(bad_rows(rows)[0].0, 2);
    assert_eq!(file(&format!("{HEADER}{rows}")).episodes, 1);
}
