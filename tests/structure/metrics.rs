//! Is every figure documented, and does every figure that the dashboard and the alert rules name exist?

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use chroma_ha_actors::stats;
use chroma_ha_actors::stats::family::{Described, Kind, markdown_table};
use serde_json::{Value, json};

use super::{assert_none, read, root};

const DASHBOARD: &str = "deploy/grafana-dashboard.json";
const RULES: &str = "deploy/prometheus-alerts.yaml";

fn described() -> Vec<Described> {
    stats::described().expect("the families")
}

/// Every name that a query may use.
fn queryable() -> BTreeSet<String> {
    let names = |family: &Described| match family.kind {
        Kind::Histogram => vec!["_bucket", "_sum", "_count"],
        Kind::Counter | Kind::Gauge => vec![""],
    };
    let all = described();
    all.iter().flat_map(|f| names(f).into_iter().map(|end| format!("{}{end}", f.name))).collect()
}

/// The words of a text that look like a figure of the balancer.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("chroma_ha_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

#[test]
fn the_document_has_every_figure_and_no_other() {
    let (table, document) = (markdown_table(&described()), read("docs/metrics.md"));
    if !document.contains(&table) {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics.md");
        fs::write(&path, table).expect("the table");
        panic!("the table of docs/metrics.md is old; the new one is in {}", path.display());
    }
    // In the table and in the text around it.
    let mut known = queryable();
    known.extend(described().iter().map(|family| family.name.to_owned()));
    let unknown = named(&document).into_iter().filter(|name| !known.contains(name));
    assert_none("docs/metrics.md names what is no figure", unknown.collect());
}

#[test]
fn names_and_labels_follow_the_convention() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for family in described() {
        if (family.kind == Kind::Counter) != family.name.ends_with("_total") {
            wrong.push(format!("{}: counters end in _total, nothing else does", family.name));
        }
        if family.kind == Kind::Histogram
            && !["_seconds", "_entries"].iter().any(|u| family.name.ends_with(u))
        {
            wrong.push(format!("{}: a histogram is of seconds or entries", family.name));
        }
        if ["_ms", "_percent", "_kb", "_mb"].iter().any(|unit| family.name.contains(unit)) {
            wrong.push(format!("{}: not a base unit", family.name));
        }
        if !seen.insert(family.name) {
            wrong.push(format!("{} twice", family.name));
        }
        // What a client chooses freely would make the page grow without end.
        let bounded = [
            "node", "state", "to", "role", "route", "status", "class", "op", "outcome", "bound", "reason",
            "actor", "cause", "level", "version", "share", "resource",
        ];
        let others = family.labels.iter().filter(|label| !bounded.contains(label));
        wrong.extend(others.map(|label| format!("{} has the label {label}", family.name)));
    }
    assert_none("figures out of order", wrong);
}

#[test]
fn operations_names_figures_that_exist() {
    let mut known = queryable();
    known.extend(described().iter().map(|family| family.name.to_owned()));
    for document in ["docs/operations.md", "README.md", "docs/architecture.md", "docs/guarantees.md"] {
        let unknown = named(&read(document)).into_iter().filter(|name| !known.contains(name));
        assert_none(&format!("{document} names what is no figure"), unknown.collect());
    }
}

/// Every query of the dashboard.
fn queries(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("expr").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(queries)).collect()
        }
        Value::Array(values) => values.iter().flat_map(queries).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_dashboard_asks_for_figures_that_exist() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    let queries = queries(&dashboard);
    assert!(queries.len() > 15, "{} queries", queries.len());
    let known = queryable();
    // In the variables, too.
    let asked = named(&read(DASHBOARD));
    let silent = queries.iter().filter(|query| named(query).is_empty()).cloned();
    assert_none("queries without a figure of ours", silent.collect());
    assert_none("the dashboard asks for", asked.difference(&known).cloned().collect());
}

/// The alerts of the rules with the lines of each.
fn rules() -> BTreeMap<String, String> {
    let text = read(RULES);
    let blocks = text.split("- alert:").skip(1);
    blocks
        .map(|block| (block.lines().next().unwrap_or_default().trim().to_owned(), block.to_owned()))
        .collect()
}

/// What a link to a heading is called, as on the common hosts.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

#[test]
fn every_alert_says_what_it_means_and_where_to_read_on() {
    let known = queryable();
    let operations = read("docs/operations.md");
    let headings: BTreeSet<String> =
        operations.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect();
    let rules = rules();
    assert!(rules.len() >= 10, "{} alerts", rules.len());
    let mut wrong = Vec::new();
    for (name, block) in &rules {
        for part in ["expr:", "severity:", "summary:", "description:"] {
            if !block.contains(part) {
                wrong.push(format!("{name} has no {part}"));
            }
        }
        let link = block.split("docs/operations.md#").nth(1).unwrap_or_default();
        let link: String = link.chars().take_while(|c| c.is_alphanumeric() || *c == '-').collect();
        if !headings.contains(&link) {
            wrong.push(format!("{name} links to no heading of docs/operations.md: {link:?}"));
        }
        wrong.extend(named(block).difference(&known).map(|figure| format!("{name} asks for {figure}")));
    }
    assert_none("alerts that do not hold", wrong);
}

/// The queries of the dashboard as rules: their syntax can be checked then.
fn queries_as_rules() -> String {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("JSON");
    let rules: Vec<Value> = queries(&dashboard)
        .iter()
        .enumerate()
        .map(|(n, query)| json!({ "record": format!("q{n}"), "expr": query.replace("$__rate_interval", "5m") }))
        .collect();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard-rules.yaml");
    let text = json!({ "groups": [{ "name": "dashboard", "rules": rules }] }).to_string();
    fs::write(&path, text).expect("the rules");
    path.to_string_lossy().into_owned()
}

#[test]
fn promtool_takes_the_rules_and_the_queries() {
    let queries = queries_as_rules();
    let checks = [
        ["check", "rules", RULES],
        ["test", "rules", "deploy/prometheus-alerts-test.yaml"],
        ["check", "rules", queries.as_str()],
    ];
    for check in checks {
        let output = match Command::new("promtool").args(check).current_dir(root()).output() {
            Ok(output) => output,
            Err(reason) => {
                return println!("promtool was not run ({reason}): the rules are not checked by it");
            }
        };
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{check:?}: {}", String::from_utf8_lossy(&said));
    }
}
