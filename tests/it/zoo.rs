//! Tiny checkpoints in the layouts of real repositories (tests/zoo): each answers as transformers
//! does, or is refused with an error that is a snapshot.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::Path;

use crate::common::Running;
use half::{bf16, f16};
use scotoma_client::{Client, Error, v1};
use serde::Deserialize;
use serde_json::Value;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zoo/rows");
const PROMPT: &str = "USER: <image>\nWhat is it? ASSISTANT:";

const EOS: u32 = 1;

/// Bounds the error of log-probabilities.
const TOLERANCE: f64 = 1e-5;

/// A tensor that is drawn: dtype, shape, seed.
type Drawn = (String, Vec<usize>, String);

/// Files of a folder by name; tensors by file and name: dtype, shape, seed.
#[derive(Deserialize)]
struct Folder {
    files: BTreeMap<String, Value>,
    #[serde(default)]
    weights: BTreeMap<String, BTreeMap<String, Drawn>>,
    #[serde(default)]
    empty: Vec<String>,
}

#[derive(Deserialize)]
struct Row {
    repository: String,
    #[serde(flatten)]
    folder: Folder,
    adapter: Option<Folder>,
    reference: Option<Vec<Case>>,
}

#[derive(Deserialize)]
struct Case {
    picture: String,
    top: Vec<(u32, f64)>,
    tokens: Vec<u32>,
}

