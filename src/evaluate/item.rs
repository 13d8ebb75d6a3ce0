//! A sample of a benchmark: what it asks of the model under every variant, and what its answers are
//! worth.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::inference::sweep_all;
use super::judge::Judge;
use super::v1::{self, evaluate_header::Rules, sweep_result};
use super::{Error, State};
use crate::benchmark::{Item, Label, Rule, Verdict, data, fill, filled_bytes};
use crate::pipeline::{MAX_TEXT_BYTES, RequestContext};

/// What is done with every sample.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) header: v1::EvaluateHeader,
    pub(super) rule: &'static Rule,
    /// How the columns of rows are read.
    pub(super) reading: data::Reading,
    /// What stands before an option that is scored: a space, unless the prompt ends with one.
    pub(super) space: &'static str,
    /// Judges what the rule cannot.
    pub(super) judge: Option<Judge>,
}

/// A sample on its way.
pub(super) struct Asked {
    plan: Arc<Plan>,
    item: Item,
    pub(super) label: Arc<Label>,
    /// The numbers of variants, and what they ask for; one for each set of pictures.
    requests: Vec<(Vec<usize>, Result<v1::SweepRequest, Error>)>,
    /// Answers of an earlier run that want a judge alone.
    answered: Vec<v1::SampleResult>,
}

/// What became of a sample.
pub(super) struct Answered {
    pub(super) label: Arc<Label>,
    pub(super) results: Vec<v1::SampleResult>,
    /// Whether something was not asked because the server goes down.
    pub(super) drained: bool,
}

/// What a client has sent with a row.
struct Sent(HashMap<String, Vec<u8>>);

impl data::Source for Sent {
    fn file(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let missing = || {
            format!(
                "{name}: no picture of that name came with the row: there is none beside the table, or its ending says otherwise"
            )
        };
        self.0.get(name).cloned().ok_or_else(missing)
    }

    fn row(&mut self, index: &str) -> Result<Vec<u8>, String> {
        Err(format!(
            "it names row {index}; the picture itself is needed here"
        ))
    }
}

/// The id and the sample of a row whose columns are read as `reading` says.
pub(super) fn of_row(row: v1::Row, reading: &data::Reading) -> (String, Result<v1::Sample, Error>) {
    // Parquet files have no lines.
    let (unit, at) = if row.line == 0 {
        ("row", row.number)
    } else {
        ("line", row.line)
    };
    let wrong = |message: String| Error::invalid("row", format!("{unit} {at}: {message}"));
    let texts = |cells: HashMap<String, String>| {
        cells
            .into_iter()
            .map(|(name, text)| (name, text.into()))
            .collect()
    };
    let cells = if row.json.is_empty() {
        Ok(texts(row.cells))
    } else {
        data::cells(&row.json)
    };
    let cells: data::Cells = match cells {
        Ok(cells) => cells,
        Err(message) => return (String::new(), Err(wrong(message))),
    };
    let place = data::Place {
        reading,
        number: row.number,
        pictured: !row.images.is_empty(),
    };
    let id = data::id_of(&cells, place);
    let mapped = data::map(cells, place, &mut Sent(row.files));
    let sample = mapped.map(|mapped| {
        let mut sample = sample(mapped.item);
        if !row.images.is_empty() {
            sample.images = row.images;
        }
        sample
    });
    (id, sample.map_err(wrong))
}

/// An item as Evaluate takes it.
pub fn sample(item: Item) -> v1::Sample {
    let image = |data| v1::Image {
        source: Some(v1::image::Source::Data(data)),
    };
    let images = |all: Vec<Vec<u8>>| all.into_iter().map(image).collect();
    let substitutes = item.substitutes.into_iter();
    v1::Sample {
        id: item.id,
        images: images(item.images),
        question: item.question,
        hint: item.hint,
        options: item.options,
        answer: item.answer,
        category: item.category,
        group: item.group,
        fields: item.fields.into_iter().collect(),
        substitutes: substitutes
            .map(|(name, all)| {
                (
                    name,
                    v1::Pictures {
                        images: images(all),
                    },
                )
            })
            .collect(),
    }
}

