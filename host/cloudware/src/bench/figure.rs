//! What a bench found: figures, printed as they are found as one JSON object a line, or as a table.

use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::isv::Output;

/// One figure. Its value is the median of several measurements.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figure {
    /// The bench that found it.
    bench: &'static str,
    /// What was measured.
    metric: String,
    /// The median; absent where it could not be measured, and then `missing` says why.
    value: Option<f64>,
    /// The unit of all values.
    unit: &'static str,
    /// The median of what it is compared with.
    baseline: Option<f64>,
    /// How many times the baseline it is: the median of what the rounds gave.
    ratio: Option<f64>,
    /// What it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<String>,
    /// Measurements.
    runs: usize,
    /// The smallest measurement.
    min: Option<f64>,
    /// The largest measurement.
    max: Option<f64>,
    /// What is aimed at.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    /// Whether it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
    /// Why there is no value, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<String>,
}

/// What a figure aims at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Target {
    /// The value is to be at most this.
    ValueAtMost(f64),
    /// The value is to be at least this.
    ValueAtLeast(f64),
    /// The ratio is to be at most this.
    RatioAtMost(f64),
    /// The ratio is to be at least this.
    RatioAtLeast(f64),
}

impl Figure {
    /// A figure of at least one measurement.
    pub(super) fn new(
        bench: &'static str,
        metric: impl Into<String>,
        unit: &'static str,
        runs: &[f64],
    ) -> Self {
        Self {
            bench,
            metric: metric.into(),
            value: median(runs),
            unit,
            baseline: None,
            ratio: None,
            against: None,
            runs: runs.len(),
            min: runs.iter().copied().reduce(f64::min),
            max: runs.iter().copied().reduce(f64::max),
            target: None,
            met: None,
            missing: None,
        }
    }

    /// A figure that could not be measured.
    pub(super) fn missing(
        bench: &'static str,
        metric: impl Into<String>,
        unit: &'static str,
        why: impl Into<String>,
    ) -> Self {
        Self {
            missing: Some(why.into()),
            ..Self::new(bench, metric, unit, &[])
        }
    }

    /// Compares it with what was measured in the same rounds.
    pub(super) fn against(mut self, what: &str, runs: &[f64], baseline: &[f64]) -> Self {
        let ratios: Vec<f64> = runs.iter().zip(baseline).map(|(a, b)| a / b).collect();
        self.against = Some(what.to_owned());
        self.baseline = median(baseline);
        self.ratio = median(&ratios);
        self
    }

    /// Says what is aimed at.
    pub(super) fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self.met = match target {
            Target::ValueAtMost(max) => self.value.map(|value| value <= max),
            Target::ValueAtLeast(min) => self.value.map(|value| value >= min),
            Target::RatioAtMost(max) => self.ratio.map(|ratio| ratio <= max),
            Target::RatioAtLeast(min) => self.ratio.map(|ratio| ratio >= min),
        };
        self
    }

    fn cells(&self) -> [String; 6] {
        let range = match (self.min, self.max) {
            (Some(min), Some(max)) if self.runs > 1 => format!("{}–{}", plain(min), plain(max)),
            _ => String::new(),
        };
        let value = match self.value {
            Some(value) => format!("{} {}", plain(value), self.unit),
            None => "missing".to_owned(),
        };
        let compared = match (self.ratio, &self.against, self.baseline) {
            (Some(ratio), Some(what), Some(baseline)) => {
                format!("{ratio:.2} × {what} ({})", plain(baseline))
            }
            _ => String::new(),
        };
        let target = match self.target {
            Some(Target::ValueAtMost(max)) => format!("≤ {} {}", plain(max), self.unit),
            Some(Target::ValueAtLeast(min)) => format!("≥ {} {}", plain(min), self.unit),
            Some(Target::RatioAtMost(max)) => format!("≤ {max} ×"),
            Some(Target::RatioAtLeast(min)) => format!("≥ {min} ×"),
            None => String::new(),
        };
        let met = match self.met {
            Some(true) => "reached",
            Some(false) => "MISSED",
            None => "",
        };
        let target = format!("{target} {met}").trim().to_owned();
        [
            self.bench.to_owned(),
            self.metric.clone(),
            value,
            range,
            compared,
            target,
        ]
    }
}

/// Prints figures.
pub(super) struct Report {
    output: Output,
}

impl Report {
    pub(super) fn new(output: Output) -> Self {
        Self { output }
    }

