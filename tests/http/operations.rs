//! What operators ask, and how much a server bears.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::kit::{BATCH, HOSPITAL, House, event, event_with};

#[test]
fn metrics_liveness_and_readiness_need_no_token() {
    let house = House::open();
    assert_eq!(house.get_without_token("/livez").status, 200);
    assert_eq!(house.get_without_token("/readyz").status, 200);
    house.readiness.hold("decide-1", "restoring its partitions");
    let waiting = house.get_without_token("/readyz");
    assert_eq!(
        (waiting.status, waiting.json()["waiting_for"][0].as_str()),
        (503, Some("decide-1: restoring its partitions"))
    );
    assert_eq!(house.get_without_token("/livez").status, 200);
    let metrics = house.get_without_token("/metrics");
    assert!(metrics.content_type.starts_with("text/plain; version=0.0.4"));
    assert!(metrics.text.lines().any(|line| line == "pathway_ready 0"), "{}", metrics.text);
}

#[test]
fn answers_are_counted_by_route_and_partner() {
    let house = House::open();
    house.post_event(&event());
    house.get_without_token("/v1/agencies/camhs/tasks");
    house.get_without_token("/somewhere/else");
    let text = house.get_without_token("/metrics").text;
    for line in [
        "pathway_http_requests_total{route=\"/v1/events\",status=\"202\"} 1",
        "pathway_http_requests_total{route=\"/v1/agencies/{agency}/tasks\",status=\"401\"} 1",
        "pathway_http_requests_total{route=\"unknown\",status=\"404\"} 1",
        "pathway_http_events_total{answer=\"accepted\",partner=\"leighton-hospital\"} 1",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}\n{text}");
    }
}

#[test]
fn too_many_connections_are_refused_and_room_comes_back() {
    let house = House::with(Default::default(), |config| config.limits.connections = 2);
    let address = house.base().strip_prefix("http://").unwrap();
    let ask = || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut first = [0; 12];
        let asked =
            socket.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").and_then(|()| socket.read_exact(&mut first));
        asked.is_ok_and(|()| &first == b"HTTP/1.1 200").then_some(socket)
    };
    let stream = |list: &str, token: &str| {
        let mut socket = TcpStream::connect(address).unwrap();
        let head = format!("GET /v1/{list}/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer");
        write!(socket, "{head} {}\r\n\r\n", house.token(token)).unwrap();
        let mut first = [0; 12];
        socket.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        socket
    };
    let held = [stream("partners/leighton-hospital/feedback", HOSPITAL), stream("agencies/camhs/tasks", "inbox-camhs")];
    assert!(ask().is_none(), "no third place while both are being answered");
    drop(held);
    assert!((0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        ask().is_some()
    }));
}

#[test]
fn connections_that_ask_nothing_shut_nobody_out() {
    let house = House::with(Default::default(), |config| config.limits.connections = 16);
    let address = house.base().strip_prefix("http://").unwrap();
    let mut known = TcpStream::connect(address).unwrap();
    let (list, token) = ("/v1/agencies/camhs/tasks", Some(house.token("inbox-camhs")));
    ask(&mut known, list, token.as_deref());
    let mut idle = Vec::new();
    for _ in 0..5 {
        for number in 0..16 {
            let mut socket = TcpStream::connect(address).unwrap();
            // Half of them begin a request and never end it.
            if number % 2 == 0 {
                socket.write_all(b"GET /livez HTTP/1.1\r\n").unwrap();
            }
            idle.push(socket);
        }
        for path in ["/livez", "/metrics", "/readyz"] {
            ask(&mut TcpStream::connect(address).unwrap(), path, None);
        }
    }
    // Who has shown a token stays, however many come that never did.
    ask(&mut known, list, token.as_deref());
    let metrics = house.get_without_token("/metrics").text;
    let made_room = metrics.lines().find_map(|line| line.strip_prefix("pathway_http_connections_made_room_total "));
    assert!(made_room.and_then(|count| count.parse::<u32>().ok()).is_some_and(|count| count > 60), "{metrics}");
}

#[test]
fn slow_bodies_without_a_token_shut_nobody_out() {
    let house = House::with(Default::default(), |config| config.limits.connections = 8);
    let address = house.base().strip_prefix("http://").unwrap();
    let (list, token) = ("/v1/agencies/camhs/tasks", Some(house.token("inbox-camhs")));
    let mut known = TcpStream::connect(address).unwrap();
    ask(&mut known, list, token.as_deref());
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..4 {
        for path in ["/v1/events", "/v1/outcomes", "/v1/nothing", "/livez"].repeat(2) {
            let mut socket = TcpStream::connect(address).unwrap();
            let head = "host: x\r\nauthorization: Bearer wrong\r\ncontent-type: application/json";
            write!(socket, "POST {path} HTTP/1.1\r\n{head}\r\ncontent-length: 900000\r\n\r\n[").unwrap();
            slow.push(socket);
        }
        std::thread::sleep(Duration::from_millis(100));
        // Those that were closed for others cannot.
        slow.iter_mut().for_each(|socket| drop(socket.write_all(b" ")));
        for path in ["/livez", "/metrics"] {
            ask(&mut TcpStream::connect(address).unwrap(), path, None);
        }
        ask(&mut TcpStream::connect(address).unwrap(), list, token.as_deref());
    }
    ask(&mut known, list, token.as_deref());
}

