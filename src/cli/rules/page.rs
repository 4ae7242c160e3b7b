//! The rule book as one HTML page: what `templates/rule-book.html` is filled with, in a practitioner's words.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;

use crate::engine::calendar::london_date;
use crate::engine::facts::date_in_words;
use crate::engine::model::scalar::Level;
use crate::engine::rules::RuleBook;
use crate::engine::rules::book::{Agency, Place, Rule, TaskRule, UnitKind};
use crate::engine::rules::catalogue::{BESIDE, REFERRER, concerns};
use crate::engine::tasks::deadline_in_words;
use ladders::{LadderShown, NotWritten, OnDuty};
use shown::fields;

mod ladders;
mod shown;
mod words;

#[derive(Template)]
#[template(path = "rule-book.html")]
struct Page {
    title: String,
    name: String,
    hash: String,
    in_force_from: String,
    rules: usize,
    levels: Vec<LevelShown>,
    agencies: Vec<AgencyShown>,
    pathways: Vec<Pathway>,
    bases: Vec<BasisShown>,
    not_written: Vec<NotWritten>,
    ladders: Vec<LadderShown>,
    on_duty: Vec<OnDuty>,
    front_door: String,
    /// Who is told of what should not have been shared; empty: nobody.
    breaches: String,
    deaths: Vec<String>,
    stand_ins: Vec<String>,
    has_overdue: bool,
    holidays_from: String,
    holidays_to: String,
}

struct LevelShown {
    name: String,
    words: String,
    rules: Vec<RuleNamed>,
}

struct RuleNamed {
    id: String,
    title: String,
    who: Vec<WhoByWhen>,
}

struct WhoByWhen {
    when: String,
    /// Without by when to acknowledge.
    deadline: String,
    who: Vec<String>,
}

struct AgencyShown {
    name: String,
    title: String,
    asked: Vec<AskedOf>,
    sees: String,
    minimum: String,
    notes: String,
}

struct AskedOf {
    action: String,
    role: String,
    by: String,
    rule: String,
    rule_title: String,
    bases: String,
}

/// The rules of one file.
struct Pathway {
    anchor: String,
    title: String,
    rules: Vec<RuleShown>,
}

struct RuleShown {
    id: String,
    title: String,
    sentence: String,
    level: String,
    source: String,
    on: String,
    after: String,
    looks_at: String,
    when: String,
    written: String,
    also: String,
    tasks: Vec<TaskShown>,
    shared: Vec<SharedWith>,
}

struct TaskShown {
    who: String,
    action: String,
    only: String,
    agreement: &'static str,
    by: String,
    bases: Vec<BasisShown>,
}

struct SharedWith {
    with: String,
    what: String,
}

#[derive(Clone)]
struct BasisShown {
    letter: String,
    title: String,
    statement: String,
    from: String,
}

/// The page, or why the template could not be filled.
pub fn page(book: &RuleBook) -> Result<String, askama::Error> {
    let (holidays_from, holidays_to) = book.calendar.span();
    let titled = |agency: &String| recipient(book, agency, None);
    let page = Page {
        title: book.title.clone(),
        name: book.name.clone(),
        hash: book.hash.clone(),
        in_force_from: date_in_words(london_date(book.effective_from), 0),
        rules: book.rules.len(),
        levels: levels(book),
        agencies: book.agencies.values().map(|agency| agency_shown(book, agency)).collect(),
        pathways: pathways(book),
        bases: book.bases.keys().filter_map(|letter| basis(book, letter)).collect(),
        not_written: ladders::not_written(book),
        ladders: ladders::ladders(book),
        on_duty: ladders::on_duty(book),
        front_door: ladders::front_door(book),
        breaches: book.told_of_breaches.as_ref().map(titled).unwrap_or_default(),
        deaths: book.look_into_deaths.iter().map(titled).collect(),
        stand_ins: book.stand_ins.iter().map(titled).collect(),
        has_overdue: book.ladders.iter().any(|ladder| !ladder.overdue.is_empty()),
        holidays_from: date_in_words(holidays_from, 0),
        holidays_to: date_in_words(holidays_to, 0),
    };
    page.render()
}

