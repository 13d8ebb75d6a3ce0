//! `scotoma capture`: activations to a file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use clap::{Args, ValueEnum};
use scotoma_client::v1::tokens::Named;
use scotoma_client::v1::{Activation, Reduction};
use scotoma_client::{CaptureRequest, CaptureTarget, Client, prompt, target};
use serde_json::Value;

use super::error::{Failure, Usage};
use super::files;
use super::intervention_args::InterventionArgs;
use super::json_output::{print_line, with_field};
use super::model_args::ModelArgs;
use super::npz_file::write_npz;
use super::progress::Progress;

/// The reduction over the rows of a hook point.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ReduceArg {
    None,
    Mean,
    Norm,
    Last,
    Received,
    TopTokens,
    TopFeatures,
}

/// Tokens or features of a row that are shown where --top does not say.
const TOP: u32 = 5;

/// The tokens whose rows are captured.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum TokensArg {
    All,
    Visual,
    Text,
    Question,
    Last,
    Class,
}

impl TokensArg {
    /// Returns the tokens that it names.
    pub(super) fn named(self) -> Named {
        match self {
            Self::All => Named::All,
            Self::Visual => Named::Visual,
            Self::Text => Named::Text,
            Self::Question => Named::Question,
            Self::Last => Named::Last,
            Self::Class => Named::Class,
        }
    }
}

/// Flags of `capture`.
#[derive(Debug, Args)]
pub(super) struct Capture {
    /// The picture: JPEG, PNG, WebP, GIF, BMP, TIFF or PNM
    image: PathBuf,
    /// The question
    question: String,
    /// Hook points, such as projector.hook_out or vision_tower.blocks.{l}.hook_resid_post
    ///
    /// `{l}` stands for all layers.
    #[arg(required = true)]
    points: Vec<String>,
    /// File to write; its name ends in .npz (NumPy) or .safetensors
    #[arg(short, long, default_value = "activations.npz")]
    out: PathBuf,
    /// Reduction over the rows of a hook point; none keeps all rows
    #[arg(long, value_enum, default_value = "none")]
    reduce: ReduceArg,
    /// Tokens of top-tokens (at most 100) or features of top-features (at most 1,000) of each row.
    /// Default: 5
    ///
    /// The file has arrays of their numbers, POINT.tokens or POINT.features, and of their
    /// log-probabilities or values, POINT.values; a row that has fewer ends in values of 0.
    #[arg(long, value_name = "N")]
    top: Option<u32>,
    /// Tuned lens of top-tokens or autoencoder of top-features, by name. Default: the logit lens, or
    /// the only autoencoder
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Tokens whose rows are captured
    #[arg(long, value_enum, default_value = "all")]
    tokens: TokensArg,
    /// Tokens to generate; activations of their steps are captured too
    #[arg(long, default_value_t = 0)]
    max_tokens: u32,
    /// Print JSON: the CaptureFinished, `out`, and `tensors`, the shapes by name
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    interventions: InterventionArgs,
}

/// The format of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Npz,
    Safetensors,
}

impl Capture {
    pub(super) async fn run(self) -> Result<(), Failure> {
        // Before a picture is read and a model is loaded: a wrong flag costs nothing.
        let format = self.format()?;
        self.check_reduction()?;
        let image = files::read(&self.image)?;
        self.model
            .with_client(async |client| self.write(client, image, format).await)
            .await
    }

    fn format(&self) -> Result<Format, Usage> {
        match self.out.extension().and_then(|e| e.to_str()) {
            Some("npz") => Ok(Format::Npz),
            Some("safetensors") => Ok(Format::Safetensors),
            _ => Err(Usage(format!(
                "--out {}: a name that ends in .npz or .safetensors is needed",
                self.out.display()
            ))),
        }
    }

    /// Refuses what the reduction does not read.
    fn check_reduction(&self) -> Result<(), Usage> {
        let given = [("--top", self.top.is_some()), ("--by", self.by.is_some())];
        let given = given.into_iter().find(|(_, given)| *given);
        match (self.reduce, given) {
            (ReduceArg::TopTokens | ReduceArg::TopFeatures, _) | (_, None) => Ok(()),
            (_, Some((flag, _))) => Err(Usage(format!(
                "{flag}: without --reduce top-tokens or top-features"
            ))),
        }
    }

    async fn write(
        &self,
        mut client: Client,
        image: Vec<u8>,
        format: Format,
    ) -> Result<(), Failure> {
        let request = CaptureRequest {
            model: self.model.name(),
            prompt: Some(prompt(&self.question, [image])),
            interventions: self.interventions.interventions(),
            targets: self.points.iter().map(|point| self.target(point)).collect(),
            max_tokens: self.max_tokens,
            ..Default::default()
        };
        // How many there will be only the server knows: `{l}` stands for all layers that run.
        let progress = Progress::new(None, "activations");
        let mut stream = client.capture(request).await?;
        let (mut tensors, mut lines) = (BTreeMap::new(), Vec::new());
        while let Some(activation) = stream.next().await? {
            progress.advance();
            progress.note(activation.point.clone());
            add(&mut tensors, &activation)?;
            lines.extend(read_lines(&activation));
        }
        progress.finish();
        let finished = stream.finish().await?;
        let record = finished.provenance.clone().unwrap_or_default();
        match format {
            Format::Npz => write_npz(&self.out, &tensors)?,
            Format::Safetensors => {
                // NumPy's format has no place for it.
                let metadata = [("provenance".to_owned(), record.digest.clone())].into();
                let bytes = safetensors::serialize(tensors.iter(), Some(metadata))?;
                files::write(&self.out, &bytes)?;
            }
        }
        let out = self.out.display();
        if self.json {
            let shapes = tensors
                .iter()
                .map(|(name, t)| (name.clone(), t.dims().into()));
            let shapes = Value::Object(shapes.collect());
            let line = with_field(&finished, "out", out.to_string())?;
            return print_line(&with_field(&line, "tensors", shapes)?);
        }
        for line in lines {
            println!("{line}");
        }
        println!(
            "{out}: {} tensors; record {}",
            tensors.len(),
            record.digest.get(..16).unwrap_or_default()
        );
        Ok(())
    }

