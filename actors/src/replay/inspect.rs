//! A look at a node that came back, before its lanes move: are the collections that it is known to hold
//! still there? A node met for the first time is adopted (the primary of a fresh cluster) or joins.

use std::collections::HashSet;

use bytes::Bytes;
use chroma_ha_core::catalog::{DEFAULT_TENANT, Move};
use chroma_ha_core::ids::CollectionId;
use chroma_ha_core::port::Change;
use chroma_ha_core::sequencer::Findings;
use tracing::{info, warn};
use uuid::Uuid;

use super::apply::Delivery;
use super::peer::{Peer, PeerError};

/// What the catalog says that the node should hold.
struct Expected {
    joined: bool,
    databases: Vec<(String, String)>,
    tenants: Vec<String>,
    mapped: Vec<(CollectionId, Uuid)>,
}

/// Looks, and tells the sequencer. `losses`: how often the node had lost its standing before.
pub async fn inspect(delivery: Delivery, adopt: bool, generation: u64, losses: u64) {
    let node = delivery.node;
    let mut open = Open { delivery: &delivery, generation, closed: false };
    let found = tokio::select! {
        biased;
        () = delivery.board.lost(node, losses) => return,
        found = look(&delivery, adopt) => found,
    };
    let findings = match found {
        Ok(findings) => Some(findings),
        Err(error) => {
            warn!(%node, %error, "looking at what the node holds failed; trying again");
            if delivery.leave_in_doubt(&error) {
                open.closed = true;
                return; // the look stays under way until the node has lost its standing
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            None
        }
    };
    if let Some(findings) = &findings
        && !findings.lost.is_empty()
    {
        warn!(%node, collections = findings.lost.len(), "the node lacks collections that it had: deleted unheard, or lost and copied anew");
    }
    open.close(findings);
}

/// A look that ends by a panic or a dropped future is taken again.
struct Open<'a> {
    delivery: &'a Delivery,
    generation: u64,
    closed: bool,
}

impl Open<'_> {
    fn close(&mut self, findings: Option<Findings>) {
        self.closed = true;
        self.delivery.board.sequencer().inspected(self.delivery.node, self.generation, findings);
        self.delivery.board.wake_all();
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.closed {
            self.close(None);
        }
    }
}

async fn look(delivery: &Delivery, adopt: bool) -> Result<Findings, PeerError> {
    let peer = delivery.peer(delivery.node);
    // A server that does not tell is found out by its refusals.
    let checks = peer.checks().await.ok();
    let batch_limit = checks.as_ref().map(|checks| checks.max_batch_size);
    let base64 = checks.is_some_and(|checks| checks.supports_base64_encoding);
    if adopt {
        adopt_contents(delivery, &peer).await?;
        return Ok(Findings { lost: Vec::new(), joined: true, batch_limit, base64 });
    }
    let expected = expected(delivery);
    ensure_places(&peer, &expected).await?;
    let mut present = HashSet::new();
    for (tenant, database) in &expected.databases {
        present.extend(peer.collections(tenant, database).await?.into_iter().map(|c| c.id));
    }
    let gone = |(_, own): &&(CollectionId, Uuid)| !present.contains(own);
    let lost: Vec<CollectionId> = expected.mapped.iter().filter(gone).map(|(id, _)| *id).collect();
    let mut changes: Vec<Change> = lost
        .iter()
        .map(|id| Change::Mapped { node: delivery.node.name(), collection: *id, node_collection: None })
        .collect();
    if !expected.joined {
        let seq = delivery.board.sequencer().node(delivery.node).cursor();
        changes.push(Change::Joined { node: delivery.node.name(), seq });
        info!(node = %delivery.node, %seq, "the node joins the cluster");
    }
    if !changes.is_empty() {
        delivery.record(changes).await.map_err(|_| PeerError::LogAway)?;
    }
    Ok(Findings { lost, joined: true, batch_limit, base64 })
}

