//! `scotoma classify`: zero-shot classification by a LLaVA, beside the CLIP that it sees through.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use indicatif::ProgressBar;
use scotoma_client::v1::SampleResult;
use scotoma_client::{Client, v1};

use super::eval::{Benchmark, By, Common, Evaluated, read_results};
use super::experiment::{Found, Ran, report};
use super::serve::{fetch, named_origin};
use super::served::stop;
use super::{Failure, Usage};
use crate::benchmark::experiments::experiment;
use crate::benchmark::{Item, Label, Outcome, Verdict, compare, rule};
use crate::model::{Clip, Purpose};
use crate::vision;

const EXPERIMENT: &str = include_str!("../benchmark/experiments/classification.json");
const MAX_PIXELS: u64 = 64 << 20;

/// How the model is asked, by the names of the experiment's variants.
const WAYS: [(&str, &str, By); 3] = [
    ("classes scored", "classification", By::Texts),
    ("classes named", "classification", By::Generation),
    ("answers judged", "classification/judged", By::Generation),
];
const CLIP: &str = "CLIP";

/// What CLIP is asked.
#[derive(Debug, Clone, Args)]
pub(super) struct Baseline {
    /// A CLIP with both towers, to compare with: a folder or a hub id,
    /// openai/clip-vit-large-patch14-336 for LLaVA-1.5
    #[arg(long)]
    clip: Option<String>,
    /// What CLIP reads of a class; {} is its name. Repeat for an ensemble
    #[arg(long, default_value = "a photo of a {}.", requires = "clip")]
    template: Vec<String>,
}

impl Baseline {
    /// Tells whether a CLIP is named.
    pub(super) fn is_asked(&self) -> bool {
        self.clip.is_some()
    }

    /// Refuses templates under which all classes read the same.
    pub(super) fn check(&self) -> Result<(), Usage> {
        match self.template.iter().find(|t| !t.contains("{}")) {
            Some(template) => Err(Usage(format!(
                "--template {template:?}: it has no {{}}, which stands for a class"
            ))),
            None => Ok(()),
        }
    }
}

/// Flags of `classify`.
#[derive(Debug, Args)]
pub(super) struct Classify {
    /// The pictures: a table or a manifest whose options are the classes and whose answer is one of
    /// them
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    baseline: Baseline,
    /// Where report.html, report.md, the plot and all results go. A run that finds its results
    /// there goes on where it ended
    #[arg(long, default_value = "classification")]
    report: PathBuf,
    #[command(flatten)]
    common: Common,
    /// Ask the first items only, and say what all of them would cost and take; the run that follows
    /// goes on from there
    #[arg(long)]
    estimate: bool,
    /// Print what ran as JSON in place of the report's name
    #[arg(long, conflicts_with = "estimate")]
    json: bool,
}

impl Classify {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let benchmark = Benchmark {
            rule: "classification".into(),
            data: Some(self.data),
            common: self.common,
            by: By::Generation,
            substitutes: None,
            estimate: self.estimate,
        };
        self.baseline.check()?;
        benchmark.check()?;
        let (local, client) = benchmark.connect().await?;
        let ran = classify(&benchmark, &self.baseline, client, &self.report, self.json).await;
        stop(local).await?;
        ran.map(|_| ())
    }
}

