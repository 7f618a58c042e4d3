//! The environment as tests set it.

use super::*;

fn read(vars: &[(&str, &str)]) -> Result<(Config, Vec<Warning>), ConfigErrors> {
    let needed = [("PRIMARY_URL", "http://a:8000"), ("DATABASE_URL", "postgresql://u:pw@db/log")];
    let all = needed.iter().chain(vars).map(|(name, value)| (name.to_string(), value.to_string()));
    // The later of two settings holds, as in a map.
    let map: std::collections::BTreeMap<_, _> = all.collect();
    Config::from_env(map.into_iter())
}

/// Where nobody else reaches it.
const HERE: (&str, &str) = ("BIND_ADDRESS", "127.0.0.1");

fn good(vars: &[(&str, &str)]) -> Config {
    read(vars).unwrap().0
}

fn lines(vars: &[(&str, &str)]) -> Vec<String> {
    read(vars).unwrap_err().to_string().lines().map(str::to_owned).collect()
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let config = good(&[]);
    assert_eq!((config.listen.address.to_string().as_str(), config.listen.port), ("0.0.0.0", 8000));
    assert_eq!(config.health, HealthConfig::default());
    assert_eq!(config.pressure, Thresholds::default());
    assert_eq!((config.wal.batch_size, config.wal.high_volume_batch_size), (100, 200));
    assert_eq!(config.limits.max_body_bytes, 40 * 1024 * 1024);
    assert_eq!(config.wal.write_ack, WriteAck::Applied);
    assert_eq!(config.reads.strategy, Strategy::OptimizedReadReplica);
    assert!(config.wal.deletion_conversion && config.admin_token.is_none());
    assert!((1..=8).contains(&config.listen.workers));
}

#[test]
fn every_default_of_the_table_is_accepted_when_set_by_hand() {
    for variable in table::OPTIONS {
        if let table::Preset::Value(value) = variable.default {
            assert!(read(&[(variable.name, value)]).is_ok(), "{}", variable.name);
        }
    }
}

#[test]
fn every_variable_of_the_table_is_read() {
    for variable in table::OPTIONS {
        // A value that no variable accepts.
        let found = read(&[(variable.name, "\u{1}, \u{1}")]).unwrap_err();
        assert!(found.0.iter().any(|problem| problem.variable == variable.name), "{}", variable.name);
    }
}

#[test]
fn nodes_come_in_order_with_their_credentials() {
    let config = good(&[
        ("REPLICA_URL", "http://b:8000/"),
        ("REPLICA_URLS", "http://c:8000, https://d,"),
        ("PRIMARY_AUTH_TOKEN", "p"),
        ("REPLICA_AUTH_TOKEN", "all"),
        ("REPLICA_AUTH_TOKENS", ",c,"),
        ("REPLICA_AUTH_HEADER", "X-Chroma-Token"),
    ]);
    let facts = |node: &NodeConfig| {
        let (name, value) = node.auth.as_ref().unwrap().header();
        format!("{} {} {name}={}", node.id, node.url, value.expose())
    };
    assert_eq!(
        config.nodes.iter().map(facts).collect::<Vec<_>>(),
        [
            "primary http://a:8000 authorization=Bearer p",
            "replica-1 http://b:8000 x-chroma-token=all",
            "replica-2 http://c:8000 x-chroma-token=c",
            "replica-3 https://d x-chroma-token=all",
        ]
    );
}

#[test]
fn all_problems_come_at_once_one_line_each() {
    let found = lines(&[
        ("PRIMARY_URL", "ftp://a"),
        ("CHECK_INTERVAL", "fast\nlane"),
        ("PORT", "70000"),
        ("WAL_ENABLED", "false"),
        ("WRITE_ACK", "maybe"),
    ]);
    assert_eq!(
        found,
        [
            "PRIMARY_URL=\"ftp://a\" is refused: accepted is an http:// or https:// URL",
            "PORT=\"70000\" is refused: accepted is a whole number from 1 to 65535",
            "CHECK_INTERVAL=\"fast\\nlane\" is refused: accepted is a number from 0.1 to 60 s",
            "WAL_ENABLED=\"false\" is refused: every write goes through the log, so it cannot be off; accepted \
             is true",
            "WRITE_ACK=\"maybe\" is refused: accepted is applied, all, log",
        ]
    );
}

#[test]
fn what_is_required_is_asked_for() {
    let found = Config::from_env(std::iter::empty()).unwrap_err().to_string();
    assert!(found.contains("PRIMARY_URL is not set") && found.contains("DATABASE_URL is not set"), "{found}");
    assert_eq!(found.lines().count(), 2);
}

