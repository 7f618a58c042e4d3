//! Do the files that a user copies fit the program: its variables, routes, times and releases? They are judged as the
//! tools of their platforms judge them, and nothing is deployed.

use std::collections::BTreeMap;
use std::process::Command;

use chroma_ha::config::table::{self, Accepts, Preset};
use chroma_ha::dev::{Progress, Toolbox};
use serde_json::Value;

use super::{assert_none, read, root};

#[path = "deployment/image.rs"]
mod image;
#[path = "deployment/kubernetes.rs"]
mod kubernetes;
#[path = "deployment/render.rs"]
mod render;
#[path = "deployment/schemas.rs"]
mod schemas;

const COMPOSE: &str = "compose.yaml";
const RENDER: &str = "render.yaml";
const WORKFLOW: &str = ".github/workflows/ci.yml";
const UNIT: &str = "deploy/systemd/chroma-ha.service";
const UNIT_VARIABLES: &str = "deploy/systemd/chroma-ha.env.example";
const COMPOSE_VARIABLES: &str = ".env.example";

/// A program of the folder that the linters are in.
async fn linter(name: &str) -> Command {
    let toolbox = Toolbox::from_env(Progress::stderr()).expect("a cache folder");
    let mut command = Command::new(toolbox.linters().await.expect("the linters").join(name));
    command.current_dir(root());
    command
}

