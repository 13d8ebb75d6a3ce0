//! Asks one item under every variant, and marks the answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Answer, Answering, EvaluationSpec, ItemResult, OptionScore};
use crate::benchmark::{Item, ItemLabel, Verdict, fill, filled_bytes};
use crate::engine;
use crate::field_path::shown;
use crate::model::Model;
use crate::pipeline::{
    self, Error, Finished, GenerateRequest, Image, Interventions, MAX_TEXT_BYTES, PromptInput,
    PromptText, RequestContext, Reservation, Runtime, ScoreRequest, Scored, SweepInput,
    SweepRequest, VariantOutcome, Variants,
};

/// Holds an item, with its pictures as the client sent them.
#[derive(Debug)]
pub struct Question {
    /// Holds the words; its own pictures and substitutes are empty.
    pub item: Item,
    /// Lists the pictures.
    pub images: Vec<Image>,
    /// Lists pictures to be shown in place of these, by a name that variants give.
    pub substitutes: BTreeMap<String, Vec<Image>>,
    /// Holds what its message takes, until it is answered.
    pub held: Option<Reservation>,
}

/// Asks an item under some variants.
#[derive(Debug)]
pub(super) struct ItemRequest {
    spec: Arc<EvaluationSpec>,
    item: Item,
    label: Arc<ItemLabel>,
    /// Holds the text of the prompt.
    text: String,
    /// Lists what is scored; empty: tokens are generated.
    options: Vec<String>,
    /// Lists a sweep for each set of pictures: its variants share what they have in common.
    sweeps: Vec<Sweep>,
    /// Lists answers of an earlier run, by variant, that lack a judge alone.
    unjudged: Vec<(usize, Answer)>,
    /// Held until it is answered.
    _held: Option<Reservation>,
}

/// Asks for some variants that show the same pictures.
#[derive(Debug)]
struct Sweep {
    variants: Vec<usize>,
    images: Result<Vec<Image>, Error>,
}

/// Holds the results of an item.
#[derive(Debug)]
pub(super) struct ItemOutcome {
    /// Lists the results, by variant.
    pub(super) results: Vec<ItemResult>,
    /// Says why something was not asked: the engine takes no requests any more, or not now.
    pub(super) cut_short_by: Option<engine::Error>,
}

impl ItemRequest {
    /// Prepares `question` under `variants`; `unjudged` holds answers of an earlier run.
    pub(super) fn new(
        spec: &Arc<EvaluationSpec>,
        question: Question,
        variants: &[usize],
        unjudged: Vec<(usize, Answer)>,
    ) -> Result<Self, Error> {
        let Question {
            mut item,
            images,
            substitutes,
            held,
        } = question;
        // Before anything is prepared: what is wrong with a question is its result.
        check(spec, &mut item)?;
        let (text, options) = (prompt_text(spec, &item)?, options(spec, &item)?);
        let label = ItemLabel {
            id: item.id.clone(),
            category: item.category.clone(),
            group: item.group.clone(),
        };
        Ok(Self {
            sweeps: by_pictures(spec, variants, &images, &substitutes),
            spec: spec.clone(),
            item,
            label: Arc::new(label),
            text,
            options,
            unjudged,
            _held: held,
        })
    }

    /// Returns the name of the item.
    pub(super) fn label(&self) -> &Arc<ItemLabel> {
        &self.label
    }

