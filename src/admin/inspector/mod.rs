//! The inspector: a page that shows arriving notifications, and its API (`docs/inspector.md`).

mod about;
mod api;
mod captured;
mod checks;
mod cursor;
mod detail;
mod files;
mod filter;
mod forwarding;
mod hour;
mod inspector;
mod known;
mod list;
mod log_source;
mod logged;
mod moment;
mod names;
mod query;
mod replay;
mod request;
mod row;
mod searcher;
mod stream;
mod streams;
mod subscriptions;
mod walks;

pub use about::About;
pub(super) use api::answer;
pub(super) use files::FILES;
pub use inspector::Inspector;
pub use log_source::LogSource;
