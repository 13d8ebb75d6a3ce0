//! Checkpoints that AWQ, GPTQ and bitsandbytes have quantised: the numbers that their libraries make
//! of them, as tests/goldens/quantized.py writes them, and clear errors on damaged ones. Matrices
//! that are quantised while they are loaded, and what that costs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use scotoma::engine::parity::compare_formats;
use scotoma::model::{ImageFiles, Message, MessagePart, Role, Source, Words};
use scotoma::weights::{Matrices, WeightFormat};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::common::{FOLDER, copy_model, goldens, load_as, load_folder};

/// The set whose tokenizer and cases serve these models, too.
const TEXTS: &str = "tiny-gqa-tied";

/// A tensor of a file: type, shape, bytes.
type Stored = (Dtype, Vec<usize>, Vec<u8>);

fn set() -> PathBuf {
    Path::new(FOLDER).join("quantized")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn read(name: &str) -> BTreeMap<String, Stored> {
    let bytes = std::fs::read(set().join(name)).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let stored = |(name, view): (String, TensorView<'_>)| {
        let stored = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
        (name, stored)
    };
    tensors.tensors().into_iter().map(stored).collect()
}

/// Writes a model of these tensors, with config.json's `quantization_config`.
fn folder(tensors: &BTreeMap<String, Stored>, quantization: Value) -> TempDir {
    let folder = copy_model(TEXTS);
    let mut config = json(&set().join("config.json"));
    config["quantization_config"] = quantization;
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    folder
}

/// The tensors of a variant, and what its libraries make of its matrices.
fn variant(name: &str) -> (BTreeMap<String, Stored>, Value) {
    let mut tensors = read("rest.safetensors");
    tensors.extend(read(&format!("{name}.safetensors")));
    let values = json(&set().join("values.json"));
    (tensors, values[name].clone())
}

/// Reads the quantised matrices of a folder as f32.
fn matrices(folder: &TempDir, of: &Value) -> BTreeMap<String, Stored> {
    let checkpoint = Source::Folder(folder.path().to_owned())
        .checkpoint()
        .unwrap();
    let tensors = checkpoint.tensors(DType::F32, &Device::Cpu, &|_, _| {});
    let matrix = |(name, value): (&String, &Value)| {
        let shape: Vec<usize> = serde_json::from_value(value["shape"].clone()).unwrap();
        let own = name.strip_prefix("model.").unwrap_or(name);
        let values: Tensor = tensors.get(own, &shape).unwrap();
        let values: Vec<f32> = values.flatten_all().unwrap().to_vec1().unwrap();
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        (name.clone(), (Dtype::F32, shape, bytes))
    };
    let all = of["matrices"].as_object().unwrap();
    all.iter().map(matrix).collect()
}

fn sha256(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

#[test]
fn matrices_are_what_their_libraries_make_of_them() {
    let values = json(&set().join("values.json"));
    for name in values.as_object().unwrap().keys() {
        let (tensors, expected) = variant(name);
        let folder = folder(&tensors, expected["quantization_config"].clone());
        for (matrix, (_, _, bytes)) in matrices(&folder, &expected) {
            let found = sha256(&bytes);
            assert_eq!(
                expected["matrices"][&matrix]["sha256"], found,
                "{name}: {matrix}"
            );
        }
    }
}

#[test]
fn a_quantised_model_answers_as_the_dequantised_one() {
    let values = json(&set().join("values.json"));
    let goldens = goldens(TEXTS);
    let case = goldens
        .cases
        .iter()
        .find(|case| case.name == "none")
        .unwrap();
    for name in values.as_object().unwrap().keys() {
        let (mut tensors, expected) = variant(name);
        let packed = folder(&tensors, expected["quantization_config"].clone());
        let matrices = matrices(&packed, &expected);
        for matrix in matrices.keys() {
            let module = matrix.strip_suffix("weight").unwrap();
            tensors.retain(|name, _| !name.starts_with(module));
        }
        tensors.extend(matrices);
        let whole = folder(&tensors, Value::Null);
        let [packed, whole] = [packed, whole].map(|folder| {
            let model = load_folder(folder.path()).unwrap();
            let prepared = goldens.prepare(&model, case).unwrap();
            let answer = prepared.greedy(&model, 6).unwrap();
            (prepared.values(&model).unwrap(), answer, model.parameters)
        });
        assert!(
            packed == whole,
            "{name}: other bits than the dequantised one"
        );
    }
}

/// The error of a variant in which `change` has changed tensors.
fn error(name: &str, change: impl FnOnce(&mut BTreeMap<String, Stored>)) -> String {
    let (mut tensors, expected) = variant(name);
    change(&mut tensors);
    let folder = folder(&tensors, expected["quantization_config"].clone());
    let loaded = load_folder(folder.path());
    loaded.map(|m| m.name).unwrap_err().to_string()
}

const MODULE: &str = "model.language_model.layers.0.self_attn.q_proj";

fn part<'a>(tensors: &'a mut BTreeMap<String, Stored>, part: &str) -> &'a mut Stored {
    tensors.get_mut(&format!("{MODULE}.{part}")).unwrap()
}

