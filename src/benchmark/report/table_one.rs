//! Table 1 over benchmarks and models, in every form.

use std::fmt::Write as _;

use super::cost::{Mean, scaled};
use super::document::{DataTable, Part};
use super::latex::escaped;
use super::names::{benchmark_name, benchmark_place};
use crate::benchmark::experiments::PaperTable;
use crate::benchmark::{Estimate, Permuted};

const ABOUT: &str = "Table 1 of \"Intriguing Properties of Large Language and Vision Models\" \
    (Lee et al. 2024): every benchmark as it is, and with the visual tokens permuted before the \
    language model reads them. In brackets are 95 % intervals.";
const CAPTION: &str = "Shares in %, MME in points of 2800, grades of 100. Permuted: the mean over \
    draws. Intervals: Wilson's of shares as they are, else of a bootstrap over groups of items, of \
    the difference over the same groups. The mean difference is over benchmarks without MME, whose \
    points are no percentages. Operations are counted, of an answer by itself; time is measured, \
    of an answer among the others of its run; both are means over answers.";
/// Stands above the table where `CAPTION` stands below it.
const SHORT_CAPTION: &str = "Every benchmark as it is, and with permuted visual tokens.";
/// The largest value of a metric that counts in the mean difference.
const PERCENT: f64 = 100.0;

/// A benchmark asked of a model.
#[derive(Debug, Clone)]
pub struct TableOneEntry {
    /// The model.
    pub model: String,
    /// The benchmark's name, as rules have it.
    pub benchmark: String,
    /// The rule.
    pub rule: String,
    /// Holds what was found.
    pub found: Permuted,
    /// Floating-point operations of an answer by itself, where results say.
    pub flops: Option<Mean>,
    /// Seconds of an answer, as measured among others.
    pub seconds: Mean,
}

/// Table 1 over benchmarks and models.
#[derive(Debug, Clone, Default)]
pub struct TableOne {
    entries: Vec<TableOneEntry>,
}

impl TableOne {
    /// Makes a table; models come in the order of their first entries.
    ///
    /// # Errors
    /// Where a model has two entries of one benchmark.
    pub fn new(entries: Vec<TableOneEntry>) -> Result<Self, String> {
        for (i, entry) in entries.iter().enumerate() {
            let key = (&entry.model, &entry.benchmark);
            if entries[..i].iter().any(|e| (&e.model, &e.benchmark) == key) {
                return Err(format!(
                    "{} has two results of {}; give one of them, or another name: NAME=RESULTS",
                    entry.model, entry.benchmark
                ));
            }
        }
        Ok(Self { entries })
    }

