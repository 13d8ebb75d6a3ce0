//! What an experiment found, for people: a page that holds everything, the same in Markdown, and
//! the drawing by itself.

use std::fmt::Write as _;

use super::plot;
use crate::benchmark::experiments::{Experiment, Planned, Printed};
use crate::benchmark::{Comparison, Metric};

/// An experiment that was run.
#[derive(Debug)]
pub struct Report<'a> {
    /// What was asked.
    pub experiment: &'a Experiment,
    /// Of what; paper's numbers stand beside ours where it is theirs, too.
    pub benchmark: &'a str,
    /// Its variants.
    pub planned: &'a [Planned],
    /// What was found, by variant; of each the first metric is drawn.
    pub metrics: &'a [(String, Metric)],
    /// Each variant against the first.
    pub comparisons: &'a [(String, Comparison)],
    /// What was answered, variant by variant.
    pub answers: &'a [Frequencies],
    /// What ran: names and values, in the order of the page.
    pub facts: &'a [(String, String)],
    /// A picture (PNG) under which a grid is laid.
    pub picture: Option<&'a [u8]>,
}

/// What was answered under a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frequencies {
    /// Its name.
    pub variant: String,
    /// The most frequent answers, the first one most often, and how often.
    pub most: Vec<(String, usize)>,
    /// How many answers there are.
    pub all: usize,
}

/// Variants of one series at one place, which differ in their draws.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeats<'a> {
    /// Of the drawing.
    pub panel: &'a str,
    /// Of the line.
    pub series: &'a str,
    /// On the x axis.
    pub at: Option<f64>,
    /// Of the metric that is drawn, draw by draw.
    pub values: Vec<f64>,
    /// The interval of the first draw.
    interval: (f64, f64),
}

impl Repeats<'_> {
    /// Over all draws.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len().max(1) as f64
    }

    /// The least and the most.
    pub fn range(&self) -> (f64, f64) {
        self.values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| {
                (a.min(v), b.max(v))
            })
    }

    /// What is drawn around the mean: the range, of a single draw its 95 % interval.
    pub(super) fn ends(&self) -> (f64, f64) {
        if self.values.len() > 1 {
            self.range()
        } else {
            self.interval
        }
    }
}

pub(super) fn shown(metric: &Metric, value: f64) -> f64 {
    if metric.most <= 1.0 {
        100.0 * value
    } else {
        value
    }
}

pub(super) fn unit(metric: &Metric) -> &'static str {
    if metric.most <= 1.0 {
        ", %"
    } else {
        ", points"
    }
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
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

/// Variants of which a page has every metric.
const FEW: usize = 64;

/// A part of a page.
enum Part {
    Heading(String),
    Text(String),
    Drawing,
    Table(Vec<String>, Vec<Vec<String>>),
    List(Vec<String>),
}

