//! A node as the lanes reach it: nothing is sent once the lease is not certain. A balancer that was
//! paused past its lease finds out here, when it wakes, before it does anything.

use std::sync::Arc;

use chroma_ha_core::port::{BoxFuture, Node, NodeFault, NodeRequest, NodeResponse};

use crate::board::Board;

pub struct Fenced {
    node: Arc<dyn Node>,
    board: Arc<Board>,
}

impl Fenced {
    /// Every node, fenced.
    pub fn all(nodes: &[Arc<dyn Node>], board: &Arc<Board>) -> Arc<[Arc<dyn Node>]> {
        let fenced = |node: &Arc<dyn Node>| {
            Arc::new(Fenced { node: Arc::clone(node), board: Arc::clone(board) }) as Arc<dyn Node>
        };
        nodes.iter().map(fenced).collect()
    }
}

impl Node for Fenced {
    fn call(&self, request: NodeRequest) -> BoxFuture<'_, Result<NodeResponse, NodeFault>> {
        Box::pin(async move {
            // Asked when the request is about to go, not when it was made.
            if !self.board.lease.certain() {
                return Err(NodeFault::Withheld);
            }
            self.node.call(request).await
        })
    }

    fn reconnect(&self) {
        self.node.reconnect();
    }
}
