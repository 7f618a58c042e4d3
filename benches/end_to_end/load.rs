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

/// One answer: its status (0: none came), when it was there and after how many seconds.
struct Answer {
    kind: Kind,
    status: u16,
    /// Seconds since the clients began.
    at: f64,
    took: f64,
}

impl Answer {
    /// What a client takes for a success.
    fn is_done(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What clients heard.
pub(crate) struct Heard {
    answers: Vec<Answer>,
    pub(crate) begun: Instant,
    pub(crate) lasted: f64,
}

impl Heard {
    pub(crate) fn done(&self) -> u64 {
        self.answers.iter().filter(|answer| answer.is_done()).count() as u64
    }

    /// What was no success, in words; `None`: everything was.
    pub(crate) fn failures(&self) -> Option<String> {
        let mut statuses = BTreeMap::new();
        for answer in self.answers.iter().filter(|answer| !answer.is_done()) {
            *statuses.entry(answer.status).or_insert(0_u64) += 1;
        }
        let words: Vec<String> =
            statuses.iter().map(|(status, count)| format!("{count} × {status}")).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    pub(crate) fn rate(&self) -> f64 {
        self.done() as f64 / self.lasted
    }

    pub(crate) fn times(&self) -> Times {
        self.times_if(|_| true)
    }

    pub(crate) fn times_of(&self, kind: Kind) -> Times {
        self.times_if(|answer| answer.kind == kind)
    }

    fn times_if(&self, ours: impl Fn(&Answer) -> bool) -> Times {
        let done = self.answers.iter().filter(|answer| answer.is_done() && ours(answer));
        Times::of(done.map(|answer| answer.took).collect())
    }

    /// What was heard before the first answer that was no success, and from then on.
    pub(crate) fn parted(self) -> (Heard, Option<Heard>) {
        let (begun, lasted) = (self.begun, self.lasted);
        let failed = self.answers.iter().filter(|answer| !answer.is_done()).map(|answer| answer.at);
        let Some(moment) = failed.reduce(f64::min) else { return (self, None) };
        let (before, after) = self.answers.into_iter().partition(|answer| answer.at < moment);
        let rest = Heard { answers: after, begun, lasted: lasted - moment };
        (Heard { answers: before, begun, lasted: moment }, Some(rest))
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
    let answers = RefCell::new(Vec::new());
    let begun = Instant::now();
    let work = wires.iter_mut().map(async |wire| {
        while !ends(begun, asked.get()) {
            let (kind, bytes) = next();
            let sent = Instant::now();
            let status = wire.send(&bytes).await.unwrap_or(0);
            let (at, took) = (begun.elapsed().as_secs_f64(), sent.elapsed().as_secs_f64());
            let answer = Answer { kind, status, at, took };
            if !answer.is_done() {
                // Who is refused at once must not take the processor from who is served.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            answers.borrow_mut().push(answer);
        }
    });
    join_all(work).await;
    let lasted = begun.elapsed().as_secs_f64();
    Heard { answers: answers.into_inner(), begun, lasted }
}

/// One after the other, each begun in step with the clock, for a span; what is late
/// does not catch up.
pub(crate) async fn paced(span: Duration, pace: Duration, mut one: impl AsyncFnMut(u64) -> f64) -> Vec<f64> {
    let (begun, mut seconds) = (tokio::time::Instant::now(), Vec::new());
    for nth in 0..(span.as_secs_f64() / pace.as_secs_f64()) as u64 {
        tokio::time::sleep_until(begun + pace.mul_f64(nth as f64)).await;
        seconds.push(one(nth).await);
    }
    seconds
}
