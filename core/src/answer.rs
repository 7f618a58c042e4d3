//! What a node's answer to a write means: accepted, refused by the node's judgement, or the node's own
//! trouble. It looks at statuses, and at the few known mistakes of clients that Chroma answers as if
//! they were its own.

use bytes::Bytes;
use uuid::Uuid;

use crate::entry::Op;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Done.
    Accepted,
    /// The request is at fault; asking again gives the same answer.
    Refused,
    /// The node is at fault: another node, or the same one later, may accept.
    Trouble,
}

/// What a client hears about its write, from a node or from us.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Response headers worth passing on.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Answer {
    pub fn json(status: u16, body: impl Into<Bytes>) -> Answer {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Answer { status, headers, body: body.into() }
    }

    /// What Chroma says to a record write that it took; `deleted`: how many ids a deletion names.
    pub fn accepted(op: Op, deleted: usize) -> Answer {
        match op {
            Op::Add => Answer::json(201, "{}"),
            Op::Delete => Answer::json(200, format!(r#"{{"deleted":{deleted}}}"#)),
            _ => Answer::json(200, "{}"),
        }
    }
}

/// `name_taken`: a rename onto a name that the catalog knows as taken, which Chroma answers 500.
pub fn meaning(op: Op, status: u16, name_taken: bool) -> Meaning {
    match status {
        200..=299 => Meaning::Accepted,
        408 | 429 => Meaning::Trouble,
        500 if op == Op::ModifyCollection && name_taken => Meaning::Refused,
        501 => Meaning::Refused,
        500..=599 => Meaning::Trouble,
        _ => Meaning::Refused,
    }
}

/// The body with one id replaced by another, as in error texts and collection answers.
pub fn with_id(body: &Bytes, from: Uuid, to: Uuid) -> Bytes {
    let (from, to) = (from.hyphenated().to_string(), to.hyphenated().to_string());
    match std::str::from_utf8(body) {
        Ok(text) if text.contains(&from) => Bytes::from(text.replace(&from, &to)),
        _ => body.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_mistakes_pass_as_refusals() {
        assert_eq!(meaning(Op::Add, 201, false), Meaning::Accepted);
        assert_eq!(meaning(Op::Add, 422, false), Meaning::Refused);
        assert_eq!(meaning(Op::Add, 500, true), Meaning::Trouble);
        assert_eq!(meaning(Op::ModifyCollection, 500, true), Meaning::Refused);
        assert_eq!(meaning(Op::ModifyCollection, 500, false), Meaning::Trouble);
        assert_eq!(meaning(Op::Upsert, 429, false), Meaning::Trouble);
    }

    #[test]
    fn ids_are_replaced_in_texts() {
        let (node, logical) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let body = Bytes::from(format!("Collection [{node}] does not exist."));
        assert_eq!(with_id(&body, node, logical), format!("Collection [{logical}] does not exist."));
    }
}
