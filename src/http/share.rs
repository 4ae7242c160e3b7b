//! What of something that there is only so much of one token may have: a client that loops shuts nobody else out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One token may have a quarter.
const SHARE_OF_ONE_TOKEN: usize = 4;
/// It is told so often who takes more than their share.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// How much each token has.
#[derive(Default)]
pub struct Shares {
    taken: BTreeMap<TokenHash, usize>,
    told: Option<Instant>,
}

/// One token has as much as it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OverShare {
    pub most: usize,
    /// Nobody was told of it lately.
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
        let is_to_be_told = self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY);
        if is_to_be_told {
            self.told = Some(Instant::now());
        }
        Err(OverShare { most, is_to_be_told })
    }

    pub fn give_back(&mut self, token: &TokenHash) {
        let Some(taken) = self.taken.get_mut(token) else { return };
        *taken = taken.saturating_sub(1);
        if *taken == 0 {
            self.taken.remove(token);
        }
    }
}