    /// Returns whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.sweeps.is_empty() && self.unjudged.is_empty()
    }

    /// Asks, marks and returns what came of it.
    pub(super) async fn run(mut self, runtime: &Runtime, context: &RequestContext) -> ItemOutcome {
        let unjudged = std::mem::take(&mut self.unjudged);
        // Their answers are known: they go to the judge beside those that are computed now.
        let mut found: Vec<(usize, Result<Answer, Arc<Error>>)> = unjudged
            .into_iter()
            .map(|(variant, answer)| (variant, Ok(answer)))
            .collect();
        let mut cut_short_by = None;
        // One after the other: what variants share, they share within a sweep.
        for sweep in std::mem::take(&mut self.sweeps) {
            match self.sweep(runtime, context, sweep).await {
                Ok(answers) => found.extend(answers),
                // What was answered before is told all the same; the rest is not a result.
                Err(Unavailable(error)) => cut_short_by = Some(error),
            }
        }
        let results = found
            .into_iter()
            .map(|(variant, outcome)| self.result(context, variant, outcome));
        ItemOutcome {
            // All verdicts at once: the judge itself bounds how many questions it answers at once.
            results: futures::future::join_all(results).await,
            cut_short_by,
        }
    }

    /// Returns the result under a variant, judged where that is needed.
    async fn result(
        &self,
        context: &RequestContext,
        variant: usize,
        outcome: Result<Answer, Arc<Error>>,
    ) -> ItemResult {
        let outcome = match outcome {
            Ok(answer) => Ok(self.judge(context, answer).await),
            Err(error) => Err(error),
        };
        ItemResult {
            label: self.label.clone(),
            variant: Some(variant),
            outcome,
        }
    }

    /// Runs one sweep; fails where the engine takes no requests any more, or not now.
    async fn sweep(
        &self,
        runtime: &Runtime,
        context: &RequestContext,
        sweep: Sweep,
    ) -> Result<Vec<(usize, Result<Answer, Arc<Error>>)>, Unavailable> {
        let Sweep { variants, images } = sweep;
        let swept = match images {
            Ok(images) => self.ask(runtime, context, &variants, images).await,
            Err(error) => Err(error),
        };
        match swept {
            Ok(outcomes) => Ok(variants
                .into_iter()
                .zip(outcomes)
                .map(|(variant, outcome)| {
                    let answer = outcome.map(|outcome| self.mark(outcome));
                    (variant, answer.map_err(|error| Arc::new(of_item(error))))
                })
                .collect()),
            // Else a server that goes down would turn all that is left into failures.
            Err(Error::Engine(error)) if error.is_unavailable() => Err(Unavailable(error)),
            Err(error) => {
                // All variants share the reason.
                let error = Arc::new(of_item(error));
                let failed = |variant| (variant, Err(error.clone()));
                Ok(variants.into_iter().map(failed).collect())
            }
        }
    }

    /// Asks under `variants`, and returns an outcome for each.
    async fn ask(
        &self,
        runtime: &Runtime,
        context: &RequestContext,
        variants: &[usize],
        images: Vec<Image>,
    ) -> Result<Vec<Result<VariantOutcome, Error>>, Error> {
        // Anew for each item: a run of hours must not keep a model from being unloaded.
        let model = runtime.models.get(&self.spec.model)?;
        let prompt = PromptInput {
            text: PromptText::Text(self.text.clone()),
            images,
            multi_image: self.spec.multi_image,
        };
        // Cloned: the source lives in the request, behind this call.
        let listed: Vec<Interventions> = variants
            .iter()
            .map(|&variant| self.spec.variants[variant].interventions.clone())
            .collect();
        let request = SweepRequest {
            input: self.input(context, model, prompt),
            variants: Variants::Listed {
                count: listed.len(),
                source: Box::new(move |i| Ok(listed[i].clone())),
            },
            // Many items are on their way: one that finds the queue full waits for its turn.
            patient: true,
        };
        pipeline::sweep_all(runtime, request).await
    }

    /// Returns what all variants have in common.
    fn input(
        &self,
        context: &RequestContext,
        model: Arc<Model>,
        prompt: PromptInput,
    ) -> SweepInput {
        // By the item: its random choices are the same in any order and any part of a benchmark.
        let (context, sample_key) = (context.clone(), self.item.id.clone());
        // Each variant brings all of its own.
        let interventions = Interventions::default();
        if self.options.is_empty() {
            return SweepInput::Generate(GenerateRequest {
                context,
                model,
                prompt,
                interventions,
                sampling: self.spec.sampling.clone(),
                max_tokens: self.spec.max_tokens,
                stop: Vec::new(),
                top_logprobs: 0,
                sample_key,
            });
        }
        let prefix = self.spec.option_prefix;
        let continuations = self.options.iter().map(|o| format!("{prefix}{o}"));
        SweepInput::Score(ScoreRequest {
            context,
            model,
            prompt,
            interventions,
            continuations: continuations.collect(),
            sample_key,
        })
    }

    fn mark(&self, outcome: VariantOutcome) -> Answer {
        match outcome {
            VariantOutcome::Generated(finished) => self.mark_text(finished),
            VariantOutcome::Scored(scored) => self.mark_options(scored),
        }
    }

    /// Reads an answer from what the model wrote.
    fn mark_text(&self, finished: Finished) -> Answer {
        let (answer, verdict) = self.spec.rule.score(&self.item, &finished.text);
        Answer {
            text: finished.text,
            answer: answer.unwrap_or_default(),
            verdict,
            logprob: Some(finished.logprob),
            options: Vec::new(),
            review: String::new(),
            record_digest: finished.provenance.digest,
            output_digest: finished.provenance.output_digest,
            usage: Some(finished.usage),
        }
    }

    /// Takes the likeliest option for the answer.
    fn mark_options(&self, scored: Scored) -> Answer {
        let (item, rule, best) = (&self.item, self.spec.rule, scored.best);
        let text = self.options[best].clone();
        let answer = match (item.letters().nth(best), item.options.get(best)) {
            (Some(letter), _) => letter.to_string(),
            // Options after the 26th have no letter.
            (None, Some(words)) => words.clone(),
            // Without options, yes or no was scored.
            (None, None) => text.to_lowercase(),
        };
        let mut verdict = rule.verdict(item, &answer);
        // Where answers are words, the option's words count.
        if let Some(words) = item.options.get(best).filter(|_| verdict == Verdict::Wrong) {
            verdict = rule.verdict(item, words);
            // Options of the same words are equally likely, and the first of them was taken.
            let right = item
                .answer_place()
                .filter(|&right| item.options[right] == *words);
            let right = right.and_then(|right| item.letters().nth(right));
            if let Some(letter) = right.filter(|_| self.options == item.options)
                && verdict == Verdict::Wrong
            {
                verdict = rule.verdict(item, &letter.to_string());
            }
        }
        let scores = self.options.iter().zip(&scored.scores);
        let scores = scores.map(|(option, score)| OptionScore {
            option: option.clone(),
            logprob: score.logprob,
            mean_logprob: score.mean_logprob,
        });
        Answer {
            text,
            answer,
            verdict,
            logprob: None,
            options: scores.collect(),
            review: String::new(),
            record_digest: scored.provenance.digest,
            output_digest: scored.provenance.output_digest,
            usage: Some(scored.usage),
        }
    }

    /// Returns `answer` as the judge marks it; a judge that fails leaves it as it is, and says why.
    async fn judge(&self, context: &RequestContext, mut answer: Answer) -> Answer {
        let (Some(judge), Some(task)) = (&self.spec.judge, self.spec.rule.judge_prompt) else {
            return answer;
        };
        if !self
            .spec
            .wants_judge(&answer.text, !answer.options.is_empty())
        {
            return answer;
        }
        // The item has what the prompt needs, or it had been refused.
        let Some(question) = task.ask(judge.template(task), &self.item, &answer.text) else {
            return answer;
        };
        match judge.ask(&context.client, question).await {
            Ok(reply) => {
                // A reply that cannot be read leaves the verdict of the rule.
                if let Some((read, verdict)) = self.spec.rule.read_reply(task, &self.item, &reply) {
                    answer.answer = read.unwrap_or(answer.answer);
                    answer.verdict = verdict;
                }
                answer.review = reply;
            }
            Err(why) => {
                answer.verdict = Verdict::Unjudged;
                answer.review = why;
            }
        }
        answer
    }
}

