//! Which event comes next: the progress of something under way, a client, a fault. And at the end: no
//! more faults, everything must drain within a bound, and then all promises are checked.

use std::rc::Rc;

use chroma_ha_core::entry::Decision;
use chroma_ha_core::ids::{NodeId, Seq, Stream};
use chroma_ha_core::pressure::Pressure;
use chroma_ha_core::sequencer::{Limits, NodeLog};

use super::chroma::COPY;
use super::peer::is_change;
use super::rng::Rng;
use super::store::Status;
use super::world::{Health, Plan, Process, Stage, Work, World};

/// What waits for a time, waits no longer.
const SCAN_MS: u64 = 10_000;

/// Events that a run may take to drain once faults have stopped.
const DRAIN: usize = 30_000;

/// Safety scans in a row that may find nothing to do.
const SCANS: usize = 20;

/// Faults that copies meet once all others have stopped: before, few are under way.
const COPY_FAULTS: usize = 3;

/// How a run ended that meets the limit of ADR 15.
pub const OPERATOR: &str = "a collection waits for an operator";

pub fn plan(rng: &Rng) -> Plan {
    let nodes = 1 + rng.weighted(&[1, 6, 4]).unwrap_or(0);
    let small = rng.percent(60);
    let size = |small_size: usize, large: usize| if small { small_size } else { large };
    let limits = Limits {
        lane_entries: size(1 + rng.below(2), 100),
        node_bytes: size(600 + rng.below(2_000), 1 << 20),
        in_flight: size(1 + rng.below(3), 16),
        page_entries: size(1 + rng.below(3), 50),
        far_page_entries: size(1 + rng.below(5), 80),
        page_bytes: size(200, 1 << 20),
        pages: 1 + rng.below(2),
        held_entries: size(rng.below(4), 250) as u64,
        attempts: 3,
    };
    let batch_limit = [Some(1), Some(3), None][rng.below(3)];
    let forgetful = (nodes > 1 && rng.percent(40)).then(|| NodeId(rng.below(nodes)));
    Plan {
        forgetful,
        nodes,
        limits,
        batch_limit,
        writes: 6 + rng.below(18) + if forgetful.is_some() { 15 } else { 0 },
        faults: [0, 5, 20, 60, 120][rng.below(5)],
        pace: [0; 3].map(|_| 1 + rng.below(8)),
        places: rng.percent(50),
        node_pace: (0..nodes).map(|_| 1 + rng.below(8)).collect(),
        operated: rng.percent(30),
    }
}

impl World {
    pub fn run(self: &Rc<Self>) {
        let mut events = 0;
        while self.submitted.get() < self.plan.writes && events < 4_000 && self.failure.borrow().is_none() {
            self.event();
            events += 1;
        }
        self.faulty.set(false);
        self.log_away.set(false);
        self.say(|| "faults stop".to_owned());
        let (mut scans, mut copy_faults) = (0, COPY_FAULTS);
        for _ in 0..DRAIN {
            if self.failure.borrow().is_some() {
                return;
            }
            if copy_faults > 0 && self.is_copying() && self.rng.percent(4) {
                copy_faults -= 1;
                self.copy_fault();
            }
            (0..self.servers.len()).for_each(|n| self.set_alive(NodeId(n)));
            self.put_all_back();
            if self.event() {
                scans = 0;
            } else if self.drained() {
                return self.final_checks();
            } else if scans == SCANS {
                break;
            } else {
                // The safety scan.
                scans += 1;
                self.now_ms.set(self.now_ms.get() + SCAN_MS);
                self.wake_all();
            }
        }
        let stuck = format!("stuck: {}", self.state());
        self.fail(if self.waits_for_an_operator() { format!("{OPERATOR}, {stuck}") } else { stuck });
    }

    /// An accepted write under which every node falls that could have it.
    fn waits_for_an_operator(&self) -> bool {
        let sequencer = self.sequencer.lock();
        let nodes = || sequencer.node_ids().map(|node| sequencer.node(node));
        let ids = self.oracle.borrow().names(Seq(u64::MAX)).ids();
        ids.into_iter().map(Stream::Collection).any(|stream| {
            let fells = |first: Option<Seq>| {
                first.is_some_and(|seq| {
                    let accepted = self.oracle.borrow().fate(seq) == Some(Decision::Accepted);
                    let body = self.entry(seq).draft.body;
                    accepted && String::from_utf8_lossy(&body).contains("poison")
                })
            };
            let waits = |node: &NodeLog| fells(node.first(stream)) && !node.is_quarantined(stream);
            nodes().any(waits) && nodes().all(|node| waits(node) || node.is_quarantined(stream))
        })
    }

    fn is_copying(&self) -> bool {
        let of_copy = |work: &Work| match work {
            Work::Call { request, .. } => {
                is_change(request) && request.headers.iter().any(|(n, _)| n == COPY)
            }
            _ => false,
        };
        self.ops.borrow().iter().any(|op| of_copy(&op.work))
    }

    fn set_alive(&self, node: NodeId) {
        if self.servers[node.0].process.get() != Process::Alive {
            self.set_process(node, Some(Process::Alive));
        }
    }

