//! Commands that need no running router.

use std::fs;

use super::check;

#[test]
fn help_goes_to_standard_output_and_is_no_failure() {
    for arguments in [&["--help"][..], &["import", "ssda903", "--help"], &["rules", "test", "--help"]] {
        let done = check(arguments, 0, &["Usage: pathway-router", "Example"]);
        assert!(done.err.is_empty(), "{}", done.err);
    }
    check(&["--version"], 0, &[env!("CARGO_PKG_VERSION")]);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    check(&[], 2, &["Usage: pathway-router"]);
    check(&["decied"], 2, &["decide"]);
    check(&["decide"], 2, &["--rules"]);
    check(&["quarantine", "list", "--reason", "invalid"], 2, &["invalid_field", "router_fault"]);
    check(&["demo", "--events", "0"], 2, &["--events"]);
    check(&["send", "no-such-file.json", "--to", "http://127.0.0.1:1", "--token-file", "x"], 2, &["no-such-file.json"]);
}

#[test]
fn a_configuration_that_cannot_be_looked_at_is_not_said_to_be_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("no folder");
    std::fs::write(&file, "").expect("a file");
    let config = file.join("config.toml");
    let config = config.to_str().expect("a path");
    for arguments in [&["run", "--config", config][..], &["backup", "copy.db", "--config", config]] {
        let done = check(arguments, 2, &["could not be read", "Not a directory"]);
        assert!(!done.err.contains("there is no"), "{}", done.err);
    }
}

#[test]
fn keygen_writes_private_keys_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("keys");
    let out = out.to_str().expect("a path");
    check(&["keygen", "--out", out], 0, &["subject.key", "sealing.key"]);
    let first = fs::read_to_string(format!("{out}/subject.key")).expect("a key");
    assert_eq!(first.trim().len(), 64);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(format!("{out}/sealing.key")).expect("a key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mode = fs::metadata(out).expect("the folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
    check(&["keygen", "--out", out], 2, &["never overwritten"]);
    assert_eq!(fs::read_to_string(format!("{out}/subject.key")).expect("a key"), first);
}

#[test]
fn decide_takes_events_a_line_a_list_or_over_many_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = fs::read_to_string(super::root().join("tests/samples/three-times-missing.jsonl")).expect("the sample");
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    let decide = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        check(&["decide", "--rules", "rules/cheshire-east", path.to_str().expect("a path")], 0, &["R13"]).out
    };
    let empty = folder.path().join("empty");
    fs::write(&empty, "\n").expect("a file");
    check(&["decide", "--rules", "rules/cheshire-east", empty.to_str().expect("a path")], 2, &["holds no event"]);
    let a_line = decide("lines", text);
    assert_eq!(decide("list", serde_json::json!(events).to_string()), a_line);
    let pretty = events.iter().map(|event| serde_json::to_string_pretty(event).expect("JSON")).collect::<Vec<_>>();
    assert_eq!(decide("pretty", pretty.join("\n")), a_line);
    let path = folder.path().join("broken");
    fs::write(&path, "[{},").expect("a file");
    check(&["decide", "--rules", "rules/cheshire-east", path.to_str().expect("a path")], 1, &["jq -c ."]);
}

#[test]
fn send_says_what_is_wrong_before_anything_is_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path.to_str().expect("a path").to_owned()
    };
    let (good, bad, token) = (file("good", "{}"), file("bad", "{}\n{\"a\":\n"), file("token", "pathway_x\n"));
    let send = |file: &str, to: &str, token: &str, code, expected: &str| {
        check(&["send", file, "--to", to, "--token-file", token], code, &[expected]);
    };
    send(&bad, "http://127.0.0.1:1", &token, 1, "not JSON at line 2");
    send(&good, "http://127.0.0.1:1", &token, 1, "could not be reached");
    send(&good, "http://example.org", &token, 2, "https://");
    send(&good, "ftp://127.0.0.1", &token, 2, "--to must be an address");
    send(&good, "http://127.0.0.1:1", &file("two", "a b"), 2, "one token");
    send(&good, "http://127.0.0.1:1", "nowhere", 2, "nowhere");
}

#[test]
fn send_says_who_is_in_danger_in_a_file_that_cannot_be_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a path").to_owned();
    fs::write(path("token"), "pathway_x\n").expect("a file");
    let lines_of_danger = |name: &str, bytes: &[u8], token: &str, code: i32, expected: &[&str]| -> Vec<String> {
        fs::write(path(name), bytes).expect("a file");
        let arguments = ["send", &path(name), "--to", "http://127.0.0.1:1", "--token-file", &path(token)];
        let done = check(&arguments, code, expected);
        let ring = "says that a child is in immediate danger, and was not ";
        let told =
            done.err.lines().filter(|line| line.contains(ring) && line.contains("ring 999 and the front door now"));
        told.filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
    };
    let (safe, danger) = (r#"{"data": {}}"#, r#"{"data": {"immediate_danger": true}}"#);
    let correction = r#"{"data": {"detail": {"changes": {"immediate_danger": true}}}}"#;
    let cut_off = r#"{"data": {"immediate_danger": true, "narrat"#;
    let text = [safe, danger, cut_off, safe, correction].join("\n");
    let not_json = ["not JSON at line 3", "nothing was sent"];
    assert_eq!(lines_of_danger("lines", text.as_bytes(), "token", 1, &not_json), ["line 2", "line 3", "line 5"]);
    let pretty = "{\n \"data\": {\n  \"immediate_danger\":\n   true,\n }\n}";
    assert_eq!(lines_of_danger("pretty", pretty.as_bytes(), "token", 1, &["nothing was sent"]), ["line 3"]);
    let latin = [danger.as_bytes(), b"\n{\"a\": \"caf\xe9\"}\n"].concat();
    let not_utf8 = ["not UTF-8 at line 2", "nothing was sent"];
    assert_eq!(lines_of_danger("latin", &latin, "token", 1, &not_utf8), ["line 1"]);
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let of_wide = lines_of_danger("wide", &[&b"\xff\xfe"[..], &wide].concat(), "token", 1, &["not UTF-8 at line 1"]);
    assert_eq!(of_wide, ["line 2", "line 3", "line 5"]);
    assert!(lines_of_danger("safe", format!("{safe}\n{{").as_bytes(), "token", 1, &["not JSON"]).is_empty());
    // A file that is sound, and cannot be sent.
    let sound = [safe, danger, correction].join("\n");
    assert_eq!(lines_of_danger("sound", sound.as_bytes(), "nowhere", 2, &["nowhere"]), ["line 2", "line 3"]);
    let many = [danger].into_iter().chain(std::iter::repeat_n(safe, 600)).chain([danger]).collect::<Vec<_>>();
    let of_many = lines_of_danger("many", many.join("\n").as_bytes(), "token", 1, &["602 not sent"]);
    assert_eq!(of_many, ["line 1", "line 602"], "behind the request that could not be sent, too");
}
