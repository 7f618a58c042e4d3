//! Does Chroma take every write that we call sound? Random requests, good ones and broken ones, go straight to
//! a real server. What is called sound must be accepted with just the answer that was foretold; and most of
//! what is accepted must have been called sound. `CHROMA_HA_VALIDATION_SEED` chooses other requests, of
//! which `CHROMA_HA_VALIDATION_REQUESTS` are sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chroma_ha_core::catalog::{Collection, DEFAULT_DATABASE, DEFAULT_TENANT};
use chroma_ha_core::entry::{Draft, Op};
use chroma_ha_core::ids::CollectionId;
use chroma_ha_core::route::records_path;
use chroma_ha_core::validation::{Dimensions, Judgement, examine};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::harness::Place;
use crate::harness::campaign::Chance;
use crate::harness::stack::start_nodes;
use crate::harness::surface::{create, exchange};

const REQUESTS: u64 = 500;

/// Of a hundred accepted requests so many must have been called sound.
const RECOGNISED: usize = 80;

/// Broken as `BAD` say, now and then.
const BROKEN_PERCENT: u64 = 40;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Values that are strange somewhere.
fn strange(chance: &mut Chance) -> Value {
    chance.of(&[
        Value::Null,
        json!(""),
        json!("x"),
        json!("a\0b"),
        json!(7),
        json!(-1),
        json!(1.5),
        json!(1e39),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(true),
        json!([]),
        json!([1, 2]),
        json!([[1, 2, 3]]),
        json!(["x"]),
        json!({}),
        json!({"k": 1}),
        json!([null]),
        json!("AACAPwAAAEAAAEBA"),
        json!("AADAfwAAgD8AAAAA"),
        json!("AACAPw"),
    ])
}

fn coded(numbers: &[f32]) -> Value {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    json!(STANDARD.encode(bytes))
}

fn embedding(chance: &mut Chance, dimension: usize, text: bool) -> Value {
    let any = [0.0, -0.0, 1.0, -2.5, 1e-40, 3e38, 0.1, 16_777_217.0_f32];
    let numbers: Vec<f32> = (0..dimension).map(|_| chance.of(&any)).collect();
    if text { coded(&numbers) } else { json!(numbers) }
}

fn metadata(chance: &mut Chance, op: Op) -> Value {
    let mut fields = Map::new();
    for _ in 0..chance.below(4) {
        let key = chance.of(&["k", "lang", "page", "a b", "é", "chroma", "k.v", "K#", "$"]);
        let value = chance.of(&[json!(1), json!(-0.5), json!(true), json!("x"), json!(""), json!(i64::MAX)]);
        let gone = op != Op::Add && chance.percent(10);
        fields.insert(key.to_owned(), if gone { Value::Null } else { value });
    }
    Value::Object(fields)
}

/// A request as clients make them.
fn good(chance: &mut Chance, op: Op) -> Map<String, Value> {
    let count = 1 + chance.index(3);
    let ids = ["a", "b", "c", "missing", "über", "a b/c", "\u{1f600}"];
    let rows = |chance: &mut Chance, make: &mut dyn FnMut(&mut Chance) -> Value| -> Value {
        (0..count).map(|_| make(chance)).collect::<Vec<_>>().into()
    };
    let mut fields = Map::new();
    fields.insert("ids".to_owned(), rows(chance, &mut |chance| json!(chance.of(&ids))));
    if op == Op::Delete {
        if chance.percent(30) {
            fields.insert("where".to_owned(), Value::Null);
        }
        return fields;
    }
    let text = chance.percent(30);
    let spare =
        |chance: &mut Chance, value: Value, share| if chance.percent(share) { Value::Null } else { value };
    if op != Op::Update || chance.percent(60) {
        let embeddings = rows(chance, &mut |chance| {
            let row = embedding(chance, 3, text);
            if op == Op::Update { spare(chance, row, 20) } else { row }
        });
        fields.insert("embeddings".to_owned(), embeddings);
    }
    for (name, share) in [("metadatas", 50), ("documents", 50), ("uris", 20)] {
        if !chance.percent(share) {
            continue;
        }
        let column = rows(chance, &mut |chance| {
            let row = if name == "metadatas" {
                metadata(chance, op)
            } else {
                json!(chance.of(&["", "text", "ü"]))
            };
            spare(chance, row, 15)
        });
        fields.insert(name.to_owned(), spare(chance, column, 5));
    }
    fields
}

