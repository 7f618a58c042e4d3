//! By which name, kind, labels and words does each family of figures go out? Whoever makes one makes it here,
//! so that what is documented is what is registered. It knows no figure itself.

use std::fmt::Write;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Counter, CounterVec, Error, GaugeVec, HistogramOpts, HistogramVec};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// From half a millisecond to a minute.
pub(super) const SECONDS: [f64; 17] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0];

/// Entries in one go: from a single one to more than any limit lets through.
pub(super) const ENTRIES: [f64; 12] =
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A family of figures, for readers of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: Vec<&'static str>,
    pub help: &'static str,
}

impl Described {
    /// Read off the name, which says it by convention.
    pub fn unit(&self) -> &'static str {
        let bare = self.name.strip_suffix("_total").unwrap_or(self.name);
        let units = ["seconds", "bytes", "ratio", "info"];
        units.into_iter().find(|unit| bare.ends_with(unit)).unwrap_or("count")
    }
}

/// The families of one page, with their descriptions.
#[derive(Debug, Default)]
pub struct Families {
    registry: Registry,
    described: Vec<Described>,
}

impl Families {
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    pub fn described(&self) -> &[Described] {
        &self.described
    }

    fn keep<C: Collector + Clone + 'static>(
        &mut self,
        (name, help): (&'static str, &'static str),
        kind: Kind,
        labels: &[&'static str],
        collector: C,
    ) -> Result<C, Error> {
        self.registry.register(Box::new(collector.clone()))?;
        self.described.push(Described { name, kind, labels: labels.to_vec(), help });
        Ok(collector)
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> Result<IntCounter, Error> {
        self.keep((name, help), Kind::Counter, &[], IntCounter::new(name, help)?)
    }

    pub(super) fn counters(
        &mut self,
        name: &'static str,
        labels: &[&'static str],
        help: &'static str,
    ) -> Result<IntCounterVec, Error> {
        self.keep((name, help), Kind::Counter, labels, IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn histograms(
        &mut self,
        name: &'static str,
        buckets: &[f64],
        labels: &[&'static str],
        help: &'static str,
    ) -> Result<HistogramVec, Error> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.keep((name, help), Kind::Histogram, labels, HistogramVec::new(options, labels)?)
    }

    /// A figure that is counted elsewhere, as it is now.
    pub(super) fn total(&mut self, name: &'static str, help: &'static str, value: f64) -> Result<(), Error> {
        self.keep((name, help), Kind::Counter, &[], Counter::new(name, help)?)?.inc_by(value.max(0.0));
        Ok(())
    }

    pub(super) fn totals<'a, const N: usize>(
        &mut self,
        name: &'static str,
        labels: [&'static str; N],
        help: &'static str,
        samples: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) -> Result<(), Error> {
        let vec = CounterVec::new(Opts::new(name, help), &labels)?;
        let vec = self.keep((name, help), Kind::Counter, &labels, vec)?;
        samples.into_iter().for_each(|(of, value)| vec.with_label_values(&of).inc_by(value.max(0.0)));
        Ok(())
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) -> Result<(), Error> {
        let gauge = prometheus::Gauge::new(name, help)?;
        self.keep((name, help), Kind::Gauge, &[], gauge)?.set(value);
        Ok(())
    }

    /// What has no sample is not known at this moment, and not shown.
    pub(super) fn gauges<'a, const N: usize>(
        &mut self,
        name: &'static str,
        labels: [&'static str; N],
        help: &'static str,
        samples: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) -> Result<(), Error> {
        let vec = GaugeVec::new(Opts::new(name, help), &labels)?;
        let vec = self.keep((name, help), Kind::Gauge, &labels, vec)?;
        samples.into_iter().for_each(|(of, value)| vec.with_label_values(&of).set(value));
        Ok(())
    }
}

/// The table of `docs/metrics.md`.
pub fn markdown_table(described: &[Described]) -> String {
    let mut rows: Vec<&Described> = described.iter().collect();
    rows.sort_by_key(|row| row.name);
    let mut table = String::from("| name | type | unit | labels | meaning |\n|---|---|---|---|---|\n");
    for row in rows {
        let labels: Vec<String> = row.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, unit, labels, help) =
            (row.name, row.kind.name(), row.unit(), labels.join(", "), row.help);
        let _ = writeln!(table, "| `{name}` | {kind} | {unit} | {labels} | {help} |");
    }
    table
}
