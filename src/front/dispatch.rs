//! Every request that is not the balancer's own: its route, what it takes of the bounds, its body, and the
//! part that answers it.

use actix_web::dev::{Payload, RequestHead};
use actix_web::http::ConnectionType;
use actix_web::{HttpRequest, HttpResponse, web};
use chroma_ha_core::route::{self, Route};

use super::access::Access;
use super::exchange::{Incoming, Outgoing};
use super::intake::{self, Unfit, incoming};
use super::{Worker, credential, forward, read, rescue, turn, v1, write};

/// What is no route of the balancer's own.
pub(super) async fn any(
    request: HttpRequest,
    payload: web::Payload,
    worker: web::Data<Worker>,
) -> HttpResponse {
    dispatch(request.head(), payload.into_inner(), &worker).await
}

pub(super) async fn dispatch(request: &RequestHead, mut payload: Payload, worker: &Worker) -> HttpResponse {
    let route = route::classify(request.method.as_str(), request.uri.path());
    let mut access = Access::begin(request, &route);
    let key = match credential::admit(&worker.shared, request, &route) {
        Ok(key) => key,
        Err(denied) => {
            access.is_denied();
            return intake::unread(end(worker, access, rescue::denied(&denied)), payload);
        }
    };
    access.is_of(key.as_deref());
    let (answer, taken_in) = match incoming(worker, request, &mut payload, &route, access.span).await {
        Ok(incoming) => {
            let incoming = Incoming { key, ..incoming };
            access.is_named(&incoming.attempt.write_id);
            let forwarded = incoming.attempt.forwarded;
            (forward::disclaim(turn::answer(worker, route, incoming).await, forwarded), true)
        }
        Err(unfit) => {
            access.is_refused(unfit);
            (refuse(worker, unfit), false)
        }
    };
    let response = end(worker, access, answer);
    if taken_in { response } else { intake::unread(response, payload) }
}

/// Counted, told, and on its way.
fn end(worker: &Worker, access: Access<'_>, answer: Outgoing) -> HttpResponse {
    worker.tally.request(access.route, access.class, answer.status, access.took());
    access.end(&answer);
    let mut response = answer.into_response();
    if worker.shared.stopping() {
        // What the client asks next goes to another balancer.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

fn refuse(worker: &Worker, unfit: Unfit) -> Outgoing {
    if let Unfit::Shed(shed) = unfit {
        worker.shared.system.stats.front.shed(shed);
    }
    rescue::unfit(unfit)
}

/// One request through the part that answers its route.
pub(super) async fn answer(worker: &Worker, route: &Route, incoming: &Incoming) -> Outgoing {
    if let Some(denied) = credential::judge(worker, route, incoming).await {
        return denied;
    }
    match route {
        Route::Read(read) => read::read(worker, read, incoming).await,
        Route::Write(write) => Box::pin(write::write(worker, write, incoming.clone())).await,
        Route::Refused(refusal) => refused(refusal),
        Route::V1 => Box::pin(v1::v1(worker, incoming.clone())).await,
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