    /// Reports whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn models(&self) -> Vec<&str> {
        let mut models: Vec<&str> = Vec::new();
        for entry in &self.entries {
            if !models.contains(&entry.model.as_str()) {
                models.push(&entry.model);
            }
        }
        models
    }

    fn benchmarks(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.entries.iter().map(|e| e.benchmark.as_str()).collect();
        all.sort_by_key(|name| (benchmark_place(name), *name));
        all.dedup();
        all
    }

    fn entry(&self, model: &str, benchmark: &str) -> Option<&TableOneEntry> {
        let mut entries = self.entries.iter();
        entries.find(|e| e.model == model && e.benchmark == benchmark)
    }

    /// Returns the heads of its columns.
    fn heads(&self) -> Vec<String> {
        let names = self.benchmarks().into_iter().map(benchmark_name);
        let names = names.map(str::to_owned);
        std::iter::once("model".to_owned())
            .chain(names)
            .chain(["mean difference".to_owned()])
            .collect()
    }

    /// Returns the rows of a model: their names, and a number or nothing for each benchmark.
    fn rows(&self, model: &str) -> [(String, Vec<Option<Shown>>); 6] {
        let entries: Vec<Option<&TableOneEntry>> = self
            .benchmarks()
            .into_iter()
            .map(|benchmark| self.entry(model, benchmark))
            .collect();
        let cells =
            |shown: fn(&Permuted) -> Shown| entries.iter().map(move |e| Some(shown(&(*e)?.found)));
        let row = |shown| cells(shown).collect::<Vec<_>>();
        let mut differences = row(|f| Shown::signed(f.difference, f.most));
        differences.push(mean_difference(&entries));
        let flops = entries.iter().map(|entry| (*entry)?.flops);
        let most = flops.clone().flatten().map(|mean| mean.value);
        // One unit for a model, that of its largest number.
        let (size, unit) = scaled(most.fold(0.0, f64::max), "FLOP");
        let flops = flops.map(|mean| Some(Shown::mean(mean?, size)));
        let seconds = entries.iter().map(|entry| Some((*entry)?.seconds));
        let seconds = seconds.map(|mean| Some(Shown::mean(mean?, 1e-3)));
        [
            (model.to_owned(), row(|f| Shown::new(f.unchanged, f.most))),
            ("+ permuted".into(), row(|f| Shown::new(f.permuted, f.most))),
            ("difference".into(), differences),
            ("n".into(), row(Shown::count)),
            (format!("{unit} an answer"), flops.collect()),
            ("ms an answer".into(), seconds.collect()),
        ]
    }

    /// Returns the table as one of texts.
    pub fn table(&self) -> DataTable {
        let heads = self.heads();
        let mut rows = Vec::new();
        for model in self.models() {
            for (name, cells) in self.rows(model) {
                let mut row = vec![name];
                row.extend(cells.iter().map(|cell| match cell {
                    Some(cell) => cell.text(),
                    None => "-".into(),
                }));
                // Only the row of differences has a mean.
                row.resize(heads.len(), String::new());
                rows.push(row);
            }
        }
        DataTable {
            caption: CAPTION.into(),
            heads,
            rows,
            places: Vec::new(),
        }
    }

    /// Returns what a document has of it, with the numbers that the paper prints of the same
    /// benchmarks.
    pub fn parts(&self, printed: Option<&PaperTable>) -> Vec<Part> {
        let table = DataTable {
            caption: SHORT_CAPTION.into(),
            ..self.table()
        };
        let mut parts = vec![Part::Text(ABOUT.into()), Part::Table(table)];
        parts.push(Part::Text(CAPTION.into()));
        let Some(printed) = printed else {
            return parts;
        };
        let mut rows = Vec::new();
        for benchmark in self.benchmarks() {
            for row in printed.rows.get(benchmark).into_iter().flatten() {
                let name = benchmark_name(benchmark).to_owned();
                rows.push(std::iter::once(name).chain(row.iter().cloned()).collect());
            }
        }
        if rows.is_empty() {
            return parts;
        }
        let heads = printed.heads.iter().cloned();
        let heads = std::iter::once("benchmark".to_owned()).chain(heads);
        parts.push(Part::Heading("As the paper prints it".into()));
        parts.push(Part::Table(DataTable {
            caption: format!("{}: the paper prints no n and no interval.", printed.source),
            heads: heads.collect(),
            rows,
            places: Vec::new(),
        }));
        parts.push(Part::List(printed.notes.clone()));
        parts
    }

    /// Returns the table in LaTeX.
    pub fn latex(&self) -> String {
        let heads: Vec<String> = self.heads().iter().map(|head| escaped(head)).collect();
        // `heads` has the model and the mean at least.
        let columns = "c".repeat(heads.len() - 1);
        let mut text = format!(
            "% Needs \\usepackage{{booktabs}}.\n\\begin{{table*}}\n\\centering\n\\small\n\
             \\setlength{{\\tabcolsep}}{{4pt}}\n\\caption{{{}}}\n\\begin{{tabular}}{{l{columns}}}\n\
             \\toprule\n{} \\\\\n",
            escaped(CAPTION),
            heads.join(" & ")
        );
        for model in self.models() {
            text += "\\midrule\n";
            for (name, cells) in self.rows(model) {
                let mut row = vec![escaped(&name)];
                row.extend(cells.iter().map(|cell| match cell {
                    Some(cell) => cell.latex(),
                    None => "--".into(),
                }));
                row.resize(heads.len(), String::new());
                let _ = writeln!(text, "{} \\\\", row.join(" & "));
            }
        }
        text + "\\bottomrule\n\\end{tabular}\n\\end{table*}\n"
    }

    /// Returns the table for programs, a row for each model and benchmark, behind the names of its
    /// columns.
    pub fn cells(&self) -> (&'static [&'static str], Vec<Vec<String>>) {
        const HEADS: [&str; 18] = [
            "model",
            "benchmark",
            "rule",
            "metric",
            "most",
            "n",
            "draws",
            "unchanged",
            "unchanged_low",
            "unchanged_high",
            "permuted",
            "permuted_low",
            "permuted_high",
            "difference",
            "difference_low",
            "difference_high",
            "flops",
            "seconds",
        ];
        (&HEADS, self.entries.iter().map(csv_row).collect())
    }
}

fn csv_row(entry: &TableOneEntry) -> Vec<String> {
    let found = &entry.found;
    let mut row = vec![
        entry.model.clone(),
        entry.benchmark.clone(),
        entry.rule.clone(),
        found.metric.clone(),
        found.most.to_string(),
        found.n.to_string(),
        found.draws.to_string(),
    ];
    for estimate in [found.unchanged, found.permuted, found.difference] {
        let (low, high) = estimate.interval;
        row.extend([estimate.value, low, high].map(|v| v.to_string()));
    }
    row.push(entry.flops.map_or(String::new(), |m| m.value.to_string()));
    row.push(entry.seconds.value.to_string());
    row
}

