//! generation_config.json: greedy answers, and what sampling keeps, as Hugging Face's transformers
//! has them; refusals; requests that go before it.
//!
//! tests/goldens/capture.py is the only writer of the vectors.

use std::path::Path;
use std::sync::Arc;

use crate::common::{Running, copy_model, goldens, job, model};
use scotoma::engine::{Engine, Event, Limits, Sampling, Task};
use scotoma::model::{Cutoffs, GenerationConfig, Source};
use scotoma::server::{ModelSpec, Server, ServerConfig};
use scotoma_client::{GenerateRequest, Sampling as Asked, VerifyRequest, prompt};
use serde_json::{Value, json};

const SET: &str = "tiny-gqa-tied";

fn vectors(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_u64().unwrap() as u32)
        .collect()
}

#[test]
fn greedy_answers_are_those_of_transformers() {
    let vectors = vectors("generation.json");
    let (goldens, engine) = (goldens(SET), Engine::start(Limits::default()).unwrap());
    let case = goldens
        .cases
        .iter()
        .find(|case| case.name == "wide")
        .unwrap();
    let max_tokens = vectors["max_new_tokens"].as_u64().unwrap() as usize;
    for row in vectors["cases"].as_array().unwrap() {
        let mut model = model(SET);
        let generation =
            GenerationConfig::parse(&row["config"], model.decoder.config().vocab_size).unwrap();
        model.eos = vec![row["config"]["eos_token_id"].as_u64().unwrap() as u32];
        model.generation = generation;
        let model = Arc::new(model);
        let prepared = goldens.prepare(&model, case).unwrap();
        assert_eq!(prepared.prompt.ids, ids(&vectors["prompt"]));
        let work = Task::Generate {
            sampling: Sampling::greedy_as(&model),
            max_tokens,
            top_logprobs: 0,
        };
        let mut events = engine.submit(job(prepared, &model, work)).unwrap();
        let mut answer = Vec::new();
        while let Some(told) = events.blocking_recv() {
            if let Event::Token(token) = told.event.unwrap() {
                answer.push(token.id);
            }
        }
        assert_eq!(answer, ids(&row["tokens"]), "{}", row["name"]);
    }
}

#[test]
fn sampling_keeps_what_transformers_keeps() {
    let mut logits: Vec<f32> = Vec::new();
    for row in vectors("sampling.json").as_array().unwrap() {
        if let Some(values) = row["values"].as_array() {
            logits = values.iter().map(|v| v.as_f64().unwrap() as f32).collect();
        }
        let number = |name: &str| row["config"][name].as_f64();
        let sampling = Sampling {
            temperature: number("temperature").unwrap_or(1.0),
            top_k: number("top_k").unwrap_or(0.0) as usize,
            top_p: number("top_p").unwrap_or(1.0),
            cutoffs: Cutoffs {
                top_h: number("top_h"),
                min_p: number("min_p"),
                typical_p: number("typical_p"),
                epsilon_cutoff: number("epsilon_cutoff"),
                eta_cutoff: number("eta_cutoff"),
            },
            ..Sampling::greedy()
        };
        let mut found = sampling.probabilities(&logits);
        found.sort_by_key(|&(id, _)| id);
        let kept: Vec<u32> = found.iter().map(|&(id, _)| id).collect();
        assert_eq!(
            kept,
            ids(&row["kept"]),
            "{} of logits {}",
            row["config"],
            row["logits"]
        );
        for ((_, found), expected) in found.iter().zip(row["probabilities"].as_array().unwrap()) {
            assert!(
                (found - expected.as_f64().unwrap()).abs() < 1e-5,
                "{} of {}",
                row["config"],
                row["logits"]
            );
        }
    }
}

#[test]
fn what_is_not_applied_is_refused_by_name() {
    let of = |json: Value| GenerationConfig::parse(&json, 100).map_err(|e| e.to_string());
    for (json, said) in [
        (
            json!({"num_beams": 4}),
            "num_beams 4: beam search is not supported",
        ),
        (
            json!({"penalty_alpha": 0.6, "top_k": 4}),
            "penalty_alpha 0.6: contrastive search",
        ),
        (json!({"guidance_scale": 1.5}), "guidance_scale 1.5"),
        (json!({"watermarking_config": {}}), "watermarking_config"),
        (json!({"stop_strings": ["."]}), "set `stop` in requests"),
        (
            json!({"remove_invalid_values": true}),
            "remove_invalid_values true",
        ),
        (
            json!({"cache_implementation": "quantized"}),
            "cache_implementation",
        ),
        (
            json!({"repetition_penality": 1.5}),
            "unknown field \"repetition_penality\"",
        ),
        (json!({"repetition_penalty": -1.0}), "repetition_penalty -1"),
        (
            json!({"repetition_penalty": "1.5"}),
            "repetition_penalty \"1.5\"",
        ),
        (
            json!({"no_repeat_ngram_size": -1}),
            "no_repeat_ngram_size -1",
        ),
        (
            json!({"sequence_bias": [[[100], 1.0]]}),
            "sequence_bias has token 100; the vocabulary ends at 99",
        ),
        (
            json!({"bad_words_ids": [[]]}),
            "bad_words_ids has an empty sequence",
        ),
        (
            json!({"suppress_tokens": ["a"]}),
            "suppress_tokens has \"a\"",
        ),
    ] {
        let error = of(json.clone()).unwrap_err();
        assert!(
            error.contains(said) && error.starts_with("generation_config.json: "),
            "{json}: {error}"
        );
    }
    let harmless = json!({
        "_from_model_config": true, "transformers_version": "5.17.0", "bos_token_id": 1, "pad_token_id": 0, "eos_token_id": [1, 2],
        "num_beams": 1, "use_cache": true, "cache_implementation": "hybrid", "guidance_scale": null, "repetition_penalty": 1.0,
        "suppress_tokens": [-1], "num_return_sequences": 1, "output_scores": false, "renormalize_logits": true, "typical_p": 1.0,
    });
    assert_eq!(of(harmless).unwrap(), GenerationConfig::default());
    let sampled = of(json!({"do_sample": true, "temperature": 0.6, "top_p": 0.9})).unwrap();
    assert!(sampled.processors.is_empty() && sampled.acts(4096).is_none());
    assert_eq!(
        sampled.to_json(),
        r#"{"do_sample":true,"temperature":0.6,"top_p":0.9}"#
    );
}