/// Says that the engine takes no requests: what has not been asked is not asked any more.
struct Unavailable(engine::Error);

/// Checks an item against its rule, and fills in its group.
fn check(spec: &EvaluationSpec, item: &mut Item) -> Result<(), Error> {
    let (rule, most) = (spec.rule, spec.rule.options);
    if item.options.len() > most {
        let (given, name) = (item.options.len(), rule.name());
        let message = format!("{given} given; at most {most} are taken by {name}");
        return Err(Error::invalid("sample.options", message));
    }
    if item.question.is_empty() {
        return Err(Error::invalid("sample.question", "empty"));
    }
    // Some benchmarks count by pairs or pictures, which their rules read from other columns.
    item.group = (rule.group)(item).ok_or_else(|| {
        let name = rule.name();
        let message = format!("empty; {name} counts by it, and no other column says it");
        Error::invalid("sample.group", message)
    })?;
    // Before the model is asked: an answer that nobody can judge is wasted.
    if let (Some(_), Some(task)) = (&spec.judge, rule.judge_prompt)
        && task.ask("", item, "").is_none()
    {
        let message = "empty; the judge needs a reference";
        return Err(Error::invalid("sample.answer", message));
    }
    Ok(())
}

/// Returns the text of the prompt.
fn prompt_text(spec: &EvaluationSpec, item: &Item) -> Result<String, Error> {
    let Some(template) = &spec.prompt_template else {
        return Ok((spec.rule.prompt)(item));
    };
    let listed = item.listed();
    let values = [
        ("question", &*item.question),
        ("hint", &*item.hint),
        ("options", &*listed),
    ];
    // Before it is filled in: a template may name a value many times.
    let bytes = filled_bytes(template, &values);
    if bytes > MAX_TEXT_BYTES {
        let message = format!(
            "with it header.custom.prompt comes to {bytes} bytes; \
             at most {MAX_TEXT_BYTES} are taken"
        );
        return Err(Error::invalid("sample.question", message));
    }
    Ok(fill(template, &values))
}

