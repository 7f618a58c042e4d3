//! Tables and properties of the health machine.

use proptest::prelude::*;

use super::*;

const LATENCY: Duration = Duration::from_millis(3);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn good() -> Observation {
    Observation::ProbeOk { latency: LATENCY }
}

fn bad() -> Observation {
    Observation::ProbeFailed(NodeFault::Timeout(750))
}

fn status(code: u16) -> Observation {
    Observation::RequestFailed(Failure::Status(code))
}

/// A node that is up at 2 s.
fn up() -> Health {
    let mut health = Health::new(HealthConfig::default(), ms(0));
    health.observe(good(), ms(1000)).unwrap();
    health.observe(Observation::CaughtUp, ms(2000)).unwrap();
    assert_eq!(health.state(), NodeState::Up);
    health
}

fn states(health: &mut Health, steps: &[(Observation, u64)]) -> Vec<&'static str> {
    let step = |(observation, at): &(Observation, u64)| {
        health.observe(observation.clone(), ms(*at));
        health.state().name()
    };
    steps.iter().map(step).collect()
}

#[test]
fn one_failed_probe_moves_traffic_and_three_mean_down() {
    let seen = states(&mut up(), &[(bad(), 3000), (bad(), 3200), (bad(), 3400), (bad(), 3600)]);
    assert_eq!(seen, ["suspect", "suspect", "down", "down"]);
}

#[test]
fn refused_and_timed_out_requests_suspect_at_once() {
    for fault in [NodeFault::Refused, NodeFault::Timeout(10)] {
        let change = up().observe(Observation::RequestFailed(fault.clone().into()), ms(3000)).unwrap();
        assert_eq!((change.from, change.to), (NodeState::Up, NodeState::Suspect));
        assert_eq!(change.reason, HealthReason::RequestFailed(fault.into()));
    }
}

#[test]
fn a_lost_connection_suspects_at_once_only_where_a_write_is_in_doubt() {
    let lost = Failure::Fault(NodeFault::Lost("reset".into()));
    assert_eq!(up().observe(Observation::RequestFailed(lost.clone()), ms(3000)), None);
    let change = up().observe(Observation::ApplyFailed(lost), ms(3000)).unwrap();
    assert_eq!(change.to, NodeState::Suspect);
}

#[test]
fn error_answers_suspect_only_in_a_row() {
    let seen = states(
        &mut up(),
        &[
            (status(500), 3000),
            (status(503), 3001),
            (Observation::RequestOk, 3002),
            (status(429), 3003),
            (status(500), 3004),
            (status(500), 3005),
        ],
    );
    assert_eq!(seen, ["up", "up", "up", "up", "up", "suspect"]);
}

#[test]
fn failed_requests_alone_never_mean_down() {
    let mut health = up();
    for at in 3000..3100 {
        health.observe(Observation::RequestFailed(NodeFault::Refused.into()), ms(at));
    }
    assert_eq!(health.state(), NodeState::Suspect);
}

#[test]
fn the_way_back_goes_through_settling_and_catching_up() {
    let seen = states(
        &mut up(),
        &[
            (bad(), 3000),
            (bad(), 3200),
            (bad(), 3400),
            (good(), 3600),
            (Observation::CaughtUp, 3700),
            (good(), 3800),
            (Observation::CaughtUp, 3900),
            (good(), 4799),
            (Observation::Tick, 4800),
            (Observation::CaughtUp, 4900),
        ],
    );
    let way = ["suspect", "suspect", "down", "down", "down", "settling", "settling", "settling"];
    assert_eq!(seen, [&way[..], &["catching-up", "up"]].concat());
}

#[test]
fn nothing_leaves_settling_without_an_answered_probe() {
    let mut health = Health::new(HealthConfig::default(), ms(0));
    assert_eq!(health.observe(Observation::Tick, ms(5000)), None);
    assert!(health.observe(good(), ms(5001)).is_some());
}

#[test]
fn a_slow_node_that_answers_is_waited_for() {
    let slow = Observation::ProbeOk { latency: Duration::from_secs(30) };
    let mut health = up();
    assert_eq!(health.observe(slow, ms(40_000)), None);
    assert_eq!(health.latency(), Some(Duration::from_secs(30)));
}

#[test]
fn a_drained_node_stays_out_until_the_operator_says_so() {
    let seen = states(
        &mut up(),
        &[
            (Observation::Drain, 3000),
            (Observation::Emptied, 3050),
            (good(), 3100),
            (bad(), 3200),
            (Observation::CaughtUp, 3300),
            (Observation::Drain, 3350),
            (Observation::Undrain, 3400),
            (good(), 4400),
        ],
    );
    let out = ["drained"; 5];
    assert_eq!(seen[..1], ["draining"]);
    assert_eq!(seen[1..6], out);
    assert_eq!(seen[6..], ["settling", "catching-up"]);
}

#[test]
fn a_node_leaves_once_nothing_is_under_way_and_trouble_ends_the_wait() {
    let after = |observations: &[Observation]| {
        let steps: Vec<_> = observations.iter().cloned().zip(3000..).collect();
        states(&mut up(), &steps).pop().unwrap()
    };
    let lost = || Observation::ApplyFailed(Failure::Fault(NodeFault::Lost(String::new())));
    assert_eq!(after(&[Observation::Emptied]), "up", "nobody asked for it");
    assert_eq!(after(&[Observation::Drain, good(), bad(), status(503)]), "draining");
    assert_eq!(after(&[Observation::Drain, lost()]), "drained", "what has no answer is not waited for");
    assert_eq!(after(&[Observation::Drain, bad(), bad(), bad()]), "drained", "it is gone");
    assert_eq!(after(&[Observation::Drain, Observation::Undrain]), "catching-up", "nothing was given up");
    assert_eq!(after(&[lost(), Observation::Drain]), "drained", "nothing counts that is under way there");
    assert_eq!(after(&[lost(), Observation::Drain, Observation::Undrain]), "settling");
}

