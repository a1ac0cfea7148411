//! Writes one family of metrics: its name, its help and its values.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::meter::{Counted, DurationHistogram, SizeHistogram};

/// The metric families written so far, in the order of the output.
pub(super) struct Families<'a>(pub(super) DescriptorEncoder<'a>);

/// The labels of one member of a family.
type Labels<'a, const N: usize> = [(&'a str, &'a str); N];

impl Families<'_> {
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = self.describe(name, help, MetricType::Counter)?;
        // The library appends `_total` to the name of a counter.
        ConstCounter::new(value).encode(metric)
    }

    /// A counter for each set of labels.
    pub(super) fn counters<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        members: impl IntoIterator<Item = (Labels<'a, N>, u64)>,
    ) -> fmt::Result {
        let mut family = self.describe(name, help, MetricType::Counter)?;
        for (labels, value) in members {
            ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.signed_gauge(name, help, signed(value))
    }

    /// A gauge that may be negative.
    pub(super) fn signed_gauge(&mut self, name: &str, help: &str, value: i64) -> fmt::Result {
        let metric = self.describe(name, help, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    pub(super) fn float_gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let metric = self.describe(name, help, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    pub(super) fn float_counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let metric = self.describe(name, help, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)
    }

    /// A gauge for each set of labels.
    pub(super) fn gauges<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        members: impl IntoIterator<Item = (Labels<'a, N>, u64)>,
    ) -> fmt::Result {
        let mut family = self.describe(name, help, MetricType::Gauge)?;
        for (labels, value) in members {
            ConstGauge::new(signed(value)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A histogram in seconds, the base unit of Prometheus.
    pub(super) fn durations(
        &mut self,
        name: &str,
        help: &str,
        durations: &DurationHistogram,
    ) -> fmt::Result {
        self.histogram(name, help, &durations.counted(), seconds)
    }

    /// A histogram in seconds for each set of labels.
    pub(super) fn durations_each<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        members: impl IntoIterator<Item = (Labels<'a, N>, &'a DurationHistogram)>,
    ) -> fmt::Result {
        let mut family = self.describe(name, help, MetricType::Histogram)?;
        for (labels, durations) in members {
            write_histogram(
                family.encode_family(&labels)?,
                &durations.counted(),
                seconds,
            )?;
        }
        Ok(())
    }

    pub(super) fn sizes<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        sizes: &SizeHistogram<N>,
    ) -> fmt::Result {
        // Exact, because sizes are far below 2^53.
        #[expect(
            clippy::cast_precision_loss,
            clippy::as_conversions,
            reason = "the text format has floats only"
        )]
        let as_it_is = |size: u64| size as f64;
        self.histogram(name, help, &sizes.counted(), as_it_is)
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        counted: &Counted,
        unit: impl Fn(u64) -> f64,
    ) -> fmt::Result {
        let metric = self.describe(name, help, MetricType::Histogram)?;
        write_histogram(metric, counted, unit)
    }

    fn describe<'s>(
        &'s mut self,
        name: &'s str,
        help: &'s str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        // No unit: the library would append it to the name, which already ends with it.
        self.0.encode_descriptor(name, help, None, kind)
    }
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

fn write_histogram(
    mut metric: MetricEncoder<'_>,
    counted: &Counted,
    unit: impl Fn(u64) -> f64,
) -> fmt::Result {
    let bound = |bound: Option<u64>| bound.map_or(f64::INFINITY, &unit);
    let buckets: Vec<(f64, u64)> = counted
        .buckets
        .iter()
        .map(|(end, count)| (bound(*end), *count))
        .collect();
    let count = counted.buckets.iter().map(|(_, count)| count).sum();
    // The library accumulates the buckets, which the format requires, so these are separate counts.
    metric.encode_histogram::<[(&str, &str); 0]>(unit(counted.sum), count, &buckets, None)
}

/// The library only has gauges of `i64`.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
