//! The same happening by another report: kept beside the first, acted on only where it would do more.

use std::sync::Arc;

use super::siblings;
use crate::engine::context::StepError;
use crate::engine::decide::{Moment, Verdict, judge};
use crate::engine::facts::AsOf;
use crate::engine::history::death::is_notice;
use crate::engine::history::{corroborate, entry, put};
use crate::engine::model::decision::Disposition;
use crate::engine::model::event::Source;
use crate::engine::model::feedback::FeedbackStatus;
use crate::engine::model::history::{Entry, History};
use crate::engine::model::inbox::Referral;
use crate::engine::model::scalar::FactValue;
use crate::engine::rules::catalogue::NEVER_JUDGED;
use crate::engine::step::changed::addition::{self, ids, keeps};
use crate::engine::step::changed::correction::confirm;
use crate::engine::step::changed::{correction, reading};
use crate::engine::step::death;
use crate::engine::step::decisions::agreement;
use crate::engine::step::draft::Draft;
use crate::engine::step::findings::{asking_more, findings_of};
use crate::engine::step::held_back::persons;
use crate::engine::tasks::{Finding, Wanted};

/// Flags that are set by what a report names, and clear by what it leaves out: that another names it stands.
const NAMED_ONCE: [&str; 6] = [
    entry::SIBLINGS_NAMED,
    entry::NAMED_WITH_ANOTHER,
    entry::OF_ANOTHER_FAMILY,
    entry::FAMILY_UNCLEAR,
    entry::NAMED_AS_PARENT,
    entry::AT_SCHOOL,
];

/// Whoever reports it again is told that it is known. Routes that either sender holds back stay held back.
pub fn received(draft: &mut Draft<'_>, referral: &Referral, arriving: Entry, index: usize) -> Result<(), StepError> {
    draft.disposed(Disposition::Duplicate);
    let event = &referral.event;
    let Some(first) = draft.history.entries.get(index).cloned() else { return Ok(()) };
    let is_sent_again = says_anew(&first, &arriving);
    let mut kept = first.as_ref().clone();
    kept.held_back.extend(arriving.held_back.clone());
    kept.held_back.sort();
    kept.held_back.dedup();
    // Who had said that the child lives sends the notice of death again.
    if is_notice(&first) && is_notice(&arriving) {
        kept.affirm(&arriving.source);
    }
    if !NEVER_JUDGED.contains(&arriving.kind.as_str()) {
        corroborate(&mut kept, &arriving);
    }
    let before = draft.judge(&first).map(Arc::new);
    let mut joined = kept.clone();
    join_facts(&mut joined, &arriving);
    let kept = put(&mut draft.history, kept);
    let mut with_more = draft.history.clone();
    let joined = put(&mut with_more, joined);
    let after = judge(draft.book, &with_more, &joined, AsOf::entry(&joined), Moment::Arrival).map(Arc::new);
    let (Some(before), Some(after)) = (before, after) else { return Ok(()) };
    let judged = !first.backfilled && !event.backfill;
    let mut more = false;
    if judged {
        let lowers = arriving.is_same_event(&first) && !keeps(&before, &after);
        persons::named_too_late(draft, Some(referral), &event.event_id, (&first, &kept))?;
        let two = Two { kept: &kept, joined: &joined, with_more, before: &before, after: &after };
        act(draft, referral, two, lowers)?;
        agreement::heed(draft, referral, &kept)?;
        let sent_on = siblings::named_later(draft, referral, &event.event_id, &first)?;
        if draft.decision.tasks.is_empty() && after.level > before.level {
            let risen = correction::risen(draft, &joined, after.level)?;
            draft.raise(Some(referral), &event.event_id, &[], vec![risen])?;
        } else if (draft.decision.tasks.is_empty() || reading::is_unheard(draft, &first))
            && is_sent_again
            && reading::is_owed(draft, referral, &first)
        {
            reading::of_report(draft, referral, &first, &joined.facts)?;
        }
        // A child who came by way of another was named with the same children: they are known already.
        more = !draft.decision.tasks.is_empty()
            || (sent_on && first.facts.get(entry::NAMED_WITH_ANOTHER) != Some(&FactValue::Bool(true)));
    }
    let mut words = vec![if more {
        "Received. This is known already; what is new in it is being looked at."
    } else {
        "Received. This is known already."
    }];
    words.extend(&draft.sender_words);
    draft.tell_sender(event, FeedbackStatus::AlreadyKnown, &words);
    Ok(())
}

