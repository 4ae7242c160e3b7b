//! Why a route is held back, every reason, and how that is put to whoever decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::asking::before_stop;
use super::build::Question;
use super::persons::acts;
use super::route::{Address, is_suppressed, suppressions};
use super::{Asked, Deadline, HELD_BACK_RULE, Raised, Raising, Wanted};
use crate::engine::context::StepError;
use crate::engine::history::decisions::decided;
use crate::engine::history::entry::{SUSPECT, SUSPECT_SENDER, UNKNOWN_SUSPECT, is_marker, of_wish};
use crate::engine::history::is_open;
use crate::engine::model::decision::Suppressed;
use crate::engine::model::history::{Entry, HeldBack, HeldTask};
use crate::engine::model::scalar::DAY_MS;
use crate::engine::rules::book::UnitKind;

/// What whoever decides is asked about routes that kept something from going out.
pub const HELD_BACK_ACTION: &str = "Confirm or lift the route that was held back";

const RING_TITLE: &str = "A route is held back from this child";
const RING_ACTION: &str = "Say whom those who act may speak to: a route is held back from this child";

/// What is not sent, and what is asked about it.
pub(super) struct KeptBack {
    pub(super) suppressed: Suppressed,
    pub(super) question: Question,
}

impl<'b> Raising<'b> {
    /// With every reason: who lifts a wish must know that a suspect is there, too.
    fn suppressed(&self, task: &Asked<'_>, routes: &[&HeldBack]) -> Suppressed {
        let mut reasons: Vec<String> = routes.iter().map(|route| self.why_held_back(route)).collect();
        reasons.dedup();
        self.not_sent(task, &reasons.join("; and "))
    }

    /// The reason as the sender gave it, when the event at hand carries it.
    fn why_held_back(&self, route: &HeldBack) -> String {
        if [SUSPECT, SUSPECT_SENDER].contains(&route.cause.as_str()) {
            return "the suspect's own route".to_owned();
        }
        if route.cause == UNKNOWN_SUSPECT {
            return "the suspect works with children, and where is not known".to_owned();
        }
        let wishes = self.referral.map(|referral| referral.event.do_not_inform.as_slice()).unwrap_or_default();
        let wish = wishes.iter().find(|wish| of_wish(&self.book.rules, wish).contains(route));
        match wish.map(|wish| wish.reason.as_ref()) {
            Some(Some(reason)) => format!("the sender asked that they are not told: {}", before_stop(reason)),
            Some(None) => "the sender asked that they are not told".to_owned(),
            None => self.who_held_it_back(route).to_owned(),
        }
    }

