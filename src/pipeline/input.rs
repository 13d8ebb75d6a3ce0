//! The part of a request that its variants share: pictures decoded, words tokenized.

use std::sync::Arc;
use std::time::Instant;

use metrics::histogram;
use tokio::sync::Mutex;

use super::error::Error;
use super::prompt;
use super::request::{Image, MultiImage, PromptInput};
use super::request_context::RequestContext;
use super::runtime::Runtime;
use super::stores::Bytes;
use crate::engine::Pixels;
use crate::field_path::FieldPath;
use crate::intervention::{self, PromptToken, SaliencyMaps};
use crate::model::{ImageTokens, Model, Rendered};
use crate::telemetry::names;
use crate::vision::{self, Picture};

/// A prompt as the model sees it, before any intervention.
#[derive(Debug)]
pub struct PreparedInput {
    /// The caller, for whom the engine measures what compiling needs.
    pub(super) context: RequestContext,
    /// The model.
    pub(super) model: Arc<Model>,
    /// The pictures as the model sees them.
    pub(super) pictures: Vec<Picture>,
    /// Their views as the tower takes them.
    pub(super) pixels: Vec<Pixels>,
    /// Their visual tokens.
    pub(super) images: Vec<ImageTokens>,
    /// BLAKE3 (hex) of their bytes.
    pub(super) image_digests: Vec<String>,
    /// The number of pictures that each is prepared as one of.
    pub(super) together: usize,
    /// The prompt after the chat template; empty for a preview.
    pub(super) text: Rendered,
    /// The prompt in tokens; `None` for a preview.
    pub(super) words: Option<(Vec<u32>, Vec<PromptToken>)>,
    /// The attention that variants have asked for so far, measured once for all of them.
    pub(super) saliency: Mutex<SaliencyMaps>,
}

impl Runtime {
    /// Decodes the pictures of a prompt and tokenizes its words.
    pub(super) async fn prepare(
        &self,
        context: &RequestContext,
        model: &Arc<Model>,
        prompt: &PromptInput,
    ) -> Result<Arc<PreparedInput>, Error> {
        let files = self.files(context, &prompt.images)?;
        let together = together(model, prompt.multi_image, files.len())?;
        let (text, time) = (prompt.text.clone(), context.time);
        let limit = self.limits.image_pixels;
        let (context, own) = (context.clone(), model.clone());
        let work = move |model: &Model| {
            // Templates before pictures: they are cheap, and fail more often.
            let text = prompt::render(model, &text, files.len(), time)?;
            let mut input = decode(context, own, files, together, limit)?;
            input.words = Some(words(model, &text, input.images.len())?);
            input.text = text;
            Ok(Arc::new(input))
        };
        self.blocking(model, work).await
    }

    /// Decodes a picture that has no prompt.
    pub(super) async fn prepare_image(
        &self,
        context: &RequestContext,
        model: &Arc<Model>,
        image: Image,
    ) -> Result<Arc<PreparedInput>, Error> {
        let files = self.files(context, &[image])?;
        let (own, limit) = (model.clone(), self.limits.image_pixels);
        let context = context.clone();
        let work = move |_: &Model| decode(context, own, files, 1, limit).map(Arc::new);
        self.blocking(model, work).await
    }

    /// Returns the bytes of pictures, those of uploaded ones out of the store.
    fn files(&self, context: &RequestContext, images: &[Image]) -> Result<Vec<File>, Error> {
        let (count, limit) = (images.len(), self.limits.images);
        if count > limit {
            let message = format!("{count} pictures; at most {limit} are taken");
            return Err(Error::invalid("prompt.images", message));
        }
        let tenant = &context.client.tenant;
        images
            .iter()
            .map(|image| self.file(tenant, image))
            .collect()
    }

    fn file(&self, tenant: &str, image: &Image) -> Result<File, Error> {
        let (field, digest) = (image.field.clone(), image.digest.clone());
        let kept = || self.uploads.get(tenant, &digest);
        match image.bytes.clone().or_else(kept) {
            Some(bytes) => Ok(File {
                field,
                bytes,
                digest,
            }),
            None => Err(Error::UnknownImage {
                field: field.join("handle"),
                handle: digest,
            }),
        }
    }
}

/// The file of a picture.
struct File {
    field: FieldPath,
    bytes: Bytes,
    digest: String,
}

/// Returns as how many pictures of one request each of `count` is prepared: a picture that comes
/// alone may be tiled.
fn together(model: &Model, multi_image: MultiImage, count: usize) -> Result<usize, Error> {
    if multi_image != MultiImage::Unspecified && !model.processor.tiles_lone_pictures() {
        let message = format!(
            "{} prepares several pictures in one way; leave it unset",
            model.name
        );
        return Err(Error::invalid("prompt.multi_image", message));
    }
    Ok(if multi_image == MultiImage::Tiled {
        1
    } else {
        count
    })
}

/// Decodes pictures to what the tower takes.
fn decode(
    context: RequestContext,
    model: Arc<Model>,
    files: Vec<File>,
    together: usize,
    max_pixels: u64,
) -> Result<PreparedInput, Error> {
    let mut pictures = Vec::with_capacity(files.len());
    for file in &files {
        let wrong = image_error(file.field.clone().join("data"));
        let start = Instant::now();
        let picture = vision::decode(&file.bytes, max_pixels).map_err(&wrong)?;
        histogram!(names::STAGE_DURATION, "stage" => "decode_image").record(start.elapsed());
        let start = Instant::now();
        pictures.push(
            model
                .processor
                .picture(&picture, together)
                .map_err(&wrong)?,
        );
        histogram!(names::STAGE_DURATION, "stage" => "preprocess").record(start.elapsed());
    }
    Ok(PreparedInput {
        pixels: pixels(&model, &pictures)?,
        images: pictures.iter().map(|p| model.tokens(p)).collect(),
        pictures,
        image_digests: files.into_iter().map(|file| file.digest).collect(),
        together,
        text: Rendered::default(),
        words: None,
        saliency: Mutex::default(),
        context,
        model,
    })
}

/// Returns what makes errors of a picture that `field` names.
pub(super) fn image_error(field: impl Into<FieldPath>) -> impl Fn(vision::Error) -> Error {
    let field = field.into();
    move |source| Error::Image {
        field: field.clone(),
        source,
    }
}

/// Returns the views of pictures as the tower takes them.
pub(super) fn pixels(model: &Model, pictures: &[Picture]) -> Result<Vec<Pixels>, Error> {
    let views = |picture| Pixels::new(model.pixels(picture)?).map_err(crate::model::Error::from);
    let all: Result<_, crate::model::Error> = pictures.iter().map(views).collect();
    Ok(all?)
}

/// Returns the text in tokens, which must place as many pictures as there are.
fn words(
    model: &Model,
    text: &Rendered,
    pictures: usize,
) -> Result<(Vec<u32>, Vec<PromptToken>), Error> {
    let (ids, words) = intervention::prompt_tokens(model, text)?;
    let placed = words
        .iter()
        .filter(|w| matches!(w, PromptToken::Image(_)))
        .count();
    if placed != pictures {
        let message = format!(
            "the tokenizer and the chat template place {placed} pictures, the request has \
             {pictures}"
        );
        return Err(Error::invalid("prompt", message));
    }
    Ok((ids, words))
}
