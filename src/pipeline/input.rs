//! The part of a request that its variants share: pictures decoded, words checked and tokenized.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;

use super::donors::Donors;
use super::error::Error;
use super::request::{Image, ImageSource, MultiImage, PromptInput, PromptText};
use super::request_context::RequestContext;
use super::runtime::Runtime;
use super::stores::{Bytes, digest};
use super::turns::Price;
use crate::engine::Engine;
use crate::field_path::FieldPath;
use crate::intervention::SaliencyMaps;
use crate::model::{
    self, IMAGE_MARKER, ImageFiles, ImageTokens, InputError, InputImage, MeasuredRows, Message,
    MessagePart, Model, Pixels, PromptToken, Rendered, Role, RowsQuery, Words, shape_of,
};
use crate::nn::{Point, Site, Stack};
use crate::vision::{self, Picture, Size};

/// Bytes of a prompt's text, of all messages together.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// Messages of a conversation, and parts of a message.
const MAX_MESSAGES: usize = 1024;

/// Bytes of text that the longest tokens of a vocabulary have: no context holds more.
pub(super) const BYTES_PER_TOKEN: usize = 16;

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
    /// The rows that variants have asked for so far, likewise.
    pub(super) rows: Mutex<MeasuredRows>,
    /// The donor pictures that variants have asked for lately, likewise.
    pub(super) donors: Mutex<Donors>,
    /// Measuring waits where the queue is full, in place of being refused.
    is_patient: AtomicBool,
}

impl Runtime {
    /// Decodes the pictures of a prompt and tokenizes its words.
    pub(super) async fn prepare(
        &self,
        context: &RequestContext,
        model: &Arc<Model>,
        prompt: &PromptInput,
    ) -> Result<Arc<PreparedInput>, Error> {
        let _stage = context.metrics.stage("input");
        // Before the wait for the pool: a store may drop meanwhile what the request names.
        let files = self.files(context, &prompt.images)?;
        let together = together(model, prompt.multi_image, files.len())?;
        // Checked before they wait for their turn, which they would for nothing.
        let words = words(model, prompt.text.clone(), files.len())?;
        let (field, limit) = (prompt.text.field(), self.limits.image_pixels);
        let price = price_of(model, &files, together, limit);
        let price = Price::of_text(prompt.text.bytes()) + price;
        let (own, model) = (context.clone(), model.clone());
        let work = move || {
            let read = model.read(&words, own.time, &images(&files, together, limit));
            let read = read.map_err(|error| blame(error, field, &files))?;
            check_places(&read.tokens, files.len())?;
            let mut input = PreparedInput::new(own, model.clone(), files, together, read.images);
            input.text = read.text;
            input.words = Some((read.ids, read.tokens));
            Ok(Arc::new(input))
        };
        self.turns.run(&context.client, price, work).await
    }

    /// Returns the tokens of a text, which stands raw, each with the bytes of it that it stands for.
    pub async fn places(
        &self,
        context: &RequestContext,
        model: &Arc<Model>,
        text: &str,
    ) -> Result<Vec<(u32, Range<usize>)>, Error> {
        check_length(model, "prompt", text.len())?;
        let (price, model, text) = (Price::of_text(text.len()), model.clone(), text.to_owned());
        let work = move || Ok(model.text.encode_with_places(&text, true)?);
        self.turns.run(&context.client, price, work).await
    }

