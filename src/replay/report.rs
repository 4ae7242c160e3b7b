//! Expected and got, side by side, for a person at a terminal.

use super::expected::Difference;
use super::scenario::Ran;

/// Width of the left column, in characters.
const COLUMN: usize = 70;

/// A scenario's differences as text; empty when all came as expected.
pub fn side_by_side(file: &str, ran: &Ran) -> String {
    let mut text = String::new();
    for step in &ran.differences {
        text.push_str(&format!("{file}:{}: step {} of \"{}\"\n", step.line, step.step, ran.title));
        for difference in &step.differences {
            text.push_str(&columns(difference));
        }
    }
    text
}

fn columns(difference: &Difference) -> String {
    let mut text = format!("  {:<COLUMN$} | got\n", format!("{}: expected", difference.what));
    let rows = difference.expected.len().max(difference.got.len());
    for row in 0..rows {
        let left = difference.expected.get(row).map_or("", String::as_str);
        let right = difference.got.get(row).map_or("", String::as_str);
        let mark = if difference.expected.contains(&right.to_owned()) || difference.got.contains(&left.to_owned()) {
            ' '
        } else {
            '*'
        };
        text.push_str(&format!("{mark}   {left:<COLUMN$}| {right}\n"));
    }
    text
}
