//! The Kafka broker: the same suite on a real Apache Kafka, and what no embedded broker has to survive.

#[path = "kafka/faults.rs"]
mod faults;
#[path = "kafka/gone.rs"]
mod gone;
#[path = "kafka/house.rs"]
mod house;
#[path = "kafka/inboxes.rs"]
mod inboxes;
#[path = "broker_contract/kit.rs"]
mod kit;
#[path = "kafka/load.rs"]
mod load;
#[path = "durability/oracle.rs"]
mod oracle;
#[path = "kafka/positions.rs"]
mod positions;
#[path = "kafka/proof.rs"]
mod proof;
#[path = "durability/reference.rs"]
mod reference;
#[path = "kafka/router.rs"]
mod router;
#[path = "kafka/secured.rs"]
mod secured;
#[path = "kafka/server.rs"]
mod server;
#[path = "broker_contract/suite.rs"]
mod suite;
#[path = "kafka/topics.rs"]
mod topics;

mod contract {
    //! The suite on Kafka.
    crate::suite::suite!(crate::server::OnKafka::new());
}