#[test]
fn a_server_is_named_once() {
    assert!(lines(&[("REPLICA_URL", "http://A:8000/")])[0].contains("is the primary"));
    let twice = lines(&[("REPLICA_URL", "http://b"), ("REPLICA_URLS", "http://b:80/,http://c")]);
    assert!(
        twice.len() == 1 && twice[0].starts_with("REPLICA_URLS=") && twice[0].contains("twice"),
        "{twice:?}"
    );
}

#[test]
fn batch_sizes_fit_together() {
    assert_eq!(good(&[("WAL_BATCH_SIZE", "500")]).wal.high_volume_batch_size, 500);
    let found = lines(&[("WAL_BATCH_SIZE", "500"), ("WAL_HIGH_VOLUME_BATCH_SIZE", "300")]);
    assert!(found[0].contains("at least WAL_BATCH_SIZE, which is 500"), "{found:?}");
}

#[test]
fn a_door_that_stands_open_is_told() {
    let key = format!("bot read sha256:{}", "0f".repeat(32));
    let told = |vars: &[(&str, &str)]| {
        let (config, warnings) = read(vars).unwrap();
        let told = warnings.iter().any(|warning| warning.0.starts_with("no API keys are set"));
        assert_eq!(config.keys.is_some(), vars.iter().any(|(name, _)| *name == "API_KEYS"));
        told
    };
    assert!(told(&[]) && told(&[("BIND_ADDRESS", "::")]) && told(&[("ADMIN_TOKEN", "x")]));
    assert!(!told(&[HERE]) && !told(&[("BIND_ADDRESS", "::1")]) && !told(&[("API_KEYS", &key)]));
}

#[test]
fn half_a_certificate_or_a_wrong_one_is_refused() {
    for (vars, says) in [
        (
            &[("TLS_CERT_FILE", "Cargo.toml")][..],
            "TLS_CERT_FILE=\"Cargo.toml\" is refused: it is of no use without TLS_KEY_FILE",
        ),
        (&[("TLS_KEY_FILE", "Cargo.toml")], "it is of no use without TLS_CERT_FILE"),
        (&[("TLS_CERT_FILE", "Cargo.toml"), ("TLS_KEY_FILE", "Cargo.toml")], "it holds no PEM certificate"),
        (&[("ADVERTISE_CA_FILE", "Cargo.toml")], "it holds no certificate"),
        (&[("NODE_CA_FILE", "Cargo.toml")], "it holds no certificate"),
    ] {
        let said = lines(vars);
        assert!(said.len() == 1 && said[0].contains(says), "{said:?}");
    }
}

#[test]
fn what_everybody_may_see_holds_no_secret() {
    let found = lines(&[("ADVERTISE_URL", "http://me:hunter2@b:8000")]);
    assert!(found[0].contains("without user and password") && !found[0].contains("hunter2"), "{found:?}");
    assert!(good(&[("ADVERTISE_URL", "http://b:8000")]).listen.advertise_url.is_some());
}

#[test]
fn unknown_wal_names_warn() {
    let (_, warnings) = read(&[("WAL_BATCHSIZE", "5"), ("REPLICA_URL", "http://b"), HERE]).unwrap();
    assert!(warnings.len() == 1 && warnings[0].0.starts_with("WAL_BATCHSIZE is not known"), "{warnings:?}");
}

#[test]
fn blank_counts_as_not_set() {
    assert_eq!(good(&[("PORT", " "), ("SLACK_WEBHOOK_URL", "")]).listen.port, 8000);
}

#[test]
fn secrets_are_never_shown() {
    let secret = "hunter2";
    let url = format!("https://u:{secret}@hooks.example/{secret}");
    let node = format!("http://u:{secret}@b:1");
    let vars = [
        ("SLACK_WEBHOOK_URL", url.as_str()),
        ("ADMIN_TOKEN", secret),
        ("PRIMARY_AUTH_TOKEN", secret),
        ("REPLICA_AUTH_TOKENS", secret),
        ("REPLICA_URL", node.as_str()),
        ("DATABASE_URL", "postgres://u:hunter2@db/log?password=hunter2"),
    ];
    let shown = format!("{:?}", good(&vars));
    assert!(!shown.contains(secret) && shown.contains("postgres://db/log"), "{shown}");
    let bad = [
        ("SLACK_WEBHOOK_URL", "hunter2 hunter2"),
        ("ADMIN_TOKEN", "hunter2 hunter2"),
        ("REPLICA_AUTH_TOKENS", "hunter2,hunter2"),
        ("REPLICA_URLS", "http://u:hunter2,@b, http://c?hunter2"),
        ("ADVERTISE_URL", "http://u:hunter2"),
        ("DATABASE_URL", "host=db password=hunter2"),
        ("PRIMARY_URL", "ftp://u:hunter2@b?hunter2"),
    ];
    for problem in lines(&bad) {
        assert!(!problem.contains(secret), "{problem}");
    }
    assert_eq!(lines(&bad).len(), bad.len());
}
