//! The stream that keeps a page alive: everything at the connect, then one sample a second with what is new.
//! It ends when the balancer stops; the page comes back by itself.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER};
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use chroma_ha_actors::history::Seen;
use chroma_ha_core::access::Key;
use futures_util::stream;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior};

use super::{PAGES, sample};
use crate::front::{KeyRing, Shared, Worker};

const EVERY: Duration = Duration::from_secs(1);

/// Samples between two comment lines: proxies that hold back what they do not understand still see traffic.
const COMMENT: u32 = 15;

/// One page.
struct Feed {
    shared: Arc<Shared>,
    /// Who looks; once it does not hold any more, the page is told nothing.
    key: Option<Arc<Key>>,
    seen: Seen,
    ticks: Interval,
    count: u32,
    _place: OwnedSemaphorePermit,
}

pub(super) async fn events(worker: web::Data<Worker>, key: Option<web::ReqData<Arc<Key>>>) -> HttpResponse {
    let shared = Arc::clone(&worker.shared);
    let Ok(place) = Arc::clone(&shared.dashboard.places).try_acquire_owned() else {
        let message =
            format!("{PAGES} dashboards are open on this balancer, and there may be no more; close one");
        return HttpResponse::ServiceUnavailable()
            .insert_header((RETRY_AFTER, "5"))
            .json(json!({ "error": "ServiceUnavailable", "message": message }));
    };
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let feed = Feed {
        shared,
        key: key.map(web::ReqData::into_inner),
        seen: Seen::default(),
        ticks,
        count: 0,
        _place: place,
    };
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // Some proxies collect an answer before they pass it on.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(stream::unfold(feed, next))
}

async fn next(mut feed: Feed) -> Option<(Result<Bytes, Infallible>, Feed)> {
    feed.ticks.tick().await;
    let holds = |ring: &Arc<KeyRing>| feed.key.as_ref().is_some_and(|key| ring.holds(key));
    if feed.shared.stopping() || !feed.shared.keys.as_ref().is_none_or(holds) {
        return None;
    }
    let event = if feed.count == 0 { "event: snapshot" } else { "event: sample" };
    let comment = if feed.count.is_multiple_of(COMMENT) { ": heartbeat\n" } else { "" };
    feed.count = feed.count.wrapping_add(1).max(1);
    let sample = sample::now(&feed.shared);
    let lately = feed.shared.system.board.history.lately(&mut feed.seen);
    let lately = serde_json::to_string(&lately).unwrap_or_else(|_| "{}".to_owned());
    let text = format!("{comment}{event}\ndata: {{\"now\":{sample},\"lately\":{lately}}}\n\n");
    Some((Ok(text.into()), feed))
}
