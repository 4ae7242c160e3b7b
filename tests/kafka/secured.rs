//! A cluster that asks who we are: TLS, passwords, rights and a schema registry, through the router's own commands, with a
//! partner and an agency in another language.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::PoisonError;
use std::time::Instant;

use pathway_router::engine::codec;
use pathway_router::engine::model::event::ReferralEvent;
use rdkafka::error::RDKafkaErrorCode;

use super::house::{Cluster, House, ONE_AT_A_TIME, Running, broker_section, cluster, start, wait_for};
use super::server::script;

fn sample(kind: &str, id: &str) -> ReferralEvent {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/samples/events/{kind}.json"));
    let json = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let mut event = pathway_router::engine::cloud_event::read(&json).unwrap().event;
    id.clone_into(&mut event.event_id);
    "leighton-hospital".clone_into(&mut event.source.partner);
    "emergency-department".clone_into(&mut event.source.unit);
    event
}

#[test]
fn a_partner_and_an_agency_in_another_language_are_served_and_kept_apart() {
    let Some((_turn, cluster)) = cluster() else { return };
    let house = House::secured(cluster);
    let admin = cluster.properties("admin");
    let (code, planned) = house.topics("plan", &admin);
    assert_eq!(code, Some(1), "{planned}");
    for said in
        ["create referrals.police: 1 partitions", "message.timestamp.type=LogAppendTime", "fixed once they exist"]
    {
        assert!(planned.contains(said), "{said}: {planned}");
    }
    assert!(planned.contains("grant: User:hospital may Write Topic referrals.leighton-hospital\n"), "{planned}");
    assert!(planned.contains("register tasks.camhs-value"), "{planned}");
    let (code, applied) = house.topics("apply", &admin);
    assert_eq!(code, Some(0), "{applied}");
    let (code, again) = house.topics("plan", &admin);
    assert_eq!(code, Some(0), "{again}");
    assert!(again.contains("rights: 0 to grant") && again.contains("schemas: 0 to change"), "{again}");

    // Each stage by a process of its own.
    let (intake, decide) = (Running::of(&house, &["--stages", "intake"]), Running::of(&house, &["--stages", "decide"]));
    intake.until_it_says(" ready");
    decide.until_it_says(" ready");
    served_in_python(cluster);
    kept_apart(cluster, &house);
    a_schema_that_came_late(cluster, &house);
    a_newcomer_is_heard(cluster, &house, &intake);
    a_right_that_is_taken_away_is_named(cluster, &house, &decide);
    a_right_to_read_that_is_taken_away_is_named(cluster, &house, [&intake, &decide]);
    let log = intake.stop() + &decide.stop();
    for user in ["router", "admin", "hospital"] {
        assert!(!log.contains(&cluster.password(user)), "a password in the log");
    }
    a_cluster_knows_its_keys(cluster);
}

fn served_in_python(cluster: &Cluster) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let id = "5b0d9a44-0d2e-4c58-9a35-1f7a3b1c0e01";
    let output = Command::new(root.join("tests/kafka/foreign/run.sh"))
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign-python"))
        .args([&cluster.bootstrap, &cluster.registry])
        .args([cluster.properties("hospital"), cluster.properties("camhs")])
        .arg(root.join("schemas/referral-event.avsc"))
        .arg(id)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["feedback"]["event_id"], id, "{said}");
    assert_eq!((&said["task"]["agency"], &said["task"]["given_names"]), (&"camhs".into(), &"Test".into()), "{said}");
    assert_eq!(said["headers"]["traceparent"], said["trace"], "{said}");
    assert_eq!(said["headers"]["ce_type"], "task.raised", "{said}");
}

