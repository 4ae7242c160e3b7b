//! The operator's routes: import, and the quarantine.

use std::sync::Arc;

use pathway_router::broker::memory::MemoryOptions;
use pathway_router::broker::system_clock;
use pathway_router::config::default_rules::FILES;
use pathway_router::config::tokens::{Caller, TokenBook, TokenEntry};
use pathway_router::engine::codec;
use pathway_router::engine::model::event::ReferralEvent;
use pathway_router::engine::model::quarantine::{Header, QuarantineReason, Quarantined};
use pathway_router::engine::model::scalar::Timestamp;
use serde_json::json;

use super::kit::{BATCH, House, event, event_with, header};

#[test]
fn an_import_is_marked_as_history() {
    let house = House::open();
    let unknown = event_with("", "source", json!("nobody/anywhere"));
    let wrong_unit = event_with("", "source", json!("leighton-hospital/kennels"));
    // What INTAKE would not take in is the operator's to correct, too.
    let mut says_nothing = event_with("", "type", json!("agreement.recorded"));
    says_nothing["data"]["detail"] = json!({});
    let body = json!([event(), unknown, wrong_unit, says_nothing]).to_string();
    let answer = house.post("/v1/import", "operator", BATCH, body);
    assert_eq!(answer.status, 207, "{}", answer.text);
    assert_eq!((&answer.json()["accepted"], &answer.json()["refused"]), (&json!(1), &json!(3)));
    assert!(answer.text.contains("data.detail.state"), "{}", answer.text);
    let records = house.referrals();
    assert_eq!(records.len(), 1, "refused rows are the operator's to correct");
    assert_eq!(
        (header(&records[0], "backfill"), header(&records[0], "unit")),
        (Some("true"), Some("emergency-department"))
    );
    let stored: ReferralEvent = codec::decode(records[0].value.as_deref().unwrap()).unwrap();
    assert!(stored.backfill);
    assert_eq!(house.post("/v1/import", "operator", "application/json", "[]").status, 415);
}

fn quarantined(id: &str, original: Vec<u8>, headers: &[(&str, &str)]) -> Quarantined {
    let headers =
        headers.iter().map(|(name, value)| Header { name: (*name).to_owned(), value: value.as_bytes().to_vec() });
    Quarantined {
        quarantine_id: id.to_owned(),
        reason: QuarantineReason::InvalidField,
        faults: vec!["data.detail.setting must be one of these".to_owned()],
        topic: "gateway.http".to_owned(),
        partition: 0,
        offset: 3,
        partner: Some("leighton-hospital".to_owned()),
        unit: Some("emergency-department".to_owned()),
        event_id: None,
        receipt: Timestamp(0),
        original,
        headers: headers.collect(),
    }
}

#[test]
fn the_quarantine_is_listed_shown_and_tried_again() {
    let house = House::open();
    let good = event().to_string();
    let bad = event_with("/data/detail", "setting", json!("moon")).to_string();
    let stamps = [("partner", "leighton-hospital"), ("unit", "emergency-department"), ("refused", "invalid_field")];
    house.put("quarantine", &quarantined("good", good.clone().into_bytes(), &stamps), None);
    house.put("quarantine", &quarantined("bad", bad.into_bytes(), &stamps), None);
    house.put("quarantine", &quarantined("again", good.clone().into_bytes(), &[("retry_of", "good")]), None);

    let list = house.get("/v1/quarantine?limit=2", "operator").json();
    assert_eq!(list["quarantine"].as_array().unwrap().len(), 2);
    assert_eq!((&list["quarantine"][0]["quarantine_id"], &list["more"]), (&json!("good"), &json!(true)));
    assert!(list["quarantine"][0].get("original").is_none() && !list.to_string().contains("Test nurse"));
    let next = house.get(&format!("/v1/quarantine?after={}", list["cursor"].as_str().unwrap()), "operator").json();
    assert_eq!(next["quarantine"][0]["quarantine_id"], "again");

    assert_eq!(house.get("/v1/quarantine/good", "operator").json()["original_text"], good);
    assert_eq!(house.get("/v1/quarantine/none", "operator").status, 404);

    let retry =
        |id: &str, query: &str| house.post(&format!("/v1/quarantine/{id}/retry{query}"), "operator", "text/plain", "");
    assert_eq!(retry("good", "?dry_run=true").json()["would_be"], "accepted");
    let dry = retry("bad", "?dry_run=true").json();
    assert_eq!((&dry["would_be"], &dry["problems"][0]["path"]), (&json!("refused"), &json!("data.detail.setting")));
    assert_eq!(house.referrals().len(), 0, "a dry run sends nothing");
    assert_eq!(retry("bad", "").status, 409);
    assert_eq!(retry("again", "").status, 409, "no loops");
    assert_eq!(retry("good", "").status, 202);
    let records = house.referrals();
    assert_eq!((records.len(), header(&records[0], "retry_of")), (1, Some("good")));
    assert_eq!(header(&records[0], "refused"), None);
    codec::decode::<ReferralEvent>(records[0].value.as_deref().unwrap()).unwrap();
}

