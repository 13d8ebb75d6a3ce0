//! Encoders of pictures and texts against Hugging Face: tests/goldens/capture.py and towers.py are
//! the only writers of what they are compared with.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use proptest::prelude::*;
use scotoma::model::{
    DualEncoder, EncoderFeatures, ImageEncoder, SaliencyModel, Source, TextEncoder,
};
use scotoma::vision::{Rgb, decode};
use serde_json::Value;

fn folder(set: &str) -> PathBuf {
    Path::new(crate::common::FOLDER).join(set)
}

fn source(set: &str) -> Source {
    Source::Folder(folder(set))
}

/// The tensors of a golden file, and the texts that it is of.
fn golden(set: &str, file: &str) -> (HashMap<String, Tensor>, Vec<String>) {
    let bytes = std::fs::read(folder(set).join("golden").join(file)).unwrap();
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let texts = header.metadata().as_ref().and_then(|m| m.get("texts"));
    let texts = texts.map(|texts| serde_json::from_str(texts).unwrap());
    (tensors, texts.unwrap_or_default())
}

fn pictures() -> Vec<Rgb> {
    let names = ["square", "wide", "tall"].iter();
    let files = names.map(|name| folder(&format!("pictures/{name}.png")));
    files
        .map(|file| decode(&std::fs::read(file).unwrap(), 1 << 20).unwrap())
        .collect()
}

/// The largest difference, as a share of the largest value.
fn far(ours: &Tensor, theirs: &Tensor) -> f32 {
    let most = |t: Tensor| {
        t.abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
    };
    assert_eq!(ours.dims(), theirs.dims());
    most((ours - theirs).unwrap()) / most(theirs.clone())
}

/// A feature's name in the golden files.
fn golden_name(side: &str, name: &str) -> String {
    let name = name.replace(".hook_resid_post@", ".");
    format!("{side}.{}", name.replace(".hook_resid_post", ""))
}

/// Compares every feature with the golden of its name, and counts them.
fn compare(side: &str, features: EncoderFeatures, golden: &HashMap<String, Tensor>) -> usize {
    for (name, rows) in &features {
        let ours = Tensor::new(rows.clone(), &Device::Cpu).unwrap();
        let error = far(&ours, &golden[&golden_name(side, name)]);
        assert!(error <= 1e-5, "{side} {name}: {error}");
    }
    features.len()
}

#[test]
fn pictures_are_seen_as_by_hugging_face() {
    // Layers, rows of each that are told, and the embedding.
    for (set, kind, side, count) in [
        ("tiny-clip", "CLIP", 28, 3 * 2 + 1),
        ("tiny-siglip", "SigLIP", 28, 3 + 1),
        ("tiny-siglip2", "SigLIP", 28, 3 + 1),
        ("tiny-dino", "ViT", 28, 3 * 2 + 1),
        ("tiny-dinov2", "DINOv2", 28, 2 * 2 + 1),
        (
            "tiny-dinov2-registers",
            "DINOv2 with registers",
            28,
            2 * 2 + 1,
        ),
        ("tiny-dinov2-giant", "DINOv2", 28, 2 * 2 + 1),
    ] {
        let encoder = ImageEncoder::load(&source(set), &Device::Cpu).unwrap();
        assert_eq!((encoder.kind(), encoder.side()), (kind, side), "{set}");
        let (golden, _) = golden(set, "features.safetensors");
        let all = encoder.features(&pictures()).unwrap();
        assert_eq!(compare("image", all, &golden), count, "{set}");
        let ours = encoder.embeddings(&pictures()).unwrap();
        assert!(far(&ours, &golden["image.embedding"]) <= 1e-5, "{set}");
        // A picture is the same in any company.
        let alone = encoder.features(&pictures()[1..2]).unwrap();
        let together = encoder.features(&pictures()).unwrap();
        for ((name, alone), (_, together)) in alone.iter().zip(&together) {
            assert_eq!(alone[0], together[1], "{set} {name}");
        }
    }
}

#[test]
fn texts_are_read_as_by_hugging_face() {
    for (set, layers) in [("tiny-clip", 2), ("tiny-siglip", 2), ("tiny-siglip2", 2)] {
        let encoder = TextEncoder::load(&source(set), &Device::Cpu).unwrap();
        let (golden, texts) = golden(set, "features.safetensors");
        if let Some(ids) = golden.get("text.ids") {
            let ids: Vec<Vec<i64>> = ids.to_vec2().unwrap();
            for (text, theirs) in texts.iter().zip(ids) {
                let ours = encoder.ids(text).unwrap().into_iter().map(i64::from);
                assert_eq!(ours.collect::<Vec<_>>(), theirs, "{set} {text:?}");
            }
        }
        let ours = encoder.embeddings(&texts).unwrap();
        assert!(far(&ours, &golden["text.embedding"]) <= 1e-5, "{set}");
        let mut all: EncoderFeatures = Vec::new();
        for text in &texts {
            for (i, (name, rows)) in encoder.features(text).unwrap().into_iter().enumerate() {
                if all.len() == i {
                    all.push((name, Vec::new()));
                }
                all[i].1.extend(rows);
            }
        }
        assert_eq!(compare("text", all, &golden), layers + 1, "{set}");
    }
}

