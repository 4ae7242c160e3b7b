//! The embedded broker: the suite, and what its file promises.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pathway_router::broker::embedded::{self, Embedded, EmbeddedOptions, Expected};
use pathway_router::broker::{BatchLimit, Broker, BrokerError, Clock, Health, LaneShare, TopicSpec};
use tempfile::TempDir;

use super::kit::{
    Harness, Owner, compacted, consumed, contents, names, poll_all, publish, topic, values, write, write_to,
};

struct InFile(TempDir);

impl InFile {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn options(&self) -> EmbeddedOptions {
        EmbeddedOptions::new(self.0.path().join("router.db"))
    }

    fn broker(&self) -> Embedded {
        Embedded::open(self.options()).unwrap()
    }
}

impl Harness for InFile {
    fn open(&self, clock: Clock) -> Arc<dyn Broker> {
        Arc::new(Embedded::open(EmbeddedOptions { clock, ..self.options() }).unwrap())
    }

    fn reopen(&self, before: Arc<dyn Broker>, clock: Clock) -> Arc<dyn Broker> {
        before.close();
        self.open(clock)
    }

    fn open_without_queue(&self) -> Arc<dyn Broker> {
        Arc::new(Embedded::open(EmbeddedOptions { queue_requests_max: 0, ..self.options() }).unwrap())
    }
}

crate::suite::suite!(Some(InFile::new()));
crate::alone::alone!(Some(InFile::new()));

const ALONE: LaneShare = LaneShare { index: 0, count: 1 };

#[test]
fn a_second_process_is_told_who_has_the_file() {
    let file = InFile::new();
    let first = file.broker();
    let Err(BrokerError::InUse(message)) = Embedded::open(file.options()) else { panic!("opened twice") };
    assert!(message.contains("router.db is in use by process"), "{message}");
    assert!(message.contains(&std::process::id().to_string()), "{message}");
    drop(first);
    file.broker();
}

#[test]
fn a_full_disk_stops_acceptance_and_loses_nothing() {
    let file = InFile::new();
    let broker = file.broker();
    broker.ensure_topics(&[topic("in", 1), topic("out", 1)]).unwrap();
    broker.limit_file_bytes(Some(4 << 20));
    let large = "x".repeat(50_000);
    let mut accepted = 0;
    let refusal = loop {
        match publish(&broker, vec![write("in", "a", &large)]) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refusal, BrokerError::DiskFull(_)), "{refusal:?}");
    assert_eq!(broker.health(), Health::DiskFull);
    assert!(accepted > 10);
    // A lane's transaction waits for room rather than failing.
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    let transaction = std::thread::spawn(move || {
        let mut owner = Owner::default();
        let records = poll_all(&mut *lane, &mut owner);
        lane.stage(vec![write("out", "a", &large)], records.iter().map(consumed).collect()).unwrap();
        lane.commit(&mut owner).unwrap();
        records.len()
    });
    std::thread::sleep(Duration::from_millis(100));
    assert!(matches!(publish(&broker, vec![write("in", "a", "small")]), Err(BrokerError::DiskFull(_))));
    broker.limit_file_bytes(None);
    assert_eq!(transaction.join().unwrap(), accepted);
    assert_eq!(broker.health(), Health::Ready);
    publish(&broker, vec![write("in", "a", "small")]).unwrap();
    let broker = file.reopen(Arc::new(broker), pathway_router::broker::system_clock());
    assert_eq!(contents(&*broker, "in", 0).len(), accepted + 1);
    assert_eq!(contents(&*broker, "out", 0).len(), 1);
}

