//! Can one write be followed? From its access line to each node's apply, by its id and by its client's trace,
//! with the settings that hold by default; and nothing secret on the way.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Response;
use serde_json::{Value, json};

use crate::harness::collector::Collector;
use crate::harness::lines::Lines;
use crate::harness::nodes::collections_url;
use crate::harness::recorder::Recorder;
use crate::harness::shared::database;
use crate::harness::stack::start_nodes;
use crate::harness::status::{PATIENCE, pending};
use crate::harness::surface::{NODES, create, until_quiet, until_state};
use crate::harness::{Balancer, Options, Place, Stack, client::client, until};

/// A trace and the client's own span in it.
struct Client {
    trace: String,
    span: &'static str,
}

impl Client {
    fn another() -> Client {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Client { trace: format!("4bf92f3577b34da6{count:016x}"), span: "00f067aa0ba902b7" }
    }

    fn header(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }
}

fn body(document: &str) -> Value {
    json!({"ids": ["a"], "embeddings": [[1.0, 2.0, 3.0]], "documents": [document]})
}

async fn upsert(url: &str, id: &str, headers: &[(&str, &str)]) -> Response {
    let request = client().post(format!("{}/{id}/upsert", collections_url(url))).json(&body("a document"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    answer
}

fn write_id(answer: &Response) -> String {
    answer.headers()["x-chroma-ha-write-id"].to_str().expect("text").to_owned()
}

/// A balancer that logs JSON before two recorded nodes.
struct Watched {
    balancer: Balancer,
    recorders: Vec<Recorder>,
    _nodes: Vec<chroma_ha::dev::Chroma>,
    _place: Place,
}

async fn watched(extra: &[(&str, &str)]) -> Watched {
    let place = Place::new("traces");
    let nodes = start_nodes(&place, 2, false).await;
    let mut recorders = Vec::new();
    let mut env = vec![("DATABASE_URL".to_owned(), database().await)];
    for (node, name) in nodes.iter().zip(["PRIMARY_URL", "REPLICA_URL"]) {
        let recorder = Recorder::before(node.port()).await;
        env.push((name.to_owned(), recorder.url()));
        recorders.push(recorder);
    }
    let settings = [&[("LOG_FORMAT", "json")], extra].concat();
    env.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let balancer = Balancer::start(env, place.join("balancer.log")).await;
    for name in NODES {
        until_state(&balancer.url(), name, "up").await;
    }
    Watched { balancer, recorders, _nodes: nodes, _place: place }
}

impl Watched {
    /// Once every node has applied it and said so.
    async fn applied(&self, id: &str) -> Lines {
        until_quiet(&self.balancer.url()).await;
        let lines = || Lines::of(&self.balancer).with("write_id", id);
        let told =
            || lines().with("target", "access").all().len() + lines().with("target", "apply").all().len();
        until(PATIENCE, "the write's lines", async || told() == 3).await;
        lines()
    }
}

#[tokio::test]
async fn a_write_is_found_by_its_id_and_by_its_trace_from_the_client_to_each_node() {
    let watched = watched(&[]).await;
    let url = watched.balancer.url();
    let id = create(&url, "docs").await;
    let client = Client::another();
    let answer = upsert(&url, &id, &[("traceparent", &client.header())]).await;
    assert!(!answer.headers().contains_key("traceparent"), "it is a request's header");
    let write_id = write_id(&answer);
    let by_id = watched.applied(&write_id).await;
    let by_trace = Lines::of(&watched.balancer).with("trace_id", &client.trace);
    assert_eq!(by_trace.all(), by_id.all());

    let lines = by_id.with("target", "access");
    let access = lines.only();
    assert_eq!((&access["method"], &access["status"]), (&json!("POST"), &json!(200)));
    assert_eq!(access["parent_id"], client.span);
    assert_eq!(access["level"], "INFO");
    assert!(access["duration_ms"].is_f64() && access["seq"].is_u64(), "{access}");
    assert!(access["request_bytes"].is_u64() && access["answer_bytes"].is_u64(), "{access}");
    for (node, recorder) in NODES.iter().zip(&watched.recorders) {
        let lines = by_id.with("node", node);
        let apply = lines.only();
        assert_eq!(apply["outcome"], "applied");
        assert_eq!((&apply["seq"], &apply["status"]), (&access["seq"], &json!(200)));
        assert_eq!(apply["parent_id"], access["span_id"], "it is a part of the client's request");
        assert!(apply["duration_ms"].is_f64(), "{apply}");
        let sent = format!("00-{}-{}-01", client.trace, apply["span_id"].as_str().expect("an id"));
        assert_eq!(recorder.values_of("traceparent", &client.trace), [sent], "what the node was asked under");
    }
    assert_eq!(by_id.with("role", "acting").only()["node"], "primary");
}

#[tokio::test]
async fn a_read_goes_to_a_node_under_its_clients_trace_and_costs_no_line() {
    let watched = watched(&[]).await;
    let url = watched.balancer.url();
    let id = create(&url, "docs").await;
    let reader = Client::another();
    let read = client().get(format!("{}/{id}/count", collections_url(&url)));
    let read = read.header("traceparent", reader.header()).header("tracestate", "a=of-the-reader");
    assert_eq!(read.send().await.expect("an answer").status().as_u16(), 200);
    let sent: Vec<String> =
        watched.recorders.iter().flat_map(|r| r.values_of("traceparent", &reader.trace)).collect();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_ne!(sent[0], reader.header(), "our own span is its parent");
    assert!(watched.recorders.iter().any(|recorder| recorder.has_seen("tracestate: a=of-the-reader")));
    // A failure that follows is told; the read before it was not.
    let failed = Client::another();
    let refused = client().post(format!("{}/{id}/fork", collections_url(&url)));
    let refused = refused.header("traceparent", failed.header()).json(&json!({"new_name": "b"}));
    assert_eq!(refused.send().await.expect("an answer").status().as_u16(), 501);
    let lines = || Lines::of(&watched.balancer);
    let told = async || lines().with("trace_id", &failed.trace).all().len() == 1;
    until(PATIENCE, "the failure is told", told).await;
    assert_eq!(lines().with("trace_id", &failed.trace).only()["target"], "access");
    assert!(lines().with("trace_id", &reader.trace).all().is_empty());
}

#[tokio::test]
async fn a_traceparent_that_is_none_is_replaced() {
    let watched = watched(&[("LOG_LEVEL", "info,access=debug,append=debug")]).await;
    let url = watched.balancer.url();
    let id = create(&url, "docs").await;
    let mut traces = Vec::new();
    let wrong = "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01";
    for headers in [&[("traceparent", wrong)][..], &[]] {
        let write_id = write_id(&upsert(&url, &id, headers).await);
        let lines = watched.applied(&write_id).await;
        let access = lines.with("target", "access").only().clone();
        assert!(access.get("parent_id").is_none(), "{access}");
        let trace = access["trace_id"].as_str().expect("a trace").to_owned();
        assert!(trace.len() == 32 && trace.bytes().any(|digit| digit != b'0'), "{trace}");
        assert!(lines.all().iter().all(|line| line["trace_id"] == *trace), "{:#?}", lines.all());
        let append = lines.with("target", "append").only().clone();
        assert_eq!((&append["seq"], &append["parent_id"]), (&access["seq"], &access["span_id"]));
        for recorder in &watched.recorders {
            assert_eq!(recorder.values_of("traceparent", &trace).len(), 1);
        }
        traces.push(trace);
    }
    assert_ne!(traces[0], traces[1]);
    let read = client().get(format!("{}/{id}/count", collections_url(&url)));
    let read = read.header("traceparent", wrong).header("tracestate", "a=of-no-trace");
    assert_eq!(read.send().await.expect("an answer").status().as_u16(), 200);
    let reads = Lines::of(&watched.balancer).with("route", "count");
    assert_eq!(reads.only()["level"], "DEBUG");
    for recorder in &watched.recorders {
        assert!(!recorder.has_seen("4BF92F") && !recorder.has_seen("of-no-trace"));
    }
}

#[tokio::test]
async fn a_write_keeps_its_trace_through_an_outage_and_a_restart() {
    let mut stack =
        Stack::start(Options::default().env("LOG_FORMAT", "json").env("PROBE_TIMEOUT", "20")).await;
    let id = create(&stack.url(), "docs").await;
    until(PATIENCE, "the collection is everywhere", async || pending(&stack).await == 0).await;
    stack.replica().kill9();
    until_state(&stack.url(), NODES[1], "down").await;
    let client = Client::another();
    let write_id = write_id(&upsert(&stack.url(), &id, &[("traceparent", &client.header())]).await);
    stack.balancer.kill9();
    stack.balancer.start_again().await;
    stack.replica().start_again().await.expect("a second start");
    let found = || Lines::of(&stack.balancer).with("write_id", &write_id).with("node", NODES[1]);
    let applied = || found().with("outcome", "applied").all().len() == 1;
    until(PATIENCE, "the replica has the write", async || applied()).await;
    let lines = found().with("outcome", "applied");
    assert_eq!(lines.only()["trace_id"], *client.trace);
    let access = Lines::of(&stack.balancer).with("write_id", &write_id).with("target", "access");
    assert_eq!(lines.only()["parent_id"], access.only()["span_id"]);
}

#[tokio::test]
async fn a_write_through_a_standby_is_one_trace_in_both_logs() {
    let mut stack =
        Stack::start(Options::default().env("LOG_FORMAT", "json").env("PROBE_TIMEOUT", "20")).await;
    let standby = stack.balancer_beside().await;
    let id = create(&stack.url(), "docs").await;
    let client = Client::another();
    let write_id = write_id(&upsert(&standby.url(), &id, &[("traceparent", &client.header())]).await);
    let line = |balancer: &Balancer| {
        let lines = Lines::of(balancer).with("write_id", &write_id).with("target", "access");
        lines.with("trace_id", &client.trace).all().first().cloned()
    };
    let told = async || line(&standby).is_some() && line(&stack.balancer).is_some();
    until(PATIENCE, "both have told of it", told).await;
    let (passed_on, done) = (line(&standby).expect("a line"), line(&stack.balancer).expect("a line"));
    assert_eq!(passed_on["parent_id"], client.span);
    assert_eq!(done["parent_id"], passed_on["span_id"]);
    assert!(done["seq"].is_u64(), "{done}");
}

#[tokio::test]
async fn a_collector_gets_the_spans_of_a_write_and_its_failures_hurt_nobody() {
    let collector = Collector::listen().await;
    let (endpoint, key) = (collector.url(), "api-key=of-the-collector");
    let watched = watched(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", key),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("LOG_LEVEL", "warn"),
    ])
    .await;
    let url = watched.balancer.url();
    let id = create(&url, "docs").await;
    let client = Client::another();
    let write_id = write_id(&upsert(&url, &id, &[("traceparent", &client.header())]).await);
    until(PATIENCE, "four spans", async || collector.of_trace(&client.trace).len() == 4).await;
    let spans = collector.of_trace(&client.trace);
    let named = |name: &str| spans.iter().find(|span| span.name == name).expect("a span");
    let request = named("upsert");
    assert_eq!(request.parent, client.span);
    assert_eq!(request.attribute("http.response.status_code"), "200");
    assert_eq!(request.service, "chroma-ha");
    for (name, recorder) in [("append", None), ("apply primary", Some(0)), ("apply replica-1", Some(1))] {
        let span = named(name);
        assert_eq!(span.parent, request.id, "{name}");
        assert!(span.nanos > 0 && span.nanos < 60_000_000_000, "{span:?}");
        if let Some(at) = recorder {
            let sent = format!("00-{}-{}-01", client.trace, span.id);
            assert_eq!(watched.recorders[at].values_of("traceparent", &client.trace), [sent]);
        }
    }
    assert!(spans.iter().all(|span| span.attribute("chroma_ha.write_id") == write_id), "{spans:#?}");
    assert!(collector.was_told("of-the-collector"));

    let unsampled = Client::another();
    let header = format!("{}00", &unsampled.header()[..53]);
    upsert(&url, &id, &[("traceparent", &header)]).await;
    collector.refuse(true);
    upsert(&url, &id, &[]).await;
    until(PATIENCE, "spans are refused", async || collector.refused() > 0).await;
    upsert(&url, &id, &[]).await;
    until(PATIENCE, "spans are refused again", async || collector.refused() > 1).await;
    collector.refuse(false);
    let later = Client::another();
    upsert(&url, &id, &[("traceparent", &later.header())]).await;
    until(PATIENCE, "spans again", async || collector.of_trace(&later.trace).len() == 4).await;
    assert!(collector.of_trace(&unsampled.trace).is_empty(), "its client does not want it recorded");
    let told = Lines::of(&watched.balancer).with("target", "chroma_ha::otel::collector");
    assert_eq!(told.with("level", "WARN").all().len(), 1, "once, not for every batch: {:#?}", told.all());
}

#[tokio::test]
async fn no_line_tells_a_secret_even_if_everything_is_logged() {
    let collector = Collector::listen().await;
    let place = Place::new("secrets");
    let nodes = start_nodes(&place, 2, false).await;
    let with = |url: &str, secret: &str| url.replace("://", &format!("://somebody:{secret}@"));
    let database = database().await.replace('@', ":planted-database@");
    let mut stack_env = Options::default().env("PROBE_TIMEOUT", "20");
    for (name, value) in [
        ("LOG_FORMAT", "json".to_owned()),
        ("LOG_LEVEL", "trace,tokio_postgres=trace".to_owned()),
        ("DATABASE_URL", database),
        ("PRIMARY_URL", with(&nodes[0].url(), "planted-primary")),
        ("REPLICA_AUTH_TOKEN", "planted-token".to_owned()),
        ("ADMIN_TOKEN", "planted-admin".to_owned()),
        ("SLACK_WEBHOOK_URL", format!("{}/services/planted-webhook", collector.url())),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", with(&collector.url(), "planted-collector")),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=planted-key".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned()),
    ] {
        stack_env = stack_env.env(name, &value);
    }
    let mut stack = Stack::over(place, nodes, stack_env).await;
    for name in NODES {
        until_state(&stack.url(), name, "up").await;
    }
    let id = create(&stack.url(), "docs").await;
    let headers = [
        ("authorization", "Bearer planted-bearer"),
        ("x-chroma-token", "planted-chroma"),
        ("cookie", "session=planted-cookie"),
        ("idempotency-key", "planted-idempotency"),
    ];
    upsert(&stack.url(), &id, &headers).await;
    let reads = ["count?token=planted-query", "get", "fork"];
    for verb in reads {
        let read = client().post(format!("{}/{id}/{verb}", collections_url(&stack.url())));
        let read = headers.iter().fold(read, |read, (name, value)| read.header(*name, *value));
        let _whatever = read.json(&json!({"where_document": {"$contains": "planted-body"}})).send().await;
    }
    let admin = client().post(format!("{}/admin/verify", stack.url())).bearer_auth("planted-wrong");
    assert_eq!(admin.send().await.expect("an answer").status().as_u16(), 401);
    let admin = client().get(format!("{}/admin/audit", stack.url())).bearer_auth("planted-admin");
    assert_eq!(admin.send().await.expect("an answer").status().as_u16(), 200);
    stack.replica().kill9();
    until_state(&stack.url(), NODES[1], "down").await;
    until(PATIENCE, "spans", async || collector.was_told("/v1/traces")).await;
    until(PATIENCE, "an alert", async || collector.was_told("planted-webhook")).await;
    let log = stack.balancer.log();
    let basic = "authorization: basic c29tzwjvzhk6cgxhbnrlzc1jb2xszwn0b3i=";
    assert!(collector.was_told(basic), "the password goes to the collector");
    let found: Vec<&str> = log.lines().filter(|line| line.contains("planted-")).take(5).collect();
    assert!(found.is_empty(), "{found:#?}");
    let as_numbers = format!("{:?}", b"a document");
    let as_numbers = as_numbers.trim_matches(['[', ']']);
    assert!(!log.contains("a document") && !log.contains(as_numbers), "no bodies");
    let trace = Lines::of(&stack.balancer).with("level", "TRACE");
    assert!(!trace.all().is_empty(), "everything was logged");
}
