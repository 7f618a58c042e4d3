//! How is everything at this moment? Read off the mechanism when somebody asks: the sequencer, the gate, the
//! lease, the actors' rows, the last sample of the host. It counts nothing, and what is not known is left out.

use std::sync::atomic::Ordering;
use std::time::Duration;

use chroma_ha_core::health::NodeState;
use chroma_ha_core::pressure::{Pressure, Strain};
use prometheus::Error;

use super::family::Families;
use crate::guard::ActorRow;
use crate::resources::Load;
use crate::system::ActorSystem;
use crate::wal::now_unix_ms;

mod nodes;
mod requests;

pub use nodes::lag_seconds;

use nodes::NodeReading;
use requests::RequestReading;

#[derive(Debug, Default)]
pub struct Reading {
    nodes: Vec<NodeReading>,
    log: LogReading,
    requests: RequestReading,
    actors: Vec<ActorRow>,
    load: Load,
    started_ms: u64,
}

#[derive(Debug, Default)]
struct LogReading {
    held: bool,
    answers: bool,
    epoch: u64,
    head: u64,
    completed: u64,
    collections: usize,
}

impl Reading {
    pub fn of(system: &ActorSystem) -> Reading {
        let (board, gate) = (&system.board, &system.gate);
        let (nodes, log) = {
            let sequencer = board.sequencer();
            // Without the log, how far it is is not known here.
            let now_ms = sequencer.leading().then(now_unix_ms);
            let nodes = sequencer.node_ids().map(|node| NodeReading::of(board, &sequencer, node, now_ms));
            let log = LogReading {
                held: sequencer.leading() && board.lease.certain(),
                answers: board.lease.log_answers(),
                epoch: sequencer.epoch(),
                head: sequencer.head().0,
                completed: sequencer.completed().0,
                collections: sequencer.catalog.len(),
            };
            (nodes.collect(), log)
        };
        let requests = RequestReading {
            fill: gate.fill(),
            waiting_for_verdict: board.waiting_clients(),
            appends_waiting: board.appends_waiting.load(Ordering::Relaxed),
        };
        let (load, started_ms) = (Load::clone(&system.load.load()), board.history.started_ms());
        Reading { nodes, log, requests, actors: system.rows(), load, started_ms }
    }

    pub fn families(&self) -> Result<Families, Error> {
        let mut families = Families::default();
        nodes::standing(&self.nodes, &mut families)?;
        nodes::work(&self.nodes, &mut families)?;
        nodes::data(&self.nodes, &mut families)?;
        self.log.fill(&mut families)?;
        self.requests.fill(&mut families)?;
        self.process(&mut families)?;
        self.host(&mut families)?;
        Ok(families)
    }

    /// By the names that every exporter uses.
    fn process(&self, families: &mut Families) -> Result<(), Error> {
        let sample = &self.load.sample;
        families.gauge(
            "process_resident_memory_bytes",
            "Resident memory of the balancer, at most 2 s old.",
            sample.rss_bytes as f64,
        )?;
        families.total(
            "process_cpu_seconds_total",
            "CPU time that the balancer used, at most 2 s old.",
            sample.process_cpu_seconds,
        )?;
        families.gauge(
            "process_start_time_seconds",
            "When the balancer started, since the Unix epoch.",
            self.started_ms as f64 / 1e3,
        )?;
        families.gauges(
            "chroma_ha_build_info",
            ["version"],
            "Always 1; which release this is.",
            [([env!("CARGO_PKG_VERSION")], 1.0)],
        )?;
        let restarts = self.actors.iter().flat_map(|row| {
            let name = row.name.as_str();
            let (panics, stops) = (row.restarts_after_panic as f64, row.restarts_after_stop as f64);
            [([name, "panic"], panics), ([name, "stop"], stops)]
        });
        families.totals(
            "chroma_ha_actor_restarts_total",
            ["actor", "cause"],
            "Restarts of an actor. Cause: panic or stop.",
            restarts,
        )
    }

