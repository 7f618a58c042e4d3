//! Figures as pictures: bars by measure and side, and lines. Small SVG with text that can be read as text; it
//! needs no program to draw it.

use std::fmt::Write;

use super::figures::{Curves, Row, Side, short};

const WIDTH: f64 = 820.0;
const LEFT: f64 = 310.0;
/// For the figure behind the longest bar.
const RIGHT: f64 = 120.0;
const BAR: f64 = 16.0;
const COLOURS: [&str; 5] = ["#9aa5b1", "#69b3a2", "#c9a227", "#2457c5", "#b5475d"];

fn colour(side: Side) -> &'static str {
    COLOURS[side as usize]
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    let words = escaped(words);
    let _to_memory = writeln!(svg, r#"<text x="{x:.0}" y="{y:.0}" text-anchor="{anchor}">{words}</text>"#);
}

fn begun(title: &str, height: f64) -> String {
    let title = escaped(title);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" font-family="sans-serif" font-size="12" fill="#222">
<rect width="100%" height="100%" fill="#fff"/>
<text x="12" y="20" font-size="15" font-weight="bold">{title}</text>
"##
    )
}

/// One group of bars for each row; all in one unit.
pub(crate) fn bars(title: &str, rows: &[&Row]) -> String {
    let bars =
        |row: &Row| Side::ALL.into_iter().filter_map(|s| Some((s, row.median(s)?))).collect::<Vec<_>>();
    let most = rows.iter().flat_map(|row| bars(row)).map(|(_, value)| value).fold(0.0, f64::max);
    let count: usize = rows.iter().map(|row| bars(row).len()).sum();
    let height = 50.0 + count as f64 * BAR + rows.len() as f64 * 12.0;
    let mut svg = begun(title, height);
    let mut y = 40.0;
    for row in rows {
        for (at, (side, value)) in bars(row).into_iter().enumerate() {
            if at == 0 {
                text(&mut svg, (LEFT - 84.0, y + 12.0), "end", &shortened(&row.measure));
            }
            text(&mut svg, (LEFT - 6.0, y + 12.0), "end", side.name());
            let width = (WIDTH - LEFT - RIGHT) * value / most.max(f64::MIN_POSITIVE);
            let (fill, thick) = (colour(side), BAR - 3.0);
            let _to_memory = writeln!(
                svg,
                r#"<rect x="{LEFT}" y="{y:.0}" width="{width:.1}" height="{thick:.0}" fill="{fill}"/>"#
            );
            text(
                &mut svg,
                (LEFT + width + 5.0, y + 12.0),
                "start",
                &format!("{} {}", short(value), row.unit),
            );
            y += BAR;
        }
        y += 12.0;
    }
    svg + "</svg>\n"
}

/// As much as the picture has room for.
fn shortened(measure: &str) -> String {
    let words: String = measure.chars().take(38).collect();
    if words.len() < measure.len() { words + "…" } else { words }
}

const HIGH: f64 = 370.0;
const FRAME: [f64; 4] = [70.0, 54.0, 620.0, 320.0];
/// Few points are shown as such.
const FEW: usize = 12;

/// A scale that shows small and large values alike when they are far apart.
struct Axis {
    least: f64,
    most: f64,
    logarithmic: bool,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone) -> Self {
        let (least, most) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max));
        let logarithmic = least > 0.0 && most / least > 50.0;
        Self { least: if logarithmic { least } else { 0.0 }, most: most.max(f64::MIN_POSITIVE), logarithmic }
    }

    fn place(&self, value: f64) -> f64 {
        match self.logarithmic {
            true => (value / self.least).ln() / (self.most / self.least).ln(),
            false => value / self.most,
        }
    }

    fn marks(&self) -> Vec<f64> {
        if self.logarithmic {
            let powers = (-6..=9).map(|power| 10f64.powi(power));
            return powers.filter(|mark| (self.least..=self.most).contains(mark)).collect();
        }
        (0..=4).map(|nth| self.most * f64::from(nth) / 4.0).collect()
    }
}

pub(crate) fn lines(curves: &Curves) -> String {
    let points = || curves.series.values().flatten();
    let [x_axis, y_axis] = [Axis::over(points().map(|p| p.0)), Axis::over(points().map(|p| p.1))];
    let [left, top, wide, high] = [FRAME[0], FRAME[1], FRAME[2] - FRAME[0], FRAME[3] - FRAME[1]];
    let x = |value: f64| left + wide * x_axis.place(value);
    let y = |value: f64| top + high * (1.0 - y_axis.place(value));
    let mut svg = begun(curves.title, HIGH);
    let _to_memory = writeln!(
        svg,
        r##"<rect x="{left}" y="{top}" width="{wide}" height="{high}" fill="none" stroke="#bbb"/>"##
    );
    for mark in x_axis.marks() {
        text(&mut svg, (x(mark), top + high + 16.0), "middle", &short(mark));
    }
    for mark in y_axis.marks() {
        text(&mut svg, (left - 6.0, y(mark) + 4.0), "end", &short(mark));
    }
    let scale = |axis: &Axis| if axis.logarithmic { " (logarithmic)" } else { "" };
    let below = format!("{}{}", curves.axes[0], scale(&x_axis));
    text(&mut svg, (left + wide / 2.0, top + high + 36.0), "middle", &below);
    text(&mut svg, (left, top - 6.0), "start", &format!("{}{}", curves.axes[1], scale(&y_axis)));
    for (at, (name, points)) in curves.series.iter().enumerate() {
        let side = Side::ALL.into_iter().find(|side| side.name() == name.as_str());
        let fill = side.map_or(COLOURS[(at + 3) % COLOURS.len()], colour);
        let path: Vec<String> = points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
        let path = path.join(" ");
        let _to_memory =
            writeln!(svg, r#"<polyline points="{path}" fill="none" stroke="{fill}" stroke-width="2"/>"#);
        for point in points.iter().filter(|_| points.len() <= FEW) {
            let (x, y) = (x(point.0), y(point.1));
            let _to_memory = writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{fill}"/>"#);
        }
        let line = top + 14.0 + at as f64 * 18.0;
        let _to_memory = writeln!(
            svg,
            r#"<rect x="{}" y="{:.0}" width="12" height="3" fill="{fill}"/>"#,
            FRAME[2] + 14.0,
            line - 5.0
        );
        text(&mut svg, (FRAME[2] + 32.0, line), "start", name);
    }
    svg + "</svg>\n"
}