/// Something about it is changed, often to what Chroma refuses.
fn bent(chance: &mut Chance, mut fields: Map<String, Value>) -> Map<String, Value> {
    let names = ["ids", "embeddings", "metadatas", "documents", "uris", "where", "limit", "unknown"];
    let name = chance.of(&names);
    match chance.below(8) {
        0 => drop(fields.remove(name)),
        1 => drop(fields.insert(name.to_owned(), strange(chance))),
        2 => drop(fields.insert(name.to_owned(), json!([strange(chance)]))),
        3 => {
            if let Some(rows) = fields.get_mut(name).and_then(Value::as_array_mut) {
                rows.pop();
            }
        }
        4 => {
            let (length, text) = (chance.index(5), chance.percent(50));
            let row = embedding(chance, length, text);
            if let Some(last) = rows_of(&mut fields, "embeddings").and_then(|rows| rows.last_mut()) {
                *last = row;
            }
        }
        5 => {
            // Not `chroma:document`: with another value than a text it makes the server answer 500 from then on.
            let key = chance.of(&["", "#k", "$k", "chroma:x", "k", "a\0"]);
            let value = strange(chance);
            let count = rows_of(&mut fields, "ids").map_or(1, |ids| ids.len());
            fields.insert("metadatas".to_owned(), vec![json!({key: value}); count].into());
        }
        6 => {
            let dimension = chance.index(5);
            for row in rows_of(&mut fields, "embeddings").into_iter().flatten() {
                *row = embedding(chance, dimension, false);
            }
        }
        _ => {
            let value = strange(chance);
            if let Some(rows) = rows_of(&mut fields, name).filter(|rows| !rows.is_empty()) {
                let at = chance.index(rows.len());
                rows[at] = value;
            }
        }
    }
    fields
}

fn rows_of<'a>(fields: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Vec<Value>> {
    fields.get_mut(name)?.as_array_mut()
}

/// Now and then no JSON any more, or another document.
fn body(chance: &mut Chance, op: Op) -> String {
    let mut fields = good(chance, op);
    if !chance.percent(BROKEN_PERCENT) {
        return Value::Object(fields).to_string();
    }
    for _ in 0..=chance.below(2) {
        fields = bent(chance, fields);
    }
    let text = Value::Object(fields).to_string();
    match chance.below(20) {
        0 => text.chars().take(chance.index(text.len())).collect(),
        1 => format!("{text} {{}}"),
        2 => text.replacen("{\"", "{\"ids\":[\"twice\"],\"", 1),
        3 => text.replace("\"a\"", "\"\\ud800\""),
        4 => format!("[{text}]"),
        _ => text,
    }
}

#[tokio::test]
async fn what_is_called_sound_chroma_accepts_with_the_answer_that_was_foretold() {
    let seed = number("CHROMA_HA_VALIDATION_SEED").unwrap_or(5);
    let requests = number("CHROMA_HA_VALIDATION_REQUESTS").unwrap_or(REQUESTS);
    let place = Place::new("validation");
    let node = start_nodes(&place, 1, false).await.remove(0);
    let mut chance = Chance::new(seed);
    let mut dimensions = Dimensions::default();
    let (mut id, mut sound, mut accepted) = (Uuid::nil(), 0, 0);
    for n in 0..requests {
        if n % 50 == 0 {
            // Nothing is known of it; every second one gets other embeddings first.
            id = Uuid::parse_str(&create(&node.url(), &format!("docs-{n}")).await).expect("an id");
        }
        let op = chance.of(&[Op::Add, Op::Upsert, Op::Update, Op::Delete]);
        let text = body(&mut chance, op);
        let path = format!("{}/{}", records_path(DEFAULT_TENANT, DEFAULT_DATABASE, id), op.name());
        let draft = Draft {
            write_id: n.to_string(),
            op,
            target: Some(id),
            method: "POST".to_owned(),
            path: path.clone(),
            body: text.clone().into(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        };
        let [tenant, database, name] = [DEFAULT_TENANT, DEFAULT_DATABASE, "docs"].map(str::to_owned);
        let profile = examine(&draft, &Collection { tenant, database, name });
        let judged = profile.map(|profile| profile.judge(dimensions.of(CollectionId(id))));
        let json = [("content-type", "application/json")];
        let url = format!("{}{path}", node.url());
        let (status, _, answer) = exchange("POST", &url, &json, text.clone()).await;
        accepted += usize::from(status < 300);
        if let Ok(Judgement::Sound(foretold)) = judged {
            sound += 1;
            let foretold = (foretold.status, String::from_utf8_lossy(&foretold.body).into_owned());
            assert_eq!((status, answer), foretold, "seed {seed}, request {n}: {} {text}", op.name());
        }
        if let Some(embeddings) = profile.ok().and_then(|profile| profile.teaches()).filter(|_| status < 300)
        {
            dimensions.learn(CollectionId(id), embeddings);
        }
    }
    println!("seed {seed}: {requests} requests, {accepted} accepted, {sound} of them called sound before");
    assert!(accepted < usize::try_from(requests).unwrap() * 95 / 100, "hardly anything was refused");
    assert!(sound * 100 >= accepted * RECOGNISED, "{sound} of {accepted} accepted ones were called sound");
}
