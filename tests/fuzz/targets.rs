//! The targets, each with its valid seeds and how its errors are named.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use safetensors::SafeTensors;
use scotoma::engine::parity::Resident;
use scotoma::model::{Chat, ChatTemplate, Model, Source, Text};
use scotoma::server::ServerConfig;
use scotoma::vision::{Rgb, decode};
use scotoma_client::v1::{self, sweep_request::Input};
use serde_json::json;
use tempfile::TempDir;

use crate::common::{self, Running, ask, goldens, interventions_from_json, model};
use crate::harness::fuzz;

const SAFETENSORS: &str = "tiny-gqa-tied";
const PICKLED: &str = "tiny-next-llama";
const GGUF: &str = "tiny-gguf-next";

fn folder(set: &str) -> PathBuf {
    Path::new(common::FOLDER).join(set).join("model")
}

/// Passes where the text of an error has one of `names`.
pub fn names(error: &str, names: &[&str]) -> Result<(), String> {
    let named = names.iter().any(|name| error.contains(name));
    named
        .then_some(())
        .ok_or_else(|| format!("{error:?} names none of {names:?}"))
}

#[test]
fn pictures() {
    let files = std::fs::read(Path::new(common::FOLDER).join("pictures.safetensors")).unwrap();
    let files = SafeTensors::deserialize(&files).unwrap();
    // Large seeds are tried less often than they cost.
    let seeds: Vec<Vec<u8>> = files
        .tensors()
        .iter()
        .map(|(_, file)| file.data().to_vec())
        .filter(|file| file.len() < 1 << 15)
        .collect();
    fuzz("pictures", &seeds, |input| match decode(input, 1 << 20) {
        Ok(picture) if picture.width * picture.height > 1 << 20 => {
            Err("larger than its limit".into())
        }
        Err(error) if error.to_string().is_empty() => Err("an error without a word".into()),
        Ok(_) | Err(_) => Ok(()),
    });
}

/// A copy of a folder in which one file changes.
pub struct Copy {
    pub folder: TempDir,
    file: &'static str,
}

impl Copy {
    /// Copies a golden set's model.
    fn of(set: &str, file: &'static str) -> Self {
        Self::of_folder(&folder(set), file)
    }

    pub fn of_folder(folder: &Path, file: &'static str) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        Self { folder: copy, file }
    }

    pub fn seed(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join(self.file)).unwrap()
    }

    pub fn with(&self, input: &[u8]) -> Source {
        std::fs::write(self.folder.path().join(self.file), input).unwrap();
        Source::Folder(self.folder.path().to_owned())
    }

    /// Loads the model; an error names the file, or a tensor or field of it.
    fn load(&self, input: &[u8], also: &[&str]) -> Result<(), String> {
        let source = self.with(input);
        match Model::load("copy", &source, DType::F32, &Device::Cpu) {
            Ok(model) => {
                show_pictures(&model);
                Ok(())
            }
            Err(error) => names(&error.to_string(), &[&[self.file], also].concat()),
        }
    }
}

/// Prepares pictures of several shapes; one that cannot be is an error of its own.
fn show_pictures(model: &Model) {
    for (width, height) in [(1, 1), (40, 23), (7, 90)] {
        let data = (0..3 * width * height).map(|i| i as u8).collect();
        let picture = Rgb {
            width,
            height,
            data,
        };
        if let Ok(picture) = model.processor.picture(&picture, 1, 1 << 20) {
            let _ = (model.tokens(&picture), model.pixels(&picture));
        }
    }
}

/// Names that errors have where a changed header moves the mistake into some tensor.
pub const TENSORS: [&str; 4] = ["tensor", "weight", "language_model", "vision_tower"];

#[test]
fn safetensors() {
    let copy = Copy::of(SAFETENSORS, "model.safetensors");
    let seed = copy.seed();
    fuzz("safetensors", &[seed], |input| copy.load(input, &TENSORS));
}

#[test]
fn gguf() {
    // A changed key may be told as a mistake of what is made of it.
    let beside = [
        ".gguf",
        "tokenizer",
        "image processor",
        "generation_config.json",
        "text_config",
        "vision_config",
        "vision_feature",
        "image_token_index",
        "projector",
        "vocab_size",
        "config.json",
    ];
    let also = [&TENSORS[..], &beside].concat();
    for (target, file) in [
        ("gguf", "language-Q4_K_M.gguf"),
        ("gguf_tower", "mmproj-f16.gguf"),
    ] {
        let copy = Copy::of(GGUF, file);
        let seed = copy.seed();
        let place = copy.folder.path().to_str().unwrap().to_owned();
        fuzz(target, &[seed], |input| {
            copy.with(input);
            let opened = Source::open(&place).map(Option::unwrap);
            let model =
                opened.and_then(|source| Model::load("copy", &source, DType::F32, &Device::Cpu));
            match model {
                Ok(model) => {
                    show_pictures(&model);
                    Ok(())
                }
                Err(error) => names(&error.to_string(), &also),
            }
        });
    }
}

#[test]
fn pickles() {
    let copy = Copy::of(PICKLED, "pytorch_model-00001-of-00002.bin");
    let seed = copy.seed();
    fuzz("pickles", &[seed], |input| copy.load(input, &TENSORS));
}

