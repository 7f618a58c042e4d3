//! What goes wrong, and what clients ask for.

use std::rc::Rc;

use bytes::Bytes;
use chroma_ha_core::entry::{Draft, Op};
use chroma_ha_core::ids::{CollectionId, NodeId, Seq};
use chroma_ha_core::port::NodeFault;
use serde_json::{Value, json};
use uuid::Uuid;

use super::peer::collections;
use super::world::{Health, Process, Stage, Work, World};

/// The databases that clients use, the usual one first.
const DATABASES: [(&str, &str); 4] =
    [("default_tenant", "default_database"), ("default_tenant", "d1"), ("t1", "d1"), ("t1", "d2")];

impl World {
    pub fn fault(self: &Rc<Self>) {
        let node = NodeId(self.rng.below(self.servers.len()));
        if self.plan.operated && self.rng.percent(25) {
            return self.order(node);
        }
        // A server that loses its disk comes back before everything is written.
        let (back, wipe) = if self.plan.forgetful.is_some() { (20, 6) } else { (6, 0) };
        match self.rng.weighted(&[8, 8, back, 6, 3, 3, 2, 2, wipe, 2]) {
            Some(0) => self.time_out(),
            Some(1) => self.set_process(node, self.rng.pick(&[Process::Hung, Process::Gone])),
            Some(2) => self.set_process(node, Some(Process::Alive)),
            Some(3) if self.servers[node.0].health.get() == Health::Up => {
                self.set_health(node, Health::Suspect);
            }
            Some(4) => self.log_away.set(!self.log_away.get()),
            Some(5) => self.flush(),
            Some(6) => self.crash(),
            Some(7) => self.lose_lease(),
            Some(8) => self.lose_disk(),
            Some(9) if !self.log_away.get() => self.supplant(),
            _ => {}
        }
    }

    /// What a copy that is under way may meet.
    pub fn copy_fault(self: &Rc<Self>) {
        let node = NodeId(self.rng.below(self.servers.len()));
        if self.plan.operated && self.rng.percent(30) {
            return self.order(node);
        }
        match self.rng.weighted(&[6, 2, 1, 1, 1]) {
            Some(0) => self.time_out(),
            Some(1) if self.servers[node.0].health.get() == Health::Up => {
                self.set_health(node, Health::Suspect);
            }
            Some(2) => self.set_process(node, Some(Process::Gone)),
            Some(3) => self.crash(),
            Some(4) => self.supplant(),
            _ => {}
        }
    }

    /// A server does not come back empty before its absence was noticed.
    fn lose_disk(&self) {
        let Some(node) = self.plan.forgetful else { return };
        self.set_process(node, Some(Process::Gone));
        self.say(|| format!("{node} loses its disk"));
        self.saw("lost disk");
        let noticed = matches!(self.servers[node.0].health.get(), Health::Down | Health::Drained);
        self.servers[node.0].wiped.set(!noticed);
        self.servers[node.0].chroma.borrow_mut().lose_disk();
    }

    pub fn set_process(&self, node: NodeId, process: Option<Process>) {
        let Some(process) = process else { return };
        if self.servers[node.0].wiped.get() && process != Process::Gone {
            return;
        }
        self.say(|| format!("{node}'s process is {process:?}"));
        self.servers[node.0].process.set(process);
        if process != Process::Gone {
            return;
        }
        self.break_calls(node);
    }

    /// What is under way at the server is lost, before or after it was executed.
    pub fn break_calls(&self, node: NodeId) {
        self.ops.borrow_mut().retain_mut(|op| match &mut op.work {
            Work::Call { node: n, request, stage, .. } if *n == node => {
                if matches!(stage, Stage::Sent) && self.rng.percent(30) {
                    self.servers[n.0].chroma.borrow_mut().execute(request);
                }
                !matches!(std::mem::replace(stage, Stage::Broken), Stage::Ghost)
            }
            _ => true,
        });
    }

    /// A request gets no answer in time and may be executed later.
    fn time_out(self: &Rc<Self>) {
        let sent = |work: &Work| matches!(work, Work::Call { stage: Stage::Sent, .. });
        let mut ops = self.ops.borrow_mut();
        let candidates: Vec<usize> = (0..ops.len()).filter(|i| sent(&ops[*i].work)).collect();
        let Some(index) = self.rng.pick(&candidates) else { return };
        let owner = std::mem::take(&mut ops[index].owner);
        if let Work::Call { node, request, stage, slot } = &mut ops[index].work {
            self.say(|| format!("{node} does not answer {} {}", request.method, request.path));
            *stage = Stage::Ghost;
            slot.replace(Some(Err(NodeFault::Timeout(1))));
        }
        drop(ops);
        self.poll(owner);
    }

    // Clients

    pub fn client(self: &Rc<Self>) {
        if self.rng.percent(20) {
            return self.flush();
        }
        let known = self.oracle.borrow().known.clone();
        let live: Vec<CollectionId> = self.oracle.borrow().names(Seq(u64::MAX)).ids();
        let target = if self.rng.percent(85) { self.rng.pick(&live) } else { self.rng.pick(&known) };
        let draft = match target.filter(|_| self.rng.percent(80)) {
            Some(id) => self.record_draft(id),
            None => self.catalog_draft(&known),
        };
        if self.submit(draft) {
            self.submitted.set(self.submitted.get() + 1);
        }
    }

