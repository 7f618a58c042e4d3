//! Every request that is not the balancer's own: a permit, the body, the route, and the part that
//! answers it.

use std::sync::Arc;

use actix_web::http::ConnectionType;
use actix_web::{HttpRequest, HttpResponse, web};
use chroma_ha_core::route::{self, Route};
use tokio::sync::OwnedSemaphorePermit;

use super::access::Access;
use super::exchange::{Incoming, Outgoing, incoming};
use super::{Worker, forward, read, rescue, turn, v1, write};

pub(super) async fn dispatch(
    request: HttpRequest,
    payload: web::Payload,
    worker: web::Data<Worker>,
) -> HttpResponse {
    let route = route::classify(request.method().as_str(), request.uri().path());
    let mut access = Access::begin(&request, &route);
    let answer = admitted(&request, payload, &worker, route, &mut access).await;
    worker.shared.system.stats.front.request(access.route, access.class, answer.status, access.took());
    access.end(&answer);
    let mut response = answer.into_response();
    if worker.shared.stopping() {
        // What the client asks next goes to another balancer.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

async fn admitted(
    request: &HttpRequest,
    payload: web::Payload,
    worker: &Worker,
    route: Route,
    access: &mut Access<'_>,
) -> Outgoing {
    let permit = match worker.shared.system.gate.enter().await {
        Ok(permit) => permit,
        Err(shed) => {
            worker.shared.system.stats.front.shed.with_label_values(&["requests"]).inc();
            return rescue::shed(shed);
        }
    };
    let limit = worker.shared.config.limits.max_body_bytes;
    match incoming(worker, request, payload, limit, access.span).await {
        Ok(incoming) => {
            access.is_named(&incoming.attempt.write_id);
            let forwarded = incoming.attempt.forwarded;
            forward::disclaim(turn::answer(worker, route, incoming, permit).await, forwarded)
        }
        Err(fault) => rescue::body(&fault, limit),
    }
}

/// One request through the part that answers its route.
pub(super) async fn answer(
    worker: &Worker,
    route: Route,
    incoming: Incoming,
    permit: Arc<OwnedSemaphorePermit>,
) -> Outgoing {
    match route {
        Route::Read(read) => read::read(worker, &read, incoming).await,
        Route::Write(write) => write::write(worker, &write, incoming, permit).await,
        Route::Refused(refusal) => refused(&refusal),
        Route::V1 => v1::v1(worker, incoming, permit).await,
    }
}

pub(super) fn refused(refusal: &route::Refusal) -> Outgoing {
    let body = refusal.body().into_owned();
    let outgoing = if body.is_empty() {
        Outgoing::whole(refusal.status(), Vec::new(), body)
    } else {
        Outgoing::json(refusal.status(), body)
    };
    match refusal.allow() {
        Some(allow) => outgoing.with("allow", allow),
        None => outgoing,
    }
}
