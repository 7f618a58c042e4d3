//! Does a machine with nothing but Python get real servers that keep their data, obey, and leave
//! no process behind? Section by section of `dev`, without the balancer.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chroma_ha::dev::{Chroma, ChromaOptions, Error, Launch, Postgres, PostgresOptions, Progress, Toolbox};
use nix::unistd::Uid;
use serde_json::json;

use crate::harness::nodes::{collections_url, read};
use crate::harness::shared;
pub(super) use crate::harness::sql::connect;
use crate::harness::stack::start_nodes;
use crate::harness::{Place, difference, get, node_records, post, toolbox, until};

pub(super) const SOON: Duration = Duration::from_secs(15);

/// Processes whose command line names the folder.
pub(super) fn processes_of(folder: &Path) -> Vec<String> {
    let listed = Command::new("ps").args(["-eo", "pid=,stat=,args="]).output().expect("ps");
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let wanted = folder.to_string_lossy().into_owned();
    text.lines().filter(|line| line.contains(&wanted)).map(str::to_owned).collect()
}

async fn add(url: &str, collection: &str, ids: &[&str]) {
    let base = collections_url(url);
    let (status, made) = post(&base, &json!({"name": collection, "get_or_create": true})).await;
    assert_eq!(status, 200, "{made}");
    let embeddings: Vec<_> = ids.iter().map(|id| json!([id.len(), 0.25, -1.5])).collect();
    let body = json!({"ids": ids, "embeddings": embeddings, "documents": ids});
    let records = format!("{base}/{}/add", made["id"].as_str().expect("an id"));
    let (status, answer) = post(&records, &body).await;
    assert_eq!(status, 201, "{answer}");
}

#[tokio::test]
async fn chroma_keeps_its_data_over_kill_9_and_leaves_nothing_behind() {
    let place = Place::new("chroma");
    let mut nodes = start_nodes(&place, 2, false).await;
    for node in &nodes {
        add(&node.url(), "kept", &["a", "bb"]).await;
    }
    let before = node_records(&nodes[0].url(), "kept").await;
    assert_eq!(before.len(), 2);
    assert_eq!(difference(&before, &node_records(&nodes[1].url(), "kept").await), None);
    let (pid, url) = (nodes[0].pid(), nodes[0].url());
    nodes[0].kill9();
    assert!(!nodes[0].is_running());
    assert!(read(&url, "kept").await.is_err());
    nodes[0].start_again().await.expect("a second start");
    assert_ne!(nodes[0].pid(), pid);
    assert_eq!(nodes[0].url(), url);
    assert_eq!(difference(&before, &node_records(&url, "kept").await), None);
    nodes[1].wipe().expect("a wiped disk");
    nodes[1].start_again().await.expect("a start on an empty disk");
    assert!(read(&nodes[1].url(), "kept").await.is_err());
    nodes[0].stop().await;
    drop(nodes);
    until(SOON, "nothing of Chroma runs", async || processes_of(place.path()).is_empty()).await;
}

#[tokio::test]
async fn a_paused_chroma_is_alive_but_silent_and_can_be_stopped() {
    let place = Place::new("paused");
    let mut nodes = start_nodes(&place, 1, true).await;
    let port = nodes[0].port();
    nodes[0].sigstop();
    assert_eq!(chroma_ha::dev::http_status(port, "/api/v2/heartbeat").await, None);
    assert!(nodes[0].is_running());
    nodes[0].sigcont();
    assert_eq!(get(&format!("{}/api/v2/heartbeat", nodes[0].url())).await.0, 200);
    assert_eq!(post(&format!("{}/api/v2/reset", nodes[0].url()), &json!({})).await.0, 200);
    nodes[0].sigstop();
    nodes[0].stop().await;
    until(SOON, "nothing of Chroma runs", async || processes_of(place.path()).is_empty()).await;
}

#[tokio::test]
async fn postgres_keeps_its_data_over_hard_stops_and_foreign_lock_files() {
    let place = Place::new("postgres");
    let mut server = start_postgres(&toolbox(), &place.join("postgres")).await;
    let url = server.url();
    execute(&url, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)").await;
    server.restart_immediate().await.expect("a restart");
    assert_eq!(server.url(), url);
    execute(&url, "INSERT INTO kept VALUES (8)").await;
    server.stop_immediate().await;
    // After a reboot the number in the lock file may belong to anybody.
    let lock = server.data().join("postmaster.pid");
    std::fs::write(&lock, format!("{}\n", std::process::id())).expect("a lock file");
    server.start_again().await.expect("a start with a foreign lock file");
    let client = connect(&url).await;
    let row = client.query_one("SELECT sum(n) FROM kept", &[]).await.expect("a sum");
    assert_eq!(row.get::<_, i64>(0), 15);
    server.stop().await;
    assert!(!lock.exists());
    drop(server);
    until(SOON, "nothing of PostgreSQL runs", async || processes_of(place.path()).is_empty()).await;
}

