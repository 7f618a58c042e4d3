//! The cluster as a balancer sees it, moment by moment, and what of it is told.

use super::*;
use crate::alert::{Phase, Severity};

const LIMITS: BacklogLimits = BacklogLimits { entries: 1_000, age: Duration::from_secs(100) };

/// A cluster of a primary and a replica, with a clock.
struct Scene {
    lookout: Lookout,
    facts: Facts,
    now_ms: u64,
}

fn node(name: &str) -> NodeFacts {
    let (state, reason) = (NodeState::Up, "everything in the log is applied".to_owned());
    NodeFacts { name: name.to_owned(), state, since_ms: 0, reason, lag: 0, oldest_ms: None }
}

fn taken_from(address: &str, epoch: u64, gave_away: bool) -> Predecessor {
    Predecessor { address: address.to_owned(), epoch, gave_away }
}

impl Scene {
    fn new() -> Scene {
        let facts = Facts {
            log: Log::Here,
            log_answers: true,
            log_fault: None,
            predecessor: None,
            acting: Some("primary".to_owned()),
            first_choice: "primary".to_owned(),
            nodes: vec![node("primary"), node("replica-1")],
        };
        Scene { lookout: Lookout::new(LIMITS, Duration::from_secs(10)), facts, now_ms: 1_000_000 }
    }

    /// One look a second for so long; what was told, by phase and key.
    fn after(&mut self, seconds: u64) -> Vec<String> {
        let short = |alert: Alert| {
            let phase = match alert.phase {
                Phase::Opened => "opened",
                Phase::Resolved => "resolved",
                Phase::Notice => "notice",
            };
            format!("{phase} {}", alert.key)
        };
        self.alerts(seconds).into_iter().map(short).collect()
    }

    fn alerts(&mut self, seconds: u64) -> Vec<Alert> {
        let mut told = Vec::new();
        for _ in 0..seconds {
            self.now_ms += 1_000;
            told.extend(self.lookout.look(&self.facts, self.now_ms));
        }
        told
    }

    fn set(&mut self, node: usize, state: NodeState) {
        self.facts.nodes[node].state = state;
        self.facts.nodes[node].since_ms = self.now_ms;
    }
}

#[test]
fn a_calm_cluster_is_not_told() {
    assert_eq!(Scene::new().after(1_000), Vec::<String>::new());
}

#[test]
fn a_node_is_down_once_and_up_once_with_how_long_each_part_took() {
    let mut scene = Scene::new();
    scene.set(1, NodeState::Suspect);
    assert!(scene.after(2).is_empty());
    scene.set(1, NodeState::Down);
    assert_eq!(scene.after(60), ["opened node-down:replica-1"]);
    scene.set(1, NodeState::Settling { until: Duration::ZERO });
    assert!(scene.after(1).is_empty());
    scene.set(1, NodeState::CatchingUp);
    assert!(scene.after(18).is_empty());
    scene.set(1, NodeState::Up);
    let [up] = scene.alerts(1).try_into().unwrap();
    assert_eq!(up.what, "It was down for 1 min, then took 20 s to settle and catch up.");
    assert!(scene.after(100).is_empty());
}

#[test]
fn a_long_way_up_is_told_once_and_a_relapse_is_the_same_outage() {
    let mut scene = Scene::new();
    scene.set(1, NodeState::Down);
    scene.after(10);
    scene.set(1, NodeState::CatchingUp);
    assert_eq!(scene.after(300), ["notice node-back:replica-1"]);
    scene.set(1, NodeState::Down);
    assert!(scene.after(5).is_empty());
    scene.set(1, NodeState::Up);
    assert_eq!(scene.after(5), ["resolved node-down:replica-1"]);
}

#[test]
fn the_last_node_that_falls_is_critical() {
    let mut scene = Scene::new();
    let severity = |scene: &mut Scene| scene.alerts(1).first().map(|alert| alert.severity);
    scene.set(0, NodeState::Down);
    assert_eq!(severity(&mut scene), Some(Severity::Warning));
    scene.set(1, NodeState::Down);
    assert_eq!(severity(&mut scene), Some(Severity::Critical));
}

#[test]
fn a_replica_that_acts_for_some_seconds_is_told_until_the_primary_does() {
    let mut scene = Scene::new();
    scene.facts.acting = Some("replica-1".to_owned());
    assert!(scene.after(2).is_empty(), "a moment is no failover");
    scene.facts.acting = Some("primary".to_owned());
    assert!(scene.after(9).is_empty());
    scene.facts.acting = Some("replica-1".to_owned());
    assert_eq!(scene.after(30), ["opened failover"]);
    scene.facts.acting = None;
    assert!(scene.after(30).is_empty());
    scene.facts.acting = Some("primary".to_owned());
    assert_eq!(scene.after(30), ["resolved failover"]);
}

