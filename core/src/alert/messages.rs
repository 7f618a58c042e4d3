//! Every message that can be told, word by word: whoever changes one reads all of it. And what holds for
//! each of them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::backlog::BacklogLimits;
use super::kind::Kind;
use super::lookout::{Facts, Lookout, NodeFacts, Predecessor};
use super::outside::{Outside, Sight};
use super::*;
use crate::headline::Log;
use crate::health::NodeState;
use crate::ids::{Seq, Stream};
use crate::sequencer::Matter;

/// Longest title: two lines of a phone.
const TITLE: usize = 80;

const ID: &str = "0194d3c1-7b6e-7a54-9f3c-2f6f0c1d2e3f";

fn node(name: &str, state: NodeState, since_ms: u64, reason: &str) -> NodeFacts {
    NodeFacts { name: name.to_owned(), state, since_ms, reason: reason.to_owned(), lag: 0, oldest_ms: None }
}

fn calm() -> Facts {
    let up = |name| node(name, NodeState::Up, 0, "everything in the log is applied");
    Facts {
        log: Log::Here,
        log_answers: true,
        log_fault: None,
        predecessor: None,
        acting: Some("primary".to_owned()),
        first_choice: "primary".to_owned(),
        nodes: vec![up("primary"), up("replica-1"), up("replica-2")],
    }
}

fn before(epoch: u64, gave_away: bool) -> Predecessor {
    Predecessor { address: "balancer-b:8000".to_owned(), epoch, gave_away }
}

/// The scenes with the moments at which they are looked at, in seconds.
fn cluster() -> Vec<Alert> {
    let down = "3 probes in a row failed, the last with: connection refused";
    let mut lookout = Lookout::new(
        BacklogLimits { entries: 10_000, age: Duration::from_secs(300) },
        Duration::from_secs(10),
    );
    let mut told = Vec::new();
    let mut at = |second: u64, change: &dyn Fn(&mut Facts)| {
        let mut facts = calm();
        change(&mut facts);
        told.extend(lookout.look(&facts, second * 1_000));
    };
    let gone = |n: usize, since: u64| {
        move |facts: &mut Facts| {
            facts.nodes[n].state = NodeState::Down;
            facts.nodes[n].since_ms = since * 1_000;
            facts.nodes[n].reason = down.to_owned();
        }
    };
    at(100, &gone(1, 100));
    at(210, &|facts| {
        facts.nodes[1] = node("replica-1", NodeState::Settling { until: Duration::ZERO }, 210_000, "")
    });
    at(275, &|facts| {
        facts.nodes[1] = NodeFacts { lag: 12_345, ..node("replica-1", NodeState::CatchingUp, 211_000, "") };
    });
    at(300, &|_| ());
    at(400, &|facts| {
        gone(0, 400)(facts);
        facts.acting = Some("replica-1".to_owned());
    });
    at(403, &|facts| {
        gone(0, 400)(facts);
        facts.acting = Some("replica-1".to_owned());
    });
    at(405, &|facts| (0..3).for_each(|n| gone(n, 404)(facts)));
    at(450, &|_| ());
    at(454, &|_| ());
    let behind = |facts: &mut Facts| (facts.nodes[2].lag, facts.nodes[2].oldest_ms) = (12_345, Some(100_000));
    at(500, &behind);
    at(600, &|_| ());
    let lost = |facts: &mut Facts| {
        (facts.log, facts.log_answers) = (Log::Lost, false);
        facts.log_fault = Some("PostgreSQL cannot be reached: connection refused".to_owned());
    };
    at(700, &lost);
    at(705, &lost);
    at(800, &|_| ());
    at(900, &|facts| facts.log = Log::Lost);
    at(920, &|facts| facts.log = Log::Lost);
    at(930, &|facts| facts.log = Log::Elsewhere("http://balancer-b:8000".to_owned()));
    at(940, &|facts| facts.predecessor = Some(before(7, true)));
    at(960, &|facts| facts.predecessor = Some(before(8, false)));
    told
}

fn matters() -> Vec<Alert> {
    let place = || format!("default_tenant/default_database/docs ({ID})");
    let reason = "it was gone when the node came back".to_owned();
    let what = "3 records differ, the first ids: a, b, c".to_owned();
    let all = [
        (
            "dead-letter:replica-1:42",
            Matter::DeadLetter { stream: Stream::Catalog, seq: Seq(42), place: place() },
        ),
        ("quarantine:replica-1", Matter::Quarantine { collections: 2, first: place(), reason }),
        ("amnesia:replica-1", Matter::Amnesia { collections: 2 }),
        (&format!("lost:{ID}"), Matter::Lost { place: place() }),
        (&format!("divergence:replica-1:{ID}"), Matter::Divergence { place: place(), what }),
        (&format!("poison:{ID}"), Matter::Poison { seq: Seq(42), place: place() }),
    ];
    let both = |(key, open): &(&str, Matter)| {
        [matter::opened(key, "replica-1", open, 100_000), matter::resolved(key, "replica-1", open, 160_000)]
    };
    let mut told: Vec<Alert> = all.iter().flat_map(both).collect();
    told.push(matter::refused_late(ID, "w-1", 100_000));
    told.push(matter::unmatched("replica-1", ID, "w-1", 3, 100_000));
    told
}

