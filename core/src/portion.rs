//! How many records does one request of a copy carry? As many as the node takes in a moment: a server
//! writes one request at a time, so what its other writers wait is at most that moment. It reads no clock.

use std::time::Duration;

const FIRST: usize = 100;
const LEAST: usize = 10;
const MOST: usize = 500;

/// What a request should take at most.
const MOMENT: Duration = Duration::from_millis(400);

#[derive(Clone, Copy, Debug)]
pub struct Portion {
    size: usize,
    most: usize,
}

impl Portion {
    /// `node_limit`: the most records that the node takes in one request.
    pub fn new(node_limit: usize) -> Portion {
        let most = MOST.min(node_limit).max(1);
        Portion { size: FIRST.min(most), most }
    }

    pub fn size(&self) -> usize {
        self.size
    }

    /// A request with `count` records took so long.
    pub fn took(&mut self, count: usize, duration: Duration) {
        if duration > MOMENT {
            self.size = (count / 2).max(LEAST).min(self.most);
        } else if duration < MOMENT / 2 && count >= self.size {
            self.size = (self.size * 2).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_node_within_its_bounds() {
        let (slow, fast) = (Duration::from_secs(1), Duration::from_millis(20));
        let mut portion = Portion::new(5_461);
        for _ in 0..10 {
            portion.took(portion.size(), fast);
        }
        assert_eq!(portion.size(), MOST);
        portion.took(portion.size(), slow);
        assert_eq!(portion.size(), MOST / 2);
        for _ in 0..10 {
            portion.took(portion.size(), slow);
        }
        assert_eq!(portion.size(), LEAST);
        // A last, small request says nothing about large ones.
        portion.took(1, fast);
        assert_eq!(portion.size(), LEAST);
        assert_eq!(Portion::new(3).size(), 3);
    }
}
