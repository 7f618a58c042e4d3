//! Which records must a restored collection hold, and which not, by what the log did to them after they were copied?
//! It looks at no server and compares nothing.

use std::collections::HashMap;

use super::Logged;
use crate::entry::Op;
use crate::ids::CollectionId;

/// What the log makes of a record that it touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    There,
    /// There if it was.
    Changed,
    Gone,
}

/// By collection and id, as the log has it so far.
#[derive(Debug, Default)]
pub struct Fates(HashMap<CollectionId, HashMap<String, Fate>>);

impl Fates {
    /// The next accepted entry of the log.
    pub fn note(&mut self, logged: &Logged) -> Result<(), String> {
        let Some(collection) = logged.collection() else { return Ok(()) };
        let fates = self.0.entry(collection).or_default();
        for id in logged.touched()? {
            match logged.op {
                Op::Delete => fates.insert(id, Fate::Gone),
                Op::Update => Some(*fates.entry(id).or_insert(Fate::Changed)),
                _ => fates.insert(id, Fate::There),
            };
        }
        Ok(())
    }

    pub fn of(&self, id: CollectionId) -> Option<&HashMap<String, Fate>> {
        self.0.get(&id)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::backup::Outcome;
    use crate::effect::Effect;
    use crate::ids::Seq;

    fn logged(op: Op, ids: &[&str], effect: Option<&[&str]>) -> Logged {
        let ids_of = |ids: &[&str]| Effect::Ids { ids: ids.iter().map(ToString::to_string).collect() };
        Logged {
            outcome: Outcome::Accepted,
            target: Some(Uuid::from_u128(7)),
            body: Some(serde_json::json!({ "ids": ids, "where": effect.map(|_| "k") }).to_string()),
            effect: effect.map(ids_of),
            ..Logged::rejected(Seq(1), 0, "w".into(), op)
        }
    }

    #[test]
    fn the_last_write_of_a_record_says_whether_it_is_there() {
        let mut fates = Fates::default();
        for logged in [
            logged(Op::Add, &["a", "b"], None),
            logged(Op::Delete, &["c"], None),
            logged(Op::Delete, &[], Some(&["b"])),
            logged(Op::Update, &["a", "b", "d", "e"], Some(&["a", "d"])),
            logged(Op::Upsert, &["c"], None),
        ] {
            fates.note(&logged).unwrap();
        }
        let found = fates.of(CollectionId(Uuid::from_u128(7))).unwrap();
        let all = [("a", Fate::There), ("b", Fate::Gone), ("c", Fate::There), ("d", Fate::Changed)];
        assert_eq!(*found, all.map(|(id, fate)| (id.to_owned(), fate)).into());
        assert!(fates.of(CollectionId(Uuid::from_u128(8))).is_none());
    }
}