/// A copy of the set's model with this generation_config.json.
fn folder(generation: &Value) -> tempfile::TempDir {
    let folder = copy_model(SET);
    std::fs::write(
        folder.path().join("generation_config.json"),
        generation.to_string(),
    )
    .unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_before_the_file() {
    // Below 1 it draws words of the prompt in, which this answer would not have.
    let generation = json!({"repetition_penalty": 0.05, "eos_token_id": 1, "do_sample": true, "top_k": 1, "max_new_tokens": 7});
    let folder = folder(&generation);
    let config = ServerConfig {
        models: vec![ModelSpec::new("tiny", Source::Folder(folder.path().into()))],
        ..ServerConfig::shapes()
    };
    let server = Running::start(config).await;
    let mut client = server.client().await;
    let info = client.list_models().await.unwrap().swap_remove(0);
    assert_eq!(
        info.generation_config,
        r#"{"do_sample":true,"max_new_tokens":7,"repetition_penalty":0.05,"top_k":1}"#
    );
    let mut ask = async |sampling: Asked, max_tokens: u32| {
        let prompt = Some(prompt("Is there a red circle?", [crate::common::picture()]));
        let request = GenerateRequest {
            prompt,
            sampling: Some(sampling),
            max_tokens,
            ..Default::default()
        };
        let mut answer = client.generate(request).await.unwrap();
        let mut ids = Vec::new();
        while let Some(token) = answer.next().await.unwrap() {
            ids.push(token.id);
        }
        (ids, answer.finish().await.unwrap().provenance.unwrap())
    };
    let (penalised, record) = ask(Asked::default(), 0).await;
    assert_eq!(penalised.len(), 7, "max_new_tokens is the file's");
    assert_eq!(
        record.sampling.as_ref().unwrap().repetition_penalty,
        Some(0.05)
    );
    let (plain, _) = ask(
        Asked {
            ignore_generation_config: true,
            ..Asked::default()
        },
        7,
    )
    .await;
    assert_ne!(plain, penalised);
    let (own, _) = ask(
        Asked {
            repetition_penalty: Some(1.0),
            ..Asked::default()
        },
        7,
    )
    .await;
    assert_eq!(own, plain);
    let (asked, _) = ask(
        Asked {
            repetition_penalty: Some(0.05),
            ignore_generation_config: true,
            ..Asked::default()
        },
        7,
    )
    .await;
    assert_eq!(asked, penalised);
    // The file's top_k leaves one token to draw.
    let (drawn, drawn_record) = ask(
        Asked {
            do_sample: true,
            ..Asked::default()
        },
        7,
    )
    .await;
    assert_eq!(drawn, penalised);
    assert!(drawn_record.sampling.as_ref().unwrap().seed.is_some());
    let banned = plain[0];
    let bias = Asked {
        logit_bias: [(banned, -100.0)].into(),
        suppress_tokens: vec![plain[1]],
        ignore_generation_config: true,
        ..Asked::default()
    };
    let (other, _) = ask(bias, 7).await;
    assert!(
        !other.contains(&banned) && !other.contains(&plain[1]),
        "{other:?}"
    );
    let images = vec![scotoma_client::v1::Image {
        source: Some(scotoma_client::v1::image::Source::Data(
            crate::common::picture(),
        )),
    }];
    for record in [record, drawn_record] {
        let request = VerifyRequest {
            provenance: Some(record),
            images: images.clone(),
        };
        let verified = server.client().await.verify(request).await.unwrap();
        assert!(verified.agrees, "{:?}", verified.differences);
    }
    let status = {
        let sampling = Asked {
            suppress_tokens: vec![9999],
            ..Asked::default()
        };
        let prompt = Some(prompt("?", [crate::common::picture()]));
        let request = GenerateRequest {
            prompt,
            sampling: Some(sampling),
            ..Default::default()
        };
        server
            .client()
            .await
            .generate(request)
            .await
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    assert!(
        status.contains("token 9999; the vocabulary has"),
        "{status}"
    );
    drop(client);
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_refused_keeps_a_model_from_loading() {
    let folder = folder(&json!({"num_beams": 5}));
    let config = ServerConfig {
        models: vec![ModelSpec::new("tiny", Source::Folder(folder.path().into()))],
        ..ServerConfig::shapes()
    };
    let error =
        tokio::task::spawn_blocking(move || Server::load(&config).err().map(|e| e.to_string()));
    assert!(
        error
            .await
            .unwrap()
            .unwrap()
            .contains("num_beams 5: beam search is not supported; 1 is")
    );
}
