//! How is a collection copied to a node anew from the shell? Asks a running balancer for it, once the
//! person means it: until the copy is there the collection is not read from that node.

use clap::Args;
use serde_json::{Value, json};

use super::balancer::{Balancer, Target};
use super::columns;
use super::confirm::confirm;
use super::outcome::Outcome;

#[derive(Debug, Args)]
pub(super) struct Rebuild {
    #[command(flatten)]
    target: Target,
    /// The node as `status` names it: primary, replica-1, …
    node: String,
    /// Id or name of the collection.
    collection: String,
    /// The tenant of a name.
    #[arg(long)]
    tenant: Option<String>,
    /// The database of a name.
    #[arg(long)]
    database: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print the answer as it came.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(asked: Rebuild) -> Outcome {
    let (node, collection) = (&asked.node, &asked.collection);
    confirm(asked.yes, &format!("replaces what {node} holds of {collection} by another node's copy"))?;
    let mut body = json!({ "node": node, "collection": collection });
    for (name, value) in [("tenant", &asked.tenant), ("database", &asked.database)] {
        if let Some(value) = value {
            body[name] = Value::String(value.clone());
        }
    }
    let answer = Balancer::at(&asked.target)?.post("/admin/rebuild", &body).await?;
    Ok(if asked.json { answer.to_string() } else { columns::page(&answer) })
}
