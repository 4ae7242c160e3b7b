//! The MISSING file of the statutory looked-after-children return (SSDA903), as referral events.
//!
//! One row is one episode: CHILD, DOB, MISSING (`M` missing, `A` away from placement without authorisation), MIS_START and
//! MIS_END (dd/mm/yyyy, MIS_END empty while the child has not come back). Times are known to the day only: midnight
//! Europe/London. Event ids are made of authority, child and start, so that a second import says nothing new.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil;
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::engine::model::codes::Grade;
use crate::engine::model::detail::{Detail, MissingEnded, MissingStarted};
use crate::engine::model::event::{Child, Practitioner, ReferralEvent, Source};
use crate::engine::model::scalar::{Date, Timestamp};

#[cfg(test)]
mod tests;

/// Rows after this many are refused: the whole of England's yearly file has fewer.
pub const ROWS_MAX: u64 = 200_000;

const COLUMNS: [&str; 5] = ["CHILD", "DOB", "MISSING", "MIS_START", "MIS_END"];
/// The parts of an episode, as they enter its events' ids.
const STARTED: &str = "started";
const ENDED: &str = "ended";

const CHILD: usize = 0;
const DOB: usize = 1;
const MISSING: usize = 2;
const MIS_START: usize = 3;
const MIS_END: usize = 4;

/// What a MISSING file holds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MissingFile {
    /// In the order in which things happened.
    pub events: Vec<ReferralEvent>,
    /// Line of the row that each event id comes from.
    pub lines: BTreeMap<String, u64>,
    pub episodes: usize,
    pub children: usize,
    /// Episodes without an end.
    pub still_open: usize,
    /// Rows that repeat another row word for word.
    pub repeated: usize,
    pub bad: Vec<BadRow>,
}

/// A row that could not be used. Never carries the row's own words: they may name a child.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadRow {
    /// Line of the file; 1 is the first.
    pub line: u64,
    pub reason: String,
}

/// Why a file is no MISSING file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FileFault {
    #[error("the file is empty; its first line must name the columns CHILD,DOB,MISSING,MIS_START,MIS_END")]
    Empty,
    #[error("the columns are parted by {0}: save the file with commas")]
    Parted(&'static str),
    #[error("the first line must name the columns CHILD,DOB,MISSING,MIS_START,MIS_END (any order); missing: {0}")]
    ColumnsMissing(String),
    #[error("column {0} is named twice in the first line")]
    ColumnTwice(&'static str),
    #[error("more than {ROWS_MAX} rows; split the file")]
    TooManyRows,
}

/// A row that could be read.
#[derive(Clone, PartialEq, Eq)]
struct Episode {
    child: String,
    birth: civil::Date,
    grade: Grade,
    start: civil::Date,
    end: Option<civil::Date>,
}

/// Reads a MISSING file. `partner` is the authority whose return it is, `unit` within it the one that keeps it; `today` refuses what has not happened yet.
pub fn read(bytes: &[u8], partner: &str, unit: &str, today: civil::Date) -> Result<MissingFile, FileFault> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // One line is one row: a quotation mark left open must not swallow the rows below it.
    let mut lines = (1_u64..).zip(bytes.split(|byte| *byte == b'\n'));
    let header = lines.next().map(|(_, line)| fields_of(line)).unwrap_or_default();
    if is_blank(&header) {
        return Err(FileFault::Empty);
    }
    let places = columns(&header)?;
    let mut file = MissingFile::default();
    let mut seen: BTreeMap<(String, civil::Date), (u64, Episode)> = BTreeMap::new();
    for (line, content) in lines {
        if line > ROWS_MAX {
            return Err(FileFault::TooManyRows);
        }
        let row = fields_of(content);
        if is_blank(&row) {
            continue;
        }
        let fields = places.map(|place| text(row.get(place).unwrap_or_default()));
        let bad = |reasons: Vec<String>| BadRow { line, reason: reasons.join("; ") };
        let episode = match episode(&fields, row.len(), header.len(), today) {
            Ok(episode) => episode,
            Err(reasons) => {
                file.bad.push(bad(reasons));
                continue;
            }
        };
        match seen.get(&(episode.child.clone(), episode.start)) {
            Some((_, earlier)) if *earlier == episode => file.repeated += 1,
            Some((earlier, _)) => file.bad.push(bad(vec![format!(
                "line {earlier} has the same CHILD and MIS_START with something else; keep the one that is right"
            )])),
            None => {
                seen.insert((episode.child.clone(), episode.start), (line, episode));
            }
        }
    }
    let lines: Vec<u64> = seen.values().map(|(line, _)| *line).collect();
    let episodes: Vec<Episode> = seen.into_values().map(|(_, episode)| episode).collect();
    file.episodes = episodes.len();
    file.still_open = episodes.iter().filter(|episode| episode.end.is_none()).count();
    file.children = episodes.iter().map(|episode| &episode.child).collect::<BTreeSet<_>>().len();
    for (line, episode) in lines.into_iter().zip(&episodes) {
        file.lines.extend([STARTED, ENDED].map(|part| (event_id(partner, episode, part), line)));
    }
    file.events = events(&episodes, partner, unit);
    Ok(file)
}

