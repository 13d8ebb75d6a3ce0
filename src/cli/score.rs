//! `scotoma score`: how likely given answers are.

use std::path::PathBuf;

use clap::Args;
use scotoma_client::v1::Prompt;
use scotoma_client::{Client, ScoreRequest, ScoreResponse};

use super::error::Failure;
use super::generate::{print_usage, say_what_changed_nothing};
use super::intervention_args::InterventionArgs;
use super::json_output::print_line;
use super::model_args::ModelArgs;
use super::prompt_args::{PromptArgs, pictures};
use super::replay::write_record;

/// Flags of `score`.
#[derive(Debug, Args)]
pub(super) struct Score {
    #[command(flatten)]
    prompt: PromptArgs,
    /// Answer to score, such as Yes. Repeat for several
    ///
    /// No space is added before it: write ' yes' where the model would write a space first.
    #[arg(short, long, value_name = "TEXT", required = true)]
    continuation: Vec<String>,
    #[command(flatten)]
    model: ModelArgs,
    /// Print each token of the answers with its log-probability
    #[arg(long, conflicts_with = "json")]
    logprobs: bool,
    /// Print JSON: the ScoreResponse, which has the tokens
    #[arg(long)]
    json: bool,
    /// Write the record of the scores, with its pictures, to this file, for `scotoma replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    interventions: InterventionArgs,
}

impl Score {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let prompt = self.prompt.prompt()?;
        self.model
            .with_client(async |client| self.score(client, prompt).await)
            .await
    }

    async fn score(&self, mut client: Client, prompt: Prompt) -> Result<(), Failure> {
        let images = pictures(&prompt);
        let request = ScoreRequest {
            model: self.model.name(),
            prompt: Some(prompt),
            interventions: self.interventions.interventions(),
            continuations: self.continuation.clone(),
            sample_key: self.prompt.sample_key.clone(),
        };
        let scored = client.score(request).await?;
        if self.json {
            print_line(&scored)?;
        } else {
            self.print(&scored);
        }
        let record = scored.provenance.unwrap_or_default();
        print_usage(&scored.usage.unwrap_or_default(), &record);
        if let Some(file) = &self.record {
            write_record(file, &record, images)?;
        }
        say_what_changed_nothing(&record)
    }

    fn print(&self, scored: &ScoreResponse) {
        println!(
            "{:>4} {:>12} {:>12} {:>7}  continuation",
            "", "mean logprob", "logprob", "tokens"
        );
        for (i, (text, score)) in self.continuation.iter().zip(&scored.scores).enumerate() {
            // As the benchmarks choose: by the mean, so that a long answer is not at a loss.
            let mark = if scored.best as usize == i {
                "best"
            } else {
                ""
            };
            println!(
                "{mark:>4} {:>12.5} {:>12.5} {:>7}  {text:?}",
                score.mean_logprob,
                score.logprob,
                score.tokens.len()
            );
            if self.logprobs {
                for token in &score.tokens {
                    println!("{:>30.5}          {:?}", token.logprob, token.text);
                }
            }
        }
    }
}
