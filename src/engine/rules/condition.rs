//! From the text of a condition to a checked expression: CEL's grammar, restricted to what can be decided.

mod nodes;
mod scan;

use std::collections::BTreeSet;

use cel::common::ast::operators;
use cel::common::ast::{CallExpr, Expr as Node, ListExpr, LiteralValue, SourceInfo};
use cel::parser::{Expression, Parser};

use nodes::{Constant, constant, dotted, flipped, group, is_comparison, widest};

use super::catalogue;
use super::expression::{Condition, Expr, Predicate, Test};
use super::facts::{Fact, FactId, Facts};
use super::fault::Span;
use super::read::{Faults, Text, instead, listed};
use crate::engine::model::detail::{KINDS, fields};
use crate::engine::model::scalar::FactType;

/// The longest condition, in bytes.
const CONDITION_BYTES_MAX: usize = 4_000;

/// What one condition may read.
pub struct Scope<'s> {
    pub facts: &'s Facts,
    /// The kinds of event it is judged for: each must carry the event facts it reads.
    pub kinds: &'s BTreeSet<&'static str>,
    pub reading: Reading,
}

/// Whose facts a condition reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// A rule or task: everything.
    Judgement,
    /// A timer rule: everything but `result.*`, which nothing has settled when a timer fires.
    Timer,
    /// A history count: one entry's own `event.*` facts.
    Entry,
}

/// Checks one condition. None: faults were added.
pub fn read(text: Text<'_>, what: &str, scope: &Scope<'_>, faults: &mut Faults) -> Option<Condition> {
    let (start, as_read) = text.inner();
    let mut reader = Reader { text, start, what, scope, faults, failed: false };
    if text.text.contains('\\') || !as_read {
        let place = text.text.find('\\').filter(|_| as_read);
        let span = place.map_or(text.span, |place| reader.at(place, place.saturating_add(1)));
        return reader.refuse(
            span,
            "a condition has no backslashes",
            "put codes in single quotes: event.grade == 'high'",
        );
    }
    if text.text.len() > CONDITION_BYTES_MAX {
        return reader.refuse(text.span, "the condition is too long", "split it into several rules");
    }
    if !reader.scan() {
        return None;
    }
    let (root, places) = reader.parse()?;
    let expr = reader.lower(&root, &places)?;
    if reader.failed {
        return None;
    }
    let reads = expr.reads();
    Some(Condition { text: text.text.to_owned(), expr, reads })
}

struct Reader<'r, 'i> {
    text: Text<'i>,
    /// Where the condition starts in the file.
    start: usize,
    what: &'r str,
    scope: &'r Scope<'r>,
    faults: &'r mut Faults,
    /// A fault was added, though an expression could still be made.
    failed: bool,
}

impl Reader<'_, '_> {
    fn at(&self, from: usize, to: usize) -> Span {
        Span { start: self.start.saturating_add(from), end: self.start.saturating_add(to) }
    }

    /// The words at a place, as they stand in the condition.
    fn written(&self, span: Span) -> String {
        let within = |place: usize| place.saturating_sub(self.start);
        let (from, mut to) = (within(span.start), within(span.end));
        // The parser keeps no place for the bracket that closes a list.
        let rest = self.text.text.get(to..).unwrap_or_default();
        if self.text.text.get(from..to).is_some_and(|words| words.contains('[') && !words.contains(']')) {
            to = to.saturating_add(rest.find(']').map_or(0, |place| place.saturating_add(1)));
        }
        self.text.text.get(from..to).unwrap_or(self.text.text).to_owned()
    }

    fn refuse<T>(&mut self, span: Span, problem: impl AsRef<str>, write_instead: impl Into<String>) -> Option<T> {
        self.failed = true;
        let problem = format!("{}: {}", self.what, problem.as_ref());
        self.faults.add(self.text.file, span, problem, write_instead);
        None
    }

    fn parse(&mut self) -> Option<(Expression, SourceInfo)> {
        match Parser::new().parse_with_source_info(self.text.text) {
            Ok(parsed) => Some(parsed),
            Err(errors) => {
                // The first is the cause; the parser's later ones are its attempts to recover.
                let place = errors.errors.first().map_or(0, |error| self.offset_of(error.pos));
                let span = self.at(place, place.saturating_add(1).min(self.text.text.len().max(1)));
                self.refuse(
                    span,
                    "this cannot be read as a condition",
                    "check brackets and quotes: event.grade == 'high' && !(child.age_years >= 13)",
                )
            }
        }
    }

