//! Who a record is about: check digits, normalised names, keyed subject keys.

mod check_digits;
pub mod expected;
#[cfg(test)]
mod tests;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use zeroize::Zeroizing;

use super::model::codes::Sex;
use super::model::event::{Child, Source};
use super::model::history::KnownAs;
use super::model::subject::SubjectKey;
pub use check_digits::{nhs_number_is_valid, upn_is_valid};

/// Most given names that are compared.
const GIVEN_NAMES_MAX: usize = 8;
/// What is put for the name of a child who has none yet, or whose name is not known.
const NO_NAME_YET: [&str; 10] =
    ["baby", "infant", "newborn", "unborn", "child", "boy", "girl", "male", "female", "unknown"];
/// What is put for a family name that is not known: the other words of that list are family names, too.
const NAME_NOT_KNOWN: &str = "unknown";

/// How a name begins that is kept as a keyed hash. It passes for the name of a sender, so that an earlier release keeps it, too.
const KEYED: &str = "keyed-";

/// Whether a name is kept as a keyed hash already.
pub fn is_keyed_name(name: &str) -> bool {
    name.strip_prefix(KEYED).is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// What a subject key was made from, strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IdentifierKind {
    NhsNumber,
    Upn,
    /// The sending unit's own id for the child: means nothing to another unit.
    LocalId,
    /// Normalised given and family names with the date of birth: enough to notice, never to merge.
    NameAndBirth,
    /// Nothing to go by, or a child who has no name yet: the event is a subject of its own.
    None,
    /// A partner, as the subject of what is wrong with its records.
    Partner,
}

impl IdentifierKind {
    /// As `keyed_by` of an inbox record writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            IdentifierKind::NhsNumber => "nhs_number",
            IdentifierKind::Upn => "upn",
            IdentifierKind::LocalId => "local_id",
            IdentifierKind::NameAndBirth => "name_and_birth",
            IdentifierKind::None => "none",
            IdentifierKind::Partner => "partner",
        }
    }
}

/// The secret that subject keys are made with. Whoever lacks it can neither make a key nor test a guess.
#[derive(Clone)]
pub struct Keys {
    subjects: KeyedHash,
    topics: KeyedHash,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Keys(..)")
    }
}

impl Keys {
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self {
            subjects: KeyedHash::derived(secret, b"pathway subject keys"),
            topics: KeyedHash::derived(secret, b"pathway topic keys"),
        }
    }

    /// The key of an identifier already in its normal form; the same text under another kind gives another key.
    pub fn subject_key(&self, kind: IdentifierKind, identifier: &str) -> SubjectKey {
        SubjectKey(self.subjects.of(&[kind.symbol().as_bytes(), &[0], identifier.as_bytes()]))
    }

    /// What a child is called and when they were born, as keyed hashes. None: neither is said.
    pub fn known_as(&self, child: &Child) -> Option<KnownAs> {
        let of = |what: &str, text: &str| self.known_by(what, text);
        let birth = child.date_of_birth.map(|born| of("birth", &born.to_civil().to_string()));
        let names = given_names(child.given_names.as_deref().unwrap_or_default());
        let known = KnownAs {
            birth,
            whole: (!names.is_empty()).then(|| of("given", &names.concat())),
            given: names.iter().map(|name| of("given", name)).collect(),
            ..KnownAs::default()
        };
        (known.birth.is_some() || known.whole.is_some()).then_some(known)
    }

    /// The same, with what else tells two children of one name and birthday apart where no number does.
    pub fn known_without_number(&self, child: &Child) -> Option<KnownAs> {
        let of = |what: &str, said: Option<&String>| {
            let said: String = said?.split_whitespace().collect::<String>().to_lowercase();
            (!said.is_empty()).then(|| self.known_by(what, &said))
        };
        let sex = child.sex.filter(|sex| matches!(sex, Sex::Female | Sex::Male));
        Some(KnownAs {
            sex: sex.map(|sex| self.known_by("sex", sex.symbol())),
            school: of("school", child.school_urn.as_ref()),
            practice: of("practice", child.gp_ods.as_ref()),
            locality: of("locality", child.locality.as_ref()),
            ..self.known_as(child)?
        })
    }

    /// The name of a sender as somebody writes it, which may be a person's: it can be compared, and not read.
    pub fn sender_name(&self, as_meant: &str) -> String {
        format!("{KEYED}{:016x}", self.known_by("sender", as_meant))
    }

    fn known_by(&self, what: &str, text: &str) -> i64 {
        let hash = self.subjects.of(&[b"known as ", what.as_bytes(), &[0], text.as_bytes()]);
        hash.first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes))
    }

    /// The key that a task is published under: one agency's tasks for a child share it, two agencies' never do.
    pub fn task_topic_key(&self, subject: SubjectKey, agency: &str) -> SubjectKey {
        SubjectKey(self.topics.of(&[&subject.0, agency.as_bytes()]))
    }

    /// The pseudo-subject that faults of a partner's records are counted on.
    pub fn partner_subject(&self, partner: &str, unit: Option<&str>) -> SubjectKey {
        let named = unit.map_or(partner.to_owned(), |unit| format!("{partner}\0{unit}"));
        self.subject_key(IdentifierKind::Partner, &named)
    }
}

