//! What does the reader of the environment do with whatever may stand there? It never panics, names the variable that it
//! refuses, shows no secret, and what it accepts is within its bounds. First what is kept in `corpus`, then as many
//! cases from chance as `CHROMA_HA_FUZZ_CASES` says (2,000); those of the core are in `core/tests/fuzz.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

use chroma_ha::config::Config;
use chroma_ha::config::table::{Accepts, OPTIONS, Variable, find};
use proptest::prelude::*;

/// Stands for a secret in the corpus, and in what chance makes of addresses.
const HERE: &str = "{secret}";

const SECRET: &str = "hunter2Zq7";

const CORPUS: &str = include_str!("corpus/config.txt");

type Environment = Vec<(String, String)>;

/// The bounds of a number hold, if it is one.
fn is_within(variable: &Variable, value: &str) -> bool {
    match variable.accepts {
        Accepts::Whole(least, most) => {
            value.trim().parse().is_ok_and(|number: u64| (least..=most).contains(&number))
        }
        Accepts::Decimal(least, most) => {
            value.trim().parse().is_ok_and(|number: f64| (least..=most).contains(&number))
        }
        Accepts::Word(words) => words.contains(&value.trim().to_ascii_lowercase().as_str()),
        Accepts::HttpUrl | Accepts::SecretUrl => value.trim().to_ascii_lowercase().starts_with("http"),
        Accepts::PostgresUrl => value.trim().starts_with("postgres"),
        Accepts::Secret => value.trim().bytes().all(|byte| byte.is_ascii_graphic()),
        _ => true,
    }
}

fn check(environment: &Environment) -> Result<(), TestCaseError> {
    let environment: Environment =
        environment.iter().map(|(name, value)| (name.clone(), value.replace(HERE, SECRET))).collect();
    match Config::from_env(environment.iter().cloned()) {
        Ok((config, warnings)) => {
            let shown = format!("{config:?}{warnings:?}");
            prop_assert!(!shown.contains(SECRET), "{}", shown);
            // Of several values the last one counts.
            for variable in OPTIONS {
                let set = environment.iter().rev().find(|(name, _)| name == variable.name);
                let set = set.map(|(_, value)| value).filter(|value| !value.trim().is_empty());
                prop_assert!(
                    set.is_none_or(|value| is_within(variable, value)),
                    "{}={:?}",
                    variable.name,
                    set
                );
            }
        }
        Err(errors) => {
            let told = errors.to_string();
            prop_assert!(!told.contains(SECRET), "{}", told);
            prop_assert_eq!(told.lines().count(), errors.0.len());
            for problem in &errors.0 {
                prop_assert!(
                    problem.to_string().starts_with(problem.variable) && find(problem.variable).is_some()
                );
            }
        }
    }
    Ok(())
}

#[test]
fn what_is_kept_is_read_or_refused() {
    let blocks: Vec<&str> = CORPUS.split("\n---\n").collect();
    assert!(blocks.len() > 10);
    for block in blocks {
        let pairs = block.lines().filter_map(|line| line.split_once('='));
        let environment = pairs.map(|(name, value)| (name.to_owned(), value.replace("\\n", "\n"))).collect();
        check(&environment).unwrap_or_else(|reason| panic!("{block}: {reason}"));
    }
}

/// An address with a secret where people put one, rightly or not.
fn address() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec![
        "http://",
        "https://",
        "postgres://",
        "postgresql://",
        "ftp://",
        "HTTP://",
    ]);
    let user = prop::sample::select(vec![
        "",
        "u:{secret}@",
        "{secret}@",
        "{secret}:@",
        "u:a/{secret}@",
        "u:@{secret}@",
        "u:{secret}",
    ]);
    let host = prop::sample::select(vec!["h", "h:1", "[::1]:8000", "h:99999", "a:1,b:2", "", "h:port", "é"]);
    let rest = prop::sample::select(vec![
        "",
        "/",
        "/d",
        "/api/v2",
        "/d?sslmode=require",
        "?key={secret}",
        "/d?password={secret}&a=b",
        "#{secret}",
        "/a b",
    ]);
    (scheme, user, host, rest).prop_map(|(scheme, user, host, rest)| {
        // Nobody can tell a password from a host's name where there is nothing else.
        let host = if user.ends_with('@') || user.is_empty() { host } else { "" };
        format!("{scheme}{user}{host}{rest}")
    })
}

fn number() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "-1",
        "0",
        "1e3",
        "NaN",
        "inf",
        "-0",
        "18446744073709551616",
        "0x10",
        "1_000",
        "1.5",
        " 7 ",
        "+5",
        "٣",
        "",
    ]);
    prop_oneof![2 => odd.prop_map(str::to_owned), 2 => (0u64..2_000).prop_map(|number| number.to_string()), 1 => any::<f64>().prop_map(|number| number.to_string())]
}

/// A value that may fit the variable, or just not.
fn value(variable: &'static Variable) -> BoxedStrategy<String> {
    match variable.accepts {
        Accepts::HttpUrl | Accepts::PostgresUrl | Accepts::SecretUrl => address().boxed(),
        Accepts::HttpUrls => prop::collection::vec(address(), 1..4).prop_map(|all| all.join(",")).boxed(),
        Accepts::Whole(..) | Accepts::Decimal(..) => number().boxed(),
        Accepts::Secret | Accepts::Secrets | Accepts::Keys => prop::sample::select(vec![
            "{secret}",
            "{secret} b",
            "{secret} read",
            "{secret},",
            ",{secret}",
            "\u{e4}{secret}",
        ])
        .prop_map(str::to_owned)
        .boxed(),
        Accepts::Word(words) => {
            prop_oneof![4 => prop::sample::select(words).prop_map(str::to_uppercase), 1 => ".{0,8}"].boxed()
        }
        Accepts::Flag => prop_oneof![
            prop::sample::select(vec!["true", "ON", "0", "maybe"]).prop_map(str::to_owned),
            ".{0,4}"
        ]
        .boxed(),
        _ => prop_oneof![
            any::<String>(),
            Just("127.0.0.1".to_owned()),
            Just("info".to_owned()),
            Just("/".to_owned())
        ]
        .boxed(),
    }
}

fn environment() -> impl Strategy<Value = Environment> {
    let variable = prop::sample::select(OPTIONS)
        .prop_flat_map(|variable| (Just(variable.name.to_owned()), value(find(variable.name).unwrap())));
    let stranger = ("WAL_[A-Z]{1,6}", any::<String>());
    let some = prop::collection::vec(prop_oneof![9 => variable.boxed(), 1 => stranger.boxed()], 0..6);
    let needed = [("PRIMARY_URL", "http://h"), ("DATABASE_URL", "postgres://u:{secret}@h/d")];
    some.prop_map(move |some| {
        needed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).chain(some).collect()
    })
}

fn chance() -> ProptestConfig {
    let cases =
        std::env::var("CHROMA_HA_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(chance())]

    #[test]
    fn whatever_is_set_is_read_or_refused(environment in environment()) {
        check(&environment)?;
    }
}
