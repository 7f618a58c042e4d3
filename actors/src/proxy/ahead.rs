//! A write whose client asks to hear of it as soon as it is in the log, ahead of its verdict. Before it is
//! logged it is looked through; only what Chroma will surely take is answered so. What is learnt of its
//! collection when it was accepted serves the next one.

use chroma_ha_core::entry::Draft;
use chroma_ha_core::ids::CollectionId;
use chroma_ha_core::validation::{Doubt, Embeddings, Judgement, examine};

use super::{Refusal, WriteOutcome};
use crate::board::Board;

/// What is known of the write before it is logged.
pub(super) struct Ahead {
    /// What its client hears if the log takes it, or why it must wait for the verdict.
    pub(super) judgement: Judgement,
    teaches: Option<(CollectionId, Embeddings)>,
}

/// `most`: how many writes of its collection the log may acknowledge ahead of their verdicts.
pub(super) fn look_through(board: &Board, draft: &Draft, most: usize) -> Result<Ahead, Refusal> {
    let doubtful = |doubt| Ok(Ahead { judgement: Judgement::Ask(doubt), teaches: None });
    let Some(id) = draft.collection() else { return doubtful(Doubt::Catalog) };
    let (place, adopted, ahead, gone) = {
        let sequencer = board.sequencer();
        let place = sequencer.catalog.collection(id).cloned();
        (place, sequencer.is_adopted(id), sequencer.ahead(id), sequencer.all_gone())
    };
    let Some(place) = place else { return doubtful(Doubt::Collection) };
    let profile = match examine(draft, &place) {
        Err(doubt) => return doubtful(doubt),
        // What it reaches is looked up on the acting node.
        Ok(profile) if adopted && profile.is_deletion() => return doubtful(Doubt::Deletion),
        Ok(profile) => profile,
    };
    let judgement = profile.judge(board.dimensions().of(id));
    match judgement {
        // With no node up nobody waits for a verdict: it is queued like any other.
        Judgement::Sound(_) if ahead >= most && gone => doubtful(Doubt::Collection),
        Judgement::Sound(_) if ahead >= most => Err(Refusal::FarAhead(id)),
        judgement => Ok(Ahead { judgement, teaches: profile.teaches().map(|embeddings| (id, embeddings)) }),
    }
}

impl Ahead {
    pub(super) fn is_sound(&self) -> bool {
        matches!(self.judgement, Judgement::Sound(_))
    }

    /// For the figures: by whom the write was answered, or why not by the log.
    pub(super) fn told(&self, acknowledged: bool) -> &'static str {
        match self.judgement {
            _ if acknowledged => "log",
            Judgement::Ask(doubt) => doubt.name(),
            // It was not certain to find its collection.
            Judgement::Sound(_) => Doubt::Collection.name(),
        }
    }

    /// What the verdict shows of the collection.
    pub(super) fn learn(&self, board: &Board, outcome: &WriteOutcome) {
        if let (WriteOutcome::Answered(answer), Some((id, embeddings))) = (outcome, self.teaches)
            && answer.status < 300
        {
            board.dimensions().learn(id, embeddings);
        }
    }
}
