//! A judge inside the server: what it replies is what transformers says of the same weights, and it
//! is recorded, bounded and refused like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scotoma::benchmark::{Item, shapes};
use scotoma::evaluate::{JudgeConfig, JudgePlace};
use scotoma::model::{PreparedTextModel, ReplyError, TextModel};
use scotoma::server::{Server, ServerConfig};
use scotoma_client::v1::benchmark_service_client::BenchmarkServiceClient;
use scotoma_client::v1::evaluate_header::Rules;
use scotoma_client::v1::evaluate_request::Event as Asked;
use scotoma_client::v1::evaluate_response::Event;
use scotoma_client::v1::image::Source;
use scotoma_client::v1::{
    EvaluateHeader, EvaluateRequest, EvaluateStarted, Image, Sample, SampleResult, Verdict,
};
use serde::Deserialize;

use crate::common::Running;

const JUDGES: [&str; 4] = ["llama", "qwen2", "qwen3", "gemma"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/judges")
}

fn file(name: &str) -> PathBuf {
    folder().join(format!("{name}.gguf"))
}

fn load(name: &str) -> TextModel {
    let prepared = PreparedTextModel::open_judge(&file(name)).unwrap();
    prepared.load().unwrap()
}

/// What transformers replies.
#[derive(Deserialize)]
struct Golden {
    question: String,
    tokens: usize,
    reply: String,
}

