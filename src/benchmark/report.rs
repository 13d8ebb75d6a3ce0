//! What an experiment found, for people: a page that holds everything, the same in Markdown, and each plot by itself.

use std::fmt::Write as _;

use super::experiment::{Experiment, Planned, Plot};

/// One number of one variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Of the variant.
    pub variant: String,
    /// The metric.
    pub name: String,
    /// A share from 0 to 1, or points where `most` is more.
    pub value: f64,
    /// The ends of its 95 % interval.
    pub interval: (f64, f64),
    /// The most that it can be.
    pub most: f64,
    /// Items or groups that it is over.
    pub n: u64,
    /// Those that could not be read.
    pub unparsed: u64,
}

/// A variant against the first, item by item.
#[derive(Debug, Clone, PartialEq)]
pub struct Paired {
    /// Of the variant.
    pub variant: String,
    /// Items that both answered.
    pub n: u64,
    /// Right under this one alone.
    pub better: u64,
    /// Right under the first alone.
    pub worse: u64,
    /// Mean score less that of the first, of 1.
    pub difference: f64,
    /// The ends of its 95 % interval.
    pub interval: (f64, f64),
    /// McNemar's exact test.
    pub p: f64,
}

/// An experiment that was run.
#[derive(Debug)]
pub struct Report<'a> {
    /// What was asked.
    pub experiment: &'a Experiment,
    /// Its variants.
    pub planned: &'a [Planned],
    /// What was found; of each variant the first metric is drawn.
    pub cells: &'a [Cell],
    /// Each variant against the first.
    pub paired: &'a [Paired],
    /// What ran: names and values, in the order of the page.
    pub facts: &'a [(String, String)],
}

const BLUES: [&str; 6] = ["#1b6ca8", "#c8553d", "#3a7d44", "#8f5ca8", "#b8860b", "#4d6a6d"];

