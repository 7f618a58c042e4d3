//! A read: sent to a node that has everything acknowledged, streamed back untouched but for ids. A node
//! that fails, or loses its standing before it has begun to answer, is left for another at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chroma_ha_actors::board::{Board, Readable};
use chroma_ha_actors::gate::Ticket;
use chroma_ha_actors::health::Observed;
use chroma_ha_actors::proxy::{Choose, Refusal};
use chroma_ha_actors::trace::millis;
use chroma_ha_core::answer::with_id;
use chroma_ha_core::health::{Failure, Observation};
use chroma_ha_core::ids::{CollectionId, NodeId, Stream};
use chroma_ha_core::port::NodeFault;
use chroma_ha_core::route::{Read, RecordRead, with_collection};
use chroma_ha_core::sequencer::Gate;
use futures_util::TryStreamExt;
use uuid::Uuid;

use super::exchange::{Incoming, Outgoing};
use super::{Worker, catalog, hop, rescue};

/// How often a read is tried, on different nodes where there are any.
const TRIES: u32 = 4;

/// Before the only node that may answer is asked again after a 5xx; that many times longer each time.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a read waits for the log to be read: the lease is tried for every second.
pub(super) const RECOVERY: Duration = Duration::from_secs(2);

pub(super) async fn read(worker: &Worker, read: &Read, incoming: Incoming) -> Outgoing {
    // Until then an empty catalog would deny collections that exist.
    if !matches!(read, Read::Server) && !worker.shared.system.board.has_recovered(RECOVERY).await {
        return rescue::refusal(&Refusal::LogUnread);
    }
    match read {
        Read::Server => forward(worker, Gate::Server, None, true, &incoming).await,
        Read::Records { collection, verb } => {
            // What a single server cannot do is answered 5xx by every node: no reason to ask another.
            let again = matches!(verb, RecordRead::Get | RecordRead::Query | RecordRead::Count);
            of_collection(worker, *collection, again, &incoming).await
        }
        _ => catalog::read(worker, read, &incoming).await,
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
        let choose = Choose { gate, avoid: avoid.clone() };
        let chosen = match worker.proxy.send(choose).await {
            Ok(Ok(chosen)) => chosen,
            Ok(Err(refusal)) => return last.unwrap_or_else(|| rescue::refusal(&refusal)),
            Err(_) => return rescue::refusal(&Refusal::Restarting),
        };
        let begun = Instant::now();
        let asked = ask(worker, chosen, collection, incoming).await;
        worker.shared.system.stats.front.read(class(gate), &chosen.node.name(), begun.elapsed());
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
        if avoid.len() == worker.urls.len() {
            avoid.clear();
        }
    }
    last.unwrap_or_else(|| rescue::refusal(&Refusal::NoReadableNode))
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
    tried.len() < worker.urls.len() && !worker.shared.system.board.readable(gate, &tried).is_empty()
}

/// Counts a request as under way on a node for as long as it lives, and keeps what it took of the bounds: a
/// client that does not take its answer still holds a connection to the node.
struct Outstanding {
    board: Arc<Board>,
    node: NodeId,
    _ticket: Arc<Ticket>,
}

impl Outstanding {
    fn on(worker: &Worker, node: NodeId, incoming: &Incoming) -> Outstanding {
        let board = Arc::clone(&worker.shared.system.board);
        counter(&board, node).fetch_add(1, Ordering::Relaxed);
        Outstanding { board, node, _ticket: Arc::clone(&incoming.ticket) }
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        counter(&self.board, self.node).fetch_sub(1, Ordering::Relaxed);
    }
}

fn counter(board: &Board, node: NodeId) -> &AtomicU32 {
    &board.posts[node.0].outstanding
}

/// One node's answer; an error if it has none.
async fn ask(
    worker: &Worker,
    chosen: Readable,
    collection: Option<CollectionId>,
    incoming: &Incoming,
) -> Result<Outgoing, NodeFault> {
    let Readable { node, node_collection, losses } = chosen;
    // An unknown id is asked under one that no node has, so that a node's own ids stay hidden.
    let own = collection.map(|_| node_collection.unwrap_or_else(Uuid::new_v4));
    let path = match own {
        Some(own) => with_collection(&incoming.path_and_query, own),
        None => incoming.path_and_query.clone(),
    };
    let outstanding = Outstanding::on(worker, node, incoming);
    worker.shared.system.stats.front.reads.with_label_values(&[&node.name()]).inc();
    let board = &worker.shared.system.board;
    let response = tokio::select! {
        biased;
        response = request(worker, node, &path, incoming).send() => {
            response.map_err(|error| crate::chroma::fault(&error, worker.shared.config.upstream.request_timeout))
        }
        () = board.lost(node, losses) => Err(NodeFault::Lost("the node is in doubt".to_owned())),
    };
    match response {
        Ok(response) => take(response, outstanding, collection.zip(own)).await,
        Err(fault) => {
            let observation = Observation::RequestFailed(Failure::Fault(fault.clone()));
            let _ = worker.shared.system.health.try_send(Observed { node, observation });
            Err(fault)
        }
    }
}

fn request(worker: &Worker, node: NodeId, path: &str, incoming: &Incoming) -> reqwest::RequestBuilder {
    let url = format!("{}{path}", worker.urls[node.0]);
    let auth = worker.shared.config.nodes[node.0].auth.as_ref().map(|auth| auth.header());
    let replaced = |name: &str| auth.as_ref().is_some_and(|(own, _)| name.eq_ignore_ascii_case(own));
    let wait = worker.shared.config.upstream.request_timeout;
    let passes = |name: &str| hop::passes(name) && !replaced(name);
    let request = hop::request(&worker.client, url, wait, incoming, passes);
    match &auth {
        Some((name, value)) => request.header(*name, value.expose()),
        None => request,
    }
}

/// The node's answer as ours. Error texts may name the collection, so they are read whole.
async fn take(
    response: reqwest::Response,
    outstanding: Outstanding,
    ids: Option<(CollectionId, Uuid)>,
) -> Result<Outgoing, NodeFault> {
    let status = response.status().as_u16();
    let headers = hop::headers(&response);
    if let Some((logical, own)) = ids.filter(|_| status >= 400) {
        let body = response.bytes().await.map_err(|error| NodeFault::Lost(error.to_string()))?;
        return Ok(Outgoing::whole(status, headers, with_id(&body, own, logical.0)));
    }
    let length = response.content_length();
    let stream = response.bytes_stream().map_err(std::io::Error::other).inspect_ok(move |_: &Bytes| {
        let _held_while_streaming = &outstanding;
    });
    Ok(Outgoing::streamed(status, headers, Box::pin(stream), length))
}
