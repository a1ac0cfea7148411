//! The inspector: a page that shows what arrives, and the API that it asks (`docs/inspector.md`).

mod about;
mod api;
mod checks;
mod detail;
mod files;
mod filter;
mod hour;
mod inspector;
mod list;
mod query;
mod replay;
mod request;
mod row;
mod stream;
mod streams;
mod subscriptions;

pub use about::About;
pub(super) use api::answer;
pub(super) use files::FILES;
pub use inspector::Inspector;
