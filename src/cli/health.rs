//! `scotoma health`: whether a server serves, by its exit status.

use clap::Args;
use serde_json::json;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::connection::TlsArgs;
use super::error::Failure;
use super::json_output::print_line;

/// Flags of `health`.
#[derive(Debug, Args)]
pub(super) struct Health {
    /// Address of the server, http:// or https://
    ///
    /// Of several, with commas or given again, all must serve.
    #[arg(
        long,
        env = "SCOTOMA_SERVER",
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7878"
    )]
    server: Vec<String>,
    /// Print JSON, a line for each server: `server`, and `status` as grpc.health.v1 names it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: TlsArgs,
}

impl Health {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut wrong = Vec::new();
        for address in &self.server {
            let asked = self.ask(address).await;
            wrong.extend(asked.err().map(|e| format!("--server {address}: {e}")));
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join("\nerror: ").into())
        }
    }

    /// Fails if a server does not serve.
    async fn ask(&self, address: &str) -> Result<(), Failure> {
        let channel = self.tls.settings([address])?.channel().await?;
        let mut client = HealthClient::new(channel);
        // An empty name asks about the server as a whole.
        let response = client.check(HealthCheckRequest::default()).await?;
        let status = response.into_inner().status();
        if self.json {
            print_line(&json!({"server": address, "status": status.as_str_name()}))?;
        }
        match status {
            ServingStatus::Serving => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }
}
