//! Which Chroma servers are there, in which order, with which credentials? It does not ask them.

use std::collections::BTreeSet;

use super::reader::Reader;
use super::{AuthHeader, NodeAuth, NodeConfig, NodeId, RedactedUrl, Secret};

/// The primary first, then the replica of `REPLICA_URL`, then those of `REPLICA_URLS`.
pub(super) fn read(env: &mut Reader) -> Vec<NodeConfig> {
    let primary = env.http_url("PRIMARY_URL");
    let replicas = replicas(env, primary.as_ref());
    let primary_header = header(env, "PRIMARY_AUTH_HEADER").unwrap_or_default();
    let replica_header = header(env, "REPLICA_AUTH_HEADER").unwrap_or(primary_header);
    let primary_token = env.secret("PRIMARY_AUTH_TOKEN");
    let tokens = replica_tokens(env, replicas.len());
    let auth = |token: Option<Secret>, header| token.map(|token| NodeAuth { header, token });
    let primary = primary.map(|url| (url, auth(primary_token, primary_header)));
    let replicas = replicas.into_iter().zip(tokens).map(|(url, token)| (url, auth(token, replica_header)));
    let node = |(place, (url, auth))| NodeConfig { id: NodeId(place), url, auth };
    primary.into_iter().chain(replicas).enumerate().map(node).collect()
}

fn replicas(env: &mut Reader, primary: Option<&RedactedUrl>) -> Vec<RedactedUrl> {
    let first = env.http_url("REPLICA_URL");
    let more = env.http_urls("REPLICA_URLS");
    let mut seen: BTreeSet<&RedactedUrl> = primary.into_iter().collect();
    let named = first.iter().map(|url| ("REPLICA_URL", url));
    for (name, url) in named.chain(more.iter().map(|url| ("REPLICA_URLS", url))) {
        if Some(url) == primary {
            env.refuse(name, &format!("{url} is the primary; accepted is another server"));
        } else if !seen.insert(url) {
            env.refuse(name, &format!("{url} is named twice; accepted is every replica once"));
        }
    }
    if first.is_none() && more.is_empty() && env.problems.is_empty() {
        env.warn("no replica is configured: nothing takes over when the primary fails".to_owned());
    }
    first.into_iter().chain(more).collect()
}

fn header(env: &mut Reader, name: &'static str) -> Option<AuthHeader> {
    env.word(name, |word| match word {
        "authorization" => Some(AuthHeader::Bearer),
        "x-chroma-token" => Some(AuthHeader::ChromaToken),
        _ => None,
    })
}

/// One place a replica: its own token, else the one for all.
fn replica_tokens(env: &mut Reader, replicas: usize) -> Vec<Option<Secret>> {
    let shared = env.secret("REPLICA_AUTH_TOKEN");
    let own = env.secrets("REPLICA_AUTH_TOKENS").unwrap_or_default();
    if !own.is_empty() && own.len() != replicas {
        let reason = format!("it has {} places, accepted is one for each of {replicas} replicas", own.len());
        env.refuse("REPLICA_AUTH_TOKENS", &reason);
    }
    let token = |place: usize| own.get(place).cloned().flatten().or_else(|| shared.clone());
    (0..replicas).map(token).collect()
}
