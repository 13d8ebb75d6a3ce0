//! `scotoma eval`: a benchmark through Evaluate, with its results in a file from which an
//! interrupted run goes on.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use scotoma_client::v1::evaluate_header::Rules;
use scotoma_client::v1::{
    Answering, BenchmarkMetric, Comparison, EvaluateFinished, EvaluateHeader, EvaluateStarted,
    EvaluateVariant, Sample, SampleResult,
};
use scotoma_client::{Client, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::intervention_args::{self, Flags};
use super::judge::Judge;
use super::sample::sample;
use super::served::{Served, stop};
use super::{Failure, Local};
use crate::benchmark::data::{Reading, Rows, count};
use crate::benchmark::{self, Item, substitute};
use crate::model;

/// Errors that are printed.
const SHOWN: usize = 10;

/// Items as they are read.
pub(super) type Items = Box<dyn Iterator<Item = Result<Item, benchmark::Error>> + Send>;

/// Samples that wait for the server.
const AHEAD: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum By {
    /// Tokens are generated, and the answer is read from them
    Generation,
    /// The likeliest letter
    Letters,
    /// The likeliest option by its words
    Texts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum MultiImage {
    /// Each to a square, one view: transformers' nested list
    Padded,
    /// Each into tiles, as if it came alone: transformers' flat list
    Tiled,
}

impl MultiImage {
    /// As the contract spells it.
    fn number(this: Option<Self>) -> i32 {
        let image = match this {
            None => v1::MultiImage::Unspecified,
            Some(Self::Padded) => v1::MultiImage::Padded,
            Some(Self::Tiled) => v1::MultiImage::Tiled,
        };
        image.into()
    }
}

/// How a benchmark is asked.
#[derive(Debug, Clone, Args)]
pub(super) struct Common {
    #[command(flatten)]
    pub(super) served: Served,
    #[command(flatten)]
    pub(super) judge: Judge,
    /// Tokens that an answer may have; 0: what the rule says
    #[arg(long, default_value_t = 0)]
    pub(super) max_tokens: u32,
    /// How several pictures of one question are prepared for LLaVA-OneVision. Default: padded
    #[arg(long, value_enum)]
    pub(super) multi_image: Option<MultiImage>,
    /// The first this many rows. 0: all
    #[arg(long, default_value_t = 0)]
    pub(super) limit: usize,
    /// The column that holds a part of the questions where its name does not say so: id, question,
    /// image, options, answer, category, hint or group; ignore=COLUMN leaves one out. Repeat for
    /// several
    #[arg(long, value_name = "PART=COLUMN", value_parser = column)]
    pub(super) column: Vec<(String, String)>,
    /// Leave out rows that cannot be read, and count them
    #[arg(long)]
    pub(super) skip_bad: bool,
}

/// How answers come about.
#[derive(Debug, Clone, Args)]
pub(super) struct Answered {
    /// How answers come about
    #[arg(long, value_enum, default_value = "generation")]
    pub(super) by: By,
}

/// Flags of `eval`.
#[derive(Debug, Args)]
pub(super) struct Eval {
    /// A benchmark, mmvp for instance, or one tool's way of it, sqa/llava; `scotoma eval list`
    /// prints all
    rule: String,
    /// The questions: a table (.tsv, .csv, .parquet) or a manifest (.jsonl) with the columns of
    /// Hugging Face or VLMEvalKit. `shapes` needs none
    #[arg(long)]
    data: Option<PathBuf>,
    /// One more variant: NAME=INTERVENTIONS in canonical JSON, a list. Repeat for several; the
    /// first variant has no interventions but those of the flags below
    #[arg(long, value_name = "NAME=JSON", value_parser = variant)]
    variant: Vec<EvaluateVariant>,
    /// Results as they come, one JSON object a line, with the run's header beside them in
    /// OUT.run.json. A run that finds both goes on where it ended, with the seeds that were drawn;
    /// OUT is locked while a run writes it
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    answered: Answered,
    /// Ask the first items only, and say what all of them would cost and take; the run that follows
    /// goes on from there
    #[arg(long)]
    estimate: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "estimate")]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

/// A benchmark as it is asked by `eval` and by the commands that ask it for their own ends.
#[derive(Debug, Clone)]
pub(super) struct Benchmark {
    pub(super) rule: String,
    /// The items of the program where there is none.
    pub(super) data: Option<PathBuf>,
    pub(super) common: Common,
    pub(super) by: By,
    /// A folder of pictures that are shown in place of an item's own.
    pub(super) substitutes: Option<PathBuf>,
    /// Only the first items are asked, for what all would cost.
    pub(super) estimate: bool,
}

/// The word that lists what could be asked.
pub(super) const LIST: &str = "list";

/// A flag that gives a column a part.
pub(super) fn column(text: &str) -> Result<(String, String), String> {
    let (part, column) = text.split_once('=').ok_or("PART=COLUMN is needed")?;
    Reading::default().give(part, column)?;
    Ok((part.to_owned(), column.to_owned()))
}

/// How `rule` reads a table, with the columns that flags give.
pub(super) fn reading(rule: &str, columns: &[(String, String)]) -> Result<Reading, String> {
    let mut reading = Reading::of(rule);
    columns
        .iter()
        .try_for_each(|(part, column)| reading.give(part, column))?;
    Ok(reading)
}

fn variant(text: &str) -> Result<EvaluateVariant, String> {
    let (name, json) = text.split_once('=').ok_or("NAME=JSON is needed")?;
    let list: Vec<serde_json::Value> = serde_json::from_str(json).map_err(|e| e.to_string())?;
    intervention_args::variant(name, "", &list)
}

impl Eval {
    pub(super) async fn run(self) -> Result<(), Failure> {
        if self.rule == LIST {
            for rule in benchmark::RULES {
                println!("{:<24} {}", rule.name(), rule.about);
            }
            return Ok(());
        }
        let Self {
            rule,
            data,
            variant,
            out,
            common,
            answered,
            estimate,
            json,
            flags,
        } = self;
        let benchmark = Benchmark {
            rule,
            data,
            common,
            by: answered.by,
            substitutes: None,
            estimate,
        };
        benchmark.check()?;
        let (rows, count) = (benchmark.rows()?, benchmark.count()?);
        let mut header = benchmark.header();
        let first = flags.interventions();
        let name = if first.is_empty() {
            ORIGINAL
        } else {
            "changed"
        };
        header.variants = vec![EvaluateVariant {
            name: name.into(),
            interventions: first,
            ..Default::default()
        }];
        header.variants.extend(variant);
        let several = header.variants.len() > 1;
        let (local, client) = benchmark.connect().await?;
        let result = benchmark
            .ask(client, header, rows, count, out.as_deref())
            .await;
        stop(local).await?;
        let Evaluated {
            finished, skipped, ..
        } = result?;
        if estimate {
            return Ok(());
        }
        if json {
            println!(
                "{}",
                serde_json::to_string_pretty(&summary(&finished, skipped))?
            );
        } else {
            print(&finished, skipped, several);
        }
        Ok(())
    }
}

/// The name of the variant without interventions.
const ORIGINAL: &str = "original";

impl Benchmark {
    /// Connects to who answers, with the judge that the flags name.
    pub(super) async fn connect(&self) -> Result<(Option<Local>, Client), Failure> {
        self.common.served.connect_with(&self.common.judge).await
    }

    /// Returns the header of a run with one variant, the items as they are.
    pub(super) fn header(&self) -> EvaluateHeader {
        let answering = match self.by {
            By::Generation => Answering::Generate,
            By::Letters => Answering::OptionLetters,
            By::Texts => Answering::OptionTexts,
        };
        EvaluateHeader {
            model: self.common.served.name(),
            rules: Some(Rules::Rule(self.rule.clone())),
            variants: vec![EvaluateVariant {
                name: ORIGINAL.into(),
                ..Default::default()
            }],
            answering: answering.into(),
            max_tokens: self.common.max_tokens,
            multi_image: MultiImage::number(self.common.multi_image),
            ..Default::default()
        }
    }

    /// Runs `header` over `rows`, of which there are `count`, with the results in `out`.
    pub(super) async fn ask(
        &self,
        mut client: Client,
        header: EvaluateHeader,
        rows: Items,
        count: Option<usize>,
        out: Option<&Path>,
    ) -> Result<Evaluated, Failure> {
        let rows = self.with_substitutes(rows, &header);
        let variants = header.variants.len();
        let answers = count.map(|count| count * variants);
        let (sender, samples) = mpsc::channel(AHEAD);
        let samples = ReceiverStream::new(samples);
        let mut run = match &self.data {
            Some(data) => client.evaluate_file(header, samples, data, out).await?,
            None => client.evaluate(header, samples, out).await?,
        };
        let (items, most) = if self.estimate {
            // After those that an earlier run has answered.
            (Cost::FEW, Cost::FEW + run.known / variants)
        } else {
            (Cost::MANY, usize::MAX)
        };
        let mut cost = Cost::new(
            items * variants,
            answers.map(|answers| answers.saturating_sub(run.known)),
        );
        let skip = self.common.skip_bad;
        let reading = tokio::task::spawn_blocking(move || send_all(&sender, rows.take(most), skip));
        let bar = answers.map_or_else(ProgressBar::no_length, |answers| {
            ProgressBar::new(answers as u64)
        });
        let style = "{spinner} {bar:30} {pos} of {len} answers, {per_sec}, {eta} left, {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_position(run.known as u64);
        let mut failures = Failures::default();
        loop {
            let result = match run.next().await {
                Ok(Some(result)) => result,
                Ok(None) => break,
                Err(error) => {
                    bar.finish_and_clear();
                    let answered = run.known + cost.seen - failures.count;
                    return Err(cut_off(&error, answered, answers, out));
                }
            };
            bar.inc(1);
            if let Some(metric) = run.metrics().first() {
                bar.set_message(format!("{}: {}", metric.name, value(metric)));
            }
            if let Some(line) = cost.add(&result) {
                bar.suspend(|| eprintln!("{line}"));
            }
            if let Some(line) = failures.add(&result) {
                bar.suspend(|| eprintln!("{line}"));
            }
        }
        bar.finish_and_clear();
        if let Some(line) = cost.end().filter(|_| self.estimate) {
            eprintln!("{line}");
        }
        let skipped = reading.await?;
        if run.known == 0 && cost.seen > 0 && failures.count == cost.seen {
            return Err(format!(
                "all {} answers are errors; the first: {}",
                cost.seen, failures.first
            )
            .into());
        }
        if failures.count > 0 {
            eprintln!(
                "{} answers are errors and count nowhere; the same command asks them again",
                failures.count
            );
        }
        let started = run.started.clone();
        Ok(Evaluated {
            started,
            finished: run.finish().await?,
            skipped,
            forecast: cost.told,
        })
    }

    /// `rows` with the pictures that the variants ask for.
    fn with_substitutes(&self, rows: Items, header: &EvaluateHeader) -> Items {
        let wanted = |name: &str| header.variants.iter().any(|v| v.pictures == name);
        let rows = if wanted(substitute::OTHER) {
            Box::new(substitute::with_other(rows))
        } else {
            rows
        };
        match &self.substitutes {
            Some(folder) if wanted(substitute::FOLDER) => {
                let folder = folder.clone();
                Box::new(rows.map(move |item| {
                    let mut item = item?;
                    let error = |message| benchmark::Error { line: 0, message };
                    substitute::from_folder(&folder, &mut item).map_err(error)?;
                    Ok(item)
                }))
            }
            _ => rows,
        }
    }

    /// Refuses questions that cannot be opened, and a file that has none, before a model is loaded.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.rows()?.next().is_some() {
            return Ok(());
        }
        let path = self
            .data
            .as_ref()
            .map_or_else(String::new, |p| format!("{}: ", p.display()));
        Err(format!(
            "--data {path}no row; a table has a header and rows, a manifest an object a line"
        )
        .into())
    }

    /// How the columns of the data are read.
    fn reading(&self) -> Result<Reading, Failure> {
        if self.data.is_none() && !self.common.column.is_empty() {
            return Err("--column says how --data is read, and there is no --data".into());
        }
        Ok(reading(&self.rule, &self.common.column)?)
    }

    /// How many items the flags name.
    pub(super) fn count(&self) -> Result<Option<usize>, Failure> {
        let reading = self.reading()?;
        let all = match &self.data {
            Some(path) => count(path, &reading)?,
            None => benchmark::shapes()?.len(),
        };
        Ok(Some(if self.common.limit > 0 {
            all.min(self.common.limit)
        } else {
            all
        }))
    }

    /// The items that the flags name.
    pub(super) fn rows(&self) -> Result<Items, Failure> {
        let limit = if self.common.limit > 0 {
            self.common.limit
        } else {
            usize::MAX
        };
        match &self.data {
            Some(path) => Ok(Box::new(Rows::open_as(path, self.reading()?)?.take(limit))),
            None if self.rule.starts_with(model::SHAPES) => Ok(Box::new(
                benchmark::shapes()?.into_iter().map(Ok).take(limit),
            )),
            None => Err(format!(
                "--data FILE is needed: the items of {} are not in the program",
                self.rule
            )
            .into()),
        }
    }
}

