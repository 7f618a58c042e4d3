//! What stands above the page: the facts that `core::headline` makes a sentence of, read off the mechanism.

use chroma_ha_actors::board::Holder;
use chroma_ha_actors::history::LOG;
use chroma_ha_actors::resources::Lasting;
use chroma_ha_core::alert::{Alert, matter, strain};
use chroma_ha_core::headline::{Facts, Headline, Log, NodeFacts, headlines as told};
use chroma_ha_core::ids::NodeId;

use crate::config::redact;
use crate::front::Shared;

/// Further matters are in the lists below.
const MOST: usize = 8;

pub(in crate::front) fn headlines(shared: &Shared) -> Vec<Headline> {
    let system = &shared.system;
    let history = &system.board.history;
    let (nodes, acting, matters) = {
        let sequencer = system.board.sequencer();
        let acting = sequencer.acts_next().map(|node| node.name());
        let lags: Vec<_> = sequencer.node_ids().map(|node| (node, sequencer.view(node).lag)).collect();
        let open = |(node, _): &(NodeId, u64)| {
            let all = sequencer.matters(*node).into_iter();
            let alerts = all.map(|(key, open)| matter::opened(&key, &node.name(), &open, 0));
            alerts.collect::<Vec<Alert>>()
        };
        let matters: Vec<Alert> = lags.iter().flat_map(open).take(MOST).collect();
        (lags, acting, matters)
    };
    let dated = |alert: Alert| (alert.clone(), history.opened_ms(&alert.key));
    let facts = |(node, lag): &(NodeId, u64)| NodeFacts {
        name: node.name(),
        state: **system.board.posts[node.0].state.load(),
        since_ms: history.since(&node.name()).0,
        lag: *lag,
    };
    let mut all = told(&Facts {
        log: log(shared),
        log_since_ms: history.since(LOG).0,
        nodes: nodes.iter().map(facts).collect(),
        acting,
        matters: matters.into_iter().map(dated).chain(strains(shared)).collect(),
    });
    all.truncate(MOST);
    all
}

/// What is short, since when.
fn strains(shared: &Shared) -> Vec<(Alert, Option<u64>)> {
    let load = shared.system.load.load();
    let told = |lasting: &Lasting| {
        let since_ms = lasting.since_ms;
        (strain::opened(lasting.strain, &load.sample, &shared.config.pressure, since_ms), Some(since_ms))
    };
    load.strains.iter().map(told).collect()
}

fn log(shared: &Shared) -> Log {
    match shared.system.board.lease.holder() {
        Holder::Here => Log::Here,
        Holder::Elsewhere(peer) => Log::Elsewhere(redact(&peer.address)),
        Holder::HandingOver => Log::HandingOver,
        Holder::Lost => Log::Lost,
        Holder::Unknown => Log::Unreached,
    }
}
