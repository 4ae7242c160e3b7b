//! What a sender wrote of a child that could not be used: they alone can put it right, so they hear of it, by the name of the field.

use crate::engine::identity::{IdentifierKind, Identifiers, Keys, unverified};
use crate::engine::model::detail::Detail;
use crate::engine::model::event::{Child, ReferralEvent};
use crate::engine::rules::RuleBook;

/// In words for the sender. No value is said again.
pub fn words(keys: &Keys, rules: &RuleBook, event: &ReferralEvent) -> Vec<String> {
    let siblings = event.siblings.iter().enumerate();
    let siblings = siblings.map(|(place, sibling)| (format!("data.siblings[{place}].child"), &sibling.child));
    let children = std::iter::once(("data.child".to_owned(), &event.child)).chain(siblings);
    let mut words: Vec<String> = children.flat_map(|(path, child)| of_child(rules, child, &path)).collect();
    words.extend(of_right_child(keys, event));
    words
}

fn of_child(rules: &RuleBook, child: &Child, path: &str) -> Vec<String> {
    let fails = |field: &String| {
        format!("{path}.{field} fails its check: it was not used to tell who the child is. Look it up.")
    };
    let unlisted = |field| format!("{path}.{field} is not in this partnership's directory: check the code.");
    let unlisted = rules.directory.unlisted(child).into_iter().map(unlisted);
    unverified(child).iter().map(fails).chain(unlisted).collect()
}

/// Of a withdrawal for another child: whether the time of first receipt could be kept.
fn of_right_child(keys: &Keys, event: &ReferralEvent) -> Option<String> {
    let Detail::EventWithdrawn(withdrawn) = &event.detail else { return None };
    let right = withdrawn.right_child.as_deref()?;
    let identifiers = Identifiers::of(keys, right, &event.source, &event.event_id);
    let field = identifiers.unverified.first()?;
    let fails = format!("data.detail.right_child.{field} fails its check");
    if identifiers.strongest.0 != IdentifierKind::None {
        return Some(format!("{fails}: it was not used."));
    }
    let kept = match withdrawn.right_event_id {
        Some(_) => "is kept only if the event that right_event_id names has no other identifier. Else",
        None => "could not be kept. To have it kept",
    };
    Some(format!(
        "{fails}: the time at which this was first received {kept} withdraw it again, under a new id, with a right_child that the new \
         event carries."
    ))
}
