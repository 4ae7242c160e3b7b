//! What is wrong with an event beside its form: told in the same go, unless it was judged by what stands in for a fault.

use std::collections::BTreeSet;

use crate::engine::intake::standing::BESIDE_A_BIRTH;
use crate::engine::schema::{Fault, first_of};

/// By which other places what is said of a place was judged. A due date goes by the child's date of birth besides, and by the time of the event
/// unless the two dates cannot be together at any time.
const JUDGED_BY: [(&str, &[&str]); 6] = [
    ("source", &["type", "data.detail.decision"]),
    ("data.child", &["type", "data.reply_to", "data.detail.state"]),
    ("data.detail.agency", &["data.detail.decision", "data.detail.held_back_for"]),
    ("data.detail.level", &["data.detail.decision"]),
    ("data.detail.other_reply_to", &["data.detail.decision"]),
    ("outcome", &["reply_to"]),
];
const DUE_DATE: &str = ".due_date";
const TIMES: [&str; 2] = ["time", "data.occurred_at"];

/// What of a child tells nobody who they are: whether they are identified can be judged beside a fault of it.
const IDENTIFIES_NOBODY: [&str; 10] = [
    "school_urn",
    "gp_ods",
    "locality",
    "addresses",
    "sex",
    "ethnicity",
    "disability_or_send",
    "first_language",
    "interpreter_needed",
    "home_educated",
];
const WHO_IS_MEANT: [&str; 2] = ["data.child", "data.detail.right_child"];

/// Of one event so many faults are told, and of each of many that come in one request so many at least.
const TOLD_MAX: usize = 500;
const TOLD_OF_EACH: usize = 20;

/// What is wrong with what was sent, as it is found.
#[derive(Default)]
pub struct Faults {
    found: Vec<Fault>,
    /// Where: of the first of them; the others are looked up once somebody asks.
    places: BTreeSet<String>,
    looked_up: usize,
}

