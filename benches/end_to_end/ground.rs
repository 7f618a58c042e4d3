//! The servers that are measured: real ones, and stubs, each with a balancer before them, and nginx and HAProxy
//! before what is asked directly. It starts them and gives out collections; it measures nothing.

use chroma_ha::dev::{Chroma, ChromaOptions};
use serde_json::json;

use super::figures::Side;
use super::load::requests;
use super::page::until_applied;
use super::proxies::Proxy;
use super::requests::{Ack, COLLECTIONS, HELD, Requests};
use super::stub::Stub;
use super::wire::{Wire, request};
use crate::harness::surface::until_state;
use crate::harness::{Balancer, Options, Place, Stack, shared, toolbox};

/// Whom a measured request goes to. Without a process of its own it is no proxy.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) side: Side,
    pub(crate) port: u16,
    pub(crate) pid: Option<u32>,
}

/// Two Chroma servers behind the balancer, and a third one that is asked directly: it gets the same writes, so
/// that all are equally full.
pub(crate) struct Real {
    pub(crate) stack: Stack,
    pub(crate) bare: Chroma,
    pub(crate) held: Pair,
    proxies: Vec<Proxy>,
    pairs: u32,
}

/// A collection of the same name on both sides.
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) direct: Requests,
    pub(crate) balanced: Requests,
}

impl Pair {
    pub(crate) fn at(&self, side: Side) -> &Requests {
        if side == Side::Balancer { &self.balanced } else { &self.direct }
    }
}

impl Real {
    pub(crate) async fn start() -> Self {
        eprintln!("starting PostgreSQL, three Chroma servers and the balancer");
        let stack = Stack::start(Options::default()).await;
        let options = ChromaOptions::new("bare", stack.place.join("bare"));
        let bare = Chroma::start(&toolbox(), options).await.unwrap_or_else(|reason| panic!("{reason}"));
        let proxies = proxies(bare.port(), &stack.place).await;
        let held = pair(stack.balancer.port(), bare.port(), "held").await;
        let real = Self { stack, bare, held, proxies, pairs: 0 };
        for target in real.sides() {
            hold(target.port, real.held.at(target.side)).await;
        }
        until_applied(real.balancer()).await;
        real
    }

    pub(crate) fn balancer(&self) -> u16 {
        self.stack.balancer.port()
    }

    /// Bare Chroma and the balancer.
    pub(crate) fn sides(&self) -> [Target; 2] {
        let balancer = Target { side: Side::Balancer, port: self.balancer(), pid: self.stack.balancer.pid() };
        [Target { side: Side::Direct, port: self.bare.port(), pid: None }, balancer]
    }

    pub(crate) fn targets(&self) -> Vec<Target> {
        with_proxies(self.sides(), &self.proxies)
    }

    /// How many pairs there were.
    pub(crate) fn pairs(&self) -> u32 {
        self.pairs
    }

    /// An empty collection on both sides.
    pub(crate) async fn pair(&mut self) -> Pair {
        self.pairs += 1;
        pair(self.balancer(), self.bare.port(), &format!("bench-{}", self.pairs)).await
    }

    /// A collection that holds data slows Chroma for good.
    pub(crate) async fn drop_pair(&self, pair: Pair) {
        until_applied(self.balancer()).await;
        for target in self.sides() {
            remove(target.port, &pair.name).await;
        }
        until_applied(self.balancer()).await;
    }

    /// A collection by the id that one node has for it.
    pub(crate) async fn on_node(&self, node: usize, name: &str) -> Requests {
        let asked = request("GET", &format!("{COLLECTIONS}/{name}"), "", b"");
        Requests::of(&id(self.stack.nodes[node].port(), &asked).await)
    }
}

fn with_proxies(sides: [Target; 2], proxies: &[Proxy]) -> Vec<Target> {
    let [direct, balancer] = sides;
    let between = proxies.iter().map(|p| Target { side: p.side, port: p.port, pid: Some(p.pid()) });
    [direct].into_iter().chain(between).chain([balancer]).collect()
}

async fn proxies(upstream: u16, place: &Place) -> Vec<Proxy> {
    let mut started = Vec::new();
    for side in [Side::Nginx, Side::Haproxy] {
        match Proxy::start(side, upstream, place).await {
            Some(proxy) => started.push(proxy),
            None => eprintln!("{}: not installed: skipped", side.name()),
        }
    }
    started
}

async fn pair(balancer: u16, bare: u16, name: &str) -> Pair {
    let (direct, balanced) = (create(bare, name).await, create(balancer, name).await);
    until_applied(balancer).await;
    Pair { name: name.to_owned(), direct, balanced }
}

pub(crate) async fn create(port: u16, name: &str) -> Requests {
    let body = json!({"name": name}).to_string();
    Requests::of(&id(port, &request("POST", COLLECTIONS, "", body.as_bytes())).await)
}

pub(crate) async fn remove(port: u16, name: &str) {
    let gone = request("DELETE", &format!("{COLLECTIONS}/{name}"), "", b"");
    assert_eq!(Wire::to(port).send(&gone).await.expect("an answer"), 200, "{name} is deleted");
}

/// The records that reads go to, and that make all servers equally full.
pub(crate) async fn hold(port: u16, held: &Requests) {
    let heard = requests(port, 1, HELD / 100, |nth| held.write(nth, 100, Ack::All)).await;
    assert_eq!(heard.failures(), None, "the records that are held");
}

async fn id(port: u16, asked: &[u8]) -> String {
    let mut wire = Wire::to(port);
    let status = wire.send(asked).await.expect("an answer");
    let shown = String::from_utf8_lossy(wire.body()).into_owned();
    assert_eq!(status, 200, "{shown}");
    let collection: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    collection["id"].as_str().expect("an id").to_owned()
}

/// A balancer before stubs, and a database of its own.
pub(crate) struct Stubs {
    pub(crate) balancer: Balancer,
    pub(crate) nodes: Vec<Stub>,
    pub(crate) database_url: String,
    proxies: Vec<Proxy>,
    _place: Place,
}

impl Stubs {
    pub(crate) async fn start(nodes: usize) -> Self {
        eprintln!("starting {nodes} stubs and the balancer");
        let place = Place::new("stubs");
        let nodes: Vec<Stub> = (0..nodes).map(|_| Stub::start()).collect();
        let database_url = shared::database().await;
        let urls: Vec<String> = nodes.iter().skip(1).map(Stub::url).collect();
        let env = [
            ("DATABASE_URL", database_url.clone()),
            ("PRIMARY_URL", nodes[0].url()),
            ("REPLICA_URLS", urls.join(",")),
            ("WAL_MEMORY_THRESHOLD", "100".to_owned()),
            ("WAL_CPU_THRESHOLD", "100".to_owned()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let balancer = Balancer::start(env, place.join("balancer.log")).await;
        for at in 0..nodes.len() {
            let name = if at == 0 { "primary".to_owned() } else { format!("replica-{at}") };
            until_state(&balancer.url(), &name, "up").await;
        }
        let proxies = proxies(nodes[0].port(), &place).await;
        Self { balancer, nodes, database_url, proxies, _place: place }
    }

    pub(crate) fn targets(&self) -> Vec<Target> {
        let direct = Target { side: Side::Direct, port: self.nodes[0].port(), pid: None };
        let (port, pid) = (self.balancer.port(), self.balancer.pid());
        with_proxies([direct, Target { side: Side::Balancer, port, pid }], &self.proxies)
    }
}
