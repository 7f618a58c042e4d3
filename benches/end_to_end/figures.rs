//! What was measured, by measure and side, once a round. It tells medians with their range and ratios; it judges
//! nothing.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Direct,
    Nginx,
    Haproxy,
    Balancer,
}

impl Side {
    pub(crate) const ALL: [Side; 4] = [Side::Direct, Side::Nginx, Side::Haproxy, Side::Balancer];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Side::Direct => "direct",
            Side::Nginx => "nginx",
            Side::Haproxy => "HAProxy",
            Side::Balancer => "chroma-ha",
        }
    }
}

/// One measure: a section, what was measured, and in which unit.
pub(crate) struct Row {
    pub(crate) section: &'static str,
    pub(crate) measure: String,
    pub(crate) unit: &'static str,
    values: BTreeMap<Side, Vec<f64>>,
}

impl Row {
    pub(crate) fn median(&self, side: Side) -> Option<f64> {
        let mut values = self.values.get(&side)?.clone();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        Some(if values.len() % 2 == 0 { f64::midpoint(values[middle - 1], upper) } else { upper })
    }

    fn cell(&self, side: Side) -> String {
        let Some(median) = self.median(side) else { return String::new() };
        let values = self.values.get(&side).map(Vec::as_slice).unwrap_or_default();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let range =
            if values.len() > 1 { format!(" ({} – {})", short(least), short(most)) } else { String::new() };
        format!("{}{range}", short(median))
    }

    /// The balancer by another side; by the better one of several.
    fn ratio(&self, to: &[Side]) -> String {
        let better = if self.unit.ends_with("/s") { f64::max } else { f64::min };
        let other = to.iter().filter_map(|side| self.median(*side)).reduce(better);
        match self.median(Side::Balancer).zip(other) {
            Some((ours, other)) if other > 0.0 => format!("{} ×", short(ours / other)),
            _ => String::new(),
        }
    }
}

/// Three digits that count.
pub(crate) fn short(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 | 100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// Lines of one chart: by series, points in the order in which they were noted.
pub(crate) struct Curves {
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
    pub(crate) axes: [&'static str; 2],
    pub(crate) series: BTreeMap<String, Vec<(f64, f64)>>,
}

#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) rows: Vec<Row>,
    pub(crate) curves: Vec<Curves>,
    remarks: Vec<String>,
}

impl Figures {
    pub(crate) fn note(
        &mut self,
        section: &'static str,
        measure: impl Into<String>,
        unit: &'static str,
        side: Side,
        value: f64,
    ) {
        let measure = measure.into();
        eprintln!("    {measure}, {}: {} {unit}", side.name(), short(value));
        let known = |row: &Row| row.section == section && row.measure == measure && row.unit == unit;
        let at = self.rows.iter().position(known).unwrap_or_else(|| {
            self.rows.push(Row { section, measure, unit, values: BTreeMap::new() });
            self.rows.len() - 1
        });
        self.rows[at].values.entry(side).or_default().push(value);
    }

    /// A point of a chart.
    pub(crate) fn point(
        &mut self,
        chart: (&'static str, &'static str, [&'static str; 2]),
        series: &str,
        at: (f64, f64),
    ) {
        let (file, title, axes) = chart;
        let place = self.curves.iter().position(|curves| curves.file == file).unwrap_or_else(|| {
            self.curves.push(Curves { file, title, axes, series: BTreeMap::new() });
            self.curves.len() - 1
        });
        self.curves[place].series.entry(series.to_owned()).or_default().push(at);
    }

    /// What a reader of the table must know; told once.
    pub(crate) fn remark(&mut self, words: impl Into<String>) {
        let words = words.into();
        if !self.remarks.contains(&words) {
            eprintln!("    {words}");
            self.remarks.push(words);
        }
    }

    pub(crate) fn median(&self, measure: &str, unit: &str, side: Side) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.measure == measure && row.unit == unit)?;
        row.median(side)
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        let mut sections: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !sections.contains(&row.section) {
                sections.push(row.section);
            }
        }
        for section in sections {
            let rows = self.rows.iter().filter(|row| row.section == section);
            self.section(&mut text, section, &rows.collect::<Vec<_>>());
        }
        for remark in &self.remarks {
            let _to_memory = writeln!(text, "- {remark}");
        }
        text
    }

    fn section(&self, text: &mut String, title: &str, rows: &[&Row]) {
        let held = |side: &Side| rows.iter().any(|row| row.median(*side).is_some());
        let sides: Vec<Side> = Side::ALL.into_iter().filter(held).collect();
        let proxies = [Side::Nginx, Side::Haproxy];
        let mut head = vec!["".to_owned(), "unit".to_owned()];
        head.extend(sides.iter().map(|side| side.name().to_owned()));
        let mut lines = vec![head];
        let to_direct = sides.contains(&Side::Direct) && sides.contains(&Side::Balancer);
        let to_proxies = proxies.iter().any(|side| sides.contains(side));
        lines[0].extend(to_direct.then(|| "to direct".to_owned()));
        lines[0].extend(to_proxies.then(|| "to the better proxy".to_owned()));
        lines.push(vec!["---".to_owned(); lines[0].len()]);
        for row in rows {
            let mut cells = vec![row.measure.clone(), row.unit.to_owned()];
            cells.extend(sides.iter().map(|side| row.cell(*side)));
            cells.extend(to_direct.then(|| row.ratio(&[Side::Direct])));
            cells.extend(to_proxies.then(|| row.ratio(&proxies)));
            lines.push(cells);
        }
        let _to_memory = writeln!(text, "### {title}\n");
        for cells in lines {
            let _to_memory = writeln!(text, "| {} |", cells.join(" | "));
        }
        text.push('\n');
    }
}
