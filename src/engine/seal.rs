//! The sealed reply address: opened by the router alone, different for each recipient.

use aes_gcm_siv::aead::{Aead, Payload};
use aes_gcm_siv::{Aes256GcmSiv, KeyInit, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::identity::KeyedHash;
use super::model::subject::SubjectKey;

/// The longest address worth opening, in characters.
pub const SEALED_CHARS_MAX: usize = 2_048;

const NONCE_BYTES: usize = 12;

/// First byte of what is sealed, so that the form can change.
const FORM: u8 = 1;

/// Authenticated along with the address: nothing else sealed under this key opens as one.
const PURPOSE: &[u8] = b"pathway reply address";

/// Whom an answer is about, and to whom the address was given.
#[derive(Clone, PartialEq, Eq)]
pub struct ReplyTo {
    pub subject: SubjectKey,
    /// The task, or the feedback, that carries the address.
    pub task_id: Uuid,
    pub agency: String,
    pub unit: Option<String>,
}

impl std::fmt::Debug for ReplyTo {
    /// The address ties a child to an agency, so none of it is printed by accident.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ReplyTo(..)")
    }
}

/// An address that cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    #[error("not an address of this router: send the `reply_to` of the task or feedback unchanged")]
    Malformed,
    #[error("the address was altered, or sealed by another router")]
    NotOurs,
}

/// Seals and opens reply addresses under one secret.
#[derive(Clone)]
pub struct Sealer {
    cipher: Aes256GcmSiv,
    nonces: KeyedHash,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Sealer(..)")
    }
}

impl Sealer {
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        let cipher_key = Zeroizing::new(KeyedHash::new(secret).of(&[b"pathway seal cipher"]));
        Self {
            cipher: Aes256GcmSiv::new(&(*cipher_key).into()),
            nonces: KeyedHash::derived(secret, b"pathway seal nonce"),
        }
    }

    /// The address in URL-safe characters. The same address always gives the same text: the nonce is derived from the
    /// task and its recipient, which a mode that bears repeated nonces allows.
    pub fn seal(&self, address: &ReplyTo) -> String {
        let plain = Zeroizing::new(write(address));
        let nonce = self.nonce(address);
        // Sealing refuses only texts above 64 GiB; an empty one would not open.
        let payload = Payload { msg: plain.as_slice(), aad: PURPOSE };
        let sealed = self.cipher.encrypt(&Nonce::from(nonce), payload).unwrap_or_default();
        let mut bytes = nonce.to_vec();
        bytes.extend_from_slice(&sealed);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The address a recipient echoed.
    pub fn open(&self, sealed: &str) -> Result<ReplyTo, SealError> {
        if sealed.len() > SEALED_CHARS_MAX {
            return Err(SealError::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| SealError::Malformed)?;
        let (nonce, body) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Malformed)?;
        let plain = self
            .cipher
            .decrypt(&Nonce::from(*nonce), Payload { msg: body, aad: PURPOSE })
            .map(Zeroizing::new)
            .map_err(|_| SealError::NotOurs)?;
        read(&plain).ok_or(SealError::NotOurs)
    }

    fn nonce(&self, address: &ReplyTo) -> [u8; NONCE_BYTES] {
        let mut recipient = Vec::new();
        write_text(&mut recipient, Some(&address.agency));
        write_text(&mut recipient, address.unit.as_deref());
        let digest = self.nonces.of(&[address.task_id.as_bytes(), &recipient]);
        digest.first_chunk().copied().unwrap_or_default()
    }
}

fn write(address: &ReplyTo) -> Vec<u8> {
    let mut bytes = vec![FORM];
    bytes.extend_from_slice(&address.subject.0);
    bytes.extend_from_slice(address.task_id.as_bytes());
    write_text(&mut bytes, Some(&address.agency));
    write_text(&mut bytes, address.unit.as_deref());
    bytes
}

/// A flag, the length as eight bytes, the text; so that no two lists of texts are written alike.
fn write_text(bytes: &mut Vec<u8>, text: Option<&str>) {
    let Some(text) = text else {
        bytes.push(0);
        return;
    };
    bytes.push(1);
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn read(bytes: &[u8]) -> Option<ReplyTo> {
    let (form, rest) = bytes.split_first()?;
    if *form != FORM {
        return None;
    }
    let (subject, rest) = rest.split_first_chunk::<32>()?;
    let (task_id, rest) = rest.split_first_chunk::<16>()?;
    let (agency, rest) = read_text(rest)?;
    let (unit, rest) = read_text(rest)?;
    let address = ReplyTo { subject: SubjectKey(*subject), task_id: Uuid::from_bytes(*task_id), agency: agency?, unit };
    rest.is_empty().then_some(address)
}

fn read_text(bytes: &[u8]) -> Option<(Option<String>, &[u8])> {
    match bytes.split_first()? {
        (0, rest) => Some((None, rest)),
        (1, rest) => {
            let (length, rest) = rest.split_first_chunk::<8>()?;
            let (text, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            Some((Some(std::str::from_utf8(text).ok()?.to_owned()), rest))
        }
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(agency: &str, unit: Option<&str>) -> ReplyTo {
        ReplyTo {
            subject: SubjectKey([7; 32]),
            task_id: Uuid::from_u128(42),
            agency: agency.to_owned(),
            unit: unit.map(str::to_owned),
        }
    }

    #[test]
    fn an_address_comes_back_and_always_reads_the_same() {
        let sealer = Sealer::from_secret(&[3; 32]);
        for address in [address("police", None), address("school", Some("111001")), address("gp", Some(""))] {
            let sealed = sealer.seal(&address);
            assert_eq!(sealed, Sealer::from_secret(&[3; 32]).seal(&address));
            assert!(sealer.open(&sealed) == Ok(address));
        }
    }

    #[test]
    fn recipients_cannot_compare_addresses() {
        let sealer = Sealer::from_secret(&[3; 32]);
        let police = sealer.seal(&address("police", None));
        let school = sealer.seal(&address("school", Some("111001")));
        let other_school = sealer.seal(&address("school", Some("111002")));
        let shared = |one: &str, two: &str| one.bytes().zip(two.bytes()).take_while(|(one, two)| one == two).count();
        assert!(shared(&police, &school) < 8);
        assert!(shared(&school, &other_school) < 8);
    }

    #[test]
    fn anything_altered_is_refused() {
        let sealer = Sealer::from_secret(&[3; 32]);
        let sealed = sealer.seal(&address("school", Some("111001")));
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).expect("our own text");
        for index in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[index] ^= 1;
            assert!(sealer.open(&URL_SAFE_NO_PAD.encode(&altered)) == Err(SealError::NotOurs), "byte {index}");
            assert!(sealer.open(&URL_SAFE_NO_PAD.encode(&bytes[..index])).is_err(), "first {index} bytes");
        }
        assert!(Sealer::from_secret(&[4; 32]).open(&sealed) == Err(SealError::NotOurs));
        for text in ["", "x", "not base64 !", &"A".repeat(SEALED_CHARS_MAX + 1)] {
            assert!(sealer.open(text) == Err(SealError::Malformed));
        }
    }

    #[test]
    fn nothing_shows_in_debug() {
        let sealer = Sealer::from_secret(&[3; 32]);
        assert_eq!(format!("{:?} {sealer:?}", address("police", None)), "ReplyTo(..) Sealer(..)");
    }
}
