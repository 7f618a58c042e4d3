//! What somebody outside tells, look by look.

use super::*;
use crate::alert::Phase;

fn fails() -> Sight {
    Sight::Fails("connection refused".to_owned())
}

/// The balancers, then a node, then PostgreSQL; an empty list: two balancers are looked at.
struct Scene {
    outside: Outside,
    now_ms: u64,
}

impl Scene {
    fn new() -> Scene {
        Scene { outside: Outside::new(3), now_ms: 0 }
    }

    fn look(&mut self, balancers: [&Sight; 2], node: &Sight, postgres: &Sight) -> Vec<Alert> {
        self.now_ms += 1_000;
        let round = vec![
            (Kind::BalancerGone, "http://a:8000".to_owned(), balancers[0].clone()),
            (Kind::BalancerGone, "http://b:8000".to_owned(), balancers[1].clone()),
            (Kind::NodeDown, "primary".to_owned(), node.clone()),
            (Kind::Postgres, "PostgreSQL".to_owned(), postgres.clone()),
        ];
        self.outside.look(round, self.now_ms)
    }

    fn keys(&mut self, times: usize, balancers: [&Sight; 2], node: &Sight, postgres: &Sight) -> Vec<String> {
        let mut told = Vec::new();
        (0..times).for_each(|_| told.extend(self.look(balancers, node, postgres)));
        told.iter().map(|alert| format!("{:?} {}", alert.phase, alert.key)).collect()
    }
}

const FINE: Sight = Sight::Answers;

#[test]
fn a_balancer_is_gone_after_some_looks_and_back_after_one() {
    let (mut scene, bad) = (Scene::new(), fails());
    assert!(scene.keys(9, [&FINE, &FINE], &FINE, &FINE).is_empty());
    assert!(scene.keys(2, [&bad, &FINE], &FINE, &FINE).is_empty());
    assert!(scene.keys(1, [&FINE, &FINE], &FINE, &FINE).is_empty(), "a blip");
    let told: Vec<Alert> = (0..9).flat_map(|_| scene.look([&bad, &FINE], &FINE, &FINE)).collect();
    let [gone] = told.try_into().unwrap();
    assert_eq!((gone.key.as_str(), gone.severity), ("balancer-gone:http://a:8000", Severity::Warning));
    assert_eq!(gone.at_ms, 13_000, "since the first look that failed");
    let [all_gone] =
        (0..9).flat_map(|_| scene.look([&bad, &bad], &FINE, &FINE)).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(
        (all_gone.key.as_str(), all_gone.severity),
        ("balancer-gone:http://b:8000", Severity::Critical)
    );
    assert!(all_gone.what.ends_with("primary and PostgreSQL answer."), "{}", all_gone.what);
    let back = scene.keys(9, [&FINE, &FINE], &FINE, &FINE);
    assert_eq!(back, ["Resolved balancer-gone:http://a:8000", "Resolved balancer-gone:http://b:8000"]);
}

#[test]
fn nodes_and_postgres_are_told_only_while_no_balancer_could() {
    let (mut scene, bad, gone) = (Scene::new(), fails(), Sight::Gone("no answer within 750 ms".to_owned()));
    assert!(scene.keys(9, [&FINE, &bad], &gone, &bad).iter().all(|told| told.contains("balancer-gone")));
    let told = scene.keys(9, [&bad, &bad], &gone, &bad);
    let expected = ["Opened balancer-gone:http://a:8000", "Opened node-down:primary", "Opened postgres"];
    assert_eq!(told, expected);
    assert_eq!(scene.keys(9, [&bad, &bad], &FINE, &bad), ["Resolved node-down:primary"]);
    let told: Vec<Alert> = (0..9).flat_map(|_| scene.look([&FINE, &bad], &FINE, &bad)).collect();
    let words: Vec<(Phase, &str)> = told.iter().map(|alert| (alert.phase, alert.title.as_str())).collect();
    let back = (Phase::Resolved, "The balancer answers again");
    assert_eq!(words, [back, (Phase::Resolved, "A balancer watches PostgreSQL again")]);
}

#[test]
fn what_is_known_of_each_part_is_shown() {
    let (mut scene, bad) = (Scene::new(), fails());
    scene.look([&FINE, &bad], &FINE, &FINE);
    let shown: Vec<_> = scene.outside.parts().map(|p| (p.name.as_str(), p.answers, p.failures)).collect();
    let balancers = [("http://a:8000", true, 0), ("http://b:8000", true, 1)];
    assert_eq!(shown, [balancers, [("primary", true, 0), ("PostgreSQL", true, 0)]].concat());
}
