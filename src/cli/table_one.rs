//! `scotoma table1`: Table 1 of Lee et al. 2024 over the results of several benchmarks and models.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::v1::intervention::Kind;
use scotoma_client::v1::{EvaluateHeader, EvaluateVariant, SampleResult};
use serde_json::Value;

use super::classify::outcome;
use super::csv_file::write_csv;
use super::error::{Failure, Usage};
use super::experiment_report::answer_cost;
use super::files;
use super::json_output::print_line;
use crate::api::rule_of;
use crate::benchmark::experiments::{PaperTable, experiments};
use crate::benchmark::report::{Mean, Part, TableOne, TableOneEntry, html, markdown};
use crate::benchmark::{Outcome, permuted};

/// The name of its files, without an ending.
const NAME: &str = "table1";
/// The ending of the file beside results that says what ran.
const RUN_FILE: &str = ".run.json";

/// Flags of `table1`.
#[derive(Debug, Args)]
pub(super) struct Table1 {
    /// Results of permutations: files of `eval --out`, or folders of `experiment` and `paper`, in
    /// which all are found. NAME= before one says what the table calls its model
    #[arg(required = true, value_name = "[NAME=]RESULTS")]
    results: Vec<String>,
    /// Folder to write table1.html, table1.md, table1.tex and table1.csv to
    #[arg(long, default_value = "table1")]
    report: PathBuf,
    /// Print the rows of table1.csv as JSON, an object a line, in place of the table
    #[arg(long)]
    json: bool,
}

impl Table1 {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut entries = Vec::new();
        for text in &self.results {
            let (name, path) = named_path(text);
            let own = read(path, name)?;
            if own.is_empty() {
                let message = format!(
                    "{}: no results that have the items unchanged first, and then under \
                     permutations of the visual tokens; `scotoma experiment permutation` has",
                    path.display()
                );
                return Err(message.into());
            }
            entries.extend(own);
        }
        let table = TableOne::new(told_apart(entries)).map_err(Usage)?;
        files::create_folder(&self.report).map_err(|e| format!("--report {e}"))?;
        write(&table, &self.report)?;
        if self.json {
            return print_json(&table);
        }
        println!("{}", markdown("Table 1", &[Part::Table(table.table())]));
        println!("{}", self.report.join(format!("{NAME}.html")).display());
        Ok(())
    }
}

/// Parts `NAME=RESULTS`; a file whose own name has such a sign is itself.
fn named_path(text: &str) -> (Option<&str>, &Path) {
    match text.split_once('=') {
        Some((name, path)) if !Path::new(text).exists() => (Some(name), Path::new(path)),
        _ => (None, Path::new(text)),
    }
}

/// Writes the table in every form to `folder`.
fn write(table: &TableOne, folder: &Path) -> Result<(), Failure> {
    let parts = parts(table)?;
    let named = |ending: &str| folder.join(format!("{NAME}.{ending}"));
    files::write(&named("html"), html("Table 1", &parts).as_bytes())?;
    files::write(&named("md"), markdown("Table 1", &parts).as_bytes())?;
    files::write(&named("tex"), table.latex().as_bytes())?;
    let (heads, rows) = table.cells();
    write_csv(&named("csv"), heads, &rows)
}

/// Returns what documents have of the table.
fn parts(table: &TableOne) -> Result<Vec<Part>, Failure> {
    // The numbers that the paper prints stand in the description of its experiment.
    let printed: Option<PaperTable> = experiments()?
        .into_iter()
        .find(|e| e.name == "permutation")
        .and_then(|e| e.paper);
    Ok(table.parts(printed.as_ref()))
}

fn print_json(table: &TableOne) -> Result<(), Failure> {
    let (heads, rows) = table.cells();
    for row in &rows {
        let cells = heads.iter().zip(row);
        let object: Value = cells
            .map(|(head, cell)| ((*head).to_owned(), json_cell(cell)))
            .collect();
        print_line(&object)?;
    }
    Ok(())
}

fn json_cell(cell: &str) -> Value {
    let number = cell.parse().ok().map(Value::Number);
    number.unwrap_or_else(|| Value::from(cell))
}

/// Writes Table 1 of the results in a report's folder, and returns what the report has of it;
/// nothing where there are none.
pub(super) fn write_table_one(folder: &Path) -> Result<Vec<Part>, Failure> {
    let entries = read(folder, None)?;
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let table = match TableOne::new(told_apart(entries)) {
        Ok(table) => table,
        // Two tables of one benchmark are no mistake of a paper's data.
        Err(message) => {
            eprintln!("Table 1 is left out: {message}");
            return Ok(Vec::new());
        }
    };
    write(&table, folder)?;
    let mut own = vec![Part::Heading("Table 1".into())];
    own.extend(table.parts(None));
    Ok(own)
}

