//! Which record writes will Chroma surely take, so that their clients may hear of it as soon as the log has
//! them? Only what is provably accepted is sound. Everything else (what Chroma refuses, what it may refuse,
//! what is spelt in an unusual way) is left to the acting node's verdict; nothing is refused here.

mod body;
mod dimensions;

use crate::answer::Answer;
use crate::catalog::Collection;
use crate::entry::{Draft, Op};
use crate::route::records_path;

pub use dimensions::{Dimensions, Embeddings, Known};

/// Records of one request, well below what any Chroma server takes.
const RECORDS: usize = 1_000;

/// Bytes of one request, well below every server's limit, and read within milliseconds.
const BYTES: usize = 4 << 20;

/// Whether the client must wait for the verdict.
#[derive(Clone, Debug)]
pub enum Judgement {
    /// Chroma takes it, and answers this.
    Sound(Answer),
    /// The acting node is to be asked.
    Ask(Doubt),
}

/// Why only the acting node can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// It changes the catalog.
    Catalog,
    /// The collection is not known, was lost, or may be deleted by a write that is not decided yet.
    Collection,
    /// The path or the content type is spelt in another way than clients do.
    Spelling,
    /// More records or bytes than are looked through.
    Size,
    /// Not the JSON that is expected, or a value in it that Chroma takes only sometimes.
    Form,
    /// No records, or not as many values as ids.
    Rows,
    /// None where they must be, of different lengths, in two encodings, or not finite.
    Embeddings,
    /// That of the collection is not known, or is another one.
    Dimension,
    /// A deletion by a filter, or in a collection that is older than the log.
    Deletion,
}

impl Doubt {
    pub const ALL: [Doubt; 9] = [
        Doubt::Catalog,
        Doubt::Collection,
        Doubt::Spelling,
        Doubt::Size,
        Doubt::Form,
        Doubt::Rows,
        Doubt::Embeddings,
        Doubt::Dimension,
        Doubt::Deletion,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Doubt::Catalog => "catalog",
            Doubt::Collection => "collection",
            Doubt::Spelling => "spelling",
            Doubt::Size => "size",
            Doubt::Form => "form",
            Doubt::Rows => "rows",
            Doubt::Embeddings => "embeddings",
            Doubt::Dimension => "dimension",
            Doubt::Deletion => "deletion",
        }
    }
}

/// What a write that is sound in itself says; its dimension is still to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    op: Op,
    records: usize,
    embeddings: Option<Embeddings>,
}

/// Looks through a write. `place`: where its collection is.
pub fn examine(draft: &Draft, place: &Collection) -> Result<Profile, Doubt> {
    let Some(id) = draft.collection() else { return Err(Doubt::Catalog) };
    let path = records_path(&place.tenant, &place.database, id.0);
    let verb = draft.path.strip_prefix(&path).and_then(|verb| verb.strip_prefix('/'));
    if draft.method != "POST" || verb != Some(draft.op.name()) || !draft.headers.iter().all(plain) {
        return Err(Doubt::Spelling);
    }
    if draft.body.len() > BYTES {
        return Err(Doubt::Size);
    }
    let profile = body::read(draft.op, &draft.body)?;
    if profile.records > RECORDS { Err(Doubt::Size) } else { Ok(profile) }
}

/// A content type that every server takes, if there is one.
fn plain((name, value): &(String, String)) -> bool {
    let json = ["application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"];
    name != "content-type" || json.iter().any(|known| value.eq_ignore_ascii_case(known))
}

impl Profile {
    /// `known`: what was learnt of the collection's embeddings.
    pub fn judge(&self, known: Option<Known>) -> Judgement {
        match self.embeddings {
            Some(ours) if !known.is_some_and(|known| known.takes(ours)) => Judgement::Ask(Doubt::Dimension),
            _ => Judgement::Sound(Answer::accepted(self.op, self.records)),
        }
    }

    /// What the acceptance of the write says of its collection. Nothing is learnt from an update: its rows
    /// of missing ids are not sent.
    pub fn teaches(&self) -> Option<Embeddings> {
        self.embeddings.filter(|_| matches!(self.op, Op::Add | Op::Upsert))
    }

    pub fn is_deletion(&self) -> bool {
        self.op == Op::Delete
    }
}

#[cfg(test)]
mod tests;
