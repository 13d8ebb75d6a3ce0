//! Flags of a benchmark, which several commands share.

use clap::{Args, ValueEnum};
use scotoma_client::v1;

use super::judge_args::JudgeArgs;
use super::model_args::ModelArgs;
use crate::benchmark::data::ColumnMapping;

/// The word in place of a benchmark or an experiment that lists all of them.
pub(super) const LIST: &str = "list";

/// The word in place of a benchmark of `eval` that lists the ways of pruning.
pub(super) const PRUNING: &str = "pruning";

/// The origin of an item's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scoring {
    /// Tokens are generated, and the answer is read from them
    Generation,
    /// The likeliest letter
    Letters,
    /// The likeliest option by its words
    Texts,
}

impl From<Scoring> for v1::Answering {
    fn from(scoring: Scoring) -> Self {
        match scoring {
            Scoring::Generation => Self::Generate,
            Scoring::Letters => Self::OptionLetters,
            Scoring::Texts => Self::OptionTexts,
        }
    }
}

/// The preparation of several pictures of one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum MultiImageArg {
    /// Each padded to a square, one view: the nested list of transformers
    Padded,
    /// Each cut into tiles, as if it came alone: the flat list of transformers
    Tiled,
}

impl From<MultiImageArg> for v1::MultiImage {
    fn from(arg: MultiImageArg) -> Self {
        match arg {
            MultiImageArg::Padded => Self::Padded,
            MultiImageArg::Tiled => Self::Tiled,
        }
    }
}

/// Flags of a benchmark.
#[derive(Debug, Clone, Args)]
pub(super) struct BenchmarkArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,
    #[command(flatten)]
    pub(super) judge: JudgeArgs,
    /// Most tokens of an answer; 0 leaves it to the benchmark's rule
    #[arg(long, default_value_t = 0)]
    pub(super) max_tokens: u32,
    /// Preparation of several pictures of one question for LLaVA-OneVision. Default: padded
    #[arg(long, value_enum)]
    pub(super) multi_image: Option<MultiImageArg>,
    /// Ask the first LIMIT rows only; 0 asks all
    #[arg(long, default_value_t = 0)]
    pub(super) limit: usize,
    /// Column that holds a part of the questions, such as question=prompt_text
    ///
    /// For names that do not tell; the part is id, question, image, options, answer, category, hint
    /// or group, and ignore=COLUMN leaves one out. Repeat for several.
    #[arg(long, value_name = "PART=COLUMN", value_parser = column)]
    pub(super) column: Vec<(String, String)>,
    /// Skip rows that cannot be read, and count them
    #[arg(long)]
    pub(super) skip_bad: bool,
}

/// The flag of the origin of answers.
#[derive(Debug, Clone, Args)]
pub(super) struct ScoringArgs {
    /// Origin of an answer: generated and read, or the likeliest of the options
    #[arg(long, value_enum, default_value = "generation")]
    pub(super) scoring: Scoring,
}

/// Parses the value of `--column`.
pub(super) fn column(text: &str) -> Result<(String, String), String> {
    let (part, column) = text.split_once('=').ok_or("PART=COLUMN is needed")?;
    // Tried on an empty mapping: a wrong part is a mistake of the flag, not of a file.
    ColumnMapping::default().give(part, column)?;
    Ok((part.to_owned(), column.to_owned()))
}

/// Returns how `rule` reads a table whose columns are assigned by `columns`.
pub(super) fn reading(rule: &str, columns: &[(String, String)]) -> Result<ColumnMapping, String> {
    // Some benchmarks have conventions of their own.
    let mut reading = ColumnMapping::of(rule);
    columns
        .iter()
        .try_for_each(|(part, column)| reading.give(part, column))?;
    Ok(reading)
}
