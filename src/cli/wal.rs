//! What is in the log, and what of it needs a person? Lists writes and dead letters, shows one write, lets a
//! dead letter be tried again or dropped. Asks a running balancer; where none answers, reading goes straight
//! to DATABASE_URL. It changes nothing there.

use chroma_ha_core::route::encode;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::balancer::{Balancer, Target};
use super::columns;
use super::confirm::confirm;
use super::links::{self, Database};
use super::outcome::{Failure, Outcome};
use crate::terminal::remark;

#[derive(Debug, Args)]
pub(super) struct Wal {
    #[command(flatten)]
    target: Target,
    /// Print the answer as it came.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Writes that are not on every node or were rejected, the latest first, and dead letters.
    List(List),
    /// One write: what it was, its verdict, and where it stands on every node.
    Show(Show),
    /// Let a node try the entry of a dead letter again.
    Retry {
        /// As listed: replica-1:42.
        id: String,
    },
    /// Drop a dead letter: the collection waits to be copied to the node anew.
    Discard(Discard),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Of writes; unfinished are pending, failed and rejected ones.
    #[arg(long, default_value = "unfinished", value_parser = ["pending", "failed", "rejected", "completed", "unfinished", "all"])]
    pub(super) state: String,
    /// Of dead letters.
    #[arg(long, default_value = "open", value_parser = ["open", "resolved", "discarded", "all"])]
    pub(super) letters: String,
    /// Only writes of this collection, by its id or name, or of the `catalog`.
    #[arg(long, value_name = "ID|NAME")]
    pub(super) collection: Option<String>,
    /// The tenant of a name.
    #[arg(long)]
    tenant: Option<String>,
    /// The database of a name.
    #[arg(long)]
    database: Option<String>,
    /// Only writes before this position of the log.
    #[arg(long, value_name = "SEQ")]
    pub(super) before: Option<u64>,
    /// At most so many writes.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) limit: u32,
}

#[derive(Debug, Args)]
struct Show {
    /// The write's id: from `wal list`, an answer's x-chroma-ha-write-id, or the log.
    write_id: String,
    /// Also what the client sent.
    #[arg(long)]
    body: bool,
}

#[derive(Debug, Args)]
struct Discard {
    /// As listed: replica-1:42.
    id: String,
    /// Let the node go on without the entry instead: it differs from the others from then on.
    #[arg(long)]
    accept_difference: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(asked: Wal) -> Outcome {
    let Wal { target, json, verb } = asked;
    let balancer = Balancer::at(&target)?;
    let answer = match verb {
        Verb::List(list) => {
            let found = listed(&balancer, &list).await?;
            return Ok(if json { found.to_string() } else { told(&found) });
        }
        Verb::Show(show) => shown(&balancer, &show).await?,
        Verb::Retry { id } => balancer.post(&letter(&id, "retry"), &json!({})).await?,
        Verb::Discard(Discard { id, accept_difference, yes }) => {
            confirm(yes, &format!("drops the dead letter {id}"))?;
            let body = json!({ "accept_difference": accept_difference });
            balancer.post(&letter(&id, "discard"), &body).await?
        }
    };
    Ok(if json { answer.to_string() } else { columns::page(&answer) })
}

fn letter(id: &str, verb: &str) -> String {
    format!("/admin/dead-letters/{}/{verb}", encode(id))
}

async fn listed(balancer: &Balancer, list: &List) -> Result<Value, Failure> {
    let mut query = format!("state={}&limit={}", encode(&list.state), list.limit);
    for (name, value) in
        [("collection", &list.collection), ("tenant", &list.tenant), ("database", &list.database)]
    {
        if let Some(value) = value {
            query += &format!("&{name}={}", encode(value));
        }
    }
    if let Some(before) = list.before {
        query += &format!("&before={before}");
    }
    let mut found = match balancer.get(&format!("/admin/writes?{query}")).await {
        Err(Failure::Unreachable(text)) => return database(&text)?.list(list).await,
        found => found?,
    };
    let path = format!("/admin/dead-letters?state={}&limit=1000", encode(&list.letters));
    found["dead_letters"] = balancer.get(&path).await?["dead_letters"].take();
    Ok(found)
}

async fn shown(balancer: &Balancer, show: &Show) -> Result<Value, Failure> {
    let path = format!("/admin/writes/{}?body={}", encode(&show.write_id), show.body);
    match balancer.get(&path).await {
        Err(Failure::Unreachable(text)) => database(&text)?.show(&show.write_id, show.body).await,
        found => found,
    }
}

/// Where no balancer answers; its text if there is no database to ask either.
fn database(unreachable: &str) -> Result<Database, Failure> {
    let database = links::database().map_err(|text| Failure::Usage(format!("{unreachable}; {text}")))?;
    let Some(database) = database else {
        let text = format!("{unreachable}; without a balancer set DATABASE_URL to read the log itself");
        return Err(Failure::Unreachable(text));
    };
    remark(format_args!(
        "{unreachable}; the log is read from the database, positions are those flushed last"
    ));
    Ok(database)
}

fn told(found: &Value) -> String {
    let writes = rows(&found["writes"]);
    let letters = rows(&found["dead_letters"]);
    let mut parts = Vec::new();
    if writes.is_empty() {
        parts.push("no such write".to_owned());
    } else {
        let columns = ["seq", "status", "op", "retry_count", "timestamp", "write_id", "error_message"];
        parts.push(table(columns, &writes));
    }
    if let Some(before) = found["next_before"].as_u64() {
        parts.push(format!("there are more: --before {before}"));
    }
    if letters.is_empty() {
        parts.push("no dead letters".to_owned());
    } else {
        let columns = ["id", "state", "op", "collection", "attempts", "at", "reason"];
        parts.push(format!("dead letters\n{}", table(columns, &letters)));
    }
    parts.join("\n\n")
}

fn rows(list: &Value) -> Vec<Value> {
    list.as_array().cloned().unwrap_or_default()
}

fn table<const N: usize>(names: [&str; N], rows: &[Value]) -> String {
    let line = |row: &Value| names.iter().map(|name| columns::cell(&row[*name])).collect::<Vec<_>>();
    let head = names.iter().map(|name| (*name).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows.iter().map(line)).collect();
    columns::align(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_letters_are_tables() {
        let found = json!({
            "writes": [{ "seq": 7, "status": "rejected", "op": "add", "retry_count": 0, "timestamp": "then",
                "write_id": "w", "error_message": "400 no" }],
            "next_before": 7,
            "dead_letters": [{ "id": "replica-1:4", "state": "open", "op": "add", "collection": null,
                "attempts": 3, "at": "now", "reason": "400 no" }],
        });
        assert_eq!(
            told(&found),
            "seq  status    op   retry_count  timestamp  write_id  error_message\n\
             7    rejected  add  0            then       w         400 no\n\n\
             there are more: --before 7\n\n\
             dead letters\n\
             id           state  op   collection  attempts  at   reason\n\
             replica-1:4  open   add  -           3         now  400 no"
        );
        assert_eq!(told(&json!({})), "no such write\n\nno dead letters");
    }

    #[test]
    fn an_id_is_one_part_of_the_path() {
        assert_eq!(letter("a/b?c d", "retry"), "/admin/dead-letters/a%2Fb%3Fc%20d/retry");
    }
}
