//! Does anything cost more because the log is long? The replica is away, so that every row of it waits, which is
//! the worst case: nothing may be deleted, and the returning node will want it all.

use std::time::Instant;

use super::probe::{Chart, probe};
use crate::end_to_end::context::Context;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::{Stubs, create};
use crate::end_to_end::load::requests;
use crate::end_to_end::page::{Page, until_applied};
use crate::end_to_end::requests::Requests;
use crate::harness::sql::{connect, fill};
use crate::harness::surface::{metric, until_state};
use crate::harness::until;

pub(crate) const SECTION: &str = "Cost by the length of the log (2 stub nodes, the replica is away)";
pub(crate) const START: &str = "start until ready";

const CHART: Chart = ("rows", "Cost by the length of the log", ["rows that wait", "p50 ms"]);
const COLLECTIONS: usize = 20;
const WRITES: u64 = 5;
const SOON: std::time::Duration = std::time::Duration::from_secs(60);

pub(crate) async fn measure(context: &mut Context) {
    let mut stubs = Stubs::start(2).await;
    let asked = outage(&mut stubs).await;
    look(&mut stubs, context, &asked).await;
    stubs.balancer.stop().await;
    let (client, rows) = (connect(&stubs.database_url).await, context.options.rows);
    eprintln!("    making a log of {rows} rows");
    let kinds = fill(&client, rows).await;
    assert!(kinds > 0, "the balancer logged nothing while the replica was away");
    look(&mut stubs, context, &asked).await;
}

/// The replica misses a few writes to each of some collections.
async fn outage(stubs: &mut Stubs) -> Requests {
    let port = stubs.balancer.port();
    let mut made = Vec::new();
    for nth in 0..COLLECTIONS {
        made.push(create(port, &format!("missed-{nth}")).await);
    }
    until_applied(port).await;
    stubs.nodes[1].stop();
    until_state(&stubs.balancer.url(), "replica-1", "down").await;
    for one in &made {
        let heard = requests(port, 1, WRITES, |nth| one.small_write(nth)).await;
        assert_eq!(heard.failures(), None, "writes while the replica is away");
    }
    made.swap_remove(0)
}

async fn look(stubs: &mut Stubs, context: &mut Context, asked: &Requests) {
    stubs.balancer.stop().await;
    let begun = Instant::now();
    stubs.balancer.start_again().await;
    let ready = begun.elapsed().as_secs_f64();
    let url = stubs.balancer.url();
    until(SOON, "it holds the log", async || metric(&url, "chroma_ha_lease_held").await == 1.0).await;
    until_state(&url, "primary", "up").await;
    let waiting = Page::of(stubs.balancer.port()).await.lag();
    let words = format!("{waiting} rows");
    context.figures.note(SECTION, format!("{words}: {START}"), "s", Side::Balancer, ready);
    probe(stubs, context, (SECTION, CHART), (asked, waiting, &words), false).await;
}
