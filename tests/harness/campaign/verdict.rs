//! Once all is well again: do the nodes hold the same, is every record on them one that may be, and does
//! the balancer show what they hold? Nodes are read directly; each wrong thing is a line.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::time::sleep;

use super::arena::Arena;
use super::book::{Book, Hub, STABLE, born_label, stable_name};
use super::names_client::BORN;
use crate::harness::client::try_request;
use crate::harness::history::names::NameOp;
use crate::harness::history::names::Names;
use crate::harness::history::record::{Kept, Row, row};
use crate::harness::history::{Call, Object, What, judge};
use crate::harness::nodes::{Records, collections_url, difference, read};

/// Nodes that are up with nothing pending may still be answering a late request.
pub(super) const EQUAL_IN: Duration = Duration::from_secs(15);

const POLL: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Acknowledged, and on no node in the end.
    Lost,
    /// Deleted, and there in the end.
    Resurrected,
    /// In a state that no order of the log explains.
    Inadmissible,
    /// Nodes hold different things.
    Diverged,
    /// An answer that misses what was acknowledged before, or denies what is there.
    StaleRead,
    /// Not all well again in time.
    NotConverged,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Lost => "lost",
            Kind::Resurrected => "resurrected",
            Kind::Inadmissible => "inadmissible",
            Kind::Diverged => "diverged",
            Kind::StaleRead => "read-your-writes violations",
            Kind::NotConverged => "not converged",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    pub(crate) kind: Kind,
    pub(crate) what: String,
}

pub(super) fn wrong_of(kind: Kind, what: String) -> Wrong {
    Wrong { kind, what }
}

pub(crate) struct Verdict {
    pub(crate) wrong: Vec<Wrong>,
    /// Objects whose histories leave too many possibilities.
    pub(crate) undecided: usize,
    pub(crate) judged: usize,
}

/// Everything of one server, by labels: `stable-n`, `born-n`.
#[derive(Debug, PartialEq)]
struct Holdings {
    names: BTreeMap<String, u64>,
    records: BTreeMap<String, Records>,
}

/// All collections and their records, as one address shows them.
async fn holdings(url: &str) -> Result<Holdings, String> {
    let asked = try_request(Method::GET, &collections_url(url), None).await;
    let (status, list) = asked.map_err(|reason| format!("the list: {reason:?}"))?;
    let listed = list.as_array().filter(|_| status == 200).ok_or(format!("the list: {status} {list}"))?;
    let mut found = Holdings { names: BTreeMap::new(), records: BTreeMap::new() };
    for one in listed {
        let name = one["name"].as_str().unwrap_or_default();
        let label = match one["metadata"][BORN].as_u64() {
            Some(born) => {
                found.names.insert(name.to_owned(), born);
                born_label(born)
            }
            None => name.to_owned(),
        };
        let records = read(url, name).await.map_err(|reason| format!("{name}: {reason}"))?;
        if found.records.insert(label.clone(), records).is_some() {
            return Err(format!("{label} is there twice: {list}"));
        }
    }
    Ok(found)
}

fn unequal(one: &Holdings, other: &Holdings) -> Option<String> {
    if one.names != other.names || one.records.keys().ne(other.records.keys()) {
        return Some(format!(
            "collections {:?} {:?} and {:?} {:?}",
            one.names,
            one.records.keys(),
            other.names,
            other.records.keys()
        ));
    }
    let differ = |(label, records): (&String, &Records)| {
        difference(records, &other.records[label]).map(|how| format!("{label}: {how}"))
    };
    one.records.iter().find_map(differ)
}

/// What all nodes hold, and the balancer shows; or how they differ.
async fn agreed(arena: &Arena) -> Result<Holdings, String> {
    let mut all = Vec::new();
    for node in &arena.stack.nodes {
        let held = holdings(&node.url()).await.map_err(|reason| format!("{}: {reason}", node.name()))?;
        all.push((node.name().to_owned(), held));
    }
    let (url, _) = arena.holder().await.ok_or("nobody holds the lease")?;
    let shown = holdings(&url).await.map_err(|reason| format!("balancer: {reason}"))?;
    let (first, held) = all.remove(0);
    for (name, other) in all.into_iter().chain([("the balancer".to_owned(), shown)]) {
        if let Some(how) = unequal(&held, &other) {
            return Err(format!("{first} and {name}: {how}"));
        }
    }
    Ok(held)
}

