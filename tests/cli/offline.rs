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
    check(&["demo", "--events", "0"], 2, &["--events"]);
    check(&["send", "no-such-file.json", "--to", "http://127.0.0.1:1", "--token-file", "x"], 2, &["no-such-file.json"]);
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
    }
    check(&["keygen", "--out", out], 2, &["never overwritten"]);
    assert_eq!(fs::read_to_string(format!("{out}/subject.key")).expect("a key"), first);
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