#[test]
fn pictures_and_texts_meet() {
    for (set, kind) in [("tiny-clip", "CLIP"), ("tiny-siglip", "SigLIP")] {
        let dual = DualEncoder::load(&source(set), &Device::Cpu).unwrap();
        assert_eq!(dual.kind(), kind);
        let (golden, texts) = golden(set, "features.safetensors");
        let unit = |name: &str| {
            let x = &golden[name];
            let length = x.sqr().unwrap().sum_keepdim(1).unwrap().sqrt().unwrap();
            x.broadcast_div(&length).unwrap()
        };
        let (images, read) = (unit("image.embedding"), unit("text.embedding"));
        assert!(far(&dual.images(&pictures()).unwrap(), &images) <= 1e-5);
        assert!(far(&dual.texts(&texts).unwrap(), &read) <= 1e-5);
        // A class is the mean of its texts; of one text it is that text.
        let classes: Vec<Vec<String>> = texts.iter().map(|t| vec![t.clone(), t.clone()]).collect();
        let cosines = dual
            .cosines(&pictures(), &dual.classes(&classes).unwrap())
            .unwrap();
        let cosines = Tensor::new(cosines, &Device::Cpu).unwrap();
        let expected = images.matmul(&read.t().unwrap()).unwrap();
        assert!(far(&cosines, &expected) <= 1e-5, "{set}");
    }
    // A LLaVA has no text tower, and neither has a vision tower alone.
    for set in ["tiny-next-llama/model", "tiny-dinov2"] {
        let error = DualEncoder::load(&source(set), &Device::Cpu).unwrap_err();
        assert!(error.to_string().contains("both towers"), "{error}");
    }
}

#[test]
fn embeddings_of_clip_are_those_of_hugging_face() {
    let clip = DualEncoder::load(&source("tiny-clip"), &Device::Cpu).unwrap();
    let (golden, texts) = golden("tiny-clip", "embeddings.safetensors");
    let images = clip.images(&pictures()).unwrap();
    let read = clip.texts(&texts).unwrap();
    let worst = (
        far(&images, &golden["images"]),
        far(&read, &golden["texts"]),
    );
    assert!(worst.0 <= 1e-5 && worst.1 <= 1e-5, "{worst:?}");
}

#[test]
fn dinov2_looks_where_its_reference_looks() {
    for set in ["tiny-dinov2", "tiny-dinov2-registers", "tiny-dinov2-giant"] {
        let model = SaliencyModel::load("dino", &source(set)).unwrap();
        let (golden, _) = golden(set, "features.safetensors");
        let pixels = model.pixels(&pictures()[0]).unwrap();
        for head in 0..model.heads() {
            let ours = model.attention(&pixels, Some(head)).unwrap();
            let theirs = golden["attention"].get(head).unwrap();
            // Of patches alone: shares of registers and of the class token are left out.
            let ours = Tensor::new(ours, &Device::Cpu).unwrap();
            assert!(far(&ours, &theirs) <= 1e-5, "{set} {head}");
        }
        assert_eq!(model.heads(), 3);
    }
    for set in ["tiny-siglip", "tiny-clip"] {
        let error = SaliencyModel::load("it", &source(set)).unwrap_err();
        assert!(
            error.to_string().contains("dinov2_with_registers"),
            "{error}"
        );
    }
}

/// A copy of a set, whose files may be changed.
struct Copy(tempfile::TempDir);

