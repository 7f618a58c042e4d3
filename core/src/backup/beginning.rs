//! From which position on must the log be part of a copy? From where each node that may have been read was certain to
//! stand before the first read. It asks nobody.

use std::collections::BTreeMap;

use crate::ids::Seq;

/// The nodes at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// The balancer's nodes, and whether each is down.
    pub down: BTreeMap<String, bool>,
    /// Nodes that follow the log: whatever may still change there is from after this position.
    pub safe: BTreeMap<String, Seq>,
    /// The last change of each node's state that was kept, by its number.
    pub turns: BTreeMap<String, i64>,
}

/// `before` the first read and `after` the last one. Whatever was read shows at least everything up to here; a node
/// that was down all the time was not read, however far behind it is. None: every node was down.
pub fn copied_from(before: &Sight, after: &Sight) -> Option<Seq> {
    let stayed_away = |node: &String| {
        let down = |sight: &Sight| sight.down.get(node) == Some(&true);
        let kept = |sight: &Sight| (sight.safe.get(node).copied(), sight.turns.get(node).copied());
        down(before) && down(after) && kept(before) == kept(after)
    };
    let read = |node: &String| before.down.contains_key(node) && !stayed_away(node);
    before.safe.iter().filter(|(node, _)| read(node)).map(|(_, safe)| *safe).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: bool = false;
    const DOWN: bool = true;

    /// With the replica's last turn.
    fn sight(nodes: [(bool, u64); 2], turn: i64) -> Sight {
        let names = ["primary".to_owned(), "replica".to_owned()];
        let down = names.clone().into_iter().zip(nodes.map(|(down, _)| down)).collect();
        let safe = names.clone().into_iter().zip(nodes.map(|(_, safe)| Seq(safe))).collect();
        Sight { down, safe, turns: names.into_iter().zip([1, turn]).collect() }
    }

    #[test]
    fn the_node_that_is_furthest_behind_decides() {
        let before = sight([(UP, 7), (UP, 5)], 1);
        assert_eq!(copied_from(&before, &sight([(UP, 9), (UP, 9)], 1)), Some(Seq(5)));
    }

    #[test]
    fn a_node_that_was_down_all_the_time_does_not() {
        let before = sight([(UP, 7), (DOWN, 5)], 1);
        assert_eq!(copied_from(&before, &sight([(UP, 9), (DOWN, 5)], 1)), Some(Seq(7)));
        let none = sight([(DOWN, 7), (DOWN, 5)], 1);
        assert_eq!(copied_from(&none, &none), None);
        // Another node's turns are not its own.
        let mut after = sight([(UP, 9), (DOWN, 5)], 1);
        after.turns.insert("primary".to_owned(), 2);
        assert_eq!(copied_from(&before, &after), Some(Seq(7)));
    }

    #[test]
    fn a_node_that_may_have_been_up_meanwhile_counts() {
        let before = sight([(UP, 7), (DOWN, 5)], 1);
        for after in [
            sight([(UP, 9), (UP, 5)], 1),
            // It was given something, or changed its state and back.
            sight([(UP, 9), (DOWN, 6)], 1),
            sight([(UP, 9), (DOWN, 5)], 3),
        ] {
            assert_eq!(copied_from(&before, &after), Some(Seq(5)), "{after:?}");
        }
        let went = sight([(UP, 7), (UP, 5)], 1);
        assert_eq!(copied_from(&went, &sight([(UP, 9), (DOWN, 5)], 1)), Some(Seq(5)));
    }

    #[test]
    fn another_balancers_node_is_not_read() {
        let mut before = sight([(UP, 7), (UP, 5)], 1);
        before.down.remove("replica");
        assert_eq!(copied_from(&before, &before), Some(Seq(7)));
    }
}
