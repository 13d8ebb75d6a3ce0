//! `scotoma dataset`: checks of a benchmark's file.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::benchmark_args::{column, reading};
use super::benchmark_run::open_items;
use super::error::{Failure, Usage};
use super::json_output::print_line;
use super::progress::Progress;
use super::sample::sample;
use crate::benchmark::data::{ColumnRole, ItemReader, MappedRow};
use crate::benchmark::{RULES, Rule, rule, substitute};
use crate::vision;

/// Commands of `dataset`.
#[derive(Debug, Subcommand)]
pub(super) enum Dataset {
    /// Read a file row by row, pictures too, and print what each column is taken for; exits with 0
    /// if all rows can be read.
    Check(CheckFile),
    /// Print the questions of a file as Evaluate takes them, one JSON object a line: `picture`, by
    /// which they stay together, and `sample`. For programs that ask them themselves
    Samples(Box<PrintSamples>),
}

/// Flags of `dataset samples`.
#[derive(Debug, Args)]
pub(super) struct PrintSamples {
    /// A benchmark, such as mmvp; `scotoma eval list` prints all
    #[arg(value_parser = known)]
    rule: String,
    /// File of questions, as `eval` takes it. `shapes` needs none
    #[arg(long)]
    data: Option<PathBuf>,
    /// Column that holds a part of the questions, as for `eval`. Repeat for several
    #[arg(long, value_name = "PART=COLUMN", value_parser = column)]
    column: Vec<(String, String)>,
    /// Print the first LIMIT rows only; 0 prints all
    #[arg(long, default_value_t = 0)]
    limit: usize,
    /// Skip rows that cannot be read, and count them
    #[arg(long)]
    skip_bad: bool,
    /// Give each question the pictures of another one, for variants that show them
    #[arg(long)]
    others: bool,
    /// Folder of other pictures, for variants that show them
    ///
    /// Its files are INDEX.png, .jpg or .webp; they stand in place of an item's own picture.
    #[arg(long, value_name = "FOLDER")]
    substitutes: Option<PathBuf>,
}

/// Flags of `dataset check`.
#[derive(Debug, Args)]
pub(super) struct CheckFile {
    /// A table (.tsv, .csv, .parquet), or a manifest with one JSON object a line (.jsonl)
    file: PathBuf,
    /// Benchmark whose questions these are, as `eval` names it
    ///
    /// Some have conventions of their own, such as numbers for answers.
    #[arg(long, default_value = "", value_parser = known)]
    rule: String,
    /// Column that holds a part of the questions, such as question=prompt_text
    ///
    /// As for `eval`; ignore=COLUMN leaves one out. Repeat for several.
    #[arg(long, value_name = "PART=COLUMN", value_parser = column)]
    column: Vec<(String, String)>,
    /// Most mistakes to print
    #[arg(long, default_value_t = 20)]
    show: usize,
    /// Print JSON: counts, `columns` by role, and the first `mistakes`
    #[arg(long)]
    json: bool,
}

/// Parses the name of a benchmark.
pub(super) fn known(name: &str) -> Result<String, String> {
    if name.is_empty() || rule(name).is_some() {
        return Ok(name.to_owned());
    }
    let all: Vec<String> = RULES.iter().map(Rule::name).collect();
    Err(format!("there are {}", all.join(", ")))
}

impl Dataset {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Check(check) => check.run(),
            Self::Samples(samples) => samples.run(),
        }
    }
}

impl PrintSamples {
    fn run(&self) -> Result<(), Failure> {
        let data = self.data.as_deref();
        let mut items = open_items(&self.rule, data, &self.column, self.limit)?;
        if self.others {
            items = Box::new(substitute::with_other(items));
        }
        // One lock for all lines: a table may have millions.
        let (mut out, mut left_out) = (std::io::stdout().lock(), 0);
        for item in items {
            let mut item = match item {
                Ok(item) => item,
                Err(_) if self.skip_bad => {
                    left_out += 1;
                    continue;
                }
                Err(error) => return Err(format!("{error} (--skip-bad goes on without it)").into()),
            };
            if let Some(folder) = &self.substitutes {
                substitute::from_folder(folder, &mut item)?;
            }
            // By the first picture, as shards keep together what is about one.
            let picture = item
                .images
                .first()
                .map(|image| blake3::hash(image).to_string());
            let line = json!({"picture": picture, "sample": sample(item)});
            writeln!(out, "{line}")?;
        }
        if left_out > 0 {
            eprintln!("{left_out} rows left out");
        }
        Ok(())
    }
}