impl Copy {
    fn of(set: &str) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(folder(set)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.file_name().unwrap().to_owned();
                std::fs::copy(&path, copy.path().join(name)).unwrap();
            }
        }
        Self(copy)
    }

    fn source(&self) -> Source {
        Source::Folder(self.0.path().to_owned())
    }

    fn without(self, file: &str) -> Self {
        std::fs::remove_file(self.0.path().join(file)).unwrap();
        self
    }

    /// Sets a value of a JSON file by its pointer.
    fn with(self, file: &str, pointer: &str, value: Value) -> Self {
        let path = self.0.path().join(file);
        let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        json.pointer_mut(parent).unwrap()[key] = value;
        std::fs::write(path, json.to_string()).unwrap();
        self
    }

    /// Renames the tensors whose names hold `from`.
    fn renamed(self, from: &str, to: &str) -> Self {
        let path = self.0.path().join("model.safetensors");
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        let tensors = tensors.into_iter().map(|(n, t)| (n.replace(from, to), t));
        let tensors: HashMap<String, Tensor> = tensors.collect();
        candle_core::safetensors::save(&tensors, &path).unwrap();
        self
    }

    fn images(&self) -> Result<ImageEncoder, String> {
        ImageEncoder::load(&self.source(), &Device::Cpu).map_err(|e| e.to_string())
    }

    fn texts(&self) -> Result<TextEncoder, String> {
        TextEncoder::load(&self.source(), &Device::Cpu).map_err(|e| e.to_string())
    }
}

/// A vision tower that was saved by itself is the tower of the whole model.
#[test]
fn a_tower_alone_is_read() {
    for (set, kind) in [
        ("tiny-siglip", "siglip_vision_model"),
        ("tiny-clip", "clip_vision_model"),
    ] {
        let (expected, _) = golden(set, "features.safetensors");
        for prefix in ["", "vision_model."] {
            let copy = Copy::of(set);
            let path = copy.0.path().join("config.json");
            let json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let mut vision = json["vision_config"].clone();
            vision["model_type"] = kind.into();
            vision["projection_dim"] = json["projection_dim"].clone();
            std::fs::write(&path, vision.to_string()).unwrap();
            let path = copy.0.path().join("model.safetensors");
            let all = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
            let tower = all.into_iter().filter_map(|(name, tensor)| {
                let name = if name.starts_with("visual_projection") {
                    name
                } else {
                    format!("{prefix}{}", name.strip_prefix("vision_model.")?)
                };
                Some((name, tensor))
            });
            let tower: HashMap<String, Tensor> = tower.collect();
            candle_core::safetensors::save(&tower, &path).unwrap();
            let features = copy.images().unwrap().features(&pictures()).unwrap();
            compare("image", features, &expected);
        }
    }
}

