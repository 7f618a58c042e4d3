//! Which embeddings does a collection take? Learnt from writes that were accepted, and only from them. A
//! dimension once fixed never changes for a collection's id, and a deleted collection's id never comes back,
//! so nothing that was learnt grows old. It asks no node.

use std::collections::BTreeMap;

use crate::ids::CollectionId;

/// Collections that are remembered; of more, some are learnt again.
const REMEMBERED: usize = 100_000;

/// The embeddings of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Embeddings {
    pub dimension: usize,
    /// As base64 texts, which not every release takes, instead of lists of numbers.
    pub coded: bool,
}

/// What was learnt of one collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    dimension: usize,
    /// Texts were accepted.
    coded: bool,
}

impl Known {
    pub fn takes(self, embeddings: Embeddings) -> bool {
        self.dimension == embeddings.dimension && (self.coded || !embeddings.coded)
    }
}

/// What was learnt of every collection.
#[derive(Debug)]
pub struct Dimensions {
    known: BTreeMap<CollectionId, Known>,
    most: usize,
}

impl Default for Dimensions {
    fn default() -> Dimensions {
        Dimensions { known: BTreeMap::new(), most: REMEMBERED }
    }
}

impl Dimensions {
    pub fn of(&self, id: CollectionId) -> Option<Known> {
        self.known.get(&id).copied()
    }

    /// A write with these embeddings was accepted.
    pub fn learn(&mut self, id: CollectionId, Embeddings { dimension, coded }: Embeddings) {
        let before = self.of(id).filter(|known| known.dimension == dimension);
        let coded = coded || before.is_some_and(|known| known.coded);
        self.known.insert(id, Known { dimension, coded });
        while self.known.len() > self.most {
            self.known.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const NUMBERS: Embeddings = Embeddings { dimension: 3, coded: false };
    const TEXTS: Embeddings = Embeddings { dimension: 3, coded: true };

    #[test]
    fn a_collection_takes_what_it_took() {
        let (id, other) = (CollectionId(Uuid::from_u128(1)), CollectionId(Uuid::from_u128(2)));
        let mut dimensions = Dimensions::default();
        assert_eq!(dimensions.of(id), None);
        dimensions.learn(id, NUMBERS);
        let takes = |dimensions: &Dimensions, what| dimensions.of(id).is_some_and(|known| known.takes(what));
        assert!(takes(&dimensions, NUMBERS) && !takes(&dimensions, TEXTS));
        assert!(!takes(&dimensions, Embeddings { dimension: 4, ..NUMBERS }));
        assert_eq!(dimensions.of(other), None);
        dimensions.learn(id, TEXTS);
        dimensions.learn(id, NUMBERS);
        assert!(takes(&dimensions, NUMBERS) && takes(&dimensions, TEXTS));
    }

    #[test]
    fn a_bounded_number_of_collections_is_remembered() {
        let mut dimensions = Dimensions { known: BTreeMap::new(), most: 3 };
        (1..=10).for_each(|n| dimensions.learn(CollectionId(Uuid::from_u128(n)), NUMBERS));
        assert_eq!(dimensions.known.len(), 3);
    }
}
