//! `scotoma dataset`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;
use crate::benchmark::Error;
use crate::benchmark::data::Rows;
use crate::vision;

/// Commands of `dataset`.
#[derive(Debug, Subcommand)]
pub(super) enum Dataset {
    /// Read a file row by row, pictures too; exits with 0 if nothing is wrong with it.
    Check(Check),
}

/// Flags of `dataset check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// VLMEvalKit's table (.tsv), or a manifest of one JSON object a line (.jsonl)
    file: PathBuf,
    /// Mistakes that are printed
    #[arg(long, default_value_t = 20)]
    show: usize,
}

/// Pixels of one picture, as `serve --max-image-pixels` has it.
const MAX_PIXELS: u64 = 64 << 20;

impl Dataset {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let Self::Check(check) = self;
        check.run()
    }
}

impl Check {
    fn run(&self) -> Result<(), Failure> {
        let (mut good, mut pictures, mut bytes, mut mistakes) = (0usize, 0usize, 0u64, 0usize);
        let (mut categories, mut options, mut columns) =
            (BTreeMap::<String, usize>::new(), BTreeMap::<usize, usize>::new(), BTreeMap::<String, usize>::new());
        let mut unanswered = 0;
        let mut rows = Rows::open(&self.file)?;
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} rows, {per_sec}") {
            bar.set_style(style);
        }
        while let Some(item) = rows.next() {
            bar.inc(1);
            let found = item.and_then(|item| {
                for image in &item.images {
                    let error = |e| Error { line: rows.line(), message: format!("image: {e}") };
                    vision::decode(image, MAX_PIXELS).map_err(error)?;
                }
                Ok(item)
            });
            match found {
                Ok(item) => {
                    good += 1;
                    pictures += item.images.len();
                    bytes += item.images.iter().map(|i| i.len() as u64).sum::<u64>();
                    *categories.entry(item.category).or_default() += 1;
                    *options.entry(item.options.len()).or_default() += 1;
                    item.fields.into_keys().for_each(|name| *columns.entry(name).or_default() += 1);
                    unanswered += usize::from(item.answer.is_empty());
                }
                Err(error) => {
                    mistakes += 1;
                    if mistakes <= self.show {
                        bar.suspend(|| println!("{error}"));
                    }
                }
            }
        }
        bar.finish_and_clear();
        println!("{good} items, {pictures} pictures of {:.1} MB together, {mistakes} mistakes", bytes as f64 / 1e6);
        for (name, count) in &categories {
            println!("  {count:>7} in category {name:?}");
        }
        for (count, items) in &options {
            println!("  {items:>7} with {count} options");
        }
        if unanswered > 0 {
            println!("  {unanswered:>7} without an answer");
        }
        if !columns.is_empty() {
            println!("  other columns: {}", columns.into_keys().collect::<Vec<_>>().join(", "));
        }
        if mistakes == 0 { Ok(()) } else { Err(format!("{mistakes} rows cannot be read").into()) }
    }
}
