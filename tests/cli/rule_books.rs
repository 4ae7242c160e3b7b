//! Rule books and the router that runs by them: published ahead of their time, and kept when the folder is not.

use std::fs;

use super::running::{Router, SAMPLE, TOKEN, new_folder, path, until};
use super::{Done, check, check_quarantine_is_empty, command};

#[test]
fn a_first_start_that_cannot_read_the_rules_is_a_first_start_again() {
    let (home, sound) = (tempfile::tempdir().expect("a folder"), new_folder("127.0.0.1:0"));
    let rules = home.path().join("rules/cheshire-east");
    fs::create_dir_all(&rules).expect("a folder");
    fs::write(rules.join("book.toml"), "broken =").expect("a book");
    let start = || {
        let mut command = command(&["run", "--bind", "127.0.0.1:0"]);
        command.current_dir(home.path());
        command
    };
    for _ in 0..2 {
        let refused: Done = start().output().expect("the binary starts").into();
        assert!(
            refused.code == Some(1)
                && refused.err.contains("the next start is a first one, too")
                && refused.err.contains("run --rules DIR"),
            "{}",
            refused.err
        );
        assert!(!refused.err.contains("backup"), "{}", refused.err);
    }
    let key = fs::read(home.path().join("data/keys/subject.key")).expect("a key");
    fs::remove_dir_all(&rules).expect("it goes");
    fs::rename(sound.path().join("rules/cheshire-east"), &rules).expect("the mended rules");
    Router::start_by(start(), sound).0.stop();
    assert_eq!(fs::read(home.path().join("data/keys/subject.key")).expect("a key"), key, "with the keys that it has");
}

#[test]
fn a_rule_book_is_published_ahead_of_its_time_or_not_at_all() {
    let (router, began) = Router::start_in(new_folder("127.0.0.1:0"), &["--new-data-file"]);
    let rules = router.path("rules/cheshire-east");
    router.operate(&["rules", "list"], 0, &["2012-01-01T00:00:00Z", "Right Help, Right Time", "(in force)"]);
    router.operate(&["rules", "publish", &rules], 1, &["effective_from is too soon", "10 minutes ahead"]);
    let publish = ["rules", "publish", &rules, "--effective-from", "2029-01-01T00:00:00Z"];
    router.operate(&publish, 0, &["from 2029-01-01T00:00:00Z on"]);
    router.operate(&publish, 1, &["is published already"]);
    router.operate(&["rules", "list"], 0, &["2029-01-01T00:00:00Z", "(to come)"]);
    let token = router.path(TOKEN);
    check(&["rules", "list", "--to", &router.url, "--token-file", &token], 1, &["operator's token"]);
    let (folder, logged) = router.stop_and_tell();
    // The first from the start on, the published one from when it was noticed, if it was before the stop.
    let known = |from: &str| {
        let is_it = |line: &&str| line.contains("a rule book is known") && line.contains(from);
        began.lines().chain(logged.lines()).filter(is_it).count()
    };
    assert_eq!(known("=2012-01-01T"), 1, "however often they are listed: {began}{logged}");
    assert!(known("=2029-01-01T") <= 1, "however often they are listed: {began}{logged}");
    // With the router stopped its own file is opened; what was published is still there.
    check(&["rules", "list", "--config", &path(&folder, "config.toml")], 0, &["2029-01-01T00:00:00Z"]);
}

#[test]
fn a_router_restarts_by_its_published_book_when_the_folder_cannot_be_read() {
    let folder = new_folder("127.0.0.1:0");
    let (config, rules) = (path(&folder, "config.toml"), path(&folder, "rules/cheshire-east"));
    let (book, kept, away) = (format!("{rules}/book.toml"), format!("{rules}/book.kept"), format!("{rules}.away"));
    // Nothing is published yet: refused, and no data file is made.
    for (there, elsewhere) in [(&book, &kept), (&rules, &away)] {
        fs::rename(there, elsewhere).expect("a file");
        check(&["run", "--config", &config, "--new-data-file"], 2, &["is no rule book's folder"]);
        fs::rename(elsewhere, there).expect("a file");
    }
    let mut folder = Router::start_in(folder, &["--new-data-file"]).0.stop();
    let text = fs::read_to_string(&book).expect("a file");
    for broken in ["there is no folder", "no book in it", "a faulty book"] {
        match broken {
            "there is no folder" => fs::rename(&rules, &away).expect("a folder"),
            "no book in it" => fs::remove_file(&book).expect("a file"),
            _ => fs::write(&book, "title = \n").expect("a file"),
        }
        let (router, logged) = Router::start_in(folder, &[]);
        let said: Vec<&str> = logged.lines().filter(|line| line.contains("ERROR")).collect();
        assert!(said.len() == 1 && said[0].contains("rules check"), "{logged}");
        router.send(SAMPLE, TOKEN, 0, &["1 accepted, 0 refused"]);
        let ready = router.ask("/readyz");
        assert!(ready.contains("\"ready\":true") && ready.contains("rules check"), "{ready}");
        assert!(router.measures("pathway_rules_folder_unreadable 1"));
        folder = router.stop();
        check_quarantine_is_empty(&config);
        check(&["backup", &path(&folder, &format!("{broken}.db")), "--config", &config], 0, &["bytes"]);
        if broken == "there is no folder" {
            fs::rename(&away, &rules).expect("a folder");
        }
    }
    fs::write(&book, text).expect("a file");
    let (router, logged) = Router::start_in(folder, &[]);
    assert!(!logged.contains("ERROR"), "{logged}");
    router.stop();
}

