//! Processes the logits of a step before a token is chosen.
//!
//! Agrees with the logits processors of Hugging Face's transformers, in f32 and in its order.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Processors;

/// The state of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sofar<'a> {
    pub(super) prompt: &'a [u32],
    pub(super) answer: &'a [u32],
    /// Tokens that end it.
    pub(super) eos: &'a [u32],
    /// Tokens that it has room for.
    pub(super) room: usize,
}

impl Sofar<'_> {
    fn length(&self) -> usize {
        self.prompt.len() + self.answer.len()
    }

    fn tokens(&self) -> Vec<u32> {
        [self.prompt, self.answer].concat()
    }
}

/// Changes `logits (V)`, those of the next token.
pub(super) fn process(processors: &Processors, sofar: Sofar<'_>, logits: &mut [f32]) {
    // Prompt and answer: what transformers calls `input_ids`, image tokens included.
    let tokens = sofar.tokens();
    add_biases(processors, &tokens, logits);
    // The inverse, as in EncoderRepetitionPenaltyLogitsProcessor: tokens of the prompt are
    // favoured.
    if let Some(penalty) = processors.encoder_repetition_penalty {
        penalise((1.0 / penalty) as f32, sofar.prompt, logits);
    }
    if let Some(penalty) = processors.repetition_penalty {
        penalise(penalty as f32, &tokens, logits);
    }
    if let Some(size) = processors.no_repeat_ngram_size {
        hide_repeats(size, &tokens, &tokens, logits);
    }
    if let Some(size) = processors.encoder_no_repeat_ngram_size {
        hide_repeats(size, sofar.prompt, &tokens, logits);
    }
    hide_bad_words(processors, sofar, &tokens, logits);
    // As `_prepare_generated_length` of transformers: min_new_tokens takes the place of min_length.
    let short = match (processors.min_new_tokens, processors.min_length) {
        (Some(least), _) => sofar.answer.len() < least,
        (None, least) => least.is_some_and(|least| tokens.len() < least),
    };
    if short {
        hide(sofar.eos, logits);
    }
    // As ForcedBOSTokenLogitsProcessor: only where the prompt is one token, the start token of a
    // decoder that reads from an encoder.
    if let Some(id) = processors
        .forced_bos_token_id
        .filter(|_| sofar.length() == 1)
    {
        force(&[id], logits);
    }
    if !processors.forced_eos_token_id.is_empty() && sofar.answer.len() + 1 == sofar.room {
        force(&processors.forced_eos_token_id, logits);
    }
    if let Some((start, factor)) = processors.exponential_decay_length_penalty
        && sofar.answer.len() > start
    {
        let power = i32::try_from(sofar.answer.len() - start).unwrap_or(i32::MAX);
        let growth = (factor.powi(power) - 1.0) as f32;
        // An end that is hidden stays so.
        let ends = sofar
            .eos
            .iter()
            .filter_map(|&id| index(logits, id))
            .filter(|&i| logits[i].is_finite());
        for i in ends.collect::<BTreeSet<_>>() {
            logits[i] += logits[i].abs() * growth;
        }
    }
    hide(&processors.suppress_tokens, logits);
    // Where the first token of all is forced, the second one begins.
    let begin = usize::from(sofar.prompt.len() <= 1 && processors.forced_bos_token_id.is_some());
    if sofar.answer.len() == begin {
        hide(&processors.begin_suppress_tokens, logits);
    }
}

fn index(logits: &[f32], id: u32) -> Option<usize> {
    Some(id as usize).filter(|&i| i < logits.len())
}

