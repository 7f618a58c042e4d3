//! How is a node taken out, put back, or chosen to act from the shell? Gives the order to a running balancer
//! and, if that is wished, waits until it is carried out. It decides nothing: the balancer does.

use std::time::Duration;

use chroma_ha_core::route::encode;
use clap::Args;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::balancer::{Balancer, Target};
use super::confirm::confirm;
use super::outcome::{Failure, Outcome};
use crate::progress::Progress;

const POLL: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(super) struct Drain {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    patience: Patience,
    /// The node as `status` names it: primary, replica-1, …
    node: String,
    /// Also if no other node is up to date: clients are left without one.
    #[arg(long)]
    force: bool,
    /// Do not ask before `--force`.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(super) struct Undrain {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    patience: Patience,
    /// The node as `status` names it: primary, replica-1, …
    node: String,
}

#[derive(Debug, Args)]
struct Patience {
    /// Wait until it is done: nothing is under way at the node, or it is up again.
    #[arg(long)]
    wait: bool,
    /// Wait no longer than that; exit code 75 if it takes longer. The order holds all the same.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
}

#[derive(Debug, Args)]
#[group(id = "wish", required = true, multiple = false, args = ["node", "clear"])]
pub(super) struct Switch {
    #[command(flatten)]
    target: Target,
    /// The node that shall act whenever it is up to date.
    node: Option<String>,
    /// Back to the configured order: the primary first.
    #[arg(long)]
    clear: bool,
}

pub(super) async fn drain(asked: Drain) -> Outcome {
    let Drain { target, patience, node, force, yes } = asked;
    if force {
        confirm(
            yes,
            &format!("may leave clients without any node that is up to date, if {node} is the last"),
        )?;
    }
    let balancer = Balancer::at(&target)?;
    let begun = balancer.post(&order(&node, "drain"), &json!({ "force": force })).await?;
    if !patience.wait {
        return Ok(match begun["drain"]["complete"].as_bool() {
            Some(true) => format!("{node} is drained"),
            _ => format!("{node} is being drained; `chroma-ha drain {node} --wait` waits for the end"),
        });
    }
    let done = |now: &Value| now["drain"]["complete"] == true;
    let ended = |now: &Value| now["drain"].is_null();
    let last = until(&balancer, &node, patience, (done, ended), under_way).await?;
    if ended(&last) {
        return Err(Failure::Problem(format!("{node} was put back meanwhile, by somebody else")));
    }
    Ok(format!("{node} is drained: it can be stopped"))
}

pub(super) async fn undrain(asked: Undrain) -> Outcome {
    let Undrain { target, patience, node } = asked;
    let balancer = Balancer::at(&target)?;
    balancer.post(&order(&node, "undrain"), &json!({})).await?;
    if !patience.wait {
        return Ok(format!("{node} is put back: it settles, then catches up; `status` shows how far it is"));
    }
    let done = |now: &Value| now["state"] == "up";
    let ended = |now: &Value| !now["drain"].is_null();
    let last = until(&balancer, &node, patience, (done, ended), catching_up).await?;
    if ended(&last) {
        return Err(Failure::Problem(format!("{node} was taken out again, by somebody else")));
    }
    Ok(format!("{node} is up and has caught up"))
}

pub(super) async fn switch(asked: Switch) -> Outcome {
    let balancer = Balancer::at(&asked.target)?;
    let answer = balancer.post("/admin/acting", &json!({ "node": asked.node })).await?;
    let first = answer["first_choice"].as_str().unwrap_or_default();
    Ok(match asked.node {
        Some(_) => format!("{first} acts whenever it is up to date, until `chroma-ha switch --clear`"),
        None => format!("{first} acts whenever it is up to date, as configured"),
    })
}

fn order(node: &str, verb: &str) -> String {
    format!("/admin/nodes/{}/{verb}", encode(node))
}

/// Looks again and again, over takeovers of the log, until one of the two holds.
async fn until(
    balancer: &Balancer,
    node: &str,
    patience: Patience,
    (done, ended): (impl Fn(&Value) -> bool, impl Fn(&Value) -> bool),
    told: impl Fn(&Value) -> String,
) -> Result<Value, Failure> {
    let deadline = Instant::now() + Duration::from_secs(patience.timeout);
    let mut progress = Progress::start();
    loop {
        let seen = match balancer.get("/admin/nodes").await {
            Ok(answer) => {
                let nodes = answer["nodes"].as_array().cloned().unwrap_or_default();
                nodes.into_iter().find(|shown| shown["name"] == node).unwrap_or(Value::Null)
            }
            Err(Failure::Unreachable(_) | Failure::Later(_)) if Instant::now() < deadline => Value::Null,
            Err(failure) => return Err(failure),
        };
        if !seen.is_null() {
            if done(&seen) || ended(&seen) {
                return Ok(seen);
            }
            progress.tell(0, None, &format!("{node} {}", told(&seen)));
        }
        if Instant::now() >= deadline {
            let seconds = patience.timeout;
            let how = if seen.is_null() { "not known".to_owned() } else { told(&seen) };
            let text = format!("not done within {seconds} s, {node}: {how}; the order holds all the same");
            return Err(Failure::Later(text));
        }
        sleep(POLL).await;
    }
}

fn under_way(now: &Value) -> String {
    let count = |field: &str| now["drain"][field].as_u64().unwrap_or_default();
    let awaited: Vec<&str> = now["drain"]["balancers_awaited"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let awaited =
        if awaited.is_empty() { String::new() } else { format!(", waits for {}", awaited.join(", ")) };
    format!(
        "is {}: {} reads and {} writes under way{awaited}",
        now["state"].as_str().unwrap_or("-"),
        count("reads_under_way"),
        count("writes_under_way")
    )
}

fn catching_up(now: &Value) -> String {
    let fault = now["probe_fault"].as_str().map(|fault| format!(" ({fault})")).unwrap_or_default();
    let lag = now["lag_entries"].as_u64().unwrap_or_default();
    format!("is {}{fault}, {lag} entries behind", now["state"].as_str().unwrap_or("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_reads_for_what() {
        let now = json!({ "state": "draining", "drain": { "reads_under_way": 2, "writes_under_way": 1,
            "balancers_awaited": ["http://b:8000"] } });
        assert_eq!(under_way(&now), "is draining: 2 reads and 1 writes under way, waits for http://b:8000");
        let now = json!({ "state": "down", "probe_fault": "connection refused", "lag_entries": 7 });
        assert_eq!(catching_up(&now), "is down (connection refused), 7 entries behind");
    }

    #[test]
    fn a_name_is_one_part_of_the_path() {
        assert_eq!(order("a/../b?c", "drain"), "/admin/nodes/a%2F..%2Fb%3Fc/drain");
    }
}