impl Plan {
    /// What `sample` asks under `variants`; `answered` holds results that only lack a verdict.
    pub(super) fn ask(
        self: &Arc<Self>,
        sample: v1::Sample,
        variants: &[usize],
        answered: Vec<v1::SampleResult>,
    ) -> Result<Asked, Error> {
        let (rule, most) = (self.rule, self.rule.options);
        if sample.options.len() > most {
            let message = format!(
                "{} given; at most {most} are taken by {}",
                sample.options.len(),
                rule.name()
            );
            return Err(Error::invalid("sample.options", message));
        }
        if sample.question.is_empty() {
            return Err(Error::invalid("sample.question", "empty"));
        }
        let (images, substitutes) = (sample.images, sample.substitutes);
        let mut item = Item {
            id: sample.id,
            images: Vec::new(),
            question: sample.question,
            hint: sample.hint,
            options: sample.options,
            answer: sample.answer,
            category: sample.category,
            group: sample.group,
            fields: sample.fields.into_iter().collect(),
            substitutes: BTreeMap::new(),
        };
        item.group = (rule.group)(&item).ok_or_else(|| {
            Error::invalid(
                "sample.group",
                format!(
                    "empty; {} counts by it, and no other column says it",
                    rule.name()
                ),
            )
        })?;
        if let (Some(_), Some(task)) = (&self.judge, rule.task)
            && task.ask("", &item, "").is_none()
        {
            return Err(Error::invalid(
                "sample.answer",
                "empty; the judge needs a reference",
            ));
        }
        let text = match &self.header.rules {
            Some(Rules::Custom(custom)) => {
                let listed = item.listed();
                let values = [
                    ("question", &*item.question),
                    ("hint", &*item.hint),
                    ("options", &*listed),
                ];
                let bytes = filled_bytes(&custom.prompt, &values);
                if bytes > MAX_TEXT_BYTES {
                    let message = format!(
                        "with it header.custom.prompt comes to {bytes} bytes; at most {MAX_TEXT_BYTES} are taken"
                    );
                    return Err(Error::invalid("sample.question", message));
                }
                fill(&custom.prompt, &values)
            }
            _ => (rule.prompt)(&item),
        };
        let mut by_pictures: Vec<(&str, Vec<usize>)> = Vec::new();
        for &variant in variants {
            let pictures = self.header.variants[variant].pictures.as_str();
            match by_pictures.iter_mut().find(|(name, _)| *name == pictures) {
                Some((_, own)) => own.push(variant),
                None => by_pictures.push((pictures, vec![variant])),
            }
        }
        let mut requests = Vec::new();
        for (name, variants) in by_pictures {
            let images = match (name, substitutes.get(name)) {
                ("", _) => Ok(images.clone()),
                (_, Some(found)) => Ok(found.images.clone()),
                (_, None) => Err(Error::invalid(
                    "sample.substitutes",
                    format!("it has no pictures {name:?}"),
                )),
            };
            let request = match images {
                Ok(images) => {
                    let multi_image = self.header.multi_image;
                    let prompt = v1::Prompt {
                        text: text.clone(),
                        images,
                        multi_image,
                        ..Default::default()
                    };
                    Ok(self.request(&item, prompt, &variants)?)
                }
                Err(error) => Err(error),
            };
            requests.push((variants, request));
        }
        let Item {
            id,
            category,
            group,
            ..
        } = &item;
        let label = Label {
            id: id.clone(),
            category: category.clone(),
            group: group.clone(),
        };
        Ok(Asked {
            plan: self.clone(),
            item,
            label: Arc::new(label),
            requests,
            answered,
        })
    }

