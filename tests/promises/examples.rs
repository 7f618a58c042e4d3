//! Do the examples that a user copies run as they are while the primary is killed and comes back, without a
//! call that fails, and do all nodes end with what they wrote (G9, G2)? Each in a loop of its own, which ends
//! with an error at the first answer that is not the newest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::script::{self, Script, example};
use crate::harness::status::{PATIENCE, applied, state};
use crate::harness::{Options, Stack, assert_nodes_equal, node_records, toolbox, until};

const SOON: Duration = Duration::from_secs(30);

/// What is printed once a round.
const ROUND: &str = "Lighthouse";

/// Rounds between two events.
const SOME: usize = 3;

#[tokio::test]
async fn the_python_client_notices_no_failover() {
    let python = toolbox().chroma_python().await.unwrap_or_else(|reason| panic!("{reason}"));
    let requirements = requirements("python");
    let pinned = python.ancestors().nth(2).expect("an environment").file_name().expect("a name");
    assert_eq!(requirements.trim().replace("==", "-"), pinned.to_string_lossy(), "tried with what is pinned");
    notices_no_failover(
        Stack::start(Options::default()).await,
        "handbook",
        python,
        example("python/knowledge_bot.py"),
    )
    .await;
}

#[tokio::test]
async fn langchain_notices_no_failover() {
    let stack = Stack::start(Options::default()).await;
    let script = example("langchain/knowledge_bot.py");
    notices_no_failover(stack, "handbook-langchain", frameworks().await, script).await;
}

#[tokio::test]
async fn llamaindex_notices_no_failover() {
    let stack = Stack::start(Options::default()).await;
    let script = example("llamaindex/knowledge_bot.py");
    notices_no_failover(stack, "handbook-llamaindex", frameworks().await, script).await;
}

#[tokio::test]
async fn the_javascript_client_notices_no_failover() {
    let stack = Stack::start(Options::default()).await;
    let (node, script) = script::javascript(&stack.place, &example("javascript/knowledge_bot.js")).await;
    notices_no_failover(stack, "handbook-javascript", node, script).await;
}

fn requirements(folder: &str) -> String {
    let file = example(folder).join("requirements.txt");
    std::fs::read_to_string(&file).unwrap_or_else(|reason| panic!("{}: {reason}", file.display()))
}

/// Both in one environment: most of what they need is the same.
async fn frameworks() -> PathBuf {
    let requirements = requirements("langchain") + &requirements("llamaindex");
    toolbox().python_with(&requirements).await.unwrap_or_else(|reason| panic!("{reason}"))
}

async fn notices_no_failover(mut stack: Stack, collection: &str, program: PathBuf, script: impl AsRef<Path>) {
    let url = stack.url();
    let mut bot = Script::start(&stack.place, program, script.as_ref(), &["0"], &[("CHROMA_URL", &url)]);
    bot.prints(SOME, ROUND, PATIENCE).await;
    stack.primary().kill9();
    bot.prints(SOME, ROUND, PATIENCE).await;
    until(PATIENCE, "the primary is seen to be down", async || state(&stack, "primary").await == "down")
        .await;
    assert!(applied(&stack, "acting", "replica-1").await > 0.0, "the replica has acted");
    bot.prints(SOME, ROUND, PATIENCE).await;
    stack.primary().start_again().await.expect("a second start");
    let before = applied(&stack, "acting", "primary").await;
    until(PATIENCE, "the primary acts again", async || applied(&stack, "acting", "primary").await > before)
        .await;
    bot.prints(SOME, ROUND, PATIENCE).await;
    bot.interrupt();
    let printed = bot.ended().await;
    let rounds = printed.lines().filter(|line| line.contains(ROUND)).count();
    let told = format!("{rounds} rounds, no call failed; the handbook has 4 articles of edition {rounds}");
    assert_eq!(printed.lines().last(), Some(told.as_str()), "{printed}");
    assert_nodes_equal(&stack, collection, SOON).await;
    let held = node_records(&stack.nodes[1].url(), collection).await;
    let held: BTreeSet<_> = held.into_values().map(|record| article(&record.1, &record.2)).collect();
    assert_eq!(held, the_handbook(rounds));
}

fn article(metadata: &Value, document: &Value) -> String {
    let text = document.as_str().unwrap_or_default();
    json!([metadata["topic"], metadata["edition"], text]).to_string()
}

/// After a round: corrected, and without what was deleted.
fn the_handbook(edition: usize) -> BTreeSet<String> {
    let texts = [
        ("office", "The guest network is called Lighthouse; its password hangs at the reception."),
        ("office", "Coffee is free, and the machine is cleaned every Friday."),
        ("people", "Ask for leave two weeks before it begins."),
        ("security", "Report a lost laptop to the security desk at once."),
    ];
    texts
        .iter()
        .map(|(topic, text)| article(&json!({"topic": topic, "edition": edition}), &json!(text)))
        .collect()
}
