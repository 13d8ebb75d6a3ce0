//! How tokens are chosen, as flags.

use clap::Args;
use scotoma_client::Sampling;

/// Under which help lists them.
const HEADING: &str = "Sampling";

/// What is not said is the model's: greedy, under the penalties and the forbidden tokens of its
/// generation_config.json.
#[derive(Debug, Default, Args)]
pub(super) struct SamplingFlags {
    /// Draw tokens, logits divided by this; 0 is greedy
    #[arg(help_heading = HEADING, long, default_value_t = 0.0, value_name = "T")]
    temperature: f64,
    /// Draw from the K likeliest tokens; 0 for all
    #[arg(help_heading = HEADING, long, default_value_t = 0, value_name = "K")]
    top_k: u32,
    /// Draw from the likeliest tokens that together reach this probability
    #[arg(help_heading = HEADING, long, value_name = "P")]
    top_p: Option<f64>,
    /// Draw from the tokens that are at least so likely as this share of the likeliest
    #[arg(help_heading = HEADING, long, value_name = "P")]
    min_p: Option<f64>,
    /// Seed of the draws; the server draws one without
    #[arg(help_heading = HEADING, long)]
    seed: Option<u64>,
    /// Draw as the model's generation_config.json says, where nothing else is said
    #[arg(help_heading = HEADING, long)]
    do_sample: bool,
    /// Divide the logits of all tokens so far by this; 1 for none
    #[arg(help_heading = HEADING, long, value_name = "PENALTY")]
    repetition_penalty: Option<f64>,
    /// Let no sequence of N tokens come twice; 0 for none
    #[arg(help_heading = HEADING, long, value_name = "N")]
    no_repeat_ngram_size: Option<u32>,
    /// Let the answer not end before it has N tokens
    #[arg(help_heading = HEADING, long, value_name = "N")]
    min_tokens: Option<u32>,
    /// Take nothing from the model's generation_config.json
    #[arg(help_heading = HEADING, long)]
    ignore_generation_config: bool,
}

impl SamplingFlags {
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
