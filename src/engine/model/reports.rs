//! Who reported one happening, first and again, and which of their reports stand.

use super::event::Source;
use super::history::{Corroboration, Entry};
use super::scalar::Timestamp;

impl Entry {
    /// Who sent the report of this id: `by`, else whoever did and did not take it back.
    pub fn sender_of(&self, event_id: &str, by: &Source) -> Option<&Source> {
        let is_back = |source: &Source| self.is_taken_back(event_id, &source.partner);
        self.sources_of(event_id).min_by_key(|source| (source.partner != by.partner, is_back(source)))
    }

    /// All who reported it under this id.
    pub fn sources_of(&self, event_id: &str) -> impl Iterator<Item = &Source> {
        let beside = self.corroborated_by.iter().chain(&self.taken_back).chain(&self.denied);
        let reports = std::iter::once((&self.event_id, &self.source))
            .chain(beside.map(|report| (&report.event_id, &report.source)));
        reports.filter(move |(id, _)| *id == event_id).map(|(_, source)| source)
    }

    /// Whether it, or a second report of it, was received then.
    pub fn was_reported_at(&self, at: Timestamp) -> bool {
        at == self.received_at || self.corroborated_by.iter().any(|report| report.received_at == at)
    }

    /// Whether this report was withdrawn, and another of the same stands.
    pub fn is_taken_back(&self, event_id: &str, partner: &str) -> bool {
        self.taken_back.iter().any(|report| report.event_id == event_id && report.source.partner == partner)
    }

    /// Keeps in mind that this report of it is withdrawn.
    pub fn take_back(&mut self, event_id: &str, partner: &str) {
        let is_it = |report: &Corroboration| report.event_id == event_id && report.source.partner == partner;
        let denied = self.denied.extract_if(.., |report| is_it(report)).next();
        let own = (self.event_id == event_id && self.source.partner == partner).then(|| self.own_report());
        let beside: Vec<Corroboration> = self.corroborated_by.extract_if(.., |report| is_it(report)).collect();
        self.taken_back.extend(own.or(denied));
        self.taken_back.extend(beside);
    }

    /// The first report of it, as one that is kept beside another's.
    fn own_report(&self) -> Corroboration {
        Corroboration {
            event_id: self.event_id.clone(),
            source: self.source.clone(),
            content_digest: self.content_digest.clone(),
            received_at: self.received_at,
            call_back: self.call_back.clone(),
        }
    }

    /// Whether the sender of this report of a death says since that the child lives.
    pub fn is_denied(&self, event_id: &str, partner: &str) -> bool {
        self.denied.iter().any(|report| report.event_id == event_id && report.source.partner == partner)
    }

    /// Whether it stands by its first report, or by one beside it, of another unit than this.
    pub fn stands_by_another_than(&self, sender: &Source) -> bool {
        let (id, partner) = (&self.event_id, &self.source.partner);
        let first = (!self.is_taken_back(id, partner) && !self.is_denied(id, partner)).then_some(&self.source);
        let mut standing = first.into_iter().chain(self.corroborated_by.iter().map(|report| &report.source));
        standing.any(|source| (&source.partner, &source.unit) != (&sender.partner, &sender.unit))
    }

    /// Keeps in mind that whoever sent these reports of a death says now that the child lives.
    pub fn deny(&mut self, sender: &Source) {
        let is_theirs = |source: &Source| (&source.partner, &source.unit) == (&sender.partner, &sender.unit);
        let stands = !self.is_taken_back(&self.event_id, &self.source.partner)
            && !self.is_denied(&self.event_id, &self.source.partner);
        let own = (stands && is_theirs(&self.source)).then(|| self.own_report());
        let beside: Vec<Corroboration> =
            self.corroborated_by.extract_if(.., |report| is_theirs(&report.source)).collect();
        self.denied.extend(own.into_iter().chain(beside));
    }

    /// They say that the child has died after all.
    pub fn affirm(&mut self, sender: &Source) {
        let is_theirs = |source: &Source| (&source.partner, &source.unit) == (&sender.partner, &sender.unit);
        let theirs: Vec<Corroboration> = self.denied.extract_if(.., |report| is_theirs(&report.source)).collect();
        let is_first =
            |report: &Corroboration| report.event_id == self.event_id && report.source.partner == self.source.partner;
        let beside: Vec<Corroboration> = theirs.into_iter().filter(|report| !is_first(report)).collect();
        self.corroborated_by.extend(beside);
    }
}