#[test]
fn damaged_files_are_named() {
    let remove = |variant: &str, part: &str| {
        error(variant, |tensors| {
            tensors.remove(&format!("{MODULE}.{part}")).unwrap();
        })
    };
    for (variant, part) in [
        ("awq", "scales"),
        ("gptq", "qzeros"),
        ("gptq", "g_idx"),
        ("nf4", "weight"),
        ("nf4", "weight.absmax"),
        ("nf4-double", "weight.nested_quant_map"),
        ("int8", "weight"),
    ] {
        let found = remove(variant, part);
        let own = MODULE.strip_prefix("model.").unwrap();
        assert_eq!(found, format!("missing tensor {own}.{part}"), "{variant}");
    }
    let found = error("gptq", |tensors| {
        part(tensors, "g_idx").2[..4].copy_from_slice(&(-3_i32).to_le_bytes());
    });
    assert!(
        found.contains("g_idx names group -3; there are 2"),
        "{found}"
    );
    for variant in ["awq", "gptq"] {
        let found = error(variant, |tensors| {
            let scales = part(tensors, "scales");
            scales.2.truncate(scales.2.len() / 2);
            scales.1[1] /= 2;
        });
        assert!(found.contains("do not fit 4 bits"), "{found}");
        let found = error(variant, |tensors| part(tensors, "qweight").0 = Dtype::F32);
        assert!(found.contains("qweight is of F32; I32 is read"), "{found}");
    }
    let found = error("int8", |tensors| {
        part(tensors, "weight_format").2[0] = 2;
    });
    assert!(found.contains("weight_format: only 0"), "{found}");
}

