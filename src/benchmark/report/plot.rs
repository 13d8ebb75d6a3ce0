//! Drawings of what an experiment found, as SVG and PNG.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resvg::{tiny_skia, usvg};

use super::page::{Repeats, Report, escaped, shown, unit};
use crate::benchmark::experiments::Plot;

const COLOURS: [&str; 6] = [
    "#1b6ca8", "#c8553d", "#3a7d44", "#8f5ca8", "#b8860b", "#4d6a6d",
];
const FONTS: &str = "Helvetica, Arial, DejaVu Sans, sans-serif";
/// Pixels of a PNG for each unit of its SVG.
const SCALE: f32 = 2.0;

/// Inside of a drawing: its size, and its elements.
struct Panel {
    width: f64,
    height: f64,
    body: String,
}

/// All panels of `report`, one below the other.
pub(super) fn svg(report: &Report<'_>) -> String {
    let mut panels: Vec<&str> = Vec::new();
    for planned in report.planned.iter().skip(1) {
        if !panels.contains(&planned.panel.as_str()) {
            panels.push(&planned.panel);
        }
    }
    let title = report
        .main()
        .map(|m| format!("{}{}", m.name, unit(m)))
        .unwrap_or_default();
    let drawn: Vec<Panel> = panels
        .iter()
        .map(|panel| match report.experiment.plot {
            Plot::Bars => bars(report),
            Plot::Curve => curve(report, panel),
            Plot::Grid => grid(report, panel),
        })
        .collect();
    let width = drawn.iter().fold(0.0, |w: f64, p| w.max(p.width));
    let height: f64 = 30.0 + drawn.iter().map(|p| p.height + 24.0).sum::<f64>();
    let mut svg = opened(width, height, &title);
    let mut top = 30.0;
    for (name, panel) in panels.iter().zip(&drawn) {
        let heading = text((20.0, 12.0), "start", name);
        let _ = write!(
            svg,
            r#"<g transform="translate(0 {top:.0})">{heading}<g transform="translate(0 16)">"#
        );
        svg.push_str(&panel.body);
        svg.push_str("</g></g>");
        top += panel.height + 24.0;
    }
    svg + "</svg>"
}

/// `svg` as a PNG; its letters come from a font inside the program, so that it is the same
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
    let size = tree
        .size()
        .to_int_size()
        .scale_by(SCALE)
        .ok_or("a drawing of no size")?;
    let mut pixels =
        tiny_skia::Pixmap::new(size.width(), size.height()).ok_or("a drawing of no size")?;
    resvg::render(
        &tree,
        tiny_skia::Transform::from_scale(SCALE, SCALE),
        &mut pixels.as_mut(),
    );
    pixels.encode_png().map_err(|e| e.to_string())
}

fn opened(width: f64, height: f64, title: &str) -> String {
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-family="{FONTS}" font-size="12" fill="#222"><rect width="100%" height="100%" fill="#fff"/><text x="20" y="20">{}</text>"##,
        escaped(title)
    )
}

/// From white to blue, evenly; and the ink that can be read on it.
fn shade(share: f64) -> (String, &'static str) {
    let channel = |to: f64| (255.0 + (to - 255.0) * share) as u8;
    let colour = format!(
        "rgb({},{},{})",
        channel(27.0),
        channel(108.0),
        channel(168.0)
    );
    (colour, if share > 0.55 { "#fff" } else { "#222" })
}

/// A field of numbers from 0 to the largest, whose rows and columns have names.
pub(super) fn field(
    title: &str,
    rows: &[String],
    columns: &[String],
    cells: &[((usize, usize), f64)],
) -> String {
    let longest =
        |names: &[String]| 7.0 * names.iter().map(|n| n.chars().count()).max().unwrap_or(0) as f64;
    let (left, head, cell) = (30.0 + longest(rows), 40.0 + longest(columns), 40.0);
    let (width, height) = (
        left + cell * columns.len() as f64 + 20.0,
        head + cell * rows.len() as f64 + 20.0,
    );
    let mut svg = opened(width, height, title);
    for (i, name) in rows.iter().enumerate() {
        svg += &text((left - 8.0, head + cell * i as f64 + 24.0), "end", name);
    }
    for (i, name) in columns.iter().enumerate() {
        let (x, y) = (left + cell * i as f64 + 24.0, head - 8.0);
        let _ = write!(
            svg,
            r#"<text transform="translate({x:.1} {y:.1}) rotate(-90)">{}</text>"#,
            escaped(name)
        );
    }
    let most = cells.iter().fold(f64::MIN_POSITIVE, |m, (_, v)| m.max(*v));
    for &((row, column), value) in cells {
        let (x, y) = (left + cell * column as f64, head + cell * row as f64);
        let (colour, ink) = shade(value / most);
        let _ = write!(
            svg,
            r##"<rect x="{x:.1}" y="{y:.1}" width="{cell}" height="{cell}" fill="{colour}" stroke="#fff"/><text x="{:.1}" y="{:.1}" text-anchor="middle" fill="{ink}">{value:.2}</text>"##,
            x + cell / 2.0,
            y + cell / 2.0 + 4.0,
        );
    }
    svg + "</svg>"
}

