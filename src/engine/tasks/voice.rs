//! Whether it was recorded what the child said or wants.

use crate::engine::history::entry::is_under_one;
use crate::engine::identity::expected::is_unborn;
use crate::engine::model::event::ReferralEvent;
use crate::engine::model::inbox::Referral;

/// Who is not born, or a year old, says nothing yet.
pub fn may_speak(event: &ReferralEvent) -> bool {
    !is_unborn(event) && !is_under_one(&event.child, event.occurred_at)
}

/// Whether a referral says neither what the child wants nor why that is not known.
pub(super) fn voice_missing(referral: &Referral) -> bool {
    let voice = referral.event.voice_of_child.as_ref();
    let is_silent = voice.is_none_or(|voice| voice.said.is_none() && voice.absent_because.is_none());
    is_silent && may_speak(&referral.event)
}
