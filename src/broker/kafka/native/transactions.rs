//! Transactional calls whose answers are read as they came (`codes`), and a commit that does not flush: the wrapper's own does so
//! first, in slices that cost a tenth of a second.
#![expect(unsafe_code, reason = "librdkafka is C; each call is argued where it is made, and none leaves this file")]

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

use super::codes;
use crate::broker::kafka::fault::Fault;

/// Fences whoever had the producer's id before.
pub fn init<C: ProducerContext>(producer: &BaseProducer<C>, wait: Duration) -> Result<(), Fault> {
    // SAFETY: the client is alive: `producer` holds it; the error is handed on.
    unsafe { answered(bindings::rd_kafka_init_transactions(producer.client().native_ptr(), millis(wait))) }
}

pub fn commit<C: ProducerContext>(producer: &BaseProducer<C>, wait: Duration) -> Result<(), Fault> {
    // SAFETY: as in `init`.
    unsafe { answered(bindings::rd_kafka_commit_transaction(producer.client().native_ptr(), millis(wait))) }
}

pub fn abort<C: ProducerContext>(producer: &BaseProducer<C>, wait: Duration) -> Result<(), Fault> {
    // SAFETY: as in `init`.
    unsafe { answered(bindings::rd_kafka_abort_transaction(producer.client().native_ptr(), millis(wait))) }
}

/// Makes positions part of the transaction, as a member of the group's generation now: a rebalance changes it.
pub fn send_positions<P: ProducerContext, C: ConsumerContext>(
    producer: &BaseProducer<P>,
    consumer: &BaseConsumer<C>,
    positions: &TopicPartitionList,
    wait: Duration,
) -> Result<(), Fault> {
    // SAFETY: both clients are alive, and the list lives until the call returns, which copies it. The metadata is ours to destroy, once,
    // after the call.
    unsafe {
        let metadata = bindings::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if metadata.is_null() {
            let code = RDKafkaErrorCode::UnknownMemberId;
            return Err(Fault { code, fatal: false, retriable: false, requires_abort: true });
        }
        let client = producer.client().native_ptr();
        let error = bindings::rd_kafka_send_offsets_to_transaction(client, positions.ptr(), metadata, millis(wait));
        bindings::rd_kafka_consumer_group_metadata_destroy(metadata);
        answered(error)
    }
}

fn millis(wait: Duration) -> i32 {
    i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
}

/// SAFETY: `error` must be null or an error that is ours to destroy.
unsafe fn answered(error: *mut bindings::rd_kafka_error_t) -> Result<(), Fault> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: alive, by the promise of the caller; destroyed once, after the last look.
    unsafe {
        let fault = Fault {
            code: codes::of_error(error),
            fatal: bindings::rd_kafka_error_is_fatal(error) != 0,
            retriable: bindings::rd_kafka_error_is_retriable(error) != 0,
            requires_abort: bindings::rd_kafka_error_txn_requires_abort(error) != 0,
        };
        bindings::rd_kafka_error_destroy(error);
        Err(fault)
    }
}
