//! Over which client are other balancers reached? One that trusts certificates of balancers, and follows nobody
//! elsewhere. What is sent, and to whom, is not known here.

use std::path::Path;
use std::time::Duration;

use reqwest::Client;
use rustls::ClientConfig;

use crate::chroma::ClientError;
use crate::tls::{Own, trusting};

/// Another balancer accepts at once, or is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// After so long without a request a connection is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Before a silent connection is asked whether it still stands.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// The system's authorities, these, and whoever shows `own`.
pub fn trust(authorities: Option<&Path>, own: Own) -> Result<ClientConfig, ClientError> {
    trusting(authorities, own).map_err(|cause| ClientError::Setup(format!("ADVERTISE_CA_FILE {cause}")))
}

pub fn client(trust: ClientConfig, idle: usize) -> Result<Client, ClientError> {
    let builder = Client::builder()
        .use_preconfigured_tls(trust)
        .no_proxy()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(idle)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_keepalive(KEEPALIVE);
    builder.build().map_err(|error| ClientError::Setup(error.to_string()))
}
