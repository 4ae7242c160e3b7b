//! A return, or a correction of when a child went, that cannot be believed as it is told: somebody asks, and the search goes on.

use std::sync::Arc;

use crate::engine::calendar::instant_in_words;
use crate::engine::context::StepError;
use crate::engine::history::episodes;
use crate::engine::history::senders::numbers;
use crate::engine::model::history::Entry;
use crate::engine::step::changed::correction::CORRECTION_RULE;
use crate::engine::step::draft::{AT_HIGHEST_LEVEL, Draft, own_duty_at};
use crate::engine::tasks::{Wanted, Why};

/// The id under which a return that cannot be gives its reason.
const RETURN_RULE: &str = "return";
const ASK_ACTION: &str = "Find out from the sender when the child was back, and whether: the time they gave cannot be, and the search goes on until somebody corrects it";
const CLOCK_ACTION: &str =
    "Confirm or refuse the later time: the review of the search stays when it was, until you decide";

/// What the sender of such a return is told.
pub const TO_SENDER: &str =
    "The time you gave for the return cannot be: the child still counts as missing. Correct ended_at now.";

/// None: a return can be as it is told, or it is none.
pub fn ask<'w>(draft: &Draft<'_>, entry: &Arc<Entry>) -> Result<Option<Wanted<'w>>, StepError> {
    if !episodes::is_impossible(&draft.history, entry, draft.at) {
        return Ok(None);
    }
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&AT_HIGHEST_LEVEL)?;
    let how = if episodes::is_ahead(entry) { "is still to come" } else { "lies before the child went missing" };
    let words = |number: Option<String>| {
        let ring = number.map_or(String::new(), |number| format!(", on {number}"));
        format!(
            "A return was reported for {}, which {how}. The search and its clocks go on. Ask {}, {}{ring}.",
            instant_in_words(entry.occurred_at),
            entry.source.partner,
            entry.source.unit
        )
    };
    let why = Why::Numbers { told: words(numbers(&draft.context.keys, entry)), without: words(None) };
    let own = raising.own_duty(RETURN_RULE, "A return at an impossible time", why, ASK_ACTION, due, entry);
    Ok(Some(Wanted { level: own.level.max(draft.history.case_level), ..own }))
}

/// By a correction a clock of a child who is out would run out later.
pub fn ask_about_clock<'w>(draft: &Draft<'_>, entry: &Arc<Entry>) -> Result<Wanted<'w>, StepError> {
    let raising = draft.raising(None, "");
    let due = raising.deadline_from_now(&own_duty_at(draft.history.case_level))?;
    let why = "The sender corrected when the child was last seen, to a later time. The child is not back.".to_owned();
    Ok(raising.own_duty(CORRECTION_RULE, "A correction that would move a clock later", why, CLOCK_ACTION, due, entry))
}
