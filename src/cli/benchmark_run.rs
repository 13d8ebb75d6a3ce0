//! A benchmark through Evaluate, with its results in a file from which an interrupted run
//! continues.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use scotoma_client::v1::evaluate_header::Rules;
use scotoma_client::v1::{
    Answering, BenchmarkMetric, EvaluateFinished, EvaluateHeader, EvaluateStarted, EvaluateVariant,
    MultiImage, Sample, SampleResult,
};
use scotoma_client::{Client, Evaluation};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::benchmark_args::{BenchmarkArgs, Scoring, reading};
use super::error::{Failure, Usage};
use super::failures::{Failures, SHOWN};
use super::forecast::{Forecast, Forecaster};
use super::progress::Progress;
use super::sample::sample;
use super::shard_file::{ShardFile, refuse_shard};
use crate::api::open_seed;
use crate::benchmark::analysis::item_of;
use crate::benchmark::data::{ColumnMapping, ItemReader, count};
use crate::benchmark::{self, Item, Shard, substitute};
use crate::model;

/// Samples that are read ahead of the server.
const AHEAD: usize = 8;
/// Items that `--estimate` asks.
const ESTIMATE_ITEMS: usize = 8;
/// Items after which a run tells its cost: as many as the server has in work at once.
const FORECAST_ITEMS: usize = 32;

/// The name of the variant without interventions.
pub(super) const ORIGINAL: &str = "original";

/// Items as they are read from a file.
pub(super) type Items = Box<dyn Iterator<Item = Result<Item, benchmark::Error>> + Send>;

/// A benchmark, and how it is asked.
#[derive(Debug, Clone)]
pub(super) struct BenchmarkRun {
    /// The benchmark's rule, by name.
    pub(super) rule: String,
    /// The file of items; `None` for those inside the program.
    pub(super) data: Option<PathBuf>,
    pub(super) args: BenchmarkArgs,
    pub(super) scoring: Scoring,
    /// A folder of pictures that are shown in place of an item's own.
    pub(super) substitutes: Option<PathBuf>,
    /// True if the first items alone are asked, for a forecast.
    pub(super) estimate: bool,
    /// The part of the items that is asked; `None` for all.
    pub(super) shard: Option<Shard>,
}

/// A run that came to its end.
pub(super) struct Evaluated {
    pub(super) started: EvaluateStarted,
    pub(super) finished: EvaluateFinished,
    /// Rows that could not be read.
    pub(super) skipped: usize,
    /// The cost of the run; `None` if nothing was left to ask.
    pub(super) forecast: Option<Forecast>,
}