fn actors() -> Vec<Alert> {
    let minute = Duration::from_secs(60);
    vec![
        actor::fallen("replay replica-1", "It panicked: index out of bounds", 1, minute, 100_000),
        actor::fallen("replay replica-1", "It stopped itself", 2, minute, 100_000),
        actor::hangs("replay replica-1", Duration::from_secs(12), Duration::from_secs(30), 100_000),
        actor::answers("replay replica-1", 110_000),
        actor::giving_up("actor wal did not answer for 31 s", 100_000),
    ]
}

fn outside() -> Vec<Alert> {
    let mut outside = Outside::new(3);
    let fails = || Sight::Fails("connection refused".to_owned());
    let part = |kind, name: &str, sight| (kind, name.to_owned(), sight);
    let mut told = Vec::new();
    let mut look = |times: u64, second: u64, sights: [Sight; 4]| {
        let [a, b, node, postgres] = sights;
        let round = vec![
            part(Kind::BalancerGone, "http://a:8000", a),
            part(Kind::BalancerGone, "http://b:8000", b),
            part(Kind::NodeDown, "replica-1", node),
            part(Kind::Postgres, "PostgreSQL", postgres),
        ];
        (0..times).for_each(|n| told.extend(outside.look(round.clone(), (second + n) * 1_000)));
    };
    let fine = || Sight::Answers;
    look(3, 100, [fails(), fine(), fine(), fine()]);
    look(3, 110, [fails(), fails(), fine(), fine()]);
    look(3, 120, [fails(), fails(), fails(), fails()]);
    look(1, 200, [fails(), fails(), fine(), fine()]);
    look(3, 210, [fails(), fails(), Sight::Gone("no answer within 750 ms".to_owned()), fine()]);
    look(1, 300, [fine(), fine(), fails(), fine()]);
    told
}

fn files() -> Vec<Alert> {
    let told = |(kept, fault): (file::Kept, &str)| {
        [file::unusable(kept, fault, 100_000), file::usable(kept, 160_000)]
    };
    let keys = (file::Kept::ApiKeys, "line 3: key `bot`: its scope must be read, write or admin");
    let fault = "TLS_KEY_FILE /etc/tls.key cannot be used: it does not fit the certificate";
    [keys, (file::Kept::Certificate, fault)].into_iter().flat_map(told).collect()
}

fn others() -> Vec<Alert> {
    let mut fold = fold::Fold::of(&actors()[0]);
    actors().iter().skip(1).for_each(|alert| fold.add(alert));
    vec![fold.told(), test("chroma-ha", 100_000)]
}

fn every_message() -> Vec<Alert> {
    let mut desk = Desk::new(DeskLimits { cool_down_ms: 0, burst: usize::MAX, ..DeskLimits::default() });
    let all = [cluster(), matters(), actors(), outside(), files(), others()].concat();
    // As they leave: with how long it lasted.
    all.into_iter().flat_map(|alert| desk.accept(alert, 0)).collect()
}

fn shown(alert: &Alert) -> String {
    let Alert { key, severity, phase, title, what, effect, action, at_ms } = alert;
    format!("## {key} {severity:?} {phase:?} {}\n{title}\n{what}\n{effect}\n{action}\n", at_ms / 1_000)
}

#[test]
fn the_messages_are_those_that_were_read() {
    let now: Vec<String> = every_message().iter().map(shown).collect();
    let now = now.join("\n");
    let known = include_str!("messages.txt");
    assert!(now == known, "read them all, then replace core/src/alert/messages.txt by:\n{now}");
}

#[test]
fn each_is_short_complete_and_of_a_kind() {
    let mut kinds = BTreeSet::new();
    for alert in every_message() {
        let text = shown(&alert);
        let kind = Kind::of_key(&alert.key).unwrap_or_else(|| panic!("no kind: {text}"));
        kinds.insert(kind);
        assert!(alert.title.chars().count() <= TITLE && !alert.title.ends_with('.'), "{text}");
        for part in [&alert.title, &alert.what, &alert.effect, &alert.action] {
            assert!(!part.is_empty() && part.trim() == part, "{text}");
        }
        assert!(alert.at_ms > 0, "since when: {text}");
        // The command that mends it must be complete; nobody reads 36 characters elsewhere.
        assert!(kind == Kind::Unmatched || !format!("{}{}", alert.title, alert.what).contains(ID), "{text}");
    }
    let silent: Vec<Kind> = Kind::all().filter(|kind| !kinds.contains(kind)).collect();
    assert_eq!(silent, [Kind::Pressure], "told by the actor that measures it");
}
