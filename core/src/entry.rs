//! What one logged write is, and which decisions about it are legal: undecided → accepted or
//! rejected, once. It does not know how an entry is sent; `effect` and `lane` do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use uuid::Uuid;

use crate::effect::Effect;
use crate::idempotency::Claim;
use crate::ids::{CollectionId, Seq, Stream};
use crate::route::{self, Route};

mod op;

pub use op::Op;

/// A write as the front hands it in: everything but its place in the log.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Names the write for clients and operators; unique in the log.
    pub write_id: String,
    pub op: Op,
    /// Record writes and `modify`: the logical collection id. Creates: the id minted for the
    /// collection or database, should this write be the one that makes it. Otherwise none.
    pub target: Option<Uuid>,
    pub method: String,
    /// The v2 path and query as the client sent it: logical ids, never a node's.
    pub path: String,
    pub body: Bytes,
    /// Allow-listed request headers; credentials never get here.
    pub headers: Vec<(String, String)>,
}

impl Draft {
    /// The collection whose records this write changes.
    pub fn collection(&self) -> Option<CollectionId> {
        self.target.filter(|_| self.op.is_record()).map(CollectionId)
    }

    /// How the client says its body is spelt.
    pub fn content_type(&self) -> Option<&str> {
        let named = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        named.map(|(_, value)| value.as_str())
    }

    pub fn stream(&self) -> Stream {
        self.collection().map_or(Stream::Catalog, Stream::Collection)
    }
}

/// What was decided about an entry by the acting node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The acting node applied it; every other node must.
    Accepted,
    /// The acting node refused it; no node may apply it.
    Rejected,
}

/// One logged write. Immutable but for its effect and its decision, which are set once.
#[derive(Debug)]
pub struct Entry {
    pub seq: Seq,
    pub draft: Draft,
    /// When it was logged, in milliseconds since the Unix epoch, by the balancer's clock.
    pub logged_at_ms: u64,
    claim: Option<Claim>,
    keyed: bool,
    acknowledged: bool,
    /// By node: what goes there, where that was looked up.
    converted: Mutex<HashMap<String, Vec<String>>>,
    effect: OnceLock<Effect>,
    effect_durable: AtomicBool,
    decision: OnceLock<Decision>,
}

impl Entry {
    pub fn new(seq: Seq, draft: Draft, logged_at_ms: u64) -> Entry {
        Entry {
            seq,
            draft,
            logged_at_ms,
            claim: None,
            keyed: false,
            acknowledged: false,
            converted: Mutex::default(),
            effect: OnceLock::new(),
            effect_durable: AtomicBool::new(false),
            decision: OnceLock::new(),
        }
    }

    /// An entry read back from the log with what is stored about it.
    pub fn recovered(mut self, effect: Option<Effect>, decision: Option<Decision>) -> Entry {
        self.effect_durable = AtomicBool::new(effect.is_some());
        self.effect = effect.map(OnceLock::from).unwrap_or_default();
        self.decision = decision.map(OnceLock::from).unwrap_or_default();
        self
    }

    /// Its client may ask for the outcome again, so that is kept.
    pub fn under(mut self, claim: Option<Claim>) -> Entry {
        self.keyed = claim.is_some();
        self.claim = claim;
        self
    }

    /// The same, read back: the log keeps the claim.
    pub fn keyed(mut self, keyed: bool) -> Entry {
        self.keyed = keyed;
        self
    }

    /// Its client hears of it as soon as it is in the log: it was found sound.
    pub fn acknowledged(mut self, acknowledged: bool) -> Entry {
        self.acknowledged = acknowledged;
        self
    }

    /// Whether no verdict was waited for.
    pub fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// Whether the outcome must be durable before the client hears it.
    pub fn is_keyed(&self) -> bool {
        self.keyed
    }

    /// What is to be kept with the entry when it is appended.
    pub fn claim(&self) -> Option<&Claim> {
        self.claim.as_ref()
    }

    /// What goes on this node, which has other ids; fixed before the node gets the entry.
    pub fn converted(&self, node: &str) -> Option<Vec<String>> {
        self.converted.lock().unwrap_or_else(PoisonError::into_inner).get(node).cloned()
    }

    pub fn convert(&self, node: String, ids: Vec<String>) {
        self.converted.lock().unwrap_or_else(PoisonError::into_inner).entry(node).or_insert(ids);
    }

    pub fn stream(&self) -> Stream {
        self.draft.stream()
    }

    /// What the request means; entries are only ever made of write routes.
    pub fn route(&self) -> Route {
        route::classify(&self.draft.method, self.draft.path.split('?').next().unwrap_or_default())
    }

    /// Memory that the entry holds, in bytes, roughly.
    pub fn size_bytes(&self) -> usize {
        self.draft.body.len() + self.draft.path.len() + 512
    }

    pub fn effect(&self) -> Option<&Effect> {
        self.effect.get()
    }

    /// The collection whose records this entry writes.
    pub fn collection(&self) -> Option<CollectionId> {
        self.draft.collection()
    }

    pub fn decision(&self) -> Option<Decision> {
        self.decision.get().copied()
    }

    /// Fixes the effect. The first one stays: it may have been made durable already.
    pub fn resolve(&self, effect: Effect) -> &Effect {
        self.effect.get_or_init(|| effect)
    }

    /// Whether the effect is in the log; no node may get the entry before.
    pub fn effect_is_durable(&self) -> bool {
        self.effect_durable.load(Ordering::Acquire)
    }

    pub fn effect_made_durable(&self) {
        self.effect_durable.store(true, Ordering::Release);
    }

    /// Whether a copy that was read from the log before the decision would be delivered wrongly: without
    /// its effect, or although it was refused.
    pub fn outdates_pages(&self) -> bool {
        self.effect().is_some() || self.decision() == Some(Decision::Rejected)
    }

    /// Fixes the decision and returns the one that holds: the first.
    pub fn decide(&self, decision: Decision) -> Decision {
        *self.decision.get_or_init(|| decision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_decision_stays() {
        let draft = Draft {
            write_id: "w".into(),
            op: Op::Add,
            target: Some(Uuid::from_u128(7)),
            method: "POST".into(),
            path: "/".into(),
            body: Bytes::new(),
            headers: Vec::new(),
        };
        let entry = Entry::new(Seq(1), draft, 0);
        assert_eq!(entry.decide(Decision::Accepted), Decision::Accepted);
        assert_eq!(entry.decide(Decision::Rejected), Decision::Accepted);
        assert_eq!(entry.stream(), Stream::Collection(CollectionId(Uuid::from_u128(7))));
    }
}
