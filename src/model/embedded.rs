//! The model inside the binary: `shapes`, trained on procedurally drawn scenes (models/shapes/README.md).

use super::Source;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/shapes/", $name)))),*]
    };
}

/// The name of the embedded model.
pub const SHAPES: &str = "shapes";

/// Its files.
pub fn shapes() -> Source {
    Source::Embedded(files![
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "chat_template.jinja",
        "preprocessor_config.json",
        "generation_config.json",
        "tokenizer_config.json",
    ])
}
