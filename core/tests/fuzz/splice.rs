//! Where rows and ids are put together or replaced: what is not replaced stays byte for byte.

use bytes::Bytes;
use chroma_ha_core::answer::with_id;
use chroma_ha_core::coalesce::{Bounds, join};
use chroma_ha_core::entry::Op;
use chroma_ha_core::route::with_collection;
use proptest::prelude::*;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use uuid::Uuid;

use super::input;
use crate::{chance, headed, kept};

const FIELDS: [&str; 4] = ["embeddings", "metadatas", "documents", "uris"];

/// A body's lists, each value as it is spelt. A field that is null is none.
fn lists(body: &[u8]) -> BTreeMap<String, Vec<String>> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(body).expect("an object");
    let list = |raw: &RawValue| {
        let items: Option<Vec<&RawValue>> = serde_json::from_str(raw.get()).expect("a list");
        items.map(|items| items.into_iter().map(|item| item.get().to_owned()).collect())
    };
    fields.into_iter().filter_map(|(name, raw)| Some((name, list(raw)?))).collect()
}

fn check_join(op: Op, bodies: &[Bytes]) -> Result<(), TestCaseError> {
    let joined = join(op, bodies, Bounds::default());
    prop_assert!(joined.count <= bodies.len());
    if joined.count <= 1 {
        prop_assert_eq!(&joined.body, &bodies[0], "it goes alone, as it came");
        return Ok(());
    }
    let parts: Vec<_> = bodies[..joined.count].iter().map(|body| lists(body)).collect();
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in FIELDS.iter().filter(|name| parts.iter().any(|part| part.contains_key(**name))) {
        let rows = parts.iter().flat_map(|part| {
            part.get(*name).cloned().unwrap_or_else(|| vec!["null".to_owned(); part["ids"].len()])
        });
        expected.insert((*name).to_owned(), rows.collect());
    }
    expected.insert("ids".to_owned(), parts.iter().flat_map(|part| part["ids"].clone()).collect());
    prop_assert_eq!(lists(&joined.body), expected);
    Ok(())
}

fn check_path(path_and_query: &str, own: Uuid) -> Result<(), TestCaseError> {
    let spelt = with_collection(path_and_query, own);
    if spelt == path_and_query {
        return Ok(());
    }
    let at = spelt.find(&own.to_string()).expect("the id");
    let rest = &spelt[at + own.to_string().len()..];
    prop_assert!(
        path_and_query.starts_with(&spelt[..at]) && path_and_query.ends_with(rest),
        "{} became {}",
        path_and_query,
        spelt
    );
    let gone = &path_and_query[at..path_and_query.len() - rest.len()];
    prop_assert!(!gone.contains(['/', '?']), "{} became {}", path_and_query, spelt);
    Ok(())
}

fn check_id(body: &[u8], from: Uuid, to: Uuid) -> Result<(), TestCaseError> {
    let replaced = with_id(&Bytes::copy_from_slice(body), from, to);
    let Ok(text) = std::str::from_utf8(body) else {
        prop_assert_eq!(&replaced[..], body, "what is no text stays");
        return Ok(());
    };
    let (from, to) = (from.to_string(), to.to_string());
    let pieces: Vec<&str> = text.split(&from).collect();
    prop_assert_eq!(std::str::from_utf8(&replaced).expect("text"), pieces.join(&to));
    Ok(())
}

const OPS: [Op; 4] = [Op::Add, Op::Upsert, Op::Update, Op::Delete];

#[test]
fn what_is_kept_is_spliced_as_it_is_spelt() {
    for case in kept("splice.txt") {
        let (word, rest) = headed(&case);
        let op = OPS.into_iter().find(|op| op.name() == word).unwrap_or_else(|| panic!("{word}"));
        let bodies: Vec<Bytes> = rest.split(|byte| *byte == b'\n').map(Bytes::copy_from_slice).collect();
        check_join(op, &bodies).unwrap_or_else(|reason| panic!("{word}: {reason}"));
        for body in &bodies {
            check_id(body, Uuid::from_u128(1), Uuid::from_u128(2))
                .unwrap_or_else(|reason| panic!("{reason}"));
        }
    }
    for case in kept("route.txt") {
        let line = String::from_utf8_lossy(&case).into_owned();
        let (_, path) = line.split_once(' ').expect("a method and a path");
        check_path(path, Uuid::from_u128(7)).unwrap_or_else(|reason| panic!("{line}: {reason}"));
    }
}

/// Rows as clients send them, each list as long as the ids or not quite.
fn rows() -> impl Strategy<Value = Bytes> {
    let value = |name: &'static str| {
        let usual = match name {
            "embeddings" => prop::sample::select(vec!["[1, 2.0]", "[1e0,2]", "\"AACAPwAAAEA=\"", "null"]),
            "metadatas" => prop::sample::select(vec!["{\"a\" : 1}", "{}", "null", "{\"a\":\"]\"}"]),
            _ => prop::sample::select(vec!["\"x\"", "\"\\ud800\"", "null", "\",\\\"\""]),
        };
        prop_oneof![9 => usual.prop_map(str::to_owned), 1 => input::json()]
    };
    let list = move |name: &'static str, length: usize| {
        let around = if name == "ids" { length..=length } else { length..=length + usize::from(length == 3) };
        let item = if name == "ids" { "\"[a-z]{1,2}\"".boxed() } else { value(name).boxed() };
        prop::collection::vec(item, around).prop_map(|items| format!("[{}]", items.join(", ")))
    };
    (1usize..4, prop::collection::vec(prop::sample::select(&FIELDS[..]), 0..4)).prop_flat_map(
        move |(length, mut named)| {
            named.sort_unstable();
            named.dedup();
            let fields: Vec<_> = ["ids"]
                .into_iter()
                .chain(named)
                .map(|name| (Just(name.to_owned()), list(name, length)))
                .collect();
            fields.prop_map(|fields| Bytes::from(input::object(&fields)))
        },
    )
}

fn requests() -> impl Strategy<Value = Vec<Bytes>> {
    prop::collection::vec(
        prop_oneof![9 => rows().boxed(), 1 => input::body().prop_map(Bytes::from).boxed()],
        1..6,
    )
}

proptest! {
    #![proptest_config(chance())]

    #[test]
    fn rows_are_joined_as_they_are_spelt(op in prop::sample::select(&OPS[..]), bodies in requests()) {
        check_join(op, &bodies)?;
    }

    #[test]
    fn a_path_keeps_all_but_the_id(path in input::path(), query in input::query(), own in any::<u128>()) {
        check_path(&format!("{path}{query}"), Uuid::from_u128(own))?;
    }

    #[test]
    fn a_text_keeps_all_but_the_id(
        parts in prop::collection::vec(prop_oneof![input::body(), Just(Uuid::from_u128(9).to_string().into_bytes())], 0..5)
    ) {
        check_id(&parts.concat(), Uuid::from_u128(9), Uuid::from_u128(10))?;
    }
}