/// Configurations say the sizes of all that is allocated.
#[test]
fn configurations() {
    // A change of one file may be told as a mistake of another, which no longer fits.
    let beside = [
        "image processor",
        "tokenizer",
        "generation_config.json",
        "vocab_size",
    ];
    let also = [&TENSORS[..], &beside].concat();
    for (target, set, file, also) in [
        ("config", SAFETENSORS, "config.json", &also[..]),
        ("config_tiles", "tiny-onevision", "config.json", &also),
        ("config_pixtral", "tiny-pixtral", "config.json", &also),
        ("config_internvl", "tiny-internvl", "config.json", &also),
        (
            "processor",
            "tiny-onevision",
            "preprocessor_config.json",
            &["image processor"],
        ),
        ("generation", SAFETENSORS, "generation_config.json", &[]),
    ] {
        let copy = Copy::of(set, file);
        let seed = copy.seed();
        fuzz(target, &[seed], |input| copy.load(input, also));
    }
}

#[test]
fn tokenizer() {
    let copy = Copy::of(SAFETENSORS, "tokenizer.json");
    let seed = copy.seed();
    fuzz("tokenizer", &[seed], |input| {
        match Text::load(&copy.with(input)) {
            Ok(text) => {
                // What it makes of a text is its own matter, as long as it ends.
                let _ = text.encode("Is there a red circle? \u{1f600}\u{0}");
                Ok(())
            }
            Err(error) => names(&error.to_string(), &["tokenizer.json"]),
        }
    });
}

#[test]
fn chat_template() {
    let mut seeds = Vec::new();
    for file in std::fs::read_dir(Path::new(common::FOLDER).join("templates")).unwrap() {
        seeds.push(std::fs::read(file.unwrap().path()).unwrap());
    }
    let source = Source::Folder(folder(SAFETENSORS));
    let text = Text::load(&source).unwrap();
    let image = text.token_id("<image>").unwrap();
    let copy = tempfile::tempdir().unwrap();
    let file = copy.path().join("changed.jinja");
    fuzz("chat_template", &seeds, |input| {
        std::fs::write(&file, input).unwrap();
        // Loading renders conversations of its own, so a template that loads has run.
        match Chat::load(
            &source,
            Some(&ChatTemplate::File(file.clone())),
            &text,
            image,
        ) {
            Ok(_) => Ok(()),
            Err(error) => names(&error.to_string(), &["changed.jinja"]),
        }
    });
}

/// Lists of interventions of many kinds, from the golden cases.
fn interventions() -> Vec<Vec<u8>> {
    let cases = std::fs::read(
        Path::new(common::FOLDER)
            .join(SAFETENSORS)
            .join("cases.json"),
    );
    let cases: serde_json::Value = serde_json::from_slice(&cases.unwrap()).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    let lists = cases.iter().filter_map(|case| case.get("interventions"));
    let seeds: Vec<Vec<u8>> = lists.map(|list| list.to_string().into_bytes()).collect();
    assert!(seeds.len() > 10, "the golden cases have interventions");
    seeds
}

#[test]
fn json_of_interventions() {
    let (model, goldens) = (model(SAFETENSORS), goldens(SAFETENSORS));
    let case = &goldens.cases[0];
    fuzz("interventions", &interventions(), |input| {
        let Ok(list) = serde_json::from_slice(input) else {
            return Ok(());
        };
        let list = match interventions_from_json(&list) {
            Ok(list) => list,
            Err(error) if error.is_empty() => return Err("an error without a word".into()),
            Err(_) => return Ok(()),
        };
        let compiled = goldens.prepare_under(&model, case, &list, &Resident::default());
        let Err(error) = compiled else {
            return Ok(());
        };
        // A picture to replace another is named as such where there is no request around it.
        names(&error.to_string(), &["interventions[", "picture"])
    });
}

#[test]
fn sweep_axes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Running::start(ServerConfig::shapes()));
    let client = runtime.block_on(server.client());
    let seeds = [
        json!({ "interventions": [{ "dropLayers": { "layers": [0] } }, { "permuteTokens": { "seed": "0" } }],
            "axes": [{ "field": "interventions[0].drop_layers.layers[0]", "range": { "first": 0, "last": 3 } },
                { "field": "interventions[1].permute_tokens.seed", "numbers": { "values": [1, 2] } }] }),
        json!({ "interventions": [{ "addNoise": { "target": { "hook": "language_model.blocks.{l}.hook_resid_pre", "layers": [1] }, "strength": 0.5, "seed": "3" } }],
            "axes": [{ "field": "interventions[0].addNoise.target.layers[0]", "range": { "first": 0, "last": 2 } }] }),
        json!({ "interventions": [{ "occludePatches": { "random": { "share": 0.5, "seed": "7" } } }],
            "axes": [{ "field": "interventions[0].occlude_patches.random.share", "range": { "first": 0, "last": 1, "step": 0.25 } }] }),
    ];
    let seeds: Vec<Vec<u8>> = seeds.map(|seed| seed.to_string().into_bytes()).to_vec();
    fuzz("sweep_axes", &seeds, |input| {
        let Ok(grid) = serde_json::from_slice::<v1::SweepGrid>(input) else {
            return Ok(());
        };
        let mut request = ask(vec![]);
        request.max_tokens = 1;
        let request = v1::SweepRequest {
            input: Some(Input::Generate(request)),
            grid: Some(grid),
            ..Default::default()
        };
        let first = runtime.block_on(async {
            let mut stream = client.clone().sweep(request).await?;
            stream.message().await.map_err(scotoma_client::Error::from)
        });
        let Err(error) = first else { return Ok(()) };
        names(
            &error.to_string(),
            &["grid", "interventions[", "axes[", "variants: "],
        )
    });
}