    fn target(&self, point: &str) -> CaptureTarget {
        let reduction = match self.reduce {
            ReduceArg::None => Reduction::None,
            ReduceArg::Mean => Reduction::Mean,
            ReduceArg::Norm => Reduction::Norm,
            ReduceArg::Last => Reduction::Last,
            ReduceArg::Received => Reduction::Received,
            ReduceArg::TopTokens => Reduction::TopTokens,
            ReduceArg::TopFeatures => Reduction::TopFeatures,
        };
        let named = self.tokens.named();
        let target = scotoma_client::v1::Target {
            tokens: Some([named].into()),
            ..target(point)
        };
        let by = self.by.clone().unwrap_or_default();
        let (lens, sae) = match self.reduce {
            ReduceArg::TopTokens => (by, String::new()),
            _ => (String::new(), by),
        };
        let tops = matches!(self.reduce, ReduceArg::TopTokens | ReduceArg::TopFeatures);
        CaptureTarget {
            target: Some(target),
            reduction: reduction.into(),
            top: if tops { self.top.unwrap_or(TOP) } else { 0 },
            lens,
            sae,
            ..Default::default()
        }
    }
}

/// Returns the name of an activation's array: the hook point, with picture, view and step where
/// they are not 0.
fn name(activation: &Activation) -> String {
    let more = [
        ("image", activation.image),
        ("view", activation.view),
        ("step", activation.step),
    ];
    let more = more
        .into_iter()
        // Most captures have one picture, one view and no step: their arrays are called as the hook
        // point is.
        .filter(|(_, n)| *n > 0)
        .map(|(what, n)| format!("@{what}{n}"));
    std::iter::once(activation.point.clone())
        .chain(more)
        .collect()
}

/// Adds the arrays of an activation: its numbers, or those of tokens or features and their values.
fn add(tensors: &mut BTreeMap<String, Tensor>, activation: &Activation) -> Result<(), Failure> {
    let (kind, rows) = read_rows(activation);
    if rows.is_empty() {
        tensors.insert(name(activation), tensor(activation)?);
        return Ok(());
    }
    // (rows, most pairs of a row): short rows end in zeros.
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let shape = (rows.len(), width);
    let pairs = rows.into_iter().flat_map(|mut row| {
        row.resize(width, (0, 0.0));
        row
    });
    let (numbers, values): (Vec<u32>, Vec<f32>) = pairs.unzip();
    let array = |what: &str| format!("{}.{what}", name(activation));
    let numbers = Tensor::from_vec(numbers, shape, &Device::Cpu)?;
    let values = Tensor::from_vec(values, shape, &Device::Cpu)?;
    tensors.insert(array(kind), numbers);
    tensors.insert(array("values"), values);
    Ok(())
}

/// Returns what top-tokens and top-features are called, and the pairs of each row.
fn read_rows(activation: &Activation) -> (&'static str, Vec<Vec<(u32, f32)>>) {
    if !activation.top.is_empty() {
        let rows = activation.top.iter().map(|row| {
            let tokens = row.tokens.iter();
            tokens
                .map(|token| (token.id, token.logprob as f32))
                .collect()
        });
        return ("tokens", rows.collect());
    }
    let rows = activation.features.iter().map(|row| {
        let features = row.features.iter().copied();
        features.zip(row.values.iter().copied()).collect()
    });
    ("features", rows.collect())
}

/// Returns a line for each row of top-tokens or top-features.
fn read_lines(activation: &Activation) -> Vec<String> {
    let (kind, rows) = read_rows(activation);
    let rows = rows.iter().zip(&activation.tokens).enumerate();
    let lines = rows.map(|(i, (row, token))| {
        let read = row.iter().enumerate().map(|(j, (number, value))| {
            let text = activation.top.get(i).and_then(|row| row.tokens.get(j));
            match text.filter(|_| kind == "tokens") {
                Some(token) => format!("{:?} {value:.3}", token.text),
                None => format!("{number} {value:.3}"),
            }
        });
        let read: Vec<String> = read.collect();
        format!("{} {token}: {}", name(activation), read.join("  "))
    });
    lines.collect()
}

fn tensor(activation: &Activation) -> Result<Tensor, Failure> {
    let shape: Vec<usize> = activation.shape.iter().map(|&d| d as usize).collect();
    // f32, as the request names no other type.
    Ok(Tensor::from_raw_buffer(
        &activation.data,
        DType::F32,
        &shape,
        &Device::Cpu,
    )?)
}
