//! The input of a model, made of what a request holds: words to token ids, files of pictures to
//! views of pixels.
//!
//! [`Model::read`] makes all of it in the order in which a mistake costs least: the chat template,
//! then the pictures, then the tokens. Nothing here is on a device. What interventions choose among
//! is said beside it: a [`PromptToken`] for each token, and the [`ImageTokens`] of each picture.

use std::ops::Range;
use std::time::Instant;

use jiff::civil::DateTime;
use metrics::histogram;

use super::error::Error;
use super::families::family::tiles;
use super::image_tokens::ImageTokens;
use super::llava::{Model, Prompt};
use super::load::config::Merge;
use super::text::chat;
use super::text::message::{IMAGE_MARKER, Message, Rendered, Role};
use crate::nn::{HostTensor, digest};
use crate::telemetry::names;
use crate::vision::{self, Picture};

/// The words of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// A conversation, for the chat template.
    Messages(Vec<Message>),
    /// The prompt as the tokenizer takes it.
    Raw(String),
}

/// The files of the pictures of one request.
#[derive(Debug)]
pub struct ImageFiles<'a> {
    /// Bytes of each.
    pub files: Vec<&'a [u8]>,
    /// The number of pictures that each is prepared as one of; some processors tile a picture that
    /// comes alone.
    pub together: usize,
    /// Pixels of one picture, at most.
    pub max_pixels: u64,
}

/// A prompt and its pictures, as the model reads them before any intervention.
#[derive(Debug)]
pub struct Input {
    /// The text after the chat template.
    pub text: Rendered,
    /// Token ids, pictures not yet expanded.
    pub ids: Vec<u32>,
    /// Says what each token is.
    pub tokens: Vec<PromptToken>,
    /// The pictures.
    pub images: Vec<InputImage>,
}

/// A picture, ready for the tower.
#[derive(Debug)]
pub struct InputImage {
    /// The picture as the model sees it, still in 8 bits: interventions edit this.
    pub picture: Picture,
    /// The views of the picture.
    pub pixels: Pixels,
    /// The visual tokens that it becomes.
    pub tokens: ImageTokens,
}

/// The views of a picture.
#[derive(Debug, Clone)]
pub struct Pixels {
    /// `(V, 3, H, W)`.
    pub views: HostTensor,
    /// BLAKE3 of their numbers, little-endian f32.
    pub digest: blake3::Hash,
}

impl Pixels {
    /// Takes the digest.
    pub fn new(views: HostTensor) -> candle_core::Result<Self> {
        // Of the pixels after all preparation: what the tower sees decides about reuse.
        let digest = digest::of_tensor(&views)?;
        Ok(Self { views, digest })
    }
}

/// A token of the prompt, pictures not yet expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptToken {
    /// Text, and the message whose words it is.
    Text(TextSegment, Option<u32>),
    /// A picture, and its message.
    Image(u32),
}

/// The part of a prompt that a token of text belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextSegment {
    /// Before the first picture and the user's first word, or of a system message.
    System,
    /// The user's last words.
    Question,
    /// The user's words before the last message.
    User,
    /// The assistant's words.
    Assistant,
    /// Text of the chat template.
    Template,
}

/// An input that cannot be read.
#[derive(Debug)]
pub struct InputError {
    /// The number of the picture that is to blame; `None`: the words.
    pub image: Option<usize>,
    /// The reason.
    pub source: Box<Error>,
}

impl From<Error> for InputError {
    /// Blames the words.
    fn from(source: Error) -> Self {
        Self {
            image: None,
            source: Box::new(source),
        }
    }
}

impl Model {
    /// Reads a prompt and its pictures. `time` is what a chat template says that names it; unsaid:
    /// now.
    pub fn read(
        &self,
        words: &Words,
        time: Option<DateTime>,
        images: &ImageFiles<'_>,
    ) -> Result<Input, InputError> {
        // Templates before pictures: they are cheap, and fail more often.
        let text = match words {
            Words::Raw(text) => Rendered::raw(text),
            Words::Messages(messages) => self.render(messages, time)?,
        };
        let images = self.read_images(images)?;
        let (ids, tokens) = self.tokenize(&text)?;
        Ok(Input {
            text,
            ids,
            tokens,
            images,
        })
    }

    /// Reads pictures that have no prompt.
    pub fn read_images(&self, images: &ImageFiles<'_>) -> Result<Vec<InputImage>, InputError> {
        let mut all = Vec::with_capacity(images.files.len());
        for (i, file) in images.files.iter().enumerate() {
            let read = self.read_image(file, images.together, images.max_pixels);
            all.push(read.map_err(|source| InputError {
                image: Some(i),
                source: Box::new(source),
            })?);
        }
        Ok(all)
    }

    /// Reads one picture, prepared as one of `together` of a request.
    pub fn read_image(
        &self,
        file: &[u8],
        together: usize,
        max_pixels: u64,
    ) -> Result<InputImage, Error> {
        let start = Instant::now();
        let decoded = vision::decode(file, max_pixels)?;
        histogram!(names::STAGE_DURATION, "stage" => "decode_image").record(start.elapsed());
        let start = Instant::now();
        let picture = self.processor.picture(&decoded, together, max_pixels)?;
        histogram!(names::STAGE_DURATION, "stage" => "preprocess").record(start.elapsed());
        Ok(InputImage {
            pixels: Pixels::new(self.pixels(&picture)?)?,
            tokens: self.tokens(&picture),
            picture,
        })
    }

