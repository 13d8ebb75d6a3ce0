//! `scotoma attribute`: how much each row of a run matters for an answer, by its gradient.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use clap::{Args, ValueEnum};
use scotoma_client::v1::attribute_response::Event;
use scotoma_client::v1::metric::Kind;
use scotoma_client::v1::{
    Activation, AttributeFinished, AttributeResponse, AttributionMethod, Contrast, Metric, Prompt,
    TraceInput,
};
use scotoma_client::{AttributeRequest, Client, Intervention};
use serde_json::json;

use super::csv_file::write_csv;
use super::error::{Failure, Usage};
use super::files;
use super::intervention_args::{InterventionArgs, intervention};
use super::json_output::{print_line, with_field};
use super::model_args::ModelArgs;
use super::npz_file::write_npz;
use super::progress::Progress;
use super::prompt_args::{PromptArgs, pictures};
use super::replay::write_record;

/// The largest difference between what integrated gradients add up to and what they should, as a
/// share of the latter, of which nothing is said.
const LARGEST_GAP: f64 = 0.05;
/// The columns of a table of scores.
const COLUMNS: [&str; 6] = ["point", "image", "view", "token", "place", "score"];

/// Names the ways to make scores of gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MethodArg {
    /// The norm of the gradient of each row
    Gradient,
    /// The gradient itself
    GradientValues,
    /// Gradient times value, summed over each row
    GradientTimesInput,
    /// Gradient times the difference to a baseline, averaged over the way from it
    IntegratedGradients,
    /// Change that another input's value in its place makes, to first order
    Patching,
    /// A map over the patches of a layer of the tower
    GradCam,
    /// Attention times its gradient, through all layers
    AttentionRelevance,
    /// Attention multiplied through all layers, without a gradient
    AttentionRollout,
    /// The largest flow through the attention of all layers, without a gradient
    AttentionFlow,
}

/// Flags of `attribute`.
#[derive(Debug, Args)]
pub(super) struct Attribute {
    #[command(flatten)]
    prompt: PromptArgs,
    /// Answer whose log-probability is the metric, such as ' yes'
    ///
    /// No space is added before it: write ' yes' where the model would write a space first.
    #[arg(short, long, value_name = "TEXT")]
    answer: String,
    /// Answer that counts against it, which may differ in its last token: the difference of
    /// log-probabilities is the metric
    #[arg(long, value_name = "TEXT")]
    other: Option<String>,
    /// Take the answer's probability, not its logarithm
    #[arg(long, conflicts_with = "other")]
    probability: bool,
    /// Way to make scores of gradients
    #[arg(long, value_enum, default_value = "gradient-times-input")]
    method: MethodArg,
    /// Hook point, with {l} for all layers, or pixels. Repeat for several. Default: what the method
    /// looks at
    #[arg(long, value_name = "POINT")]
    point: Vec<String>,
    /// Layers that {l} stands for, such as 0,4,8. Default: all
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    layers: Vec<u32>,
    /// Gradients that are averaged on the way; of integrated gradients and patching. Default: 64, 1
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=512))]
    steps: Option<u32>,
    /// Other picture: the baseline of integrated gradients, or what patching puts in
    #[arg(long, value_name = "FILE")]
    source_image: Option<PathBuf>,
    /// Intervention, in canonical JSON, that makes the other input of this one
    ///
    /// Such as {"blankImage":{"colour":"COLOUR_MEAN"}}. Repeat for several.
    #[arg(long, value_name = "JSON", value_parser = intervention)]
    source_intervene: Vec<Intervention>,
    /// File to write: .npz (an array for each point, for NumPy) or .csv (a line for each number)
    #[arg(short, long, value_name = "FILE", value_parser = out_file)]
    out: Option<PathBuf>,
    /// Print JSON, one message of the stream a line
    #[arg(long)]
    json: bool,
    /// Write the record, with its pictures, to this file, for `scotoma replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    interventions: InterventionArgs,
}

/// Parses the name of a file to write.
fn out_file(text: &str) -> Result<PathBuf, String> {
    files::of_kind(text, &["npz", "csv"])
}

/// The scores of one point.
struct Scores {
    about: Activation,
    values: Vec<f32>,
}

