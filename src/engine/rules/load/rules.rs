//! `rules.toml` and `rules/*.toml`: the rules themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::agencies::letters;
use super::together::minutes;
use super::{Document, Names, Part, check_known, clock, kinds, level};
use crate::engine::calendar::Clock;
use crate::engine::model::codes::HumanDecision;
use crate::engine::model::detail::fields;
use crate::engine::model::scalar::FactValue;
use crate::engine::rules::book::{Ladder, Place, Recipient, Rule, TaskRule, TimerRule};
use crate::engine::rules::catalogue;
use crate::engine::rules::condition::{self, Reading, Scope};
use crate::engine::rules::expression::{Condition, Expr, Predicate, Test};
use crate::engine::rules::facts::{FactId, Facts};
use crate::engine::rules::fault::{SourceFile, Span};
use crate::engine::rules::read::{Faults, Table, Text, instead};
use crate::engine::rules::template::{Part as Piece, Template};
use crate::engine::schema::names::nearest;

/// Where each rule stands, for faults found later.
pub type Places<'d> = BTreeMap<String, (&'d SourceFile, Span)>;

/// A decision, where a book names what was decided as well.
const RECORDED: &str = "decision.recorded/";

/// Anchors that are a field of some kinds of event.
const TIMES_OF_SOME: [&str; 3] = ["last_seen_at", "ended_at", "completed_at"];

const TASKS_EXAMPLE: &str = "[{ to = [\"social-care\"], do = \"Decide\", by = \"1 wd\" }]";

/// A task that must be completed by its deadline has somebody who is told when it is not, whatever its level.
pub fn check_overdue(rules: &[Rule], ladders: &[Ladder], places: &Places<'_>, faults: &mut Faults) {
    let missing = match ladders.iter().find(|ladder| ladder.overdue.is_empty()) {
        Some(ladder) => format!("ladder {} names nobody to tell", ladder.name),
        None if ladders.is_empty() => "no ladder names whom to tell".to_owned(),
        None => return,
    };
    let must_be_done = |rule: &&Rule| rule.tasks.iter().any(|task| task.completed_by_due);
    for rule in rules.iter().filter(must_be_done) {
        let Some((file, span)) = places.get(&rule.id) else { continue };
        let problem = format!("rule {}: `completed_by_due`, and {missing}", rule.id);
        faults.add(
            file,
            *span,
            problem,
            "add `overdue = [{ role = \"team-manager\", do = \"See that it is done\" }]` to the ladder",
        );
    }
}

/// Every rule, in the order of ids.
pub fn read<'d>(
    documents: &'d [Document<'_>],
    names: &Names,
    facts: &Facts,
    faults: &mut Faults,
) -> (Vec<Rule>, Places<'d>) {
    let mut rules = Vec::new();
    let mut places = Places::new();
    for document in documents.iter().filter(|document| document.part == Part::Rules) {
        for (key, table) in document.entries("rule", faults) {
            if let Some((other, _)) = places.get(key.text) {
                let problem = format!("rule {} also stands in {}", key.text, other.name);
                faults.add(key.file, key.span, problem, "give one of them another id");
                continue;
            }
            places.insert(key.text.to_owned(), (document.file, key.span));
            let reader = RuleReader { names, facts, faults };
            rules.extend(reader.rule(key, table));
        }
    }
    rules.sort_by(|one, other| one.id.cmp(&other.id));
    (rules, places)
}

/// Whether somebody chose a basis, be it misspelt or one that is not known: that is a fault of its own, and none to be chosen.
fn says_bases(table: &Table<'_>) -> bool {
    // `tasks` is two letters away.
    table.table.keys().any(|key| key.get_ref().starts_with('b') && nearest(key.get_ref(), &["basis"]).is_some())
}

struct RuleReader<'r> {
    names: &'r Names,
    facts: &'r Facts,
    faults: &'r mut Faults,
}

