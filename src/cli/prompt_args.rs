//! Takes what the model reads, as arguments: a picture and a question, or a conversation.

use std::path::{Path, PathBuf};

use clap::Args;
use scotoma_client::v1::chat_part::Part;
use scotoma_client::v1::{Image, Prompt};
use scotoma_client::{messages, prompt, system, user};

use super::error::{Failure, Usage};
use super::files;

/// The prompt of a request.
#[derive(Debug, Clone, Args)]
pub(super) struct PromptArgs {
    /// The picture: JPEG, PNG, WebP, GIF, BMP, TIFF or PNM
    #[arg(required_unless_present = "messages")]
    image: Option<PathBuf>,
    /// The question
    #[arg(required_unless_present = "messages")]
    question: Option<String>,
    /// System message, placed before the question
    #[arg(long, value_name = "TEXT", conflicts_with = "messages")]
    system: Option<String>,
    /// File with a conversation in place of picture and question, as JSON
    ///
    /// The JSON is that of transformers and OpenAI: a list of {"role", "content"}, whose content is
    /// a text or a list of {"type": "text", "text"} and {"type": "image", "path"}. If the last
    /// message is the assistant's, the model continues it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["image", "question"])]
    messages: Option<PathBuf>,
    /// Name of the sample, for random choices that differ between samples of one seed
    ///
    /// Every random choice depends on its seed, this name and the place of the intervention. `eval`
    /// takes the ids of its items, so that an item's id here repeats what it has seen.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) sample_key: String,
}

impl PromptArgs {
    /// Reads the files that the prompt is of.
    pub(super) fn prompt(&self) -> Result<Prompt, Failure> {
        if let Some(file) = &self.messages {
            return Ok(messages(super::messages::read(file)?));
        }
        let (Some(path), Some(question)) = (&self.image, &self.question) else {
            let message = "a picture and a question are needed, or --messages";
            return Err(Usage(message.into()).into());
        };
        let image = files::read(path)?;
        let Some(text) = &self.system else {
            return Ok(prompt(question, [image]));
        };
        // A system message makes a conversation of it.
        let parts = [
            scotoma_client::image(image).into(),
            question.as_str().into(),
        ];
        Ok(messages([system(text), user(parts)]))
    }
}

impl PromptArgs {
    /// Reads the same prompt with another picture or another question in place of its own; `None`
    /// for a conversation of a file, which may have several of them.
    pub(super) fn with_other(
        &self,
        image: Option<&Path>,
        question: Option<&str>,
    ) -> Result<Option<Prompt>, Failure> {
        if self.messages.is_some() {
            return Ok(None);
        }
        let mut other = self.clone();
        if let Some(image) = image {
            other.image = Some(image.to_owned());
        }
        if let Some(question) = question {
            other.question = Some(question.to_owned());
        }
        other.prompt().map(Some)
    }
}

/// Lists the pictures of a prompt, for its record.
pub(super) fn pictures(prompt: &Prompt) -> Vec<Image> {
    let parts = prompt.messages.iter().flat_map(|m| &m.parts);
    let in_messages = parts.filter_map(|part| match &part.part {
        Some(Part::Image(image)) => Some(image),
        _ => None,
    });
    prompt.images.iter().chain(in_messages).cloned().collect()
}
