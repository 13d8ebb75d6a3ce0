//! The page of a report, in HTML and in Markdown.

use std::fmt::Write as _;

use super::plot;
use super::table::{AnswerCounts, Report, SeriesPoint, escaped, shown};
use crate::benchmark::experiments::{Experiment, PaperTable};
use crate::benchmark::{Comparison, Metric};

/// Variants of which a page has every metric.
const FEW: usize = 64;

const PAPER: &str =
    "\"Intriguing Properties of Large Language and Vision Models\" (Lee et al. 2024)";

const STYLE: &str = "\
    body{font:16px/1.5 Georgia,serif;max-width:50em;margin:2em auto;padding:0 1em;color:#222}\
    svg{max-width:100%;height:auto}\
    table{border-collapse:collapse;font:13px Helvetica,Arial,sans-serif;margin:1em 0}\
    th{text-align:left;border-bottom:2px solid #222}\
    td,th{padding:.2em .8em .2em 0}tr{break-inside:avoid}\
    td{border-bottom:1px solid #eee}h1,h2{font-weight:normal}\
    @media print{body{margin:0;max-width:none}}";

/// A part of a page.
enum PagePart {
    Heading(String),
    Text(String),
    Drawing,
    Table(Vec<String>, Vec<Vec<String>>),
    List(Vec<String>),
}

impl PagePart {
    fn table(heads: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self::Table(heads.iter().map(ToString::to_string).collect(), rows)
    }
}

