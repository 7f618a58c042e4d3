//! One node asked for a read: the request as it is put to it, and its answer as ours. Left when the node loses
//! its standing before it has begun to answer; whom to ask, and whom next, is decided elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use chroma_ha_actors::board::{Board, Readable};
use chroma_ha_actors::gate::Ticket;
use chroma_ha_actors::health::Observed;
use chroma_ha_core::answer::with_id;
use chroma_ha_core::health::{Failure, Observation};
use chroma_ha_core::ids::{CollectionId, NodeId};
use chroma_ha_core::port::NodeFault;
use chroma_ha_core::route::with_collection;
use chroma_ha_core::trace::TRACEPARENT;
use futures_util::TryStreamExt;
use uuid::Uuid;

use super::exchange::{Incoming, Outgoing};
use super::{Worker, credential, hop, rescue};
use crate::chroma::{Answer, Question, Unanswered};

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
pub(super) async fn ask(
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
    let board = &worker.shared.system.board;
    if board.is_taken_out(node) {
        return Err(NodeFault::Lost("the node is taken out by an operator".to_owned()));
    }
    let trace = incoming.span.as_parent().header();
    let question = question(worker, &path, &trace, losses, incoming);
    let asked = async {
        let answer = worker.connections.ask(node, &question).await?;
        Ok(take(answer, outstanding, collection.zip(own)).await?)
    };
    let answered = tokio::select! {
        biased;
        answered = asked => answered,
        () = board.lost(node, losses) => Err(NodeFault::Lost("the node is in doubt".to_owned()).into()),
    };
    match answered {
        Ok(answer) => Ok(answer),
        Err(Unanswered::Unfit(cause)) => Ok(rescue::unspeakable(&cause)),
        Err(Unanswered::Fault(fault)) => {
            let observation = Observation::RequestFailed(Failure::Fault(fault.clone()));
            let _ = worker.shared.system.health.try_send(Observed { node, observation });
            Err(fault)
        }
    }
}

fn question<'a>(
    worker: &Worker,
    path: &'a str,
    trace: &'a str,
    losses: u64,
    incoming: &'a Incoming,
) -> Question<'a> {
    // Who asks for keys of its own passes none on: a node gets what is set for it.
    let ours = worker.shared.keys.is_some();
    let kept = |name: &str| name == credential::ADMIN || ours && credential::is_credential(name);
    let passes = |name: &str| hop::passes(name) && !kept(name);
    let passed = incoming.headers.iter().filter(|(name, _)| passes(name.as_str()));
    let passed = passed.map(|(name, value)| (name.as_str(), value.as_bytes()));
    Question {
        method: &incoming.method,
        path,
        headers: [(TRACEPARENT, trace.as_bytes())].into_iter().chain(passed).collect(),
        body: incoming.body.clone(),
        wait: worker.shared.config.upstream.request_timeout,
        losses,
    }
}

/// The node's answer as ours. Error texts may name the collection, so they are read whole.
async fn take(
    answer: Answer,
    outstanding: Outstanding,
    ids: Option<(CollectionId, Uuid)>,
) -> Result<Outgoing, NodeFault> {
    let (status, length) = (answer.status, answer.length());
    let headers = hop::headers_of_node(&answer.headers);
    if let Some((logical, own)) = ids.filter(|_| status >= 400) {
        let body = answer.whole().await?;
        return Ok(Outgoing::whole(status, headers, with_id(&body, own, logical.0)));
    }
    let stream = answer.stream().map_err(std::io::Error::other).inspect_ok(move |_: &Bytes| {
        let _held_while_streaming = &outstanding;
    });
    Ok(Outgoing::streamed(status, headers, Box::pin(stream), length))
}
