//! What is wrong with an event beside its form: told in the same go, unless it was judged by what stands in for a fault.

use std::collections::BTreeSet;

use crate::engine::schema::Fault;

/// By which other places what is said of a place was judged. A due date goes by the child's date of birth and the time of the event besides.
const JUDGED_BY: [(&str, &[&str]); 5] = [
    ("source", &["type", "data.detail.decision"]),
    ("data.child", &["type", "data.reply_to", "data.detail.state"]),
    ("data.detail.agency", &["data.detail.decision", "data.detail.held_back_for"]),
    ("data.detail.level", &["data.detail.decision"]),
    ("data.detail.other_reply_to", &["data.detail.decision"]),
];
const DUE_DATE: &str = ".due_date";
const TIMES: [&str; 2] = ["time", "data.occurred_at"];

/// Adds what else is wrong, each told of its own place alone. What is said of a place that is at fault, or holds or stands in one, is said
/// of a stand-in.
pub fn add_others(faults: &mut Vec<Fault>, others: Vec<Fault>) {
    let known = places(faults);
    faults.extend(others.into_iter().filter(|fault| !is_at_fault(&known, &fault.path)));
}

/// As `add_others`, of what was judged by other places, too: it may be otherwise once these are put right.
pub fn add_judged(faults: &mut Vec<Fault>, others: Vec<Fault>) {
    let (known, told) = (places(faults), places(&others));
    let is_doubtful = |place: &String| is_at_fault(&known, place) || told.contains(place);
    let founded = others.into_iter().filter(|fault| !judged_by(&fault.path).iter().any(is_doubtful));
    add_others(faults, founded.collect());
}

fn places(faults: &[Fault]) -> BTreeSet<String> {
    faults.iter().map(|fault| fault.path.clone()).collect()
}

/// Whether a place is one of these, or holds or stands in one. Of many it is not compared with each.
fn is_at_fault(known: &BTreeSet<String>, place: &str) -> bool {
    let ends = place.match_indices(['.', '[']).map(|(end, _)| end).chain([place.len()]);
    let mut holders = ends.filter_map(|end| place.get(..end)).filter(|holder| !holder.is_empty());
    let holds = |sign: char| {
        let within = format!("{place}{sign}");
        known.range(within.clone()..).next().is_some_and(|next| next.starts_with(&within))
    };
    holders.any(|holder| known.contains(holder)) || holds('.') || holds('[')
}

fn judged_by(path: &str) -> Vec<String> {
    let fixed = JUDGED_BY.iter().find(|(of, _)| *of == path).map_or(&[][..], |(_, places)| *places);
    let of_due_date = path.strip_suffix(DUE_DATE).map(|child| format!("{child}.date_of_birth"));
    let times = TIMES.iter().filter(|_| of_due_date.is_some());
    fixed.iter().chain(times).map(|place| (*place).to_owned()).chain(of_due_date.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(known: &[&str], others: &[&str]) -> Vec<String> {
        let faults = |paths: &[&str]| paths.iter().map(|path| Fault::new(*path, "")).collect::<Vec<_>>();
        let mut told = faults(known);
        add_judged(&mut told, faults(others));
        told.into_iter().skip(known.len()).map(|fault| fault.path).collect()
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
        assert_eq!(told(&["data.detail.decided_by"], &["source", "data.detail.agency"]).len(), 2);
        assert_eq!(told(&["id"], &["source", "data.detail.decision"]), ["data.detail.decision"], "it is missing");
        assert_eq!(told(&["id"], &["data.child", "data.child.due_date"]).len(), 2);
    }
}
