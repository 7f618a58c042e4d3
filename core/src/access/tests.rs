//! Every scope on every kind of route, every bound against every way to name something, every wrong line.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ids::CollectionId;
use crate::route::classify;

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const ID: &str = "b7bbf51e-8f0c-4c0e-8f0c-2f3f1e0b7bbf";

fn key(words: &str) -> Key {
    let mut words = words.splitn(3, ' ');
    let (name, scope, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or(""));
    parse(&format!("{name} {scope} sha256:{HEX} {rest}")).unwrap().unwrap()
}

fn id() -> CollectionId {
    CollectionId(Uuid::parse_str(ID).unwrap())
}

/// `allowed`, `if` or the reason.
fn judged(key: &Key, method: &str, path: &str) -> String {
    match key.may(&asked(&classify(method, path))) {
        Verdict::Allowed => "allowed".to_owned(),
        Verdict::IfWithin(found) => {
            assert_eq!(found, id());
            "if".to_owned()
        }
        Verdict::Refused(Refusal::Scope { .. }) => "scope".to_owned(),
        Verdict::Refused(Refusal::Outside { .. }) => "outside".to_owned(),
        Verdict::Refused(Refusal::Bound { .. }) => "bound".to_owned(),
    }
}

/// What each key hears: unbound read, write, admin; write bound to tenant t, to t and d, to t and e, to u.
const TABLE: &[(&str, &str, [&str; 7])] = &[
    ("GET", "/api/v2/heartbeat", ["allowed"; 7]),
    ("GET", "/api/v2/version", ["allowed"; 7]),
    ("GET", "/api/v2/pre-flight-checks", ["allowed"; 7]),
    ("GET", "/api/v2/auth/identity", ["allowed"; 7]),
    ("GET", "/api/v2", ["allowed"; 7]),
    ("GET", "/api/v1/collections", ["allowed"; 7]),
    ("POST", "/api/v1/reset", ["allowed"; 7]),
    ("POST", "/api/v2/nothing", ["allowed"; 7]),
    ("GET", "/api/v2/%2e%2e/x", ["allowed"; 7]),
    ("GET", "/api/v2/nothing", ["allowed", "allowed", "allowed", "bound", "bound", "bound", "bound"]),
    ("GET", "/api/v2/%68eartbeat", ["allowed", "allowed", "allowed", "bound", "bound", "bound", "bound"]),
    (
        "GET",
        "/api/v2/tenants/t/databases/d/news",
        ["allowed", "allowed", "allowed", "bound", "bound", "bound", "bound"],
    ),
    (
        "GET",
        "/api/v2/tenants/t/databases/d/collections/c/news",
        ["allowed", "allowed", "allowed", "bound", "bound", "bound", "bound"],
    ),
    ("GET", "/api/v2/collections/a:b", ["allowed", "allowed", "allowed", "bound", "bound", "bound", "bound"]),
    (
        "GET",
        "/api/v2/collections/t:d:c",
        ["allowed", "allowed", "allowed", "allowed", "allowed", "outside", "outside"],
    ),
    (
        "GET",
        "/api/v2/collections/t%3Ad%3Ac",
        ["allowed", "allowed", "allowed", "allowed", "allowed", "outside", "outside"],
    ),
    (
        "GET",
        "/api/v2/tenants/t",
        ["allowed", "allowed", "allowed", "allowed", "allowed", "allowed", "outside"],
    ),
    (
        "HEAD",
        "/api/v2/tenants/%74",
        ["allowed", "allowed", "allowed", "allowed", "allowed", "allowed", "outside"],
    ),
    ("PATCH", "/api/v2/tenants/t", ["scope", "allowed", "allowed", "bound", "bound", "bound", "bound"]),
    ("POST", "/api/v2/tenants", ["scope", "allowed", "allowed", "bound", "bound", "bound", "bound"]),
    ("POST", "/api/v2/reset", ["scope", "scope", "allowed", "scope", "scope", "scope", "scope"]),
    (
        "GET",
        "/api/v2/tenants/t/databases",
        ["allowed", "allowed", "allowed", "allowed", "outside", "outside", "outside"],
    ),
    (
        "POST",
        "/api/v2/tenants/t/databases",
        ["scope", "allowed", "allowed", "allowed", "outside", "outside", "outside"],
    ),
    (
        "GET",
        "/api/v2/tenants/t/databases/d",
        ["allowed", "allowed", "allowed", "allowed", "allowed", "outside", "outside"],
    ),
    (
        "DELETE",
        "/api/v2/tenants/t/databases/d",
        ["scope", "allowed", "allowed", "allowed", "outside", "outside", "outside"],
    ),
    (
        "GET",
        "/api/v2/tenants/t/databases/d/collections",
        ["allowed", "allowed", "allowed", "allowed", "allowed", "outside", "outside"],
    ),
    (
        "GET",
        "/api/v2/tenants/t/databases/d/collections_count",
        ["allowed", "allowed", "allowed", "allowed", "allowed", "outside", "outside"],
    ),
    (
        "GET",
        "/api/v2/tenants/T/databases/d/collections",
        ["allowed", "allowed", "allowed", "outside", "outside", "outside", "outside"],
    ),
    (
        "GET",
        "/api/v2/tenants/t%20/databases/d/collections",
        ["allowed", "allowed", "allowed", "outside", "outside", "outside", "outside"],
    ),
    (
        "POST",
        "/api/v2/tenants/t/databases/d/collections",
        ["scope", "allowed", "allowed", "allowed", "allowed", "outside", "outside"],
    ),
    (
        "GET",
        "/api/v2/tenants/t/databases/d/collections/c",
        ["allowed", "allowed", "allowed", "allowed", "allowed", "outside", "outside"],
    ),
    (
        "DELETE",
        "/api/v2/tenants/%74/databases/%64/collections/c",
        ["scope", "allowed", "allowed", "allowed", "allowed", "outside", "outside"],
    ),
];

