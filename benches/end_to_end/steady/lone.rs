//! What does one client wait for that writes one record at a time, and for what of it? Once in step with the
//! clock, so that every write finds servers at rest; then one after the other, when the replica still applies the
//! last one; and one after the other through a balancer with one node only, which is what the balancer costs itself.

use std::time::{Duration, Instant};

use crate::end_to_end::beside::Single;
use crate::end_to_end::context::Context;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::{Real, Target};
use crate::end_to_end::load::{Times, clients, paced};
use crate::end_to_end::page::Page;
use crate::end_to_end::requests::{Ack, Requests};
use crate::end_to_end::steady::commit::commits;
use crate::end_to_end::wire::Wire;
use crate::harness::sql::connect;

pub(crate) const SECTION: &str = "One client";
/// Alone on the machine.
pub(crate) const WRITE: &str = "one write every 100 ms";
pub(crate) const AGAIN: &str = "one write after the other";
pub(crate) const SINGLE: &str = "one write after the other, one node only";
pub(crate) const BATCH: &str = "100 records after the other, one node only";
pub(crate) const COMMIT: &str = "one commit of PostgreSQL";

const PACE: Duration = Duration::from_millis(100);
/// All sides by turns, so that all see the machine as it is.
const SLICES: u32 = 4;
/// No slice writes as many.
const APART: u64 = 100_000;
const COMMITS: usize = 200;
/// Of a one-record write.
const BODY_BYTES: usize = 2_300;

/// How one side is written to.
#[derive(Clone, Copy)]
struct Way<'a> {
    target: Target,
    requests: &'a Requests,
    records: u64,
    /// `None`: as soon as the last write is answered.
    pace: Option<Duration>,
}

pub(crate) async fn measure(real: &mut Real, context: &mut Context) {
    let (pair, single) = (real.pair().await, Single::start().await);
    let [direct, balancer] = real.sides();
    let way = |target, requests| Way { target, requests, records: 1, pace: None };
    let (direct, two) = (way(direct, &pair.direct), way(balancer, &pair.balanced));
    let one = way(single.target(), &single.requests);
    let pages = async || (Page::of(two.target.port).await, Page::of(one.target.port).await);

    let (before, _) = pages().await;
    let paced = [direct, two].map(|way| Way { pace: Some(PACE), ..way });
    note(context, &[(WRITE, 0), (WRITE, 1)], &slices(context, 0, &paced).await, &paced);
    let (between, between_single) = pages().await;
    let ways = [direct, two, one];
    let times = slices(context, 1, &ways).await;
    note(context, &[(AGAIN, 0), (AGAIN, 1), (SINGLE, 0), (SINGLE, 2)], &times, &ways);
    let (after, after_single) = pages().await;
    let batches = [direct, one].map(|way| Way { records: 100, ..way });
    note(context, &[(BATCH, 0), (BATCH, 1)], &slices(context, 2, &batches).await, &batches);

    let commits = commits(&connect(&real.stack.database_url).await, BODY_BYTES, COMMITS).await;
    context.note_times(SECTION, COMMIT, Side::Direct, &commits);
    breakdown(context, WRITE, &before, &between);
    breakdown(context, AGAIN, &between, &after);
    breakdown(context, SINGLE, &between_single, &after_single);
    real.drop_pair(pair).await;
}

/// Rows by name, each with the place of its way.
fn note(context: &mut Context, rows: &[(&str, usize)], times: &[Times], ways: &[Way<'_>]) {
    for (measure, at) in rows {
        context.note_times(SECTION, measure, ways[*at].target.side, &times[*at]);
    }
}

async fn slices(context: &Context, part: u32, ways: &[Way<'_>]) -> Vec<Times> {
    let mut seconds = vec![Vec::new(); ways.len()];
    for slice in 0..SLICES {
        let first = u64::from(part * SLICES + slice) * APART;
        let mut order: Vec<usize> = (0..ways.len()).collect();
        if (slice + context.round).is_multiple_of(2) {
            order.reverse();
        }
        for at in order {
            seconds[at].extend(ways[at].written(first, context.span() / SLICES).await);
        }
    }
    seconds.into_iter().map(Times::of).collect()
}

impl Way<'_> {
    /// Seconds of each write; the first one opens the connection and does not count.
    async fn written(&self, first: u64, span: Duration) -> Vec<f64> {
        let port = self.target.port;
        let ask = |nth: u64| self.requests.write(first + nth, self.records, Ack::Usual);
        let Some(pace) = self.pace else {
            let heard = clients(port, 1, span, ask).await;
            assert_eq!(heard.failures(), None, "writes of one client");
            return heard.times().sorted().to_vec();
        };
        let mut wire = Wire::to(port);
        let mut write = async |nth: u64| {
            let ((_, bytes), begun) = (ask(nth), Instant::now());
            assert_eq!(wire.send(&bytes).await.expect("an answer"), 200);
            begun.elapsed().as_secs_f64()
        };
        write(0).await;
        paced(span, pace, async |nth| write(nth + 1).await).await
    }
}

/// Where the time of a write went between two looks at the balancer's own histograms, as means.
pub(crate) fn breakdown(context: &mut Context, measure: &str, before: &Page, after: &Page) {
    const PARTS: &str = "Where the time of a write goes";
    let mean = |name: &str, label: &str| after.mean(before, name, label) * 1e3;
    let whole = mean("chroma_ha_request_seconds", "class=\"write\"");
    let append = mean("chroma_ha_wal_append_seconds", "");
    let commit = mean("chroma_ha_wal_commit_seconds", "");
    let apply = mean("chroma_ha_apply_seconds", "role=\"acting\"");
    for (part, ms) in [
        ("in the whole", whole),
        ("queue for the log", (append - commit).max(0.0)),
        ("log transaction", commit),
        ("request to the acting node", apply),
        ("turn in the lane, hand-overs, answer", (whole - append - apply).max(0.0)),
    ] {
        context.figures.note(PARTS, format!("{measure}: {part}"), "mean ms", Side::Balancer, ms);
    }
}
