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
    #[arg(
        long,
        env = "SCOTOMA_SERVER",
        value_name = "ADDRESS",
        default_value = "http://127.0.0.1:7878"
    )]
    server: String,
    /// Print JSON: `status`, as grpc.health.v1 names it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tls: TlsArgs,
}

impl Health {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let address = &self.server;
        let connected = self.tls.settings([address.as_str()])?.channel().await;
        let channel = connected.map_err(|e| format!("--server {address}: {e}"))?;
        let mut client = HealthClient::new(channel);
        // An empty name asks about the server as a whole.
        let response = client.check(HealthCheckRequest::default()).await?;
        let status = response.into_inner().status();
        if self.json {
            print_line(&json!({"status": status.as_str_name()}))?;
        }
        match status {
            ServingStatus::Serving => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }
}
