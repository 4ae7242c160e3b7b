//! Which absence an event is of, so that each is counted once.

use crate::engine::history::episodes;
use crate::engine::model::history::Entry;

/// Which absence an event is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Episode<'h> {
    /// By the place of its start.
    Started(usize),
    /// Its start is not known here: by its reference; without one, by how many returns came before.
    NotKnown(Result<&'h str, usize>),
}

/// Tells episodes apart, as their events are gone through, oldest first.
#[derive(Default)]
pub struct Episodes<'h> {
    /// The place of the latest start, and its reference.
    started: Option<(usize, Option<&'h str>)>,
    returns: usize,
    returned_since: bool,
}

impl<'h> Episodes<'h> {
    /// None: it is of no episode.
    pub fn of(&mut self, place: usize, entry: &'h Entry) -> Option<Episode<'h>> {
        if !episodes::is_of_episode(&entry.kind) {
            return None;
        }
        let reference = entry.episode_ref.as_deref();
        if entry.kind == episodes::STARTED {
            (self.started, self.returned_since) = (Some((place, reference)), false);
        }
        let is_another = |of_start: Option<&str>| {
            self.returned_since && of_start.is_some() && reference.is_some() && of_start != reference
        };
        let episode = match self.started {
            Some((start, of_start)) if !is_another(of_start) => Episode::Started(start),
            Some(_) | None => Episode::NotKnown(reference.ok_or(self.returns)),
        };
        if entry.kind == episodes::ENDED {
            self.returns = self.returns.saturating_add(1);
            self.returned_since = true;
        }
        Some(episode)
    }
}