    fn draft(&self, op: Op, target: Option<Uuid>, method: &str, path: String, body: &Value) -> Draft {
        Draft {
            write_id: String::new(),
            op,
            target,
            method: method.to_owned(),
            path,
            body: Bytes::from(body.to_string()),
            headers: Vec::new(),
        }
    }

    fn catalog_draft(&self, known: &[CollectionId]) -> Draft {
        if self.plan.places && self.rng.percent(30) {
            return self.place_draft();
        }
        let name = ["x", "y", "z"][self.rng.below(3)];
        let at = self.database();
        match self.rng.weighted(&[20, 20, 16, 12, 4, 1]) {
            Some(0) => self.create(at, json!({ "name": name })),
            Some(1) => self.create(at, json!({ "name": name, "get_or_create": true })),
            Some(2) => {
                let path = format!("{}/{name}", collections(at));
                self.draft(Op::DeleteCollection, None, "DELETE", path, &Value::Null)
            }
            Some(3) if !known.is_empty() => {
                let id = known[self.rng.below(known.len())];
                let path = format!("{}/{id}", collections(at));
                self.draft(Op::ModifyCollection, Some(id.0), "PUT", path, &json!({ "new_name": name }))
            }
            Some(5) => self.create(at, json!({ "name": "poison", "get_or_create": true })),
            _ => self.create(at, json!({ "name": "much too long" })),
        }
    }

    fn database(&self) -> (&'static str, &'static str) {
        let usual = !self.plan.places || self.rng.percent(50);
        if usual { DATABASES[0] } else { DATABASES[1 + self.rng.below(3)] }
    }

    /// Tenants, databases, and the end of everything.
    fn place_draft(&self) -> Draft {
        let (tenant, database) = DATABASES[1 + self.rng.below(3)];
        let path = format!("/api/v2/tenants/{tenant}/databases");
        match self.rng.weighted(&[4, 5, 3, 1]) {
            Some(0) => {
                let path = "/api/v2/tenants".to_owned();
                self.draft(Op::CreateTenant, None, "POST", path, &json!({ "name": "t1" }))
            }
            Some(1) => {
                let body = json!({ "name": database });
                self.draft(Op::CreateDatabase, Some(self.minted()), "POST", path, &body)
            }
            Some(2) => {
                // A server without a disk has the default database, and nobody would delete it again.
                let safe = self.plan.forgetful.is_none();
                let (tenant, database) = if safe { self.database() } else { (tenant, database) };
                let path = format!("/api/v2/tenants/{tenant}/databases/{database}");
                self.draft(Op::DeleteDatabase, None, "DELETE", path, &Value::Null)
            }
            _ => self.draft(Op::Reset, None, "POST", "/api/v2/reset".to_owned(), &Value::Null),
        }
    }

    /// Never the same twice: clients' ids are long enough for that.
    fn minted(&self) -> Uuid {
        let mut id = 1_000 + u128::from(self.rng.next() % 1_000_000);
        while !self.minted.borrow_mut().insert(id) {
            id += 1;
        }
        Uuid::from_u128(id)
    }

    fn create(&self, at: (&str, &str), body: Value) -> Draft {
        self.draft(Op::CreateCollection, Some(self.minted()), "POST", collections(at), &body)
    }

    fn record_draft(&self, id: CollectionId) -> Draft {
        let op = [Op::Add, Op::Upsert, Op::Update, Op::Delete][self.rng.below(4)];
        let path = format!("{}/{id}/{}", collections(DATABASES[0]), op.name());
        let ids: Vec<&str> = ["a", "b", "c", "d"].into_iter().filter(|_| self.rng.percent(40)).collect();
        let ids = if ids.is_empty() { vec!["a"] } else { ids };
        let body = match op {
            Op::Delete if self.rng.percent(50) => {
                let mut body = json!({ "where": { "k": self.rng.below(2) } });
                if self.rng.percent(60) {
                    body["limit"] = json!(1);
                }
                body
            }
            Op::Delete => json!({ "ids": ids }),
            _ => self.rows(&ids),
        };
        self.draft(op, Some(id.0), "POST", path, &body)
    }

    fn rows(&self, ids: &[&str]) -> Value {
        let number = |_: &&str| self.rng.next() % 100;
        let mut body = json!({
            "ids": ids,
            "metadatas": ids.iter().map(|id| self.metadata(id)).collect::<Vec<_>>(),
        });
        if self.rng.percent(50) {
            let text =
                |id: &&str| if self.rng.percent(2) { "poison".to_owned() } else { number(id).to_string() };
            body["documents"] = ids.iter().map(text).collect();
        }
        if self.rng.percent(50) {
            let bad = self.rng.percent(12);
            let row = |id: &&str| if bad { json!([1]) } else { json!([number(id), 0]) };
            body["embeddings"] = ids.iter().map(row).collect();
        }
        body
    }

    fn metadata(&self, _id: &str) -> Value {
        let mut fields = json!({});
        for key in ["k", "m"] {
            match self.rng.below(4) {
                0 => fields[key] = Value::Null,
                1 => {}
                _ => fields[key] = json!(self.rng.below(2)),
            }
        }
        fields
    }
}
