//! One balancer, its nodes and its database, for one test. Everything ends with the value.

use chroma_ha::dev::{Chroma, ChromaOptions, Postgres, PostgresOptions};
use futures_util::future::join_all;

use super::chaos::{ChaosProxy, Links, Wires};
use super::status::until_all_up;
use super::{Balancer, Place, shared};

pub(crate) struct Options {
    /// Primary first, then replicas.
    pub(crate) nodes: usize,
    pub(crate) allow_reset: bool,
    /// A PostgreSQL server that the test may stop; 20 connections, as small hosts give.
    pub(crate) own_postgres: bool,
    /// A chaos proxy on every link; see `Stack::links`.
    pub(crate) chaos: bool,
    /// More variables for the balancer.
    pub(crate) env: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 2, allow_reset: false, own_postgres: false, chaos: false, env: Vec::new() }
    }
}

impl Options {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Fields are dropped from the top: who uses before who is used, the files last.
pub(crate) struct Stack {
    pub(crate) balancer: Balancer,
    pub(crate) nodes: Vec<Chroma>,
    /// Only with `own_postgres`.
    pub(crate) postgres: Option<Postgres>,
    /// As balancers reach it.
    pub(crate) database_url: String,
    /// Only with `chaos`.
    pub(crate) links: Option<Links>,
    pub(crate) place: Place,
    balancers: usize,
    env: Vec<(String, String)>,
}

impl Stack {
    /// Every node is up: the balancer itself is ready, and may take writes, as soon as one is.
    pub(crate) async fn start(options: Options) -> Self {
        let place = Place::new("stack");
        let nodes = start_nodes(&place, options.nodes, options.allow_reset).await;
        let stack = Self::over(place, nodes, options).await;
        until_all_up(&stack).await;
        stack
    }

    /// A balancer over nodes that run already, with whatever they hold.
    pub(crate) async fn over(place: Place, nodes: Vec<Chroma>, options: Options) -> Self {
        let (postgres, direct) = start_database(&place, options.own_postgres).await;
        let wires = if options.chaos { Some(Wires::before(&nodes, &direct).await) } else { None };
        let database_url = wires.as_ref().map_or(direct, |wires| wires.database_url.clone());
        let node_urls: Vec<String> = match &wires {
            Some(wires) => wires.nodes.iter().map(ChaosProxy::url).collect(),
            None => nodes.iter().map(Chroma::url).collect(),
        };
        let env = environment(&node_urls, &database_url, &options.env);
        let balancer = Balancer::start(env.clone(), place.join("balancer-1.log")).await;
        let links = match wires {
            Some(wires) => Some(Links::before(balancer.port(), wires).await),
            None => None,
        };
        Self { balancer, nodes, postgres, database_url, links, place, balancers: 1, env }
    }

    /// Another balancer on the same database and nodes.
    pub(crate) async fn balancer_beside(&mut self) -> Balancer {
        self.balancers += 1;
        let log = self.place.join(&format!("balancer-{}.log", self.balancers));
        Balancer::start(self.env.clone(), log).await
    }

    /// The same, not yet ready: it stands by while another one holds the lease.
    pub(crate) fn launch_beside(&mut self) -> Balancer {
        self.balancers += 1;
        let log = self.place.join(&format!("balancer-{}.log", self.balancers));
        Balancer::launched(self.env.clone(), log)
    }

    pub(crate) fn url(&self) -> String {
        self.balancer.url()
    }

    pub(crate) fn links(&self) -> &Links {
        self.links.as_ref().expect("a stack with `chaos`")
    }

    pub(crate) fn primary(&mut self) -> &mut Chroma {
        &mut self.nodes[0]
    }

    pub(crate) fn replica(&mut self) -> &mut Chroma {
        &mut self.nodes[1]
    }
}

/// Real Chroma servers without a balancer, named primary, replica, replica-2, ...
pub(crate) async fn start_nodes(place: &Place, count: usize, allow_reset: bool) -> Vec<Chroma> {
    start_all(place, vec![None; count], allow_reset).await
}

/// The same, each of a release of its own.
pub(crate) async fn start_releases(place: &Place, releases: &[&str]) -> Vec<Chroma> {
    start_all(place, releases.iter().map(|release| Some((*release).to_owned())).collect(), false).await
}

async fn start_all(place: &Place, releases: Vec<Option<String>>, allow_reset: bool) -> Vec<Chroma> {
    let toolbox = shared::toolbox();
    let starts = releases.into_iter().enumerate().map(|(at, release)| {
        let name = match at {
            0 => "primary".to_owned(),
            1 => "replica".to_owned(),
            _ => format!("replica-{at}"),
        };
        let mut options = ChromaOptions::new(&name, place.join(&name));
        (options.allow_reset, options.release) = (allow_reset, release);
        Chroma::start(&toolbox, options)
    });
    let started = join_all(starts).await;
    started.into_iter().map(|node| node.unwrap_or_else(|reason| panic!("{reason}"))).collect()
}

async fn start_database(place: &Place, own: bool) -> (Option<Postgres>, String) {
    if !own {
        return (None, shared::database().await);
    }
    let options = PostgresOptions::new(place.join("postgres"));
    let server =
        Postgres::start(&shared::toolbox(), options).await.unwrap_or_else(|reason| panic!("{reason}"));
    let url = server.url();
    (Some(server), url)
}

fn environment(urls: &[String], database_url: &str, extra: &[(String, String)]) -> Vec<(String, String)> {
    let mut env = vec![("DATABASE_URL".to_owned(), database_url.to_owned())];
    // What else the machine is busy with is not what is tested.
    for threshold in ["WAL_MEMORY_THRESHOLD", "WAL_CPU_THRESHOLD"] {
        env.push((threshold.to_owned(), "100".to_owned()));
    }
    let (primary, replicas) = urls.split_first().expect("a stack has at least one node");
    env.push(("PRIMARY_URL".to_owned(), primary.clone()));
    match replicas {
        [] => {}
        [one] => env.push(("REPLICA_URL".to_owned(), one.clone())),
        more => env.push(("REPLICA_URLS".to_owned(), more.join(","))),
    }
    env.extend_from_slice(extra);
    env
}
