//! When does what fail, and for how long? Drawn from a seed alone. Faults overlap, but of one thing there
//! is one at a time, and at most one node loses its disk, so that nothing is lost by what nobody promises.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Chance;
use crate::harness::chaos::Mode;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Balancer(usize),
    /// 0 is the primary.
    Node(usize),
    Postgres,
    /// Between clients and the first balancer.
    ClientLink,
    NodeLink(usize),
    DatabaseLink,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL, of PostgreSQL an immediate stop; started again when the fault is over.
    Kill,
    /// SIGSTOP until the fault is over.
    Pause,
    /// Killed and its disk emptied.
    Wipe,
    Link(Mode),
}

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::Pause => "pause",
            Fault::Wipe => "wipe",
            Fault::Link(Mode::Pass) => "pass",
            Fault::Link(Mode::BlackHole) => "black hole",
            Fault::Link(Mode::Refuse) => "refuse",
            Fault::Link(Mode::Reset) => "reset",
            Fault::Link(Mode::Delay { .. }) => "delay",
            Fault::Link(Mode::LoseResponse) => "response lost",
            Fault::Link(Mode::LoseResponseAndHang) => "response lost, hung",
            Fault::Link(Mode::HoldRequests) => "requests late",
            Fault::Link(Mode::Throttle { .. }) => "throttle",
            Fault::Link(Mode::CutResponse { .. }) => "response cut",
        }
    }
}

impl Target {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Target::Balancer(_) => "balancer",
            Target::Node(_) => "node",
            Target::Postgres => "PostgreSQL",
            Target::ClientLink => "client link",
            Target::NodeLink(_) => "node link",
            Target::DatabaseLink => "database link",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Strike {
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
    pub(crate) target: Target,
    pub(crate) fault: Fault,
}

/// A fault begins or ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) at: Duration,
    pub(crate) begins: bool,
    pub(crate) target: Target,
    pub(crate) fault: Fault,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) balancers: usize,
    pub(crate) strategy: &'static str,
    /// When a write is answered: `WRITE_ACK`.
    pub(crate) ack: &'static str,
    pub(crate) strikes: Vec<Strike>,
}

const NODES: u64 = 2;

/// At once, of different things.
const OVERLAP: usize = 3;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl Plan {
    /// Nothing fails.
    pub(crate) fn calm(seed: u64) -> Self {
        Self { seed, balancers: 1, strategy: "round_robin", ack: "applied", strikes: Vec::new() }
    }

    /// Faults that begin within `span`.
    pub(crate) fn new(seed: u64, span: Duration) -> Self {
        let mut chance = Chance::new(seed);
        let balancers = if chance.percent(35) { 2 } else { 1 };
        let strategy = chance.of(&["optimized_read_replica", "round_robin", "least_outstanding"]);
        // From chance of its own: the strikes of a seed stay what they are.
        let ack = if Chance::new(!seed).percent(40) { "log" } else { "applied" };
        let mut plan = Self { seed, balancers, strategy, ack, strikes: Vec::new() };
        let mut busy = BTreeMap::<Target, Duration>::new();
        let mut at = ms(300 + chance.below(700));
        while at < span {
            let (target, fault) = plan.drawn(&mut chance);
            let free = busy.get(&target).is_none_or(|until| *until + ms(300) < at);
            let together = busy.values().filter(|until| **until > at).count();
            if free && together < OVERLAP && !(fault == Fault::Wipe && plan.wiped()) {
                let lasts = lasting(&mut chance, fault);
                busy.insert(target, at + lasts);
                plan.strikes.push(Strike { at, lasts, target, fault });
            }
            at += ms(150 + chance.below(1_100));
        }
        plan
    }

    fn wiped(&self) -> bool {
        self.strikes.iter().any(|strike| strike.fault == Fault::Wipe)
    }

    fn drawn(&self, chance: &mut Chance) -> (Target, Fault) {
        let node = usize::try_from(chance.below(NODES)).unwrap_or_default();
        let balancer = chance.index(self.balancers);
        match chance.below(20) {
            0..=2 => (Target::Balancer(balancer), Fault::Kill),
            3 => (Target::Balancer(balancer), Fault::Pause),
            4 | 5 => (Target::Node(node), Fault::Kill),
            6..=8 => (Target::Node(node), Fault::Pause),
            9 => (Target::Node(node), Fault::Wipe),
            10 => (Target::Postgres, Fault::Kill),
            11 => (Target::Postgres, Fault::Pause),
            12 | 13 => (Target::ClientLink, Fault::Link(mode(chance))),
            14..=17 => (Target::NodeLink(node), Fault::Link(mode(chance))),
            _ => (Target::DatabaseLink, Fault::Link(mode(chance))),
        }
    }

    /// What is struck and how, in words, with how often.
    pub(crate) fn kinds(&self) -> BTreeMap<String, usize> {
        let mut kinds = BTreeMap::new();
        for strike in &self.strikes {
            *kinds.entry(format!("{} {}", strike.target.name(), strike.fault.name())).or_default() += 1;
        }
        kinds
    }

    /// Beginnings and ends, in the order of time.
    pub(crate) fn turns(&self) -> Vec<Turn> {
        let turn = |strike: &Strike, begins: bool| Turn {
            at: if begins { strike.at } else { strike.at + strike.lasts },
            begins,
            target: strike.target,
            fault: strike.fault,
        };
        let mut turns: Vec<Turn> =
            self.strikes.iter().flat_map(|strike| [turn(strike, true), turn(strike, false)]).collect();
        turns.sort_by_key(|turn| turn.at);
        turns
    }
}

fn mode(chance: &mut Chance) -> Mode {
    let delay = Mode::Delay { each_way: ms(20 + chance.below(180)), jitter: ms(chance.below(200)) };
    let cut = Mode::CutResponse { after: chance.index(200) };
    chance.of(&[
        Mode::BlackHole,
        Mode::Refuse,
        Mode::Reset,
        delay,
        Mode::LoseResponse,
        Mode::LoseResponse,
        Mode::LoseResponseAndHang,
        Mode::HoldRequests,
        Mode::HoldRequests,
        Mode::Throttle { bytes_per_second: 4_000 },
        cut,
    ])
}

/// Mostly short; sometimes longer than anybody waits for an answer.
fn lasting(chance: &mut Chance, fault: Fault) -> Duration {
    match fault {
        Fault::Kill | Fault::Wipe => ms(100 + chance.below(2_000)),
        Fault::Pause if chance.percent(25) => ms(5_000 + chance.below(7_000)),
        _ => ms(200 + chance.below(3_000)),
    }
}

#[test]
fn a_seed_makes_the_same_plan_again_and_spares_one_disk() {
    let text = |seed| format!("{:?}", Plan::new(seed, ms(20_000)));
    assert_eq!(text(7), text(7));
    assert_ne!(text(7), text(8));
    for seed in 0..500 {
        let plan = Plan::new(seed, ms(20_000));
        assert!(plan.strikes.iter().filter(|strike| strike.fault == Fault::Wipe).count() <= 1);
        assert!(plan.strikes.len() > 5, "{plan:?}");
        let mut open = Vec::new();
        for turn in plan.turns() {
            if turn.begins {
                assert!(!open.contains(&turn.target), "{plan:?}");
                open.push(turn.target);
            } else {
                open.retain(|target| *target != turn.target);
            }
            assert!(open.len() <= OVERLAP);
        }
    }
}