    /// The parser's line and column, both from 1 as it reports them, as a byte offset.
    fn offset_of(&self, (line, column): (isize, isize)) -> usize {
        let skipped = usize::try_from(line).unwrap_or_default().saturating_sub(1);
        let lines: usize = self.text.text.split_inclusive('\n').take(skipped).map(str::len).sum();
        let within = usize::try_from(column).unwrap_or_default().saturating_sub(1);
        lines.saturating_add(within).min(self.text.text.len().saturating_sub(1))
    }

    fn lower(&mut self, node: &Expression, places: &SourceInfo) -> Option<Expr> {
        match &node.expr {
            Node::Literal(LiteralValue::Boolean(flag)) => Some(Expr::Constant(*flag.inner())),
            Node::Call(call) => self.lower_call(node, call, places),
            Node::Ident(_) | Node::Select(_) => self.lower_fact(node, places),
            Node::Comprehension(_) => {
                self.only_subset(node, places, "all(), exists(), map() and filter() are not allowed")
            }
            Node::Literal(_) => self.only_subset(node, places, "a constant alone says nothing"),
            Node::List(_) | Node::Map(_) | Node::Struct(_) | Node::Unspecified => {
                self.only_subset(node, places, "a list or map alone says nothing")
            }
        }
    }

    fn only_subset<T>(&mut self, node: &Expression, places: &SourceInfo, problem: &str) -> Option<T> {
        let span = self.span(node, places);
        self.refuse(
            span,
            problem,
            "compare one fact with a constant (== != < <= > >= in), use has(fact), and join with && || !; what that cannot say is a derived fact",
        )
    }

