//! Faults of the other files of a rule book: found, placed, and told with what to write instead.

use pathway_router::engine::rules::fault::SourceFile;
use pathway_router::engine::rules::load;

use crate::book::{AGENCIES, BOOK, check_faults, files, written};

#[test]
fn a_file_without_a_place() {
    check_faults(
        "rule.toml",
        r#"
"#,
        r#"
rule.toml:1:1: this file has no place in a rule book; did you mean `rules.toml`?
"#,
    );
}

#[test]
fn a_file_whose_name_is_in_capitals() {
    check_faults(
        "rules.TOML",
        r#"
"#,
        r#"
rules.TOML:1:1: this file has no place in a rule book; call it `rules.toml`
"#,
    );
}

#[test]
fn two_ladders_for_one_level() {
    check_faults(
        "ladders.toml",
        r#"
[usual]
title = 't'
basis = 'P'
steps = [{ after = '1 wd', do = 'x' }]
[other]
title = 't'
basis = 'P'
steps = [{ after = '1 wd', do = 'x' }]
"#,
        r#"
ladders.toml:2:2: ladders other and usual are for the same level; give each level one ladder
"#,
    );
}

#[test]
fn broken_toml_and_a_key_outside_any_rule() {
    check_faults(
        "rules.toml",
        r#"
title = 'x'
[R1]
title = "t
"#,
        r#"
rules.toml:2:1: `title` stands outside any rule; put it under a heading: [rule-name]
rules.toml:4:11: this is not TOML: invalid basic string, expected `"`; close the text with the quote it opened with
"#,
    );
}

#[test]
fn one_id_in_two_files() {
    check_faults(
        "rules/more.toml",
        r#"
[R13]
title = 't'
"#,
        r#"
rules/more.toml:2:2: rule R13 also stands in rules.toml; give one of them another id
"#,
    );
}

#[test]
fn a_book_without_an_instant() {
    check_faults(
        "book.toml",
        r#"
name = 'Testshire 1'
title = 't'
effective_from = 2026-01-01
front_door = 'police'
"#,
        r#"
book.toml:2:8: `Testshire 1` is not a book's name; use small letters, digits and hyphens, a letter first
book.toml:4:18: `effective_from` is not an instant with its offset from UTC; write effective_from = 2026-01-01T00:00:00Z
"#,
    );
}

#[test]
fn a_book_with_a_key_too_many() {
    check_faults(
        "book.toml",
        r#"
name = 'x'
title = 't'
effective_from = '2026-01-01T00:00:00Z'
front_door = 'polic'
stand_ins = ['lad']
look_into_deaths = ['police']
told_of_breaches = 'parish'
retention_days = 0
retention = 3
"#,
        r#"
book.toml:5:14: there is no agency `polic`; did you mean `police`?
book.toml:6:14: there is no agency `lad`; write one of `police`, `school`, `social-care`
book.toml:8:20: there is no agency `parish`; write one of `police`, `school`, `social-care`
book.toml:9:18: `retention_days` is out of range; write a number of days from 1 to 36500
book.toml:10:1: the book: there is no key `retention`; write one of `name`, `title`, `effective_from`, `retention_days`, `front_door`, `stand_ins`, `look_into_deaths`, `told_of_breaches`, `authority`
"#,
    );
}

#[test]
fn facts_and_their_absence() {
    check_faults(
        "facts.toml",
        r#"
label = 'x'
[evnt.grade]
label = 'x'
[event.grad]
label = 'x'
[event.grade]
label = 'x'
absent = 'hihg'
because = 'y'
[event.immediate_danger]
absent = false
[child.age_years]
absent = true
because = 'y'
[status.cpp]
label = 'x'
absent = false
"#,
        r#"
facts.toml:2:1: `label` stands outside any fact; put it under a heading: [event.grade]
facts.toml:3:2: there is no group of facts `evnt`; did you mean `event`?
facts.toml:5:8: there is no fact `event.grad`; did you mean `event.grade`?
facts.toml:9:10: `event.grade` cannot have this value; write "ask" or one of `absent`, `away`, `low`, `medium`, `high`, `not_graded`
facts.toml:12:1: fact event.immediate_danger: `absent` is given without its reason; add because = "why absence means that", or leave `absent` out to ask
facts.toml:14:10: `child.age_years` cannot have this value; write a whole number or "ask"
facts.toml:18:1: fact status.cpp: there is no key `absent`; write one of `label`
rules.toml:20:9: rule R13: there is no fact `history.missing_90d`; declare it in facts.toml: [history.missing_90d]
rules.toml:23:16: rule R13: there is no fact `history.missing_90d`; name a fact in braces: {event.grade}, {history.missing_90d} or {history.missing_90d.dates}
rules.toml:23:56: rule R13: there is no fact `history.missing_90d`; name a fact in braces: {event.grade}, {history.missing_90d} or {history.missing_90d.dates}
rules.toml:53:9: rule R05: there is no fact `history.below_l4_90d`; declare it in facts.toml: [history.below_l4_90d]
"#,
    );
}