#[test]
fn a_client_that_opens_one_long_poll_after_another_shuts_nobody_else_out() {
    let house = House::with(Default::default(), |config| config.limits.connections = 8);
    let address = house.base().strip_prefix("http://").unwrap();
    let (list, token) = ("/v1/agencies/camhs/tasks", house.token("inbox-camhs"));
    let mut polling: Vec<TcpStream> = Vec::new();
    let mut refused = 0;
    for _ in 0..12 {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        write!(socket, "GET {list}?wait=20 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n").unwrap();
        let mut first = [0; 12];
        if socket.read_exact(&mut first).is_ok() {
            assert_eq!(&first, b"HTTP/1.1 429");
            refused += 1;
        }
        polling.push(socket);
    }
    assert_eq!(refused, 10, "two are a quarter of eight");
    assert_eq!(house.post_event(&event()).status, 202);
    ask(&mut TcpStream::connect(address).unwrap(), "/readyz", None);
    drop(polling);
    assert!((0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        house.get(list, "inbox-camhs").status == 200
    }));
}

#[test]
fn large_bodies_of_one_token_that_never_end_hold_up_nobody_else() {
    let house = House::open();
    let address = house.base().strip_prefix("http://").unwrap();
    let (head, token) =
        ("POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json", house.token(HOSPITAL));
    let mut stalled: Vec<TcpStream> = Vec::new();
    for _ in 0..64 {
        let mut socket = TcpStream::connect(address).unwrap();
        write!(socket, "{head}\r\nauthorization: Bearer {token}\r\ncontent-length: 900000\r\n\r\n").unwrap();
        socket.write_all(&[b' '; 80 << 10]).unwrap();
        stalled.push(socket);
    }
    std::thread::sleep(Duration::from_millis(500));
    let narrative = "x ".repeat(40_000 / 2);
    let large = |source: &str| {
        let event = || {
            let mut event = event_with("/data", "narrative", narrative.as_str().into());
            event["source"] = source.into();
            event["data"]["immediate_danger"] = true.into();
            event
        };
        serde_json::json!([event(), event(), event()]).to_string()
    };
    let asked = std::time::Instant::now();
    let other = house.post("/v1/events", "police", BATCH, large("police"));
    assert_eq!(other.status, 202, "{}", other.text);
    let refused = house.post("/v1/events", HOSPITAL, BATCH, large(HOSPITAL));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let problem = refused.json();
    assert_eq!((refused.status, refused.retry_after.as_deref()), (429, Some("5")), "{}", refused.text);
    assert_eq!(problem["type"], "urn:pathway-router:problem:too-many-requests");
    assert!(refused.text.contains("16 large bodies") && problem["ring"].is_string(), "{}", refused.text);
    assert_eq!(house.post_event(&event()).status, 202, "a small one waits for no turn");
    drop(stalled);
    assert!((0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        house.post("/v1/events", HOSPITAL, BATCH, large(HOSPITAL)).status == 202
    }));
}

#[test]
fn what_an_alert_watches_is_there_before_it_first_happens() {
    let house = House::with(Default::default(), |config| {
        config.partners.get_mut("leighton-hospital").unwrap().seldom = true;
    });
    let text = house.get_without_token("/metrics").text;
    for line in [
        "pathway_http_requests_total{route=\"/v1/events\",status=\"401\"} 0",
        "pathway_http_requests_total{route=\"/v1/events\",status=\"429\"} 0",
        "pathway_http_requests_total{route=\"/v1/agencies/{agency}/tasks\",status=\"401\"} 0",
        "pathway_partner_seldom{partner=\"leighton-hospital\"} 1",
        "pathway_partner_seldom{partner=\"police\"} 0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}\n{text}");
    }
}

/// Asks on a connection that is open, and is answered.
fn ask(socket: &mut TcpStream, path: &str, token: Option<&str>) {
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(socket, "GET {path} HTTP/1.1\r\nhost: x\r\n{authorization}\r\n").unwrap();
    let mut first = [0; 12];
    socket.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200", "{path}");
    let mut rest = [0; 65_536];
    assert!(socket.read(&mut rest).unwrap() > 0, "{path}");
}
