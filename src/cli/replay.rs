//! `scotoma replay`: a recorded answer again. A record is a VerifyRequest in canonical JSON:
//! provenance and pictures.

use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::v1::{Image, Provenance};
use scotoma_client::{Client, VerifyRequest};

use super::error::Failure;
use super::files;
use super::json_output::{print_line, with_field};
use super::model_args::HostArgs;

/// Flags of `replay`.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// Records, as `scotoma generate --record` writes them
    #[arg(required = true)]
    records: Vec<PathBuf>,
    /// Print JSON, a line for each record: the VerifyResponse, and `file`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

impl Replay {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let differing = self
            .host
            .with_client(async |client| self.verify(client).await)
            .await?;
        if differing == 0 {
            Ok(())
        } else {
            Err(format!("{differing} of {} differ", self.records.len()).into())
        }
    }

    /// Verifies all records and returns how many differ.
    async fn verify(&self, mut client: Client) -> Result<usize, Failure> {
        let mut differing = 0;
        for file in &self.records {
            if !agrees(&mut client, file, self.json).await? {
                differing += 1;
            }
        }
        Ok(differing)
    }
}

/// Runs one record again, prints what came of it, and returns whether the bits agree.
async fn agrees(client: &mut Client, file: &Path, json: bool) -> Result<bool, Failure> {
    let text = files::read_text(file)?;
    let request: VerifyRequest = serde_json::from_str(&text).map_err(|e| files::named(file, &e))?;
    let response = client.verify(request).await;
    let response = response.map_err(|e| files::named(file, &e))?;
    if json {
        print_line(&with_field(&response, "file", file.display().to_string())?)?;
        return Ok(response.agrees);
    }
    if response.agrees {
        println!("{}: the same bits", file.display());
        return Ok(true);
    }
    let Some(first) = response.differences.first() else {
        return Err(files::named(file, &"the server names no difference").into());
    };
    let stages: Vec<&str> = response
        .differences
        .iter()
        .map(|d| d.stage.as_str())
        .collect();
    println!(
        "{}: {} differs first ({})",
        file.display(),
        first.stage,
        stages.join(", ")
    );
    println!("  recorded {}\n  found    {}", first.recorded, first.found);
    Ok(false)
}

/// Writes a record with its pictures.
pub(super) fn write_record(
    file: &Path,
    record: &Provenance,
    images: Vec<Image>,
) -> Result<(), Failure> {
    let request = VerifyRequest {
        provenance: Some(record.clone()),
        images,
    };
    // With the pictures: a record holds their digests alone, from which nobody could run it again.
    let text = serde_json::to_string_pretty(&request)?;
    Ok(files::write(file, text.as_bytes())?)
}