#[test]
fn tokenizers_are_read_as_their_class_reads_them() {
    let (golden, texts) = golden("tiny-siglip", "features.safetensors");
    let ids: Vec<Vec<i64>> = golden["text.ids"].to_vec2().unwrap();
    // Without spiece.model a tokenizer.json serves that lowers texts itself.
    let other = Copy::of("tiny-siglip")
        .without("spiece.model")
        .texts()
        .unwrap();
    for (text, theirs) in texts.iter().zip(&ids).take(3) {
        let ours = other.ids(text).unwrap().into_iter().map(i64::from);
        assert_eq!(ours.collect::<Vec<_>>(), *theirs, "{text:?}");
    }
    let tokenizer = "tokenizer_config.json";
    // Ids as `AutoTokenizer` gives them for "A Cat" in the same files.
    for (key, value, expected) in [
        (
            "/tokenizer_class",
            "Siglip2Tokenizer",
            [307, 266, 293, 1, 0, 0],
        ),
        (
            "/tokenizer_class",
            "GemmaTokenizerFast",
            [300, 262, 293, 1, 0, 0],
        ),
        (
            "/tokenizer_class",
            "PreTrainedTokenizerFast",
            [300, 262, 293, 1, 0, 0],
        ),
        ("/padding_side", "left", [0, 0, 0, 0, 0, 0]),
    ] {
        let copy = Copy::of("tiny-siglip2").with(tokenizer, key, value.into());
        let ids = copy.texts().unwrap().ids("A Cat").unwrap();
        assert_eq!((&ids[..6], ids.len()), (&expected[..], 12), "{value}");
    }
    // The class pads to the left where no file says otherwise.
    let copy = Copy::of("tiny-siglip2").with(tokenizer, "/padding_side", Value::Null);
    let ids = copy.texts().unwrap().ids("A Cat").unwrap();
    assert_eq!(ids[8..], [300, 262, 293, 1]);

    for (copy, says) in [
        (
            Copy::of("tiny-siglip").with(tokenizer, "/tokenizer_class", "T5Tokenizer".into()),
            "tokenizer_class \"T5Tokenizer\"",
        ),
        (
            Copy::of("tiny-siglip")
                .without("spiece.model")
                .without("tokenizer.json"),
            "spiece.model: not found",
        ),
        (
            Copy::of("tiny-siglip").without("spiece.model").with(
                "tokenizer.json",
                "/normalizer",
                Value::Null,
            ),
            "spiece.model is needed",
        ),
        (
            Copy::of("tiny-siglip2").with(tokenizer, "/pad_token", "<none>".into()),
            "no <none>, which pads",
        ),
    ] {
        let error = copy.texts().unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    // transformers would cut the token out of the text.
    let siglip = TextEncoder::load(&source("tiny-siglip"), &Device::Cpu).unwrap();
    let error = siglip.ids("a </s> b").unwrap_err().to_string();
    assert!(error.contains("spells the token </s>"), "{error}");
}

#[test]
fn what_is_no_encoder_is_named() {
    let config = "config.json";
    for (copy, says) in [
        (
            Copy::of("tiny-dinov2").with(config, "/model_type", "siglip2".into()),
            "of a fixed resolution",
        ),
        (
            Copy::of("tiny-dinov2").with(config, "/model_type", "resnet".into()),
            "model_type \"resnet\"; of encoders clip, clip_vision_model",
        ),
        (
            Copy::of("tiny-dinov2").with(config, "/patch_size", 50.into()),
            "with patches of 50",
        ),
        (
            Copy::of("tiny-dinov2").with(config, "/image_size", (1 << 13).into()),
            "image_size 8192 with patches of 7",
        ),
        (
            Copy::of("tiny-dinov2").with(config, "/image_size", 56.into()),
            "embeddings.position_embeddings",
        ),
        (
            Copy::of("tiny-dinov2").with(config, "/num_attention_heads", 5.into()),
            "hidden_size 24 over 5 heads",
        ),
        (
            Copy::of("tiny-dinov2").renamed("layer_scale2", "layer_scale3"),
            "layer_scale2.lambda1",
        ),
        (
            Copy::of("tiny-dinov2-registers").renamed("register_tokens", "register"),
            "embeddings.register_tokens",
        ),
        (
            Copy::of("tiny-dinov2-giant").with(config, "/use_swiglu_ffn", false.into()),
            "mlp.fc1",
        ),
        (
            Copy::of("tiny-siglip").renamed("head.probe", "head.prober"),
            "head.probe",
        ),
        (
            Copy::of("tiny-siglip").with(config, "/vision_config/num_channels", 1.into()),
            "vision_config: num_channels 1; 3 is supported",
        ),
        (
            Copy::of("tiny-siglip").with(
                "preprocessor_config.json",
                "/size",
                serde_json::json!({"height": 56, "width": 56}),
            ),
            "makes pictures of 56 pixels",
        ),
        (
            Copy::of("tiny-dino").with(config, "/qkv_bias", false.into()),
            "qkv_bias false",
        ),
    ] {
        let error = copy.images().unwrap_err();
        assert!(error.contains(says), "{says}: {error}");
    }
    for (pointer, value, says) in [
        (
            "/text_config/rope_theta",
            10_000.into(),
            "text_config: rope_theta 10000",
        ),
        (
            "/text_config/max_position_embeddings",
            1.into(),
            "text_config: sizes",
        ),
        ("/text_config/projection_size", 8.into(), "text_model.head."),
        ("/text_config/vocab_size", 40.into(), "token_embedding"),
        (
            "/text_config/hidden_act",
            "mish".into(),
            "text_config: unknown variant",
        ),
    ] {
        let error = Copy::of("tiny-siglip")
            .with(config, pointer, value)
            .texts()
            .unwrap_err();
        assert!(error.contains(says), "{says}: {error}");
    }
    // Its layers are told all the same.
    let copy = Copy::of("tiny-siglip").with(config, "/vision_config/vision_use_head", false.into());
    let encoder = copy.images().unwrap();
    assert_eq!(encoder.features(&pictures()).unwrap().len(), 3);
    let error = encoder.embeddings(&pictures()).unwrap_err().to_string();
    assert!(error.contains("vision_use_head"), "{error}");
}

/// Files that an encoder is read from.
const FILES: [(&str, &str); 8] = [
    ("tiny-siglip", "spiece.model"),
    ("tiny-siglip", "config.json"),
    ("tiny-siglip", "tokenizer_config.json"),
    ("tiny-siglip2", "tokenizer.json"),
    ("tiny-siglip2", "tokenizer_config.json"),
    ("tiny-dinov2-registers", "config.json"),
    ("tiny-dinov2", "preprocessor_config.json"),
    ("tiny-dinov2-giant", "config.json"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_files_never_panic(
        file in prop::sample::select(&FILES[..]),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..6),
    ) {
        let (set, name) = file;
        let copy = Copy::of(set);
        let path = copy.0.path().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.len();
        for (at, value) in changes {
            bytes[at.index(length)] = value;
        }
        std::fs::write(&path, bytes).unwrap();
        let _ = copy.images().map(|encoder| encoder.features(&pictures()));
        let _ = copy.texts().map(|encoder| encoder.features("A red cat \u{bd}"));
    }
}
