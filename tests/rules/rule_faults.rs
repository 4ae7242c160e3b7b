//! Faults of rules, their tasks and their order: found, placed, and told with what to write instead.

use crate::book::check_faults;

#[test]
fn a_rule_that_lacks_its_texts() {
    check_faults(
        "rules.toml",
        r#"
[R1]
on = 'missing.started'
level = 'L2'
"#,
        r#"
rules.toml:2:2: rule R1 lacks `title`; add `title = "Third time missing in 90 days"`
rules.toml:2:2: rule R1 lacks `sentence`; add `sentence = "what the rule says, in plain words"`
rules.toml:2:2: rule R1 lacks `source`; add `source = "where the rule comes from"`
"#,
    );
}

#[test]
fn values_of_the_wrong_type() {
    check_faults(
        "rules.toml",
        r#"
[r1]
title = ''
sentence = 's'
source = 1
on = []
level = 'L2'
colour = 'red'
"#,
        r#"
rules.toml:2:2: `r1` is not a rule's id; write a capital letter, then letters, digits and hyphens: R13
rules.toml:3:9: rule r1: `title` is empty; write `title = "Third time missing in 90 days"`
rules.toml:5:10: rule r1: `source` is a whole number, not text; write `source = "where the rule comes from"`
rules.toml:6:6: rule r1: `on` is an empty list; write `on = ["missing.started"]`
rules.toml:8:1: rule r1: there is no key `colour`; write one of `title`, `sentence`, `source`, `on`, `after`, `from`, `when`, `level`, `basis`, `why`, `tasks`, `tell_referrer`, `flag`
"#,
    );
}

#[test]
fn unknown_kinds_levels_bases_and_flags() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = ['missing.startd', 'missing.started', 'missing.*', 'event.corrected']
level = 'L4'
basis = 'Q, P'
flag = 're-referal'
"#,
        r#"
rules.toml:6:7: there is no event kind `missing.startd`; did you mean `missing.started`?
rules.toml:6:57: `event.corrected` is applied to its original, never judged itself; name the kinds of the original
rules.toml:7:9: there is no level `L4`; write one of L1 L2 L3 L4a L4b
rules.toml:8:9: there is no basis `Q`; write one of `D`, `P`, `V`
rules.toml:9:8: there is no flag `re-referal`; did you mean `re-referral`?
"#,
    );
}

#[test]
fn an_anchor_without_a_clock() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
from = 'last_seen'
"#,
        r#"
rules.toml:2:2: rule R1 does nothing; give it a level, tasks, tell_referrer or a flag
rules.toml:7:8: rule R1: `from` has no `after`; add after = "24 h", or put `from` in the task
rules.toml:7:8: no clock runs from `last_seen`; did you mean `last_seen_at`?
"#,
    );
}

#[test]
fn a_timer_rule_that_reads_the_outcome() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
after = '1 day'
when = "result.level == 'L2' || 'police' in result.agencies"
"#,
        r#"
rules.toml:8:9: `1 day` is not a clock; write a number of working days (`5 wd`), hours (`4 h`) or minutes (`15 min`), `SD` (same day), `NSD` (next session day), `now`, `on the day`, or a time of day (`15:30`, `15:30 that day`, `08:30 wd`)
rules.toml:9:9: rule R1: `result.level` is not settled when a timer rule is judged; read status, history or event facts
rules.toml:9:33: rule R1: `result.agencies` cannot be read here; read event, status or history facts
"#,
    );
}

#[test]
fn braces_in_a_why() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
why = 'Graded {event.grad}, {event.grade.dates}, {event.score} } {x'
"#,
        r#"
rules.toml:8:15: rule R1: there is no fact `event.grad`; did you mean `event.grade`?
rules.toml:8:29: rule R1: `event.grade` has no `.dates`; only history counts do
rules.toml:8:50: rule R1: `event.score` is not carried by missing.started; name a fact that every kind carries
rules.toml:8:64: rule R1: `}` closes nothing; write {history.missing_90d}
rules.toml:8:66: rule R1: `{` is not closed; write {history.missing_90d}
"#,
    );
}

#[test]
fn an_empty_task() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
tasks = [{ }]
"#,
        r#"
rules.toml:8:10: rule R1, task lacks `to`; add `to = ["social-care"]`
rules.toml:8:10: rule R1, task lacks `do`; add `do = "Hold a meeting"`
rules.toml:8:10: rule R1, task lacks `by`; add `by = "5 wd"`
rules.toml:8:10: rule R1, task lacks `basis`; add `basis = "P"`
"#,
    );
}

#[test]
fn a_task_wrong_in_every_key() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
level = 'L2'
basis = 'P'
tasks = [{ to = ['polic', 'social-care/boss', 'police/boss'], do = 'x', by = '3 days', from = 'birth', agree = 'yes', when = 'event.grade', minimal = true }]
"#,
        r#"
