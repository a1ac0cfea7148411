//! Records traces of pushes and sends them to a collector that speaks OTLP. Each push has one span,
//! with a child span for each stage, built from times that are measured anyway.
//!
//! A push never waits for its trace: once its answer is decided, the trace is put into a bounded
//! queue, or dropped and counted. A separate thread sends the queue.

mod context;
mod exporter;
mod otlp;
mod queue;
mod trace;

pub use context::TraceContext;
pub use exporter::{Exporter, Options, TracesError};
pub use queue::Traces;
pub use trace::{Answered, Stage, Subject, Trace};
