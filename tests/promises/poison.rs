//! What if every node closes the connection under one write, for a reason that nobody knows? It is judged
//! by what the nodes hold: rejected everywhere or taken everywhere, and only its collection waits.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::nodes::read;
use crate::harness::stack::start_nodes;
use crate::harness::surface::{NODES, create, records, until_quiet, until_state, upsert};
use crate::harness::{Options, Place, Poison, Refuser, Stack, assert_nodes_equal, get, until};

const SOON: Duration = Duration::from_secs(90);

/// Both nodes may have to settle.
const MOMENT: Duration = Duration::from_secs(20);

const WORD: &str = "under this every node falls";

struct Falling {
    stack: Stack,
    fronts: Vec<Refuser>,
    toxic: String,
    calm: String,
}

impl Falling {
    /// Two nodes, each behind something that can close connections, and two collections.
    async fn start() -> Self {
        let place = Place::new("poison");
        let nodes = start_nodes(&place, 2, false).await;
        let mut fronts = Vec::new();
        let mut options = Options::default().env("WAL_RETRY_DELAY", "0.05");
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
        Self { stack, fronts, toxic, calm }
    }

    fn fall(&self, applied: bool) {
        let poison = Poison { word: WORD, applied };
        self.fronts.iter().for_each(|front| front.fall_under(Some(poison)));
    }

    /// Sends the write, and writes to the other collection until the log says what became of it.
    async fn fate(&self) -> Value {
        let url = self.stack.url();
        let body = json!({"ids": ["bad"], "embeddings": [[1.0, 2.0, 3.0]], "documents": [WORD]});
        let (sent, toxic) = (url.clone(), self.toxic.clone());
        let client = tokio::spawn(async move { records(&sent, &toxic, "upsert", &body).await });
        let (mut written, mut slowest) = (0, Duration::ZERO);
        let decided = async || {
            let row = json!({"ids": [format!("r{written}")], "embeddings": [[1.0, 2.0, 3.0]]});
            let begun = Instant::now();
            let (status, answer) = records(&url, &self.calm, "upsert", &row).await;
            slowest = slowest.max(begun.elapsed());
            assert!([200, 202].contains(&status), "another collection: {status} {answer}");
            written += 1;
            client.is_finished()
        };
        until(SOON, "the write is decided", decided).await;
        assert!(written > 0 && slowest < MOMENT, "another collection: {written} writes, one of {slowest:?}");
        eprintln!("{written} writes to another collection, the slowest took {slowest:?}");
        let (status, answer) = client.await.expect("a client");
        json!({"status": status, "answer": answer})
    }

    async fn until_equal(&self) {
        for name in ["toxic", "calm"] {
            assert_nodes_equal(&self.stack, name, SOON).await;
        }
        until_quiet(&self.stack.url()).await;
        let whole =
            async || get(&format!("{}/wal/status", self.stack.url())).await.1["quarantined"] == json!([]);
        until(SOON, "nothing is set aside", whole).await;
    }

    async fn held(&self) -> bool {
        let records = read(&self.stack.nodes[0].url(), "toxic").await.expect("records");
        records.contains_key("bad")
    }
}

#[tokio::test]
async fn a_write_under_which_every_node_falls_is_rejected_and_on_none() {
    let falling = Falling::start().await;
    falling.fall(false);
    let fate = falling.fate().await;
    assert_eq!(fate["status"], 500, "{fate}");
    let message = fate["answer"]["message"].as_str().expect("a message");
    assert!(
        message.contains("closed the connection each time") && message.contains("not applied"),
        "{message}"
    );
    upsert(&falling.stack.url(), &falling.toxic, "after", "the collection goes on").await;
    falling.until_equal().await;
    assert!(!falling.held().await);
    let told =
        || falling.stack.balancer.log().lines().any(|l| l.contains(" alert ") && l.contains("quarantine:"));
    until(SOON, "people are told", async || told()).await;
}

#[tokio::test]
async fn a_write_under_which_nodes_fall_after_they_applied_it_is_taken() {
    let falling = Falling::start().await;
    falling.fall(true);
    let fate = falling.fate().await;
    assert_eq!(fate["status"], 200, "{fate}");
    falling.fronts.iter().for_each(|front| front.fall_under(None));
    upsert(&falling.stack.url(), &falling.toxic, "after", "the collection goes on").await;
    falling.until_equal().await;
    assert!(falling.held().await);
}
