//! Traces of pushes, for a collector that speaks OTLP: one span for each push, made of times that
//! are taken anyway.
//!
//! A push is never held up for its trace: once its answer is decided, the trace is put into a
//! bounded queue or dropped and counted. A thread of its own sends what is in the queue.

mod context;
mod exporter;
mod otlp;
mod queue;
mod trace;

pub use context::TraceContext;
pub use exporter::{Exporter, Options, TracesError};
pub use queue::Traces;
pub use trace::{Answered, Stage, Subject, Trace};
