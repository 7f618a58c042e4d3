//! Writes that the log acknowledges ahead of their verdict, as the proxy and the log's writer decide it: every
//! other one that is sound. Their clients were told of success, so none may be lost; only one under which
//! nodes fell again and again may be rejected.

use std::sync::Arc;

use chroma_ha_core::catalog::{Collection, DEFAULT_DATABASE, DEFAULT_TENANT};
use chroma_ha_core::entry::{Draft, Entry};
use chroma_ha_core::ids::{CollectionId, Seq};
use chroma_ha_core::validation::{Dimensions, Embeddings, Judgement, examine};

use super::chroma::DIMENSION;
use super::delivery::ATTEMPTS;
use super::rng::mix;
use super::world::World;

fn is_sound(draft: &Draft) -> bool {
    let [tenant, database, name] = [DEFAULT_TENANT, DEFAULT_DATABASE, ""].map(str::to_owned);
    let Ok(profile) = examine(draft, &Collection { tenant, database, name }) else { return false };
    // All collections have it, from the start.
    let (id, mut dimensions) = (CollectionId(draft.target.unwrap_or_default()), Dimensions::default());
    dimensions.learn(id, Embeddings { dimension: DIMENSION, coded: false });
    matches!(profile.judge(dimensions.of(id)), Judgement::Sound(_))
}

impl World {
    /// The entries that a group becomes.
    pub fn entries(&self, group: Vec<Draft>) -> Vec<Arc<Entry>> {
        let mut seq = self.sequencer.lock().head();
        let kept = self.sequencer.lock().surely_kept(&group);
        let entry = |(draft, kept): (Draft, bool)| {
            seq = seq.next();
            let early = kept && mix(seq.0).is_multiple_of(2) && is_sound(&draft);
            Arc::new(Entry::new(seq, draft, 0).acknowledged(early))
        };
        group.into_iter().zip(kept).map(entry).collect()
    }

    /// Their clients hear of them now, whoever judges them later.
    pub fn acknowledge(&self, entries: &[Arc<Entry>]) {
        for entry in entries.iter().filter(|entry| entry.is_acknowledged()) {
            self.saw("acknowledged by the log".to_owned());
            self.oracle.borrow_mut().acknowledged(entry);
        }
    }

    /// Whether connections broke under an entry so often that even such a one may be rejected.
    pub fn fell_often(&self, seq: Seq) -> bool {
        self.fell.borrow().get(&seq).is_some_and(|falls| *falls >= ATTEMPTS)
    }
}
