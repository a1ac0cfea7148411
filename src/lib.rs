//! A push endpoint for Alibaba Cloud MNS topics whose 201 is true.
//!
//! Start with [`server`]: a request is read, proved ([`trust`]), decoded ([`mns`]), and made durable
//! ([`journal`]) before it is answered. The modules below stand in layer order, and a module imports only
//! from layers above it on this page:
//!
//! | layer | modules |
//! |---|---|
//! | words | [`mns`] |
//! | services | [`clock`], [`trust`], [`journal`], [`net`] |
//! | roles | [`server`], [`admin`], [`client`], [`emulator`] |
//! | assembly | [`config`], [`command`] |
//!
//! `docs/ARCHITECTURE.md` is the map.

pub mod mns;

pub mod clock;
pub mod journal;
pub mod meter;
pub mod net;
mod remedy;
mod report;
mod roots;
pub mod trust;

pub mod admin;
pub mod client;
pub mod emulator;
pub mod server;

pub mod command;
pub mod config;
mod metrics;
mod signals;
mod telemetry;
