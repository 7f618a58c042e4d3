//! What an operator's order changes, one rule at a time.

use super::*;
use crate::orders::Orders;
use uuid::Uuid;

const LEAVING: Standing =
    Standing { applies: false, serves: false, gone: false, suspect: false, leaving: true };

fn drained(s: &mut Sequencer, node: NodeId) {
    let mut orders = s.orders().clone();
    orders.set_drain(node, Some(Uuid::from_u128(1)));
    s.heard.set(orders);
}

#[test]
fn a_node_that_leaves_ends_what_it_was_given_and_gets_nothing_more() {
    let mut s = nodes(2);
    admit(&mut s, &[Op::Add, Op::Add]);
    let task = one(&mut s, A, "a1");
    s.set_standing(A, LEAVING);
    assert!(!s.is_emptied(A));
    idle(&mut s, A);
    assert_eq!(readable(&s), [1], "no read begins there");
    assert!(applied(&mut s, A, &task), "its answer is the verdict");
    assert!(s.is_emptied(A));
    idle(&mut s, A);
    // Nothing waits for the node that has left: the other one judges.
    assert!(s.applied_everywhere(STREAM, Seq(0)));
    let follows = one(&mut s, B, "f1");
    assert!(applied(&mut s, B, &follows));
    one(&mut s, B, "a2");
}

#[test]
fn who_comes_back_before_it_has_left_goes_on_and_who_left_is_looked_at() {
    let mut s = nodes(2);
    admit(&mut s, &[Op::Add]);
    let task = one(&mut s, A, "a1");
    s.set_standing(A, LEAVING);
    s.set_standing(A, UP);
    assert!(applied(&mut s, A, &task), "nothing was given up");
    assert_eq!(s.node(A).inspection, Inspection::Complete);
    s.set_standing(A, LEAVING);
    s.set_standing(A, DOWN);
    assert_eq!(s.node(A).inspection, Inspection::Due, "it may come back without its disk");
}

#[test]
fn what_hangs_at_a_node_that_leaves_is_asked_elsewhere_once_it_has_left() {
    let mut s = nodes(2);
    admit(&mut s, &[Op::Add]);
    let task = one(&mut s, A, "a1");
    s.set_standing(A, LEAVING);
    idle(&mut s, B);
    s.set_standing(A, DOWN);
    assert!(s.is_emptied(A));
    assert!(!applied(&mut s, A, &task), "it comes too late");
    one(&mut s, B, "a1");
}

#[test]
fn a_node_is_taken_out_only_while_another_is_up_to_date() {
    let mut s = nodes(2);
    assert_eq!(s.drainable(A), Ok(()));
    drained(&mut s, B);
    assert_eq!(s.drainable(A), Err(Hindrance::LastNode), "the other one was ordered out a moment ago");
    let mut s = nodes(2);
    s.set_standing(B, DOWN);
    assert_eq!(s.drainable(A), Err(Hindrance::LastNode));
    assert_eq!(s.drainable(B), Ok(()), "it serves nobody anyway");
    assert_eq!(nodes(1).drainable(A), Err(Hindrance::LastNode));
}

#[test]
fn nor_may_the_only_node_go_on_which_a_collection_is_read() {
    let mut s = nodes(2);
    s.set_other_ids(B, DOCS, true);
    assert_eq!(s.drainable(A), Err(Hindrance::LastNode));
    assert_eq!(s.drainable(B), Ok(()));
    let mut s = nodes(3);
    s.set_other_ids(B, DOCS, true);
    assert_eq!(s.drainable(A), Ok(()), "the third one has it");
}

#[test]
fn who_is_preferred_judges_whenever_it_can() {
    let mut s = nodes(2);
    s.heard.set(Orders { preferred: Some(B), ..Orders::default() });
    assert_eq!((s.first_choice(), s.acts_next()), (B, Some(B)));
    admit(&mut s, &[Op::Add]);
    idle(&mut s, A);
    let task = one(&mut s, B, "a1");
    assert!(applied(&mut s, B, &task));
    s.set_standing(B, DOWN);
    assert_eq!(s.preferable(B), Err(Hindrance::Behind));
    let follows = one(&mut s, A, "f1");
    assert!(applied(&mut s, A, &follows));
    admit(&mut s, &[Op::Add]);
    one(&mut s, A, "a2");
    s.heard.set(Orders { preferred: Some(NodeId(9)), ..Orders::default() });
    assert_eq!(s.first_choice(), A, "that one is not configured any more");
}

#[test]
fn where_there_are_no_nodes_none_acts() {
    let mut s = nodes(0);
    s.recover(Recovered::default());
    assert_eq!((s.leading(), s.acts_next()), (true, None));
}

#[test]
fn an_order_is_known_with_the_lease() {
    let mut s = nodes(2);
    let mut orders = Orders::default();
    orders.set_drain(B, Some(Uuid::from_u128(1)));
    s.recover(Recovered { orders: orders.clone(), ..Recovered::default() });
    assert_eq!(s.orders(), &orders);
}
