//! What does one client wait for that writes one record at a time, and for what of it?

use crate::end_to_end::context::Context;
use crate::end_to_end::figures::Side;
use crate::end_to_end::ground::Real;
use crate::end_to_end::load::{Times, clients};
use crate::end_to_end::page::Page;
use crate::end_to_end::requests::Ack;
use crate::end_to_end::steady::commit::commits;
use crate::harness::sql::connect;

pub(crate) const SECTION: &str = "One client, one record at a time";
pub(crate) const WRITE: &str = "one write";
pub(crate) const COMMIT: &str = "one commit of PostgreSQL";

/// Both sides by turns, so that both see the machine as it is.
const SLICES: u32 = 4;
const COMMITS: usize = 200;
/// Of a one-record write.
const BODY_BYTES: usize = 2_300;

pub(crate) async fn measure(real: &mut Real, context: &mut Context) {
    let pair = real.pair().await;
    let before = Page::of(real.balancer()).await;
    let (mut nth, mut seconds) = (0, [Vec::new(), Vec::new()]);
    for slice in 0..SLICES {
        let mut sides = real.sides();
        if (slice + context.round).is_multiple_of(2) {
            sides.reverse();
        }
        for target in sides {
            let requests = pair.at(target.side);
            let ask = |at: u64| requests.write(nth + at, 1, Ack::Usual);
            let heard = clients(target.port, 1, context.span() / SLICES, ask).await;
            context.note_failures(WRITE, target.side, &heard);
            seconds[usize::from(target.side == Side::Balancer)].extend_from_slice(heard.times().sorted());
        }
        nth += 100_000;
    }
    let after = Page::of(real.balancer()).await;
    for (side, seconds) in [Side::Direct, Side::Balancer].into_iter().zip(seconds) {
        context.note_times(SECTION, WRITE, side, &Times::of(seconds));
    }
    let commits = commits(&connect(&real.stack.database_url).await, BODY_BYTES, COMMITS).await;
    context.note_times(SECTION, COMMIT, Side::Direct, &commits);
    breakdown(context, "one write, of one client", &before, &after);
    real.drop_pair(pair).await;
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
