//! Damaged checkpoints: an error that names the file and the tensor, never a panic.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use proptest::prelude::*;
use scotoma::model::{Error, Load, Model, Origin, SaePlace, Source};
use scotoma::nn::DeviceId;
use scotoma::weights::Matrices;
use serde_json::{Value, json};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::common::{copy_model, load_as, load_folder};

const SAFETENSORS: &str = "tiny-gqa-tied";
const SHARDED: &str = "tiny-full-old-names";
const PICKLED: &str = "tiny-next-llama";

/// A copy of a golden set's model.
struct Copy(TempDir);

impl Copy {
    fn of(set: &str) -> Self {
        Self(copy_model(set))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path(file)).unwrap()
    }

    fn write(&self, file: &str, bytes: &[u8]) {
        std::fs::write(self.path(file), bytes).unwrap();
    }

    fn edit(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let mut json: Value = serde_json::from_slice(&self.read(file)).unwrap();
        change(&mut json);
        self.write(file, &serde_json::to_vec(&json).unwrap());
    }

    /// Changes the header of model.safetensors.
    fn edit_header(&self, change: impl FnOnce(&mut Value)) {
        let bytes = self.read("model.safetensors");
        let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: Value = serde_json::from_slice(&bytes[8..end]).unwrap();
        change(&mut header);
        let header = serde_json::to_vec(&header).unwrap();
        self.write(
            "model.safetensors",
            &[
                &(header.len() as u64).to_le_bytes()[..],
                &header,
                &bytes[end..],
            ]
            .concat(),
        );
    }

    fn load(&self) -> Result<Model, Error> {
        load_folder(self.0.path())
    }

    /// The message of the error that loading ends with, which must hold every one of `says`.
    fn fails(&self, says: &[&str]) {
        let message = self.load().map(|m| m.name).unwrap_err().to_string();
        for part in says {
            assert!(message.contains(part), "{message:?} does not say {part:?}");
        }
    }
}

const WEIGHT: &str = "multi_modal_projector.linear_1.weight";

#[test]
fn safetensors() {
    let copy = Copy::of(SAFETENSORS);
    copy.load().unwrap();
    let whole = copy.read("model.safetensors");
    copy.write("model.safetensors", &whole[..whole.len() - 100]);
    copy.fails(&["model.safetensors", "not a valid safetensors file"]);
    copy.write(
        "model.safetensors",
        &[&(1_u64 << 60).to_le_bytes()[..], &whole[8..]].concat(),
    );
    copy.fails(&["model.safetensors", "not a valid safetensors file"]);
    copy.write("model.safetensors", b"{}");
    copy.fails(&["model.safetensors"]);
    copy.write("model.safetensors", &whole);
    copy.edit_header(|header| {
        let offsets = header[WEIGHT]["data_offsets"].clone();
        header["lm_head.extra"] = json!({ "dtype": "BF16", "shape": [1], "data_offsets": offsets });
    });
    copy.fails(&["model.safetensors", "not a valid safetensors file"]);
    copy.write("model.safetensors", &whole);
    copy.edit_header(|header| header[WEIGHT]["dtype"] = json!("I16"));
    copy.fails(&[
        "multi_modal_projector.linear_1.weight",
        "dtype I16",
        "f32, f16 and bf16",
    ]);
    copy.write("model.safetensors", &whole);
    copy.edit_header(|header| {
        let tensor = header.as_object_mut().unwrap().remove(WEIGHT).unwrap();
        header["multi_modal_projector.linear_9.weight"] = tensor;
    });
    copy.fails(&["missing tensor multi_modal_projector.linear_1.weight"]);
    std::fs::remove_file(copy.path("model.safetensors")).unwrap();
    copy.fails(&["neither model.safetensors nor pytorch_model.bin"]);
}

#[test]
fn a_single_file_comes_before_an_index() {
    let copy = Copy::of(SAFETENSORS);
    let index = json!({ "weight_map": { WEIGHT: "model-00001-of-00002.safetensors" } });
    copy.write(
        "model.safetensors.index.json",
        &serde_json::to_vec(&index).unwrap(),
    );
    copy.load().unwrap();
}

#[test]
fn shards_and_their_index() {
    let index = "model.safetensors.index.json";
    let copy = Copy::of(SHARDED);
    copy.load().unwrap();
    let whole = copy.read(index);
    copy.edit(index, |json| {
        json["weight_map"]["no.such.tensor"] = json!("model-00001-of-00002.safetensors");
    });
    copy.fails(&[
        index,
        "no.such.tensor is not in model-00001-of-00002.safetensors",
    ]);
    copy.write(index, &whole);
    copy.edit(index, |json| {
        json["weight_map"]["no.such.tensor"] = json!("../model.safetensors");
    });
    copy.fails(&[index, "is not the name of a file"]);
    copy.write(index, b"[");
    copy.fails(&[index]);
    copy.write(index, &whole);
    std::fs::remove_file(copy.path("model-00002-of-00002.safetensors")).unwrap();
    copy.fails(&["model-00002-of-00002.safetensors"]);
}

