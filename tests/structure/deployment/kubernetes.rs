//! Do the manifests fit each other: selectors, ports, references, and the address by which a balancer is reached?

use std::fs;

use serde_json::Value;

use super::{items, only, text, yaml};
use crate::{assert_none, read, root};

const FOLDER: &str = "deploy/kubernetes";
const DEPLOYMENT: &str = "deploy/kubernetes/balancer/deployment.yaml";
const CONFIGURATION: &str = "deploy/kubernetes/balancer/configuration.yaml";

/// The files below the folder that Kubernetes knows without extensions.
pub(super) fn manifests() -> impl Iterator<Item = String> {
    let layers = ["balancer", "chroma"].into_iter();
    let files = layers.flat_map(|layer| {
        let folder = format!("{FOLDER}/{layer}");
        let entries = fs::read_dir(root().join(&folder)).expect("a folder").flatten();
        entries
            .map(move |entry| format!("{folder}/{}", entry.file_name().to_string_lossy()))
            .collect::<Vec<_>>()
    });
    files.filter(|path| !path.ends_with("kustomization.yaml"))
}

async fn container() -> Value {
    only(DEPLOYMENT).await["spec"]["template"]["spec"]["containers"][0].clone()
}

/// Names of the program's variables, with the value where one is written down.
pub(super) async fn given() -> Vec<(String, Option<String>)> {
    let configuration = only(CONFIGURATION).await;
    let data = configuration["data"].as_object().expect("data");
    let mut found: Vec<_> = data.iter().map(|(name, value)| (name.clone(), Some(text(value)))).collect();
    let variables = items(&container().await["env"]);
    // Those of the platform are there to be put into others.
    let used = |name: &str| variables.iter().any(|v| text(&v["value"]).contains(&format!("$({name})")));
    for variable in &variables {
        let name = text(&variable["name"]);
        if !used(&name) {
            found.push((name, variable["value"].as_str().map(str::to_owned)));
        }
    }
    found
}

/// What is left of the grace period when the program hears of its end.
pub(super) async fn grace() -> u64 {
    let pod = only(DEPLOYMENT).await["spec"]["template"]["spec"].clone();
    let seconds = |value: &Value| value.as_u64().expect("seconds");
    seconds(&pod["terminationGracePeriodSeconds"])
        - seconds(&pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"])
}

/// Whether each of the wanted labels is there.
fn within(wanted: &Value, labels: &Value) -> bool {
    let wanted = wanted.as_object().expect("labels");
    !wanted.is_empty() && wanted.iter().all(|(name, value)| labels[name] == *value)
}

#[tokio::test]
async fn selectors_and_ports_lead_to_what_is_meant() {
    let deployment = only(DEPLOYMENT).await;
    let service = only("deploy/kubernetes/balancer/service.yaml").await;
    let budget = only("deploy/kubernetes/balancer/disruption-budget.yaml").await;
    let monitor = only("deploy/kubernetes/service-monitor/service-monitor.yaml").await;
    let pods = &deployment["spec"]["template"]["metadata"]["labels"];
    assert!(within(&deployment["spec"]["selector"]["matchLabels"], pods));
    assert!(within(&service["spec"]["selector"], pods));
    assert!(within(&budget["spec"]["selector"]["matchLabels"], pods));
    assert!(within(&monitor["spec"]["selector"]["matchLabels"], &service["metadata"]["labels"]));
    let port = &service["spec"]["ports"][0];
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], port["name"]);
    assert_eq!(port["targetPort"], container().await["ports"][0]["name"]);
    assert_eq!(
        (deployment["spec"]["replicas"].as_u64(), budget["spec"]["maxUnavailable"].as_u64()),
        (Some(2), Some(1))
    );
    for role in ["primary", "replica"] {
        let parts = yaml(&format!("{FOLDER}/chroma/{role}.yaml")).await;
        let [service, set] = &parts[..] else { panic!("{role}: a service and its set") };
        assert!(
            within(&service["spec"]["selector"], &set["spec"]["template"]["metadata"]["labels"]),
            "{role}"
        );
        assert_eq!(set["spec"]["serviceName"], service["metadata"]["name"]);
        let url =
            format!("http://{}:{}", text(&service["metadata"]["name"]), service["spec"]["ports"][0]["port"]);
        let configuration = only(CONFIGURATION).await;
        assert_eq!(configuration["data"][format!("{}_URL", role.to_uppercase())], url.as_str());
    }
}

#[tokio::test]
async fn a_balancer_is_confined_and_is_reached_at_its_own_address() {
    let container = container().await;
    let variables = items(&container["env"]);
    let advertised =
        variables.iter().find(|variable| variable["name"] == "ADVERTISE_URL").expect("an address");
    assert_eq!(
        advertised["value"],
        format!("http://$(POD_IP):{}", container["ports"][0]["containerPort"]).as_str()
    );
    let confined = &container["securityContext"];
    assert_eq!(confined["readOnlyRootFilesystem"], true);
    assert_eq!(confined["allowPrivilegeEscalation"], false);
    assert_eq!(confined["capabilities"]["drop"][0], "ALL");
    let user = only(DEPLOYMENT).await["spec"]["template"]["spec"]["securityContext"].clone();
    assert_eq!(user["runAsNonRoot"], true);
    let group = format!("USER {}:{}\n", user["runAsUser"], user["runAsGroup"]);
    assert!(read("Dockerfile").contains(&group), "{group}");
}

#[tokio::test]
async fn the_routes_that_are_asked_are_the_programs() {
    let container = container().await;
    let probes = ["startupProbe", "livenessProbe", "readinessProbe"];
    let mut routes: Vec<String> =
        probes.iter().map(|probe| text(&container[*probe]["httpGet"]["path"])).collect();
    let monitor = only("deploy/kubernetes/service-monitor/service-monitor.yaml").await;
    routes.push(text(&monitor["spec"]["endpoints"][0]["path"]));
    routes.push(super::render::health_check().await);
    let readme = read("README.md");
    let missing = routes.into_iter().filter(|route| !readme.contains(&format!("| `GET {route}` |")));
    assert_none("routes that the program does not have", missing.collect());
}