#[test]
fn counts_wrong_in_every_key() {
    check_faults(
        "facts.toml",
        r#"
[history.Missing]
label = 'x'
[history.missing_90d]
count = 'missing.started'
window = '90'
[history.below_l4_90d]
label = 'x'
window = '26 months'
min_level = 'L4'
judged = 'maybe'
once_per = 'day'
"#,
        r#"
facts.toml:2:10: `Missing` is not the name of a history count; use small letters, digits and _, a letter first
facts.toml:4:10: history count missing_90d lacks `label`; add `label = "times missing in 90 days"`
facts.toml:6:10: `90` is not a window; write "90d", "12 months" or "ever"
facts.toml:7:10: history count below_l4_90d lacks `count`; add `count = ["missing.started"]`
facts.toml:9:10: the window reaches 793 days back, but history is kept for 762; shorten it, or raise `retention_days` in book.toml
facts.toml:10:13: there is no level `L4`; write one of L1 L2 L3 L4a L4b
facts.toml:11:10: history count below_l4_90d: `judged` cannot be `maybe`; write `include`, `exclude`
facts.toml:12:12: history count below_l4_90d: `once_per` cannot be `day`; write `episode`
"#,
    );
}

#[test]
fn windows_without_end_or_beyond_retention() {
    check_faults(
        "facts.toml",
        r#"
[history.missing_90d]
label = 'x'
count = 'missing.*'
window = 'ever'
where = "child.age_years > 3 || event.grade == 'high'"
[history.below_l4_90d]
label = 'x'
count = 'concerns'
window = '763 d'
"#,
        r#"
facts.toml:2:10: history count missing_90d: `ever` counts what has been folded away by kind alone; take `where`, `once_per` and level bounds out, or give the window an end
facts.toml:6:10: history count missing_90d: `child.age_years` is not kept with an entry of the history; read only the event's own facts here: event.grade
facts.toml:6:33: history count missing_90d: `event.grade` is not carried by `missing.ended`; name only kinds that carry it (`missing.started`, `missing.regraded`)
facts.toml:10:10: the window reaches 763 days back, but history is kept for 762; shorten it, or raise `retention_days` in book.toml
"#,
    );
}

#[test]
fn bases() {
    check_faults(
        "bases.toml",
        r#"
[p]
statement = 's'
[P]
title = 't'
statement = 's'
until_then = 'D'
[D]
title = 't'
statement = 's'
in_force_from = '30 September'
until_then = 'V'
[V]
title = 't'
statement = 's'
in_force_from = 2026-09-30
until_then = 'D'
"#,
        r#"
bases.toml:2:2: `p` is not the name of a basis; use a capital letter, then letters, digits and hyphens
bases.toml:2:2: basis p lacks `title`; add `title = "Public task"`
bases.toml:4:2: basis P: `in_force_from` and `until_then` go together; write both, or neither
bases.toml:7:14: `D` is itself not in force from the beginning; name a basis without `in_force_from`
bases.toml:11:17: basis D: `in_force_from` is not a date; write in_force_from = 2026-09-30
bases.toml:12:14: `V` is itself not in force from the beginning; name a basis without `in_force_from`
bases.toml:17:14: `D` is itself not in force from the beginning; name a basis without `in_force_from`
"#,
    );
}

#[test]
fn agencies() {
    check_faults(
        "agencies.toml",
        r#"
[social-care]
title = 't'
roles = ['manager', 'Head of Service']
localities = ['crewe']
sees = ['child.name', 'events.*', 'result.level']
[police]
units = 'borough'
[school]
title = 't'
units = 'school'
unit = 'a'
otherwise = 'polices'
confidential_addresses = 'no'
[Faith]
title = 't'
"#,
        r#"
agencies.toml:4:21: `Head of Service` is not a role; use small letters, digits and hyphens, a letter first
agencies.toml:5:15: agency social-care: `localities` is for units = "locality"; take it out, or write units = "locality"
agencies.toml:6:9: agency social-care: there is nothing to see called `child.name`; write a fact, child.<field>, `level`, `narrative`, `voice_of_child`, `carers`, `call_back`, `partner_reference`, `child.*`, `event.*`, `history.*`, `status.*`
agencies.toml:6:23: agency social-care: there is nothing to see called `events.*`; did you mean `event.*`?
agencies.toml:6:35: agency social-care: there is nothing to see called `result.level`; write a fact, child.<field>, `level`, `narrative`, `voice_of_child`, `carers`, `call_back`, `partner_reference`, `child.*`, `event.*`, `history.*`, `status.*`
agencies.toml:7:2: agency police lacks `title`; add `title = "what people call it"`
agencies.toml:8:9: agency police: units cannot be `borough`; write one of `one`, `school`, `practice`, `locality`, `authority`
agencies.toml:12:8: agency school: its unit is told by the child, so it has no fixed one; take this out, or write units = "one"
agencies.toml:13:13: there is no agency `polices`; did you mean `police`?
agencies.toml:14:26: agency school: `confidential_addresses` is text, not true or false; write `confidential_addresses = true`
agencies.toml:15:2: `Faith` is not an agency's name; use small letters, digits and hyphens, a letter first
"#,
    );
}

