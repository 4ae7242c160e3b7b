//! Which keys a cluster's topics were written with: kept there as fingerprints, from which no key can be had.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::topics::IDENTITY;
use crate::broker::headers::Headers;
use crate::broker::{Broker, BrokerError, Placement, Reader, Write};

/// More than there are names of keys.
const RECORDS_MAX: usize = 1_000;
const SHOWN_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Says whose the topics are, if nobody has; refuses when it was somebody with other keys.
pub fn check(broker: &dyn Broker, belongs_to: &[(&'static str, String)]) -> Result<(), BrokerError> {
    let reader = broker.reader();
    let known = first_said(&*reader)?;
    let unsaid: Vec<Write> = belongs_to.iter().filter(|(name, _)| !known.contains_key(*name)).map(write).collect();
    if !unsaid.is_empty() {
        let (done, answer) = channel();
        broker.publisher().publish(unsaid, Box::new(move |result| drop(done.send(result))));
        answer.recv().unwrap_or(Err(BrokerError::Stopping))?;
    }
    // What was said first counts, also when two routers begin at once.
    let deadline = Instant::now() + SHOWN_WITHIN;
    loop {
        let known = first_said(&*reader)?;
        if belongs_to.iter().all(|(name, _)| known.contains_key(*name)) {
            return belongs_to.iter().try_for_each(|(name, fingerprint)| compare(name, fingerprint, &known));
        }
        if Instant::now() >= deadline {
            return Err(BrokerError::Unreachable("which keys the topics belong to could not be read back".to_owned()));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn compare(name: &str, fingerprint: &String, known: &BTreeMap<String, String>) -> Result<(), BrokerError> {
    if known.get(name) == Some(fingerprint) {
        return Ok(());
    }
    Err(BrokerError::Mismatch(format!(
        "the topics of this cluster were written with another {name} than the one given now: put back the {name} that \
         was kept with it. With another one no child would be recognised or no task could be answered"
    )))
}

/// Never compacted away: the fingerprint is part of the key.
fn write((name, fingerprint): &(&'static str, String)) -> Write {
    Write {
        topic: IDENTITY.into(),
        placement: Placement::Partition(0),
        key: format!("{name} {fingerprint}").into_bytes(),
        value: Some(format!("{name} {fingerprint}").into_bytes()),
        headers: Headers::default(),
    }
}

fn first_said(reader: &dyn Reader) -> Result<BTreeMap<String, String>, BrokerError> {
    let mut said = BTreeMap::new();
    for record in reader.read(IDENTITY, 0, 0, RECORDS_MAX)? {
        let value = record.value.unwrap_or_default();
        let text = String::from_utf8_lossy(&value);
        if let Some((name, fingerprint)) = text.rsplit_once(' ') {
            said.entry(name.to_owned()).or_insert_with(|| fingerprint.to_owned());
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::TopicSpec;
    use crate::broker::memory::{Memory, MemoryOptions};

    #[test]
    fn topics_belong_to_whoever_wrote_there_first() {
        let broker = Memory::new(MemoryOptions::default());
        let topic = TopicSpec { name: IDENTITY.to_owned(), partitions: 1, compacted: true, retention: None };
        broker.ensure_topics(&[topic]).unwrap();
        let ours = [("subject key", "a1".to_owned()), ("sealing key", "b1".to_owned())];
        assert_eq!(check(&broker, &ours), Ok(()));
        assert_eq!(check(&broker, &ours), Ok(()));
        let theirs = [("subject key", "a2".to_owned()), ("sealing key", "b1".to_owned())];
        let Err(BrokerError::Mismatch(problem)) = check(&broker, &theirs) else { panic!("refused") };
        assert!(problem.contains("another subject key"), "{problem}");
    }
}
