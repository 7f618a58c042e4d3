//! Is a secret seen by nobody but whom it is for? One is planted wherever one may enter: addresses, tokens, the
//! webhook, clients' headers and queries. Everything works, fails, is refused and panics, at the most talkative level
//! of the log. Then all that was shown, sent or kept is searched for all of them.

use std::time::Duration;

use chroma_ha::config::table::OPTIONS;
use chroma_ha::dev::{Chroma, Launch, Process, free_port, http_status};
use serde_json::json;

use crate::harness::collector::Collector;
use crate::harness::faults::Faults;
use crate::harness::nodes::collections_url;
use crate::harness::raw::Raw;
use crate::harness::secrets::{Planted, tables};
use crate::harness::shared::database;
use crate::harness::sql;
use crate::harness::stack::start_nodes;
use crate::harness::status::PATIENCE;
use crate::harness::surface::{exchange, node_state, until_state};
use crate::harness::webhook::{Mishap, SECRET, Webhook};
use crate::harness::{Balancer, Ended, Options, PROGRAM, Place, Verb, get, until};

const DATABASE: Planted = Planted("databasePassword");
const PRIMARY_USER: Planted = Planted("primaryUser");
const PRIMARY: Planted = Planted("primaryPassword");
const REPLICA: Planted = Planted("replicaPassword");
const PRIMARY_TOKEN: Planted = Planted("primaryToken");
const REPLICA_TOKEN: Planted = Planted("replicaToken");
const ADMIN: Planted = Planted("adminToken");
const COLLECTOR: Planted = Planted("collectorPassword");
const COLLECTOR_KEY: Planted = Planted("collectorKey");
const MONITORED: Planted = Planted("balancerPassword");
const AUTHORIZATION: Planted = Planted("clientAuthorization");
const TOKEN: Planted = Planted("clientChromaToken");
const PROXY: Planted = Planted("clientProxyAuthorization");
const COOKIE: Planted = Planted("clientCookie");
const KEY: Planted = Planted("clientIdempotencyKey");
const WRONG_ADMIN: Planted = Planted("clientAdminToken");
const QUERY: Planted = Planted("clientQuery");
const SETTING: Planted = Planted("refusedSetting");
/// Of a message that a client sends: that is what the log is for.
const DOCUMENT: Planted = Planted("document");
/// Of a path: everybody may see those.
const NAME: Planted = Planted("collection");

const SECRETS: [Planted; 18] = [
    COLLECTOR_KEY,
    DATABASE,
    PRIMARY_USER,
    PRIMARY,
    REPLICA,
    PRIMARY_TOKEN,
    REPLICA_TOKEN,
    ADMIN,
    COLLECTOR,
    MONITORED,
    AUTHORIZATION,
    TOKEN,
    PROXY,
    COOKIE,
    KEY,
    WRONG_ADMIN,
    QUERY,
    SETTING,
];

/// The address with a user and a password.
fn with(url: &str, user: &str, password: Planted) -> String {
    let (scheme, rest) = url.split_once("://").expect("an address");
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{user}:{}@{rest}", password.word())
}

/// All that was shown, sent or kept, by where.
#[derive(Default)]
struct Heard(Vec<(String, String)>);

impl Heard {
    fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    /// A line with the word, and where it is.
    fn found(&self, secret: Planted) -> Vec<String> {
        let held = self.0.iter().filter(|(_, text)| secret.is_in(text));
        held.map(|(place, text)| {
            let line = text.lines().find(|line| secret.is_in(line)).unwrap_or_default();
            format!("{} in {place}: {}", secret.0, line.chars().take(600).collect::<String>())
        })
        .collect()
    }
}

struct Ground {
    balancer: Balancer,
    nodes: Vec<Chroma>,
    env: Vec<(String, String)>,
    database_url: String,
    webhook: Webhook,
    collector: Collector,
    faults: Faults,
    place: Place,
    heard: Heard,
}

