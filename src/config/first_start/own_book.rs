//! Configuration and tokens that fit a rule book of the partnership's own: its agencies, and nothing of the default book's.

use super::{Sample, quoted};
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::{Agency, UnitKind};

/// Of an agency that has no unit by name.
const ITS_OFFICE: &str = "office";

/// The book that a first start is told to go by.
#[derive(Clone, Copy)]
pub struct OwnBook<'a> {
    /// Its folder, as the configuration is to name it.
    pub folder: &'a str,
    pub book: &'a RuleBook,
}

impl OwnBook<'_> {
    /// Whom senders ring is in no book: a number is left to be written, and until then the router does not start.
    pub(super) fn front_door(self) -> String {
        let front_door = self.book.agencies.get(&self.book.front_door);
        let name = front_door.map_or(&self.book.front_door, |agency| &agency.title);
        format!("name = {}\ntelephone = \"\"\n# out_of_hours = \"\"\n", quoted(name))
    }

    /// Each agency as a partner of its own name. Who sends besides, and by which units, is added by hand.
    pub(super) fn partners(self) -> String {
        let of = |name: &String| format!("[partners.{name}]\nagency = \"{name}\"\nunits = \"any\"\n");
        Vec::from_iter(self.book.agencies.keys().map(of)).join("\n")
    }

    /// For each agency a token to send with and one to read by, of one unit where it has many and the directory names one.
    pub(super) fn samples(self) -> Vec<Sample> {
        let mut samples = Vec::new();
        for agency in self.book.agencies.values() {
            let (name, unit) = (agency.name.as_str(), self.one_unit(agency));
            let own = unit.as_deref().or(agency.unit.as_deref()).unwrap_or(ITS_OFFICE);
            samples.push(Sample::partner(name, name, own));
            if agency.units == UnitKind::One || unit.is_some() {
                samples.push(Sample::agency(name, unit.as_deref()));
            }
        }
        samples.push(Sample::operator());
        samples
    }

    /// One of the many units that an agency has.
    fn one_unit(self, agency: &Agency) -> Option<String> {
        let directory = &self.book.directory;
        match agency.units {
            UnitKind::One => None,
            UnitKind::School => directory.schools.as_ref()?.keys().next().cloned(),
            UnitKind::Practice => directory.practices.as_ref()?.keys().next().cloned(),
            UnitKind::Locality => directory.localities.as_ref()?.values().next().map(|locality| locality.hub.clone()),
            UnitKind::Authority => {
                directory.authorities.as_ref()?.values().next().map(|authority| authority.unit.clone())
            }
        }
    }
}
