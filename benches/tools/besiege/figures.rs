//! What genuine pushes and health checks get, and what both sides spend meanwhile.

use std::process::Child;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::peer::Spent;
use crate::server::cpu_ticks;

/// How long MNS waits for an answer.
const MNS_WAITS: Duration = Duration::from_secs(5);

/// What came of genuine pushes or of health checks.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) answered: usize,
    pub(crate) failed: usize,
    spans_ms: Vec<u64>,
}

impl Figures {
    pub(crate) fn percent(&self) -> f64 {
        100.0 * self.answered as f64 / (self.answered + self.failed).max(1) as f64
    }

    /// The span that this many of 1000 do not pass. One that failed took as long as MNS waits.
    pub(crate) fn at(&self, part: usize) -> u64 {
        let mut spans = self.spans_ms.clone();
        spans.sort_unstable();
        spans
            .get(spans.len() * part / 1000)
            .or(spans.last())
            .copied()
            .unwrap_or_default()
    }
}

/// What was spent up to some time.
pub(crate) struct Snapshot {
    at: Instant,
    connects: u64,
    bytes: u64,
    serve_ticks: u64,
    own_ticks: u64,
}

impl Snapshot {
    pub(crate) fn take(server: &Child, spent: &Spent) -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            connects: spent.connects.load(Ordering::Relaxed),
            bytes: spent.bytes.load(Ordering::Relaxed),
            serve_ticks: cpu_ticks(server.id())?,
            own_ticks: cpu_ticks(std::process::id())?,
        })
    }

    /// A tick is a hundredth of a second, so ticks in a second are percent of a core.
    pub(crate) fn since(&self, before: &Self) -> String {
        let took = self.at.duration_since(before.at).as_secs_f64();
        let rate = |after: u64, before: u64| after.saturating_sub(before) as f64 / took;
        format!(
            "attacker: {:.0} connects/s {:.1} kB/s {:.0}% cpu | serve: {:.0}% cpu",
            rate(self.connects, before.connects),
            rate(self.bytes, before.bytes) / 1000.0,
            rate(self.own_ticks, before.own_ticks),
            rate(self.serve_ticks, before.serve_ticks),
        )
    }
}

/// Asks so often a second, whether answers come or not.
pub(crate) async fn steadily<F>(rate: u64, seconds: u64, mut ask: impl FnMut() -> F) -> Figures
where
    F: Future<Output = anyhow::Result<bool>> + Send + 'static,
{
    let mut ticks = tokio::time::interval(Duration::from_millis(1000 / rate));
    let mut asked = Vec::new();
    for _ in 0..rate * seconds {
        ticks.tick().await;
        let answer = ask();
        asked.push(tokio::spawn(async move {
            let began = Instant::now();
            let is_right = matches!(timeout(MNS_WAITS, answer).await, Ok(Ok(true)));
            (is_right, if is_right { began.elapsed() } else { MNS_WAITS })
        }));
    }
    let mut figures = Figures::default();
    for one in asked {
        let Ok((is_right, span)) = one.await else {
            continue;
        };
        figures.answered += usize::from(is_right);
        figures.failed += usize::from(!is_right);
        figures
            .spans_ms
            .push(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    }
    figures
}
