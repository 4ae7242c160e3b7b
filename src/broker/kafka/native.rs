//! The few calls of librdkafka that its Rust wrapper lacks, or answers by an enum: a queue of our own, transactions, the generation.
#![expect(unsafe_code, reason = "librdkafka is C; each call is argued where it is made, and none leaves this file")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;

use crate::broker::Record;
use crate::engine::model::scalar::Timestamp;

pub mod acls;
pub mod answers;
mod codes;
pub mod groups;
pub mod transactions;

/// A queue to which partitions are forwarded, so that a batch is read without serving the consumer's own events.
/// Must be dropped before the consumer it was made from.
pub struct Queue {
    queue: NonNull<bindings::rd_kafka_queue_t>,
    client: NonNull<bindings::rd_kafka_t>,
    /// Topics met so far, so that records share one name.
    names: Vec<Arc<str>>,
}

// SAFETY: librdkafka's queues may be used from any thread; `&mut self` keeps `names` to one at a time.
unsafe impl Send for Queue {}

/// What a queue holds.
pub enum Drawn {
    Record(Record),
    /// All there is up to this offset has been read; control records count.
    End {
        topic: Arc<str>,
        partition: u32,
        offset: i64,
    },
    Fault {
        topic: Arc<str>,
        partition: i32,
        code: RDKafkaErrorCode,
    },
}

impl Queue {
    pub fn of<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Self> {
        let client = NonNull::new(consumer.client().native_ptr())?;
        // SAFETY: the client is alive: `consumer` holds it.
        let queue = NonNull::new(unsafe { bindings::rd_kafka_queue_new(client.as_ptr()) })?;
        Some(Self { queue, client, names: Vec::new() })
    }

    /// Sends what is fetched from a partition to this queue. False: the name is no topic's.
    pub fn forward(&self, topic: &str, partition: u32) -> bool {
        let (Ok(topic), Ok(partition)) = (CString::new(topic), i32::try_from(partition)) else { return false };
        // SAFETY: the client outlives the queue, by the promise of `Queue`; the name lives until the call returns.
        let source = unsafe { bindings::rd_kafka_queue_get_partition(self.client.as_ptr(), topic.as_ptr(), partition) };
        if source.is_null() {
            return false;
        }
        // SAFETY: both queues are alive. The reference to the partition's queue is ours to give back, once.
        unsafe {
            bindings::rd_kafka_queue_forward(source, self.queue.as_ptr());
            bindings::rd_kafka_queue_destroy(source);
        }
        true
    }

    /// Adds to `into` what is there, at most `max` messages, waiting for the first no longer than `wait`.
    pub fn draw(&mut self, max: usize, wait: Duration, into: &mut Vec<Drawn>) {
        let before = into.len();
        // librdkafka waits until a batch is full: only the first is worth waiting for.
        if !wait.is_zero() {
            self.draw_full(1, wait, into);
            if into.len() == before {
                return;
            }
        }
        self.draw_full(max.saturating_sub(into.len() - before), Duration::ZERO, into);
    }

    fn draw_full(&mut self, max: usize, wait: Duration, into: &mut Vec<Drawn>) {
        let mut messages: Vec<*mut bindings::rd_kafka_message_t> = vec![ptr::null_mut(); max];
        let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the array has room for `max` pointers.
        let count = unsafe {
            bindings::rd_kafka_consume_batch_queue(self.queue.as_ptr(), wait, messages.as_mut_ptr(), messages.len())
        };
        for message in messages.into_iter().take(usize::try_from(count).unwrap_or(0)) {
            // SAFETY: librdkafka filled this many with messages that are ours to destroy; nothing borrowed from
            // one outlives `read`.
            unsafe {
                if !message.is_null() {
                    into.push(self.read(message));
                    bindings::rd_kafka_message_destroy(message);
                }
            }
        }
    }