fn levels(book: &RuleBook) -> Vec<LevelShown> {
    let named = |rules: Vec<&Rule>| -> Vec<RuleNamed> {
        rules
            .into_iter()
            .map(|rule| RuleNamed { id: rule.id.clone(), title: rule.title.clone(), who: who_by_when(book, rule) })
            .collect()
    };
    let of = |level: Option<Level>| -> Vec<&Rule> {
        let mut rules: Vec<&Rule> = book.rules.iter().filter(|rule| rule.level == level).collect();
        rules.sort_by_key(|rule| in_order(&rule.id));
        rules
    };
    let mut shown: Vec<LevelShown> = Level::ALL
        .into_iter()
        .rev()
        .map(|level| LevelShown {
            name: format!("level {}", number(level)),
            words: level_in_words(level).to_owned(),
            rules: named(of(Some(level))),
        })
        .filter(|level| !level.rules.is_empty())
        .collect();
    let none = named(of(None));
    if !none.is_empty() {
        shown.push(LevelShown {
            name: "no level of their own".to_owned(),
            words: "Whatever the level: rules that add none".to_owned(),
            rules: none,
        });
    }
    shown
}

/// Numbered rules first.
fn in_order(id: &str) -> (bool, &str) {
    let numbered = id.strip_prefix('R').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    (!numbered, id)
}

fn number(level: Level) -> &'static str {
    level.symbol().trim_start_matches('L')
}

fn level_in_words(level: Level) -> &'static str {
    match level {
        Level::L1 => "Level 1: universal",
        Level::L2 => "Level 2: targeted",
        Level::L3 => "Level 3: complex",
        Level::L4a => "Level 4a: specialist, a child in need (Children Act 1989 s17)",
        Level::L4b => "Level 4b: specialist, suspected significant harm (s47) or immediate danger",
    }
}

/// A line for each deadline: when, and who must act by then; each once, though several things are asked of them.
fn who_by_when(book: &RuleBook, rule: &Rule) -> Vec<WhoByWhen> {
    let mut lines: Vec<WhoByWhen> = Vec::new();
    for task in &rule.tasks {
        let when = capitalised(&by(task));
        let deadline = capitalised(&deadline(task));
        for to in &task.to {
            let who = recipient(book, &to.agency, to.role.as_deref());
            let is_named = |line: &WhoByWhen| line.deadline == deadline && line.who.contains(&who);
            if lines.iter().any(is_named) {
                continue;
            }
            match lines.iter_mut().find(|line| line.when == when) {
                Some(line) => line.who.push(who),
                None => lines.push(WhoByWhen { when: when.clone(), deadline: deadline.clone(), who: vec![who] }),
            }
        }
    }
    lines
}

fn deadline(task: &TaskRule) -> String {
    without_receipt(&deadline_in_words(&task.by, task.from))
}

fn by(task: &TaskRule) -> String {
    let mut words = deadline(task);
    if let Some(clock) = &task.acknowledge {
        let acknowledged = without_receipt(&deadline_in_words(clock, "receipt"));
        words.push_str(&format!(" (acknowledged within {acknowledged})"));
    }
    if task.completed_by_due {
        words.push_str(", and completed by then");
    }
    if task.outlives_closing {
        words.push_str(", also when the case is closed");
    }
    words
}

/// Every clock runs from receipt unless it says otherwise: the page says so once.
fn without_receipt(words: &str) -> String {
    words.trim_end_matches(" from receipt").to_owned()
}

/// The agency by its short name: what its title adds in brackets or after a colon is in the list of agencies.
fn recipient(book: &RuleBook, agency: &str, role: Option<&str>) -> String {
    let title = match book.agencies.get(agency) {
        Some(agency) => short(&agency.title),
        None if agency == REFERRER => "The referrer",
        None => agency,
    };
    role.map_or(title.to_owned(), |role| format!("{title} ({})", plain(role)))
}