/// The values that tests/zoo/zoo.py draws for a seed.
fn values(seed: &str, count: usize) -> Vec<f32> {
    let start = u64::from_le_bytes(
        blake3::hash(seed.as_bytes()).as_bytes()[..8]
            .try_into()
            .unwrap(),
    );
    let norm = seed.contains("norm") || seed.contains("layrnorm");
    let value = |i: usize| {
        let mut z = start
            .wrapping_add(i as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let signed = 2.0 * (((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32) - 1.0;
        match (norm, seed.ends_with("weight")) {
            (true, true) => signed * 0.125 + 1.0,
            (true, false) => signed * 0.125,
            (false, _) => signed * 0.375,
        }
    };
    (0..count).map(value).collect()
}

fn bytes(dtype: &str, shape: &[usize], seed: &str) -> Vec<u8> {
    let values = values(seed, shape.iter().product());
    let each = |f: &dyn Fn(f32) -> Vec<u8>| values.iter().flat_map(|v| f(*v)).collect();
    match dtype {
        "F32" => each(&|v| v.to_le_bytes().to_vec()),
        "F16" => each(&|v| f16::from_f32(v).to_le_bytes().to_vec()),
        "BF16" => each(&|v| bf16::from_f32(v).to_le_bytes().to_vec()),
        "F64" => each(&|v| f64::from(v).to_le_bytes().to_vec()),
        "I64" => each(&|v| (v as i64).to_le_bytes().to_vec()),
        _ => each(&|_| vec![0]),
    }
}

/// `torch.save` of a dictionary of tensors.
fn torch_file(tensors: &BTreeMap<String, (String, Vec<usize>, String)>) -> Vec<u8> {
    fn text(pickle: &mut Vec<u8>, text: &str) {
        pickle.push(b'X');
        pickle.extend((text.len() as u32).to_le_bytes());
        pickle.extend(text.as_bytes());
    }
    fn number(pickle: &mut Vec<u8>, number: usize) {
        pickle.push(b'J');
        pickle.extend((number as i32).to_le_bytes());
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut pickle = b"\x80\x02}(".to_vec();
    for (key, (name, (dtype, shape, seed))) in tensors.iter().enumerate() {
        let class = match dtype.as_str() {
            "F32" => "FloatStorage",
            "F16" => "HalfStorage",
            "BF16" => "BFloat16Storage",
            "I64" => "LongStorage",
            other => panic!("{other} in a pickle"),
        };
        let mut strides = vec![1; shape.len()];
        for i in (1..shape.len()).rev() {
            strides[i - 1] = strides[i] * shape[i];
        }
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(format!("ctorch\n{class}\n").as_bytes());
        text(&mut pickle, &key.to_string());
        text(&mut pickle, "cpu");
        number(&mut pickle, shape.iter().product());
        pickle.extend(b"tQK\x00");
        for sizes in [shape, &strides] {
            pickle.push(b'(');
            sizes.iter().for_each(|n| number(&mut pickle, *n));
            pickle.push(b't');
        }
        pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR");
        zip.start_file(format!("archive/data/{key}"), stored)
            .unwrap();
        zip.write_all(&bytes(dtype, shape, seed)).unwrap();
    }
    pickle.extend(b"u.");
    zip.start_file("archive/data.pkl", stored).unwrap();
    zip.write_all(&pickle).unwrap();
    zip.start_file("archive/byteorder", stored).unwrap();
    zip.write_all(b"little").unwrap();
    zip.finish().unwrap().into_inner()
}

fn safetensors_file(tensors: &BTreeMap<String, (String, Vec<usize>, String)>) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, (dtype, shape, seed)) in tensors {
        let start = data.len();
        data.extend(bytes(dtype, shape, seed));
        let entry = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, data.len()] });
        header.insert(name.clone(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

impl Folder {
    fn write(&self, folder: &Path) {
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        for (name, content) in &self.files {
            let text = content
                .as_str()
                .map_or_else(|| content.to_string(), str::to_owned);
            put(name, text.as_bytes());
        }
        for (name, tensors) in &self.weights {
            let pickled = name.strip_suffix(".bin").is_some();
            put(
                name,
                &if pickled {
                    torch_file(tensors)
                } else {
                    safetensors_file(tensors)
                },
            );
        }
        self.empty.iter().for_each(|name| put(name, b""));
        let shapes = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/shapes");
        for name in [
            "tokenizer.json",
            "tokenizer_config.json",
            "chat_template.jinja",
        ] {
            if !self.files.contains_key(name) && !self.weights.is_empty() {
                put(name, &std::fs::read(shapes.join(name)).unwrap());
            }
        }
    }
}

async fn load(
    client: &mut Client,
    place: &Path,
    adapter: Option<&Path>,
) -> Result<v1::ModelInfo, Error> {
    use v1::load_model_response::Event;
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let adapter = adapter.map(text).unwrap_or_default();
    let request = v1::LoadModelRequest {
        name: "row".into(),
        place: text(place),
        adapter,
        ..Default::default()
    };
    let mut stream = client.load_model(request).await?;
    let mut model = None;
    while let Some(response) = stream.message().await? {
        if let Event::Model(info) = response.event.unwrap() {
            model = Some(info);
        }
    }
    Ok(model.unwrap())
}

/// The largest difference of log-probs, and whether the tokens are those of the reference.
async fn compare(client: &mut Client, case: &Case) -> Result<(f64, bool), Error> {
    let picture = std::fs::read(format!(
        "{}/pictures/{}.png",
        crate::common::FOLDER,
        case.picture
    ))
    .unwrap();
    let image = v1::Image {
        source: Some(v1::image::Source::Data(picture)),
    };
    let request = v1::GenerateRequest {
        model: "row".into(),
        prompt: Some(v1::Prompt {
            text: PROMPT.into(),
            images: vec![image],
            raw: true,
            ..v1::Prompt::default()
        }),
        max_tokens: 6,
        top_logprobs: 20,
        ..Default::default()
    };
    let mut answer = client.generate(request).await?;
    let (mut tokens, mut worst) = (Vec::new(), 0.0_f64);
    while let Some(token) = answer.next().await? {
        if tokens.is_empty() {
            for (id, logprob) in &case.top {
                // Ties at the end of the list may fall either way.
                let own = token.top.iter().find(|t| t.id == *id).map(|t| t.logprob);
                let last = token
                    .top
                    .iter()
                    .map(|t| t.logprob)
                    .fold(f64::INFINITY, f64::min);
                worst = worst.max((own.unwrap_or(last) - logprob).abs());
            }
        }
        tokens.push(token.id);
    }
    answer.finish().await?;
    // transformers hands out the token that ends an answer.
    let ended = |tokens: &[u32]| {
        tokens
            .iter()
            .copied()
            .take_while(|id| *id != EOS)
            .collect::<Vec<_>>()
    };
    Ok((
        worst,
        !tokens.is_empty() && ended(&tokens) == ended(&case.tokens),
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_answer_as_transformers_or_are_refused() {
    let mut config = scotoma::server::ServerConfig::shapes();
    config.allow_load = true;
    let server = Running::start(config).await;
    let mut client = server.client().await;
    let mut files: Vec<_> = std::fs::read_dir(FOLDER)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    let only = std::env::var("ROW").unwrap_or_default();
    let (mut table, mut refusals, mut wrong) = (String::new(), String::new(), Vec::new());
    for path in files
        .iter()
        .filter(|p| only.is_empty() || p.file_stem().is_some_and(|stem| stem == only.as_str()))
    {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let row: Row = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (base, adapter) = (folder.path().join("model"), folder.path().join("adapter"));
        row.folder.write(&base);
        row.adapter.iter().for_each(|own| own.write(&adapter));
        let loaded = load(
            &mut client,
            &base,
            row.adapter.as_ref().map(|_| adapter.as_path()),
        )
        .await;
        let said = |error: &Error| {
            error
                .to_string()
                .replace(folder.path().to_str().unwrap(), "")
        };
        match (&loaded, &row.reference) {
            (Err(error), None) => writeln!(refusals, "{name}: {}", said(error)).unwrap(),
            (Err(error), Some(_)) => wrong.push(format!("{name}: {}", said(error))),
            (Ok(_), None) => wrong.push(format!(
                "{name}: loads, and transformers or the original refuse it"
            )),
            (Ok(info), Some(cases)) => {
                assert_eq!(info.adapters.len(), usize::from(row.adapter.is_some()));
                for case in cases {
                    match compare(&mut client, case).await {
                        Ok((error, same)) => {
                            writeln!(
                                table,
                                "{name:40} {:8} {error:.1e}  {}",
                                case.picture, row.repository
                            )
                            .unwrap();
                            if error.is_nan() || error > TOLERANCE || !same {
                                wrong.push(format!(
                                    "{name}, {}: {error:.1e}, same tokens: {same}",
                                    case.picture
                                ));
                            }
                        }
                        Err(error) => {
                            wrong.push(format!("{name}, {}: {}", case.picture, said(&error)));
                        }
                    }
                }
            }
        }
        if loaded.is_ok() {
            client.unload_model("row").await.unwrap();
        }
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if only.is_empty() {
        insta::assert_snapshot!("refusals", refusals);
    }
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}