/// A torch file whose pickle is `pickle`, with one storage of four bytes.
fn torch_file(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in [("archive/data.pkl", pickle), ("archive/data/0", &[0; 4])] {
        zip.start_file(name, stored).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A tensor whose storage reaches beyond the end of the file, by what the archive's directory says.
#[test]
fn a_tensor_of_a_pickle_that_is_cut_off() {
    let shard = "pytorch_model-00001-of-00002.bin";
    let copy = Copy::of(PICKLED);
    let pickle = b"\x80\x02}(X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage\
        ctorch\nFloatStorage\nX\x01\0\0\x000tQK\x00M\x10\x27\x85K\x01\x85tRu.";
    let mut file = torch_file(pickle);
    // The last entry of the directory: two sizes of four bytes stand 20 behind its beginning.
    let entry = file.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    for size in [20, 24] {
        file[entry + size..][..4].copy_from_slice(&40_000_u32.to_le_bytes());
    }
    copy.write(shard, &file);
    copy.fails(&[shard, "not a PyTorch checkpoint", "tensor a is cut off"]);
}

#[test]
fn pickles() {
    let shard = "pytorch_model-00001-of-00002.bin";
    let copy = Copy::of(PICKLED);
    copy.load().unwrap();
    let whole = copy.read(shard);
    copy.write(shard, &whole[..whole.len() / 2]);
    copy.fails(&[shard, "not a PyTorch checkpoint"]);
    copy.write(shard, b"\x80\x02}q\x00.");
    copy.fails(&[shard, "not a PyTorch checkpoint"]);
    // An opcode that no pickle has.
    copy.write(shard, &torch_file(b"\x80\x02\xff."));
    copy.fails(&[shard, "not a PyTorch checkpoint"]);
    // os.system("true"), which a pickle machine would call: nothing has run.
    copy.write(
        shard,
        &torch_file(b"\x80\x02cos\nsystem\nq\x00X\x04\x00\x00\x00trueq\x01\x85q\x02Rq\x03."),
    );
    copy.fails(&[shard, "no dictionary of tensors"]);
    // The same as a value of the dictionary: the tensors are not there.
    copy.write(
        shard,
        &torch_file(b"\x80\x02}X\x01\x00\x00\x00acos\nsystem\nX\x04\x00\x00\x00true\x85Rs."),
    );
    copy.fails(&[
        "pytorch_model.bin.index.json",
        "is not in pytorch_model-00001-of-00002.bin",
    ]);
    // A text of 4 GiB that is not there, and tuples in each other.
    copy.write(shard, &torch_file(b"\x80\x02X\xff\xff\xff\xffa."));
    copy.fails(&[shard, "cut off"]);
    copy.write(
        shard,
        &torch_file(&[&b"\x80\x02)"[..], vec![0x85; 1 << 18].as_slice(), b"."].concat()),
    );
    copy.fails(&[shard, "no dictionary of tensors"]);
    copy.write(
        shard,
        &torch_file(&[&b"\x80\x02)"[..], vec![0x85; 1 << 20].as_slice(), b"."].concat()),
    );
    copy.fails(&[shard, "values"]);
    copy.write(
        shard,
        &torch_file(&[&b"\x80\x02"[..], vec![b'('; 9 << 20].as_slice(), b"."].concat()),
    );
    copy.fails(&[shard, "at most"]);
}

/// A pipe as a file would be waited on for ever.
#[test]
#[cfg(unix)]
fn what_is_no_file() {
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let copy = Copy::of(SAFETENSORS);
        std::fs::remove_file(copy.path(name)).unwrap();
        assert!(
            std::process::Command::new("mkfifo")
                .arg(copy.path(name))
                .status()
                .unwrap()
                .success()
        );
        let says = if name == "model.safetensors" {
            "neither model.safetensors"
        } else {
            "not a regular file"
        };
        copy.fails(&[says]);
    }
}

#[test]
fn pointers_of_git_lfs() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4096\n";
    for (set, name) in [
        (SAFETENSORS, "config.json"),
        (SAFETENSORS, "tokenizer.json"),
        (SAFETENSORS, "preprocessor_config.json"),
        (SAFETENSORS, "model.safetensors"),
        (SHARDED, "model.safetensors.index.json"),
        (PICKLED, "pytorch_model-00001-of-00002.bin"),
    ] {
        let copy = Copy::of(set);
        assert!(copy.path(name).is_file(), "{set} has {name}");
        copy.write(name, pointer.as_bytes());
        copy.fails(&[name, "Git LFS", "git lfs pull"]);
    }
}

