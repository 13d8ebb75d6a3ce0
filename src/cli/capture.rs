//! `scotoma capture`: activations to a file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use scotoma_client::v1::tokens::Named;
use scotoma_client::v1::{Activation, Reduction};
use scotoma_client::{CaptureRequest, CaptureTarget, prompt, target};

use super::Failure;
use super::intervention_args::Flags;
use super::served::{Served, stop};

/// What is left of the rows.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Reduce {
    None,
    Mean,
    Norm,
    Last,
    Received,
}

/// Which rows.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rows {
    All,
    Visual,
    Text,
    Question,
    Last,
    Class,
}

/// Flags of `capture`.
#[derive(Debug, Args)]
pub(super) struct Capture {
    /// The picture: JPEG, PNG, WebP, GIF, BMP, TIFF or PNM
    image: PathBuf,
    /// The question
    question: String,
    /// Hook points; `{l}` stands for all layers
    #[arg(required = true)]
    points: Vec<String>,
    /// Where the activations go: a name that ends in .npz (NumPy) or .safetensors
    #[arg(short, long, default_value = "activations.npz")]
    out: PathBuf,
    /// What is left of the rows
    #[arg(long, value_enum, default_value = "none")]
    reduce: Reduce,
    /// Which rows
    #[arg(long, value_enum, default_value = "all")]
    tokens: Rows,
    /// Tokens to generate, so that there are steps beyond the prompt
    #[arg(long, default_value_t = 0)]
    max_tokens: u32,
    #[command(flatten)]
    served: Served,
    #[command(flatten)]
    flags: Flags,
}

impl Capture {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let image =
            std::fs::read(&self.image).map_err(|e| format!("{}: {e}", self.image.display()))?;
        let kind = self
            .out
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default()
            .to_owned();
        if !["npz", "safetensors"].contains(&kind.as_str()) {
            return Err(format!(
                "--out {}: a name that ends in .npz or .safetensors is needed",
                self.out.display()
            )
            .into());
        }
        let (local, mut client) = self.served.connect().await?;
        let request = CaptureRequest {
            model: self.served.name(),
            prompt: Some(prompt(&self.question, [image])),
            interventions: self.flags.interventions(),
            targets: self
                .points
                .iter()
                .map(|point| self.capture(point))
                .collect(),
            max_tokens: self.max_tokens,
            ..Default::default()
        };
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos} activations, {msg}") {
            bar.set_style(style);
        }
        let mut stream = client.capture(request).await?;
        let mut tensors = BTreeMap::new();
        while let Some(activation) = stream.next().await? {
            bar.inc(1);
            bar.set_message(activation.point.clone());
            tensors.insert(name(&activation), tensor(&activation)?);
        }
        bar.finish_and_clear();
        let record = stream.finish().await?.provenance.unwrap_or_default();
        if kind == "npz" {
            Tensor::write_npz(&tensors.iter().collect::<Vec<_>>(), &self.out)?;
        } else {
            let about = Some([("provenance".to_owned(), record.digest.clone())].into());
            let bytes = safetensors::serialize(tensors.iter(), about)?;
            std::fs::write(&self.out, bytes).map_err(|e| format!("{}: {e}", self.out.display()))?;
        }
        println!(
            "{}: {} tensors; record {}",
            self.out.display(),
            tensors.len(),
            record.digest.get(..16).unwrap_or_default()
        );
        stop(local).await
    }

    fn capture(&self, point: &str) -> CaptureTarget {
        let reduction = match self.reduce {
            Reduce::None => Reduction::None,
            Reduce::Mean => Reduction::Mean,
            Reduce::Norm => Reduction::Norm,
            Reduce::Last => Reduction::Last,
            Reduce::Received => Reduction::Received,
        };
        let named = match self.tokens {
            Rows::All => Named::All,
            Rows::Visual => Named::Visual,
            Rows::Text => Named::Text,
            Rows::Question => Named::Question,
            Rows::Last => Named::Last,
            Rows::Class => Named::Class,
        };
        let target = scotoma_client::v1::Target {
            tokens: Some([named].into()),
            ..target(point)
        };
        CaptureTarget {
            target: Some(target),
            reduction: reduction.into(),
            ..Default::default()
        }
    }
}

/// The hook point; with picture, view and step where they are not 0.
fn name(activation: &Activation) -> String {
    let more = [
        ("image", activation.image),
        ("view", activation.view),
        ("step", activation.step),
    ];
    let more = more
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(what, n)| format!("@{what}{n}"));
    std::iter::once(activation.point.clone())
        .chain(more)
        .collect()
}

fn tensor(activation: &Activation) -> Result<Tensor, Failure> {
    let shape: Vec<usize> = activation.shape.iter().map(|&d| d as usize).collect();
    Ok(Tensor::from_raw_buffer(
        &activation.data,
        DType::F32,
        &shape,
        &Device::Cpu,
    )?)
}
