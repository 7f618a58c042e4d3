//! The log read straight from the database, for an operator whose balancers do not answer. Nothing is
//! changed, and what nodes have applied since the last flush is not known.

use chroma_ha_core::ids::{CollectionId, Seq, Stream};
use chroma_ha_core::operator::{Flushed, LetterPage, WritePage, WriteRow};
use chroma_ha_core::port::LogStore;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::outcome::Failure;
use super::super::wal::List;
use crate::postgres::{PgLog, Settings};

/// DATABASE_URL, opened when it is asked.
pub(in crate::cli) struct Database(PgLog);

/// None: the environment names no database.
pub(in crate::cli) fn database() -> Result<Option<Database>, String> {
    let Some(url) = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()) else { return Ok(None) };
    let settings = Settings::parse(&url).map_err(|error| error.to_string())?;
    Ok(Some(Database(PgLog::new(settings))))
}

impl Database {
    pub(in crate::cli) async fn list(&self, list: &List) -> Result<Value, Failure> {
        let unknown = |word: &str| Failure::Usage(format!("`{word}` is no state; see `wal list --help`"));
        let states = WritePage::states(&list.state).ok_or_else(|| unknown(&list.state))?;
        let stream = list.collection.as_deref().map(stream).transpose()?;
        let page = WritePage { states, stream, before: list.before.map(Seq), limit: list.limit };
        let rows = self.0.writes(page).await?;
        let full = u32::try_from(rows.len()).is_ok_and(|count| count == list.limit);
        let next = rows.last().filter(|_| full).map(|row| row.seq);
        let state = LetterPage::state(&list.letters).ok_or_else(|| unknown(&list.letters))?;
        let page = LetterPage { state, before: None, only: None, limit: 1_000 };
        let letters = self.0.letters(page).await?;
        Ok(json!({ "writes": rows, "next_before": next, "dead_letters": letters }))
    }

    pub(in crate::cli) async fn show(&self, write_id: &str, body: bool) -> Result<Value, Failure> {
        let row = self.0.find(write_id.to_owned()).await?;
        let gone = || Failure::Problem(format!("no write with the id `{write_id}` is in the log"));
        let row = row.ok_or_else(gone)?;
        let flushed = self.0.flushed().await?;
        let mut found = json!(row);
        if row.status != "rejected" {
            let nodes = flushed.iter().map(|node| json!({ "node": node.node, "state": place(&row, node) }));
            found["nodes"] = nodes.collect();
        }
        if body {
            let bytes = self.0.body(write_id.to_owned()).await?;
            found["body"] = json!(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
        }
        Ok(found)
    }
}

fn place(row: &WriteRow, node: &Flushed) -> &'static str {
    let through = if row.stream == Stream::Catalog { node.catalog } else { node.applied };
    if row.status == "completed" || through >= row.seq { "applied" } else { "pending" }
}

/// Names are the catalog's to know.
fn stream(collection: &str) -> Result<Stream, Failure> {
    if collection == "catalog" {
        return Ok(Stream::Catalog);
    }
    let id = Uuid::parse_str(collection).map(|id| Stream::Collection(CollectionId(id)));
    id.map_err(|_| Failure::Usage(format!("`{collection}` is no id; names are known to a balancer only")))
}