#[test]
fn tokenizers_and_the_table() {
    let copy = Copy::of(SAFETENSORS);
    let whole = copy.read("tokenizer.json");
    // Every configuration names an id; a marker with another one would place no picture.
    copy.edit("config.json", |json| json["image_token_index"] = json!(7));
    copy.fails(&["image_token_index 7", "<image> is token 3"]);
    copy.edit("config.json", |json| json["image_token_index"] = json!(3));
    // A token that the embedding table has no row for is an error of the prompt that holds it.
    copy.edit("tokenizer.json", |json| {
        let token = json!({"id": 460, "content": "<far>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
        let added = json["added_tokens"].as_array_mut().unwrap();
        added.push(token);
        json["model"]["vocab"]["<far>"] = json!(460);
    });
    let model = copy.load().unwrap();
    assert!(model.text.encode("near").is_ok());
    let error = model.text.encode("<far>").unwrap_err().to_string();
    assert!(
        error.contains("token 460 (\"<far>\")") && error.contains("vocab_size"),
        "{error}"
    );
    // What a file says of cutting off and filling up is for training.
    copy.write("tokenizer.json", &whole);
    let ids = copy
        .load()
        .unwrap()
        .text
        .encode("one two three four five")
        .unwrap();
    copy.edit("tokenizer.json", |json| {
        json["truncation"] = json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
        json["padding"] = json!({"strategy": {"Fixed": 64}, "direction": "Left", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "<s>"});
    });
    assert_eq!(
        copy.load()
            .unwrap()
            .text
            .encode("one two three four five")
            .unwrap(),
        ids
    );
}

/// tie_word_embeddings says what the head is where the checkpoint has none.
#[test]
fn heads() {
    let copy = Copy::of(SAFETENSORS);
    let tied = copy.load().unwrap().digest;
    let bytes = copy.read("model.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let (table, view) = tensors
        .tensors()
        .into_iter()
        .find(|(name, _)| name.ends_with("embed_tokens.weight"))
        .unwrap();
    let mut other = view.data().to_vec();
    other[0] ^= 0x80;
    for (head, equal) in [(view.data(), true), (other.as_slice(), false)] {
        let head = safetensors::tensor::TensorView::new(view.dtype(), view.shape().to_vec(), head)
            .unwrap();
        let all = tensors
            .tensors()
            .into_iter()
            .filter(|(name, _)| name != "lm_head.weight")
            .chain([("lm_head.weight".to_owned(), head)]);
        copy.write(
            "model.safetensors",
            &safetensors::serialize(all, None).unwrap(),
        );
        let model = copy.load().unwrap();
        let lens = |m: &Model| {
            let row = candle_core::Tensor::ones(
                (1, m.decoder.config().hidden_size),
                DType::F32,
                &Device::Cpu,
            )
            .unwrap();
            let logits = m.decoder.lens(&row, None).unwrap();
            logits.to_vec2::<f32>().unwrap()
        };
        assert_ne!(model.digest, tied);
        assert_eq!(
            lens(&model) == lens(&Copy::of(SAFETENSORS).load().unwrap()),
            equal,
            "{table}"
        );
    }
}

#[test]
fn configurations() {
    let copy = Copy::of(SAFETENSORS);
    let whole = copy.read("config.json");
    let factors = |count: usize| json!({"rope_type": "longrope", "short_factor": vec![1.0; count], "long_factor": vec![2.0; 4]});
    let bad: [(&str, Value, &str); 27] = [
        (
            "/text_config/head_dim",
            json!(1_u64 << 52),
            "text_config: head_dim 4503599627370496; at most 1048576",
        ),
        (
            "/text_config/num_hidden_layers",
            json!(u64::MAX),
            "num_hidden_layers 18446744073709551615; at most 1024",
        ),
        (
            "/text_config/vocab_size",
            json!(u64::MAX),
            "vocab_size 18446744073709551615",
        ),
        (
            "/text_config/hidden_size",
            json!(u64::MAX),
            "hidden_size 18446744073709551615",
        ),
        (
            "/text_config/max_position_embeddings",
            json!(1 << 30),
            "max_position_embeddings 1073741824",
        ),
        (
            "/vision_config/hidden_size",
            json!(u64::MAX),
            "vision_config: a size of 18446744073709551615; at most 1048576",
        ),
        (
            "/text_config/num_attention_heads",
            json!(0),
            "text_config: sizes must be at least 1",
        ),
        (
            "/vision_config/num_attention_heads",
            json!(0),
            "vision_config: sizes must be at least 1",
        ),
        ("/vision_config/patch_size", json!(0), "vision_config"),
        ("/text_config/num_attention_heads", json!(3), "missing"),
        (
            "/text_config/model_type",
            json!("rwkv"),
            "llama, mistral, qwen2, qwen3, phi3, gemma, gemma2 are supported",
        ),
        (
            "/model_type",
            json!("llava_later"),
            "internvl, llava, llava_next, llava_onevision, vipllava are supported",
        ),
        (
            "/text_config/rope_parameters",
            json!({"rope_type": "mrope"}),
            "llama has one of default, linear, dynamic, yarn",
        ),
        (
            "/text_config/rope_parameters",
            json!({"rope_type": "linear"}),
            "factor is missing; a number above 0 is needed",
        ),
        (
            "/text_config/rope_parameters",
            json!({"type": "dynamic", "factor": -2}),
            "factor -2; a number above 0",
        ),
        (
            "/text_config/rope_parameters",
            json!({"factor": 2.0}),
            "rope_type \"default\" has no factor",
        ),
        (
            "/text_config/rope_parameters",
            json!({"mrope_section": [1]}),
            "unknown field `mrope_section`",
        ),
        (
            "/text_config/rope_parameters",
            factors(3),
            "short_factor of 3 numbers; 4 numbers above 0 are needed",
        ),
        (
            "/text_config/rope_parameters",
            json!({"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 1}),
            "high_freq_factor 1 is not above low_freq_factor 4",
        ),
        (
            "/text_config/rope_parameters",
            json!({"full_attention": {"rope_theta": 1e4}, "sliding_attention": {"rope_theta": 1e3}}),
            "rope_parameters differ by type of layer",
        ),
        (
            "/text_config/rope_parameters",
            json!({"partial_rotary_factor": 0.5}),
            "llama rotates whole heads (1.0)",
        ),
        (
            "/text_config/rope_parameters",
            json!({"rope_theta": 0}),
            "rope_theta 0; a number above 0",
        ),
        (
            "/vision_feature_layer",
            json!([]),
            "a layer number, or a list of 1 to 64 of them",
        ),
        (
            "/vision_feature_layer",
            json!([-2, 9]),
            "vision_feature_layer 9 is not in",
        ),
        (
            "/vision_feature_layer",
            json!(9),
            "vision_feature_layer 9 is not in",
        ),
        (
            "/text_config/max_position_embeddings",
            json!(1_u64 << 40),
            "max_position_embeddings",
        ),
        ("/text_config/hidden_size", json!(-1), "invalid value"),
    ];
    for (pointer, value, says) in bad {
        copy.edit("config.json", |json| {
            *json.pointer_mut(pointer).unwrap() = value;
        });
        let message = copy
            .load()
            .map(|m| m.name)
            .expect_err(&format!("{pointer}: {says}"))
            .to_string();
        assert!(
            message.contains(says) || says == "missing",
            "{pointer}: {message}"
        );
        copy.write("config.json", &whole);
    }
    copy.load().unwrap();
}

#[test]
fn errors_of_configurations_name_the_field() {
    let copy = Copy::of(SAFETENSORS);
    let whole = copy.read("config.json");
    for (part, field, value, says) in [
        (
            "text_config",
            "rms_norm_eps",
            json!("1e-5"),
            "config.json: text_config.rms_norm_eps: invalid type: string \"1e-5\", expected f64",
        ),
        (
            "text_config",
            "rope_parameters",
            json!({"rope_theta": "x"}),
            "text_config: rope_parameters.rope_theta: invalid type",
        ),
        (
            "vision_config",
            "hidden_size",
            json!("32"),
            "config.json: vision_config.hidden_size: invalid type: string \"32\", expected usize",
        ),
        (
            "vision_config",
            "layer_norm_eps",
            json!([1]),
            "config.json: vision_config.layer_norm_eps: invalid type: sequence, expected f64",
        ),
    ] {
        copy.edit("config.json", |json| json[part][field] = value);
        copy.fails(&[says]);
        copy.write("config.json", &whole);
    }
    for (field, value, says) in [
        (
            "projector_layers",
            json!(17),
            "projector_layers 17; 0 to 16 are supported",
        ),
        (
            "projector_hidden_act",
            json!("sin"),
            "config.json: projector_hidden_act: unknown variant `sin`",
        ),
        (
            "image_token_index",
            json!(-1),
            "config.json: image_token_index: invalid value",
        ),
        (
            "text_config",
            json!([]),
            "text_config: a list; an object of fields is needed",
        ),
    ] {
        copy.edit("config.json", |json| json[field] = value);
        let message = copy.load().map(|m| m.name).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
        copy.write("config.json", &whole);
    }
}

#[test]
fn files_that_are_no_objects_are_not_taken_for_empty() {
    let copy = Copy::of(SAFETENSORS);
    for file in [
        "config.json",
        "generation_config.json",
        "tokenizer_config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "special_tokens_map.json",
    ] {
        let whole = copy.path(file).exists().then(|| copy.read(file));
        for content in ["[]", "[{\"eos_token_id\": 1}]", "null", "1"] {
            copy.write(file, content.as_bytes());
            copy.fails(&[file, "an object of fields is needed"]);
        }
        match whole {
            Some(whole) => copy.write(file, &whole),
            None => std::fs::remove_file(copy.path(file)).unwrap(),
        }
    }
    copy.edit("generation_config.json", |json| {
        json["forced_bos_token_id"] = json!([1, 2]);
    });
    copy.fails(&["forced_bos_token_id [1,2]; one token id is supported"]);
    copy.edit("generation_config.json", |json| {
        json["forced_bos_token_id"] = json!([1]);
    });
    copy.load().unwrap();
}

#[test]
fn a_folder_beside_a_model_is_none_of_its_own() {
    let copy = Copy::of(SAFETENSORS);
    std::fs::create_dir(copy.path("sae")).unwrap();
    copy.write("sae/cfg.json", b"no JSON");
    assert!(copy.load().unwrap().sparse_autoencoders().is_empty());
}

#[test]
fn hook_points_are_those_that_the_layers_have() {
    let copy = Copy::of(SAFETENSORS);
    let points = |model: &Model| -> Vec<&str> {
        let all = model.hook_points().map(|row| row.name);
        all.filter(|name| name.starts_with("projector.")).collect()
    };
    let two = copy.load().unwrap();
    let [pre, post] = ["projector.hook_pre", "projector.hook_post"];
    assert!(points(&two).contains(&pre) && points(&two).contains(&post));
    // As wide as the tower, so that no layer is needed.
    for layers in [1, 0] {
        copy.edit("config.json", |json| {
            json["projector_layers"] = json!(layers);
        });
        let source = Source::Random(Box::new(Source::Folder(copy.0.path().into())));
        let model = Model::load("x", &source, DType::F32, &Device::Cpu).unwrap();
        let found = points(&model);
        assert_eq!(found.len() + 2, points(&two).len(), "{found:?}");
        assert!(!found.contains(&pre) && !found.contains(&post), "{found:?}");
        assert!(found.contains(&"projector.hook_out"), "{found:?}");
        let says = model.no_point(scotoma::nn::Stack::Projector, pre);
        assert!(
            says.contains("has no activation, has no hook point"),
            "{says}"
        );
    }
    // No layer of a tower runs whose embeddings are read.
    copy.edit("config.json", |json| {
        json["projector_layers"] = Value::Null;
        json["vision_feature_layer"] = json!(0);
    });
    let saes = Path::new(crate::common::FOLDER).join("saes/sparsify/layers.0");
    let place = SaePlace {
        folder: saes,
        point: Some("vision_tower.blocks.0.hook_resid_post".into()),
    };
    let model = copy.load().unwrap();
    let error = model.add_sae("x", &place, u64::MAX).unwrap_err();
    assert!(
        error.to_string().contains("no layer of copy runs there"),
        "{error}"
    );
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_drawn_or_read() {
    let copy = Copy::of(SAFETENSORS);
    let random = Source::Random(Box::new(Source::Folder(copy.0.path().into())));
    let model = Model::load("x", &random, DType::F32, &Device::Cpu).unwrap();
    let prepare = |budget| {
        let options = Load {
            budget,
            ..Load::new(DType::F32, DeviceId::Cpu.into())
        };
        Model::prepare("x", &random, &options).map(drop)
    };
    prepare(model.resident_bytes).unwrap();
    let error = prepare(model.resident_bytes / 2).unwrap_err();
    assert!(matches!(error, Error::Budget { .. }), "{error}");
    let model = crate::common::model(SAFETENSORS);
    let second = Path::new(crate::common::FOLDER).join(SAFETENSORS);
    let second = second.join("second_projector.safetensors");
    let bytes = model.own_projector().host().bytes();
    // Two matrices of 32 by 32 with their biases, in f32.
    assert_eq!(bytes, 4 * 2 * (32 * 32 + 32));
    assert_eq!(model.held_bytes(), model.resident_bytes + bytes);
    let error = model.add_projector("third", &second, bytes - 1);
    assert!(matches!(error, Err(Error::Budget { .. })), "{error:?}");
    model.add_projector("third", &second, bytes).unwrap();
    assert_eq!(model.held_bytes(), model.resident_bytes + 2 * bytes);
}

#[test]
fn names_are_those_of_folders_repositories_and_first_files() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("llava@v1");
    std::fs::create_dir(&here).unwrap();
    for (place, name) in [
        ("llava-hf/llava-1.5-7b-hf@v1", "llava-1.5-7b-hf"),
        ("llava-hf/llava-1.5-7b-hf@refs/pr/7", "llava-1.5-7b-hf"),
        ("a@b/llava", "llava"),
        ("/models/a@b/llava-v1.5", "llava-v1.5"),
        (here.to_str().unwrap(), "llava@v1"),
        ("random:a@b/llava", "llava"),
        ("a/M.gguf+b/m.gguf", "M.gguf"),
        ("q+k/M.GGUF+q+k/m.gguf", "M.GGUF"),
        ("q+k/M.gguf", "M.gguf"),
    ] {
        assert_eq!(Origin::default_name(place), name, "{place}");
    }
}

/// Loads a copy with some bytes changed; whatever comes, it must come as a result.
fn survives(set: &str, file: &str, limit: usize, changes: &[(prop::sample::Index, u8)]) {
    let copy = Copy::of(set);
    let mut bytes = copy.read(file);
    let limit = limit.min(bytes.len());
    for (at, value) in changes {
        bytes[at.index(limit)] = *value;
    }
    copy.write(file, &bytes);
    let _ = copy.load();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_headers_never_panic(changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..8)) {
        survives(SAFETENSORS, "model.safetensors", 4096, &changes);
    }

    #[test]
    fn changed_pickles_never_panic(changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..8)) {
        survives(PICKLED, "pytorch_model-00001-of-00002.bin", 16384, &changes);
    }

    #[test]
    fn changed_configurations_never_panic(changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..4)) {
        survives(SAFETENSORS, "config.json", usize::MAX, &changes);
    }

    #[test]
    fn changed_tokenizers_never_panic(changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..4)) {
        survives(SAFETENSORS, "tokenizer.json", usize::MAX, &changes);
    }

    #[test]
    fn changed_sentencepiece_models_never_panic(changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..8)) {
        let copy = Copy::of(SAFETENSORS);
        std::fs::remove_file(copy.path("tokenizer.json")).unwrap();
        let mut bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zoo/tokenizers/plain.model")).unwrap();
        let length = bytes.len();
        for (at, value) in changes {
            bytes[at.index(length)] = value;
        }
        copy.write("tokenizer.model", &bytes);
        let _ = copy.load();
    }

    #[test]
    fn changed_pictures_never_panic(changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..8)) {
        let mut bytes = crate::common::picture();
        let length = bytes.len();
        for (at, value) in changes {
            bytes[at.index(length)] = value;
        }
        if let Ok(picture) = scotoma::vision::decode(&bytes, 1 << 20) {
            prop_assert!(picture.data.len() == 3 * picture.width * picture.height);
        }
    }
}