impl Attribute {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let prompt = self.prompt.prompt()?;
        let request = self.request(prompt)?;
        self.model
            .with_client(async |client| self.attribute(client, request).await)
            .await
    }

    fn request(&self, prompt: Prompt) -> Result<AttributeRequest, Failure> {
        Ok(AttributeRequest {
            model: self.model.name(),
            source: self.source()?,
            prompt: Some(prompt),
            interventions: self.interventions.interventions(),
            metric: Some(self.metric()),
            method: method(self.method).into(),
            points: self.point.clone(),
            layers: self.layers.clone(),
            steps: self.steps.unwrap_or_default(),
            sample_key: self.prompt.sample_key.clone(),
        })
    }

    fn metric(&self) -> Metric {
        let answer = self.answer.clone();
        let kind = match &self.other {
            Some(other) => Kind::LogprobDifference(Contrast {
                answer,
                other: other.clone(),
            }),
            None if self.probability => Kind::Probability(answer),
            None => Kind::Logprob(answer),
        };
        Metric { kind: Some(kind) }
    }

    /// Returns the other input, where there is one.
    fn source(&self) -> Result<Option<TraceInput>, Failure> {
        if self.source_image.is_none() && self.source_intervene.is_empty() {
            return Ok(None);
        }
        let prompt = match &self.source_image {
            Some(path) => {
                let other = self.prompt.with_other(Some(path), None)?;
                let message = "--source-image replaces the picture of a question; a conversation \
                               is changed by --source-intervene";
                Some(other.ok_or_else(|| Usage(message.into()))?)
            }
            None => None,
        };
        Ok(Some(TraceInput {
            prompt,
            interventions: self.source_intervene.clone(),
        }))
    }

    async fn attribute(
        &self,
        mut client: Client,
        request: AttributeRequest,
    ) -> Result<(), Failure> {
        // Of both inputs: the record runs both again.
        let prompts = [
            request.prompt.as_ref(),
            request.source.as_ref().and_then(|own| own.prompt.as_ref()),
        ];
        let images: Vec<_> = prompts.into_iter().flatten().flat_map(pictures).collect();
        let (scores, finished) = self.receive(&mut client, request).await?;
        if !self.json {
            print(&scores, &finished);
        }
        if let Some(warning) = Completeness::of(&scores, &finished).and_then(Completeness::warning)
        {
            eprintln!("{warning}");
        }
        if let Some(path) = &self.out {
            write(path, &scores)?;
            eprintln!("{}", path.display());
        }
        if let Some(file) = &self.record {
            write_record(file, &finished.provenance.unwrap_or_default(), images)?;
        }
        Ok(())
    }

    /// Reads the stream to its end; prints its messages where `--json` asks for it.
    async fn receive(
        &self,
        client: &mut Client,
        request: AttributeRequest,
    ) -> Result<(Vec<Scores>, AttributeFinished), Failure> {
        let mut stream = client.attribute(request).await?;
        let progress = Progress::new(None, "points");
        let (mut scores, mut finished): (Vec<Scores>, _) = (Vec::new(), None);
        let mut data = Vec::new();
        while let Some(message) = stream
            .message()
            .await
            .map_err(scotoma_client::Error::from)?
        {
            if self.json {
                progress.suspend(|| print_message(&message, &scores))?;
            }
            match message.event {
                Some(Event::Scores(part)) => {
                    // The numbers of one point come in parts; `size` is that of all of them.
                    data.extend_from_slice(&part.data);
                    if (data.len() as u64) < part.size {
                        continue;
                    }
                    progress.advance();
                    progress.note(part.point.clone());
                    scores.push(Scores {
                        about: part,
                        values: numbers(&std::mem::take(&mut data)),
                    });
                }
                Some(Event::Finished(event)) => finished = Some(event),
                Some(Event::Started(_)) | None => {}
            }
        }
        progress.finish();
        // Numbers without their end are no array.
        let finished = finished.filter(|_| data.is_empty());
        Ok((scores, finished.ok_or(scotoma_client::Error::Truncated)?))
    }
}

/// Compares what integrated gradients add up to with what they would if they were exact.
#[derive(Debug, Clone, Copy)]
struct Completeness {
    sum: f64,
    /// The metric less that at the baseline.
    difference: f64,
}

