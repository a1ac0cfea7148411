//! The objects of the REST API, version 2015-06-06 (`docs/emulator.md`), and their XML.

mod error;
mod notify_strategy;
mod subscription;
mod topic;
mod value;

pub use error::ApiError;
pub use notify_strategy::NotifyStrategy;
pub use subscription::{Subscription, SubscriptionAttributes, SubscriptionChange};
pub use topic::{Topic, TopicAttributes};
pub use value::{UnexpectedDocument, text};

#[cfg(test)]
mod tests;
