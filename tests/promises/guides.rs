//! Does somebody who types what the documents say see what they show? The commands are taken from the documents
//! themselves; ports that a person would have free are exchanged for free ones.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use chroma_ha::dev::{Launch, Process, free_port};
use nix::sys::signal::Signal;

use crate::harness::browser::Browser;
use crate::harness::transcript::{Shell, Step, blocks, section, steps};
use crate::harness::{PROGRAM, Place, toolbox, until};

/// Servers are installed and started.
const LONG: Duration = Duration::from_secs(300);

fn document(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|reason| panic!("{}: {reason}", path.display()))
}

/// A folder as a clone is once the program is built, and ports for the ones in the documents.
struct Desk {
    place: Place,
    ports: Vec<(&'static str, String)>,
}

impl Desk {
    fn new(name: &str, ports: &[&'static str]) -> Self {
        let place = Place::new(name);
        std::fs::create_dir_all(place.join("target/release")).expect("a folder");
        symlink(PROGRAM, place.join("target/release/chroma-ha")).expect("a link");
        let free = |port: &&'static str| (*port, free_port().expect("a free port").to_string());
        Self { place, ports: ports.iter().map(free).collect() }
    }

    /// As it is typed at this desk.
    fn typed(&self, text: &str) -> String {
        let cache = toolbox().cache.display().to_string();
        let text = text.replace("~/.cache/chroma-ha", &cache).replace("cargo run --release --", PROGRAM);
        // A free port may look like one of the others.
        let marked = self.ports.iter().fold(text, |text, (port, _)| text.replace(port, &format!("<{port}>")));
        self.ports.iter().fold(marked, |text, (port, free)| text.replace(&format!("<{port}>"), free))
    }

    /// `dev`, as in the first terminal, once it says that it is up.
    async fn first_terminal(&self, command: &str) -> Process {
        let log = self.place.join("first-terminal.log");
        let typed = format!("exec {}", self.typed(command));
        let mut launch = Launch::new("bash", &log).args(["-c", &typed]);
        launch.folder = self.place.path().to_owned();
        launch.without_env = vec!["PORT", "DATABASE_URL", "PRIMARY_URL", "REPLICA_URL"];
        let mut running = launch.start().expect("a process");
        let printed = || std::fs::read_to_string(&log).unwrap_or_default();
        until(LONG, "it is up", async || {
            assert!(running.exit().is_none(), "dev ended:\n{}", printed());
            printed().contains("chroma-ha is up")
        })
        .await;
        running
    }
}

async fn interrupt(mut running: Process) {
    running.stop(Signal::SIGINT, LONG).await;
}

#[tokio::test]
async fn the_five_minutes_of_the_readme_go_as_told() {
    let readme = document("README.md");
    let section = section(&readme, "Try it in five minutes");
    let desk = Desk::new("readme", &["8000", "8001", "8002"]);
    let typed = blocks(section, "sh");
    let (first, rest) = typed.split_first().expect("a command");
    assert_eq!(first, "cargo run --release -- dev\n");
    let ports = ["--port 8000", "--primary-port 8001", "--replica-port 8002", "--postgres-port"];
    let free = free_port().expect("a free port");
    let dev = desk.first_terminal(&format!("{} {} {free}", first.trim(), ports.join(" "))).await;
    let port = desk.typed("8000");
    let mut shell = Shell::start(desk.place.path(), &[("PORT", &port)]);
    let mut printed = Vec::new();
    for block in rest {
        let (said, status) = shell.run(&desk.typed(block)).await;
        assert_eq!(status, 0, "{block}\n{said}");
        printed.push(said);
    }
    let [first_round, ids, paused, back, killed] = &printed[..] else { panic!("{printed:#?}") };
    assert!(first_round.contains("20 writes, each read back"), "{first_round}");
    let ids: Vec<&str> = ids.lines().collect();
    assert!(
        ids.len() == 3 && ids[0] != ids[1] && ids[1] != ids[2],
        "one per server and the client's: {ids:?}"
    );
    assert!(paused.contains("; 40 records") && !paused.contains(r#""pending_writes":0"#), "{paused}");
    assert!(back.contains(r#""pending_writes":0"#), "{back}");
    assert!(killed.contains("; 60 records") && killed.contains("healthy"), "{killed}");
    interrupt(dev).await;
}

/// The page itself, where there is a browser.
async fn seen_on_the_dashboard(url: &str, headline: &str) {
    let Some(mut browser) = Browser::start().await else { return };
    browser.open(url).await;
    until(LONG, headline, async || browser.text("#headline").await.contains(headline)).await;
}

#[tokio::test]
async fn the_tour_goes_as_told() {
    let tour = document("docs/tour.md");
    let ports = ["8000", "8001", "8002", "8003", "9000", "9001", "9002", "9003"];
    let desk = Desk::new("tour", &ports);
    assert_eq!(blocks(&tour, "sh"), ["cargo run --release -- dev\n"]);
    let dev =
        "cargo run --release -- dev --port 8000 --primary-port 8001 --replica-port 8002 --postgres-port 8003";
    let dev = desk.first_terminal(dev).await;
    let mut shell = Shell::start(desk.place.path(), &[]);
    for step in steps(&tour) {
        let shown = step.shown.iter().map(|line| desk.typed(line)).collect();
        shell.follow(&Step { command: desk.typed(&step.command), shown }).await;
        if step.command.contains("primary is down") {
            seen_on_the_dashboard(&desk.typed("http://localhost:8000/dashboard"), "primary is down").await;
        }
    }
    interrupt(dev).await;
}