impl Completeness {
    /// Returns that of a method which has a baseline.
    fn of(scores: &[Scores], finished: &AttributeFinished) -> Option<Self> {
        let difference = finished.value - finished.baseline?;
        // In f64: many small numbers, whose sum is held against another one.
        let all = scores.iter().flat_map(|own| &own.values);
        let sum = all.copied().map(f64::from).sum();
        Some(Self { sum, difference })
    }

    fn gap(self) -> f64 {
        self.sum - self.difference
    }

    /// Returns what to do about a gap that is more than `LARGEST_GAP`.
    fn warning(self) -> Option<String> {
        let Self { sum, difference } = self;
        let off = self.gap().abs() / difference.abs();
        // Numbers that are none are off, too.
        if off <= LARGEST_GAP || self.gap() == 0.0 {
            return None;
        }
        Some(format!(
            "the scores add up to {sum:.4}, which is {:.0} % off value - baseline, {difference:.4}: \
             ask for more --steps (at most 512), or for another baseline (--source-image, \
             --source-intervene)",
            100.0 * off
        ))
    }
}

/// Prints a message of the stream, the end with what `scores` before it add up to.
fn print_message(message: &AttributeResponse, scores: &[Scores]) -> Result<(), Failure> {
    let Some(Event::Finished(finished)) = &message.event else {
        return print_line(message);
    };
    let Some(found) = Completeness::of(scores, finished) else {
        return print_line(message);
    };
    let sums = json!({"sum": found.sum, "difference": found.difference, "gap": found.gap()});
    print_line(&with_field(message, "completeness", sums)?)
}

fn method(arg: MethodArg) -> AttributionMethod {
    match arg {
        MethodArg::Gradient => AttributionMethod::Gradient,
        MethodArg::GradientValues => AttributionMethod::GradientValues,
        MethodArg::GradientTimesInput => AttributionMethod::GradientTimesInput,
        MethodArg::IntegratedGradients => AttributionMethod::IntegratedGradients,
        MethodArg::Patching => AttributionMethod::Patching,
        MethodArg::GradCam => AttributionMethod::GradCam,
        MethodArg::AttentionRelevance => AttributionMethod::AttentionRelevance,
        MethodArg::AttentionRollout => AttributionMethod::AttentionRollout,
        MethodArg::AttentionFlow => AttributionMethod::AttentionFlow,
    }
}

/// Reads numbers in f32, as they come whatever the dtype of the weights.
fn numbers(data: &[u8]) -> Vec<f32> {
    let parts = data.as_chunks::<4>().0;
    parts.iter().map(|own| f32::from_le_bytes(*own)).collect()
}

/// Prints a table of tokens by layers for each point with one number a row, and of others a line.
fn print(scores: &[Scores], finished: &AttributeFinished) {
    let (tables, others): (Vec<_>, Vec<_>) = scores
        .iter()
        .partition(|own| own.about.shape.len() == 1 && !own.about.tokens.is_empty());
    for group in tables.chunk_by(|a, b| in_one_table(&a.about, &b.about)) {
        print_table(group);
    }
    for Scores { about, values } in others {
        let sum: f64 = values.iter().copied().map(f64::from).sum();
        let (low, high) = (values.iter(), values.iter().copied());
        let low = low.copied().fold(f32::INFINITY, f32::min);
        let high = high.fold(f32::NEG_INFINITY, f32::max);
        println!(
            "{} {:?}: sum {sum:.4}, from {low:.4} to {high:.4}",
            about.point, about.shape
        );
    }
    match finished.baseline.zip(Completeness::of(scores, finished)) {
        Some((baseline, Completeness { sum, difference })) => println!(
            "metric {:.4}, at the baseline {baseline:.4}: {difference:.4} between them, and the \
             scores add up to {sum:.4}",
            finished.value
        ),
        None => println!("metric {:.4}", finished.value),
    }
}

/// Reports whether two points are columns of one table: layers of one point, with the same tokens.
fn in_one_table(a: &Activation, b: &Activation) -> bool {
    let of = |own: &Activation| (own.image, own.view, without_layer(&own.point));
    of(a) == of(b) && a.tokens == b.tokens
}

