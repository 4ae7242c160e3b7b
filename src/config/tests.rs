//! Configuration: what is accepted, and every fault with its line and remedy.

use std::path::PathBuf;

use super::Config;
use super::broker::Broker;
use super::first_start::{config_file, first_start};
use super::tokens::{Caller, hash_of};

/// A data folder after its first start, with one text replaced in one of its files.
fn folder_with(file: &str, old: &str, new: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    first_start(folder.path()).unwrap();
    let path = folder.path().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{file} has no {old:?}");
    std::fs::write(&path, text.replacen(old, new, 1)).unwrap();
    let config = config_file(folder.path());
    (folder, config)
}

fn check_fault(file: &str, old: &str, new: &str, expected: &str) {
    let (_folder, config) = folder_with(file, old, new);
    let faults = Config::load(&config).expect_err("a fault").to_string();
    assert!(faults.contains(expected), "\n got: {faults}\nwant: {expected}");
}

#[test]
fn a_first_start_writes_what_loads() {
    let folder = tempfile::tempdir().unwrap();
    let written = first_start(folder.path()).unwrap();
    let config = Config::load(&config_file(folder.path())).unwrap();
    assert_eq!(config.http.bind.port(), 8080);
    assert!(config.history_complete_since.is_some(), "a new router says that it does not know the past");
    assert_eq!(config.tokens.entries().len(), 12);
    for one in &written {
        let permissions = std::fs::metadata(&one.path).unwrap().permissions();
        let mode = std::os::unix::fs::PermissionsExt::mode(&permissions);
        assert_eq!(mode & 0o777, 0o600, "{}", one.path.display());
    }
    let token = std::fs::read_to_string(folder.path().join("tokens/operator.token")).unwrap();
    assert_eq!(config.tokens.caller(token.trim()), Some(&Caller::Operator));
    assert_eq!(config.tokens.caller("wrong"), None);
    let stored = std::fs::read_to_string(folder.path().join("tokens.toml")).unwrap();
    assert!(!stored.contains(token.trim()) && stored.contains(&hex::encode(hash_of(token.trim()))));
}

#[test]
fn a_second_first_start_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    first_start(folder.path()).unwrap();
    let key = std::fs::read(folder.path().join("keys/subject.key")).unwrap();
    assert_eq!(first_start(folder.path()).unwrap(), Vec::new());
    assert_eq!(std::fs::read(folder.path().join("keys/subject.key")).unwrap(), key);
}

/// As an earlier release left it, which was killed or out of room while it wrote.
#[test]
fn what_a_first_start_left_half_written_is_written_anew_and_what_a_person_wrote_stays() {
    let folder = tempfile::tempdir().unwrap();
    first_start(folder.path()).unwrap();
    let book = |name: &str| folder.path().join("rules/cheshire-east").join(name);
    std::fs::remove_file(config_file(folder.path())).unwrap();
    let cut = |path: PathBuf, length: usize| {
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &whole[..length]).unwrap();
        (path, whole)
    };
    let of_book =
        [cut(book("rules/neglect.toml"), 0), cut(book("rules/missing.toml"), 4096), cut(book("book.toml"), 1)];
    let secret = ["keys/subject.key", "keys/sealing.key", "tokens.toml"].map(|name| cut(folder.path().join(name), 0).0);
    let own = std::fs::read_to_string(book("rules/family.toml")).unwrap() + "# Our own word.\n";
    std::fs::write(book("rules/family.toml"), &own).unwrap();
    let written: Vec<PathBuf> = first_start(folder.path()).unwrap().into_iter().map(|one| one.path).collect();
    for (path, whole) in of_book {
        assert!(written.contains(&path) && std::fs::read_to_string(&path).unwrap() == whole, "{}", path.display());
    }
    assert!(secret.iter().all(|path| written.contains(path)), "{written:?}");
    assert_eq!(std::fs::read_to_string(book("rules/family.toml")).unwrap(), own);
    let config = Config::load(&config_file(folder.path())).unwrap();
    let token = std::fs::read_to_string(folder.path().join("tokens/operator.token")).unwrap();
    assert_eq!(config.tokens.caller(token.trim()), Some(&Caller::Operator));
}