/// A partnership of two agencies and one rule, all of it made up.
const WEIRDALE: [(&str, &str); 5] = [
    (
        "book.toml",
        "name = 'weirdale'\ntitle = 'Weirdale thresholds'\neffective_from = 2026-01-01T00:00:00Z\nfront_door = 'weirdale-care'\n",
    ),
    ("bases.toml", "[P]\ntitle = 'Public task'\nstatement = 'Children Act 2004 section 11.'\n"),
    (
        "agencies.toml",
        "[weirdale-care]\ntitle = 'Weirdale care'\nsees = ['level', 'child.*']\n\
         [school]\ntitle = 'Schools'\nunits = 'school'\nsees = ['child.given_names']\n",
    ),
    (
        "ladders.toml",
        "[usual]\ntitle = 'Unacknowledged'\nbasis = 'P'\nsteps = [{ after = '1 wd', do = 'Acknowledge it' }]\n",
    ),
    (
        "rules.toml",
        "[W1]\ntitle = 'Missing'\nsentence = 'A missing child is looked for.'\nsource = 'local'\non = 'missing.started'\n\
         level = 'L4a'\nbasis = 'P'\ntasks = [{ to = 'weirdale-care', do = 'Look for the child', by = '4 h' }]\n",
    ),
];

#[test]
fn a_partnership_with_a_rule_book_of_its_own_goes_live_from_an_empty_folder() {
    let home = tempfile::tempdir().expect("a folder");
    let rules = home.path().join("rules/weirdale");
    fs::create_dir_all(&rules).expect("a folder");
    for (name, text) in WEIRDALE {
        fs::write(rules.join(name), text).expect("a file");
    }
    let run = |arguments: &[&str]| {
        let mut command = command(&[&["run"], arguments].concat());
        command.current_dir(home.path());
        command
    };
    let said = |arguments: &[&str], code: i32, expected: &[&str]| {
        let done: Done = run(arguments).output().expect("the binary starts").into();
        let lacking: Vec<_> = expected.iter().filter(|text| !done.err.contains(**text)).collect();
        assert!(done.code == Some(code) && lacking.is_empty(), "{lacking:?}\n{}", done.err);
    };
    let first = ["--rules", "rules/weirdale", "--bind", "127.0.0.1:0"];
    let start = ["--config", "data/config.toml", "--new-data-file"];
    said(&first, 0, &["whom senders ring", "run --config data/config.toml --new-data-file"]);
    said(&start, 1, &["`front_door.telephone`"]);
    said(&first, 2, &["--rules is for a first start", "rules publish"]);
    let file = home.path().join("data/config.toml");
    let text = fs::read_to_string(&file).expect("a configuration");
    assert!(text.contains("name = \"Weirdale care\"") && !text.contains("[partners.camhs]"), "{text}");
    fs::write(&file, text.replace("= \"\"", "= \"01632 960000\"")).expect("a configuration");
    let (router, _) = Router::start_by(run(&start), home);
    let token = router.path("data/tokens/operator.token");
    check(&["rules", "list", "--to", &router.url, "--token-file", &token], 0, &["Weirdale thresholds"]);
    router.send(SAMPLE, "data/tokens/weirdale-care.token", 1, &["source"]);
    router.stop();
}

/// Its token and its partner are given as soon as it is published, and the folder is as it was.
#[test]
fn an_agency_of_a_published_book_is_known_though_the_folder_has_it_not() {
    let (router, _) = Router::start_in(new_folder("127.0.0.1:0"), &["--new-data-file"]);
    let (rules, next) = (router.path("rules/cheshire-east"), router.path("next"));
    let copied = std::process::Command::new("cp").args(["-r", &rules, &next]).status().expect("cp runs");
    assert!(copied.success());
    let agencies = format!("{next}/agencies.toml");
    let text = fs::read_to_string(&agencies).expect("agencies");
    let dentists = "[dentists]\ntitle = \"Dentists (made up)\"\nunits = \"one\"\nsees = [\"level\"]\n";
    fs::write(&agencies, format!("{text}\n{dentists}")).expect("agencies");
    let (config, tokens) = (router.path("config.toml"), router.path("tokens.toml"));
    let [sound, known] = [&config, &tokens].map(|file| fs::read_to_string(file).expect("a file"));
    let add = |agency: &str| {
        let partner = format!("\n[partners.{agency}]\nagency = \"{agency}\"\nunits = [\"high-street\"]\n");
        fs::write(&config, format!("{sound}{partner}")).expect("a configuration");
        let token = format!("\n[{agency}]\nsha256 = \"{}\"\nagency = \"{agency}\"\n", "07".repeat(32));
        fs::write(&tokens, format!("{known}{token}")).expect("tokens");
    };
    let publish = ["rules", "publish", &next, "--effective-from", "2029-01-01T00:00:00Z"];
    router.operate(&publish, 0, &["from 2029-01-01T00:00:00Z on"]);
    until("it is known", || router.operate(&["rules", "list"], 0, &[]).contains("2029-01-01"));
    add("dentists");
    until("it is taken up", || {
        router.hang_up();
        router.measures("pathway_intake_consumed_total{partner=\"dentists\"} 0")
    });
    assert!(router.measures("pathway_reload_failed 0"), "{}", router.ask("/readyz"));
    let folder = Router::start_in(router.stop(), &[]).0.stop();

    add("surgeons");
    let named = ["no published rule book", "rules list", "rules/cheshire-east has no agency `surgeons`"];
    check(&["run", "--config", &config], 1, &named);
    drop(folder);
}
