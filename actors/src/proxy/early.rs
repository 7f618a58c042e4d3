//! A write whose client asks to hear of it as soon as it is in the log. Before it is logged it is looked
//! through; only what Chroma will surely take is answered so. What is learnt of its collection when it was
//! accepted serves the next one.

use chroma_ha_core::answer::Answer;
use chroma_ha_core::entry::Draft;
use chroma_ha_core::ids::CollectionId;
use chroma_ha_core::validation::{Doubt, Embeddings, Judgement, examine};

use super::{Refusal, WriteOutcome};
use crate::board::Board;

/// What is known of the write before it is logged.
#[derive(Default)]
pub(super) struct Early {
    /// What its client hears if the log takes it.
    pub(super) answer: Option<Answer>,
    /// Why it must wait for the verdict, otherwise.
    pub(super) doubt: Option<Doubt>,
    teaches: Option<(CollectionId, Embeddings)>,
}

pub(super) fn early(board: &Board, draft: &Draft, most_ahead: usize) -> Result<Early, Refusal> {
    let doubtful = |doubt| Ok(Early { doubt: Some(doubt), ..Early::default() });
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
    let teaches = profile.teaches().map(|embeddings| (id, embeddings));
    let known = board.dimensions().of(id);
    match profile.judge(known) {
        Judgement::Ask(doubt) => Ok(Early { answer: None, doubt: Some(doubt), teaches }),
        // With no node up nobody waits for a verdict: it is queued like any other.
        Judgement::Sound(_) if ahead >= most_ahead && gone => Ok(Early::default()),
        Judgement::Sound(_) if ahead >= most_ahead => Err(Refusal::FarAhead(id)),
        Judgement::Sound(answer) => Ok(Early { answer: Some(answer), doubt: None, teaches }),
    }
}

impl Early {
    /// For the figures: by whom the write was answered, or why not by the log.
    pub(super) fn told(&self, acknowledged: bool) -> &'static str {
        match self.doubt {
            _ if acknowledged => "log",
            Some(doubt) => doubt.name(),
            // It was sound, but not certain to find its collection.
            None => Doubt::Collection.name(),
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