#[test]
fn faults_name_line_and_remedy() {
    check_fault(
        "config.toml",
        "queue_requests",
        "queue_request",
        "`limits.queue_request` is not a known setting; did you mean `queue_requests`?",
    );
    check_fault(
        "config.toml",
        "drain_seconds = 4",
        "drain_seconds = \"soon\"",
        "must be a whole number from 1 to 300; write drain_seconds = 4",
    );
    check_fault("config.toml", "127.0.0.1:8080", "0.0.0.0:8080", "needs TLS");
    check_fault(
        "config.toml",
        "kind = \"embedded\"",
        "kind = \"paper\"",
        "config.toml:5: `broker.kind` must be one of \"embedded\", \"kafka\"",
    );
    check_fault("config.toml", "units = \"any\"", "units = \"all\"", "or the word \"any\"");
    check_fault("config.toml", "complete_since = \"2", "complete_since = \"year 2", "must be a date; write");
    check_fault(
        "config.toml",
        "# written_for = \"previous\"",
        "written_for = \"both\"",
        "`history.written_for` must be one of \"this\", \"previous\"",
    );
    check_fault("config.toml", "[log]", "[log", "this is not TOML");
    check_fault(
        "tokens.toml",
        "unit = \"missing-from-home\"",
        "unit = \"kennels\"",
        "partner `police` has no unit `kennels`",
    );
    check_fault("tokens.toml", "sha256 = \"", "sha256 = \"x", "this is not a SHA-256 hash");
    check_fault("tokens.toml", "\nrole = \"operator\"", "", "`operator` is bound to nobody");
}

