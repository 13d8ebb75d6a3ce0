//! From a request to what the engine runs: pictures decoded and altered, words tokenized,
//! interventions compiled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use candle_core::Tensor;
use metrics::{counter, histogram};
use tokio::sync::Mutex;

use super::uploads::Bytes;
use super::{Error, State, convert, v1};
use crate::engine::Pixels;
use crate::intervention::{
    self, CaptureTarget, Context, Intervention, Look, Looks, Observed, Plan, Volume, Word,
};
use crate::model::{ImageTokens, Model, Prompt, Rendered};
use crate::telemetry::names;
use crate::vision::{self, Picture};

/// What all variants of a request have in common: pictures decoded, words tokenized.
pub(super) struct Ground {
    pub(super) model: Arc<Model>,
    /// As the model sees them.
    pictures: Vec<Picture>,
    /// Their views as the tower takes them.
    pixels: Vec<Pixels>,
    /// Their visual tokens.
    images: Vec<ImageTokens>,
    image_digests: Vec<String>,
    /// As how many pictures of one request each is prepared.
    together: usize,
    /// The prompt after the chat template; empty for a preview.
    text: Rendered,
    /// `None` for a preview.
    words: Option<(Vec<u32>, Vec<Word>)>,
    /// The attention that variants have asked for so far.
    looks: Mutex<Looks>,
}

/// What a request asks to be done on its ground.
#[derive(Debug, Default)]
pub(super) struct Asked<'a> {
    /// With every seed.
    pub(super) interventions: Vec<v1::Intervention>,
    pub(super) captures: Vec<CaptureTarget>,
    pub(super) sample_key: &'a str,
}

/// Pictures and words under a compiled plan.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) model: Arc<Model>,
    /// As the model sees them, image interventions applied.
    pub(super) pictures: Vec<Picture>,
    /// Their views as the tower takes them.
    pub(super) pixels: Vec<Pixels>,
    /// Their visual tokens before any selection.
    pub(super) images: Vec<ImageTokens>,
    pub(super) image_digests: Vec<String>,
    pub(super) plan: Arc<Plan>,
    /// What the image interventions did.
    pub(super) observed: Observed,
    /// As asked, every seed filled in.
    pub(super) interventions: Vec<v1::Intervention>,
    /// The prompt after the chat template.
    pub(super) text: Rendered,
    /// The prompt as the language model reads it; empty in a preview.
    pub(super) prompt: Prompt,
    /// What each capture comes to.
    pub(super) volumes: Vec<Volume>,
}

impl State {
    /// Decodes pictures, each with its path in the request, and tokenizes words. `text` is the
    /// prompt after the chat template; `None` for a preview.
    pub(super) async fn ground(
        self: &Arc<Self>,
        model: &Arc<Model>,
        (tenant, images): (&str, Vec<(String, v1::Image)>),
        multi_image: i32,
        text: Option<Rendered>,
    ) -> Result<Arc<Ground>, Error> {
        if images.len() > self.limits.images {
            let message = format!(
                "{} pictures; at most {} are taken",
                images.len(),
                self.limits.images
            );
            return Err(Error::invalid("prompt.images", message));
        }
        let together = together(model, multi_image, images.len())?;
        let file = |(at, image): (String, v1::Image)| Ok((self.file(tenant, image, &at)?, at));
        let files = images
            .into_iter()
            .map(file)
            .collect::<Result<Vec<_>, Error>>()?;
        let max_pixels = self.limits.image_pixels;
        let decode = move |model: &Model| {
            let (pictures, digests) = pictures(model, &files, (max_pixels, together))?;
            let pixel = |p| Pixels::new(model.pixels(p)?).map_err(crate::model::Error::from);
            let pixels = pictures.iter().map(pixel).collect::<Result<Vec<_>, _>>()?;
            Ok((pictures, digests, pixels))
        };
        let (pictures, image_digests, pixels) = self.blocking(model, decode).await?;
        let images: Vec<ImageTokens> = pictures.iter().map(|p| model.tokens(p)).collect();
        let (text, words) = match text {
            Some(text) => {
                let words = words(model, &text, images.len())?;
                (text, Some(words))
            }
            None => (Rendered::default(), None),
        };
        let (model, looks) = (model.clone(), Mutex::default());
        Ok(Arc::new(Ground {
            model,
            pictures,
            pixels,
            images,
            image_digests,
            together,
            text,
            words,
            looks,
        }))
    }

