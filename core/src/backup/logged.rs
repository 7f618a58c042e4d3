//! One entry of the log as a line of a file: what it did, and what became of it. Credentials are in no entry;
//! the query of its path and its trace are left out, too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::effect::{self, Effect, Question, Send};
use crate::entry::{Decision, Draft, Entry, Op};
use crate::ids::{CollectionId, Seq};

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Accepted,
    /// Applied nowhere: only that it was there is kept.
    Rejected,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    pub seq: Seq,
    /// When it was logged, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub write_id: String,
    pub op: Op,
    pub outcome: Outcome,
    /// As in the log: the collection of a record write, the id that a create is to give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Uuid>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The request's body, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The same in base64, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
}

impl Logged {
    /// `Err`: the log does not say what the entry did to the catalog, so that it cannot be applied again.
    pub fn accepted(entry: &Entry) -> Result<Logged, String> {
        if !entry.draft.op.is_record() && entry.effect().is_none() {
            return Err(format!(
                "the log does not tell the effect of the accepted entry {}; make a new backup, which begins after it",
                entry.seq
            ));
        }
        let draft = &entry.draft;
        let text = String::from_utf8(draft.body.to_vec());
        let (body, body_base64) = match text {
            Ok(text) if text.is_empty() => (None, None),
            Ok(text) => (Some(text), None),
            Err(bytes) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
        };
        Ok(Logged {
            method: draft.method.clone(),
            path: draft.path.split('?').next().unwrap_or_default().to_owned(),
            content_type: draft.content_type().map(str::to_owned),
            body,
            body_base64,
            effect: entry.effect().cloned(),
            target: draft.target,
            ..Logged::rejected(entry.seq, entry.logged_at_ms, draft.write_id.clone(), draft.op)
        })
        .map(|logged| Logged { outcome: Outcome::Accepted, ..logged })
    }

    pub fn rejected(seq: Seq, at_ms: u64, write_id: String, op: Op) -> Logged {
        Logged {
            seq,
            at_ms,
            write_id,
            op,
            outcome: Outcome::Rejected,
            target: None,
            method: String::new(),
            path: String::new(),
            content_type: None,
            body: None,
            body_base64: None,
            effect: None,
        }
    }

    pub fn is_accepted(&self) -> bool {
        self.outcome == Outcome::Accepted
    }

    /// The collection whose records it writes.
    pub fn collection(&self) -> Option<CollectionId> {
        self.target.filter(|_| self.op.is_record()).map(CollectionId)
    }

    pub fn request_body(&self) -> Result<Bytes, String> {
        match (&self.body, &self.body_base64) {
            (Some(text), _) => Ok(Bytes::copy_from_slice(text.as_bytes())),
            (None, Some(coded)) => STANDARD
                .decode(coded)
                .map(Bytes::from)
                .map_err(|_| format!("the body of entry {} is no base64", self.seq)),
            (None, None) => Ok(Bytes::new()),
        }
    }

    /// `Err`: nobody knows what this record write did. It was sent to no server, and is accepted because its
    /// collection was deleted after it.
    pub fn known(&self) -> Result<(), String> {
        if self.effect.is_some() || effect::question(self.op, &self.request_body()?) == Question::Nothing {
            return Ok(());
        }
        Err(format!("the log does not tell what the write {} at position {} did", self.write_id, self.seq))
    }

    /// What goes to a server for an accepted record write, wherever and whenever it is applied.
    pub fn send(&self) -> Result<Send, String> {
        self.known()?;
        let headers = self.content_type.iter().map(|value| ("content-type".to_owned(), value.clone()));
        let draft = Draft {
            write_id: self.write_id.clone(),
            op: self.op,
            target: self.target,
            method: self.method.clone(),
            path: self.path.clone(),
            body: self.request_body()?,
            headers: headers.collect(),
        };
        let entry = Entry::new(self.seq, draft, self.at_ms);
        Ok(effect::send(&entry.recovered(self.effect.clone(), Some(Decision::Accepted))))
    }

    /// Which records it may have changed.
    pub fn touched(&self) -> Result<Vec<String>, String> {
        if let Some(Effect::Ids { ids }) = &self.effect {
            return Ok(ids.clone());
        }
        match self.send()? {
            Send::Empty => Ok(Vec::new()),
            Send::Body(body) => Ok(effect::named_ids(&body).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(op: Op, body: &'static [u8], effect: Option<Effect>) -> Entry {
        let draft = Draft {
            write_id: "w".into(),
            op,
            target: Some(Uuid::from_u128(7)),
            method: "POST".into(),
            path: "/api/v2/x?key=hidden".into(),
            body: Bytes::from_static(body),
            headers: vec![("content-type".into(), "text/json".into()), ("traceparent".into(), "00-1".into())],
        };
        Entry::new(Seq(3), draft, 5).recovered(effect, None)
    }

    #[test]
    fn a_line_brings_back_what_was_logged_and_nothing_else() {
        for body in [&br#"{"ids":["a\u0000b"]}"#[..], b"\xff\x00", b""] {
            let line = serde_json::to_string(&Logged::accepted(&entry(Op::Upsert, body, None)).unwrap());
            let back: Logged = serde_json::from_str(line.as_ref().unwrap()).unwrap();
            assert_eq!(back.request_body().unwrap(), body);
            assert_eq!((back.seq, back.at_ms, back.content_type.as_deref()), (Seq(3), 5, Some("text/json")));
            assert!(!line.unwrap().contains("hidden") && back.path == "/api/v2/x");
        }
    }

    #[test]
    fn what_nobody_resolved_cannot_be_applied_again() {
        let filter = br#"{"where":{"k":1}}"#;
        let unknown = Logged::accepted(&entry(Op::Delete, filter, None)).unwrap();
        assert!(unknown.send().is_err() && unknown.touched().is_err());
        assert!(Logged::accepted(&entry(Op::DeleteCollection, b"", None)).is_err());
        let ids = Effect::Ids { ids: vec!["a".into()] };
        let logged = Logged::accepted(&entry(Op::Delete, filter, Some(ids))).unwrap();
        assert_eq!(logged.send().unwrap(), Send::Body(Bytes::from_static(br#"{"ids":["a"]}"#)));
        assert_eq!(logged.touched().unwrap(), ["a"]);
    }
}