fn text((x, y): (f64, f64), anchor: &str, words: &str) -> String {
    format!(
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
        escaped(words)
    )
}

fn line((x, y): (f64, f64), (to_x, to_y): (f64, f64), style: &str) -> String {
    format!(r#"<path d="M{x:.1} {y:.1}L{to_x:.1} {to_y:.1}" fill="none" {style}/>"#)
}

const FAINT: &str = r##"stroke="#ddd""##;

fn bars(report: &Report<'_>) -> Panel {
    let (left, width, row) = (230.0, 700.0, 34.0);
    let height = 36.0 + row * report.planned.len() as f64;
    let most = report.main().map_or(100.0, |m| shown(m, m.most));
    let x = |value: f64| left + (width - left - 90.0) * value / most;
    let mut body = String::new();
    for tick in 0..=4 {
        let value = most * f64::from(tick) / 4.0;
        body += &line((x(value), 0.0), (x(value), height - 24.0), FAINT);
        body += &text((x(value), height - 8.0), "middle", &format!("{value:.0}"));
    }
    for (i, planned) in report.planned.iter().enumerate() {
        let (y, Some(metric)) = (6.0 + row * i as f64, report.of(&planned.name)) else {
            continue;
        };
        let [value, low, high] =
            [metric.value, metric.interval.0, metric.interval.1].map(|v| shown(metric, v));
        let colour = if i == 0 { COLOURS[5] } else { COLOURS[0] };
        body += &text((left - 8.0, y + 16.0), "end", &planned.name);
        let _ = write!(
            body,
            r#"<rect x="{left}" y="{y:.1}" width="{:.1}" height="22" fill="{colour}"/>"#,
            x(value) - left
        );
        let _ = write!(
            body,
            r##"<path d="M{0:.1} {2:.1}H{1:.1}M{0:.1} {3:.1}v8M{1:.1} {3:.1}v8" stroke="#222" fill="none"/>"##,
            x(low),
            x(high),
            y + 11.0,
            y + 7.0
        );
        body += &text((x(high) + 6.0, y + 16.0), "start", &format!("{value:.1}"));
    }
    Panel {
        width,
        height,
        body,
    }
}

/// A line for each series through the means at each place, between the least and the most of its
/// repeats; where there is one alone, with its interval.
fn curve(report: &Report<'_>, panel: &str) -> Panel {
    let (width, height, left, right, bottom) = (700.0, 390.0, 56.0, 200.0, 46.0);
    let repeats: Vec<Repeats<'_>> = report
        .repeats()
        .into_iter()
        .filter(|r| r.panel == panel)
        .collect();
    let mut places: Vec<f64> = repeats.iter().filter_map(|r| r.at).collect();
    places.extend(report.planned.first().and_then(|p| p.at));
    places.sort_by(f64::total_cmp);
    places.dedup();
    let (Some(first), Some(last), Some(metric)) = (places.first(), places.last(), report.main())
    else {
        return Panel {
            width,
            height,
            body: String::new(),
        };
    };
    let most = shown(metric, metric.most);
    let x = |at: f64| {
        left + (width - left - right) * (at - first) / (last - first).max(f64::MIN_POSITIVE)
    };
    let y = |value: f64| height - bottom - (height - bottom - 6.0) * shown(metric, value) / most;
    let mut body = String::new();
    for tick in 0..=4 {
        let value = metric.most * f64::from(tick) / 4.0;
        body += &line((left, y(value)), (width - right, y(value)), FAINT);
        body += &text(
            (left - 8.0, y(value) + 4.0),
            "end",
            &format!("{:.0}", shown(metric, value)),
        );
    }
    for &at in places.iter().step_by(places.len().div_ceil(16).max(1)) {
        body += &text((x(at), height - bottom + 18.0), "middle", &at.to_string());
    }
    let axis = report.experiment.x.as_deref().unwrap_or("");
    body += &text(
        (f64::midpoint(left, width - right), height - 8.0),
        "middle",
        axis,
    );
    let base = y(metric.value);
    body += &line(
        (left, base),
        (width - right, base),
        r##"stroke="#222" stroke-dasharray="5 4""##,
    );
    body += &text(
        (width - right + 6.0, base + 4.0),
        "start",
        &report.planned[0].name,
    );
    let mut series: Vec<&str> = Vec::new();
    for repeat in &repeats {
        if !series.contains(&repeat.series) {
            series.push(repeat.series);
        }
    }
    for (i, name) in series.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let mut own: Vec<&Repeats<'_>> = repeats
            .iter()
            .filter(|r| r.series == *name && r.at.is_some())
            .collect();
        own.sort_by(|a, b| a.at.unwrap_or(0.0).total_cmp(&b.at.unwrap_or(0.0)));
        let at =
            |r: &Repeats<'_>, value: f64| format!("{:.1},{:.1}", x(r.at.unwrap_or(0.0)), y(value));
        let band: Vec<String> = own
            .iter()
            .map(|r| at(r, r.ends().1))
            .chain(own.iter().rev().map(|r| at(r, r.ends().0)))
            .collect();
        let _ = write!(
            body,
            r#"<polygon points="{}" fill="{colour}" opacity="0.15"/>"#,
            band.join(" ")
        );
        let means: Vec<String> = own.iter().map(|r| at(r, r.mean())).collect();
        let _ = write!(
            body,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
            means.join(" ")
        );
        for r in own {
            let place = x(r.at.unwrap_or(0.0));
            let _ = write!(
                body,
                r#"<circle cx="{place:.1}" cy="{:.1}" r="3" fill="{colour}"/>"#,
                y(r.mean())
            );
        }
        let top = 40.0 + 20.0 * i as f64;
        let place = width - right + 8.0;
        let _ = write!(
            body,
            r#"<rect x="{place:.1}" y="{top:.1}" width="12" height="12" fill="{colour}"/>"#
        );
        body += &text((place + 18.0, top + 10.0), "start", name);
    }
    Panel {
        width,
        height,
        body,
    }
}

