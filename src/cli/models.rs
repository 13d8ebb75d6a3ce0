//! `scotoma models`: the models that a server has loaded.

use clap::Args;
use scotoma_client::Client;
use scotoma_client::v1::ListModelsResponse;

use super::error::Failure;
use super::json_output::print_line;
use super::model_args::HostArgs;

/// Flags of `models`.
#[derive(Debug, Args)]
pub(super) struct Models {
    /// Print JSON: the ListModelsResponse
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

impl Models {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let json = self.json;
        self.host
            .with_client(async |client| print(client, json).await)
            .await
    }
}

async fn print(mut client: Client, json: bool) -> Result<(), Failure> {
    let models = client.list_models().await?;
    if json {
        return print_line(&ListModelsResponse { models });
    }
    println!(
        "{:<16} {:<8} {:>10} {:<5} {:<7} {:<22} digest",
        "name", "family", "parameters", "dtype", "device", "projectors"
    );
    for model in models {
        println!(
            "{:<16} {:<8} {:>10} {:<5} {:<7} {:<22} {}",
            model.name,
            model.family,
            model.parameters,
            model.dtype,
            model.device,
            model.projectors.join(","),
            // Enough to tell models apart; --json has all of it.
            model.digest.get(..16).unwrap_or_default()
        );
    }
    Ok(())
}
