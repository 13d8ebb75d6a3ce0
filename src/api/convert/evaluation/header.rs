//! The header of a run: checked, what it leaves open filled in, and converted once for all samples.

use std::collections::HashSet;
use std::sync::Arc;

use crate::api::v1::{self, evaluate_header::Rules};
use crate::api::{Error, State, convert};
use crate::benchmark::data::ColumnMapping;
use crate::benchmark::{self, RULES, Rule};
use crate::evaluate::{Answering, EvaluationSpec, EvaluationVariant, MAX_VARIANTS, option_prefix};
use crate::field_path::{FieldPath, shown};
use crate::pipeline::RequestContext;

/// Reports metrics after this many results where a header does not say.
const PROGRESS_EVERY: u32 = 100;

/// Holds a run that is ready to begin.
#[derive(Debug)]
pub(in crate::api) struct PreparedEvaluation {
    /// Says how it is run.
    pub(in crate::api) spec: Arc<EvaluationSpec>,
    /// Says how the columns of rows are read.
    pub(in crate::api) reading: ColumnMapping,
    /// Holds the header with all that it left open: the same run again.
    pub(in crate::api) header: v1::EvaluateHeader,
    /// Names the model's weights.
    pub(in crate::api) model_digest: String,
}

/// Converts a header.
pub(in crate::api) fn prepare(
    state: &State,
    context: &RequestContext,
    mut header: v1::EvaluateHeader,
) -> Result<PreparedEvaluation, Error> {
    let model = state.models.resident(context, &header.model)?;
    // What is left open is written into the header, which goes back to the client: with it the same
    // run is asked again, also of a server with other defaults.
    header.model.clone_from(&model.name);
    let rule = rule(&mut header)?;
    let reading = reading(rule, &header)?;
    let variants = variants(&mut header)?;
    let answering = answering(header.answering)?;
    let multi_image = convert::multi_image("header.multi_image", header.multi_image)?;
    let custom = match &header.rules {
        Some(Rules::Custom(custom)) => Some(custom),
        _ => None,
    };
    // The header's own bound goes before that of its custom rule, and that before the table's.
    if header.max_tokens == 0 {
        let own = custom.map_or(0, |custom| custom.max_tokens);
        header.max_tokens = if own > 0 { own } else { rule.max_tokens };
    }
    let prompt_template = custom.map(|custom| custom.prompt.clone());
    if header.progress_every == 0 {
        header.progress_every = PROGRESS_EVERY;
    }
    let judge = state.judge.clone();
    let spec = EvaluationSpec {
        model: model.name.clone(),
        rule,
        prompt_template,
        variants,
        answering,
        option_prefix: option_prefix(&model)?,
        sampling: convert::sampling(header.sampling.clone().unwrap_or_default()),
        max_tokens: header.max_tokens,
        multi_image,
        progress_every: header.progress_every,
        // Neither a rule that needs none nor a client that wants none asks the judge.
        judge: judge.filter(|_| rule.judge_prompt.is_some() && !header.unjudged),
    };
    Ok(PreparedEvaluation {
        spec: Arc::new(spec),
        reading,
        header,
        model_digest: model.digest.clone(),
    })
}

/// Returns the rule of a run that has been: of what it counted, metrics can be computed anew.
///
/// # Errors
/// A header without a rule, or with one that this version does not know.
pub fn rule_of(header: &v1::EvaluateHeader) -> Result<&'static Rule, Error> {
    // A copy, into which the full name of the rule is written.
    rule(&mut header.clone())
}

/// Returns the name of a variant that leaves a seed open: every run draws another one.
///
/// # Errors
/// An intervention that cannot be read.
pub fn open_seed(header: &v1::EvaluateHeader) -> Result<Option<String>, Error> {
    for variant in &header.variants {
        let mut drawn = variant.interventions.clone();
        convert::request_interventions(&mut drawn)?;
        // Drawing fills in what was open.
        if drawn != variant.interventions {
            return Ok(Some(variant.name.clone()));
        }
    }
    Ok(None)
}