#[derive(Deserialize)]
struct TextGolden {
    text: String,
    layers: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Goldens {
    replies: Vec<Golden>,
    features: Vec<TextGolden>,
}

fn goldens_of(name: &str) -> Goldens {
    let text = std::fs::read_to_string(folder().join("replies.json")).unwrap();
    let mut all: BTreeMap<String, Goldens> = serde_json::from_str(&text).unwrap();
    all.remove(name).unwrap()
}

fn goldens(name: &str) -> Vec<Golden> {
    goldens_of(name).replies
}

#[test]
fn replies_are_those_of_transformers() {
    for name in JUDGES {
        let model = load(name);
        let goldens = goldens(name);
        assert!(goldens.len() > 30, "{name}: {}", goldens.len());
        let mut different = BTreeSet::new();
        for Golden {
            question, reply, ..
        } in &goldens
        {
            let own = model.reply(question, &|| true).unwrap();
            assert_eq!(&own, reply, "{name}: {question}");
            different.insert(own);
        }
        assert!(different.len() > 10, "{name}: {different:?}");
    }
}

#[test]
fn features_of_texts_are_those_of_transformers() {
    for name in JUDGES {
        let (model, goldens) = (load(name), goldens_of(name).features);
        assert!(goldens.len() >= 4);
        for TextGolden { text, layers } in goldens {
            let found = model.features(&text).unwrap();
            assert_eq!(found.len(), layers.len());
            for (layer, ((point, own), theirs)) in found.iter().zip(&layers).enumerate() {
                let named = format!("language_model.blocks.{layer}.hook_resid_post");
                assert_eq!((point, own.len()), (&named, theirs.len()));
                let apart = length(own.iter().zip(theirs).map(|(a, b)| a - b));
                let whole = length(theirs.iter().copied());
                assert!(
                    apart <= 1e-5 * whole,
                    "{name}: {text}, {point}: {apart} of {whole}"
                );
            }
        }
        let long = model.features(&"What? ".repeat(2000));
        let long = long.unwrap_err().to_string();
        assert!(long.contains("1 to 1024 are read"), "{long}");
    }
}

fn length(values: impl Iterator<Item = f32>) -> f32 {
    values.map(|v| v * v).sum::<f32>().sqrt()
}

#[test]
fn a_question_that_does_not_fit_is_not_cut() {
    for name in JUDGES {
        let model = load(name);
        let golden = &goldens(name)[0];
        assert!(model.reply(&golden.question, &|| true).is_ok());
        let error = model.reply(&"a \u{1F600}".repeat(1000), &|| true);
        let Err(ReplyError::TooLong { tokens, context }) = error else {
            panic!("{error:?}");
        };
        assert!(tokens > 3000 && context == 1024, "{tokens} of {context}");
        assert!(golden.tokens < context);
    }
}

#[test]
fn a_reply_that_nobody_waits_for_ends() {
    let model = load("llama");
    let golden = goldens("llama");
    let longest = golden.iter().max_by_key(|g| g.reply.len()).unwrap();
    let passes = std::cell::Cell::new(0);
    let count = |most: usize| {
        passes.set(0);
        model.reply(&longest.question, &|| {
            passes.set(passes.get() + 1);
            passes.get() <= most
        })
    };
    assert_eq!(count(usize::MAX).unwrap(), longest.reply);
    let all = passes.get();
    assert!(all > 5, "{all}");
    for most in [0, all / 2, all - 1] {
        assert!(matches!(count(most), Err(ReplyError::Cancelled)));
        assert_eq!(passes.get(), most + 1);
    }
}

fn judged_by(path: PathBuf) -> ServerConfig {
    ServerConfig {
        judge: Some(JudgeConfig {
            place: JudgePlace::Gguf(path),
            templates: Vec::new(),
        }),
        ..ServerConfig::shapes()
    }
}

fn sample(item: &Item, answer: &str) -> Sample {
    let image = Image {
        source: Some(Source::Data(item.images[0].clone())),
    };
    Sample {
        id: item.id.clone(),
        images: vec![image],
        question: item.question.clone(),
        answer: answer.to_owned(),
        ..Default::default()
    }
}

/// Runs a rule over samples: who judged, and the results in the order of the samples.
async fn run(
    server: &Running,
    rule: &str,
    samples: Vec<Sample>,
) -> (EvaluateStarted, Vec<SampleResult>) {
    let ids: Vec<String> = samples.iter().map(|s| s.id.clone()).collect();
    let header = EvaluateHeader {
        rules: Some(Rules::Rule(rule.into())),
        max_tokens: 8,
        ..Default::default()
    };
    let events =
        std::iter::once(Asked::Header(header)).chain(samples.into_iter().map(Asked::Sample));
    let requests = events.map(|event| EvaluateRequest { event: Some(event) });
    let requests = tokio_stream::iter(requests.collect::<Vec<_>>());
    let service = BenchmarkServiceClient::connect(server.address.clone());
    let mut stream = service
        .await
        .unwrap()
        .evaluate(requests)
        .await
        .unwrap()
        .into_inner();
    let (mut started, mut results) = (None, Vec::new());
    while let Some(response) = stream.message().await.unwrap() {
        match response.event.unwrap() {
            Event::Started(found) => started = Some(found),
            Event::Result(result) => results.push(result),
            _ => {}
        }
    }
    results.sort_by_key(|result| ids.iter().position(|id| *id == result.id));
    assert_eq!(results.len(), ids.len());
    (started.unwrap(), results)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_grades_what_no_rule_can() {
    let items: Vec<Item> = shapes().unwrap().into_iter().step_by(9).take(24).collect();
    let grade = |question: &str| match question.split(' ').next() {
        Some("Is") => "1.0",
        Some("What") => "0.7",
        _ => "0.3",
    };
    for name in JUDGES {
        let server = Running::start(judged_by(file(name))).await;
        let mut samples: Vec<Sample> = items.iter().map(|i| sample(i, &i.answer)).collect();
        let long = Sample {
            id: "long".into(),
            ..sample(&items[0], &"<AND> ".repeat(2000))
        };
        samples.push(long);
        let (started, mut results) = run(&server, "mmvet", samples).await;
        let digest = blake3::hash(&std::fs::read(file(name)).unwrap());
        let judge = started.judge.unwrap();
        assert_eq!(judge.model, format!("Tiny {name} (GGUF, BLAKE3 {digest})"));
        assert!(judge.prompt.contains("{reference}"));

        let long = results.pop().unwrap();
        assert_eq!(long.verdict, i32::from(Verdict::Unjudged));
        let why = "tokens; the judge reads 1024, its reply included";
        assert!(long.review.contains(why), "{}", long.review);
        for (item, result) in items.iter().zip(&results) {
            assert_eq!(
                result.review,
                grade(&item.question),
                "{name}: {}",
                item.question
            );
            assert_eq!(result.verdict, i32::from(Verdict::Graded));
            assert_eq!(result.grade, result.review.parse::<f64>().unwrap());
        }

        let few = || items[..3].iter().map(|i| sample(i, &i.answer)).collect();
        let (_, rated) = run(&server, "llavaw", few()).await;
        assert!(
            rated.iter().all(|r| (r.grade, r.grade_of) == (6.0, 8.0)),
            "{rated:?}"
        );
        let (_, confirmed) = run(&server, "classification/judged", few()).await;
        for result in confirmed {
            let verdict = match result.review.as_str() {
                "yes" => Verdict::Right,
                "no" => Verdict::Wrong,
                other => panic!("{other}"),
            };
            assert_eq!(result.verdict, i32::from(verdict));
        }
        server.end().await;
    }
}

#[test]
fn its_memory_is_of_the_budget_of_models() {
    let bytes = PreparedTextModel::open(&file("qwen3")).unwrap().bytes();
    // Keys and values: layers, heads, their width, tokens, two of four bytes each.
    assert!(bytes > 2 * 2 * 32 * 1024 * 2 * 4, "{bytes}");
    let with = |memory_budget| {
        Server::load(&ServerConfig {
            memory_budget,
            ..judged_by(file("qwen3"))
        })
    };
    // The model alone fits.
    let error = with(7 << 20).unwrap_err().to_string();
    let says = format!("judge: the model needs {bytes} bytes, ");
    assert!(error.starts_with(&says), "{error}");
    assert!(with((7 << 20) + bytes).is_ok());
}

fn scotoma(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scotoma"));
    command.args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Writes `file` with every `from` in it replaced by `to`, which is as long.
fn altered(folder: &Path, from: &str, to: &str) -> PathBuf {
    let mut bytes = std::fs::read(file("llama")).unwrap();
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = (0..bytes.len() - from.len())
        .filter(|&at| bytes[at..].starts_with(from.as_bytes()))
        .collect();
    assert!(!places.is_empty(), "{from}");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    let path = folder.join("altered.gguf");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_wrong_file_is_told_before_anything_is_loaded() {
    let tower = folder()
        .with_file_name("tiny-gguf")
        .join("model/mmproj-f16.gguf");
    let folder = tempfile::tempdir().unwrap();
    let check = |path: &Path| {
        let judge = format!("gguf:{}", path.display());
        let output = scotoma(&["serve", "--check", "--judge", &judge]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        let said = said(&output);
        assert!(said.contains(&format!("--judge {judge}: ")), "{said}");
        said
    };
    for (from, to, says) in [
        (
            "tokenizer.chat_template",
            "tokenizer.chat_templatf",
            "a judge needs one",
        ),
        (
            "tokenizer.ggml.tokens",
            "tokenizer.ggml.tokenz",
            "tokenizer.ggml.tokens is not there",
        ),
        (
            "tokenizer.ggml.scores",
            "tokenizer.ggml.scorez",
            "tokenizer.ggml.scores has 0",
        ),
        ("Tiny llama", "Tiny\u{0}llama", ""),
    ] {
        let path = altered(folder.path(), from, to);
        if says.is_empty() {
            // A name that is odd is no mistake.
            let judge = format!("gguf:{}", path.display());
            assert!(
                scotoma(&["serve", "--check", "--judge", &judge])
                    .status
                    .success()
            );
            continue;
        }
        let said = check(&path);
        assert!(said.contains(says), "{said}");
    }
    let other = altered(folder.path(), "llama", "bloom");
    assert!(check(&other).contains("general.architecture \"bloom\"; llama, qwen2, qwen3"));
    let short = folder.path().join("short.gguf");
    std::fs::write(&short, &std::fs::read(file("llama")).unwrap()[..60_000]).unwrap();
    assert!(check(&short).contains("short.gguf: not a GGUF file"));
    assert!(check(&tower).contains("general.architecture \"clip\""));
    assert!(check(&folder.path().join("missing.gguf")).contains("No such file"));
}

#[test]
fn flags_of_a_service_are_refused() {
    let judge = format!("gguf:{}", file("llama").display());
    for (flag, value) in [("--judge-model", "wise"), ("--judge-key", "secret")] {
        let output = scotoma(&["serve", "--check", "--judge", &judge, flag, value]);
        assert_eq!(output.status.code(), Some(2));
        let says = format!("{flag} is for a service");
        assert!(said(&output).contains(&says), "{}", said(&output));
    }
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("scotoma.toml");
    std::fs::write(&config, format!("judge = {judge:?}\n")).unwrap();
    let output = scotoma(&["serve", "--check", "--config", config.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_run_resumes_under_its_own_judge_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let mut table = "index\timage\tquestion\tanswer\n".to_owned();
    for item in shapes().unwrap().iter().take(4) {
        let (image, question) = (STANDARD.encode(&item.images[0]), &item.question);
        writeln!(table, "{}\t{image}\t{question}\t{}", item.id, item.answer).unwrap();
    }
    std::fs::write(at("open.tsv"), table).unwrap();
    std::fs::copy(file("llama"), at("copied.gguf")).unwrap();
    let eval = |judge: &str, limit: &str| {
        let (data, out) = (at("open.tsv"), at("results.jsonl"));
        let judge = format!("gguf:{judge}");
        scotoma(&[
            "eval", "mmvet", "--data", &data, "--out", &out, "--judge", &judge, "--limit", limit,
        ])
    };
    let own = file("llama").display().to_string();
    let first = eval(&own, "2");
    assert!(first.status.success(), "{}", said(&first));
    let run = std::fs::read_to_string(at("results.jsonl.run.json")).unwrap();
    let digest = blake3::hash(&std::fs::read(&own).unwrap()).to_string();
    assert!(run.contains(&digest), "{run}");
    let other = eval(&file("qwen3").display().to_string(), "4");
    assert!(!other.status.success());
    assert!(said(&other).contains("Tiny qwen3"), "{}", said(&other));
    // Wherever the file stands it is the same judge.
    let copied = eval(&at("copied.gguf"), "4");
    assert!(copied.status.success(), "{}", said(&copied));
    let results = std::fs::read_to_string(at("results.jsonl")).unwrap();
    assert_eq!(results.lines().count(), 4);
    assert_eq!(results.matches("VERDICT_GRADED").count(), 4, "{results}");
}

#[test]
fn another_model_reads_the_texts_of_an_alignment() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report").display().to_string();
    let features = format!("gguf:{}", file("qwen3").display());
    let align = |features: &str| {
        scotoma(&[
            "alignment",
            "--limit",
            "12",
            "-k",
            "3",
            "--features",
            features,
            "--report",
            &report,
            "--json",
        ])
    };
    let output = align(&features);
    assert!(output.status.success(), "{}", said(&output));
    let page = std::fs::read_to_string(folder.path().join("report/report.md")).unwrap();
    let digest = blake3::hash(&std::fs::read(file("qwen3")).unwrap());
    assert!(
        page.contains(&format!("Tiny qwen3 (GGUF, BLAKE3 {digest})")),
        "{page}"
    );
    // Those of the file are the model's own, item by item.
    let path = folder.path().join("report/features.safetensors");
    let all = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
    let model = load("qwen3");
    for layer in 0..2 {
        let point = format!("language_model.blocks.{layer}.hook_resid_post");
        let rows: Vec<Vec<f32>> = all[&format!("texts/{point}")].to_vec2().unwrap();
        assert_eq!(rows.len(), 12);
        for (item, row) in shapes().unwrap().iter().zip(rows) {
            let text = format!("{} {}", item.question, item.answer);
            assert_eq!(row, model.features(&text).unwrap()[layer].1);
        }
    }
    let missing = align("gguf:missing.gguf");
    assert!(!missing.status.success());
    assert!(
        said(&missing).contains("--features gguf:missing.gguf: "),
        "{}",
        said(&missing)
    );
}