#[test]
fn a_rebuilt_node_catches_up_before_it_is_up() {
    let seen = states(
        &mut up(),
        &[
            (Observation::RebuildStarted, 3000),
            (Observation::CaughtUp, 3100),
            (Observation::Rebuilt, 3200),
            (Observation::CaughtUp, 3300),
            (Observation::FellBehind, 3400),
        ],
    );
    assert_eq!(seen, ["rebuilding", "rebuilding", "catching-up", "up", "catching-up"]);
}

#[test]
fn probes_hurry_while_in_doubt() {
    let mut health = up();
    assert_eq!(health.next_probe(ms(2000), 0.5), ms(500));
    health.observe(status(500), ms(2500));
    assert_eq!(health.next_probe(ms(2500), 0.5), ms(200));
    health.observe(good(), ms(2700));
    assert_eq!(health.next_probe(ms(2700), 0.5), ms(500));
    health.observe(status(500), ms(2800));
    for at in [3000, 3200, 3400] {
        health.observe(bad(), ms(at));
    }
    assert_eq!(health.next_probe(ms(4000), 0.5), ms(200));
    assert_eq!(health.next_probe(ms(40_000), 0.5), ms(500));
    health.observe(good(), ms(40_000));
    health.observe(good(), ms(40_200));
    assert_eq!(health.next_probe(ms(41_150), 0.5), ms(50));
}

fn any_observation() -> impl Strategy<Value = Observation> {
    prop_oneof![
        4 => Just(good()),
        3 => Just(bad()),
        1 => Just(Observation::RequestOk),
        1 => Just(Observation::RequestFailed(NodeFault::Refused.into())),
        1 => Just(Observation::ApplyFailed(Failure::Fault(NodeFault::Lost(String::new())))),
        1 => Just(status(500)),
        3 => Just(Observation::CaughtUp),
        1 => Just(Observation::FellBehind),
        1 => Just(Observation::RebuildStarted),
        1 => Just(Observation::Rebuilt),
        1 => Just(Observation::Drain),
        1 => Just(Observation::Emptied),
        2 => Just(Observation::Undrain),
        2 => Just(Observation::Tick),
    ]
}

proptest! {
    #[test]
    fn nothing_is_up_after_trouble_without_settling_and_catching_up(
        steps in prop::collection::vec((any_observation(), 0u64..700), 1..200),
        failure_threshold in 1u32..5, recovery_threshold in 1u32..5,
    ) {
        let config = HealthConfig { failure_threshold, recovery_threshold, ..HealthConfig::default() };
        let mut health = Health::new(config, ms(0));
        let (mut now, mut settled, mut caught_up) = (0, false, false);
        for (observation, pause) in steps {
            now += pause;
            let before = health.state();
            let change = health.observe(observation, ms(now));
            prop_assert_eq!(change.is_some(), before != health.state());
            let Some(change) = change else { continue };
            match change.to {
                NodeState::Suspect | NodeState::Down | NodeState::Drained => (settled, caught_up) = (false, false),
                NodeState::CatchingUp => {
                    if let NodeState::Settling { until } = change.from {
                        prop_assert!(ms(now) >= until);
                        settled = true;
                    }
                    prop_assert!(settled);
                    caught_up = true;
                }
                NodeState::Up => prop_assert!(settled && caught_up),
                NodeState::Settling { .. } | NodeState::Rebuilding | NodeState::Draining => {}
            }
            prop_assert!(!health.state().applies() || settled);
        }
    }

    #[test]
    fn a_node_whose_failures_stay_below_the_threshold_does_not_flap(
        runs in prop::collection::vec(0u32..3, 1..50),
    ) {
        let mut health = up();
        for (at, failures) in (3000u64..).zip(runs) {
            for _ in 0..failures {
                prop_assert_eq!(health.observe(status(503), ms(at)), None);
            }
            prop_assert_eq!(health.observe(Observation::RequestOk, ms(at)), None);
        }
    }

    #[test]
    fn a_down_node_with_single_good_probes_stays_down(goods in prop::collection::vec(0u32..2, 1..50)) {
        let mut health = up();
        for at in [3000, 3200, 3400] {
            health.observe(bad(), ms(at));
        }
        for (at, good_probes) in (3600u64..).zip(goods) {
            for _ in 0..good_probes {
                prop_assert_eq!(health.observe(good(), ms(at)), None);
            }
            prop_assert_eq!(health.observe(bad(), ms(at)), None);
            prop_assert_eq!(health.state(), NodeState::Down);
        }
    }

    #[test]
    fn a_probe_is_never_far_away(
        steps in prop::collection::vec((any_observation(), 0u64..700), 0..50), jitter in 0.0f64..1.0,
    ) {
        let mut health = Health::new(HealthConfig::default(), ms(0));
        let mut now = 0;
        for (observation, pause) in steps {
            now += pause;
            health.observe(observation, ms(now));
            let wait = health.next_probe(ms(now), jitter);
            prop_assert!(wait > Duration::ZERO && wait <= ms(550));
        }
    }
}