/// kill -9 runs no destructor: the watchers have to do it.
#[tokio::test]
async fn servers_end_when_their_owner_is_killed() {
    let place = Place::new("orphans");
    let mut owner = Command::new(std::env::current_exe().expect("this program"));
    owner.args(["--ignored", "--exact", "promises::embedded::an_owner_to_be_killed"]);
    owner.env("OWNER_FOLDER", place.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut owner = owner.spawn().expect("a second process");
    let ready = place.join("ready");
    until(Duration::from_secs(120), "the owner has started all", async || ready.exists()).await;
    assert!(processes_of(place.path()).len() >= 3, "{:?}", processes_of(place.path()));
    owner.kill().expect("kill -9");
    owner.wait().expect("its end");
    until(SOON, "its servers are gone", async || processes_of(place.path()).is_empty()).await;
    // A crash must not keep the data from being used again.
    drop(start_postgres(&toolbox(), &place.join("postgres")).await);
}

#[tokio::test]
#[ignore = "the process that another test kills"]
async fn an_owner_to_be_killed() {
    let Some(folder) = std::env::var_os("OWNER_FOLDER").map(PathBuf::from) else { return };
    let options = ChromaOptions::new("orphan", folder.join("chroma"));
    let _chroma = Chroma::start(&toolbox(), options).await.expect("Chroma");
    let _postgres = start_postgres(&toolbox(), &folder.join("postgres")).await;
    let sleep = Launch::new("/bin/sh", folder.join("sleep.log"));
    // A child that has a child itself, and both can be recognised.
    let script = r#"sh -c 'sleep 1000; : "$0"' "$0"; :"#;
    let _sleep = sleep.args(["-c", script]).args([&folder]).start().expect("a shell");
    std::fs::write(folder.join("ready"), "").expect("a mark");
    std::future::pending().await
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, other) = (shared::database().await, shared::database().await);
    assert_ne!(one, other);
    execute(&one, "CREATE TABLE same (n int)").await;
    execute(&other, "CREATE TABLE same (n int)").await;
}

#[tokio::test]
async fn root_lends_postgres_an_account_and_a_reachable_folder() {
    if !Uid::effective().is_root() {
        return;
    }
    let place = Place::new("closed");
    let closed = place.join("closed");
    std::fs::create_dir(&closed).expect("a folder");
    std::fs::set_permissions(&closed, Permissions::from_mode(0o700)).expect("a closed folder");
    let mut server = start_postgres(&toolbox(), &closed.join("postgres")).await;
    assert!(server.account().is_some_and(|account| account.uid != 0));
    assert!(server.data().starts_with("/var/tmp"), "{:?}", server.data());
    let corner = server.data().ancestors().nth(2).expect("a corner").to_owned();
    server.stop().await;
    drop(server);
    std::fs::remove_dir_all(corner).expect("removing the corner");
}

#[tokio::test]
async fn what_is_missing_is_told_in_one_line() {
    let place = Place::new("missing");
    let told = |reason: Error| {
        let line = reason.to_string();
        assert!(!line.contains('\n'), "{line}");
        line
    };
    let empty = |python: Option<&str>| Toolbox {
        cache: place.join("cache"),
        python: python.map(Into::into),
        postgres_bin: Some(place.join("nowhere")),
        postgres_wheel: false,
        progress: Progress::silent(),
    };
    let line = told(empty(Some("/nowhere/python")).chroma().await.expect_err("no such Python"));
    assert!(line.contains("/nowhere/python") && line.contains("PYTHON="), "{line}");
    for (answer, wanted) in [("3 8 yes yes", "3.8 is too old"), ("3 12 yes no", "apt install python3-venv")] {
        let fake = place.join("python");
        std::fs::write(&fake, format!("#!/bin/sh\necho {answer}\necho\n")).expect("a script");
        std::fs::set_permissions(&fake, Permissions::from_mode(0o755)).expect("a program");
        let line = told(empty(fake.to_str()).chroma().await.expect_err("an unfit Python"));
        assert!(line.contains(wanted), "{line}");
    }
    let options = PostgresOptions::new(place.join("postgres"));
    let line = told(Postgres::start(&empty(None), options).await.expect_err("no PostgreSQL there"));
    assert!(line.contains("CHROMA_HA_PG_BIN"), "{line}");
}

async fn start_postgres(toolbox: &Toolbox, folder: &Path) -> Postgres {
    let started = Postgres::start(toolbox, PostgresOptions::new(folder)).await;
    started.unwrap_or_else(|reason| panic!("{reason}"))
}

async fn execute(url: &str, statements: &str) {
    connect(url).await.batch_execute(statements).await.expect("statements");
}
