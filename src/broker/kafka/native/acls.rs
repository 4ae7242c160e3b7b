//! librdkafka's calls about access rights, which its Rust wrapper lacks.
#![expect(unsafe_code, reason = "librdkafka is C; each call is argued where it is made, and none leaves this file")]

use std::ffi::{CStr, CString, c_char};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::bindings as kafka;
use rdkafka::client::ClientContext;
use rdkafka::error::RDKafkaErrorCode;

use crate::broker::kafka::access::{Operation, Pattern, Resource, Right};

const WAIT: Duration = Duration::from_secs(30);
const TEXT_BYTES: usize = 512;

/// Every right there is, on whatever this house knows of.
pub fn describe<C: ClientContext>(admin: &AdminClient<C>) -> Result<Vec<Right>, RDKafkaErrorCode> {
    let filter = unsafe {
        // SAFETY: null means "any"; the text buffer is as long as said.
        let mut text = [0 as c_char; TEXT_BYTES];
        kafka::rd_kafka_AclBindingFilter_new(
            kafka::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_ANY,
            ptr::null(),
            kafka::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_ANY,
            ptr::null(),
            ptr::null(),
            kafka::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_ANY,
            kafka::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ANY,
            text.as_mut_ptr(),
            text.len(),
        )
    };
    let filter = NonNull::new(filter).ok_or(RDKafkaErrorCode::InvalidArgument)?;
    // SAFETY: client, filter and queue live until the answer has come; librdkafka copies the filter. The filter is
    // destroyed once, after the call. An answer's parts are read before it is destroyed.
    unsafe {
        let asked = Asked::new(admin)?;
        kafka::rd_kafka_DescribeAcls(asked.client, filter.as_ptr(), ptr::null(), asked.queue.as_ptr());
        kafka::rd_kafka_AclBinding_destroy(filter.as_ptr());
        let answer = asked.answer()?;
        let result = kafka::rd_kafka_event_DescribeAcls_result(answer.0.as_ptr());
        let mut count = 0;
        let bindings = kafka::rd_kafka_DescribeAcls_result_acls(result, &raw mut count);
        let bindings = if bindings.is_null() { &[] } else { std::slice::from_raw_parts(bindings, count) };
        Ok(bindings.iter().filter_map(|binding| read(*binding)).collect())
    }
}

/// Grants rights; those there already are no fault.
pub fn create<C: ClientContext>(admin: &AdminClient<C>, rights: &[Right]) -> Result<(), RDKafkaErrorCode> {
    let mut bindings: Vec<*mut kafka::rd_kafka_AclBinding_t> = Vec::new();
    // SAFETY: names live until each binding is made, which copies them; bindings are destroyed once, after the call
    // that copies them; an answer's parts are read before it is destroyed.
    unsafe {
        for right in rights {
            match binding(right) {
                Some(made) => bindings.push(made.as_ptr()),
                None => {
                    destroy(&mut bindings);
                    return Err(RDKafkaErrorCode::InvalidArgument);
                }
            }
        }
        let asked = Asked::new(admin).inspect_err(|_| destroy(&mut bindings.clone()))?;
        kafka::rd_kafka_CreateAcls(
            asked.client,
            bindings.as_mut_ptr(),
            bindings.len(),
            ptr::null(),
            asked.queue.as_ptr(),
        );
        destroy(&mut bindings);
        let answer = asked.answer()?;
        let result = kafka::rd_kafka_event_CreateAcls_result(answer.0.as_ptr());
        let mut count = 0;
        let results = kafka::rd_kafka_CreateAcls_result_acls(result, &raw mut count);
        let results = if results.is_null() { &[] } else { std::slice::from_raw_parts(results, count) };
        for result in results {
            let error = kafka::rd_kafka_acl_result_error(*result);
            if !error.is_null() {
                let code = super::codes::of_error(error);
                if code != RDKafkaErrorCode::NoError {
                    return Err(code);
                }
            }
        }
        Ok(())
    }
}

/// One question to the cluster, on a queue of its own.
struct Asked {
    client: *mut kafka::rd_kafka_t,
    queue: NonNull<kafka::rd_kafka_queue_t>,
}

impl Asked {
    /// SAFETY: what is made must not outlive `admin`.
    unsafe fn new<C: ClientContext>(admin: &AdminClient<C>) -> Result<Self, RDKafkaErrorCode> {
        let client = admin.inner().native_ptr();
        // SAFETY: the client is alive: `admin` holds it.
        let queue = NonNull::new(unsafe { kafka::rd_kafka_queue_new(client) });
        Ok(Self { client, queue: queue.ok_or(RDKafkaErrorCode::Fail)? })
    }