impl Report<'_> {
    /// Returns the drawing.
    pub fn svg(&self) -> String {
        plain(&plot::svg(self))
    }

    /// Returns the page in Markdown, with the drawing as a file beside it.
    pub fn markdown(&self) -> String {
        let Experiment { title, name, .. } = self.experiment;
        plain(&markdown(title, &format!("{name}.svg"), self.parts()))
    }

    /// Returns the page in HTML, which needs no other file, and prints well.
    pub fn html(&self) -> String {
        plain(&html(&self.experiment.title, &self.svg(), self.parts()))
    }

    fn parts(&self) -> Vec<PagePart> {
        let Experiment { section, about, .. } = self.experiment;
        let source = if section.is_empty() {
            String::new()
        } else {
            format!("Section {section} of {PAPER}. ")
        };
        let mut parts = vec![
            PagePart::Text(format!("{source}{about}")),
            PagePart::Drawing,
        ];
        let points = self.series_points();
        if let Some(printed) = &self.experiment.paper {
            self.add_paper_table(printed, &points, &mut parts);
        }
        if points.len() > 1 || points.iter().any(|p| p.values.len() > 1) {
            self.add_series(&points, &mut parts);
        }
        if let Some([first, second]) = &self.experiment.ratio {
            self.add_ratios(&points, first, second, &mut parts);
        }
        if !self.answers.is_empty() {
            parts.push(PagePart::Heading("The most frequent answers".into()));
            let rows = self.answers.iter().map(answers_row).collect();
            parts.push(PagePart::table(&["variant", "answers", "of these"], rows));
        }
        self.add_comparisons(&mut parts);
        self.add_metrics(&mut parts);
        parts.push(PagePart::Heading("What ran".into()));
        let facts = self.facts.iter();
        parts.push(PagePart::List(
            facts
                .map(|(name, value)| format!("{name}: {value}"))
                .collect(),
        ));
        parts
    }

    /// Adds the paper's numbers with ours below them.
    fn add_paper_table(
        &self,
        printed: &PaperTable,
        points: &[SeriesPoint<'_>],
        parts: &mut Vec<PagePart>,
    ) {
        let Some(rows) = printed.rows.get(self.benchmark) else {
            return;
        };
        let heading = format!("What the paper prints ({})", printed.source);
        parts.push(PagePart::Heading(heading));
        let mut rows = rows.clone();
        let own: Vec<&SeriesPoint<'_>> = points
            .iter()
            .filter(|p| Some(p.series) == printed.series.as_deref())
            .collect();
        // Only a series of one point is one number, as the paper's is.
        if let ([own], Some(first)) = (own.as_slice(), self.main_metric()) {
            let (value, mean) = (shown(first, first.value), shown(first, own.mean()));
            rows.push(vec![
                "this run".into(),
                format!("{value:.2}"),
                format!("{mean:.2} (mean of {})", own.values.len()),
                format!("{:+.2}", mean - value),
            ]);
        }
        parts.push(PagePart::Table(printed.heads.clone(), rows));
        parts.push(PagePart::List(printed.notes.clone()));
    }

    fn add_series(&self, points: &[SeriesPoint<'_>], parts: &mut Vec<PagePart>) {
        parts.push(PagePart::Heading("By series, over draws".into()));
        let heads = [
            "",
            "series",
            "at",
            "draws",
            "least",
            "mean",
            "most",
            "lost, of the best draw",
            "of the mean",
        ];
        let rows = points.iter().map(|p| self.series_row(p)).collect();
        parts.push(PagePart::table(&heads, rows));
        parts.push(PagePart::Text(
            "Lost: against the first variant, in % of it. The paper takes the best of its draws, \
             which is the least harmful; every draw is in the table of all numbers."
                .into(),
        ));
    }

    fn series_row(&self, point: &SeriesPoint<'_>) -> Vec<String> {
        let number = |v: f64| self.main_metric().map_or(v, |m| shown(m, v));
        let (least, most) = point.range();
        let mut row = vec![
            point.panel.to_owned(),
            point.series.to_owned(),
            place(point),
            point.values.len().to_string(),
        ];
        row.extend([least, point.mean(), most].map(|v| format!("{:.1}", number(v))));
        row.extend([most, point.mean()].map(|v| format!("{:.1} %", self.loss(v))));
        row
    }

    /// Adds what `first` loses over what `second` does, place by place.
    fn add_ratios(
        &self,
        points: &[SeriesPoint<'_>],
        first: &str,
        second: &str,
        parts: &mut Vec<PagePart>,
    ) {
        let mut rows = Vec::new();
        for above in points.iter().filter(|p| p.series == first) {
            let below = points
                .iter()
                .find(|p| (p.series, p.panel, p.at) == (second, above.panel, above.at));
            let Some(below) = below else {
                continue;
            };
            let ((low, high), (low_below, high_below)) = (above.range(), below.range());
            rows.push(vec![
                above.panel.to_owned(),
                place(above),
                self.loss_ratio(high, high_below),
                self.loss_ratio(above.mean(), below.mean()),
                self.loss_ratio(low, low_below),
            ]);
        }
        if rows.is_empty() {
            return;
        }
        let heading = format!("Lost by {first} over lost by {second}");
        parts.push(PagePart::Heading(heading));
        let heads = [
            "",
            "at",
            "of the best draws",
            "of the means",
            "of the worst draws",
        ];
        parts.push(PagePart::table(&heads, rows));
    }

    fn loss_ratio(&self, above: f64, below: f64) -> String {
        let (above, below) = (self.loss(above), self.loss(below));
        if below.abs() < 1e-9 {
            "no loss below".into()
        } else {
            format!("{:.2}", above / below)
        }
    }

    fn add_comparisons(&self, parts: &mut Vec<PagePart>) {
        let heading = "Against the first variant, on the same items";
        parts.push(PagePart::Heading(heading.into()));
        let heads = [
            "variant",
            "n",
            "better",
            "worse",
            "difference in points of 100 [95 % interval]",
            "McNemar's p",
        ];
        let rows = self.comparisons.iter().map(comparison_row).collect();
        parts.push(PagePart::table(&heads, rows));
    }

    /// Adds every metric of a few variants, or the main one of many.
    fn add_metrics(&self, parts: &mut Vec<PagePart>) {
        let few = self.planned.len() <= FEW;
        let name = self.main_metric().map_or("", |m| &m.name);
        parts.push(PagePart::Heading(if few {
            "All numbers".into()
        } else {
            format!("All variants: {name}")
        }));
        let heads = [
            "variant",
            "metric",
            "value [95 % interval]",
            "unit",
            "n",
            "unparsed",
        ];
        let rows = self
            .metrics
            .iter()
            .filter(|(_, m)| few || m.name == name)
            .map(metric_row)
            .collect();
        parts.push(PagePart::table(&heads, rows));
        if !few {
            let text = "Every metric of every variant is in metrics.csv.";
            parts.push(PagePart::Text(text.into()));
        }
    }
}

/// Writes the values of the contract's enums as words: GEOMETRY_ABS_SCALED becomes abs scaled.
/// Files for programs keep them.
fn plain(text: &str) -> String {
    const PREFIXES: [&str; 5] = ["COLOUR_", "GEOMETRY_", "MODE_", "NAMED_", "STACK_"];
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    let (mut written, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((at, prefix)) = PREFIXES
        .iter()
        .filter_map(|p| Some((rest.find(p)?, p)))
        // The nearest one: several prefixes may stand in one line.
        .min()
    {
        let (before, found) = rest.split_at(at);
        let value = &found[prefix.len()..];
        let (value, after) = value.split_at(value.find(|c| !is_part(c)).unwrap_or(value.len()));
        written.push_str(before);
        // Part of a longer word: no value of an enum.
        if value.is_empty() || before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            written.push_str(&found[..prefix.len() + value.len()]);
        } else {
            written.push_str(&value.to_lowercase().replace('_', " "));
        }
        rest = after;
    }
    written + rest
}

/// Makes a page about one table and one drawing (a file's name and its content), in Markdown and in
/// HTML; `lists` have headings.
pub fn page(
    title: &str,
    about: &str,
    (file, svg): (&str, &str),
    (heads, rows): &(Vec<String>, Vec<Vec<String>>),
    lists: &[(String, Vec<String>)],
) -> (String, String) {
    let parts = || {
        let table = PagePart::Table(heads.clone(), rows.clone());
        let mut parts = vec![PagePart::Text(about.into()), PagePart::Drawing, table];
        for (heading, lines) in lists {
            parts.push(PagePart::Heading(heading.clone()));
            parts.push(PagePart::List(lines.clone()));
        }
        parts
    };
    (markdown(title, file, parts()), html(title, svg, parts()))
}

fn markdown(title: &str, drawing: &str, parts: Vec<PagePart>) -> String {
    let mut page = format!("# {title}\n\n");
    for part in parts {
        // Writing to a string cannot fail.
        let _ = match part {
            PagePart::Heading(text) => write!(page, "## {text}\n\n"),
            PagePart::Text(text) => write!(page, "{text}\n\n"),
            PagePart::Drawing => write!(page, "![{title}]({drawing})\n\n"),
            PagePart::Table(heads, rows) => {
                let rule = "---|".repeat(heads.len());
                let _ = write!(page, "| {} |\n|{rule}\n", heads.join(" | "));
                for row in rows {
                    let cells: Vec<String> = row.iter().map(|cell| markdown_cell(cell)).collect();
                    let _ = writeln!(page, "| {} |", cells.join(" | "));
                }
                writeln!(page)
            }
            PagePart::List(lines) => {
                for line in lines {
                    page.extend(["- ", &line, "\n"]);
                }
                writeln!(page)
            }
        };
    }
    page.trim_end().to_owned() + "\n"
}

fn markdown_cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn html(title: &str, svg: &str, parts: Vec<PagePart>) -> String {
    let title = escaped(title);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style><h1>{title}</h1>"
    );
    for part in parts {
        match part {
            PagePart::Heading(text) => page.extend(["<h2>", &escaped(&text), "</h2>"]),
            PagePart::Text(text) => page.extend(["<p>", &escaped(&text), "</p>"]),
            PagePart::Drawing => page.push_str(svg),
            PagePart::Table(heads, rows) => {
                page.extend(["<table><tr>", &html_cells(&heads, "th"), "</tr>"]);
                for row in rows {
                    page.extend(["<tr>", &html_cells(&row, "td"), "</tr>"]);
                }
                page.push_str("</table>");
            }
            PagePart::List(lines) => {
                page.push_str("<ul>");
                for line in lines {
                    page.extend(["<li>", &escaped(&line), "</li>"]);
                }
                page.push_str("</ul>");
            }
        }
    }
    page + "</html>\n"
}

fn html_cells(row: &[String], tag: &str) -> String {
    let mut cells = String::new();
    for cell in row {
        let _ = write!(cells, "<{tag}>{}</{tag}>", escaped(cell));
    }
    cells
}

/// Returns a point's place on the x axis; nothing without an axis.
fn place(point: &SeriesPoint<'_>) -> String {
    point.at.map_or(String::new(), |at| at.to_string())
}

fn answers_row(answers: &AnswerCounts) -> Vec<String> {
    let all = answers.all.max(1) as f64;
    let shares: Vec<String> = answers
        .most
        .iter()
        .map(|(answer, count)| {
            let answer = if answer.is_empty() { "(none)" } else { answer };
            format!("{answer}: {:.1} %", 100.0 * *count as f64 / all)
        })
        .collect();
    vec![
        answers.variant.clone(),
        answers.all.to_string(),
        shares.join(", "),
    ]
}

fn metric_row((variant, metric): &(String, Metric)) -> Vec<String> {
    let (low, high) = metric.interval;
    let [value, low, high] = [metric.value, low, high].map(|v| shown(metric, v));
    let unit = if metric.most <= 1.0 {
        "%".into()
    } else {
        format!("of {:.0}", metric.most)
    };
    vec![
        variant.clone(),
        metric.name.clone(),
        format!("{value:.1} [{low:.1}, {high:.1}]"),
        unit,
        metric.n.to_string(),
        metric.unparsed.to_string(),
    ]
}

fn comparison_row((variant, c): &(String, Comparison)) -> Vec<String> {
    let [difference, low, high] = [c.difference, c.interval.0, c.interval.1].map(|v| 100.0 * v);
    vec![
        variant.clone(),
        c.n.to_string(),
        c.better.to_string(),
        c.worse.to_string(),
        format!("{difference:+.1} [{low:+.1}, {high:+.1}]"),
        format!("{:.2e}", c.p),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::experiments::experiment;

    fn metric(variant: &str, value: f64) -> (String, Metric) {
        let interval = (value - 0.1, value + 0.1);
        let metric = Metric {
            name: "accuracy".into(),
            value,
            interval,
            most: 1.0,
            n: 10,
            unparsed: 0,
        };
        (variant.into(), metric)
    }

    #[test]
    fn draws_come_together_and_losses_are_of_the_first_variant() {
        let drawn = |name: &str, geometry: &str| {
            serde_json::json!({
                "name": format!("{name} {{draw}}"), "series": name, "panel": geometry, "at": 0, "each": {"draw": [1, 2]},
                "interventions": [{"addNoise": {"geometry": geometry, "seed": "{draw}"}}],
            })
        };
        let json = serde_json::json!({
            "name": "n", "title": "N", "about": "", "plot": "curve", "x": "layer", "ratio": ["a", "b"],
            "paper": {"source": "T", "heads": ["model", "x", "y", "d"], "rows": {"mmvp": [["them", "1", "2", "+1"]]}, "notes": ["odd"]},
            "variants": [
                {"name": "original"},
                drawn("a", "GEOMETRY_ABS_SCALED"),
                drawn("b", "GEOMETRY_ABS_SCALED"),
            ],
        });
        let experiment = experiment(&json.to_string()).unwrap();
        let planned = experiment.plan((1, 1), false).unwrap();
        let metrics = [
            ("original", 0.8),
            ("a 1", 0.4),
            ("a 2", 0.6),
            ("b 1", 0.72),
            ("b 2", 0.72),
        ];
        let metrics: Vec<_> = metrics.map(|(name, value)| metric(name, value)).into();
        let answers = [AnswerCounts {
            variant: "original".into(),
            most: vec![("A|".to_owned(), 3)],
            all: 10,
        }];
        let report = Report {
            experiment: &experiment,
            benchmark: "mmvp",
            planned: &planned,
            metrics: &metrics,
            comparisons: &[],
            answers: &answers,
            facts: &[],
            picture: None,
        };
        let repeats = report.series_points();
        assert_eq!(
            (repeats.len(), repeats[0].mean(), repeats[0].range()),
            (2, 0.5, (0.4, 0.6))
        );
        let page = report.markdown();
        // (0.8 - 0.6) / 0.8 and (0.8 - 0.5) / 0.8; over 0.1 each.
        assert!(
            page.contains("| abs scaled | a | 0 | 2 | 40.0 | 50.0 | 60.0 | 25.0 % | 37.5 % |"),
            "{page}"
        );
        assert!(
            page.contains("| abs scaled | 0 | 2.50 | 3.75 | 5.00 |"),
            "{page}"
        );
        assert!(
            page.contains("| them | 1 | 2 | +1 |")
                && page.contains("- odd")
                && page.contains("A\\|: 30.0 %"),
            "{page}"
        );
        let png = plot::png(&report.svg()).unwrap();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 1000);
        assert!(report.html().contains("<svg") && !report.html().contains("GEOMETRY"));
        assert_eq!(
            plain("a GEOMETRY_KESKAR, MODE_ and X_MODE_A, STACK_VISION_TOWER"),
            "a keskar, MODE_ and X_MODE_A, vision tower"
        );
    }
}
