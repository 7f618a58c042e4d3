//! Do two nodes hold the same documents under different record ids? They were filled apart, then. Compared
//! by document and content, page by page; it changes nothing.

use chroma_ha_core::conversion::{self, Seen};
use serde_json::json;

use super::copy::PAGE;
use super::peer::{Peer, PeerError};

/// One node's records of a collection: where they are, and their ids.
pub(super) type Side<'a> = (&'a Peer<'a>, &'a str, &'a [String]);

pub(super) async fn twins(one: Side<'_>, other: Side<'_>, key: &str) -> Result<bool, PeerError> {
    if one.2.len() != other.2.len() {
        return Ok(false);
    }
    Ok(conversion::same_documents(&shown(one, key).await?, &shown(other, key).await?))
}

async fn shown((peer, path, ids): Side<'_>, key: &str) -> Result<Vec<Seen>, PeerError> {
    let what = "reading documents";
    let mut all = Vec::new();
    for chunk in ids.chunks(PAGE) {
        let body = json!({ "ids": chunk, "include": ["metadatas", "documents"] }).to_string();
        let answer = peer.ask(what, "POST", format!("{path}/get"), Some(body)).await?;
        let unreadable = || PeerError::Unreadable { what, cause: "no records".to_owned() };
        all.extend(conversion::seen(&answer, key).ok_or_else(unreadable)?);
    }
    Ok(all)
}