/// Results that are errors.
#[derive(Default)]
struct Failures {
    count: usize,
    first: String,
}

impl Failures {
    /// Counts `result` if it is one; what to print of it.
    fn add(&mut self, result: &SampleResult) -> Option<String> {
        let error = result.error.as_ref()?;
        let variant = if result.variant.is_empty() {
            "all variants"
        } else {
            &result.variant
        };
        let line = format!("{} under {variant}: {}", result.id, error.message);
        self.count += 1;
        if self.count == 1 {
            self.first.clone_from(&line);
        }
        match self.count {
            1..=SHOWN => Some(line),
            _ if self.count == SHOWN + 1 => Some("... and more".into()),
            _ => None,
        }
    }
}

/// Says of a run that the server cut off what is missing, and how it goes on.
fn cut_off(
    error: &scotoma_client::Error,
    answered: usize,
    answers: Option<usize>,
    out: Option<&Path>,
) -> Failure {
    if error.code().is_none() {
        return error.to_string().into();
    }
    let missing = match answers {
        Some(answers) => format!(
            "{} of {answers} answers are missing",
            answers.saturating_sub(answered)
        ),
        None => format!("{answered} answers came, others are missing"),
    };
    let next = match out {
        Some(out) => format!("the same command goes on from {}", out.display()),
        None => "none were kept, for there was no --out FILE".into(),
    };
    format!("{error}; {missing}: {next}").into()
}

