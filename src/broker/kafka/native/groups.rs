//! Who is in a group, with answers read as they came (`codes`).
#![expect(unsafe_code, reason = "librdkafka is C; each call is argued where it is made, and none leaves this file")]

use std::ffi::{CStr, CString, c_char};
use std::time::Duration;

use rdkafka::bindings;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::codes;

unsafe extern "C" {
    // The wrapper declares this as answering its enum.
    fn rd_kafka_list_groups(
        client: *mut bindings::rd_kafka_t,
        group: *const c_char,
        list: *mut *const bindings::rd_kafka_group_list,
        wait: i32,
    ) -> i32;
}

/// How many members of a group call themselves so: what `client.id` is to each of their clients.
pub fn members_called<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    client_id: &str,
    wait: Duration,
) -> KafkaResult<usize> {
    let (name, mut list) = (CString::new(group)?, std::ptr::null());
    let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client is alive: `consumer` holds it; the name lives until the call returns.
    let code = unsafe { rd_kafka_list_groups(consumer.client().native_ptr(), name.as_ptr(), &raw mut list, wait) };
    // SAFETY: null, or a list that is ours to destroy, once, after the last look.
    let count = unsafe { if list.is_null() { 0 } else { counted(list, client_id) } };
    match codes::named(code) {
        RDKafkaErrorCode::NoError => Ok(count),
        code => Err(KafkaError::GroupListFetch(code)),
    }
}

/// SAFETY: `list` must be a live list of groups; it is gone afterwards.
unsafe fn counted(list: *const bindings::rd_kafka_group_list, client_id: &str) -> usize {
    let length = |count: i32| usize::try_from(count).unwrap_or_default();
    let mut found = 0;
    // SAFETY: alive, by the promise of the caller; each array has as many elements as it says, and names are C strings. No group is
    // read as a whole: its code may be one that the enum does not list.
    unsafe {
        for group in 0..length((*list).group_cnt) {
            let group = (*list).groups.add(group);
            let (members, count) = ((&raw const (*group).members).read(), (&raw const (*group).member_cnt).read());
            for member in 0..length(count) {
                let name = (*members.add(member)).client_id;
                found += usize::from(!name.is_null() && CStr::from_ptr(name).to_bytes() == client_id.as_bytes());
            }
        }
        bindings::rd_kafka_group_list_destroy(list);
    }
    found
}
