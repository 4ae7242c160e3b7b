//! Check digits: NHS numbers (modulus 11) and unique pupil numbers (check letter).
//!
//! Sources: NHS Data Dictionary, "NHS number"; Department for Education, "Unique pupil numbers: guide".

/// Letters of a UPN by value 0 to 22: I, O and S are left out.
const UPN_LETTERS: &[u8; 23] = b"ABCDEFGHJKLMNPQRTUVWXYZ";

/// Ten digits whose last makes the weighted sum right. A digit ten times over also adds up, but is what people key in
/// when they have no number, so it is refused: it would make one child of many.
pub fn nhs_number_is_valid(number: &str) -> bool {
    let Some(digits) = digits(number) else { return false };
    let [first, .., check] = digits.as_slice() else { return false };
    if digits.len() != 10 || digits.iter().all(|digit| digit == first) {
        return false;
    }
    let sum: u32 = (2..=10).rev().zip(&digits).map(|(weight, digit)| weight * digit).sum();
    match 11 - sum % 11 {
        11 => *check == 0,
        // 10 is never issued, and no single digit equals it.
        expected => *check == expected,
    }
}

/// A check letter, then twelve digits of which the last may be a letter (a temporary number). No local authority is
/// numbered 000.
pub fn upn_is_valid(upn: &str) -> bool {
    let Some((check, body)) = upn.as_bytes().split_first() else { return false };
    let Some((last, middle)) = body.split_last() else { return false };
    if middle.len() != 11 || middle.starts_with(b"000") || !middle.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let Some(last) = digit(*last).or_else(|| letter(*last)) else { return false };
    let values = middle.iter().filter_map(|byte| digit(*byte)).chain([last]);
    let sum: u32 = (2..).zip(values).map(|(weight, value): (u32, u32)| weight * value).sum();
    letter(*check) == Some(sum % 23)
}

fn digits(text: &str) -> Option<Vec<u32>> {
    text.bytes().map(digit).collect()
}

fn digit(byte: u8) -> Option<u32> {
    byte.is_ascii_digit().then(|| u32::from(byte - b'0'))
}

fn letter(byte: u8) -> Option<u32> {
    let place = UPN_LETTERS.iter().position(|letter| *letter == byte)?;
    u32::try_from(place).ok()
}