/// As `sqlite3` does with the file open for writing, or a checkpoint of its that waits for a reader.
#[test]
fn a_file_that_another_program_holds_is_waited_for_and_nothing_is_lost_or_twice() {
    let file = InFile::new();
    let broker = Arc::new(file.broker());
    broker.ensure_topics(&[topic("in", 1), topic("out", 1)]).unwrap();
    publish(&*broker, vec![write("in", "a", "before")]).unwrap();
    let other = rusqlite::Connection::open(file.options().path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    let transaction = std::thread::spawn(move || {
        let mut owner = Owner::default();
        let records = poll_all(&mut *lane, &mut owner);
        lane.stage(vec![write("out", "a", "of it")], records.iter().map(consumed).collect()).unwrap();
        lane.commit(&mut owner).unwrap();
        (owner.committed, owner.aborted)
    });
    let refusal = publish(&*broker, vec![write("in", "a", "meanwhile")]).unwrap_err();
    assert!(matches!(&refusal, BrokerError::HeldByAnother(path) if path.contains("router.db")), "{refusal:?}");
    assert_eq!(broker.health(), Health::HeldByAnother);
    let asked = Instant::now();
    assert!(publish(&*broker, vec![write("in", "a", "meanwhile")]).is_err());
    assert!(broker.ensure_topics(&[topic("in", 1), topic("of a new partner", 1)]).is_err());
    assert!(asked.elapsed() < Duration::from_secs(2), "once it is known, nobody waits for it");
    broker.ensure_topics(&[topic("in", 1), topic("out", 1)]).expect("there is nothing to make");
    assert!(!transaction.is_finished(), "what a lane has done waits");

    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(transaction.join().unwrap(), (1, 0));
    let deadline = Instant::now() + Duration::from_secs(60);
    while broker.health() != Health::Ready {
        assert!(Instant::now() < deadline, "it goes on by itself: {:?}", broker.health());
        std::thread::sleep(Duration::from_millis(20));
    }
    publish(&*broker, vec![write("in", "a", "after")]).unwrap();
    let broker = file.reopen(broker, pathway_router::broker::system_clock());
    assert_eq!(contents(&*broker, "in", 0), ["before", "after"]);
    assert_eq!(contents(&*broker, "out", 0), ["of it"]);
}

#[test]
fn a_backup_is_a_log_of_its_own() {
    let file = InFile::new();
    let broker = file.broker();
    broker.ensure_topics(&[topic("in", 1)]).unwrap();
    publish(&broker, vec![write("in", "a", "1"), write("in", "a", "2")]).unwrap();
    let mut owner = Owner::default();
    let mut lane = broker.lane(names("g", &["in"]), ALONE).unwrap();
    let records = poll_all(&mut *lane, &mut owner);
    lane.stage(Vec::new(), vec![consumed(&records[0])]).unwrap();
    lane.commit(&mut owner).unwrap();
    let copy = file.0.path().join("copy.db");
    broker.backup(&copy).unwrap();
    assert!(matches!(broker.backup(&copy), Err(BrokerError::InUse(_))), "never over a file");
    publish(&broker, vec![write("in", "a", "3")]).unwrap();
    let restored = Embedded::open(EmbeddedOptions::new(copy)).unwrap();
    assert_eq!(contents(&restored, "in", 0), ["1", "2"]);
    let mut lane = restored.lane(names("g", &["in"]), ALONE).unwrap();
    assert_eq!(values(&poll_all(&mut *lane, &mut owner)), ["2"]);
}

#[test]
fn what_a_copy_that_was_cut_off_has_left_goes() {
    let house = InFile::new();
    let broker = house.broker();
    let (copy, rubbish) = (house.0.path().join("copy.db"), house.0.path().join("copy.db.part-journal"));
    std::fs::write(&rubbish, [7; 600]).unwrap();
    broker.backup(&copy).unwrap();
    assert!(copy.is_file() && !rubbish.exists());
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let house = InFile::new();
    house.broker().close();
    let path = house.0.path().join("router.db");
    // Whoever may do everything cannot open a folder for writing either.
    let beside = house.0.path().join("router.db-wal");
    let _ = std::fs::remove_file(&beside);
    std::fs::create_dir(&beside).unwrap();
    let refused = Embedded::open(house.options()).err().expect("it cannot be used").to_string();
    assert!(refused.contains("router.db-wal cannot be opened"), "{refused}");
    std::fs::remove_dir(&beside).unwrap();
    std::os::unix::fs::symlink(house.0.path().join("loop"), house.0.path().join("loop")).unwrap();
    let options = EmbeddedOptions { path: house.0.path().join("loop"), expected: Expected::File, ..house.options() };
    let refused = Embedded::open(options).err().expect("it cannot be looked at").to_string();
    assert!(!refused.contains("backup") && refused.contains("loop: "), "nobody is sent to a backup: {refused}");
    assert!(path.is_file());
}

#[test]
fn nothing_and_another_program_s_file_are_not_copied() {
    let folder = TempDir::new().unwrap();
    let (empty, other, copy) = (folder.path().join("e.db"), folder.path().join("o.db"), folder.path().join("copy.db"));
    std::fs::write(&empty, "").unwrap();
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE theirs (it TEXT)").unwrap();
    for (file, why) in [(&empty, "is empty"), (&other, "another program")] {
        let mode = || std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
        let before = mode();
        let refused = embedded::backup(file, &copy).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
        assert!(!copy.exists());
        let options = EmbeddedOptions { expected: Expected::File, ..EmbeddedOptions::new(file.clone()) };
        assert!(Embedded::open(options).is_err_and(|error| error.to_string().contains(why)));
        assert_eq!(mode(), before, "what is not ours is left as it is");
    }
}

#[test]
fn what_is_written_once_the_file_was_removed_or_replaced_is_not_acknowledged() {
    for replace in [false, true] {
        let file = InFile::new();
        let broker = file.broker();
        broker.ensure_topics(&[topic("in", 1)]).unwrap();
        publish(&broker, vec![write("in", "a", "1")]).unwrap();
        let path = file.options().path;
        std::fs::rename(&path, file.0.path().join("away.db")).unwrap();
        if replace {
            std::fs::copy(file.0.path().join("away.db"), &path).unwrap();
        }
        let answer = publish(&broker, vec![write("in", "a", "lost")]);
        assert!(matches!(&answer, Err(BrokerError::Storage(why)) if why.contains("removed or replaced")), "{answer:?}");
        assert!(matches!(broker.health(), Health::Failed(_)));
    }
}

/// Nobody is to hear of it first by an event that is refused.
#[test]
fn an_idle_router_tells_that_another_program_holds_its_file() {
    let file = InFile::new();
    let broker = file.broker();
    broker.ensure_topics(&[topic("in", 1)]).unwrap();
    let other = rusqlite::Connection::open(file.options().path).unwrap();
    let until = |health: &Health| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while broker.health() != *health {
            assert!(Instant::now() < deadline, "{:?}", broker.health());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    until(&Health::HeldByAnother);
    other.execute_batch("ROLLBACK").unwrap();
    until(&Health::Ready);
    publish(&broker, vec![write("in", "a", "after")]).unwrap();
}

/// What was acknowledged lies in the log alone until it is moved into the file.
#[test]
fn a_log_removed_under_the_router_stops_it_and_loses_nothing_acknowledged() {
    let file = InFile::new();
    let broker = file.broker();
    broker.ensure_topics(&[topic("in", 1)]).unwrap();
    publish(&broker, vec![write("in", "a", "1")]).unwrap();
    std::fs::remove_file(file.0.path().join("router.db-wal")).unwrap();
    let answer = publish(&broker, vec![write("in", "a", "unanswered")]);
    assert!(matches!(&answer, Err(BrokerError::Storage(why)) if why.contains("-wal")), "{answer:?}");
    let deadline = Instant::now() + Duration::from_secs(60);
    let kept = || {
        let copy = TempDir::new().unwrap();
        std::fs::copy(file.options().path, copy.path().join("router.db")).unwrap();
        let broker = Embedded::open(EmbeddedOptions::new(copy.path().join("router.db")));
        let first = |broker: Embedded| broker.reader().read("in", 0, 0, 1).ok()?.pop()?.value;
        broker.is_ok_and(|broker| first(broker) == Some(b"1".to_vec()))
    };
    while !kept() {
        assert!(Instant::now() < deadline, "it lies in the file");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// As `: > router.db-wal` does, to make room.
#[test]
fn a_log_emptied_under_the_router_stops_it_and_is_missed_at_the_next_start() {
    for is_idle in [false, true] {
        let file = InFile::new();
        let broker = file.broker();
        broker.ensure_topics(&[topic("in", 1)]).unwrap();
        publish(&broker, vec![write("in", "a", "1")]).unwrap();
        std::fs::write(file.0.path().join("router.db-wal"), "").unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while is_idle && broker.health() == Health::Ready {
            assert!(Instant::now() < deadline, "it is noticed though nobody sends");
            std::thread::sleep(Duration::from_millis(20));
        }
        let answer = publish(&broker, vec![write("in", "a", "2")]);
        assert!(matches!(&answer, Err(BrokerError::Storage(why)) if why.contains("emptied or cut")), "{answer:?}");
        assert!(matches!(broker.health(), Health::Failed(_)));
        drop(broker);
        let refused = Embedded::open(file.options()).map(drop);
        assert!(matches!(&refused, Err(BrokerError::Mismatch(why)) if why.contains("-wal is empty")), "{refused:?}");
    }
}

/// It moved all of it into the file: nothing is missing, also after a crash.
#[test]
fn a_log_that_another_program_emptied_in_order_is_not_missed() {
    let file = InFile::new();
    let broker = file.broker();
    broker.ensure_topics(&[topic("in", 1)]).unwrap();
    let other = rusqlite::Connection::open(file.options().path).unwrap();
    let empty = || {
        other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).unwrap();
    };
    for value in ["1", "2", "3"] {
        publish(&broker, vec![write("in", "a", value)]).unwrap();
        empty();
    }
    let said = || std::fs::read_to_string(file.0.path().join("router.db.lock")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while said().contains("it holds records") {
        assert!(Instant::now() < deadline, "{}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(said().contains("write-ahead log of file"), "{}", said());
    publish(&broker, vec![write("in", "a", "4")]).unwrap();
    assert!(said().contains("it holds records"), "{}", said());
    assert_eq!((broker.health(), contents(&broker, "in", 0).len()), (Health::Ready, 4));
}

/// What starts the log over need not be a record that is accepted: an older log is told by where the lock says that this one began.
#[test]
fn whatever_starts_the_log_over_the_lock_says_which_it_is() {
    let file = InFile::new();
    let broker = file.broker();
    let kept = Some(Duration::from_secs(3600));
    broker.ensure_topics(&[TopicSpec { retention: kept, ..topic("in", 1) }]).unwrap();
    publish(&broker, vec![write("in", "a", "1")]).unwrap();
    let begun = || {
        let log = std::fs::read(file.0.path().join("router.db-wal")).unwrap();
        u32::from_be_bytes(log[16..20].try_into().unwrap())
    };
    let said = || std::fs::read_to_string(file.0.path().join("router.db.lock")).unwrap();
    let says = |begun: u32| said().ends_with(&format!("begun as {begun}\n"));
    let other = rusqlite::Connection::open(file.options().path).unwrap();
    let all_in_file = || {
        other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0)).unwrap();
        begun()
    };
    let before = all_in_file();
    broker.delete_expired().unwrap();
    assert!(begun() != before && says(begun()), "retention: {before}, {}, {}", begun(), said());
    let before = all_in_file();
    broker.ensure_topics(&[topic("of a new partner", 1)]).unwrap();
    assert!(begun() != before && says(begun()), "topics: {before}, {}, {}", begun(), said());
}

/// As when its folder is closed to us for a while: nobody can tell, and what was opened is written on.
#[test]
fn a_file_that_cannot_be_looked_at_is_not_taken_for_removed() {
    let file = InFile::new();
    let broker = file.broker();
    broker.ensure_topics(&[topic("in", 1)]).unwrap();
    let folder = file.0.path().to_owned();
    let away = folder.with_extension("away");
    std::fs::rename(&folder, &away).unwrap();
    // A file in the folder's place: looking beneath it fails, and not for want of the file.
    std::fs::write(&folder, b"").unwrap();
    let answer = publish(&broker, vec![write("in", "a", "1")]);
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(broker.health(), Health::Ready);
    assert_eq!(contents(&broker, "in", 0), ["1"]);
}

#[test]
fn a_compacted_topic_comes_to_hold_one_record_a_key() {
    let file = InFile::new();
    let broker = file.broker();
    broker.ensure_topics(&[compacted("history", 1)]).unwrap();
    for n in 0..200 {
        publish(&broker, (0..10).map(|key| write("history", &key.to_string(), &n.to_string())).collect()).unwrap();
    }
    let kept = |broker: &dyn Broker| contents(broker, "history", 0);
    let mut waits = 0;
    while kept(&broker).len() > 10 && waits < 600 {
        std::thread::sleep(Duration::from_millis(100));
        waits += 1;
    }
    assert_eq!(kept(&broker), vec!["199"; 10]);
}

#[test]
fn another_programs_file_is_refused() {
    let file = InFile::new();
    let path = file.0.path().join("other.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(other);
    let Err(BrokerError::Mismatch(message)) = Embedded::open(EmbeddedOptions::new(path)) else { panic!("opened") };
    assert!(message.contains("another program"), "{message}");
}

/// A process that never closed: the file as it was, copied with its write-ahead log.
#[test]
fn an_unclosed_file_opens_with_all_that_was_acknowledged() {
    let file = InFile::new();
    let broker = file.broker();
    broker.ensure_topics(&[topic("in", 1)]).unwrap();
    for n in 0..50 {
        publish(&broker, vec![write_to("in", 0, &n.to_string())]).unwrap();
    }
    let elsewhere = TempDir::new().unwrap();
    for name in ["router.db", "router.db-wal"] {
        std::fs::copy(file.0.path().join(name), elsewhere.path().join(name)).unwrap();
    }
    let copy = Embedded::open(EmbeddedOptions::new(elsewhere.path().join("router.db"))).unwrap();
    assert_eq!(contents(&copy, "in", 0).len(), 50);
}

/// What a lost data file must not do: begin again with nothing, unnoticed.
#[test]
fn a_file_that_is_not_as_expected_is_refused_by_name() {
    let file = InFile::new();
    let open = |expected, key: &str| {
        let belongs_to = vec![("subject key", key.to_owned())];
        Embedded::open(EmbeddedOptions { expected, belongs_to, ..file.options() })
    };
    let refused = |expected, key, words: &str| {
        let Err(BrokerError::Mismatch(message)) = open(expected, key) else { panic!("opened: {words}") };
        assert!(message.contains("router.db") && message.contains(words), "{message}");
    };
    refused(Expected::File, "a", "is not there");
    assert!(!file.0.path().join("router.db").exists(), "a refusal makes no file");
    std::fs::write(file.0.path().join("router.db"), b"").unwrap();
    refused(Expected::File, "a", "is empty");
    drop(open(Expected::Nothing, "a").unwrap());
    refused(Expected::Nothing, "a", "without --new-data-file");
    refused(Expected::File, "b", "another subject key");
    drop(open(Expected::File, "a").unwrap());
}

#[test]
fn damage_met_while_reading_is_the_brokers_health_and_names_the_file() {
    let file = InFile::new();
    let broker = file.broker();
    broker.ensure_topics(&[topic("in", 1)]).unwrap();
    for _ in 0..50 {
        publish(&broker, vec![write("in", "a", &"x".repeat(4000))]).unwrap();
    }
    drop(broker);
    let path = file.0.path().join("router.db");
    let mut bytes = std::fs::read(&path).unwrap();
    // Not where the file is described, nor the newest record.
    let middle = bytes.len() * 2 / 5..bytes.len() * 3 / 5;
    bytes[middle].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let broker = file.broker();
    broker.reader().read("in", 0, 0, 100).unwrap_err();
    let Health::Failed(problem) = broker.health() else { panic!("{:?}", broker.health()) };
    assert!(problem.contains("router.db") && problem.contains("restore a backup"), "{problem}");
    publish(&broker, vec![write("in", "a", "1")]).unwrap_err();
}

/// As a backup that was put back beside the log of another file: what comes would never be read.
#[test]
fn a_group_that_has_read_further_than_there_is_stops_the_broker() {
    let file = InFile::new();
    let broker = file.broker();
    broker.ensure_topics(&[topic("in", 1)]).unwrap();
    publish(&broker, vec![write("in", "a", "1")]).unwrap();
    let mut lane = broker.lane(names("readers", &["in"]), LaneShare { index: 0, count: 1 }).unwrap();
    let mut owner = Owner::default();
    let records = poll_all(&mut *lane, &mut owner);
    lane.stage(Vec::new(), vec![consumed(&records[0])]).unwrap();
    lane.commit(&mut owner).unwrap();
    drop((lane, broker));
    let raw = rusqlite::Connection::open(file.0.path().join("router.db")).unwrap();
    assert_eq!(raw.execute("UPDATE positions SET next_off = 90", []).unwrap(), 1);
    drop(raw);
    let broker = file.broker();
    let mut lane = broker.lane(names("readers", &["in"]), LaneShare { index: 0, count: 1 }).unwrap();
    let limit = BatchLimit { records_max: 9, bytes_max: 1 << 20, wait: Duration::ZERO };
    let Err(BrokerError::Storage(problem)) = lane.poll(&mut owner, &limit) else { panic!("read on") };
    assert!(problem.contains("restore the backup alone"), "{problem}");
    assert!(matches!(broker.health(), Health::Failed(_)), "{:?}", broker.health());
    publish(&broker, vec![write("in", "a", "2")]).unwrap_err();
}
