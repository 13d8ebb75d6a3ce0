//! `scotoma generate`: one question, its answer as it is generated.

use std::path::PathBuf;

use clap::Args;
use scotoma_client::v1::generate_response::Event;
use scotoma_client::v1::{GenerateResponse, Prompt, Provenance, Usage};
use scotoma_client::{Client, GenerateRequest, Token};

use super::error::Failure;
use super::intervention_args::InterventionArgs;
use super::json_output::print_line;
use super::model_args::ModelArgs;
use super::prompt_args::{PromptArgs, pictures};
use super::replay::write_record;
use super::sampling_args::AnswerArgs;

/// Flags of `generate`.
#[derive(Debug, Args)]
pub(super) struct Generate {
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    model: ModelArgs,
    /// Print each token with its log-probability, and those of the N likeliest in its place
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=20))]
    logprobs: Option<u32>,
    /// Print JSON, one message of the stream a line: started, each token, finished
    #[arg(long)]
    json: bool,
    /// Write the record of the answer, with its pictures, to this file, for `scotoma replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    answer: AnswerArgs,
    #[command(flatten)]
    interventions: InterventionArgs,
}

impl Generate {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let prompt = self.prompt.prompt()?;
        self.model
            .with_client(async |client| self.answer(client, prompt).await)
            .await
    }

    /// Prints the answer token by token, then what it took.
    async fn answer(&self, mut client: Client, prompt: Prompt) -> Result<(), Failure> {
        // Before the prompt is given away: a record has digests alone, and `replay` needs the
        // pictures.
        let images = pictures(&prompt);
        let mut answer = client.generate(self.request(prompt)).await?;
        if self.json {
            print_line(&message(Event::Started(answer.started.clone())))?;
        }
        while let Some(token) = answer.next().await? {
            self.print_token(token)?;
        }
        let finished = answer.finish().await?;
        if self.json {
            print_line(&message(Event::Finished(finished.clone())))?;
        } else if self.logprobs.is_some() {
            // Tokens stood on lines of their own: here is the answer as one text.
            println!("\n{}", finished.text);
        } else {
            println!();
        }
        let record = finished.provenance.unwrap_or_default();
        print_usage(&finished.usage.unwrap_or_default(), &record);
        if let Some(file) = &self.record {
            write_record(file, &record, images)?;
        }
        say_what_changed_nothing(&record)
    }

    fn request(&self, prompt: Prompt) -> GenerateRequest {
        GenerateRequest {
            model: self.model.name(),
            prompt: Some(prompt),
            interventions: self.interventions.interventions(),
            sampling: Some(self.answer.sampling()),
            max_tokens: self.answer.max_tokens,
            stop: self.answer.stop.clone(),
            top_logprobs: self.logprobs.unwrap_or_default(),
            sample_key: self.prompt.sample_key.clone(),
        }
    }

    fn print_token(&self, token: Token) -> Result<(), Failure> {
        if self.json {
            return print_line(&message(Event::Token(token)));
        }
        if self.logprobs.is_some() {
            println!("{}", token_line(&token));
            return Ok(());
        }
        print!("{}", token.text);
        Ok(())
    }
}

/// Returns an event as the stream has it.
fn message(event: Event) -> GenerateResponse {
    GenerateResponse { event: Some(event) }
}

/// Shows a token with its log-probability, and the likeliest in its place.
fn token_line(token: &Token) -> String {
    let text = format!("{:?}", token.text);
    let line = format!("{:>9.4}  {text:<16}", token.logprob);
    let others = token.top.iter();
    let others: Vec<String> = others
        .map(|t| format!("{:?} {:.4}", t.text, t.logprob))
        .collect();
    format!("{line}  {}", others.join("  "))
        .trim_end()
        .to_owned()
}

/// Prints what a request took, and the beginning of its record's digest.
pub(super) fn print_usage(usage: &Usage, record: &Provenance) {
    // To stderr: standard output is the answer's alone.
    eprintln!(
        "{} prompt tokens ({} visual), {} generated in {:.0} ms; record {}",
        usage.prompt_tokens,
        usage.image_tokens,
        usage.generation_tokens,
        1e3 * usage.total_seconds,
        record.digest.get(..16).unwrap_or_default()
    );
}

/// Names the interventions that fired and changed nothing, which seldom is what was meant.
pub(super) fn say_what_changed_nothing(record: &Provenance) -> Result<(), Failure> {
    for resolved in record.plan.iter().filter(|r| r.changed_nothing) {
        eprintln!(
            "note: an intervention changed nothing: {}",
            serde_json::to_string(&resolved.intervention)?
        );
    }
    Ok(())
}