fn kept_apart(cluster: &Cluster, house: &House) {
    let denied = Err(RDKafkaErrorCode::TopicAuthorizationFailed);
    let event = sample("self_harm.reported", "5b0d9a44-0d2e-4c58-9a35-1f7a3b1c0e02");
    let value = codec::encode(&event).unwrap();
    for topic in ["referrals.police", "gateway.http", "inbox", "tasks.camhs", "rulebooks"] {
        assert_eq!(cluster.write("hospital", topic, &value, &[]), denied, "{topic}");
    }
    for (user, topic) in [("camhs", "tasks.police"), ("camhs", "inbox"), ("hospital", "feedback.police")] {
        assert_eq!(cluster.read(user, topic, |_, _| Some(())), denied, "{user} {topic}");
    }
    // What only the gateway may stamp is not believed of a partner: the event is judged as its own, and gives tasks.
    let trace = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let stamps = [("unit", "paediatrics"), ("backfill", "true"), ("partner", "police"), ("refused", "too_large")];
    let forged = [&stamps[..], &[("traceparent", trace)]].concat();
    let own = "referrals.leighton-hospital";
    assert_eq!(cluster.write("hospital", own, &value, &forged), Ok(()));
    let fed_back = |id: &str| {
        let id = id.to_owned();
        cluster.read("hospital", "feedback.leighton-hospital", move |value, headers| {
            let unit = headers.into_iter().find(|(name, _)| name == "unit").map(|(_, unit)| unit);
            String::from_utf8_lossy(value).contains(&id).then_some(unit)
        })
    };
    assert_eq!(fed_back(&event.event_id), Ok(Some("emergency-department".to_owned())));
    let task = cluster.read("camhs", "tasks.camhs", |_, headers| {
        headers.iter().any(|(name, value)| name == "traceparent" && value == trace).then_some(())
    });
    assert_eq!(task, Ok(()), "it was not taken for history");
    // Another's name on one's own topic.
    let mut stolen = sample("self_harm.reported", "5b0d9a44-0d2e-4c58-9a35-1f7a3b1c0e03");
    "police".clone_into(&mut stolen.source.partner);
    assert_eq!(cluster.write("hospital", own, &codec::encode(&stolen).unwrap(), &[("partner", "police")]), Ok(()));
    // An id that the registry does not have.
    let unknown = [&[0, 0, 0x7F, 0xFF, 0xFF][..], &value[10..]].concat();
    assert_eq!(cluster.write("hospital", own, &unknown, &[]), Ok(()));
    let listed = wait_for(
        "both in quarantine",
        || {
            let (_, listed) = house.run(&["quarantine", "list"]);
            (listed.contains("wrong_source") && listed.contains("unknown_schema")).then_some(listed)
        },
        || house.run(&["quarantine", "list"]).1,
    );
    assert!(listed.contains("leighton-hospital"), "{listed}");
}

