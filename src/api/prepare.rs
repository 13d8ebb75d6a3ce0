//! From a request to what the engine runs: pictures decoded and altered, interventions compiled, text tokenized.

use std::sync::Arc;
use std::time::Instant;

use candle_core::Tensor;
use metrics::{counter, histogram};

use super::{Error, State, convert, v1};
use crate::intervention::{self, Context, Intervention, Plan};
use crate::model::{IMAGE_MARKER, ImageTokens, Model};
use crate::telemetry::names;
use crate::vision::{self, Picture};

/// Bytes of a prompt's text.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// Pictures under a compiled plan.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) model: Arc<Model>,
    /// As the model sees them, image interventions applied.
    pub(super) pictures: Vec<Picture>,
    /// Their visual tokens.
    pub(super) images: Vec<ImageTokens>,
    pub(super) image_digests: Vec<String>,
    pub(super) plan: Arc<Plan>,
    /// As asked, drawn seeds filled in.
    pub(super) interventions: Vec<v1::Intervention>,
}

/// A prompt in tokens.
#[derive(Debug)]
pub(super) struct Words {
    /// After the chat template.
    pub(super) text: String,
    /// One image token for each visual token.
    pub(super) ids: Vec<u32>,
}

impl State {
    /// Decodes and alters pictures. `fields[i]` is the path of picture i in the request.
    pub(super) async fn scene(
        self: &Arc<Self>,
        model: &Arc<Model>,
        images: Vec<v1::Image>,
        field: &'static str,
        interventions: Vec<v1::Intervention>,
        sample_key: &str,
    ) -> Result<Scene, Error> {
        if images.len() > self.limits.images {
            let message = format!("{} pictures; at most {} are taken", images.len(), self.limits.images);
            return Err(Error::invalid(field, message));
        }
        let mut list = convert::interventions(&interventions)?;
        intervention::draw_open_seeds(&mut list, intervention::fresh_seed);
        let interventions = convert::with_seeds(&interventions, &list);

        let max_pixels = self.limits.image_pixels;
        let (pictures, image_digests) =
            self.blocking(model, move |model| pictures(model, &images, field, max_pixels)).await?;
        let saliency = if intervention::needs_saliency(&list) && !pictures.is_empty() {
            // The attention is that on the base view.
            let base = |p: &Picture| model.pixels(p).and_then(|views| Ok(views.narrow(0, 0, 1)?));
            let base = pictures.iter().map(base).collect::<Result<_, _>>()?;
            self.engine.attention(model.clone(), base).await?
        } else {
            Vec::new()
        };
        let images: Vec<ImageTokens> = pictures.iter().map(|p| model.tokens(p)).collect();
        let key = sample_key.to_owned();
        let alter = move |model: &Model| alter(model, pictures, images, &list, &key, &saliency);
        let (pictures, images, plan) = self.blocking(model, alter).await?;
        Ok(Scene { model: model.clone(), pictures, images, image_digests, plan: Arc::new(plan), interventions })
    }

    /// Runs `work` on the pool beside the engine, as many at once as there are cores.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        model: &Arc<Model>,
        work: impl FnOnce(&Model) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let _permit = self.decoders.acquire().await.map_err(|e| Error::Fault(e.to_string()))?;
        let model = model.clone();
        tokio::task::spawn_blocking(move || work(&model)).await.map_err(|e| Error::Fault(e.to_string()))?
    }
}

impl Scene {
    /// The views of each picture as the tower takes them.
    pub(super) fn pixels(&self) -> Result<Vec<Tensor>, Error> {
        Ok(self.pictures.iter().map(|p| self.model.pixels(p)).collect::<Result<_, _>>()?)
    }

    /// Counts the interventions of a request that runs.
    pub(super) fn count(&self, words: &Words, image_tokens: usize) {
        for (i, _) in self.plan.resolved.iter().enumerate() {
            if let Some(kind) = self.interventions.get(i).and_then(|m| m.kind.as_ref()) {
                counter!(names::INTERVENTIONS_APPLIED, "kind" => kind_name(kind)).increment(1);
            }
        }
        counter!(names::PROMPT_TOKENS).increment(words.ids.len() as u64);
        counter!(names::IMAGE_TOKENS).increment(image_tokens as u64);
    }
}

