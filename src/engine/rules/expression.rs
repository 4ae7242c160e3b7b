//! Conditions after checking: tests of one fact, joined by and, or, not, in three-valued logic.

use super::facts::{FactId, FactTable};

/// Kleene's three values: a test of a missing fact is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    pub fn of(flag: bool) -> Self {
        if flag { Truth::True } else { Truth::False }
    }

    pub fn negate(self) -> Self {
        match self {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
        }
    }

    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Truth::False, _) | (_, Truth::False) => Truth::False,
            (Truth::True, Truth::True) => Truth::True,
            (Truth::Unknown | Truth::True, Truth::Unknown | Truth::True) => Truth::Unknown,
        }
    }

    pub fn or(self, other: Self) -> Self {
        self.negate().and(other.negate()).negate()
    }
}

/// What is asked of one fact, on its encoded value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Predicate {
    Equal(i64),
    Less(i64),
    LessOrEqual(i64),
    Greater(i64),
    GreaterOrEqual(i64),
    OneOf(Vec<i64>),
    /// `has(fact)`: false where it is missing, never unknown.
    Known,
}

impl Predicate {
    pub fn truth(&self, slot: Option<i64>) -> Truth {
        let Some(value) = slot else {
            return match self {
                Predicate::Known => Truth::False,
                Predicate::Equal(_)
                | Predicate::Less(_)
                | Predicate::LessOrEqual(_)
                | Predicate::Greater(_)
                | Predicate::GreaterOrEqual(_)
                | Predicate::OneOf(_) => Truth::Unknown,
            };
        };
        Truth::of(match self {
            Predicate::Equal(constant) => value == *constant,
            Predicate::Less(constant) => value < *constant,
            Predicate::LessOrEqual(constant) => value <= *constant,
            Predicate::Greater(constant) => value > *constant,
            Predicate::GreaterOrEqual(constant) => value >= *constant,
            Predicate::OneOf(constants) => constants.contains(&value),
            Predicate::Known => true,
        })
    }

    /// The constants compared with.
    pub fn constants(&self) -> &[i64] {
        match self {
            Predicate::Equal(constant)
            | Predicate::Less(constant)
            | Predicate::LessOrEqual(constant)
            | Predicate::Greater(constant)
            | Predicate::GreaterOrEqual(constant) => std::slice::from_ref(constant),
            Predicate::OneOf(constants) => constants,
            Predicate::Known => &[],
        }
    }
}

/// A test of one fact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Test {
    pub fact: FactId,
    pub predicate: Predicate,
    /// As it stands in the file.
    pub written: String,
}

/// A condition in the decidable subset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expr {
    Constant(bool),
    Test(Test),
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
}

impl Expr {
    /// The plain evaluator: slow, obvious, and what the compiled form is tested against.
    pub fn truth(&self, slot: &dyn Fn(FactId) -> Option<i64>) -> Truth {
        self.by(&|test| test.predicate.truth(slot(test.fact)))
    }

    /// What holds whatever the facts are that nothing is supposed of, known or not: those are not missing.
    pub fn supposing(&self, supposed: &dyn Fn(FactId) -> Option<i64>) -> Truth {
        self.by(&|test| supposed(test.fact).map_or(Truth::Unknown, |value| test.predicate.truth(Some(value))))
    }

    fn by(&self, tell: &dyn Fn(&Test) -> Truth) -> Truth {
        match self {
            Expr::Constant(flag) => Truth::of(*flag),
            Expr::Test(test) => tell(test),
            Expr::Not(inner) => inner.by(tell).negate(),
            Expr::And(parts) => parts.iter().fold(Truth::True, |so_far, part| so_far.and(part.by(tell))),
            Expr::Or(parts) => parts.iter().fold(Truth::False, |so_far, part| so_far.or(part.by(tell))),
        }
    }

    /// Every test, left to right.
    pub fn tests<'e>(&'e self, visit: &mut dyn FnMut(&'e Test)) {
        match self {
            Expr::Constant(_) => {}
            Expr::Test(test) => visit(test),
            Expr::Not(inner) => inner.tests(visit),
            Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| part.tests(visit)),
        }
    }

    /// The facts read, each once, by id.
    pub fn reads(&self) -> Vec<FactId> {
        let mut facts = Vec::new();
        self.tests(&mut |test| facts.push(test.fact));
        facts.sort_unstable();
        facts.dedup();
        facts
    }
}

/// A condition as it was written and what it means.
#[derive(Clone, PartialEq, Debug)]
pub struct Condition {
    pub text: String,
    pub expr: Expr,
    /// The facts read, each once.
    pub reads: Vec<FactId>,
}

impl Condition {
    pub fn truth(&self, table: &FactTable) -> Truth {
        self.expr.truth(&|fact| table.slot(fact))
    }

    /// The facts read that are missing: what to find out when the condition is unknown.
    pub fn missing(&self, table: &FactTable) -> Vec<FactId> {
        self.reads.iter().copied().filter(|fact| !table.is_known(*fact)).collect()
    }
}
