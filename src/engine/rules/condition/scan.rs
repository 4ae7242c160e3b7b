//! Before parsing: what people write who know other languages, found with a hint for each.

use super::Reader;

impl Reader<'_, '_> {
    /// Finds, outside quotes, what people write who know other languages. False: something was found.
    pub(super) fn scan(&mut self) -> bool {
        let text = self.text.text;
        if let Some((place, character)) = text.char_indices().find(|(_, character)| !character.is_ascii()) {
            let span = self.at(place, place.saturating_add(character.len_utf8()));
            let problem = format!("`{character}` has no meaning in a condition");
            self.refuse::<()>(span, problem, "use plain letters, straight quotes and the signs < <= == != && || !");
            return false;
        }
        let mut clean = true;
        let mut quote = None;
        let mut word_start = None;
        for (place, byte) in text.bytes().chain([b' ']).enumerate() {
            if let Some(open) = quote {
                quote = (byte != open).then_some(open);
                continue;
            }
            if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' {
                word_start = word_start.or(Some(place));
                continue;
            }
            if let Some(from) = word_start.take() {
                clean &= self.scan_word(from, place);
            }
            match byte {
                b'\'' | b'"' => quote = Some(byte),
                b'=' | b'&' | b'|' => clean &= self.scan_sign(place, byte),
                _ => {}
            }
        }
        clean
    }

    fn scan_word(&mut self, from: usize, to: usize) -> bool {
        let word = self.text.text.get(from..to).unwrap_or_default();
        let sign = match word.to_ascii_lowercase().as_str() {
            "and" => "&&",
            "or" => "||",
            "not" => "!",
            "is" => "==",
            _ => return true,
        };
        let span = self.at(from, to);
        self.refuse::<()>(span, format!("`{word}` has no meaning in a condition"), format!("write `{sign}`"));
        false
    }

    fn scan_sign(&mut self, place: usize, sign: u8) -> bool {
        let bytes = self.text.text.as_bytes();
        let before = place.checked_sub(1).and_then(|before| bytes.get(before)).copied().unwrap_or(b' ');
        let after = bytes.get(place.saturating_add(1)).copied().unwrap_or(b' ');
        let part_of_another = before == sign || after == sign || (sign == b'=' && b"!<>".contains(&before));
        if part_of_another {
            return true;
        }
        let span = self.at(place, place.saturating_add(1));
        let (name, doubled) = match sign {
            b'=' => ("=", "== to compare"),
            b'&' => ("&", "&& for and"),
            _ => ("|", "|| for or"),
        };
        self.refuse::<()>(span, format!("a single `{name}` has no meaning in a condition"), format!("write {doubled}"));
        false
    }
}
