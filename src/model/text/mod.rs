//! Words to token ids and back: conversations, chat templates, tokenizers.

mod charsmap;
pub(super) mod chat;
pub(super) mod chat_files;
mod clock;
mod conversations;
pub(super) mod message;
pub(super) mod sentencepiece;
pub(super) mod siglip;
pub(super) mod tokenizer;
