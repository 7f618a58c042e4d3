//! How many records are being deleted on one node, by whatever way a request got there: what lists of its
//! records must know (`core::listing`). Kept for collections that somebody lists or that have deletes
//! under way; the rest is forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chroma_ha_core::ids::NodeId;
use chroma_ha_core::listing::Deletes;
use chroma_ha_core::port::{BoxFuture, Node, NodeFault, NodeRequest, NodeResponse};
use uuid::Uuid;

use super::Board;

/// More than any list: a delete by a filter may take everything.
const EVERYTHING: u64 = 1 << 40;

#[derive(Debug, Default)]
struct Row {
    deletes: Deletes,
    watchers: usize,
}

#[derive(Debug, Default)]
pub struct DeleteCounts {
    rows: Mutex<HashMap<Uuid, Row>>,
}

impl DeleteCounts {
    fn rows(&self) -> MutexGuard<'_, HashMap<Uuid, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, own: Uuid, change: impl FnOnce(&mut Row)) {
        let mut rows = self.rows();
        let row = rows.entry(own).or_default();
        change(row);
        if row.watchers == 0 && row.deletes.sent == row.deletes.done {
            rows.remove(&own);
        }
    }

    /// Deletes of this collection are counted from now on, with those under way.
    pub fn watch(self: &Arc<Self>, own: Uuid) -> DeleteWatch {
        self.change(own, |row| row.watchers += 1);
        DeleteWatch { counts: Arc::clone(self), own }
    }

    fn sent(self: &Arc<Self>, own: Uuid, records: u64) -> Sent {
        self.change(own, |row| row.deletes.sent += records);
        Sent { counts: Arc::clone(self), own, records }
    }
}

/// One list being read.
#[derive(Debug)]
pub struct DeleteWatch {
    counts: Arc<DeleteCounts>,
    own: Uuid,
}

impl DeleteWatch {
    pub fn now(&self) -> Deletes {
        self.counts.rows().get(&self.own).map(|row| row.deletes).unwrap_or_default()
    }
}

impl Drop for DeleteWatch {
    fn drop(&mut self) {
        self.counts.change(self.own, |row| row.watchers -= 1);
    }
}

/// A delete under way. One that is given up may be executed later; the node has lost its standing then,
/// and with it ends whatever reads there.
struct Sent {
    counts: Arc<DeleteCounts>,
    own: Uuid,
    records: u64,
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.counts.change(self.own, |row| row.deletes.done += self.records);
    }
}

/// A node whose deletes are counted.
struct CountedNode {
    node: Arc<dyn Node>,
    counts: Arc<DeleteCounts>,
}

impl Node for CountedNode {
    fn call(&self, request: NodeRequest) -> BoxFuture<'_, Result<NodeResponse, NodeFault>> {
        let Some((own, records)) = deleted(&request) else { return self.node.call(request) };
        let sent = self.counts.sent(own, records);
        Box::pin(async move {
            let _until_it_ended = sent;
            self.node.call(request).await
        })
    }

    fn reconnect(&self) {
        self.node.reconnect();
    }
}

/// Which collection a request deletes records of, and at most how many.
fn deleted(request: &NodeRequest) -> Option<(Uuid, u64)> {
    let path = request.path.split('?').next()?.strip_suffix("/delete")?;
    let own = Uuid::parse_str(path.rsplit('/').next()?).ok()?;
    let text = request.body.as_ref();
    let by_filter = text.windows(6).any(|word| word == b"\"where");
    // A comma between two ids; those within an id only make it more.
    let ids = 1 + text.iter().filter(|byte| **byte == b',').count() as u64;
    Some((own, if by_filter { EVERYTHING } else { ids }))
}

impl Board {
    /// The nodes, by place, with their deletes counted: what writes to them goes through these.
    pub fn counted(&self, nodes: Vec<Arc<dyn Node>>) -> Arc<[Arc<dyn Node>]> {
        let counted = nodes.into_iter().zip(&self.posts).map(|(node, post)| {
            Arc::new(CountedNode { node, counts: Arc::clone(&post.deletes) }) as Arc<dyn Node>
        });
        counted.collect()
    }

    /// Deletes of the node's own collection are counted while the answer lives.
    pub fn watch_deletes(&self, node: NodeId, own: Uuid) -> DeleteWatch {
        self.posts[node.0].deletes.watch(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn request(verb: &str, body: &'static str) -> NodeRequest {
        let own = Uuid::from_u128(7);
        NodeRequest {
            method: "POST",
            path: format!("/api/v2/tenants/t/databases/d/collections/{own}/{verb}"),
            headers: Vec::new(),
            body: body.into(),
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn no_record_of_a_delete_goes_uncounted() {
        let own = Uuid::from_u128(7);
        assert_eq!(deleted(&request("delete", r#"{"ids":["a","b"]}"#)), Some((own, 2)));
        assert_eq!(deleted(&request("delete", r#"{"ids":["a,b"]}"#)), Some((own, 2)));
        assert_eq!(deleted(&request("delete", r#"{"where":{"k":1}}"#)), Some((own, EVERYTHING)));
        assert_eq!(deleted(&request("upsert", r#"{"ids":["a"]}"#)), None);
    }

    #[test]
    fn what_is_under_way_when_a_list_begins_is_known() {
        let counts = Arc::new(DeleteCounts::default());
        let own = Uuid::from_u128(7);
        let sent = counts.sent(own, 3);
        let watch = counts.watch(own);
        assert_eq!(watch.now(), Deletes { sent: 3, done: 0 });
        drop(sent);
        assert_eq!(watch.now(), Deletes { sent: 3, done: 3 });
        drop(watch);
        assert!(counts.rows().is_empty());
    }
}
