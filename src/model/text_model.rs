//! A language model by itself, from one GGUF file: it answers greedily, as a judge, and says what
//! its layers make of a text.
//!
//! It is the decoder of the other models, with its matrices in the blocks of their file, so that a
//! reply has the same bits whoever asks beside it. It is in the memory of the process, where any
//! thread may ask.

mod features;
mod reply;

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
use crate::nn::{Hooks, Layout, MemoryTracker, NoHooks, SequenceCache};
use crate::weights::{Checkpoint, Gguf, Matrices};

pub use reply::ReplyError;

/// Bounds the tokens of a text, or of a question and its reply: keys and values of so many are
/// counted as held.
const MAX_CONTEXT: usize = 4096;
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

/// A language model whose file has been read and checked, but for its tensors.
#[derive(Debug)]
pub struct PreparedTextModel {
    file: Gguf,
    config: DecoderConfig,
    is_tied: bool,
    text: Text,
    chat: Option<Chat>,
    ends: Vec<u32>,
    checkpoint: Checkpoint,
}

/// A language model by itself.
#[derive(Debug)]
pub struct TextModel {
    name: String,
    digest: blake3::Hash,
    text: Text,
    chat: Option<Chat>,
    /// Lists the tokens that end a reply.
    ends: Vec<u32>,
    decoder: Decoder,
    context: usize,
    bytes: u64,
}

impl PreparedTextModel {
    /// Reads and checks all of a GGUF file but its tensors, and the chat template, which reading a
    /// text does not take.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = Gguf::open(path)?;
        Self::read(&source(&file)?, file)
    }

    /// Does the same for a model that is to answer, and so needs a chat template and a token that
    /// ends its turn.
    pub fn open_judge(path: &Path) -> Result<Self, Error> {
        let file = Gguf::open(path)?;
        let source = source(&file)?;
        let mut prepared = Self::read(&source, file)?;
        prepared.chat = Chat::of_words(&source, &prepared.text)?;
        prepared.ends = ends(&source, &prepared.text)?;
        let wrong = |key, reason| Err(prepared.file.wrong(key, reason).into());
        if prepared.chat.is_none() {
            return wrong("tokenizer.chat_template", "is not there; a judge needs one");
        }
        if prepared.ends.is_empty() {
            let reason = "is not there, and no token that is known to end a turn";
            return wrong("tokenizer.ggml.eos_token_id", reason);
        }
        Ok(prepared)
    }

    fn read(source: &Source, file: Gguf) -> Result<Self, Error> {
        let json: Value = source.json("config.json")?.unwrap_or_default();
        // Beside text_config, which is all that `language_model` parses.
        let is_tied = json["tie_word_embeddings"] == true;
        let config = config::language_model(json)?;
        let mut text = Text::load(source)?;
        // From here on a token beyond the table is an error that names it.
        text.set_rows(config.vocab_size);
        Ok(Self {
            checkpoint: source.checkpoint()?,
            file,
            config,
            is_tied,
            text,
            chat: None,
            ends: Vec::new(),
        })
    }

    /// Returns the bytes that it will hold: of its tensors, and of keys and values.
    pub fn bytes(&self) -> u64 {
        let Self { config, .. } = self;
        let number = DType::F32.size_in_bytes() as u64;
        let tensors = self
            .checkpoint
            // Blocks as they stand in the file, all else in f32.
            .resident_bytes(&[""], number, Matrices::Blocks);
        // A key and a value in every layer, for the longest text that is read.
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
        // One stage: all layers are in the memory of the process.
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

    /// Creates the cache of a sequence of `prompt` tokens and at most `more` after them.
    fn cache(prompt: usize, more: usize) -> SequenceCache {
        // Counted nowhere else: `PreparedTextModel::bytes` has room for a whole context from the
        // start.
        let kv = MemoryTracker::default();
        SequenceCache::new(prompt, more, &kv, &kv)
    }

    /// Runs tokens `ids`, the first of which is number `first`: their normed rows, `(R, D)`.
    fn pass(
        &self,
        ids: &[u32],
        first: usize,
        cache: &mut SequenceCache,
        hooks: &mut dyn Hooks,
    ) -> Result<Tensor, Error> {
        let mut layout = Layout::default();
        let numbers: Arc<[u32]> = (first..first + ids.len()).map(|at| at as u32).collect();
        // Positions are rows of the table of angles: no GGUF has a second half for long contexts.
        layout.push_rows(0, 0, numbers.clone(), numbers);
        let x = self.decoder.embed(ids)?; // (R, D)
        let (rows, _) = self
            .decoder
            .forward(x, &layout, &mut [Some(cache)], hooks)?;
        Ok(rows)
    }

    /// Returns the logits after a row `(1, D)`: `(1, V)`.
    fn logits(&self, row: &Tensor) -> Result<Tensor, Error> {
        self.decoder.logits(row, &Layout::default(), &mut NoHooks)
    }
}

/// Returns a file as a folder of Hugging Face's.
fn source(file: &Gguf) -> Result<Source, Error> {
    Ok(Source::Gguf(Arc::new(GgufFiles::of_language(file)?)))
}

/// Returns `general.name`, or the architecture where there is none.
fn name(file: &Gguf) -> Result<String, Error> {
    let architecture = file.text("general.architecture")?.unwrap_or_default();
    let name = file.text("general.name")?.unwrap_or_default();
    // Whoever made the file chose it, and reports and logs print it: one line, of a bounded length.
    let is_shown = |c: &char| !c.is_control();
    let name: String = name.chars().filter(is_shown).take(100).collect();
    let name = name.trim();
    Ok(if name.is_empty() { architecture } else { name }.to_owned())
}

/// Returns the tokens that end a turn: those that the file names, and those that are known to.
fn ends(source: &Source, text: &Text) -> Result<Vec<u32>, Error> {
    let answers: Value = source.json("generation_config.json")?.unwrap_or_default();
    let mut ends = config::token_ids(&answers["eos_token_id"]);
    // Beside the file's own: a model whose file names the end of a document alone would write on
    // past its turn.
    ends.extend(TURN_ENDS.iter().filter_map(|token| text.token_id(token)));
    Ok(ends)
}
