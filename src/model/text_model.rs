//! A language model by itself, from one GGUF file, that answers greedily: a judge.
//!
//! It is the decoder of the other models, with its matrices in the blocks of their file, so that a
//! reply has the same bits whoever asks beside it. It is in the memory of the process, where any
//! thread may ask.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use super::decoder::{Decoder, DecoderConfig};
use super::error::Error;
use super::load::config;
use super::load::gguf::GgufFiles;
use super::load::source::Source;
use super::text::chat::Chat;
use super::text::tokenizer::Text;
use crate::nn::{Layout, MemoryTracker, NoHooks, SequenceCache, likeliest};
use crate::weights::{Checkpoint, Gguf, Matrices};

/// Bounds the tokens of a question and its reply: keys and values of so many are counted as held.
const MAX_CONTEXT: usize = 4096;
/// Bounds the tokens of a reply.
const MAX_REPLY: usize = 1024;
/// Rows of a prompt that are read between two looks at whether the reply is still wanted.
const CHUNK: usize = 64;

/// Tokens that end a turn in the templates of known models. Files made before there was a key for
/// it name the end of a document alone.
const TURN_ENDS: [&str; 6] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<end_of_turn>",
    "</s>",
];

/// Ends what a model writes to itself before its reply.
const REASONING_END: &str = "</think>";

/// Says why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// The question leaves no room for a reply.
    #[error("the question has {tokens} tokens; the judge reads {context}, its reply included")]
    TooLong {
        /// Tokens of the question, in the chat template.
        tokens: usize,
        /// Tokens that fit.
        context: usize,
    },
    /// The reply does not end.
    #[error("the judge's reply does not end within {tokens} tokens; it begins {begin:?}")]
    Endless {
        /// Tokens that it has.
        tokens: usize,
        /// Its first words.
        begin: String,
    },
    /// Nobody waits for it any more.
    #[error("the judge is not asked any more")]
    Cancelled,
    /// The model does not run.
    #[error("the judge: {0}")]
    Model(#[from] Error),
}

impl From<candle_core::Error> for ReplyError {
    fn from(error: candle_core::Error) -> Self {
        Self::Model(error.into())
    }
}

/// A language model whose file has been read and checked, but for its tensors.
#[derive(Debug)]
pub struct PreparedTextModel {
    file: Gguf,
    config: DecoderConfig,
    is_tied: bool,
    text: Text,
    chat: Chat,
    ends: Vec<u32>,
    checkpoint: Checkpoint,
}

/// A language model by itself.
#[derive(Debug)]
pub struct TextModel {
    name: String,
    digest: blake3::Hash,
    text: Text,
    chat: Chat,
    ends: Vec<u32>,
    decoder: Decoder,
    context: usize,
    bytes: u64,
}

impl PreparedTextModel {
    /// Reads and checks all of a GGUF file but its tensors.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = Gguf::open(path)?;
        let source = Source::Gguf(Arc::new(GgufFiles::of_language(&file)?));
        let json: Value = source.json("config.json")?.unwrap_or_default();
        let is_tied = json["tie_word_embeddings"] == true;
        let config = config::language_model(json)?;
        let mut text = Text::load(&source)?;
        text.set_rows(config.vocab_size);
        let missing = || file.wrong("tokenizer.chat_template", "is not there; a judge needs one");
        let chat = Chat::of_words(&source, &text)?.ok_or_else(missing)?;
        let ends = ends(&source, &text)?;
        if ends.is_empty() {
            let reason = "is not there, and no token that is known to end a turn";
            return Err(file.wrong("tokenizer.ggml.eos_token_id", reason).into());
        }
        Ok(Self {
            checkpoint: source.checkpoint()?,
            file,
            config,
            is_tied,
            text,
            chat,
            ends,
        })
    }

    /// Returns the bytes that it will hold: of its tensors, and of keys and values.
    pub fn bytes(&self) -> u64 {
        let Self { config, .. } = self;
        let number = DType::F32.size_in_bytes() as u64;
        let tensors = self
            .checkpoint
            .resident_bytes(&[""], number, Matrices::Blocks);
        let row = 2 * config.kv_heads() as u64 * config.head_width() as u64;
        let keys = config.num_hidden_layers as u64 * row * self.context() as u64 * number;
        tensors + keys
    }

    /// Returns the tokens that a question and its reply may have.
    fn context(&self) -> usize {
        self.config.max_position_embeddings.min(MAX_CONTEXT)
    }

    /// Loads the tensors to the memory of the process. A missing, misshapen or unused tensor is an
    /// error.
    pub fn load(self) -> Result<TextModel, Error> {
        let (bytes, context) = (self.bytes(), self.context());
        let mut weights = self
            .checkpoint
            .tensors(DType::F32, &Device::Cpu, &|_, _| {});
        weights.keep(Matrices::Blocks);
        let layers = 0..self.config.num_hidden_layers;
        let decoder = Decoder::load(self.config, self.is_tied, vec![layers], &weights)?;
        weights.finish()?;
        Ok(TextModel {
            name: name(&self.file)?,
            digest: self.file.digest(),
            text: self.text,
            chat: self.chat,
            ends: self.ends,
            decoder,
            context,
            bytes,
        })
    }
}

