//! Is what cannot be done refused clearly, and before it has done anything? Routes that cannot be
//! logged, bodies that are too large, requests that Chroma itself refuses, settings that make no sense.

use std::time::Duration;

use futures_util::stream;
use reqwest::Body;
use serde_json::{Value, json};

use crate::harness::nodes::{Records, collections_url};
use crate::harness::recorder::Recorder;
use crate::harness::shared::database;
use crate::harness::stack::start_nodes;
use crate::harness::surface::{create, exchange, metric, records, until_quiet, upsert};
use crate::harness::twin::{id_of, without_ids};
use crate::harness::{Balancer, Ended, Options, Place, Twin, Verb, assert_nodes_equal, get, node_records};

const JSON: (&str, &str) = ("content-type", "application/json");

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_route_that_cannot_be_logged_reaches_no_node() {
    let place = Place::new("recorded");
    let node = start_nodes(&place, 1, false).await.remove(0);
    let recorder = Recorder::before(node.port()).await;
    let env = [("DATABASE_URL", database().await), ("PRIMARY_URL", recorder.url())];
    let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let balancer = Balancer::start(env, place.join("balancer.log")).await;
    let url = balancer.url();
    let id = create(&url, "guarded").await;
    upsert(&url, &id, "a", "marked-as-forwarded").await;
    assert!(recorder.has_seen("marked-as-forwarded"), "the recorder sees what a node gets");
    let (_, before) = get(&format!("{url}/wal/status")).await;
    let of_collection = format!("{}/{id}", collections_url(&url));
    for (method, path) in [
        ("POST", format!("{of_collection}/fork")),
        ("POST", format!("{of_collection}/functions/attach")),
        ("POST", format!("{of_collection}/attached_functions/f/detach")),
        ("POST", format!("{of_collection}/conditional/commit")),
        ("POST", format!("{of_collection}/merge")),
        ("PUT", format!("{of_collection}/merge")),
        ("DELETE", format!("{url}/api/v2/snapshots/7")),
        ("PATCH", format!("{url}/api/v2/tenants/default_tenant/quota")),
        ("BREW", format!("{url}/api/v3/anything")),
        ("POST", format!("{url}/")),
    ] {
        let body = json!({"mark": "must-not-pass"}).to_string();
        let (status, _, text) = exchange(method, &path, &[JSON], body).await;
        assert_eq!(status, 501, "{method} {path}: {text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(answer["error"], "Unimplemented", "{text}");
        assert!(answer["message"].as_str().is_some_and(|text| text.contains("chroma-ha")), "{text}");
    }
    assert!(!recorder.has_seen("must-not-pass"), "a refused body went to the node");
    assert!(!recorder.has_seen("/fork"), "a refused path went to the node");
    assert_eq!(get(&format!("{url}/wal/status")).await.1["head"], before["head"]);
}

fn chunked(length: usize) -> Body {
    let chunks = vec![vec![b' '; 100]; length / 100].into_iter().map(Ok::<_, std::io::Error>);
    Body::wrap_stream(stream::iter(chunks))
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_413_and_leaves_nothing() {
    let mut stack = crate::harness::Stack::start(Options::default().env("MAX_BODY_BYTES", "2000")).await;
    let url = stack.url();
    let id = create(&url, "small").await;
    let add = format!("{}/{id}/add", collections_url(&url));
    let fits = json!({"ids": ["fits"], "embeddings": [[1]], "documents": ["x".repeat(1900)]}).to_string();
    assert!(fits.len() < 2000 && fits.len() > 1900);
    assert_eq!(exchange("POST", &add, &[JSON], fits).await.0, 201);
    let large = json!({"ids": ["large"], "embeddings": [[1]], "documents": ["x".repeat(2000)]}).to_string();
    for body in [Body::from(large.clone()), Body::wrap_stream(stream::iter([Ok::<_, std::io::Error>(large)]))]
    {
        let (status, content, text) = exchange("POST", &add, &[JSON], body).await;
        assert_eq!(status, 413, "{text}");
        assert!(content.starts_with("text/plain"), "{content}");
        assert!(text.contains("MAX_BODY_BYTES"), "{text}");
    }
    // A read is bounded alike, and a chunked body is stopped where it passes the limit.
    let read = format!("{}/{id}/get", collections_url(&url));
    assert_eq!(exchange("POST", &read, &[JSON], chunked(2100)).await.0, 413);
    assert_eq!(exchange("POST", &read, &[JSON], chunked(1000)).await.0, 400);
    assert_nodes_equal(&stack, "small", SOON).await;
    let held = node_records(&stack.primary().url(), "small").await;
    assert_eq!(held.keys().collect::<Vec<_>>(), ["fits"]);
}

/// Path below the collections and body; `{id}` is the collection's.
fn mistakes() -> Vec<(&'static str, &'static str)> {
    vec![
        ("{id}/add", r#"{"ids": ["#),
        ("{id}/add", ""),
        ("{id}/add", "[]"),
        ("{id}/add", r#"{"ids": "a", "embeddings": [[1,2,3]]}"#),
        ("{id}/add", r#"{"ids": ["n"], "embeddings": [[1,2]]}"#),
        ("{id}/add", r#"{"ids": ["n"], "embeddings": [[1,2,3],[1,2,3]]}"#),
        ("{id}/add", r#"{"ids": [], "embeddings": []}"#),
        ("{id}/upsert", r#"{"ids": ["n", "m"], "embeddings": [[1,2,3], "AACAPwAAgD8AAIA/"]}"#),
        ("{id}/upsert", r#"{"ids": ["n"], "embeddings": [[1,2,3]], "metadatas": [{"k": {"no": 1}}]}"#),
        ("{id}/update", r#"{"ids": ["a"], "embeddings": [[1,2,3,4]]}"#),
        ("{id}/update", r#"{"ids": ["a", "b"], "documents": ["x"]}"#),
        ("{id}/update", r#"{"ids": "#),
        ("{id}/delete", r#"{"ids": []}"#),
        ("{id}/delete", "{}"),
        ("{id}/delete", r#"{"where": {"$bad": 1}}"#),
        ("{id}/get", r#"{"include": ["nonsense"]}"#),
        ("{id}/query", r#"{"query_embeddings": [[1,2]], "n_results": 1}"#),
        ("not-an-id/add", r#"{"ids": ["n"], "embeddings": [[1,2,3]]}"#),
        ("11111111-2222-4333-8444-555555555555/add", r#"{"ids": ["n"], "embeddings": [[1,2,3]]}"#),
        ("11111111-2222-4333-8444-555555555555/get", "{}"),
        ("", r#"{"name": "#),
        ("", r#"{"name": "a"}"#),
        ("", r#"{"name": "bad name!"}"#),
        ("", "{}"),
    ]
}

#[tokio::test]
async fn what_chroma_refuses_is_refused_in_its_own_words_and_applied_nowhere() {
    let mut twin = Twin::start(Options::default()).await;
    twin.post("{}/collections", json!({"name": "strict"})).await;
    twin.write("strict", "add", json!({"ids": ["a", "b"], "embeddings": [[1, 2, 3], [4, 5, 6]]})).await;
    let before: Records = node_records(&twin.bare.url(), "strict").await;
    let mut odd = Vec::new();
    for (path, body) in mistakes() {
        let mut answers = Vec::new();
        for base in [twin.stack.url(), twin.bare.url()] {
            let filled = path.replace("{id}", &id_of(&base, "strict").await);
            let url = format!("{}/{filled}", collections_url(&base));
            let (status, content, text) = exchange("POST", url.trim_end_matches('/'), &[JSON], body).await;
            let parsed = serde_json::from_str(&text).unwrap_or(Value::String(text));
            answers.push((status, content, without_ids(&parsed)));
        }
        if answers[0] != answers[1] {
            odd.push(format!("{path} {body}\n  {:?}\n  {:?} (bare)", answers[0], answers[1]));
        }
    }
    assert!(odd.is_empty(), "answers differ:\n{}", odd.join("\n"));
    twin.assert_as_bare("strict", "all mistakes").await;
    assert_eq!(node_records(&twin.bare.url(), "strict").await, before);
    assert_nodes_equal(&twin.stack, "strict", SOON).await;
    // The collection still takes writes: nothing of it hangs or is quarantined.
    let url = twin.stack.url();
    let (status, answer) =
        records(&url, &id_of(&url, "strict").await, "add", &json!({"ids": ["c"], "embeddings": [[7, 8, 9]]}))
            .await;
    assert_eq!(status, 201, "{answer}");
    assert_nodes_equal(&twin.stack, "strict", SOON).await;
    assert_eq!(get(&format!("{url}/wal/status")).await.1["quarantined"], json!([]));
}

/// Method and path for things that are not there, or not allowed.
const MISSES: [(&str, &str); 16] = [
    ("GET", "/api/v2/nonsense"),
    ("GET", "/nonsense"),
    ("PUT", "/api/v2/heartbeat"),
    ("DELETE", "/api/v2/tenants"),
    ("GET", "/api/v2/collections/only:two"),
    ("GET", "/api/v2/tenants/missing"),
    ("GET", "/api/v2/tenants/missing/databases"),
    ("GET", "/api/v2/tenants/default_tenant/databases/missing"),
    ("DELETE", "/api/v2/tenants/default_tenant/databases/missing"),
    ("GET", "/api/v2/tenants/default_tenant/databases/missing/collections"),
    ("GET", "/api/v2/tenants/default_tenant/databases/missing/collections_count"),
    ("GET", "/api/v2/tenants/default_tenant/databases/default_database/collections/missing"),
    ("DELETE", "/api/v2/tenants/default_tenant/databases/default_database/collections/missing"),
    ("GET", "/api/v2/tenants/default_tenant/databases/default_database/collections/by-id/no-id"),
    ("GET", "/api/v2/tenants/default_tenant/databases/default_database/collections/no-id/count"),
    ("POST", "/api/v2/reset"),
];

#[tokio::test]
async fn what_is_not_there_is_missed_in_chromas_own_words() {
    let mut twin = Twin::start(Options::default().env("PROBE_TIMEOUT", "20")).await;
    twin.post("{}/collections", json!({"name": "stays"})).await;
    let mut odd = Vec::new();
    for (method, path) in MISSES {
        let ours = exchange(method, &format!("{}{path}", twin.stack.url()), &[], "").await;
        let bare = exchange(method, &format!("{}{path}", twin.bare.url()), &[], "").await;
        if ours != bare {
            odd.push(format!("{method} {path}\n  {ours:?}\n  {bare:?} (bare)"));
        }
    }
    assert!(odd.is_empty(), "answers differ:\n{}", odd.join("\n"));
    // A single server closes the connection on these; the balancer answers.
    let crn = format!("{}/api/v2/collections/default_tenant:default_database:missing", twin.stack.url());
    assert_eq!(get(&crn).await.0, 404);
    // None of it was taken for a fault of a node.
    until_quiet(&twin.stack.url()).await;
    for node in ["primary", "replica-1"] {
        let changes = format!("chroma_ha_node_state_changes_total{{node=\"{node}\",to=\"suspect\"}}");
        assert_eq!(metric(&twin.stack.url(), &changes).await, 0.0, "{node}");
    }
}

async fn serve(name: &str, value: &str) -> Ended {
    let serve = Verb::of(&["serve"]).env("PRIMARY_URL", "http://127.0.0.1:9");
    let serve = serve.env("DATABASE_URL", "postgres://u:hidden-word@127.0.0.1:9/d");
    serve.env(name, value).ended().await
}

#[tokio::test]
async fn a_bad_setting_stops_the_start_with_one_line_that_says_how_to_mend_it() {
    for (name, value, shown, accepted) in [
        ("LOAD_BALANCE_STRATEGY", "random", "random", "round_robin"),
        ("READ_REPLICA_RATIO", "1.5", "1.5", "1"),
        ("PORT", "70000", "70000", "65535"),
        ("CHECK_INTERVAL", "soon", "soon", "60"),
        ("WRITE_ACK", "never", "never", "applied"),
        ("WAL_ENABLED", "false", "false", "true"),
        ("WAL_BATCH_SIZE", "0", "0", "5000"),
        ("MAX_BODY_BYTES", "1k", "1k", "1024"),
        ("PRIMARY_URL", "localhost:8000", "localhost:8000", "http"),
        ("PRIMARY_URL", "ftp://me:hidden-word@x", "ftp", "http"),
        ("DATABASE_URL", "mysql://u:hidden-word@x/d", "mysql", "postgres"),
        ("SLACK_WEBHOOK_URL", "hidden-word", "***", "http"),
        ("REPLICA_URLS", "http://a,nonsense", "nonsense", "http"),
    ] {
        let Ended { code, out, err: said } = serve(name, value).await;
        assert_eq!(code, 64, "{name}={value}: {said}");
        assert_eq!(said.lines().count(), 1, "{name}={value}: {said}");
        assert!(said.contains(name) && said.contains(shown) && said.contains(accepted), "{value}: {said}");
        assert!(!said.contains("hidden-word"), "a secret is shown: {said}");
        assert_eq!(out, "");
    }
    let Ended { code, err: said, .. } = serve("DATABASE_URL", "").await;
    assert_eq!((code, said.lines().count()), (64, 1), "{said}");
    assert!(said.contains("DATABASE_URL"), "{said}");
}