#[test]
fn what_was_retried_is_listed_no_more_unless_asked_for_or_it_failed_again() {
    let house = House::open();
    let stamps = [("partner", "leighton-hospital"), ("unit", "emergency-department"), ("refused", "invalid_field")];
    let good = event().to_string().into_bytes();
    let put = |id: &str, stamps: &[(&str, &str)]| house.put("quarantine", &quarantined(id, good.clone(), stamps), None);
    let token = house.folder.path().join("tokens/operator.token");
    let list = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pathway-router"));
        command.args(["quarantine", "list", "--to", house.base(), "--token-file"]).arg(&token).args(more);
        let done = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let lines = text(done.stdout);
        let ids: Vec<String> = lines.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        (done.status.code().unwrap(), ids, lines.contains("  retried 20"), text(done.stderr).trim().to_owned())
    };
    let retry = |id: &str| house.post(&format!("/v1/quarantine/{id}/retry"), "operator", "text/plain", "").status;
    let (one, two, three) = ("first", "second", "failed-again");
    put(one, &stamps);
    put(two, &stamps);
    assert_eq!(list(&[]), (1, vec![one.into(), two.into()], false, "2 records in quarantine".into()));
    assert_eq!(retry(one), 202);
    let told = "1 record in quarantine, and 1 retried (--retried lists those, too)";
    assert_eq!(list(&[]), (1, vec![two.into()], false, told.into()));
    assert_eq!(list(&["--retried"]).1, [one, two]);
    assert!(house.get("/v1/quarantine/first", "operator").json()["retried_at"].is_string());
    assert!(house.get("/v1/quarantine/second", "operator").json()["retried_at"].is_null());
    // The retry failed: it lies there anew, until the record that it came of is retried with more luck.
    put(three, &[("retry_of", one)]);
    assert_eq!(list(&[]).1, [two, three]);
    assert_eq!((retry(three), retry(one), retry(two)), (409, 202, 202));
    let told = "0 records in quarantine, and 3 retried";
    assert_eq!(list(&["--retried"]), (0, vec![one.into(), two.into(), three.into()], true, told.into()));
    assert_eq!(house.referrals().len(), 3, "each once for each retry");
}

/// INTAKE's own checks, not only the form: a decision is the front door's alone.
#[test]
fn a_retry_that_intake_would_refuse_is_refused_beforehand() {
    let house = House::open();
    let mut decision = event();
    decision["type"] = json!("decision.recorded");
    decision["data"]["detail"] = json!({ "decision": "closed", "decided_by": "A.", "decided_by_role": "manager" });
    let stamps = [("partner", "leighton-hospital"), ("unit", "emergency-department")];
    house.put("quarantine", &quarantined("q", decision.to_string().into_bytes(), &stamps), None);
    let dry = house.post("/v1/quarantine/q/retry?dry_run=true", "operator", "text/plain", "").json();
    assert_eq!(dry["would_be"], json!("refused"), "{dry}");
    assert_eq!(house.post("/v1/quarantine/q/retry", "operator", "text/plain", "").status, 409);
    assert_eq!(house.referrals().len(), 0);
}

