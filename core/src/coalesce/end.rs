//! Why does a request carry no more writes? For the figures, and to be able to say it. It decides nothing.

/// Why a request ended where it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RunEnd {
    /// Everything that waited in memory is in it.
    Drained,
    /// As many writes as one batch may have.
    Writes,
    /// The next write would exceed the limit of records.
    Records,
    /// The next write would exceed the limit of bytes.
    Bytes,
    /// The next write does something else, or goes alone by its nature.
    Operation,
    /// The next write spells its embeddings in another way.
    Encoding,
    /// The next write is spelt in an unusual way.
    Shape,
    /// The next write must wait for something, or goes alone because it may be to blame for a failure.
    Held,
}

impl RunEnd {
    pub fn name(self) -> &'static str {
        match self {
            RunEnd::Drained => "drained",
            RunEnd::Writes => "writes",
            RunEnd::Records => "records",
            RunEnd::Bytes => "bytes",
            RunEnd::Operation => "operation",
            RunEnd::Encoding => "encoding",
            RunEnd::Shape => "shape",
            RunEnd::Held => "held",
        }
    }
}