/// Where each of `COLUMNS` lies in the first line.
fn columns(header: &csv::ByteRecord) -> Result<[usize; 5], FileFault> {
    let names: Vec<String> = header.iter().map(|name| text(name).to_ascii_uppercase()).collect();
    let mut places = [0; 5];
    let mut missing = Vec::new();
    for (column, place) in COLUMNS.into_iter().zip(&mut places) {
        let mut found = names.iter().enumerate().filter(|(_, name)| *name == column);
        match (found.next(), found.next()) {
            (Some((index, _)), None) => *place = index,
            (Some(_), Some(_)) => return Err(FileFault::ColumnTwice(column)),
            (None, _) => missing.push(column),
        }
    }
    let parted = |by: char| names.first().is_some_and(|first| names.len() == 1 && first.contains(by));
    match missing.is_empty() {
        true => Ok(places),
        false if parted(';') => Err(FileFault::Parted("semicolons")),
        false if parted('\t') => Err(FileFault::Parted("tabs")),
        false => Err(FileFault::ColumnsMissing(missing.join(", "))),
    }
}

/// The fields of one line; quotation marks may enclose them.
fn fields_of(line: &[u8]) -> csv::ByteRecord {
    let capacity = line.len().max(1);
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).has_headers(false).buffer_capacity(capacity).from_reader(line);
    let mut record = csv::ByteRecord::new();
    match reader.read_byte_record(&mut record) {
        Ok(_) => record,
        Err(_) => csv::ByteRecord::from(vec![line]),
    }
}

fn is_blank(row: &csv::ByteRecord) -> bool {
    row.iter().all(|field| text(field).is_empty())
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim().to_owned()
}

/// The row's episode, or everything that is wrong with it.
fn episode(fields: &[String; 5], found: usize, expected: usize, today: civil::Date) -> Result<Episode, Vec<String>> {
    let mut reasons = Vec::new();
    if found != expected {
        reasons.push(format!("{found} fields, the first line has {expected}"));
    }
    if fields[CHILD].is_empty() {
        reasons.push("CHILD is empty".to_owned());
    }
    let birth = date(&fields[DOB], "DOB", &mut reasons);
    let start = date(&fields[MIS_START], "MIS_START", &mut reasons);
    let end = if fields[MIS_END].is_empty() { None } else { date(&fields[MIS_END], "MIS_END", &mut reasons) };
    let grade = match fields[MISSING].to_ascii_uppercase().as_str() {
        "M" => Some(Grade::NotGraded),
        "A" => Some(Grade::Away),
        _ => None,
    };
    if grade.is_none() {
        reasons.push("MISSING is neither M (missing) nor A (away without authorisation)".to_owned());
    }
    let mut order = |before: Option<civil::Date>, after: Option<civil::Date>, reason: &str| {
        if matches!((before, after), (Some(before), Some(after)) if after < before) {
            reasons.push(reason.to_owned());
        }
    };
    order(birth, start, "MIS_START is before DOB");
    order(start, end, "MIS_END is before MIS_START");
    order(start, Some(today), "MIS_START is in the future");
    order(end, Some(today), "MIS_END is in the future");
    match (birth, start, grade) {
        (Some(birth), Some(start), Some(grade)) if reasons.is_empty() => {
            Ok(Episode { child: fields[CHILD].clone(), birth, grade, start, end })
        }
        _ => Err(reasons),
    }
}

