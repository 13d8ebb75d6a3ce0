//! The drawing of a metric against what answers take.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::cost::{VariantCost, by_variant, scaled};
use super::html::escaped;
use super::plot::{COLOURS, FAINT, line, opened, text};
use super::table::{Report, shown};

const WIDTH: f64 = 700.0;
const HEIGHT: f64 = 300.0;
/// Room for the numbers of the y axis, for the names of series, and for the x axis.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 210.0;
const BOTTOM: f64 = 46.0;

/// A quantity against which the metric is drawn.
struct CostAxis {
    name: String,
    /// Names what is 1 on the axis.
    size: f64,
    /// The end of the axis, in those.
    most: f64,
    value: fn(&VariantCost) -> Option<f64>,
}

/// A place in the drawing, with its variant.
struct CostPoint<'a> {
    series: &'a str,
    x: f64,
    value: f64,
    interval: (f64, f64),
    about: String,
}

/// Draws the metric against operations, rows and time; `None` where the experiment is not about what
/// these are worth.
pub(super) fn svg(report: &Report<'_>) -> Option<String> {
    if !report.experiment.cost {
        return None;
    }
    report.main_metric()?;
    let costs = by_variant(report.costs);
    let axes: Vec<CostAxis> = [
        axis(report, "FLOP", "an answer by itself", |c| {
            Some(c.flops?.value)
        }),
        axis(report, "rows", "through layers, an answer by itself", |c| {
            Some(c.rows.value)
        }),
        axis(report, "s", "an answer, as measured in this run", |c| {
            Some(c.seconds.value)
        }),
    ]
    .into_iter()
    .flatten()
    .collect();
    let title = format!("{}, against what it takes", report.drawn_title());
    let step = HEIGHT + 24.0;
    let mut svg = opened(WIDTH, 36.0 + step * axes.len() as f64, &title);
    for (i, axis) in axes.iter().enumerate() {
        let top = 36.0 + step * i as f64;
        let _ = write!(svg, r#"<g transform="translate(0 {top:.0})">"#);
        svg += &panel(report, &costs, axis);
        svg += "</g>";
    }
    Some(svg + "</svg>")
}

fn axis(
    report: &Report<'_>,
    of: &str,
    about: &str,
    value: fn(&VariantCost) -> Option<f64>,
) -> Option<CostAxis> {
    let most = report.costs.iter().filter_map(value).fold(0.0, f64::max);
    // All or none: a drawing without some of its points would mislead.
    if most <= 0.0 || report.costs.iter().any(|cost| value(cost).is_none()) {
        return None;
    }
    let (size, unit) = match of {
        "s" if most < 1.0 => (1e-3, "ms".into()),
        "s" => (1.0, "s".into()),
        "rows" => (1.0, "rows".into()),
        of => scaled(most, of),
    };
    Some(CostAxis {
        name: format!("{unit} {about}"),
        size,
        // A little further than the last point.
        most: 1.05 * most / size,
        value,
    })
}

/// Returns the points of all variants; draws of one thing are one point.
fn points<'a>(
    report: &'a Report<'_>,
    costs: &HashMap<&str, &VariantCost>,
    axis: &CostAxis,
) -> Vec<CostPoint<'a>> {
    let points = report.series_points().into_iter();
    let mut points: Vec<CostPoint<'a>> = points
        .filter_map(|point| {
            Some(CostPoint {
                series: point.series,
                x: place(&point.variants, costs, axis)?,
                value: point.mean(),
                interval: point.interval(),
                about: point.variants.join("; "),
            })
        })
        .collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    points
}

/// Returns the mean cost of variants on an axis; nothing where none is known.
fn place(variants: &[&str], costs: &HashMap<&str, &VariantCost>, axis: &CostAxis) -> Option<f64> {
    let known = variants
        .iter()
        .filter_map(|variant| (axis.value)(costs.get(*variant)?));
    let values: Vec<f64> = known.collect();
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    (!values.is_empty()).then_some(mean / axis.size)
}

