//! `scotoma preview`: the picture as the model will see it.

use std::path::PathBuf;

use clap::Args;
use scotoma_client::v1::Image;
use scotoma_client::v1::image::Source;
use scotoma_client::{Client, PreviewRequest};

use super::error::Failure;
use super::files;
use super::intervention_args::ImageInterventionArgs;
use super::json_output::{print_line, with_field};
use super::model_args::ModelArgs;

/// Flags of `preview`.
#[derive(Debug, Args)]
pub(super) struct Preview {
    /// The picture: JPEG, PNG, WebP, GIF, BMP, TIFF or PNM
    image: PathBuf,
    /// File to write, a PNG
    #[arg(short, long, default_value = "preview.png", value_parser = png)]
    out: PathBuf,
    /// Print JSON: the PreviewResponse without the picture, and `out`
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    interventions: ImageInterventionArgs,
}

/// Parses the name of a file to write; one that ends like another format would hold a PNG all the
/// same.
fn png(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension() {
        Some(other) if !other.eq_ignore_ascii_case("png") => {
            Err("a PNG is written; a name that ends in .png is needed".into())
        }
        _ => Ok(path),
    }
}

impl Preview {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let data = files::read(&self.image)?;
        self.model
            .with_client(async |client| self.write(client, data).await)
            .await
    }

    async fn write(&self, mut client: Client, data: Vec<u8>) -> Result<(), Failure> {
        let request = PreviewRequest {
            model: self.model.name(),
            image: Some(Image {
                source: Some(Source::Data(data)),
            }),
            interventions: self.interventions.interventions(),
            ..Default::default()
        };
        let mut preview = client.preview(request).await?;
        // Taken out, so that --json prints the rest alone.
        files::write(&self.out, &std::mem::take(&mut preview.png))?;
        if self.json {
            return print_line(&with_field(
                &preview,
                "out",
                self.out.display().to_string(),
            )?);
        }
        println!(
            "{}: {} x {} pixels, {} x {} patches",
            self.out.display(),
            preview.width,
            preview.height,
            preview.grid_rows,
            preview.grid_columns
        );
        Ok(())
    }
}
