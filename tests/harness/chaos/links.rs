//! The proxies of one stack: between clients and balancer, balancer and each node, balancer and
//! PostgreSQL. It starts them and names their addresses; whoever holds it sets their modes.

use chroma_ha::dev::Chroma;
use url::Url;

use super::{ChaosProxy, Mode};

/// What is there before the first balancer.
pub(crate) struct Wires {
    pub(crate) nodes: Vec<ChaosProxy>,
    pub(crate) database: ChaosProxy,
    /// Through the proxy.
    pub(crate) database_url: String,
}

impl Wires {
    pub(crate) async fn before(nodes: &[Chroma], database_url: &str) -> Self {
        let mut wires = Vec::new();
        for node in nodes {
            wires.push(ChaosProxy::before(node.port()).await);
        }
        let mut url = Url::parse(database_url).expect("an address");
        let database = ChaosProxy::before(url.port().expect("a port")).await;
        url.set_port(Some(database.port())).expect("an address with a host");
        Self { nodes: wires, database, database_url: url.to_string() }
    }
}

pub(crate) struct Links {
    /// Between clients and the first balancer.
    pub(crate) clients: ChaosProxy,
    /// Between balancers and each node, primary first.
    pub(crate) nodes: Vec<ChaosProxy>,
    /// Between balancers and PostgreSQL.
    pub(crate) database: ChaosProxy,
}

impl Links {
    pub(crate) async fn before(balancer_port: u16, wires: Wires) -> Self {
        let Wires { nodes, database, .. } = wires;
        Self { clients: ChaosProxy::before(balancer_port).await, nodes, database }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &ChaosProxy> {
        self.nodes.iter().chain([&self.clients, &self.database])
    }

    /// Everything goes through again.
    pub(crate) async fn heal(&self) {
        for proxy in self.all() {
            proxy.set(Mode::Pass).await;
        }
    }
}