/// The same below a collection, where only its real place counts: whatever the path says.
const BELOW: &[(&str, &str, [&str; 7])] = &[
    ("POST", "/get", ["allowed", "allowed", "allowed", "if", "if", "if", "if"]),
    ("POST", "/query", ["allowed", "allowed", "allowed", "if", "if", "if", "if"]),
    ("GET", "/count", ["allowed", "allowed", "allowed", "if", "if", "if", "if"]),
    ("GET", "/news", ["allowed", "allowed", "allowed", "if", "if", "if", "if"]),
    ("POST", "/add", ["scope", "allowed", "allowed", "if", "if", "if", "if"]),
    ("POST", "/upsert", ["scope", "allowed", "allowed", "if", "if", "if", "if"]),
    ("POST", "/update", ["scope", "allowed", "allowed", "if", "if", "if", "if"]),
    ("POST", "/delete", ["scope", "allowed", "allowed", "if", "if", "if", "if"]),
    ("PUT", "", ["scope", "allowed", "allowed", "if", "if", "if", "if"]),
];

fn keys() -> [Key; 7] {
    [
        key("r read"),
        key("w write"),
        key("a admin"),
        key("t write tenant=t"),
        key("td write tenant=t database=d"),
        key("te write tenant=t database=e"),
        key("u write tenant=u"),
    ]
}

#[test]
fn each_scope_and_bound_on_each_kind_of_route() {
    let keys = keys();
    for (method, path, expected) in TABLE {
        let heard: Vec<String> = keys.iter().map(|key| judged(key, method, path)).collect();
        assert_eq!(heard, *expected, "{method} {path}");
    }
    let spellings = [
        ID.to_owned(),
        ID.to_uppercase(),
        ID.replace('-', ""),
        format!("%7B{ID}%7D"),
        format!("urn:uuid:{ID}"),
    ];
    for spelling in spellings {
        for place in ["tenants/t/databases/d", "tenants/u/databases/d", "tenants/none/databases/none"] {
            for (method, below, expected) in BELOW {
                let path = format!("/api/v2/{place}/collections/{spelling}{below}");
                let heard: Vec<String> = keys.iter().map(|key| judged(key, method, &path)).collect();
                assert_eq!(heard, *expected, "{method} {path}");
            }
        }
    }
    // By id both count: what the path says, and where it is.
    let path = format!("/api/v2/tenants/t/databases/d/collections/by-id/{ID}");
    let heard: Vec<String> = keys.iter().map(|key| judged(key, "GET", &path)).collect();
    assert_eq!(heard, ["allowed", "allowed", "allowed", "if", "if", "outside", "outside"]);
}