/// Reads the results in a file, or all that are in a folder; those of other experiments are left
/// out, unless they are named.
fn read(path: &Path, name: Option<&str>) -> Result<Vec<TableOneEntry>, Failure> {
    if !path.is_dir() {
        return Ok(entry(path, name)?.into_iter().collect());
    }
    // By the files beside them that say what ran.
    let found = files::beside(path, RUN_FILE)?;
    let entries = found
        .iter()
        .filter_map(|path| entry(path, name).transpose());
    entries.collect()
}

/// The file beside results that says what ran, as far as the table needs it.
#[derive(Debug, serde::Deserialize)]
struct RunFile {
    ran: EvaluateHeader,
    /// Digest of the model.
    model: String,
}

/// Reads the results of one run; `None` where it permutes nothing.
fn entry(path: &Path, name: Option<&str>) -> Result<Option<TableOneEntry>, Failure> {
    let mut about = path.as_os_str().to_owned();
    about.push(RUN_FILE);
    let about = PathBuf::from(about);
    let run: RunFile =
        serde_json::from_slice(&files::read(&about)?).map_err(|e| files::named(&about, &e))?;
    let permutations = permutations(&run.ran.variants);
    // Of an item as it is nothing may differ, neither what the model computes nor what it sees.
    let is_unchanged = |v: &EvaluateVariant| v.interventions.is_empty() && v.pictures.is_empty();
    let Some(first) = run.ran.variants.first().filter(|v| is_unchanged(v)) else {
        return Ok(None);
    };
    if permutations.is_empty() {
        return Ok(None);
    }
    let rule = rule_of(&run.ran).map_err(|e| files::named(path, &e))?;
    let results = scotoma_client::read_results(path)?;
    let own: Vec<&SampleResult> = results
        .iter()
        .filter(|r| r.error.is_none())
        .filter(|r| r.variant == first.name || permutations.contains(&r.variant.as_str()))
        .collect();
    let mut outcomes: HashMap<&str, Vec<Outcome>> = HashMap::new();
    for result in &own {
        let all = outcomes.entry(&result.variant).or_default();
        all.push(outcome(result)?);
    }
    // One list of outcomes for each permutation, in the order of the variants; then that of the
    // item unchanged.
    let draws: Vec<Vec<Outcome>> = permutations
        .iter()
        .map(|name| outcomes.remove(name).unwrap_or_default())
        .collect();
    let unchanged = outcomes.remove(first.name.as_str()).unwrap_or_default();
    let found = permuted(&unchanged, &draws, rule.summarise).map_err(|e| files::named(path, &e))?;
    let costs: Vec<_> = own.iter().map(|r| answer_cost(r)).collect();
    let flops: Vec<f64> = costs.iter().map(|c| c.flops as f64).collect();
    let seconds: Vec<f64> = costs.iter().map(|c| c.seconds).collect();
    Ok(Some(TableOneEntry {
        model: name.map_or_else(|| model_name(&run), str::to_owned),
        benchmark: rule.benchmark.to_owned(),
        rule: rule.name(),
        found,
        flops: flops.iter().all(|f| *f > 0.0).then(|| Mean::of(&flops)),
        seconds: Mean::of(&seconds),
    }))
}

/// Returns the variants that permute all visual tokens and do nothing else.
fn permutations(variants: &[EvaluateVariant]) -> Vec<&str> {
    let own = variants.iter().filter(|v| {
        let own = v.interventions.as_slice();
        v.pictures.is_empty()
            && matches!(own, [one] if matches!(one.kind, Some(Kind::PermuteTokens(_))))
    });
    own.map(|v| v.name.as_str()).collect()
}

/// Names a model that nobody has named: as the run did, with its digest until it is known whether
/// another one has the same name.
fn model_name(run: &RunFile) -> String {
    let digest: String = run.model.chars().take(8).collect();
    format!("{}{DIGEST}{digest}", run.ran.model)
}

/// Stands between a model's name and its digest.
const DIGEST: char = '\u{1f}';

/// Leaves the digests of models that share a name with another one.
fn told_apart(mut entries: Vec<TableOneEntry>) -> Vec<TableOneEntry> {
    // Two passes: whether a name is shared only all entries together say.
    let full: Vec<String> = entries.iter().map(|e| e.model.clone()).collect();
    for (entry, own) in entries.iter_mut().zip(&full) {
        let Some((name, digest)) = own.split_once(DIGEST) else {
            continue;
        };
        let mut others = full.iter().filter_map(|other| other.split_once(DIGEST));
        let is_shared = others.any(|(other, of)| other == name && of != digest);
        entry.model = if is_shared {
            format!("{name} ({digest})")
        } else {
            name.to_owned()
        };
    }
    entries
}