impl Faults {
    pub fn of(found: Vec<Fault>) -> Self {
        Self { found, ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub fn push(&mut self, fault: Fault) {
        self.found.push(fault);
    }

    /// Adds what else is wrong, each told of its own place alone. What is said of a place that is at fault, or holds or stands in one, is
    /// said of a stand-in.
    pub fn add_others(&mut self, others: Vec<Fault>) {
        if others.is_empty() {
            return;
        }
        let known = self.places();
        let others: Vec<Fault> = others.into_iter().filter(|fault| !is_at_fault(known, &fault.path)).collect();
        self.found.extend(others);
    }

    /// As `add_others`, of what was judged by other places, too: it may be otherwise once these are put right.
    pub fn add_judged(&mut self, others: Vec<Fault>) {
        let told: BTreeSet<String> = others.iter().map(|fault| fault.path.clone()).collect();
        let known = self.places();
        let is_doubtful = |place: &String| is_at_fault(known, place) || told.contains(place);
        let founded = others.into_iter().filter(|fault| !judged_by(fault).iter().any(is_doubtful)).collect();
        self.add_others(founded);
    }

    /// As they are told of one of so many events, and how many more there are.
    pub fn told_of_one_of(self, events: usize) -> Vec<Fault> {
        let most = TOLD_MAX.checked_div(events).unwrap_or(TOLD_MAX).max(TOLD_OF_EACH);
        first_of(self.found, most)
    }

    fn places(&mut self) -> &BTreeSet<String> {
        let more = self.found.iter().skip(self.looked_up);
        self.places.extend(more.map(|fault| fault.path.clone()));
        self.looked_up = self.found.len();
        &self.places
    }
}

/// Whether a place is one of these, or holds or stands in one. Of many it is not compared with each.
fn is_at_fault(known: &BTreeSet<String>, place: &str) -> bool {
    let ends = place.match_indices(['.', '[']).map(|(end, _)| end).chain([place.len()]);
    let mut holders = ends.filter_map(|end| place.get(..end)).filter(|holder| !holder.is_empty());
    let tells = |field: &str| {
        let name = field.split(['.', '[']).next().unwrap_or_default();
        !WHO_IS_MEANT.contains(&place) || !IDENTIFIES_NOBODY.contains(&name)
    };
    let holds = |sign: char| {
        let within = format!("{place}{sign}");
        let mut fields = known.range(within.clone()..).map_while(|known| known.strip_prefix(&within));
        fields.any(tells)
    };
    holders.any(|holder| known.contains(holder)) || holds('.') || holds('[')
}

fn judged_by(Fault { path, problem }: &Fault) -> Vec<String> {
    let fixed = JUDGED_BY.iter().find(|(of, _)| of == path).map_or(&[][..], |(_, places)| *places);
    let of_due_date = path.strip_suffix(DUE_DATE).map(|child| format!("{child}.date_of_birth"));
    let goes_by_times = of_due_date.is_some() && problem != BESIDE_A_BIRTH;
    let times = TIMES.iter().filter(|_| goes_by_times);
    fixed.iter().chain(times).map(|place| (*place).to_owned()).chain(of_due_date).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(known: &[&str], others: &[&str]) -> Vec<String> {
        let faults = |paths: &[&str]| paths.iter().map(|path| Fault::new(*path, "")).collect::<Vec<_>>();
        let mut told = Faults::of(faults(known));
        told.add_judged(faults(others));
        told.found.into_iter().skip(known.len()).map(|fault| fault.path).collect()
    }

    #[test]
    fn what_is_at_fault_hides_what_holds_it_and_what_stands_in_it_and_nothing_else() {
        assert_eq!(told(&["data.child.upn"], &["data.child", "data.childx", "source"]), ["data.childx", "source"]);
        assert!(told(&["data.siblings[1].child"], &["data.siblings[1].child.due_date", "data.siblings"]).is_empty());
        assert_eq!(
            told(&["data.siblings[1].child"], &["data.siblings[10].child.upn"]),
            ["data.siblings[10].child.upn"]
        );
        assert_eq!(told(&[""], &["source"]), ["source"], "of the whole nothing stands in");
        assert_eq!(told(&["data.child.school_urn", "data.child.addresses[3].lines"], &["data.child"]), ["data.child"]);
        assert!(
            told(&["data.child.school_urn", "data.child.(unnamed)"], &["data.child"]).is_empty(),
            "it may be a name"
        );
    }

    #[test]
    fn of_many_faults_the_first_are_told_and_how_many_more_there_are() {
        let many =
            |count: usize| Faults::of((0..count).map(|number| Fault::new(format!("data.{number}"), "")).collect());
        assert_eq!(many(TOLD_MAX).told_of_one_of(1).len(), TOLD_MAX);
        let told = many(TOLD_MAX + 7).told_of_one_of(1);
        assert_eq!(
            (told.len(), told[TOLD_MAX].to_string().as_str()),
            (TOLD_MAX + 1, "has 7 more faults than are told here")
        );
        let again = first_of(told, 10);
        assert_eq!(again[10].to_string(), format!("has {} more faults than are told here", TOLD_MAX - 3));
        assert_eq!(many(40_000).told_of_one_of(1000).len(), TOLD_OF_EACH + 1);
    }

    #[test]
    fn what_was_judged_by_a_stand_in_is_not_told() {
        for (known, other) in [
            ("data.detail.decision", "source"),
            ("data.detail", "source"),
            ("data.detail.decision", "data.detail.agency"),
            ("data.detail.held_back_for", "data.detail.agency"),
            ("data.detail.state", "data.child"),
            ("data.reply_to", "data.child"),
            ("data.child.date_of_birth", "data.child.due_date"),
            ("time", "data.siblings[0].child.due_date"),
            ("data.occurred_at", "data.detail.due_date"),
        ] {
            assert!(told(&[known], &[other]).is_empty(), "{known} {other}");
        }
        let both = Fault::new("data.child.due_date", BESIDE_A_BIRTH);
        let mut ahead = Faults::of(vec![Fault::new("data.occurred_at", "lies ahead")]);
        ahead.add_judged(vec![both]);
        assert_eq!(ahead.found.len(), 2, "the time has nothing to do with it");
        assert_eq!(told(&["data.detail.decided_by"], &["source", "data.detail.agency"]).len(), 2);
        assert_eq!(told(&["id"], &["source", "data.detail.decision"]), ["data.detail.decision"], "it is missing");
        assert_eq!(told(&["id"], &["data.child", "data.child.due_date"]).len(), 2);
    }
}
