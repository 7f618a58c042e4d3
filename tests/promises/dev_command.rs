//! Does the whole of `chroma-ha dev` come up, mend itself and go away without a trace? With a
//! stand-in for the balancer that only says that it is ready; signals go to a second process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chroma_ha::dev::{Error, Options, Parts, Progress, free_port, http_status, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::embedded::{SOON, connect, processes_of};
use crate::harness::{Place, toolbox, until};

const LONG: Duration = Duration::from_secs(120);

const HEARTBEAT: &str = "/api/v2/heartbeat";

fn options(folder: &Path) -> Options {
    let port = || free_port().expect("a free port");
    Options {
        data: folder.to_owned(),
        port: port(),
        primary_port: port(),
        replica_port: port(),
        postgres_port: port(),
        ..Options::default()
    }
}

/// Answers every request with 200, for ever.
async fn stand_in(port: u16) -> Result<(), Error> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port of the balancer");
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut request = [0; 1024];
        let _length = stream.read(&mut request).await;
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    }
}

fn port_of(url: &str) -> u16 {
    url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address with a port")
}

fn chroma_pid(folder: &Path) -> Option<i32> {
    let mark = format!("{}/primary/chroma.yaml", folder.display());
    let lines = processes_of(folder);
    let line = lines.iter().find(|line| line.contains(&mark) && !line.contains("chroma-ha-guard"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[tokio::test]
async fn a_server_that_dies_is_reported_and_comes_back() {
    let place = Place::new("dev");
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let mut toolbox = toolbox();
    toolbox.progress = Progress::new(move |line| sink.lock().expect("lines").push(line.to_owned()));
    let data = place.join("data");
    let serve = async |parts: Parts| -> Result<(), Error> {
        connect(&parts.database_url).await.batch_execute("SELECT 1").await.expect("an answer");
        let primary = port_of(&parts.primary_url);
        assert_eq!(http_status(port_of(&parts.replica_url), HEARTBEAT).await, Some(200));
        let first = chroma_pid(&data).expect("a primary");
        kill(Pid::from_raw(first), Signal::SIGKILL).expect("kill -9");
        until(SOON, "it ends", async || http_status(primary, HEARTBEAT).await.is_none()).await;
        until(LONG, "it comes back", async || http_status(primary, HEARTBEAT).await == Some(200)).await;
        Ok(())
    };
    run(options(&data), toolbox.clone(), serve).await.expect("a clean end");
    until(SOON, "every process is gone", async || processes_of(&data).is_empty()).await;
    let told = told.lock().expect("lines").join("\n");
    assert!(told.contains("Chroma (primary) ended on its own"), "{told}");
}

#[tokio::test]
async fn what_is_given_by_address_is_not_started() {
    let place = Place::new("given");
    let given = |name: &str| Some(format!("http://{name}.example:8000"));
    let options = Options {
        database_url: Some("postgres://u:secret@db.example/x".into()),
        primary_url: given("one"),
        replica_url: given("two"),
        ..options(&place.join("data"))
    };
    let port = options.port;
    let seen = run(options, toolbox(), async |parts: Parts| -> Result<_, Error> { Ok(parts) }).await;
    let seen = seen.expect("nothing to start");
    assert_eq!((seen.port, seen.replica_url), (port, "http://two.example:8000".to_owned()));
    assert!(processes_of(place.path()).is_empty());
}

fn second_process(folder: &Path, port: Option<u16>) -> Child {
    let mut owner = Command::new(std::env::current_exe().expect("this program"));
    owner.args(["--ignored", "--exact", "--nocapture", "promises::dev_command::a_dev_to_be_signalled"]);
    let log = std::fs::File::create(folder.join("dev.log")).expect("a log");
    owner.env("OWNER_PORT", port.map_or_else(String::new, |port| port.to_string()));
    owner.env("OWNER_FOLDER", folder).stderr(Stdio::null()).stdout(log);
    owner.spawn().expect("a second process")
}

#[tokio::test]
#[ignore = "the process that other tests signal"]
async fn a_dev_to_be_signalled() {
    let Some(folder) = std::env::var_os("OWNER_FOLDER").map(PathBuf::from) else { return };
    let serve = async |parts: Parts| -> Result<(), Error> {
        let hear = tokio::signal::ctrl_c();
        tokio::select! {
            ended = stand_in(parts.port) => ended,
            _ = hear => Ok(()),
        }
    };
    let mut options = options(&folder.join("data"));
    if let Some(base) = std::env::var("OWNER_PORT").ok().and_then(|port| port.parse::<u16>().ok()) {
        (options.port, options.primary_port, options.replica_port) = (base, base + 1, base + 2);
        options.postgres_port = base + 3;
    }
    let ended = run(options, toolbox(), serve).await;
    let told = ended.map_or_else(|reason| reason.to_string(), |()| "served".to_owned());
    std::fs::write(folder.join("ended"), told).expect("a mark");
}

async fn signalled(name: &str, signal: Signal, when: impl AsyncFn(&Path)) -> (String, String) {
    let place = Place::new(name);
    let mut owner = second_process(place.path(), None);
    when(place.path()).await;
    kill(Pid::from_raw(owner.id().cast_signed()), signal).expect("a signal");
    until(LONG, "it ends", async || owner.try_wait().expect("its state").is_some()).await;
    until(SOON, "every process is gone", async || processes_of(place.path()).is_empty()).await;
    let read = |name: &str| std::fs::read_to_string(place.join(name)).unwrap_or_default();
    (read("ended"), read("dev.log"))
}

async fn up(folder: &Path) {
    let log = folder.join("dev.log");
    let printed = async || std::fs::read_to_string(&log).unwrap_or_default().contains("Ctrl-C");
    until(LONG, "it is up", printed).await;
}

/// Its servers may live a moment longer than it: the next start waits for their ports.
#[tokio::test]
async fn after_kill_9_the_same_command_starts_again_at_once() {
    let place = Place::new("again");
    let port = free_port().expect("a free port");
    for _ in 0..2 {
        let mut owner = second_process(place.path(), Some(port));
        up(place.path()).await;
        owner.kill().expect("kill -9");
        owner.wait().expect("its end");
    }
    until(SOON, "its servers are gone", async || processes_of(place.path()).is_empty()).await;
}

#[tokio::test]
async fn ctrl_c_stops_everything_after_the_addresses_were_printed() {
    let (ended, printed) = signalled("ctrl-c", Signal::SIGINT, up).await;
    assert_eq!(ended, "served");
    assert!(printed.contains("chroma-ha is up: http://127.0.0.1:"), "{printed}");
    assert!(printed.contains("postgres://chroma_ha@127.0.0.1:"), "{printed}");
}

#[tokio::test]
async fn a_signal_during_the_start_stops_what_was_started() {
    let half_way = async |folder: &Path| {
        let log = folder.join("data/primary/chroma.log");
        until(LONG, "Chroma is starting", async || log.exists()).await;
    };
    let (ended, _) = signalled("half-way", Signal::SIGTERM, half_way).await;
    assert_eq!(ended, Error::Interrupted.to_string());
}
