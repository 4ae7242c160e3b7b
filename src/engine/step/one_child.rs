//! Whether two records are one child: aliases, sightings, links, and partings.

pub mod alias;
pub mod link;
pub mod parted;
pub mod sighting;
