//! How do rows, and answers whose fields are not known here, become text that a person can read? Nothing in it is
//! what a terminal would obey: clients choose ids and names.

use serde_json::{Map, Value};

use crate::terminal::printed;

/// Fields that name a row, shown first.
const LEADING: [&str; 4] = ["name", "node", "role", "state"];

/// Rows with padded cells, two spaces apart, without spaces at the ends of lines.
pub(super) fn align(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printed(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Plain fields first, then a section for each object and list.
pub(super) fn page(value: &Value) -> String {
    let Value::Object(fields) = value else { return cell(value) };
    let (nested, plain): (Vec<_>, Vec<_>) = fields.iter().partition(|(_, value)| is_nested(value));
    let facts: Map<String, Value> =
        plain.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let sections =
        nested.into_iter().map(|(name, value)| format!("\n\n{name}\n{}", indented(&section(value))));
    pairs(&facts) + &sections.collect::<String>()
}

fn is_nested(value: &Value) -> bool {
    matches!(value, Value::Object(_)) || matches!(value, Value::Array(rows) if !rows.is_empty())
}

fn section(value: &Value) -> String {
    match value {
        Value::Object(fields) => pairs(fields),
        Value::Array(rows) => table(rows),
        plain => cell(plain),
    }
}

fn pairs(fields: &Map<String, Value>) -> String {
    let rows: Vec<Vec<String>> = fields.iter().map(|(name, value)| vec![name.clone(), cell(value)]).collect();
    align(&rows)
}

/// One line a row, one column a field of the first row.
fn table(rows: &[Value]) -> String {
    let Some(Value::Object(first)) = rows.first() else {
        return rows.iter().map(cell).collect::<Vec<_>>().join("\n");
    };
    let leading = LEADING.iter().copied().filter(|name| first.contains_key(*name));
    let others = first.keys().map(String::as_str).filter(|name| !LEADING.contains(name));
    let names: Vec<&str> = leading.chain(others).collect();
    let line = |row: &Value| names.iter().map(|name| row.get(name).map(cell).unwrap_or_default()).collect();
    let head = names.iter().map(|name| (*name).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows.iter().map(line)).collect();
    align(&lines)
}

pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let facts: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}={}", cell(value))).collect();
            facts.join(" ")
        }
        other => other.to_string(),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_line_up() {
        let row = |cells: &[&str]| cells.iter().map(|cell| cell.to_string()).collect();
        let rows: Vec<Vec<String>> = vec![row(&["node", "state"]), row(&["replica-1", "up"]), row(&["é"])];
        assert_eq!(align(&rows), "node       state\nreplica-1  up\né");
        assert_eq!(align(&[]), "");
    }

    #[test]
    fn a_cell_stays_in_its_row() {
        let row = vec!["a\u{1b}[2J\nb".to_owned(), "ä".to_owned()];
        assert_eq!(align(&[row]), "a\\u{1b}[2J\\nb  ä");
    }

    #[test]
    fn it_reads_like_a_page() {
        let value = serde_json::json!({
            "service": "chroma-ha",
            "role": "holder",
            "alerts": [],
            "write_ahead_log": {"pending_writes": 3, "database": "PostgreSQL"},
            "nodes": [
                {"lag_entries": 0, "name": "primary", "state": "up"},
                {"lag_entries": 12, "name": "replica-1", "state": "catching-up", "p99_ms": 3},
            ],
        });
        assert_eq!(
            page(&value),
            "alerts   []\nrole     holder\nservice  chroma-ha\n\nnodes\n  \
             name       state        lag_entries\n  \
             primary    up           0\n  \
             replica-1  catching-up  12\n\nwrite_ahead_log\n  \
             database        PostgreSQL\n  pending_writes  3"
        );
    }
}
