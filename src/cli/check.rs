//! Would the balancer work with what it was told? Reaches the database and every node once and prints a
//! table. It changes nothing anywhere and shows no credentials.

use std::time::{Duration, Instant};

use reqwest::{Certificate, Client, Response};

use super::{columns, links};
use crate::cause;
use crate::config::{Config, NodeConfig, RedactedUrl};

const PATIENCE: Duration = Duration::from_secs(5);

/// One line of the table: what a component answered, or why it is of no use.
struct Finding {
    component: String,
    address: RedactedUrl,
    outcome: Result<String, String>,
}

/// The table; as an error if any component is of no use.
pub(super) async fn run(config: &Config) -> Result<String, String> {
    let client = client(config)?;
    let mut findings = vec![Finding {
        component: "postgresql".to_owned(),
        address: config.database.url.clone(),
        outcome: links::check_database(config).await,
    }];
    for node in &config.nodes {
        findings.push(Finding {
            component: node.id.name(),
            address: node.url.clone(),
            outcome: check_node(&client, node).await,
        });
    }
    let table = table(&findings);
    if findings.iter().all(|finding| finding.outcome.is_ok()) { Ok(table) } else { Err(table) }
}

fn table(findings: &[Finding]) -> String {
    let mut rows = vec![["component", "address", "result", "detail"].map(str::to_owned).to_vec()];
    for Finding { component, address, outcome } in findings {
        let (result, detail) = match outcome {
            Ok(detail) => ("ok", detail),
            Err(detail) => ("problem", detail),
        };
        rows.push(vec![component.clone(), address.to_string(), result.to_owned(), detail.clone()]);
    }
    columns::align(&rows)
}

fn client(config: &Config) -> Result<Client, String> {
    let mut builder = Client::builder().timeout(PATIENCE);
    if let Some(file) = &config.upstream.ca_file {
        let refused = |cause: String| format!("NODE_CA_FILE={file:?} is refused: {cause}");
        let pem = std::fs::read(file).map_err(|error| refused(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| refused(error.to_string()))?;
        builder = certificates.into_iter().fold(builder, |builder, ca| builder.add_root_certificate(ca));
    }
    builder.build().map_err(|error| format!("no HTTP client: {error}"))
}

async fn check_node(client: &Client, node: &NodeConfig) -> Result<String, String> {
    let start = Instant::now();
    let heartbeat = text(get(client, node, "/api/v2/heartbeat").await?).await?;
    let latency_ms = start.elapsed().as_millis();
    if !heartbeat.contains("nanosecond heartbeat") {
        return Err("answers, but not as a Chroma server".to_owned());
    }
    let version = text(get(client, node, "/api/v2/version").await?).await?;
    let version = version.trim_matches(['"', '\n', ' ']);
    is_supported(version)?;
    Ok(format!("says version {version}, answered in {latency_ms} ms"))
}

/// From 1.0.0 on all say "1.0.0". Older ones answer a deletion that is repeated with 500, for ever.
fn is_supported(version: &str) -> Result<(), String> {
    if version.starts_with("0.") {
        return Err(format!("is Chroma {version}, which is too old: upgrade it to 1.0.0 or later"));
    }
    Ok(())
}

async fn get(client: &Client, node: &NodeConfig, path: &str) -> Result<Response, String> {
    let mut request = client.get(format!("{}{path}", node.url.expose()));
    if let Some((name, value)) = node.auth.as_ref().map(|auth| auth.header()) {
        request = request.header(name, value.expose());
    }
    let response = request.send().await.map_err(cause::told)?;
    match response.status().as_u16() {
        200 => Ok(response),
        status @ (401 | 403) => Err(format!("refuses the credential (status {status})")),
        404 | 410 => Err("has no v2 API, so it is too old: upgrade it to 1.0.0 or later".to_owned()),
        status => Err(format!("answered {path} with status {status}")),
    }
}

async fn text(response: Response) -> Result<String, String> {
    response.text().await.map_err(cause::told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_is_told_apart() {
        is_supported("1.0.0").unwrap();
        assert_eq!(
            is_supported("0.6.3").unwrap_err(),
            "is Chroma 0.6.3, which is too old: upgrade it to 1.0.0 or later"
        );
    }

    #[test]
    fn the_table_shows_no_credentials() {
        let findings = [
            Finding {
                component: "postgresql".to_owned(),
                address: RedactedUrl::new("postgresql://u:pw@db/log"),
                outcome: Ok("17.2".to_owned()),
            },
            Finding {
                component: "primary".to_owned(),
                address: RedactedUrl::new("http://a:8000"),
                outcome: Err("connection refused".to_owned()),
            },
        ];
        assert_eq!(
            table(&findings),
            "component   address              result   detail\n\
             postgresql  postgresql://db/log  ok       17.2\n\
             primary     http://a:8000        problem  connection refused"
        );
    }
}
