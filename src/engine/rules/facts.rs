//! The facts a rule book's conditions may read, and the dense table that holds their values for one judgement.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::catalogue;
use super::names::ByName;
use crate::engine::model::scalar::{FactType, FactValue};

/// A fact of one rule book. Ids of different books must not be mixed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FactId(pub(super) u16);

impl FactId {
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// An event kind: its place in the catalogue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KindId(pub(super) u16);

impl KindId {
    /// None: no such kind.
    pub fn of(kind: &str) -> Option<Self> {
        static PLACES: LazyLock<ByName<&'static str, KindId>> =
            LazyLock::new(|| KindId::all().map(|kind| (kind.name(), kind)).collect());
        PLACES.get(kind).copied()
    }

    /// Every kind, in the order of the catalogue.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..u16::MAX).map(Self).take(catalogue::kinds().len())
    }

    pub fn place(self) -> usize {
        usize::from(self.0)
    }

    pub fn name(self) -> &'static str {
        catalogue::kinds().get(usize::from(self.0)).copied().unwrap_or_default()
    }
}

/// One fact: what it may be, and what its absence means.
#[derive(Clone, PartialEq, Debug)]
pub struct Fact {
    /// `event.grade`, `history.missing_90d`, `result.agencies.police`.
    pub name: String,
    /// In a practitioner's words, for "find out" tasks.
    pub label: String,
    pub value_type: FactType,
    /// Never missing; false, zero or the lowest symbol unless set.
    pub always_known: bool,
    /// What absence means; None: ask.
    pub absent: Option<Absent>,
    /// The event kinds that carry it; None: every kind.
    pub kinds: Option<Vec<&'static str>>,
}

impl Fact {
    /// Whether events of this kind can carry the fact.
    pub fn is_of_kind(&self, kind: &str) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }

    /// The value as the table holds it: numbers as they are, flags 0 and 1, codes by their place among the symbols.
    pub fn encode(&self, value: &FactValue) -> Option<i64> {
        match (self.value_type, value) {
            (FactType::Bool, FactValue::Bool(flag)) => Some(i64::from(*flag)),
            (FactType::Int, FactValue::Int(number)) => Some(*number),
            (FactType::Code(symbols), FactValue::Code(code)) => {
                let place = symbols.iter().position(|symbol| symbol == code)?;
                i64::try_from(place).ok()
            }
            (FactType::Bool | FactType::Int | FactType::Code(_), _) => None,
        }
    }

    pub fn decode(&self, slot: i64) -> Option<FactValue> {
        match self.value_type {
            FactType::Bool => Some(FactValue::Bool(slot != 0)),
            FactType::Int => Some(FactValue::Int(slot)),
            FactType::Code(symbols) => {
                let symbol = symbols.get(usize::try_from(slot).ok()?)?;
                Some(FactValue::Code((*symbol).to_owned()))
            }
        }
    }
}

/// What the absence of a fact means, with the reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Absent {
    pub value: FactValue,
    pub because: String,
}

/// Every fact of a rule book, by id and by name.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    facts: Vec<Fact>,
    by_name: BTreeMap<String, FactId>,
    /// The values a fresh table starts with.
    fresh: Vec<Option<i64>>,
}

impl Facts {
    /// Adds a fact, or returns the id it already has. None: the limit of 65,535 facts is reached.
    pub fn add(&mut self, fact: Fact) -> Option<FactId> {
        if let Some(id) = self.by_name.get(&fact.name) {
            return Some(*id);
        }
        let id = FactId(u16::try_from(self.facts.len()).ok()?);
        self.by_name.insert(fact.name.clone(), id);
        self.fresh.push(fact.always_known.then_some(0));
        self.facts.push(fact);
        Some(id)
    }

    pub fn get_mut(&mut self, id: FactId) -> Option<&mut Fact> {
        self.facts.get_mut(id.index())
    }

    /// The id of a fact by its full name: `event.grade`. Look ids up once, not for every event.
    pub fn id(&self, name: &str) -> Option<FactId> {
        self.by_name.get(name).copied()
    }

    pub fn get(&self, id: FactId) -> Option<&Fact> {
        self.facts.get(id.index())
    }

    pub fn name(&self, id: FactId) -> &str {
        self.get(id).map_or("", |fact| &fact.name)
    }

    pub fn label(&self, id: FactId) -> &str {
        self.get(id).map_or("", |fact| &fact.label)
    }

    /// Every fact, in the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (FactId, &Fact)> {
        (0..u16::MAX).map(FactId).zip(&self.facts)
    }

    pub fn len(&self) -> usize {
        self.facts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// A table for events of one kind: recorded facts at false or zero, all others missing, `event.kind` set.
    pub fn table(&self, kind: KindId) -> FactTable {
        let mut table = FactTable { kind, slots: Vec::with_capacity(self.fresh.len()) };
        self.reset(&mut table, kind);
        table
    }

    /// Makes a table fresh again without allocating.
    pub fn reset(&self, table: &mut FactTable, kind: KindId) {
        table.kind = kind;
        table.slots.clear();
        table.slots.extend_from_slice(&self.fresh);
        if let Some(id) = self.id("event.kind") {
            table.put(id, Some(i64::from(kind.0)));
        }
    }

    /// Sets a fact. False, and the fact is left missing: the value is not of the fact's type, or its symbol is unknown.
    pub fn set(&self, table: &mut FactTable, id: FactId, value: &FactValue) -> bool {
        let slot = self.get(id).and_then(|fact| fact.encode(value));
        table.put(id, slot);
        slot.is_some()
    }

    /// The value of a fact as it may be published. None: missing.
    pub fn value(&self, table: &FactTable, id: FactId) -> Option<FactValue> {
        self.get(id)?.decode(table.slot(id)?)
    }

    /// What the book says the absence of facts means, for those that a kind can carry. Worked out once for each kind.
    pub fn absences(&self, kind: KindId) -> Absences {
        let of_kind = self.iter().filter(|(_, fact)| fact.is_of_kind(kind.name()));
        Absences(of_kind.filter_map(|(id, fact)| Some((id, fact.encode(&fact.absent.as_ref()?.value)))).collect())
    }
}

/// The values that missing facts of one kind are given.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Absences(Vec<(FactId, Option<i64>)>);

impl Absences {
    /// Gives every fact that is missing in the table its value.
    pub fn fill(&self, table: &mut FactTable) {
        for (id, slot) in &self.0 {
            if !table.is_known(*id) {
                table.put(*id, *slot);
            }
        }
    }
}

/// The values of all facts for one judgement, by fact id. Make it once and reset it.
#[derive(Clone, PartialEq, Debug)]
pub struct FactTable {
    kind: KindId,
    slots: Vec<Option<i64>>,
}

impl FactTable {
    pub fn kind(&self) -> KindId {
        self.kind
    }

    /// The encoded value; None: missing.
    pub fn slot(&self, id: FactId) -> Option<i64> {
        self.slots.get(id.index()).copied().flatten()
    }

    pub fn is_known(&self, id: FactId) -> bool {
        self.slot(id).is_some()
    }

    pub fn set_bool(&mut self, id: FactId, flag: bool) {
        self.put(id, Some(i64::from(flag)));
    }

    pub fn set_int(&mut self, id: FactId, number: i64) {
        self.put(id, Some(number));
    }

    pub fn set_missing(&mut self, id: FactId) {
        self.put(id, None);
    }

    pub(super) fn put(&mut self, id: FactId, slot: Option<i64>) {
        if let Some(place) = self.slots.get_mut(id.index()) {
            *place = slot;
        }
    }
}
