//! What may a client believe of every server? Chroma's clients ask for the limits of a server once, and send what
//! those allow for as long as they live; whatever they send reaches all nodes. It makes one node's answer true of
//! all, and passes on untouched what it cannot read.

use bytes::Bytes;
use serde_json::{Map, Value};

/// What holds for every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Common {
    /// The most records in one request, of the nodes that told it.
    pub batch_limit: Option<usize>,
    /// Every node said that it takes embeddings as text; one that was not met yet did not.
    pub base64: bool,
}

const BATCH: &str = "max_batch_size";
const BASE64: &str = "supports_base64_encoding";

impl Common {
    pub fn of(nodes: impl IntoIterator<Item = Common>) -> Common {
        let both = |one: Common, other: Common| Common {
            batch_limit: one.batch_limit.into_iter().chain(other.batch_limit).min(),
            base64: one.base64 && other.base64,
        };
        let nothing = Common { batch_limit: None, base64: false };
        nodes.into_iter().reduce(both).unwrap_or(nothing)
    }

    /// A node's answer to `GET /api/v2/pre-flight-checks`, promising no more than this.
    pub fn limit(self, answer: &[u8]) -> Bytes {
        let as_is = || Bytes::copy_from_slice(answer);
        let Ok(mut checks) = serde_json::from_slice::<Map<String, Value>>(answer) else { return as_is() };
        let told = checks.get(BATCH).and_then(Value::as_u64);
        let least = self.batch_limit.and_then(|limit| u64::try_from(limit).ok());
        if let Some(least) = told.into_iter().chain(least).min() {
            checks.insert(BATCH.to_owned(), least.into());
        }
        if let Some(base64) = checks.get_mut(BASE64).filter(|_| !self.base64) {
            *base64 = false.into();
        }
        serde_json::to_vec(&checks).map_or_else(|_| as_is(), Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(batch_limit: Option<usize>, base64: bool) -> Common {
        Common { batch_limit, base64 }
    }

    fn limited(common: Common, answer: &Value) -> Value {
        serde_json::from_slice(&common.limit(answer.to_string().as_bytes())).unwrap()
    }

    #[test]
    fn the_least_of_all_nodes_is_promised() {
        let all = |nodes: &[Common]| Common::of(nodes.iter().copied());
        assert_eq!(all(&[node(Some(5), true), node(Some(3), true)]), node(Some(3), true));
        assert_eq!(all(&[node(Some(5), true), node(None, false)]), node(Some(5), false));
        assert_eq!(all(&[]), node(None, false));
    }

    #[test]
    fn an_answer_promises_no_more_than_that() {
        let new = json!({"max_batch_size": 5461, "supports_base64_encoding": true});
        let old = json!({"max_batch_size": 41666});
        assert_eq!(limited(node(Some(9_999), true), &new), new);
        assert_eq!(
            limited(node(Some(100), false), &new),
            json!({"max_batch_size": 100, "supports_base64_encoding": false})
        );
        assert_eq!(limited(node(Some(5461), true), &old), json!({"max_batch_size": 5461}));
        assert_eq!(limited(node(None, false), &old), old);
        assert_eq!(&node(None, false).limit(b"busy")[..], b"busy");
    }
}