pub(crate) async fn verdict(arena: &Arena, hub: &Hub, equal_in: Duration) -> Verdict {
    let begun = Instant::now();
    let held = loop {
        match agreed(arena).await {
            Ok(held) => break Ok(held),
            Err(reason) if begun.elapsed() > equal_in => break Err(reason),
            Err(_) => sleep(POLL).await,
        }
    };
    let book = hub.book();
    let mut verdict = Verdict { wrong: Vec::new(), undecided: 0, judged: 0 };
    verdict.wrong.extend(book.wrong.iter().map(|what| wrong_of(Kind::StaleRead, what.clone())));
    match held {
        Ok(held) => judged(&book, &held, &mut verdict),
        Err(reason) => verdict.wrong.push(wrong_of(Kind::Diverged, reason)),
    }
    verdict
}

fn judged(book: &Book, held: &Holdings, verdict: &mut Verdict) {
    for calls in book.names.values() {
        let own: BTreeSet<&str> = calls.iter().map(name_in).collect();
        let shown = held.names.iter().filter(|(name, _)| own.contains(name.as_str()));
        let shown = shown.map(|(name, born)| (name.clone(), *born)).collect();
        object::<Names>("names", BTreeMap::new(), calls, Some(&shown), verdict, |_| Kind::Inadmissible);
    }
    for ((label, id), calls) in &book.records {
        let name = format!("{label}/{id}");
        let Some(records) = held.records.get(label) else {
            object::<Kept>(&name, None, calls, None, verdict, |_| Kind::Lost);
            continue;
        };
        match records.get(id).map(|record| row(record).ok_or(record)).transpose() {
            Ok(state) => {
                object::<Kept>(&name, None, calls, Some(&state), verdict, |finals| kind(finals, &state))
            }
            Err(record) => {
                verdict.wrong.push(wrong_of(Kind::Inadmissible, format!("{name}: no write made {record:?}")));
            }
        }
    }
    let known = |label: &String, id: &String| book.records.contains_key(&(label.clone(), id.clone()));
    for (label, records) in &held.records {
        let strange = records.keys().filter(|id| *id != "seed" && !known(label, id));
        let line = |id| wrong_of(Kind::Inadmissible, format!("{label}/{id} was never written"));
        verdict.wrong.extend(strange.map(line));
    }
    for at in (0..STABLE).filter(|at| !held.records.contains_key(&stable_name(*at))) {
        verdict.wrong.push(wrong_of(Kind::Lost, format!("collection {}", stable_name(at))));
    }
}

fn name_in(call: &Call<Names>) -> &str {
    match &call.what {
        What::Read(found) => &found.name,
        What::Write(NameOp::Create { name, .. } | NameOp::Delete { name }, _) => name,
        What::Write(NameOp::Rename { to, .. }, _) => to,
    }
}

fn kind(finals: &BTreeSet<Option<Row>>, state: &Option<Row>) -> Kind {
    match state {
        None => Kind::Lost,
        Some(_) if finals.iter().all(Option::is_none) => Kind::Resurrected,
        Some(_) => Kind::Inadmissible,
    }
}

/// Judges one history; `held` is what the nodes have, if there is anything to be held.
fn object<O: Object>(
    name: &str,
    initial: O::State,
    calls: &[Call<O>],
    held: Option<&O::State>,
    verdict: &mut Verdict,
    kind: impl Fn(&BTreeSet<O::State>) -> Kind,
) {
    let judgement = judge::<O>(initial, calls);
    verdict.judged += 1;
    for at in &judgement.wrong {
        let line = format!("{name}: no order explains {:?}", calls[*at]);
        verdict.wrong.push(wrong_of(Kind::StaleRead, line));
    }
    if judgement.undecided {
        verdict.undecided += 1;
        return;
    }
    if let Some(held) = held.filter(|held| !judgement.finals.contains(held)) {
        let line = format!("{name} is {held:?}, may be one of {:?}", judgement.finals);
        verdict.wrong.push(wrong_of(kind(&judgement.finals), line));
    }
}