    fn host(&self, families: &mut Families) -> Result<(), Error> {
        let sample = &self.load.sample;
        families.gauge(
            "chroma_ha_host_cpu_ratio",
            "Share of the CPU time that the container may use, or of the host's where there is none.",
            sample.cpu_percent / 100.0,
        )?;
        families.gauge(
            "chroma_ha_host_memory_used_bytes",
            "Memory used of the container, or of the host where there is no limit; without what can be reclaimed.",
            sample.memory_used_bytes as f64,
        )?;
        families.gauge(
            "chroma_ha_host_memory_limit_bytes",
            "Memory that may be used there.",
            sample.memory_limit_bytes as f64,
        )?;
        let levels = [Pressure::Calm, Pressure::Busy, Pressure::Shed];
        families.gauges(
            "chroma_ha_pressure",
            ["level"],
            "1 for the level of load that the host is on. Level: calm, busy or shed.",
            levels.map(|level| ([level.name()], flag(level == self.load.pressure))),
        )?;
        let lasts = |strain| self.load.strains.iter().any(|lasting| lasting.strain == strain);
        families.gauges(
            "chroma_ha_strain",
            ["resource"],
            "1 for what is short. Resource: memory-short (nearly used up), memory, cpu or queue (of requests).",
            Strain::ALL.map(|strain| ([strain.name()], flag(lasts(strain)))),
        )
    }
}

impl LogReading {
    fn fill(&self, families: &mut Families) -> Result<(), Error> {
        families.gauge(
            "chroma_ha_lease_held",
            "Whether this balancer holds the lease on the log, for certain.",
            flag(self.held),
        )?;
        families.gauge(
            "chroma_ha_lease_epoch",
            "Number of the lease under which the log was read last; it rises with each change of the holder.",
            self.epoch as f64,
        )?;
        families.gauge(
            "chroma_ha_postgres_up",
            "Whether PostgreSQL answered when it was asked last.",
            flag(self.answers),
        )?;
        families.gauge(
            "chroma_ha_wal_head",
            "Last position of the log that is known here.",
            self.head as f64,
        )?;
        families.gauge(
            "chroma_ha_wal_completed",
            "Last position up to which every node has applied the log.",
            self.completed as f64,
        )?;
        families.gauge("chroma_ha_collections", "Collections in the catalog.", self.collections as f64)
    }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Every state that a node can be in, by name.
fn states() -> [&'static str; 8] {
    use NodeState::{CatchingUp, Down, Drained, Draining, Rebuilding, Settling, Suspect, Up};
    let settling = Settling { until: Duration::ZERO };
    [Up, Suspect, Down, settling, CatchingUp, Rebuilding, Draining, Drained].map(NodeState::name)
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;
    use crate::guard::Watched;
    use crate::resources::Lasting;

    fn page(reading: &Reading) -> String {
        let families = reading.families().expect("the families").gather();
        TextEncoder::new().encode_to_string(&families).expect("text")
    }

    #[test]
    fn actors_and_the_host_are_shown_as_they_say_themselves() {
        let quiet = Watched::new("wal", 1).row();
        let fallen = ActorRow { name: "slack".to_owned(), restarts_after_panic: 2, ..quiet.clone() };
        let mut reading = Reading { actors: vec![quiet, fallen], started_ms: 1_500, ..Reading::default() };
        reading.load.sample.cpu_percent = 25.0;
        reading.load.sample.process_cpu_seconds = 3.5;
        reading.load.pressure = Pressure::Busy;
        reading.load.strains.push(Lasting { strain: Strain::Cpu, since_ms: 1 });
        let page = page(&reading);
        for line in [
            r#"chroma_ha_actor_restarts_total{actor="slack",cause="panic"} 2"#,
            r#"chroma_ha_actor_restarts_total{actor="slack",cause="stop"} 0"#,
            r#"chroma_ha_actor_restarts_total{actor="wal",cause="panic"} 0"#,
            "chroma_ha_host_cpu_ratio 0.25",
            r#"chroma_ha_pressure{level="busy"} 1"#,
            r#"chroma_ha_pressure{level="calm"} 0"#,
            r#"chroma_ha_strain{resource="cpu"} 1"#,
            r#"chroma_ha_strain{resource="memory"} 0"#,
            "process_cpu_seconds_total 3.5",
            "process_start_time_seconds 1.5",
        ] {
            assert!(page.lines().any(|shown| shown == line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn a_balancer_that_does_not_hold_the_log_shows_no_lag() {
        let shown = |lag| page(&Reading { nodes: vec![nodes::reading(lag)], ..Reading::default() });
        let standby = shown(None);
        assert!(!standby.contains("chroma_ha_node_lag"), "{standby}");
        assert!(standby.contains(r#"chroma_ha_node_state{node="replica-1",state="down"} 1"#), "{standby}");
        let holder = shown(Some((3, None)));
        assert!(holder.contains(r#"chroma_ha_node_lag_entries{node="replica-1"} 3"#), "{holder}");
        assert!(!holder.contains("chroma_ha_node_lag_seconds"), "{holder}");
        let seen = shown(Some((3, Some(2.5))));
        assert!(seen.contains(r#"chroma_ha_node_lag_seconds{node="replica-1"} 2.5"#), "{seen}");
    }
}
