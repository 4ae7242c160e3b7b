//! The file descriptors that a router may have, against those it needs: without one left, no connection is let in and no file opened.

use crate::config::Config;
use crate::config::broker::Broker;

/// Of the process itself, and for what an hour's housekeeping opens.
const OWN: u64 = 64;
/// Sockets that are being closed for others to come in, or closed by their clients: more than the server lets wait at once.
const CLOSING: u64 = 32;
/// Of one lane: the data file with its log; on Kafka a reader and a writer, each with a socket a broker.
const LANE_EMBEDDED: u64 = 8;
const LANE_KAFKA: u64 = 64;

/// Raises the process's limit where it is too low for the connections of the configuration; lowers these to what fits where it
/// cannot be raised, and says so. What `/readyz` is to say of it is answered.
pub fn make_room(config: &mut Config) -> Option<String> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let lane = match config.broker {
            Broker::Embedded { .. } => LANE_EMBEDDED,
            Broker::Kafka(_) => LANE_KAFKA,
        };
        let lanes = u64::try_from(config.lanes.intake + config.lanes.decide).unwrap_or(u64::MAX);
        let own = (OWN + CLOSING).saturating_add(lane.saturating_mul(lanes));
        let needed = needed(own, config.limits.connections);
        let limit = getrlimit(Resource::Nofile);
        let mut current = limit.current.filter(|current| *current < needed)?;
        let raised = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
        let raised_limit = Rlimit { current: Some(raised), maximum: limit.maximum };
        if raised > current && setrlimit(Resource::Nofile, raised_limit).is_ok() {
            tracing::info!(
                from = current,
                to = raised,
                "the limit of open files was raised to what the connections need"
            );
            current = raised;
        }
        let fit = fitting(own, current);
        let wanted = config.limits.connections;
        if fit < wanted {
            tracing::warn!(
                open_files_max = current,
                needed,
                connections = fit,
                wanted,
                "the limit of open files is too low for `connections` under [limits]: so many are let in; raise it (LimitNOFILE= of a \
                 systemd unit, `ulimit -Hn`)"
            );
            config.limits.connections = fit;
            return Some(format!(
                "{fit} of {wanted} are let in, for {current} files may be open and {needed} are needed: raise the limit (LimitNOFILE= of a \
                 systemd unit, `ulimit -Hn`) and start again, or set `connections` under [limits] to {fit}"
            ));
        }
        None
    }
    #[cfg(not(unix))]
    None
}

/// A quarter is for what connections ask: each answer may open the data file and its log.
fn needed(own: u64, connections: usize) -> u64 {
    let connections = u64::try_from(connections).unwrap_or(u64::MAX);
    own.saturating_add(connections).saturating_add(connections.div_ceil(3))
}

/// How many connections a limit leaves room for; some, whatever it is.
fn fitting(own: u64, limit: u64) -> usize {
    let fit = (limit.saturating_sub(own).saturating_mul(3) / 4).max(limit / 8).max(1);
    usize::try_from(fit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_fits() {
        for connections in [1, 16, 300, 1_024, 100_000] {
            let needed = needed(136, connections);
            assert!(fitting(136, needed) >= connections, "{connections}");
            assert!(fitting(136, needed / 2) < connections || connections == 1, "{connections}");
        }
        assert_eq!(fitting(136, 64), 8, "too low for anything: a few all the same");
    }
}
