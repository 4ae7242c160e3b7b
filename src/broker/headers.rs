//! The headers of a record that is to be written, as one byte string: a record has seven of them, made by one thread and freed by another.

const LENGTH_BYTES: usize = 4;

/// For each header, length and bytes of its name, then of its value; lengths little-endian u32.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers(Vec<u8>);

impl Headers {
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub fn push(&mut self, name: &str, value: &[u8]) {
        for part in [name.as_bytes(), value] {
            self.0.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            self.0.extend_from_slice(part);
        }
    }

    /// Each by its name, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut left = self.0.as_slice();
        std::iter::from_fn(move || {
            let (name, value) = (part(&mut left)?, part(&mut left)?);
            Some((std::str::from_utf8(name).ok()?, value))
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// How long names and values are together.
    pub fn bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// As a file keeps them; None: there are none.
    pub fn stored(&self) -> Option<&[u8]> {
        Some(self.0.as_slice()).filter(|stored| !stored.is_empty())
    }

    /// As whoever reads the record has them.
    pub fn to_vec(&self) -> Vec<(String, Vec<u8>)> {
        self.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
    }

    /// None when the bytes are not what is stored.
    pub fn read(mut stored: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
        let mut headers = Vec::new();
        while !stored.is_empty() {
            let name = String::from_utf8(part(&mut stored)?.to_vec()).ok()?;
            headers.push((name, part(&mut stored)?.to_vec()));
        }
        Some(headers)
    }
}

fn part<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *bytes = rest;
    Some(part)
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        let mut written = Self::default();
        headers.into_iter().for_each(|(name, value)| written.push(name.as_ref(), value.as_ref()));
        written
    }
}

impl From<&[(String, Vec<u8>)]> for Headers {
    fn from(headers: &[(String, Vec<u8>)]) -> Self {
        headers.iter().map(|(name, value)| (name, value)).collect()
    }
}

impl From<Vec<(String, Vec<u8>)>> for Headers {
    fn from(headers: Vec<(String, Vec<u8>)>) -> Self {
        headers.into_iter().collect()
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Headers;

    #[test]
    fn headers_come_back_and_truncated_ones_do_not() {
        let headers = vec![("unit".to_owned(), b"ward 3".to_vec()), ("empty".to_owned(), Vec::new())];
        let written = Headers::from(headers.clone());
        let stored = written.stored().unwrap_or_default();
        assert_eq!(Headers::read(stored), Some(headers.clone()));
        assert_eq!((written.to_vec(), written.count(), written.bytes()), (headers, 2, 15));
        assert_eq!(Headers::default().stored(), None);
        for length in 1..stored.len() {
            let whole_first = 4 + 4 + 4 + 6;
            assert_eq!(Headers::read(&stored[..length]).is_some(), length == whole_first, "{length}");
        }
    }
}
