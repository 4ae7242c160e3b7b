//! An address that a recipient may not see, found again in what the sender wrote, however it is written there.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use super::Disclosed;
use crate::engine::model::event::Address;
use crate::engine::model::task::ChildView;

/// In the place of an address that a recipient may not see.
const WITHHELD: &str = "[address withheld]";

/// In the place of a whole text that repeats pieces of an address so often that it is not searched to the end.
const TEXT_WITHHELD: &str = "[withheld: an address that must not be shown cannot be told from these words]";

/// Letters that may be compared for each letter of a text, and besides: no text that anybody would write comes near.
const STEPS_PER_LETTER: usize = 64;
const STEPS_BESIDES: usize = 4096;

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
    /// The words of lines from which on a piece can tell anything, by the two letters that it begins with: the address, and the word.
    starts: HashMap<(char, char), Vec<(usize, usize)>>,
    /// Postcodes by the letter that they begin with.
    by_letter: HashMap<char, Vec<usize>>,
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
    /// How many letters, and how many figures, there are up to its end.
    until_end: Counted,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    alphabetic: usize,
    numeric: usize,
}

/// Letters that may still be compared for one text.
#[derive(Debug)]
struct Steps(usize);

/// A text that costs more than it may.
#[derive(Debug)]
struct TooMany;

impl Steps {
    fn for_text(text: &Written) -> Self {
        Self(text.letters.len().saturating_mul(STEPS_PER_LETTER).saturating_add(STEPS_BESIDES))
    }

    fn take(&mut self) -> Result<(), TooMany> {
        self.0 = self.0.checked_sub(1).ok_or(TooMany)?;
        Ok(())
    }
}