/// The subject keys a child's identifiers give.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identifiers {
    /// The subject.
    pub strongest: (IdentifierKind, SubjectKey),
    /// Weaker identifiers, verified or the sender's own, that name the same subject: strongest first, none of them by
    /// name and birth.
    pub weaker: Vec<(IdentifierKind, SubjectKey)>,
    /// The name-and-birth key where something else made the subject: noted there as a sighting, never an alias.
    pub sighting: Option<SubjectKey>,
    /// Identifiers that failed their check and were not used: `nhs_number`, `upn`.
    pub unverified: Vec<String>,
}

/// Weaker keys as they travel; None where there are none.
pub fn keys_alone(weaker: Vec<(IdentifierKind, SubjectKey)>) -> Option<Vec<SubjectKey>> {
    (!weaker.is_empty()).then(|| weaker.into_iter().map(|(_, key)| key).collect())
}

impl Identifiers {
    /// `event_id` makes the subject of a child whom nothing identifies: the event's, or that of the one it corrects or takes back.
    pub fn of(keys: &Keys, child: &Child, source: &Source, event_id: &str) -> Self {
        let (mut found, unverified) = checked(child);
        if let Some(local_id) = given(&child.local_id) {
            let scoped = format!("{}\0{}\0{local_id}", source.partner, source.unit);
            found.push((IdentifierKind::LocalId, scoped));
        }
        let mut named = found.into_iter().map(|(kind, text)| (kind, keys.subject_key(kind, &text)));
        let name_and_birth = name_and_birth(child)
            .map(|(text, is_named)| (keys.subject_key(IdentifierKind::NameAndBirth, &text), is_named));
        let (strongest, sighting) = match (named.next(), name_and_birth) {
            (Some(strongest), seen) => (strongest, seen.map(|(key, _)| key)),
            (None, Some((key, true))) => ((IdentifierKind::NameAndBirth, key), None),
            (None, seen) => {
                let text = format!("{}\0{}\0{event_id}", source.partner, source.unit);
                let own = keys.subject_key(IdentifierKind::None, &text);
                ((IdentifierKind::None, own), seen.map(|(key, _)| key))
            }
        };
        Self { strongest, weaker: named.collect(), sighting, unverified }
    }
}

/// Numbers that pass their check, in their normal form, strongest first; and the names of those that fail it.
fn checked(child: &Child) -> (Vec<(IdentifierKind, String)>, Vec<String>) {
    let (mut found, mut unverified) = (Vec::new(), Vec::new());
    let mut check = |kind: IdentifierKind, number: String, is_valid: bool| match is_valid {
        true => found.push((kind, number)),
        false => unverified.push(kind.symbol().to_owned()),
    };
    if let Some(number) = given(&child.nhs_number).map(normalise_nhs_number) {
        let is_valid = nhs_number_is_valid(&number);
        check(IdentifierKind::NhsNumber, number, is_valid);
    }
    if let Some(upn) = given(&child.upn).map(normalise_upn) {
        let is_valid = upn_is_valid(&upn);
        check(IdentifierKind::Upn, upn, is_valid);
    }
    (found, unverified)
}

