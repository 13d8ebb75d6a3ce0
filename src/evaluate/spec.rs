//! Says how a benchmark is run: all that is known before the first item.

use super::Judge;
use crate::benchmark::Rule;
use crate::model::{self, Message, MessagePart, Model, Role};
use crate::pipeline::{Interventions, MultiImage, SamplingParams};

/// Bounds the variants of a run.
pub const MAX_VARIANTS: usize = 4096;

/// Says how every item is asked, and what its answers are worth.
#[derive(Debug)]
pub struct EvaluationSpec {
    /// Names the resident model. It is looked up for each item, so that a run holds no model that
    /// is unloaded.
    pub model: String,
    /// Puts questions and marks answers.
    pub rule: &'static Rule,
    /// Replaces the rule's prompt; {question}, {hint} and {options} are filled in.
    pub prompt_template: Option<String>,
    /// Lists what every item is asked under; at least one, of different names.
    pub variants: Vec<EvaluationVariant>,
    /// Says how answers come about.
    pub answering: Answering,
    /// Separates a prompt from an option that is scored: a space, unless the prompt ends with one.
    pub option_prefix: &'static str,
    /// Says how tokens are chosen.
    pub sampling: SamplingParams,
    /// Bounds the tokens of an answer.
    pub max_tokens: u32,
    /// Says how several pictures of one question are prepared.
    pub multi_image: MultiImage,
    /// Reports metrics after this many results, and after not less than a share of all so far.
    pub progress_every: u32,
    /// Judges what the rule cannot; `None`: nobody does.
    pub judge: Option<Judge>,
}

/// Names interventions and pictures that every item is asked under.
#[derive(Debug, Clone)]
pub struct EvaluationVariant {
    /// Names it in results.
    pub name: String,
    /// Lists its interventions, every seed drawn.
    pub interventions: Interventions,
    /// Names the substitutes that are shown; empty: the item's own pictures.
    pub pictures: String,
}

/// Says how answers come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answering {
    /// Generates tokens, and reads the answer from them.
    Generate,
    /// Takes the option whose letter is the likeliest; without options yes or no.
    OptionLetters,
    /// Takes the option whose words are the likeliest.
    OptionTexts,
}

impl EvaluationSpec {
    /// Returns whether `answer` wants a judge.
    pub(super) fn wants_judge(&self, text: &str, was_scored: bool) -> bool {
        let needed = self
            .rule
            .judge_prompt
            .is_some_and(|task| task.is_needed(text));
        self.judge.is_some() && needed && !was_scored
    }
}

/// Returns what separates the prompts of `model` from an option that is scored: a space, unless its
/// chat template ends with one.
pub fn option_prefix(model: &Model) -> Result<&'static str, model::Error> {
    let question = Message {
        role: Role::User,
        // Any question will do, since the end of a prompt is the template's.
        parts: vec![MessagePart::Text("?".into())],
    };
    let prompt = model.render(&[question], None)?.text;
    Ok(if prompt.ends_with(char::is_whitespace) {
        ""
    } else {
        " "
    })
}