impl BenchmarkRun {
    /// Runs `work` with a client of the server that the flags name, or of one in this process that
    /// has their judge.
    pub(super) async fn with_client<T>(
        &self,
        work: impl AsyncFnOnce(Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let BenchmarkArgs { model, judge, .. } = &self.args;
        model.with_judged_client(judge, work).await
    }

    /// Returns the header of a run with one variant, the items unchanged.
    pub(super) fn header(&self) -> EvaluateHeader {
        let multi_image = self.args.multi_image.map(MultiImage::from);
        EvaluateHeader {
            model: self.args.model.name(),
            rules: Some(Rules::Rule(self.rule.clone())),
            variants: vec![EvaluateVariant {
                name: ORIGINAL.into(),
                ..Default::default()
            }],
            answering: Answering::from(self.scoring).into(),
            max_tokens: self.args.max_tokens,
            multi_image: multi_image.unwrap_or_default().into(),
            ..Default::default()
        }
    }

    /// Evaluates `items`, of which there are `count`, under `header`, and writes the results to
    /// `out`.
    ///
    /// # Errors
    /// Rows that cannot be read (unless they are to be skipped), a server that goes away, and a
    /// run whose every answer is an error.
    pub(super) async fn evaluate(
        &self,
        mut client: Client,
        header: EvaluateHeader,
        items: Items,
        count: Option<usize>,
        out: Option<&Path>,
    ) -> Result<Evaluated, Failure> {
        let items = self.with_substitutes(items, &header);
        let (items, count) = self.of_shard(items, count, &header, out)?;
        let variants = header.variants.len();
        let answers = count.map(|count| count * variants);
        // Bounded: a table of pictures must not be read into memory faster than it is answered.
        let (sender, samples) = mpsc::channel(AHEAD);
        let samples = ReceiverStream::new(samples);
        // The digest of a file stands beside its results: the same command on other data is another
        // run.
        let mut run = match &self.data {
            Some(data) => client.evaluate_file(header, samples, data, out).await?,
            None => client.evaluate(header, samples, out).await?,
        };
        // Once the file is known to be of this run: what another one has is another mistake.
        if let Some(out) = out {
            self.check_limit(out)?;
        }
        let (first, most) = if self.estimate {
            // Behind the items that an earlier run has answered.
            (ESTIMATE_ITEMS, ESTIMATE_ITEMS + run.known / variants)
        } else {
            (FORECAST_ITEMS, usize::MAX)
        };
        let open = answers.map(|answers| answers.saturating_sub(run.known));
        let mut progress = RunProgress::new(answers, Forecaster::new(first * variants, open));
        let skip = self.args.skip_bad;
        let reading =
            // Reading files and decoding base64 blocks; the stream of results must go on meanwhile.
            tokio::task::spawn_blocking(move || send_all(&sender, items.take(most), skip));
        if let Err(error) = progress.follow(&mut run).await {
            // Errors are not kept: the next run asks them again.
            let answered = run.known + progress.forecaster.seen - progress.failures.count();
            return Err(cut_off(&error, answered, answers, out));
        }
        progress.finish(self.estimate);
        let skipped = reading.await?;
        progress
            .failures
            .check(run.known, progress.forecaster.seen)?;
        let started = run.started.clone();
        Ok(Evaluated {
            started,
            finished: run.finish().await?,
            skipped,
            forecast: progress.forecaster.forecast,
        })
    }

    /// Tells whether all items are asked, so that there is something to report.
    pub(super) fn is_whole(&self) -> bool {
        !self.estimate && self.shard.is_none()
    }

    /// Leaves the items of the shard, and notes beside the results which they are.
    fn of_shard(
        &self,
        items: Items,
        count: Option<usize>,
        header: &EvaluateHeader,
        out: Option<&Path>,
    ) -> Result<(Items, Option<usize>), Failure> {
        let (Some(shard), Some(out)) = (self.shard, out) else {
            out.map_or(Ok(()), refuse_shard)?;
            return Ok((items, count));
        };
        if let Some(variant) = open_seed(header)? {
            let message = format!(
                "--shard {shard}: variant {variant:?} leaves a seed open, and every shard would \
                 draw another one; give it a seed"
            );
            return Err(Usage(message).into());
        }
        // A pass of its own: which items are the shard's is written before the first one is asked.
        let file = ShardFile::plan(shard, self.items()?, self.args.skip_bad)?;
        file.write(out)?;
        let (own, all) = (file.items.len(), file.rows);
        eprintln!("shard {shard}: {own} of {all} items; `scotoma merge` puts all together");
        // Behind the pictures of other items, which do not depend on the shard so.
        let items = items.filter(move |item| item.as_ref().map_or(true, |item| shard.holds(item)));
        Ok((Box::new(items), Some(own)))
    }

    /// Gives `items` the pictures that the variants show in place of their own.
    fn with_substitutes(&self, items: Items, header: &EvaluateHeader) -> Items {
        let items = if shows(header, substitute::OTHER) {
            Box::new(substitute::with_other(items))
        } else {
            items
        };
        match &self.substitutes {
            Some(folder) if shows(header, substitute::FOLDER) => {
                let folder = folder.clone();
                Box::new(items.map(move |item| with_substitute(&folder, item?)))
            }
            _ => items,
        }
    }

    /// Refuses items that cannot be opened, and a file without any, before a model is loaded.
    pub(super) fn check(&self) -> Result<(), Failure> {
        // The rest is read while questions are asked.
        if self.items()?.next().is_some() {
            return Ok(());
        }
        Err(no_row(self.data.as_deref()))
    }

    /// Returns how the columns of the data are read.
    fn reading(&self) -> Result<ColumnMapping, Failure> {
        reading_of(&self.rule, self.data.as_deref(), &self.args.column)
    }

    /// Counts the items, pictures unread.
    pub(super) fn count(&self) -> Result<usize, Failure> {
        let reading = self.reading()?;
        let all = match &self.data {
            Some(path) => count(path, &reading)?,
            None => benchmark::shapes()?.len(),
        };
        Ok(all.min(self.limit()))
    }

    /// Opens the items.
    pub(super) fn items(&self) -> Result<Items, Failure> {
        let (data, columns) = (self.data.as_deref(), &self.args.column);
        open_items(&self.rule, data, columns, self.args.limit)
    }

    /// Refuses a file with results of more items than are to be asked: all results of a file count.
    fn check_limit(&self, out: &Path) -> Result<(), Failure> {
        if self.args.limit == 0 {
            return Ok(());
        }
        let results = scotoma_client::read_results(out)?;
        let there: HashSet<&str> = results.iter().map(row_of).collect();
        let there = there.len();
        if there <= self.args.limit {
            return Ok(());
        }
        Err(Usage(format!(
            "--limit {}: {} has results of {there} items, which all count; take a limit of {there} \
             or more, or another file",
            self.args.limit,
            out.display()
        ))
        .into())
    }

    fn limit(&self) -> usize {
        match self.args.limit {
            0 => usize::MAX,
            limit => limit,
        }
    }
}

/// Returns how the columns of `data` are read for a rule.
fn reading_of(
    rule: &str,
    data: Option<&Path>,
    columns: &[(String, String)],
) -> Result<ColumnMapping, Failure> {
    if data.is_none() && !columns.is_empty() {
        let message = "--column says how --data is read, and there is no --data";
        return Err(Usage(message.into()).into());
    }
    Ok(reading(rule, columns).map_err(Usage)?)
}

/// Returns the error of a file without items.
pub(super) fn no_row(data: Option<&Path>) -> Failure {
    let path = data.map_or_else(String::new, |path| format!("{}: ", path.display()));
    format!("--data {path}no row; a table has a header and rows, a manifest one object a line")
        .into()
}

/// Opens the first `limit` items of a rule, or all where that is 0: those of the file `data`, or those
/// inside the program.
pub(super) fn open_items(
    rule: &str,
    data: Option<&Path>,
    columns: &[(String, String)],
    limit: usize,
) -> Result<Items, Failure> {
    let reading = reading_of(rule, data, columns)?;
    let items: Items = match data {
        Some(path) => Box::new(ItemReader::open_as(path, reading)?),
        None if rule.starts_with(model::SHAPES) => {
            Box::new(benchmark::shapes()?.into_iter().map(Ok))
        }
        None => {
            return Err(Usage(format!(
                "--data FILE is needed: the items of {rule} are not inside the program"
            ))
            .into());
        }
    };
    Ok(match limit {
        0 => items,
        // Of rows, those that cannot be read included.
        limit => Box::new(items.take(limit)),
    })
}

/// Returns the id of the row that a result is of: an item whose options were rotated is of the same.
fn row_of(result: &SampleResult) -> &str {
    item_of(&result.id).0
}

/// Tells whether a variant shows the pictures of this name.
fn shows(header: &EvaluateHeader, pictures: &str) -> bool {
    header.variants.iter().any(|v| v.pictures == pictures)
}

fn with_substitute(folder: &Path, mut item: Item) -> Result<Item, benchmark::Error> {
    match substitute::from_folder(folder, &mut item) {
        Ok(()) => Ok(item),
        // A picture of the folder is missing or broken, not a row.
        Err(message) => Err(benchmark::Error { line: 0, message }),
    }
}

/// The bar, the forecast and the errors of a run.
struct RunProgress {
    progress: Progress,
    forecaster: Forecaster,
    failures: Failures,
}

impl RunProgress {
    fn new(answers: Option<usize>, forecaster: Forecaster) -> Self {
        Self {
            progress: Progress::new(answers, "answers"),
            forecaster,
            failures: Failures::default(),
        }
    }

