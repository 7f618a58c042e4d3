//! Does the whole balancer keep its promises on real Chroma and real PostgreSQL? One file per
//! promise; they share the harness and refuse to look inside the balancer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod harness;

mod promises {
    mod acknowledged_by_log;
    mod acknowledgement;
    mod admin;
    mod adoption;
    mod alerts;
    mod all_nodes_killed;
    mod api_keys;
    mod backlog;
    mod backup;
    mod balancer_killed;
    mod bounded;
    mod chroma_suite;
    mod coalescing;
    mod command_line;
    mod compatibility;
    mod dashboard;
    mod dead_letters;
    mod deletion_conversion;
    mod dev_command;
    mod drain;
    mod effects;
    mod embedded;
    mod endpoints;
    mod examples;
    mod fates;
    mod faults;
    mod guides;
    mod headers;
    mod hostile_bodies;
    mod hostile_requests;
    mod idempotency;
    mod in_doubt;
    mod javascript_client;
    mod late_copies;
    mod lease;
    mod log_table;
    mod lost_disk;
    mod lost_everywhere;
    mod metrics;
    mod migration;
    mod monitor;
    mod names_and_ids;
    mod node_hung;
    mod nothing_comes_back;
    mod old_api;
    mod orders_in_doubt;
    mod overload;
    mod own_routes;
    mod poison;
    mod postgres_restarted;
    mod pressure;
    mod primary_killed;
    mod python_client;
    mod read_connections;
    mod read_only;
    mod read_your_writes;
    mod rebuild;
    mod redaction;
    mod refusals;
    mod replica_killed;
    mod replication;
    mod rolling;
    mod slow_clients;
    mod suffix;
    mod tls;
    mod traces;
    mod troubles;
    mod upgrade;
    mod validation;
    mod verify;
}