    /// The bytes of a picture.
    fn file(&self, tenant: &str, image: v1::Image, field: &str) -> Result<Bytes, Error> {
        let at = |part: &str| format!("{field}.{part}");
        match image.source {
            Some(v1::image::Source::Data(bytes)) => Ok(bytes.into()),
            Some(v1::image::Source::Handle(handle)) => {
                let kept = self.uploads.get(tenant, &handle);
                kept.ok_or_else(|| Error::UnknownImage {
                    field: at("handle"),
                    handle,
                })
            }
            None => Err(Error::invalid(
                at("source"),
                "unset; data or handle is needed",
            )),
        }
    }

    /// Compiles interventions and alters pictures.
    pub(super) async fn scene(
        self: &Arc<Self>,
        ground: &Arc<Ground>,
        asked: Asked<'_>,
    ) -> Result<Scene, Error> {
        let Asked {
            interventions,
            captures,
            sample_key,
        } = asked;
        let model = &ground.model;
        let list = convert::interventions(&interventions)?;
        let donors = self.donors(model, &list, ground.together).await?;
        let looks = intervention::looks(&list, captures.iter().map(|c| &c.target));
        let looks = self.looks(ground, looks.into_iter().collect()).await?;
        let activations: BTreeMap<String, Tensor> = intervention::handles(&list)
            .filter_map(|handle| Some((handle.to_owned(), self.activations.get(handle)?)))
            .collect();
        let saliency_digests = self
            .saliency
            .iter()
            .map(|m| (m.name.clone(), m.digest.clone()))
            .collect();
        let (sample_key, ground) = (sample_key.to_owned(), ground.clone());
        let compile = move |model: &Model| {
            let context = Context {
                model,
                images: &ground.images,
                words: ground.words.as_ref().map(|(_, words)| words.as_slice()),
                sample_key: &sample_key,
                looks: &looks,
                saliency_digests: &saliency_digests,
                donors: &donors,
                activations: &activations,
            };
            let (plan, volumes) = intervention::compile_with(&list, &captures, &context)?;
            let mut pictures = ground.pictures.clone();
            let observed = plan.retouch(&mut pictures, &model.processor);
            let pixel = |p| Pixels::new(model.pixels(p)?).map_err(crate::model::Error::from);
            let pixels = if plan.retouches.is_empty() {
                ground.pixels.clone()
            } else {
                pictures.iter().map(pixel).collect::<Result<_, _>>()?
            };
            let ids = ground
                .words
                .as_ref()
                .map(|(ids, _)| ids.as_slice())
                .unwrap_or_default();
            let prompt = model.expand(ids, &plan.images);
            Ok(Scene {
                model: ground.model.clone(),
                pictures,
                pixels,
                images: ground.images.clone(),
                image_digests: ground.image_digests.clone(),
                plan: Arc::new(plan),
                observed,
                interventions,
                text: ground.text.clone(),
                prompt,
                volumes,
            })
        };
        self.blocking(model, compile).await
    }

    /// The attention that interventions ask for, on the unchanged pictures; looked at once for all
    /// variants.
    async fn looks(self: &Arc<Self>, ground: &Ground, looks: Vec<Look>) -> Result<Looks, Error> {
        if looks.is_empty() {
            return Ok(Looks::new());
        }
        let mut known = ground.looks.lock().await;
        let missing = looks
            .iter()
            .filter(|look| !known.contains_key(*look))
            .cloned()
            .collect();
        known.extend(self.look(&ground.model, missing, &ground.pictures).await?);
        Ok(known.clone())
    }