    fn drained(&self) -> bool {
        let sequencer = self.sequencer.lock();
        let applied = sequencer.node_ids().all(|n| sequencer.node(n).cursor() == self.store.borrow().head());
        // Who waited when the lease was lost, or whose refusal was recorded without our hearing of it,
        // must ask the log.
        let told = |seq: &Seq| self.store.borrow().row(*seq).status != Status::Rejected;
        let waits = self.waiters.borrow().keys().any(|seq| *seq > self.recovered.get() && told(seq));
        let whole = |n| sequencer.caught_up(n) && sequencer.node(n).quarantined().is_empty();
        let whole = sequencer.node_ids().all(whole);
        applied && whole && self.ops.borrow().is_empty() && !waits && sequencer.leading()
    }

    fn state(&self) -> String {
        let sequencer = self.sequencer.lock();
        let views: Vec<_> = sequencer.node_ids().map(|n| sequencer.view(n)).collect();
        format!("head {} waiters {:?} {views:?}", self.store.borrow().head(), self.waiters.borrow().keys())
    }

    /// One event; false if nothing can happen.
    fn event(self: &Rc<Self>) -> bool {
        let progressed = self.one_event();
        if self.rng.percent(8) {
            self.check_reads();
        }
        if self.rng.percent(4) {
            let level = [Pressure::Calm, Pressure::Busy, Pressure::Shed][self.rng.below(3)];
            self.sequencer.lock().adapt(level);
        }
        if let Some(text) = self.store.borrow().violation.clone() {
            self.fail(text);
        }
        progressed
    }

    fn one_event(self: &Rc<Self>) -> bool {
        if self.faulty.get() && self.rng.below(1_000) < self.plan.faults {
            self.fault();
            return true;
        }
        let woken: Vec<usize> = (0..self.servers.len()).filter(|n| self.servers[*n].woken.get()).collect();
        let health = self.possible_moves();
        let seeking = !self.lease_held.get() && !self.log_away.get();
        let able = self.able();
        let weights = [
            if able.iter().any(|w| *w > 0) { 50 } else { 0 },
            if woken.is_empty() { 0 } else { 20 },
            if self.timers.borrow().is_empty() { 0 } else { 4 },
            if self.faulty.get() && self.lease_held.get() { 8 } else { 0 },
            if health.is_empty() { 0 } else { 4 },
            if seeking { 4 } else { 0 },
        ];
        match self.rng.weighted(&weights) {
            Some(0) => self.step_op(self.rng.weighted(&able).unwrap_or_default()),
            Some(1) => self.advance(NodeId(woken[self.rng.below(woken.len())])),
            Some(2) => self.fire_timer(),
            Some(3) => self.client(),
            Some(4) => self.set_healths(health[self.rng.below(health.len())]),
            Some(5) => self.acquire(),
            _ => return false,
        }
        true
    }

    fn set_healths(&self, (node, health): (NodeId, Health)) {
        if health == Health::Up {
            self.end_ghosts(node);
        }
        self.set_health(node, health);
    }

    /// The states that health may move nodes to now.
    fn possible_moves(&self) -> Vec<(NodeId, Health)> {
        let mut moves = Vec::new();
        for (n, server) in self.servers.iter().enumerate() {
            let alive = server.process.get() == Process::Alive;
            let next: &[Health] = match server.health.get() {
                Health::Up if !alive || server.suspicion.get() => &[Health::Suspect],
                Health::Suspect if !alive => &[Health::Down],
                Health::Suspect | Health::Down if alive => &[Health::Settling],
                Health::Draining if !alive || server.suspicion.get() => &[Health::Drained],
                Health::Draining if self.is_emptied(NodeId(n)) => &[Health::Drained],
                Health::Settling if alive => &[Health::Up],
                Health::Settling => &[Health::Suspect],
                _ => &[],
            };
            moves.extend(next.iter().map(|health| (NodeId(n), *health)));
        }
        moves
    }

    /// What was sent before the node settled has happened by now or never will.
    fn end_ghosts(&self, node: NodeId) {
        self.ops.borrow_mut().retain(|op| match &op.work {
            Work::Call { node: n, request, stage, .. } if *n == node => {
                if !matches!(stage, Stage::Ghost) {
                    self.fail("a request outlived the node's standing");
                }
                if self.rng.percent(50) {
                    self.say(|| format!("{node} executes late {} {}", request.method, request.path));
                    self.servers[n.0].chroma.borrow_mut().execute(request);
                }
                false
            }
            _ => true,
        });
    }

    fn fire_timer(&self) {
        let Some(((at, _), (task, slot))) = self.timers.borrow_mut().pop_first() else { return };
        self.now_ms.set(self.now_ms.get().max(at));
        *slot.borrow_mut() = Some(());
        self.poll(task);
    }

    /// How readily each thing under way moves now.
    fn able(&self) -> Vec<usize> {
        let [calls, records, pages] = self.plan.pace;
        let weight = |work: &Work| match work {
            Work::Call { node, stage, .. } => {
                let stuck = self.servers[node.0].process.get() == Process::Hung
                    && matches!(stage, Stage::Sent | Stage::Ghost);
                let up = self.servers[node.0].health.get() == Health::Up;
                let sleeping = matches!(stage, Stage::Ghost) && !self.faulty.get() && !up;
                if stuck || sleeping { 0 } else { calls * self.plan.node_pace[node.0] }
            }
            Work::Record { .. } | Work::Append { .. } => records * 4,
            Work::Page { .. } => pages * 4,
        };
        self.ops.borrow().iter().map(|op| weight(&op.work)).collect()
    }
}
