//! Which records does a deletion reach on a node that holds the same documents under other record ids?
//! What goes is described where the entry is judged, by document and content; on such a node as many
//! records go as the client deleted, never more. It asks nothing and counts what found no match.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// What a deletion means, wherever it is applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// The records that went where the entry was judged.
    pub ids: Vec<String>,
    /// Those of them that can be recognised under another id.
    pub hints: Vec<Hint>,
    /// Records of the same document and content that stayed there.
    pub kept: Vec<Hint>,
    /// Ids that were no records but named documents: all records of these go.
    pub documents: Vec<String>,
    /// How many records are among the ids because of their document.
    pub by_document: u32,
    /// What Chroma answers: how many ids were asked for.
    pub deleted: usize,
}

/// One record, as it can be recognised under another id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hint {
    pub id: String,
    pub document: String,
    /// A hash of the text.
    pub content: String,
}

/// What becomes of a deletion on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversion {
    /// The node's own records that go.
    pub ids: Vec<String>,
    pub tally: Tally,
}

/// What conversions came to, in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Looked for on a node with other ids.
    pub attempted: u32,
    /// Deleted there under another id.
    pub converted: u32,
    /// Deleted because the id named their document.
    pub by_document: u32,
    /// Left: no record of the document has the content.
    pub unmatched: u32,
}

/// One record as a node shows it.
#[derive(Clone, Debug)]
pub struct Seen {
    id: String,
    document: Option<String>,
    content: Option<String>,
}

impl Seen {
    fn hint(&self) -> Option<Hint> {
        let (document, content) = (self.document.clone()?, self.content.clone()?);
        Some(Hint { id: self.id.clone(), document, content })
    }
}