/// A record came before its schema was registered: once it is, the operator sends the record on, and its sender nothing.
fn a_schema_that_came_late(cluster: &Cluster, house: &House) {
    let register = |subject: &str, schema: &str| -> u32 {
        let url = format!("{}/subjects/{subject}/versions", cluster.registry);
        let body = serde_json::json!({ "schema": schema }).to_string();
        let sent = ureq::post(url).header("content-type", "application/vnd.schemaregistry.v1+json").send(body);
        let answer = sent.unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str::<serde_json::Value>(&answer).unwrap()["id"].as_u64().unwrap().try_into().unwrap()
    };
    let next = 1 + register("of-no-concern", r#"{"type": "fixed", "name": "OfNoConcern", "size": 3}"#);
    let event = sample("missing.started", "5b0d9a44-0d2e-4c58-9a35-1f7a3b1c0e05");
    let framed = [&[0][..], &next.to_be_bytes(), &codec::encode(&event).unwrap()[10..]].concat();
    assert_eq!(cluster.write("hospital", "referrals.leighton-hospital", &framed, &[]), Ok(()));
    let unread = || {
        let listed = house.run(&["quarantine", "list", "--reason", "unknown_schema"]).1;
        listed.lines().filter(|line| line.contains("unknown_schema")).map(str::to_owned).collect::<Vec<_>>()
    };
    let both = wait_for("both in quarantine", || Some(unread()).filter(|lines| lines.len() == 2), String::new);
    let id = both[1].split_whitespace().next().unwrap();
    let (code, refused) = house.run(&["quarantine", "retry", id, "--really"]);
    assert!(code == Some(1) && refused.contains(&format!("no schema with id {next}")), "{refused}");
    let own = pathway_router::engine::schema::SchemaName::ReferralEvent.text();
    assert_eq!(register("late-value", &own.replacen("\"doc\"", "\"comment\": \"of a partner\", \"doc\"", 1)), next);
    let retry = || Some(house.run(&["quarantine", "retry", id, "--really"])).filter(|(code, _)| *code == Some(0));
    wait_for("it is sent on", retry, || house.run(&["quarantine", "retry", id, "--really"]).1);
    let fed_back = cluster.read("hospital", "feedback.leighton-hospital", |value, _| {
        String::from_utf8_lossy(value).contains(&event.event_id).then_some(())
    });
    assert_eq!(fed_back, Ok(()));
}

/// A partner that joins while the routers run. Who judges is told nothing, and answers it all the same.
fn a_newcomer_is_heard(cluster: &Cluster, house: &House, intake: &Running) {
    house.edit(
        "[partners.police]",
        "[partners.newcomer]\nunits = \"any\"\nprincipal = \"User:hospital\"\n\n[partners.police]",
    );
    let (code, applied) = house.topics("apply", &cluster.properties("admin"));
    assert_eq!(code, Some(0), "{applied}");
    assert!(applied.contains("create referrals.newcomer"), "{applied}");
    intake.signal("-HUP");
    intake.until_it_says("partners and tokens were read again");
    let mut event = sample("missing.started", "5b0d9a44-0d2e-4c58-9a35-1f7a3b1c0e04");
    "newcomer".clone_into(&mut event.source.partner);
    let value = codec::encode(&event).unwrap();
    assert_eq!(cluster.write("hospital", "referrals.newcomer", &value, &[]), Ok(()));
    let sent = Instant::now();
    assert_eq!(cluster.read("hospital", "feedback.newcomer", |_, _| Some(())), Ok(()));
    eprintln!("a new partner's first event was answered after {} ms", sent.elapsed().as_millis());
}

/// While the router runs: it must not go on trying for ever without a word. Once the right is back, so is the work.
fn a_right_that_is_taken_away_is_named(cluster: &Cluster, house: &House, decide: &Running) {
    take_right(cluster, &["--operation", "Write", "--topic", "tasks.", "--resource-pattern-type", "prefixed"]);
    let event = sample("self_harm.reported", "5b0d9a44-0d2e-4c58-9a35-1f7a3b1c0e06");
    let value = codec::encode(&event).unwrap();
    assert_eq!(cluster.write("hospital", "referrals.leighton-hospital", &value, &[]), Ok(()));
    decide.until_it_says("lacks a right on Kafka");
    assert!(decide.log().contains("a record could not be written to "), "{}", decide.log());
    assert_eq!(house.topics("apply", &cluster.properties("admin")).0, Some(0));
    let fed_back = cluster.read("hospital", "feedback.leighton-hospital", |value, _| {
        String::from_utf8_lossy(value).contains(&event.event_id).then_some(())
    });
    assert_eq!(fed_back, Ok(()));
}

fn take_right(cluster: &Cluster, right: &[&str]) {
    let output = Command::new(script())
        .arg("run")
        .arg(&cluster.folder)
        .args(["org.apache.kafka.tools.AclCommand", "--bootstrap-server", &cluster.bootstrap, "--command-config"])
        .arg(cluster.folder.join("admin.properties"))
        .args(["--remove", "--force", "--allow-principal", "User:router"])
        .args(right)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains("Error"), "{said}");
}

/// librdkafka says it once, and the lane would stand still and look well.
fn a_right_to_read_that_is_taken_away_is_named(cluster: &Cluster, house: &House, [intake, decide]: [&Running; 2]) {
    let prefixed = ["--operation", "Read", "--topic", "referrals.", "--resource-pattern-type", "prefixed"];
    let inbox = ["--operation", "Read", "--topic", "inbox"];
    let group = ["--operation", "Read", "--group", "intake"];
    for (router, right, what) in [
        (intake, &prefixed[..], "referrals."),
        (decide, &inbox[..], "inbox, partition"),
        (intake, &group[..], "group intake"),
    ] {
        take_right(cluster, right);
        let names = |said: &str| said.contains("lacks a right on Kafka") && said.contains(what);
        wait_for(what, || Some(router.readiness()).filter(|said| names(said)), || router.log());
        // Its log is read by another thread, which may be behind.
        let said = || router.log().lines().any(|line| line.contains("ERROR") && names(line)).then_some(());
        wait_for(what, said, || router.log());
        assert_eq!(house.topics("apply", &cluster.properties("admin")).0, Some(0));
        let reads = |said: &String| said.contains("\"ready\":true") && said.contains("\"warnings\":[]");
        wait_for("that it reads again", || Some(router.readiness()).filter(reads), || router.log());
    }
}

fn a_cluster_knows_its_keys(cluster: &Cluster) {
    let stranger = House::secured(cluster);
    let (code, log) = Running::start(&stranger).ended();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("another subject key"), "{log}");
}

