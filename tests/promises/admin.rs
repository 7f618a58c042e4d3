//! Who may act on the balancer, is what was done kept, and does a rebuild that an operator asks for make
//! a node right again, whatever restarts meanwhile?

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::nodes::collections_url;
use crate::harness::surface::{create, document, exchange, records, until_quiet, until_state, upsert};
use crate::harness::{Options, Stack, assert_nodes_equal, get, node_records, post, request, until};

const SOON: Duration = Duration::from_secs(30);

async fn code(method: &str, url: &str, headers: &[(&str, &str)]) -> u16 {
    exchange(method, url, headers, "").await.0
}

#[tokio::test]
async fn the_admin_key_is_asked_of_everybody_once_it_is_set() {
    let mut stack = Stack::start(Options::default()).await;
    let audit = format!("{}/admin/audit", stack.url());
    assert_eq!(code("GET", &audit, &[]).await, 200, "on this machine, no key set");
    for header in ["x-forwarded-for", "forwarded", "origin"] {
        let (status, _, text) = exchange("GET", &audit, &[(header, "127.0.0.1")], "").await;
        assert_eq!(status, 403, "{header}: {text}");
        assert!(text.contains("ADMIN_TOKEN is not set") && text.lines().count() == 1, "{text}");
    }
    stack.balancer.stop().await;
    stack.balancer.set_env("ADMIN_TOKEN", "secret-word");
    stack.balancer.start_again().await;
    for path in ["/admin/audit", "/admin/nothing", "/admin"] {
        let url = format!("{}{path}", stack.url());
        for headers in
            [&[][..], &[("authorization", "Bearer secret-wor")], &[("x-chroma-ha-admin-token", "x")]]
        {
            let (status, content, text) = exchange("GET", &url, headers, "").await;
            assert_eq!((status, content.as_str()), (401, "application/json"), "{path} {headers:?}: {text}");
        }
    }
    let rebuild = format!("{}/admin/rebuild", stack.url());
    assert_eq!(code("POST", &rebuild, &[]).await, 401);
    assert_eq!(code("GET", &audit, &[("authorization", "Bearer secret-word")]).await, 200);
    assert_eq!(code("GET", &audit, &[("x-chroma-ha-admin-token", "secret-word")]).await, 200);
    assert!(!stack.balancer.log().contains("secret-word"));
}

