//! What is a watcher outside of the balancers told, and what is needed to send a test message? A part of the
//! same variables: a node, the database and the webhook may be left out here.

use std::time::Duration;

use chroma_ha_core::health::HealthConfig;
use chroma_ha_core::pressure::Thresholds;

use super::reader::Reader;
use super::{
    Alerts, ConfigErrors, Database, Listen, Log, NodeConfig, RedactedUrl, Upstream, Warning, load, nodes,
};

/// What `monitor` was told.
#[derive(Clone, Debug)]
pub struct MonitorConfig {
    pub listen: Listen,
    pub balancers: Vec<RedactedUrl>,
    /// In order of preference; empty: not looked at.
    pub nodes: Vec<NodeConfig>,
    pub upstream: Upstream,
    pub database: Option<Database>,
    pub health: HealthConfig,
    pub interval: Duration,
    pub pressure: Thresholds,
    pub alerts: Alerts,
    pub log: Log,
}

impl MonitorConfig {
    pub fn from_env(
        vars: impl Iterator<Item = (String, String)>,
    ) -> Result<(MonitorConfig, Vec<Warning>), ConfigErrors> {
        let mut env = Reader::new(vars);
        let watched = read(&mut env);
        if watched.balancers.is_empty() && env.problems.is_empty() {
            env.refuse(
                "BALANCER_URL",
                "`monitor` needs it; accepted is the URL of a balancer, as clients reach it",
            );
        }
        let nodes = if env.is_set("PRIMARY_URL") { nodes::read(&mut env) } else { Vec::new() };
        let database = env.is_set("DATABASE_URL").then(|| env.postgres_url("DATABASE_URL")).flatten();
        let health = HealthConfig { interval: watched.interval, ..load::health(&mut env) };
        let config = MonitorConfig {
            listen: load::listen(&mut env),
            balancers: watched.balancers,
            nodes,
            upstream: load::upstream(&mut env),
            database: database.map(|url| Database { url }),
            health,
            interval: watched.interval,
            pressure: load::pressure(&mut env),
            alerts: load::alerts(&mut env),
            log: load::log(&mut env),
        };
        if config.alerts.webhook.is_none() {
            env.warn(
                "no alert is sent: SLACK_WEBHOOK_URL is not set, or SLACK_ALERTS_ENABLED is false".to_owned(),
            );
        }
        if env.problems.is_empty() { Ok((config, env.warnings)) } else { Err(ConfigErrors(env.problems)) }
    }
}

/// Who is watched, and how often.
pub(super) struct Watched {
    balancers: Vec<RedactedUrl>,
    interval: Duration,
}

/// Also read, and so checked, by the balancer itself: one environment often serves both.
pub(super) fn read(env: &mut Reader) -> Watched {
    let (first, more) = (env.http_url("BALANCER_URL"), env.http_urls("BALANCER_URLS"));
    let mut balancers: Vec<RedactedUrl> = Vec::new();
    for url in first.into_iter().chain(more) {
        if !balancers.contains(&url) {
            balancers.push(url);
        }
    }
    Watched { balancers, interval: env.seconds("MONITOR_INTERVAL") }
}

impl Alerts {
    /// Where a test message goes, and the name of the service that it speaks for. `None`: nowhere.
    pub fn from_env(vars: impl Iterator<Item = (String, String)>) -> Result<(Alerts, String), ConfigErrors> {
        let mut env = Reader::new(vars);
        let (alerts, service) = (load::alerts(&mut env), env.name("SERVICE_NAME"));
        if env.problems.is_empty() { Ok((alerts, service)) } else { Err(ConfigErrors(env.problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<(MonitorConfig, Vec<Warning>), ConfigErrors> {
        MonitorConfig::from_env(vars.iter().map(|(name, value)| (name.to_string(), value.to_string())))
    }

    #[test]
    fn a_balancer_is_needed_and_everything_else_is_not() {
        let error = read(&[]).unwrap_err().to_string();
        assert!(error.starts_with("BALANCER_URL") && error.lines().count() == 1, "{error}");
        let (config, warnings) = read(&[("BALANCER_URL", "http://b:8000/")]).unwrap();
        assert!(config.nodes.is_empty() && config.database.is_none() && config.alerts.webhook.is_none());
        assert_eq!(config.balancers, [RedactedUrl::new("http://b:8000")]);
        assert!(warnings.iter().any(|warning| warning.0.contains("SLACK_WEBHOOK_URL")), "{warnings:?}");
    }

    #[test]
    fn what_is_given_is_checked_and_each_balancer_is_watched_once() {
        let urls = ("BALANCER_URLS", "http://b:8000,http://c:8000");
        let all = [
            ("BALANCER_URL", "http://b:8000"),
            urls,
            ("PRIMARY_URL", "http://p:8000"),
            ("DATABASE_URL", "no"),
        ];
        let error = read(&all).unwrap_err().to_string();
        assert!(error.starts_with("DATABASE_URL"), "{error}");
        let config = read(&all[..3]).unwrap().0;
        assert_eq!((config.balancers.len(), config.nodes.len()), (2, 1));
    }
}
