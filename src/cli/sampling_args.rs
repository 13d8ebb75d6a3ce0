//! Takes how an answer is chosen and where it ends, as flags.

use std::str::FromStr;

use clap::Args;
use scotoma_client::Sampling;

/// Heading of these flags in help texts.
const HEADING: &str = "Sampling";

/// The end of an answer, and the choice of its tokens.
#[derive(Debug, Default, Clone, Args)]
pub(super) struct AnswerArgs {
    /// Most tokens of the answer; 0 leaves it to the server
    #[arg(help_heading = HEADING, long, default_value_t = 0, value_name = "N")]
    pub(super) max_tokens: u32,
    /// Text before which the answer ends. Repeat for several
    #[arg(help_heading = HEADING, long, value_name = "TEXT")]
    pub(super) stop: Vec<String>,
    #[command(flatten)]
    sampling: SamplingArgs,
}

impl AnswerArgs {
    /// Returns the choice of tokens as a message of the contract.
    pub(super) fn sampling(&self) -> Sampling {
        self.sampling.message()
    }
}

/// Settings that are not given come from the model's generation_config.json: greedy decoding under
/// its penalties and forbidden tokens.
#[derive(Debug, Default, Clone, Args)]
struct SamplingArgs {
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
    /// Sample from the tokens that surprise about as much as expected, up to P in all
    #[arg(help_heading = HEADING, long, value_name = "P")]
    typical_p: Option<f64>,
    /// Sample from the likeliest tokens that hold this share of the entropy of the first hundred
    #[arg(help_heading = HEADING, long, value_name = "SHARE")]
    top_h: Option<f64>,
    /// Sample from the tokens whose probability is at least P
    #[arg(help_heading = HEADING, long, value_name = "P")]
    epsilon_cutoff: Option<f64>,
    /// Sample from the tokens whose probability is at least P, less where much is likely
    #[arg(help_heading = HEADING, long, value_name = "P")]
    eta_cutoff: Option<f64>,
    /// Seed of the sampling. Default: the server draws one
    #[arg(help_heading = HEADING, long)]
    seed: Option<u64>,
    /// Sample as transformers' do_sample does
    ///
    /// Settings that are not given are then those of the model's generation_config.json, or
    /// transformers' own.
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
    /// Tokens that never come, by their numbers, such as 29871,13
    #[arg(help_heading = HEADING, long, value_name = "TOKENS", value_delimiter = ',')]
    suppress_tokens: Vec<u32>,
    /// Add B to the logit of a token, by its number. Repeat for several
    #[arg(
        help_heading = HEADING,
        long,
        value_name = "TOKEN=B",
        value_parser = bias,
        allow_hyphen_values = true
    )]
    logit_bias: Vec<(u32, f64)>,
    /// Ignore the model's generation_config.json
    #[arg(help_heading = HEADING, long)]
    ignore_generation_config: bool,
}

fn bias(text: &str) -> Result<(u32, f64), String> {
    let parsed = text
        .split_once('=')
        .and_then(|(token, by)| Some((u32::from_str(token).ok()?, f64::from_str(by).ok()?)));
    parsed.ok_or_else(|| "TOKEN=B is needed, two numbers, such as 3869=-2.5".into())
}

impl SamplingArgs {
    fn message(&self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            typical_p: self.typical_p,
            top_h: self.top_h,
            epsilon_cutoff: self.epsilon_cutoff,
            eta_cutoff: self.eta_cutoff,
            seed: self.seed,
            do_sample: self.do_sample,
            repetition_penalty: self.repetition_penalty,
            no_repeat_ngram_size: self.no_repeat_ngram_size,
            min_tokens: self.min_tokens,
            suppress_tokens: self.suppress_tokens.clone(),
            logit_bias: self.logit_bias.iter().copied().collect(),
            ignore_generation_config: self.ignore_generation_config,
        }
    }
}
