//! A reload that fails: told until one succeeds, and what was revoked is revoked all the same.

use std::fs;
use std::time::{Duration, Instant};

use super::running::Router;

/// The status that a token is answered with.
fn status(router: &Router, token: &str) -> u16 {
    let token = fs::read_to_string(router.path(token)).expect("a token");
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let request = config.new_agent().get(format!("{}/v1/agencies/camhs/tasks", router.url));
    request.header("authorization", format!("Bearer {}", token.trim())).call().expect("an answer").status().as_u16()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < patience, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The text without one table.
fn without(tokens: &str, name: &str) -> String {
    let (before, rest) = tokens.split_once(&format!("\n[{name}]\n")).expect("the table");
    let after = rest.find("\n[").map(|next| &rest[next..]).unwrap_or_default();
    format!("{before}{after}")
}

#[test]
fn a_failed_reload_is_told_until_one_succeeds_and_revokes_what_was_revoked() {
    let router = Router::start();
    let (config, tokens) = (router.path("config.toml"), router.path("tokens.toml"));
    let (sound, known) = [&config, &tokens].map(|file| fs::read_to_string(file).expect("a file")).into();
    assert!(router.measures("pathway_reload_failed 0"), "there before it first happens");
    assert_eq!(status(&router, "tokens/inbox-camhs.token"), 200);
    fs::write(&config, format!("{sound}\nx = 1\n")).expect("a configuration");
    fs::write(&tokens, without(&known, "inbox-camhs")).expect("tokens");
    router.hang_up();
    until("the failure is counted", || router.measures("pathway_reload_failed 1"));
    let ready = router.ask("/readyz");
    assert!(ready.contains("reload: ") && ready.contains("config.toml was not taken up"), "{ready}");
    assert_eq!(status(&router, "tokens/inbox-camhs.token"), 401, "revoked though config.toml is broken");
    assert_eq!(status(&router, "tokens/operator.token"), 403, "known still");
    // What is wrong lies in the tokens alone: of a file that is not sound nothing is taken.
    fs::write(&config, &sound).expect("a configuration");
    fs::write(&tokens, &known).expect("tokens");
    router.hang_up();
    until("the failure is over", || router.measures("pathway_reload_failed 0"));
    assert!(router.ask("/readyz").contains("\"warnings\":[]"));
    assert_eq!(status(&router, "tokens/inbox-camhs.token"), 200);
    fs::write(&tokens, without(&known, "inbox-camhs").replace("sha256", "sha1")).expect("tokens");
    router.hang_up();
    until("the failure is counted", || router.measures("pathway_reload_failed 1"));
    assert_eq!(status(&router, "tokens/inbox-camhs.token"), 200);
    let ready = router.ask("/readyz");
    assert!(ready.contains("tokens.toml was not taken up") && !ready.contains("config.toml"), "{ready}");
    fs::write(&config, format!("{sound}\nx = 1\n")).expect("a configuration");
    router.hang_up();
    until("both are named", || {
        let ready = router.ask("/readyz");
        ready.contains("config.toml and ") && ready.contains("tokens.toml were not taken up")
    });
    router.stop();
}

/// The fault is between the two files: the tokens are sound by themselves, and name a partner whom the configuration has no longer.
#[test]
fn a_token_is_revoked_though_another_names_a_partner_who_is_gone() {
    let router = Router::start();
    let (config, tokens) = (router.path("config.toml"), router.path("tokens.toml"));
    let [sound, known] = [&config, &tokens].map(|file| fs::read_to_string(file).expect("a file"));
    fs::write(&config, without(&sound, "partners.police")).expect("a configuration");
    fs::write(&tokens, without(&known, "inbox-camhs")).expect("tokens");
    router.hang_up();
    until("the failure is counted", || router.measures("pathway_reload_failed 1"));
    assert_eq!(status(&router, "tokens/inbox-camhs.token"), 401);
    assert_eq!(status(&router, "tokens/operator.token"), 403, "known still");
    router.stop();
}

/// Nothing in the configuration is to be mended, and it is not tried again by itself.
#[test]
fn a_reload_while_another_program_holds_the_data_file_says_that_it_is_to_be_asked_for_again() {
    let router = Router::start();
    let config = router.path("config.toml");
    let sound = fs::read_to_string(&config).expect("a configuration");
    let other = rusqlite::Connection::open(router.path("pathway.db")).expect("the file");
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody writes just now");
    fs::write(&config, format!("{sound}\n[partners.walk-in-centre]\nunits = [\"ward\"]\n")).expect("a configuration");
    router.hang_up();
    until("the failure is counted", || router.measures("pathway_reload_failed 1"));
    // It is not ready, maybe.
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
    let mut answer = agent.new_agent().get(format!("{}/readyz", router.url)).call().expect("an answer");
    let ready = answer.body_mut().read_to_string().expect("a text");
    assert!(ready.contains("the configuration was not taken up") && ready.contains("send SIGHUP again"), "{ready}");
    assert!(!ready.contains("Mend"), "{ready}");
    other.execute_batch("ROLLBACK").expect("it lets go");
    until("the failure is over", || {
        router.hang_up();
        router.measures("pathway_reload_failed 0")
    });
    router.stop();
}