    fn request(
        &self,
        item: &Item,
        prompt: v1::Prompt,
        variants: &[usize],
    ) -> Result<v1::SweepRequest, Error> {
        let (model, sample_key) = (self.header.model.clone(), item.id.clone());
        let input = match v1::Answering::try_from(self.header.answering) {
            Ok(v1::Answering::OptionLetters | v1::Answering::OptionTexts) => {
                let options = self.options(item);
                if options.is_empty() {
                    return Err(Error::invalid(
                        "sample.options",
                        "empty; without options only yes and no are scored",
                    ));
                }
                let continuations = options
                    .iter()
                    .map(|option| format!("{}{option}", self.space))
                    .collect();
                v1::sweep_request::Input::Score(v1::ScoreRequest {
                    model,
                    prompt: Some(prompt),
                    interventions: Vec::new(),
                    continuations,
                    sample_key,
                })
            }
            _ => v1::sweep_request::Input::Generate(v1::GenerateRequest {
                model,
                prompt: Some(prompt),
                sampling: self.header.sampling.clone(),
                max_tokens: self.header.max_tokens,
                sample_key,
                ..Default::default()
            }),
        };
        let interventions = |&v: &usize| v1::SweepVariant {
            interventions: self.header.variants[v].interventions.clone(),
        };
        let variants = variants.iter().map(interventions).collect();
        Ok(v1::SweepRequest {
            input: Some(input),
            variants,
            grid: None,
        })
    }

    /// What is scored: options, or yes and no as the answer spells them.
    fn options(&self, item: &Item) -> Vec<String> {
        if item.options.is_empty() {
            return match item.answer.as_str() {
                "yes" | "no" => vec!["yes".into(), "no".into()],
                other if ["yes", "no"].contains(&other.to_lowercase().as_str()) => {
                    vec!["Yes".into(), "No".into()]
                }
                _ => Vec::new(),
            };
        }
        if self.header.answering == i32::from(v1::Answering::OptionTexts) {
            return item.options.clone();
        }
        item.letters().map(String::from).collect()
    }

    /// Whether a judge is to be asked about `result`.
    pub(super) fn wants_judge(&self, result: &v1::SampleResult) -> bool {
        let scored = !result.options.is_empty();
        let needed = self
            .rule
            .task
            .is_some_and(|task| task.is_needed(&result.text));
        self.judge.is_some() && needed && !scored && result.error.is_none()
    }
}

