//! Faults of conditions: found, placed, and told with what to write instead.

use crate::book::check_faults;

#[test]
fn signs_of_other_languages() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
when = "event.grade = 'high' and not child.unborn | status.cpp & status.lac OR status.cin"
"#,
        r#"
rules.toml:8:21: rule R1: a single `=` has no meaning in a condition; write == to compare
rules.toml:8:30: rule R1: `and` has no meaning in a condition; write `&&`
rules.toml:8:34: rule R1: `not` has no meaning in a condition; write `!`
rules.toml:8:51: rule R1: a single `|` has no meaning in a condition; write || for or
rules.toml:8:64: rule R1: a single `&` has no meaning in a condition; write && for and
rules.toml:8:77: rule R1: `OR` has no meaning in a condition; write `||`
"#,
    );
}

#[test]
fn curly_quotes() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
when = "event.grade == ‘high’"
"#,
        r#"
rules.toml:8:24: rule R1: `‘` has no meaning in a condition; use plain letters, straight quotes and the signs < <= == != && || !
"#,
    );
}

#[test]
fn an_open_quote() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
when = "event.grade == 'high"
"#,
        r#"
rules.toml:8:24: rule R1: this cannot be read as a condition; check brackets and quotes: event.grade == 'high' && !(child.age_years >= 13)
"#,
    );
}

#[test]
fn unknown_codes_and_facts() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
when = "event.grade == 'hihg' || event.colour == 'red' || event.score == 'low' || grade == 'high'"
"#,
        r#"
rules.toml:8:24: rule R1: `event.grade` is never 'hihg'; did you mean `high`?
rules.toml:8:34: rule R1: there is no fact `event.colour`; no name is like it: docs/rules.md lists them all
rules.toml:8:59: rule R1: `event.score` is not carried by `missing.started`; name only kinds that carry it (`exploitation.screened`), or split the rule
rules.toml:8:83: rule R1: there is no fact `grade`; facts start with event. child. status. history. or result.
"#,
    );
}

#[test]
fn facts_of_the_wrong_type_alone() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
when = "event.grade || child.age_years || event.grade > 'low' || child.unborn > true"
"#,
        r#"
rules.toml:8:9: rule R1: `event.grade` is a code, not yes or no; compare it: event.grade == 'absent'
rules.toml:8:24: rule R1: `child.age_years` is a number, not yes or no; compare it: child.age_years >= 3
rules.toml:8:43: rule R1: `event.grade` has no order; use == or in: event.grade in [..]
rules.toml:8:66: rule R1: `child.unborn` has no order; use == or in: child.unborn in [..]
"#,
    );
}

#[test]
fn constants_of_the_wrong_type() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
when = "child.age_years == '13' || event.grade == 3 || child.unborn == 1 || child.age_years < 12.5"
"#,
        r#"
rules.toml:8:28: rule R1: `child.age_years` is a whole number; write child.age_years >= 3
rules.toml:8:51: rule R1: `event.grade` is a code; write one of `absent`, `away`, `low`, `medium`, `high`, `not_graded`, in single quotes
rules.toml:8:72: rule R1: `child.unborn` is true or false; write child.unborn or !child.unborn
rules.toml:8:77: rule R1: one side of a comparison must be a constant; compare one fact with a constant (== != < <= > >= in), use has(fact), and join with && || !; what that cannot say is a derived fact
"#,
    );
}

#[test]
fn arithmetic_functions_and_constants() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
when = "child.age_years + 1 > 13 || size(event.grade) > 2 || event['grade'] == 'high' || 3 < 4 || child.age_years == history.missing_90d"
"#,
        r#"
rules.toml:8:9: rule R1: arithmetic is not allowed; compare one fact with a constant (== != < <= > >= in), use has(fact), and join with && || !; what that cannot say is a derived fact
rules.toml:8:41: rule R1: there is no function `size`; compare one fact with a constant (== != < <= > >= in), use has(fact), and join with && || !; what that cannot say is a derived fact
rules.toml:8:62: rule R1: a fact is named with dots, not brackets; compare one fact with a constant (== != < <= > >= in), use has(fact), and join with && || !; what that cannot say is a derived fact
rules.toml:8:90: rule R1: this compares two constants; compare one fact with a constant (== != < <= > >= in), use has(fact), and join with && || !; what that cannot say is a derived fact
rules.toml:8:99: rule R1: one side of a comparison must be a constant; compare one fact with a constant (== != < <= > >= in), use has(fact), and join with && || !; what that cannot say is a derived fact
"#,
    );
}

