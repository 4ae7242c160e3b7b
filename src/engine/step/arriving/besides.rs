//! What comes under a used id and is an event of its own all the same: who is told what of it.

use crate::engine::history::{Known, retracts, used_id};
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::history::{Entry, History};

/// Why it is an event of its own: for the decision, and for its sender.
pub struct Beside {
    pub note: &'static str,
    pub told: &'static str,
}

const RETRACTION: Beside = Beside {
    note: "The retraction came under the id of the allegation: it is kept as an event of its own, and cancels nothing.",
    told: "That it was taken back counts as an event of its own. Do not send it again, and give the next one an id of its own.",
};

const ANOTHER_KIND: Beside = Beside {
    note: "It came under the id of an event of another kind: it is kept as an event of its own.",
    told: "An event of another kind had this id: this one counts as its own. Do not send it again, and give each event an id of its own. \
           A correction of that id reaches the one whose fields it names, the other where both have them; to take this one back, ring \
           the front door: a withdrawal reaches the other.",
};

const ANOTHER_WORD: Beside = Beside {
    note: "It came under the id of an earlier one of its kind: it is kept as a later word of its own.",
    told: "This id was used before: what you say now counts beside what you said then; give each its own id.",
};

const ABOUT_ANOTHER: Beside = Beside {
    note: "The correction or withdrawal came under a used id: it counts all the same.",
    told: "This correction or withdrawal came under the id of another event. It counts all the same: do not send it again, and give \
           the next one an id of its own.",
};

/// None: it is no more than a report, or a repeat, of what is known; or new.
pub fn of(history: &History, known: Known, event: &ReferralEvent, arriving: &Entry) -> Option<&'static Beside> {
    let first = match known {
        Known::Retransmission => return None,
        // Its original may still come, and bears this id.
        Known::New => return (event.detail.original_event_id() == Some(&event.event_id)).then_some(&ABOUT_ANOTHER),
        Known::Duplicate(index) => history.entries.get(index)?,
        Known::Withdrawn => history.entries.iter().find(|entry| entry.is_same_event(arriving))?,
    };
    if event.detail.original_event_id().is_some() {
        Some(&ABOUT_ANOTHER)
    } else if first.kind != arriving.kind {
        Some(&ANOTHER_KIND)
    } else if known == Known::Withdrawn {
        None
    } else if retracts(arriving) && !retracts(first) {
        Some(&RETRACTION)
    } else {
        used_id::says_how_it_stands(&arriving.kind).then_some(&ANOTHER_WORD)
    }
}