#[tokio::test]
async fn an_unknown_admin_route_is_answered_with_those_that_exist() {
    let stack = Stack::start(Options::default()).await;
    let url = stack.url();
    for (method, path) in [("GET", "/admin"), ("POST", "/admin/audit"), ("DELETE", "/admin/x/y")] {
        let (status, _, text) = exchange(method, &format!("{url}{path}"), &[], "").await;
        let body: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((status, &body["error"]), (404, &json!("NotFoundError")), "{text}");
        let message = body["message"].as_str().expect("a message");
        assert!(message.contains("GET /admin/audit") && message.contains("POST /admin/rebuild"), "{message}");
        // Each of them is there: it answers something else than that it is unknown.
        let (_, listed) = message.split_once("there are: ").expect("a list");
        for route in listed.split(", ") {
            let (method, path) = route.split_once(' ').expect("a method");
            let path = path.replace("{id}", "replica-1:1");
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let (_, answer) = request(method, &format!("{url}{path}"), Some(&json!({"unknown": 1}))).await;
            assert!(!answer.to_string().contains("is no admin route"), "{route}: {answer}");
        }
    }
    for (body, says) in
        [("{", "the body is not"), (r#"{"node":"a"}"#, "missing field"), (r#"{"no":1}"#, "`no`")]
    {
        let (status, _, text) = exchange("POST", &format!("{url}/admin/rebuild"), &[], body).await;
        assert!(status == 400 && text.contains(says) && text.lines().count() == 1, "{status} {text}");
    }
    let (status, page) = get(&format!("{url}/admin/audit?limit=none")).await;
    assert_eq!(status, 400, "{page}");
    assert_eq!(
        get(&format!("{url}/admin/audit")).await.1["audit"],
        json!([]),
        "what was refused changed nothing"
    );
}

async fn rebuild(url: &str, node: &str, collection: &str) -> (u16, Value) {
    post(&format!("{url}/admin/rebuild"), &json!({"node": node, "collection": collection})).await
}

/// Changes a record on a node without the balancer.
async fn alter(node: &str, collection: &str, record: &str, text: &str) {
    let (_, found) = get(&format!("{}/{collection}", collections_url(node))).await;
    let id = found["id"].as_str().expect("an id");
    let body = json!({"ids": [record], "documents": [text]});
    assert_eq!(records(node, id, "update", &body).await.0, 200);
}

#[tokio::test]
async fn a_rebuild_makes_the_node_right_and_is_kept_in_the_audit() {
    let mut stack = Stack::start(Options::default()).await;
    let url = stack.url();
    let id = create(&url, "mended").await;
    create(&url, "other").await;
    upsert(&url, &id, "r", "right").await;
    until_quiet(&url).await;
    let replica = stack.replica().url();
    alter(&replica, "mended", "r", "wrong").await;
    let (status, answer) = rebuild(&url, "replica-1", "mended").await;
    assert_eq!((status, &answer["collection"]), (202, &json!(id)), "{answer}");
    assert_nodes_equal(&stack, "mended", SOON).await;
    until_state(&url, "replica-1", "up").await;
    assert_eq!(get(&format!("{url}/wal/status")).await.1["quarantined"], json!([]));
    assert_eq!(document(&url, &id, "r").await, "right");
    assert_eq!(rebuild(&url, "replica-1", &id).await.0, 202, "by id, again");
    // What cannot be done is refused in a line and leaves no row.
    for (node, collection, says) in
        [("replica-9", "mended", "primary, replica-1"), ("primary", "none", "`none`")]
    {
        let (status, answer) = rebuild(&url, node, collection).await;
        assert!(status == 404 && answer["message"].as_str().is_some_and(|m| m.contains(says)), "{answer}");
    }
    let (_, page) = get(&format!("{url}/admin/audit?limit=1")).await;
    let rows = page["audit"].as_array().expect("rows");
    assert_eq!(rows.len(), 1, "{page}");
    let row = &rows[0];
    assert_eq!((&row["actor"], &row["action"]), (&json!("loopback"), &json!("rebuild")), "{row}");
    assert_eq!(row["target"], json!(format!("{id} on replica-1")));
    let (_, rest) = get(&format!("{url}/admin/audit?before={}", page["next_before"])).await;
    assert_eq!(rest["audit"].as_array().map(Vec::len), Some(1), "{rest}");
    assert_eq!(rest["next_before"], Value::Null);
}

#[tokio::test]
async fn a_rebuild_that_could_not_begin_is_not_forgotten_by_a_restart() {
    let mut stack = Stack::start(Options::default()).await;
    let url = stack.url();
    let id = create(&url, "remembered").await;
    upsert(&url, &id, "r", "right").await;
    until_quiet(&url).await;
    let replica = stack.replica().url();
    alter(&replica, "remembered", "r", "wrong").await;
    stack.primary().kill9();
    until_state(&url, "primary", "down").await;
    assert_eq!(rebuild(&url, "replica-1", "remembered").await.0, 202);
    stack.balancer.kill9();
    stack.balancer.start_again().await;
    let waits = async || {
        let (_, page) = get(&format!("{url}/wal/status")).await;
        page["quarantined"][0]["stream"] == json!(id) && page["quarantined"][0]["node"] == "replica-1"
    };
    until(SOON, "the collection waits after the restart", waits).await;
    stack.primary().start_again().await.expect("the primary again");
    assert_nodes_equal(&stack, "remembered", SOON).await;
    assert_eq!(node_records(&replica, "remembered").await["r"].2, "right");
}

#[tokio::test]
async fn a_balancer_without_the_lease_changes_nothing_and_says_who_could() {
    let mut stack = Stack::start(Options::default()).await;
    let url = stack.url();
    create(&url, "theirs").await;
    until_quiet(&url).await;
    let beside = stack.launch_beside();
    until(SOON, "the standby", async || {
        crate::harness::client::try_request(Method::GET, &format!("{}/livez", beside.url()), None)
            .await
            .is_ok()
    })
    .await;
    let (status, answer) = rebuild(&beside.url(), "replica-1", "theirs").await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer["message"].as_str().is_some_and(|m| m.contains("ask the holder, at ")), "{answer}");
    // What only reads is answered.
    assert_eq!(
        get(&format!("{}/admin/audit", beside.url())).await,
        (200, json!({"audit": [], "next_before": null}))
    );
}
