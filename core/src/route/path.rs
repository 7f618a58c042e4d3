//! How a path is spelt: whether it may be forwarded at all, what its segments are, and where in it a
//! collection's id stands. It does not know what a path means; `place` does.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use uuid::Uuid;

use super::refusal::PathFault;

/// No known route is deeper; a deeper path is unknown whatever it says.
pub(super) const DEEPEST: usize = 12;

/// Where the collection stands: `/api/v2/tenants/{}/databases/{}/collections/{}`.
const COLLECTION: usize = 7;

/// What may stand in a segment unencoded.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Refuses what the HTTP client on the way to a node, or the log, would change or choke on: the log
/// must hold, and every node must get, the path that was classified here.
pub(crate) fn check(path: &str) -> Result<(), PathFault> {
    let Some(rest) = path.strip_prefix('/') else { return Err(PathFault::NotAbsolute) };
    // `\` becomes `/`, `#` cuts the path, and a blank at its end goes, in a URL parser.
    if rest.bytes().any(|b| b <= 0x20 || b == 0x7f || matches!(b, b'\\' | b'#' | b'?')) {
        return Err(PathFault::Character);
    }
    rest.split('/').try_for_each(check_segment)
}

fn check_segment(raw: &str) -> Result<(), PathFault> {
    let decoded = if raw.contains('%') {
        percent_decode_str(raw).decode_utf8().map_err(|_| PathFault::InvalidUtf8)?
    } else {
        Cow::Borrowed(raw)
    };
    if decoded.contains('\0') {
        Err(PathFault::Nul)
    } else if decoded.len() != raw.len() && decoded.contains('/') {
        Err(PathFault::EncodedSlash)
    } else if matches!(&*decoded, "." | "..") {
        Err(PathFault::DotSegment)
    } else {
        Ok(())
    }
}

/// The raw segments of a checked path; empty when it is too deep to be known.
pub(super) fn segments<'a, 's>(path: &'a str, space: &'s mut [&'a str; DEEPEST]) -> &'s [&'a str] {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let mut used = 0;
    for segment in rest.split('/') {
        let Some(slot) = space.get_mut(used) else { return &[] };
        *slot = segment;
        used += 1;
    }
    &space[..used]
}

/// One segment as a name. Stray percent signs stay as they are, as in Chroma.
pub(crate) fn decode(raw: &str) -> String {
    percent_decode_str(raw).decode_utf8_lossy().into_owned()
}

/// The path of the by-name lookup: what a CRN is answered with.
pub fn collection_by_name_path(tenant: &str, database: &str, name: &str) -> String {
    let [tenant, database, name] = [tenant, database, name].map(encode);
    format!("/api/v2/tenants/{tenant}/databases/{database}/collections/{name}")
}

/// The path of the lookup by a node's own id.
pub fn collection_by_id_path(tenant: &str, database: &str, own: Uuid) -> String {
    let [tenant, database] = [tenant, database].map(encode);
    format!("/api/v2/tenants/{tenant}/databases/{database}/collections/by-id/{own}")
}

/// The path below which a collection's records are reached.
pub fn records_path(tenant: &str, database: &str, own: Uuid) -> String {
    let [tenant, database] = [tenant, database].map(encode);
    format!("/api/v2/tenants/{tenant}/databases/{database}/collections/{own}")
}

/// The collections of a database.
pub fn collections_path(tenant: &str, database: &str) -> String {
    let [tenant, database] = [tenant, database].map(encode);
    format!("/api/v2/tenants/{tenant}/databases/{database}/collections")
}

/// The databases of a tenant.
pub fn databases_path(tenant: &str) -> String {
    format!("/api/v2/tenants/{}/databases", encode(tenant))
}

/// One segment, so encoded that decoding gives the same text.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The client's path with the collection segment replaced by the node's id; the query string is kept
/// byte for byte. A path without a collection is returned as it is.
pub fn with_collection(path_and_query: &str, node_collection: Uuid) -> String {
    let path_end = path_and_query.find('?').unwrap_or(path_and_query.len());
    let (path, query) = path_and_query.split_at(path_end);
    let Some((start, end)) = collection_span(path) else { return path_and_query.to_owned() };
    let id = node_collection.hyphenated();
    format!("{}{id}{}{query}", &path[..start], &path[end..])
}

fn collection_span(path: &str) -> Option<(usize, usize)> {
    let mut start = 1;
    let mut kept = ["", ""];
    for (index, segment) in path.strip_prefix('/')?.split('/').enumerate() {
        let end = start + segment.len();
        let by_id = index == COLLECTION && segment == "by-id" && end < path.len();
        match index {
            COLLECTION if !by_id => return (kept[1] == "collections").then_some((start, end)),
            index if index > COLLECTION => return (kept[0] == "collections").then_some((start, end)),
            _ => kept = [kept[1], segment],
        }
        start = end + 1;
    }
    None
}