    /// Decodes a picture that has no prompt.
    pub(super) async fn prepare_image(
        &self,
        context: &RequestContext,
        model: &Arc<Model>,
        image: Image,
    ) -> Result<Arc<PreparedInput>, Error> {
        let files = self.files(context, &[image])?;
        let (model, limit) = (model.clone(), self.limits.image_pixels);
        let (own, price) = (context.clone(), price_of(&model, &files, 1, limit));
        let work = move || {
            let read = model.read_images(&images(&files, 1, limit));
            let read = read.map_err(|error| blame(error, "image", &files))?;
            let input = PreparedInput::new(own, model.clone(), files, 1, read);
            Ok(Arc::new(input))
        };
        self.turns.run(&context.client, price, work).await
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
        let (bytes, handle) = match &image.source {
            ImageSource::Sent(bytes) => (Some(bytes.clone()), None),
            ImageSource::Uploaded(handle) => (self.uploads.get(tenant, handle), Some(handle)),
        };
        let field = image.field.clone();
        match bytes {
            Some(bytes) => Ok(File {
                field,
                bytes,
                handle: handle.cloned(),
            }),
            None => Err(Error::UnknownImage {
                field: field.join("handle"),
                handle: handle.cloned().unwrap_or_default(),
            }),
        }
    }
}

/// The file of a picture.
struct File {
    field: FieldPath,
    bytes: Bytes,
    /// The handle, where the request names it by one.
    handle: Option<String>,
}

impl File {
    /// Returns the BLAKE3 (hex) of the bytes, which takes a while where they were sent.
    fn into_digest(self) -> String {
        self.handle.unwrap_or_else(|| digest(&self.bytes))
    }
}

impl PreparedInput {
    /// Lets what is measured for it from now on wait where the queue is full.
    pub(super) fn wait_for_room(&self) {
        self.is_patient.store(true, Ordering::Relaxed);
    }

    /// Returns `engine` for work that is charged to its caller and ends at its deadline.
    pub(super) fn share_of(&self, engine: &Engine) -> Engine {
        let context = &self.context;
        let engine = engine.on_behalf_of(&context.client, &context.deadline);
        if self.is_patient.load(Ordering::Relaxed) {
            return engine.patiently();
        }
        engine
    }

    /// Returns the bytes of the rows that `queries` ask for, at most.
    pub(super) fn rows_bytes<'a>(&self, queries: impl Iterator<Item = &'a RowsQuery>) -> u64 {
        let numbers = queries.map(|query| self.numbers_at(query));
        numbers.fold(0, u64::saturating_add) * size_of::<f32>() as u64
    }

    fn numbers_at(&self, query: &RowsQuery) -> u64 {
        let (point, head) = match *query {
            RowsQuery::At { point, head } => (point, head),
            // Of any layer: keys are as wide in all of them.
            RowsQuery::TowerKeys => (Point::at(Stack::VisionTower, 0, Site::K), None),
        };
        let images = self.images.iter();
        let (rows, keys) = match point.stack {
            Stack::LanguageModel => {
                let text = self.words.as_ref().map_or(0, |(ids, _)| ids.len());
                let rows = text + images.map(ImageTokens::len).sum::<usize>();
                (rows, rows)
            }
            // Views do not see each other.
            Stack::VisionTower | Stack::Projector => {
                let keys = images.clone().map(|image| image.view.rows).max();
                let rows = images.map(|image| image.views * image.view.rows).sum();
                (rows, keys.unwrap_or(0))
            }
        };
        let shape = shape_of(&self.model, point, keys);
        // Of patterns one head, or the mean over heads; elsewhere all of them end to end.
        let is_one = head.is_some() || point.site == Site::Pattern;
        let heads = shape.heads.filter(|_| !is_one).unwrap_or(1);
        (rows * heads * shape.width) as u64
    }

    /// Takes pictures that were read of `files`; there is no prompt yet.
    fn new(
        context: RequestContext,
        model: Arc<Model>,
        files: Vec<File>,
        together: usize,
        read: Vec<InputImage>,
    ) -> Self {
        let mut input = Self {
            context,
            model,
            pictures: Vec::with_capacity(read.len()),
            pixels: Vec::with_capacity(read.len()),
            images: Vec::with_capacity(read.len()),
            // On the pool with the rest of it: hashing a file takes a while.
            image_digests: files.into_iter().map(File::into_digest).collect(),
            together,
            text: Rendered::default(),
            words: None,
            saliency: Mutex::default(),
            rows: Mutex::default(),
            donors: Mutex::default(),
            is_patient: AtomicBool::new(false),
        };
        for image in read {
            input.pictures.push(image.picture);
            input.pixels.push(image.pixels);
            input.images.push(image.tokens);
        }
        input
    }
}