/// A cell of the table.
struct Shown {
    value: String,
    /// The interval below it; empty where it is a count.
    below: String,
}

impl Shown {
    fn new(estimate: Estimate, most: f64) -> Self {
        let [value, low, high] = numbers(estimate, most);
        Self {
            value: format!("{value:.1}"),
            below: format!("[{low:.1}, {high:.1}]"),
        }
    }

    fn signed(estimate: Estimate, most: f64) -> Self {
        let [value, low, high] = numbers(estimate, most);
        Self {
            value: format!("{value:+.1}"),
            below: format!("[{low:+.1}, {high:+.1}]"),
        }
    }

    /// Returns what an answer takes, `size` being 1.
    fn mean(mean: Mean, size: f64) -> Self {
        let (low, high) = mean.interval;
        let [value, low, high] = [mean.value, low, high].map(|v| format!("{:.1}", v / size));
        Self {
            value,
            below: format!("[{low}, {high}]"),
        }
    }

    fn count(found: &Permuted) -> Self {
        let of = if found.metric == "pair accuracy" {
            "pairs"
        } else {
            "items"
        };
        Self {
            value: format!("{} {of}", found.n),
            below: format!("x {} draws", found.draws),
        }
    }

    fn text(&self) -> String {
        format!("{} {}", self.value, self.below)
    }

    fn latex(&self) -> String {
        let (value, below) = (escaped(&self.value), escaped(&self.below));
        format!("\\shortstack{{{value} \\\\ {{\\scriptsize {below}}}}}")
    }
}

/// Returns a number and the ends of its interval as readers see them: shares in %.
fn numbers(estimate: Estimate, most: f64) -> [f64; 3] {
    let scale = if most <= 1.0 { 100.0 } else { 1.0 };
    let (low, high) = estimate.interval;
    [estimate.value, low, high].map(|v| scale * v)
}

/// Returns the mean difference over the benchmarks of percentages. They are independent, so that
/// half widths of intervals add as squares.
fn mean_difference(entries: &[Option<&TableOneEntry>]) -> Option<Shown> {
    let own: Vec<[f64; 3]> = entries
        .iter()
        .flatten()
        .filter(|e| e.found.most <= PERCENT)
        .map(|e| numbers(e.found.difference, e.found.most))
        .collect();
    if own.is_empty() {
        return None;
    }
    let n = own.len() as f64;
    let value = own.iter().map(|d| d[0]).sum::<f64>() / n;
    // Benchmarks are independent: the squares of their half intervals add up.
    let squares = |end: usize| own.iter().map(move |d| (d[end] - d[0]).powi(2));
    let half = |end: usize| squares(end).sum::<f64>().sqrt() / n;
    let (low, high) = (value - half(1), value + half(2));
    Some(Shown {
        value: format!("{value:+.1}"),
        below: format!("[{low:+.1}, {high:+.1}], n = {}", own.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmark::report::{html, markdown};

    fn entry(model: &str, benchmark: &str, most: f64, values: [f64; 2]) -> TableOneEntry {
        let estimate = |value: f64| Estimate {
            value,
            interval: (value - 0.1 * most, value + 0.1 * most),
        };
        let [unchanged, permuted] = values;
        TableOneEntry {
            model: model.into(),
            benchmark: benchmark.into(),
            rule: format!("{benchmark}/tool"),
            found: Permuted {
                metric: "accuracy".into(),
                most,
                n: 150,
                draws: 5,
                unchanged: estimate(unchanged),
                permuted: estimate(permuted),
                difference: estimate(permuted - unchanged),
            },
            flops: Some(Mean::of(&[2e9])),
            seconds: Mean::of(&[0.5]),
        }
    }

    #[test]
    fn one_table_over_benchmarks_and_models() {
        let table = TableOne::new(vec![
            entry("A_1", "shapes", 1.0, [0.9, 0.7]),
            entry("A_1", "mmvp", 1.0, [0.5, 0.4]),
            entry("B|2", "mme", 2800.0, [1850.0, 1870.0]),
            entry("B|2", "mmvp", 1.0, [0.25, 0.25]),
        ])
        .unwrap();
        insta::assert_snapshot!(markdown("Table 1", &table.parts(None)));
        insta::assert_snapshot!(table.latex());
        let (heads, rows) = table.cells();
        assert!(rows.iter().all(|row| row.len() == heads.len()));
        assert!(html("Table 1", &table.parts(None)).contains("<th scope=\"row\">B|2</th>"));
        let twice = vec![
            entry("A", "mmvp", 1.0, [0.5, 0.4]),
            entry("A", "mmvp", 1.0, [0.5, 0.4]),
        ];
        assert!(TableOne::new(twice).unwrap_err().contains("two results"));
    }
}
