//! Zero-shot classification by a CLIP or a SigLIP: the class whose text is most like the picture.

use std::collections::BTreeMap;

use clap::Args;

use super::error::{Failure, Usage};
use super::origin::{fetch, named_origin};
use super::progress::Progress;
use crate::benchmark::{Item, ItemLabel, Outcome, Rule, rule};
use crate::model::{DualEncoder, Purpose};
use crate::nn::DeviceId;
use crate::vision;

/// The name of the variant in the experiment's file; a SigLIP's is its own.
pub(super) const CLIP: &str = "CLIP";

/// The CLIP or SigLIP that a model is compared with.
#[derive(Debug, Clone, Args)]
pub(super) struct ClipArgs {
    /// CLIP or SigLIP with both towers to compare with: a folder or a hub id
    ///
    /// Such as openai/clip-vit-large-patch14-336 for LLaVA-1.5, google/siglip-so400m-patch14-384
    /// for LLaVA-OneVision, or a google/siglip2 of a fixed resolution.
    #[arg(long)]
    clip: Option<String>,
    /// Text that it reads for a class; {} is its name. Repeat for an ensemble
    #[arg(long, default_value = "a photo of a {}.", requires = "clip")]
    template: Vec<String>,
}

/// The benchmark of zero-shot classification.
pub(super) const CLASSIFICATION: &str = "classification";

/// Returns the rule by which classes are compared.
pub(super) fn classification_rule() -> Result<&'static Rule, String> {
    rule(CLASSIFICATION).ok_or_else(|| "no rule for classification".into())
}

/// The answers of a CLIP or a SigLIP to all items.
pub(super) struct ClipRun {
    /// Says which of them it is.
    pub(super) kind: &'static str,
    /// The digest of its weights.
    pub(super) digest: String,
    /// Outcomes with the classes that were chosen.
    pub(super) found: Vec<(Outcome, String)>,
}

impl ClipArgs {
    /// Tells whether one is named.
    pub(super) fn is_set(&self) -> bool {
        self.clip.is_some()
    }

    /// Returns the templates, for the report.
    pub(super) fn templates(&self) -> String {
        self.template.join(" | ")
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

    /// Classifies `items` with the model that is named, if one is.
    pub(super) async fn classify(
        &self,
        device: DeviceId,
        items: impl Iterator<Item = Item> + Send + 'static,
    ) -> Result<Option<ClipRun>, Failure> {
        let Some(place) = &self.clip else {
            return Ok(None);
        };
        let origin = named_origin(place).map_err(|e| Usage(format!("--clip {place}: {e}")));
        let (_, origin) = origin?;
        let source = fetch(origin, Purpose::Part).await?;
        let templates = self.template.clone();
        let task = tokio::task::spawn_blocking(move || {
            // Opened here: all of its tensors stay on this thread.
            let clip = DualEncoder::load(&source, &device.open()?)?;
            let found = classify(&clip, &templates, items)?;
            let (kind, digest) = (clip.kind(), clip.digest().to_owned());
            Ok::<_, Failure>(ClipRun {
                kind,
                digest,
                found,
            })
        });
        Ok(Some(task.await??))
    }
}

/// Returns for every item with a picture the class of the largest cosine, and whether it is right.
fn classify(
    clip: &DualEncoder,
    templates: &[String],
    items: impl Iterator<Item = Item>,
) -> Result<Vec<(Outcome, String)>, Failure> {
    let rule = classification_rule()?;
    let progress = Progress::new(None, "pictures by their texts");
    // Most items have the same classes, whose texts are encoded once.
    let mut encoded = BTreeMap::new();
    let mut found = Vec::new();
    for item in items {
        // Nothing to classify; the model's answers to such items count alone.
        let Some(bytes) = item.images.first() else {
            continue;
        };
        let picture =
            vision::decode(bytes, vision::MAX_PIXELS).map_err(|e| format!("{}: {e}", item.id))?;
        if !encoded.contains_key(&item.options) {
            let texts = class_texts(&item, templates)?;
            encoded.insert(item.options.clone(), clip.classes(&texts)?);
        }
        // (pictures, classes), of one picture.
        let cosines = clip
            .cosines(&[picture], &encoded[&item.options])?
            .swap_remove(0);
        let best = cosines
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map_or(0, |(i, _)| i);
        // `class_texts` has refused an item without options.
        let answer = item.options[best].clone();
        let verdict = (rule.compare)(&item, &answer);
        let label = ItemLabel {
            id: item.id,
            category: item.category,
            group: item.group,
        };
        let outcome = Outcome {
            label: label.into(),
            verdict,
        };
        found.push((outcome, answer));
        progress.advance();
    }
    progress.finish();
    Ok(found)
}

/// Fills every class of an item into every template.
fn class_texts(item: &Item, templates: &[String]) -> Result<Vec<Vec<String>>, String> {
    if item.options.is_empty() {
        return Err(format!(
            "{}: options: none, so there are no classes",
            item.id
        ));
    }
    let fill = |class: &String| templates.iter().map(|t| t.replace("{}", class)).collect();
    Ok(item.options.iter().map(fill).collect())
}