fn expected(delivery: &Delivery) -> Expected {
    let sequencer = delivery.board.sequencer();
    let log = sequencer.node(delivery.node);
    let catalog = &sequencer.catalog;
    Expected {
        joined: log.joined,
        databases: catalog.databases().map(|(t, d)| (t.to_owned(), d.to_owned())).collect(),
        tenants: catalog.tenants().map(str::to_owned).collect(),
        mapped: log.mapped().collect(),
    }
}

/// Tenants and databases that the node lacks are made: they hold nothing but names.
async fn ensure_places(peer: &Peer<'_>, expected: &Expected) -> Result<(), PeerError> {
    for tenant in &expected.tenants {
        if lacks(peer, "looking up the tenant", format!("/api/v2/tenants/{tenant}")).await? {
            create(peer, "creating the tenant", "/api/v2/tenants".to_owned(), tenant).await?;
        }
    }
    for (tenant, database) in &expected.databases {
        let place = format!("/api/v2/tenants/{tenant}/databases");
        if lacks(peer, "looking up the database", format!("{place}/{database}")).await? {
            create(peer, "creating the database", place, database).await?;
        }
    }
    Ok(())
}

async fn lacks(peer: &Peer<'_>, what: &'static str, path: String) -> Result<bool, PeerError> {
    let found = peer.ask(what, "GET", path, None).await;
    Ok(judged(found)? == Some(404))
}

async fn create(peer: &Peer<'_>, what: &'static str, path: String, name: &str) -> Result<(), PeerError> {
    let body = serde_json::json!({ "name": name }).to_string();
    judged(peer.change(what, "POST", path, Some(body)).await).map(drop)
}

/// A refusal is not judged here: what is still lacking is found by whoever needs it. That the node cannot answer now
/// tells nothing: an empty one would pass for one that has the place, and refuse what belongs there.
fn judged(answer: Result<Bytes, PeerError>) -> Result<Option<u16>, PeerError> {
    match answer {
        Ok(_) => Ok(None),
        Err(PeerError::Refused { status, .. }) if status < 500 && status != 429 => Ok(Some(status)),
        Err(error) => Err(error),
    }
}

/// What the primary holds before the first write is the cluster's contents: its ids become the logical
/// ids. Chroma lists no tenants, so only the default tenant's databases are found.
async fn adopt_contents(delivery: &Delivery, peer: &Peer<'_>) -> Result<(), PeerError> {
    let tenant = DEFAULT_TENANT.to_owned();
    let mut moves = Vec::new();
    let mut mapped = Vec::new();
    for (id, database) in peer.databases(&tenant).await? {
        moves.push(Move::DatabaseCreated { id, tenant: tenant.clone(), name: database.clone() });
        for collection in peer.collections(&tenant, &database).await? {
            let id = CollectionId(collection.id);
            mapped.push((id, collection.id));
            let (tenant, database) = (tenant.clone(), database.clone());
            moves.push(Move::CollectionCreated { id, tenant, database, name: collection.name });
        }
    }
    let node = delivery.node.name();
    let mut changes = vec![Change::Adopted { moves: moves.clone() }];
    changes.extend(mapped.iter().map(|(collection, own)| Change::Mapped {
        node: node.clone(),
        collection: *collection,
        node_collection: Some(*own),
    }));
    let seq = delivery.board.sequencer().node(delivery.node).cursor();
    changes.push(Change::Joined { node, seq });
    delivery.record(changes).await.map_err(|_| PeerError::LogAway)?;
    if !mapped.is_empty() {
        info!(collections = mapped.len(), "adopted what the primary holds");
    }
    delivery.board.sequencer().adopt(delivery.node, &moves, &mapped);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_answer_now_is_asked_again() {
        let refused =
            |status| Err(PeerError::Refused { what: "looking up the tenant", status, text: String::new() });
        assert_eq!(judged(Ok(Bytes::new())).unwrap(), None);
        for status in [400, 404, 409] {
            assert_eq!(judged(refused(status)).unwrap(), Some(status));
        }
        for status in [429, 500, 503] {
            assert!(judged(refused(status)).is_err(), "{status}");
        }
    }
}