/// What a run will cost, told once its first items are answered.
struct Cost {
    /// So many answers are asked before it is told.
    first: usize,
    all: Option<usize>,
    seen: usize,
    flops: u64,
    begun: Instant,
    told: Option<Forecast>,
}

impl Cost {
    /// Items that are asked for an estimate alone.
    const FEW: usize = 8;
    /// Items after which a run says what it will cost: as many as are on their way at once.
    const MANY: usize = 32;

    fn new(first: usize, all: Option<usize>) -> Self {
        Self {
            first,
            all,
            seen: 0,
            flops: 0,
            begun: Instant::now(),
            told: None,
        }
    }

    /// Counts `result`; what to say, if it is time.
    fn add(&mut self, result: &SampleResult) -> Option<Forecast> {
        self.seen += 1;
        self.flops += result.usage.as_ref().map_or(0, |u| u.flops);
        if self.seen == self.first {
            self.tell()
        } else {
            None
        }
    }

    /// What to say at the end of a run that had fewer items than are needed to tell its cost
    /// before.
    fn end(&mut self) -> Option<Forecast> {
        if self.told.is_none() && self.seen > 0 {
            self.tell()
        } else {
            None
        }
    }

    fn tell(&mut self) -> Option<Forecast> {
        let answers = self.all?;
        let share = answers as f64 / self.seen as f64;
        let (flops, seconds) = (
            self.flops as f64 * share,
            self.begun.elapsed().as_secs_f64() * share,
        );
        self.told = Some(Forecast {
            answers,
            flops,
            seconds,
        });
        self.told
    }
}