fn short(title: &str) -> &str {
    title.split([':', '(']).next().unwrap_or(title).trim()
}

/// `allocated-worker` as `allocated worker`.
fn plain(name: &str) -> String {
    name.replace(['-', '_', '.'], " ")
}

fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn agency_shown(book: &RuleBook, agency: &Agency) -> AgencyShown {
    let mut asked = Vec::new();
    for rule in &book.rules {
        for task in &rule.tasks {
            for to in task.to.iter().filter(|to| to.agency == agency.name) {
                asked.push(AskedOf {
                    action: task.action.clone(),
                    role: to.role.as_deref().map(plain).unwrap_or_default(),
                    by: by(task),
                    rule: rule.id.clone(),
                    rule_title: rule.title.clone(),
                    bases: task.bases.join(", "),
                });
            }
        }
    }
    asked.sort_by(|left, right| (&left.action, &left.rule).cmp(&(&right.action, &right.rule)));
    let has_minimum = book
        .rules
        .iter()
        .flat_map(|rule| &rule.tasks)
        .any(|task| task.minimum && task.to.iter().any(|to| to.agency == agency.name));
    AgencyShown {
        name: agency.name.clone(),
        title: agency.title.clone(),
        asked,
        sees: fields(book, &agency.sees, None),
        minimum: if has_minimum { fields(book, &agency.minimum, None) } else { "not asked for".to_owned() },
        notes: agency_notes(agency),
    }
}

fn agency_notes(agency: &Agency) -> String {
    let mut notes = Vec::new();
    if agency.confidential_addresses {
        notes.push("Sees addresses marked confidential.");
    }
    if agency.children_only {
        notes.push("Given no task about anyone of 18 or older.");
    }
    if agency.units != UnitKind::One {
        notes.push("Many units: each sees its own tasks alone.");
    }
    notes.join(" ")
}

/// One for each file of rules, the front door first.
fn pathways(book: &RuleBook) -> Vec<Pathway> {
    let mut files: BTreeMap<(bool, &str), Vec<&Rule>> = BTreeMap::new();
    for rule in &book.rules {
        let Place { file, .. } = &rule.place;
        files.entry((file != FRONT_DOOR_FILE, file)).or_default().push(rule);
    }
    let shown = files.into_iter().map(|((_, file), mut rules)| {
        rules.sort_by_key(|rule| in_order(&rule.id));
        let stem = file.trim_end_matches(".toml").trim_start_matches("rules/");
        let title = capitalised(&plain(stem));
        let rules = rules.into_iter().map(|rule| rule_shown(book, rule)).collect();
        Pathway { anchor: format!("pathway-{stem}"), title, rules }
    });
    shown.collect()
}

const FRONT_DOOR_FILE: &str = "rules/front-door.toml";

fn rule_shown(book: &RuleBook, rule: &Rule) -> RuleShown {
    let looks_at: BTreeSet<&str> = rule.reads.iter().map(|fact| book.facts.label(*fact)).collect();
    let after =
        rule.timer.as_ref().map(|timer| format!("once {} have run", deadline_in_words(&timer.after, timer.from)));
    let level = rule.level.map_or("None of its own", level_in_words);
    RuleShown {
        id: rule.id.clone(),
        title: rule.title.clone(),
        sentence: rule.sentence.clone(),
        level: level.to_owned(),
        source: rule.source.clone(),
        on: kinds(rule),
        after: after.unwrap_or_default(),
        looks_at: Vec::from_iter(looks_at).join("; "),
        when: rule.when.as_ref().map(|when| capitalised(&words::in_words(book, when))).unwrap_or_default(),
        written: rule.when.as_ref().map(|when| when.text.trim().to_owned()).unwrap_or_default(),
        also: also(rule),
        tasks: rule.tasks.iter().map(|task| task_shown(book, task)).collect(),
        shared: shared_by(book, rule),
    }
}

