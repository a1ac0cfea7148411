//! The inspector: a page that shows what arrives, and the API that it asks (`docs/inspector.md`).

mod about;
mod inspector;

pub use about::About;
pub use inspector::Inspector;
