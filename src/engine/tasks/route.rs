//! Where a task goes: the unit that serves this child, who stands in, and which routes are held back.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::Date;

use super::{READDRESSED, READDRESSED_RULE, Raising};
use crate::engine::calendar::{instant, london_date, london_datetime};
use crate::engine::facts::{is_own_authority, open_plan};
use crate::engine::history::entry::UNKNOWN_SUSPECT;
use crate::engine::history::entry::is_grown;
use crate::engine::history::{RECALLED, episodes, latest_status};
use crate::engine::identity::Keys;
use crate::engine::model::event::Source;
use crate::engine::model::history::{Entry, HeldBack, HeldTask, History};
use crate::engine::model::scalar::{FactValue, Timestamp};
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::{Agency, Recipient, UnitKind};
use crate::engine::rules::catalogue::{ALLOCATED_WORKER, REFERRER};

/// The office is open from half past eight to five on working days.
const OFFICE_OPENS: jiff::civil::Time = jiff::civil::Time::constant(8, 30, 0, 0);
const OFFICE_CLOSES: jiff::civil::Time = jiff::civil::Time::constant(17, 0, 0, 0);

/// What comes so shortly before the office closes is not begun there.
const LAST_HOUR_MS: i64 = 60 * 60 * 1000;

/// Of a unit in no directory, as much of its name as is repeated to whoever finds it out.
const UNIT_CHARS_MAX: usize = 64;

/// A recipient of one child's task.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Address {
    pub agency: String,
    pub unit: Option<String>,
    pub role: Option<String>,
    /// The agency this was meant for, when another stands in for it.
    pub in_place_of: Option<String>,
}

impl Address {
    /// Whoever holds a task, asked for themselves.
    pub fn of_holder(task: &HeldTask) -> Self {
        let (agency, unit, role) = (task.agency.clone(), task.unit.clone(), task.role.clone());
        Self { agency, unit, role, in_place_of: None }
    }

    /// Whose task it is: the agency that another stands in for, else its own.
    pub fn meant_for(&self) -> &String {
        self.in_place_of.as_ref().unwrap_or(&self.agency)
    }

    /// What the one who stands in must know.
    pub fn notes(&self, rules: &RuleBook, action: &str) -> Vec<String> {
        let Some(meant_for) = &self.in_place_of else { return Vec::new() };
        let agency = rules.agencies.get(meant_for);
        let title = agency.map_or(meant_for, |agency| &agency.title);
        // An agency of one unit is known; what a clock or a withdrawal raises names nobody, also to one that was told of the child before.
        let so = match agency.map_or(UnitKind::One, |agency| agency.units) {
            UnitKind::One => "who cannot tell from this which child it is: tell them who it is",
            UnitKind::School | UnitKind::Practice | UnitKind::Locality | UnitKind::Authority => {
                "whose unit for this child is not known: find it out"
            }
        };
        vec![format!("Meant for {title}, {so}, and pass on \"{action}\".")]
    }
}

impl Raising<'_> {
    /// The same of what an event asks: of a child who is educated at home there is no school to be found out, and an authority may be recorded.
    pub fn notes_in_place(&self, address: &Address, action: &str, entry: &Entry) -> Vec<String> {
        let rules = &self.book.rules;
        let agency = address.in_place_of.as_ref().and_then(|meant_for| rules.agencies.get(meant_for));
        match agency.map(|agency| (agency, agency.units)) {
            Some((_, UnitKind::School)) if entry.facts.get("child.home_educated") == Some(&FactValue::Bool(true)) => {
                vec![format!(
                    "The child is educated at home: there is no school. Of \"{action}\" do what is yours with the child and the family; what \
                     nobody of yours can do, decline, so that it is decided who does."
                )]
            }
            Some((agency, UnitKind::Authority)) => match self.placed_elsewhere_by(entry) {
                Some(placed_by) => vec![self.note_of_authority(agency, &placed_by, action)],
                None => address.notes(rules, action),
            },
            Some(_) | None => address.notes(rules, action),
        }
    }

    /// Of a unit that is recorded: what names no child is understood by nobody there, so that they are rung.
    fn note_of_authority(&self, agency: &Agency, placed_by: &str, action: &str) -> String {
        match self.book.rules.directory.unit_named(agency, placed_by) {
            Some(unit) => self.note_of_unit(agency, &unit),
            None => note_of_unlisted(agency, placed_by, action),
        }
    }

    /// The same where the directory lists it.
    pub fn note_of_unit(&self, agency: &Agency, unit: &str) -> String {
        let mut held = self.history.tasks.iter();
        let knows_child = held.any(|held| held.agency == agency.name && held.unit.as_deref() == Some(unit));
        let of = if knows_child { "this" } else { "this child" };
        format!("It is for {}, unit \"{unit}\", who have not been told of {of}: ring them.", agency.title)
    }

    /// The authority that placed the child of an event, where that is another than the book's own.
    fn placed_elsewhere_by(&self, entry: &Entry) -> Option<String> {
        let own = self.book.rules.authority.as_deref();
        let placed_by = self.placed_by().filter(|_| !is_grown(self.history, entry, self.at));
        placed_by.filter(|placed_by| !is_own_authority(own, placed_by))
    }
}

