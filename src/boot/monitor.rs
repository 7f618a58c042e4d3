//! The composition root of the watcher: configuration → probes → actors → its two routes. What is asked of a
//! balancer is `/health`, of PostgreSQL a new session, of a node its heartbeat.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use chroma_ha_actors::monitor::{Probe, Target};
use chroma_ha_actors::stats::Stats;
use chroma_ha_actors::system::outside::{OutsidePorts, OutsideSettings, OutsideSystem};
use chroma_ha_core::alert::kind::Kind;
use chroma_ha_core::port::StoreError;
use tracing::info;

use super::{BootError, asked_to_stop, give_up, nodes, outlet, sampler};
use crate::chroma;
use crate::config::{Database, MonitorConfig, RedactedUrl};
use crate::front::{self, Watcher};
use crate::postgres;
use crate::tls::Own;

/// Of an answer to `/health`, in bytes; a balancer's is far shorter.
const LONGEST: usize = 16 << 10;

/// Watches until SIGTERM or SIGINT. To be called on an actix system.
pub async fn monitor(config: MonitorConfig) -> Result<(), BootError> {
    let stats = Arc::new(Stats::try_new().map_err(|error| BootError::Metrics(error.to_string()))?);
    let address = format!("{}:{}", config.listen.address, config.listen.port);
    let listen = |cause| BootError::Listen { address: address.clone(), cause };
    let bound = TcpListener::bind((config.listen.address, config.listen.port)).map_err(listen)?;
    bound.set_nonblocking(true).map_err(listen)?;
    let system = OutsideSystem::start(ports(&config)?, settings(&config), stats);
    let watcher = Watcher { system: Arc::clone(&system), service: config.listen.service_name.clone() };
    let server = front::watch(watcher, bound).map_err(listen)?;
    info!(address, balancers = config.balancers.len(), nodes = config.nodes.len(), "watching");
    let handle = server.handle();
    let mut running = Box::pin(server);
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = asked_to_stop() => tokio::join!(handle.stop(true), &mut running).1,
    };
    system.stop();
    info!("stopped");
    ended.map_err(BootError::Served)
}

fn settings(config: &MonitorConfig) -> OutsideSettings {
    OutsideSettings {
        nodes: config.nodes.len(),
        health: config.health,
        probe_timeout: config.interval,
        thresholds: config.pressure,
        interval: config.interval,
        failures: config.health.failure_threshold,
    }
}

fn ports(config: &MonitorConfig) -> Result<OutsidePorts, BootError> {
    let own = Own::read(config.listen.tls.as_ref().map(|files| files.certificate.clone()));
    let authorities = config.listen.advertise_ca.as_deref();
    let client = front::balancers(front::trust(authorities, own)?, config.upstream.pool_size)?;
    let mut targets: Vec<Target> =
        config.balancers.iter().map(|url| balancer(url, &client, config.interval)).collect();
    if let Some(database) = &config.database {
        targets.push(log(database)?);
    }
    Ok(OutsidePorts {
        nodes: nodes(&config.nodes, &config.upstream)?,
        targets,
        sampler: sampler(),
        alerts: outlet(&config.alerts, &config.listen.service_name)?,
        escalate: give_up(),
    })
}

/// One that answers is there, also when it can serve nothing: what is wrong then, it tells itself.
fn balancer(url: &RedactedUrl, client: &reqwest::Client, patience: Duration) -> Target {
    let health = format!("{}/health", url.expose());
    let client = client.clone();
    let probe: Probe = Arc::new(move || {
        let request = client.get(&health).timeout(patience);
        Box::pin(async move {
            let answer = request.send().await.map_err(|error| chroma::fault(&error, patience).to_string())?;
            let status = answer.status().as_u16();
            let text =
                beginning(answer).await.map_err(|error| chroma::fault(&error, patience).to_string())?;
            // Whoever stands before it, or took its port, has other words.
            let itself = |words: &[&str]| words.iter().any(|word| text.contains(word));
            match status {
                200 if itself(&["\"healthy\"", "\"degraded\""]) => Ok(()),
                503 if itself(&["\"unavailable\""]) => Ok(()),
                200 => Err("it answers, but not as a balancer does".to_owned()),
                _ => Err(format!("status {status}")),
            }
        })
    });
    Target { kind: Kind::BalancerGone, name: url.to_string(), probe }
}

/// Whoever answers in its place may do so at length.
async fn beginning(mut answer: reqwest::Response) -> reqwest::Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk[..chunk.len().min(LONGEST - bytes.len())]);
        if bytes.len() == LONGEST {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn log(database: &Database) -> Result<Target, BootError> {
    let settings = postgres::Settings::parse(database.url.expose())?;
    let probe: Probe = Arc::new(move || {
        let settings = settings.clone();
        Box::pin(async move {
            match postgres::check(&settings).await {
                Ok(_) => Ok(()),
                Err(StoreError::Unavailable(reason)) => Err(reason),
                // It answers; whether the balancer can use it, is the balancer's to say.
                Err(StoreError::LeaseLost(_) | StoreError::Refused(_)) => Ok(()),
            }
        })
    });
    Ok(Target { kind: Kind::Postgres, name: "PostgreSQL".to_owned(), probe })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::config::Upstream;

    /// This, and then blanks without end.
    const ENDLESS: &str = "{";

    /// What the probe makes of one answer.
    async fn judged(answer: &'static str) -> Result<(), String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = RedactedUrl::new(format!("http://{}", listener.local_addr().unwrap()));
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let read = stream.read(&mut [0; 1 << 12]).await.unwrap();
            assert!(read > 0);
            let (status, body) = answer.split_once('|').unwrap();
            let length = if body == ENDLESS { usize::MAX / 2 } else { body.len() };
            let text =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(text.as_bytes()).await.unwrap();
            if body == ENDLESS {
                // Until nobody listens any more.
                while stream.write_all(&[b' '; 1 << 16]).await.is_ok() {}
            }
        });
        let patience = Duration::from_secs(5);
        let upstream = Upstream { request_timeout: patience, pool_size: 1, ca_file: None };
        let target = balancer(&url, &chroma::client(&upstream).unwrap(), patience);
        let seen = (target.probe)().await;
        served.await.unwrap();
        seen
    }

    #[tokio::test]
    async fn what_a_proxy_answers_in_its_place_is_no_answer_of_the_balancer() {
        assert_eq!(judged("200 OK|{\"status\":\"healthy\"}").await, Ok(()));
        assert_eq!(judged("503 Service Unavailable|{\"status\":\"unavailable\"}").await, Ok(()));
        for proxy in ["503 Service Unavailable|no backend", "502 Bad Gateway|", "404 Not Found|"] {
            assert!(judged(proxy).await.is_err(), "{proxy}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_not_read_to_its_end() {
        let seen = judged("200 OK|{").await;
        assert_eq!(seen, Err("it answers, but not as a balancer does".to_owned()));
    }
}
