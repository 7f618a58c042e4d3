//! `/status` as a page of 80 columns: what is wrong, the nodes, the log, the actors. Text only.

use serde_json::Value;

use crate::cli::columns;

const WIDE: usize = 80;

pub(super) fn told(status: &Value, now_ms: u64) -> String {
    let parts = [headlines(status, now_ms), title(status), nodes(status, now_ms), rest(status)];
    parts.join("\n\n")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or("-")
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

/// What is wrong, the worst first; or that nothing is.
fn headlines(status: &Value, now_ms: u64) -> String {
    let told = |line: &Value| {
        let since =
            line["since_ms"].as_u64().map(|at| format!(", for {}", lasting(now_ms.saturating_sub(at))));
        let sign = match text(line, "severity") {
            "critical" => "CRITICAL: ",
            "warning" => "WARNING: ",
            _ => "",
        };
        let head =
            format!("{sign}{}{}.", text(line, "what").trim_end_matches('.'), since.unwrap_or_default());
        let more = format!("{} {}", text(line, "effect"), text(line, "action"));
        format!("{}\n{}", wrapped(&head, ""), wrapped(&more, "  "))
    };
    list(status, "headlines").map(told).collect::<Vec<_>>().join("\n")
}

fn title(status: &Value) -> String {
    let up = lasting(status["uptime_seconds"].as_u64().unwrap_or_default() * 1_000);
    let role = match text(status, "role") {
        "holder" => format!("holds the log since epoch {}", status["epoch"]),
        _ => format!("stands by for {}", text(status, "holder")),
    };
    let line = format!(
        "{} {}: {}, {role}, up for {up}",
        text(status, "service"),
        text(status, "version"),
        text(status, "status")
    );
    let acting = match status["preferred"].as_str() {
        Some(preferred) => format!("acting: {}; an operator prefers {preferred}", text(status, "acting")),
        None => format!("acting: {}", text(status, "acting")),
    };
    format!("{}\n{}", wrapped(&line, ""), wrapped(&acting, ""))
}

fn nodes(status: &Value, now_ms: u64) -> String {
    let head = ["node", "state", "for", "lag", "cursor", "reads", "read ms", "apply ms"];
    let row = |node: &Value| {
        vec![
            text(node, "name").to_owned(),
            text(node, "state").to_owned(),
            lasting(now_ms.saturating_sub(node["since_ms"].as_u64().unwrap_or(now_ms))),
            short(&node["lag_entries"]),
            short(&node["cursor"]),
            short(&node["outstanding_reads"]),
            percentiles(&node["read_seconds"]),
            percentiles(&node["apply_seconds"]),
        ]
    };
    let rows = std::iter::once(head.map(str::to_owned).to_vec()).chain(list(status, "nodes").map(row));
    let mut lines = vec![columns::align(&rows.collect::<Vec<_>>())];
    lines.extend(list(status, "nodes").filter_map(why));
    lines.join("\n")
}

/// Of a node that is not simply up.
fn why(node: &Value) -> Option<String> {
    let mut parts = Vec::new();
    if text(node, "state") != "up" {
        parts.push(text(node, "reason").to_owned());
    }
    if let Some(fault) = node["probe_fault"].as_str() {
        parts.push(format!("last probe: {fault}"));
    }
    let drain = &node["drain"];
    if !drain.is_null() && drain["complete"] != true {
        let (reads, writes) = (&drain["reads_under_way"], &drain["writes_under_way"]);
        parts.push(format!("{reads} reads and {writes} writes under way"));
        let awaited: Vec<&str> = list(drain, "balancers_awaited").filter_map(Value::as_str).collect();
        if !awaited.is_empty() {
            parts.push(format!("waits for {}", awaited.join(", ")));
        }
    }
    for (field, what) in [("quarantined_collections", "quarantined"), ("streams_in_doubt", "in doubt")] {
        let count = node[field].as_u64().unwrap_or_default();
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    (!parts.is_empty()).then(|| wrapped(&format!("  {}: {}", text(node, "name"), parts.join("; ")), "    "))
}

fn rest(status: &Value) -> String {
    let log = &status["write_ahead_log"];
    let writable = if log["writable"] == true { "writable here" } else { "not writable here" };
    let line = format!(
        "log: {writable}, head {}, on every node {}, pending {}",
        log["head"], log["completed"], log["pending_writes"]
    );
    let actors: Vec<&Value> = list(status, "actors").collect();
    let restarts = |actor: &Value| {
        let count = |field: &str| actor[field].as_u64().unwrap_or_default();
        count("restarts_after_panic") + count("restarts_after_stop")
    };
    let fallen: Vec<String> = actors
        .iter()
        .filter(|actor| restarts(actor) > 0)
        .map(|actor| format!("{} restarted {} times", text(actor, "name"), restarts(actor)))
        .collect();
    let fallen = if fallen.is_empty() { "none was restarted".to_owned() } else { fallen.join(", ") };
    let actors = format!("actors: {}, {fallen}", actors.len());
    format!("{}\n{}", wrapped(&line, "  "), wrapped(&actors, "  "))
}

/// Median and 99th percentile in milliseconds.
fn percentiles(seconds: &Value) -> String {
    let ms = |field: &str| Some((seconds[field].as_f64()? * 1_000.0).round());
    match (ms("p50"), ms("p99")) {
        (Some(p50), Some(p99)) => format!("{p50}/{p99}"),
        _ => "-".to_owned(),
    }
}

/// At most seven letters, however large.
fn short(number: &Value) -> String {
    match number.as_u64() {
        None => "-".to_owned(),
        Some(number @ 0..10_000_000) => number.to_string(),
        Some(number @ 10_000_000..10_000_000_000) => format!("{} M", number / 1_000_000),
        Some(number) => format!("{} G", number / 1_000_000_000),
    }
}

pub(super) fn lasting(ms: u64) -> String {
    match ms / 1_000 {
        seconds @ 0..100 => format!("{seconds} s"),
        seconds @ 100..6_000 => format!("{} min", seconds / 60),
        seconds @ 6_000..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Lines of at most 80 columns; all but the first begin with the indent, as the first does if it is not empty.
fn wrapped(text: &str, indent: &str) -> String {
    let own = &text[..text.len() - text.trim_start().len()];
    let mut lines = vec![if own.is_empty() { indent.to_owned() } else { own.to_owned() }];
    for word in text.split_whitespace() {
        let last = lines.last_mut().filter(|line| line.chars().count() + word.chars().count() < WIDE);
        match last {
            Some(line) => {
                let gap = if line.trim().is_empty() { "" } else { " " };
                line.push_str(&format!("{gap}{word}"));
            }
            None => lines.push(format!("{indent}{word}")),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Value {
        json!({
            "service": "chroma-ha", "version": "0.1.0", "status": "degraded", "uptime_seconds": 7_300,
            "role": "holder", "epoch": 3, "acting": "replica-1", "preferred": "replica-1",
            "headlines": [
                { "severity": "info", "what": "primary is taken out by an operator", "since_ms": 40_000,
                  "effect": "Users notice nothing: replica-1 answers in its place, and the log keeps what it misses.",
                  "action": "Put it back when you are done." },
            ],
            "nodes": [
                { "name": "primary", "state": "drained", "since_ms": 40_000, "reason": "drained: nothing is under way there",
                  "probe_fault": "connection refused", "cursor": 12_345_678_901_u64, "lag_entries": 99_000_000, "outstanding_reads": 0,
                  "read_seconds": null, "apply_seconds": null,
                  "drain": { "complete": false, "reads_under_way": 0, "writes_under_way": 0,
                             "balancers_awaited": ["http://balancer-with-a-long-name:8000"] } },
                { "name": "replica-1", "state": "catching-up", "since_ms": 1, "reason": "the settling time is over", "cursor": 1950,
                  "lag_entries": 0, "outstanding_reads": 12, "read_seconds": { "p50": 0.0042, "p99": 0.0131 },
                  "apply_seconds": { "p50": 1.016, "p99": 12.3 } },
            ],
            "write_ahead_log": { "writable": true, "head": 1950, "completed": 1900, "pending_writes": 50 },
            "actors": [{ "name": "wal", "restarts_after_panic": 2, "restarts_after_stop": 0 }, { "name": "health" }],
        })
    }

    #[test]
    fn it_says_what_an_operator_looks_for() {
        let page = told(&status(), 100_000);
        for part in [
            "primary is taken out by an operator, for 60 s.",
            "chroma-ha 0.1.0: degraded, holds the log since epoch 3, up for 2 h",
            "acting: replica-1; an operator prefers replica-1",
            "12 G",
            "4/13",
            "1016/12300",
            "last probe: connection refused",
            "waits for",
            "log: writable here, head 1950, on every node 1900, pending 50",
            "actors: 2, wal restarted 2 times",
        ] {
            assert!(page.contains(part), "{part} is missing:\n{page}");
        }
    }

    #[test]
    fn it_fits_eighty_columns() {
        let page = told(&status(), 100_000_000_000);
        let long: Vec<&str> = page.lines().filter(|line| line.chars().count() > WIDE).collect();
        assert!(long.is_empty(), "{long:#?}");
    }

    #[test]
    fn nothing_that_is_missing_breaks_it() {
        assert!(told(&json!({}), 0).contains("actors: 0"));
    }
}