impl RuleReader<'_> {
    fn rule(mut self, key: Text<'_>, mut table: Table<'_>) -> Option<Rule> {
        self.check_id(key);
        let title = table.required(self.faults, "title", "\"Third time missing in 90 days\"");
        let sentence = table.required(self.faults, "sentence", "\"what the rule says, in plain words\"");
        let source = table.required(self.faults, "source", "\"where the rule comes from\"");
        let on = table.texts(self.faults, "on", "[\"missing.started\"]");
        if on.is_none() && !table.table.contains_key("on") {
            table.lacks(self.faults, "on", "[\"missing.started\"]");
        }
        let on = kinds(&on.unwrap_or_default(), self.faults);
        let timer = self.timer(&mut table, &on);
        let reading = if timer.is_some() { Reading::Timer } else { Reading::Judgement };
        let scope = Scope { facts: self.facts, kinds: &on, reading };
        let when = self.condition(&mut table, &scope);
        let level = table.text(self.faults, "level", "\"L3\"").filter(|text| text.text != "same");
        let level = level.and_then(|text| level_of(text, self.faults));
        let bases = table.texts(self.faults, "basis", "\"P\"");
        let bases = bases.map(|texts| letters(&texts, self.names, self.faults)).unwrap_or_default();
        let why = self.why(&mut table, title, &scope);
        let tasks = table.tables(self.faults, "tasks", TASKS_EXAMPLE, "task");
        let of_rule = says_bases(&table).then_some(bases.as_slice());
        let tasks: Vec<TaskRule> = tasks.into_iter().filter_map(|task| self.task(task, &scope, of_rule)).collect();
        let tell_referrer = table.text(self.faults, "tell_referrer", "\"what the sender should know\"");
        let flags = self.flags(&mut table);
        if !["level", "tasks", "tell_referrer", "flag"].iter().any(|key| table.table.contains_key(*key)) {
            let problem = format!("{} does nothing", table.what);
            self.faults.add(table.file, table.span, problem, "give it a level, tasks, tell_referrer or a flag");
        }
        table.finish(self.faults);
        let reads = reads(when.as_ref(), &why, &tasks);
        Some(Rule {
            id: key.text.to_owned(),
            title: title?.text.to_owned(),
            sentence: sentence?.text.to_owned(),
            source: source?.text.to_owned(),
            on,
            when,
            level,
            bases,
            why,
            tasks,
            tell_referrer: tell_referrer.map(|text| text.text.to_owned()),
            timer,
            flags,
            reads,
            stratum: 0,
            place: Place {
                file: key.file.name.clone(),
                line: key.file.line_and_column(key.span.start).0,
                span: key.span,
            },
        })
    }

    fn check_id(&mut self, key: Text<'_>) {
        let plain = |character: char| character.is_ascii_alphanumeric() || character == '-';
        if !(key.text.starts_with(|first: char| first.is_ascii_uppercase()) && key.text.chars().all(plain)) {
            let problem = format!("`{}` is not a rule's id", key.text);
            self.faults.add(
                key.file,
                key.span,
                problem,
                "write a capital letter, then letters, digits and hyphens: R13",
            );
        }
    }

    fn condition(&mut self, table: &mut Table<'_>, scope: &Scope<'_>) -> Option<Condition> {
        let text = table.text(self.faults, "when", "\"event.grade == 'high'\"")?;
        condition::read(text, &table.what, scope, self.faults)
    }

    fn timer(&mut self, table: &mut Table<'_>, on: &BTreeSet<&'static str>) -> Option<TimerRule> {
        let after = table.text(self.faults, "after", "\"24 h\"");
        let from = table.text(self.faults, "from", "\"last_seen_at\"");
        if let (None, Some(from)) = (after, from) {
            let problem = format!("{}: `from` has no `after`", table.what);
            self.faults.add(from.file, from.span, problem, "add after = \"24 h\", or put `from` in the task");
        }
        let from = from.map_or(Some("receipt"), |text| self.anchor(text, on));
        let after = clock(after?, self.faults);
        // A timer rule stays one though its clock is at fault, so that its condition is read as such.
        Some(TimerRule { after: after.unwrap_or(Clock::Now), from: from.unwrap_or("receipt") })
    }

    fn anchor(&mut self, text: Text<'_>, on: &BTreeSet<&'static str>) -> Option<&'static str> {
        let anchor = catalogue::ANCHORS.iter().find(|anchor| **anchor == text.text).copied();
        if anchor.is_none() {
            let problem = format!("no clock runs from `{}`", text.text);
            self.faults.add(text.file, text.span, problem, instead(text.text, catalogue::ANCHORS.iter().copied()));
        }
        let has_it = |kind: &&'static str| fields(kind).into_iter().flatten().any(|(field, _)| *field == text.text);
        if TIMES_OF_SOME.contains(&text.text) && !on.is_empty() && !on.iter().any(has_it) {
            let problem = format!("no kind of `on` has `{}`: the clock would always run from receipt", text.text);
            self.faults.add(text.file, text.span, problem, "name an instant that they have, or leave `from` out");
        }
        anchor
    }

    fn flags(&mut self, table: &mut Table<'_>) -> BTreeSet<&'static str> {
        let texts = table.texts(self.faults, "flag", "\"re-referral\"").unwrap_or_default();
        let mut flags = BTreeSet::new();
        for text in texts {
            match catalogue::FLAGS.iter().find(|flag| **flag == text.text) {
                Some(flag) => {
                    flags.insert(*flag);
                }
                None => {
                    let problem = format!("there is no flag `{}`", text.text);
                    self.faults.add(
                        text.file,
                        text.span,
                        problem,
                        instead(text.text, catalogue::FLAGS.iter().copied()),
                    );
                }
            }
        }
        flags
    }

    fn why(&mut self, table: &mut Table<'_>, title: Option<Text<'_>>, scope: &Scope<'_>) -> Template {
        match table.text(self.faults, "why", "\"Missing {history.missing_90d} times.\"") {
            Some(text) => self.template(text, &table.what, scope),
            None => Template::plain(title.map_or("", |title| title.text)),
        }
    }

    fn template(&mut self, text: Text<'_>, what: &str, scope: &Scope<'_>) -> Template {
        let (start, as_read) = text.inner();
        let at = |place: usize, length: usize| {
            let start = start.saturating_add(place);
            if as_read { Span { start, end: start.saturating_add(length) } } else { text.span }
        };
        let mut parts = Vec::new();
        let mut rest = text.text;
        let mut place = 0_usize;
        while let Some(open) = rest.find('{') {
            let (before, from_brace) = rest.split_at(open);
            self.check_closed(text, before, at(place, 1), what);
            parts.push(Piece::Text(before.to_owned()));
            let span = at(place.saturating_add(open), from_brace.find('}').map_or(1, |end| end.saturating_add(1)));
            let Some((name, after)) = from_brace.get(1..).and_then(|inner| inner.split_once('}')) else {
                self.faults.add(text.file, span, format!("{what}: `{{` is not closed"), "write {history.missing_90d}");
                return Template { parts };
            };
            if let Some(problem) = self.piece(name, scope, &mut parts) {
                self.faults.add(text.file, span, format!("{what}: {}", problem.0), problem.1);
            }
            place = text.text.len().saturating_sub(after.len());
            rest = after;
        }
        self.check_closed(text, rest, at(place, 1), what);
        parts.push(Piece::Text(rest.to_owned()));
        parts.retain(|part| *part != Piece::Text(String::new()));
        Template { parts }
    }

    /// Text between facts has no brace that closes nothing.
    fn check_closed(&mut self, text: Text<'_>, piece: &str, start: Span, what: &str) {
        let Some(close) = piece.find('}') else { return };
        let span = if start == text.span {
            start
        } else {
            Span { start: start.start.saturating_add(close), end: start.end.saturating_add(close) }
        };
        self.faults.add(text.file, span, format!("{what}: `}}` closes nothing"), "write {history.missing_90d}");
    }

    /// What stands in braces; or what is wrong with it and what to write.
    fn piece(&self, name: &str, scope: &Scope<'_>, parts: &mut Vec<Piece>) -> Option<(String, String)> {
        let form = [(".dates", Piece::Dates as fn(FactId) -> Piece), (".ordinal", Piece::Ordinal)];
        let form = form.into_iter().find_map(|(suffix, piece)| Some((name.strip_suffix(suffix)?, suffix, piece)));
        let (fact_name, piece) = form.map_or((name, Piece::Fact as _), |(counted, _, piece)| (counted, piece));
        if let Some((counted, suffix, _)) = form.filter(|(counted, ..)| !counted.starts_with("history.")) {
            return Some((format!("`{counted}` has no `{suffix}`"), "only history counts do".to_owned()));
        }
        let readable = |name: &str| !name.starts_with("result.agencies.");
        let Some(id) = self.facts.id(fact_name).filter(|_| readable(fact_name)) else {
            let known = self.facts.iter().map(|(_, fact)| fact.name.as_str()).filter(|name| readable(name));
            return Some((format!("there is no fact `{fact_name}`"), near_or_form(fact_name, known)));
        };
        let fact = self.facts.get(id)?;
        if let Some(kind) = scope.kinds.iter().find(|kind| !fact.is_of_kind(kind)) {
            return Some((
                format!("`{fact_name}` is not carried by {kind}"),
                "name a fact that every kind carries".to_owned(),
            ));
        }
        parts.push(piece(id));
        None
    }

    fn task(&mut self, mut table: Table<'_>, scope: &Scope<'_>, rule_bases: Option<&[String]>) -> Option<TaskRule> {
        let to = table.texts(self.faults, "to", "[\"social-care\"]");
        if to.is_none() && !table.table.contains_key("to") {
            table.lacks(self.faults, "to", "[\"social-care\"]");
        }
        let to: Vec<Recipient> = to.unwrap_or_default().into_iter().filter_map(|text| self.recipient(text)).collect();
        let action = table.required(self.faults, "do", "\"Hold a meeting\"");
        let by = table.required(self.faults, "by", "\"5 wd\"").and_then(|text| clock(text, self.faults));
        let from = table
            .text(self.faults, "from", "\"ended_at\"")
            .map_or(Some("receipt"), |text| self.anchor(text, scope.kinds));
        let acknowledge = table.text(self.faults, "acknowledge", "\"15 min\"");
        let acknowledge = acknowledge.and_then(|text| Some((text, clock(text, self.faults)?)));
        let completed_by_due = table.flag(self.faults, "completed_by_due").unwrap_or(false);
        let settled_by = table.texts(self.faults, "settled_by", "[\"return_interview.completed\"]");
        let (decisions, settling): (Vec<Text<'_>>, Vec<Text<'_>>) =
            settled_by.unwrap_or_default().into_iter().partition(|text| text.text.starts_with(RECORDED));
        let settled_by = kinds(&settling, self.faults);
        let settled_by_decisions = decisions.into_iter().filter_map(|text| self.decision(text)).collect();
        let outlives_closing = table.flag(self.faults, "outlives_closing").unwrap_or(false);
        let needs_agreement = table.flag(self.faults, "agree").unwrap_or(false);
        let own_bases = table.texts(self.faults, "basis", "\"D\"");
        let bases = match own_bases {
            Some(texts) => letters(&texts, self.names, self.faults),
            None => {
                if rule_bases.is_none() && !says_bases(&table) {
                    table.lacks(self.faults, "basis", "\"P\"");
                }
                rule_bases.unwrap_or_default().to_vec()
            }
        };
        let minimum = table.flag(self.faults, "minimum").unwrap_or(false);
        let digest = table.flag(self.faults, "digest").unwrap_or(false);
        let mut when = self.condition(&mut table, scope);
        if needs_agreement {
            when = self.agreed(when);
        }
        let acknowledge = acknowledge.map(|(text, clock)| {
            self.check_acknowledged(text, &clock, by.as_ref().filter(|_| from == Some("receipt")), digest);
            clock
        });
        table.finish(self.faults);
        Some(TaskRule {
            to,
            action: action?.text.to_owned(),
            by: by?,
            from: from?,
            acknowledge,
            completed_by_due,
            settled_by,
            settled_by_decisions,
            outlives_closing,
            needs_agreement,
            bases,
            minimum,
            digest,
            when,
        })
    }

    /// What is to be acknowledged is so before it is to be done. `by`: where it runs from receipt, too.
    fn check_acknowledged(&mut self, written: Text<'_>, acknowledge: &Clock, by: Option<&Clock>, digest: bool) {
        // What is due at once is acknowledged within the time that is given for it.
        let by = by.filter(|by| {
            **by != Clock::Now && minutes(acknowledge).zip(minutes(by)).is_some_and(|(first, then)| first > then)
        });
        if let Some(by) = by {
            let problem = format!("to be acknowledged by `{}`, after it is to be done by `{by}`", written.text);
            self.faults.add(written.file, written.span, problem, "write an earlier clock, or leave `acknowledge` out");
        }
        if digest {
            let problem = "`acknowledge` beside `digest`: nobody acknowledges what is read in the daily digest";
            self.faults.add(written.file, written.span, problem, "leave one of them out");
        }
    }

    /// `decision.recorded/strategy_held`: what a named person records.
    fn decision(&mut self, text: Text<'_>) -> Option<&'static str> {
        let named = text.text.strip_prefix(RECORDED)?;
        let known = HumanDecision::of_symbol(named).map(HumanDecision::symbol);
        if known.is_none() {
            let problem = format!("no decision is recorded as `{named}`");
            self.faults.add(text.file, text.span, problem, "write `decision.recorded/strategy_held`");
        }
        known
    }

    /// A service that needs agreement waits until that is given.
    fn agreed(&self, when: Option<Condition>) -> Option<Condition> {
        let fact = self.facts.id("event.agreement")?;
        let given = self.facts.get(fact)?.encode(&FactValue::Code("given".to_owned()))?;
        let written = "event.agreement == 'given'";
        let test = Test { fact, predicate: Predicate::Equal(given), written: written.to_owned() };
        let agreed = Expr::Test(test);
        let (text, expr) = match when {
            Some(when) => (format!("({}) && {written}", when.text), Expr::And(vec![when.expr, agreed])),
            None => (written.to_owned(), agreed),
        };
        let reads = expr.reads();
        Some(Condition { text, expr, reads })
    }

    /// `police`, `social-care/manager`, or the `referrer`.
    fn recipient(&mut self, text: Text<'_>) -> Option<Recipient> {
        if text.text == catalogue::REFERRER {
            return Some(Recipient { agency: text.text.to_owned(), role: None });
        }
        let (agency, role) = match text.text.split_once('/') {
            Some((agency, role)) => (agency, Some(role)),
            None => (text.text, None),
        };
        if !check_known(Text { text: agency, ..text }, "agency", &self.names.agencies, self.faults) {
            return None;
        }
        if let Some(role) = role {
            let none = BTreeSet::new();
            let known = self.names.roles.get(agency).unwrap_or(&none);
            if !known.contains(role) {
                let problem = format!("agency {agency} lists no role `{role}`");
                let hint = if known.is_empty() {
                    format!("add roles = [\"{role}\"] to it in agencies.toml")
                } else {
                    instead(role, known.iter().map(String::as_str))
                };
                self.faults.add(text.file, text.span, problem, hint);
                return None;
            }
        }
        Some(Recipient { agency: agency.to_owned(), role: role.map(str::to_owned) })
    }
}

fn near_or_form<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    crate::engine::rules::read::nearest(name, known).map_or_else(
        || "name a fact in braces: {event.grade}, {history.missing_90d} or {history.missing_90d.dates}".to_owned(),
        |near| format!("did you mean `{near}`?"),
    )
}

fn level_of(text: Text<'_>, faults: &mut Faults) -> Option<crate::engine::model::scalar::Level> {
    level(text, faults)
}

fn reads(when: Option<&Condition>, why: &Template, tasks: &[TaskRule]) -> Vec<FactId> {
    let of_tasks = tasks.iter().filter_map(|task| task.when.as_ref());
    let mut reads: Vec<FactId> =
        when.into_iter().chain(of_tasks).flat_map(|condition| condition.reads.iter().copied()).collect();
    reads.extend(why.reads());
    reads.sort_unstable();
    reads.dedup();
    reads
}