#[test]
fn damaged_states_are_named() {
    const STATE: &str = "weight.quant_state.bitsandbytes__nf4";
    let valid =
        json!({"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [64, 64]});
    for (field, value, says) in [
        ("blocksize", json!(0), "blocksize: a power of two"),
        ("blocksize", json!(-1), "quant_state: invalid value"),
        ("blocksize", json!(128), "absmax has 64 values, not 32"),
        ("dtype", json!("int8"), "dtype \"int8\""),
        ("shape", json!([4096]), "shape [4096] is no matrix"),
        (
            "shape",
            json!([1_u64 << 40, 1_u64 << 40]),
            "2048 bytes for a matrix",
        ),
        (
            "shape",
            json!([64, 32]),
            "2048 bytes for a matrix of 64 by 32",
        ),
        (
            "shape",
            json!([32, 128]),
            "the configuration implies [64, 64]",
        ),
        ("nested_offset", json!(0.5), "go together"),
    ] {
        let mut state = valid.clone();
        state[field] = value;
        let found = error("nf4", |tensors| {
            let stored = part(tensors, STATE);
            stored.2 = state.to_string().into_bytes();
            stored.1 = vec![stored.2.len()];
        });
        assert!(found.contains(says), "{field}: {found}");
    }
    let found = error("nf4", |tensors| {
        *part(tensors, STATE) = (Dtype::U8, vec![1 << 20], vec![b' '; 1 << 20]);
    });
    assert!(found.contains("at most 4096"), "{found}");
}

#[test]
fn zero_biases_may_be_there() {
    let bias = |value: u8| (Dtype::F16, vec![64], vec![value; 128]);
    let (mut tensors, expected) = variant("gptq");
    let name = format!("{MODULE}.bias");
    tensors.insert(name.clone(), bias(0));
    let folder = folder(&tensors, expected["quantization_config"].clone());
    load_folder(folder.path()).unwrap();
    let found = error("gptq", |tensors| {
        tensors.insert(name, bias(1));
    });
    assert!(found.contains("unused tensors"), "{found}");
}

/// A model that is quantised while it is loaded has the bits of one whose matrices went through
/// candle's blocks before, and takes less memory. The tower and the table stay as they are.
#[test]
fn matrices_are_quantised_while_they_are_loaded() {
    let set = "tiny-gguf";
    let numbers = load_as(&crate::common::source(set), Matrices::Numbers);
    let checkpoint = crate::common::source(set).checkpoint().unwrap();
    let goldens = goldens(set);
    let case = &goldens.cases[0];
    let plain = goldens
        .prepare(&numbers, case)
        .unwrap()
        .values(&numbers)
        .unwrap();
    for (name, format) in WeightFormat::NAMES {
        let (_, Some(format)) = format.parts() else {
            continue;
        };
        let model = load_as(&crate::common::source(set), Matrices::Quantized(format));
        assert_eq!(model.weight_format().name(), name);
        assert_eq!(model.digest, numbers.digest);
        assert!(
            model.resident_bytes + (1 << 19) < numbers.resident_bytes,
            "{name}"
        );
        let values = goldens
            .prepare(&model, case)
            .unwrap()
            .values(&model)
            .unwrap();
        // One product by hand: the first projection of the first layer.
        let shape = [64, 256];
        let weights = checkpoint.tensors(DType::F32, &Device::Cpu, &|_, _| {});
        let weight = weights
            .get("language_model.layers.0.self_attn.v_proj.weight", &shape)
            .unwrap();
        let weight = QTensor::quantize(&weight, format).unwrap();
        let weight = weight.dequantize(&Device::Cpu).unwrap();
        let rows = &values["language_model.blocks.0.ln1.hook_normalized"];
        let x = Tensor::from_slice(rows, (rows.len() / 256, 256), &Device::Cpu).unwrap();
        let v: Vec<f32> = x
            .matmul(&weight.t().unwrap())
            .and_then(|v| v.flatten_all()?.to_vec1())
            .unwrap();
        let found = &values["language_model.blocks.0.attn.hook_v"];
        let error = |one: &[f32], other: &[f32]| {
            let pairs = one.iter().zip(other);
            let (wrong, size) = pairs.fold((0.0, 0.0), |(wrong, size), (a, b)| {
                (
                    wrong + f64::from(a - b).powi(2),
                    size + f64::from(*b).powi(2),
                )
            });
            (wrong / size).sqrt()
        };
        assert!(error(found, &v) < 1e-6, "{name}: {}", error(found, &v));
        let logits = error(
            &values["language_model.hook_logits"],
            &plain["language_model.hook_logits"],
        );
        println!(
            "{name}: logits {logits:.1e}, {} bytes",
            model.resident_bytes
        );
        assert!(logits > 0.0 && logits < 1.0, "{name}: {logits}");
        // What is before the language model is as it was.
        let tokens = "projector.hook_out";
        assert_eq!(values.get(tokens), plain.get(tokens), "{name}");
    }
}

/// Blocks are, byte for byte, those that the package gguf quantises to.
#[test]
fn blocks_are_those_of_gguf() {
    let folder = folder(&read("rest.safetensors"), Value::Null);
    let checkpoint = Source::Folder(folder.path().to_owned())
        .checkpoint()
        .unwrap();
    let expected = json(&set().join("blocks.json"));
    for (name, digest) in expected.as_object().unwrap() {
        let (_, Some(format)) = WeightFormat::parse(name).unwrap().parts() else {
            panic!("{name}")
        };
        let mut tensors = checkpoint.tensors(DType::F32, &Device::Cpu, &|_, _| {});
        tensors.keep(Matrices::Quantized(format));
        let table = "language_model.embed_tokens.weight";
        let blocks = tensors.blocks(table, &[452, 64]).unwrap().unwrap();
        assert_eq!(blocks.format, format);
        assert_eq!(*digest, sha256(&blocks.bytes), "{name}");
    }
    // Rows that are no whole blocks fall back.
    let mut tensors = checkpoint.tensors(DType::F32, &Device::Cpu, &|_, _| {});
    tensors.keep(Matrices::Quantized(GgmlDType::Q4K));
    let blocks = tensors.blocks("language_model.embed_tokens.weight", &[452, 64]);
    assert_eq!(blocks.unwrap().unwrap().format, GgmlDType::Q8_0);
    let tower = "vision_tower.encoder.layers.0.self_attn.q_proj.weight";
    assert!(tensors.blocks(tower, &[32, 32]).unwrap().is_none());
}

/// A model agrees with itself wholly, and with itself in eight bits nearly.
#[test]
fn formats_are_compared() {
    let source = crate::common::source("shapes");
    let [numbers, other, quantised] = [
        Matrices::Numbers,
        Matrices::Numbers,
        Matrices::Quantized(GgmlDType::Q8_0),
    ]
    .map(|matrices| load_as(&source, matrices));
    let item = &scotoma::benchmark::shapes().unwrap()[0];
    let message = Message {
        role: Role::User,
        parts: vec![MessagePart::Image, MessagePart::Text(item.question.clone())],
    };
    let files = ImageFiles {
        files: item.images.iter().map(Vec::as_slice).collect(),
        together: 1,
        max_pixels: 1 << 20,
    };
    let input = numbers
        .read(&Words::Messages(vec![message]), None, &files)
        .unwrap();
    let same = compare_formats(&numbers, &other, &input, 3).unwrap();
    assert!(same.points.values().all(|error| *error == 0.0));
    assert!(same.divergence < 1e-12 && same.same_tokens == 3);
    let near = compare_formats(&numbers, &quantised, &input, 3).unwrap();
    let logits = near.points["language_model.hook_logits"];
    assert!((1e-5..0.1).contains(&logits), "{logits}");
    assert!(near.divergence < 0.05, "{}", near.divergence);
    // What is before the language model is not quantised.
    assert_eq!(near.points["projector.hook_out"], 0.0);
}
