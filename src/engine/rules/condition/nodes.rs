//! What the nodes of CEL's syntax tree say: names, constants, signs, and where they stand.

use cel::common::ast::operators;
use cel::common::ast::{Expr as Node, LiteralValue, SourceInfo};
use cel::parser::Expression;

/// A constant of a condition.
pub enum Constant<'e> {
    Bool(bool),
    Int(i64),
    Text(&'e str),
}

pub fn widest(node: &Expression, places: &SourceInfo, from: &mut usize, to: &mut usize) {
    let mut own_end = 0_usize;
    if let Some((start, stop)) = places.offset_for(node.id) {
        own_end = usize::try_from(stop).unwrap_or_default().saturating_add(1);
        *from = (*from).min(usize::try_from(start).unwrap_or(usize::MAX));
        *to = (*to).max(own_end);
    }
    match &node.expr {
        Node::Call(call) => {
            call.target.iter().for_each(|target| widest(target, places, from, to));
            call.args.iter().for_each(|part| widest(part, places, from, to));
        }
        Node::Select(select) => {
            // The node's token is the dot, and the field follows it; of has(x.y) it is the bracket.
            if !select.test {
                *to = (*to).max(own_end.saturating_add(select.field.len()));
            }
            widest(&select.operand, places, from, to);
        }
        Node::List(list) => list.elements.iter().for_each(|part| widest(part, places, from, to)),
        Node::Comprehension(_)
        | Node::Ident(_)
        | Node::Literal(_)
        | Node::Map(_)
        | Node::Struct(_)
        | Node::Unspecified => {}
    }
}

/// `event.grade` of `event.grade` and of `has(event.grade)`.
pub fn dotted(node: &Expression) -> Option<String> {
    match &node.expr {
        Node::Ident(name) => Some(name.clone()),
        Node::Select(select) => Some(format!("{}.{}", dotted(&select.operand)?, select.field)),
        _ => None,
    }
}

/// `event.` of `event.grade`; everything for a name without a known group.
pub fn group(name: &str) -> &'static str {
    ["event.", "child.", "status.", "history.", "result."]
        .into_iter()
        .find(|group| name.starts_with(group))
        .unwrap_or("")
}

pub fn constant(node: &Expression) -> Option<Constant<'_>> {
    match &node.expr {
        Node::Literal(LiteralValue::Boolean(flag)) => Some(Constant::Bool(*flag.inner())),
        Node::Literal(LiteralValue::Int(number)) => Some(Constant::Int(*number.inner())),
        Node::Literal(LiteralValue::String(text)) => Some(Constant::Text(text.inner())),
        Node::Call(call) if call.func_name == operators::NEGATE => match call.args.as_slice() {
            [inner] => match constant(inner)? {
                Constant::Int(number) => number.checked_neg().map(Constant::Int),
                Constant::Bool(_) | Constant::Text(_) => None,
            },
            _ => None,
        },
        _ => None,
    }
}

pub fn is_comparison(sign: &str) -> bool {
    matches!(
        sign,
        operators::EQUALS
            | operators::NOT_EQUALS
            | operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS
    )
}

/// The sign with its sides exchanged.
pub fn flipped(sign: &str) -> &str {
    match sign {
        operators::LESS => operators::GREATER,
        operators::LESS_EQUALS => operators::GREATER_EQUALS,
        operators::GREATER => operators::LESS,
        operators::GREATER_EQUALS => operators::LESS_EQUALS,
        same => same,
    }
}