/// What it printed; it must have liked what it saw.
fn passed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|reason| panic!("{command:?}: {reason}"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// The documents of a YAML file.
async fn yaml(path: &str) -> Vec<Value> {
    let program = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let said = passed(linter("python").await.args(["-c", program, path]));
    serde_json::from_str(&said).unwrap_or_else(|reason| panic!("{path}: {reason}"))
}

pub(super) async fn only(path: &str) -> Value {
    let mut documents = yaml(path).await;
    assert_eq!(documents.len(), 1, "{path}");
    documents.remove(0)
}

/// Text as it is, everything else as JSON.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn items(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// `NAME=value` lines.
fn assignments(path: &str) -> BTreeMap<String, String> {
    let text = read(path);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

/// Every variable that a file gives the program: the file, the name, and the value where it has one.
async fn given() -> Vec<(&'static str, String, Option<String>)> {
    let mut found = Vec::new();
    let compose = only(COMPOSE).await;
    for service in ["balancer", "monitor"] {
        let variables = compose["services"][service]["environment"].as_object().cloned().unwrap_or_default();
        found.extend(variables.iter().map(|(name, value)| (COMPOSE, name.clone(), Some(text(value)))));
    }
    found.extend(render::given().await.into_iter().map(|(name, value)| (RENDER, name, value)));
    found.extend(kubernetes::given().await.into_iter().map(|(name, value)| ("Kubernetes", name, value)));
    let unit = assignments(UNIT_VARIABLES).into_iter();
    found.extend(unit.map(|(name, value)| (UNIT_VARIABLES, name, Some(value))));
    found
}

#[tokio::test]
async fn every_variable_they_set_is_in_the_table() {
    let given = given().await;
    for file in [COMPOSE, RENDER, "Kubernetes", UNIT_VARIABLES] {
        for name in ["PRIMARY_URL", "REPLICA_URL", "DATABASE_URL", "ADMIN_TOKEN"] {
            assert!(given.iter().any(|(place, known, _)| *place == file && known == name), "{file}: {name}");
        }
    }
    let unknown = given.iter().filter(|(_, name, _)| table::find(name).is_none());
    assert_none("unknown variables", unknown.map(|(file, name, _)| format!("{file}: {name}")).collect());
    let script = read(image::SCRIPT);
    let named = script.split("${").skip(1).filter_map(|rest| rest.split_once(":-"));
    let names: Vec<&str> =
        named.map(|(name, _)| name).filter(|name| name.len() > 1 && *name != "RENDER").collect();
    assert!(names.len() > 3, "{names:?}");
    let unknown = names.into_iter().filter(|name| table::find(name).is_none());
    assert_none("unknown variables in the start script", unknown.map(str::to_owned).collect());
}

#[tokio::test]
async fn no_secret_is_in_them() {
    let secret = |name: &str| {
        use Accepts::{Keys, PostgresUrl, Secret, SecretUrl, Secrets};
        let accepts = table::find(name).map(|variable| variable.accepts);
        matches!(accepts, Some(Secret | Keys | Secrets | SecretUrl | PostgresUrl))
    };
    let open = |value: &str| !value.is_empty() && !value.contains("${");
    let told = given()
        .await
        .into_iter()
        .filter(|(_, name, value)| secret(name) && value.as_deref().is_some_and(open));
    assert_none("secrets with a value", told.map(|(file, name, _)| format!("{file}: {name}")).collect());
    let asked = assignments(COMPOSE_VARIABLES);
    let told = asked.iter().filter(|(name, value)| *name != "LISTEN" && !value.is_empty());
    assert_none("examples with a value", told.map(|(name, _)| name.clone()).collect());
}

#[tokio::test]
async fn compose_asks_for_what_its_example_explains() {
    let compose = read(COMPOSE);
    let named = compose.split("${").skip(1).filter(|rest| !rest.starts_with('$'));
    let mut named: Vec<&str> = named.map(|rest| rest.split([':', '}']).next().unwrap_or_default()).collect();
    named.retain(|name| !name.is_empty());
    named.sort_unstable();
    named.dedup();
    let explained: Vec<String> = assignments(COMPOSE_VARIABLES).into_keys().collect();
    assert_eq!(named, explained);
    assert!(
        read(".gitignore").lines().any(|line| line == "/.env"),
        "the filled-in one must not be committed"
    );
    let compose = only(COMPOSE).await;
    let services = compose["services"].as_object().expect("services").keys().cloned();
    assert_eq!(
        services.collect::<Vec<_>>(),
        ["balancer", "chroma-primary", "chroma-replica", "monitor", "postgres"]
    );
    assert_eq!(compose["services"]["balancer"]["depends_on"]["postgres"]["condition"], "service_healthy");
    for service in ["balancer", "monitor"] {
        assert_eq!(compose["services"][service]["read_only"], true, "{service}");
    }
}

#[tokio::test]
async fn they_wait_longer_than_the_program_drains() {
    let Some(Preset::Value(drain)) = table::find("SHUTDOWN_TIMEOUT").map(|variable| variable.default) else {
        panic!("SHUTDOWN_TIMEOUT has no default");
    };
    let drain: u64 = drain.parse().expect("seconds");
    let compose = only(COMPOSE).await;
    let grace = text(&compose["services"]["balancer"]["stop_grace_period"]);
    let unit = read(UNIT);
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).expect("a time");
    let waits = [
        (COMPOSE, grace.trim_end_matches('s').parse().expect("seconds")),
        (RENDER, render::shutdown_delay().await),
        ("Kubernetes", kubernetes::grace().await),
        (UNIT, stop.parse().expect("seconds")),
    ];
    // The half second in which the listener stays open, and a margin.
    let short = waits.iter().filter(|(_, seconds)| *seconds < drain + 5);
    assert_none("too short", short.map(|(file, seconds)| format!("{file}: {seconds} s")).collect());
}

#[test]
fn they_name_the_releases_that_are_tested() {
    let toolbox = read("src/dev/toolbox.rs");
    let pin = toolbox.split("\"chromadb==").nth(1).and_then(|rest| rest.split('"').next()).expect("a pin");
    let image = format!("chromadb/chroma:{pin}");
    let replica = "deploy/kubernetes/chroma/replica.yaml";
    for file in [COMPOSE, RENDER, "deploy/kubernetes/chroma/primary.yaml", replica] {
        let text = read(file);
        let others = text.split("chromadb/chroma:").skip(1).filter(|rest| !rest.starts_with(pin)).count();
        assert!(text.contains(&image) && others == 0, "{file}: {image}");
    }
    let ours = format!("image: chroma-ha:{}\n", env!("CARGO_PKG_VERSION"));
    assert!(read("deploy/kubernetes/balancer/deployment.yaml").contains(&ours), "{ours}");
    let rust = env!("CARGO_PKG_RUST_VERSION");
    assert!(read("Dockerfile").contains(&format!("ARG RUST_VERSION={rust}\n")), "Rust {rust}");
    assert!(read(WORKFLOW).contains(&format!("rustup toolchain install {rust} ")), "Rust {rust}");
}

#[tokio::test]
async fn the_workflow_runs_the_pipeline() {
    let workflow = only(WORKFLOW).await;
    let steps = items(&workflow["jobs"]["checks"]["steps"]);
    let last = steps.last().expect("steps");
    assert_eq!(
        (text(&last["run"]).as_str(), last.as_object().map(serde_json::Map::len)),
        (".ci/run", Some(1))
    );
}