    /// Prints what one bench found.
    pub(super) fn print(&self, figures: &[Figure]) -> Result<()> {
        let mut out = std::io::stdout().lock();
        match self.output {
            Output::Json => {
                for figure in figures {
                    writeln!(out, "{}", serde_json::to_string(figure)?)?;
                }
            }
            Output::Text => {
                for line in table(figures) {
                    writeln!(out, "{line}")?;
                }
            }
        }
        Ok(out.flush()?)
    }
}

fn table(figures: &[Figure]) -> Vec<String> {
    let head = ["bench", "figure", "median", "range", "compared with", "aim"];
    let rows: Vec<[String; 6]> = std::iter::once(head.map(str::to_owned))
        .chain(figures.iter().map(Figure::cells))
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, &width)| format!("{cell:width$}"))
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

/// The middle of some values; between the two middle ones where their number is even.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[sorted.len() / 2 - 1], upper))
}

/// The value that a share of the sample is not above; 0 of an empty one.
pub(super) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1) as f64;
    // The index of a sample of thousands is exact.
    sorted
        .get((last * share).round() as usize)
        .copied()
        .unwrap_or_default()
}

/// A number with as many digits as say something.
fn plain(value: f64) -> String {
    match value.abs() {
        large if large >= 1_000.0 => grouped(value.round()),
        middle if middle >= 100.0 => format!("{value:.0}"),
        small if small >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-" } else { "" }.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_one_bad_round() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 900.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        // The machine was three times as slow in the second round, for both.
        let (ours, theirs) = ([30.0, 10.0, 30.0], [10.0, 4.0, 10.0]);
        let figure = Figure::new("hello", "fresh", "req/s", &ours)
            .against("peer", &ours, &theirs)
            .target(Target::RatioAtLeast(2.5));
        assert_eq!(figure.ratio, Some(3.0));
        assert_eq!(figure.met, Some(true));
        let strict = figure.target(Target::RatioAtLeast(3.5));
        assert_eq!(strict.met, Some(false));
    }

    #[test]
    fn a_line_of_json_has_what_programs_look_for() {
        let missing = Figure::missing("hello", "spin", "req/s", "install it");
        let line = serde_json::to_value(&missing).unwrap();
        assert!(line["value"].is_null() && line["baseline"].is_null() && line["ratio"].is_null());
        assert_eq!(line["missing"], "install it");
        let met = Figure::new("sandbox", "create", "µs", &[12.0]).target(Target::ValueAtMost(15.0));
        let line = serde_json::to_value(&met).unwrap();
        assert_eq!(line["value"], 12.0);
        assert_eq!(line["met"], true);
        assert!(line["ratio"].is_null());
    }

    #[test]
    fn thousands_are_grouped_and_a_sign_is_no_digit() {
        assert_eq!(plain(1_234_567.0), "1,234,567");
        assert_eq!(plain(-973_141.0), "-973,141");
    }

    #[test]
    fn aims_are_judged_in_their_direction() {
        let figure = |target| Figure::new("noisy", "p99", "µs", &[12.0]).target(target);
        assert_eq!(figure(Target::ValueAtLeast(12.0)).met, Some(true));
        assert_eq!(figure(Target::ValueAtLeast(12.1)).met, Some(false));
        let beside = Figure::new("noisy", "p99", "µs", &[12.0]).against("alone", &[12.0], &[10.0]);
        let beside = beside.target(Target::RatioAtMost(1.2));
        assert_eq!(beside.met, Some(true));
        assert_eq!(beside.target(Target::RatioAtMost(1.1)).met, Some(false));
    }

    #[test]
    fn tables_are_aligned() {
        let figures = [
            Figure::new("hello", "a", "req/s", &[25_100.4, 24_000.0, 26_000.0]),
            Figure::new("hello", "longer", "µs", &[1.234]),
        ];
        let lines = table(&figures);
        assert_eq!(lines[1], "hello  a       25,100 req/s  24,000–26,000");
        assert_eq!(lines[2], "hello  longer  1.23 µs");
    }

    #[test]
    fn quantiles_are_of_what_was_measured() {
        let values: Vec<f64> = (1..=101).rev().map(f64::from).collect();
        assert!((quantile(&values, 0.5) - 51.0).abs() < 1e-9);
        assert!((quantile(&values, 0.99) - 100.0).abs() < 1e-9);
        assert!(quantile(&[], 0.5).abs() < 1e-9);
    }
}