fn images(files: &[File], together: usize, max_pixels: u64) -> ImageFiles<'_> {
    ImageFiles {
        files: files.iter().map(|file| &*file.bytes).collect(),
        together,
        max_pixels,
    }
}

/// Prices reading files one after the other, each as one of `together` pictures.
fn price_of(model: &Model, files: &[File], together: usize, max_pixels: u64) -> Price {
    let held = |size| model.processor.pixels(size, together);
    let prices = files
        .iter()
        .map(|file| price_of_picture(&file.bytes, max_pixels, held));
    prices.fold(Price::BASE, |all, one| all + one)
}

/// Prices reading the file of a picture, of which `held` says the pixels that are in memory for a
/// size.
pub(super) fn price_of_picture(bytes: &[u8], max_pixels: u64, held: impl Fn(Size) -> u64) -> Price {
    // One that exceeds the limit is not decoded.
    // Read off the header, so that the price is known before anything is decoded.
    let size = vision::size_of(bytes, max_pixels);
    let (own, held) = (size.map_or(0, pixels_of), size.map_or(0, held));
    // A square beyond the limit, which it would be padded to, is not made.
    let pixels = if held <= max_pixels { held } else { own };
    Price::of_picture(pixels, bytes.len())
}

/// Returns the pixels of a picture of a size.
pub(super) fn pixels_of((height, width): Size) -> u64 {
    height as u64 * width as u64
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
    // Each as if it came alone.
    Ok(if multi_image == MultiImage::Tiled {
        1
    } else {
        count
    })
}

/// Names the field that is to blame for an input that cannot be read; `words` is that of the words.
fn blame(error: InputError, words: &str, files: &[File]) -> Error {
    let InputError { image, source } = error;
    match (image.and_then(|i| files.get(i)), *source) {
        (Some(file), model::Error::Vision(source)) => Error::Image {
            field: file.field.clone().join("data"),
            source,
        },
        // A template may refuse a conversation; what else fails is not the client's to mend.
        (None, source @ model::Error::Chat { .. }) => {
            Error::invalid(words, format!("the chat template: {source}"))
        }
        (_, source) => source.into(),
    }
}

/// Fails unless `tokens` place as many pictures as there are.
fn check_places(tokens: &[PromptToken], pictures: usize) -> Result<(), Error> {
    // A template may leave a picture out, and the tokenizer may find a marker in words.
    let is_image = |token: &&PromptToken| matches!(token, PromptToken::Image(_));
    let placed = tokens.iter().filter(is_image).count();
    if placed == pictures {
        return Ok(());
    }
    let message = format!(
        "the tokenizer and the chat template place {placed} pictures, the request has {pictures}"
    );
    Err(Error::invalid("prompt", message))
}

impl PromptText {
    /// Returns the bytes of the words, of all messages together.
    fn bytes(&self) -> usize {
        match self {
            Self::Messages(messages) => {
                let parts = messages.iter().flat_map(|message| &message.parts);
                parts.map(text_bytes).sum()
            }
            Self::Raw(text) | Self::Text(text) => text.len(),
        }
    }

    /// Returns the path of the field that holds it.
    fn field(&self) -> &'static str {
        match self {
            Self::Messages(_) => "prompt.messages",
            Self::Text(_) | Self::Raw(_) => "prompt.text",
        }
    }
}

fn text_bytes(part: &MessagePart) -> usize {
    match part {
        MessagePart::Text(text) => text.len(),
        MessagePart::Image => 0,
    }
}

