//! `scotoma replay`: a recorded answer again. A record is a VerifyRequest in canonical JSON:
//! provenance and pictures.

use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::VerifyRequest;
use scotoma_client::v1::{Image, Provenance};

use super::Failure;
use super::served::{Host, stop};

/// Flags of `replay`.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// Records, as `scotoma generate --record` writes them
    #[arg(required = true)]
    records: Vec<PathBuf>,
    #[command(flatten)]
    host: Host,
}

impl Replay {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (local, mut client) = self.host.connect().await?;
        let mut differing = 0;
        for file in &self.records {
            let wrong = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
            let text = std::fs::read_to_string(file).map_err(|e| wrong(&e))?;
            let request: VerifyRequest = serde_json::from_str(&text).map_err(|e| wrong(&e))?;
            let response = client.verify(request).await.map_err(|e| wrong(&e))?;
            if response.agrees {
                println!("{}: the same bits", file.display());
                continue;
            }
            differing += 1;
            let stages: Vec<&str> = response
                .differences
                .iter()
                .map(|d| d.stage.as_str())
                .collect();
            let Some(first) = response.differences.first() else {
                return Err(wrong(&"the server names no difference").into());
            };
            println!(
                "{}: {} differs first ({})",
                file.display(),
                first.stage,
                stages.join(", ")
            );
            println!("  recorded {}\n  found    {}", first.recorded, first.found);
        }
        stop(local).await?;
        if differing == 0 {
            Ok(())
        } else {
            Err(format!("{differing} of {} differ", self.records.len()).into())
        }
    }
}

/// Writes a record with its pictures.
pub(super) fn write(file: &Path, record: &Provenance, images: Vec<Image>) -> Result<(), Failure> {
    let request = VerifyRequest {
        provenance: Some(record.clone()),
        images,
    };
    let text = serde_json::to_string_pretty(&request)?;
    Ok(std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))?)
}
