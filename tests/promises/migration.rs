//! Does the guide from one Chroma server to a cluster do what it says? Its commands are typed as they are; the addresses are
//! those of real servers, one of them with data, and what both hold at the end is compared record by record.

use std::path::Path;
use std::time::{Duration, Instant};

use chroma_ha::dev::{Chroma, Launch, Process, free_port};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::nodes::{Records, collections_url};
use crate::harness::stack::start_nodes;
use crate::harness::transcript::{Shell, blocks, section, steps};
use crate::harness::{PROGRAM, Place, difference, node_records, post, shared, toolbox, until};

const LONG: Duration = Duration::from_secs(60);

/// As many as a small bot has.
const RECORDS: usize = 3_000;
const DIMENSION: usize = 384;

/// What a user has who begins: one server with data, an empty one, a database.
struct Desk {
    place: Place,
    nodes: Vec<Chroma>,
    variables: Vec<(&'static str, String)>,
}

impl Desk {
    async fn new() -> Self {
        let place = Place::new("migration");
        let nodes = start_nodes(&place, 2, false).await;
        fill(&nodes[0].url(), "articles").await;
        let python = toolbox().chroma_python().await.unwrap_or_else(|reason| panic!("{reason}"));
        let folders = [Path::new(PROGRAM), &python]
            .map(|program| program.parent().expect("a folder").display().to_string());
        let path = format!("{}:{}", folders.join(":"), std::env::var("PATH").expect("a path"));
        let port = free_port().expect("a free port");
        let variables = vec![
            ("PRIMARY_URL", nodes[0].url()),
            ("REPLICA_URL", nodes[1].url()),
            ("DATABASE_URL", shared::database().await),
            ("PORT", port.to_string()),
            ("BALANCER_URL", format!("http://127.0.0.1:{port}")),
            ("PATH", path),
        ];
        Self { place, nodes, variables }
    }

    /// `chroma-ha serve`, in a terminal of its own.
    fn serve(&self) -> Process {
        let mut launch = Launch::new(PROGRAM, self.place.join("chroma-ha.log")).args(["serve"]);
        for (name, value) in &self.variables {
            launch = launch.env(*name, value);
        }
        launch.start().expect("the program")
    }

    fn shell(&self) -> Shell {
        let pid = self.nodes[0].pid().expect("a process").to_string();
        let mut variables: Vec<(&str, &str)> =
            self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        variables.extend([("PRIMARY_PID", pid.as_str()), ("PYTHONDONTWRITEBYTECODE", "1")]);
        let shell = Shell::start(self.place.path(), &variables);
        std::os::unix::fs::symlink(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"),
            self.place.join("examples"),
        )
        .expect("a link");
        shell
    }
}

async fn fill(url: &str, name: &str) {
    let (status, made) =
        post(&collections_url(url), &json!({"name": name, "metadata": {"owner": "me"}})).await;
    assert_eq!(status, 200, "{made}");
    let add = format!("{}/{}/add", collections_url(url), made["id"].as_str().expect("an id"));
    let all: Vec<usize> = (0..RECORDS).collect();
    for part in all.chunks(500) {
        let vector = |n: usize| {
            (0..DIMENSION).map(|at| ((n * 31 + at * 17) % 1_000) as f32 / 1_000.0).collect::<Vec<_>>()
        };
        let records = json!({
            "ids": part.iter().map(|n| format!("article-{n}")).collect::<Vec<_>>(),
            "embeddings": part.iter().map(|n| vector(*n)).collect::<Vec<_>>(),
            "metadatas": part.iter().map(|n| json!({"n": n, "topic": format!("topic {}", n % 7)})).collect::<Vec<_>>(),
            "documents": part.iter().map(|n| format!("Article {n} says what it says.")).collect::<Vec<_>>(),
        });
        let (status, answer) = post(&add, &records).await;
        assert_eq!(status, 201, "{answer}");
    }
}

#[tokio::test]
async fn one_server_becomes_a_cluster_and_back_as_the_guide_tells() {
    let mut desk = Desk::new().await;
    let before = node_records(&desk.nodes[0].url(), "articles").await;
    assert_eq!(before.len(), RECORDS);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/migrate.md");
    let guide = std::fs::read_to_string(&path).expect("the guide");
    let mut shell = desk.shell();
    for heading in ["What you need", "1. Look before you begin"] {
        follow(&mut shell, section(&guide, heading)).await;
    }

    let second = section(&guide, "2. Stop the writers and start chroma-ha");
    assert_eq!(blocks(second, "sh"), ["chroma-ha serve\n"]);
    let begun = Instant::now();
    let mut balancer = desk.serve();
    follow(&mut shell, second).await;
    println!("what the old server has is adopted after {:?}", begun.elapsed());
    follow(&mut shell, section(&guide, "3. Change one URL")).await;
    follow(&mut shell, section(&guide, "4. Wait for the second server, and compare")).await;
    println!("the second server has everything {:?} after the start", begun.elapsed());
    hold_the_same(&desk.nodes, &before).await;

    let fifth = section(&guide, "5. Kill the old server, and see");
    let (dead, alive) = fifth.split_once("```sh\n").expect("the command that starts it again");
    follow(&mut shell, dead).await;
    until(LONG, "it is dead", async || !desk.nodes[0].is_running()).await;
    desk.nodes[0].start_again().await.expect("a second start");
    follow(&mut shell, alive).await;
    hold_the_same(&desk.nodes, &before).await;

    let back = section(&guide, "How to go back");
    let (stop, go_on) = back.split_once("Then point").expect("what comes after the stop");
    follow(&mut shell, stop).await;
    balancer.stop(Signal::SIGTERM, LONG).await;
    follow(&mut shell, go_on).await;
}

async fn follow(shell: &mut Shell, text: &str) {
    let steps = steps(text);
    assert!(!steps.is_empty(), "commands in {text}");
    for step in steps {
        shell.follow(&step).await;
    }
}

/// What there was, untouched, and the bot's articles, on both.
async fn hold_the_same(nodes: &[Chroma], before: &Records) {
    for node in nodes {
        let held = node_records(&node.url(), "articles").await;
        assert_eq!(difference(before, &held), None, "before and now on {}", node.name());
    }
    let handbook = node_records(&nodes[0].url(), "handbook").await;
    assert_eq!(handbook.len(), 4);
    assert_eq!(difference(&handbook, &node_records(&nodes[1].url(), "handbook").await), None);
}
