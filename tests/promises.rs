//! Does the whole balancer keep its promises on real Chroma and real PostgreSQL? One file per
//! promise; they share the harness and refuse to look inside the balancer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod harness;

mod promises {
    mod dev_command;
    mod effects;
    mod embedded;
    mod endpoints;
    mod log_table;
    mod names_and_ids;
    mod nothing_comes_back;
    mod read_your_writes;
    mod refusals;
    mod replication;
}
