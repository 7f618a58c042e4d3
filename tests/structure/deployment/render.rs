//! Would Render take the blueprint? Its schema is in no registry, so that what it says of the fields that are used here
//! is written down: which there are for each kind of service, and that every reference leads somewhere.

use serde_json::Value;

use super::{RENDER, items, only, text};
use crate::assert_none;

const FOR_ALL: [&str; 5] = ["type", "name", "runtime", "plan", "envVars"];

/// Besides those for all.
const FOR_KIND: [(&str, &[&str]); 3] = [
    ("pserv", &["image", "disk", "dockerfilePath", "dockerCommand", "maxShutdownDelaySeconds"]),
    (
        "web",
        &["image", "disk", "dockerfilePath", "dockerCommand", "maxShutdownDelaySeconds", "healthCheckPath"],
    ),
    ("worker", &["image", "disk", "dockerfilePath", "dockerCommand", "maxShutdownDelaySeconds"]),
];

const PROPERTIES: [&str; 4] = ["host", "port", "hostport", "connectionString"];

async fn services() -> Vec<Value> {
    items(&only(RENDER).await["services"])
}

async fn balancer() -> Value {
    let found = services().await.into_iter().find(|service| service["type"] == "web");
    found.expect("a web service")
}

pub(super) async fn shutdown_delay() -> u64 {
    balancer().await["maxShutdownDelaySeconds"].as_u64().expect("seconds")
}

pub(super) async fn health_check() -> String {
    text(&balancer().await["healthCheckPath"])
}

/// The variables of the services that run this program, with the value where one is written down.
pub(super) async fn given() -> Vec<(String, Option<String>)> {
    let ours = services().await.into_iter().filter(|service| service["runtime"] == "docker");
    let variables = ours.flat_map(|service| items(&service["envVars"]));
    variables.map(|v| (text(&v["key"]), v["value"].as_str().map(str::to_owned))).collect()
}

#[tokio::test]
async fn the_services_are_those_that_were_promised() {
    let blueprint = only(RENDER).await;
    let mut found = Vec::new();
    for service in services().await {
        found.push((text(&service["type"]), text(&service["name"])));
        if service["type"] == "pserv" {
            assert_eq!(service["disk"]["mountPath"], "/data", "{service}");
            assert!(service["disk"]["sizeGB"].is_u64() && service["disk"]["name"].is_string(), "{service}");
        }
    }
    let names = found.iter().map(|(kind, name)| (kind.as_str(), name.as_str())).collect::<Vec<_>>();
    let wanted = [
        ("pserv", "chroma-primary"),
        ("pserv", "chroma-replica"),
        ("web", "chroma-load-balancer"),
        ("worker", "chroma-monitor"),
    ];
    assert_eq!(names, wanted);
    assert_eq!(blueprint["databases"][0]["name"], "chroma-metadata");
    assert_eq!(health_check().await, "/health");
    assert!(shutdown_delay().await <= 300, "Render waits no longer");
}

#[tokio::test]
async fn every_field_is_known_to_its_kind_of_service() {
    let mut wrong = Vec::new();
    for service in services().await {
        let kind = text(&service["type"]);
        let own = FOR_KIND.iter().find(|(name, _)| *name == kind).map(|(_, fields)| *fields);
        let own = own.unwrap_or_else(|| panic!("{kind}"));
        let fields = service.as_object().expect("fields").keys();
        let unknown =
            fields.filter(|field| !FOR_ALL.contains(&field.as_str()) && !own.contains(&field.as_str()));
        wrong.extend(unknown.map(|field| format!("{}: {field}", service["name"])));
        let runs =
            if service["runtime"] == "image" { &service["image"]["url"] } else { &service["dockerfilePath"] };
        if !runs.is_string() {
            wrong.push(format!("{} runs nothing", service["name"]));
        }
        // Quotes do not survive in there: words alone.
        if text(&service["dockerCommand"]).contains(['"', '\'', '&', '$'])
            && service["dockerCommand"].is_string()
        {
            wrong.push(format!("{}: {}", service["name"], service["dockerCommand"]));
        }
    }
    assert_none("fields that Render does not take", wrong);
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let blueprint = only(RENDER).await;
    let services = services().await;
    let has = |service: &Value, key: &Value| items(&service["envVars"]).iter().any(|v| v["key"] == *key);
    let leads = |variable: &Value| {
        let (from, data) = (&variable["fromService"], &variable["fromDatabase"]);
        if from.is_object() {
            let there = services.iter().find(|s| s["name"] == from["name"] && s["type"] == from["type"]);
            let known = PROPERTIES.contains(&text(&from["property"]).as_str());
            return there.is_some_and(|service| known || has(service, &from["envVarKey"]));
        }
        if data.is_object() {
            let known = PROPERTIES.contains(&text(&data["property"]).as_str());
            return known && items(&blueprint["databases"]).iter().any(|d| d["name"] == data["name"]);
        }
        variable["value"].is_string() || variable["generateValue"] == true || variable["sync"] == false
    };
    let variables = services.iter().flat_map(|service| items(&service["envVars"])).collect::<Vec<_>>();
    assert!(variables.iter().filter(|variable| variable["fromService"].is_object()).count() > 4);
    let dead = variables.iter().filter(|variable| !leads(variable));
    assert_none("variables from nowhere", dead.map(ToString::to_string).collect());
}
