//! Clients that each ask again as soon as they are answered. It counts and times what came back, and judges
//! nothing.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::wire::Wire;

/// What one request is, for its place in the figures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
}

/// What one request is, and its bytes.
pub(crate) type Ask<'a> = (Kind, Cow<'a, [u8]>);

/// Seconds from request to whole answer, sorted.
#[derive(Clone, Default)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    pub(crate) fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }

    /// 0 without any.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
    }

    pub(crate) fn sorted(&self) -> &[f64] {
        &self.0
    }
}

/// What clients heard.
pub(crate) struct Heard {
    seconds: Vec<(Kind, f64)>,
    /// Answers by status; 0: none.
    statuses: BTreeMap<u16, u64>,
    pub(crate) begun: Instant,
    pub(crate) lasted: f64,
}

impl Heard {
    /// Answers that a client takes for a success.
    pub(crate) fn done(&self) -> u64 {
        self.statuses.iter().filter(|(status, _)| (200..300).contains(*status)).map(|(_, count)| count).sum()
    }

    /// The others, in words; `None`: there are none.
    pub(crate) fn failures(&self) -> Option<String> {
        let failed = self.statuses.iter().filter(|(status, _)| !(200..300).contains(*status));
        let words: Vec<String> = failed.map(|(status, count)| format!("{count} × {status}")).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    pub(crate) fn rate(&self) -> f64 {
        self.done() as f64 / self.lasted
    }

    pub(crate) fn times(&self) -> Times {
        Times::of(self.seconds.iter().map(|(_, seconds)| *seconds).collect())
    }

    pub(crate) fn times_of(&self, kind: Kind) -> Times {
        let ours = self.seconds.iter().filter(|(of, _)| *of == kind);
        Times::of(ours.map(|(_, seconds)| *seconds).collect())
    }
}

/// So many clients for so long. The `nth` request is asked once, by whoever comes first. Each client's first
/// request opens its connection and does not count.
pub(crate) async fn clients<'a>(
    port: u16,
    count: usize,
    span: Duration,
    ask: impl Fn(u64) -> Ask<'a>,
) -> Heard {
    until(port, count, |begun, _| begun.elapsed() >= span, ask).await
}

/// So many clients until so many requests are answered.
pub(crate) async fn requests<'a>(port: u16, count: usize, total: u64, ask: impl Fn(u64) -> Ask<'a>) -> Heard {
    let total = total + count as u64;
    until(port, count, |_, asked| asked >= total, ask).await
}

async fn until<'a>(
    port: u16,
    count: usize,
    ends: impl Fn(Instant, u64) -> bool,
    ask: impl Fn(u64) -> Ask<'a>,
) -> Heard {
    let asked = Cell::new(0);
    let next = || ask(asked.replace(asked.get() + 1));
    let mut wires: Vec<Wire> = (0..count).map(|_| Wire::to(port)).collect();
    let opened = join_all(wires.iter_mut().map(async |wire| wire.send(&next().1).await)).await;
    let unreached = opened.iter().filter(|answer| answer.is_err()).count();
    assert!(unreached < count, "nobody answers on port {port}: {:?}", opened.first());
    let (seconds, statuses) = (RefCell::new(Vec::new()), RefCell::new(BTreeMap::new()));
    let begun = Instant::now();
    let work = wires.iter_mut().map(async |wire| {
        while !ends(begun, asked.get()) {
            let (kind, bytes) = next();
            let sent = Instant::now();
            let status = wire.send(&bytes).await.unwrap_or(0);
            *statuses.borrow_mut().entry(status).or_insert(0) += 1;
            match status {
                200..300 => seconds.borrow_mut().push((kind, sent.elapsed().as_secs_f64())),
                // Who is refused at once must not take the processor from who is served.
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    });
    join_all(work).await;
    let lasted = begun.elapsed().as_secs_f64();
    Heard { seconds: seconds.into_inner(), statuses: statuses.into_inner(), begun, lasted }
}
