//! Times as a scenario writes them: on London's clocks, or with an offset.

use crate::engine::calendar;
use crate::engine::model::scalar::Timestamp;

/// An instant as a scenario writes it: `2026-03-12 10:00` on London's clocks, or RFC 3339 with an offset.
pub fn instant(value: &toml::Value) -> Result<Timestamp, String> {
    let text = match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Datetime(datetime) => datetime.to_string(),
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => return Err(INSTANT_EXPECTED.to_owned()),
    };
    let with_offset = || text.parse::<jiff::Timestamp>().ok().map(Timestamp::from_jiff);
    local_instant(&text).or_else(with_offset).ok_or_else(|| INSTANT_EXPECTED.to_owned())
}

const INSTANT_EXPECTED: &str = "must be a time: \"2026-03-12 10:00\" (London) or RFC 3339 with an offset";

/// A date and time without an offset, on London's clocks; when clocks go back, the first of the two.
pub fn local_instant(text: &str) -> Option<Timestamp> {
    const SHORTEST: usize = "2026-03-12 10:00".len();
    let no_offset = text.len() >= SHORTEST && !text.ends_with('Z') && !text.get(11..)?.contains(['+', '-']);
    let datetime: jiff::civil::DateTime = no_offset.then(|| text.replacen(' ', "T", 1).parse().ok())??;
    calendar::instant(datetime.date(), datetime.time()).ok()
}
