//! The answer to a write that an earlier attempt got logged and accepted, when what the node said then is
//! not known any more: made of what the log knows, in Chroma's own form.

use bytes::Bytes;
use chroma_ha_core::effect::Effect;
use chroma_ha_core::entry::Op;
use chroma_ha_core::route::{Read, Write, collection_by_name_path};
use serde_json::{Value, json};

use super::exchange::{Incoming, Outgoing};
use super::{Worker, catalog};

pub(super) async fn answer(
    worker: &Worker,
    write: &Write,
    asked: Incoming,
    effect: Option<Effect>,
) -> Outgoing {
    let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    match write {
        Write::CreateCollection { tenant, database } => {
            let name = body["name"].as_str().unwrap_or_default().to_owned();
            let (tenant, database) = (tenant.clone(), database.clone());
            let path_and_query = collection_by_name_path(&tenant, &database, &name);
            let look = Incoming { method: "GET".to_owned(), path_and_query, body: Bytes::new(), ..asked };
            catalog::read(worker, &Read::CollectionByName { tenant, database, name }, &look).await
        }
        write => plain(write.op(), &body, effect),
    }
}

fn plain(op: Op, body: &Value, effect: Option<Effect>) -> Outgoing {
    match op {
        Op::Add => Outgoing::json(201, "{}"),
        Op::Delete => {
            let deleted = match effect {
                Some(Effect::Ids { ids }) => ids.len(),
                _ => body["ids"].as_array().map_or(0, Vec::len),
            };
            Outgoing::json(200, json!({ "deleted": deleted }).to_string())
        }
        _ => Outgoing::json(200, "{}"),
    }
}

#[cfg(test)]
mod tests {
    use chroma_ha_actors::board::Answer;

    use super::*;

    fn told(op: Op, body: Value, effect: Option<Effect>) -> (u16, String) {
        let outgoing = plain(op, &body, effect);
        let super::super::exchange::Body::Whole(bytes) = outgoing.body else { panic!("a stream") };
        let answer = Answer::json(outgoing.status, bytes);
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    }

    #[test]
    fn it_says_what_chroma_would_have_said() {
        let ids = json!({ "ids": ["a", "b"] });
        assert_eq!(told(Op::Add, ids.clone(), None), (201, "{}".to_owned()));
        assert_eq!(told(Op::Upsert, ids.clone(), None), (200, "{}".to_owned()));
        assert_eq!(told(Op::Delete, ids, None), (200, r#"{"deleted":2}"#.to_owned()));
        let matched = Some(Effect::Ids { ids: vec!["a".to_owned()] });
        assert_eq!(told(Op::Delete, json!({ "where": {} }), matched), (200, r#"{"deleted":1}"#.to_owned()));
    }
}