fn shown(cell: &Cell, value: f64) -> f64 {
    if cell.most <= 1.0 { 100.0 * value } else { value }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Report<'_> {
    /// The metric that is drawn, of a variant.
    fn main(&self, variant: &str) -> Option<&Cell> {
        let name = &self.cells.first()?.name;
        self.cells.iter().find(|c| c.variant == variant && c.name == *name)
    }

    /// The drawing.
    pub fn svg(&self) -> String {
        match self.experiment.plot {
            Plot::Bars => self.bars(),
            Plot::Curve => self.curve(),
            Plot::Grid => self.grid(),
        }
    }

    fn axis_name(&self) -> String {
        let Some(cell) = self.cells.first() else { return String::new() };
        format!("{}{}", cell.name, if cell.most <= 1.0 { ", %" } else { ", points" })
    }

    fn most(&self) -> f64 {
        self.cells.first().map_or(100.0, |c| shown(c, c.most))
    }

    fn bars(&self) -> String {
        let (left, width, row) = (230.0, 700.0, 34.0);
        let height = 60.0 + row * self.planned.len() as f64;
        let x = |value: f64| left + (width - left - 90.0) * value / self.most();
        let mut svg = opened(width, height, &self.axis_name());
        for tick in 0..=4 {
            let value = self.most() * f64::from(tick) / 4.0;
            let _ = write!(
                svg,
                r##"<line x1="{0:.1}" x2="{0:.1}" y1="30" y2="{1:.1}" stroke="#ddd"/><text x="{0:.1}" y="{2:.1}" text-anchor="middle">{value:.0}</text>"##,
                x(value),
                height - 24.0,
                height - 8.0
            );
        }
        for (i, planned) in self.planned.iter().enumerate() {
            let (y, Some(cell)) = (36.0 + row * i as f64, self.main(&planned.name)) else { continue };
            let (value, low, high) =
                (shown(cell, cell.value), shown(cell, cell.interval.0), shown(cell, cell.interval.1));
            let colour = if i == 0 { BLUES[5] } else { BLUES[0] };
            let _ = write!(
                svg,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                left - 8.0,
                y + 16.0,
                escaped(&planned.name)
            );
            let _ = write!(
                svg,
                r#"<rect x="{left}" y="{y:.1}" width="{:.1}" height="22" fill="{colour}"/>"#,
                x(value) - left
            );
            let _ = write!(
                svg,
                r##"<path d="M{0:.1} {2:.1}H{1:.1}M{0:.1} {3:.1}v8M{1:.1} {3:.1}v8" stroke="#222" fill="none"/>"##,
                x(low),
                x(high),
                y + 11.0,
                y + 7.0
            );
            let _ = write!(svg, r#"<text x="{:.1}" y="{:.1}">{value:.1}</text>"#, x(high) + 6.0, y + 16.0);
        }
        svg + "</svg>"
    }

    fn curve(&self) -> String {
        let (width, height, left, right, bottom) = (700.0, 420.0, 56.0, 200.0, 46.0);
        let places: Vec<f64> = self.planned.iter().filter_map(|p| p.at).collect();
        let (first, last) = places.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
        let span = (last - first).max(f64::MIN_POSITIVE);
        let x = |at: f64| left + (width - left - right) * (at - first) / span;
        let y = |value: f64| height - bottom - (height - bottom - 36.0) * value / self.most();
        let mut svg = opened(width, height, &self.axis_name());
        for tick in 0..=4 {
            let value = self.most() * f64::from(tick) / 4.0;
            let _ = write!(
                svg,
                r##"<line x1="{left}" x2="{:.1}" y1="{1:.1}" y2="{1:.1}" stroke="#ddd"/><text x="{2:.1}" y="{3:.1}" text-anchor="end">{value:.0}</text>"##,
                width - right,
                y(value),
                left - 8.0,
                y(value) + 4.0
            );
        }
        let mut marks = places.clone();
        marks.sort_by(f64::total_cmp);
        marks.dedup();
        for at in marks.iter().step_by(marks.len().div_ceil(16).max(1)) {
            let _ = write!(
                svg,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{at}</text>"#,
                x(*at),
                height - bottom + 18.0
            );
        }
        let axis = self.experiment.x.as_deref().unwrap_or("");
        let _ = write!(
            svg,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            (left + width - right) / 2.0,
            height - 8.0,
            escaped(axis)
        );
        if let Some(cell) = self.planned.first().and_then(|p| self.main(&p.name)) {
            let value = y(shown(cell, cell.value));
            let _ = write!(
                svg,
                r##"<line x1="{left}" x2="{0:.1}" y1="{value:.1}" y2="{value:.1}" stroke="#222" stroke-dasharray="5 4"/><text x="{1:.1}" y="{2:.1}">{3}</text>"##,
                width - right,
                width - right + 6.0,
                value + 4.0,
                escaped(&self.planned[0].name)
            );
        }
        let mut series: Vec<&str> = Vec::new();
        for planned in self.planned.iter().skip(1) {
            if !series.contains(&planned.series.as_str()) {
                series.push(&planned.series);
            }
        }
        for (i, name) in series.iter().enumerate() {
            let colour = BLUES[i % BLUES.len()];
            let mut own: Vec<(f64, &Cell)> = self
                .planned
                .iter()
                .skip(1)
                .filter(|p| p.series == **name)
                .filter_map(|p| Some((p.at?, self.main(&p.name)?)))
                .collect();
            own.sort_by(|a, b| a.0.total_cmp(&b.0));
            let line: Vec<String> =
                own.iter().map(|(at, c)| format!("{:.1},{:.1}", x(*at), y(shown(c, c.value)))).collect();
            let _ = write!(
                svg,
                r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
                line.join(" ")
            );
            for (at, cell) in &own {
                let _ = write!(
                    svg,
                    r#"<path d="M{0:.1} {1:.1}V{2:.1}" stroke="{colour}" opacity="0.5"/><circle cx="{0:.1}" cy="{3:.1}" r="3" fill="{colour}"/>"#,
                    x(*at),
                    y(shown(cell, cell.interval.0)),
                    y(shown(cell, cell.interval.1)),
                    y(shown(cell, cell.value))
                );
            }
            let _ = write!(
                svg,
                r#"<rect x="{0:.1}" y="{1:.1}" width="12" height="12" fill="{colour}"/><text x="{2:.1}" y="{3:.1}">{4}</text>"#,
                width - right + 8.0,
                66.0 + 20.0 * i as f64,
                width - right + 26.0,
                76.0 + 20.0 * i as f64,
                escaped(name)
            );
        }
        svg + "</svg>"
    }

    fn grid(&self) -> String {
        let side = self.experiment.side.unwrap_or(1);
        let cell_size = 64.0;
        let size = cell_size * side as f64;
        let mut svg = opened(size + 40.0, size + 70.0, &self.axis_name());
        let cells: Vec<(usize, &Cell)> =
            self.planned.iter().skip(1).filter_map(|p| Some((p.at? as usize, self.main(&p.name)?))).collect();
        let values = cells.iter().map(|(_, c)| c.value);
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        for (at, cell) in cells {
            let share = (cell.value - low) / (high - low).max(f64::MIN_POSITIVE);
            let (x, y) = (20.0 + cell_size * (at % side) as f64, 36.0 + cell_size * (at / side) as f64);
            // From white to blue, evenly.
            let channel = |to: f64| (255.0 + (to - 255.0) * share) as u8;
            let ink = if share > 0.55 { "#fff" } else { "#222" };
            let _ = write!(
                svg,
                r##"<rect x="{x:.1}" y="{y:.1}" width="{cell_size}" height="{cell_size}" fill="rgb({},{},{})" stroke="#fff"/><text x="{:.1}" y="{:.1}" text-anchor="middle" fill="{ink}">{:.1}</text>"##,
                channel(27.0),
                channel(108.0),
                channel(168.0),
                x + cell_size / 2.0,
                y + cell_size / 2.0 + 4.0,
                shown(cell, cell.value)
            );
        }
        if let Some(cell) = self.planned.first().and_then(|p| self.main(&p.name)) {
            let _ = write!(
                svg,
                r#"<text x="20" y="{:.1}">{}: {:.1}</text>"#,
                size + 60.0,
                escaped(&self.planned[0].name),
                shown(cell, cell.value)
            );
        }
        svg + "</svg>"
    }

    /// The headings and rows of the two tables.
    fn tables(&self) -> [(Vec<&'static str>, Vec<Vec<String>>); 2] {
        let number = |cell: &Cell| {
            let of = |v| shown(cell, v);
            format!("{:.1} [{:.1}, {:.1}]", of(cell.value), of(cell.interval.0), of(cell.interval.1))
        };
        let metric = |c: &Cell| {
            let unit = if c.most <= 1.0 { "%".into() } else { format!("of {:.0}", c.most) };
            vec![c.variant.clone(), c.name.clone(), number(c), unit, c.n.to_string(), c.unparsed.to_string()]
        };
        let pair = |p: &Paired| {
            let (d, low, high) = (100.0 * p.difference, 100.0 * p.interval.0, 100.0 * p.interval.1);
            let difference = format!("{d:+.1} [{low:+.1}, {high:+.1}]");
            vec![
                p.variant.clone(),
                p.n.to_string(),
                p.better.to_string(),
                p.worse.to_string(),
                difference,
                format!("{:.2e}", p.p),
            ]
        };
        [
            (
                vec!["variant", "metric", "value [95 % interval]", "unit", "n", "unparsed"],
                self.cells.iter().map(metric).collect(),
            ),
            (
                vec!["variant", "n", "better", "worse", "difference in points of 100 [95 % interval]", "McNemar's p"],
                self.paired.iter().map(pair).collect(),
            ),
        ]
    }

    /// In Markdown, with the drawing as a file beside it.
    pub fn markdown(&self) -> String {
        let Experiment { title, section, about, name, .. } = self.experiment;
        let mut text = format!("# {title}\n\n");
        if !section.is_empty() {
            let _ = write!(
                text,
                "Section {section} of \"Intriguing Properties of Large Language and Vision Models\" (Lee et al. 2024). "
            );
        }
        let _ = write!(text, "{about}\n\n![{title}]({name}.svg)\n\n");
        for ((heads, rows), heading) in
            self.tables().iter().zip(["All numbers", "Against the first variant, on the same items"])
        {
            let _ = write!(text, "## {heading}\n\n| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
            rows.iter().for_each(|row| text.extend(["| ", &row.join(" | "), " |\n"]));
            text.push('\n');
        }
        text.push_str("## What ran\n\n");
        self.facts.iter().for_each(|(name, value)| text.extend(["- ", name, ": ", value, "\n"]));
        text
    }

    /// As a page that needs no other file, and prints well.
    pub fn html(&self) -> String {
        let Experiment { title, section, about, .. } = self.experiment;
        let mut page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{0}</title><style>\
             body{{font:16px/1.5 Georgia,serif;max-width:50em;margin:2em auto;padding:0 1em;color:#222}}\
             svg{{max-width:100%;height:auto;font:12px Helvetica,Arial,sans-serif}}\
             table{{border-collapse:collapse;font:13px Helvetica,Arial,sans-serif;margin:1em 0}}\
             th{{text-align:left;border-bottom:2px solid #222}}td,th{{padding:.2em .8em .2em 0}}tr{{break-inside:avoid}}\
             td{{border-bottom:1px solid #eee}}h1,h2{{font-weight:normal}}@media print{{body{{margin:0;max-width:none}}}}\
             </style><h1>{0}</h1>",
            escaped(title)
        );
        let source = if section.is_empty() { String::new() } else { format!("Section {section} of Lee et al. 2024. ") };
        let _ = write!(page, "<p>{}{}</p>{}", escaped(&source), escaped(about), self.svg());
        for ((heads, rows), heading) in
            self.tables().iter().zip(["All numbers", "Against the first variant, on the same items"])
        {
            let cells = |row: &[String], tag: &str| {
                row.iter().map(|c| format!("<{tag}>{}</{tag}>", escaped(c))).collect::<Vec<_>>().concat()
            };
            let heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
            let _ = write!(page, "<h2>{heading}</h2><table><tr>{}</tr>", cells(&heads, "th"));
            rows.iter().for_each(|row| page.extend(["<tr>", &cells(row, "td"), "</tr>"]));
            page.push_str("</table>");
        }
        page.push_str("<h2>What ran</h2><table>");
        for (name, value) in self.facts {
            let _ = write!(page, "<tr><td>{}</td><td>{}</td></tr>", escaped(name), escaped(value));
        }
        page + "</table></html>\n"
    }
}

fn opened(width: f64, height: f64, title: &str) -> String {
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#222"><rect width="100%" height="100%" fill="#fff"/><text x="20" y="20">{}</text>"##,
        escaped(title)
    )
}
