//! Which page of a node's list of records comes next, while records are written and deleted there? A list
//! in pages shifts when something before the next page is deleted, and would skip a record that nobody
//! touched. So every page begins as far back as deletes may have shifted the list. It asks no node.
//!
//! It relies on this: a record keeps its order among the others for as long as it exists.

/// Records that were named in deletes on one node, of one collection, counted from some moment on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deletes {
    /// In requests that were sent.
    pub sent: u64,
    /// In requests that have ended: whatever they did is done.
    pub done: u64,
}

/// What a page meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It counts, and another one follows.
    More,
    /// It counts, and was the last.
    End,
    /// Deletes may have moved the list past its beginning: it does not count as the next page.
    Again,
}

#[derive(Debug)]
pub struct Listing {
    limit: usize,
    /// Every record that was among the first so many, and exists untouched, has been seen.
    covered: u64,
    /// Deletes that had ended before that was so.
    done: u64,
    /// Deletes to be expected while a page is read: as many as overtook one.
    margin: u64,
}

impl Listing {
    /// In pages of `limit` records.
    pub fn new(limit: usize) -> Listing {
        Listing { limit: limit.max(1), covered: 0, done: 0, margin: 0 }
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Where the next page begins; `now` is read before it is asked for.
    pub fn offset(&self, now: Deletes) -> u64 {
        self.safe(now).saturating_sub(self.margin)
    }

    /// The last place at which a page may begin and miss nothing.
    fn safe(&self, now: Deletes) -> u64 {
        self.covered.saturating_sub(now.sent.saturating_sub(self.done))
    }

    /// A page came: asked for at `offset`, with `count` records; `before` was read before it was asked
    /// for, `after` once it was there.
    pub fn take(&mut self, offset: u64, count: usize, before: Deletes, after: Deletes) -> Turn {
        if offset > self.safe(after) {
            let half = self.limit as u64 / 2;
            self.margin = (2 * (after.sent - before.sent)).clamp(self.margin, half.max(self.margin));
            return Turn::Again;
        }
        self.covered = offset + count as u64;
        self.done = before.done;
        if count < self.limit { Turn::End } else { Turn::More }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A node's list, and a delete that was sent and has not been executed, or not ended, yet.
    #[derive(Default)]
    struct Server {
        list: Vec<u32>,
        deletes: Deletes,
        flying: Vec<u32>,
        touched: BTreeSet<u32>,
        fresh: u32,
    }

    impl Server {
        /// What clients do at some moment: 0 sends a delete, 1 executes it, 2 ends it, 3 and 4 insert.
        fn act(&mut self, action: u8, at: usize) {
            match action {
                0 if self.flying.is_empty() && !self.list.is_empty() => {
                    let at = at % self.list.len();
                    self.flying = self.list[at..].iter().take(1 + at % 3).copied().collect();
                    self.touched.extend(&self.flying);
                    self.deletes.sent += self.flying.len() as u64;
                }
                1 => self.list.retain(|id| !self.flying.contains(id)),
                2 => {
                    self.act(1, 0);
                    self.deletes.done = self.deletes.sent;
                    // Some come back at once, wherever the server puts them.
                    let back: Vec<u32> = self.flying.drain(..).filter(|id| id % 2 == 0).collect();
                    self.list.extend(back);
                }
                _ => {
                    self.fresh += 1;
                    self.touched.insert(1_000 + self.fresh);
                    let at = if action == 3 { self.list.len() } else { at % (self.list.len() + 1) };
                    self.list.insert(at, 1_000 + self.fresh);
                }
            }
        }

        fn page(&self, offset: u64, limit: usize) -> Vec<u32> {
            self.list.iter().skip(usize::try_from(offset).unwrap()).take(limit).copied().collect()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever is deleted, written and brought back meanwhile: who was there all the time is seen.
        #[test]
        fn nobody_who_stays_is_missed(
            size in 0u32..60,
            limit in 8usize..20,
            actions in prop::collection::vec((0u8..5, 0usize..1_000), 0..200),
            share in 1usize..6,
        ) {
            let mut server = Server { list: (0..size).collect(), ..Server::default() };
            let mut actions = actions.into_iter();
            let mut busy = |server: &mut Server| match actions.len() {
                0 => server.act(2, 0),
                _ => actions.by_ref().take(share).for_each(|(action, at)| server.act(action, at)),
            };
            busy(&mut server);
            let mut listing = Listing::new(limit);
            let mut seen: BTreeSet<u32> = BTreeSet::new();
            let mut ended = false;
            for _ in 0..2_000 {
                let before = server.deletes;
                let offset = listing.offset(before);
                busy(&mut server);
                let page = server.page(offset, limit);
                busy(&mut server);
                seen.extend(&page);
                ended = listing.take(offset, page.len(), before, server.deletes) == Turn::End;
                if ended {
                    break;
                }
                busy(&mut server);
            }
            prop_assert!(ended, "it never ends: {listing:?}");
            let missed: Vec<u32> =
                (0..size).filter(|id| !server.touched.contains(id) && !seen.contains(id)).collect();
            prop_assert!(missed.is_empty(), "{missed:?}");
        }
    }

    #[test]
    fn a_page_that_deletes_overtook_is_asked_for_again() {
        let mut listing = Listing::new(2);
        let none = Deletes::default();
        assert_eq!(listing.take(0, 2, none, none), Turn::More);
        let (before, after) = (none, Deletes { sent: 1, done: 0 });
        assert_eq!(listing.offset(before), 2);
        assert_eq!(listing.take(2, 2, before, after), Turn::Again);
        assert_eq!(listing.offset(after), 0);
        assert_eq!(listing.take(0, 1, after, after), Turn::End);
    }

    /// Three deletes while each page is read.
    #[test]
    fn steady_deletes_do_not_hold_a_list_up() {
        let (mut listing, mut now, mut pages) = (Listing::new(20), Deletes::default(), 0);
        while listing.covered < 400 {
            let before = now;
            let offset = listing.offset(before);
            now = Deletes { sent: now.sent + 3, done: now.done + 3 };
            listing.take(offset, 20, before, now);
            pages += 1;
            assert!(pages < 100, "{listing:?}");
        }
    }
}