#[test]
fn ladders() {
    check_faults(
        "ladders.toml",
        r#"
[usual]
levels = ['L4']
steps = [{ after = 'soon', to = 'partners', role = 'Head', role2 = 'x' }]
[urgent]
title = 't'
basis = 'P'
levels = 'L4b'
steps = 3
"#,
        r#"
ladders.toml:2:2: ladder usual lacks `title`; add `title = "Unacknowledged"`
ladders.toml:2:2: ladder usual lacks `basis`; add `basis = "P"`
ladders.toml:3:11: there is no level `L4`; write one of L1 L2 L3 L4a L4b
ladders.toml:4:10: ladder usual, step lacks `do`; add `do = "Acknowledge the task"`
ladders.toml:4:20: `soon` is not a clock; write a number of working days (`5 wd`), hours (`4 h`) or minutes (`15 min`), `SD` (same day), `NSD` (next session day), `now`, `on the day`, or a time of day (`15:30`, `15:30 that day`, `08:30 wd`)
ladders.toml:4:33: there is no agency `partners`; write one of `police`, `school`, `social-care`
ladders.toml:4:52: `Head` is not a role; use small letters, digits and hyphens, a letter first
ladders.toml:4:60: ladder usual, step: there is no key `role2`; did you mean `role`?
ladders.toml:5:2: every ladder is for levels that it names (`L4b`): the silence of other tasks, and of those without a level, is told to nobody; leave `levels` out of one ladder: it is for all the others
ladders.toml:9:9: ladder urgent: `steps` is a whole number, not a list of tables; write `steps = [{ after = "1 wd", do = "Acknowledge the task" }]`
"#,
    );
}

#[test]
fn a_calendar_with_bad_dates() {
    check_faults(
        "calendar.toml",
        r#"
[bank_holidays]
from = '2026-01-01'
to = '2026-12-31'
dates = ['2026-04-03', '2026-04-0x', '2026-04-04']
"#,
        r#"
calendar.toml:5:24: bank_holidays.dates.1: not a date: write year-month-day in quotes, as in "2026-04-03"; correct this entry
calendar.toml:5:38: bank_holidays.dates.2: a weekend: list its substitute day instead; correct this entry
"#,
    );
}

#[test]
fn a_calendar_of_another_form() {
    check_faults(
        "calendar.toml",
        r#"
[bank_holiday]
from = '2026-01-01'
"#,
        r#"
calendar.toml:2:2: unknown field `bank_holiday`, expected `bank_holidays` or `school`; see the calendar's form in docs/rules.md
"#,
    );
}

#[test]
fn a_task_to_be_completed_by_its_deadline_with_nobody_to_tell() {
    check_faults(
        "rules/more.toml",
        r#"
[R90]
title = 't'
sentence = 's'
source = 'local'
on = 'missing.ended'
basis = 'P'
tasks = [{ to = 'police', do = 'Hold it', by = '24 h', completed_by_due = true }]
"#,
        r#"
rules/more.toml:2:2: rule R90: `completed_by_due`, and no ladder names whom to tell; add `overdue = [{ role = "team-manager", do = "See that it is done" }]` to the ladder
"#,
    );
}

#[test]
fn a_task_settled_by_a_decision_that_nobody_records() {
    check_faults(
        "rules/more.toml",
        r#"
[R90]
title = 't'
sentence = 's'
source = 'local'
on = 'missing.ended'
basis = 'P'
tasks = [{ to = 'police', do = 'Hold it', by = '24 h', settled_by = ['decision.recorded/strategy_hold'] }]
"#,
        r#"
rules/more.toml:8:70: no decision is recorded as `strategy_hold`; write `decision.recorded/strategy_held`
"#,
    );
}

#[test]
fn silence_that_no_ladder_takes_up() {
    check_faults(
        "ladders.toml",
        r#"
[urgent]
title = 't'
basis = 'P'
levels = ['L4a', 'L4b']
steps = [{ after = '1 h', do = 'x' }]
"#,
        r#"
ladders.toml:2:2: every ladder is for levels that it names (`L4a`, `L4b`): the silence of other tasks, and of those without a level, is told to nobody; leave `levels` out of one ladder: it is for all the others
"#,
    );
}

