//! The one place where causes become answers of our own: which status, which text, whether and when to
//! try again.

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use chroma_ha_actors::gate::{Scarce, Shed};
use chroma_ha_actors::proxy::Refusal;
use chroma_ha_core::access::Bounds;
use chroma_ha_core::ids::CollectionId;
use chroma_ha_core::port::{NodeFault, StoreError};
use chroma_ha_core::sequencer::Hindrance;

use super::admin;
use super::credential::Denied;
use super::exchange::Outgoing;
use super::intake::Unfit;

/// Seconds after which trying again is worth it.
const RETRY_AFTER_S: &str = "1";

const LOG_AWAY: &str =
    "the write-ahead log cannot be reached, so the write was not acknowledged; try again (reads go on)";

fn unavailable(message: &str) -> Outgoing {
    Outgoing::error(503, "ServiceUnavailable", message).with("retry-after", RETRY_AFTER_S)
}

/// Nothing was done here: the holder of the lease may be asked instead.
fn untaken(message: &str) -> Outgoing {
    Outgoing { untaken: true, ..unavailable(message) }
}

/// The holder could not answer in time, and no other balancer has taken its place yet.
pub(super) fn no_holder() -> Outgoing {
    untaken(
        "the balancer that holds the write-ahead log cannot be reached from this one; try again (it reads ADVERTISE_URL)",
    )
}

pub(super) fn refusal(refusal: &Refusal) -> Outgoing {
    match refusal {
        Refusal::NoSuchCollection(id) => {
            Outgoing::error(404, "NotFoundError", &format!("Collection [{id}] does not exist."))
        }
        Refusal::Lost(id) => unavailable(&format!(
            "every Chroma server lost collection [{id}]; an operator can delete it, to create it anew"
        )),
        Refusal::FarAhead(id) => unavailable(&format!(
            "too many writes of collection [{id}] are acknowledged and not yet applied, so this one was not logged; try again (WRITE_ACK_BACKLOG)"
        )),
        Refusal::NoReadableNode => {
            unavailable("no Chroma server that holds everything acknowledged can answer now; try again")
        }
        Refusal::NotHere => {
            untaken("another balancer may have taken the write-ahead log over; try again, or another one")
        }
        Refusal::LogUnread => untaken("this balancer has not read the log yet; try again, or another one"),
        Refusal::NoNodeForCatalog => {
            unavailable("no Chroma server is up to create, change or delete this; try again when one is back")
        }
        Refusal::OtherRequest => Outgoing::error(
            422,
            "InvalidArgumentError",
            "this Idempotency-Key was given to another request (method, path or body differ); use a new key, or send the first request again",
        ),
        Refusal::Log(StoreError::Refused(cause)) => {
            tracing::error!(cause, "PostgreSQL refused a write to the log");
            unavailable("the write-ahead log refused the write; see the balancer's log")
        }
        Refusal::Log(StoreError::Unavailable(_)) => unavailable(LOG_AWAY),
        Refusal::Log(StoreError::LeaseLost(_)) => untaken(LOG_AWAY),
        Refusal::Restarting => unavailable("a part of the balancer is restarting; try again"),
    }
}

/// The write is in the log, and nothing more can be said of it in time.
pub(super) fn pending(write_id: &str, record: bool) -> Outgoing {
    if record {
        let message = format!(
            "the write is in the log and will be applied, but no Chroma server has judged it yet; see /wal/writes/{write_id}"
        );
        return Outgoing::error(504, "Timeout", &message);
    }
    unavailable(&format!(
        "the write is in the log, but no Chroma server could judge it; before trying again see /wal/writes/{write_id}"
    ))
}

pub(super) fn no_such_write() -> Outgoing {
    Outgoing::error(
        404,
        "NotFoundError",
        "no write with this id is in the log: it was never acknowledged, or its retention has passed",
    )
}

pub(super) fn log_unreadable() -> Outgoing {
    unavailable("the write-ahead log cannot be reached; try again")
}

fn shed(shed: Shed) -> Outgoing {
    unavailable(match shed {
        Shed::QueueFull(Scarce::Bodies) => {
            "request bodies fill the memory set aside for them, and too many requests wait; try again"
        }
        Shed::TimedOut(Scarce::Bodies) => {
            "request bodies fill the memory set aside for them, and no room came free in time; try again"
        }
        Shed::QueueFull(_) => "too many requests are waiting; try again",
        Shed::TimedOut(_) => "the request waited too long for its turn; try again",
        Shed::OutOfMemory => {
            "the balancer's machine is nearly out of memory, so writes are refused until it has more; try again (reads go on)"
        }
    })
}

