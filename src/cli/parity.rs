//! `scotoma parity`: a model against Hugging Face transformers, hook point by hook point.

use clap::Args;
use scotoma_client::Client;
use scotoma_client::v1::ParityReport;
use scotoma_client::v1::check_parity_response::Event;

use super::connection::RemoteArgs;
use super::device::{DeviceArgs, MODEL};
use super::error::Failure;
use super::json_output::print_line;
use super::model_args::{LocalModel, with_client};
use super::origin::AdapterArgs;
use super::progress::Progress;
use super::sae_args::SaeArgs;

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
    /// Print JSON: the ParityReport
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
        let local = LocalModel {
            place: Some(&self.model),
            adapter: &self.adapter,
            sae: &SaeArgs::default(),
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
        if report.passed {
            Ok(())
        } else {
            Err("not at parity".into())
        }
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
