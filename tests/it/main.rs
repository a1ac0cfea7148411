//! Every test that needs a socket, a process or the repository itself, in one binary, so that it is
//! linked once.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::too_many_lines,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "helpers fail by panicking and are read beside their callers; a table of cases is long"
)]

mod activation;
mod addresses;
mod admin;
mod certificates;
mod cli;
mod cli_bounds;
mod cli_check;
mod cli_client;
mod cli_credentials;
mod cli_existing;
mod cli_explain;
mod cli_logs;
mod cli_push;
mod client;
mod closed_stdout;
mod commit_log;
mod damage;
mod dashboards;
mod demo;
mod docs_commands;
mod docs_zh;
mod drain;
mod duplicates;
mod durability;
mod emulator;
mod emulator_page;
mod emulator_wire;
mod examples;
mod faults;
mod flood;
mod forward_away;
mod forward_cluster;
mod forward_commands;
mod forward_failures;
mod forward_http;
mod forward_nats;
mod forward_nats_cluster;
#[cfg(feature = "nats-nkeys")]
mod forward_nats_nkeys;
mod forward_serve;
mod forward_shards;
mod forward_status;
mod golden;
mod high_water;
mod hostile;
mod https;
mod inspector;
mod inspector_browser;
mod inspector_forwarding;
mod inspector_frames;
mod inspector_search;
mod inspector_search_browser;
mod inspector_views;
mod journal;
mod kill9;
mod limits;
mod logrotate;
mod logs_replay;
mod logs_show;
mod logs_tail;
mod nginx;
mod odd_bodies;
mod old_logs;
mod overload;
mod printed;
mod proxies;
mod pusher;
mod quarantine;
mod receive;
mod recover;
mod refuse;
mod reload;
mod repair;
mod rotate;
mod secret_path;
mod shippers;
mod slots;
mod strict;
mod support;
mod terminal;
mod tidy;
mod tls;
mod traces;
mod upgrade;
mod without_ipv6;
