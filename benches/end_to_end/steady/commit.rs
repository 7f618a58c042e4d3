//! How long does PostgreSQL take to make one row durable? Transactions like those of the log, one after the other,
//! in a table of their own.

use std::time::Instant;

use tokio_postgres::Client;

use crate::end_to_end::load::Times;
use crate::end_to_end::requests::noise;

pub(crate) async fn commits(client: &Client, bytes: usize, count: usize) -> Times {
    let table = "CREATE TABLE bench_commits (nth bigserial PRIMARY KEY, data bytea)";
    client.batch_execute(table).await.expect("a table");
    let row = client.prepare("INSERT INTO bench_commits (data) VALUES ($1)").await.expect("a statement");
    let (body, mut seconds) = (noise(bytes).into_bytes(), Vec::new());
    for _ in 0..count {
        let begun = Instant::now();
        client.execute(&row, &[&body]).await.expect("a row");
        seconds.push(begun.elapsed().as_secs_f64());
    }
    client.batch_execute("DROP TABLE bench_commits").await.expect("no table");
    Times::of(seconds)
}