impl Withheld {
    pub fn of<'a>(addresses: impl Iterator<Item = &'a Address>) -> Self {
        let mut withheld = Self::default();
        // Children of one household have one address: it is compared once.
        let (mut lines, mut postcodes) = (HashSet::new(), HashSet::new());
        for address in addresses {
            if lines.insert(&address.lines) {
                withheld.add_lines(Written::read(&address.lines));
            }
            if let Some(postcode) = address.postcode.as_ref().filter(|postcode| postcodes.insert(*postcode)) {
                withheld.add_postcode(Written::read(postcode));
            }
        }
        withheld
    }

    fn add_lines(&mut self, lines: Written) {
        let place = self.lines.len();
        for (first, word) in lines.words.iter().enumerate().filter(|(first, _)| lines.may_tell(*first)) {
            let mut letters = lines.letters.iter().copied().skip(word.letters.0);
            if let Some(begins) = letters.next().zip(letters.next()) {
                self.starts.entry(begins).or_default().push((place, first));
            }
        }
        self.lines.push(lines);
    }

    fn add_postcode(&mut self, postcode: Written) {
        if let Some(letter) = postcode.letters.first() {
            self.by_letter.entry(*letter).or_default().push(self.postcodes.len());
            self.postcodes.push(postcode);
        }
    }

    fn is_nothing(&self) -> bool {
        self.starts.is_empty() && self.postcodes.is_empty()
    }

    /// A text without them.
    pub fn masked(&self, text: &str) -> String {
        let written = Written::read(text);
        let mut steps = Steps::for_text(&written);
        self.masked_within(text, &written, &mut steps).unwrap_or_else(|TooMany| TEXT_WITHHELD.to_owned())
    }

    fn masked_within(&self, text: &str, written: &Written, steps: &mut Steps) -> Result<String, TooMany> {
        let mut masked = String::with_capacity(text.len());
        let (mut from, mut place) = (0, 0);
        while let Some(word) = written.words.get(place) {
            match self.found(written, place, steps)? {
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
        Ok(masked)
    }

    /// The last word of the longest piece of an address that begins at this word.
    fn found(&self, text: &Written, place: usize, steps: &mut Steps) -> Result<Option<usize>, TooMany> {
        let mut letters =
            text.words.get(place).and_then(|word| text.letters.get(word.letters.0..)).into_iter().flatten();
        let Some(first) = letters.next() else { return Ok(None) };
        let mut longest = None;
        for postcode in self.by_letter.get(first).into_iter().flatten().filter_map(|at| self.postcodes.get(*at)) {
            let common = text.common(place, postcode, 0, steps)?;
            longest = longest.max(common.filter(|(_, covered)| *covered == postcode.words.len()).map(|(last, _)| last));
        }
        let pieces = letters.next().and_then(|second| self.starts.get(&(*first, *second)));
        for (at, start) in pieces.into_iter().flatten() {
            let Some(lines) = self.lines.get(*at) else { continue };
            let common = text.common(place, lines, *start, steps)?;
            longest = longest.max(common.filter(|(_, covered)| lines.tells(*start, *covered)).map(|(last, _)| last));
        }
        Ok(longest)
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
        for (_, words) in shown.facts.iter_mut().filter(|(name, _)| *name != super::HAPPENED_AT) {
            *words = self.masked(words).into();
        }
        let sentences = [&mut shown.narrative, &mut shown.partner_reference].into_iter().chain(said).flatten();
        for text in sentences.chain(carers).chain(call_back).chain(of_child) {
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
        let mut until_end = self.counted_before(self.words.len());
        until_end.alphabetic = until_end.alphabetic.saturating_add(word.chars().filter(|c| c.is_alphabetic()).count());
        until_end.numeric = until_end.numeric.saturating_add(word.chars().filter(|c| c.is_numeric()).count());
        self.words.push(Word { letters: (first, self.letters.len()), bytes, opens_part, until_end });
    }

    fn counted_before(&self, place: usize) -> Counted {
        let before = place.checked_sub(1).and_then(|before| self.words.get(before));
        before.map_or_else(Counted::default, |before| before.until_end)
    }

    /// How far this text, from one of its words, and an address, from one of its own, are the same: the last word here, and how
    /// many words there. Both are walked once.
    fn common(
        &self,
        place: usize,
        address: &Written,
        first: usize,
        steps: &mut Steps,
    ) -> Result<Option<(usize, usize)>, TooMany> {
        let (mut here, mut there) = (place, first);
        let mut longest = None;
        let (Some(from), Some(other)) = (self.words.get(place), address.words.get(first)) else { return Ok(None) };
        let (letters, others) = (self.letters.get(from.letters.0..), address.letters.get(other.letters.0..));
        for (length, (left, right)) in (1..).zip(letters.into_iter().flatten().zip(others.into_iter().flatten())) {
            steps.take()?;
            if left != right {
                break;
            }
            let ends = |words: &[Word], at: usize, from: &Word| {
                words.get(at).is_some_and(|word| word.letters.1.checked_sub(from.letters.0) == Some(length))
            };
            let (ends_here, ends_there) = (ends(&self.words, here, from), ends(&address.words, there, other));
            if ends_here && ends_there {
                longest = Some((here, there.saturating_sub(first).saturating_add(1)));
            }
            here = here.saturating_add(usize::from(ends_here));
            there = there.saturating_add(usize::from(ends_there));
        }
        Ok(longest)
    }

    /// Whether any piece from this word on could tell where it is: figures alone do not.
    fn may_tell(&self, first: usize) -> bool {
        let all = self.words.last().map_or(0, |last| last.until_end.alphabetic);
        all > self.counted_before(first).alphabetic
    }

    /// Whether so many words of an address tell where it is: two and more that are long enough together, or a part of it that is,
    /// or that has a figure beside a word (`Flat 2`).
    fn tells(&self, first: usize, covered: usize) -> bool {
        let words = self.words.get(first..first.saturating_add(covered));
        let Some((begin, end)) = words.and_then(|words| words.first().zip(words.last())) else { return false };
        let before = self.counted_before(first);
        let next = self.words.get(first.saturating_add(covered));
        let is_part = begin.opens_part && next.is_none_or(|word| word.opens_part);
        let in_words = end.until_end.alphabetic > before.alphabetic;
        let long = end.letters.1.saturating_sub(begin.letters.0) >= LETTERS_MIN;
        let with_figure = covered > 1 && end.until_end.numeric > before.numeric;
        in_words && ((covered > 1 && long) || (is_part && (long || with_figure)))
    }
}