/// A field of cells, laid over a picture where there is one.
fn grid(report: &Report<'_>, panel: &str) -> Panel {
    let side = report.experiment.side.unwrap_or(1);
    let size = 384.0;
    let cell = size / side as f64;
    let mut body = String::new();
    let cells: Vec<(usize, f64)> = report
        .repeats()
        .iter()
        .filter(|r| r.panel == panel)
        .filter_map(|r| Some((r.at? as usize, r.mean())))
        .collect();
    let values = cells.iter().map(|(_, v)| *v);
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
        (a.min(v), b.max(v))
    });
    let share = |value: f64| (value - low) / (high - low).max(f64::MIN_POSITIVE);
    let place =
        |left: f64, at: usize| (left + cell * (at % side) as f64, cell * (at / side) as f64);
    for &(at, value) in &cells {
        let (x, y) = place(20.0, at);
        let (colour, ink) = shade(share(value));
        let number = report.main().map_or(value, |m| shown(m, value));
        let _ = write!(
            body,
            r##"<rect x="{x:.1}" y="{y:.1}" width="{cell:.1}" height="{cell:.1}" fill="{colour}" stroke="#fff"/><text x="{:.1}" y="{:.1}" text-anchor="middle" fill="{ink}">{number:.1}</text>"##,
            x + cell / 2.0,
            y + cell / 2.0 + 4.0,
        );
    }
    let mut width = size + 40.0;
    if let Some(picture) = report.picture {
        let left = size + 60.0;
        let data = STANDARD.encode(picture);
        let _ = write!(
            body,
            r#"<image x="{left:.1}" y="0" width="{size}" height="{size}" preserveAspectRatio="none" href="data:image/png;base64,{data}"/>"#
        );
        for &(at, value) in &cells {
            let (x, y) = place(left, at);
            let _ = write!(
                body,
                r##"<rect x="{x:.1}" y="{y:.1}" width="{cell:.1}" height="{cell:.1}" fill="#1b6ca8" fill-opacity="{:.2}" stroke="#fff" stroke-opacity="0.5"/>"##,
                0.75 * share(value)
            );
        }
        width += size + 40.0;
    }
    if let (Some(first), Some(metric)) = (report.planned.first(), report.main()) {
        let words = format!("{}: {:.1}", first.name, shown(metric, metric.value));
        body += &text((20.0, size + 24.0), "start", &words);
    }
    Panel {
        width,
        height: size + 30.0,
        body,
    }
}
