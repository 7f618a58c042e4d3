//! Paths, queries, methods and bodies as nobody would send them, near enough to good ones to get deep.

use proptest::prelude::*;

pub(super) const ID: &str = "30164a8a-5144-4a36-8a9d-f6119f4afb1d";

pub(super) fn method() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "get",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => "[!-~]{0,12}", 1 => any::<String>()]
}

fn segment() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "api",
        "v1",
        "v2",
        "tenants",
        "databases",
        "collections",
        "collections_count",
        "by-id",
        "add",
        "upsert",
        "update",
        "get",
        "query",
        "count",
        "delete",
        "fork",
        "functions",
        "attach",
        "conditional",
        "reset",
        "docs",
        "heartbeat",
        "version",
        "default_tenant",
        "default_database",
        "t",
        "a:b:c",
        "a:b",
        "..",
        ".",
        "%2e%2e",
        "%2F",
        "%00",
        "%ff",
        "%c0%af",
        "%",
        "%zz",
        "%25",
        "+",
        "%2B",
        ";a",
        "{",
        "\\",
        "é",
        "%C3%A9",
        " ",
        "",
    ]);
    prop_oneof![
        8 => word.prop_map(str::to_owned),
        3 => Just(ID.to_owned()),
        1 => Just(format!("%7B{ID}%7D")),
        2 => "[%0-9a-fA-F.:;{}-]{0,12}",
        1 => ".{0,8}",
    ]
}

pub(super) fn path() -> impl Strategy<Value = String> {
    let below = |before: &'static str| {
        prop::collection::vec(segment(), 0..5).prop_map(move |rest| format!("{before}/{}", rest.join("/")))
    };
    prop_oneof![
        4 => below("/api/v2/tenants/t/databases/d/collections"),
        3 => below("/api/v2/tenants"),
        2 => below("/api/v2"),
        1 => below(""),
        1 => any::<String>(),
    ]
}

pub(super) fn old_path() -> impl Strategy<Value = String> {
    let below = |before: &'static str| {
        prop::collection::vec(segment(), 0..4).prop_map(move |rest| format!("{before}/{}", rest.join("/")))
    };
    let known = prop::sample::select(vec![
        "heartbeat",
        "reset",
        "tenants",
        "tenants/{}",
        "databases",
        "databases/{}",
        "count_collections",
        "collections",
        "collections/{}",
        "collections/{}/add",
        "collections/{}/get",
        "collections/{}/count",
        "collections/{}/delete",
    ]);
    let filled =
        (known, segment()).prop_map(|(known, name)| format!("/api/v1/{}", known.replace("{}", &name)));
    prop_oneof![6 => filled, 2 => below("/api/v1/collections"), 1 => below("/api/v1"), 1 => path()]
}

pub(super) fn query() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["tenant", "database", "limit", "offset", "x", "%74enant", ""]);
    let value = prop_oneof![
        "[ -~]{0,8}",
        Just("..".to_owned()),
        Just("%00".to_owned()),
        Just("%ff".to_owned()),
        Just("a%2Fb".to_owned()),
        Just("%2e".to_owned())
    ];
    let name = prop_oneof![4 => Just("tenant"), 2 => Just("database"), 4 => name];
    let pair = (name, value).prop_map(|(name, value)| format!("{name}={value}"));
    prop::collection::vec(pair, 0..4)
        .prop_map(|pairs| if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) })
}

/// JSON as text, in odd spellings, too.
pub(super) fn json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[a-z]{0,4}".prop_map(|word| format!("\"{word}\"")),
        any::<String>().prop_map(|word| serde_json::Value::from(word).to_string()),
        prop::sample::select(vec![r#""\ud800""#, r#""\u0000""#, r#""\u00e4""#, r#""\/""#, "\"\""])
            .prop_map(str::to_owned),
    ];
    let number = prop::sample::select(vec![
        "0",
        "-0",
        "1.00",
        "1e-3",
        "1E400",
        "18446744073709551616",
        "0.1000000000000000055511",
    ]);
    let leaf = prop_oneof![3 => text, 2 => number.prop_map(str::to_owned), 1 => Just("null".to_owned()), 1 => Just("true".to_owned())];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let list =
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[ {} ]", items.join(" , ")));
        let map = prop::collection::vec((key(), inner), 0..5).prop_map(|fields| object(&fields));
        prop_oneof![list, map]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "ids",
        "embeddings",
        "metadatas",
        "documents",
        "uris",
        "where",
        "where_document",
        "include",
        "name",
        "metadata",
        "configuration",
        "new_name",
        "new_metadata",
        "hnsw:space",
        "hnsw_configuration",
        "limit",
        "id",
        "error",
        "message",
        "data",
        "get_or_create",
        "a",
    ])
    .prop_map(str::to_owned)
}

pub(super) fn object(fields: &[(String, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{ {} }}", fields.join(" , "))
}

/// Fields that requests have, with whatever in them; or anything at all.
pub(super) fn body() -> impl Strategy<Value = Vec<u8>> {
    let fields = prop::collection::vec((key(), json()), 0..6).prop_map(|fields| object(&fields).into_bytes());
    prop_oneof![6 => fields, 2 => json().prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 0..40)]
}
