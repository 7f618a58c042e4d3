//! Is everybody who has no key turned away, does a key open what it is for and nothing else, by whatever name
//! it asks, and does no key get further than the balancer?

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use super::embedded::connect;
use crate::harness::client::client;
use crate::harness::keys::{bearer, line, lines, secret};
use crate::harness::recorder::Recorder;
use crate::harness::shared::database;
use crate::harness::stack::start_nodes;
use crate::harness::{Balancer, Ended, Place, Verb, script, toolbox, until};

const SOON: Duration = Duration::from_secs(30);

const KEYS: [(&str, &str); 6] = [
    ("reader", "read"),
    ("writer", "write"),
    ("ops", "admin"),
    ("acme", "write tenant=acme"),
    ("shop", "write tenant=acme database=shop"),
    ("lens", "read tenant=acme database=shop"),
];

/// As many as there are keys: the status that each is answered with.
type Statuses = [u16; 6];

struct House {
    balancer: Balancer,
    recorder: Recorder,
    database_url: String,
    _nodes: Vec<chroma_ha::dev::Chroma>,
    place: Place,
}

/// One node that wants a credential of its own, and a balancer that knows these keys.
async fn house(variable: &str, keys: &str) -> House {
    let place = Place::new("keys");
    let nodes = start_nodes(&place, 1, false).await;
    let recorder = Recorder::before(nodes[0].port()).await;
    let database_url = database().await;
    let env = [
        ("DATABASE_URL", database_url.as_str()),
        ("PRIMARY_URL", &recorder.url()),
        ("PRIMARY_AUTH_TOKEN", "of-the-node"),
        ("PROBE_TIMEOUT", "20"),
        (variable, keys),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let balancer = Balancer::start(env, place.join("balancer.log")).await;
    House { balancer, recorder, database_url, _nodes: nodes, place }
}

struct Heard {
    status: u16,
    challenge: Option<String>,
    text: String,
}

impl House {
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Heard {
        ask(&client(), &self.balancer.url(), method, path, headers, body).await
    }

    async fn with(&self, key: &str, method: &str, path: &str, body: &Value) -> Heard {
        let (name, value) = bearer(key);
        self.ask(method, path, &[(name, &value)], body).await
    }

    /// Creates it and returns its id.
    async fn create(&self, key: &str, database: &str, name: &str) -> String {
        let made = self.with(key, "POST", &format!("{database}/collections"), &json!({"name": name})).await;
        assert_eq!(made.status, 200, "{}", made.text);
        let made: Value = serde_json::from_str(&made.text).expect("JSON");
        made["id"].as_str().expect("an id").to_owned()
    }

    async fn statuses(&self, method: &str, path: &str, body: &Value) -> Statuses {
        let mut statuses = [0; 6];
        for (place, (key, _)) in KEYS.iter().enumerate() {
            statuses[place] = self.with(key, method, path, body).await.status;
        }
        statuses
    }
}

async fn ask(
    client: &Client,
    url: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Heard {
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let mut request = client.request(method, format!("{url}{path}"));
    if !body.is_null() {
        request = request.json(body);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap_or_else(|reason| panic!("{path}: no answer: {reason:?}"));
    let challenge = answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
    Heard { status: answer.status().as_u16(), challenge, text: answer.text().await.expect("a text") }
}

const NOTHING: Value = Value::Null;
const ACME: &str = "/api/v2/tenants/acme/databases";
const SHOP: &str = "/api/v2/tenants/acme/databases/shop";
const BOOKS: &str = "/api/v2/tenants/acme/databases/books";
const DEFAULT: &str = "/api/v2/tenants/default_tenant/databases/default_database";

/// Tenant acme with two databases, and a collection in each place.
async fn furnished() -> (House, [String; 3]) {
    let house = house("API_KEYS", &lines(&KEYS)).await;
    assert_eq!(house.with("writer", "POST", "/api/v2/tenants", &json!({"name": "acme"})).await.status, 200);
    for (key, name) in [("acme", "shop"), ("writer", "books")] {
        assert_eq!(house.with(key, "POST", ACME, &json!({"name": name})).await.status, 200, "{name}");
    }
    let shop = house.create("shop", SHOP, "inside").await;
    let books = house.create("acme", BOOKS, "beside").await;
    let default = house.create("writer", DEFAULT, "elsewhere").await;
    (house, [shop, books, default])
}

#[tokio::test]
async fn nobody_without_a_key_gets_further_than_the_health_of_the_balancer() {
    let house = house("API_KEYS", &lines(&KEYS)).await;
    let paths = [
        "/api/v2/heartbeat",
        "/api/v2/version",
        "/api/v2/auth/identity",
        "/api/v2/pre-flight-checks",
        "/api/v2",
        "/api/v1/collections",
        "/api/v2/nothing",
        "/docs",
        "/openapi.json",
        "/nothing",
        "/%68ealth",
        "//health",
        "/status",
        "/%73tatus",
        "/wal/status",
        "/wal/stats",
        "/wal/writes/x",
        "/metrics",
        "/dashboard/events",
        "/admin/audit",
        "/admin",
        &format!("{DEFAULT}/collections"),
    ];
    for path in paths {
        let none = house.ask("GET", path, &[], &NOTHING).await;
        assert_eq!(
            (none.status, none.challenge.as_deref()),
            (401, Some("Bearer realm=\"chroma-ha\"")),
            "{path}"
        );
        let body: Value = serde_json::from_str(&none.text).expect("JSON");
        assert_eq!(body["error"], "AuthError", "{path}");
        assert!(body["message"].as_str().is_some_and(|text| text.contains("X-Chroma-Token")), "{body}");
    }
    opens_for_no_other_word_than_the_key(&house).await;
    for path in ["/health", "/livez", "/readyz", "/dashboard"] {
        assert_eq!(house.ask("GET", path, &[], &NOTHING).await.status, 200, "{path}");
    }
    // A browser asks without a key whether it may ask; whatever the node says to that, it is no 401.
    assert_ne!(house.ask("OPTIONS", "/api/v2/heartbeat", &[], &NOTHING).await.status, 401);
    for (name, value) in [
        bearer("reader"),
        ("x-chroma-token", secret("reader")),
        ("Authorization", format!("bearer {}", secret("reader"))),
    ] {
        let headers = [("authorization", "Basic cHJveHk6cHJveHk="), (name, value.as_str())];
        assert_eq!(house.ask("GET", "/api/v2/heartbeat", &headers, &NOTHING).await.status, 200, "{name}");
    }
    assert!(!house.balancer.log().contains("planted"));
}

async fn opens_for_no_other_word_than_the_key(house: &House) {
    let good = secret("writer");
    let (shorter, longer, long) = (&good[1..], format!("{good}x"), "x".repeat(4_000));
    for (name, value) in [
        ("authorization", format!("Bearer {shorter}")),
        ("authorization", format!("Bearer {longer}")),
        ("authorization", format!("Basic {good}")),
        ("x-chroma-token", String::new()),
        ("x-chroma-token", long),
        ("x-chroma-token", good.to_uppercase()),
        ("cookie", format!("token={good}")),
        ("x-chroma-ha-peer", good.clone()),
    ] {
        let heard = house
            .ask("POST", &format!("{DEFAULT}/collections"), &[(name, &value)], &json!({"name": "no"}))
            .await;
        assert_eq!(heard.status, 401, "{name}");
        assert!(heard.challenge.is_some_and(|challenge| challenge.starts_with("Bearer realm=")), "{name}");
    }
}

/// Of what is elsewhere the old API tells no more than of what is nowhere.
async fn tells_nothing_of_elsewhere(house: &House, books: &str) {
    let unknown = "11111111-2222-4333-8444-555555555555";
    for (there, nowhere) in [("beside", "nobody"), (books, unknown)] {
        let of = async |name: &str| {
            let path = format!("/api/v1/collections/{name}/get?tenant=acme&database=books");
            house.with("shop", "POST", &path, &json!({})).await.text.replace(name, "")
        };
        assert_eq!(of(there).await, of(nowhere).await);
    }
}

/// A node that allows no reset answers 403 itself.
async fn only_an_operator_resets(house: &House) {
    for path in ["/api/v2/reset", "/api/v1/reset"] {
        for (key, ours) in [("writer", true), ("ops", false), ("acme", true)] {
            let heard = house.with(key, "POST", path, &NOTHING).await;
            let refused_here = heard.text.contains("needs admin");
            assert_eq!((heard.status, refused_here), (403, ours), "{key}: {}", heard.text);
        }
    }
}

#[tokio::test]
async fn each_key_opens_what_it_is_for_and_nothing_else() {
    let (house, [shop, books, default]) = furnished().await;
    let (all, unbound) = ([200; 6], [200, 200, 200, 403, 403, 403]);
    let (get, nothing) = (json!({}), &NOTHING);
    for (method, path, body, expected) in [
        ("GET", "/api/v2/heartbeat", nothing, all),
        ("GET", "/api/v2/version", nothing, all),
        ("GET", "/api/v2/pre-flight-checks", nothing, all),
        ("GET", "/api/v2/auth/identity", nothing, all),
        ("GET", "/api/v2/nothing", nothing, [404, 404, 404, 403, 403, 403]),
        ("POST", "/api/v2/nothing", &get, [501; 6]),
        ("GET", "/status", nothing, unbound),
        ("GET", "/wal/status", nothing, unbound),
        ("GET", "/wal/stats", nothing, unbound),
        ("GET", "/metrics", nothing, unbound),
        ("GET", "/wal/writes/none", nothing, [404, 404, 404, 403, 403, 403]),
        ("GET", "/admin/audit", nothing, [403, 403, 200, 403, 403, 403]),
        ("GET", "/api/v2/tenants/acme", nothing, all),
        ("GET", "/api/v2/tenants/default_tenant", nothing, unbound),
        ("GET", ACME, nothing, [200, 200, 200, 200, 403, 403]),
        ("GET", SHOP, nothing, all),
        ("GET", BOOKS, nothing, [200, 200, 200, 200, 403, 403]),
        ("POST", ACME, &json!({"name": "shop"}), [403, 409, 409, 409, 403, 403]),
        ("DELETE", &format!("{ACME}/none"), nothing, [403, 404, 404, 404, 403, 403]),
        ("GET", &format!("{SHOP}/collections"), nothing, all),
        ("GET", &format!("{SHOP}/collections_count"), nothing, all),
        ("GET", &format!("{BOOKS}/collections"), nothing, [200, 200, 200, 200, 403, 403]),
        ("GET", &format!("{DEFAULT}/collections"), nothing, unbound),
        ("GET", "/api/v2/collections/acme:shop:inside", nothing, all),
        ("GET", "/api/v2/collections/acme:books:beside", nothing, [200, 200, 200, 200, 403, 403]),
        ("GET", "/api/v2/collections/default_tenant%3Adefault_database%3Aelsewhere", nothing, unbound),
        ("GET", &format!("{SHOP}/collections/by-id/{shop}"), nothing, all),
        ("GET", &format!("{SHOP}/collections/by-id/{books}"), nothing, [404; 6]),
        (
            "POST",
            &format!("{SHOP}/collections"),
            &json!({"name": "inside", "get_or_create": true}),
            [403, 200, 200, 200, 200, 403],
        ),
        ("DELETE", &format!("{SHOP}/collections/none"), nothing, [403, 404, 404, 404, 404, 403]),
        ("DELETE", &format!("{BOOKS}/collections/none"), nothing, [403, 404, 404, 404, 403, 403]),
        // The old API, whose tenants stand in the query.
        ("GET", "/api/v1/collections", nothing, unbound),
        ("GET", "/api/v1/collections?tenant=acme&database=shop", nothing, all),
        ("GET", "/api/v1/collections/inside?tenant=acme&database=shop", nothing, all),
        (
            "GET",
            "/api/v1/collections/beside?tenant=acme&database=books",
            nothing,
            [200, 200, 200, 200, 403, 403],
        ),
        (
            "GET",
            "/api/v1/collections/none?tenant=acme&database=books",
            nothing,
            [400, 400, 400, 400, 403, 403],
        ),
        (
            "POST",
            "/api/v1/collections/beside/get?tenant=acme&database=books",
            &get,
            [200, 200, 200, 200, 400, 400],
        ),
        ("POST", "/api/v1/collections/none/get?tenant=acme&database=books", &get, [400; 6]),
        ("POST", "/api/v1/tenants", &json!({"name": "acme"}), [403, 409, 409, 403, 403, 403]),
        ("POST", &format!("/api/v1/collections/{default}/get"), &get, [200, 200, 200, 400, 400, 400]),
    ] {
        assert_eq!(house.statuses(method, path, body).await, expected, "{method} {path}");
    }
    tells_nothing_of_elsewhere(&house, &books).await;
    only_an_operator_resets(&house).await;
    let told = house.with("shop", "GET", "/api/v2/auth/identity", &NOTHING).await.text;
    assert_eq!(told, json!({"user_id": "shop", "tenant": "acme", "databases": ["shop"]}).to_string());
    let refused = house.with("reader", "POST", &format!("{SHOP}/collections"), &json!({"name": "no"})).await;
    assert!(refused.text.contains("key `reader` has scope read, and this needs write"), "{}", refused.text);
    let rows = house.with("ops", "GET", "/admin/audit", &NOTHING).await.text;
    assert!(rows.contains("audit"), "{rows}");
}

/// Record routes find a collection by its id alone and ignore the rest of the path.
#[tokio::test]
async fn no_spelling_leads_a_bound_key_to_a_collection_elsewhere() {
    let (house, [shop, books, default]) = furnished().await;
    let add = json!({"ids": ["r"], "embeddings": [[1, 2, 3]]});
    for id in [&shop, &books, &default] {
        let path = format!("{DEFAULT}/collections/{id}/add");
        assert_eq!(house.with("writer", "POST", &path, &add).await.status, 201, "wherever the path says");
    }
    let spelt = |id: &str| {
        [
            id.to_owned(),
            id.to_uppercase(),
            id.replace('-', ""),
            format!("%7B{id}%7D"),
            format!("urn:uuid:{id}"),
        ]
    };
    let unknown = "11111111-2222-4333-8444-555555555555".to_owned();
    let upsert = json!({"ids": ["stolen"], "embeddings": [[1, 2, 3]]});
    let delete = json!({"ids": ["r"]});
    for id in [&books, &default, &unknown] {
        for spelling in spelt(id) {
            for place in [SHOP, BOOKS, DEFAULT, "/api/v2/tenants/none/databases/none"] {
                for (method, below, body) in [
                    ("POST", "/get", &json!({})),
                    ("GET", "/count", &NOTHING),
                    ("POST", "/query", &json!({"query_embeddings": [[1, 2, 3]]})),
                    ("GET", "/attached_functions", &NOTHING),
                    ("POST", "/upsert", &upsert),
                    ("POST", "/delete", &delete),
                    ("PUT", "", &json!({"new_name": "stolen"})),
                ] {
                    let path = format!("{place}/collections/{spelling}{below}");
                    let heard = house.with("shop", method, &path, body).await;
                    // The same of what is elsewhere and of what is nowhere.
                    assert_eq!(heard.status, 404, "{method} {path}: {}", heard.text);
                    let said =
                        format!("Collection [{id}] does not exist in database `shop` of tenant `acme`");
                    assert!(heard.text.contains(&said), "{path}: {}", heard.text);
                }
            }
        }
    }
    for spelling in spelt(&shop) {
        let path = format!("{DEFAULT}/collections/{spelling}/count");
        assert_eq!(house.with("lens", "GET", &path, &NOTHING).await.text, "1", "{path}");
        assert_eq!(house.with("lens", "POST", &path.replace("/count", "/delete"), &delete).await.status, 403);
    }
    for id in [&books, &default] {
        let heard = house.with("reader", "GET", &format!("{SHOP}/collections/{id}/count"), &NOTHING).await;
        assert_eq!((heard.status, heard.text.as_str()), (200, "1"), "nothing was written or deleted");
    }
}

#[tokio::test]
async fn no_key_goes_further_than_the_balancer() {
    let house = house("API_KEYS", &lines(&KEYS)).await;
    let id = house.create("writer", DEFAULT, "quiet").await;
    let headers = [
        ("authorization", format!("Bearer {}", secret("writer"))),
        ("x-chroma-token", secret("reader")),
        ("cookie", "session=planted".to_owned()),
        ("proxy-authorization", "Basic planted".to_owned()),
        ("x-chroma-ha-admin-token", secret("ops")),
        ("x-of-the-client", "passes".to_owned()),
    ];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let add = json!({"ids": ["r"], "embeddings": [[1, 2, 3]]});
    for (method, path, body) in [
        ("POST", format!("{DEFAULT}/collections/{id}/add"), &add),
        ("POST", format!("{DEFAULT}/collections/{id}/get"), &json!({})),
        ("GET", format!("{DEFAULT}/collections/{id}/count?mark"), &NOTHING),
        ("GET", format!("{DEFAULT}/collections"), &NOTHING),
        ("GET", "/api/v2/version?mark".to_owned(), &NOTHING),
        ("OPTIONS", "/api/v2/version".to_owned(), &NOTHING),
        ("GET", "/api/v1/collections".to_owned(), &NOTHING),
    ] {
        let heard = house.ask(method, &path, &headers, body).await;
        assert!(heard.status < 300 || method == "OPTIONS", "{path}: {} {}", heard.status, heard.text);
    }
    for mark in ["/count?mark", "/version?mark", "/add", "x-of-the-client: passes"] {
        assert!(house.recorder.has_seen(mark), "{mark}");
    }
    assert!(!house.recorder.has_seen("planted"), "a client's credential went to the node");
    // Every request has the node's own: reads, writes, probes, what is read of the catalog.
    let (all, own) = (house.recorder.values_of("authorization", ""), "Bearer of-the-node");
    assert!(all.len() > 10 && all.iter().all(|value| value == own), "{all:?}");
    let requests = house.recorder.requests();
    assert_eq!(requests.iter().filter(|head| !head.contains(own)).collect::<Vec<_>>(), Vec::<&String>::new());
    let log = connect(&house.database_url).await;
    let rows =
        log.query("SELECT row_to_json(w)::text, encode(data, 'escape') FROM wal_pending_writes w", &[]).await;
    let rows = rows.expect("rows");
    assert!(rows.len() >= 2, "the writes are there");
    for row in rows {
        let text =
            format!("{} {}", row.get::<_, String>(0), row.get::<_, Option<String>>(1).unwrap_or_default());
        assert!(!text.contains("planted") && !text.contains("of-the-node"), "{text}");
    }
    let status = house.with("reader", "GET", "/status", &NOTHING).await.text;
    for text in [house.balancer.log(), status] {
        assert!(!text.contains("planted") && !text.contains("of-the-node"), "{text}");
    }
    assert!(house.balancer.log().contains("key=\"writer\""), "whose write it was is told by name");
}

/// The file of keys of a house, and where it is.
async fn with_file(keys: &[(&str, &str)]) -> (House, PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys");
    write(&file, keys);
    let house = house("API_KEYS_FILE", file.to_str().expect("a path")).await;
    (house, file, folder)
}

fn write(file: &std::path::Path, keys: &[(&str, &str)]) {
    let lines: String = keys.iter().map(|(name, words)| line(name, words) + "\n").collect();
    std::fs::write(file, format!("# whose they are\n\n{lines}")).expect("a file");
}

#[tokio::test]
async fn a_key_that_is_taken_from_the_file_opens_nothing_any_more_and_others_notice_nothing() {
    let (house, file, _folder) = with_file(&[("leaving", "write"), ("staying", "write")]).await;
    let id = house.create("leaving", DEFAULT, "shared").await;
    let upserts = format!("{DEFAULT}/collections/{id}/upsert");
    let record = |n: usize| json!({"ids": [format!("r{n}")], "embeddings": [[1, 2, 3]]});
    let url = house.balancer.url();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let busy = tokio::spawn({
        let (url, path) = (url.clone(), upserts.clone());
        async move {
            let (mut count, (name, value)) = (0, bearer("staying"));
            while !*stopped.borrow() {
                count += 1;
                let heard = ask(&client(), &url, "POST", &path, &[(name, &value)], &record(count)).await;
                assert_eq!(heard.status, 200, "{}", heard.text);
            }
            count
        }
    });
    assert_eq!(house.with("leaving", "POST", &upserts, &record(0)).await.status, 200);
    let (name, value) = bearer("leaving");
    let page = client().get(format!("{url}/dashboard/events")).header(name, value).send().await;
    let mut page = page.expect("a stream");
    assert!(page.chunk().await.expect("a stream").is_some());
    write(&file, &[("staying", "write"), ("coming", "read")]);
    until(SOON, "the key opens nothing", async || {
        house.with("leaving", "POST", &upserts, &record(0)).await.status == 401
    })
    .await;
    assert_eq!(house.with("coming", "GET", "/status", &NOTHING).await.status, 200);
    let ended = async { while page.chunk().await.expect("an end, not a break").is_some() {} };
    tokio::time::timeout(SOON, ended).await.expect("the page of who left is told nothing more");
    // What cannot be used changes nothing, and is told.
    std::fs::write(&file, "staying write oops\n").expect("a file");
    let fault = async || {
        let status: Value =
            serde_json::from_str(&house.with("coming", "GET", "/status", &NOTHING).await.text).expect("JSON");
        status["access"]["api_keys_fault"].as_str().unwrap_or_default().to_owned()
    };
    until(SOON, "the fault is told", async || fault().await.contains("line 1: its hash must be")).await;
    assert!(house.balancer.log().contains("the last good keys stay in place"), "{}", house.balancer.log());
    until(SOON, "a person is told", async || house.balancer.log().contains("file:API_KEYS_FILE")).await;
    write(&file, &[("staying", "write")]);
    until(SOON, "the file is good again", async || {
        house.with("coming", "GET", "/status", &NOTHING).await.status == 401
    })
    .await;
    stop.send(true).expect("a task");
    assert!(busy.await.expect("no request failed") > 0);
}

#[tokio::test]
async fn the_same_idempotency_key_of_two_clients_is_two() {
    let house = house("API_KEYS", &lines(&KEYS)).await;
    let id = house.create("writer", DEFAULT, "once").await;
    let path = format!("{DEFAULT}/collections/{id}/add");
    let (first, other) =
        (json!({"ids": ["a"], "embeddings": [[1, 2, 3]]}), json!({"ids": ["b"], "embeddings": [[1, 2, 3]]}));
    let send = async |name: &str, value: String, body: &Value| {
        house.ask("POST", &path, &[(name, &value), ("idempotency-key", "same")], body).await.status
    };
    assert_eq!(send("authorization", format!("Bearer {}", secret("writer")), &first).await, 201);
    // Another client's, for another write: its own.
    assert_eq!(send("authorization", format!("Bearer {}", secret("ops")), &other).await, 201);
    // The same client, in whichever header it shows who it is.
    assert_eq!(send("x-chroma-token", secret("writer"), &other).await, 422);
    assert_eq!(send("x-chroma-token", secret("writer"), &first).await, 201);
}

#[tokio::test]
async fn a_key_that_the_program_made_opens_and_verbs_show_one() {
    let text = Verb::of(&["key", "robot", "--scope", "admin"]).ended().await.out;
    let [_, key, _, line] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let house = house("API_KEYS", &format!("{};{line}", lines(&KEYS))).await;
    let heard = house.ask("GET", "/admin/audit", &[("x-chroma-token", key)], &NOTHING).await;
    assert_eq!(heard.status, 200, "{}", heard.text);
    let (none, empty) = (("NOTHING", ""), secret("reader"));
    for (words, variable, code, says) in [
        (&["health"][..], none, 0, "healthy"),
        (&["status"], none, 1, "an API key is needed"),
        (&["status", "--json"], ("CHROMA_HA_KEY", empty.as_str()), 0, "write_ahead_log"),
        (&["status", "--json"], ("ADMIN_TOKEN", key), 0, "write_ahead_log"),
        (&["wal", "list"], ("CHROMA_HA_KEY", empty.as_str()), 1, "has scope read, and this needs admin"),
        (&["wal", "list"], ("CHROMA_HA_KEY", key), 0, "no such write"),
        (&["verify"], ("CHROMA_HA_KEY", key), 0, "0 differed"),
    ] {
        let verb = Verb::of(words).env("PORT", house.balancer.port().to_string()).envs([variable]);
        let ended = verb.ended().await;
        assert!(ended.code == code && ended.said().contains(says), "{words:?} {}: {ended:?}", variable.0);
    }
}

#[tokio::test]
async fn a_set_of_keys_that_cannot_be_used_stops_the_start_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys");
    std::fs::write(&file, line("a", "read") + "\nb write cha_planted\n").expect("a file");
    let good = line("a", "read");
    let missing = folder.path().join("none");
    for (variable, value, says) in [
        ("API_KEYS", "a read cha_planted", "API_KEYS=*** is refused: entry 1: its hash must be"),
        ("API_KEYS", &format!("{good};{good}"), "API_KEYS=*** is refused: key `a` is there twice"),
        ("API_KEYS", ";", "it holds no key"),
        ("API_KEYS_FILE", file.to_str().unwrap(), "line 2: its hash must be"),
        ("API_KEYS_FILE", missing.to_str().unwrap(), "accepted is the path of a file"),
    ] {
        let serve = Verb::of(&["serve"]).env("PRIMARY_URL", "http://127.0.0.1:9");
        let serve = serve.env("DATABASE_URL", "postgresql://127.0.0.1:9/log").env(variable, value);
        let Ended { code, err: text, .. } = serve.ended().await;
        assert_eq!((code, text.lines().count()), (64, 1), "{text}");
        assert!(text.contains(says) && !text.contains("planted"), "{text}");
    }
}

#[tokio::test]
async fn the_python_client_works_with_a_key_that_is_bound_to_one_database() {
    let (house, _) = furnished().await;
    let inside = format!("{SHOP}/collections/inside");
    assert_eq!(house.with("shop", "DELETE", &inside, &NOTHING).await.status, 200);
    let python = toolbox().chroma_python().await.unwrap_or_else(|reason| panic!("{reason}"));
    let (url, key) = (house.balancer.url(), secret("shop"));
    script::run(&house.place, python, "keyed_client.py", &[&url, &key, "acme", "shop"]).await;
}
