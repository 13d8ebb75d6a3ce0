//! Conversations to prompts: a model's chat template, rendered as transformers 5.17's
//! `processor.apply_chat_template` renders it.
//!
//! Knows messages and marks of pictures; token ids are [`Text`]'s.

mod text_only;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::civil::DateTime;

use super::chat_files::{self, Found};
use super::message::{IMAGE_MARKER, Message, MessagePart, Rendered, Role, searched};
use super::tokenizer::Text;
use super::{clock, conversations};
use crate::field_path::shown;
use crate::model::error::Error;
use crate::model::jinja::{Failure, Template, Value};
use crate::model::load::source::Source;

/// The chat template to use in place of the model's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatTemplate {
    /// One of LLaVA's conversations, by name.
    Named(String),
    /// A file: Jinja, or JSON with `chat_template`.
    File(PathBuf),
}

impl std::str::FromStr for ChatTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Names first: a file of the same name in the working directory must not change what a
        // command means.
        if conversations::find(text).is_some() {
            return Ok(Self::Named(text.to_owned()));
        }
        if Path::new(text).is_file() {
            return Ok(Self::File(text.into()));
        }
        Err(format!(
            "{} is no file, and none of {}",
            shown(text),
            conversations::names()
        ))
    }
}

impl ChatTemplate {
    /// Reports whether `text` names one of LLaVA's conversations.
    pub fn is_named(text: &str) -> bool {
        conversations::find(text).is_some()
    }
}

/// The time of one rendering.
struct Clock {
    time: DateTime,
    /// Tells whether the template has asked for it.
    read: AtomicBool,
}

impl Clock {
    fn strftime(&self, format: &str) -> Result<String, String> {
        // Only then is the time a part of the prompt, which a record has to name.
        self.read.store(true, Ordering::Relaxed);
        clock::strftime(format, &self.time)
    }
}

/// A model's chat template.
#[derive(Debug)]
pub struct Chat {
    template: Template,
    /// File, or name among LLaVA's conversations.
    origin: PathBuf,
    field: Option<&'static str>,
    /// Tells whether `content` is one text rather than a list of parts.
    text_only: bool,
    /// The token that the template writes for a picture.
    marker: &'static str,
    /// Special tokens, and what the style of a conversation reads.
    variables: Vec<(Arc<str>, String)>,
    /// Switches that are off, where nothing of them is unset.
    switched_off: &'static [&'static str],
}

/// A picture in a text-only message stands before the words, as the original LLaVA puts it.
const PICTURE_LINE: &str = "<image>\n";

/// Marks the end of what is to be continued, as transformers does it.
const CONTINUE: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// Noncharacters that mark where words begin and end, with the number of their message between the
/// first and the second.
const WORDS_BEGIN: char = '\u{fdd0}';
const NUMBER_END: char = '\u{fdd1}';
const WORDS_END: char = '\u{fdd2}';
const DIGIT: u32 = 0xfdd3;

/// Bytes that a template may make of the words that it is tried on, before they are tokenized.
const TRIAL_BYTES: usize = 1 << 20;

/// Words that a template is tried on.
const TRIAL: &str = "Which shapes are there?";

impl Chat {
    /// Reads the template of a model: `chosen`, or its own; `None` where there is neither. It is
    /// tried on a conversation with one picture; one that fails, or places no picture for
    /// `image_token`, is an error that names its file and line.
    pub fn load(
        source: &Source,
        chosen: Option<&ChatTemplate>,
        text: &Text,
        image_token: u32,
    ) -> Result<Option<Self>, Error> {
        let mut chat = Self::parse(source, chosen, text)?;
        if let Some(chat) = &mut chat {
            chat.try_out(text, image_token)?;
        }
        Ok(chat)
    }

    /// Returns the template as it is, not tried yet.
    fn parse(
        source: &Source,
        chosen: Option<&ChatTemplate>,
        text: &Text,
    ) -> Result<Option<Self>, Error> {
        let mut variables = chat_files::special_tokens(source)?;
        let found = match chosen {
            None => chat_files::template(source)?,
            Some(ChatTemplate::Named(name)) => {
                let conversation =
                    conversations::find(name).ok_or_else(|| unknown_conversation(name))?;
                variables.extend(
                    conversation
                        .variables
                        .iter()
                        .map(|(k, v)| ((*k).into(), (*v).to_owned())),
                );
                Some(Found {
                    text: conversation.source.to_owned(),
                    file: name.into(),
                    field: None,
                })
            }
            Some(ChatTemplate::File(path)) => Some(from_file(path)?),
        };
        let Some(Found {
            text: source,
            file,
            field,
        }) = found
        else {
            return Ok(None);
        };
        let wrong = |failure: Failure| wrong(&file, field, &failure);
        let template = Template::parse(&source).map_err(wrong)?;
        Ok(Some(Self {
            template,
            origin: file,
            field,
            text_only: false,
            marker: text.image_marker(),
            variables,
            switched_off: &[],
        }))
    }

