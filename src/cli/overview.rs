//! The document about several experiments: a row for each, and on the page what each has found.

use std::path::{Path, PathBuf};

use super::error::Failure;
use super::files;
use crate::benchmark::Metric;
use crate::benchmark::report::{DataTable, Part, Section, html, markdown, plain};

const HEADS: [&str; 7] = [
    "experiment",
    "on",
    "n",
    "answers",
    "unchanged [95 % interval]",
    "lowest",
    "highest",
];
const CAPTION: &str = "The drawn metric of the first variant, and of those of the others where it \
    is lowest and highest. n is the items of the first variant, and of the others unless they say \
    another.";

/// An experiment's row in the table of all.
#[derive(Debug, Clone, Default)]
pub(super) struct Summary {
    answers: String,
    unchanged: Option<Shown>,
    lowest: Option<Shown>,
    highest: Option<Shown>,
}

/// A metric of a variant in words, and the items that it is over.
#[derive(Debug, Clone)]
struct Shown {
    text: String,
    n: usize,
}

impl Shown {
    fn new(metric: &(String, Metric)) -> Self {
        Self {
            text: with_variant(metric),
            n: metric.1.n,
        }
    }

    /// Returns the cell of a row whose column n says `n`. Errors leave variants of one run with
    /// different items.
    fn cell(&self, n: usize) -> String {
        if self.n == n {
            self.text.clone()
        } else {
            format!("{}, n = {}", self.text, self.n)
        }
    }
}

impl Summary {
    /// Sums up the metrics of all variants, the first one's first; `answers` were given.
    pub(super) fn new(metrics: &[(String, Metric)], answers: usize) -> Self {
        let main = metrics.first().map_or("", |(_, m)| &m.name);
        let own: Vec<&(String, Metric)> = metrics.iter().filter(|(_, m)| m.name == main).collect();
        // The first variant is what the others are lower or higher than.
        let changed = own.get(1..).unwrap_or_default().iter();
        // A share of nothing, where all answers are errors, is no number.
        let changed: Vec<&&(String, Metric)> = changed.filter(|(_, m)| m.has_items()).collect();
        let value = |m: &&&&(String, Metric)| m.1.value;
        let lowest = changed.iter().min_by(|a, b| value(a).total_cmp(&value(b)));
        let highest = changed.iter().max_by(|a, b| value(a).total_cmp(&value(b)));
        Self {
            answers: answers.to_string(),
            unchanged: own.first().map(|m| Shown::new(m)),
            lowest: lowest.map(|m| Shown::new(m)),
            highest: highest.map(|m| Shown::new(m)),
        }
    }

    /// Makes the row of an experiment with one number alone, over `n` items.
    pub(super) fn of_one(n: usize, number: String) -> Self {
        Self {
            unchanged: Some(Shown { text: number, n }),
            ..Self::default()
        }
    }

    /// Returns the finding as lines of text.
    pub(super) fn lines(&self) -> Vec<String> {
        let all = [
            ("", &self.unchanged),
            ("lowest: ", &self.lowest),
            ("highest: ", &self.highest),
        ];
        let all = all
            .into_iter()
            .filter_map(|(name, shown)| Some((name, shown.as_ref()?)));
        all.map(|(name, Shown { text, n })| plain(&format!("{name}{text}, n = {n}")))
            .collect()
    }

    /// Returns the cells of its row, from the column n on.
    fn cells(&self) -> [String; 5] {
        let n = self.unchanged.as_ref().map_or(0, |shown| shown.n);
        let shown = [&self.unchanged, &self.lowest, &self.highest];
        let [unchanged, lowest, highest] =
            shown.map(|shown| shown.as_ref().map_or(String::new(), |shown| shown.cell(n)));
        let count = match &self.unchanged {
            Some(_) => n.to_string(),
            None => String::new(),
        };
        [count, self.answers.clone(), unchanged, lowest, highest]
    }
}

