//! Until when the certificate counts that the router shows: clients refuse one that has ended, and the router would never hear of it.

use std::path::Path;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::engine::model::scalar::{DAY_MS, Timestamp};

/// So long before its end somebody is told.
const TELL_BEFORE_MS: i64 = 14 * DAY_MS;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// From when and until when a certificate counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    pub begins: Timestamp,
    pub ends: Timestamp,
}

/// That of a certificate in DER (RFC 5280, 4.1); None where it cannot be read.
pub fn validity_of(der: &[u8]) -> Option<Validity> {
    let (certificate, _) = contents(der, SEQUENCE)?;
    let (mut fields, _) = contents(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (validity, _) = contents(fields, SEQUENCE)?;
    let (begins, rest) = time(validity)?;
    let (ends, _) = time(rest)?;
    Some(Validity { begins, ends })
}

/// The first element, a time, and what follows it.
fn time(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (kind, text, rest) = element(der)?;
    let text = std::str::from_utf8(text).ok()?;
    let text = match kind {
        // Of two digits: 1950 to 2049.
        UTC_TIME if text.get(..2)?.parse::<u8>().ok()? < 50 => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let at = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    TimeZone::UTC.to_timestamp(at).ok().map(|at| (Timestamp::from_jiff(at), rest))
}

/// What an operator is told of one that has not begun, has ended, or ends soon.
pub fn problem(file: &Path, validity: Validity, now: Timestamp) -> Option<String> {
    let file = file.display();
    if now < validity.begins {
        let at = validity.begins.to_jiff();
        return Some(format!(
            "{file} counts from {at} on, and clients refuse it until then: put one in its place that counts now, and restart; or set this \
             machine's clock right, if that is behind"
        ));
    }
    let (at, left_ms) = (validity.ends.to_jiff(), validity.ends.0.saturating_sub(now.0));
    match left_ms {
        ..=0 => Some(format!("{file} ended at {at}: clients refuse it. Put a renewed one in its place, and restart")),
        1..=TELL_BEFORE_MS => Some(format!("{file} ends at {at}: put a renewed one in its place, and restart before")),
        _ => None,
    }
}

/// What a DER element of this kind holds, and what follows it.
fn contents(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, contents, rest) = element(der)?;
    (found == kind).then_some((contents, rest))
}

/// The first element: its kind, what it holds, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..=0x7F => (usize::from(length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((kind, contents, rest))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_told_from_two_weeks_before_it() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/tls/certificate.pem");
        let der = CertificateDer::from_pem_file(file).unwrap();
        let validity = validity_of(&der).unwrap();
        let Validity { begins, ends } = validity;
        assert_eq!(ends.to_jiff().to_string(), "2100-10-26T17:23:07Z");
        let told = |days: i64| problem(Path::new("tls.pem"), validity, Timestamp(ends.0 - days * DAY_MS));
        let early = problem(Path::new("tls.pem"), validity, Timestamp(begins.0 - 1));
        assert!(early.is_some_and(|told| told.contains(&format!("tls.pem counts from {} on", begins.to_jiff()))));
        assert_eq!(problem(Path::new("tls.pem"), validity, begins), None);
        assert_eq!(told(15), None);
        assert!(told(13).is_some_and(|told| told.contains("tls.pem ends at 2100-10-26T17:23:07Z")));
        assert!(told(-1).is_some_and(|told| told.contains("tls.pem ended at 2100-10-26T17:23:07Z: clients refuse it")));
        for length in 0..der.len() {
            // Cut short anywhere: no answer, and no panic.
            assert!(der.get(..length).and_then(validity_of).is_none(), "{length}");
        }
    }
}