    /// SAFETY: `message` must be a live message of a consumer.
    unsafe fn read(&mut self, message: *mut bindings::rd_kafka_message_t) -> Drawn {
        // SAFETY: alive, by the promise of the caller.
        let (code, parts) = unsafe { (codes::of_message(message), &*message) };
        let is_record = code == RDKafkaErrorCode::NoError;
        let partition = u32::try_from(parts.partition).unwrap_or_default();
        if parts.rkt.is_null() {
            return Drawn::Fault { topic: self.shared("a topic"), partition: parts.partition, code };
        }
        // SAFETY: a message's topic lives as long as the message, and its name is a C string.
        let name = unsafe { CStr::from_ptr(bindings::rd_kafka_topic_name(parts.rkt)) };
        let topic = self.shared(&name.to_string_lossy());
        if !is_record && code != RDKafkaErrorCode::PartitionEOF {
            return Drawn::Fault { topic, partition: parts.partition, code };
        }
        if !is_record {
            return Drawn::End { topic, partition, offset: parts.offset };
        }
        let mut kind = bindings::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive; what it points to is copied; lengths are librdkafka's own.
        let (timestamp, key, value, headers) = unsafe {
            (
                bindings::rd_kafka_message_timestamp(message, &raw mut kind),
                copied(parts.key, parts.key_len),
                copied(parts.payload, parts.len),
                headers(message),
            )
        };
        Drawn::Record(Record {
            topic,
            partition,
            offset: parts.offset,
            timestamp: Timestamp(timestamp),
            key: key.unwrap_or_default(),
            value,
            headers,
            fault: None,
        })
    }

    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.iter().find(|known| known.as_ref() == name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.names.push(name.clone());
        name
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: ours, and used no more.
        unsafe { bindings::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// SAFETY: `start` is null or points to `length` readable bytes.
unsafe fn copied(start: *const c_void, length: usize) -> Option<Vec<u8>> {
    if start.is_null() {
        return None;
    }
    // SAFETY: by the promise of the caller.
    Some(unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) }.to_vec())
}

/// SAFETY: `message` must be a live message.
unsafe fn headers(message: *mut bindings::rd_kafka_message_t) -> Vec<(String, Vec<u8>)> {
    let mut found = ptr::null_mut();
    let mut headers = Vec::new();
    // SAFETY: the list belongs to the message; names and values live as long as it does and are copied.
    unsafe {
        let none = bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        if bindings::rd_kafka_message_headers(message, &raw mut found) != none {
            return headers;
        }
        loop {
            let mut name: *const c_char = ptr::null();
            let mut value: *const c_void = ptr::null();
            let mut length = 0;
            let more =
                bindings::rd_kafka_header_get_all(found, headers.len(), &raw mut name, &raw mut value, &raw mut length);
            if more != none || name.is_null() {
                return headers;
            }
            let name = CStr::from_ptr(name).to_string_lossy().into_owned();
            headers.push((name, copied(value, length).unwrap_or_default()));
        }
    }
}

/// Where a partition ended when it was last fetched, as this reader may see it. None: it has not been.
pub fn known_end<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str, partition: u32) -> Option<i64> {
    let (topic, partition) = (CString::new(topic).ok()?, i32::try_from(partition).ok()?);
    let (mut first, mut end) = (0, 0);
    // SAFETY: the client is alive: `consumer` holds it; the name lives until the call returns. Asks nobody.
    let error = unsafe {
        bindings::rd_kafka_get_watermark_offsets(
            consumer.client().native_ptr(),
            topic.as_ptr(),
            partition,
            &raw mut first,
            &raw mut end,
        )
    };
    (error == bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && end >= 0).then_some(end)
}

/// Whether the consumer is a member of its group's generation now.
pub fn is_member<C: ClientContext + ConsumerContext>(consumer: &BaseConsumer<C>) -> bool {
    // SAFETY: the client is alive; the metadata is ours to destroy, once, after the last look.
    unsafe {
        let metadata = bindings::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if metadata.is_null() {
            return false;
        }
        let generation = bindings::rd_kafka_consumer_group_metadata_generation_id(metadata);
        let member = bindings::rd_kafka_consumer_group_metadata_member_id(metadata);
        let named = !member.is_null() && !CStr::from_ptr(member).is_empty();
        bindings::rd_kafka_consumer_group_metadata_destroy(metadata);
        named && generation >= 0
    }
}
