//! Drawings of an experiment's results, as SVG and PNG.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resvg::{tiny_skia, usvg};

use super::html::escaped;
use super::table::{Report, SeriesPoint, shown};
use crate::benchmark::Metric;
use crate::benchmark::experiments::PlotKind;

pub(super) const COLOURS: [&str; 9] = [
    "#1b6ca8", "#c8553d", "#3a7d44", "#8f5ca8", "#b8860b", "#4d6a6d", "#c2408a", "#2a9d9d",
    "#7a5230",
];
const FONTS: &str = "Helvetica, Arial, DejaVu Sans, sans-serif";
/// Pixels of a PNG for each unit of its SVG.
const SCALE: f32 = 2.0;
/// Most pixels of a PNG; a larger drawing has fewer for each unit.
const MAX_PIXELS: f32 = 64e6;

/// A part of a drawing: its size, and its elements.
struct Panel {
    width: f64,
    height: f64,
    body: String,
}

/// Draws all panels of `report`, one below the other.
pub(super) fn svg(report: &Report<'_>) -> String {
    let mut panels: Vec<&str> = Vec::new();
    // The first variant is a line or a bar in every panel, not a panel.
    for planned in report.planned.iter().skip(1) {
        if !panels.contains(&planned.panel.as_str()) {
            panels.push(&planned.panel);
        }
    }
    // An experiment of one variant has a panel, too: a drawing of none has no size.
    if panels.is_empty() {
        panels.push("");
    }
    let drawn: Vec<Panel> = panels
        .iter()
        .map(|panel| match report.experiment.plot {
            PlotKind::Bars => bars(report, panel),
            PlotKind::Curve => curve(report, panel),
            PlotKind::Grid => grid(report, panel),
        })
        .collect();
    let width = drawn.iter().fold(0.0, |w: f64, p| w.max(p.width));
    // Below the names of panels, where they have any.
    let room = if panels.iter().all(|name| name.is_empty()) {
        16.0
    } else {
        24.0
    };
    // 30 for the title, and 8 free behind each panel.
    let height: f64 = 30.0 + drawn.iter().map(|p| p.height + room + 8.0).sum::<f64>();
    let mut svg = opened(width, height, &report.drawn_title());
    let mut top = 30.0;
    for (name, panel) in panels.iter().zip(&drawn) {
        let heading = text((20.0, 12.0), "start", name);
        let _ = write!(svg, r#"<g transform="translate(0 {top:.0})">{heading}"#);
        let _ = write!(svg, r#"<g transform="translate(0 {room:.0})">"#);
        svg.push_str(&panel.body);
        svg.push_str("</g></g>");
        top += panel.height + room + 8.0;
    }
    svg + "</svg>"
}

/// Says what surrounds the values of the drawing; those of a grid stand alone.
pub(super) fn about_intervals(report: &Report<'_>) -> Option<&'static str> {
    let points = report.series_points();
    match report.experiment.plot {
        PlotKind::Grid => None,
        PlotKind::Bars => Some("Lines: 95 % intervals."),
        PlotKind::Curve if points.iter().all(|p| p.values.len() == 1) => {
            Some("Bands: 95 % intervals.")
        }
        PlotKind::Curve => {
            Some("Bands: from the least to the most of several draws, else 95 % intervals.")
        }
    }
}

/// Renders `svg` as a PNG. The font is inside the program, so that the picture is the same
/// everywhere.
pub fn png(svg: &str) -> Result<Vec<u8>, String> {
    static FONT: LazyLock<Arc<usvg::fontdb::Database>> = LazyLock::new(|| {
        let mut fonts = usvg::fontdb::Database::new();
        fonts.load_font_data(dejavu::sans::regular().to_vec());
        Arc::new(fonts)
    });
    let options = usvg::Options {
        fontdb: FONT.clone(),
        font_family: "DejaVu Sans".into(),
        ..Default::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).map_err(|e| e.to_string())?;
    let units = tree.size();
    // Pixels grow with the square of the scale.
    let scale = SCALE.min((MAX_PIXELS / (units.width() * units.height())).sqrt());
    let size = units
        .to_int_size()
        .scale_by(scale)
        .ok_or("a drawing of no size")?;
    let mut pixels =
        tiny_skia::Pixmap::new(size.width(), size.height()).ok_or("a drawing of no size")?;
    resvg::render(
        &tree,
        tiny_skia::Transform::from_scale(scale, scale),
        &mut pixels.as_mut(),
    );
    pixels.encode_png().map_err(|e| e.to_string())
}

/// Opens a drawing of so many units, on white and with its title; `</svg>` has to close it.
pub(super) fn opened(width: f64, height: f64, title: &str) -> String {
    let title = escaped(title);
    let size =
        format!(r#"viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}""#);
    let font = format!(r##"font-family="{FONTS}" font-size="12" fill="#222""##);
    let ground = r##"<rect width="100%" height="100%" fill="#fff"/>"##;
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>{ground}{}"#,
        format_args!(r#"<text x="20" y="20">{title}</text>"#)
    )
}

/// Writes a text; `anchor` says which of its ends, or its middle, is at x.
pub(super) fn text((x, y): (f64, f64), anchor: &str, words: &str) -> String {
    format!(
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
        escaped(words)
    )
}

/// Draws a line from one place to another.
pub(super) fn line((x, y): (f64, f64), (to_x, to_y): (f64, f64), style: &str) -> String {
    format!(r#"<path d="M{x:.1} {y:.1}L{to_x:.1} {to_y:.1}" fill="none" {style}/>"#)
}

/// Opens a square element; its style follows.
fn square((x, y): (f64, f64), side: f64) -> String {
    format!(r#"<rect x="{x:.1}" y="{y:.1}" width="{side:.1}" height="{side:.1}""#)
}

/// Writes a text in the middle of a cell.
pub(super) fn cell_text((x, y): (f64, f64), side: f64, ink: &str, words: &str) -> String {
    let (x, y) = (x + side / 2.0, y + side / 2.0 + 4.0);
    format!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="middle" fill="{ink}">{words}</text>"#)
}

pub(super) const FAINT: &str = r##"stroke="#ddd""##;

/// Draws a bar for each variant of a panel, below that of the first variant.
fn bars(report: &Report<'_>, panel: &str) -> Panel {
    let mut rows: Vec<Bar> = Vec::new();
    for (i, planned) in report.planned.iter().enumerate() {
        let is_base = i == 0;
        // A share of nothing, where all answers are errors, is no bar.
        let metric = report.metric_of(&planned.name).filter(|m| m.has_items());
        let Some(metric) = metric.filter(|_| is_base || planned.panel == panel) else {
            continue;
        };
        let (low, high) = metric.interval;
        rows.push(Bar {
            name: planned.name.clone(),
            value: shown(metric, metric.value),
            interval: (shown(metric, low), shown(metric, high)),
            is_base,
        });
    }
    // Up to what the metric can be, not to the longest bar: so all reports of a metric have one
    // scale.
    bar_panel(
        &rows,
        report.main_metric().map_or(100.0, |m| shown(m, m.most)),
    )
}

/// One bar of a chart.
#[derive(Debug, Clone)]
pub struct Bar {
    /// The name.
    pub name: String,
    /// The length.
    pub value: f64,
    /// The ends of its 95 % interval.
    pub interval: (f64, f64),
    /// True for the one that the others are compared with.
    pub is_base: bool,
}

/// Draws bars on a scale up to `most`.
pub fn bar_chart(title: &str, bars: &[Bar], most: f64) -> String {
    let panel = bar_panel(bars, most);
    let mut svg = opened(panel.width, panel.height + 40.0, title);
    let _ = write!(svg, r#"<g transform="translate(0 36)">{}</g>"#, panel.body);
    svg + "</svg>"
}

fn bar_panel(bars: &[Bar], most: f64) -> Panel {
    // Room at the left for names of variants; at the right 90 for the number behind a bar.
    let (left, width, row) = (230.0, 700.0, 34.0);
    let height = 36.0 + row * bars.len() as f64;
    let x = |value: f64| left + (width - left - 90.0) * value / most;
    let mut body = String::new();
    for tick in 0..=4 {
        let value = most * f64::from(tick) / 4.0;
        body += &line((x(value), 0.0), (x(value), height - 24.0), FAINT);
        body += &text((x(value), height - 8.0), "middle", &format!("{value:.0}"));
    }
    for (i, bar) in bars.iter().enumerate() {
        let y = 6.0 + row * i as f64;
        // Grey for what the others are compared with.
        let colour = COLOURS[if bar.is_base { 5 } else { 0 }];
        body += &text((left - 8.0, y + 16.0), "end", &bar.name);
        let _ = write!(
            body,
            r#"<rect x="{left}" y="{y:.1}" width="{:.1}" height="22" fill="{colour}"/>"#,
            x(bar.value) - left
        );
        let (low, high) = (x(bar.interval.0), x(bar.interval.1));
        let (middle, top) = (y + 11.0, y + 7.0);
        let whisker = format!("M{low:.1} {middle:.1}H{high:.1}");
        let ends = format!("M{low:.1} {top:.1}v8M{high:.1} {top:.1}v8");
        let _ = write!(
            body,
            r##"<path d="{whisker}{ends}" stroke="#222" fill="none"/>"##
        );
        let value = format!("{:.1}", bar.value);
        body += &text((high + 6.0, y + 16.0), "start", &value);
    }
    Panel {
        width,
        height,
        body,
    }
}

/// The scales of a curve.
struct CurveScale<'a> {
    metric: &'a Metric,
    /// The first and the last place of the x axis.
    ends: (f64, f64),
}

impl CurveScale<'_> {
    const WIDTH: f64 = 700.0;
    const HEIGHT: f64 = 390.0;
    /// Room for the numbers of the y axis, for the names of series, and for the x axis.
    const LEFT: f64 = 56.0;
    const RIGHT: f64 = 200.0;
    const BOTTOM: f64 = 46.0;

    fn x(&self, at: f64) -> f64 {
        let (first, last) = self.ends;
        let width = Self::WIDTH - Self::LEFT - Self::RIGHT;
        // A curve may have one place, whose width of 0 must not divide.
        Self::LEFT + width * (at - first) / (last - first).max(f64::MIN_POSITIVE)
    }

    fn y(&self, value: f64) -> f64 {
        let height = Self::HEIGHT - Self::BOTTOM - 6.0;
        let most = shown(self.metric, self.metric.most);
        Self::HEIGHT - Self::BOTTOM - height * shown(self.metric, value) / most
    }
}

/// Draws a line for each series through the means at each place, between the least and the largest
/// value of its draws; a single draw has its interval.
fn curve(report: &Report<'_>, panel: &str) -> Panel {
    let (width, height) = (CurveScale::WIDTH, CurveScale::HEIGHT);
    let points: Vec<SeriesPoint<'_>> = report
        .series_points()
        .into_iter()
        .filter(|p| p.panel == panel)
        .collect();
    let mut places: Vec<f64> = points.iter().filter_map(|p| p.at).collect();
    // The axis reaches the first variant, too, where that has a place.
    places.extend(report.planned.first().and_then(|p| p.at));
    places.sort_by(f64::total_cmp);
    places.dedup();
    let mut body = String::new();
    if let (Some(&first), Some(&last), Some(metric)) =
        (places.first(), places.last(), report.main_metric())
    {
        let scale = CurveScale {
            metric,
            ends: (first, last),
        };
        body += &curve_axes(report, &scale, &places);
        let mut series: Vec<&str> = Vec::new();
        for point in &points {
            if !series.contains(&point.series) {
                series.push(point.series);
            }
        }
        for (i, name) in series.iter().enumerate() {
            let own = points.iter().filter(|p| p.series == *name);
            body += &curve_series(&scale, i, name, own.collect());
        }
    }
    Panel {
        width,
        height,
        body,
    }
}

fn curve_axes(report: &Report<'_>, scale: &CurveScale<'_>, places: &[f64]) -> String {
    let (left, right) = (CurveScale::LEFT, CurveScale::WIDTH - CurveScale::RIGHT);
    let metric = scale.metric;
    let mut body = String::new();
    for tick in 0..=4 {
        let value = metric.most * f64::from(tick) / 4.0;
        let y = scale.y(value);
        let number = format!("{:.0}", shown(metric, value));
        body += &line((left, y), (right, y), FAINT);
        body += &text((left - 8.0, y + 4.0), "end", &number);
    }
    // At most 16 places have a number.
    for &at in places.iter().step_by(places.len().div_ceil(16).max(1)) {
        let y = CurveScale::HEIGHT - CurveScale::BOTTOM + 18.0;
        body += &text((scale.x(at), y), "middle", &at.to_string());
    }
    let axis = report.experiment.x.as_deref().unwrap_or("");
    let middle = (f64::midpoint(left, right), CurveScale::HEIGHT - 8.0);
    body += &text(middle, "middle", axis);
    // What every point is compared with.
    if let Some(first) = report.compared_with() {
        let base = scale.y(first.value);
        let dashed = r##"stroke="#222" stroke-dasharray="5 4""##;
        body += &line((left, base), (right, base), dashed);
        body += &text((right + 6.0, base + 4.0), "start", &report.planned[0].name);
    }
    body
}

/// Draws series number `i`: its band, its means, and its name.
fn curve_series(
    scale: &CurveScale<'_>,
    i: usize,
    name: &str,
    mut points: Vec<&SeriesPoint<'_>>,
) -> String {
    let colour = COLOURS[i % COLOURS.len()];
    points.retain(|p| p.at.is_some());
    points.sort_by(|a, b| a.at.unwrap_or(0.0).total_cmp(&b.at.unwrap_or(0.0)));
    let x = |p: &SeriesPoint<'_>| scale.x(p.at.unwrap_or(0.0));
    let place = |p: &SeriesPoint<'_>, value| format!("{:.1},{:.1}", x(p), scale.y(value));
    let mut band: Vec<String> = points.iter().map(|p| place(p, p.ends().1)).collect();
    // Back along the lower ends, so that the polygon closes without crossing itself.
    band.extend(points.iter().rev().map(|p| place(p, p.ends().0)));
    let means: Vec<String> = points.iter().map(|p| place(p, p.mean())).collect();
    let (band, means) = (band.join(" "), means.join(" "));
    let mut body = format!(
        r#"<polygon points="{band}" fill="{colour}" opacity="0.15"/><polyline points="{means}" "#
    );
    let _ = write!(body, r#"fill="none" stroke="{colour}" stroke-width="2"/>"#);
    for point in points {
        let (x, y) = (x(point), scale.y(point.mean()));
        let _ = write!(
            body,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#
        );
    }
    let top = 40.0 + 20.0 * i as f64;
    let left = CurveScale::WIDTH - CurveScale::RIGHT + 8.0;
    let _ = write!(
        body,
        r#"<rect x="{left:.1}" y="{top:.1}" width="12" height="12" fill="{colour}"/>"#
    );
    body += &text((left + 18.0, top + 10.0), "start", name);
    body
}

/// Draws cells, laid over a picture if there is one.
fn grid(report: &Report<'_>, panel: &str) -> Panel {
    let side = report.experiment.side.unwrap_or(1);
    let size = 384.0;
    let cell = size / side as f64;
    let mut body = String::new();
    let cells: Vec<(usize, f64)> = report
        .series_points()
        .iter()
        .filter(|r| r.panel == panel)
        .filter_map(|r| Some((r.at? as usize, r.mean())))
        .collect();
    // From the least cell to the largest: a grid is drawn to show where, and its cells differ by
    // little of the metric's range.
    let values = cells.iter().map(|(_, v)| *v);
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
        (a.min(v), b.max(v))
    });
    // All cells may have one value.
    let share = |value: f64| (value - low) / (high - low).max(f64::MIN_POSITIVE);
    let place =
        |left: f64, at: usize| (left + cell * (at % side) as f64, cell * (at / side) as f64);
    for &(at, value) in &cells {
        let (x, y) = place(20.0, at);
        let (colour, ink) = shade(share(value));
        let number = report.main_metric().map_or(value, |m| shown(m, value));
        let square = square((x, y), cell);
        let _ = write!(body, r##"{square} fill="{colour}" stroke="#fff"/>"##);
        body += &cell_text((x, y), cell, ink, &format!("{number:.1}"));
    }
    let mut width = size + 40.0;
    if let Some(picture) = report.picture {
        let left = size + 60.0;
        let data = STANDARD.encode(picture);
        let at = format!(r#"x="{left:.1}" y="0" width="{size}" height="{size}""#);
        let _ = write!(
            body,
            r#"<image {at} preserveAspectRatio="none" href="data:image/png;base64,{data}"/>"#
        );
        for &(at, value) in &cells {
            let (x, y) = place(left, at);
            let (square, opacity) = (square((x, y), cell), 0.75 * share(value));
            let _ = write!(
                body,
                "{square} fill=\"#1b6ca8\" fill-opacity=\"{opacity:.2}\" stroke=\"#fff\" \
                 stroke-opacity=\"0.5\"/>"
            );
        }
        width += size + 40.0;
    }
    if let (Some(first), Some(metric)) = (report.planned.first(), report.compared_with()) {
        let words = format!("{}: {:.1}", first.name, shown(metric, metric.value));
        body += &text((20.0, size + 24.0), "start", &words);
    }
    Panel {
        width,
        height: size + 30.0,
        body,
    }
}

/// Returns a colour between white and blue, or red for a share below 0, and a colour of text that
/// can be read on it.
pub(super) fn shade(share: f64) -> (String, &'static str) {
    let to = if share < 0.0 {
        [200.0, 85.0, 61.0]
    } else {
        [27.0, 108.0, 168.0]
    };
    let share = share.abs().min(1.0);
    let [r, g, b] = to.map(|to| (255.0 + (to - 255.0) * share) as u8);
    let ink = if share > 0.55 { "#fff" } else { "#222" };
    (format!("rgb({r},{g},{b})"), ink)
}