impl TextModel {
    /// Returns its name in its file, with BLAKE3 of the file: what says which model it is, wherever
    /// the file stands.
    pub fn name(&self) -> String {
        format!("{} (GGUF, BLAKE3 {})", self.name, self.digest.to_hex())
    }

    /// Returns the bytes that it holds.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the multiplications that answering a question takes, about.
    pub fn work(&self, question: &str) -> u64 {
        let config = self.decoder.config();
        let layers = config.num_hidden_layers * self.decoder.layer_weights();
        let weights = layers as u64 + config.table_parameters();
        // Words have four letters or more, and replies a few words.
        weights * (question.len() as u64 / 4 + 64)
    }

    /// Answers a question greedily; `is_wanted` is asked before each pass. What a model writes to
    /// itself before the reply is left out.
    pub fn reply(
        &self,
        question: &str,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<String, ReplyError> {
        let prompt = self.text.encode_prompt(&self.chat.question(question)?)?;
        let (tokens, context) = (prompt.len(), self.context);
        if tokens >= context {
            return Err(ReplyError::TooLong { tokens, context });
        }
        let most = MAX_REPLY.min(context - tokens);
        let kv = MemoryTracker::default();
        let mut cache = SequenceCache::new(tokens, most, &kv, &kv);
        let mut next = self.read(&prompt, &mut cache, is_wanted)?;
        let mut written = Vec::new();
        while !self.ends.contains(&next) {
            written.push(next);
            if written.len() == most {
                let begin = self.text.decode(&written)?.chars().take(200).collect();
                return Err(ReplyError::Endless {
                    tokens: most,
                    begin,
                });
            }
            let at = tokens + written.len() - 1;
            if !is_wanted() {
                return Err(ReplyError::Cancelled);
            }
            next = self.likeliest(&self.pass(&[next], at, &mut cache)?)?;
        }
        let reply = self.text.decode(&written)?;
        let (_, reply) = reply.rsplit_once(REASONING_END).unwrap_or(("", &reply));
        Ok(reply.trim().to_owned())
    }

    /// Reads a prompt and returns the likeliest token after it.
    fn read(
        &self,
        prompt: &[u32],
        cache: &mut SequenceCache,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<u32, ReplyError> {
        let mut last = None;
        for (number, chunk) in prompt.chunks(CHUNK).enumerate() {
            if !is_wanted() {
                return Err(ReplyError::Cancelled);
            }
            last = Some(self.pass(chunk, number * CHUNK, cache)?);
        }
        // A template writes something before every answer.
        let empty = || Error::Text("the chat template makes an empty prompt".into());
        self.likeliest(&last.ok_or_else(empty)?)
    }

    /// Runs tokens `ids`, the first of which is number `first`: their normed rows, `(R, D)`.
    fn pass(&self, ids: &[u32], first: usize, cache: &mut SequenceCache) -> Result<Tensor, Error> {
        let mut layout = Layout::default();
        let numbers: Arc<[u32]> = (first..first + ids.len()).map(|at| at as u32).collect();
        // Positions are rows of the table of angles: no GGUF has a second half for long contexts.
        layout.push_rows(0, 0, numbers.clone(), numbers);
        let x = self.decoder.embed(ids)?; // (R, D)
        let (rows, _) = self
            .decoder
            .forward(x, &layout, &mut [Some(cache)], &mut NoHooks)?;
        Ok(rows)
    }

    /// Returns the likeliest token after the last of some rows `(R, D)`.
    fn likeliest(&self, rows: &Tensor) -> Result<u32, ReplyError> {
        let last = rows.narrow(0, rows.dim(0)? - 1, 1)?; // (1, D)
        let logits = self
            .decoder
            .logits(&last, &Layout::default(), &mut NoHooks)?; // (1, V)
        let found = likeliest(&logits)?.to_vec2::<f32>()?;
        match found[0][..] {
            [token, logprob] if logprob.is_finite() => Ok(token as u32),
            _ => Err(Error::Text("its numbers overflow".into()).into()),
        }
    }
}

/// Returns `general.name`, or the architecture where there is none.
fn name(file: &Gguf) -> Result<String, Error> {
    let architecture = file.text("general.architecture")?.unwrap_or_default();
    let name = file.text("general.name")?.unwrap_or_default();
    let is_shown = |c: &char| !c.is_control();
    let name: String = name.chars().filter(is_shown).take(100).collect();
    let name = name.trim();
    Ok(if name.is_empty() { architecture } else { name }.to_owned())
}

/// Returns the tokens that end a turn: those that the file names, and those that are known to.
fn ends(source: &Source, text: &Text) -> Result<Vec<u32>, Error> {
    let answers: Value = source.json("generation_config.json")?.unwrap_or_default();
    let mut ends = config::token_ids(&answers["eos_token_id"]);
    ends.extend(TURN_ENDS.iter().filter_map(|token| text.token_id(token)));
    Ok(ends)
}
