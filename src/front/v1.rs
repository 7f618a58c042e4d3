//! The old API, served by translation: a v1 request becomes a v2 request, goes the same way as every
//! other, and its answer gets the shape that old clients know. Nothing here touches a node or the log.

use actix_web::http::header::CONTENT_LENGTH;
use chroma_ha_actors::proxy::Refusal;
use chroma_ha_core::ids::CollectionId;
use chroma_ha_core::route;
use chroma_ha_core::v1::{self, Caller};

use super::dispatch::{self, refused};
use super::exchange::{Incoming, Outgoing};
use super::{Worker, read, rescue};

pub(super) async fn v1(worker: &Worker, incoming: Incoming) -> Outgoing {
    let caller = Caller::of(incoming.header("user-agent"));
    let translated = match v1::translate(&incoming.method, &incoming.path_and_query, &incoming.body) {
        Ok(translated) => translated,
        Err(refusal) => return refused(&refusal),
    };
    if !worker.shared.system.board.has_recovered(read::RECOVERY).await {
        return rescue::refusal(&Refusal::LogUnread);
    }
    let resolved = {
        let sequencer = worker.shared.system.board.sequencer();
        let catalog = &sequencer.catalog;
        // What a key does not reach is not there: not even its name is told.
        let key = incoming.key.as_deref();
        let reached = |tenant: &str, database: &str| key.is_none_or(|key| key.reaches(tenant, database));
        translated.resolve(
            |tenant, database, name| {
                catalog.named(tenant, database, name).filter(|_| reached(tenant, database))
            },
            |id: CollectionId| {
                let found = catalog.collection(id).filter(|c| reached(&c.tenant, &c.database));
                found.map(|c| (c.tenant.clone(), c.database.clone(), c.name.clone()))
            },
        )
    };
    let translated = match resolved {
        Ok(translated) => translated,
        Err(refusal) => return refused(&refusal),
    };
    let incoming = Incoming {
        method: translated.method.to_owned(),
        path_and_query: translated.path_and_query,
        body: translated.body,
        headers: incoming.headers,
        attempt: incoming.attempt,
        key: incoming.key,
        ticket: incoming.ticket,
        span: incoming.span,
    };
    let route = route::classify(&incoming.method, incoming.path());
    if route == route::Route::V1 {
        return Outgoing::error(501, "Unimplemented", "this v1 request has no v2 counterpart");
    }
    let answer = Box::pin(dispatch::answer(worker, &route, &incoming)).await;
    if answer.untaken {
        return answer;
    }
    let seq = answer.seq;
    match answer.collect().await {
        Ok((status, mut headers, body)) => {
            headers.retain(|(name, _)| name != CONTENT_LENGTH);
            let (status, body) = v1::shape(&translated.shape, caller, status, &body);
            Outgoing { seq, ..Outgoing::whole(status, headers, body) }
        }
        Err(error) => rescue::node(&chroma_ha_core::port::NodeFault::Lost(error.to_string())),
    }
}
