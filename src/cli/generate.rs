//! `scotoma generate`, `preview`, `models` and `health`: one question.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use scotoma_client::v1::chat_part::Part;
use scotoma_client::v1::image::Source;
use scotoma_client::v1::{Image, Prompt};
use scotoma_client::{GenerateRequest, PreviewRequest, messages, prompt, system, user};

use super::Failure;
use super::connection::Trust;
use super::intervention_args::{Flags, ImageFlags};
use super::sampling::SamplingFlags;
use super::served::{Host, Served, stop};

/// Flags of `generate`.
#[derive(Debug, Args)]
pub(super) struct Generate {
    /// The picture: JPEG, PNG, WebP, GIF, BMP, TIFF or PNM
    #[arg(required_unless_present = "messages")]
    image: Option<PathBuf>,
    /// The question
    #[arg(required_unless_present = "messages")]
    question: Option<String>,
    /// Rules for the model, as the system message before the question
    #[arg(long, value_name = "TEXT", conflicts_with = "messages")]
    system: Option<String>,
    /// A conversation in place of picture and question, JSON as transformers and OpenAI have it: a
    /// list of {"role", "content"}, whose content is a text or a list of {"type": "text", "text"}
    /// and {"type": "image", "path"}; a last message of the assistant is continued
    #[arg(long, value_name = "FILE", conflicts_with_all = ["image", "question"])]
    messages: Option<PathBuf>,
    #[command(flatten)]
    served: Served,
    /// Tokens of the answer; 0 leaves it to the server
    #[arg(long, default_value_t = 0)]
    max_tokens: u32,
    /// Write the record and the picture here, for `scotoma replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    sampling: SamplingFlags,
    #[command(flatten)]
    flags: Flags,
}

impl Generate {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let prompt = self.prompt()?;
        let images = pictures(&prompt);
        let (local, mut client) = self.served.connect().await?;
        let request = GenerateRequest {
            model: self.served.name(),
            prompt: Some(prompt),
            interventions: self.flags.interventions(),
            max_tokens: self.max_tokens,
            sampling: Some(self.sampling.message()),
            ..Default::default()
        };
        let mut answer = client.generate(request).await?;
        while let Some(token) = answer.next().await? {
            print!("{}", token.text);
            std::io::stdout().flush()?;
        }
        println!();
        let finished = answer.finish().await?;
        let (usage, record) = (
            finished.usage.unwrap_or_default(),
            finished.provenance.unwrap_or_default(),
        );
        eprintln!(
            "{} prompt tokens ({} visual), {} generated in {:.0} ms; record {}",
            usage.prompt_tokens,
            usage.image_tokens,
            usage.generation_tokens,
            1e3 * usage.total_seconds,
            &record.digest.get(..16).unwrap_or_default()
        );
        if let Some(file) = &self.record {
            super::replay::write(file, &record, images)?;
        }
        for resolved in record.plan.iter().filter(|r| r.changed_nothing) {
            eprintln!(
                "note: an intervention changed nothing: {}",
                serde_json::to_string(&resolved.intervention)?
            );
        }
        stop(local).await
    }
}

impl Generate {
    fn prompt(&self) -> Result<Prompt, Failure> {
        if let Some(file) = &self.messages {
            return Ok(messages(super::messages::read(file)?));
        }
        let (Some(path), Some(question)) = (&self.image, &self.question) else {
            return Err("a picture and a question are needed, or --messages".into());
        };
        let image = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let Some(text) = &self.system else {
            return Ok(prompt(question, [image]));
        };
        Ok(messages([
            system(text),
            user([
                scotoma_client::image(image).into(),
                question.as_str().into(),
            ]),
        ]))
    }
}

/// The pictures of a prompt, for its record.
fn pictures(prompt: &Prompt) -> Vec<Image> {
    let parts = prompt.messages.iter().flat_map(|m| &m.parts);
    let inside = parts.filter_map(|part| {
        if let Some(Part::Image(image)) = &part.part {
            Some(image)
        } else {
            None
        }
    });
    prompt.images.iter().chain(inside).cloned().collect()
}

/// Flags of `preview`.
#[derive(Debug, Args)]
pub(super) struct Preview {
    /// The picture: JPEG, PNG, WebP, GIF, BMP, TIFF or PNM
    image: PathBuf,
    /// Where the PNG goes
    #[arg(short, long, default_value = "preview.png")]
    out: PathBuf,
    #[command(flatten)]
    served: Served,
    #[command(flatten)]
    flags: ImageFlags,
}

impl Preview {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let data =
            std::fs::read(&self.image).map_err(|e| format!("{}: {e}", self.image.display()))?;
        let (local, mut client) = self.served.connect().await?;
        let request = PreviewRequest {
            model: self.served.name(),
            image: Some(Image {
                source: Some(Source::Data(data)),
            }),
            interventions: self.flags.interventions(),
            ..Default::default()
        };
        let preview = client.preview(request).await?;
        std::fs::write(&self.out, &preview.png)
            .map_err(|e| format!("{}: {e}", self.out.display()))?;
        println!(
            "{}: {} x {} pixels, {} x {} patches",
            self.out.display(),
            preview.width,
            preview.height,
            preview.grid_rows,
            preview.grid_columns
        );
        stop(local).await
    }
}

/// Flags of `models`.
#[derive(Debug, Args)]
pub(super) struct Models {
    #[command(flatten)]
    host: Host,
}

impl Models {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (local, mut client) = self.host.connect().await?;
        let models = client.list_models().await?;
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
                model.digest.get(..16).unwrap_or_default()
            );
        }
        stop(local).await
    }
}

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
    #[command(flatten)]
    trust: Trust,
}

impl Health {
    pub(super) async fn run(self) -> Result<(), Failure> {
        use tonic_health::pb::health_check_response::ServingStatus;
        use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
        let address = &self.server;
        let channel = self
            .trust
            .to(address)?
            .channel()
            .await
            .map_err(|e| format!("--server {address}: {e}"))?;
        let mut client = HealthClient::new(channel);
        let status = client
            .check(HealthCheckRequest::default())
            .await?
            .into_inner()
            .status();
        if status == ServingStatus::Serving {
            Ok(())
        } else {
            Err(format!("{status:?}").into())
        }
    }
}
