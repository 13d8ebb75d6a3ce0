//! The model inside the binary: `shapes`, trained on procedurally drawn scenes (models/shapes/README.md).

use super::Source;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/shapes/", $name)))),*]
    };
}

/// The name of the embedded model.
pub const SHAPES: &str = "shapes";

/// Its files, and the golden set that it is certified by.
pub fn shapes() -> Source {
    const FILES: &[(&str, &[u8])] = files![
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "chat_template.jinja",
        "preprocessor_config.json",
        "generation_config.json",
        "tokenizer_config.json",
        "goldens/cases.json",
        "goldens/drop-tower.safetensors",
        "goldens/drop.safetensors",
        "goldens/huge.safetensors",
        "goldens/middle.safetensors",
        "goldens/none.safetensors",
        "goldens/occlude.safetensors",
        "goldens/permute.safetensors",
        "goldens/pictures/huge.png",
        "goldens/pictures/square.png",
        "goldens/pictures/tall.png",
        "goldens/pictures/tiny.png",
        "goldens/pictures/wide.png",
        "goldens/provenance.json",
        "goldens/square.safetensors",
        "goldens/tall.safetensors",
        "goldens/three.safetensors",
        "goldens/tiny.safetensors",
        "goldens/together.safetensors",
        "goldens/two.safetensors",
        "goldens/wide.safetensors",
    ];
    Source::Embedded(FILES, String::new())
}
