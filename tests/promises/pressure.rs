//! What happens when the container is short of memory? The balancer reads its limits from the container, says what
//! is short, since when and what it means, and says so again when it is over.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::harness::surface::metric;
use crate::harness::webhook::Webhook;
use crate::harness::{Options, Stack, get, until};

/// Some samples, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// The files of a container that may use 100 MB.
struct Container(tempfile::TempDir);

impl Container {
    fn new() -> Self {
        let container = Self(tempfile::tempdir().expect("a folder"));
        container.write("memory.max", "100000000\n");
        container.uses(50);
        container
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    fn write(&self, file: &str, text: &str) {
        // Never half a file.
        let made = self.0.path().join("new");
        fs::write(&made, text).expect("a file");
        fs::rename(made, self.0.path().join(file)).expect("a file");
    }

    /// In megabytes. As much again is cache, and counts for nothing.
    fn uses(&self, megabytes: u64) {
        self.write("memory.stat", &format!("anon 1\ninactive_file {megabytes}000000\n"));
        self.write("memory.current", &format!("{}000000\n", 2 * megabytes));
    }
}

async fn resources(url: &str) -> Value {
    get(&format!("{url}/status")).await.1["resources"].clone()
}

async fn until_pressure(url: &str, level: &str) {
    until(SOON, &format!("the pressure is {level}"), async || resources(url).await["pressure"] == level)
        .await;
    assert_eq!(metric(url, &format!("chroma_ha_pressure{{level=\"{level}\"}}")).await, 1.0);
}

/// What `/status` names as short.
async fn strains(url: &str) -> Vec<String> {
    let all = resources(url).await["strains"].clone();
    let named = |strain: &Value| {
        assert!(strain["since_ms"].as_u64().is_some_and(|since| since > 0), "{strain}");
        strain["strain"].as_str().expect("a name").to_owned()
    };
    // How busy the machine is with other tests is another matter.
    all.as_array().expect("strains").iter().map(named).filter(|name| name.starts_with("memory")).collect()
}

#[tokio::test]
async fn memory_that_becomes_short_is_seen_told_and_over() {
    let (container, webhook) = (Container::new(), Webhook::listen().await);
    let folder = container.path().to_string_lossy().into_owned();
    let options = Options::default().env("CHROMA_HA_CGROUP", &folder).env("WAL_CPU_THRESHOLD", "100");
    let options = options.env("SLACK_WEBHOOK_URL", &webhook.url()).env("WAL_MEMORY_THRESHOLD", "60");
    let options = options.env("WAL_BATCH_SIZE", "80");
    let stack = Stack::start(options).await;
    let url = stack.url();
    let sample = resources(&url).await["sample"].clone();
    assert_eq!(
        (&sample["memory_used_bytes"], &sample["memory_limit_bytes"]),
        (&50_000_000.into(), &100_000_000.into())
    );
    assert!(sample["queue"]["in_flight_limit"].as_u64().is_some_and(|limit| limit > 0), "{sample}");
    assert!(strains(&url).await.is_empty());

    container.uses(70);
    until(SOON, "memory is short", async || strains(&url).await == ["memory"]).await;
    until(SOON, "it was told", async || webhook.messages_with("Memory is short") == 1).await;
    container.uses(90);
    until_pressure(&url, "shed").await;
    assert_eq!(strains(&url).await, ["memory-short", "memory"]);
    assert_eq!(metric(&url, "chroma_ha_strain{resource=\"memory-short\"}").await, 1.0);
    until(SOON, "it was told", async || webhook.messages_with("Memory is nearly used up") == 1).await;
    assert_eq!(webhook.messages_with("New writes are refused with 503"), 1);
    let status = get(&format!("{url}/status")).await.1;
    assert_eq!(status["nodes"][1]["batch_entries"], 20, "a quarter of WAL_BATCH_SIZE");

    container.uses(10);
    until(SOON, "nothing is short", async || strains(&url).await.is_empty()).await;
    assert_eq!(metric(&url, "chroma_ha_pressure{level=\"shed\"}").await, 0.0);
    for over in ["Memory is no longer nearly used up", "Memory is no longer short"] {
        until(SOON, over, async || webhook.messages_with(over) == 1).await;
    }
    let batch = async || get(&format!("{url}/status")).await.1["nodes"][1]["batch_entries"] == 80;
    until(SOON, "batches are as usual", batch).await;
}

/// Without a container the machine counts: more than a hundredth of its memory is in use.
#[tokio::test]
async fn the_threshold_of_the_configuration_holds_for_the_machine_itself() {
    let stack = Stack::start(Options::default().env("WAL_MEMORY_THRESHOLD", "1")).await;
    until(SOON, "memory is short", async || strains(&stack.url()).await.contains(&"memory".to_owned())).await;
    let (_, figures) = get(&format!("{}/metrics?format=json", stack.url())).await;
    assert_eq!(figures["thresholds"]["memory_percent"], 1.0);
    assert!(figures["memory_percent"].as_f64().is_some_and(|used| used >= 1.0), "{figures}");
}