/// What a run came to.
pub(super) struct Evaluated {
    pub(super) started: EvaluateStarted,
    pub(super) finished: EvaluateFinished,
    /// Rows that could not be read.
    pub(super) skipped: usize,
    /// What all of it costs, as its first items tell; none where nothing was left to ask.
    pub(super) forecast: Option<Forecast>,
}

/// What a run will cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Forecast {
    pub(super) answers: usize,
    /// Floating-point operations.
    pub(super) flops: f64,
    pub(super) seconds: f64,
}

impl std::fmt::Display for Forecast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = indicatif::HumanDuration(Duration::from_secs_f64(self.seconds));
        write!(
            f,
            "{} answers, about {:.2e} floating-point operations and {time}",
            self.answers, self.flops
        )
    }
}

/// Hands on samples as fast as the server takes them; how many rows could not be read.
fn send_all(
    sender: &mpsc::Sender<Result<Sample, Failure>>,
    rows: impl Iterator<Item = Result<Item, benchmark::Error>>,
    skip_bad: bool,
) -> usize {
    let mut skipped = 0;
    for item in rows {
        let row = match item {
            Err(error) if skip_bad => {
                skipped += 1;
                match skipped {
                    1..=SHOWN => eprintln!("left out: {error}"),
                    _ if skipped == SHOWN + 1 => eprintln!("... and more rows"),
                    _ => {}
                }
                continue;
            }
            Err(error) => Err(format!("{error} (--skip-bad goes on without it)").into()),
            Ok(item) => Ok(sample(item)),
        };
        let broken = row.is_err();
        if sender.blocking_send(row).is_err() || broken {
            break;
        }
    }
    skipped
}