/// tiny-gqa-tied as the original LLaVA repository would keep it: a flat config.json, other names,
/// the tower elsewhere.
fn original() -> Copy {
    let copy = Copy::of(SAFETENSORS);
    let config: Value = serde_json::from_slice(&copy.read("config.json")).unwrap();
    let mut flat = config["text_config"].clone();
    let added = json!({
        "model_type": "llava_llama",
        "mm_vision_tower": "tower",
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "tie_word_embeddings": true,
    });
    flat.as_object_mut()
        .unwrap()
        .extend(added.as_object().unwrap().clone());
    let bytes = copy.read("model.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let (mut main, mut tower) = (Vec::new(), Vec::new());
    for (name, view) in tensors.tensors() {
        if let Some(rest) = name.strip_prefix("vision_tower.") {
            tower.push((
                format!("vision_model.{}", rest.trim_start_matches("vision_model.")),
                view,
            ));
        } else if let Some(rest) = name.strip_prefix("multi_modal_projector.") {
            let rest = rest.replace("linear_1", "0").replace("linear_2", "2");
            main.push((format!("model.mm_projector.{rest}"), view));
        } else {
            let rest = name
                .trim_start_matches("language_model.")
                .trim_start_matches("model.");
            main.push((format!("model.{rest}"), view));
        }
    }
    std::fs::create_dir(copy.path("tower")).unwrap();
    std::fs::rename(
        copy.path("preprocessor_config.json"),
        copy.path("tower/preprocessor_config.json"),
    )
    .unwrap();
    copy.write(
        "tower/config.json",
        &serde_json::to_vec(&json!({ "vision_config": config["vision_config"] })).unwrap(),
    );
    copy.write(
        "tower/model.safetensors",
        &safetensors::serialize(tower, None).unwrap(),
    );
    copy.write(
        "model.safetensors",
        &safetensors::serialize(main, None).unwrap(),
    );
    copy.write("config.json", &serde_json::to_vec(&flat).unwrap());
    copy
}

#[test]
fn folders_of_the_original_repository() {
    let copy = original();
    let model = copy.load().unwrap();
    let goldens = crate::common::goldens(SAFETENSORS);
    let plain = goldens.cases.iter().find(|c| c.name == "two").unwrap();
    let (error, point) = goldens
        .compare(&model, plain)
        .map(|c| (c.worst().0, c.worst().1.to_owned()))
        .unwrap();
    assert!(error <= 1e-5, "{error:.1e} at {point}");

    // Without an image token in the vocabulary the marker gets an id beyond it; nothing else
    // changes.
    copy.edit("tokenizer.json", |json| {
        let text = json.to_string().replace("\"<image>\"", "\"<nothing>\"");
        *json = serde_json::from_str(&text).unwrap();
    });
    let bare = copy.load().unwrap();
    assert_eq!((model.image_token, bare.image_token), (3, 452));
    let (known, beyond) = (
        goldens.prepare(&model, plain).unwrap(),
        goldens.prepare(&bare, plain).unwrap(),
    );
    assert_ne!(known.prompt.ids, beyond.prompt.ids);
    assert_eq!(known.values(&model).unwrap(), beyond.values(&bare).unwrap());

    copy.edit("config.json", |json| {
        json["mm_projector_type"] = json!("ldpnet");
    });
    copy.fails(&["mm_projector_type \"ldpnet\"", "linear, mlpNx_gelu"]);
    for ratio in [
        json!("highres"),
        json!("crop_split"),
        json!("anyres_max_x"),
        json!("anyres_max_0"),
        json!(1),
    ] {
        copy.edit("config.json", |json| {
            json["mm_projector_type"] = json!("mlp2x_gelu");
            json["image_aspect_ratio"] = ratio.clone();
        });
        copy.fails(&[&format!(
            "image_aspect_ratio {ratio}; square, pad, anyres or anyres_max_N with N"
        )]);
    }
    // CLIP has a class token, which LLaVA-OneVision's tower has not.
    copy.edit("config.json", |json| {
        json["image_aspect_ratio"] = json!("anyres_max_9");
    });
    copy.fails(&[
        "image_aspect_ratio \"anyres_max_9\"",
        "a tower that is not SigLIP",
    ]);
    for ratio in [json!("pad"), json!("square"), Value::Null] {
        copy.edit("config.json", |json| json["image_aspect_ratio"] = ratio);
        copy.load().unwrap();
    }
    // Before the tower is looked for.
    copy.edit("config.json", |json| {
        json["architectures"] = json!(["MobileLlamaForCausalLM"]);
    });
    copy.fails(&["MobileLlamaForCausalLM", "LlavaLlamaForCausalLM"]);
    copy.edit("config.json", |json| {
        json["architectures"] = json!(["LlavaLlamaForCausalLM"]);
    });
    copy.edit("config.json", |json| {
        json["mm_projector_type"] = json!("mlp2x_gelu");
    });
    copy.edit("config.json", |json| {
        json["mm_vision_tower"] = json!("no such tower");
    });
    copy.fails(&["mm_vision_tower", "is no folder"]);
    std::fs::rename(copy.path("tokenizer.json"), copy.path("tokenizer.model")).unwrap();
    copy.fails(&["tokenizer.model: not a SentencePiece model"]);
}

/// tests/zoo/make_tokenizers.py: tokenizer.model is read as transformers reads it.
#[test]
fn sentencepiece_models() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zoo/tokenizers");
    let known: Value =
        serde_json::from_slice(&std::fs::read(folder.join("ids.json")).unwrap()).unwrap();
    let texts = known["texts"].as_array().unwrap();
    let ids = |value: &Value| {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_u64().unwrap() as u32)
            .collect::<Vec<_>>()
    };
    for (name, case) in known["cases"].as_object().unwrap() {
        let place = tempfile::tempdir().unwrap();
        std::fs::copy(
            folder.join(case["model"].as_str().unwrap()),
            place.path().join("tokenizer.model"),
        )
        .unwrap();
        for (file, content) in case["beside"].as_object().unwrap() {
            std::fs::write(place.path().join(file), content.to_string()).unwrap();
        }
        let text = scotoma::model::Text::load(&Source::Folder(place.path().to_owned())).unwrap();
        for (i, asked) in texts.iter().enumerate() {
            let asked = asked.as_str().unwrap();
            assert_eq!(
                text.encode(asked).unwrap(),
                ids(&case["ids"][i]),
                "{name}: {asked:?}"
            );
        }
        for (i, decoded) in case["decoded"].as_array().unwrap().iter().enumerate() {
            // What was put around it is not decoded.
            assert_eq!(
                text.decode(&ids(&case["ids"][i])).unwrap(),
                decoded.as_str().unwrap(),
                "{name}: {:?}",
                texts[i]
            );
        }
    }
}

