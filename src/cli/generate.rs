//! `scotoma generate`: one question, its answer as it is generated.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use scotoma_client::v1::chat_part::Part;
use scotoma_client::v1::{Image, Prompt};
use scotoma_client::{Client, GenerateRequest, messages, prompt, system, user};

use super::error::{Failure, Usage};
use super::files;
use super::intervention_args::InterventionArgs;
use super::model_args::ModelArgs;
use super::replay::write_record;
use super::sampling_args::SamplingArgs;

/// Flags of `generate`.
#[derive(Debug, Args)]
pub(super) struct Generate {
    /// The picture: JPEG, PNG, WebP, GIF, BMP, TIFF or PNM
    #[arg(required_unless_present = "messages")]
    image: Option<PathBuf>,
    /// The question
    #[arg(required_unless_present = "messages")]
    question: Option<String>,
    /// System message, placed before the question
    #[arg(long, value_name = "TEXT", conflicts_with = "messages")]
    system: Option<String>,
    /// File with a conversation in place of picture and question, in the JSON of transformers and
    /// OpenAI: a list of {"role", "content"}, whose content is a text or a list of
    /// {"type": "text", "text"} and {"type": "image", "path"}. If the last message is the
    /// assistant's, the model continues it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["image", "question"])]
    messages: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// Most tokens of the answer; 0 leaves it to the server
    #[arg(long, default_value_t = 0)]
    max_tokens: u32,
    /// Write the record of the answer, with its pictures, to this file, for `scotoma replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    interventions: InterventionArgs,
}

impl Generate {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let prompt = self.prompt()?;
        self.model
            .with_client(async |client| self.answer(client, prompt).await)
            .await
    }

    /// Prints the answer token by token, then what it took.
    async fn answer(&self, mut client: Client, prompt: Prompt) -> Result<(), Failure> {
        let images = pictures(&prompt);
        let request = GenerateRequest {
            model: self.model.name(),
            prompt: Some(prompt),
            interventions: self.interventions.interventions(),
            max_tokens: self.max_tokens,
            sampling: Some(self.sampling.message()),
            ..Default::default()
        };
        let mut answer = client.generate(request).await?;
        while let Some(token) = answer.next().await? {
            print!("{}", token.text);
            // Standard output keeps a line until its end, and an answer is one line.
            std::io::stdout().flush()?;
        }
        println!();
        let finished = answer.finish().await?;
        let usage = finished.usage.unwrap_or_default();
        let record = finished.provenance.unwrap_or_default();
        eprintln!(
            "{} prompt tokens ({} visual), {} generated in {:.0} ms; record {}",
            usage.prompt_tokens,
            usage.image_tokens,
            usage.generation_tokens,
            1e3 * usage.total_seconds,
            &record.digest.get(..16).unwrap_or_default()
        );
        if let Some(file) = &self.record {
            write_record(file, &record, images)?;
        }
        for resolved in record.plan.iter().filter(|r| r.changed_nothing) {
            eprintln!(
                "note: an intervention changed nothing: {}",
                serde_json::to_string(&resolved.intervention)?
            );
        }
        Ok(())
    }

    fn prompt(&self) -> Result<Prompt, Failure> {
        if let Some(file) = &self.messages {
            return Ok(messages(super::messages::read(file)?));
        }
        let (Some(path), Some(question)) = (&self.image, &self.question) else {
            let message = "a picture and a question are needed, or --messages";
            return Err(Usage(message.into()).into());
        };
        let image = files::read(path)?;
        let Some(text) = &self.system else {
            return Ok(prompt(question, [image]));
        };
        let parts = [
            scotoma_client::image(image).into(),
            question.as_str().into(),
        ];
        Ok(messages([system(text), user(parts)]))
    }
}

/// Lists the pictures of a prompt, for its record.
fn pictures(prompt: &Prompt) -> Vec<Image> {
    let parts = prompt.messages.iter().flat_map(|m| &m.parts);
    let in_messages = parts.filter_map(|part| match &part.part {
        Some(Part::Image(image)) => Some(image),
        _ => None,
    });
    prompt.images.iter().chain(in_messages).cloned().collect()
}
