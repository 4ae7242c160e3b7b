//! Of a change that would do less of one thing and more of another: what it does more, which waits for nobody.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::context::StepError;
use crate::engine::decide::{Moment, Verdict, judge};
use crate::engine::facts::AsOf;
use crate::engine::history::put;
use crate::engine::model::history::{Entry, History};
use crate::engine::model::inbox::Referral;
use crate::engine::step::draft::Draft;
use crate::engine::step::findings::{asking_more, findings_of};
use crate::engine::tasks::Finding;

/// An entry with whatever of a change takes nothing away.
pub struct Addition<'b> {
    pub entry: Arc<Entry>,
    pub history: History,
    pub verdict: Arc<Verdict<'b>>,
    /// What newly fires, or asks something more. Never empty.
    pub findings: Vec<Finding<'b>>,
}

/// Whether everything that fired fires still, at no lower level.
pub fn keeps(before: &Verdict<'_>, after: &Verdict<'_>) -> bool {
    after.level >= before.level && ids(after).is_superset(&ids(before))
}

pub fn ids<'v>(verdict: &'v Verdict<'_>) -> BTreeSet<&'v str> {
    verdict.fired.iter().map(|rule| rule.id.as_str()).collect()
}

/// Takes each fact of the change for itself, where nothing is lost by it. `history`: with the entry as it stands.
pub fn of<'b>(
    draft: &Draft<'b>,
    referral: Option<&Referral>,
    history: &History,
    (standing, changed): (&Arc<Entry>, &Arc<Entry>),
    (before, after): (&Arc<Verdict<'b>>, &Arc<Verdict<'b>>),
    done: &[String],
) -> Result<Option<Addition<'b>>, StepError> {
    let (mut history, mut entry, mut verdict) = (history.clone(), Arc::clone(standing), Arc::clone(before));
    for (name, value) in changed.facts.iter().filter(|(name, value)| standing.facts.get(*name) != Some(value)) {
        let mut told = entry.as_ref().clone();
        told.facts.insert(name.clone(), value.clone());
        let mut with_it = history.clone();
        let told = put(&mut with_it, told);
        let judged = judge(draft.book, &with_it, &told, AsOf::entry(&told), Moment::Arrival);
        if let Some(judged) = judged.filter(|judged| keeps(&verdict, judged)) {
            (history, entry, verdict) = (with_it, told, Arc::new(judged));
        }
    }
    let mut findings = findings_of(&entry, &verdict, done);
    findings.extend(asking_more(draft, referral, &entry, (before, &verdict), done)?);
    findings
        .extend(as_grave_as_lost(changed, (before, after), done).into_iter().filter(|f| !verdict.fires(&f.rule.id)));
    Ok((!findings.is_empty()).then_some(Addition { entry, history, verdict, findings }))
}

/// What fires by the whole change alone, unless it is the lesser alternative of what fires no more.
fn as_grave_as_lost<'b>(
    changed: &Arc<Entry>,
    (before, after): (&Arc<Verdict<'b>>, &Arc<Verdict<'b>>),
    done: &[String],
) -> Vec<Finding<'b>> {
    let lost = before.fired.iter().filter(|rule| !after.fires(&rule.id));
    let lost = lost.map(|rule| rule.level.or(before.level)).max().flatten();
    let newly = findings_of(changed, after, done).into_iter();
    newly.filter(|finding| finding.rule.level.or(after.level) >= lost && !before.fires(&finding.rule.id)).collect()
}