/// Writes a metric with its 95 % interval: shares in %, points as they are.
fn with_variant((variant, m): &(String, Metric)) -> String {
    if !m.has_items() {
        return format!("no answer ({variant})");
    }
    // Shares have 1 as their most; points, such as those of MME, more.
    let (scale, unit) = if m.most <= 1.0 {
        (1e2, " %")
    } else {
        (1.0, "")
    };
    let [value, low, high] = [m.value, m.interval.0, m.interval.1].map(|v| scale * v);
    format!("{value:.1}{unit} [{low:.1}, {high:.1}] ({variant})")
}

/// The document, as far as experiments have ended.
#[derive(Debug)]
pub(super) struct Overview {
    title: String,
    rows: Vec<Vec<String>>,
    places: Vec<String>,
    sections: Vec<Part>,
    /// Parts behind the table of all.
    more: Vec<Part>,
}

impl Overview {
    /// Begins a document.
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            rows: Vec::new(),
            places: Vec::new(),
            sections: Vec::new(),
            more: Vec::new(),
        }
    }

    /// Adds an experiment on some data, whose own report is in `folder`, seen from the document.
    pub(super) fn add(
        &mut self,
        (title, on): (&str, &str),
        folder: &Path,
        summary: &Summary,
        parts: Vec<Part>,
    ) {
        let place = folder.join("report").display().to_string();
        let [n, answers, unchanged, lowest, highest] = summary.cells();
        let row = [
            title.to_owned(),
            on.to_owned(),
            n,
            answers,
            unchanged,
            lowest,
            highest,
        ];
        self.rows.push(row.map(|cell| plain(&cell)).to_vec());
        self.places.push(place.clone());
        self.sections.push(Part::Section(Section {
            title: format!("{title}: {on}"),
            place,
            parts,
        }));
    }

    /// Replaces what stands behind the table of all.
    pub(super) fn set_more(&mut self, more: Vec<Part>) {
        self.more = more;
    }

    /// Writes report.html and report.md to `folder`, and returns the page's name.
    pub(super) fn write(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let table = DataTable {
            places: self.places.clone(),
            ..DataTable::new(CAPTION, &HEADS, self.rows.clone())
        };
        let mut parts = vec![Part::Table(table)];
        parts.extend(self.more.iter().cloned());
        // Before the sections are added: the text has the table alone, whose rows lead to the
        // reports.
        let text = markdown(&self.title, &parts);
        parts.extend(self.sections.iter().cloned());
        let page = folder.join("report.html");
        files::write(&folder.join("report.md"), text.as_bytes())?;
        files::write(&page, plain(&html(&self.title, &parts)).as_bytes())?;
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(variant: &str, value: f64) -> (String, Metric) {
        let metric = Metric {
            name: "accuracy".into(),
            value,
            interval: (value - 0.1, value + 0.1),
            most: 1.0,
            n: 40,
            unparsed: 0,
        };
        (variant.into(), metric)
    }

    #[test]
    fn every_number_has_its_n_and_interval() {
        let mut metrics = [
            metric("original", 0.9),
            metric("GEOMETRY_KESKAR, a|b", 0.2),
            metric("c", 0.5),
        ];
        // Two of its answers are errors.
        metrics[1].1.n = 38;
        let summary = Summary::new(&metrics, 120);
        assert_eq!(
            summary.lines(),
            [
                "90.0 % [80.0, 100.0] (original), n = 40",
                "lowest: 20.0 % [10.0, 30.0] (Keskar, a|b), n = 38",
                "highest: 50.0 % [40.0, 60.0] (c), n = 40",
            ]
        );
        let (name, mut none) = metric("original", 0.0);
        none.n = 0;
        assert_eq!(
            Summary::new(&[(name, none)], 0).lines(),
            ["no answer (original), n = 0"]
        );
        let folder = tempfile::tempdir().unwrap();
        let mut overview = Overview::new("All");
        let place = Path::new("x/my data");
        overview.add(("Noise", "my data"), place, &summary, Vec::new());
        overview.write(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
        assert_eq!(
            text.lines().last().unwrap(),
            "| [Noise](<x/my data/report.md>) | my data | 40 | 120 | 90.0 % [80.0, 100.0] \
             (original) | 20.0 % [10.0, 30.0] (Keskar, a\\|b), n = 38 | 50.0 % [40.0, 60.0] (c) |"
        );
    }
}
