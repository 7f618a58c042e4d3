//! Under which key may a client ask for its write's outcome again? The header is read, judged and hashed
//! here, together with the client's credential and the request; nothing beyond this file sees it.

use chroma_ha_core::idempotency::Claim;
use sha2::{Digest, Sha256};

use super::exchange::Incoming;

pub(super) const HEADER: &str = "idempotency-key";

/// Two clients may come upon the same key: each credential has keys of its own.
const CREDENTIALS: [&str; 2] = ["authorization", "x-chroma-token"];

const LONGEST: usize = 255;

/// The request's claim, if it bears a key; or why the key is refused.
pub(super) fn claim(incoming: &Incoming) -> Result<Option<Claim>, String> {
    let mut keys = incoming.headers.iter().filter(|(name, _)| name == HEADER);
    let Some((_, key)) = keys.next() else { return Ok(attempted(incoming)) };
    let visible = key.as_bytes().iter().all(u8::is_ascii_graphic);
    if keys.next().is_some() || key.is_empty() || key.len() > LONGEST || !visible {
        return Err(format!(
            "Idempotency-Key must be given once, with 1 to {LONGEST} visible ASCII characters and no spaces; the write was not logged"
        ));
    }
    if let Some(owner) = &incoming.key {
        // Whichever header shows it. No header's value has this beginning.
        return Ok(Some(Claim {
            key: hash([key.as_bytes(), b"\0API key", &owner.hash.0]),
            digest: digest(incoming),
        }));
    }
    let credentials = CREDENTIALS.map(|name| incoming.header(name).unwrap_or_default());
    let [authorization, token] = credentials;
    Ok(Some(Claim {
        key: hash([key.as_bytes(), authorization.as_bytes(), token.as_bytes()]),
        digest: digest(incoming),
    }))
}

/// Without a key of the client: the id of a write that was, or may be, tried more than once on its way
/// through several balancers. A client's key is never empty, so none is like it.
fn attempted(incoming: &Incoming) -> Option<Claim> {
    let write_id = Some(&incoming.attempt).filter(|attempt| attempt.repeatable)?.write_id.as_bytes();
    Some(Claim { key: hash([b"", b"", write_id]), digest: digest(incoming) })
}

fn digest(incoming: &Incoming) -> [u8; 32] {
    hash([incoming.method.as_bytes(), incoming.path_and_query.as_bytes(), &incoming.body])
}

/// Of all parts, each with its length: no two lists of parts look alike.
fn hash(parts: [&[u8]; 3]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use chroma_ha_actors::gate::{GateLimits, RequestGate};
    use chroma_ha_core::access::{Bounds, Hash, Key, Scope};
    use chroma_ha_core::route::Share;

    use super::*;
    use crate::front::exchange::fields;
    use crate::front::forward::Attempt;

    fn incoming(headers: &[(&str, &str)], body: &str) -> Incoming {
        let limits = GateLimits { requests: 1, queued: 0, wait: Duration::ZERO, body_bytes: 0 };
        Incoming {
            method: "POST".into(),
            path_and_query: "/x".into(),
            headers: fields(headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))),
            body: Bytes::from(body.to_owned()),
            attempt: Attempt { write_id: "w".to_owned(), repeatable: false, forwarded: false, early: false },
            key: None,
            ticket: Arc::new(RequestGate::new(limits).ticket(Share::Writes)),
            span: chroma_ha_actors::trace::begin(None),
        }
    }

    #[test]
    fn a_write_that_may_be_tried_again_is_known_by_its_id() {
        let first = incoming(&[], "a");
        assert!(claim(&first).unwrap().is_none(), "nobody else has it yet");
        let attempt = |write_id: &str| Attempt {
            write_id: write_id.to_owned(),
            repeatable: true,
            forwarded: true,
            early: false,
        };
        let of = |write_id: &str| {
            claim(&Incoming { attempt: attempt(write_id), ..first.clone() }).unwrap().unwrap()
        };
        assert_eq!(of("w"), of("w"));
        assert_ne!(of("w").key, of("v").key);
        let own = claim(&Incoming { attempt: attempt("w"), ..incoming(&[(HEADER, "w")], "a") });
        assert_ne!(own.unwrap().unwrap().key, of("w").key, "the client's own key goes before");
    }

    fn of(headers: &[(&str, &str)], body: &str) -> Claim {
        claim(&incoming(headers, body)).unwrap().unwrap()
    }

    #[test]
    fn the_key_stands_for_one_credential_and_one_request() {
        let first = of(&[("Idempotency-Key", "k")], "a");
        assert_eq!(first, of(&[("idempotency-key", "k"), ("accept", "*/*")], "a"));
        assert_ne!(first.digest, of(&[("idempotency-key", "k")], "b").digest);
        assert_ne!(first.key, of(&[("idempotency-key", "l")], "a").key);
        let secret = [("idempotency-key", "k"), ("authorization", "Bearer x")];
        assert_ne!(first.key, of(&secret, "a").key);
        assert!(claim(&incoming(&[("authorization", "x")], "a")).unwrap().is_none());
    }

    #[test]
    fn an_api_key_is_the_same_credential_in_whichever_header() {
        let owned = |headers: &[(&str, &str)], hash: u8| {
            let (name, bounds) = ("bot".to_owned(), Bounds::Everything);
            let key = Key { name, scope: Scope::Write, bounds, hash: Hash([hash; 32]) };
            claim(&Incoming { key: Some(Arc::new(key)), ..incoming(headers, "a") }).unwrap().unwrap()
        };
        let first = [(HEADER, "k"), ("authorization", "Bearer x")];
        assert_eq!(owned(&first, 1), owned(&[(HEADER, "k"), ("x-chroma-token", "x")], 1));
        assert_ne!(owned(&first, 1).key, owned(&first, 2).key, "another key's client has keys of its own");
        assert_ne!(owned(&first, 1).key, of(&first, "a").key);
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        let long = "k".repeat(256);
        for key in ["", "a b", "\u{fffd}", long.as_str()] {
            assert!(claim(&incoming(&[(HEADER, key)], "")).is_err(), "{key}");
        }
        assert!(claim(&incoming(&[(HEADER, "a"), (HEADER, "a")], "")).is_err());
        assert!(claim(&incoming(&[(HEADER, &long[1..])], "")).unwrap().is_some());
    }
}