/// Returns the rule that a header names, and writes out its full name.
fn rule(header: &mut v1::EvaluateHeader) -> Result<&'static Rule, Error> {
    match &mut header.rules {
        Some(Rules::Rule(name)) => {
            let rule = benchmark::rule(name).ok_or_else(|| {
                let known: Vec<String> = RULES.iter().map(Rule::name).collect();
                let message = format!("{}; there are {}", shown(name), known.join(", "));
                Error::invalid("header.rule", message)
            })?;
            *name = rule.name();
            Ok(rule)
        }
        Some(Rules::Custom(custom)) => custom_rule(custom),
        None => Err(Error::invalid(
            "header.rules",
            "unset; rule or custom is needed",
        )),
    }
}

/// Returns the rule that reads answers as `custom` says; the prompt is its own.
fn custom_rule(custom: &v1::CustomRule) -> Result<&'static Rule, Error> {
    let name = match v1::Reader::try_from(custom.reader) {
        Ok(v1::Reader::Letter) => "custom/letter",
        Ok(v1::Reader::YesNo) => "custom/yes-no",
        Ok(v1::Reader::Short) => "custom/short",
        Ok(v1::Reader::Relaxed) => "custom/relaxed",
        Ok(v1::Reader::Unspecified) | Err(_) => {
            let valid = "READER_LETTER, READER_YES_NO, READER_SHORT, READER_RELAXED";
            let message = format!("{}; one of {valid} is needed", custom.reader);
            return Err(Error::invalid("header.custom.reader", message));
        }
    };
    if !custom.prompt.contains("{question}") {
        let message = "it has no {question}";
        return Err(Error::invalid("header.custom.prompt", message));
    }
    benchmark::rule(name).ok_or_else(|| Error::fault(format!("no rule {name}")))
}

fn reading(rule: &Rule, header: &v1::EvaluateHeader) -> Result<ColumnMapping, Error> {
    let mut reading = ColumnMapping::of(rule.benchmark);
    for (role, column) in &header.columns {
        reading
            .give(role, column)
            .map_err(|message| Error::invalid("header.columns", message))?;
    }
    Ok(reading)
}

/// Converts the variants, and draws the seeds that they leave open.
fn variants(header: &mut v1::EvaluateHeader) -> Result<Vec<EvaluationVariant>, Error> {
    // A benchmark under no variant is asked as it is.
    if header.variants.is_empty() {
        header.variants.push(v1::EvaluateVariant {
            name: "original".into(),
            ..Default::default()
        });
    }
    let given = header.variants.len();
    if given > MAX_VARIANTS {
        let message = format!("{given} given; at most {MAX_VARIANTS} are taken");
        return Err(Error::invalid("header.variants", message));
    }
    let (mut names, mut variants) = (HashSet::new(), Vec::with_capacity(given));
    for (i, message) in header.variants.iter_mut().enumerate() {
        let at = FieldPath::from("header.variants").index(i);
        let name = message.name.clone();
        if name.is_empty() || !names.insert(name.clone()) {
            let message = format!("{}; every variant needs a name of its own", shown(&name));
            return Err(Error::invalid(at.join("name"), message));
        }
        // The header that goes back has the seeds.
        let interventions = convert::request_interventions(&mut message.interventions);
        variants.push(EvaluationVariant {
            name,
            interventions: interventions.map_err(|e| e.within(&at.to_string()))?,
            pictures: message.pictures.clone(),
        });
    }
    Ok(variants)
}

fn answering(number: i32) -> Result<Answering, Error> {
    match v1::Answering::try_from(number) {
        Ok(v1::Answering::Unspecified | v1::Answering::Generate) => Ok(Answering::Generate),
        Ok(v1::Answering::OptionLetters) => Ok(Answering::OptionLetters),
        Ok(v1::Answering::OptionTexts) => Ok(Answering::OptionTexts),
        Err(_) => {
            let valid = "ANSWERING_GENERATE, ANSWERING_OPTION_LETTERS, ANSWERING_OPTION_TEXTS";
            let message = format!("{number}; {valid} are known");
            Err(Error::invalid("header.answering", message))
        }
    }
}
