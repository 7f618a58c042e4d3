//! Does the whole balancer keep its promises on real Chroma and real PostgreSQL? One file per
//! promise; they share the harness and refuse to look inside the balancer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod harness;

mod promises {
    mod all_nodes_killed;
    mod balancer_killed;
    mod dev_command;
    mod embedded;
    mod node_hung;
    mod postgres_restarted;
    mod primary_killed;
    mod replica_killed;
    mod rolling;
}
