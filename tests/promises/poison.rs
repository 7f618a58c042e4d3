//! What if a node falls under one write, each time, for a reason that nobody knows? Only its collection waits,
//! and only where nodes fall; people are told which write it is; the verdict is what the nodes hold, and lasts.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::harness::client::{Answer, exchange};
use crate::harness::nodes::{collections_url, node_records};
use crate::harness::stack::start_nodes;
use crate::harness::surface::{NODES, create, records, until_quiet, until_state, upsert};
use crate::harness::{Options, Place, Poison, Refuser, Stack, assert_nodes_equal, get, until};

const SOON: Duration = Duration::from_secs(90);

/// Both nodes may have to settle.
const MOMENT: Duration = Duration::from_secs(20);

const WORD: &str = "under this a node falls";

/// `WAL_RETRY_ATTEMPTS`, and the first time, when nobody knows which write it was.
const FALLS: usize = 4;

struct Falling {
    stack: Stack,
    fronts: Vec<Refuser>,
    toxic: String,
    calm: String,
    /// Writes to the other collection that were acknowledged.
    written: usize,
}

impl Falling {
    /// Two nodes, each behind something that can fall, and two collections.
    async fn start() -> Self {
        let place = Place::new("poison");
        let nodes = start_nodes(&place, 2, false).await;
        let mut fronts = Vec::new();
        let mut options = Options::default().env("WAL_RETRY_DELAY", "0.05").env("WAL_RETRY_ATTEMPTS", "3");
        for (node, name) in nodes.iter().zip(["PRIMARY_URL", "REPLICA_URL"]) {
            let front = Refuser::before(node.url()).await;
            options = options.env(name, &front.url());
            fronts.push(front);
        }
        let stack = Stack::over(place, nodes, options).await;
        for name in NODES {
            until_state(&stack.url(), name, "up").await;
        }
        let url = stack.url();
        let (toxic, calm) = (create(&url, "toxic").await, create(&url, "calm").await);
        upsert(&url, &toxic, "before", "text").await;
        until_quiet(&url).await;
        Self { stack, fronts, toxic, calm, written: 0 }
    }

    /// The nodes from this one on, as long as the test lasts.
    fn fall(&self, from: usize, applied: bool) {
        let poison = Poison { word: WORD, applied };
        self.fronts[from..].iter().for_each(|front| front.fall_under(Some(poison)));
    }

    fn falls(&self) -> usize {
        self.fronts.iter().map(Refuser::falls).sum()
    }

    /// A write to the other collection: taken, and not held up.
    async fn write_elsewhere(&mut self) {
        let id = format!("r{}", self.written);
        let row = json!({"ids": [id], "embeddings": [[1.0, 2.0, 3.0]]});
        let begun = Instant::now();
        let (status, answer) = records(&self.stack.url(), &self.calm, "upsert", &row).await;
        // 202: logged, at a moment when no node was up.
        assert!([200, 202].contains(&status), "another collection: {status} {answer}");
        assert!(begun.elapsed() < MOMENT, "another collection waited {:?}", begun.elapsed());
        self.written += 1;
    }

    /// Sends the write, and writes to the other collection until the client has its answer.
    async fn fate(&mut self) -> Answer {
        let url = format!("{}/{}/upsert", collections_url(&self.stack.url()), self.toxic);
        let client = tokio::spawn(async move {
            let body = json!({"ids": ["bad"], "embeddings": [[1.0, 2.0, 3.0]], "documents": [WORD]});
            exchange(Method::POST, &url, Some(&body)).await
        });
        let begun = Instant::now();
        while !client.is_finished() || self.written == 0 {
            assert!(begun.elapsed() < SOON, "the write has no verdict");
            self.write_elsewhere().await;
        }
        client.await.expect("a client").expect("an answer")
    }

    /// Nothing waits, nothing is set aside, and all nodes hold all that was acknowledged.
    async fn until_drained(&mut self) {
        upsert(&self.stack.url(), &self.toxic, "after", "the collection goes on").await;
        self.write_elsewhere().await;
        for name in ["toxic", "calm"] {
            assert_nodes_equal(&self.stack, name, SOON).await;
        }
        until_quiet(&self.stack.url()).await;
        let whole =
            async || get(&format!("{}/wal/status", self.stack.url())).await.1["quarantined"] == json!([]);
        until(SOON, "nothing is set aside", whole).await;
        for node in &self.stack.nodes {
            let held: Vec<String> = node_records(&node.url(), "calm").await.into_keys().collect();
            let mut acknowledged: Vec<String> = (0..self.written).map(|n| format!("r{n}")).collect();
            acknowledged.sort();
            assert_eq!(held, acknowledged);
        }
    }