/// Returns the words as the model reads them, with `images` pictures placed.
fn words(model: &Model, text: PromptText, images: usize) -> Result<Words, Error> {
    match text {
        PromptText::Messages(messages) => {
            check_messages(model, &messages)?;
            Ok(Words::Messages(messages))
        }
        PromptText::Raw(text) => {
            check_text(model, &text, images, true)?;
            Ok(Words::Raw(text))
        }
        PromptText::Text(text) => {
            let markers = check_text(model, &text, images, false)?;
            let mut parts = Vec::new();
            // Pictures that the text does not place stand before it.
            if markers == 0 {
                parts.resize(images, MessagePart::Image);
            }
            // Whole, its own markers in it: the tokenizer finds the pictures that it places.
            parts.push(MessagePart::Text(text));
            let role = Role::User;
            Ok(Words::Messages(vec![Message { role, parts }]))
        }
    }
}

/// Finds a token of a picture in words: the marker of prompts, or the model's own.
pub(super) fn marker_in(model: &Model, text: &str) -> Option<&'static str> {
    let markers = [IMAGE_MARKER, model.text.image_marker()];
    markers.into_iter().find(|marker| text.contains(marker))
}

/// Checks a prompt of one text and returns how many pictures it places itself.
fn check_text(model: &Model, text: &str, images: usize, raw: bool) -> Result<usize, Error> {
    // A raw prompt may be the tokenizer's own first token alone; whether one is left is seen later.
    if !raw && text.trim().is_empty() {
        return Err(Error::invalid(
            "prompt.text",
            "empty; some words are needed",
        ));
    }
    check_length(model, "prompt.text", text.len())?;
    // The tokenizer would make a picture of it, and so would the template of one in a conversation.
    let own = model.text.image_marker();
    if own != IMAGE_MARKER && text.contains(own) {
        let message =
            format!("holds {own}, the model's own token; {IMAGE_MARKER} places a picture");
        return Err(Error::invalid("prompt.text", message));
    }
    let markers = text.matches(IMAGE_MARKER).count();
    // Raw words have no template that would place pictures before them.
    if markers != images && (markers > 0 || raw) {
        let message = format!(
            "{markers} markers {IMAGE_MARKER} for {images} pictures; as many, or (not raw) none"
        );
        return Err(Error::invalid("prompt.text", message));
    }
    Ok(markers)
}

/// Fails on text that no context could hold, which would be tokenized for nothing, for minutes.
fn check_length(model: &Model, field: &str, bytes: usize) -> Result<(), Error> {
    let context = model.decoder.config().max_position_embeddings;
    let limit = MAX_TEXT_BYTES.min(context.saturating_mul(BYTES_PER_TOKEN));
    if bytes > limit {
        let message = format!(
            "{bytes} bytes; at most {limit} are taken, more than the context of {context} tokens \
             holds"
        );
        return Err(Error::invalid(field, message));
    }
    Ok(())
}

fn check_messages(model: &Model, list: &[Message]) -> Result<(), Error> {
    if list.len() > MAX_MESSAGES {
        let message = format!("{} messages; at most {MAX_MESSAGES} are taken", list.len());
        return Err(Error::invalid("prompt.messages", message));
    }
    let parts = list.iter().flat_map(|m| &m.parts);
    check_length(model, "prompt.messages", parts.map(text_bytes).sum())?;
    for (i, message) in list.iter().enumerate() {
        check_parts(model, i, message)?;
    }
    Ok(())
}

/// Checks the parts of message `i`.
fn check_parts(model: &Model, i: usize, message: &Message) -> Result<(), Error> {
    let at = format!("prompt.messages[{i}].parts");
    let count = message.parts.len();
    if !(1..=MAX_MESSAGES).contains(&count) {
        let message = format!("{count} parts; 1 to {MAX_MESSAGES} are taken");
        return Err(Error::invalid(at, message));
    }
    for (j, part) in message.parts.iter().enumerate() {
        if let MessagePart::Text(text) = part
            && let Some(marker) = marker_in(model, text)
        {
            let message = format!("holds {marker}; in messages a picture is a part of its own");
            return Err(Error::invalid(format!("{at}[{j}].text"), message));
        }
    }
    Ok(())
}