/// What was not taken in. About bodies as Chroma answers it: plain text.
pub(super) fn unfit(unfit: Unfit) -> Outgoing {
    let text = |status, text: String| {
        let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))];
        Outgoing::whole(status, headers, text)
    };
    match unfit {
        Unfit::TooLong(most) => {
            text(413, format!("Payload too large: at most {most} bytes are accepted (MAX_BODY_BYTES)"))
        }
        Unfit::TooLongToHold(most) => {
            text(413, format!("Payload too large: at most {most} bytes fit into memory (MAX_BODY_MEMORY)"))
        }
        Unfit::LongTarget(most) => {
            text(414, format!("the request's path and query are too long: at most {most} bytes are accepted"))
        }
        Unfit::Slow => text(408, "the request's body did not come in time; send it again".to_owned()),
        Unfit::Broken => {
            text(400, "the request's body broke off, or its chunks are spelt wrongly".to_owned())
        }
        Unfit::Endless => Outgoing::error(
            400,
            "InvalidArgumentError",
            "no tunnels and no websockets are offered here; send the request without `Upgrade: websocket`",
        ),
        Unfit::Shed(reason) => shed(reason),
    }
}

/// No node was asked.
pub(super) fn unspeakable(cause: &str) -> Outgoing {
    Outgoing::error(400, "InvalidArgumentError", &format!("the request cannot be passed on: {cause}"))
}

pub(super) fn node(fault: &NodeFault) -> Outgoing {
    unavailable(&format!("the Chroma server did not answer ({fault}) and no other could; try again"))
}

const BEARER: &str = "Bearer realm=\"chroma-ha\"";

/// Who shows no key, or not one for this.
pub(super) fn denied(denied: &Denied) -> Outgoing {
    let unknown = |message| Outgoing::error(401, "AuthError", message);
    match denied {
        Denied::Missing => {
            unknown("an API key is needed; send it as `Authorization: Bearer …` or `X-Chroma-Token`")
                .with("www-authenticate", BEARER)
        }
        Denied::Unknown => unknown("this API key is not known here, or not any more")
            .with("www-authenticate", format!("{BEARER}, error=\"invalid_token\"")),
        Denied::Forbidden(refusal) => Outgoing::error(403, "AuthError", &refusal.to_string()),
    }
}

/// Told alike of what is elsewhere and of what is nowhere.
pub(super) fn not_within(id: CollectionId, bounds: &Bounds) -> Outgoing {
    let message = format!("Collection [{id}] does not exist in {bounds}, which this API key is bound to.");
    Outgoing::error(404, "NotFoundError", &message)
}

/// For an operator; `routes` is what there is.
pub(super) fn admin(refusal: &admin::Refusal, routes: &[&str]) -> Outgoing {
    use admin::Refusal;
    match refusal {
        Refusal::NoKeySet => Outgoing::error(
            403,
            "AuthError",
            "ADMIN_TOKEN is not set, so only this machine itself, without a proxy or a browser between, may ask; set it and send it as `Authorization: Bearer …`",
        ),
        Refusal::Denied(why) => denied(why),
        Refusal::WrongKey => Outgoing::error(
            401,
            "AuthError",
            "the admin key is missing or wrong; send ADMIN_TOKEN as `Authorization: Bearer …` or `x-chroma-ha-admin-token`",
        )
        .with("www-authenticate", "Bearer"),
        Refusal::Unknown { method, path } => Outgoing::error(
            404,
            "NotFoundError",
            &format!("{method} {path} is no admin route; there are: {}", routes.join(", ")),
        ),
        Refusal::Malformed(cause) => Outgoing::error(400, "InvalidArgumentError", cause),
        Refusal::NotFound(what) => Outgoing::error(404, "NotFoundError", what),
        Refusal::Hindered(missing @ (Hindrance::NoSuchCollection | Hindrance::NoSuchLetter)) => {
            Outgoing::error(404, "NotFoundError", &missing.to_string())
        }
        Refusal::Hindered(hindrance) => {
            Outgoing::error(409, "ConflictError", &format!("nothing was changed: {hindrance}"))
        }
        Refusal::NotHere { holder } => {
            let at = holder.as_deref().unwrap_or("an address that it has not told");
            unavailable(&format!(
                "this balancer does not hold the lease on the log, so nothing was changed; ask the holder, at {at}"
            ))
        }
        Refusal::LogAway => unavailable(
            "the write-ahead log cannot be reached; after a break it may have been done: look at /admin/audit",
        ),
        Refusal::OrdersInDoubt => unavailable(
            "nothing was changed: whether an earlier order about nodes was given is not known until PostgreSQL answers; try again soon",
        ),
        Refusal::LogRefused(cause) => {
            tracing::error!(cause, "PostgreSQL refused an operator's request");
            Outgoing::error(500, "InternalError", "PostgreSQL refused it; see the balancer's log")
        }
    }
}
