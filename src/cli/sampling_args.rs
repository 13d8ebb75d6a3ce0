//! Sampling, as flags.

use clap::Args;
use scotoma_client::Sampling;

/// Heading of these flags in help texts.
const HEADING: &str = "Sampling";

/// Settings that are not given come from the model's generation_config.json: greedy decoding under
/// its penalties and forbidden tokens.
#[derive(Debug, Default, Args)]
pub(super) struct SamplingArgs {
    /// Sample at this temperature; 0 takes the likeliest token
    #[arg(help_heading = HEADING, long, default_value_t = 0.0, value_name = "T")]
    temperature: f64,
    /// Sample from the K likeliest tokens; 0 for all
    #[arg(help_heading = HEADING, long, default_value_t = 0, value_name = "K")]
    top_k: u32,
    /// Sample from the likeliest tokens whose probabilities add up to P
    #[arg(help_heading = HEADING, long, value_name = "P")]
    top_p: Option<f64>,
    /// Sample from the tokens whose probability is at least P times that of the likeliest
    #[arg(help_heading = HEADING, long, value_name = "P")]
    min_p: Option<f64>,
    /// Seed of the sampling. Default: the server draws one
    #[arg(help_heading = HEADING, long)]
    seed: Option<u64>,
    /// Sample, with the model's generation_config.json for the settings that are not given
    #[arg(help_heading = HEADING, long)]
    do_sample: bool,
    /// Divide the logits of all tokens so far by this penalty; 1 for none
    #[arg(help_heading = HEADING, long, value_name = "PENALTY")]
    repetition_penalty: Option<f64>,
    /// Forbid every sequence of N tokens to come twice; 0 for none
    #[arg(help_heading = HEADING, long, value_name = "N")]
    no_repeat_ngram_size: Option<u32>,
    /// Generate at least N tokens before the answer may end
    #[arg(help_heading = HEADING, long, value_name = "N")]
    min_tokens: Option<u32>,
    /// Ignore the model's generation_config.json
    #[arg(help_heading = HEADING, long)]
    ignore_generation_config: bool,
}

impl SamplingArgs {
    /// Returns the settings as a message of the contract.
    pub(super) fn message(&self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            seed: self.seed,
            do_sample: self.do_sample,
            repetition_penalty: self.repetition_penalty,
            no_repeat_ngram_size: self.no_repeat_ngram_size,
            min_tokens: self.min_tokens,
            ignore_generation_config: self.ignore_generation_config,
            ..Sampling::default()
        }
    }
}