/// Returns the name of a point with `{l}` in place of its layer.
fn without_layer(point: &str) -> String {
    let parts = point.split('.').map(|part| match part.parse::<u32>() {
        // The layer is the one part of a name that is a number: `blocks.3`.
        Ok(_) => "{l}",
        Err(_) => part,
    });
    parts.collect::<Vec<_>>().join(".")
}

/// Returns the layer of a point.
fn layer_of(point: &str) -> &str {
    let mut parts = point.split('.');
    parts
        .find(|part| part.parse::<u32>().is_ok())
        .unwrap_or_default()
}

fn print_table(group: &[&Scores]) {
    let Some(first) = group.first() else { return };
    println!("{}", without_layer(&first.about.point));
    let layers = group
        .iter()
        .map(|own| format!("{:>9}", layer_of(&own.about.point)));
    println!("{:<8}{}", "token", layers.collect::<String>());
    for (i, token) in first.about.tokens.iter().enumerate() {
        let row = group.iter().filter_map(|own| own.values.get(i));
        let row = row.map(|value| format!("{value:>9.3}"));
        println!("{token:<8}{}", row.collect::<String>());
    }
    println!();
}

/// Writes the scores to a file of the kind that its name says.
fn write(path: &Path, scores: &[Scores]) -> Result<(), Failure> {
    if path.extension().is_some_and(|kind| kind == "csv") {
        let rows: Vec<_> = scores.iter().flat_map(rows).collect();
        return write_csv(path, &COLUMNS, &rows);
    }
    let mut arrays = BTreeMap::new();
    for Scores { about, values } in scores {
        let shape: Vec<usize> = about.shape.iter().map(|&size| size as usize).collect();
        let array = Tensor::from_slice(values, shape, &Device::Cpu)?.to_dtype(DType::F32)?;
        arrays.insert(array_name(about), array);
    }
    Ok(write_npz(path, &arrays)?)
}

/// Returns the name of an array: the hook point, with picture and view where they are not 0.
fn array_name(about: &Activation) -> String {
    let more = [("image", about.image), ("view", about.view)];
    let more = more.into_iter().filter(|(_, number)| *number > 0);
    let more = more.map(|(what, number)| format!("@{what}{number}"));
    format!("{}{}", about.point, more.collect::<String>())
}

/// Returns a line for each number: its token, and its place within that token's numbers.
fn rows(Scores { about, values }: &Scores) -> Vec<Vec<String>> {
    // Of pixels the first axis is no axis of tokens.
    let each = match about.tokens.len() {
        0 => values.len().max(1),
        tokens => (values.len() / tokens).max(1),
    };
    let mut lines = Vec::with_capacity(values.len());
    for (at, value) in values.iter().enumerate() {
        let token = about.tokens.get(at / each);
        lines.push(vec![
            about.point.clone(),
            about.image.to_string(),
            about.view.to_string(),
            token.map_or(String::new(), u32::to_string),
            (at % each).to_string(),
            value.to_string(),
        ]);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completeness(sums: &[f32], baseline: Option<f64>) -> Option<Completeness> {
        let scores = [Scores {
            about: Activation::default(),
            values: sums.to_vec(),
        }];
        let finished = AttributeFinished {
            value: -0.5,
            baseline,
            ..AttributeFinished::default()
        };
        Completeness::of(&scores, &finished)
    }

    #[test]
    fn scores_that_do_not_add_up_are_told() {
        assert!(completeness(&[1.0], None).is_none());
        let close = completeness(&[1.0, 1.04], Some(-2.5)).unwrap();
        assert!((close.gap() - 0.04).abs() < 1e-6);
        assert_eq!(close.warning(), None);
        let far = completeness(&[4.0, 0.5], Some(-2.5)).unwrap();
        let warning = far.warning().unwrap();
        assert!(
            warning.starts_with("the scores add up to 4.5000, which is 125 % off"),
            "{warning}"
        );
        assert!(warning.contains("more --steps"), "{warning}");
        // Where nothing is to be explained nothing is off, and no score that is none passes.
        assert_eq!(completeness(&[0.0], Some(-0.5)).unwrap().warning(), None);
        assert!(
            completeness(&[f32::NAN], Some(-2.5))
                .unwrap()
                .warning()
                .is_some()
        );
    }
}
