//! `scotoma parity`: a model against Hugging Face transformers, or against itself in another format
//! of weights, hook point by hook point.

use clap::{Args, value_parser};
use scotoma_client::Client;
use scotoma_client::v1::ParityReport;
use scotoma_client::v1::check_parity_response::Event;

use super::connection::RemoteArgs;
use super::device::{DeviceArgs, MODEL, formats};
use super::error::{Failure, Usage};
use super::json_output::print_line;
use super::lens_args::LensArgs;
use super::model_args::{LocalModel, with_client};
use super::origin::{AdapterArgs, named_origin};
use super::parity_formats::FormatParity;
use super::progress::Progress;
use super::sae_args::SaeArgs;
use crate::weights::WeightFormat;

/// Flags of `parity`.
#[derive(Debug, Args)]
pub(super) struct Parity {
    /// Model: a folder that has its golden set in `goldens`, or `shapes`; with --server a loaded
    /// one's name
    #[arg(
        help_heading = MODEL,
        long,
        value_name = "MODEL",
        default_value = crate::model::SHAPES
    )]
    model: String,
    /// Compare with the same model in this format of weights, not with its golden set
    ///
    /// Both are loaded, and asked questions of the embedded benchmark: `--dtype q4_k --against f32`
    /// says what quantising costs.
    #[arg(long, value_name = "FORMAT", value_parser = formats())]
    against: Option<WeightFormat>,
    /// Questions that --against asks
    #[arg(
        long,
        default_value_t = 200,
        requires = "against",
        value_parser = value_parser!(u16).range(1..=360)
    )]
    items: u16,
    /// Greedy tokens of each answer that --against compares
    #[arg(
        long,
        default_value_t = 8,
        requires = "against",
        value_parser = value_parser!(u16).range(1..=256)
    )]
    tokens: u16,
    /// Print JSON: the ParityReport; with --against what it found
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    remote: RemoteArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

impl Parity {
    pub(super) async fn run(self) -> Result<(), Failure> {
        if let Some(against) = self.against {
            return self.run_formats(against).await;
        }
        let local = LocalModel {
            place: Some(&self.model),
            adapter: &self.adapter,
            sae: &SaeArgs::default(),
            lens: &LensArgs::default(),
            template: None,
        };
        // A server in this process has one model only, which needs no name.
        let name = if self.remote.server.is_empty() {
            ""
        } else {
            self.model.as_str()
        };
        let work = async |client| check(client, name).await;
        let report = with_client(&self.remote, local, &self.device, None, work).await?;
        if self.json {
            print_line(&report)?;
        } else {
            print(&report);
        }
        // The exit status is the answer, for scripts.
        if report.passed {
            Ok(())
        } else {
            Err("not at parity".into())
        }
    }
}

impl Parity {
    /// Compares two formats of weights, in this process.
    async fn run_formats(self, against: WeightFormat) -> Result<(), Failure> {
        if !self.remote.server.is_empty() {
            let message = "--against: for a model of this process, without --server";
            return Err(Usage(message.into()).into());
        }
        let origin = named_origin(&self.model);
        let (name, origin) = origin.map_err(|e| Usage(format!("--model {}: {e}", self.model)))?;
        let (device, format) = self.device.placed().map_err(Usage)?;
        let wrong = self.device.wrong_processors(std::iter::once(name.as_str()));
        if !wrong.is_empty() {
            return Err(Usage(wrong.join("\nerror: ")).into());
        }
        let parity = FormatParity {
            image_processor: self.device.image_processor(&name)?,
            source: self.adapter.fetch(origin).await?,
            name,
            device,
            format,
            against,
            items: self.items.into(),
            tokens: self.tokens.into(),
            json: self.json,
        };
        // On one thread throughout: a device belongs to the thread that opened it.
        tokio::task::spawn_blocking(move || parity.run()).await?
    }
}

async fn check(mut client: Client, model: &str) -> Result<ParityReport, Failure> {
    let progress = Progress::new(None, "cases");
    let mut stream = client.check_parity(model).await?;
    while let Some(response) = stream.message().await? {
        match response.event {
            Some(Event::Case(case)) => {
                progress.set(case.done as usize, case.total as usize);
                progress.note(format!("{}: {:.1e}", case.name, case.max_relative_error));
            }
            Some(Event::Report(report)) => {
                progress.finish();
                return Ok(report);
            }
            // A newer server may send events that this client does not know.
            None => {}
        }
    }
    Err("the stream ended without a report".into())
}

fn print(report: &ParityReport) {
    println!(
        "{:<50} {:>10} {:>9}  worst in",
        "hook point", "error", "values"
    );
    for point in &report.points {
        let (error, values) = (point.max_relative_error, point.values);
        println!(
            "{:<50} {error:>10.2e} {values:>9}  {}",
            point.name, point.worst_case
        );
    }
    println!();
    println!(
        "model      {} {} on {}, {}",
        report.model, report.dtype, report.device, report.model_digest
    );
    println!("reference  {}", report.reference);
    println!(
        "error      {:.2e} at most, {:.0e} passes",
        report.max_relative_error, report.tolerance
    );
    let tokens = if report.other_tokens.is_empty() {
        "the same".into()
    } else {
        format!("differ in {}", report.other_tokens.join(", "))
    };
    println!("tokens     {tokens}");
    println!("{}", if report.passed { "PASSED" } else { "FAILED" });
}
