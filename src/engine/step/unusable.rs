//! What a sender wrote of a child that could not be used: they alone can put it right, so they hear of it, by the name of the field.

use crate::engine::identity::{IdentifierKind, Identifiers, Keys};
use crate::engine::model::detail::Detail;
use crate::engine::model::event::ReferralEvent;
use crate::engine::rules::RuleBook;

/// In words for the sender. No value is said again.
pub fn words(keys: &Keys, rules: &RuleBook, event: &ReferralEvent) -> Vec<String> {
    let identifiers = Identifiers::of(keys, &event.child, &event.source, &event.event_id);
    let fails = |field: &String| {
        format!("child.{field} fails its check digit: it was not used to tell who the child is. Look it up.")
    };
    let mut words: Vec<String> = identifiers.unverified.iter().map(fails).collect();
    let unlisted = rules.directory.unlisted(&event.child).into_iter();
    words
        .extend(unlisted.map(|field| format!("child.{field} is not in this partnership's directory: check the code.")));
    words.extend(of_right_child(keys, event));
    words
}

/// Of a withdrawal for another child: whether the time of first receipt could be kept.
fn of_right_child(keys: &Keys, event: &ReferralEvent) -> Option<String> {
    let Detail::EventWithdrawn(withdrawn) = &event.detail else { return None };
    let right = withdrawn.right_child.as_deref()?;
    let identifiers = Identifiers::of(keys, right, &event.source, &event.event_id);
    let field = identifiers.unverified.first()?;
    let fails = format!("detail.right_child.{field} fails its check digit");
    if identifiers.strongest.0 != IdentifierKind::None {
        return Some(format!("{fails}: it was not used."));
    }
    let kept = match withdrawn.right_event_id {
        Some(_) => "is kept only if the event that right_event_id names has no other identifier. Else",
        None => "could not be kept.",
    };
    Some(format!(
        "{fails}: the time at which this was first received {kept} withdraw it again, under a new id, with a right_child that the new \
         event carries."
    ))
}
