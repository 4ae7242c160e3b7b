//! Who may do what: every route with every kind of token, and with none.

use super::kit::{House, STRUCTURED, event, event_with, paths};

/// The sample tokens that a first start writes.
const TOKENS: &[&str] = &["leighton-hospital", "inbox-camhs", "inbox-school-111111", "operator"];

#[test]
fn each_route_takes_its_own_callers_alone() {
    let house = House::open();
    let check = |method: &str, path: &str, allowed: &[&str]| {
        for token in TOKENS {
            let answer = match method {
                "GET" => house.get(path, token),
                _ => house.post(path, token, "application/cloudevents-batch+json", "[]"),
            };
            let is_allowed = answer.status != 403;
            assert_eq!(is_allowed, allowed.contains(token), "{method} {path} as {token}: {}", answer.status);
            assert_ne!(answer.status, 401);
        }
        let answer = match method {
            "GET" => house.get_without_token(path),
            _ => house.post_with(path, &[("content-type", STRUCTURED)], "[]"),
        };
        assert_eq!(answer.status, 401, "{method} {path} without a token");
    };
    check("POST", "/v1/events", &["leighton-hospital"]);
    check("GET", "/v1/partners/leighton-hospital/feedback", &["leighton-hospital"]);
    check("GET", "/v1/partners/police/feedback", &[]);
    check("GET", "/v1/partners/nobody/feedback", &[]);
    check("GET", "/v1/agencies/camhs/tasks", &["inbox-camhs"]);
    check("GET", "/v1/agencies/school/tasks", &["inbox-school-111111"]);
    check("GET", "/v1/agencies/police/tasks", &[]);
    check("GET", "/v1/agencies/police/tasks/stream", &[]);
    check("POST", "/v1/outcomes", &["leighton-hospital", "inbox-camhs", "inbox-school-111111"]);
    check("POST", "/v1/import", &["operator"]);
    check("GET", "/v1/quarantine", &["operator"]);
    check("GET", "/v1/quarantine/x", &["operator"]);
    check("POST", "/v1/quarantine/x/retry", &["operator"]);
}

#[test]
fn a_token_of_somebody_else_s_is_told_what_it_is_for() {
    let house = House::open();
    let check = |path: &str, token: &str, detail: &str| {
        let answer = house.get(path, token);
        assert_eq!((answer.status, answer.content_type.as_str()), (403, "application/problem+json"), "{path}");
        assert_eq!(answer.json()["type"], "urn:pathway-router:problem:forbidden");
        assert_eq!(answer.json()["detail"], detail);
    };
    let hospital = "This token is that of partner leighton-hospital, unit emergency-department: it sends events, reads the feedback on them and \
                    challenges what became of them, and nothing else.";
    let camhs = "This token is that of agency camhs: it reads their tasks and answers them, and nothing else.";
    let feedback =
        format!("{hospital} Write leighton-hospital in the path, or use the token of the partner that is named there.");
    check("/v1/partners/police/feedback", "leighton-hospital", &feedback);
    check("/v1/partners/nobody/feedback", "leighton-hospital", &feedback);
    let tasks = format!("{camhs} Write camhs in the path, or use the token of the agency that is named there.");
    check("/v1/agencies/police/tasks", "inbox-camhs", &tasks);
    let tasks = format!("{hospital} Use the token of the agency, or of its unit, whose tasks these are.");
    check("/v1/agencies/camhs/tasks", "leighton-hospital", &tasks);
    let feedback = format!("{camhs} Use the token of the partner's unit that sends the events.");
    check("/v1/partners/leighton-hospital/feedback", "inbox-camhs", &feedback);
    check("/v1/quarantine", "inbox-camhs", &format!("{camhs} Use the operator's token."));
    let other = event_with("", "source", "police/force-control".into());
    let answer = house.post_event(&other);
    assert_eq!((answer.status, paths(&answer.json())), (403, vec!["source".to_owned()]));
    let problem = answer.json()["problems"][0]["problem"].as_str().unwrap().to_owned();
    assert_eq!(problem, "must be the source of your token: give leighton-hospital/emergency-department");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("send it with the token of whose it is, under the same id"), "{detail}");
}

#[test]
fn a_token_that_is_not_known_is_told_what_may_have_become_of_it_and_what_to_do() {
    let house = House::open();
    let say = |headers: &[(&str, &str)]| {
        let answer =
            house.post_with("/v1/events", &[headers, &[("content-type", STRUCTURED)]].concat(), event().to_string());
        (answer.status, answer.json()["detail"].as_str().unwrap().to_owned())
    };
    let (status, unknown) = say(&[("authorization", "Bearer pathway_0000")]);
    assert!(status == 401 && unknown.contains("revoked") && unknown.contains("Ask the router's operator"), "{unknown}");
    let (status, none) = say(&[]);
    assert!(status == 401 && none.contains("No token came"), "{none}");
    for other in ["pathway_0000", "Basic pathway_0000", "Token pathway_0000", "Bearer\tpathway_0000"] {
        let (status, detail) = say(&[("authorization", other)]);
        assert!(status == 401 && detail.contains("not in the form `Bearer TOKEN`"), "{other:?}: {detail}");
    }
}

#[test]
fn a_wrong_token_is_401_whatever_its_form() {
    let house = House::open();
    let good = house.token("leighton-hospital");
    let body = event().to_string();
    for authorization in ["Bearer wrong", "Bearer ", "Basic dXNlcjpwYXNz", "wrong", &good, &format!("Bearer {good}0")] {
        let headers = [("authorization", authorization), ("content-type", STRUCTURED)];
        let answer = house.post_with("/v1/events", &headers, body.clone());
        assert_eq!(answer.status, 401);
        assert!(!answer.text.contains(&good));
    }
}

#[test]
fn an_agency_of_many_units_needs_a_unit_s_token() {
    let house = House::with(Default::default(), |config| {
        let entries = config.tokens.entries().iter().cloned().map(|mut entry| {
            if let pathway_router::config::tokens::Caller::Agency { unit, .. } = &mut entry.caller {
                *unit = None;
            }
            entry
        });
        config.tokens = pathway_router::config::tokens::TokenBook::new(entries.collect());
    });
    assert_eq!(house.get("/v1/agencies/school/tasks", "inbox-school-111111").status, 403);
    assert_eq!(house.get("/v1/agencies/camhs/tasks", "inbox-camhs").status, 200);
}

#[test]
fn unknown_addresses_and_methods_are_problems_too() {
    let house = House::open();
    let missing = house.get_without_token("/v1/nothing");
    assert_eq!((missing.status, missing.content_type.as_str()), (404, "application/problem+json"));
    let wrong = house.get_without_token("/v1/events");
    assert_eq!((wrong.status, wrong.content_type.as_str()), (405, "application/problem+json"));
}

#[test]
fn a_refusal_before_the_body_leaves_the_connection_usable() {
    let house = House::open();
    let long = "x".repeat(3 << 20);
    for _ in 0..20 {
        for path in ["/v1/events", "/v1/outcomes", "/v1/nothing", "/metrics"] {
            let answer = house.post_with(path, &[("content-type", "text/plain")], long.clone());
            assert!([401, 404, 405].contains(&answer.status), "{}", answer.status);
        }
        assert_eq!(house.post_event(&event()).status, 202);
    }
}
