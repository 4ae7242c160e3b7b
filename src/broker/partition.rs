//! Which partition a key goes to, and which lane a partition goes to.

use super::{BrokerError, LanePlan, LaneShare, Placement, TopicPattern};

/// MurmurHash2 with the seed Kafka's clients use, so that any client agrees on key -> partition.
pub fn murmur2(key: &[u8]) -> u32 {
    const MULTIPLIER: u32 = 0x5bd1_e995;
    let seed: u32 = 0x9747_b28c;
    let mut hash = seed ^ u32::try_from(key.len()).unwrap_or(u32::MAX);
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        word ^= word >> 24;
        word = word.wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ word;
    }
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0u32, |word, byte| (word << 8) | u32::from(*byte));
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

/// The partition of a record in a topic of `partitions`.
pub fn place(placement: Placement, key: &[u8], topic: &str, partitions: u32) -> Result<u32, BrokerError> {
    match placement {
        Placement::ByKey => Ok((murmur2(key) & 0x7fff_ffff) % partitions.max(1)),
        Placement::Partition(partition) if partition < partitions => Ok(partition),
        Placement::Partition(partition) => {
            Err(BrokerError::Mismatch(format!("topic {topic} has {partitions} partitions, none is number {partition}")))
        }
    }
}

/// Whether a lane reads a partition. Lanes with state share by partition number, so that state and input meet;
/// lanes without share topics too, as theirs often have one partition each. `topic_number` never changes.
pub fn is_ours(plan: &LanePlan, share: LaneShare, topic_number: u32, partition: u32) -> bool {
    let number = if plan.restore_from.is_some() { partition } else { partition.wrapping_add(topic_number) };
    number % share.count.max(1) == share.index
}

impl TopicPattern {
    pub fn matches(&self, topic: &str) -> bool {
        match self {
            TopicPattern::Names(names) => names.iter().any(|name| name.as_ref() == topic),
            TopicPattern::Prefixes(prefixes) => prefixes.iter().any(|prefix| topic.starts_with(prefix.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::murmur2;

    /// Expected values from Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_agrees_with_kafka() {
        let cases: [(&[u8], i32); 7] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
            (b"", 275_646_681),
        ];
        for (key, expected) in cases {
            assert_eq!(murmur2(key).cast_signed(), expected, "{key:?}");
        }
    }
}