#[test]
fn sentencepiece_models_that_are_not_read() {
    let copy = Copy::of(SAFETENSORS);
    std::fs::remove_file(copy.path("tokenizer.json")).unwrap();
    copy.write("tokenizer.model", b"IQ== 0\nIg== 1\n");
    copy.fails(&["tokenizer.model", "not a SentencePiece model"]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zoo/tokenizers");
    std::fs::copy(folder.join("plain.model"), copy.path("tokenizer.model")).unwrap();
    copy.edit("tokenizer_config.json", |json| {
        json["tokenizer_class"] = json!("T5Tokenizer");
    });
    copy.fails(&[
        "tokenizer_class \"T5Tokenizer\"",
        "LlamaTokenizer and GemmaTokenizer",
    ]);
}

#[test]
fn gguf_files_that_are_no_pair() {
    let file = |set: &str, name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
        let path = folder.join(set).join("model").join(name);
        path.display().to_string()
    };
    let language = file("tiny-gguf", "language-Q4_K_M.gguf");
    let tower = file("tiny-gguf-next", "mmproj-f16.gguf");
    let missing = file("tiny-gguf", "missing.gguf");
    for (place, said) in [
        (
            format!("{language}+{tower}"),
            [tower.as_str(), "the files are no pair"],
        ),
        (
            format!("{language}+{missing}"),
            [missing.as_str(), "No such file"],
        ),
        (missing.clone(), [missing.as_str(), "No such file"]),
    ] {
        let error = place.parse::<Origin>().unwrap_err();
        assert!(said.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn gguf_pairs_in_folders_with_a_plus() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("q+k");
    std::fs::create_dir(&inside).unwrap();
    let from = Path::new(crate::common::FOLDER).join("tiny-gguf/model");
    for (file, name) in [
        ("language-Q4_K_M.gguf", "x.gguf"),
        ("mmproj-f16.gguf", "y.GGUF"),
    ] {
        std::fs::copy(from.join(file), inside.join(name)).unwrap();
    }
    let inside = inside.display();
    for place in [
        format!("{inside}/x.gguf+{inside}/y.GGUF"),
        format!("{inside}/y.GGUF+{inside}/x.gguf"),
        format!("{inside}/x.gguf+y.GGUF"),
        format!("{inside}/x.gguf"),
    ] {
        let origin = place.parse::<Origin>();
        assert!(matches!(origin, Ok(Origin::Here(_))), "{place}: {origin:?}");
    }
}

/// Whether BOS stands in front where the file does not say is llama.cpp's default for its kind of
/// vocabulary.
#[test]
fn gguf_files_that_do_not_say_whether_bos_is_added() {
    let config = |set: &str, changes: &[(&str, &str)]| -> Value {
        let folder = crate::common::copy_model(set);
        let file = folder.path().join("language-Q4_K_M.gguf");
        let mut bytes = std::fs::read(&file).unwrap();
        for (from, to) in changes {
            assert_eq!(from.len(), to.len());
            let windows = bytes.windows(from.len());
            let at = windows.take_while(|part| *part != from.as_bytes()).count();
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
        std::fs::write(&file, bytes).unwrap();
        let source = Source::open(folder.path().to_str().unwrap());
        let source = source.unwrap().unwrap();
        // Before the folder is gone.
        source.json("tokenizer_config.json").unwrap().unwrap()
    };
    let unsaid = (
        "tokenizer.ggml.add_bos_token",
        "tokenizer.ggml.add_bos_tokex",
    );
    let spm = "tiny-gguf-next";
    let whole = config(spm, &[]);
    assert_eq!(whole["add_bos_token"], true);
    assert_eq!(config(spm, &[unsaid]), whole);
    // Nor does it say which token that is.
    let unnamed = ("tokenizer.ggml.bos_token_id", "tokenizer.ggml.bos_token_ix");
    let found = config(spm, &[unsaid, unnamed]);
    assert!(
        found["bos_token"].is_string() && found["add_bos_token"] == true,
        "{found}"
    );
    let bpe = "tiny-gguf";
    assert_eq!(config(bpe, &[])["add_bos_token"], true);
    assert_eq!(config(bpe, &[unsaid])["add_bos_token"], Value::Null);
    let llama_3 = config(bpe, &[unsaid, ("smollm", "llama3")]);
    assert_eq!(llama_3["add_bos_token"], true);
}

/// A model that stays in the blocks of its file has the bits of the dequantised one, alone and
/// among others, and takes less memory.
#[test]
fn blocks_have_the_bits_of_their_numbers() {
    let source = crate::common::source("tiny-gguf");
    let [numbers, blocks] =
        [Matrices::Numbers, Matrices::Blocks].map(|matrices| load_as(&source, matrices));
    assert!(blocks.resident_bytes + (1 << 20) < numbers.resident_bytes);
    assert_eq!(blocks.digest, numbers.digest);
    let goldens = crate::common::goldens("tiny-gguf");
    let values = |model: &Model| {
        let prepared = goldens.prepare(model, &goldens.cases[0]).unwrap();
        prepared.values(model).unwrap()
    };
    let (one, other) = (values(&numbers), values(&blocks));
    assert!(one.len() > 20, "{}", one.len());
    for (point, value) in &one {
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(value), bits(&other[point]), "{point}");
    }
}