fn hide(ids: &[u32], logits: &mut [f32]) {
    for &id in ids {
        if let Some(logit) = logits.get_mut(id as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

fn force(ids: &[u32], logits: &mut [f32]) {
    logits.fill(f32::NEG_INFINITY);
    for &id in ids {
        if let Some(logit) = logits.get_mut(id as usize) {
            // Any finite number would do, beside nothing but minus infinity; this is transformers'.
            *logit = 0.0;
        }
    }
}

/// Divides the logits of `ids` that are above 0 by `penalty`, and multiplies those below.
fn penalise(penalty: f32, ids: &[u32], logits: &mut [f32]) {
    for i in ids
        .iter()
        .filter_map(|&id| index(logits, id))
        .collect::<BTreeSet<_>>()
    {
        // Once each, however often a token stands there: transformers gathers and scatters one
        // logit per id.
        logits[i] = if logits[i] < 0.0 {
            logits[i] * penalty
        } else {
            logits[i] / penalty
        };
    }
}

/// Hides the tokens that would complete a sequence of `size` tokens that stands in `read`.
fn hide_repeats(size: usize, read: &[u32], tokens: &[u32], logits: &mut [f32]) {
    // `size` is at least 1: whoever reads a count of 0 takes it for none.
    // Too short for any repeat; below, the slice of `size - 1` tokens would not exist.
    if tokens.len() < size {
        return;
    }
    let end = &tokens[tokens.len() + 1 - size..];
    let repeated: Vec<u32> = read
        .windows(size)
        .filter(|w| w[..size - 1] == *end)
        .filter_map(|w| w.last().copied())
        .collect();
    hide(&repeated, logits);
}

/// Returns the last token of `sequence`, if `tokens` end with those before it.
fn completes(sequence: &[u32], tokens: &[u32]) -> Option<u32> {
    let (last, before) = sequence.split_last()?;
    // As transformers has it: a sequence as long as all tokens so far counts, a longer one does
    // not.
    (sequence.len() == 1 || (sequence.len() <= tokens.len() && tokens.ends_with(before)))
        .then_some(*last)
}

fn add_biases(processors: &Processors, tokens: &[u32], logits: &mut [f32]) {
    let mut single = BTreeMap::new();
    let mut sums: BTreeMap<u32, f32> = BTreeMap::new();
    // As SequenceBiasLogitsProcessor: of several biases for one token the last counts, those that
    // end a longer sequence are added.
    for (sequence, bias) in &processors.sequence_bias {
        if let [id] = sequence[..] {
            single.insert(id, *bias as f32);
        }
    }
    sums.extend(single);
    for (sequence, bias) in processors
        .sequence_bias
        .iter()
        .filter(|(sequence, _)| sequence.len() > 1)
    {
        if let Some(id) = completes(sequence, tokens) {
            *sums.entry(id).or_default() += *bias as f32;
        }
    }
    for (id, bias) in sums {
        if let Some(logit) = logits.get_mut(id as usize) {
            *logit += bias;
        }
    }
}

fn hide_bad_words(processors: &Processors, sofar: Sofar<'_>, tokens: &[u32], logits: &mut [f32]) {
    // As in transformers: an end token alone is no bad word.
    let is_end = |word: &[u32]| matches!(word, [id] if sofar.eos.contains(id));
    let words = processors.bad_words_ids.iter().filter(|word| !is_end(word));
    let ids: Vec<u32> = words.filter_map(|word| completes(word, tokens)).collect();
    hide(&ids, logits);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processed(processors: &Processors, prompt: &[u32], answer: &[u32]) -> Vec<f32> {
        let mut logits = vec![-2.0, 1.0, 3.0, 0.5];
        process(
            processors,
            Sofar {
                prompt,
                answer,
                eos: &[3],
                room: 3,
            },
            &mut logits,
        );
        logits
    }

    const NONE: f32 = f32::NEG_INFINITY;

    #[test]
    fn each_does_its_part() {
        let base = Processors::default;
        assert_eq!(processed(&base(), &[0, 2], &[]), [-2.0, 1.0, 3.0, 0.5]);
        let penalty = Processors {
            repetition_penalty: Some(2.0),
            ..base()
        };
        assert_eq!(processed(&penalty, &[0, 2, 9], &[2]), [-4.0, 1.0, 1.5, 0.5]);
        let twice = Processors {
            no_repeat_ngram_size: Some(2),
            ..base()
        };
        assert_eq!(processed(&twice, &[2, 1, 2], &[]), [-2.0, NONE, 3.0, 0.5]);
        let words = Processors {
            bad_words_ids: vec![vec![3], vec![0, 2], vec![1]],
            ..base()
        };
        assert_eq!(processed(&words, &[1], &[0]), [-2.0, NONE, NONE, 0.5]);
        let least = Processors {
            min_new_tokens: Some(1),
            min_length: Some(9),
            ..base()
        };
        assert_eq!(processed(&least, &[1], &[]), [-2.0, 1.0, 3.0, NONE]);
        assert_eq!(processed(&least, &[1], &[1]), [-2.0, 1.0, 3.0, 0.5]);
        let end = Processors {
            forced_eos_token_id: vec![3],
            ..base()
        };
        assert_eq!(processed(&end, &[1], &[1, 1]), [NONE, NONE, NONE, 0.0]);
        let decay = Processors {
            exponential_decay_length_penalty: Some((0, 3.0)),
            ..base()
        };
        assert_eq!(processed(&decay, &[1], &[1]), [-2.0, 1.0, 3.0, 1.5]);
        let begin = Processors {
            begin_suppress_tokens: vec![2],
            suppress_tokens: vec![0, 99],
            ..base()
        };
        assert_eq!(processed(&begin, &[1, 1], &[]), [NONE, 1.0, NONE, 0.5]);
        assert_eq!(processed(&begin, &[1, 1], &[1]), [NONE, 1.0, 3.0, 0.5]);
        let bias = Processors {
            sequence_bias: vec![(vec![1], 0.5), (vec![2, 1], 0.25)],
            ..base()
        };
        assert_eq!(processed(&bias, &[0, 2], &[]), [-2.0, 1.75, 3.0, 0.5]);
    }
}
