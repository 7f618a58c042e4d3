//! Nodes are taken out, put back, and chosen to act, because an operator says so. Each order is durable
//! before it is followed, and holds whoever holds the log. It refuses to leave clients without a node that
//! is up to date, unless it is forced.

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use chroma_ha_actors::board::Board;
use chroma_ha_actors::health::Ordered;
use chroma_ha_core::health::NodeState;
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::operator::Deed;
use chroma_ha_core::orders::Orders;
use chroma_ha_core::port::Change;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::MutexGuard;
use uuid::Uuid;

use super::{Answered, Caller, Refusal, Worker, answer, commit, held, node, read};
use crate::front::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedDrain {
    /// Also if no other node is up to date.
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedUndrain {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedActing {
    /// Null: the configured order.
    node: Option<String>,
}

pub(super) async fn list(worker: web::Data<Worker>) -> HttpResponse {
    let (acting, first, preferred) = {
        let sequencer = worker.shared.system.board.sequencer();
        let acting = sequencer.acts_next().map(NodeId::name);
        (acting, sequencer.first_choice().name(), sequencer.orders().preferred.map(NodeId::name))
    };
    let nodes: Vec<NodeId> = worker.shared.system.board.sequencer().node_ids().collect();
    let nodes: Vec<Value> = nodes.into_iter().map(|node| shown(&worker, node)).collect();
    HttpResponse::Ok()
        .json(json!({ "acting": acting, "first_choice": first, "preferred": preferred, "nodes": nodes }))
}

pub(super) async fn drain(
    worker: web::Data<Worker>,
    caller: web::ReqData<Caller>,
    name: web::Path<String>,
    body: Bytes,
) -> HttpResponse {
    answer(take_out(&worker, &caller, &name, &body).await)
}

async fn take_out(worker: &Worker, caller: &Caller, name: &str, body: &Bytes) -> Answered {
    let AskedDrain { force } = read(body)?;
    held(worker).await?;
    let node = node(worker, name)?;
    let board = &worker.shared.system.board;
    let _one_at_a_time = turn(board).await?;
    if board.sequencer().orders().drain_of(node).is_none() {
        let judged = board.sequencer().drainable(node);
        let detail = if judged.is_err() { "forced: no other node was up to date" } else { "" };
        if !force {
            judged.map_err(Refusal::Hindered)?;
        }
        let order = Uuid::new_v4();
        let deed = deed(caller, "drain", &node.name(), detail);
        let change = Change::Drained { node: node.name(), order: Some(order) };
        give(worker, deed, change, |orders| orders.set_drain(node, Some(order))).await?;
    }
    Ok(HttpResponse::Accepted().json(shown(worker, node)))
}

pub(super) async fn undrain(
    worker: web::Data<Worker>,
    caller: web::ReqData<Caller>,
    name: web::Path<String>,
    body: Bytes,
) -> HttpResponse {
    answer(put_back(&worker, &caller, &name, &body).await)
}

async fn put_back(worker: &Worker, caller: &Caller, name: &str, body: &Bytes) -> Answered {
    let AskedUndrain {} = read(body)?;
    held(worker).await?;
    let node = node(worker, name)?;
    let board = &worker.shared.system.board;
    let _one_at_a_time = turn(board).await?;
    if board.sequencer().orders().drain_of(node).is_some() {
        let deed = deed(caller, "undrain", &node.name(), "");
        let change = Change::Drained { node: node.name(), order: None };
        give(worker, deed, change, |orders| orders.set_drain(node, None)).await?;
    }
    Ok(HttpResponse::Accepted().json(shown(worker, node)))
}

pub(super) async fn switch(
    worker: web::Data<Worker>,
    caller: web::ReqData<Caller>,
    body: Bytes,
) -> HttpResponse {
    answer(prefer(&worker, &caller, &body).await)
}

async fn prefer(worker: &Worker, caller: &Caller, body: &Bytes) -> Answered {
    let AskedActing { node: name } = read(body)?;
    held(worker).await?;
    let wanted = name.map(|name| node(worker, &name)).transpose()?;
    let board = &worker.shared.system.board;
    let _one_at_a_time = turn(board).await?;
    if board.sequencer().orders().preferred != wanted {
        if let Some(node) = wanted {
            board.sequencer().preferable(node).map_err(Refusal::Hindered)?;
        }
        let target = wanted.map_or_else(|| "the configured order".to_owned(), NodeId::name);
        let deed = deed(caller, "switch", &target, "");
        let change = Change::Preferred { node: wanted.map(NodeId::name) };
        give(worker, deed, change, |orders| orders.preferred = wanted).await?;
    }
    let sequencer = board.sequencer();
    Ok(HttpResponse::Ok().json(json!({
        "acting": sequencer.acts_next().map(NodeId::name),
        "first_choice": sequencer.first_choice().name(),
        "preferred": sequencer.orders().preferred.map(NodeId::name),
    })))
}

/// Orders are judged by all that hold: after a break, those are read first.
async fn turn(board: &Board) -> Result<MutexGuard<'_, ()>, Refusal> {
    let turn = board.ordering.lock().await;
    if board.sequencer().heard.in_doubt() { Err(Refusal::OrdersInDoubt) } else { Ok(turn) }
}

fn deed(caller: &Caller, action: &str, target: &str, detail: &str) -> Deed {
    Deed {
        actor: caller.to_string(),
        action: action.to_owned(),
        target: target.to_owned(),
        outcome: "ordered".to_owned(),
        detail: detail.to_owned(),
    }
}

/// Durable first: what is not durable may be forgotten with the next takeover.
async fn give(
    worker: &Worker,
    deed: Deed,
    change: Change,
    set: impl FnOnce(&mut Orders),
) -> Result<(), Refusal> {
    let system = &worker.shared.system;
    if let Err(refusal) = commit(worker, deed, vec![change]).await {
        system.board.sequencer().heard.doubt();
        return Err(refusal);
    }
    {
        let heard = &mut system.board.sequencer().heard;
        let mut orders = heard.orders().clone();
        set(&mut orders);
        heard.set(orders);
    }
    let _ = system.health.send(Ordered).await;
    system.board.wake_all();
    Ok(())
}

fn shown(worker: &Worker, node: NodeId) -> Value {
    let board = &worker.shared.system.board;
    let view = board.sequencer().view(node);
    let (since_ms, reason) = board.history.since(&node.name());
    json!({
        "name": node.name(),
        "state": board.posts[node.0].state.load().name(),
        "since_ms": since_ms,
        "reason": reason,
        "probe_fault": board.posts[node.0].probe_fault.load_full().as_deref(),
        "cursor": view.cursor.0,
        "lag_entries": view.lag,
        "drain": drain_of(&worker.shared, node),
    })
}

/// How far an order to leave the node alone is carried out, by this balancer and by the others.
pub(in crate::front) fn drain_of(shared: &Shared, node: NodeId) -> Option<Value> {
    let board = &shared.system.board;
    let order = board.sequencer().orders().drain_of(node)?;
    let left = **board.posts[node.0].state.load() == NodeState::Drained;
    let company = board.lease.company();
    let awaited = company.followed.awaited(order);
    Some(json!({
        "order": order,
        "complete": left && awaited.is_some_and(<[String]>::is_empty),
        "reads_under_way": board.outstanding(node),
        "writes_under_way": board.sequencer().node(node).in_flight,
        "balancers_awaited": awaited.map(|names| names.iter().map(|name| crate::config::redact(name)).collect::<Vec<_>>()),
    }))
}