#[test]
fn a_kafka_cluster_is_named_and_its_secrets_are_not_shown() {
    let kafka = "kind = \"kafka\"\ncommit_interval_ms = 100\nbootstrap = \"k:9092\"\ninstance = \"r-1\"\nproperties_file = \"k.properties\"";
    let (folder, config) = folder_with("config.toml", "kind = \"embedded\"\nfile = \"pathway.db\"", kafka);
    let secrets = folder.path().join("k.properties");
    std::fs::write(&secrets, "# who we are\nsasl.username = router\nsasl.password=open=sesame\n").unwrap();
    std::fs::set_permissions(&secrets, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let config = Config::load(&config).unwrap();
    let Broker::Kafka(kafka) = &config.broker else { panic!("{:?}", config.broker) };
    assert_eq!((kafka.bootstrap.as_str(), kafka.instance.as_str()), ("k:9092", "r-1"));
    assert_eq!((kafka.replication, kafka.min_in_sync), (3, 2));
    assert_eq!(kafka.commit_interval, std::time::Duration::from_millis(100));
    assert_eq!(kafka.properties.0["sasl.password"], "open=sesame");
    assert!(!format!("{config:?}").contains("sesame"));
}

#[test]
fn a_tls_key_that_anyone_can_read_is_refused() {
    let open = |file: &std::path::Path| {
        std::fs::write(file, "a key").unwrap();
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    };
    let tls = "bind = \"127.0.0.1:8080\"\ntls_certificate_file = \"c.pem\"\ntls_key_file = \"web.key\"\n#";
    let (folder, config) = folder_with("config.toml", "bind = \"127.0.0.1:8080\"", tls);
    open(&folder.path().join("web.key"));
    let faults = Config::load(&config).expect_err("a fault").to_string();
    assert!(faults.contains("web.key: anyone on this machine can read or change it; run chmod o= "), "{faults}");

    let kafka = "kind = \"kafka\"\nbootstrap = \"k:9092\"\ninstance = \"r-1\"\nproperties_file = \"k.properties\"";
    let (folder, config) = folder_with("config.toml", "kind = \"embedded\"\nfile = \"pathway.db\"", kafka);
    let (properties, key) = (folder.path().join("k.properties"), folder.path().join("client.key"));
    std::fs::write(&properties, format!("ssl.key.location={}", key.display())).unwrap();
    std::fs::set_permissions(&properties, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    open(&key);
    let faults = Config::load(&config).expect_err("a fault").to_string();
    assert!(faults.contains("client.key: anyone on this machine can read"), "{faults}");
}

#[test]
fn a_kafka_cluster_needs_an_address() {
    let both = ["kind = \"embedded\"\nfile = \"pathway.db\"", "kind = \"kafka\"\ninstance = \"no good\""];
    let (_folder, config) = folder_with("config.toml", both[0], both[1]);
    let faults = Config::load(&config).expect_err("faults").to_string();
    assert!(faults.contains("`broker.bootstrap` is missing; write bootstrap = "), "{faults}");
    assert!(faults.contains("no usable name") && faults.contains("PATHWAY_INSTANCE"), "{faults}");
}

#[test]
fn every_fault_is_told_at_once() {
    let (folder, config) = folder_with("config.toml", "intake = 1", "intake = 0\nspeed = 9");
    std::fs::write(folder.path().join("keys/sealing.key"), "short").unwrap();
    let faults = Config::load(&config).expect_err("faults");
    let text = faults.to_string();
    assert_eq!(faults.0.len(), 3, "{text}");
    let sample = std::fs::read_to_string(&config).unwrap();
    for setting in ["intake", "speed"] {
        let line = sample.lines().position(|line| line.starts_with(&format!("{setting} = "))).unwrap() + 1;
        assert!(text.contains(&format!("config.toml:{line}: `lanes.{setting}`")), "{text}");
    }
    assert!(text.contains("sealing.key: this file does not hold a key; write 64 hex digits"), "{text}");
    assert!(!text.contains("short"));
}

#[test]
fn a_key_others_can_read_is_refused() {
    let (folder, config) = folder_with("config.toml", "intake", "intake");
    let key = folder.path().join("keys/subject.key");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let faults = Config::load(&config).expect_err("a fault").to_string();
    assert!(faults.contains("anyone on this machine can read or change it; run chmod o= "), "{faults}");
}

#[test]
fn a_configuration_others_can_change_is_refused() {
    let (_folder, config) = folder_with("config.toml", "intake", "intake");
    let with_mode = |mode| {
        std::fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        Config::load(&config).map(drop)
    };
    assert_eq!(with_mode(0o644).map_err(|faults| faults.to_string()), Ok(()));
    let faults = with_mode(0o646).expect_err("a fault").to_string();
    assert!(faults.contains("anyone on this machine can change it; run chmod o-w "), "{faults}");
}

#[test]
fn a_token_written_in_the_clear_is_not_shown() {
    let (folder, config) = folder_with("config.toml", "intake", "intake");
    let token = crate::config::tokens::new_token();
    std::fs::write(folder.path().join("tokens.toml"), format!("[ward]\nsha256 = \"{token}\"\n")).unwrap();
    std::fs::set_permissions(folder.path().join("tokens.toml"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    let faults = Config::load(&config).expect_err("a fault");
    let shown: String = faults.reports().iter().map(|report| format!("{report:?}")).collect();
    assert!(shown.contains("tokens.toml:2") && !shown.contains(&token), "{shown}");
}

#[test]
fn agencies_are_checked_against_the_rule_book() {
    let folder = tempfile::tempdir().unwrap();
    first_start(folder.path()).unwrap();
    let config = Config::load(&config_file(folder.path())).unwrap();
    let faults = config
        .check_agencies("the rule book", |agency| match agency {
            "camhs" => None,
            "school" | "social-care" => Some(true),
            _ => Some(false),
        })
        .expect_err("faults")
        .to_string();
    assert!(faults.contains("`partners.camhs.agency`: the rule book has no agency `camhs`"), "{faults}");
    assert!(faults.contains("token `inbox-social-care`: `social-care` has many units; write unit"), "{faults}");
    assert!(faults.contains("token `inbox-gp-N81001`: `gp` has no units; remove the unit"), "{faults}");
}

#[test]
fn nothing_secret_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    first_start(folder.path()).unwrap();
    let config = Config::load(&config_file(folder.path())).unwrap();
    let shown = format!("{config:?}");
    for secret in ["keys/subject.key", "keys/sealing.key", "tokens/operator.token"] {
        let text = std::fs::read_to_string(folder.path().join(secret)).unwrap();
        assert!(!shown.contains(text.trim()), "{secret}");
    }
}

/// As the command that makes a token is run again for the same holder.
#[test]
fn a_token_that_stands_twice_is_named_with_the_line_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    first_start(folder.path()).unwrap();
    let table = |digit: &str| format!("[ward-3]\nsha256 = \"{}\"\nrole = \"operator\"\n\n", digit.repeat(64));
    std::fs::write(folder.path().join("tokens.toml"), table("1") + &table("2")).unwrap();
    let faults = Config::load(&config_file(folder.path())).expect_err("a fault").to_string();
    assert!(faults.contains("tokens.toml:5: `ward-3` stands twice, first in line 1; give the new one"), "{faults}");
    assert_eq!(faults.matches("stands twice").count(), 1, "of its keys nothing is wrong: {faults}");
    std::fs::write(folder.path().join("tokens.toml"), table("1") + "role = \"operator\"\n").unwrap();
    let faults = Config::load(&config_file(folder.path())).expect_err("a fault").to_string();
    assert!(faults.contains("tokens.toml:5: `role` stands twice, first in line 3"), "{faults}");
}

/// Each holder's table has the same keys: the first is the one of this holder.
#[test]
fn a_key_that_stands_twice_is_named_with_the_first_of_its_own_table() {
    let folder = tempfile::tempdir().unwrap();
    first_start(folder.path()).unwrap();
    let table = |name: &str, digit: &str| format!("[{name}]\nsha256 = \"{}\"\nrole = \"operator\"\n", digit.repeat(64));
    let text = table("ward-3", "1") + &table("ward-4", "2") + "role = \"operator\"\n";
    std::fs::write(folder.path().join("tokens.toml"), text).unwrap();
    let faults = Config::load(&config_file(folder.path())).expect_err("a fault").to_string();
    assert!(faults.contains("tokens.toml:7: `role` stands twice, first in line 6; "), "{faults}");
}

/// What a full disk or an edit that failed leaves.
#[test]
fn a_tokens_file_without_a_token_is_refused() {
    for text in ["", "# All of them were here.\n"] {
        let folder = tempfile::tempdir().unwrap();
        first_start(folder.path()).unwrap();
        std::fs::write(folder.path().join("tokens.toml"), text).unwrap();
        let faults = Config::load(&config_file(folder.path())).expect_err("a fault").to_string();
        assert!(faults.contains("tokens.toml") && faults.contains("no token is in it"), "{faults}");
    }
}
