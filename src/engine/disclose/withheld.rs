//! An address that a recipient may not see, found again in what the sender wrote, however it is written there.

#[cfg(test)]
mod tests;

use super::Disclosed;
use crate::engine::model::event::Address;
use crate::engine::model::task::ChildView;

/// In the place of an address that a recipient may not see.
const WITHHELD: &str = "[address withheld]";

/// Fewer letters and figures than this, together, are words of their own (`Crewe`, `the Lane`).
const LETTERS_MIN: usize = 6;

/// Ways to write the kinds of streets and houses, the one that is compared first.
const SPELLINGS: [&[&str]; 24] = [
    &["road", "rd"],
    &["street", "st", "str", "saint"],
    &["avenue", "ave", "av"],
    &["close", "cl", "clo"],
    &["lane", "ln", "la"],
    &["drive", "dr", "drv"],
    &["crescent", "cres", "cresc", "cr"],
    &["court", "ct", "crt"],
    &["place", "pl"],
    &["square", "sq"],
    &["terrace", "terr", "ter", "tce"],
    &["gardens", "gdns", "gdn", "garden"],
    &["grove", "gr", "grv", "gro"],
    &["way", "wy"],
    &["park", "pk"],
    &["house", "hse", "ho"],
    &["flat", "flt", "apartment", "apt"],
    &["mount", "mt"],
    &["hill", "hl"],
    &["green", "grn", "gn"],
    &["number", "no", "nr"],
    &["north", "nth"],
    &["south", "sth"],
    &["building", "buildings", "bldg", "bldgs"],
];

/// The addresses that one recipient may not see.
#[derive(Debug, Default)]
pub struct Withheld {
    lines: Vec<Written>,
    postcodes: Vec<Written>,
}

/// A text by its words: compared without case, blanks and punctuation.
#[derive(Debug, Default)]
struct Written {
    /// The letters and figures of all words, run together.
    letters: Vec<char>,
    words: Vec<Word>,
}

/// Where a word stands among the letters, and in the text.
#[derive(Clone, Copy, Debug)]
struct Word {
    letters: (usize, usize),
    bytes: (usize, usize),
    /// The first of a part of an address, which a comma or a new line divides.
    opens_part: bool,
}

impl Withheld {
    pub fn of<'a>(addresses: impl Iterator<Item = &'a Address>) -> Self {
        let mut withheld = Self::default();
        for address in addresses {
            withheld.lines.push(Written::read(&address.lines));
            withheld.postcodes.extend(address.postcode.as_deref().map(Written::read));
        }
        withheld.postcodes.retain(|postcode| !postcode.letters.is_empty());
        withheld
    }

    fn is_nothing(&self) -> bool {
        self.lines.iter().all(|lines| lines.letters.is_empty()) && self.postcodes.is_empty()
    }

    /// A text without them.
    pub fn masked(&self, text: &str) -> String {
        let written = Written::read(text);
        let mut masked = String::with_capacity(text.len());
        let (mut from, mut place) = (0, 0);
        while let Some(word) = written.words.get(place) {
            match self.found(&written, place) {
                Some(last) => {
                    masked.push_str(text.get(from..word.bytes.0).unwrap_or_default());
                    masked.push_str(WITHHELD);
                    from = written.words.get(last).map_or(text.len(), |last| last.bytes.1);
                    place = last.saturating_add(1);
                }
                None => place = place.saturating_add(1),
            }
        }
        masked.push_str(text.get(from..).unwrap_or_default());
        masked
    }

    /// The last word of the longest piece of an address that begins at this word.
    fn found(&self, text: &Written, place: usize) -> Option<usize> {
        let whole = self.postcodes.iter().filter_map(|postcode| {
            let (last, covered) = text.common(place, postcode, 0)?;
            (covered == postcode.words.len()).then_some(last)
        });
        let pieces = self.lines.iter().flat_map(|lines| {
            (0..lines.words.len()).filter_map(move |first| {
                let (last, covered) = text.common(place, lines, first)?;
                lines.tells(first, covered).then_some(last)
            })
        });
        whole.chain(pieces).max()
    }

    /// All that a recipient is shown in anybody's words.
    pub fn mask(&self, shown: &mut Disclosed) {
        if self.is_nothing() {
            return;
        }
        let said = shown.voice_of_child.iter_mut().flat_map(|voice| [&mut voice.said, &mut voice.absent_because]);
        let carers = shown.carers.iter_mut().flat_map(|carer| {
            [&mut carer.name, &mut carer.not_told_because, &mut carer.safe_contact]
                .into_iter()
                .flatten()
                .chain([&mut carer.relationship])
        });
        let call_back =
            shown.call_back.iter_mut().flat_map(|who| who.name.iter_mut().chain([&mut who.role, &mut who.call_back]));
        let of_child = shown.child.iter_mut().flat_map(words_of_child);
        let facts = shown.facts.iter_mut().filter(|(name, _)| *name != super::HAPPENED_AT).map(|(_, words)| words);
        let sentences = [&mut shown.narrative, &mut shown.partner_reference].into_iter().chain(said).flatten();
        for text in sentences.chain(carers).chain(call_back).chain(of_child).chain(facts) {
            *text = self.masked(text);
        }
    }

    pub fn mask_all<'t>(&self, texts: impl Iterator<Item = &'t mut String>) {
        if !self.is_nothing() {
            texts.for_each(|text| *text = self.masked(text));
        }
    }
}

