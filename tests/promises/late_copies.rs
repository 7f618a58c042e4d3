//! Does a write of a copy that was given up, and is executed by the node much later, change anything in
//! the end? The node settles as after any other request without an answer, and a record that was deleted
//! since does not stay.

use std::time::Duration;

use serde_json::json;

use crate::harness::late::LateProxy;
use crate::harness::nodes::read;
use crate::harness::stack::start_nodes;
use crate::harness::surface::{NODES, create, records, total, until_quiet, until_state, upsert};
use crate::harness::{Options, Place, Stack, assert_nodes_equal, get, until};

const SOON: Duration = Duration::from_secs(60);

/// More than a copy writes with its first request.
const RECORDS: usize = 150;

struct Withheld {
    stack: Stack,
    /// Before the replica.
    proxy: LateProxy,
    docs: String,
}

/// The replica lost its disk, and the first records of its copy are on their way to it, while the last are
/// being read.
async fn withheld() -> Withheld {
    let place = Place::new("late-copy");
    let nodes = start_nodes(&place, 2, false).await;
    let (source, proxy) =
        (LateProxy::before(nodes[0].port()).await, LateProxy::before(nodes[1].port()).await);
    let options = Options::default().env("REQUEST_TIMEOUT", "2");
    let options = options.env("PRIMARY_URL", &source.url()).env("REPLICA_URL", &proxy.url());
    let mut stack = Stack::over(place, nodes, options).await;
    for name in NODES {
        until_state(&stack.url(), name, "up").await;
    }
    let docs = create(&stack.url(), "docs").await;
    upsert(&stack.url(), &docs, "a", "the first").await;
    let others: Vec<String> = (0..RECORDS).map(|n| format!("other {n:03}")).collect();
    let body = json!({ "ids": others, "embeddings": vec![[1.0, 2.0, 3.0]; RECORDS] });
    let (status, answer) = records(&stack.url(), &docs, "add", &body).await;
    assert_eq!(status, 201, "{answer}");
    until_quiet(&stack.url()).await;
    proxy.withhold("the first");
    source.withhold("other 149");
    stack.replica().wipe().unwrap();
    stack.replica().start_again().await.unwrap();
    until(SOON, "records are withheld", async || proxy.is_held() && source.is_held()).await;
    Withheld { stack, proxy, docs }
}

impl Withheld {
    async fn holds(&self, node: usize, record: &str) -> bool {
        read(&self.stack.nodes[node].url(), "docs").await.is_ok_and(|held| held.contains_key(record))
    }

    /// Health hears that the replica did not answer: nothing is sent there before it has settled.
    async fn replica_settles(&self) {
        let told = async || {
            let log = self.stack.balancer.log();
            let mut lines = log.lines().filter(|line| line.contains("node state changed"));
            lines.any(|line| line.contains("replica-1") && line.contains("no answer within 2000 ms"))
        };
        until(SOON, "health hears of the write without an answer", told).await;
    }

    /// A record is copied after all, and deleted; then the late request brings it back.
    async fn stays_deleted(&self) {
        for name in NODES {
            until_state(&self.stack.url(), name, "up").await;
        }
        until(SOON, "the copy is complete", async || self.holds(1, "a").await).await;
        until_quiet(&self.stack.url()).await;
        let (status, answer) =
            records(&self.stack.url(), &self.docs, "delete", &json!({ "ids": ["a"] })).await;
        assert_eq!(status, 200, "{answer}");
        until(SOON, "it is deleted", async || !self.holds(1, "a").await).await;
        let answer = self.proxy.deliver().await;
        assert!(answer.starts_with("HTTP/1.1 201"), "executed late: {answer}");
        let gone = async || !self.holds(0, "a").await && !self.holds(1, "a").await;
        until(SOON, "what was deleted is gone again", gone).await;
        assert_nodes_equal(&self.stack, "docs", SOON).await;
        let (_, status) = get(&format!("{}/wal/stats", self.stack.url())).await;
        let again = total(&status["chroma_ha_doubt_replays_total"]);
        assert!(again >= 1.0, "the log was applied again: {status}");
    }
}

#[tokio::test]
async fn records_of_a_copy_that_arrive_after_their_deletion_are_deleted_again() {
    let withheld = withheld().await;
    withheld.replica_settles().await;
    withheld.stays_deleted().await;
}

/// The copy ends with its source; what it had sent does not.
#[tokio::test]
async fn a_write_of_a_copy_whose_source_was_lost_is_waited_for() {
    let mut withheld = withheld().await;
    withheld.stack.primary().kill9();
    withheld.replica_settles().await;
    withheld.stack.primary().start_again().await.unwrap();
    withheld.stays_deleted().await;
}

/// The one that knew that a copy was under way is dead.
#[tokio::test]
async fn records_of_a_killed_balancers_copy_are_deleted_again() {
    let mut withheld = withheld().await;
    withheld.stack.balancer.kill9();
    withheld.stack.balancer.start_again().await;
    withheld.stays_deleted().await;
}
