//! Nothing acknowledged is lost and nothing is repeated: through kills of the real process, and through every fault
//! that a broker in memory can inject.

#[path = "durability/full_disk.rs"]
mod full_disk;
#[path = "durability/joining.rs"]
mod joining;
#[path = "durability/kill.rs"]
mod kill;
#[path = "durability/kit.rs"]
mod kit;
#[path = "durability/lanes.rs"]
mod lanes;
#[path = "durability/oracle.rs"]
mod oracle;
#[path = "durability/panics.rs"]
mod panics;
#[path = "durability/process.rs"]
mod process;
#[path = "durability/reference.rs"]
mod reference;
#[path = "durability/simulation.rs"]
mod simulation;