/// Whether it is a report that was heard before, with other content, or a correction of one: not one more report of the same.
fn says_anew(first: &Entry, arriving: &Entry) -> bool {
    let same =
        |event_id: &str, source: &Source| event_id == arriving.event_id && source.partner == arriving.source.partner;
    arriving.kind != first.kind
        || same(&first.event_id, &first.source)
        || first.corroborated_by.iter().any(|report| same(&report.event_id, &report.source))
}

/// One happening as it was first told, and with the second report.
struct Two<'t, 'b> {
    kept: &'t Arc<Entry>,
    joined: &'t Arc<Entry>,
    /// The history with what was joined.
    with_more: History,
    before: &'t Arc<Verdict<'b>>,
    after: &'t Arc<Verdict<'b>>,
}

/// Acts on what the second report does more than the first.
fn act<'b>(draft: &mut Draft<'b>, referral: &Referral, two: Two<'_, 'b>, lowers: bool) -> Result<(), StepError> {
    let cause = &referral.event.event_id;
    if is_notice(two.joined) && !is_notice(two.kept) {
        draft.history = two.with_more;
        let asked = death::ask(draft, two.joined)?;
        draft.record_facts(&two.joined.kind, two.after);
        let mut findings = findings_of(two.joined, two.after, &two.joined.fired);
        findings.extend(asking_more(draft, Some(referral), two.joined, (two.before, two.after), &two.joined.fired)?);
        return more(draft, referral, &findings, asked.into_iter().collect());
    }
    let asked_more = asking_more(draft, Some(referral), two.joined, (two.before, two.after), &two.joined.fired)?;
    if fires_more(two.before, two.after) || (keeps(two.before, two.after) && !asked_more.is_empty()) {
        draft.history = two.with_more;
        draft.record_facts(&two.joined.kind, two.after);
        let mut findings = findings_of(two.joined, two.after, &two.joined.fired);
        findings.extend(asked_more);
        return more(draft, referral, &findings, Vec::new());
    }
    let extra = if lowers { vec![confirm(draft, two.kept, two.after.level, &two.joined.facts)?] } else { Vec::new() };
    let (entries, verdicts) = ((two.kept, two.joined), (two.before, two.after));
    let added = addition::of(draft, Some(referral), &draft.history, entries, verdicts, &two.kept.fired)?;
    if let Some(added) = added.filter(|_| !keeps(two.before, two.after)) {
        draft.history = added.history;
        draft.record_facts(&added.entry.kind, &added.verdict);
        return more(draft, referral, &added.findings, extra);
    }
    // By its facts it would do less: they are not taken. Whom it names for the first time is told by the first ones.
    let found_out = asking_more(draft, Some(referral), two.kept, (two.before, two.before), &two.kept.fired)?;
    if !found_out.is_empty() {
        return more(draft, referral, &found_out, extra);
    }
    draft.raise(Some(referral), cause, &[], extra).map(drop)
}

fn more<'b>(
    draft: &mut Draft<'b>,
    referral: &Referral,
    findings: &[Finding<'b>],
    extra: Vec<Wanted<'b>>,
) -> Result<(), StepError> {
    draft.decision.notes.push("This second report would do more than the first, and was acted on.".to_owned());
    draft.raise(Some(referral), &referral.event.event_id, findings, extra).map(drop)
}

fn join_facts(joined: &mut Entry, arriving: &Entry) {
    for (name, value) in &arriving.facts {
        let named_once = NAMED_ONCE.contains(&name.as_str());
        if !(named_once && *value == FactValue::Bool(false) && joined.facts.contains_key(name)) {
            joined.facts.insert(name.clone(), value.clone());
        }
    }
}

/// More than before: a higher level, or everything as before and something besides.
fn fires_more(before: &Verdict<'_>, after: &Verdict<'_>) -> bool {
    after.level > before.level || (keeps(before, after) && ids(before) != ids(after))
}
