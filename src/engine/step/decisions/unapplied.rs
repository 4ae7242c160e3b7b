//! A recorded decision that changes nothing: whoever recorded it is told why, and a person where harm could follow.

use std::sync::Arc;

use crate::engine::calendar::Clock;
use crate::engine::context::StepError;
use crate::engine::history::decisions::{DECISION, level_named, starts_enquiry};
use crate::engine::intake::KEYED_BY_REPLY;
use crate::engine::model::decision::Disposition;
use crate::engine::model::event::{ReferralEvent, Source};
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Entry, History, Timer};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::Level;
use crate::engine::step::Effect;
use crate::engine::step::draft::{Draft, within_the_hour_at};
use crate::engine::tasks::due_at;

pub const UNAPPLIED_RULE: &str = "decision-not-applied";
pub const TITLE: &str = "A decision that was not applied";
const ACTION: &str = "Look again at a recorded decision: it changed nothing, and somebody may rely on it";

/// The clock after which a child who was not known at once is known under no weaker identifier either.
pub const UNKNOWN_CHILD: &str = "unknown_child";
const KNOWN_WITHIN: Clock = Clock::Minutes(15);
const NOBODY: &str = "nothing is known here of the child as they are named, so nothing ends or changes by it: name them by the \
identifiers of the referral, or give the reply_to of a task about them";

/// Why a decision changes nothing, and what to do instead.
pub struct Unapplied {
    problem: &'static str,
    /// Somebody may go without what they need: a person is asked, too.
    is_asked: bool,
    /// Of what rests on it, where it names none.
    level: Option<Level>,
}

impl Unapplied {
    /// Nobody goes without anything.
    pub fn because(problem: &'static str) -> Self {
        Self { problem, is_asked: false, level: None }
    }

    pub fn and_asked(problem: &'static str) -> Self {
        Self { problem, is_asked: true, level: None }
    }

    /// What rests on it is at this level.
    pub fn at(self, level: Option<Level>) -> Self {
        Self { level, ..self }
    }

    /// `shown`: what the task of whoever is asked shows, where it is surely of this child.
    pub fn tell(
        &self,
        draft: &mut Draft<'_>,
        event: &ReferralEvent,
        shown: Option<&Referral>,
        entry: &Arc<Entry>,
    ) -> Result<(), StepError> {
        let problem = self.problem;
        draft.disposed(Disposition::Refused);
        draft.decision.notes.push(format!("Not applied: {problem}."));
        if self.is_asked {
            ask(draft, shown, &event.event_id, entry, (problem, self.level))?;
        }
        draft.tell_sender(event, FeedbackStatus::NotApplied, &[&words(problem)]);
        Ok(())
    }
}

pub fn words(problem: &str) -> String {
    format!("This was not applied: {problem}.")
}

fn ask(
    draft: &mut Draft<'_>,
    referral: Option<&Referral>,
    cause: &str,
    entry: &Arc<Entry>,
    (problem, level): (&str, Option<Level>),
) -> Result<(), StepError> {
    let raising = draft.raising(referral, cause);
    // Whoever set it, or began an enquiry, saw significant harm, and believes that others know.
    let level = level.max(level_named(entry)).max(starts_enquiry(entry).then_some(Level::L4b));
    let due = raising.deadline_from_now(&within_the_hour_at(level))?;
    let why = format!("A decision was recorded and not applied: {problem}.");
    let wanted = raising.own_duty(UNAPPLIED_RULE, TITLE, why, ACTION, due, entry);
    draft.raise(referral, cause, &[], vec![wanted]).map(drop)
}

/// Whether anything was ever told of a child but decisions that asked nobody for anything: an enquiry that was started is something to end.
pub fn is_known(history: &History) -> bool {
    let asks = |entry: &Entry| !entry.withdrawn && !entry.fired.is_empty();
    let told = history.entries.iter().any(|entry| entry.kind != DECISION || asks(entry));
    told || history.folded.keys().any(|kind| kind != DECISION) || !history.statuses.is_empty()
}

/// Of a decision about the level or the case of a child of whom nothing is known. It stays on record, for what comes of the
/// child later. What is known under a weaker identifier is asked for and comes in a moment: until then nothing is said.
pub fn of_unknown_child(draft: &mut Draft<'_>, referral: &Referral, before: &History) -> Option<Unapplied> {
    if is_known(before) || referral.keyed_by == KEYED_BY_REPLY {
        return None;
    }
    if referral.weaker.iter().flatten().next().is_none() {
        return Some(Unapplied::and_asked(NOBODY));
    }
    let due = due_at(&draft.book.rules.calendar, &KNOWN_WITHIN, draft.at, None).ok()?;
    let (event_id, partner) = (referral.event.event_id.clone(), Some(referral.event.source.partner.clone()));
    draft.history.timers.push(Timer { due_at: due.at, rule: UNKNOWN_CHILD.to_owned(), event_id, partner });
    draft.history.timers.sort();
    None
}

/// The clock ran out: known by now, or told as not applied.
pub fn still_unknown(draft: &mut Draft<'_>, entry: &Arc<Entry>, cause: &str) -> Result<(), StepError> {
    if is_known(&draft.history) {
        return Ok(());
    }
    let of = (&entry.source, entry.event_id.as_str(), entry.partner_reference.clone());
    tell_later(draft, entry, cause, of, (NOBODY, None))
}

/// Of what was kept, and turns out to change nothing. `of`: whose it was. With the problem the level of what rests on it.
pub fn tell_later(
    draft: &mut Draft<'_>,
    about: &Arc<Entry>,
    cause: &str,
    of: (&Source, &str, Option<String>),
    (problem, level): (&str, Option<Level>),
) -> Result<(), StepError> {
    draft.decision.notes.push(format!("Not applied: {problem}."));
    ask(draft, None, cause, about, (problem, level))?;
    let (source, event_id, reference) = of;
    let feedback = draft.feedback(source, event_id, reference, FeedbackStatus::NotApplied, &[&words(problem)]);
    draft.publish(Effect::Feedback(feedback));
    Ok(())
}