impl Asked {
    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.answered.is_empty()
    }

    /// All results, variant by variant; of what was not asked because the server goes down there is
    /// none.
    pub(super) async fn run(mut self, state: &Arc<State>, call: &RequestContext) -> Answered {
        let mut results = std::mem::take(&mut self.answered);
        let mut drained = false;
        for (variants, request) in std::mem::take(&mut self.requests) {
            let found = match request {
                Ok(request) => sweep_all(state, call, request).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(all) => results.extend(
                    variants
                        .iter()
                        .zip(all)
                        .map(|(&v, found)| self.result(v, found)),
                ),
                Err(error) if error.is_draining() => drained = true,
                Err(error) => {
                    let error = of_sample(
                        error
                            .into_pipeline()
                            .in_sweep(&call.id, state.retry_after()),
                    );
                    let failed = |&v: &usize| v1::SampleResult {
                        error: Some(error.clone()),
                        ..self.blank(v)
                    };
                    results.extend(variants.iter().map(failed));
                }
            }
        }
        let judged = results.into_iter().map(|result| self.judged(result));
        let results = futures::future::join_all(judged).await;
        Answered {
            label: self.label,
            results,
            drained,
        }
    }

    fn blank(&self, variant: usize) -> v1::SampleResult {
        v1::SampleResult {
            id: self.item.id.clone(),
            variant: self.plan.header.variants[variant].name.clone(),
            category: self.item.category.clone(),
            group: self.item.group.clone(),
            ..Default::default()
        }
    }

    fn result(&self, variant: usize, found: v1::SweepResult) -> v1::SampleResult {
        let (mut result, item, rule) = (self.blank(variant), &self.item, self.plan.rule);
        let record = match found.outcome {
            Some(sweep_result::Outcome::Generated(finished)) => {
                let (answer, verdict) = rule.score(item, &finished.text);
                result.answer = answer.unwrap_or_default();
                set_verdict(&mut result, verdict);
                (result.text, result.usage) = (finished.text, finished.usage);
                finished.provenance
            }
            Some(sweep_result::Outcome::Scored(response)) => {
                let options = self.plan.options(item);
                let best = response.best as usize;
                // Options after the 26th have no letter; of none, yes or no was scored.
                let words = || {
                    item.options
                        .get(best)
                        .map_or_else(|| options[best].to_lowercase(), String::clone)
                };
                let letter = item.letters().nth(best).map_or_else(words, String::from);
                let mut verdict = rule.verdict(item, &letter);
                // Where answers are words, the option's words count.
                if let Some(words) = item.options.get(best).filter(|_| verdict == Verdict::Wrong) {
                    verdict = rule.verdict(item, words);
                }
                result.text.clone_from(&options[best]);
                result.answer = letter;
                set_verdict(&mut result, verdict);
                let score = |(option, s): (String, &v1::ContinuationScore)| v1::OptionScore {
                    option,
                    logprob: s.logprob,
                    mean_logprob: s.mean_logprob,
                };
                result.options = options
                    .into_iter()
                    .zip(&response.scores)
                    .map(score)
                    .collect();
                result.usage = response.usage;
                response.provenance
            }
            Some(sweep_result::Outcome::Error(error)) => {
                result.error = Some(error);
                None
            }
            None => None,
        };
        if let Some(record) = record {
            (result.record_digest, result.output_digest) = (record.digest, record.output_digest);
        }
        result
    }

    /// `result` as the judge has it; a judge that fails leaves it as it is, and says why.
    async fn judged(&self, mut result: v1::SampleResult) -> v1::SampleResult {
        let (Some(judge), Some(task)) = (&self.plan.judge, self.plan.rule.task) else {
            return result;
        };
        if !self.plan.wants_judge(&result) {
            return result;
        }
        let Some(question) = task.ask(judge.template(task), &self.item, &result.text) else {
            return result;
        };
        match judge.ask(question).await {
            Ok(reply) => {
                if let Some((answer, verdict)) = task.read(self.plan.rule, &self.item, &reply) {
                    result.answer = answer.unwrap_or(result.answer);
                    set_verdict(&mut result, verdict);
                }
                result.review = reply;
            }
            Err(why) => {
                set_verdict(&mut result, Verdict::Unjudged);
                result.review = why;
            }
        }
        result
    }
}

/// The field of a sample in place of that of the request that is made of it.
fn of_sample(mut error: v1::SweepError) -> v1::SweepError {
    if let Some(rest) = error.field.strip_prefix("prompt.") {
        let field = format!("sample.{rest}");
        error.message = error.message.replace(&error.field, &field);
        error.field = field;
    }
    error
}

fn set_verdict(result: &mut v1::SampleResult, verdict: Verdict) {
    let code = match verdict {
        Verdict::Right => v1::Verdict::Right,
        Verdict::Wrong => v1::Verdict::Wrong,
        Verdict::Unparsed => v1::Verdict::Unparsed,
        Verdict::Unjudged => v1::Verdict::Unjudged,
        Verdict::Graded { grade, of } => {
            (result.grade, result.grade_of) = (grade, of);
            v1::Verdict::Graded
        }
    };
    result.verdict = code.into();
}

/// What `result` says, if it is no error.
pub(super) fn verdict_of(result: &v1::SampleResult) -> Option<Verdict> {
    match v1::Verdict::try_from(result.verdict) {
        Ok(v1::Verdict::Right) => Some(Verdict::Right),
        Ok(v1::Verdict::Wrong) => Some(Verdict::Wrong),
        Ok(v1::Verdict::Unparsed) => Some(Verdict::Unparsed),
        Ok(v1::Verdict::Unjudged) => Some(Verdict::Unjudged),
        Ok(v1::Verdict::Graded) => {
            let of = if result.grade_of > 0.0 {
                result.grade_of.min(10.0)
            } else {
                1.0
            };
            Some(Verdict::Graded {
                grade: result.grade.clamp(0.0, 10.0),
                of,
            })
        }
        Ok(v1::Verdict::Unspecified) | Err(_) => None,
    }
}