    /// Returns the views of a picture as the tower takes them: `(V, 3, H, W)`.
    pub fn pixels(&self, picture: &Picture) -> Result<HostTensor, Error> {
        let views = picture.views();
        let values: Vec<f32> = views
            .iter()
            .flat_map(|view| self.processor.normalise(view))
            .collect();
        let (height, width) = picture.view_size();
        let shape = (views.len(), 3, height, width);
        Ok(HostTensor::from_vec(values, shape)?.to_dtype(self.dtype)?)
    }

    /// Returns the visual tokens of a picture.
    pub fn tokens(&self, picture: &Picture) -> ImageTokens {
        let (tower, packing) = (self.tower.info(), &self.packing);
        let view = tower.view(picture.view_size());
        let class = tower.keeps_class();
        match (packing.merge, tiles(picture)) {
            // Before all else: SigLIP under "default" loses its first patch in Hugging Face's code,
            // whatever becomes of the rest.
            _ if tower.drops_a_patch() => ImageTokens::of_view_without_first(view),
            (Merge::SpatialUnpad, _) => {
                let most_tiles = packing.most_tiles;
                self.family.tokens(picture, view, class, most_tiles)
            }
            // Merges of the original LLaVA, which keep what pads the picture.
            (merge, Some(tiles)) => ImageTokens::of_padded_tiles(view, tiles, merge == Merge::Flat),
            (_, None) => ImageTokens::of_view(view, class),
        }
    }

    /// Renders a conversation by the chat template. `time` is what a template says that names it;
    /// unsaid: now.
    pub fn render(&self, messages: &[Message], time: Option<DateTime>) -> Result<Rendered, Error> {
        match &self.chat {
            Some(chat) => chat.render(messages, time),
            None => Err(Error::NoChatTemplate {
                model: self.name.clone(),
                mend: chat::what_to_pass(),
            }),
        }
    }

    /// Returns the token ids of a prompt, pictures not yet expanded, and what each token is.
    pub fn tokenize(&self, prompt: &Rendered) -> Result<(Vec<u32>, Vec<PromptToken>), Error> {
        let segments = Segments::of(prompt);
        let mut images = prompt.images.iter();
        let (mut ids, mut tokens) = (Vec::new(), Vec::new());
        // A template that has begun the text has written BOS itself.
        for (id, place) in self.text.encode_with_places(&prompt.text, !prompt.begun)? {
            ids.push(id);
            tokens.push(if id == self.image_token {
                PromptToken::Image(images.next().map_or(0, |message| *message as u32))
            } else {
                segments.token(&place)
            });
        }
        Ok((ids, tokens))
    }

    /// Spreads token ids with one image token for each picture over the visual tokens of `images`,
    /// with rotary positions.
    pub fn expand(&self, ids: &[u32], images: &[ImageTokens]) -> Prompt {
        let mut prompt = Prompt::default();
        let mut images = images.iter();
        for &id in ids {
            // Markers beyond the pictures stay words; `pipeline` has refused prompts whose counts
            // differ.
            let image = if id == self.image_token {
                images.next()
            } else {
                None
            };
            // A word is one token at one position. A picture may take more positions than tokens,
            // where a selection left gaps.
            let (offsets, extent) = image.map_or((&[0][..], 1), |i| (&i.offsets, i.extent));
            prompt.ids.extend(std::iter::repeat_n(id, offsets.len()));
            prompt
                .positions
                .extend(offsets.iter().map(|o| prompt.next + o));
            prompt.next += extent as u32;
        }
        prompt
    }
}

/// The messages behind the bytes of a prompt.
struct Segments<'a> {
    prompt: &'a Rendered,
    /// The user's last message.
    last: Option<usize>,
    /// The byte at which the user's words or the first picture begin.
    begins: usize,
}

impl<'a> Segments<'a> {
    fn of(prompt: &'a Rendered) -> Self {
        let mut segments = Self {
            prompt,
            last: prompt.roles.iter().rposition(|role| *role == Role::User),
            begins: 0,
        };
        let users_words = prompt
            .words
            .iter()
            .filter(|(message, _)| segments.role(*message) == Role::User)
            .map(|(_, bytes)| bytes.start);
        segments.begins = users_words
            .chain(prompt.text.find(IMAGE_MARKER))
            .min()
            .unwrap_or(prompt.text.len());
        segments
    }

    fn role(&self, message: usize) -> Role {
        // Raw prompts have no roles: all of their words are the user's.
        let role = self.prompt.roles.get(message);
        role.copied().unwrap_or(Role::User)
    }

    /// Returns what the token of text at the bytes `place` is.
    fn token(&self, place: &Range<usize>) -> PromptToken {
        // A token that reaches over two messages belongs to the first.
        let own = self
            .prompt
            .words
            .iter()
            .find(|(_, bytes)| place.start < bytes.end && bytes.start < place.end);
        let segment = match own.map(|(message, _)| (self.role(*message), *message)) {
            Some((Role::User, message)) if Some(message) == self.last => TextSegment::Question,
            Some((Role::User, _)) => TextSegment::User,
            Some((Role::Assistant, _)) => TextSegment::Assistant,
            Some((Role::System, _)) => TextSegment::System,
            None if place.end <= self.begins => TextSegment::System,
            None => TextSegment::Template,
        };
        PromptToken::Text(segment, own.map(|(message, _)| *message as u32))
    }
}
