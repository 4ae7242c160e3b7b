//! Whether another router runs under this one's `instance`: each then ends the lanes of the other, over and over.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;

use super::native::groups;
use super::notes::Quiet;
use super::shared::Shared;

/// How often the groups' members are counted.
const COUNT_EVERY: Duration = Duration::from_secs(10);
const WAIT: Duration = Duration::from_secs(1);
/// How soon it is noticed that the router stops.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// So often in turn there were more members of our name than lanes here: one that died is not counted for so long.
const SURE_AFTER: u32 = 2;

#[derive(Default)]
pub struct Namesakes(Mutex<BTreeMap<String, Group>>);

/// One group that lanes of ours are in.
#[derive(Default)]
struct Group {
    lanes: usize,
    more: u32,
}

impl Namesakes {
    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lane joins a group.
    pub fn joins(&self, group: &str) {
        self.held().entry(group.to_owned()).or_default().lanes += 1;
    }

    pub fn leaves(&self, group: &str) {
        if let Some(group) = self.held().get_mut(group) {
            group.lanes = group.lanes.saturating_sub(1);
        }
    }

    /// So many members of the group bear our name.
    fn counted(&self, group: &str, members: usize) {
        let mut groups = self.held();
        let Some(held) = groups.get_mut(group) else { return };
        held.more = if members > held.lanes { held.more.saturating_add(1) } else { 0 };
        if held.more == SURE_AFTER {
            tracing::error!(
                group,
                members,
                lanes = held.lanes,
                "another router runs under the same instance, and each ends the lanes of the other: give each its own \
                 (docs/kafka.md, `Two of one instance`)"
            );
        }
    }

    /// Whether another router runs under our name.
    pub fn is_doubled(&self) -> bool {
        self.held().values().any(|group| group.more >= SURE_AFTER)
    }

    /// For `/readyz`.
    pub fn sentences(&self, instance: &str) -> Vec<String> {
        let sentence = format!(
            "another router runs under the same instance ({instance}), and each ends the lanes of the other: give each its own \
             (docs/kafka.md, `Two of one instance`)"
        );
        self.is_doubled().then_some(sentence).into_iter().collect()
    }
}

/// Counts until the router stops. In a thread of its own, as a coordinator may be slow to answer. What cannot be told now is counted the
/// next time.
pub fn run(shared: &Shared, client: &BaseConsumer<Quiet>) {
    let (namesakes, options) = (&shared.namesakes, &shared.options);
    let mut counted_at = Instant::now();
    while !shared.stopping.load(Ordering::Acquire) {
        std::thread::sleep(LOOK_EVERY);
        if counted_at.elapsed() < COUNT_EVERY {
            continue;
        }
        counted_at = Instant::now();
        let groups: Vec<String> = namesakes.held().keys().cloned().collect();
        for group in groups {
            // A coordinator that is slow to answer holds up a stop once, and not for each group.
            if shared.stopping.load(Ordering::Acquire) {
                return;
            }
            match groups::members_called(client, &group, &options.client_id("lane"), WAIT) {
                Ok(members) => namesakes.counted(&group, members),
                Err(error) => tracing::debug!(%error, group, "the group's members could not be counted"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_of_our_name_is_told_once_it_is_sure_and_until_it_has_gone() {
        let namesakes = Namesakes::default();
        namesakes.joins("decide");
        namesakes.joins("decide");
        let told = |members: &[usize]| {
            members.iter().for_each(|members| namesakes.counted("decide", *members));
            namesakes.sentences("router-1")
        };
        assert!(told(&[2, 4, 2, 4]).is_empty(), "as when a lane that died is still counted");
        let sentence = told(&[4]).concat();
        assert!(sentence.contains("same instance (router-1)"), "{sentence}");
        assert!(told(&[2]).is_empty());
        namesakes.leaves("decide");
        assert!(!told(&[2, 2]).is_empty(), "one of the two is not ours any more");
    }
}
