//! Which of the readable nodes gets this read? It does not decide who is readable (`sequencer` and
//! `health` do), counts nothing and draws no chance.

use std::str::FromStr;

use crate::ids::NodeId;

/// How reads are spread over the nodes that may answer them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// A share of the reads goes to the replicas, the rest to the primary.
    #[default]
    OptimizedReadReplica,
    /// Every node in turn.
    RoundRobin,
    /// The node with the fewest unanswered requests.
    LeastOutstanding,
    /// The primary; while it cannot be read, the first replica that can.
    PrimaryOnly,
}

impl Strategy {
    pub const ALL: [Strategy; 4] = [
        Strategy::OptimizedReadReplica,
        Strategy::RoundRobin,
        Strategy::LeastOutstanding,
        Strategy::PrimaryOnly,
    ];

    /// The spelling in the environment.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::OptimizedReadReplica => "optimized_read_replica",
            Strategy::RoundRobin => "round_robin",
            Strategy::LeastOutstanding => "least_outstanding",
            Strategy::PrimaryOnly => "primary_only",
        }
    }
}

/// The name is none of the strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a strategy")]
pub struct UnknownStrategy;

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Strategy, UnknownStrategy> {
        Strategy::ALL.into_iter().find(|strategy| strategy.name() == name).ok_or(UnknownStrategy)
    }
}

/// A node that may answer the read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub node: NodeId,
    /// Requests sent to the node and not answered yet.
    pub outstanding: u32,
}

/// The node for one read; `None` only without candidates. `ticket` counts reads and turns the ties,
/// `chance` in `0..1` splits the reads between replicas and primary.
pub fn choose(
    strategy: Strategy,
    read_replica_ratio: f64,
    candidates: &[Candidate],
    ticket: u64,
    chance: f64,
) -> Option<NodeId> {
    match strategy {
        Strategy::OptimizedReadReplica => {
            let replicas = || candidates.iter().filter(|candidate| candidate.node != NodeId::PRIMARY);
            let primary = candidates.iter().find(|candidate| candidate.node == NodeId::PRIMARY);
            match primary {
                Some(primary) if chance >= read_replica_ratio => Some(primary.node),
                Some(primary) => least(replicas(), ticket).or(Some(primary.node)),
                None => least(replicas(), ticket),
            }
        }
        Strategy::RoundRobin => turn(candidates.iter(), candidates.len(), ticket),
        Strategy::LeastOutstanding => least(candidates.iter(), ticket),
        Strategy::PrimaryOnly => candidates.iter().map(|candidate| candidate.node).min(),
    }
}

/// The least busy node; equals take turns.
fn least<'a>(nodes: impl Iterator<Item = &'a Candidate> + Clone, ticket: u64) -> Option<NodeId> {
    let fewest = nodes.clone().map(|candidate| candidate.outstanding).min()?;
    let ties = nodes.filter(|candidate| candidate.outstanding == fewest);
    turn(ties.clone(), ties.count(), ticket)
}

fn turn<'a>(mut nodes: impl Iterator<Item = &'a Candidate>, count: usize, ticket: u64) -> Option<NodeId> {
    let place = ticket.checked_rem(u64::try_from(count).ok()?)?;
    nodes.nth(usize::try_from(place).ok()?).map(|candidate| candidate.node)
}

#[cfg(test)]
mod tests {
    use super::Strategy;
    use super::*;
    use proptest::prelude::*;
    use proptest::strategy::Strategy as _;

    fn idle(nodes: &[usize]) -> Vec<Candidate> {
        nodes.iter().map(|node| Candidate { node: NodeId(*node), outstanding: 0 }).collect()
    }

    /// Reads per node out of 1,000 evenly spread chances.
    fn shares(strategy: Strategy, ratio: f64, candidates: &[Candidate]) -> [u32; 4] {
        let mut reads = [0; 4];
        for ticket in 0..1000u32 {
            // A stride without a common factor, so that ticket and chance are independent.
            let chance = f64::from(ticket * 617 % 1000) / 1000.0;
            let node = choose(strategy, ratio, candidates, u64::from(ticket), chance).unwrap();
            reads[node.0] += 1;
        }
        reads
    }

    #[test]
    fn every_strategy_is_found_by_its_name() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.name().parse(), Ok(strategy));
        }
        assert_eq!("random".parse::<Strategy>(), Err(UnknownStrategy));
    }

    #[test]
    fn four_of_five_reads_go_to_the_replicas() {
        let strategy = Strategy::OptimizedReadReplica;
        assert_eq!(shares(strategy, 0.8, &idle(&[0, 1])), [200, 800, 0, 0]);
        let reads = shares(strategy, 0.8, &idle(&[0, 1, 2]));
        assert_eq!((reads[0], reads[1] + reads[2]), (200, 800));
        assert!(reads[1].abs_diff(reads[2]) <= 40, "{reads:?}");
        assert_eq!(shares(strategy, 0.8, &idle(&[0])), [1000, 0, 0, 0]);
        assert_eq!(shares(strategy, 0.8, &idle(&[1])), [0, 1000, 0, 0]);
    }

    #[test]
    fn round_robin_is_even() {
        assert_eq!(shares(Strategy::RoundRobin, 0.8, &idle(&[0, 1, 2, 3])), [250; 4]);
    }

    #[test]
    fn the_least_busy_node_is_taken() {
        let candidates =
            [Candidate { node: NodeId(0), outstanding: 3 }, Candidate { node: NodeId(1), outstanding: 2 }];
        assert_eq!(choose(Strategy::LeastOutstanding, 0.8, &candidates, 7, 0.1), Some(NodeId(1)));
    }

    #[test]
    fn without_the_primary_the_first_replica_stands_in() {
        let chosen = |nodes: &[usize]| choose(Strategy::PrimaryOnly, 0.8, &idle(nodes), 5, 0.1);
        assert_eq!(chosen(&[2, 0, 1]), Some(NodeId::PRIMARY));
        assert_eq!(chosen(&[2, 1]), Some(NodeId(1)));
        assert_eq!(chosen(&[]), None);
    }

    fn any_candidates() -> impl proptest::strategy::Strategy<Value = Vec<Candidate>> {
        prop::collection::vec(0u32..5, 0..6).prop_map(|loads| {
            let node = |(node, outstanding)| Candidate { node: NodeId(node), outstanding };
            loads.into_iter().enumerate().map(node).collect()
        })
    }

    proptest! {
        #[test]
        fn a_candidate_is_chosen_whenever_there_is_one(
            which in 0usize..4, ratio in 0.0f64..=1.0, candidates in any_candidates(),
            ticket: u64, chance in 0.0f64..1.0,
        ) {
            let chosen = choose(Strategy::ALL[which], ratio, &candidates, ticket, chance);
            prop_assert_eq!(chosen.is_some(), !candidates.is_empty());
            prop_assert!(chosen.is_none_or(|node| candidates.iter().any(|c| c.node == node)));
        }

        #[test]
        fn the_replicas_share_is_the_ratio(ratio in 0.0f64..=1.0) {
            let reads = shares(Strategy::OptimizedReadReplica, ratio, &idle(&[0, 1, 2]));
            let replicas = f64::from(reads[1] + reads[2]) / 1000.0;
            prop_assert!((replicas - ratio).abs() <= 0.002);
        }
    }
}