/// What whoever stands in must know of a unit that is in no directory.
pub fn note_of_unlisted(agency: &Agency, unit: &str, action: &str) -> String {
    let unit: String = unit.trim().chars().take(UNIT_CHARS_MAX).collect();
    format!(
        "Meant for {}, unit \"{unit}\", which the directory does not list: find out which it is, and pass on \"{action}\".",
        agency.title
    )
}

impl<'b> Raising<'b> {
    /// The agency that decides in this case: the front door's, and where somebody there is accused whoever stands in for it.
    pub fn who_decides(&self) -> &'b String {
        let rules = &self.book.rules;
        let accused =
            |name: &String| self.held_back().iter().any(|route| route.cause == "suspect" && route.agency == *name);
        let mut askable = std::iter::once(&rules.front_door).chain(&rules.stand_ins);
        askable.find(|name| !accused(name)).unwrap_or(&rules.front_door)
    }

    /// Whether an agency is that one.
    pub fn decides(&self, agency: &str) -> bool {
        self.who_decides() == agency
    }

    /// Whether it is that one, or the front door's own: where somebody there is accused, what cannot wait goes to its senior, who acts for
    /// the child as it would.
    pub fn acts_as_front_door(&self, agency: &str) -> bool {
        self.book.rules.front_door == agency || self.decides(agency)
    }

    /// Whoever triages what no rule gives a person. `urgent`: by when, where the clock does not wait for the office to open.
    pub fn front_door(&self, urgent: Option<Timestamp>) -> Address {
        let rules = &self.book.rules;
        let name = self.who_decides();
        let unit = rules.agencies.get(name).and_then(|agency| self.single_unit(agency, urgent));
        Address { agency: name.to_owned(), unit, role: None, in_place_of: None }
    }

    /// Resolves a rule's recipient for this child. None: the sender of the event, who is no agency of the book.
    pub(super) fn address(&self, recipient: &Recipient, entry: &Entry, urgent: Option<Timestamp>) -> Option<Address> {
        if recipient.agency == REFERRER {
            return self.referrer(entry, urgent);
        }
        Some(self.address_of_agency(recipient, entry, urgent))
    }

    /// The unit that sent the event.
    fn referrer(&self, entry: &Entry, urgent: Option<Timestamp>) -> Option<Address> {
        let source = &entry.source;
        let agency = self.book.rules.agencies.get(source.agency.as_ref()?)?;
        let unit = match agency.units {
            UnitKind::One => self.single_unit(agency, urgent),
            UnitKind::School | UnitKind::Practice | UnitKind::Locality | UnitKind::Authority => {
                Some(source.unit.clone())
            }
        };
        Some(Address { agency: agency.name.clone(), unit, role: None, in_place_of: None })
    }

    fn address_of_agency(&self, recipient: &Recipient, entry: &Entry, urgent: Option<Timestamp>) -> Address {
        let rules = &self.book.rules;
        let plan_is_open = || open_plan(self.history, entry, self.at);
        let role = recipient.role.clone().filter(|role| role != ALLOCATED_WORKER || plan_is_open());
        let direct = |agency: &str, unit: Option<String>| Address {
            agency: agency.to_owned(),
            unit,
            role: role.clone(),
            in_place_of: None,
        };
        let Some(agency) = rules.agencies.get(&recipient.agency) else { return self.front_door(urgent) };
        if agency.units == UnitKind::One {
            return self.reached(direct(&agency.name, self.single_unit(agency, urgent)), entry, urgent);
        }
        match self.unit_of_child(agency, entry) {
            Some(unit) => direct(&agency.name, Some(unit)),
            None => self.stand_in(agency, urgent),
        }
    }

    /// A timer's task names no child, so it can only go to one who already holds a task to tie it to: of the event, or of the
    /// episode that it regrades.
    fn reached(&self, address: Address, entry: &Entry, urgent: Option<Timestamp>) -> Address {
        let front_door = &self.book.rules.front_door;
        let holds = || {
            let events = episodes::one_episode(self.history, entry);
            let mut theirs = self.history.tasks.iter().filter(|held| held.agency == address.agency);
            theirs.any(|held| events.iter().any(|event| held.is_of(event)))
        };
        if self.referral.is_some() || address.agency == *front_door || holds() {
            return address;
        }
        Address { in_place_of: Some(address.agency), ..self.front_door(urgent) }
    }

    /// The unit out of hours takes what cannot wait, also what the office is given in its last hour and would hold past closing; the
    /// rest is there when the office opens.
    pub fn single_unit(&self, agency: &Agency, urgent: Option<Timestamp>) -> Option<String> {
        let cannot_wait = urgent.is_some_and(|by| !self.office_open() || self.office_closes_before(by));
        let out_of_hours = agency.out_of_hours_unit.as_ref().filter(|_| cannot_wait);
        out_of_hours.or(agency.unit.as_ref()).cloned()
    }

    /// Who is on duty while nobody is at an agency that has no unit out of hours: the senior of the front door's duty unit.
    pub fn on_duty_instead(&self, agency: &Agency) -> Option<Address> {
        if agency.out_of_hours_unit.is_some() || self.office_open() {
            return None;
        }
        let front_door = self.front_door(Some(self.at));
        let role = self.book.rules.agencies.get(&front_door.agency).and_then(|agency| agency.senior.clone());
        Some(Address { role, ..front_door })
    }

    /// Whether the offices are open at receipt; beyond the calendar they are taken for closed.
    fn office_open(&self) -> bool {
        let time = london_datetime(self.at).time();
        let working_day = self.book.rules.calendar.is_working_day(london_date(self.at)).unwrap_or(false);
        working_day && time >= OFFICE_OPENS && time < OFFICE_CLOSES
    }

    /// Whether the office is in its last hour, and what is due by then would outlast it.
    fn office_closes_before(&self, due: Timestamp) -> bool {
        let closes = instant(london_date(self.at), OFFICE_CLOSES).ok();
        closes.is_some_and(|closes| self.at >= closes.plus_millis(-LAST_HOUR_MS) && due > closes)
    }

    /// Whether someone is in the office between receipt and this instant.
    pub(super) fn office_opens_before(&self, due: Timestamp) -> bool {
        let opens_on = |date: Date| {
            let opens = instant(date, OFFICE_OPENS).ok()?;
            let working_day = self.book.rules.calendar.is_working_day(date).unwrap_or(false);
            working_day.then_some(opens).filter(|opens| *opens >= self.at)
        };
        let days = london_date(self.at).series(jiff::Span::new().days(1)).take_while(|date| *date <= london_date(due));
        self.office_open() || days.filter_map(opens_on).any(|opens| opens < due)
    }

    /// The child's unit: as the referral says, else the one that already holds a task for this event.
    fn unit_of_child(&self, agency: &Agency, entry: &Entry) -> Option<String> {
        let directory = &self.book.rules.directory;
        let placed_by = self.placed_by().filter(|_| !is_grown(self.history, entry, self.at));
        let said =
            self.referral.and_then(|referral| directory.unit(agency, &referral.event.child, placed_by.as_deref()));
        let said = said.map(|unit| self.passed_on_before(agency, entry, unit));
        if let Some(passed_on) = said {
            return passed_on;
        }
        let events = episodes::one_episode(self.history, entry);
        let is_theirs = |held: &&Arc<HeldTask>| {
            let of_event = events.iter().any(|event| held.is_of(event));
            of_event && self.is_of_rule(held, agency) && held.unit.is_some() && held.state != RECALLED
        };
        // The latest: an earlier one may be another's by now.
        let held = self.history.tasks.iter().rev().find(is_theirs);
        held.and_then(|held| held.unit.clone())
    }

    /// Whether an agency holds it by a rule. Not what the router itself told them: to stop.
    fn is_of_rule(&self, held: &HeldTask, agency: &Agency) -> bool {
        let mut asked = self.book.rules.rules.iter().flat_map(|rule| &rule.tasks);
        held.agency == agency.name && asked.any(|asked| asked.action == held.action)
    }

    /// The unit to which a person passed on what this one had been asked: theirs the child is not. None: which it is, is not known.
    /// A unit that itself reports the child has them.
    fn passed_on_before(&self, agency: &Agency, entry: &Entry, unit: String) -> Option<String> {
        let source = &entry.source;
        let reports = source.agency.as_ref() == Some(&agency.name) && source.unit == unit;
        let is_of_rule = |held: &Arc<HeldTask>| self.is_of_rule(held, agency);
        let was_taken_from = |unit: &String| {
            let theirs = |held: &&Arc<HeldTask>| held.unit.as_ref() == Some(unit) && is_of_rule(held);
            let last = self.history.tasks.iter().rev().find(theirs);
            last.is_some_and(|held| held.state == READDRESSED)
        };
        if reports || !was_taken_from(&unit) {
            return Some(unit);
        }
        let is_passed_on =
            |held: &&Arc<HeldTask>| held.rules.iter().any(|rule| rule == READDRESSED_RULE) && is_of_rule(held);
        let given = self.history.tasks.iter().rev().filter(is_passed_on).filter_map(|held| held.unit.as_ref());
        given.into_iter().find(|unit| !was_taken_from(unit)).cloned()
    }

    /// The authority that placed the child here, as far as is recorded. The book's own is no other.
    pub fn placed_by(&self) -> Option<String> {
        placed_by(self.history, self.at)
    }

    /// Who is asked where an agency's unit is not known.
    pub fn stand_in(&self, agency: &Agency, urgent: Option<Timestamp>) -> Address {
        let rules = &self.book.rules;
        let name = agency.otherwise.as_ref().unwrap_or(&rules.front_door);
        let in_place_of = Some(agency.name.clone());
        match rules.agencies.get(name).filter(|other| other.units == UnitKind::One && self.referral.is_some()) {
            Some(other) => {
                Address { agency: other.name.clone(), unit: self.single_unit(other, urgent), role: None, in_place_of }
            }
            None => Address { in_place_of, ..self.front_door(urgent) },
        }
    }
}

