//! Partners and agencies that are none any more: what is counted of each by name goes, and the sums over all stay.

use std::collections::{BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock};

use prometheus::IntCounterVec;
use prometheus::core::{Collector, Metric, MetricVec, MetricVecBuilder};

use super::{Metrics, status_label, whole};
use crate::engine::model::feedback::FeedbackStatus;

/// Under which name their sums are kept. No partner or agency can be called so.
pub const REMOVED: &str = "(removed)";
const PARTNER: &str = "partner";
const AGENCY: &str = "agency";

/// Everyone who may send: what still comes of the events of another is counted with those that are gone.
#[derive(Default)]
pub struct Known(RwLock<Option<BTreeSet<String>>>);

impl Known {
    /// Counts under the name, or that of those that are gone. Never while the sums are being put together: what came between would be lost.
    pub fn count(&self, name: &str, add: impl FnOnce(&str)) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let is_gone = known.as_ref().is_some_and(|known| !is_known(name, known));
        add(if is_gone { REMOVED } else { name });
    }
}

impl Metrics {
    pub fn feedback(&self, partner: &str, status: FeedbackStatus) {
        self.known.count(partner, |partner| self.feedback.with_label_values(&[partner, status_label(status)]).inc());
    }

    /// Whatever is labelled with a partner or agency that is none of these goes: its last value would be shown, and watched, for ever. Of what is
    /// summed up against other counts the sum stays.
    pub fn keep_only(&self, partners: &BTreeSet<String>, agencies: &BTreeSet<String>) {
        // Answers are counted by agency, beside what partners send.
        let senders: BTreeSet<String> = partners.union(agencies).cloned().collect();
        let mut known = self.known.0.write().unwrap_or_else(PoisonError::into_inner);
        for counters in [&self.intake_consumed, &self.intake_disposed, &self.quarantined] {
            fold(counters, PARTNER, &senders);
        }
        fold(&self.tasks, AGENCY, agencies);
        remove(&self.suppressed_routes, AGENCY, agencies);
        remove(&self.seldom, PARTNER, partners);
        fold(&self.feedback, PARTNER, &senders);
        remove(&self.http.events, PARTNER, partners);
        *known = Some(senders);
    }
}

/// Empty names stand for the router's own.
fn is_known(name: &str, known: &BTreeSet<String>) -> bool {
    name.is_empty() || name == REMOVED || known.contains(name)
}

/// The labels of those that are gone.
fn gone(family: &impl Collector, label: &str, known: &BTreeSet<String>) -> Vec<(HashMap<String, String>, u64)> {
    let families = family.collect();
    let metrics = families.iter().flat_map(prometheus::proto::MetricFamily::get_metric);
    let labelled = metrics.map(|metric| {
        let labels = metric.get_label().iter().map(|pair| (pair.name().to_owned(), pair.value().to_owned()));
        (labels.collect::<HashMap<_, _>>(), whole(metric))
    });
    labelled.filter(|(labels, _)| labels.get(label).is_some_and(|name| !is_known(name, known))).collect()
}

fn borrowed(labels: &HashMap<String, String>) -> HashMap<&str, &str> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn remove<T: MetricVecBuilder>(family: &MetricVec<T>, label: &str, known: &BTreeSet<String>)
where
    MetricVec<T>: Collector,
    T::M: Metric,
{
    for (labels, _) in gone(family, label, known) {
        let _ = family.remove(&borrowed(&labels));
    }
}

fn fold(counters: &IntCounterVec, label: &str, known: &BTreeSet<String>) {
    for (labels, count) in gone(counters, label, known) {
        let mut kept = borrowed(&labels);
        kept.insert(label, REMOVED);
        counters.with(&kept).inc_by(count);
        let _ = counters.remove(&borrowed(&labels));
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::model::feedback::FeedbackStatus;
    use crate::engine::model::quarantine::QuarantineReason;
    use crate::telemetry::metrics::{Answer, Disposition, Metrics};

    #[test]
    fn who_was_removed_is_shown_no_more_and_the_sums_stay() {
        let metrics = Metrics::new().unwrap();
        for partner in ["police", "council", "camhs"] {
            metrics.expect([partner].into_iter());
            metrics.seldom(partner, false);
            metrics.intake(partner, Disposition::Accepted);
            metrics.intake(partner, Disposition::Quarantined);
            metrics.quarantined(partner, QuarantineReason::TooLarge);
            metrics.feedback(partner, FeedbackStatus::Received);
            metrics.http_event(partner, Answer::Accepted);
            metrics.tasks(partner, None, 3);
            metrics.suppressed_routes(partner, 1);
        }
        let before = metrics.totals();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        metrics.keep_only(&names(&["police", "council"]), &names(&["police", "camhs", "council"]));
        assert!(!metrics.render().contains("pathway_partner_seldom{partner=\"camhs\"}"), "it is no partner");
        for agencies in [["police", "camhs"].as_slice(), &["police"]] {
            metrics.keep_only(&names(&["police"]), &names(agencies));
            let text = metrics.render();
            assert!(!text.contains("council") && text.contains("=\"police\""), "{text}");
            assert_eq!(text.contains("camhs"), agencies.contains(&"camhs"), "{text}");
            assert_eq!(metrics.totals(), before);
        }
        let text = metrics.render();
        assert!(text.contains("pathway_intake_consumed_total{partner=\"(removed)\"} 4"), "{text}");
        // What was under way, and answers to what went out before.
        metrics.intake("council", Disposition::Accepted);
        metrics.feedback("council", FeedbackStatus::Received);
        metrics.intake("police", Disposition::Accepted);
        let text = metrics.render();
        assert!(!text.contains("council") && text.contains("consumed_total{partner=\"police\"} 3"), "{text}");
        assert!(text.contains("pathway_intake_consumed_total{partner=\"(removed)\"} 5"), "{text}");
        assert!(metrics.quarantine_counts().keys().all(|(partner, _)| partner != "(removed)"), "nothing new came");
    }
}