/// Counts over the rows of a file.
#[derive(Default)]
struct Counts {
    items: usize,
    pictures: usize,
    bytes: u64,
    mistakes: usize,
    /// The first mistakes, as many as are shown.
    shown: Vec<String>,
    blind: usize,
    unanswered: usize,
    categories: BTreeMap<String, usize>,
    groups: BTreeMap<String, usize>,
    options: BTreeMap<usize, usize>,
    columns: BTreeMap<String, BTreeMap<ColumnRole, usize>>,
}

impl Counts {
    fn add(&mut self, mapped: MappedRow) {
        let MappedRow { item, taken } = mapped;
        self.items += 1;
        self.pictures += item.images.len();
        self.blind += usize::from(item.images.is_empty());
        self.bytes += item.images.iter().map(|i| i.len() as u64).sum::<u64>();
        self.unanswered += usize::from(item.answer.is_empty());
        *self.categories.entry(item.category).or_default() += 1;
        *self.options.entry(item.options.len()).or_default() += 1;
        if !item.group.is_empty() {
            *self.groups.entry(item.group).or_default() += 1;
        }
        for (name, role) in taken {
            *self
                .columns
                .entry(name)
                .or_default()
                .entry(role)
                .or_default() += 1;
        }
    }

    /// Returns the counts for programs.
    fn json(&self) -> Value {
        let columns = self.columns.iter().map(|(name, roles)| {
            let roles = roles
                .iter()
                .map(|(role, rows)| (role.to_string(), (*rows).into()));
            (name.clone(), Value::Object(roles.collect()))
        });
        json!({
            "items": self.items, "pictures": self.pictures, "pictureBytes": self.bytes,
            "failed": self.mistakes, "mistakes": self.shown, "withoutPicture": self.blind,
            "withoutAnswer": self.unanswered, "categories": self.categories,
            "groups": self.groups.len(), "options": self.options,
            "columns": Value::Object(columns.collect()),
        })
    }

    fn print(&self) {
        let Self {
            items,
            pictures,
            bytes,
            mistakes,
            ..
        } = self;
        println!(
            "{items} items, {pictures} pictures of {:.1} MB together, {mistakes} mistakes",
            *bytes as f64 / 1e6
        );
        for (name, roles) in &self.columns {
            let roles: Vec<String> = roles
                .iter()
                .map(|(role, &rows)| role_line(*role, rows, *items))
                .collect();
            println!("  column {name:?} -> {}", roles.join(", "));
        }
        for (name, count) in &self.categories {
            println!("  {count:>7} in category {name:?}");
        }
        for (count, items) in &self.options {
            println!("  {items:>7} with {count} options");
        }
        if !self.groups.is_empty() {
            println!("  {:>7} groups that count together", self.groups.len());
        }
        if self.blind > 0 {
            println!("  {:>7} without a picture", self.blind);
        }
        if self.unanswered > 0 {
            println!("  {:>7} without an answer", self.unanswered);
        }
    }
}

/// Names a column's role, with its rows where it does not have it in all.
fn role_line(role: ColumnRole, rows: usize, items: usize) -> String {
    if rows == items {
        role.to_string()
    } else {
        format!("{role} ({rows} rows)")
    }
}

impl CheckFile {
    fn run(&self) -> Result<(), Failure> {
        let mut counts = Counts::default();
        let reading = reading(&self.rule, &self.column).map_err(Usage)?;
        let mut rows = ItemReader::open_as(&self.file, reading)?;
        let progress = Progress::new(None, "rows");
        while let Some(mapped) = rows.next_mapped() {
            progress.advance();
            let found = mapped.and_then(|mapped| {
                for image in &mapped.item.images {
                    // Decoded, not only found: a benchmark of an hour should not end at a truncated
                    // JPEG.
                    vision::decode(image, vision::MAX_PIXELS)
                        .map_err(|e| rows.error(format!("image: {e}")))?;
                }
                Ok(mapped)
            });
            match found {
                Ok(mapped) => counts.add(mapped),
                Err(error) => {
                    counts.mistakes += 1;
                    if counts.mistakes <= self.show {
                        counts.shown.push(error.to_string());
                        // At once: a table of an hour should not keep its first mistake to itself.
                        if !self.json {
                            progress.suspend(|| println!("{error}"));
                        }
                    }
                }
            }
        }
        progress.finish();
        if self.json {
            print_line(&counts.json())?;
        } else {
            counts.print();
        }
        let mistakes = counts.mistakes;
        if mistakes == 0 {
            Ok(())
        } else {
            Err(format!("{mistakes} rows cannot be read").into())
        }
    }
}