rules.toml:9:18: there is no agency `polic`; did you mean `police`?
rules.toml:9:27: agency social-care lists no role `boss`; write one of `manager`
rules.toml:9:47: agency police lists no role `boss`; add roles = ["boss"] to it in agencies.toml
rules.toml:9:78: `3 days` is not a clock; write a number of working days (`5 wd`), hours (`4 h`) or minutes (`15 min`), `SD` (same day), `NSD` (next session day), `now`, `on the day`, or a time of day (`15:30`, `15:30 that day`, `08:30 wd`)
rules.toml:9:95: no clock runs from `birth`; write one of `receipt`, `occurred_at`, `reported_at`, `last_seen_at`, `ended_at`, `completed_at`, `strategy_discussion`, `pregnancy_28_weeks`, `turns_18`, `as_index`
rules.toml:9:112: rule R1, task: `agree` is text, not true or false; write `agree = true`
rules.toml:9:127: rule R1, task: `event.grade` is a code, not yes or no; compare it: event.grade == 'absent'
rules.toml:9:141: rule R1, task: there is no key `minimal`; did you mean `minimum`?
"#,
    );
}

#[test]
fn rules_that_wait_for_each_other() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'concerns'
level = 'L3'
when = "result.level == 'L2'"
[R2]
title = 't'
sentence = 's'
source = 's'
on = 'missing.*'
level = 'L4a'
when = "history.below_l4_90d > 3"
[R3]
title = 't'
sentence = 's'
source = 's'
on = 'missing.*'
tell_referrer = 'x'
when = "result.level == 'L3'"
"#,
        r#"
rules.toml:2:2: rules `R1`, `R2` wait for each other: each reads an outcome that another makes; let only one of them read result.level and set a level, or join them into one rule
"#,
    );
}

#[test]
fn a_wrong_basis_is_one_fault_and_asks_for_no_other() {
    let check = |basis: &str, fault: &str| {
        let rule = "\n[R1]\ntitle = 't'\nsentence = 's'\nsource = 's'\non = 'missing.started'\ntasks = [{ to = ['social-care'], do = 'd', by = '1 wd' }]\n";
        check_faults("rules.toml", &format!("{rule}{basis}\n"), fault);
    };
    check("basis = 'Q'", "\nrules.toml:8:9: there is no basis `Q`; write one of `D`, `P`, `V`\n");
    check("bassis = 'D'", "\nrules.toml:8:1: rule R1: there is no key `bassis`; did you mean `basis`?\n");
    check("why = 'w'", "\nrules.toml:7:10: rule R1, task lacks `basis`; add `basis = \"P\"`\n");
}

#[test]
fn what_is_to_be_acknowledged_is_so_before_it_is_to_be_done() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
basis = 'P'
tasks = [
  { to = 'police', do = 'Late', by = '4 h', acknowledge = '8 h' },
  { to = 'police', do = 'In time', by = '4 h', acknowledge = '30 min' },
  { to = 'police', do = 'At once', by = 'now', acknowledge = '15 min' },
  { to = 'police', do = 'From elsewhere', by = '4 h', from = 'last_seen_at', acknowledge = '8 h' },
  { to = 'police', do = 'To be read', by = '1 wd', digest = true, acknowledge = '15 min' },
]
"#,
        r#"
rules.toml:9:59: to be acknowledged by `8 h`, after it is to be done by `4 h`; write an earlier clock, or leave `acknowledge` out
rules.toml:13:81: `acknowledge` beside `digest`: nobody acknowledges what is read in the daily digest; leave one of them out
"#,
    );
}

#[test]
fn a_clock_runs_from_an_instant_that_its_events_have() {
    check_faults(
        "rules.toml",
        r#"
[R1]
title = 't'
sentence = 's'
source = 's'
on = 'missing.started'
basis = 'P'
tasks = [{ to = 'police', do = 'Ask', by = '4 h', from = 'ended_at' }]
"#,
        r#"
rules.toml:8:58: no kind of `on` has `ended_at`: the clock would always run from receipt; name an instant that they have, or leave `from` out
"#,
    );
}

#[test]
fn a_role_of_a_ladder_that_is_mistyped() {
    check_faults(
        "ladders.toml",
        r#"
[usual]
title = 't'
basis = 'P'
steps = [
  { after = '1 wd', do = 'x' },
  { after = '2 wd', role = 'taem-manager', do = 'x' },
  { after = '3 wd', role = 'head-of-service', do = 'x' },
]
overdue = [{ role = 'team-manager', do = 'x' }]
[urgent]
title = 't'
basis = 'P'
levels = 'L4b'
steps = [{ after = '2 h', role = 'team-manager', do = 'x' }]
overdue = [{ role = 'team-manager', do = 'x' }]
"#,
        r#"
ladders.toml:7:28: `taem-manager` is a role nowhere else, and `team-manager` is; did you mean `team-manager`?
"#,
    );
}