    /// Finds out whether the template takes parts or plain text.
    fn try_out(&mut self, text: &Text, image_token: u32) -> Result<(), Error> {
        let parts = vec![MessagePart::Image, MessagePart::Text(TRIAL.into())];
        let messages = [Message {
            role: Role::User,
            parts,
        }];
        let clock = Clock {
            time: clock::now(),
            read: AtomicBool::new(false),
        };
        let mut failures = Vec::new();
        // Parts first, which is what transformers' processors hand over: a template that takes both
        // gets those.
        for text_only in [false, true] {
            self.text_only = text_only;
            let rendered = match self.render_text(&messages, false, &clock) {
                Ok(rendered) => rendered,
                Err(failure) => {
                    failures.push(failure);
                    continue;
                }
            };
            match self.fault(&rendered, text, image_token)? {
                None => return Ok(()),
                Some(message) => failures.push(Failure {
                    line: 1,
                    message,
                    raised: false,
                }),
            }
        }
        // Of a template for plain text, the second attempt says what is wrong with it.
        let failure = match &failures[..] {
            // The attempt that got farther before it failed is the one that the template was
            // written for.
            [first, second] if second.raised || first.line > second.line => first,
            [_, second] => second,
            _ => return Err(Error::Text("chat template: not tried".into())),
        };
        Err(wrong(&self.origin, self.field, failure))
    }

    /// Says what is wrong with the prompt that it makes of the trial.
    fn fault(
        &self,
        rendered: &str,
        text: &Text,
        image_token: u32,
    ) -> Result<Option<String>, Error> {
        if rendered.len() > TRIAL_BYTES {
            return Ok(Some(format!(
                "it makes {} bytes of a message with a picture and a few words; at most \
                 {TRIAL_BYTES} are taken",
                rendered.len()
            )));
        }
        // Counted in ids, not in the text: what places a picture is up to the tokenizer.
        let ids = text.encode_with_places(rendered, !self.begins(rendered))?;
        let places = ids.iter().filter(|(id, _)| *id == image_token).count();
        if places == 1 && rendered.contains(TRIAL) {
            return Ok(None);
        }
        let what = if places == 1 {
            "leaves out the words"
        } else {
            "places no picture"
        };
        // A template can make a mebibyte of this; the error is for a person.
        let shown: String = rendered.chars().take(200).collect();
        Ok(Some(format!(
            "it {what} of a message with a picture and words: {shown:?}"
        )))
    }

    /// Returns where the template comes from: a file, or a name of LLaVA's.
    pub fn origin(&self) -> String {
        self.origin.display().to_string()
    }

    /// Tells whether messages reach the template as plain text with the marker of pictures in it.
    pub fn is_text_only(&self) -> bool {
        self.text_only
    }

    /// Returns the prompt that `messages` make. A last message of the assistant is continued, as
    /// `continue_final_message` does it; else the answer's beginning is added, as
    /// `add_generation_prompt` does it. `time` is what `strftime_now` says, unsaid the time of this
    /// machine.
    pub fn render(&self, messages: &[Message], time: Option<DateTime>) -> Result<Rendered, Error> {
        let clock = Clock {
            time: time.unwrap_or_else(clock::now),
            read: AtomicBool::new(false),
        };
        let text = self.render_text(messages, false, &clock);
        let text = text.map_err(|failure| self.refused(failure))?;
        // Once more with marks around words. A template may compare, cut or count them, and then makes
        // another text of the marked ones; in that case words are looked for.
        let words = match self
            .render_text(messages, true, &clock)
            .ok()
            .and_then(|marked| positions(&marked, &text))
        {
            Some(words) => words,
            None => searched(messages, &text),
        };
        let pictures = messages.iter().map(pictures).enumerate();
        let images = pictures.flat_map(|(i, count)| std::iter::repeat_n(i, count));
        let roles = messages.iter().map(|m| m.role).collect();
        let time = clock.read.load(Ordering::Relaxed).then_some(clock.time);
        Ok(Rendered {
            begun: self.begins(&text),
            text,
            words,
            images: images.collect(),
            roles,
            time,
        })
    }

    /// Returns the error of a conversation that the template refuses.
    fn refused(&self, failure: Failure) -> Error {
        Error::Chat {
            file: self.origin.clone(),
            line: failure.line,
            reason: failure.message,
        }
    }

    /// Tells whether the tokenizer must not begin a text by itself.
    fn begins(&self, text: &str) -> bool {
        let bos = self
            .variables
            .iter()
            .find(|(name, _)| &**name == "bos_token");
        // As `apply_chat_template(tokenize=True)` decides whether to pass `add_special_tokens`.
        bos.is_some_and(|(_, bos)| text.starts_with(bos.as_str()))
    }