#[test]
fn a_choice() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
when = "event.immediate_danger ? true : false"
"#,
        r#"
rules.toml:8:9: rule R1: `? :` is not allowed; compare one fact with a constant (== != < <= > >= in), use has(fact), and join with && || !; what that cannot say is a derived fact
"#,
    );
}

#[test]
fn macros_and_lists_alone() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
when = "[1].all(x, x > 0) || 'high' || [1, 2]"
"#,
        r#"
rules.toml:8:16: rule R1: all(), exists(), map() and filter() are not allowed; compare one fact with a constant (== != < <= > >= in), use has(fact), and join with && || !; what that cannot say is a derived fact
rules.toml:8:30: rule R1: a constant alone says nothing; compare one fact with a constant (== != < <= > >= in), use has(fact), and join with && || !; what that cannot say is a derived fact
rules.toml:8:40: rule R1: a list or map alone says nothing; compare one fact with a constant (== != < <= > >= in), use has(fact), and join with && || !; what that cannot say is a derived fact
"#,
    );
}

#[test]
fn lists_of_codes() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
when = "event.grade in [] || event.grade in 'high' || event.grade in ['high', 'hi']"
"#,
        r#"
rules.toml:8:9: rule R1: the list is empty: the condition could never hold; name the values
rules.toml:8:45: rule R1: `in` needs a list of constants; compare one fact with a constant (== != < <= > >= in), use has(fact), and join with && || !; what that cannot say is a derived fact
rules.toml:8:79: rule R1: `event.grade` is never 'hi'; write one of `absent`, `away`, `low`, `medium`, `high`, `not_graded`
"#,
    );
}

#[test]
fn agencies_in_the_outcome() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
when = "'polic' in result.agencies || result.agencies == 'x' || child.unborn in result.agencies || result.agencies.police"
"#,
        r#"
rules.toml:8:9: rule R1: there is no agency `polic`; did you mean `police`?
rules.toml:8:39: rule R1: `result.agencies` is a list; ask what is in it: 'police' in result.agencies
rules.toml:8:65: rule R1: an agency's name in quotes must stand here; compare one fact with a constant (== != < <= > >= in), use has(fact), and join with && || !; what that cannot say is a derived fact
rules.toml:8:100: rule R1: there is no fact `result.agencies.police`; write one of `result.level`, `result.turns_18_before_deadline`
"#,
    );
}

#[test]
fn backslashes() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
when = "event.grade == 'hi\\u0067h'"
"#,
        r#"
rules.toml:8:8: rule R1: a condition has no backslashes; put codes in single quotes: event.grade == 'high'
"#,
    );
}

#[test]
fn too_many_alternatives() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
when = "(history.missing_90d == 0 || child.age_years == 0) && (history.missing_90d == 1 || child.age_years == 1) && (history.missing_90d == 2 || child.age_years == 2) && (history.missing_90d == 3 || child.age_years == 3) && (history.missing_90d == 4 || child.age_years == 4) && (history.missing_90d == 5 || child.age_years == 5) && (history.missing_90d == 6 || child.age_years == 6) && (history.missing_90d == 7 || child.age_years == 7) && (history.missing_90d == 8 || child.age_years == 8)"
"#,
        r#"
rules.toml:2:2: the condition of rule R1 spells out more than 256 alternatives; split it into several rules, or use `in` for lists of codes
"#,
    );
}

#[test]
fn a_field_that_is_a_text_is_no_fact() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
when = "event.episode_ref == 'E1'"
"#,
        r#"
rules.toml:8:9: rule R1: there is no fact `event.episode_ref`; it is a text, a time or a list, which no condition reads: name a fact
"#,
    );
}
