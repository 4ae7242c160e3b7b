//! Whether a record says that a child is in immediate danger: as an event, as bytes that are none, or as a record of ours.

use super::codec;
use super::history::entry::DANGER;
use super::model::detail::Detail;
use super::model::event::ReferralEvent;
use super::model::inbox::{InboxBody, InboxRecord};
use super::model::scalar::FactValue;
use super::schema::names::nearest;

/// Whether an event says it, of the child or by a correction. What was imported tells of another time.
pub fn is_said(event: &ReferralEvent) -> bool {
    !event.backfill && is_claimed(event)
}

fn is_claimed(event: &ReferralEvent) -> bool {
    event.immediate_danger == Some(true) || corrected_to(event, DANGER) == Some(true)
}

/// To what a correction sets a flag.
pub fn corrected_to(event: &ReferralEvent, name: &str) -> Option<bool> {
    let Detail::EventCorrected(correction) = &event.detail else { return None };
    match correction.changes.get(name)? {
        FactValue::Bool(flag) => Some(*flag),
        FactValue::Int(_) | FactValue::Code(_) => None,
    }
}

/// Whether a record says it that nobody will judge: an event, one of the inbox, or bytes that are neither.
pub fn is_said_in(bytes: &[u8]) -> bool {
    let by_inbox = || {
        codec::decode::<InboxRecord>(bytes).is_ok_and(|record| match &record.body {
            InboxBody::Referral(referral) => is_said(&referral.event),
            InboxBody::Outcome(_)
            | InboxBody::Alias(_)
            | InboxBody::Forward(_)
            | InboxBody::Signal(_)
            | InboxBody::Tick(_) => false,
        })
    };
    says_danger(bytes) || codec::decode::<ReferralEvent>(bytes).is_ok_and(|event| is_claimed(&event)) || by_inbox()
}

/// Whether the text of these bytes says it, be it an event or not.
pub fn says_danger(bytes: &[u8]) -> bool {
    places_that_say_danger(bytes).next().is_some()
}

/// Each place where the text of these bytes says it.
pub fn places_that_say_danger(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let quotes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'"').map(|(quote, _)| quote);
    quotes.filter(|quote| bytes.get(quote.saturating_add(1)..).is_some_and(member_says_danger))
}

/// Whether these bytes begin with a member's name, its quote and what says yes: also as text, and misspelt by a letter or two.
fn member_says_danger(bytes: &[u8]) -> bool {
    const NAME_BYTES_MAX: usize = 24;
    const YES: [&[u8]; 4] = [b"true", b"yes", b"y\"", b"1"];
    let Some(end) = bytes.iter().take(NAME_BYTES_MAX).position(|byte| *byte == b'"') else { return false };
    let (name, rest) = bytes.split_at(end);
    let Some(value) = rest.get(1..).and_then(|rest| rest.trim_ascii_start().strip_prefix(b":")) else { return false };
    let value = value.trim_ascii_start();
    let value = value.strip_prefix(b"\"").unwrap_or(value).trim_ascii_start();
    let says_yes = YES.iter().any(|yes| value.get(..yes.len()).is_some_and(|start| start.eq_ignore_ascii_case(yes)));
    // Quoted within a text its last quote is escaped.
    let is_name = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-. ".contains(byte));
    says_yes && is_name && std::str::from_utf8(name).is_ok_and(is_its_name)
}

/// Whether a name is that of the flag: also without its `_`, and misspelt by a letter or two.
pub fn is_its_name(name: &str) -> bool {
    nearest(name, &[DANGER, "immediatedanger"]).is_some()
}

/// Whether what was given beside an event, as a header, says it: there it is lost, and is heard all the same.
pub fn attribute_says_danger(name: &str, value: &str) -> bool {
    let yes = ["true", "yes", "y", "1"];
    is_its_name(name) && yes.iter().any(|yes| value.trim().trim_matches('"').eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::{attribute_says_danger, says_danger};

    #[test]
    fn danger_is_found_in_any_bytes() {
        let said = [
            "{\"immediate_danger\" :\n true",
            "\"immediate_danger\":true",
            "\"immediateDanger\": \"True\"",
            "\"imediate_danger\": 1",
        ];
        assert!(said.iter().all(|text| says_danger(text.as_bytes())));
        let unsaid = ["", "\"immediate_danger\":false", "\"immediate_danger\"", "\"", r#"\"immediate_danger\": true"#];
        assert!(unsaid.iter().all(|text| !says_danger(text.as_bytes())));
    }

    #[test]
    fn danger_is_heard_of_a_header_too() {
        assert!(attribute_says_danger("immediatedanger", "true") && attribute_says_danger("immediatedangr", " Yes"));
        assert!(!attribute_says_danger("immediatedanger", "false") && !attribute_says_danger("immediate", "true"));
    }
}