    fn render_text(
        &self,
        messages: &[Message],
        marked: bool,
        clock: &Clock,
    ) -> Result<String, Failure> {
        let continued = messages.last().filter(|m| m.role == Role::Assistant);
        let continues = continued.is_some();
        let last = continued.map(last_words).transpose()?;
        let variables = || self.variables(messages, marked, continues);
        let rendered = self
            .template
            .render(variables, &|format| clock.strftime(format))?
            // What follows knows one marker; the tokenizer puts the model's own back.
            .replace(self.marker, IMAGE_MARKER);
        let Some(last) = last else {
            return Ok(rendered);
        };
        let tag = CONTINUE.trim_end();
        let at = rendered
            // The last one, as transformers' `rindex`: words of a user may spell the tag.
            .rfind(tag)
            // transformers' check that the template kept the message. Marks part the words, so that
            // it can be made of the unmarked text alone.
            .filter(|_| marked || rendered.contains(last.trim()));
        let Some(at) = at else {
            let message = "the last message, which is to be continued, does not appear as it is in \
                           the prompt";
            return Err(failure(message));
        };
        // A template that strips its messages has cut the space off the tag: then the end of the text
        // is cut off, too.
        let kept = &rendered[..at];
        let exact = rendered[at..].starts_with(CONTINUE);
        Ok(if exact { kept } else { kept.trim_end() }.to_owned())
    }

    fn variables(
        &self,
        messages: &[Message],
        marked: bool,
        continues: bool,
    ) -> Result<Vec<(Arc<str>, Value)>, Failure> {
        let mut list = Vec::with_capacity(messages.len());
        for (i, message) in messages.iter().enumerate() {
            let tagged = continues && i + 1 == messages.len();
            let content = self.content(message, marked.then_some(i), tagged)?;
            let role = (Value::str("role"), Value::str(message.role.name()));
            list.push(Value::dict(vec![role, (Value::str("content"), content)])?);
        }
        let mut variables: Vec<(Arc<str>, Value)> = self
            .variables
            .iter()
            .map(|(name, text)| (name.clone(), Value::str(text)))
            .collect();
        // False rather than unset, which Qwen3's template takes for true.
        let off = self.switched_off.iter();
        variables.extend(off.map(|name| ((*name).into(), Value::Bool(false))));
        variables.push(("messages".into(), Value::list(list)?));
        // transformers passes both always: a template may ask whether they are none.
        variables.push(("tools".into(), Value::None));
        variables.push(("documents".into(), Value::None));
        // transformers refuses both at once.
        variables.push(("add_generation_prompt".into(), Value::Bool(!continues)));
        Ok(variables)
    }

    /// Returns the content of a message; `number` asks for marks around its words.
    fn content(
        &self,
        message: &Message,
        number: Option<usize>,
        tagged: bool,
    ) -> Result<Value, Failure> {
        // transformers, too, puts its tag behind the last words, pictures after them aside.
        let last = message
            .parts
            .iter()
            .rposition(|p| matches!(p, MessagePart::Text(_)));
        let mut parts: Vec<Option<String>> = Vec::with_capacity(message.parts.len());
        for (i, part) in message.parts.iter().enumerate() {
            parts.push(match part {
                MessagePart::Text(text) => Some(words(text, number, tagged && Some(i) == last)),
                MessagePart::Image => None,
            });
        }
        let parts = parts.iter().map(Option::as_deref);
        if self.text_only {
            let text: String = parts.map(|words| words.unwrap_or(PICTURE_LINE)).collect();
            return Ok(Value::str(&text));
        }
        Value::list(parts.map(part_value).collect::<Result<_, _>>()?)
    }
}

/// Returns a part as templates see it: words, or a picture.
fn part_value(words: Option<&str>) -> Result<Value, Failure> {
    let (kind, text) = (Value::str("type"), Value::str("text"));
    match words {
        Some(words) => Value::dict(vec![(kind, text.clone()), (text, Value::str(words))]),
        None => Value::dict(vec![(kind, Value::str("image"))]),
    }
}

/// Returns words as a template is given them: with marks around them where the message's `number`
/// is known, and with the tag behind them.
fn words(text: &str, number: Option<usize>, tagged: bool) -> String {
    let mut words = number.map_or_else(|| text.to_owned(), |number| mark(text, number));
    if tagged {
        words.push_str(CONTINUE);
    }
    words
}

/// Counts the pictures of a message, those that its words place among them.
fn pictures(message: &Message) -> usize {
    let markers = message.parts.iter().map(|part| match part {
        MessagePart::Image => 1,
        MessagePart::Text(text) => text.matches(IMAGE_MARKER).count(),
    });
    markers.sum()
}