    fn lower_call(&mut self, node: &Expression, call: &CallExpr, places: &SourceInfo) -> Option<Expr> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, parts) => Some(Expr::And(self.lower_parts(parts, places)?)),
            (operators::LOGICAL_OR, parts) => Some(Expr::Or(self.lower_parts(parts, places)?)),
            (operators::LOGICAL_NOT, [inner]) => Some(Expr::Not(Box::new(self.lower(inner, places)?))),
            (operators::IN, [left, right]) => self.lower_in(node, left, right, places),
            (operators::CONDITIONAL, _) => self.only_subset(node, places, "`? :` is not allowed"),
            (sign, [left, right]) if is_comparison(sign) => self.lower_comparison(node, sign, left, right, places),
            (
                operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO
                | operators::NEGATE,
                _,
            ) => self.only_subset(node, places, "arithmetic is not allowed"),
            (operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT, _) => {
                self.only_subset(node, places, "a fact is named with dots, not brackets")
            }
            (name, _) => {
                let problem = format!("there is no function `{name}`");
                self.only_subset(node, places, &problem)
            }
        }
    }

    /// Every part is looked at, so that all faults are found.
    fn lower_parts(&mut self, parts: &[Expression], places: &SourceInfo) -> Option<Vec<Expr>> {
        let lowered: Vec<Option<Expr>> = parts.iter().map(|part| self.lower(part, places)).collect();
        lowered.into_iter().collect()
    }

    /// A fact standing alone: a flag, or `has(fact)`.
    fn lower_fact(&mut self, node: &Expression, places: &SourceInfo) -> Option<Expr> {
        let span = self.span(node, places);
        let test = matches!(&node.expr, Node::Select(select) if select.test);
        let id = self.fact(node, places)?;
        let fact = self.scope.facts.get(id)?;
        if test {
            return Some(Expr::Test(Test { fact: id, predicate: Predicate::Known, written: self.written(span) }));
        }
        match fact.value_type {
            FactType::Bool => {
                Some(Expr::Test(Test { fact: id, predicate: Predicate::Equal(1), written: self.written(span) }))
            }
            FactType::Int => self.refuse(
                span,
                format!("`{}` is a number, not yes or no", fact.name),
                format!("compare it: {} >= 3", fact.name),
            ),
            FactType::Code(symbols) => {
                let example = symbols.first().copied().unwrap_or_default();
                self.refuse(
                    span,
                    format!("`{}` is a code, not yes or no", fact.name),
                    format!("compare it: {} == '{example}'", fact.name),
                )
            }
        }
    }

    /// The fact a dotted name means.
    fn fact(&mut self, node: &Expression, places: &SourceInfo) -> Option<FactId> {
        let span = self.span(node, places);
        let Some(name) = dotted(node) else {
            // Arithmetic and functions are refused by their own names.
            let refused = matches!(node.expr, Node::Call(_)) && self.lower(node, places).is_none();
            return if refused { None } else { self.only_subset(node, places, "a fact must stand here") };
        };
        let facts = self.scope.facts;
        if name == "result.agencies" {
            return self.refuse(span, "`result.agencies` is a list", "ask what is in it: 'police' in result.agencies");
        }
        let Some(id) = facts.id(&name).filter(|_| !name.starts_with("result.agencies.")) else {
            let wanted = group(&name);
            let names = facts.iter().map(|(_, fact)| fact.name.as_str());
            let readable = |known: &&str| known.starts_with(wanted) && !known.starts_with("result.agencies.");
            let readable: Vec<&str> = names.filter(readable).collect();
            let text = name.strip_prefix("event.").filter(|field| is_text(field));
            let write_instead = if text.is_some() {
                "it is a text, a time or a list, which no condition reads: name a fact".to_owned()
            } else if wanted.is_empty() {
                "facts start with event. child. status. history. or result.".to_owned()
            } else if readable.is_empty() {
                format!("declare it in facts.toml: [{name}]")
            } else {
                instead(&name, readable)
            };
            return self.refuse(span, format!("there is no fact `{name}`"), write_instead);
        };
        let fact = facts.get(id)?;
        self.check_readable(fact, span)?;
        Some(id)
    }

    fn check_readable(&mut self, fact: &Fact, span: Span) -> Option<()> {
        let is_event = fact.name.starts_with("event.");
        let is_result = fact.name.starts_with("result.");
        match self.scope.reading {
            Reading::Entry if !is_event || fact.name == "event.kind" || fact.name == "event.agreement" => {
                return self.refuse(
                    span,
                    format!("`{}` is not kept with an entry of the history", fact.name),
                    "read only the event's own facts here: event.grade",
                );
            }
            Reading::Timer if is_result => {
                return self.refuse(
                    span,
                    format!("`{}` is not settled when a timer rule is judged", fact.name),
                    "read status, history or event facts",
                );
            }
            Reading::Entry | Reading::Timer | Reading::Judgement => {}
        }
        let lacking: Vec<&str> = self.scope.kinds.iter().copied().filter(|kind| !fact.is_of_kind(kind)).collect();
        if lacking.is_empty() {
            return Some(());
        }
        self.refuse(
            span,
            format!("`{}` is not carried by {}", fact.name, listed(lacking)),
            format!(
                "name only kinds that carry it ({}){}",
                listed(fact.kinds.as_deref().unwrap_or_default()),
                if self.scope.reading == Reading::Entry { "" } else { ", or split the rule" }
            ),
        )
    }

    fn lower_comparison(
        &mut self,
        node: &Expression,
        sign: &str,
        left: &Expression,
        right: &Expression,
        places: &SourceInfo,
    ) -> Option<Expr> {
        let (fact_node, constant_node, sign) = if constant(right).is_some() {
            (left, right, sign)
        } else if constant(left).is_some() {
            (right, left, flipped(sign))
        } else {
            return self.only_subset(node, places, "one side of a comparison must be a constant");
        };
        if constant(fact_node).is_some() {
            return self.only_subset(node, places, "this compares two constants");
        }
        let span = self.span(node, places);
        let id = self.fact(fact_node, places)?;
        let fact = self.scope.facts.get(id)?;
        let value = self.constant_of(fact, constant_node, places)?;
        let in_order = !matches!(sign, operators::EQUALS | operators::NOT_EQUALS);
        if in_order && !catalogue::is_ordered(fact.value_type) {
            return self.refuse(
                span,
                format!("`{}` has no order", fact.name),
                format!("use == or in: {} in [..]", fact.name),
            );
        }
        let written = self.written(span);
        let test = |predicate| Expr::Test(Test { fact: id, predicate, written: written.clone() });
        Some(match sign {
            operators::NOT_EQUALS => Expr::Not(Box::new(test(Predicate::Equal(value)))),
            operators::LESS => test(Predicate::Less(value)),
            operators::LESS_EQUALS => test(Predicate::LessOrEqual(value)),
            operators::GREATER => test(Predicate::Greater(value)),
            operators::GREATER_EQUALS => test(Predicate::GreaterOrEqual(value)),
            _ => test(Predicate::Equal(value)),
        })
    }

    fn lower_in(
        &mut self,
        node: &Expression,
        left: &Expression,
        right: &Expression,
        places: &SourceInfo,
    ) -> Option<Expr> {
        let span = self.span(node, places);
        if dotted(right).as_deref() == Some("result.agencies") {
            return self.lower_agency(left, span, places);
        }
        let Node::List(ListExpr { elements, optional_indices }) = &right.expr else {
            return self.only_subset(right, places, "`in` needs a list of constants");
        };
        if !optional_indices.is_empty() {
            return self.only_subset(right, places, "`in` needs a list of constants");
        }
        let id = self.fact(left, places)?;
        let fact = self.scope.facts.get(id)?;
        let values: Vec<Option<i64>> = elements.iter().map(|item| self.constant_of(fact, item, places)).collect();
        let mut values: Vec<i64> = values.into_iter().collect::<Option<_>>()?;
        if values.is_empty() {
            return self.refuse(span, "the list is empty: the condition could never hold", "name the values");
        }
        values.sort_unstable();
        values.dedup();
        Some(Expr::Test(Test { fact: id, predicate: Predicate::OneOf(values), written: self.written(span) }))
    }

    fn lower_agency(&mut self, left: &Expression, span: Span, places: &SourceInfo) -> Option<Expr> {
        if self.scope.reading != Reading::Judgement {
            return self.refuse(span, "`result.agencies` cannot be read here", "read event, status or history facts");
        }
        let Some(Constant::Text(agency)) = constant(left) else {
            return self.only_subset(left, places, "an agency's name in quotes must stand here");
        };
        let facts = self.scope.facts;
        if let Some(fact) = facts.id(&format!("result.agencies.{agency}")) {
            return Some(Expr::Test(Test { fact, predicate: Predicate::Equal(1), written: self.written(span) }));
        }
        let agencies: Vec<&str> =
            facts.iter().filter_map(|(_, fact)| fact.name.strip_prefix("result.agencies.")).collect();
        let span = self.span(left, places);
        self.refuse(span, format!("there is no agency `{agency}`"), instead(agency, agencies))
    }

    /// A constant of the fact's type, encoded.
    fn constant_of(&mut self, fact: &Fact, node: &Expression, places: &SourceInfo) -> Option<i64> {
        let span = self.span(node, places);
        let name = &fact.name;
        match (fact.value_type, constant(node)) {
            (FactType::Int, Some(Constant::Int(number))) => Some(number),
            (FactType::Bool, Some(Constant::Bool(flag))) => Some(i64::from(flag)),
            (FactType::Code(symbols), Some(Constant::Text(code))) => {
                match symbols.iter().position(|symbol| *symbol == code) {
                    Some(place) => i64::try_from(place).ok(),
                    None => {
                        self.refuse(span, format!("`{name}` is never '{code}'"), instead(code, symbols.iter().copied()))
                    }
                }
            }
            (FactType::Int, _) => {
                self.refuse(span, format!("`{name}` is a whole number"), format!("write {name} >= 3"))
            }
            (FactType::Bool, _) => {
                self.refuse(span, format!("`{name}` is true or false"), format!("write {name} or !{name}"))
            }
            (FactType::Code(symbols), _) => self.refuse(
                span,
                format!("`{name}` is a code"),
                format!("write one of {}, in single quotes", listed(symbols)),
            ),
        }
    }

    /// From the first to the last token of a node: the parser keeps one token for each.
    fn span(&self, node: &Expression, places: &SourceInfo) -> Span {
        let (mut from, mut to) = (usize::MAX, 0);
        widest(node, places, &mut from, &mut to);
        if from > to { self.text.span } else { self.at(from, to) }
    }
}

/// Whether events carry a field of this name that is no fact.
fn is_text(field: &str) -> bool {
    let mut of_kinds = KINDS.iter().filter_map(|(kind, _)| fields(kind)).flatten();
    of_kinds.any(|(name, fact)| *name == field && fact.is_none())
}