/// Asks in every way, and writes the report to `folder`.
pub(super) async fn classify(
    benchmark: &Benchmark,
    baseline: &Baseline,
    mut client: Client,
    folder: &Path,
    json: bool,
) -> Result<Ran, Failure> {
    let common = &benchmark.common;
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut experiment = experiment(EXPERIMENT)?;
    let info = client.get_model(&common.served.name()).await?;
    let mut outcomes: Vec<(String, Vec<Outcome>)> = Vec::new();
    let (mut answers, mut forecast, mut last) =
        (Vec::new(), super::eval::Forecast::default(), None);
    for (name, rule, by) in WAYS {
        let own = Benchmark {
            rule: rule.into(),
            by,
            ..benchmark.clone()
        };
        let mut header = own.header();
        // Without a judge that way has no verdicts, and its answers are those of the one before.
        let judged = rule.ends_with("judged");
        if judged && !common.served.is_remote() && !common.judge.is_there() {
            continue;
        }
        header.variants[0].name = name.into();
        let out = folder.join(format!("{}.jsonl", name.replace(' ', "-")));
        eprintln!("{name}, by {}", info.name);
        let done = own
            .ask(
                client.clone(),
                header,
                own.rows()?,
                own.count()?,
                Some(&out),
            )
            .await?;
        if judged && done.started.judge.is_none() {
            continue;
        }
        let part = done.forecast.unwrap_or_default();
        forecast.answers += part.answers;
        forecast.flops += part.flops;
        forecast.seconds += part.seconds;
        let results = read_results(&out)?;
        answers.extend(results.iter().map(|r| (name.to_owned(), r.answer.clone())));
        outcomes.push((name.to_owned(), results.iter().map(outcome).collect()));
        last = Some(done);
    }
    if benchmark.estimate {
        return Ok(Ran {
            line: Vec::new(),
            forecast: Some(forecast),
        });
    }
    let Some(Evaluated {
        started, skipped, ..
    }) = last
    else {
        return Err("nothing was asked".into());
    };
    let mut clip_digest = "none".to_owned();
    if let Some(place) = &baseline.clip {
        let (_, origin) = named_origin(place)?;
        let (source, device) = (fetch(origin, Purpose::Part).await?, common.served.device()?);
        let (templates, rows) = (baseline.template.clone(), benchmark.rows()?);
        let found = tokio::task::spawn_blocking(move || {
            let clip = Clip::load(&source, &device)?;
            let found = by_clip(&clip, &templates, rows.flatten())?;
            Ok::<_, Failure>((clip.digest, found))
        });
        let (digest, found) = found.await??;
        answers.extend(
            found
                .iter()
                .map(|(_, answer)| (CLIP.to_owned(), answer.clone())),
        );
        outcomes.insert(
            0,
            (
                CLIP.to_owned(),
                found.into_iter().map(|(outcome, _)| outcome).collect(),
            ),
        );
        clip_digest = digest;
    }
    experiment
        .variants
        .retain(|t| outcomes.iter().any(|(name, _)| *name == t.name));
    outcomes
        .iter_mut()
        .for_each(|(_, own)| own.sort_by(|a, b| a.label.id.cmp(&b.label.id)));
    let rule = rule("classification").ok_or("no rule for classification")?;
    let metrics = outcomes
        .iter()
        .flat_map(|(name, own)| {
            (rule.summarise)(own)
                .into_iter()
                .map(move |metric| (name.clone(), metric))
        })
        .collect();
    let comparisons = outcomes
        .iter()
        .skip(1)
        .map(|(name, own)| (name.clone(), compare(&outcomes[0].1, own)))
        .collect();
    let stem = benchmark.data.as_deref().and_then(Path::file_stem);
    let asked: usize = outcomes.iter().map(|(_, own)| own.len()).sum();
    let found = Found {
        planned: experiment.plan((0, 0), false)?,
        metrics,
        comparisons,
        answers,
        facts: vec![
            ("CLIP's digest".into(), clip_digest),
            ("CLIP reads".into(), baseline.template.join(" | ")),
            (
                "answers".into(),
                format!("{asked}; {skipped} rows left out"),
            ),
        ],
        picture: None,
        benchmark: stem.map_or_else(String::new, |s| s.to_string_lossy().to_lowercase()),
    };
    let line = report(&experiment, found, &info, &started, folder, json)?;
    Ok(Ran {
        line,
        forecast: Some(forecast),
    })
}

fn outcome(result: &SampleResult) -> Outcome {
    let verdict = match v1::Verdict::try_from(result.verdict) {
        Ok(v1::Verdict::Right) => Verdict::Right,
        Ok(v1::Verdict::Unparsed) => Verdict::Unparsed,
        Ok(v1::Verdict::Unjudged) => Verdict::Unjudged,
        _ => Verdict::Wrong,
    };
    let SampleResult {
        id,
        category,
        group,
        ..
    } = result;
    let label = Label {
        id: id.clone(),
        category: category.clone(),
        group: group.clone(),
    };
    Outcome {
        label: Arc::new(label),
        verdict,
    }
}

/// The class with the largest cosine of every item, and whether it is the item's.
fn by_clip(
    clip: &Clip,
    templates: &[String],
    items: impl Iterator<Item = Item>,
) -> Result<Vec<(Outcome, String)>, Failure> {
    let rule = rule("classification").ok_or("no rule for classification")?;
    let bar = ProgressBar::new_spinner().with_message("CLIP");
    let (mut known, mut found) = (BTreeMap::new(), Vec::new());
    for item in items {
        let Some(bytes) = item.images.first() else {
            continue;
        };
        let picture = vision::decode(bytes, MAX_PIXELS).map_err(|e| format!("{}: {e}", item.id))?;
        if !known.contains_key(&item.options) {
            let read = |class: &String| templates.iter().map(|t| t.replace("{}", class)).collect();
            let classes: Vec<Vec<String>> = item.options.iter().map(read).collect();
            if classes.is_empty() {
                return Err(format!("{}: options: none, so there are no classes", item.id).into());
            }
            known.insert(item.options.clone(), clip.classes(&classes)?);
        }
        let cosines = clip
            .cosines(&[picture], &known[&item.options])?
            .swap_remove(0);
        let best = cosines
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map_or(0, |(i, _)| i);
        let answer = item.options[best].clone();
        let verdict = (rule.compare)(&item, &answer);
        let label = Label {
            id: item.id,
            category: item.category,
            group: item.group,
        };
        found.push((
            Outcome {
                label: Arc::new(label),
                verdict,
            },
            answer,
        ));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(found)
}