    /// SAFETY: the question was asked on this queue, and nothing else was.
    unsafe fn answer(&self) -> Result<Answer, RDKafkaErrorCode> {
        let wait = i32::try_from(WAIT.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is ours; what comes is destroyed once, by `Answer`.
        unsafe {
            let event = kafka::rd_kafka_queue_poll(self.queue.as_ptr(), wait);
            let answer = Answer(NonNull::new(event).ok_or(RDKafkaErrorCode::OperationTimedOut)?);
            match super::codes::of_event(event) {
                RDKafkaErrorCode::NoError => Ok(answer),
                code => Err(code),
            }
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // SAFETY: ours, and used no more.
        unsafe { kafka::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

struct Answer(NonNull<kafka::rd_kafka_event_t>);

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: ours, and read no more.
        unsafe { kafka::rd_kafka_event_destroy(self.0.as_ptr()) };
    }
}

/// SAFETY: each pointer must be a binding that nobody else destroys.
unsafe fn destroy(bindings: &mut Vec<*mut kafka::rd_kafka_AclBinding_t>) {
    for binding in bindings.drain(..) {
        // SAFETY: by the promise of the caller.
        unsafe { kafka::rd_kafka_AclBinding_destroy(binding) };
    }
}

/// SAFETY: the binding made is the caller's to destroy.
unsafe fn binding(right: &Right) -> Option<NonNull<kafka::rd_kafka_AclBinding_t>> {
    let text = |text: &str| CString::new(text).ok();
    let (name, principal, host) = (text(&right.name)?, text(&right.principal)?, text(&right.host)?);
    let permission = match right.is_allowed {
        true => kafka::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
        false => kafka::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_DENY,
    };
    let resource = RESOURCES.iter().find(|(known, _)| *known == right.resource)?.1;
    let operation = OPERATIONS.iter().find(|(known, _)| *known == right.operation)?.1;
    let pattern = match right.pattern {
        Pattern::Literal => kafka::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_LITERAL,
        Pattern::Prefixed => kafka::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
    };
    let mut fault = [0 as c_char; TEXT_BYTES];
    // SAFETY: names live until the call returns, and are copied; the text buffer is as long as said.
    NonNull::new(unsafe {
        kafka::rd_kafka_AclBinding_new(
            resource,
            name.as_ptr(),
            pattern,
            principal.as_ptr(),
            host.as_ptr(),
            operation,
            permission,
            fault.as_mut_ptr(),
            fault.len(),
        )
    })
}

/// None: of a kind that does not concern us.
///
/// SAFETY: `binding` must be alive.
unsafe fn read(binding: *const kafka::rd_kafka_AclBinding_t) -> Option<Right> {
    // SAFETY: alive, by the promise of the caller; texts live as long as it does and are copied.
    unsafe {
        let text = |text: *const c_char| (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned());
        let resource = kafka::rd_kafka_AclBinding_restype(binding);
        let operation = kafka::rd_kafka_AclBinding_operation(binding);
        let pattern = kafka::rd_kafka_AclBinding_resource_pattern_type(binding);
        let allow = kafka::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW;
        Some(Right {
            resource: RESOURCES.iter().find(|(_, native)| *native == resource)?.0,
            operation: OPERATIONS.iter().find(|(_, native)| *native == operation)?.0,
            pattern: match pattern {
                kafka::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_LITERAL => Pattern::Literal,
                kafka::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_PREFIXED => Pattern::Prefixed,
                _ => return None,
            },
            name: text(kafka::rd_kafka_AclBinding_name(binding))?,
            principal: text(kafka::rd_kafka_AclBinding_principal(binding))?,
            host: text(kafka::rd_kafka_AclBinding_host(binding))?,
            is_allowed: kafka::rd_kafka_AclBinding_permission_type(binding) == allow,
        })
    }
}

const RESOURCES: [(Resource, kafka::rd_kafka_ResourceType_t); 4] = [
    (Resource::Topic, kafka::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC),
    (Resource::Group, kafka::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_GROUP),
    (Resource::Cluster, kafka::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER),
    (Resource::TransactionalId, kafka::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TRANSACTIONAL_ID),
];

const OPERATIONS: [(Operation, kafka::rd_kafka_AclOperation_t); 11] = [
    (Operation::All, kafka::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_ALL),
    (Operation::Read, kafka::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_READ),
    (Operation::Write, kafka::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE),
    (Operation::Create, kafka::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_CREATE),
    (Operation::Delete, kafka::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DELETE),
    (Operation::Alter, kafka::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_ALTER),
    (Operation::Describe, kafka::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DESCRIBE),
    (Operation::ClusterAction, kafka::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_CLUSTER_ACTION),
    (Operation::DescribeConfigs, kafka::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS),
    (Operation::AlterConfigs, kafka::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS),
    (Operation::IdempotentWrite, kafka::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_IDEMPOTENT_WRITE),
];