    /// Of a wish that the event at hand does not say: a sender's, or a named person's, who confirmed a route that nothing held.
    fn who_held_it_back(&self, route: &HeldBack) -> &'static str {
        let holding =
            || self.history.entries.iter().filter(|entry| !entry.withdrawn && entry.held_back.contains(route));
        let is_by_decision = |entry: &Arc<Entry>| decided(entry) == Some("route_confirmed");
        if holding().any(|entry| !is_by_decision(entry)) {
            "the sender asked that they are not told"
        } else if holding().any(is_by_decision) {
            "a named person confirmed that they are not told"
        } else {
            "a sender asked, or a named person confirmed, that they are not told"
        }
    }

    /// Whom to ask before anything is done: the front door, and where somebody there is accused whoever stands in for it. In words
    /// that do not say which of the two holds.
    pub fn whom_to_ring(&self) -> String {
        let rules = &self.book.rules;
        let decides = self.who_decides();
        if *decides == rules.front_door {
            return format!("the front door{}", self.context.on_front_door_phone());
        }
        let title = rules.title_of(decides);
        let short = title.split([':', '(']).next().unwrap_or(title).trim_end();
        let mut letters = short.chars();
        let (first, rest) = (letters.next(), letters.as_str());
        // A name in capitals stays one.
        let is_word = rest.starts_with(|letter: char| letter.is_lowercase());
        let first = first.map_or(String::new(), |first| match is_word {
            true => first.to_lowercase().to_string(),
            false => first.to_string(),
        });
        format!("the {first}{rest}")
    }

    /// Some route of the child is held back, and what is asked may send its reader there: to agree with the police, to share with
    /// whoever sees the child. It says neither whose nor why, for whoever is accused may hear of it.
    pub(super) fn before_others(&self, asked: &Asked<'_>) -> Option<String> {
        let reads_why = self.acts_as_front_door(&asked.address.agency);
        // Whoever chooses who acts is told so, in words of its own.
        let is_told = || asked.notes.contains(&self.for_you_alone());
        let many_units = self.book.rules.has_many_units(&asked.address.agency);
        let source = &asked.entry.source;
        let is_sender = source.agency.as_ref() == Some(&asked.address.agency)
            && (asked.address.unit.as_ref() == Some(&source.unit) || !many_units);
        let is_own_wish = |route: &HeldBack| is_sender && route.is_wish() && asked.entry.held_back.contains(route);
        let meets_any = || self.may_be_met(&asked.entry).any(|route| !is_own_wish(route));
        if reads_why || !acts(&asked.relation) || !meets_any() || is_told() {
            return None;
        }
        let ring = self.whom_to_ring();
        Some(format!(
            "Ring {ring} before you speak to other services about this. Keeping the child safe does not wait for it."
        ))
    }

    /// The held-back routes that whoever acts on an event may run into: a suspect's; of those that must not be told because a sender
    /// wishes it, those who know the child as a school or a practice does, or whom some rule asks something of such an event.
    fn may_be_met<'r>(&'r self, entry: &'r Entry) -> impl Iterator<Item = &'r HeldBack> {
        let rules = &self.book.rules;
        let knows_child =
            move |agency: &str| rules.agencies.get(agency).is_some_and(|agency| agency.units != UnitKind::One);
        let is_asked = move |agency: &str| {
            let of_kind = rules.rules.iter().filter(|rule| rule.on.contains(entry.kind.as_str()));
            of_kind.flat_map(|rule| &rule.tasks).flat_map(|task| &task.to).any(|to| to.agency == agency)
        };
        self.held_back().iter().filter(move |route| {
            let holds_none_back = is_marker(&route.agency) || (route.is_wish() && route.agency == rules.front_door);
            let may_be_met = || route.is_of_suspect() || knows_child(&route.agency) || is_asked(&route.agency);
            !holds_none_back && may_be_met()
        })
    }

    /// Those who act are sent to whoever decides, who must know then which route it is, and why: on the first task that they are given
    /// here, else by what is returned. `put`: the routes that they are asked about anyway.
    pub(super) fn say_what_is_held_back(
        &self,
        put: &BTreeSet<HeldBack>,
        open: &mut [Asked<'b>],
    ) -> Result<Option<Wanted<'static>>, StepError> {
        let sent_there = open.iter().filter(|task| self.before_others(task).is_some());
        let Some(soonest) = sent_there.min_by_key(|task| (task.own_duty, task.due.at)) else { return Ok(None) };
        let Some(words) = self.what_is_held_back(&soonest.entry, put) else { return Ok(None) };
        let (due, entry, is_own_duty) = (soonest.due.clone(), Arc::clone(&soonest.entry), soonest.own_duty);
        let theirs = |task: &&mut Asked<'b>| self.decides(&task.address.agency) && acts(&task.relation);
        if let Some(task) = open.iter_mut().filter(theirs).min_by_key(|task| task.due.at) {
            task.notes.push(words);
            return Ok(None);
        }
        let is_of_today = |held: &HeldTask| held.raised_at.plus_millis(DAY_MS) > self.at;
        let is_held = |held: &Arc<HeldTask>| held.action == RING_ACTION && is_open(&held.state) && is_of_today(held);
        // Of what the router itself tells others, whoever decides hears elsewhere.
        if is_own_duty || self.history.tasks.iter().any(is_held) {
            return Ok(None);
        }
        let why = "Those who act were told to ring you before they speak to other services.".to_owned();
        let due = self.no_later_than(&due)?;
        let own = self.own_duty(HELD_BACK_RULE, RING_TITLE, why, RING_ACTION, due, &entry);
        Ok(Some(Wanted { notes: vec![words], ..own }))
    }

    /// Whose routes, by the reason why.
    fn what_is_held_back(&self, entry: &Entry, put: &BTreeSet<HeldBack>) -> Option<String> {
        let mut by_reason: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for route in self.may_be_met(entry).filter(|route| !put.contains(route)) {
            let title = self.book.rules.agencies.get(&route.agency).map_or(&route.agency, |agency| &agency.title);
            let unit = route.unit.as_ref().map_or(String::new(), |unit| format!(", {unit}"));
            by_reason.entry(self.why_held_back(route)).or_default().insert(format!("{title}{unit}"));
        }
        let told = |(reason, routes): (String, BTreeSet<String>)| {
            format!("{}, because {reason}", routes.into_iter().collect::<Vec<_>>().join("; "))
        };
        let all: Vec<String> = by_reason.into_iter().map(told).collect();
        (!all.is_empty()).then(|| {
            format!(
                "A route is held back from this child: {}. Others are told to ring you before they speak to other services: say whom they \
                 may speak to.",
                all.join("; and ")
            )
        })
    }

    /// Whether nothing about this subject may go there.
    pub fn is_shut(&self, address: &Address) -> bool {
        is_suppressed(address, &self.book.rules.front_door, self.held_back())
    }

    /// What was to be passed on by a route that is shut now is recorded as held back, and put to whoever decides by `due`; what cannot
    /// wait, or must be done, is asked of others as if the route had been shut from the first. `notes`: what they must know besides.
    pub fn hold_back_now(
        &self,
        wanted: Vec<Wanted<'b>>,
        due: &Deadline,
        notes: Vec<String>,
    ) -> Result<Raised, StepError> {
        let (mut open, mut questions, mut held_back) = (Vec::new(), Vec::new(), Vec::new());
        for task in self.merge(wanted) {
            let routes = suppressions(&task.address, &self.book.rules.front_door, self.held_back());
            let Some(held) = self.hold_back(task, &routes, &mut open) else { continue };
            questions.push(Question { due: due.clone(), ..held.question });
            held_back.push(held.suppressed);
        }
        if let Some(entry) = questions.first().map(|question| Arc::clone(&question.entry)) {
            let mut own = self.about_held_back(due.clone(), &entry, questions);
            own.notes.extend(notes);
            open.push(own);
        }
        let mut raised = self.send(open)?;
        raised.suppressed.extend(held_back);
        Ok(raised)
    }

    /// What these routes keep from going out is recorded, and put to whoever decides; what cannot wait, or must be done, is asked of
    /// others all the same. None: it goes to somebody senior there.
    pub(super) fn hold_back(
        &self,
        mut task: Asked<'b>,
        routes: &[&HeldBack],
        open: &mut Vec<Asked<'b>>,
    ) -> Option<KeptBack> {
        if self.goes_to_senior(&mut task, routes) {
            open.push(task);
            return None;
        }
        open.extend(self.by_another(&task));
        let suppressed = self.suppressed(&task, routes);
        let words = self.question(&task, &suppressed, routes);
        let is_of_wish = routes.iter().any(|route| route.is_wish());
        Some(KeptBack { suppressed, question: Question { words, is_of_wish, due: task.due, entry: task.entry } })
    }

    fn question(&self, task: &Asked<'_>, suppressed: &Suppressed, routes: &[&HeldBack]) -> String {
        let title = self.book.rules.agencies.get(&suppressed.agency).map_or("", |agency| agency.title.as_str());
        let suspects = routes.iter().filter(|route| route.is_of_suspect()).count();
        let then = if task.own_duty {
            // A lift sends again what the rules ask, and no word that went with what was happening.
            "Decide whether, and by whom, they hear of it, and record why: lifting the route sends them nothing of this."
        } else if suspects > 0 && suspects < routes.len() {
            "Decide about each reason by itself (held_back_for: suspect, or wish), and record why: it is sent once both are lifted."
        } else if suspects > 0 && routes.iter().all(|route| route.cause == UNKNOWN_SUSPECT) {
            "Record where they work (route_confirmed, held_back_for: suspect), or lift this route: it is sent once that is known \
             or lifted."
        } else {
            "Confirm this or lift it, and record why: lifting sends it."
        };
        format!("Not told: {title} (\"{}\"), because {}. {then}", suppressed.action, suppressed.reason)
    }
}
