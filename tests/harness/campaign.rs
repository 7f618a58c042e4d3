//! What is left of the promises when everything fails at once? From a seed: a stack with proxies on every
//! link, a plan of overlapping faults, clients at work all the while, and after healing a verdict on every
//! record that they wrote. It judges by what clients heard and what nodes hold, not by what the balancer
//! says of itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until};

use super::{Options, Place, Stack};

mod arena;
mod book;
mod chance;
mod evidence;
mod names_client;
mod plan;
mod records_client;
pub(crate) mod report;
pub(crate) mod verdict;
mod wire;

use arena::Arena;
use book::Hub;
pub(crate) use book::stable_name;
pub(crate) use chance::Chance;
pub(crate) use plan::Plan;
use report::Report;
use verdict::Kind;

/// Between two looks at whether a balancer ended by itself.
const WATCH: Duration = Duration::from_millis(200);

/// Clients go on for so long once nothing fails any more.
const AFTERMATH: Duration = Duration::from_secs(1);

const RECORD_CLIENTS: usize = 6;
const NAME_CLIENTS: usize = 1;

/// Longer than it takes to notice a fault, shorter than a fault may last.
const REQUEST_TIMEOUT_S: &str = "4";

pub(crate) struct Campaign {
    pub(crate) plan: Plan,
    pub(crate) arena: Arena,
    pub(crate) hub: Arc<Hub>,
    healed: Instant,
}

impl Campaign {
    pub(crate) async fn prepare(plan: Plan) -> Self {
        let options = Options { own_postgres: true, chaos: true, ..Options::default() };
        let options = options.env("REQUEST_TIMEOUT", REQUEST_TIMEOUT_S).env("LOG_LEVEL", "info");
        let options = options.env("LOAD_BALANCE_STRATEGY", plan.strategy).env("WRITE_ACK", plan.ack);
        let stack = Stack::start(options).await;
        let arena = Arena::over(stack, plan.balancers).await;
        let hub = Hub::over(&arena, plan.seed).await;
        Self { plan, arena, hub: Arc::new(hub), healed: Instant::now() }
    }

    /// Faults over a load; everything is healed and every client has ended afterwards.
    pub(crate) async fn strike(&mut self) {
        let clients: Vec<_> = (0..RECORD_CLIENTS)
            .map(|n| tokio::spawn(records_client::RecordsClient::new(n, &self.hub).run()))
            .chain(
                (0..NAME_CLIENTS).map(|n| tokio::spawn(names_client::NamesClient::new(n, &self.hub).run())),
            )
            .collect();
        let begun = tokio::time::Instant::now();
        for turn in self.plan.turns() {
            while tokio::time::Instant::now() + WATCH < begun + turn.at {
                sleep(WATCH).await;
                self.arena.watch();
            }
            sleep_until(begun + turn.at).await;
            self.hub.note(&format!("{turn:?}"));
            self.arena.take(&turn).await;
        }
        self.arena.heal().await;
        self.healed = Instant::now();
        self.hub.note("healed");
        sleep(AFTERMATH).await;
        self.hub.stop();
        for client in clients {
            client.await.expect("a client's task");
        }
    }

    /// How long until every node is up and has everything, and then what is wrong.
    pub(crate) async fn conclude(mut self) -> Report {
        let unwell = self.arena.converged().await;
        let took = self.healed.elapsed();
        let mut verdict = verdict::verdict(&self.arena, &self.hub, verdict::EQUAL_IN).await;
        verdict.wrong.extend(unwell.map(|reason| verdict::wrong_of(Kind::NotConverged, reason)));
        let report = Report::of(&self.plan, &self.hub, self.arena.exits(), took, verdict);
        if report.is_bad() {
            evidence::keep(&self, &report).await;
        }
        report
    }

    pub(crate) async fn run(plan: Plan) -> Report {
        let mut campaign = Self::prepare(plan).await;
        campaign.strike().await;
        campaign.conclude().await
    }

    pub(crate) fn place(&self) -> &Place {
        &self.arena.stack.place
    }
}
