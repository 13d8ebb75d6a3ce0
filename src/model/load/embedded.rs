//! Files inside the binary: `shapes`, trained on procedurally drawn scenes
//! (models/shapes/README.md), and configurations of real models.

use super::source::Source;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$((
            $name,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/shapes/", $name)),
        )),*]
    };
}

macro_rules! sized {
    ($name:literal) => {
        (
            $name,
            &[
                (
                    "config.json",
                    include_bytes!(concat!(
                        env!("CARGO_MANIFEST_DIR"),
                        "/models/sizes/",
                        $name,
                        "/config.json"
                    )),
                ),
                (
                    "preprocessor_config.json",
                    include_bytes!(concat!(
                        env!("CARGO_MANIFEST_DIR"),
                        "/models/sizes/",
                        $name,
                        "/preprocessor_config.json"
                    )),
                ),
                (
                    "tokenizer.json",
                    include_bytes!(concat!(
                        env!("CARGO_MANIFEST_DIR"),
                        "/models/shapes/tokenizer.json"
                    )),
                ),
                (
                    "chat_template.jinja",
                    include_bytes!(concat!(
                        env!("CARGO_MANIFEST_DIR"),
                        "/models/shapes/chat_template.jinja"
                    )),
                ),
            ],
        )
    };
}

/// Models of real sizes that have no weights, models/sizes/README.md; the tokenizer is that of
/// `shapes`.
const SIZES: &[(&str, Files)] = &[
    sized!("llava-1.5-7b"),
    sized!("llava-next-7b"),
    sized!("llava-onevision-7b"),
];

/// Returns the names of the models of real size.
pub fn sizes() -> impl Iterator<Item = &'static str> {
    SIZES.iter().map(|(name, _)| *name)
}

/// Returns the files of a model of real size: all but weights.
pub(super) fn sized(name: &str) -> Option<Source> {
    let (_, files) = SIZES.iter().find(|(n, _)| *n == name)?;
    Some(Source::Embedded(files, String::new()))
}

/// Names and bytes.
type Files = &'static [(&'static str, &'static [u8])];

/// The name of the embedded model.
pub const SHAPES: &str = "shapes";

/// Returns its files, and the golden set that it is certified by.
pub fn shapes() -> Source {
    const FILES: &[(&str, &[u8])] = files![
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "chat_template.jinja",
        "preprocessor_config.json",
        "generation_config.json",
        "tokenizer_config.json",
        "sae/cfg.json",
        "sae/sae_weights.safetensors",
        // The golden set is in the binary, so that `scotoma parity` certifies an installed program
        // without the repository.
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