/// `run` and `topics plan` both say this and no secret.
fn check_refused(house: &House, secrets: &[&str], says: &str) {
    // Where a line is broken depends on what stands before.
    let whole = |text: String| text.replace("\n  │ ", " ");
    let (code, log) = Running::start(house).ended();
    let log = whole(log);
    assert!(code != Some(0) && log.contains(says), "{code:?} {log}");
    let (code, planned) = house.run(&["topics", "plan"]);
    let planned = whole(planned);
    assert!(code != Some(0) && planned.contains(says), "{code:?} {planned}");
    for secret in secrets {
        assert!(!log.contains(secret) && !planned.contains(secret), "a secret in {log}{planned}");
    }
}

fn private(house: &House, name: &str, text: &str) -> PathBuf {
    let file = house.folder.path().join(name);
    let mut made = fs::File::create(&file).unwrap();
    made.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    made.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn a_wrong_password_a_wrong_authority_and_a_missing_right_are_named_and_no_secret_is() {
    let Some((_turn, cluster)) = cluster() else { return };
    let good = fs::read_to_string(cluster.properties("router")).unwrap();
    let house = House::secured(cluster);
    // Whichever test comes first: there are topics that one without rights is not shown.
    let (code, applied) = house.topics("apply", &cluster.properties("admin"));
    assert_eq!(code, Some(0), "{applied}");
    let before = cluster.properties("router").display().to_string();
    let wrong = private(&house, "wrong.properties", &good.replace(&cluster.password("router"), "open-sesame"));
    house.edit(&before, &wrong.display().to_string());
    check_refused(&house, &["open-sesame"], "Authentication failed");

    let authority = authority_of_another(&house);
    let other = private(&house, "other.properties", &good.replace("/ca.pem", "/none.pem"));
    let text = fs::read_to_string(&other).unwrap();
    let known = cluster.folder.join("none.pem").display().to_string();
    fs::write(&other, text.replace(&known, &authority.display().to_string())).unwrap();
    house.edit(&wrong.display().to_string(), &other.display().to_string());
    check_refused(&house, &[&cluster.password("router")], "certificate verify failed");

    // The hospital's own name may do nothing of what a router does.
    house.edit(&other.display().to_string(), &cluster.properties("hospital").display().to_string());
    check_refused(&house, &[&cluster.password("hospital")], "lacks a right on Kafka");
}

/// An authority that has signed nothing here.
fn authority_of_another(house: &House) -> PathBuf {
    let (key, file) = (house.folder.path().join("other.key"), house.folder.path().join("other.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=another", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(&file)
        .output()
        .unwrap();
    assert!(made.status.success());
    file
}

#[test]
fn an_unreachable_cluster_and_an_unreachable_registry_are_waited_for() {
    let Some((_turn, cluster)) = cluster() else { return };
    let house = House::secured(cluster);
    house.edit(&cluster.bootstrap, "127.0.0.1:1");
    let running = Running::start(&house);
    let waiting = || {
        let said = running.readiness();
        said.contains("Kafka").then_some(said)
    };
    let said = wait_for("what it waits for", waiting, || running.log());
    assert!(said.contains("\"ready\":false") && !said.contains("storage failed"), "{said}");
    running.until_it_says("it is tried again");
    running.stop();

    let house = House::secured(cluster);
    assert_eq!(house.topics("apply", &cluster.properties("admin")).0, Some(0));
    house.edit(&cluster.registry, "http://127.0.0.1:1");
    let running = Running::start(&house);
    let waiting = || {
        let said = running.readiness();
        said.contains("the schema registry does not answer").then_some(said)
    };
    wait_for("what it waits for", waiting, || running.log());
    running.stop();
}

#[test]
fn a_certificate_is_enough_to_say_who_we_are() {
    let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((folder, bootstrap)) = start("certificates", &["--tls", "--acls"]) else { return };
    let broker = broker_section(&bootstrap, &folder.join("router.client.properties"), "User:CN=router");
    let house = House::new(&broker, None, "User:CN=NAME");
    let (code, applied) = house.topics("apply", &folder.join("admin.client.properties"));
    assert_eq!(code, Some(0), "{applied}");
    let running = Running::start(&house);
    running.until_it_says(" ready");
    running.stop();
    let (code, refused) = house.topics("apply", &folder.join("hospital.client.properties"));
    assert!(code == Some(2) || code == Some(1), "{refused}");
    assert!(refused.contains("lacks a right on Kafka"), "{refused}");
    Command::new(script()).arg("stop").arg(&folder).output().unwrap();
    drop(turn);
}
