//! Who serves whom: localities and their family hubs, schools, practices, other authorities. As `directory.toml` says.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{Agency, UnitKind};
use crate::engine::model::event::Child;

/// The units a book knows. A table that the file leaves out says nothing: there the child's own word is taken.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Directory {
    /// By locality, as events name it.
    pub localities: Option<BTreeMap<String, Locality>>,
    /// By URN.
    pub schools: Option<BTreeMap<String, School>>,
    /// By ODS code.
    pub practices: Option<BTreeMap<String, Practice>>,
    /// By name in small letters, as statuses name who placed a child.
    pub authorities: Option<BTreeMap<String, Authority>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Locality {
    pub title: String,
    /// The family hub that serves it.
    pub hub: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct School {
    pub name: String,
    /// Of `PHASES`.
    pub phase: String,
    /// Whose safeguarding lead answers for it: its own URN, or that of the school it shares one with.
    pub safeguarding_unit: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Practice {
    pub name: String,
    /// The practice that took it over, where it is no more.
    pub merged_into: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authority {
    pub name: String,
    pub unit: String,
}

pub const PHASES: &[&str] =
    &["nursery", "primary", "middle", "secondary", "all-through", "post-16", "special", "alternative"];

pub const URN_DIGITS: usize = 6;

/// Practices merged one into another: more in a row than ever happens.
const MERGERS_MAX: usize = 16;

impl Directory {
    /// The unit of an agency that serves a child, as far as event and directory say. `placed_by`: the authority that
    /// placed a looked-after child across a border.
    pub fn unit(&self, agency: &Agency, child: &Child, placed_by: Option<&str>) -> Option<String> {
        match agency.units {
            UnitKind::One => agency.unit.clone(),
            UnitKind::School => self.school(school_of(child)?),
            UnitKind::Practice => self.practice(child.gp_ods.as_deref()?),
            UnitKind::Locality => self.hub(agency, child.locality.as_deref()?),
            UnitKind::Authority => self.authority(placed_by?),
        }
    }

    /// The units meant by what somebody wrote: the one of that code, and the one that answers for it. Empty: none is known.
    pub fn units_meant(&self, agency: &Agency, written: &str) -> Vec<String> {
        let written = written.trim();
        let same = |unit: &&String| plain(unit) == plain(written);
        let known: Vec<String> = match agency.units {
            UnitKind::One => agency.unit.iter().chain(&agency.out_of_hours_unit).filter(same).cloned().collect(),
            UnitKind::School => {
                let is_urn = written.len() == URN_DIGITS && written.bytes().all(|byte| byte.is_ascii_digit());
                let lead = self.school(written).filter(|_| is_urn);
                lead.into_iter().flat_map(|lead| [lead, written.to_owned()]).collect()
            }
            UnitKind::Practice => {
                let is_code = !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_alphanumeric());
                let standing = self.practice(written).filter(|_| is_code);
                standing.into_iter().flat_map(|standing| [standing, written.to_uppercase()]).collect()
            }
            UnitKind::Locality => match &self.localities {
                Some(localities) => {
                    let named = |(key, known): &(&String, &Locality)| {
                        [key.as_str(), &known.title, &known.hub].into_iter().any(|name| plain(name) == plain(written))
                    };
                    localities.iter().filter(named).map(|(_, known)| known.hub.clone()).collect()
                }
                None => agency.localities.iter().flatten().filter(same).cloned().collect(),
            },
            UnitKind::Authority => {
                let named = |(name, known): &(&String, &Authority)| {
                    plain(name) == plain(written) || plain(&known.unit) == plain(written)
                };
                self.authorities.iter().flatten().filter(named).map(|(_, known)| known.unit.clone()).collect()
            }
        };
        known.into_iter().collect::<BTreeSet<String>>().into_iter().collect()
    }

    /// The unit that a person names, by its own name or by that of what it serves. None: no task may be addressed to it.
    pub fn unit_named(&self, agency: &Agency, named: &str) -> Option<String> {
        let is_listed = || {
            let name = plain(named);
            self.units_of(agency.units).into_iter().find(|unit| plain(unit) == name)
        };
        match agency.units {
            UnitKind::One => agency.unit.clone(),
            UnitKind::School => self.school(named),
            UnitKind::Practice => self.practice(named),
            UnitKind::Locality => is_listed().or_else(|| self.hub(agency, named)),
            UnitKind::Authority => is_listed().or_else(|| self.authority(named)),
        }
    }

    /// What a school or practice is called, by its URN or ODS code.
    pub fn name_of(&self, unit: &str) -> Option<&str> {
        let school = self.schools.as_ref().and_then(|schools| schools.get(unit)).map(|school| &school.name);
        let practice = || self.practices.as_ref().and_then(|all| all.get(unit)).map(|practice| &practice.name);
        school.or_else(practice).map(String::as_str)
    }

    fn school(&self, urn: &str) -> Option<String> {
        let Some(schools) = &self.schools else { return Some(urn.trim().to_owned()) };
        schools.get(plain(urn).as_str()).map(|school| school.safeguarding_unit.clone())
    }

    fn practice(&self, code: &str) -> Option<String> {
        let mut code = code.trim().to_uppercase();
        let Some(practices) = &self.practices else { return Some(code) };
        for _ in 0..MERGERS_MAX {
            match &practices.get(&code)?.merged_into {
                Some(into) => code.clone_from(into),
                None => return Some(code),
            }
        }
        None
    }

    fn hub(&self, agency: &Agency, locality: &str) -> Option<String> {
        if let Some(localities) = &self.localities {
            return localities.get(plain(locality).as_str()).map(|known| known.hub.clone());
        }
        let known = agency.localities.as_ref().is_none_or(|localities| localities.contains(locality));
        known.then(|| locality.to_owned())
    }

    fn authority(&self, name: &str) -> Option<String> {
        self.authorities.as_ref()?.get(plain(name).as_str()).map(|authority| authority.unit.clone())
    }

    /// The fields that say of a child who serves them, by a code that is not listed here.
    pub fn unlisted(&self, child: &Child) -> Vec<&'static str> {
        let school = school_of(child).filter(|urn| !urn.trim().is_empty() && self.school(urn).is_none());
        let practice = child.gp_ods.as_deref().filter(|code| !code.trim().is_empty() && self.practice(code).is_none());
        let is_listed = |name: &str| self.localities.as_ref().is_none_or(|all| all.contains_key(plain(name).as_str()));
        let locality = child.locality.as_deref().filter(|name| !name.trim().is_empty() && !is_listed(name));
        let fields = [("school_urn", school), ("gp_ods", practice), ("locality", locality)];
        fields.into_iter().filter_map(|(field, unlisted)| unlisted.map(|_| field)).collect()
    }

    /// Whether the units of a kind are listed here.
    pub fn lists(&self, kind: UnitKind) -> bool {
        match kind {
            UnitKind::One => false,
            UnitKind::School => self.schools.is_some(),
            UnitKind::Practice => self.practices.is_some(),
            UnitKind::Locality => self.localities.is_some(),
            UnitKind::Authority => self.authorities.is_some(),
        }
    }

    /// Every unit of a kind that a task may be addressed to.
    pub fn units_of(&self, kind: UnitKind) -> Vec<String> {
        let mut units: Vec<String> = match kind {
            UnitKind::One => Vec::new(),
            UnitKind::School => {
                self.schools.iter().flatten().map(|(_, school)| school.safeguarding_unit.clone()).collect()
            }
            UnitKind::Practice => {
                let standing = self.practices.iter().flatten().filter(|(_, practice)| practice.merged_into.is_none());
                standing.map(|(code, _)| code.clone()).collect()
            }
            UnitKind::Locality => self.localities.iter().flatten().map(|(_, locality)| locality.hub.clone()).collect(),
            UnitKind::Authority => {
                self.authorities.iter().flatten().map(|(_, authority)| authority.unit.clone()).collect()
            }
        };
        units.sort();
        units.dedup();
        units
    }
}

/// A child who is educated at home has no school, whatever register they once stood in.
pub fn school_of(child: &Child) -> Option<&str> {
    child.school_urn.as_deref().filter(|_| child.home_educated != Some(true))
}

/// A name as it is looked up.
pub fn plain(name: &str) -> String {
    name.trim().to_lowercase()
}

/// The name of an agency as it is compared: whatever its case, and whatever stands between its words.
pub fn as_meant(name: &str) -> String {
    let is_between = |letter: char| letter.is_whitespace() || letter == '_' || letter == '-';
    let name = plain(name);
    name.split(is_between).filter(|word| !word.is_empty()).collect::<Vec<&str>>().join("-")
}
