//! Where does a verb find the balancer, over which wire, and which key does it show? From the same variables
//! that the balancer on this machine has. It sends nothing itself.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, RequestBuilder};

use super::outcome::Failure;
use crate::tls::{Own, trusting};

const PATIENCE: Duration = Duration::from_secs(10);

/// Also where a proxy before the balancer takes `Authorization` for its own.
const HEADER: &str = "x-chroma-ha-admin-token";

/// Without a slash at its end; by default this machine at PORT.
pub(super) fn url(given: Option<&str>) -> String {
    let scheme = if set("TLS_CERT_FILE").is_some() { "https" } else { "http" };
    let here = || format!("{scheme}://127.0.0.1:{}", super::port());
    given.map_or_else(here, |url| url.trim_end_matches('/').to_owned())
}

/// Trusts the certificate of the balancer on this machine, too, whatever name is on it.
pub(super) fn client() -> Result<Client, Failure> {
    let authorities = set("ADVERTISE_CA_FILE").map(PathBuf::from);
    let own = Own::read(set("TLS_CERT_FILE").map(PathBuf::from));
    let trust = trusting(authorities.as_deref(), own)
        .map_err(|cause| Failure::Usage(format!("ADVERTISE_CA_FILE {cause}")))?;
    let client = Client::builder().use_preconfigured_tls(trust).timeout(PATIENCE);
    // The key is for the balancer alone, wherever another answer points.
    let client = client.redirect(reqwest::redirect::Policy::none()).build();
    client.map_err(|error| Failure::Problem(format!("no client: {error}")))
}

/// The request with CHROMA_HA_KEY, or ADMIN_TOKEN where that is not set.
pub(super) fn with_key(request: RequestBuilder) -> RequestBuilder {
    match set("CHROMA_HA_KEY").or_else(|| set("ADMIN_TOKEN")) {
        Some(key) => request.header(HEADER, key),
        None => request,
    }
}

pub(super) fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}