/// Returns what is scored; empty: tokens are generated.
fn options(spec: &EvaluationSpec, item: &Item) -> Result<Vec<String>, Error> {
    let options = match spec.answering {
        Answering::Generate => return Ok(Vec::new()),
        _ if item.options.is_empty() => yes_or_no(&item.answer),
        Answering::OptionTexts => item.options.clone(),
        Answering::OptionLetters => item.letters().map(String::from).collect(),
    };
    if options.is_empty() {
        let message = "empty; without options only yes and no are scored";
        return Err(Error::invalid("sample.options", message));
    }
    Ok(options)
}

/// Returns yes and no as `answer` spells them; nothing where it is neither.
fn yes_or_no(answer: &str) -> Vec<String> {
    match answer {
        "yes" | "no" => vec!["yes".into(), "no".into()],
        // Spelled as the answer is: other letters are other tokens.
        other if ["yes", "no"].contains(&&*other.to_lowercase()) => {
            vec!["Yes".into(), "No".into()]
        }
        _ => Vec::new(),
    }
}

/// Groups `variants` by the pictures that they show.
fn by_pictures(
    spec: &EvaluationSpec,
    variants: &[usize],
    own: &[Image],
    substitutes: &BTreeMap<String, Vec<Image>>,
) -> Vec<Sweep> {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    for &variant in variants {
        let pictures = spec.variants[variant].pictures.as_str();
        match groups.iter_mut().find(|(name, _)| *name == pictures) {
            // Groups in the order of their first variant, so that a run asks in the order of its
            // list.
            Some((_, group)) => group.push(variant),
            None => groups.push((pictures, vec![variant])),
        }
    }
    let sweeps = groups.into_iter().map(|(name, variants)| Sweep {
        variants,
        images: pictures(name, own, substitutes),
    });
    sweeps.collect()
}

/// Returns the pictures of that name; the item's own where it is empty.
fn pictures(
    name: &str,
    own: &[Image],
    substitutes: &BTreeMap<String, Vec<Image>>,
) -> Result<Vec<Image>, Error> {
    if name.is_empty() {
        return Ok(own.to_vec());
    }
    let found = substitutes.get(name).cloned();
    found.ok_or_else(|| {
        let message = format!("it has no pictures {}", shown(name));
        Error::invalid("sample.substitutes", message)
    })
}

/// Returns `error` with the field of the item in place of that of the request made from it.
fn of_item(mut error: Error) -> Error {
    if let Some(field) = error.field_mut() {
        // The field `prompt` as a whole has no counterpart.
        if field.segments().len() > 1 {
            field.rebase(&"prompt".into(), &"sample".into());
        }
    }
    error
}
