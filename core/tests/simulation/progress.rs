//! One step of something that is under way: it happens at the server or in the log, or its answer
//! arrives, or gets lost.

use std::rc::Rc;

use chroma_ha_core::port::{NodeFault, NodeResponse};

use super::world::{Process, Stage, Work, World};

impl World {
    pub fn step_op(self: &Rc<Self>, index: usize) {
        let mut ops = self.ops.borrow_mut();
        let op = &mut ops[index];
        let owner = op.owner;
        if let Work::Call { node, request, stage: Stage::Sent, .. } = &op.work
            && self.servers[node.0].process.get() == Process::Alive
            && self.servers[node.0].chroma.borrow().falls_under(request)
        {
            let node = *node;
            self.say(|| format!("{node} falls under {}", String::from_utf8_lossy(&request.body)));
            // A catalog write that never succeeds is tried for ever: see ADR 15.
            if request.path.ends_with("/collections") || request.body.len() % 2 == 0 {
                self.servers[node.0].chroma.borrow_mut().execute(request);
            }
            if let Work::Call { stage, .. } = &mut ops[index].work {
                *stage = Stage::Broken;
            }
            drop(ops);
            return self.break_calls(node);
        }
        let trouble = self.faulty.get() && self.rng.below(1_000) < self.plan.faults * 2;
        if let Work::Record { epoch, .. } | Work::Append { epoch, .. } = &op.work
            && *epoch < self.store.borrow().epoch
        {
            self.saw("late and fenced");
        }
        let finished = match &mut op.work {
            Work::Call { .. } => self.step_call(&mut op.work, trouble),
            Work::Record { epoch, changes, done, slot } => match *done {
                None => {
                    let away = self.log_away.get() || trouble && self.rng.percent(30);
                    *done = Some(!away && self.commit_changes(*epoch, changes));
                    false
                }
                // A commit whose answer is lost looks like a failure.
                Some(done) => slot.replace(Some(done && !trouble)).is_none(),
            },
            Work::Append { epoch, entries, done, slot } => match *done {
                None => {
                    *done = Some(!self.log_away.get() && self.store.borrow_mut().append(*epoch, entries));
                    false
                }
                Some(done) => slot.replace(Some(done && !trouble)).is_none(),
            },
            Work::Page { page, snapshot, slot } => match snapshot.take() {
                Some(pages) => slot.replace(Some((!trouble).then_some(pages))).is_none(),
                None if self.log_away.get() => slot.replace(Some(None)).is_none(),
                None => {
                    *snapshot = Some(self.store.borrow().page(page));
                    false
                }
            },
        };
        if finished {
            ops.remove(index);
            drop(ops);
            self.poll(owner);
        }
    }

    fn step_call(&self, work: &mut Work, trouble: bool) -> bool {
        let Work::Call { node, request, stage, slot } = work else { return false };
        let server = &self.servers[node.0];
        let answer = |result: Result<NodeResponse, NodeFault>| slot.replace(Some(result)).is_none();
        match std::mem::replace(stage, Stage::Ghost) {
            Stage::Sent if server.process.get() == Process::Gone => answer(Err(NodeFault::Refused)),
            Stage::Sent if trouble && self.rng.percent(40) => {
                let status = [500, 503, 429][self.rng.below(3)];
                // Whether other catalog writes were done is not read: see ADR 15.
                let read = request.path.contains("/collections") && request.method == "POST";
                if status == 500 && read && self.rng.percent(50) {
                    self.say(|| format!("{node} answers 500 but does {} {}", request.method, request.path));
                    server.chroma.borrow_mut().execute(request);
                }
                answer(Ok(NodeResponse { status, headers: Vec::new(), body: Default::default() }))
            }
            Stage::Sent => {
                let response = server.chroma.borrow_mut().execute(request);
                self.say(|| format!("{node} {} {} -> {}", request.method, request.path, response.status));
                *stage = Stage::Executed(response);
                false
            }
            Stage::Executed(_) if trouble => answer(Err(NodeFault::Lost(String::new()))),
            Stage::Executed(response) => answer(Ok(response)),
            Stage::Broken => answer(Err(NodeFault::Lost(String::new()))),
            Stage::Ghost if server.process.get() == Process::Gone => true,
            Stage::Ghost => {
                self.say(|| format!("{node} executes late {} {}", request.method, request.path));
                server.chroma.borrow_mut().execute(request);
                true
            }
        }
    }
}
