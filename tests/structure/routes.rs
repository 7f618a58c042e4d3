//! Does the description of the balancer's own routes have every route of the source, and no other?

use std::collections::BTreeSet;

use serde_json::Value;

use super::deployment::only;
use super::{assert_none, read, rust_files};

const DESCRIPTION: &str = "src/front/openapi.yaml";

/// Where the operator's routes are put together; they share a prefix.
const OPERATOR: &str = "src/front/admin.rs";

/// `GET /status` and the like, as they are registered.
fn registered() -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    for path in rust_files("src/front") {
        let text = read(&path);
        for found in text.split(".route(\"").skip(1) {
            let (place, rest) = found.split_once("\", web::").expect("a path and a method");
            let method = rest.split("()").next().expect("a method").to_uppercase();
            let prefix = if path == OPERATOR { "/admin" } else { "" };
            routes.insert(format!("{method} {prefix}{place}"));
        }
    }
    routes
}

fn described(description: &Value) -> BTreeSet<String> {
    let paths = description["paths"].as_object().expect("paths");
    let of_path = |(path, operations): (&String, &Value)| {
        let methods = operations.as_object().expect("operations").keys();
        methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[tokio::test]
async fn the_description_has_every_route() {
    let description = only(DESCRIPTION).await;
    let (here, there) = (registered(), described(&description));
    assert!(here.len() > 15, "the routes are registered in another way: {here:?}");
    assert_none("routes without a description", here.difference(&there).cloned().collect());
    assert_none("described routes that are not there", there.difference(&here).cloned().collect());
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
}

/// What an operator is told who asks for something else.
#[tokio::test]
async fn the_operators_list_is_the_same() {
    let listed: BTreeSet<String> =
        described(&only(DESCRIPTION).await).into_iter().filter(|route| route.contains(" /admin/")).collect();
    let text = read(OPERATOR);
    let list = text.split_once("const ROUTES").and_then(|(_, rest)| rest.split_once("];")).expect("a list").0;
    let told: BTreeSet<String> = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(told, listed);
}