#[test]
fn a_key_is_found_by_its_hash_alone() {
    let hashed = |n: u8, name: &str| Key { hash: Hash([n; 32]), ..key(&format!("{name} read")) };
    let keys = Keys::try_new([hashed(1, "one"), hashed(2, "two"), hashed(3, "three")]).unwrap();
    let name = |n: u8| keys.find(&Hash([n; 32])).map(|key| key.name.clone());
    assert_eq!((name(1).as_deref(), name(3).as_deref(), name(4)), (Some("one"), Some("three"), None));
    assert!(Keys::default().find(&Hash([0; 32])).is_none() && Keys::default().is_empty());
    let clash = |one, other| Keys::try_new([one, other]).unwrap_err().to_string();
    assert!(clash(hashed(1, "a"), hashed(2, "a")).contains("`a` is there twice"));
    assert!(clash(hashed(1, "a"), hashed(1, "b")).contains("the same key"));
    let many = (0..=MOST_KEYS).map(|n| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&n.to_be_bytes());
        Key { hash: Hash(hash), ..key(&format!("k{n} read")) }
    });
    assert_eq!(Keys::try_new(many).unwrap_err(), Clash::TooMany);
}

#[test]
fn a_line_is_read_or_refused_in_one_line() {
    assert_eq!(parse("").unwrap(), None);
    assert_eq!(parse("  # bot write").unwrap(), None);
    let read = key("bot write tenant=a%20b database=c");
    assert_eq!(read.bounds, Bounds::Database { tenant: "a b".into(), database: "c".into() });
    assert_eq!(read.hash.0[31], 31);
    assert_eq!(format!("{:?}", read.hash), "***");
    let good = format!("bot write sha256:{HEX}");
    for (line, says) in [
        ("bot!", "accepted is NAME SCOPE"),
        ("bot", "its scope must be"),
        ("cha_secret", "its scope must be"),
        ("cha_secret read", "its hash must be"),
        ("bot all", "its scope must be"),
        ("bot write", "its hash must be"),
        ("bot write cha_secret", "its hash must be"),
        ("bot write sha256:0g", "its hash must be"),
        (&format!("bot write md5:{HEX}"), "its hash must be"),
        (&format!("{good} tenant="), "an empty name"),
        (&format!("{good} tenant=a tenant=b"), "one tenant"),
        (&format!("{good} database=d"), "with its tenant"),
        (&format!("{good} tenant=%ff"), "UTF-8"),
        (&format!("{good} region=x"), "only tenant=NAME"),
        (&format!("bot admin sha256:{HEX} tenant=a"), "cannot be bound"),
    ] {
        let fault = parse(line).unwrap_err().to_string();
        assert!(fault.contains(says) && fault.lines().count() == 1, "{line}: {fault}");
        assert!(!fault.contains("secret") && !fault.contains("md5"), "{fault}");
    }
}

proptest! {
    /// What is printed is read again.
    #[test]
    fn a_line_is_its_key(
        name in "[A-Za-z0-9_.-]{1,64}",
        scope in prop::sample::select(vec![Scope::Read, Scope::Write]),
        hash: [u8; 32],
        tenant in prop::option::of("\\PC{1,20}"),
        database in prop::option::of("\\PC{1,20}"),
    ) {
        let bounds = match (tenant, database) {
            (None, _) => Bounds::Everything,
            (Some(tenant), None) => Bounds::Tenant(tenant),
            (Some(tenant), Some(database)) => Bounds::Database { tenant, database },
        };
        let key = Key { name, scope, bounds, hash: Hash(hash) };
        prop_assert_eq!(parse(&key.to_string()), Ok(Some(key)));
    }

    /// Whatever stands in a path: a bound key is let through only to its own place, or where the place is
    /// looked up.
    #[test]
    fn no_path_leads_a_bound_key_outside(
        method in prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
        parts in prop::collection::vec(prop::sample::select(vec![
            "tenants", "databases", "collections", "by-id", "t", "u", "%74", "%75", "d", "e", "", "t:d:c", "u:d:c",
            ID, "get", "add", "count", "reset", "collections_count", "functions", "x",
        ]), 0..9),
    ) {
        let path = format!("/api/v2/{}", parts.join("/"));
        let key = key("b write tenant=t database=d");
        let route = classify(method, &path);
        let asked = asked(&route);
        if key.may(&asked) == Verdict::Allowed {
            let own = match asked.of {
                Of::Nobody => true,
                Of::NameOfTenant(tenant) => tenant == "t",
                Of::Database(tenant, database) => (tenant, database) == ("t", "d"),
                _ => false,
            };
            prop_assert!(own, "{} {}: {:?}", method, path, asked);
        }
    }

    /// More scope never allows less.
    #[test]
    fn scopes_are_ordered(at in 0..TABLE.len()) {
        let (method, path, _) = TABLE[at];
        let [read, write, admin, ..] = keys();
        let allowed = |key: &Key| judged(key, method, path) == "allowed";
        prop_assert!(allowed(&read) <= allowed(&write) && allowed(&write) <= allowed(&admin));
    }
}
