//! Which records may an entry have changed? Asked by whoever compares two nodes while one of them is
//! written; it says nothing about what became of them.

use serde::Deserialize;

use super::Effect;
use crate::conversion::Deletion;
use crate::entry::{Entry, Op};

/// The ids; `None`: not to be told from the entry, because nobody has resolved it yet.
pub fn touched(entry: &Entry) -> Option<Vec<String>> {
    match entry.effect() {
        Some(Effect::Ids { ids } | Effect::Deletion(Deletion { ids, .. })) => Some(ids.clone()),
        Some(Effect::Collection { .. } | Effect::Plain) => Some(Vec::new()),
        None if entry.draft.op == Op::Delete && filters(&entry.draft.body) => None,
        // What is no list of ids was refused, and changed nothing.
        None => Some(named_ids(&entry.draft.body).unwrap_or_default()),
    }
}

/// The ids that a request names, if it names some.
pub(crate) fn named_ids(body: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Named {
        ids: Vec<String>,
    }
    serde_json::from_slice::<Named>(body).ok().map(|named| named.ids)
}

fn filters(body: &[u8]) -> bool {
    super::object(body).is_some_and(|fields| super::filters(&fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Draft;
    use crate::ids::Seq;

    fn of(op: Op, body: &'static str, effect: Option<Effect>) -> Option<Vec<String>> {
        let draft = Draft {
            write_id: "w".into(),
            op,
            target: None,
            method: "POST".into(),
            path: "/".into(),
            body: body.into(),
            headers: Vec::new(),
        };
        touched(&Entry::new(Seq(1), draft, 0).recovered(effect, None))
    }

    #[test]
    fn every_record_that_may_have_changed_is_named() {
        let ids = |ids: &[&str]| Some(ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(Op::Upsert, r#"{"ids":["a","b"]}"#, None), ids(&["a", "b"]));
        assert_eq!(of(Op::Delete, r#"{"ids":["a"]}"#, None), ids(&["a"]));
        assert_eq!(of(Op::Delete, r#"{"where":{"k":1}}"#, None), None);
        let resolved = Some(Effect::Ids { ids: vec!["c".into()] });
        assert_eq!(of(Op::Delete, r#"{"where":{"k":1}}"#, resolved), ids(&["c"]));
        assert_eq!(of(Op::Add, "{", None), ids(&[]));
    }
}
