//! `scotoma sweep`: one question under many variants, a row of a table for each as it is done.

use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::v1::sweep_request::Input;
use scotoma_client::v1::sweep_response::Event;
use scotoma_client::v1::sweep_result::Outcome;
use scotoma_client::v1::{FinishReason, Prompt, SweepFinished, SweepResult};
use scotoma_client::{Client, GenerateRequest, ScoreRequest, SweepRequest};
use serde_json::Value;

use super::csv_file::csv_line;
use super::error::{Failure, Usage};
use super::files::Pieces;
use super::intervention_args::InterventionArgs;
use super::json_output::print_line;
use super::model_args::ModelArgs;
use super::progress::Progress;
use super::prompt_args::PromptArgs;
use super::sampling_args::AnswerArgs;
use super::sweep_variants::{VariantArgs, Variants};

/// Flags of `sweep`.
#[derive(Debug, Args)]
pub(super) struct Sweep {
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    variants: VariantArgs,
    /// Score this answer under every variant in place of writing one. Repeat for several
    ///
    /// No space is added before it: write ' yes' where the model would write a space first.
    #[arg(short, long, value_name = "TEXT")]
    continuation: Vec<String>,
    #[command(flatten)]
    model: ModelArgs,
    /// File to write results to as they come: .jsonl or .csv
    ///
    /// A line of .jsonl is the SweepResult, with its record, and `values`, the value on each axis.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print JSON, one message of the stream a line: started, each result, finished
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    answer: AnswerArgs,
    #[command(flatten)]
    interventions: InterventionArgs,
}

/// The kind of file that results go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Jsonl,
    Csv,
}

impl Sweep {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let format = self.out.as_deref().map(format).transpose()?;
        let flags = self.interventions.interventions();
        let variants = self.variants.variants(&flags)?;
        let request = self.request(self.prompt.prompt()?, &variants);
        let finished = self
            .model
            .with_client(async |client| self.ask(client, request, &variants, format).await)
            .await?;
        // One variant that fails is a row of the table; only a sweep of nothing else has failed.
        if finished.failed > 0 && finished.failed == finished.variants {
            return Err("no variant could be run".into());
        }
        Ok(())
    }

    fn request(&self, prompt: Prompt, variants: &Variants) -> SweepRequest {
        let model = self.model.name();
        // Axes name fields of the grid's own interventions.
        let interventions = if self.variants.takes_interventions() {
            Vec::new()
        } else {
            self.interventions.interventions()
        };
        let sample_key = self.prompt.sample_key.clone();
        let input = if self.continuation.is_empty() {
            Input::Generate(GenerateRequest {
                model,
                prompt: Some(prompt),
                interventions,
                sampling: Some(self.answer.sampling()),
                max_tokens: self.answer.max_tokens,
                stop: self.answer.stop.clone(),
                sample_key,
                ..Default::default()
            })
        } else {
            Input::Score(ScoreRequest {
                model,
                prompt: Some(prompt),
                interventions,
                continuations: self.continuation.clone(),
                sample_key,
            })
        };
        let mut request = SweepRequest {
            input: Some(input),
            ..Default::default()
        };
        variants.apply(&mut request);
        request
    }

    /// Runs the sweep, and prints its results as they come.
    async fn ask(
        &self,
        mut client: Client,
        request: SweepRequest,
        variants: &Variants,
        format: Option<Format>,
    ) -> Result<SweepFinished, Failure> {
        let mut stream = client.sweep(request).await?;
        let mut out = None;
        let mut progress = Progress::new(None, "variants");
        let mut finished = None;
        while let Some(message) = stream
            .message()
            .await
            .map_err(scotoma_client::Error::from)?
        {
            if self.json {
                progress.suspend(|| print_line(&message))?;
            }
            match message.event {
                Some(Event::Started(started)) => {
                    // Only now: a server that is not there, or refuses the sweep, costs no earlier
                    // results.
                    if let (Some(path), Some(format)) = (&self.out, format) {
                        out = Some(OutFile::create(path, format, self, variants)?);
                    }
                    // Only now their number is known.
                    progress = Progress::new(Some(started.variants as usize), "variants");
                    if !self.json {
                        self.print_head(variants);
                    }
                }
                Some(Event::Result(result)) => {
                    progress.advance();
                    if !self.json {
                        progress.suspend(|| self.print_row(variants, &result));
                    }
                    if let Some(out) = &mut out {
                        out.write(self, variants, &result)?;
                    }
                }
                Some(Event::Finished(last)) => finished = Some(last),
                // A newer server may send events that this client does not know.
                None => {}
            }
        }
        progress.finish();
        // A stream that ends without it was cut off, and variants are missing.
        let finished = finished.ok_or(scotoma_client::Error::Truncated)?;
        print_totals(&finished);
        Ok(finished)
    }

    fn print_head(&self, variants: &Variants) {
        let heads = variants.heads();
        let cells: Vec<String> = variants
            .widths()
            .iter()
            .zip(heads)
            .map(|(width, head)| format!("{head:>width$}"))
            .collect();
        let answer = if self.continuation.is_empty() {
            "tokens  answer"
        } else {
            "mean logprob  best"
        };
        println!("{}  {answer}", cells.join("  "));
    }

    fn print_row(&self, variants: &Variants, result: &SweepResult) {
        let cells: Vec<String> = variants
            .widths()
            .iter()
            .zip(variants.values(result))
            .map(|(width, value)| format!("{:>width$}", plain(&value)))
            .collect();
        println!("{}  {}", cells.join("  "), self.outcome_line(result));
    }

    fn outcome_line(&self, result: &SweepResult) -> String {
        match &result.outcome {
            Some(Outcome::Generated(answer)) => {
                let tokens = answer.usage.as_ref().map_or(0, |u| u.generation_tokens);
                // One row of the table, however many lines the answer has.
                format!("{tokens:>6}  {}", answer.text.escape_debug())
            }
            Some(Outcome::Scored(scored)) => {
                let best = scored.best as usize;
                let mean = scored.scores.get(best).map_or(f64::NAN, |s| s.mean_logprob);
                let text = self.continuation.get(best).map_or("", String::as_str);
                format!("{mean:>12.5}  {text:?}")
            }
            Some(Outcome::Error(error)) => format!("error: {}", error.message),
            None => String::new(),
        }
    }

    /// Returns the columns of a CSV file behind those of the axes.
    fn csv_heads(&self) -> Vec<String> {
        if self.continuation.is_empty() {
            let heads = ["text", "reason", "generation_tokens", "error"];
            return heads.map(String::from).into();
        }
        let own = self.continuation.iter();
        let mut heads: Vec<String> = own.map(|c| format!("mean_logprob {c}")).collect();
        heads.extend(["best".into(), "error".into()]);
        heads
    }

    /// Returns the cells of a result in these columns.
    fn csv_cells(&self, result: &SweepResult) -> Vec<String> {
        let columns = self.csv_heads().len();
        // In the order of `csv_heads`; the last column is the error's.
        let mut cells = match &result.outcome {
            Some(Outcome::Generated(answer)) => vec![
                answer.text.clone(),
                reason(answer.reason).to_owned(),
                answer
                    .usage
                    .as_ref()
                    .map_or(0, |u| u.generation_tokens)
                    .to_string(),
            ],
            Some(Outcome::Scored(scored)) => {
                let means = scored.scores.iter().map(|s| s.mean_logprob.to_string());
                let best = self.continuation.get(scored.best as usize);
                means.chain([best.cloned().unwrap_or_default()]).collect()
            }
            Some(Outcome::Error(_)) | None => Vec::new(),
        };
        cells.resize(columns - 1, String::new());
        cells.push(match &result.outcome {
            Some(Outcome::Error(error)) => error.message.clone(),
            _ => String::new(),
        });
        cells
    }
}