impl Ground {
    async fn start() -> Self {
        let place = Place::new("redaction");
        let nodes = start_nodes(&place, 2, false).await;
        let database_url = database().await;
        // Slack fails in every way first.
        let webhook =
            Webhook::failing(&[Mishap::Status(500, 0), Mishap::Closes, Mishap::Status(404, 0)]).await;
        let collector = Collector::listen().await;
        let user = database_url.split("://").nth(1).and_then(|rest| rest.split('@').next()).expect("a user");
        let faults = Faults::unarmed();
        let mut options = faults.env(Options::default());
        for (name, value) in [
            ("DATABASE_URL", with(&database_url, user, DATABASE)),
            ("PRIMARY_URL", with(&nodes[0].url(), &PRIMARY_USER.word(), PRIMARY)),
            ("REPLICA_URL", with(&nodes[1].url(), "u", REPLICA)),
            ("PRIMARY_AUTH_HEADER", "x-chroma-token".to_owned()),
            ("PRIMARY_AUTH_TOKEN", PRIMARY_TOKEN.word()),
            ("REPLICA_AUTH_TOKENS", REPLICA_TOKEN.word()),
            ("ADMIN_TOKEN", ADMIN.word()),
            ("SLACK_WEBHOOK_URL", webhook.url()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", with(&collector.url(), "u", COLLECTOR)),
            ("OTEL_EXPORTER_OTLP_HEADERS", format!("x-api-key={}", COLLECTOR_KEY.word())),
            ("LOG_LEVEL", "trace".to_owned()),
        ] {
            options = options.env(name, &value);
        }
        let env = options.env;
        let balancer = Balancer::start(env.clone(), place.join("balancer-1.log")).await;
        let heard = Heard::default();
        let ground = Self { balancer, nodes, env, database_url, webhook, collector, faults, place, heard };
        for node in ["primary", "replica-1"] {
            until_state(&ground.balancer.url(), node, "up").await;
        }
        ground
    }

    /// A request with everything that a client may bear; what is answered is kept.
    async fn ask(&mut self, method: &str, url: &str, body: &str) -> (u16, String) {
        let bearer = format!("Bearer {}", AUTHORIZATION.word());
        let proxy = format!("Basic {}", PROXY.word());
        let (token, key, cookie) = (
            TOKEN.word(),
            KEY.word() + method + &url.len().to_string(),
            format!("session={}", COOKIE.word()),
        );
        let headers = [
            ("content-type", "application/json"),
            ("authorization", bearer.as_str()),
            ("x-chroma-token", &token),
            ("proxy-authorization", &proxy),
            ("cookie", &cookie),
            ("idempotency-key", &key),
        ];
        let url = format!("{url}?token={}", QUERY.word());
        let (status, _, text) = exchange(method, &url, &headers, body.to_owned()).await;
        self.heard.add(
            format!("the answer to {method} {}", url.split('?').next().unwrap_or_default()),
            text.clone(),
        );
        (status, text)
    }

    /// What a client does in a day, at this balancer.
    async fn a_day(&mut self, url: &str, id: &str) {
        let records = format!("{}/{id}", collections_url(url));
        let body =
            json!({"ids": ["a"], "embeddings": [[1, 2, 3]], "documents": [DOCUMENT.word()]}).to_string();
        assert_eq!(self.ask("POST", &format!("{records}/upsert"), &body).await.0, 200);
        assert_eq!(self.ask("POST", &format!("{records}/get"), r#"{"ids":["a"]}"#).await.0, 200);
        assert_eq!(self.ask("GET", &format!("{records}/count"), "").await.0, 200);
        for (method, path, body) in [
            ("GET", "/api/v2/version", ""),
            ("GET", "/api/v1/collections", ""),
            ("POST", "/api/v1/collections/missing/add", r#"{"ids":["a"]}"#),
            ("POST", "/api/v2/nonsense", ""),
            ("GET", "/nonsense", ""),
            ("DELETE", "/api/v2/tenants/default_tenant/databases/default_database/collections/missing", ""),
            ("PUT", "/api/v2/heartbeat", ""),
        ] {
            self.ask(method, &format!("{url}{path}"), body).await;
        }
        assert!(self.ask("POST", &format!("{records}/add"), "{").await.0 >= 400);
        for key in [
            ("authorization", format!("Bearer {}", WRONG_ADMIN.word())),
            ("x-chroma-ha-admin-token", WRONG_ADMIN.word()),
        ] {
            let (status, _, text) =
                exchange("GET", &format!("{url}/admin/audit"), &[(key.0, &key.1)], "").await;
            assert_eq!(status, 401, "{text}");
            self.heard.add("a refused operator's answer", text);
        }
    }

    /// Requests that are none, with secrets in them.
    async fn malformed(&mut self) {
        let secret = |lines: &str| {
            format!(
                "GET /api/v2/version?{} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\n{lines}\r\n",
                QUERY.word(),
                AUTHORIZATION.word()
            )
        };
        for lines in [
            format!("content-length: {}\r\n", TOKEN.word()),
            format!("transfer-encoding: {}\r\n", TOKEN.word()),
            format!("cookie : {}\r\n", COOKIE.word()),
            format!("connection: close\r\nexpect: {}\r\nupgrade: websocket\r\n", TOKEN.word()),
        ] {
            let mut client = Raw::at(self.balancer.port()).await;
            client.send_as_far_as_taken(secret(&lines).as_bytes()).await;
            let answer = client.rest(PATIENCE).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
            self.heard.add("the answer to what is no request", answer);
        }
    }

    /// Everything that the balancer shows about itself.
    async fn look(&mut self, url: &str) {
        for path in [
            "/status",
            "/wal/status",
            "/wal/stats",
            "/metrics",
            "/metrics?format=json",
            "/health",
            "/dashboard",
            "/livez",
            "/readyz",
        ] {
            let (_, _, text) = exchange("GET", &format!("{url}{path}"), &[], "").await;
            assert!(!text.is_empty(), "{path}");
            self.heard.add(format!("{url}{path}"), text);
        }
        let key = ADMIN.word();
        for path in ["/admin/audit", "/admin/dead-letters?state=all", "/admin/nothing"] {
            let headers = [("x-chroma-ha-admin-token", key.as_str())];
            let (status, _, text) = exchange("GET", &format!("{url}{path}"), &headers, "").await;
            assert!(status != 401, "{path}: {text}");
            self.heard.add(path, text);
        }
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let mut events = Raw::at(port).await;
        events.send("GET /dashboard/events HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let events = events.taken(Duration::from_secs(3)).await;
        assert!(events.contains("data:"), "{events}");
        self.heard.add("/dashboard/events", events);
    }

    /// One run of the program with these variables, and all that it said.
    async fn run(&mut self, words: &[&str], variables: &[(&str, String)]) -> i32 {
        let verb = Verb::of(words).envs(variables.iter().map(|(name, value)| (name, value)));
        let Ended { code, out, err } = verb.ended().await;
        self.heard.add(format!("{words:?}, output"), out);
        self.heard.add(format!("{words:?}, errors"), err);
        code
    }

    /// What operators run, and what goes wrong with it.
    async fn commands(&mut self) {
        let nobody = free_port().expect("a free port");
        let away = |user: &str, secret| with(&format!("http://127.0.0.1:{nobody}"), user, secret);
        let port = ("PORT", self.balancer.port().to_string());
        let key = |secret: Planted| ("ADMIN_TOKEN", secret.word());
        assert_eq!(self.run(&["wal", "list"], &[port.clone(), key(ADMIN)]).await, 0);
        assert_eq!(self.run(&["wal", "list"], &[port.clone(), key(WRONG_ADMIN)]).await, 1);
        assert_eq!(self.run(&["status"], &[port]).await, 0);
        assert_eq!(self.run(&["status", "--url", &away("u", MONITORED)], &[]).await, 2);
        assert_eq!(self.run(&["wal", "list", "--url", &away("u", MONITORED)], &[key(ADMIN)]).await, 2);
        let slack = format!("http://127.0.0.1:{nobody}/services/{SECRET}/B0/{}", SETTING.word());
        assert_eq!(self.run(&["alert", "test"], &[("SLACK_WEBHOOK_URL", slack)]).await, 1);
        // Nobody is there; there is a server, but not this database.
        let missing = with(&self.database_url, "nobody", DATABASE).replace("test_", "missing_");
        for database in [with(&format!("postgres://127.0.0.1:{nobody}/d"), "u", DATABASE), missing] {
            let variables = [
                ("DATABASE_URL", database),
                ("PRIMARY_URL", away(&PRIMARY_USER.word(), PRIMARY)),
                ("REPLICA_URL", away("v", REPLICA)),
            ];
            assert_eq!(self.run(&["check"], &variables).await, 1);
        }
        self.refused_settings().await;
    }

    /// Values that stop the start, each with a secret in it.
    async fn refused_settings(&mut self) {
        let word = SETTING.word();
        for (name, value) in [
            ("PRIMARY_URL", format!("ftp://u:{word}@h")),
            ("PRIMARY_URL", format!("http://u:{word}")),
            ("PRIMARY_URL", format!("http://h:1?key={word}")),
            ("REPLICA_URL", format!("u:{word}@h")),
            ("REPLICA_URLS", format!("http://a?key={word},nonsense")),
            ("REPLICA_URLS", format!("http://u:{word}@a,nonsense")),
            ("ADVERTISE_URL", format!("http://u:{word}@h:1")),
            ("DATABASE_URL", format!("mysql://u:{word}@h/d")),
            ("DATABASE_URL", format!("postgres://u:{word}/d")),
            ("DATABASE_URL", format!("host=h password={word}")),
            ("DATABASE_URL", format!("postgres://h/d?sslmode=never&password={word}")),
            ("SLACK_WEBHOOK_URL", format!("hooks.example/{word}")),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://h?key={word}")),
            ("ADMIN_TOKEN", format!("{word} {word}")),
            ("PRIMARY_AUTH_TOKEN", format!("{word} {word}")),
            ("REPLICA_AUTH_TOKENS", format!("{word},{word}")),
        ] {
            let good = [
                ("PRIMARY_URL", "http://127.0.0.1:9".to_owned()),
                ("DATABASE_URL", "postgres://u@127.0.0.1:9/d".to_owned()),
            ];
            let variables: Vec<_> =
                good.into_iter().filter(|(known, _)| *known != name).chain([(name, value.clone())]).collect();
            assert!([1, 64].contains(&self.run(&["check"], &variables).await), "{name}={value}");
        }
    }

    async fn standby(&self) -> Balancer {
        let mut env = self.env.clone();
        env.extend([("LOG_FORMAT".to_owned(), "json".to_owned())]);
        let standby = Balancer::launched(env, self.place.join("balancer-2.log"));
        until(PATIENCE, "a standby is ready", async || {
            http_status(standby.port(), "/readyz").await == Some(200)
        })
        .await;
        standby
    }

    async fn monitor(&self) -> Process {
        let port = free_port().expect("a free port");
        let mut launch = Launch::new(PROGRAM, self.place.join("monitor.log")).args(["monitor"]);
        launch.without_env = OPTIONS.iter().map(|option| option.name).collect();
        launch.env.extend(self.env.iter().cloned());
        launch = launch.env("PORT", port.to_string()).env("MONITOR_INTERVAL", "1");
        let process = launch
            .env("BALANCER_URL", with(&self.balancer.url(), "u", MONITORED))
            .start()
            .expect("the monitor");
        until(PATIENCE, "the monitor watches", async || http_status(port, "/health").await == Some(200))
            .await;
        process
    }
}

/// What balancers of one database know each other by. Only PostgreSQL has it.
async fn peer_key(database_url: &str) -> String {
    let client = sql::connect(database_url).await;
    client.query_one("SELECT peer_key FROM wal_lease", &[]).await.expect("a lease").get(0)
}

/// The actors that have the secrets, and one that has none.
const FALLING: [&str; 3] = ["wal", "slack", "replay replica-1 task"];

#[tokio::test]
async fn no_secret_is_seen_by_anybody() {
    let mut ground = Ground::start().await;
    let url = ground.balancer.url();
    let named = format!("{}/{}", collections_url(&url), NAME.word().replace('=', "%3D"));
    assert_eq!(ground.ask("GET", &named, "").await.0, 404);
    let (status, made) = ground.ask("POST", &collections_url(&url), r#"{"name":"secrets"}"#).await;
    assert_eq!(status, 200, "{made}");
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    let id = made["id"].as_str().expect("an id").to_owned();
    let _monitor = ground.monitor().await;
    ground.a_day(&url, &id).await;
    ground.malformed().await;
    let standby = ground.standby().await;
    ground.a_day(&standby.url(), &id).await;
    for actor in FALLING {
        ground.faults.arm(actor, "panic");
        let faults = &ground.faults;
        until(PATIENCE, &format!("{actor} has fallen"), async || {
            let body = json!({"ids": ["b"], "embeddings": [[1, 2, 3]]});
            let _whatever =
                crate::harness::post(&format!("{}/{id}/upsert", collections_url(&url)), &body).await;
            !faults.is_armed(actor)
        })
        .await;
    }
    until_state(&url, "replica-1", "up").await;
    drop(ground.nodes.remove(0));
    until(PATIENCE, "it is noticed", async || node_state(&url, "primary").await == "down").await;
    ground.a_day(&url, &id).await;
    let webhook = &ground.webhook;
    until(PATIENCE, "it is told", async || webhook.messages_with("primary") > 0).await;
    ground.commands().await;
    for url in [url.clone(), standby.url()] {
        ground.look(&url).await;
    }
    ground.balancer.kill9();
    until(PATIENCE, "the standby has taken over", async || {
        get(&format!("{}/health", standby.url())).await.0 == 200
    })
    .await;
    let webhook = &ground.webhook;
    until(PATIENCE, "the monitor tells it", async || webhook.messages_with("answers") > 0).await;
    ground.look(&standby.url()).await;
    ground.assert_unseen(&standby).await;
}

impl Ground {
    async fn assert_unseen(mut self, standby: &Balancer) {
        for log in ["balancer-1.log", "balancer-2.log", "monitor.log"] {
            let text = std::fs::read_to_string(self.place.join(log)).expect("a log");
            assert!(text.contains("TRACE"), "{log} is talkative");
            self.heard.add(log, text);
        }
        assert!(standby.log().contains(r#""level":"TRACE""#));
        assert!(self.heard.0.iter().any(|(_, text)| text.contains("a fault for a test")), "panics are in it");
        self.heard.add("alerts", self.webhook.texts().join("\n"));
        until(PATIENCE, "spans were exported", async || !self.collector.everything().is_empty()).await;
        self.heard.add("spans", self.collector.everything());
        let peers = peer_key(&self.database_url).await;
        let known: Vec<&str> = self
            .heard
            .0
            .iter()
            .filter(|(_, text)| text.contains(&peers))
            .map(|(place, _)| place.as_str())
            .collect();
        assert!(known.is_empty(), "the key of the balancers is in {known:?}");
        for (table, rows) in tables(&self.database_url).await {
            self.heard.add(format!("table {table}"), rows);
        }
        // What may be seen is found, in words and in digits.
        let places = |planted| self.heard.found(planted).join("\n");
        for place in ["in balancer-1.log", "in spans", "in the answer to GET"] {
            assert!(places(NAME).contains(place), "{place}: {}", places(NAME));
        }
        for place in ["wal_pending_writes", "in the answer to POST"] {
            assert!(places(DOCUMENT).contains(place), "{place}: {}", places(DOCUMENT));
        }
        assert!(!places(DOCUMENT).contains(".log"), "no body is in a log: {}", places(DOCUMENT));
        let webhook =
            self.heard.0.iter().filter(|(_, text)| text.contains(SECRET)).map(|(place, _)| place.as_str());
        let seen: Vec<String> = SECRETS
            .into_iter()
            .flat_map(|secret| self.heard.found(secret))
            .chain(webhook.map(|place| format!("the webhook in {place}")))
            .collect();
        assert!(seen.is_empty(), "{} secrets are seen:\n{}", seen.len(), seen.join("\n"));
    }
}