    /// On which nodes is the write?
    async fn held(&self) -> Vec<bool> {
        let mut held = Vec::new();
        for node in &self.stack.nodes {
            held.push(node_records(&node.url(), "toxic").await.contains_key("bad"));
        }
        held
    }

    /// Alerts with this key that name the collection.
    fn told(&self, key: &str) -> usize {
        let log = self.stack.balancer.log();
        let of_key = |line: &&str| line.contains(" alert ") && line.contains(&format!("key=\"{key}\""));
        log.lines().filter(of_key).filter(|line| line.contains("toxic")).count()
    }

    /// What the log says about the write, also after the balancer was killed.
    async fn lasts(&mut self, answer: &Answer, status: &str) {
        let id = answer.headers["x-chroma-ha-write-id"].to_str().expect("text").to_owned();
        let row = async |url: &str| get(&format!("{url}/wal/writes/{id}")).await.1["status"].clone();
        until(SOON, "the verdict is in the log", async || row(&self.stack.url()).await == status).await;
        self.stack.balancer.kill9();
        self.stack.balancer.start_again().await;
        for name in NODES {
            until_state(&self.stack.url(), name, "up").await;
        }
        assert_eq!(row(&self.stack.url()).await, json!(status));
    }
}

#[tokio::test]
async fn a_write_under_which_every_node_falls_is_rejected_and_on_none() {
    let mut falling = Falling::start().await;
    falling.fall(0, false);
    let answer = falling.fate().await;
    assert_eq!(answer.status, 500, "{}", answer.body);
    let message = answer.body["message"].as_str().expect("a message");
    assert!(
        message.contains("closed the connection each time") && message.contains("not applied"),
        "{message}"
    );
    let key = format!("poison:{}", falling.toxic);
    until(SOON, "people are told", async || falling.told(&key) > 0).await;
    falling.until_drained().await;
    until(SOON, "and that it is over", async || falling.told(&key) > 1).await;
    falling.lasts(&answer, "rejected").await;
    falling.until_drained().await;
    assert_eq!(falling.held().await, [false, false]);
    assert_eq!(falling.falls(), FALLS, "nobody falls under it after its verdict");
}

#[tokio::test]
async fn a_write_under_which_nodes_fall_after_they_applied_it_is_taken() {
    let mut falling = Falling::start().await;
    falling.fall(0, true);
    let answer = falling.fate().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    falling.until_drained().await;
    assert_eq!(falling.held().await, [true, true]);
    falling.lasts(&answer, "completed").await;
    falling.until_drained().await;
    assert_eq!(falling.held().await, [true, true]);
}

#[tokio::test]
async fn a_write_under_which_one_follower_falls_stops_only_its_collection_there() {
    let mut falling = Falling::start().await;
    falling.fall(1, false);
    let answer = falling.fate().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let url = falling.stack.url();
    let aside = async || {
        let (_, wal) = get(&format!("{url}/wal/status")).await;
        let all = wal["quarantined"].as_array().expect("a list").clone();
        all.iter().any(|one| one["node"] == "replica-1" && one["stream"] == json!(falling.toxic))
    };
    until(SOON, "its collection is set aside there", aside).await;
    until(SOON, "people are told", async || falling.told("quarantine:replica-1") > 0).await;
    // As long as the replica falls whenever it gets the record, in whatever way.
    for _ in 0..5 {
        falling.write_elsewhere().await;
    }
    assert_nodes_equal(&falling.stack, "calm", SOON).await;
    let (status, shown) = records(&url, &falling.toxic, "get", &json!({"ids": ["bad"]})).await;
    assert_eq!((status, &shown["ids"]), (200, &json!(["bad"])), "{shown}");
    falling.fronts.iter().for_each(|front| front.fall_under(None));
    falling.until_drained().await;
    assert_eq!(falling.held().await, [true, true]);
}