/// The records of a `get` that included documents and metadata; `None`: it cannot be read.
pub fn seen(answer: &[u8], key: &str) -> Option<Vec<Seen>> {
    let answer: Map<String, Value> = serde_json::from_slice(answer).ok()?;
    let ids = answer.get("ids")?.as_array()?;
    let at = |field: &str, row: usize| answer.get(field).and_then(|rows| rows.get(row));
    let record = |(row, id): (usize, &Value)| {
        let document = at("metadatas", row).and_then(|metadata| metadata.get(key)?.as_str());
        let content = at("documents", row).and_then(Value::as_str);
        Some(Seen {
            id: id.as_str()?.to_owned(),
            document: document.map(str::to_owned),
            content: content.map(hash),
        })
    };
    ids.iter().enumerate().map(record).collect()
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The body of the `get` for the records that a deletion names: by ids, or by its own filters.
pub fn named(fields: &Map<String, Value>) -> Bytes {
    let mut ask = Map::new();
    for field in ["ids", "where", "where_document", "limit"] {
        fields.get(field).map(|value| ask.insert(field.to_owned(), value.clone()));
    }
    ask.insert("include".to_owned(), json!(["metadatas", "documents"]));
    Bytes::from(Value::Object(ask).to_string())
}

/// The body of the `get` for all records of these documents.
pub fn of_documents(key: &str, documents: &BTreeSet<String>) -> Bytes {
    let filter = json!({ key: { "$in": documents } });
    Bytes::from(json!({ "where": filter, "include": ["metadatas", "documents"] }).to_string())
}

impl Deletion {
    /// What the deletion means, before the documents were looked at: `asked` are the ids of the request.
    pub fn of(asked: &[String], found: &[Seen]) -> Deletion {
        let ids: Vec<String> = found.iter().map(|record| record.id.clone()).collect();
        let there: HashSet<&String> = ids.iter().collect();
        let unknown: BTreeSet<&String> = asked.iter().filter(|id| !there.contains(id)).collect();
        Deletion {
            documents: unknown.into_iter().cloned().collect(),
            hints: found.iter().filter_map(Seen::hint).collect(),
            kept: Vec::new(),
            by_document: 0,
            deleted: if asked.is_empty() { ids.len() } else { asked.len() },
            ids,
        }
    }

    /// The documents whose records must be known for the rest.
    pub fn open(&self) -> BTreeSet<String> {
        self.hints.iter().map(|hint| hint.document.clone()).chain(self.documents.iter().cloned()).collect()
    }

    /// With all records of those documents.
    pub fn completed(mut self, of_documents: &[Seen]) -> Deletion {
        let named: BTreeSet<String> = self.documents.drain(..).collect();
        for record in of_documents {
            let Some(document) = record.document.as_ref().filter(|document| named.contains(*document)) else {
                continue;
            };
            if !self.ids.contains(&record.id) {
                self.ids.push(record.id.clone());
                self.by_document += 1;
            }
            if !self.documents.contains(document) {
                self.documents.push(document.clone());
            }
        }
        // These go whole.
        let documents = &self.documents;
        self.hints.retain(|hint| !documents.contains(&hint.document));
        let gone: HashSet<&String> = self.ids.iter().collect();
        let going: BTreeSet<(&str, &str)> = self.hints.iter().map(Hint::what).collect();
        let kept = of_documents.iter().filter(|record| !gone.contains(&record.id)).filter_map(Seen::hint);
        self.kept = kept.filter(|hint| going.contains(&hint.what())).collect();
        self
    }

    /// What goes on a node with other ids: `same_ids` are its records under the deletion's ids, `of_documents`
    /// those of the deletion's documents.
    pub fn on(&self, same_ids: &[Seen], of_documents: &[Seen]) -> Conversion {
        let mut there: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        // The same id with another content is another record there, which nobody keeps.
        let kept: HashSet<&Hint> = self.kept.iter().collect();
        for hint in of_documents.iter().filter_map(Seen::hint).filter(|hint| !kept.contains(hint)) {
            there.entry((hint.document, hint.content)).or_default().insert(hint.id);
        }
        let mut conversion = Conversion::default();
        for record in of_documents {
            if record.document.as_ref().is_some_and(|document| self.documents.contains(document)) {
                conversion.tally.by_document += 1;
                conversion.ids.push(record.id.clone());
            }
        }
        self.convert(there, &mut conversion);
        self.take_plain(same_ids, &mut conversion);
        conversion
    }

    /// One record for each that went: under its own id if that one is the same, else any other of the same
    /// document and content.
    fn convert(&self, mut there: BTreeMap<(String, String), BTreeSet<String>>, conversion: &mut Conversion) {
        let mut under_another: Vec<&Hint> = Vec::new();
        for hint in &self.hints {
            let alike = there.get_mut(&(hint.document.clone(), hint.content.clone()));
            match alike.map(|alike| alike.remove(&hint.id)) {
                Some(true) => conversion.ids.push(hint.id.clone()),
                _ => under_another.push(hint),
            }
        }
        for hint in under_another {
            conversion.tally.attempted += 1;
            let alike = there.get_mut(&(hint.document.clone(), hint.content.clone()));
            match alike.and_then(BTreeSet::pop_first) {
                Some(id) => {
                    conversion.tally.converted += 1;
                    conversion.ids.push(id);
                }
                None => conversion.tally.unmatched += 1,
            }
        }
    }

    /// Records that nothing but their id describes, here as there.
    fn take_plain(&self, same_ids: &[Seen], conversion: &mut Conversion) {
        let hinted: HashSet<&String> = self.hints.iter().map(|hint| &hint.id).collect();
        let plain = same_ids.iter().filter(|record| record.hint().is_none() && !hinted.contains(&record.id));
        conversion.ids.extend(plain.map(|record| record.id.clone()));
    }
}

impl Hint {
    fn what(&self) -> (&str, &str) {
        (&self.document, &self.content)
    }
}

/// Whether two nodes hold the same documents: as many records of each document and content. Records that
/// cannot be recognised this way are never the same.
pub fn same_documents(one: &[Seen], other: &[Seen]) -> bool {
    let contents = |records: &[Seen]| -> Option<Vec<(String, String)>> {
        let mut all: Vec<_> =
            records.iter().map(|r| r.hint().map(|h| (h.document, h.content))).collect::<Option<_>>()?;
        all.sort_unstable();
        Some(all)
    };
    one.len() == other.len() && contents(one).is_some_and(|one| Some(one) == contents(other))
}

#[cfg(test)]
mod tests;