#[test]
fn a_backlog_is_told_with_hysteresis() {
    let mut scene = Scene::new();
    let lag = |scene: &mut Scene, entries| {
        scene.facts.nodes[1].lag = entries;
        scene.after(5)
    };
    assert!(lag(&mut scene, 999).is_empty());
    assert_eq!(lag(&mut scene, 1_000), ["opened backlog:replica-1"]);
    assert!(lag(&mut scene, 900).is_empty() && lag(&mut scene, 1_100).is_empty());
    assert!(lag(&mut scene, 500).is_empty());
    assert_eq!(lag(&mut scene, 499), ["resolved backlog:replica-1"]);
    // By age, too.
    scene.facts.nodes[1].oldest_ms = Some(scene.now_ms);
    assert!(scene.after(99).is_empty());
    assert_eq!(scene.after(1), ["opened backlog:replica-1"]);
    assert_eq!(lag(&mut scene, 0), ["resolved backlog:replica-1"]);
}

#[test]
fn a_backlog_of_a_node_that_is_told_to_be_down_has_one_message() {
    let mut scene = Scene::new();
    scene.set(1, NodeState::Down);
    scene.facts.nodes[1].lag = 1_000_000;
    assert_eq!(scene.after(200), ["opened node-down:replica-1"]);
    scene.set(1, NodeState::CatchingUp);
    assert_eq!(scene.after(200), ["notice node-back:replica-1"]);
    // The rest of it drains as a rule; if not, that is another matter.
    scene.set(1, NodeState::Up);
    scene.facts.nodes[1].lag = 1_100;
    assert_eq!(scene.after(59), ["resolved node-down:replica-1"]);
    assert_eq!(scene.after(9), ["opened backlog:replica-1"]);
}

#[test]
fn a_backlog_that_grows_after_an_outage_is_a_matter_of_its_own() {
    let mut scene = Scene::new();
    scene.set(1, NodeState::Down);
    scene.facts.nodes[1].lag = 1_100;
    scene.after(9);
    scene.set(1, NodeState::Up);
    assert_eq!(scene.after(9), ["resolved node-down:replica-1"]);
    scene.facts.nodes[1].lag = 1_101;
    assert_eq!(scene.after(1), ["opened backlog:replica-1"]);
}

#[test]
fn postgres_that_is_away_is_told_after_some_seconds() {
    let mut scene = Scene::new();
    (scene.facts.log, scene.facts.log_answers) = (Log::Lost, false);
    scene.facts.log_fault = Some("PostgreSQL cannot be reached: connection refused".to_owned());
    assert!(scene.after(5).is_empty(), "a blip is not told");
    let [away] = scene.alerts(60).try_into().unwrap();
    assert_eq!((away.key.as_str(), away.at_ms), ("postgres", 1_001_000));
    assert_eq!(away.what, "PostgreSQL cannot be reached: connection refused.");
    (scene.facts.log, scene.facts.log_answers) = (Log::Here, true);
    assert_eq!(scene.after(60), ["resolved postgres"]);
}

#[test]
fn a_lease_that_nobody_takes_is_another_matter() {
    let mut scene = Scene::new();
    scene.facts.log = Log::Lost;
    assert!(scene.after(20).is_empty(), "a lease takes its time to lapse");
    assert_eq!(scene.after(60), ["opened log-unheld"]);
    scene.facts.log = Log::Elsewhere("http://b:8000".to_owned());
    assert_eq!(scene.after(60), ["resolved log-unheld"]);
}

#[test]
fn a_deploy_is_one_calm_message_of_the_balancer_that_took_over() {
    let mut old = Scene::new();
    old.facts.log = Log::HandingOver;
    assert!(old.after(5).is_empty());
    old.facts.log = Log::Elsewhere("http://new:8000".to_owned());
    assert!(old.after(50).is_empty());
    let mut new = Scene::new();
    new.facts.log = Log::Elsewhere("http://old:8000".to_owned());
    assert!(new.after(50).is_empty());
    new.facts.log = Log::Here;
    new.facts.predecessor = Some(taken_from("old:8000", 7, true));
    let [told] = new.alerts(50).try_into().unwrap();
    assert_eq!((told.key.as_str(), told.severity), ("lease", Severity::Info));
}

#[test]
fn a_standby_leaves_nodes_to_the_holder_and_tells_once_it_holds_the_log() {
    let mut scene = Scene::new();
    scene.facts.log = Log::Elsewhere("http://b:8000".to_owned());
    scene.set(1, NodeState::Down);
    scene.facts.acting = Some("replica-1".to_owned());
    assert!(scene.after(100).is_empty());
    scene.facts.log = Log::Here;
    scene.facts.predecessor = Some(taken_from("b:8000", 7, false));
    assert_eq!(scene.after(10), ["notice lease", "opened node-down:replica-1", "opened failover"]);
}

#[test]
fn what_a_holder_told_it_ends_itself_once_it_holds_the_log_again() {
    let mut scene = Scene::new();
    scene.set(1, NodeState::Down);
    assert_eq!(scene.after(5), ["opened node-down:replica-1"]);
    scene.facts.log = Log::Elsewhere("http://b:8000".to_owned());
    scene.set(1, NodeState::CatchingUp);
    assert!(scene.after(50).is_empty());
    scene.facts.log = Log::Here;
    scene.facts.predecessor = Some(taken_from("b:8000", 7, false));
    scene.set(1, NodeState::Up);
    assert_eq!(scene.after(5), ["notice lease", "resolved node-down:replica-1"]);
}
