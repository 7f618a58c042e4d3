//! A read: sent to a node that has everything acknowledged, streamed back untouched but for ids. A node
//! that fails, or loses its standing before it has begun to answer, is left for another at once.

use std::time::{Duration, Instant};

use chroma_ha_actors::board::Readable;
use chroma_ha_actors::proxy::{Choose, Refusal};
use chroma_ha_actors::trace::millis;
use chroma_ha_core::ids::{CollectionId, NodeId, Stream};
use chroma_ha_core::port::NodeFault;
use chroma_ha_core::route::{Read, RecordRead};
use chroma_ha_core::sequencer::Gate;

use super::exchange::{Incoming, Outgoing};
use super::{Worker, asked, catalog, rescue};

/// How often a read is tried, on different nodes where there are any.
const TRIES: u32 = 4;

/// Before the only node that may answer is asked again after a 5xx; that many times longer each time.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a read waits for the log to be read: the lease is tried for every second.
pub(super) const RECOVERY: Duration = Duration::from_secs(2);

pub(super) async fn read(worker: &Worker, read: &Read, incoming: &Incoming) -> Outgoing {
    // Until then an empty catalog would deny collections that exist.
    if !read.is_of_any_node() && !worker.shared.system.board.has_recovered(RECOVERY).await {
        return rescue::refusal(&Refusal::LogUnread);
    }
    match read {
        Read::Server | Read::Unknown => forward(worker, Gate::Server, None, true, incoming).await,
        Read::PreFlight => true_of_every_node(worker, incoming).await,
        Read::Records { collection, verb } => {
            // What a single server cannot do is answered 5xx by every node: no reason to ask another.
            let again = matches!(verb, RecordRead::Get | RecordRead::Query | RecordRead::Count);
            of_collection(worker, *collection, again, incoming).await
        }
        _ => Box::pin(catalog::read(worker, read, incoming)).await,
    }
}

/// What one node says of itself, as far as it holds for all: what a client sends for it goes to all.
async fn true_of_every_node(worker: &Worker, incoming: &Incoming) -> Outgoing {
    let answer = forward(worker, Gate::Server, None, true, incoming).await;
    if answer.status != 200 || incoming.method == "HEAD" {
        return answer;
    }
    let common = worker.shared.system.board.sequencer().common();
    match answer.collect().await {
        Ok((status, headers, body)) => Outgoing::whole(status, headers, common.limit(&body)),
        Err(error) => rescue::node(&NodeFault::Lost(error.to_string())),
    }
}

/// A read whose path names a collection by its logical id.
pub(super) async fn of_collection(
    worker: &Worker,
    id: CollectionId,
    again: bool,
    incoming: &Incoming,
) -> Outgoing {
    let known = worker.shared.system.board.sequencer().catalog.collection(id).is_some();
    let gate = Gate::Stream(if known { Stream::Collection(id) } else { Stream::Catalog });
    forward(worker, gate, Some(id), again, incoming).await
}

/// Asks node after node until one answers. A 5xx is tried again even where there is no other node: Chroma
/// answers one ("Error finding id") to a `get` that meets a delete of what it finds, under many deletes several
/// times in a row.
pub(super) async fn forward(
    worker: &Worker,
    gate: Gate,
    collection: Option<CollectionId>,
    again: bool,
    incoming: &Incoming,
) -> Outgoing {
    let mut avoid = Vec::new();
    let mut last = None;
    for tried in 1..=TRIES {
        let chosen = match choose(worker, gate, &avoid).await {
            Ok(chosen) => chosen,
            Err(refusal) => return last.unwrap_or_else(|| rescue::refusal(&refusal)),
        };
        let begun = Instant::now();
        worker.tally.sent(class(gate), chosen.node);
        let asked = asked::ask(worker, chosen, collection, incoming).await;
        worker.tally.read(class(gate), chosen.node, begun.elapsed());
        tell(chosen.node, &asked, begun.elapsed(), incoming);
        match asked {
            Ok(answer) if answer.status >= 500 && again && tried < TRIES => {
                last = Some(answer);
                if !others(worker, gate, chosen.node, &avoid) {
                    tokio::time::sleep(PAUSE * tried).await;
                    continue;
                }
            }
            Ok(answer) if answer.status == 404 && is_denied(worker, &chosen, collection, incoming) => {
                last = Some(answer);
            }
            Ok(answer) => return answer,
            Err(fault) => last = Some(rescue::node(&fault)),
        }
        avoid.push(chosen.node);
        if avoid.len() == worker.shared.addresses.len() {
            avoid.clear();
        }
    }
    last.unwrap_or_else(|| rescue::refusal(&Refusal::NoReadableNode))
}

/// At once where a node may answer; else the proxy waits for one.
async fn choose(worker: &Worker, gate: Gate, avoid: &[NodeId]) -> Result<Readable, Refusal> {
    if let Some(chosen) = worker.choice.now(gate, avoid) {
        return Ok(chosen);
    }
    let choose = Choose { gate, avoid: avoid.to_vec() };
    worker.proxy.send(choose).await.unwrap_or(Err(Refusal::Restarting))
}

/// Every node that was tried, for whoever asks for that.
fn tell(node: NodeId, asked: &Result<Outgoing, NodeFault>, took: Duration, incoming: &Incoming) {
    tracing::debug!(
        target: "read",
        %node,
        status = asked.as_ref().ok().map(|answer| answer.status),
        fault = asked.as_ref().err().map(tracing::field::display),
        duration_ms = millis(took),
        trace_id = %incoming.span.trace,
        "asked"
    );
}

/// What is read, for figures.
fn class(gate: Gate) -> &'static str {
    match gate {
        Gate::Server => "server",
        Gate::Stream(Stream::Catalog) => "catalog",
        Gate::Stream(Stream::Collection(_)) => "records",
    }
}

/// Whether the node says that there is no collection which it should hold: it may have come back with an empty
/// disk between two probes. It is looked at again, and another node is asked.
fn is_denied(
    worker: &Worker,
    chosen: &Readable,
    collection: Option<CollectionId>,
    incoming: &Incoming,
) -> bool {
    // Other reads below a collection are answered 404 for other reasons, too.
    let of_records = ["/get", "/query", "/count"].iter().any(|verb| incoming.path().ends_with(verb));
    let Some((id, own)) = collection.zip(chosen.node_collection).filter(|_| of_records) else { return false };
    let board = &worker.shared.system.board;
    let denied = board.sequencer().denied(chosen.node, id, own);
    if denied {
        board.wake(chosen.node);
    }
    denied
}

fn others(worker: &Worker, gate: Gate, node: NodeId, avoid: &[NodeId]) -> bool {
    let tried: Vec<NodeId> = avoid.iter().copied().chain([node]).collect();
    tried.len() < worker.shared.addresses.len()
        && !worker.shared.system.board.readable(gate, &tried).is_empty()
}
