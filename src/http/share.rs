//! What of something that there is only so much of one token may have: a client that loops shuts nobody else out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One token may have a quarter.
const SHARE_OF_ONE_TOKEN: usize = 4;
/// Of each it is told so often that they take more than their share.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// How much each token has.
#[derive(Default)]
pub struct Shares {
    taken: BTreeMap<TokenHash, usize>,
    told: Told,
}

/// Of whom the log has told that they want more than there is for one, and when: tokens that are known alone, and so few.
#[derive(Default)]
pub struct Told(BTreeMap<TokenHash, Instant>);

impl Told {
    /// Nothing was told of them lately; it is now.
    pub fn is_to_be_told(&mut self, token: TokenHash) -> bool {
        let is_to_be_told = self.0.get(&token).is_none_or(|told| told.elapsed() >= TOLD_EVERY);
        if is_to_be_told {
            self.0.insert(token, Instant::now());
        }
        is_to_be_told
    }
}

/// One token has as much as it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OverShare {
    pub most: usize,
    /// The log did not tell of it lately.
    pub is_to_be_told: bool,
}

impl Shares {
    /// One more, of `all` that there are.
    pub fn take(&mut self, token: TokenHash, all: usize) -> Result<(), OverShare> {
        let most = all.div_ceil(SHARE_OF_ONE_TOKEN);
        let taken = self.taken.entry(token).or_default();
        if *taken < most {
            *taken += 1;
            return Ok(());
        }
        Err(OverShare { most, is_to_be_told: self.told.is_to_be_told(token) })
    }

    pub fn give_back(&mut self, token: &TokenHash) {
        let Some(taken) = self.taken.get_mut(token) else { return };
        *taken = taken.saturating_sub(1);
        if *taken == 0 {
            self.taken.remove(token);
        }
    }
}
