//! Every request that is not the balancer's own: its route, what it takes of the bounds, its body, and the
//! part that answers it.

use std::time::Instant;

use actix_web::http::ConnectionType;
use actix_web::{HttpRequest, HttpResponse, web};
use chroma_ha_core::route::{self, Route, Share};

use super::exchange::{Incoming, Outgoing};
use super::intake::{self, Unfit, incoming};
use super::{Worker, forward, read, rescue, turn, v1, write};

pub(super) async fn dispatch(
    request: HttpRequest,
    mut payload: web::Payload,
    worker: web::Data<Worker>,
) -> HttpResponse {
    let started = Instant::now();
    let (method, path) = (request.method().as_str(), request.uri().path());
    let route = route::classify(method, path);
    let (label, class, share) = (route.label(), route.class(), Share::of(&route, method, path));
    let (answer, taken_in) = match incoming(&worker, &request, &mut payload, share).await {
        Ok(incoming) => {
            let forwarded = incoming.attempt.forwarded;
            (forward::disclaim(turn::answer(&worker, route, incoming).await, forwarded), true)
        }
        Err(unfit) => (refuse(&worker, unfit), false),
    };
    worker.shared.system.stats.front.request(label, class, answer.status, started.elapsed());
    tracing::debug!(
        method,
        path,
        route = label,
        status = answer.status,
        duration_ms = started.elapsed().as_secs_f64() * 1e3,
        "request"
    );
    let mut response = answer.into_response();
    if worker.shared.stopping() {
        // What the client asks next goes to another balancer.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    if taken_in { response } else { intake::unread(response, payload) }
}

fn refuse(worker: &Worker, unfit: Unfit) -> Outgoing {
    if let Unfit::Shed(shed) = unfit {
        worker.shared.system.stats.front.shed(shed);
    }
    rescue::unfit(unfit)
}

/// One request through the part that answers its route.
pub(super) async fn answer(worker: &Worker, route: Route, incoming: Incoming) -> Outgoing {
    match route {
        Route::Read(read) => read::read(worker, &read, incoming).await,
        Route::Write(write) => write::write(worker, &write, incoming).await,
        Route::Refused(refusal) => refused(&refusal),
        Route::V1 => v1::v1(worker, incoming).await,
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