fn kinds(rule: &Rule) -> String {
    let all: BTreeSet<&str> = concerns().collect();
    let beside: Vec<String> = rule.on.iter().filter(|kind| !all.contains(*kind)).map(|kind| plain(kind)).collect();
    if all.iter().all(|kind| rule.on.contains(kind)) {
        return if beside.is_empty() {
            "every concern".to_owned()
        } else {
            format!("every concern; {}", beside.join("; "))
        };
    }
    Vec::from_iter(rule.on.iter().map(|kind| plain(kind))).join("; ")
}

fn also(rule: &Rule) -> String {
    let flag = |flag: &&str| {
        match *flag {
            "re-referral" => "marked as a re-referral",
            "open-case" => "marked as no new referral: a plan is open",
            "siblings" => "the same event is judged for each other child it names",
            BESIDE => "whoever is asked joins those who see to the event, and does not stand in for them",
            "one-family" => "each other child it names comes to social care with this one, as one family",
            other => other,
        }
        .to_owned()
    };
    let told = rule.tell_referrer.as_ref().map(|words| format!("the sender is told: \u{201c}{words}\u{201d}"));
    let all: Vec<String> = rule.flags.iter().map(flag).chain(told).collect();
    capitalised(&all.join("; "))
}

fn task_shown(book: &RuleBook, task: &TaskRule) -> TaskShown {
    let who: Vec<String> = task.to.iter().map(|to| recipient(book, &to.agency, to.role.as_deref())).collect();
    TaskShown {
        who: who.join(", "),
        action: task.action.clone(),
        only: only_when(book, task),
        agreement: match (task.needs_agreement, task.digest) {
            (true, _) => "The service needs the family's agreement.",
            (false, true) => "In the daily digest: to be read, and nothing to answer.",
            (false, false) => "",
        },
        by: by(task),
        bases: task.bases.iter().filter_map(|letter| basis(book, letter)).collect(),
    }
}

/// The task's own condition, less the agreement that is told besides.
fn only_when(book: &RuleBook, task: &TaskRule) -> String {
    let when = task.when.as_ref();
    when.and_then(|when| words::besides_agreement(book, when, task.needs_agreement)).unwrap_or_default()
}

/// What each agency that a rule names is shown, once an agency; the shorter list where a task asks for the minimum.
fn shared_by(book: &RuleBook, rule: &Rule) -> Vec<SharedWith> {
    let mut shared: BTreeMap<(String, bool), String> = BTreeMap::new();
    for task in &rule.tasks {
        for to in &task.to {
            let with = (recipient(book, &to.agency, None), task.minimum);
            shared.entry(with).or_insert_with(|| shared_with(book, rule, &to.agency, task.minimum));
        }
    }
    shared.into_iter().map(|((with, _), what)| SharedWith { with, what }).collect()
}

fn shared_with(book: &RuleBook, rule: &Rule, agency: &str, minimum: bool) -> String {
    match book.agencies.get(agency) {
        Some(agency) if minimum => format!("The minimum: {}", fields(book, &agency.minimum, Some(&rule.on))),
        Some(agency) => fields(book, &agency.sees, Some(&rule.on)),
        None => "What the referrer's own agency may see".to_owned(),
    }
}

fn basis(book: &RuleBook, letter: &str) -> Option<BasisShown> {
    let basis = book.bases.get(letter)?;
    let from = basis.in_force_from.zip(basis.until_then.as_ref()).map(|(date, earlier)| {
        format!("In force from {}; for what was received before, basis {earlier} stands in.", date_in_words(date, 0))
    });
    Some(BasisShown {
        letter: basis.letter.clone(),
        title: basis.title.clone(),
        statement: basis.statement.trim().to_owned(),
        from: from.unwrap_or_default(),
    })
}