/// Identifiers of a child that fail their check: `nhs_number`, `upn`. No key is made.
pub fn unverified(child: &Child) -> Vec<String> {
    checked(child).1
}

/// The text of an optional field without surrounding blanks, unless nothing is left.
fn given(field: &Option<String>) -> Option<&str> {
    field.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// Without the blanks and hyphens it is printed with.
pub fn normalise_nhs_number(number: &str) -> String {
    number.chars().filter(|character| !character.is_whitespace() && *character != '-').collect()
}

/// In capitals, without blanks.
pub fn normalise_upn(upn: &str) -> String {
    upn.chars().filter(|character| !character.is_whitespace()).map(|character| character.to_ascii_uppercase()).collect()
}

/// A name as it is compared: compatibility forms taken apart, accents dropped, case folded, letters and digits only.
/// `Zoë O'Brien-Łuć` and `ZOE OBRIEN ŁUC` are the same; `Twin 1` and `Twin 2` are not.
pub fn normalise_name(name: &str) -> String {
    if name.is_ascii() {
        // Nothing to take apart, and no marks: the same, without asking Unicode of every letter.
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        return letters.map(|letter| letter.to_ascii_lowercase()).collect();
    }
    // Through upper case, as case folding asks: ß and ss are one; and to it from lower case, for a capital ẞ is ß only there.
    let folded = name.nfkd().flat_map(char::to_lowercase).flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    let tells = |character: &char| {
        !is_often_left_out(*character) && (character.is_alphanumeric() || is_combining_mark(*character))
    };
    // In order again: marks come to stand side by side when what lay between them goes.
    folded.nfkd().filter(tells).nfkd().collect()
}

/// Accents, and the vowel points of Arabic and Hebrew. Elsewhere a mark is a vowel or a letter of its own, and tells names apart.
fn is_often_left_out(character: char) -> bool {
    matches!(character,
        '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5bd}' | '\u{5bf}'..='\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}')
}

/// Given names one by one, as they are compared; none where the child has no name yet.
fn given_names(text: &str) -> Vec<String> {
    let parts = text.split(|character: char| character.is_whitespace() || "-\u{2010}\u{2011}".contains(character));
    let names: Vec<String> = parts.map(normalise_name).filter(|name| !name.is_empty()).take(GIVEN_NAMES_MAX).collect();
    if names.iter().all(|name| NO_NAME_YET.contains(&name.as_str())) { Vec::new() } else { names }
}

/// Name and birth as they are compared, and whether they are those of one who has a name: of two babies of one family, born on
/// one day and not named yet, nobody knows that they are one.
fn name_and_birth(child: &Child) -> Option<(String, bool)> {
    let given = child.given_names.as_deref()?;
    let (given_names, family_name) = (normalise_name(given), normalise_name(child.family_name.as_deref()?));
    if given_names.is_empty() || family_name.is_empty() {
        return None;
    }
    let is_named = !self::given_names(given).is_empty() && family_name != NAME_NOT_KNOWN;
    Some((format!("{given_names}\0{family_name}\0{}", child.date_of_birth?.to_civil()), is_named))
}

/// HMAC-SHA-256 under one key, which is worked in once.
#[derive(Clone)]
pub(super) struct KeyedHash(Hmac<Sha256>);

impl KeyedHash {
    pub fn new(key: &[u8; 32]) -> Self {
        // HMAC pads a short key with zeros to the hash's block, as here.
        let mut block = Zeroizing::new([0; 64]);
        block.iter_mut().zip(key).for_each(|(padded, byte)| *padded = *byte);
        Self(<Hmac<Sha256> as KeyInit>::new(&(*block).into()))
    }

    /// Under a key of its own for this purpose.
    pub fn derived(secret: &[u8; 32], purpose: &[u8]) -> Self {
        Self::new(&Zeroizing::new(Self::new(secret).of(&[purpose])))
    }

    /// Over the parts, one after another.
    pub fn of(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hmac = self.0.clone();
        for part in parts {
            hmac.update(part);
        }
        hmac.finalize().into_bytes().into()
    }
}