    /// The attention that interventions ask for, on the unchanged pictures.
    async fn look(
        self: &Arc<Self>,
        model: &Arc<Model>,
        looks: Vec<Look>,
        pictures: &[Picture],
    ) -> Result<Looks, Error> {
        let mut found = Looks::new();
        for look in looks {
            let head = look.head.map(|h| h as usize);
            let check = |heads: usize| match head {
                Some(head) if head >= heads => Err(Error::invalid(
                    "interventions",
                    format!("salient head {head} is not below {heads}"),
                )),
                _ => Ok(()),
            };
            let views = match &look.model {
                None => {
                    check(model.tower.config().num_attention_heads)?;
                    let pixels = pictures
                        .iter()
                        .map(|p| model.pixels(p))
                        .collect::<Result<Vec<_>, _>>()?;
                    if pixels.is_empty() {
                        Vec::new()
                    } else {
                        self.engine(model)
                            .attention(model.clone(), pixels, head)
                            .await?
                    }
                }
                Some(name) => {
                    let unknown = || Error::UnknownSaliency {
                        name: name.clone(),
                        resident: self.saliency.iter().map(|m| m.name.clone()).collect(),
                    };
                    let saliency = self
                        .saliency
                        .iter()
                        .find(|m| m.name == *name)
                        .cloned()
                        .ok_or_else(unknown)?;
                    check(saliency.heads())?;
                    let bases: Vec<_> = pictures.iter().map(|p| p.base.image.clone()).collect();
                    let attend = move |_: &Model| {
                        bases
                            .iter()
                            .map(|base| Ok(vec![saliency.attention(base, head)?]))
                            .collect::<Result<_, Error>>()
                    };
                    self.blocking(model, attend).await?
                }
            };
            found.insert(look, views);
        }
        Ok(found)
    }

    /// The visual tokens of donor pictures, which are prepared as one of `pictures`.
    async fn donors(
        self: &Arc<Self>,
        model: &Arc<Model>,
        list: &[Intervention],
        count: usize,
    ) -> Result<BTreeMap<usize, Tensor>, Error> {
        let mut found = BTreeMap::new();
        for (place, bytes) in intervention::donors(list) {
            let (bytes, limit) = (bytes.to_vec(), self.limits.image_pixels);
            let decode = move |model: &Model| {
                let field = || format!("interventions[{place}].replace_tokens.donor.data");
                let wrong = |source| Error::Image {
                    field: field(),
                    source,
                };
                let picture = vision::decode(&bytes, limit).map_err(wrong)?;
                let picture = model
                    .processor
                    .picture(&picture, count.max(1))
                    .map_err(wrong)?;
                Ok((model.pixels(&picture)?, model.tokens(&picture)))
            };
            let (pixels, tokens) = self.blocking(model, decode).await?;
            found.insert(
                place,
                self.engine(model)
                    .encode(model.clone(), pixels, tokens)
                    .await?,
            );
        }
        Ok(found)
    }

    /// Runs `work` on the pool beside the engine, as many at once as there are cores.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        model: &Arc<Model>,
        work: impl FnOnce(&Model) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let _permit = self
            .decoders
            .acquire()
            .await
            .map_err(|e| Error::Fault(e.to_string()))?;
        let model = model.clone();
        tokio::task::spawn_blocking(move || work(&model))
            .await
            .map_err(|e| Error::Fault(e.to_string()))?
    }
}

impl Scene {
    /// Visual tokens that the language model reads.
    pub(super) fn image_tokens(&self) -> usize {
        self.plan.images.iter().map(ImageTokens::len).sum()
    }

    /// Views that the tower sees.
    pub(super) fn views(&self) -> usize {
        self.images.iter().map(|i| i.views).sum()
    }

    /// Fails unless the prompt leaves room for an answer.
    pub(super) fn check_context(&self) -> Result<(), Error> {
        let context = self.model.decoder.config().max_position_embeddings;
        let positions = self.prompt.next as usize;
        if self.prompt.ids.is_empty() {
            return Err(Error::invalid(
                "prompt",
                "no token is left of it; at least one is needed",
            ));
        }
        if positions >= context {
            let message = format!(
                "{positions} positions; the context holds {context}, and the answer needs at least one of them"
            );
            return Err(Error::invalid("prompt", message));
        }
        Ok(())
    }

