//! What does a database hold before anything was logged, and who may make its tables? It appends nothing.

use super::*;

#[tokio::test]
async fn a_fresh_log_holds_the_defaults_and_starts_at_zero() {
    let base = Base::new().await;
    let (log, recovered) = base.holder().await;
    assert_eq!((recovered.head, recovered.epoch), (Seq::ZERO, 1));
    assert_eq!(recovered.tenants, ["default_tenant"]);
    let default = (Uuid::nil(), "default_tenant".to_owned(), "default_database".to_owned());
    assert_eq!(recovered.databases, [default]);
    assert!(recovered.collections.is_empty() && recovered.deleted.is_empty() && recovered.nodes.is_empty());
    log.check().await.unwrap();
    assert_eq!(seqs(&log, all(1, 100)).await, (vec![], 0));
}

#[tokio::test]
async fn two_migrations_at_once_are_one() {
    let server = server::shared();
    let admin = connect(&server.url("postgres")).await;
    admin.batch_execute("CREATE DATABASE twice").await.unwrap();
    let settings = Settings::parse(&server.url("twice")).unwrap();
    let (a, b) = tokio::join!(postgres::migrate(&settings), postgres::migrate(&settings));
    let (a, b) = (a.unwrap(), b.unwrap());
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    let version = |file: std::io::Result<std::fs::DirEntry>| {
        let name = file.unwrap().file_name().into_string().unwrap();
        name.strip_prefix('V')?.split_once("__")?.0.parse::<i32>().ok()
    };
    let versions: Vec<i32> = files.filter_map(version).collect();
    assert_eq!(a.applied.len() + b.applied.len(), versions.len(), "{a:?} {b:?}");
    let latest = versions.into_iter().max().unwrap();
    assert_eq!((a.version, b.version), (latest, latest));
    assert_eq!(postgres::check(&settings).await.unwrap().schema_version, Some(latest));

    admin.batch_execute("CREATE DATABASE foreign_table").await.unwrap();
    let foreign = connect(&server.url("foreign_table")).await;
    foreign.batch_execute("CREATE TABLE wal_pending_writes (id uuid)").await.unwrap();
    let settings = Settings::parse(&server.url("foreign_table")).unwrap();
    let error = postgres::migrate(&settings).await.unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
}
