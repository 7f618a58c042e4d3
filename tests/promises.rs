//! Does the whole balancer keep its promises on real Chroma and real PostgreSQL? One file per
//! promise; they share the harness and refuse to look inside the balancer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod harness;

mod promises {
    mod chroma_suite;
    mod dev_command;
    mod embedded;
    mod old_api;
    mod python_client;
}
