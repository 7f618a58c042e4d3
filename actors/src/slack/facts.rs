//! How is the cluster, in the words of `core::alert::lookout`? Read off the board; of the lease it keeps what
//! the board does not. It compares nothing.

use chroma_ha_core::alert::lookout::{Facts, NodeFacts, Predecessor};
use chroma_ha_core::headline::Log;
use chroma_ha_core::ids::NodeId;

use crate::board::{Board, Holder};
use crate::wal::LeaseChange;

/// What was heard of the lease.
#[derive(Debug, Default)]
pub(super) struct LeaseFacts {
    /// Why it was lost last.
    fault: Option<String>,
    /// Who had it before this balancer.
    predecessor: Option<Predecessor>,
}

impl LeaseFacts {
    pub(super) fn note(&mut self, change: &LeaseChange) {
        match change {
            LeaseChange::Taken { epoch, quiet, from } => {
                let before = |address: &String| Predecessor {
                    address: host(address).to_owned(),
                    epoch: *epoch,
                    gave_away: *quiet,
                };
                *self = LeaseFacts { fault: None, predecessor: from.as_ref().map(before) };
            }
            LeaseChange::Lost { reason } => self.fault = Some(reason.clone()),
        }
    }

    pub(super) fn with(&self, board: &Board) -> Facts {
        let (acting, first_choice, lags) = {
            let sequencer = board.sequencer();
            let lag = |node: NodeId| (sequencer.lag(node), sequencer.node(node).oldest_pending_ms());
            let lags: Vec<_> = sequencer.node_ids().map(lag).collect();
            (sequencer.acts_next().map(|node| node.name()), sequencer.first_choice().name(), lags)
        };
        let node = |(n, (lag, oldest_ms)): (usize, (u64, Option<u64>))| {
            let name = NodeId(n).name();
            let (since_ms, reason) = board.history.since(&name);
            NodeFacts { name, state: **board.posts[n].state.load(), since_ms, reason, lag, oldest_ms }
        };
        Facts {
            log: log(board),
            log_answers: board.lease.log_answers(),
            log_fault: self.fault.clone(),
            predecessor: self.predecessor.clone(),
            acting,
            first_choice,
            nodes: lags.into_iter().enumerate().map(node).collect(),
        }
    }
}

fn log(board: &Board) -> Log {
    match board.lease.holder() {
        Holder::Here => Log::Here,
        Holder::Elsewhere(peer) => Log::Elsewhere(host(&peer.address).to_owned()),
        Holder::HandingOver => Log::HandingOver,
        Holder::Lost => Log::Lost,
        Holder::Unknown => Log::Unreached,
    }
}

/// An address without what may be a credential in it.
fn host(address: &str) -> &str {
    let bare = address.rsplit_once('@').map_or(address, |(_, host)| host);
    let bare = bare.split_once("://").map_or(bare, |(_, host)| host);
    bare.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_peers_show_no_credentials() {
        let hosts = ["http://b:8000", "http://me:pw@b:8000/", "https://b/x?key=1"].map(host);
        assert_eq!(hosts, ["b:8000", "b:8000", "b"]);
    }
}
