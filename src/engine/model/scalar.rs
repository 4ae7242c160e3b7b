//! The scalar types every record shares: instants, dates, levels and coded values.

use jiff::civil;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// A day of 24 hours, in milliseconds.
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Milliseconds since 1970-01-01T00:00:00Z (Avro `timestamp-millis`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant as jiff's type; instants outside its range (years -9999 to 9999) clamp to its ends.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }

    pub fn from_jiff(instant: jiff::Timestamp) -> Self {
        Self(instant.as_millisecond())
    }

    /// The later by `milliseconds`, clamped at the ends of the range.
    pub fn plus_millis(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// The date of this instant in a time zone.
    pub fn date_in(self, zone: &TimeZone) -> civil::Date {
        zone.to_datetime(self.to_jiff()).date()
    }
}

/// Days since 1970-01-01 (Avro `date`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Date(pub i32);

impl Date {
    /// The date as jiff's type; dates outside its range clamp to its ends.
    pub fn to_civil(self) -> civil::Date {
        let epoch = civil::date(1970, 1, 1);
        epoch.saturating_add(jiff::Span::new().try_days(self.0).unwrap_or_default())
    }

    pub fn from_civil(date: civil::Date) -> Self {
        let days = civil::date(1970, 1, 1).until(date).map(|span| span.get_days()).unwrap_or_default();
        Self(days)
    }
}

/// Level of need, lowest first. `L4a`: child in need (s17); `L4b`: suspected significant harm (s47) or immediate danger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Level {
    L1,
    L2,
    L3,
    L4a,
    /// Also what a symbol of a later schema is read as: never lower than was meant.
    #[serde(other)]
    L4b,
}

impl Level {
    pub const ALL: [Level; 5] = [Level::L1, Level::L2, Level::L3, Level::L4a, Level::L4b];

    /// The level as the partnership writes it: `L4a`.
    pub fn symbol(self) -> &'static str {
        match self {
            Level::L1 => "L1",
            Level::L2 => "L2",
            Level::L3 => "L3",
            Level::L4a => "L4a",
            Level::L4b => "L4b",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.symbol() == text)
    }
}

/// A coded value that rules may read. Free text and identifiers are never one. Variants bear the codec's names of
/// the union's branches.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum FactValue {
    #[serde(rename = "Boolean")]
    Bool(bool),
    #[serde(rename = "Long")]
    Int(i64),
    #[serde(rename = "String")]
    Code(String),
}

impl std::fmt::Display for FactValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FactValue::Bool(value) => write!(formatter, "{value}"),
            FactValue::Int(value) => write!(formatter, "{value}"),
            FactValue::Code(value) => write!(formatter, "{value}"),
        }
    }
}

/// The type of a coded fact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FactType {
    Bool,
    Int,
    /// One of these symbols.
    Code(&'static [&'static str]),
}

/// A field that may carry a coded fact: enumerations, flags and whole numbers do; text and times do not.
pub trait Coded {
    /// None: never a fact.
    const FACT: Option<FactType> = None;

    fn fact(&self) -> Option<FactValue> {
        None
    }

    /// What no rule reads and a recipient may still have to know.
    fn told(&self) -> Option<Told> {
        None
    }
}

/// A field that is no fact: text, or an instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    Text(String),
    Instant(Timestamp),
}

impl Coded for bool {
    const FACT: Option<FactType> = Some(FactType::Bool);

    fn fact(&self) -> Option<FactValue> {
        Some(FactValue::Bool(*self))
    }
}

impl Coded for i32 {
    const FACT: Option<FactType> = Some(FactType::Int);

    fn fact(&self) -> Option<FactValue> {
        Some(FactValue::Int(i64::from(*self)))
    }
}

impl<T: Coded> Coded for Option<T> {
    const FACT: Option<FactType> = T::FACT;

    fn fact(&self) -> Option<FactValue> {
        self.as_ref().and_then(Coded::fact)
    }

    fn told(&self) -> Option<Told> {
        self.as_ref().and_then(Coded::told)
    }
}

impl Coded for String {
    fn told(&self) -> Option<Told> {
        Some(Told::Text(self.clone()))
    }
}

impl Coded for Timestamp {
    fn told(&self) -> Option<Told> {
        Some(Told::Instant(*self))
    }
}

impl Coded for Date {
    fn told(&self) -> Option<Told> {
        Some(Told::Text(self.to_civil().to_string()))
    }
}

impl<T: Coded> Coded for Vec<T> {
    fn told(&self) -> Option<Told> {
        let symbols: Vec<String> = self.iter().filter_map(|item| item.fact().map(|fact| fact.to_string())).collect();
        (!symbols.is_empty()).then(|| Told::Text(symbols.join(", ")))
    }
}

impl<K, V> Coded for std::collections::BTreeMap<K, V> {}