/// Returns the words of a message that is to be continued.
fn last_words(message: &Message) -> Result<&str, Failure> {
    let words = message.parts.iter().rev().find_map(|part| match part {
        MessagePart::Text(text) => Some(text.as_str()),
        MessagePart::Image => None,
    });
    words.ok_or_else(|| failure("the last message has no words to continue"))
}

/// Returns a failure of the conversation, for which no line of the template is to blame.
fn failure(message: &str) -> Failure {
    Failure {
        line: 1,
        message: message.into(),
        raised: false,
    }
}

fn unknown_conversation(name: &str) -> Error {
    let names = conversations::names();
    Error::Text(format!("chat_template: {name:?} is none of {names}"))
}

fn wrong(file: &Path, field: Option<&str>, failure: &Failure) -> Error {
    let field = field.map_or_else(String::new, |field| format!("{field}, "));
    Error::File {
        path: file.to_owned(),
        reason: format!("{field}{failure}"),
    }
}

fn from_file(path: &Path) -> Result<Found, Error> {
    let fail = |reason: String| Error::file(path, reason);
    let metadata = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?;
    // Opening a named pipe would wait for a writer, for ever.
    if !metadata.is_file() {
        return Err(fail("not a regular file".into()));
    }
    let size = metadata.len();
    // The bound of the parser, asked before the file is read.
    if size > 1 << 20 {
        return Err(fail(format!(
            "{size} bytes; a chat template has at most {}",
            1 << 20
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    if path.extension().is_some_and(|e| e == "json") {
        let json: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
        let text = json["chat_template"]
            .as_str()
            .ok_or_else(|| fail("chat_template: a text is needed".into()))?;
        return Ok(Found {
            text: text.to_owned(),
            file: path.to_owned(),
            field: Some("chat_template"),
        });
    }
    Ok(Found {
        text,
        file: path.to_owned(),
        field: None,
    })
}

/// Says what to pass where a model has no template.
pub(in crate::model) fn what_to_pass() -> String {
    format!(
        "pass --chat-template with a file or one of {}, or send a raw prompt",
        conversations::names()
    )
}

/// Returns `text` with marks around its words, which pictures may part.
fn mark(text: &str, number: usize) -> String {
    // Unicode reserves these for use within a program; text that has them nevertheless cannot be
    // marked.
    if text.contains(|c| (WORDS_BEGIN..='\u{fdef}').contains(&c)) {
        return text.to_owned();
    }
    let pieces: Vec<String> = text
        .split(IMAGE_MARKER)
        .map(|piece| mark_piece(piece, number))
        .collect();
    pieces.join(IMAGE_MARKER)
}

/// The marks stand inside of the spaces at the ends, which templates strip.
fn mark_piece(text: &str, number: usize) -> String {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return text.to_owned();
    }
    let start = text.len() - text.trim_start().len();
    // In noncharacters, too: digits proper would be words that a template counts or a filter
    // changes.
    let digits = number.to_string();
    let digits = digits
        .bytes()
        .filter_map(|b| char::from_u32(DIGIT + u32::from(b - b'0')));
    let mut out = text[..start].to_owned();
    out.push(WORDS_BEGIN);
    out.extend(digits);
    out.push(NUMBER_END);
    out.push_str(trimmed);
    out.push(WORDS_END);
    out.push_str(&text[start + trimmed.len()..]);
    out
}

/// Finds where the marked words stand in `text`, which is what is left of `marked` without its
/// marks;
/// `None` where it is not.
fn positions(marked: &str, text: &str) -> Option<Vec<(usize, Range<usize>)>> {
    let mut plain = String::with_capacity(text.len());
    let mut words = Vec::new();
    let mut number: Option<usize> = None;
    let mut open: Option<(usize, usize)> = None;
    for c in marked.chars() {
        // Any mark out of turn means that the template cut or doubled words: then none of the
        // places can be trusted.
        match (c, number, open) {
            (WORDS_BEGIN, None, None) => number = Some(0),
            (NUMBER_END, Some(n), None) => {
                open = Some((n, plain.len()));
                number = None;
            }
            (WORDS_END, None, Some((n, start))) => {
                words.push((n, start..plain.len()));
                open = None;
            }
            (c, Some(n), None) => {
                let digit = (c as u32).checked_sub(DIGIT).filter(|d| *d < 10)?;
                number = Some(n.checked_mul(10)?.checked_add(digit as usize)?);
            }
            (WORDS_BEGIN | NUMBER_END | WORDS_END, ..) => return None,
            (c, ..) => plain.push(c),
        }
    }
    // The end of words that are continued is cut off with the tag.
    if let Some((n, start)) = open {
        words.push((n, start..plain.len()));
    }
    (plain == text && number.is_none()).then_some(words)
}