/// A date as dd/mm/yyyy, or a reason.
fn date(field: &str, column: &str, reasons: &mut Vec<String>) -> Option<civil::Date> {
    if field.is_empty() {
        reasons.push(format!("{column} is empty"));
        return None;
    }
    let parts: Vec<&str> = field.split('/').collect();
    let digits = |part: &str, length: usize| part.len() <= length && part.bytes().all(|byte| byte.is_ascii_digit());
    let found = match parts[..] {
        [day, month, year] if digits(day, 2) && digits(month, 2) && digits(year, 4) && year.len() == 4 => {
            match (year.parse(), month.parse(), day.parse()) {
                (Ok(year), Ok(month), Ok(day)) => civil::Date::new(year, month, day).ok(),
                _ => None,
            }
        }
        _ => None,
    };
    if found.is_none() {
        reasons.push(format!("{column} is not a date dd/mm/yyyy"));
    }
    found
}

/// Start and end of every episode, in the order in which they happened.
fn events(episodes: &[Episode], partner: &str, unit: &str) -> Vec<ReferralEvent> {
    let zone = TimeZone::get("Europe/London").unwrap_or(TimeZone::UTC);
    let source = Source { partner: partner.to_owned(), agency: None, unit: unit.to_owned() };
    let mut events = Vec::new();
    for episode in episodes {
        let started = event_id(partner, episode, STARTED);
        let start = midnight(episode.start, &zone);
        let detail = Detail::MissingStarted(MissingStarted {
            episode_ref: Some(started.clone()),
            grade: Some(episode.grade),
            last_seen_at: None,
            place: None,
        });
        events.push(event(&source, episode, started.clone(), start, detail));
        if let Some(end) = episode.end {
            let ended_at = midnight(end, &zone);
            let detail =
                Detail::MissingEnded(MissingEnded { episode_ref: Some(started), ended_at, harm_disclosed: None });
            events.push(event(&source, episode, event_id(partner, episode, ENDED), ended_at, detail));
        }
    }
    // Stable: an episode that ends on the day it began still begins first.
    events.sort_by_key(|event| event.occurred_at);
    events
}

fn midnight(date: civil::Date, zone: &TimeZone) -> Timestamp {
    zone.to_timestamp(date.at(0, 0, 0, 0)).map_or_else(|_| Timestamp::default(), Timestamp::from_jiff)
}

/// The same for the same authority, child and start, whenever it is imported.
fn event_id(partner: &str, episode: &Episode, part: &str) -> String {
    let name = format!("ssda903\n{partner}\n{}\n{}\n{part}", episode.child, episode.start);
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
}

fn event(source: &Source, episode: &Episode, event_id: String, at: Timestamp, detail: Detail) -> ReferralEvent {
    ReferralEvent {
        event_id,
        source: source.clone(),
        partner_reference: None,
        police_reference: None,
        practitioner: Practitioner {
            role: "Statutory return (SSDA903)".to_owned(),
            call_back: "the authority's children's data team".to_owned(),
            name: None,
        },
        occurred_at: at,
        reported_at: None,
        date_only: true,
        backfill: true,
        child: Child {
            local_id: Some(episode.child.clone()),
            date_of_birth: Some(Date::from_civil(episode.birth)),
            ..Child::default()
        },
        carers: Vec::new(),
        siblings: Vec::new(),
        agreement: None,
        voice_of_child: None,
        narrative: None,
        do_not_inform: Vec::new(),
        factors: vec!["10A".to_owned()],
        immediate_danger: None,
        emergency_call_made: None,
        reply_to: None,
        detail,
    }
}