/// Returns the reason of an end as the contract names it.
fn reason(number: i32) -> &'static str {
    FinishReason::try_from(number).map_or("", |reason| reason.as_str_name())
}

/// Shows a value of an axis, or the name of a variant.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), String::from)
}

fn print_totals(finished: &SweepFinished) {
    let saved = finished.rows_naive.saturating_sub(finished.rows_computed);
    let share = 100.0 * saved as f64 / finished.rows_naive.max(1) as f64;
    eprintln!(
        "{} variants, {} of them errors, in {:.1} s; {share:.0} % of the rows were shared",
        finished.variants, finished.failed, finished.total_seconds
    );
}

fn format(out: &Path) -> Result<Format, Usage> {
    match out.extension().and_then(|e| e.to_str()) {
        Some("jsonl") => Ok(Format::Jsonl),
        Some("csv") => Ok(Format::Csv),
        _ => Err(Usage(format!(
            "--out {}: a name that ends in .jsonl or .csv is needed",
            out.display()
        ))),
    }
}

/// The file of `--out`.
struct OutFile {
    format: Format,
    file: Pieces,
}

impl OutFile {
    fn create(
        path: &Path,
        format: Format,
        sweep: &Sweep,
        variants: &Variants,
    ) -> Result<Self, Failure> {
        let mut file = Pieces::create(path)?;
        if format == Format::Csv {
            let axes = variants.heads().into_iter().map(String::from);
            // Results come as they are done; the number is the place in the grid.
            let heads = ["variant_number".to_owned()].into_iter().chain(axes);
            let heads: Vec<String> = heads.chain(sweep.csv_heads()).collect();
            file.write(&csv_line(&heads)?)?;
        }
        Ok(Self { format, file })
    }

    fn write(
        &mut self,
        sweep: &Sweep,
        variants: &Variants,
        result: &SweepResult,
    ) -> Result<(), Failure> {
        let values = variants.values(result);
        match self.format {
            Format::Jsonl => {
                let mut line = serde_json::to_value(result)?;
                let heads = variants.heads().into_iter().map(String::from);
                line["values"] = Value::Object(heads.zip(values).collect());
                self.file.write(format!("{line}\n").as_bytes())?;
            }
            Format::Csv => {
                let names = values.iter().map(|value| match value {
                    Value::String(text) => text.clone(),
                    number => number.to_string(),
                });
                let number = [result.variant.to_string()].into_iter();
                let cells: Vec<String> =
                    number.chain(names).chain(sweep.csv_cells(result)).collect();
                self.file.write(&csv_line(&cells)?)?;
            }
        }
        // A sweep may take hours; what is there can be read meanwhile.
        Ok(self.file.flush()?)
    }
}
