//! What metrics are labelled with, where the names are the router's own.

/// Which half of the router a lane is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Intake,
    Decide,
}

impl Stage {
    pub fn label(self) -> &'static str {
        match self {
            Stage::Intake => "intake",
            Stage::Decide => "decide",
        }
    }
}

/// What kind of inbox record DECIDE read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordKind {
    Referral,
    Outcome,
    Alias,
    Forward,
    Signal,
    Tick,
    /// It could not be decoded, so its kind is not known.
    Undecodable,
}

impl RecordKind {
    pub const ALL: [RecordKind; 7] = [
        RecordKind::Referral,
        RecordKind::Outcome,
        RecordKind::Alias,
        RecordKind::Forward,
        RecordKind::Signal,
        RecordKind::Tick,
        RecordKind::Undecodable,
    ];

    pub fn label(self) -> &'static str {
        match self {
            RecordKind::Referral => "referral",
            RecordKind::Outcome => "outcome",
            RecordKind::Alias => "alias",
            RecordKind::Forward => "forward",
            RecordKind::Signal => "signal",
            RecordKind::Tick => "tick",
            RecordKind::Undecodable => "undecodable",
        }
    }
}

/// What became of one record: exactly one of these, so that consumed = Σ disposed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// INTAKE passed it to the inbox.
    Accepted,
    /// Kept in quarantine with its reason.
    Quarantined,
    /// DECIDE judged it: a decision was made.
    Decided,
    /// Known already: no second effect.
    Repeated,
    /// Taken into the history or the open tasks, with no decision of its own.
    Applied,
    /// Sent on to the stronger subject.
    Forwarded,
    /// It does not apply to anything: nothing changed.
    Refused,
    /// A fault or panic in `step`: quarantined with a triage task.
    Faulted,
}

impl Disposition {
    pub const ALL: [Disposition; 8] = [
        Disposition::Accepted,
        Disposition::Quarantined,
        Disposition::Decided,
        Disposition::Repeated,
        Disposition::Applied,
        Disposition::Forwarded,
        Disposition::Refused,
        Disposition::Faulted,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Disposition::Accepted => "accepted",
            Disposition::Quarantined => "quarantined",
            Disposition::Decided => "decided",
            Disposition::Repeated => "repeated",
            Disposition::Applied => "applied",
            Disposition::Forwarded => "forwarded",
            Disposition::Refused => "refused",
            Disposition::Faulted => "faulted",
        }
    }
}

/// How the gateway answered one event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Durable.
    Accepted,
    /// A fault of the sender's.
    Refused,
    /// Queue full, disk full or not ready: send it again.
    TryAgain,
}

impl Answer {
    pub fn label(self) -> &'static str {
        match self {
            Answer::Accepted => "accepted",
            Answer::Refused => "refused",
            Answer::TryAgain => "try_again",
        }
    }
}
