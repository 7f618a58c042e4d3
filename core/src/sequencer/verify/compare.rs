//! When do two nodes stand at the same position of a collection's stream, so that what is read from
//! both must be equal? A look counts if nothing was sent to either for that collection meanwhile; under
//! a load that never pauses, the lanes are held at one position for the moment of a look. What was read
//! is judged by the reader; what follows from it is here.

use uuid::Uuid;

use crate::ids::{CollectionId, NodeId, Seq, Stream};
use crate::lane::{Lane, Phase};
use crate::sequencer::{CompareTask, Finding, Look, Next, Purpose, ReplayTask, Sequencer, Step};

/// A comparison under way.
#[derive(Debug)]
pub(in crate::sequencer) struct Comparing {
    pub(in crate::sequencer) task: CompareTask,
    /// Something was sent to one of the two since the look began.
    disturbed: bool,
    /// Neither lane goes beyond this position.
    hold: Option<Seq>,
    /// The node is wrong: nobody may read it while that is made durable.
    condemned: bool,
}

impl Comparing {
    /// Whether this comparison, made for `owner`, reads that stream of that node.
    fn reads(&self, owner: NodeId, node: NodeId, stream: Stream) -> bool {
        let concerned = owner == node || self.task.reference == node;
        concerned && stream == Stream::Collection(self.task.collection)
    }
}

impl Sequencer {
    /// The next comparison of the node with another one, one at a time.
    pub(in crate::sequencer) fn push_compare(&mut self, node: NodeId, now_ms: u64, steps: &mut Vec<Step>) {
        if self.nodes[node.0].comparing.is_some() {
            return;
        }
        if let Some(task) = self.lone_replay(node, now_ms) {
            return steps.push(Step::Replay(task));
        }
        let Some(task) = self.doubt_task(node, now_ms).or_else(|| self.verify_task(node)) else { return };
        let comparing = Comparing { task: task.clone(), disturbed: true, hold: None, condemned: false };
        self.nodes[node.0].comparing = Some(comparing);
        steps.push(Step::Compare(task));
    }

    /// The node's own id of a collection, if what the node holds of it can be read and judged.
    pub(in crate::sequencer) fn comparable(&self, node: NodeId, id: CollectionId) -> Option<Uuid> {
        self.at_hand(node, id).filter(|_| !self.has_other_ids(node, id))
    }

    /// The node's own id of a collection, if the node can be asked for it.
    pub(in crate::sequencer) fn at_hand(&self, node: NodeId, id: CollectionId) -> Option<Uuid> {
        let log = &self.nodes[node.0];
        let able = log.standing.applies && log.inspection.is_made() && log.holds(id);
        let exists = self.catalog.collection(id).is_some();
        log.node_collection(id).filter(|_| able && exists)
    }

    /// Whose records count: the most preferred node's, of those without doubt if there is one.
    pub(in crate::sequencer) fn reference(&self, id: CollectionId, but: Option<NodeId>) -> Option<NodeId> {
        let able = |node: &NodeId| Some(*node) != but && self.comparable(*node, id).is_some();
        let sure = |node: &NodeId| !self.nodes[node.0].doubts.is_fresh(Stream::Collection(id));
        let mut sure_ones = self.node_ids().filter(able).filter(sure);
        sure_ones.next().or_else(|| self.node_ids().find(able))
    }

    pub(in crate::sequencer) fn compare_task(
        &self,
        node: NodeId,
        reference: NodeId,
        collection: CollectionId,
        purpose: Purpose,
    ) -> Option<CompareTask> {
        Some(CompareTask {
            collection,
            own: self.comparable(node, collection)?,
            reference,
            theirs: self.comparable(reference, collection)?,
            purpose,
            generations: (self.nodes[node.0].generation, self.nodes[reference.0].generation),
        })
    }

    /// Begins a look. What is read after `Go` counts if `compared` finds it undisturbed.
    pub fn look(&mut self, node: NodeId, task: &CompareTask, hold: bool) -> Look {
        if !self.is_current(node, task) {
            return Look::Void;
        }
        let stream = Stream::Collection(task.collection);
        let (near, far) = (self.reached(node, stream), self.reached(task.reference, stream));
        let still = self
            .stands_at(node, stream)
            .is_some_and(|place| Some(place) == self.stands_at(task.reference, stream));
        if let Some(comparing) = &mut self.nodes[node.0].comparing {
            comparing.disturbed = !still;
            comparing.hold = comparing.hold.or_else(|| hold.then_some(near.max(far)));
        }
        if still { Look::Go } else { Look::Wait }
    }

    /// Lets the lanes go on after a look.
    pub fn let_go(&mut self, node: NodeId) {
        if let Some(comparing) = &mut self.nodes[node.0].comparing {
            (comparing.hold, comparing.disturbed) = (None, true);
        }
    }

    /// The comparison ended without a finding.
    pub fn abandon(&mut self, node: NodeId, task: &CompareTask) {
        self.nodes[node.0].comparing.take_if(|comparing| comparing.task == *task);
    }

    fn is_current(&self, node: NodeId, task: &CompareTask) -> bool {
        let log = &self.nodes[node.0];
        let under_way = log.comparing.as_ref().is_some_and(|comparing| comparing.task == *task);
        let generations = (log.generation, self.nodes[task.reference.0].generation);
        let own = self.comparable(node, task.collection) == Some(task.own);
        let theirs = self.comparable(task.reference, task.collection) == Some(task.theirs);
        self.leading && under_way && own && theirs && generations == task.generations
    }

