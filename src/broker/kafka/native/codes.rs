//! librdkafka's error codes as numbers. It passes a broker's on as it came, also one that it has no name for, and a Rust enum that
//! holds a number it does not list is undefined behaviour: the process may end without a word.
//!
//! Left to the wrapper, which reads an enum there, is what it takes apart by itself: delivery reports of a producer, errors of a client
//! as a whole, and what became of each topic that is made or set. What the cluster answers to a record, to a group's member or to an
//! administrator comes through them as it came, so that a code without a name could. Brokers give to each request the codes that were there when its version was made, and
//! librdkafka asks by versions that it knows: none has been seen. The answers to `rd_kafka_metadata`, `seek`, `position`, `assign`,
//! `pause`, `subscribe` and `produce` themselves are made by librdkafka alone, which has a name for each.
#![expect(unsafe_code, reason = "librdkafka is C; each call is argued where it is made, and none leaves this file")]

use rdkafka::bindings;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;

unsafe extern "C" {
    // The wrapper declares these as answering its enum.
    fn rd_kafka_error_code(error: *const bindings::rd_kafka_error_t) -> i32;
    fn rd_kafka_event_error(event: *mut bindings::rd_kafka_event_t) -> i32;
}

/// What the wrapper calls a code; one that it has no name for is told to the operator as a number, and fails.
pub fn named(code: i32) -> RDKafkaErrorCode {
    RDKafkaRespErr::try_from(code).map_or_else(
        |_| {
            tracing::warn!(code, "Kafka answers by a code that this release of librdkafka has no name for");
            RDKafkaErrorCode::Fail
        },
        RDKafkaErrorCode::from,
    )
}

/// SAFETY: `message` must be a live message.
pub unsafe fn of_message(message: *const bindings::rd_kafka_message_t) -> RDKafkaErrorCode {
    // SAFETY: alive, by the promise of the caller. Read as a number, which any bytes are.
    named(unsafe { (&raw const (*message).err).cast::<i32>().read() })
}

/// SAFETY: `place` must be a live partition of a list.
pub unsafe fn of_place(place: *const bindings::rd_kafka_topic_partition_t) -> RDKafkaErrorCode {
    // SAFETY: alive, by the promise of the caller. Read as a number, which any bytes are.
    named(unsafe { (&raw const (*place).err).cast::<i32>().read() })
}

/// SAFETY: `error` must be a live error.
pub unsafe fn of_error(error: *const bindings::rd_kafka_error_t) -> RDKafkaErrorCode {
    // SAFETY: alive, by the promise of the caller.
    named(unsafe { rd_kafka_error_code(error) })
}

/// SAFETY: `event` must be a live event.
pub unsafe fn of_event(event: *mut bindings::rd_kafka_event_t) -> RDKafkaErrorCode {
    // SAFETY: alive, by the promise of the caller.
    named(unsafe { rd_kafka_event_error(event) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_without_a_name_fails_and_every_other_is_itself() {
        assert_eq!(named(0), RDKafkaErrorCode::NoError);
        assert_eq!(named(-200), RDKafkaErrorCode::Begin);
        assert_eq!(named(47), RDKafkaErrorCode::InvalidProducerEpoch);
        for unnamed in [103, 120, 128, 133, i32::from(i16::MAX), i32::from(i16::MIN)] {
            assert_eq!(named(unnamed), RDKafkaErrorCode::Fail, "{unnamed}");
        }
    }

    #[test]
    fn a_message_tells_its_code_whatever_it_is() {
        // SAFETY: all zero is a message without topic, payload or key.
        let mut message: bindings::rd_kafka_message_t = unsafe { std::mem::zeroed() };
        for (code, told) in [(0, RDKafkaErrorCode::NoError), (120, RDKafkaErrorCode::Fail)] {
            // SAFETY: the field is as wide as the number; it is never read as an enum.
            let read = unsafe {
                (&raw mut message.err).cast::<i32>().write(code);
                of_message(&raw const message)
            };
            assert_eq!(read, told);
        }
    }
}
