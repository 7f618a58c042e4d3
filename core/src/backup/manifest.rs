//! What does a backup say of itself: from which log it is, which positions it spans, which files belong to it
//! and what their contents must hash to? It refuses a manifest of which a single byte was changed.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Names;
use crate::ids::{CollectionId, Seq};

/// Of the files. A program refuses a later one.
pub const FORMAT: u32 = 1;

/// A moment, for programs and for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Milliseconds since the Unix epoch, by the database's clock.
    pub ms: u64,
    /// The same as RFC 3339 has it.
    pub text: String,
}

/// One file of the backup, compressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// From the backup's folder.
    pub path: String,
    pub bytes: u64,
    /// In hexadecimal digits, of the file as it lies there.
    pub sha256: String,
    /// Lines in it: records or entries.
    pub lines: u64,
}

/// What a collection was made of, as a server told it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Described {
    #[serde(default)]
    pub metadata: Option<Box<RawValue>>,
    #[serde(default)]
    pub schema: Option<Box<RawValue>>,
    #[serde(default)]
    pub configuration_json: Option<Box<RawValue>>,
}

/// A collection that was copied.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    pub id: CollectionId,
    pub records: u64,
    pub described: Described,
    pub parts: Vec<File>,
}

/// Which log, and what its last entry was: a log that was put back to an earlier state is another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogIdentity {
    pub id: Uuid,
    /// Of the last entry that was saved and accepted; none in an empty log.
    pub last_write: Option<(Seq, String)>,
}

/// The copy itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Base {
    /// Every record was read at this position or later.
    pub from: Seq,
    /// And at this one or earlier; with the log up to here, the copy is the state here.
    pub through: Seq,
    pub at: Moment,
    pub names: Names,
    pub collections: Vec<Saved>,
}

/// A part of the log, without gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The position before its first entry.
    pub after: Seq,
    pub through: Seq,
    /// Everything logged before this moment is in it or before it.
    pub at: Moment,
    /// None: there was no entry.
    pub file: Option<File>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The program that wrote it, with its version.
    pub program: String,
    pub log: LogIdentity,
    pub base: Base,
    /// The first one begins where the copy does.
    pub segments: Vec<Segment>,
}

/// Why a manifest is no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("manifest.json cannot be read as a manifest: {0}")]
    Malformed(String),
    #[error("manifest.json is damaged: its checksum is {found}, it says {said}")]
    Damaged { found: String, said: String },
    #[error("the backup has format {0}; this program knows {FORMAT} and earlier: use a later one")]
    TooNew(u32),
    #[error("the log in the backup has a gap at position {0}")]
    Gap(Seq),
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    manifest: Box<RawValue>,
    sha256: String,
}

impl Manifest {
    /// The file's text.
    pub fn seal(&self) -> Result<String, ManifestError> {
        let malformed = |error: serde_json::Error| ManifestError::Malformed(error.to_string());
        let text = serde_json::to_string_pretty(self).map_err(malformed)?;
        let sha256 = hash(text.as_bytes());
        Ok(format!("{{\"manifest\":{text},\n\"sha256\":\"{sha256}\"}}\n"))
    }

    pub fn open(text: &str) -> Result<Manifest, ManifestError> {
        let malformed = |error: serde_json::Error| ManifestError::Malformed(error.to_string());
        let Sealed { manifest, sha256 } = serde_json::from_str(text).map_err(malformed)?;
        let found = hash(manifest.get().as_bytes());
        if found != sha256 {
            return Err(ManifestError::Damaged { found, said: sha256 });
        }
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_str(manifest.get()).map_err(malformed)?;
        if format > FORMAT {
            return Err(ManifestError::TooNew(format));
        }
        let manifest: Manifest = serde_json::from_str(manifest.get()).map_err(malformed)?;
        manifest.continuous()
    }

    fn continuous(self) -> Result<Manifest, ManifestError> {
        let mut end = self.base.from;
        for segment in &self.segments {
            if segment.after != end || segment.through < end {
                return Err(ManifestError::Gap(end.next()));
            }
            end = segment.through;
        }
        if end < self.base.through { Err(ManifestError::Gap(end.next())) } else { Ok(self) }
    }

    /// The last position that can be restored.
    pub fn through(&self) -> Seq {
        self.segments.last().map_or(self.base.from, |segment| segment.through)
    }

    /// The last moment that can be restored.
    pub fn until(&self) -> &Moment {
        self.segments.last().map_or(&self.base.at, |segment| &segment.at)
    }

    pub fn files(&self) -> impl Iterator<Item = &File> {
        let parts = self.base.collections.iter().flat_map(|saved| &saved.parts);
        parts.chain(self.segments.iter().filter_map(|segment| segment.file.as_ref()))
    }

    pub fn saved(&self, id: CollectionId) -> Option<&Saved> {
        self.base.collections.iter().find(|saved| saved.id == id)
    }

    /// Every position that can be restored, in words.
    pub fn span(&self) -> String {
        format!(
            "positions {} to {} ({} to {})",
            self.base.through,
            self.through(),
            self.base.at.text,
            self.until().text
        )
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let at = Moment { ms: 5, text: "1970-01-01T00:00:00.005Z".into() };
        let segment =
            |after, through| Segment { after: Seq(after), through: Seq(through), at: at.clone(), file: None };
        Manifest {
            format: FORMAT,
            program: "test".into(),
            log: LogIdentity { id: Uuid::nil(), last_write: None },
            base: Base {
                from: Seq(3),
                through: Seq(7),
                at: at.clone(),
                names: Names::default(),
                collections: Vec::new(),
            },
            segments: vec![segment(3, 7), segment(7, 9)],
        }
    }

    #[test]
    fn a_manifest_comes_back_and_no_changed_byte_passes() {
        let sealed = manifest().seal().unwrap();
        assert_eq!(Manifest::open(&sealed).unwrap().through(), Seq(9));
        for at in 0..sealed.len() - 1 {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            assert!(Manifest::open(&text).is_err(), "byte {at} was changed: {text}");
        }
    }

    #[test]
    fn gaps_and_later_formats_are_refused() {
        let gap = Manifest { segments: manifest().segments[1..].to_vec(), ..manifest() };
        assert_eq!(Manifest::open(&gap.seal().unwrap()).unwrap_err(), ManifestError::Gap(Seq(4)));
        let short = Manifest { segments: Vec::new(), ..manifest() };
        assert!(Manifest::open(&short.seal().unwrap()).is_err());
        let later = Manifest { format: FORMAT + 1, ..manifest() };
        assert_eq!(Manifest::open(&later.seal().unwrap()).unwrap_err(), ManifestError::TooNew(FORMAT + 1));
    }
}