    /// Takes results until there are no more.
    async fn follow(&mut self, run: &mut Evaluation) -> Result<(), scotoma_client::Error> {
        self.progress.start_at(run.known);
        loop {
            let next = run.next().await;
            // The bar goes before the error is printed.
            if next.is_err() {
                self.progress.finish();
            }
            let Some(result) = next? else {
                return Ok(());
            };
            self.progress.advance();
            if let Some(metric) = run.metrics().first() {
                let value = value_with_interval(metric);
                self.progress.note(format!("{}: {value}", metric.name));
            }
            if let Some(line) = self.forecaster.add(&result) {
                self.progress.suspend(|| eprintln!("{line}"));
            }
            if let Some(line) = self.failures.add(&result) {
                self.progress.suspend(|| eprintln!("{line}"));
            }
        }
    }

    /// Clears the bar, and prints the forecast of a short run.
    fn finish(&mut self, estimate: bool) {
        self.progress.finish();
        if let Some(line) = self.forecaster.end().filter(|_| estimate) {
            eprintln!("{line}");
        }
    }
}

/// Adds to the error of a run that the server cut off what is missing, and how to continue.
fn cut_off(
    error: &scotoma_client::Error,
    answered: usize,
    answers: Option<usize>,
    out: Option<&Path>,
) -> Failure {
    // An error without a status is none of the server's.
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

/// Sends items as samples, as fast as the server takes them. Returns how many rows could not be
/// read.
fn send_all(
    sender: &mpsc::Sender<Result<Sample, Failure>>,
    items: impl Iterator<Item = Result<Item, benchmark::Error>>,
    skip_bad: bool,
) -> usize {
    let mut skipped = 0;
    for item in items {
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
        // The stream ends with its first error; nothing behind it would be sent.
        let broken = row.is_err();
        // The receiver is gone where the run has ended early.
        if sender.blocking_send(row).is_err() || broken {
            break;
        }
    }
    skipped
}

/// Reads all results of a file, in the order of ids and variants.
pub(super) fn read_results(path: &Path) -> Result<Vec<SampleResult>, Failure> {
    let mut all = scotoma_client::read_results(path)?;
    // A file has them as they came, which is another order in every run.
    all.sort_by(|a, b| (&a.id, &a.variant).cmp(&(&b.id, &b.variant)));
    Ok(all)
}

/// Formats a metric with its interval: shares in %, points as they are. Of no items it has none.
pub(super) fn value_with_interval(metric: &BenchmarkMetric) -> String {
    if metric.n == 0 {
        return "none".into();
    }
    let scale = if metric.most <= 1.0 { 100.0 } else { 1.0 };
    format!(
        "{:.1} [{:.1}, {:.1}]",
        scale * metric.value,
        scale * metric.low,
        scale * metric.high
    )
}
