//! Withdrawn, for it was about another child: somebody sees that whoever must act for that child knows, whatever its sender does.
//! The question names neither of the two: whoever has it rings the sender.

use std::sync::Arc;

use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::model::history::{Entry, HeldTask};
use crate::engine::model::scalar::Level;
use crate::engine::rules::catalogue::is_concern;
use crate::engine::step::by_the_hour;
use crate::engine::step::draft::Draft;
use crate::engine::step::one_child::sighting::Sighted;
use crate::engine::step::recall::WITHDRAWAL_RULE;
use crate::engine::tasks::{Wanted, Why};

const ACTION: &str =
    "This was about another child: ring the sender, and see that those who must act for that child know";
const TITLE: &str = "A referral was about another child";

/// With the urgency of what was withdrawn: by its level, and by the clocks of what was asked.
pub fn ask(draft: &mut Draft<'_>, cause: &str, withdrawn: &Arc<Entry>) -> Result<(), StepError> {
    let asked = draft.history.tasks.iter().filter(|task| task.is_of(withdrawn)).map(Arc::as_ref);
    let clock = by_the_hour::decided_by(draft, withdrawn.level, asked)?;
    ask_by(draft, cause, withdrawn, (withdrawn.level, clock))
}

/// The same, by this clock.
pub fn ask_by(
    draft: &mut Draft<'_>,
    cause: &str,
    withdrawn: &Arc<Entry>,
    (level, clock): (Option<Level>, Clock),
) -> Result<(), StepError> {
    let asked_already = |task: &Arc<HeldTask>| task.action == ACTION && task.is_of(withdrawn);
    if !is_concern(&withdrawn.kind) || withdrawn.backfilled || draft.history.tasks.iter().any(asked_already) {
        return Ok(());
    }
    let raising = draft.raising(None, cause);
    let due = raising.deadline_from_now(&clock)?;
    let about = Sighted::of(&draft.context.keys, withdrawn);
    let words = |with_number| {
        format!(
            "Its sender withdrew it and said that it is about another child. Until they send it again about that one, nobody \
             is asked to act for them, and that child is named to nobody. It is {}.",
            about.in_words(with_number)
        )
    };
    let why = Why::Numbers { told: words(true), without: words(false) };
    let own = raising.own_duty(WITHDRAWAL_RULE, TITLE, why, ACTION, due, withdrawn);
    draft.raise(None, cause, &[], vec![Wanted { level, ..own }]).map(drop)
}