impl Report<'_> {
    /// The metric that is drawn, of the first variant.
    pub(super) fn main(&self) -> Option<&Metric> {
        self.metrics.first().map(|(_, metric)| metric)
    }

    /// The same of another variant.
    pub(super) fn of(&self, variant: &str) -> Option<&Metric> {
        let name = &self.main()?.name;
        self.metrics
            .iter()
            .find(|(of, m)| of == variant && m.name == *name)
            .map(|(_, m)| m)
    }

    /// All variants but the first, those together that differ in their draws alone.
    pub fn repeats(&self) -> Vec<Repeats<'_>> {
        let mut all: Vec<Repeats<'_>> = Vec::new();
        let Some(main) = self.main() else { return all };
        let own = self
            .metrics
            .iter()
            .filter(|(_, m)| m.name == main.name)
            .map(|(variant, m)| (variant.as_str(), m));
        let own: std::collections::HashMap<&str, &Metric> = own.collect();
        let mut places = std::collections::HashMap::new();
        for planned in self.planned.iter().skip(1) {
            let Some(metric) = own.get(planned.name.as_str()) else {
                continue;
            };
            let key = (
                planned.panel.as_str(),
                planned.series.as_str(),
                planned.at.map(f64::to_bits),
            );
            let place = *places.entry(key).or_insert_with(|| {
                let (panel, series, at) =
                    (planned.panel.as_str(), planned.series.as_str(), planned.at);
                all.push(Repeats {
                    panel,
                    series,
                    at,
                    values: Vec::new(),
                    interval: metric.interval,
                });
                all.len() - 1
            });
            all[place].values.push(metric.value);
        }
        all
    }

    /// What is lost against the first variant, in % of it: definition 3.1 of the paper where the
    /// variants add noise, its PIL (3.1) where they keep one part.
    fn lost(&self, value: f64) -> f64 {
        let first = self.main().map_or(0.0, |m| m.value);
        if first > 0.0 {
            100.0 * (first - value) / first
        } else {
            f64::NAN
        }
    }

    /// The drawing.
    pub fn svg(&self) -> String {
        plain(&plot::svg(self))
    }

    fn parts(&self) -> Vec<Part> {
        let Experiment { section, about, .. } = self.experiment;
        let paper =
            "\"Intriguing Properties of Large Language and Vision Models\" (Lee et al. 2024)";
        let source = if section.is_empty() {
            String::new()
        } else {
            format!("Section {section} of {paper}. ")
        };
        let mut parts = vec![Part::Text(format!("{source}{about}")), Part::Drawing];
        if let Some(printed) = &self.experiment.paper {
            self.printed(printed, &mut parts);
        }
        let repeats = self.repeats();
        if repeats.iter().any(|r| r.values.len() > 1) || repeats.len() > 1 {
            parts.push(Part::Heading("By series, over draws".into()));
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
            parts.push(Part::Table(
                texts(&heads),
                repeats.iter().map(|r| self.repeated(r)).collect(),
            ));
            let words = "Lost: against the first variant, in % of it. The paper takes the best of its draws, which is the least harmful; \
                         every draw is in the table of all numbers.";
            parts.push(Part::Text(words.into()));
        }
        if let Some([first, second]) = &self.experiment.ratio {
            self.ratios(&repeats, first, second, &mut parts);
        }
        if !self.answers.is_empty() {
            parts.push(Part::Heading("The most frequent answers".into()));
            let row = |Frequencies { variant, most, all }: &Frequencies| {
                let share = |(answer, count): &(String, usize)| {
                    let answer = if answer.is_empty() { "(none)" } else { answer };
                    format!(
                        "{answer}: {:.1} %",
                        100.0 * *count as f64 / (*all).max(1) as f64
                    )
                };
                vec![
                    variant.clone(),
                    all.to_string(),
                    most.iter().map(share).collect::<Vec<_>>().join(", "),
                ]
            };
            let rows = self.answers.iter().map(row).collect();
            parts.push(Part::Table(
                texts(&["variant", "answers", "of these"]),
                rows,
            ));
        }
        parts.push(Part::Heading(
            "Against the first variant, on the same items".into(),
        ));
        let heads = [
            "variant",
            "n",
            "better",
            "worse",
            "difference in points of 100 [95 % interval]",
            "McNemar's p",
        ];
        parts.push(Part::Table(
            texts(&heads),
            self.comparisons.iter().map(compared).collect(),
        ));
        let few = self.planned.len() <= FEW;
        let name = self.main().map_or("", |m| &m.name);
        parts.push(Part::Heading(if few {
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
            .map(measured)
            .collect();
        parts.push(Part::Table(texts(&heads), rows));
        if !few {
            parts.push(Part::Text(
                "Every metric of every variant is in metrics.csv.".into(),
            ));
        }
        parts.push(Part::Heading("What ran".into()));
        parts.push(Part::List(
            self.facts
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect(),
        ));
        parts
    }

    /// The paper's numbers with ours below them.
    fn printed(&self, printed: &Printed, parts: &mut Vec<Part>) {
        let Some(rows) = printed.rows.get(self.benchmark) else {
            return;
        };
        parts.push(Part::Heading(format!(
            "What the paper prints ({})",
            printed.source
        )));
        let mut rows = rows.clone();
        let own: Vec<Repeats<'_>> = self
            .repeats()
            .into_iter()
            .filter(|r| Some(r.series) == printed.series.as_deref())
            .collect();
        if let ([own], Some(first)) = (own.as_slice(), self.main()) {
            let (value, mean) = (shown(first, first.value), shown(first, own.mean()));
            rows.push(vec![
                "this run".into(),
                format!("{value:.2}"),
                format!("{mean:.2} (mean of {})", own.values.len()),
                format!("{:+.2}", mean - value),
            ]);
        }
        parts.push(Part::Table(printed.heads.clone(), rows));
        parts.push(Part::List(printed.notes.clone()));
    }

    fn repeated(&self, r: &Repeats<'_>) -> Vec<String> {
        let number = |v: f64| self.main().map_or(v, |m| shown(m, v));
        let (least, most) = r.range();
        let at = r.at.map_or(String::new(), |at| at.to_string());
        let mut row = vec![
            r.panel.to_owned(),
            r.series.to_owned(),
            at,
            r.values.len().to_string(),
        ];
        row.extend([least, r.mean(), most].map(|v| format!("{:.1}", number(v))));
        row.extend([most, r.mean()].map(|v| format!("{:.1} %", self.lost(v))));
        row
    }

    /// What `first` loses over what `second` does, place by place.
    fn ratios(&self, repeats: &[Repeats<'_>], first: &str, second: &str, parts: &mut Vec<Part>) {
        let mut rows = Vec::new();
        for above in repeats.iter().filter(|r| r.series == first) {
            let same =
                |r: &&Repeats<'_>| (r.series, r.panel, r.at) == (second, above.panel, above.at);
            let Some(below) = repeats.iter().find(same) else {
                continue;
            };
            let over = |above: f64, below: f64| {
                let (above, below) = (self.lost(above), self.lost(below));
                if below.abs() < 1e-9 {
                    "no loss below".into()
                } else {
                    format!("{:.2}", above / below)
                }
            };
            let at = above.at.map_or(String::new(), |at| at.to_string());
            let ((low, high), (low_below, high_below)) = (above.range(), below.range());
            let mean = over(above.mean(), below.mean());
            rows.push(vec![
                above.panel.to_owned(),
                at,
                over(high, high_below),
                mean,
                over(low, low_below),
            ]);
        }
        if !rows.is_empty() {
            parts.push(Part::Heading(format!(
                "Lost by {first} over lost by {second}"
            )));
            let heads = [
                "",
                "at",
                "of the best draws",
                "of the means",
                "of the worst draws",
            ];
            parts.push(Part::Table(texts(&heads), rows));
        }
    }

    /// In Markdown, with the drawing as a file beside it.
    pub fn markdown(&self) -> String {
        plain(&markdown(
            &self.experiment.title,
            &format!("{}.svg", self.experiment.name),
            self.parts(),
        ))
    }

    /// As a page that needs no other file, and prints well.
    pub fn html(&self) -> String {
        plain(&html(&self.experiment.title, &self.svg(), self.parts()))
    }
}

/// A page about one table and one drawing (a file's name and its content), in Markdown and in HTML;
/// `lists` have headings.
pub fn page(
    title: &str,
    about: &str,
    (file, svg): (&str, &str),
    (heads, rows): &(Vec<String>, Vec<Vec<String>>),
    lists: &[(String, Vec<String>)],
) -> (String, String) {
    let parts = || {
        let mut parts = vec![
            Part::Text(about.into()),
            Part::Drawing,
            Part::Table(heads.clone(), rows.clone()),
        ];
        for (heading, lines) in lists {
            parts.extend([Part::Heading(heading.clone()), Part::List(lines.clone())]);
        }
        parts
    };
    (markdown(title, file, parts()), html(title, svg, parts()))
}

/// A field of numbers, whose rows and columns have names; see [`page`].
pub fn field(
    title: &str,
    rows: &[String],
    columns: &[String],
    cells: &[((usize, usize), f64)],
) -> String {
    plot::field(title, rows, columns, cells)
}

fn markdown(title: &str, drawing: &str, parts: Vec<Part>) -> String {
    let mut page = format!("# {title}\n\n");
    let cell = |text: &String| text.replace('|', "\\|").replace('\n', " ");
    for part in parts {
        let _ = match part {
            Part::Heading(text) => write!(page, "## {text}\n\n"),
            Part::Text(text) => write!(page, "{text}\n\n"),
            Part::Drawing => write!(page, "![{title}]({drawing})\n\n"),
            Part::Table(heads, rows) => {
                let _ = write!(
                    page,
                    "| {} |\n|{}\n",
                    heads.join(" | "),
                    "---|".repeat(heads.len())
                );
                for row in rows {
                    let _ = writeln!(
                        page,
                        "| {} |",
                        row.iter().map(cell).collect::<Vec<_>>().join(" | ")
                    );
                }
                writeln!(page)
            }
            Part::List(lines) => {
                lines
                    .iter()
                    .for_each(|line| page.extend(["- ", line, "\n"]));
                writeln!(page)
            }
        };
    }
    page.trim_end().to_owned() + "\n"
}

fn html(title: &str, svg: &str, parts: Vec<Part>) -> String {
    let title = escaped(title);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>\
         body{{font:16px/1.5 Georgia,serif;max-width:50em;margin:2em auto;padding:0 1em;color:#222}}\
         svg{{max-width:100%;height:auto}}\
         table{{border-collapse:collapse;font:13px Helvetica,Arial,sans-serif;margin:1em 0}}\
         th{{text-align:left;border-bottom:2px solid #222}}td,th{{padding:.2em .8em .2em 0}}tr{{break-inside:avoid}}\
         td{{border-bottom:1px solid #eee}}h1,h2{{font-weight:normal}}@media print{{body{{margin:0;max-width:none}}}}\
         </style><h1>{title}</h1>"
    );
    let cells = |row: &[String], tag: &str| {
        row.iter()
            .map(|c| format!("<{tag}>{}</{tag}>", escaped(c)))
            .collect::<Vec<_>>()
            .concat()
    };
    for part in parts {
        match part {
            Part::Heading(text) => page.extend(["<h2>", &escaped(&text), "</h2>"]),
            Part::Text(text) => page.extend(["<p>", &escaped(&text), "</p>"]),
            Part::Drawing => page.push_str(svg),
            Part::Table(heads, rows) => {
                page.extend(["<table><tr>", &cells(&heads, "th"), "</tr>"]);
                rows.iter()
                    .for_each(|row| page.extend(["<tr>", &cells(row, "td"), "</tr>"]));
                page.push_str("</table>");
            }
            Part::List(lines) => {
                page.push_str("<ul>");
                lines
                    .iter()
                    .for_each(|line| page.extend(["<li>", &escaped(line), "</li>"]));
                page.push_str("</ul>");
            }
        }
    }
    page + "</html>\n"
}

fn texts(heads: &[&str]) -> Vec<String> {
    heads.iter().map(ToString::to_string).collect()
}

fn measured((variant, metric): &(String, Metric)) -> Vec<String> {
    let of = |v| shown(metric, v);
    let (low, high) = metric.interval;
    let number = format!("{:.1} [{:.1}, {:.1}]", of(metric.value), of(low), of(high));
    let unit = if metric.most <= 1.0 {
        "%".into()
    } else {
        format!("of {:.0}", metric.most)
    };
    vec![
        variant.clone(),
        metric.name.clone(),
        number,
        unit,
        metric.n.to_string(),
        metric.unparsed.to_string(),
    ]
}

fn compared((variant, c): &(String, Comparison)) -> Vec<String> {
    let [difference, low, high] = [c.difference, c.interval.0, c.interval.1].map(|v| 100.0 * v);
    let difference = format!("{difference:+.1} [{low:+.1}, {high:+.1}]");
    let counts = [c.n, c.better, c.worse].map(|n| n.to_string());
    [variant.clone()]
        .into_iter()
        .chain(counts)
        .chain([difference, format!("{:.2e}", c.p)])
        .collect()
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
        let answers = [Frequencies {
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
        let repeats = report.repeats();
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