fn words_of_child(child: &mut ChildView) -> impl Iterator<Item = &mut String> {
    let ChildView { given_names, family_name, locality, ethnicity, disability_or_send, first_language, .. } = child;
    [given_names, family_name, locality, ethnicity, disability_or_send, first_language].into_iter().flatten()
}

impl Written {
    fn read(text: &str) -> Self {
        let mut written = Self::default();
        let mut begun = None;
        let mut opens_part = true;
        for (at, letter) in text.char_indices().chain([(text.len(), ' ')]) {
            match (letter.is_alphanumeric(), begun) {
                (true, None) => begun = Some(at),
                (false, Some(first)) => {
                    written.push(text, (first, at), opens_part);
                    (begun, opens_part) = (None, false);
                }
                (true, Some(_)) | (false, None) => {}
            }
            opens_part |= matches!(letter, ',' | '\n');
        }
        written
    }

    fn push(&mut self, text: &str, bytes: (usize, usize), opens_part: bool) {
        let word = text.get(bytes.0..bytes.1).unwrap_or_default().to_lowercase();
        let spelt = SPELLINGS.iter().find(|spellings| spellings.contains(&word.as_str()));
        let word = spelt.and_then(|spellings| spellings.first().copied()).unwrap_or(&word);
        let first = self.letters.len();
        self.letters.extend(word.chars());
        self.words.push(Word { letters: (first, self.letters.len()), bytes, opens_part });
    }

    /// How far this text, from one of its words, and an address, from one of its own, are the same: the last word here, and how
    /// many words there.
    fn common(&self, place: usize, address: &Written, first: usize) -> Option<(usize, usize)> {
        let (here, there) = (self.words.get(place)?.letters.0, address.words.get(first)?.letters.0);
        let pairs = self.letters.get(here..)?.iter().zip(address.letters.get(there..)?);
        let same = pairs.take_while(|(left, right)| left == right).count();
        let ends = |words: &[Word], from: usize, length: usize| {
            words.iter().position(|word| word.letters.1.checked_sub(from) == Some(length))
        };
        let last_here = |length| ends(self.words.get(place..)?, here, length);
        let last_there = |length| ends(address.words.get(first..)?, there, length);
        (1..=same).rev().find_map(|length| {
            let (last, covered) = (last_here(length)?, last_there(length)?);
            Some((place.saturating_add(last), covered.saturating_add(1)))
        })
    }

    /// Whether so many words of an address tell where it is: two and more that are long enough together, or a part of it that is,
    /// or that has a figure beside a word (`Flat 2`).
    fn tells(&self, first: usize, covered: usize) -> bool {
        let Some(words) = self.words.get(first..first.saturating_add(covered)) else { return false };
        let letters: Vec<char> = words
            .iter()
            .filter_map(|word| self.letters.get(word.letters.0..word.letters.1))
            .flatten()
            .copied()
            .collect();
        let next = self.words.get(first.saturating_add(covered));
        let is_part = words.first().is_some_and(|word| word.opens_part) && next.is_none_or(|word| word.opens_part);
        let in_words = letters.iter().any(|letter| letter.is_alphabetic());
        let long = letters.len() >= LETTERS_MIN;
        let with_figure = covered > 1 && letters.iter().any(|letter| letter.is_numeric());
        in_words && ((covered > 1 && long) || (is_part && (long || with_figure)))
    }
}
