//! What did operators order about nodes, and is it carried out? An order holds until another one ends it,
//! whatever restarts and whoever holds the log. Values only: who may order is the front's to say, what
//! follows from an order is health's and the sequencer's.

use serde::Serialize;
use uuid::Uuid;

use crate::ids::NodeId;

/// A node is to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Drain {
    pub node: NodeId,
    /// Tells this order from an earlier one about the same node.
    pub order: Uuid,
}

/// Everything that was ordered and holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    pub drains: Vec<Drain>,
    /// The node that acts whenever it is up to date, whatever the configured order.
    pub preferred: Option<NodeId>,
}

impl Orders {
    pub fn drain_of(&self, node: NodeId) -> Option<Uuid> {
        self.drains.iter().find(|drain| drain.node == node).map(|drain| drain.order)
    }

    /// `None`: the node is used again.
    pub fn set_drain(&mut self, node: NodeId, order: Option<Uuid>) {
        self.drains.retain(|drain| drain.node != node);
        self.drains.extend(order.map(|order| Drain { node, order }));
    }
}

/// The orders that a balancer follows, and whether they are all that hold.
#[derive(Debug, Default)]
pub struct Heard {
    orders: Orders,
    /// Rises with each order: what was read before says nothing about it.
    turn: u64,
    in_doubt: bool,
}

impl Heard {
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// An order may hold that is not known here: nothing may be judged by the others until they are read.
    pub fn in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Those that are durable now.
    pub fn set(&mut self, orders: Orders) {
        *self = Heard { orders, turn: self.turn + 1, in_doubt: false };
    }

    /// Whether an order is durable could not be learnt.
    pub fn doubt(&mut self) {
        self.turn += 1;
        self.in_doubt = true;
    }

    /// To be remembered before orders are read.
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// What a read that was begun in that turn found. Says whether it is followed, and news.
    pub fn read(&mut self, turn: u64, found: &Orders) -> bool {
        if turn != self.turn {
            return false;
        }
        self.in_doubt = false;
        let news = self.orders != *found;
        if news {
            // A read that was begun before this one may end after it.
            self.set(found.clone());
        }
        news
    }
}

/// What a balancer says of the orders that it follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    pub orders: Orders,
    /// By drain: other balancers that may still send requests to the node.
    pub awaited: Vec<(Uuid, Vec<String>)>,
}

impl Followed {
    /// The other balancers that still use a node; `None`: it was not asked since the order was given.
    pub fn awaited(&self, order: Uuid) -> Option<&[String]> {
        self.awaited.iter().find(|(known, _)| *known == order).map(|(_, names)| names.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_one_drain_at_a_time_and_the_latest_counts() {
        let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut orders = Orders::default();
        orders.set_drain(NodeId(1), Some(first));
        orders.set_drain(NodeId(1), Some(second));
        orders.set_drain(NodeId(0), Some(first));
        assert_eq!((orders.drain_of(NodeId(1)), orders.drains.len()), (Some(second), 2));
        orders.set_drain(NodeId(1), None);
        assert_eq!((orders.drain_of(NodeId(1)), orders.drain_of(NodeId(0))), (None, Some(first)));
    }

    fn one(order: u128) -> Orders {
        Orders { drains: vec![Drain { node: NodeId(1), order: Uuid::from_u128(order) }], preferred: None }
    }

    #[test]
    fn an_order_given_while_others_were_read_is_not_forgotten() {
        let mut heard = Heard::default();
        let turn = heard.turn();
        heard.set(one(1));
        assert!(!heard.read(turn, &Orders::default()));
        assert_eq!(heard.orders(), &one(1));
        assert!(!heard.read(heard.turn(), &one(1)), "no news");
        assert!(heard.read(heard.turn(), &Orders::default()), "given up in another way");
        assert_eq!(heard.orders(), &Orders::default());
    }

    #[test]
    fn of_two_reads_the_one_that_ends_late_changes_nothing() {
        let mut heard = Heard::default();
        let turn = heard.turn();
        assert!(heard.read(turn, &one(1)));
        assert!(!heard.read(turn, &Orders::default()), "it was begun before");
        assert_eq!(heard.orders(), &one(1));
    }

    #[test]
    fn what_was_read_before_a_doubt_does_not_end_it() {
        let mut heard = Heard::default();
        let turn = heard.turn();
        heard.doubt();
        assert!(!heard.read(turn, &Orders::default()) && heard.in_doubt());
        assert!(heard.read(heard.turn(), &one(1)), "it was durable");
        assert!(!heard.in_doubt());
        heard.doubt();
        assert!(!heard.read(heard.turn(), &one(1)) && !heard.in_doubt(), "it was not");
    }

    #[test]
    fn what_was_not_asked_is_not_known() {
        let order = Uuid::from_u128(1);
        let seen = Followed { orders: Orders::default(), awaited: vec![(order, Vec::new())] };
        assert_eq!(seen.awaited(order), Some(&[][..]));
        assert_eq!(seen.awaited(Uuid::from_u128(2)), None);
    }
}
