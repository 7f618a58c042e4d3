//! What clients did to records and names, as the log has it, and the state after each entry. It knows nothing of
//! backups.

use std::collections::BTreeMap;

use bytes::Bytes;
use chroma_ha_core::backup::Logged;
use chroma_ha_core::effect::{self, Effect, Judge, Question, Send};
use chroma_ha_core::entry::{Draft, Entry, Op};
use chroma_ha_core::ids::{CollectionId, Seq};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::chroma::{Records, parsed};
use super::histories::{Step, histories};

const DATABASES: [&str; 2] = ["default_database", "side"];
const NAMES: [&str; 3] = ["one", "two", "three"];

#[derive(Clone, Debug)]
pub(crate) enum Act {
    Create { database: usize, name: usize },
    Drop { database: usize, name: usize },
    Rename { database: usize, name: usize, to: usize },
    Paint { database: usize, name: usize, color: u8 },
    MakeDatabase,
    DropDatabase,
    Reset,
    Write { database: usize, name: usize, op: Op, body: Value },
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Collection {
    pub(crate) database: String,
    pub(crate) name: String,
    /// Its metadata.
    pub(crate) color: Value,
    pub(crate) records: Records,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) databases: BTreeMap<String, Uuid>,
    pub(crate) collections: BTreeMap<CollectionId, Collection>,
}

/// `states[n]` is after `n` entries.
pub(crate) struct History {
    pub(crate) log: Vec<Logged>,
    pub(crate) states: Vec<State>,
}

pub(crate) fn acts() -> impl Strategy<Value = Vec<Act>> {
    let place = || (0..2usize, 0..3usize);
    let names = prop_oneof![
        6 => place().prop_map(|(database, name)| Act::Create { database, name }),
        3 => place().prop_map(|(database, name)| Act::Drop { database, name }),
        4 => (place(), 0..3usize).prop_map(|((database, name), to)| Act::Rename { database, name, to }),
        3 => (place(), 0..4u8).prop_map(|((database, name), color)| Act::Paint { database, name, color }),
        2 => Just(Act::MakeDatabase),
        1 => Just(Act::DropDatabase),
    ];
    // Writes as the suffix test has them, two collections to begin with.
    let begun =
        vec![Act::MakeDatabase, Act::Create { database: 0, name: 0 }, Act::Create { database: 1, name: 1 }];
    let writes = (histories(), prop::collection::vec(place(), 30));
    (writes, prop::collection::vec((names, any::<prop::sample::Index>()), 0..14), prop::bool::weighted(0.05))
        .prop_map(move |((steps, places), names, reset)| {
            let written =
                steps.into_iter().zip(places.into_iter().cycle()).filter_map(|(step, place)| match step {
                    Step::Write { op, body, .. } => {
                        Some(Act::Write { database: place.0, name: place.1, op, body })
                    }
                    _ => None,
                });
            let mut acts: Vec<Act> = written.collect();
            for (act, at) in names {
                acts.insert(at.index(acts.len() + 1), act);
            }
            if reset {
                acts.insert(acts.len() / 2, Act::Reset);
            }
            begun.clone().into_iter().chain(acts).collect()
        })
}

/// An accepted entry of the catalog with its effect, or what was refused.
type Decided = Result<(Entry, Effect), Op>;

fn named(state: &State, database: usize, name: usize) -> Option<CollectionId> {
    let there = |c: &Collection| c.database == DATABASES[database] && c.name == NAMES[name];
    state.collections.iter().find(|(_, c)| there(c)).map(|(id, _)| *id)
}

impl History {
    pub(crate) fn of(acts: &[Act]) -> History {
        let fresh =
            State { databases: BTreeMap::from([(DATABASES[0].to_owned(), Uuid::nil())]), ..State::default() };
        let mut history = History { log: Vec::new(), states: vec![fresh] };
        for act in acts {
            let mut state = history.states.last().expect("the first").clone();
            if let Some(logged) = history.logged(&mut state, act) {
                history.log.push(logged);
                history.states.push(state);
            }
        }
        history
    }

    fn entry(&self, op: Op, target: Option<Uuid>, method: &str, path: &str, body: &Value) -> Entry {
        let seq = Seq(self.log.len() as u64 + 1);
        let draft = Draft {
            write_id: format!("w{seq}"),
            op,
            target,
            method: method.to_owned(),
            path: format!("/api/v2/tenants/default_tenant/databases{path}"),
            body: Bytes::from(body.to_string()),
            headers: Vec::new(),
        };
        Entry::new(seq, draft, seq.0)
    }

    fn rejected(&self, op: Op) -> Logged {
        let seq = Seq(self.log.len() as u64 + 1);
        Logged::rejected(seq, seq.0, format!("w{seq}"), op)
    }