fn kind_name(kind: &v1::intervention::Kind) -> &'static str {
    use v1::intervention::Kind;
    match kind {
        Kind::PermuteTokens(_) => "permute_tokens",
        Kind::OccludePatches(_) => "occlude_patches",
        Kind::DropLayers(_) => "drop_layers",
        Kind::SwapProjector(_) => "swap_projector",
    }
}

fn pictures(
    model: &Model,
    images: &[v1::Image],
    field: &str,
    max_pixels: u64,
) -> Result<(Vec<Picture>, Vec<String>), Error> {
    let mut pictures = Vec::with_capacity(images.len());
    let mut digests = Vec::with_capacity(images.len());
    for (i, image) in images.iter().enumerate() {
        let at = |part: &str| if field == "image" { format!("image.{part}") } else { format!("{field}[{i}].{part}") };
        let bytes = match &image.source {
            Some(v1::image::Source::Data(bytes)) => bytes,
            Some(v1::image::Source::Handle(handle)) => {
                return Err(Error::UnknownImage { field: at("handle"), handle: handle.clone() });
            }
            None => return Err(Error::invalid(at("source"), "unset; data or handle is needed")),
        };
        let wrong = |source| Error::Image { field: at("data"), source };
        let start = Instant::now();
        let picture = vision::decode(bytes, max_pixels).map_err(wrong)?;
        histogram!(names::STAGE_DURATION, "stage" => "decode_image").record(start.elapsed());
        let start = Instant::now();
        pictures.push(model.processor.picture(&picture, images.len()).map_err(wrong)?);
        histogram!(names::STAGE_DURATION, "stage" => "preprocess").record(start.elapsed());
        digests.push(blake3::hash(bytes).to_hex().to_string());
    }
    Ok((pictures, digests))
}

fn alter(
    model: &Model,
    mut pictures: Vec<Picture>,
    images: Vec<ImageTokens>,
    list: &[Intervention],
    sample_key: &str,
    saliency: &[Vec<f32>],
) -> Result<(Vec<Picture>, Vec<ImageTokens>, Plan), Error> {
    let context = Context { model, images: &images, sample_key, saliency };
    let plan = intervention::compile(list, &context)?;
    for paint in &plan.paints {
        if let Some(picture) = pictures.get_mut(paint.image) {
            paint.apply(picture, &model.processor);
        }
    }
    Ok((pictures, images, plan))
}

/// The words of a request: checked, put through the chat template, with `images` pictures placed. Not yet in tokens.
pub(super) fn text(model: &Model, prompt: &v1::Prompt) -> Result<String, Error> {
    let (text, images) = (&prompt.text, prompt.images.len());
    if text.trim().is_empty() {
        return Err(Error::invalid("prompt.text", "empty; some words are needed"));
    }
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("{} bytes; at most {MAX_TEXT_BYTES} are taken", text.len());
        return Err(Error::invalid("prompt.text", message));
    }
    let markers = text.matches(IMAGE_MARKER).count();
    if markers != images && (markers > 0 || prompt.raw) {
        let message = format!("{markers} markers {IMAGE_MARKER} for {images} pictures; as many, or (not raw) none");
        return Err(Error::invalid("prompt.text", message));
    }
    if prompt.raw { Ok(text.clone()) } else { Ok(model.text.chat(text, images)?) }
}

/// The prompt of a request in tokens, checked against the context.
pub(super) fn words(model: &Model, text: String, images: &[ImageTokens]) -> Result<Words, Error> {
    let ids = model.text.encode(&text)?;
    let placed = ids.iter().filter(|&&id| id == model.image_token).count();
    if placed != images.len() {
        let count = images.len();
        let message = format!("the tokenizer and the chat template place {placed} pictures, the request has {count}");
        return Err(Error::invalid("prompt.text", message));
    }
    let ids = model.expand(&ids, &images.iter().map(ImageTokens::len).collect::<Vec<_>>());
    let context = model.decoder.config().max_position_embeddings;
    if ids.len() >= context {
        let message =
            format!("{} tokens; the context holds {context}, and the answer needs at least one of them", ids.len());
        return Err(Error::invalid("prompt", message));
    }
    Ok(Words { text, ids })
}