#[test]
fn a_binary_mode_event_is_tried_again_with_its_attributes() {
    let house = House::open();
    let sent = event();
    let id = sent["id"].as_str().unwrap();
    let headers = [
        ("unit", "emergency-department"),
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_source", "leighton-hospital"),
        ("ce_type", "self_harm.reported"),
        ("ce_time", "2026-04-01T10:01:00+01:00"),
    ];
    house.put("quarantine", &quarantined("q", sent["data"].to_string().into_bytes(), &headers), None);
    assert_eq!(house.post("/v1/quarantine/q/retry", "operator", "text/plain", "").status, 202);
    assert_eq!(house.referrals()[0].key, id.as_bytes());
}

/// The default book's files, from an instant on; without the housing agency, or with it.
fn book(from: &str, housing: bool) -> Vec<serde_json::Value> {
    let file = |(name, text): &(&str, &str)| {
        let mut text = text.replace("2012-01-01T00:00:00Z", from);
        if *name == "agencies.toml" && !housing {
            let start = text.find("[housing]").unwrap();
            let end = start + text[start..].find("\n\n").unwrap();
            text.replace_range(start..end, "");
        }
        json!({ "name": name, "text": text })
    };
    FILES.iter().map(file).collect()
}

#[test]
fn a_book_that_drops_an_agency_is_published_with_a_warning_of_what_hangs_on_it() {
    let entry = TokenEntry {
        name: "inbox-housing".to_owned(),
        sha256: [9; 32],
        caller: Caller::Agency { agency: "housing".to_owned(), unit: None },
        line: None,
    };
    let house = House::with(MemoryOptions::default(), |config| {
        config.tokens = TokenBook::new(config.tokens.entries().iter().cloned().chain([entry]).collect());
    });
    let publish = |files: &[serde_json::Value], from: &str| {
        let body = json!({ "effective_from": from, "files": files }).to_string();
        let answer = house.post("/v1/rules", "operator", "application/json", body);
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer.json()["warnings"].clone()
    };
    let ahead = |hours: i64| {
        let now = jiff::Timestamp::now();
        (now + jiff::SignedDuration::from_hours(hours)).to_string()
    };
    let whole = book("2012-01-01T00:00:00Z", true);
    assert_eq!(publish(&whole, &ahead(1)), json!([]), "nothing hangs on what is named");
    let warnings = publish(&book("2012-01-02T00:00:00Z", false), &ahead(2)).to_string();
    assert!(warnings.contains("agency housing is no longer named: what its open tasks bring"), "{warnings}");
    assert!(warnings.contains("token inbox-housing is for agency housing"), "{warnings}");
    assert!(!warnings.contains("police"), "{warnings}");
    let late = json!({ "effective_from": "2099-01-01T00:00:00Z", "files": whole }).to_string();
    let answer = house.post("/v1/rules", "operator", "application/json", late);
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("the bank holidays are listed from 2012-01-01 to 2030-12-31"), "{}", answer.text);
}

#[test]
fn that_a_record_was_tried_again_is_forgotten_once_it_is_kept_no_longer() {
    let day = 24 * 60 * 60 * 1000;
    for (days_ago, is_told) in [(1, true), (1000, false)] {
        let then = system_clock()().plus_millis(-days_ago * day);
        let house = House::with(MemoryOptions { clock: Arc::new(move || then), ..MemoryOptions::default() }, |_| ());
        let stamps = [("partner", "leighton-hospital"), ("unit", "emergency-department"), ("refused", "invalid_field")];
        house.put("quarantine", &quarantined("good", event().to_string().into_bytes(), &stamps), None);
        assert_eq!(house.post("/v1/quarantine/good/retry", "operator", "text/plain", "").status, 202);
        let shown = house.get("/v1/quarantine/good", "operator").json();
        assert_eq!(shown["retried_at"].is_string(), is_told, "{days_ago} days ago: {shown}");
    }
}