    /// Counts the interventions of a request that runs.
    pub(super) fn count(&self) {
        for kind in self.interventions.iter().filter_map(|m| m.kind.as_ref()) {
            counter!(names::INTERVENTIONS_APPLIED, "kind" => kind_name(kind)).increment(1);
        }
        counter!(names::PROMPT_TOKENS).increment(self.prompt.ids.len() as u64);
        counter!(names::IMAGE_TOKENS).increment(self.image_tokens() as u64);
    }
}

/// The name of an intervention, as requests spell it.
pub(super) fn name(message: &v1::Intervention) -> &'static str {
    message.kind.as_ref().map_or("", kind_name)
}

fn kind_name(kind: &v1::intervention::Kind) -> &'static str {
    use v1::intervention::Kind;
    match kind {
        Kind::PermuteTokens(_) => "permute_tokens",
        Kind::OccludePatches(_) => "occlude_patches",
        Kind::DropLayers(_) => "drop_layers",
        Kind::SwapProjector(_) => "swap_projector",
        Kind::BlankImage(_) => "blank_image",
        Kind::ShufflePatches(_) => "shuffle_patches",
        Kind::SelectTokens(_) => "select_tokens",
        Kind::ReplaceTokens(_) => "replace_tokens",
        Kind::RepeatLayers(_) => "repeat_layers",
        Kind::ExitEarly(_) => "exit_early",
        Kind::AddNoise(_) => "add_noise",
        Kind::Steer(_) => "steer",
        Kind::ProjectOut(_) => "project_out",
        Kind::Scale(_) => "scale",
        Kind::Ablate(_) => "ablate",
        Kind::Patch(_) => "patch",
        Kind::KnockOutAttention(_) => "knock_out_attention",
        Kind::PruneTokens(_) => "prune_tokens",
    }
}

/// Returns as how many pictures of one request each of `count` is prepared: a picture that comes
/// alone may be tiled.
fn together(model: &Model, multi_image: i32, count: usize) -> Result<usize, Error> {
    let invalid = |message: String| Error::invalid("prompt.multi_image", message);
    let asked = v1::MultiImage::try_from(multi_image).map_err(|_| {
        invalid(format!(
            "{multi_image} is no MultiImage; 0, 1 (padded) and 2 (tiled) are"
        ))
    })?;
    if asked != v1::MultiImage::Unspecified && !model.processor.tiles_lone_pictures() {
        let message = format!(
            "{} prepares several pictures in one way; leave it unset",
            model.name
        );
        return Err(invalid(message));
    }
    Ok(if asked == v1::MultiImage::Tiled {
        1
    } else {
        count
    })
}

fn pictures(
    model: &Model,
    files: &[(Bytes, String)],
    (max_pixels, together): (u64, usize),
) -> Result<(Vec<Picture>, Vec<String>), Error> {
    let mut pictures = Vec::with_capacity(files.len());
    let mut digests = Vec::with_capacity(files.len());
    for (bytes, at) in files {
        let wrong = |source| Error::Image {
            field: format!("{at}.data"),
            source,
        };
        let start = Instant::now();
        let picture = vision::decode(bytes, max_pixels).map_err(wrong)?;
        histogram!(names::STAGE_DURATION, "stage" => "decode_image").record(start.elapsed());
        let start = Instant::now();
        pictures.push(model.processor.picture(&picture, together).map_err(wrong)?);
        histogram!(names::STAGE_DURATION, "stage" => "preprocess").record(start.elapsed());
        digests.push(blake3::hash(bytes).to_hex().to_string());
    }
    Ok((pictures, digests))
}

/// The text in tokens, which must place as many pictures as there are.
fn words(model: &Model, text: &Rendered, pictures: usize) -> Result<(Vec<u32>, Vec<Word>), Error> {
    let (ids, words) = intervention::words(model, text)?;
    let placed = words.iter().filter(|w| matches!(w, Word::Image(_))).count();
    if placed != pictures {
        let message = format!(
            "the tokenizer and the chat template place {placed} pictures, the request has {pictures}"
        );
        return Err(Error::invalid("prompt", message));
    }
    Ok((ids, words))
}