/// The authority that placed the child, as far as is recorded at an instant.
pub fn placed_by(history: &History, at: Timestamp) -> Option<String> {
    let lac = latest_status(history, "lac", at).filter(|lac| lac.open)?;
    lac.placing_authority.clone()
}

/// The held-back routes an address runs into, a suspect's first. A wish alone does not keep the front door from deciding, for the
/// duty to act is its own: there the wish is put to whoever decides. A suspect's own route is always held back, and so is one
/// that another would have been asked to pass on.
pub fn suppressions<'r>(address: &Address, front_door: &str, held_back: &'r BTreeSet<HeldBack>) -> Vec<&'r HeldBack> {
    let runs_into = |route: &&HeldBack| {
        let direct = route.agency == address.agency
            && (route.unit.is_none() || address.unit.is_none() || route.unit == address.unit)
            && !(route.is_wish() && address.agency == front_door);
        direct || address.in_place_of.as_ref() == Some(&route.agency)
    };
    let mut routes: Vec<&HeldBack> = held_back.iter().filter(runs_into).collect();
    routes.sort_by_key(|route| !route.is_of_suspect());
    routes
}

/// Whether an address runs into a held-back route.
pub fn is_suppressed(address: &Address, front_door: &str, held_back: &BTreeSet<HeldBack>) -> bool {
    !suppressions(address, front_door, held_back).is_empty()
}

/// Whether a sender's own unit must not even be told that the referral arrived.
pub fn sender_held_back(keys: &Keys, source: &Source, held_back: &BTreeSet<HeldBack>) -> bool {
    // Whoever sent it knows of it already: only where the suspect is known to be there, nothing is said.
    held_back.iter().filter(|route| route.cause != UNKNOWN_SUSPECT).any(|route| route.is_of(keys, source))
}
