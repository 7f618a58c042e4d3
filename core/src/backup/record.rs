//! One record as a line of a file, as a server shows it, and as a request brings it back. Documents, uris and
//! metadata stay as they were spelt: no number in them is read. It decides nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::likeness::Record;

type Raw = Option<Box<RawValue>>;

/// One record, whole.
#[derive(Clone, Debug)]
pub struct Stored {
    pub id: String,
    pub embedding: Option<Vec<f32>>,
    metadata: Raw,
    document: Raw,
    uri: Raw,
}

/// Little-endian `f32` in base64: as Chroma takes embeddings, too.
#[derive(Serialize, Deserialize)]
struct Line {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    embedding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Raw,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document: Raw,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uri: Raw,
}

impl Stored {
    pub fn line(&self) -> Result<String, serde_json::Error> {
        let coded = |numbers: &Vec<f32>| {
            STANDARD.encode(numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
        };
        serde_json::to_string(&Line {
            id: self.id.clone(),
            embedding: self.embedding.as_ref().map(coded),
            metadata: self.metadata.clone(),
            document: self.document.clone(),
            uri: self.uri.clone(),
        })
    }

    pub fn parse(line: &str) -> Result<Stored, String> {
        let Line { id, embedding, metadata, document, uri } =
            serde_json::from_str(line).map_err(|error| error.to_string())?;
        let decoded = |text: String| -> Option<Vec<f32>> {
            let bytes = STANDARD.decode(text).ok().filter(|bytes| bytes.len() % 4 == 0)?;
            let numbers = bytes.chunks_exact(4).filter_map(|chunk| chunk.try_into().ok());
            Some(numbers.map(f32::from_le_bytes).collect())
        };
        let embedding = match embedding {
            Some(text) => Some(decoded(text).ok_or("an embedding is no base64 of f32")?),
            None => None,
        };
        Ok(Stored { id, embedding, metadata, document, uri })
    }

    /// For comparing.
    pub fn record(&self) -> Record {
        let value = |raw: &Raw| {
            raw.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or(Value::Null)
        };
        Record {
            embedding: self.embedding.clone(),
            metadata: value(&self.metadata),
            document: value(&self.document),
            uri: value(&self.uri),
        }
    }
}

/// The records that a `get` with everything included showed.
pub fn shown(answer: &[u8]) -> Result<Vec<Stored>, String> {
    #[derive(Deserialize)]
    struct Answer {
        ids: Vec<String>,
        #[serde(default)]
        embeddings: Option<Vec<Option<Vec<f32>>>>,
        #[serde(default)]
        metadatas: Option<Vec<Raw>>,
        #[serde(default)]
        documents: Option<Vec<Raw>>,
        #[serde(default)]
        uris: Option<Vec<Raw>>,
    }
    let Answer { ids, embeddings, metadatas, documents, uris } =
        serde_json::from_slice(answer).map_err(|error| format!("no records were answered: {error}"))?;
    let count = ids.len();
    let (mut embeddings, mut metadatas) = (column(embeddings, count)?, column(metadatas, count)?);
    let (mut documents, mut uris) = (column(documents, count)?, column(uris, count)?);
    let stored = |id| Stored {
        id,
        embedding: embeddings.next().flatten(),
        metadata: metadatas.next().flatten(),
        document: documents.next().flatten(),
        uri: uris.next().flatten(),
    };
    Ok(ids.into_iter().map(stored).collect())
}

fn column<T>(rows: Option<Vec<T>>, count: usize) -> Result<std::vec::IntoIter<T>, String> {
    let rows = rows.unwrap_or_default();
    if rows.is_empty() || rows.len() == count {
        return Ok(rows.into_iter());
    }
    Err(format!("{count} records were answered with {} rows of one field", rows.len()))
}

/// The body of an `add` of these records. Numbers, because not every release takes base64.
pub fn added(records: &[Stored]) -> String {
    let raw = |rows: fn(&Stored) -> &Raw| {
        let all: Vec<&str> =
            records.iter().map(|record| rows(record).as_ref().map_or("null", |raw| raw.get())).collect();
        all.join(",")
    };
    let ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).collect();
    let embeddings: Vec<&Option<Vec<f32>>> = records.iter().map(|record| &record.embedding).collect();
    format!(
        "{{\"ids\":{},\"embeddings\":{},\"metadatas\":[{}],\"documents\":[{}],\"uris\":[{}]}}",
        serde_json::json!(ids),
        // Not by way of `Value`, which would spell each number as the `f64` that is nearest to it.
        serde_json::to_string(&embeddings).unwrap_or_default(),
        raw(|record| &record.metadata),
        raw(|record| &record.document),
        raw(|record| &record.uri),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::likeness::alike;

    const ANSWER: &str = r#"{"ids":["a\u0000","b"],"embeddings":[[0.1,-2e-7],[3,4]],
        "metadatas":[{"f":0.14285714285714285},null],"documents":[null,"\u00e4"],"uris":null,"include":["x"]}"#;

    #[test]
    fn a_record_survives_a_line_and_a_request_as_it_was_spelt() {
        let records = shown(ANSWER.as_bytes()).unwrap();
        let back: Vec<Stored> =
            records.iter().map(|record| Stored::parse(&record.line().unwrap()).unwrap()).collect();
        assert_eq!(back[0].id, "a\0");
        assert_eq!(back[0].embedding, Some(vec![0.1, -2e-7]));
        let body = added(&back);
        assert!(body.contains(r#"[{"f":0.14285714285714285},null]"#) && body.contains(r#"[null,"\u00e4"]"#));
        let again = shown(body.as_bytes()).unwrap();
        for (one, other) in records.iter().zip(&again) {
            assert_eq!(one.record(), other.record());
            assert!(alike(&one.record(), &other.record()));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(shown(br#"{"ids":["a"],"documents":["x","y"]}"#).is_err());
        assert!(shown(br#"{"error":"x"}"#).is_err());
        assert!(Stored::parse(r#"{"id":"a","embedding":"AAA="}"#).is_err());
    }

    proptest! {
        #[test]
        fn every_number_comes_back(bits in prop::collection::vec(any::<u32>(), 1..20)) {
            let numbers: Vec<f32> = bits.into_iter().map(f32::from_bits).filter(|f| f.is_finite()).collect();
            let answer = format!(r#"{{"ids":["a"],"embeddings":[{}]}}"#, serde_json::to_string(&numbers).unwrap());
            let line = shown(answer.as_bytes()).unwrap()[0].line().unwrap();
            let back = Stored::parse(&line).unwrap();
            let again = shown(added(&[back]).as_bytes()).unwrap();
            prop_assert_eq!(again[0].embedding.as_ref().unwrap(), &numbers);
        }
    }
}
