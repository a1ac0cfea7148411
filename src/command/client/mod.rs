//! The manual's scripts as commands: topics, subscriptions and publishing, over the REST API.

mod credentials;
pub(super) mod existing;
mod existing_topic;
mod ini;
mod key_source;
pub(super) mod publish;
pub(super) mod service;
pub(super) mod subscribe;
pub(super) mod subscription;
pub(super) mod topic;