/// All results in a file that a run has left, by id and variant.
pub(super) fn read_results(path: &Path) -> Result<Vec<SampleResult>, Failure> {
    let mut all = scotoma_client::read_results(path)?;
    all.sort_by(|a, b| (&a.id, &a.variant).cmp(&(&b.id, &b.variant)));
    Ok(all)
}

/// Shares in %, points as they are; with the interval.
fn value(metric: &BenchmarkMetric) -> String {
    let scale = if metric.most <= 1.0 { 100.0 } else { 1.0 };
    format!(
        "{:.1} [{:.1}, {:.1}]",
        scale * metric.value,
        scale * metric.low,
        scale * metric.high
    )
}

fn print(finished: &EvaluateFinished, skipped: usize, several: bool) {
    println!("Shares in %, points as they are; with 95 % intervals.\n");
    println!(
        "{:<16} {:<32} {:>7} {:>28}  unparsed",
        "variant", "", "n", ""
    );
    for metric in &finished.metrics {
        println!(
            "{:<16} {:<32} {:>7} {:>28}  {}",
            metric.variant,
            metric.name,
            metric.n,
            value(metric),
            metric.unparsed
        );
    }
    if several {
        println!(
            "\nAgainst the first variant, on the same items: better, worse, mean difference in points of 100, McNemar's p.\n"
        );
        for c in &finished.comparisons {
            let Comparison {
                variant,
                n,
                better,
                worse,
                difference,
                low,
                high,
                p,
            } = c;
            let (d, low, high) = (100.0 * difference, 100.0 * low, 100.0 * high);
            println!(
                "{variant:<16} n {n:>6} {better:>6} {worse:>6}  {d:+.1} [{low:+.1}, {high:+.1}]  p = {p:.2e}"
            );
        }
    }
    println!(
        "\n{} answers, {} of them errors, {skipped} rows left out",
        finished.results, finished.failed
    );
}

fn summary(finished: &EvaluateFinished, skipped: usize) -> serde_json::Value {
    let metric = |m: &BenchmarkMetric| {
        serde_json::json!({
            "variant": m.variant, "name": m.name, "value": m.value, "low": m.low, "high": m.high, "most": m.most, "n": m.n,
            "unparsed": m.unparsed,
        })
    };
    let comparison = |c: &Comparison| {
        serde_json::json!({
            "variant": c.variant, "n": c.n, "better": c.better, "worse": c.worse, "difference": c.difference, "low": c.low,
            "high": c.high, "p": c.p,
        })
    };
    serde_json::json!({
        "results": finished.results, "failed": finished.failed, "skipped": skipped,
        "metrics": finished.metrics.iter().map(metric).collect::<Vec<_>>(),
        "comparisons": finished.comparisons.iter().map(comparison).collect::<Vec<_>>(),
    })
}