#[test]
fn rungs_out_of_order() {
    let ladder = |steps: &str| format!("\n[usual]\ntitle = 't'\nbasis = 'P'\nsteps = [{steps}]\n");
    let rung = |after: &str| format!("{{ after = '{after}', do = 'x' }}");
    let rungs = |after: &[&str]| ladder(&after.iter().map(|after| rung(after)).collect::<Vec<_>>().join(", "));
    check_faults(
        "ladders.toml",
        &rungs(&["9 wd", "2 wd", "3 wd"]),
        r#"
ladders.toml:2:2: ladder usual: the rung after 2 wd stands above the one after 9 wd, and would be told no later; write the rungs in the order of their clocks, each later than the one before
"#,
    );
    check_faults(
        "ladders.toml",
        &rungs(&["1 wd", "24 h"]),
        r#"
ladders.toml:2:2: ladder usual: the rung after 24 h stands above the one after 1 wd, and would be told no later; write the rungs in the order of their clocks, each later than the one before
"#,
    );
    for sound in [&["15 min", "1 h", "SD", "1 wd"][..], &["1 wd", "2 wd", "3 wd", "5 wd"], &["1 h"]] {
        let loaded = load(&files("ladders.toml", &rungs(sound)));
        assert!(loaded.is_ok(), "{sound:?}: {}", written(&loaded.err().unwrap_or_default()));
    }
}

#[test]
fn a_calendar_that_starts_after_the_book_does() {
    let calendar = |from: &str, dates: &str| {
        format!("\n[bank_holidays]\nfrom = '{from}'\nto = '2027-12-31'\ndates = [{dates}'2027-01-01', '2027-12-27']\n")
    };
    check_faults(
        "calendar.toml",
        &calendar("2027-01-01", ""),
        r#"
calendar.toml:2:2: the bank holidays are listed from 2027-01-01 to 2027-12-31, and the book counts from 2026-01-01 on; list every bank holiday of that time, or set `effective_from` in book.toml within it
"#,
    );
    let sound = load(&files("calendar.toml", &calendar("2026-01-01", "'2026-01-01', ")));
    assert!(sound.is_ok(), "{}", written(&sound.err().unwrap_or_default()));
}

#[test]
fn history_that_is_kept_less_long_than_a_rule_looks_back() {
    let rule = "\n[R06]\ntitle = 't'\nsentence = 's'\nsource = 'local'\non = 'concern.reported'\n\
                when = \"status.case_closed_12m\"\nflag = 're-referral'\nbasis = 'P'\nwhy = 'Again.'\n";
    let with = |days: i64| {
        let mut files = files("book.toml", &format!("{BOOK}retention_days = {days}\n"));
        files.push(SourceFile { name: "rules/more.toml".to_owned(), text: rule.to_owned() });
        load(&files)
    };
    let faults = written(&with(100).unwrap_err());
    let expected = "rules/more.toml:2:2: rule R06: `status.case_closed_12m` looks 366 days back, but history is kept for 100; \
                    raise `retention_days` in book.toml to 366 or more\n";
    assert_eq!(faults, expected);
    assert!(with(366).is_ok(), "as long as it looks back");
}

#[test]
fn one_id_twice_in_one_file_is_one_fault() {
    let rule = "title = 't'\nsentence = 's'\nsource = 's'\non = 'missing.started'\nlevel = 'L2'\n";
    check_faults(
        "rules.toml",
        &format!("[R1]\n{rule}\n[R1]\n{rule}"),
        "rules.toml:8:1: [R1] stands twice in this file; give one of the two another name",
    );
}

#[test]
fn rules_that_were_put_into_a_folder_below_are_told() {
    check_faults(
        "rules/old/retired.toml",
        "",
        "rules/old/retired.toml:1:1: this file has no place in a rule book; write one of `book.toml`, `rules.toml`, \
         `facts.toml`, `bases.toml`, `agencies.toml`, `calendar.toml`, `directory.toml`, `ladders.toml`, `rules/*.toml`",
    );
}

#[test]
fn an_agency_with_a_capital_is_told_once() {
    let agencies = AGENCIES.replace("[school]", "[School]");
    check_faults(
        "agencies.toml",
        &agencies.replace("title = \"Police\"", "title = \"Police\"\notherwise = \"school\""),
        "agencies.toml:11:2: `School` is not an agency's name; use small letters, digits and hyphens, a letter first",
    );
}

#[test]
fn a_date_without_quotes_in_a_calendar() {
    check_faults(
        "calendar.toml",
        "[bank_holidays]\nfrom = 2026-01-01\nto = '2026-12-31'\ndates = []\n",
        "calendar.toml:2:8: a date stands without quotes; write it as text: \"2026-04-13\"",
    );
}