    /// As the acting node decides it.
    fn logged(&self, state: &mut State, act: &Act) -> Option<Logged> {
        let decided = match act {
            Act::Write { database, name, op, body } => {
                let id = named(state, *database, *name)?;
                return self.write(state, id, DATABASES[*database], *op, body);
            }
            Act::Create { database, name } => self.create(state, *database, *name),
            Act::Drop { database, name } => self.drop(state, *database, *name),
            Act::Rename { database, name, to } => {
                let id = named(state, *database, *name)?;
                self.rename(state, id, *database, *to)
            }
            Act::Paint { database, name, color } => {
                let id = named(state, *database, *name)?;
                let body = json!({ "new_metadata": { "color": color }, "new_name": null });
                state.collections.get_mut(&id)?.color = body["new_metadata"].clone();
                Ok(self.modification(*database, id, &body))
            }
            Act::MakeDatabase | Act::DropDatabase => self.database(state, matches!(act, Act::MakeDatabase)),
            Act::Reset => {
                state.collections.clear();
                state.databases.retain(|_, id| id.is_nil());
                let mut entry = self.entry(Op::Reset, None, "POST", "", &Value::Null);
                entry.draft.path = "/api/v2/reset".to_owned();
                Ok((entry, Effect::Plain))
            }
        };
        Some(match decided {
            Ok((entry, effect)) => Logged::accepted(&entry.recovered(Some(effect), None)).expect("an effect"),
            Err(op) => self.rejected(op),
        })
    }

    fn minted(&self) -> Uuid {
        Uuid::from_u128(self.log.len() as u128 + 1)
    }

    fn create(&self, state: &mut State, database: usize, name: usize) -> Decided {
        let minted = self.minted();
        let body = json!({ "name": NAMES[name], "get_or_create": true, "metadata": { "made": minted } });
        let path = format!("/{}/collections", DATABASES[database]);
        if !state.databases.contains_key(DATABASES[database]) {
            return Err(Op::CreateCollection);
        }
        let id = named(state, database, name).unwrap_or(CollectionId(minted));
        state.collections.entry(id).or_insert_with(|| Collection {
            database: DATABASES[database].to_owned(),
            name: NAMES[name].to_owned(),
            color: body["metadata"].clone(),
            records: Records::default(),
        });
        let entry = self.entry(Op::CreateCollection, Some(minted), "POST", &path, &body);
        Ok((entry, Effect::Collection { id }))
    }

    fn drop(&self, state: &mut State, database: usize, name: usize) -> Decided {
        let path = format!("/{}/collections/{}", DATABASES[database], NAMES[name]);
        let id = named(state, database, name).ok_or(Op::DeleteCollection)?;
        state.collections.remove(&id);
        let entry = self.entry(Op::DeleteCollection, None, "DELETE", &path, &Value::Null);
        Ok((entry, Effect::Collection { id }))
    }

    fn rename(&self, state: &mut State, id: CollectionId, database: usize, to: usize) -> Decided {
        if named(state, database, to).is_some_and(|other| other != id) {
            return Err(Op::ModifyCollection);
        }
        NAMES[to].clone_into(&mut state.collections.get_mut(&id).expect("it is named").name);
        Ok(self.modification(database, id, &json!({ "new_name": NAMES[to] })))
    }

    fn modification(&self, database: usize, id: CollectionId, body: &Value) -> (Entry, Effect) {
        let path = format!("/{}/collections/{id}", DATABASES[database]);
        let entry = self.entry(Op::ModifyCollection, Some(id.0), "PUT", &path, body);
        (entry, Effect::Collection { id })
    }

    fn database(&self, state: &mut State, make: bool) -> Decided {
        let name = DATABASES[1];
        match (make, state.databases.contains_key(name)) {
            (true, true) => Err(Op::CreateDatabase),
            (false, false) => Err(Op::DeleteDatabase),
            (true, false) => {
                state.databases.insert(name.to_owned(), self.minted());
                let body = json!({ "name": name });
                let entry = self.entry(Op::CreateDatabase, Some(self.minted()), "POST", "", &body);
                Ok((entry, Effect::Plain))
            }
            (false, true) => {
                state.databases.remove(name);
                state.collections.retain(|_, there| there.database != name);
                let entry = self.entry(Op::DeleteDatabase, None, "DELETE", &format!("/{name}"), &Value::Null);
                Ok((entry, Effect::Plain))
            }
        }
    }

    fn write(
        &self,
        state: &mut State,
        id: CollectionId,
        database: &str,
        op: Op,
        body: &Value,
    ) -> Option<Logged> {
        let path = format!("/{database}/collections/{id}/{}", op.name());
        let entry = self.entry(op, Some(id.0), "POST", &path, body);
        let records = &mut state.collections.get_mut(&id)?.records;
        if let Question::Get(ask) = effect::question(op, &entry.draft.body) {
            let found = json!({ "ids": records.matching(&parsed(&ask), 7) }).to_string();
            entry.resolve(effect::resolved(found.as_bytes()).expect("ids"));
        }
        let whole = match effect::judge(&entry) {
            Judge::Nobody => false,
            Judge::Chroma => true,
            Judge::Dimension(rows) => rows != 2,
        };
        let sent = if whole { Send::Body(entry.draft.body.clone()) } else { effect::send(&entry) };
        let fits = match sent {
            Send::Empty => true,
            Send::Body(body) => records.apply(op, &parsed(&body), 7).is_ok(),
        };
        Some(if fits { Logged::accepted(&entry).expect("an effect") } else { self.rejected(op) })
    }
}