    /// Up to where the node has applied the stream. Not to be told while a request is under way or failed,
    /// while the log is still being read, or while the node may show more than its lane has applied.
    fn stands_at(&self, node: NodeId, stream: Stream) -> Option<Seq> {
        let log = &self.nodes[node.0];
        let unsure = |lane: &Lane| lane.is_busy() || lane.attempts > 0;
        if log.lane(stream).is_some_and(unsure) || log.position(stream) < log.doubts.shown_through(stream) {
            return None;
        }
        let read = log.first(stream).is_some() || log.fed == self.head;
        read.then(|| log.position(stream))
    }

    /// How far the node is once what is under way has ended.
    fn reached(&self, node: NodeId, stream: Stream) -> Seq {
        let log = &self.nodes[node.0];
        let asked = log.lane(stream).and_then(|lane| lane.run().last().map(|entry| entry.seq));
        asked.unwrap_or_else(|| log.position(stream)).max(log.doubts.shown_through(stream))
    }

    /// The lane must not send this entry yet: a look is under way.
    pub(in crate::sequencer) fn is_held(&self, node: NodeId, stream: Stream, seq: Seq) -> bool {
        self.node_ids().any(|owner| {
            self.nodes[owner.0].comparing.as_ref().is_some_and(|comparing| {
                comparing.reads(owner, node, stream) && comparing.hold.is_some_and(|position| seq > position)
            })
        })
    }

    /// The node was found to hold something else, and is about to be set aside for that.
    pub(in crate::sequencer) fn is_condemned(&self, node: NodeId, stream: Stream) -> bool {
        self.nodes[node.0].comparing.as_ref().is_some_and(|comparing| {
            comparing.condemned && stream == Stream::Collection(comparing.task.collection)
        })
    }

    /// Something is sent to the node: looks that are under way do not count.
    pub(in crate::sequencer) fn disturb(&mut self, node: NodeId, stream: Stream) {
        for (at, log) in self.nodes.iter_mut().enumerate() {
            if let Some(comparing) = &mut log.comparing
                && comparing.reads(NodeId(at), node, stream)
            {
                comparing.disturbed = true;
            }
        }
    }

    /// Takes what was found. A difference counts only if the look was undisturbed; then the node's lane
    /// stays where it is until the repair has begun.
    pub fn compared(&mut self, node: NodeId, task: &CompareTask, finding: Finding, now_ms: u64) -> Next {
        if !self.is_current(node, task) {
            self.abandon(node, task);
            return Next::Nothing;
        }
        let differs = matches!(finding, Finding::Differs { .. });
        let disturbed = self.nodes[node.0].comparing.as_ref().is_none_or(|comparing| comparing.disturbed);
        if differs && disturbed {
            return Next::LookAgain;
        }
        let stream = Stream::Collection(task.collection);
        let next = match task.purpose {
            Purpose::Doubt { version } => self.take_read_back(node, task, version, &finding, now_ms),
            Purpose::Verify { repair } => self.take_verified(node, task, repair, finding),
        };
        let held = self.nodes[node.0].position(stream);
        match next {
            Next::Nothing | Next::LookAgain => self.abandon(node, task),
            Next::Replay(_) | Next::Rebuild => {
                if let Some(comparing) = &mut self.nodes[node.0].comparing {
                    comparing.hold.get_or_insert(held);
                    comparing.condemned = next == Next::Rebuild;
                }
            }
        }
        next
    }

    /// The node's contents are no longer trusted, nor after a restart: they are copied anew.
    pub fn distrust(&mut self, node: NodeId, task: &CompareTask, reason: &str) -> bool {
        // The log knows already: that the node was away for a moment changes nothing.
        if !self.leading || self.node_collection(node, task.collection) != Some(task.own) {
            return false;
        }
        self.abandon(node, task);
        self.diverged(node, task.collection, reason.to_owned());
        self.set_aside(node, task.collection, reason).is_ok()
    }

    /// The log is applied again from there, at once or when the lane is next idle: under a load that never
    /// pauses it is never found so. Durable before: a restart in between begins there, too.
    pub fn replay(&mut self, node: NodeId, task: &ReplayTask) -> bool {
        let stream = Stream::Collection(task.collection);
        let log = &mut self.nodes[node.0];
        if !self.leading || log.generation != task.generation || log.is_quarantined(stream) {
            return false;
        }
        let busy = log.lane(stream).is_some_and(|lane| lane.is_busy() || lane.phase == Phase::Loading);
        match log.doubts.of_mut(stream) {
            Some(doubt) if busy => doubt.wished = Some(task.from),
            _ if busy => return false,
            _ => self.rewind(node, stream, task.from),
        }
        true
    }

    /// On an idle lane: what was wished while it was busy.
    pub(in crate::sequencer) fn rewind_as_wished(&mut self, node: NodeId, stream: Stream) {
        if let Some(from) = self.nodes[node.0].doubts.of_mut(stream).and_then(|doubt| doubt.wished.take()) {
            self.rewind(node, stream, from);
        }
    }

    fn rewind(&mut self, node: NodeId, stream: Stream, from: Seq) {
        let applied = self.nodes[node.0].position(stream);
        let head = self.streams.get(&stream).map_or(applied, |state| state.head.max(applied));
        let state = self.streams.entry(stream).or_default();
        (state.head, state.decided) = (head, state.decided.max(applied));
        state.acked = state.acked.max(applied);
        let log = &mut self.nodes[node.0];
        log.doubts.ahead(stream, applied);
        log.comparing.take_if(|comparing| stream == Stream::Collection(comparing.task.collection));
        log.change(stream, |lane| lane.rewind(from, applied));
        if let Some(doubt) = log.doubts.of_mut(stream) {
            (doubt.replayed, doubt.due_ms, doubt.wished) = (true, 0, None);
            doubt.rounds += 1;
            doubt.through = doubt.through.max(applied);
        }
    }
}
