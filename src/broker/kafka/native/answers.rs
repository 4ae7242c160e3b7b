//! What a consumer asks the cluster, with answers read as they came (`codes`): as a whole, and for each partition of a list.
#![expect(unsafe_code, reason = "librdkafka is C; each call is argued where it is made, and none leaves this file")]

use std::ffi::{CString, c_char};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::codes;

unsafe extern "C" {
    // The wrapper declares these as answering its enum.
    fn rd_kafka_committed(
        client: *mut bindings::rd_kafka_t,
        list: *mut bindings::rd_kafka_topic_partition_list_t,
        wait: i32,
    ) -> i32;
    fn rd_kafka_offsets_for_times(
        client: *mut bindings::rd_kafka_t,
        list: *mut bindings::rd_kafka_topic_partition_list_t,
        wait: i32,
    ) -> i32;
    fn rd_kafka_query_watermark_offsets(
        client: *mut bindings::rd_kafka_t,
        topic: *const c_char,
        partition: i32,
        first: *mut i64,
        end: *mut i64,
        wait: i32,
    ) -> i32;
}

/// Where a group will read next, in place of each offset of the list.
pub fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: TopicPartitionList,
    wait: Duration,
) -> KafkaResult<TopicPartitionList> {
    // SAFETY: the client is alive: `consumer` holds it; the list is ours, and lives until the call returns.
    let code = unsafe { rd_kafka_committed(consumer.client().native_ptr(), list.ptr(), millis(wait)) };
    answered(code).map(|()| list)
}

/// The first offset at or after the time that stands in place of each offset of the list.
pub fn offsets_for_times<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: TopicPartitionList,
    wait: Duration,
) -> KafkaResult<TopicPartitionList> {
    // SAFETY: as in `committed`.
    let code = unsafe { rd_kafka_offsets_for_times(consumer.client().native_ptr(), list.ptr(), millis(wait)) };
    answered(code).map(|()| list)
}

/// First and next offset, as this reader may see them.
pub fn watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    wait: Duration,
) -> KafkaResult<(i64, i64)> {
    let (name, mut first, mut end) = (CString::new(topic)?, -1, -1);
    let client = consumer.client().native_ptr();
    // SAFETY: as in `committed`; the name and both numbers live until the call returns.
    let code = unsafe {
        let (first, end) = (&raw mut first, &raw mut end);
        rd_kafka_query_watermark_offsets(client, name.as_ptr(), partition, first, end, millis(wait))
    };
    answered(code).map(|()| (first, end))
}

/// What was answered for one partition of a list.
pub fn of_place(list: &TopicPartitionList, topic: &str, partition: u32) -> KafkaResult<()> {
    let (Ok(name), Ok(partition)) = (CString::new(topic), i32::try_from(partition)) else { return Ok(()) };
    // SAFETY: the list is alive, and what is found in it lives as long; nothing of it is kept.
    let code = unsafe {
        let found = bindings::rd_kafka_topic_partition_list_find(list.ptr(), name.as_ptr(), partition);
        if found.is_null() {
            return Ok(());
        }
        codes::of_place(found)
    };
    match code {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(KafkaError::OffsetFetch(code)),
    }
}

fn answered(code: i32) -> KafkaResult<()> {
    match codes::named(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(KafkaError::MetadataFetch(code)),
    }
}

fn millis(wait: Duration) -> i32 {
    i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use rdkafka::Offset;

    use super::*;

    #[test]
    fn a_partition_tells_its_code_whatever_it_is() {
        let mut list = TopicPartitionList::new();
        for partition in 0..3 {
            list.add_partition_offset("inbox", partition, Offset::Invalid).unwrap();
        }
        for (place, code) in [(0_usize, 0_i32), (1, 120), (2, 29)] {
            // SAFETY: the list has three places; the field is as wide as the number, and never read as an enum.
            unsafe { (&raw mut (*(*list.ptr()).elems.add(place)).err).cast::<i32>().write(code) };
        }
        let told = |partition| of_place(&list, "inbox", partition).err().and_then(|error| error.rdkafka_error_code());
        assert_eq!(told(0), None);
        assert_eq!(told(1), Some(RDKafkaErrorCode::Fail));
        assert_eq!(told(2), Some(RDKafkaErrorCode::TopicAuthorizationFailed));
        assert_eq!(told(7), None, "not asked about");
    }
}