/// Lists the series of points in the order of the other drawings, so that each has its colour
/// there.
fn series_of<'a>(report: &Report<'_>, points: &[CostPoint<'a>]) -> Vec<&'a str> {
    let mut series: Vec<&str> = Vec::new();
    for point in points {
        if !series.contains(&point.series) {
            series.push(point.series);
        }
    }
    series.sort_by_key(|name| report.planned.iter().position(|p| p.series == *name));
    series
}

fn panel(report: &Report<'_>, costs: &HashMap<&str, &VariantCost>, axis: &CostAxis) -> String {
    let Some(metric) = report.main_metric() else {
        return String::new();
    };
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let x = |at: f64| LEFT + (right - LEFT) * at / axis.most;
    let y = |value: f64| bottom - (bottom - 6.0) * value / metric.most;
    let mut body = String::new();
    for tick in 0..=4 {
        let value = metric.most * f64::from(tick) / 4.0;
        body += &line((LEFT, y(value)), (right, y(value)), FAINT);
        let number = format!("{:.0}", shown(metric, value));
        body += &text((LEFT - 8.0, y(value) + 4.0), "end", &number);
    }
    for at in ticks(axis.most) {
        body += &line((x(at), bottom), (x(at), bottom + 5.0), r##"stroke="#222""##);
        body += &text((x(at), bottom + 18.0), "middle", &at.to_string());
    }
    body += &text(
        (f64::midpoint(LEFT, right), HEIGHT - 8.0),
        "middle",
        &axis.name,
    );
    let points = points(report, costs, axis);
    let series = series_of(report, &points);
    for (i, name) in series.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let own: Vec<&CostPoint<'_>> = points.iter().filter(|p| p.series == *name).collect();
        let places: Vec<String> = own
            .iter()
            .map(|p| format!("{:.1},{:.1}", x(p.x), y(p.value)))
            .collect();
        let _ = write!(
            body,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="1.5"/>"#,
            places.join(" ")
        );
        for point in own {
            body += &mark((x(point.x), y(point.value)), point, metric.most, &y, colour);
        }
        body += &legend(20.0 * i as f64, colour, name);
    }
    let first = report
        .planned
        .first()
        .and_then(|p| costs.get(p.name.as_str()));
    let at = first.and_then(|cost| (axis.value)(cost));
    if let Some(at) = at.filter(|_| report.compared_with().is_some()) {
        let (x, y) = (x(at / axis.size), y(metric.value));
        let _ = write!(body, r#"<circle cx="{x:.1}" cy="{y:.1}" r="5"/>"#);
        body += &legend(20.0 * series.len() as f64, "", &report.planned[0].name);
    }
    body
}

/// Draws a point with its interval; its variants are shown where one points at it.
fn mark(
    (x, at): (f64, f64),
    point: &CostPoint<'_>,
    most: f64,
    y: &dyn Fn(f64) -> f64,
    colour: &str,
) -> String {
    // The interval of a sum may reach past the axis.
    let [low, high] = [point.interval.0, point.interval.1].map(|end| y(end.clamp(0.0, most)));
    let bar = line((x, low), (x, high), &format!(r#"stroke="{colour}""#));
    let about = escaped(&point.about);
    format!(
        "{bar}<circle cx=\"{x:.1}\" cy=\"{at:.1}\" r=\"3.5\" fill=\"{colour}\">\
         <title>{about}</title></circle>"
    )
}

/// Draws the name of a series at the right; without a colour it has that of texts.
fn legend(top: f64, colour: &str, name: &str) -> String {
    let (left, top) = (WIDTH - RIGHT + 10.0, top + 10.0);
    let fill = if colour.is_empty() {
        String::new()
    } else {
        format!(r#" fill="{colour}""#)
    };
    let dot = format!(
        r#"<circle cx="{:.1}" cy="{top:.1}" r="5"{fill}/>"#,
        left + 5.0
    );
    dot + &text((left + 18.0, top + 4.0), "start", name)
}

/// Returns a few round numbers from 0 to `most`.
fn ticks(most: f64) -> Vec<f64> {
    // About five steps, each rounded up to 1, 2, 5 or 10 times a power of ten.
    let rough = most / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|s| s * power)
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * power);
    // Rounded, so that 3 * 0.1 is 0.3.
    let rounded = |v: f64| (v * 1e9 / power).round() * power / 1e9;
    let count = (most / step).floor() as usize;
    (0..=count)
        .map(|i| rounded(step * i as f64))
        .map(|v| (v * 1e12).round() / 1e12)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(105.0), [0.0, 50.0, 100.0]);
        assert_eq!(ticks(0.62), [0.0, 0.2, 0.4, 0.6]);
        assert_eq!(ticks(4.0), [0.0, 1.0, 2.0, 3.0, 4.0]);
    }
}
