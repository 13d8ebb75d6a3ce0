//! Tokenizer, chat template and incremental detokenization.

use std::ops::Range;

use minijinja::{Environment, ErrorKind, context};
use tokenizers::Tokenizer;

use super::{Error, Source};

/// The marker that places a picture in a prompt.
pub const IMAGE_MARKER: &str = "<image>";

/// Vicuna's conversation, for checkpoints that bring no template of their own.
const FALLBACK_TEMPLATE: &str = "{% for message in messages %}USER: {% for part in message['content'] %}\
    {% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %} {% endfor %}\
    {% if add_generation_prompt %}ASSISTANT:{% endif %}";

/// What turns words into token ids and back.
#[derive(Debug)]
pub struct Text {
    tokenizer: Tokenizer,
    templates: Environment<'static>,
    bos: Option<String>,
    eos: Option<String>,
    /// The id of a picture's marker where the vocabulary has none.
    image: Option<u32>,
}

impl Text {
    /// Reads tokenizer.json and the chat template (chat_template.jinja, chat_template.json, or the one in
    /// tokenizer_config.json).
    pub fn load(source: &Source) -> Result<Self, Error> {
        let json = source.read("tokenizer.json")?;
        if json.is_none() && source.read("tokenizer.model")?.is_some() {
            let mend = "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) of transformers writes it";
            return Err(Error::Text(format!("tokenizer.json is missing, there is only tokenizer.model; {mend}")));
        }
        let tokenizer = Tokenizer::from_bytes(json.ok_or_else(|| source.missing("tokenizer.json"))?)
            .map_err(|e| Error::Text(format!("tokenizer.json: {e}")))?;
        let config: serde_json::Value = source.json("tokenizer_config.json")?.unwrap_or_default();
        let wrapped: serde_json::Value = source.json("chat_template.json")?.unwrap_or_default();
        let template = match source.read("chat_template.jinja")? {
            Some(bytes) => String::from_utf8(bytes).map_err(|e| Error::Text(format!("chat_template.jinja: {e}")))?,
            None => [&wrapped["chat_template"], &config["chat_template"]]
                .iter()
                .find_map(|t| t.as_str())
                .unwrap_or(FALLBACK_TEMPLATE)
                .to_owned(),
        };
        let mut templates = Environment::new();
        templates.set_trim_blocks(true);
        templates.set_lstrip_blocks(true);
        templates.set_fuel(Some(1_000_000));
        templates.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        templates.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        templates.add_template_owned("chat", template).map_err(|e| Error::Text(format!("chat template: {e:#}")))?;
        // A special token is a string, or an object with its `content`.
        let special = |name: &str| {
            let token = &config[name];
            token.as_str().or_else(|| token["content"].as_str()).map(str::to_owned)
        };
        Ok(Self { tokenizer, templates, bos: special("bos_token"), eos: special("eos_token"), image: None })
    }

    /// The user's words as the model's chat template writes them, up to where the answer begins. Pictures are
    /// [`IMAGE_MARKER`]s: those in `text`, or `images` of them handed to the template as its picture parts.
    pub fn chat(&self, text: &str, images: usize) -> Result<String, Error> {
        let mut content = Vec::new();
        if !text.contains(IMAGE_MARKER) {
            content.extend((0..images).map(|_| context! { type => "image" }));
        }
        content.push(context! { type => "text", text => text });
        let messages = vec![context! { role => "user", content => content }];
        self.templates
            .get_template("chat")
            .and_then(|t| {
                t.render(context! {
                    messages => messages,
                    add_generation_prompt => true,
                    bos_token => self.bos,
                    eos_token => self.eos,
                })
            })
            .map_err(|e| Error::Text(format!("chat template: {e:#}")))
    }

    /// The id that places a picture: the vocabulary's, or else `beyond`, which is then what markers become.
    pub fn image_token(&mut self, beyond: u32) -> u32 {
        let known = self.tokenizer.token_to_id(IMAGE_MARKER);
        self.image = known.is_none().then_some(beyond);
        known.unwrap_or(beyond)
    }

    /// Token ids, with the special tokens that the tokenizer adds (BOS, usually).
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        Ok(self.encode_with_places(text)?.into_iter().map(|(id, _)| id).collect())
    }

    /// The same, each with the bytes of `text` that it stands for; none for a special token that was added.
    pub fn encode_with_places(&self, text: &str) -> Result<Vec<(u32, Range<usize>)>, Error> {
        let Some(image) = self.image else { return self.encode_part(text, 0, true) };
        let mut ids = Vec::new();
        let mut at = 0;
        for (i, part) in text.split(IMAGE_MARKER).enumerate() {
            if i > 0 {
                ids.push((image, at..at + IMAGE_MARKER.len()));
                at += IMAGE_MARKER.len();
            }
            ids.extend(self.encode_part(part, at, i == 0)?);
            at += part.len();
        }
        Ok(ids)
    }

    /// `text` begins at byte `at` of the whole.
    fn encode_part(&self, text: &str, at: usize, special: bool) -> Result<Vec<(u32, Range<usize>)>, Error> {
        let encoding = self.tokenizer.encode(text, special).map_err(|e| Error::Text(e.to_string()))?;
        let places = encoding.get_offsets().iter().map(|&(start, end)| at + start..at + end);
        Ok(encoding.get_ids().iter().copied().zip(places).collect())
    }

    /// The ids of `continuation` where it follows `prompt`: what tokenizing both together adds. Where the two melt into
    /// other tokens at the seam, the continuation is tokenized alone.
    pub fn encode_continuation(&self, prompt: &str, continuation: &str) -> Result<Vec<u32>, Error> {
        let before = self.encode(prompt)?;
        let both = self.encode(&format!("{prompt}{continuation}"))?;
        if both.len() > before.len() && both.starts_with(&before) {
            return Ok(both[before.len()..].to_vec());
        }
        let alone = self.tokenizer.encode_fast(continuation, false).map_err(|e| Error::Text(e.to_string()))?;
        Ok(alone.get_ids().to_vec())
    }

    /// The text of `ids`, special tokens left out.
    pub fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        self.tokenizer.decode(ids, true).map_err(|e| Error::Text(e.to_string()))
    }

    /// The id of a token, if the vocabulary has it.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }
}

/// Turns tokens into text as they come, never cutting a UTF-8 character.
#[derive(Debug, Default)]
pub struct Detokenizer {
    ids: Vec<u32>,
    /// Start of the window that is decoded again: tokenizers write a token differently at the very start of a text.
    window: usize,
    /// Tokens whose text has been handed out.
    read: usize,
}

impl Detokenizer {
    /// The text that became certain with `id`; empty while a character is incomplete.
    pub fn push(&mut self, id: u32, text: &Text) -> Result<String, Error> {
        self.ids.push(id);
        let (before, now) = self.decode(text)?;
        if now.len() <= before.len() || now.ends_with('\u{FFFD}') || !now.is_char_boundary(before.len()) {
            return Ok(String::new());
        }
        self.window = self.read;
        self.read = self.ids.len();
        Ok(now[before.len()..].to_owned())
    }

    /// What is left at the end, incomplete characters as U+FFFD.
    pub fn finish(&mut self, text: &Text) -> Result<String, Error> {
        let (before, now) = self.decode(text)?;
        self.read = self.ids.len();
        Ok(now.get(before.len()..).unwrap_or_default().to_owned())
    }

    fn decode(&self, text: &Text) -> Result<(String, String), Error> {
        Ok((text.decode(&self.ids[self.window..self.read])?, text.decode(&self.ids[self.window..])?))
    }
}
