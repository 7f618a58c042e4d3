//! Why a request is answered here and goes to no node, and how that answer looks: shaped like Chroma's
//! own, so that its clients raise what they would raise. It decides nothing.

use std::borrow::Cow;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The path cannot be forwarded and logged as it stands.
    #[error("Invalid URL: {0}")]
    MalformedPath(PathFault),
    /// The path names a collection that is no UUID where only ids are taken.
    #[error("Collection ID is not a valid UUIDv4")]
    InvalidCollectionId,
    /// The same on the `by-id` route, which Chroma words differently.
    #[error("Validation error: collection_id: Invalid collection ID format, expected UUID")]
    InvalidById,
    /// The path is known, but not with this method. Chroma answers with an empty body.
    #[error("")]
    MethodNotAllowed { allow: &'static str },
    /// A method that may change something, on a path that the table does not know. Forwarding it
    /// could change one node and no other.
    #[error(
        "chroma-ha does not know this route and does not forward what it cannot log; it may need a newer chroma-ha"
    )]
    UnknownMutation,
    /// A known route that changes something in a way that cannot be replayed on other nodes.
    #[error("{} not supported behind chroma-ha: it cannot be replicated to every node", .0.name())]
    Unsupported(Feature),
    /// A read of the old API that no release of it had. Its servers answered so, too.
    #[error("Not Found")]
    UnknownRoute,
    /// A body of the old API that cannot be read.
    #[error("{0}")]
    MalformedBody(String),
    /// The old API names a collection that is neither a name nor an id of one.
    #[error("Collection {0} does not exist.")]
    NoSuchCollection(String),
}

/// What makes a path unfit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    #[error("the path must start with `/`")]
    NotAbsolute,
    #[error("the path holds a character that must be percent-encoded")]
    Character,
    #[error("a path segment is not valid UTF-8")]
    InvalidUtf8,
    #[error("a path segment holds a NUL")]
    Nul,
    #[error("a path segment holds an encoded slash")]
    EncodedSlash,
    #[error("a path segment is `.` or `..`")]
    DotSegment,
}

/// What Chroma knows and chroma-ha does not replicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    Fork,
    Functions,
    Conditional,
}

impl Feature {
    fn name(self) -> &'static str {
        match self {
            Feature::Fork => "Forking a collection is",
            Feature::Functions => "Attaching and detaching functions is",
            Feature::Conditional => "Conditional requests are",
        }
    }
}

impl Refusal {
    pub fn status(&self) -> u16 {
        match self {
            Refusal::MalformedPath(_)
            | Refusal::InvalidCollectionId
            | Refusal::InvalidById
            | Refusal::MalformedBody(_)
            | Refusal::NoSuchCollection(_) => 400,
            Refusal::UnknownRoute => 404,
            Refusal::MethodNotAllowed { .. } => 405,
            Refusal::UnknownMutation | Refusal::Unsupported(_) => 501,
        }
    }

    /// Chroma's name for the kind of error: its clients choose their exception by it.
    pub fn error(&self) -> &'static str {
        match self.status() {
            // The name that clients of 0.4 and 0.5 know.
            400 if matches!(self, Refusal::NoSuchCollection(_)) => "InvalidCollection",
            400 => "InvalidArgumentError",
            404 => "NotFoundError",
            _ => "Unimplemented",
        }
    }

    pub fn message(&self) -> String {
        self.to_string()
    }

    /// The body, JSON or empty.
    pub fn body(&self) -> Cow<'static, str> {
        if matches!(self, Refusal::MethodNotAllowed { .. }) {
            return Cow::Borrowed("");
        }
        let body = serde_json::json!({ "error": self.error(), "message": self.message() });
        Cow::Owned(body.to_string())
    }

    /// The value of the `Allow` header, where one belongs.
    pub fn allow(&self) -> Option<&'static str> {
        match self {
            Refusal::MethodNotAllowed { allow } => Some(allow),
            _ => None,
        }
    }

    /// The name of the refusal in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Refusal::MalformedPath(_) => "malformed_path",
            Refusal::InvalidCollectionId | Refusal::InvalidById => "invalid_collection_id",
            Refusal::MethodNotAllowed { .. } => "method_not_allowed",
            Refusal::UnknownMutation => "unknown_mutation",
            Refusal::Unsupported(_) => "unsupported",
            Refusal::UnknownRoute => "unknown_route",
            Refusal::MalformedBody(_) => "malformed_body",
            Refusal::NoSuchCollection(_) => "no_such_collection",
        }
    }
}
