//! What does a client hear that sends a write again under the same key? The first outcome, once there is
//! one; a key that was used for another request is refused. It keeps nothing itself: the log does.

use std::fmt;

use bytes::Bytes;

use crate::answer::Answer;
use crate::ids::{Seq, Stream};

/// Longest body that is kept with an outcome. Answers of writes are small; of a larger one the status is kept.
pub const MAX_BODY_BYTES: usize = 64 << 10;

/// A key under which a client may ask for a write's outcome again, and for which request it stands. Both
/// are hashes: neither the key nor a credential can be read back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub key: [u8; 32],
    /// Of method, path and body.
    pub digest: [u8; 32],
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claim")
    }
}

/// What the log holds under a key.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub digest: [u8; 32],
    pub write_id: String,
    pub seq: Seq,
    pub stream: Stream,
    pub fate: Fate,
}

/// What the log knows of a write's outcome.
#[derive(Clone, Debug)]
pub enum Fate {
    /// Its answer was kept.
    Kept(Answer),
    /// It is in the log, and no node has judged it.
    Undecided,
    /// It was refused; the reason begins with the status.
    Rejected(String),
    /// It was accepted, and with which answer is not known any more.
    Accepted,
}

impl Fate {
    /// What a client is told, as far as it is known.
    pub fn answer(self) -> Option<Answer> {
        match self {
            Fate::Kept(answer) => Some(answer),
            Fate::Undecided => None,
            Fate::Rejected(reason) => Some(rejection(&reason)),
            Fate::Accepted => Some(Answer::json(200, "{}")),
        }
    }
}

/// `400 {"error":…}` as an answer again.
fn rejection(reason: &str) -> Answer {
    let (status, text) = reason.split_once(' ').unwrap_or((reason, ""));
    match status.parse() {
        Ok(status @ 400..=599) => Answer::json(status, Bytes::copy_from_slice(text.as_bytes())),
        _ => {
            let body = serde_json::json!({ "error": "InvalidArgumentError", "message": reason });
            Answer::json(400, body.to_string())
        }
    }
}

/// What a request under a key is.
#[derive(Clone, Debug)]
pub enum Recall {
    /// The first one: it goes into the log.
    First,
    /// The key stands for another request.
    OtherRequest,
    /// The same request again.
    Repeated(Claimed),
}

pub fn recall(claim: &Claim, held: Option<Claimed>) -> Recall {
    match held {
        None => Recall::First,
        Some(held) if held.digest != claim.digest => Recall::OtherRequest,
        Some(held) => Recall::Repeated(held),
    }
}

/// The answer as it is kept.
pub fn kept(answer: &Answer) -> Answer {
    let mut answer = answer.clone();
    if answer.body.len() > MAX_BODY_BYTES {
        answer.body = Bytes::from_static(b"{}");
    }
    answer
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::CollectionId;

    fn held(digest: u8) -> Claimed {
        Claimed {
            digest: [digest; 32],
            write_id: "w".into(),
            seq: Seq(1),
            stream: Stream::Collection(CollectionId(Uuid::from_u128(1))),
            fate: Fate::Undecided,
        }
    }

    #[test]
    fn a_key_stands_for_one_request() {
        let claim = Claim { key: [1; 32], digest: [2; 32] };
        assert!(matches!(recall(&claim, None), Recall::First));
        assert!(matches!(recall(&claim, Some(held(2))), Recall::Repeated(_)));
        assert!(matches!(recall(&claim, Some(held(3))), Recall::OtherRequest));
        assert_eq!(format!("{claim:?}"), "Claim");
    }

    #[test]
    fn a_fate_is_told_as_far_as_it_is_known() {
        assert!(Fate::Undecided.answer().is_none());
        let told = |fate: Fate| fate.answer().map(|answer| (answer.status, answer.body));
        assert_eq!(told(Fate::Accepted), Some((200, Bytes::from_static(b"{}"))));
        let rejected = told(Fate::Rejected(r#"409 {"error":"x"}"#.into()));
        assert_eq!(rejected, Some((409, Bytes::from_static(br#"{"error":"x"}"#))));
        assert_eq!(told(Fate::Rejected("discarded by hand".into())).map(|(status, _)| status), Some(400));
    }

    #[test]
    fn a_large_body_is_not_kept() {
        let large = Answer::json(200, vec![b'x'; MAX_BODY_BYTES + 1]);
        let kept = kept(&large);
        assert_eq!((kept.status, kept.body), (200, Bytes::from_static(b"{}")));
    }
}
