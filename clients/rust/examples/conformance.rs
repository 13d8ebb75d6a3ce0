//! Runs the cases of tests/conformance with the Rust client, and writes down what it observed:
//! SCRIPT OBSERVED.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test"
)]

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scotoma_client::v1::{
    self, EvaluateHeader, Image, LoadModelRequest, attribute_response::Event as Attributed,
    load_model_response, sweep_response::Event as Swept, trace_response::Event as Traced,
};
use scotoma_client::{
    Answer, Client, Connect, Error, Evaluation, GenerateRequest, Intervention, VerifyRequest,
    ablate, at, blank_image_of, clamp_norm, drop_layers, drop_tower_layers, exit_early, image,
    occlude_at_random, patch, permute_tokens, project_out, prompt, read_results, repeat_layers,
    replace_tokens_by_noise, rows, scale, set_feature, shuffle_patches, steer,
    swap_projector_at_random, swap_projector_by_identity, tokens,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tonic::Streaming;

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    call: String,
    #[serde(default, rename = "do")]
    special: String,
    #[serde(default)]
    of: String,
    #[serde(default)]
    same: String,
    #[serde(default)]
    data: PathBuf,
    #[serde(default)]
    request: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Script {
    address: String,
    secure: String,
    keyed: String,
    control: String,
    relay: String,
    second: String,
    page: String,
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
    api_key: String,
    folder: PathBuf,
    pictures: HashMap<String, String>,
    question: String,
    place: String,
    benchmark: PathBuf,
    cases: Vec<Case>,
}

struct Runner {
    script: Script,
    client: Client,
    square: Image,
    records: HashMap<String, scotoma_client::v1::Provenance>,
}

fn read<M: DeserializeOwned>(request: &Value) -> M {
    serde_json::from_value(request.clone()).unwrap()
}

/// What gRPC calls a code.
fn name_of(error: &Error) -> String {
    let code = format!("{:?}", error.code().unwrap());
    let parted = code.char_indices().flat_map(|(i, c)| {
        (i > 0 && c.is_uppercase())
            .then_some('_')
            .into_iter()
            .chain([c])
    });
    parted.collect::<String>().to_uppercase()
}

fn error_of(error: &Error) -> Value {
    match error {
        Error::Server { reason, fields, .. } => {
            let field = |f: &scotoma_client::FieldViolation| json!({"field": f.field, "description": f.description});
            let fields: Vec<Value> = fields.iter().map(field).collect();
            json!({"code": name_of(error), "reason": reason.clone().unwrap_or_default(), "fields": fields})
        }
        _ if error.code().is_some() => json!({"code": name_of(error)}),
        other => json!({"thrown": other.to_string()}),
    }
}

impl Runner {
    fn control(&self, what: &str) -> String {
        let address = self.script.control.strip_prefix("http://").unwrap();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET /{what} HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn ask(&self, image: Image) -> GenerateRequest {
        let mut prompt = prompt(&self.script.question, []);
        prompt.images = vec![image];
        GenerateRequest {
            prompt: Some(prompt),
            ..Default::default()
        }
    }

    async fn long(&self, mut client: Client) -> Result<Answer, Error> {
        let sampling = scotoma_client::Sampling {
            temperature: 100.0,
            seed: Some(96),
            ..Default::default()
        };
        let request = self.ask(self.square.clone());
        client
            .generate(GenerateRequest {
                max_tokens: 1000,
                sampling: Some(sampling),
                ..request
            })
            .await
    }

    async fn evaluate(
        &mut self,
        request: &Value,
        data: &Path,
        results: Option<&Path>,
    ) -> Result<Evaluation, Error> {
        self.client
            .evaluate(
                read::<EvaluateHeader>(request),
                tokio_stream::iter(rows(data)?),
                results,
            )
            .await
    }

    async fn observe(&mut self, case: &Case) -> Value {
        Box::pin(self.run(case))
            .await
            .unwrap_or_else(|error| json!({"error": error_of(&error)}))
    }

    async fn run(&mut self, case: &Case) -> Result<Value, Error> {
        let mut client = self.client.clone();
        let request = &case.request;
        Ok(match format!("{}{}", case.call, case.special).as_str() {
            "generate" => {
                let mut answer = client.generate(read::<GenerateRequest>(request)).await?;
                let (started, mut tokens) = (answer.started.clone(), Vec::new());
                while let Some(token) = answer.next().await? {
                    tokens.push(token);
                }
                let finished = answer.finish().await?;
                self.records
                    .insert(case.name.clone(), finished.provenance.clone().unwrap());
                json!({"started": started, "tokens": tokens, "finished": finished})
            }
            "verify" => {
                let provenance = self.records.get(&case.of).cloned();
                let response = client
                    .verify(VerifyRequest {
                        provenance,
                        images: vec![self.square.clone()],
                    })
                    .await?;
                json!({"response": response})
            }
            "score" => {
                json!({"response": client.score(read::<scotoma_client::ScoreRequest>(request)).await?})
            }
            "sweep" => {
                let mut stream = client
                    .sweep(read::<scotoma_client::SweepRequest>(request))
                    .await?;
                let (mut started, mut results, mut finished) = (None, Vec::new(), None);
                while let Some(event) = stream.message().await?.and_then(|m| m.event) {
                    match event {
                        Swept::Started(event) => started = Some(event),
                        Swept::Result(event) => results.push(event),
                        Swept::Finished(event) => finished = Some(event),
                    }
                }
                results.sort_by_key(|r| r.variant);
                json!({"started": started, "results": results, "finished": finished})
            }
            "capture" => {
                let mut capture = client
                    .capture(read::<scotoma_client::CaptureRequest>(request))
                    .await?;
                let mut activations = Vec::new();
                while let Some(a) = capture.next().await? {
                    let values: Vec<f64> = capture.values(&a).into_iter().map(f64::from).collect();
                    activations.push(json!({
                        "target": a.target, "point": a.point, "step": a.step, "image": a.image, "view": a.view, "tokens": a.tokens,
                        "shape": a.shape, "values": values, "top": a.top,
                        "features": a.features,
                    }));
                }
                json!({"activations": activations, "finished": capture.finish().await?})
            }
            "trace" => {
                let request = read::<scotoma_client::TraceRequest>(request);
                traced(client.trace(request).await?).await?
            }
            "attribute" => {
                let request = read::<scotoma_client::AttributeRequest>(request);
                attributed(client.attribute(request).await?).await?
            }
            "preview" => {
                json!({"response": client.preview(read::<scotoma_client::PreviewRequest>(request)).await?})
            }
            "listModels" => json!({"response": client.list_models().await?}),
            "getModel" => {
                json!({"response": client.get_model(request["model"].as_str().unwrap()).await?})
            }
            "listHookPoints" => json!({"response": client.list_hook_points("").await?}),
            "describe" => json!({"response": client.describe().await?}),
            "checkParity" => {
                let mut stream = client.check_parity("").await?;
                let mut events = Vec::new();
                while let Some(event) = stream.message().await? {
                    events.push(event);
                }
                json!({"events": events.len(), "last": events.last()})
            }
            "evaluate" => {
                let mut run = self.evaluate(request, &case.data, None).await?;
                let (rule, mut results) = (run.started.rule.clone(), Vec::new());
                while let Some(result) = run.next().await? {
                    results.push(result);
                }
                results.sort_by(|a, b| (&a.id, &a.variant).cmp(&(&b.id, &b.variant)));
                json!({"rule": rule, "results": results, "finished": run.finish().await?})
            }
            "restart" => {
                let one = Connect::to(&self.script.address).patience(Duration::ZERO);
                self.moved(case, one, "restart").await?
            }
            "onward" => {
                let one = Connect::to(&self.script.address);
                self.moved(case, one, "restart").await?
            }
            "failover" => {
                self.control("revive");
                let both = Connect::to_all([&*self.script.address, &*self.script.second]);
                self.moved(case, both, "kill").await?
            }
            "other" => self.other().await?,
            "page" => {
                let page = Connect::to(&self.script.page).patience(Duration::ZERO);
                json!({"asked": asked(page).await})
            }
            "resume" => {
                let permuted = json!({"name": "permuted", "interventions": [{"permuteTokens": {"seed": "1"}}]});
                let variants = json!([{"name": "original"}, permuted]);
                let header = json!({"rule": "shapes", "answering": "ANSWERING_GENERATE", "variants": variants});
                let (data, file) = (
                    self.script.benchmark.clone(),
                    self.script.folder.join("begun.jsonl"),
                );
                let run = self.evaluate(&header, &data, Some(&file)).await?;
                json!({"known": run.known, "finished": run.finish().await?})
            }
            "upload" => {
                let bytes = STANDARD.decode(&self.script.pictures["square"]).unwrap();
                let image = client.upload_image(bytes).await?;
                let finished = client
                    .generate(self.ask(image.clone()))
                    .await?
                    .finish()
                    .await?;
                let Some(scotoma_client::v1::image::Source::Handle(handle)) = image.source else {
                    panic!("no handle")
                };
                json!({"handle": handle, "finished": finished})
            }
            "models" => self.models().await?,
            "deadline" => {
                let answer = self.long(client.within(Duration::from_millis(50))).await?;
                json!({"finished": answer.finish().await?})
            }
            "cancel" => {
                let before: u64 = self.control("cancelled").parse().unwrap();
                let mut answer = self.long(client).await?;
                answer.next().await?;
                drop(answer);
                let mut cancelled = false;
                for _ in 0..200 {
                    cancelled = self.control("cancelled").parse::<u64>().unwrap() > before;
                    if cancelled {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                json!({"cancelled": cancelled})
            }
            "down" => {
                self.control("down");
                json!({"finished": client.generate(self.ask(self.square.clone())).await?.finish().await?})
            }
            "lost" => self.broken_off(client, "restart").await?,
            "silent" => {
                let relayed = Connect::to(&self.script.relay).keepalive(Duration::from_secs(1));
                self.broken_off(relayed.connect().await?, "lose").await?
            }
            "key" => {
                let plain = || Connect::to(&self.script.keyed).patience(Duration::ZERO);
                let with = asked(plain().api_key(&self.script.api_key)).await;
                json!({"name": with, "without key": asked(plain()).await})
            }
            "tls" => self.tls().await,
            "overhead" => {
                let mut times = Vec::new();
                for _ in 0..1000 {
                    let begun = std::time::Instant::now();
                    let request = GenerateRequest {
                        max_tokens: 1,
                        ..self.ask(self.square.clone())
                    };
                    let finished = client.generate(request).await?.finish().await?;
                    times.push([
                        begun.elapsed().as_secs_f64(),
                        finished.usage.unwrap_or_default().total_seconds,
                    ]);
                }
                json!({"times": times})
            }
            "builders" => json!({
                "permute": permute_tokens(7), "drop": drop_layers([2, 3]), "occlude": occlude_at_random(0.5, 7),
                "swap": swap_projector_at_random(7),
            }),
            "helpers" => every_helper(),
            other => panic!("no way to {other}"),
        })
    }

    async fn moved(&mut self, own: &Case, connect: Connect, how: &str) -> Result<Value, Error> {
        let same = self.script.cases.iter().find(|c| c.name == own.same);
        let (request, data) = same.map(|c| (c.request.clone(), c.data.clone())).unwrap();
        let file = self.script.folder.join(format!("{}.jsonl", own.special));
        let mut client = connect.connect().await?;
        let (header, questions) = (read(&request), tokio_stream::iter(rows(&data)?));
        let mut run = client.evaluate(header, questions, Some(&file)).await?;
        let mut count = 0;
        let lost = loop {
            match run.next().await {
                Ok(Some(_)) => count += 1,
                Ok(None) => break None,
                Err(error) => break Some(json!({"code": name_of(&error)})),
            }
            if count == 50 {
                self.control(how);
            }
        };
        if lost.is_some() {
            drop(run);
            run = self.evaluate(&request, &data, Some(&file)).await?;
        }
        let finished = run.finish().await?;
        let text = std::fs::read_to_string(&file).unwrap();
        let mut results: Vec<[String; 4]> = read_results(&file)?
            .into_iter()
            .map(|r| [r.id, r.variant, r.text, r.output_digest])
            .collect();
        results.sort();
        let (lost, lines) = (lost.unwrap_or_default(), text.lines().count());
        Ok(json!({"lost": lost, "lines": lines, "results": results, "finished": finished}))
    }

    async fn other(&self) -> Result<Value, Error> {
        self.control("revive");
        let both = Connect::to_all([&*self.script.address, &*self.script.second]);
        let mut client = both.patience(Duration::ZERO).connect().await?;
        let mut names: Vec<_> = self.script.pictures.iter().collect();
        names.sort();
        let mut handles = Vec::new();
        for (_, data) in names {
            handles.push(client.upload_image(STANDARD.decode(data).unwrap()).await?);
        }
        self.control("kill");
        let mut texts = Vec::new();
        for handle in handles {
            let request = GenerateRequest {
                max_tokens: 2,
                ..self.ask(handle)
            };
            texts.push(client.generate(request).await?.finish().await?.text);
        }
        Ok(json!({"texts": texts}))
    }

    async fn broken_off(&self, client: Client, how: &str) -> Result<Value, Error> {
        let mut answer = self.long(client).await?;
        let first = answer.next().await?.is_some();
        self.control(how);
        loop {
            match answer.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(json!({"tokens": first})),
                Err(error) => {
                    return Ok(json!({"tokens": first, "error": {"code": name_of(&error)}}));
                }
            }
        }
    }

    async fn models(&mut self) -> Result<Value, Error> {
        let (mut client, place) = (self.client.clone(), self.script.place.clone());
        let request = LoadModelRequest {
            place: format!("{place}/model"),
            name: "next".into(),
            ..Default::default()
        };
        let mut stream = client.load_model(request).await?;
        let mut family = String::new();
        while let Some(event) = stream.message().await? {
            if let Some(load_model_response::Event::Model(model)) = event.event {
                family = model.family;
            }
        }
        let info = client
            .load_projector("next", "second", &format!("{place}/mm_projector.bin"))
            .await?;
        let freed = client.unload_model("next").await?;
        let gone = client.get_model("next").await.unwrap_err();
        Ok(
            json!({"family": family, "projectors": info.projectors, "freed": freed, "gone": error_of(&gone)}),
        )
    }

    async fn tls(&self) -> Value {
        let read = |path: &Path| std::fs::read(path).unwrap();
        let Script {
            secure,
            ca,
            cert,
            key,
            api_key,
            ..
        } = &self.script;
        let base = || {
            Connect::to(secure)
                .authorities(read(ca))
                .patience(Duration::ZERO)
        };
        let own = |connect: Connect| connect.identity(read(cert), read(key));
        json!({
            "name": asked(own(base()).api_key(api_key)).await,
            // What a client sees of a connection that is refused is its library's.
            "without certificate": asked(base().api_key(api_key)).await["code"],
            "without key": asked(own(base())).await,
        })
    }
}

async fn asked(connect: Connect) -> Value {
    let asked = async { connect.connect().await?.get_model("").await };
    asked
        .await
        .map_or_else(|error| error_of(&error), |info| json!(info.name))
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let mut script: Script =
        serde_json::from_slice(&std::fs::read(&arguments[1]).unwrap()).unwrap();
    let client = Connect::to(&script.address).connect().await.unwrap();
    let square = image(STANDARD.decode(&script.pictures["square"]).unwrap());
    let cases = std::mem::take(&mut script.cases);
    let text = std::fs::read(&arguments[1]).unwrap();
    let mut runner = Runner {
        script: serde_json::from_slice(&text).unwrap(),
        client,
        square,
        records: HashMap::new(),
    };
    let mut observed = serde_json::Map::new();
    for case in &cases {
        observed.insert(case.name.clone(), Box::pin(runner.observe(case)).await);
    }
    std::fs::write(&arguments[2], serde_json::to_vec(&observed).unwrap()).unwrap();
}

/// What a trace has sent, cells in their order.
async fn traced(mut stream: Streaming<v1::TraceResponse>) -> Result<Value, Error> {
    let (mut started, mut baseline, mut cells, mut finished) = (None, None, Vec::new(), None);
    while let Some(event) = stream.message().await?.and_then(|m| m.event) {
        match event {
            Traced::Started(event) => started = Some(event),
            Traced::Baseline(event) => baseline = Some(event),
            Traced::Cell(event) => cells.push(event),
            Traced::Finished(event) => finished = Some(event),
        }
    }
    cells.sort_by_key(|cell| (cell.point, cell.layer, cell.position, cell.head));
    Ok(json!({"started": started, "baseline": baseline, "cells": cells, "finished": finished}))
}

/// What an attribution has sent; numbers come in f32, in parts where they are many.
async fn attributed(mut stream: Streaming<v1::AttributeResponse>) -> Result<Value, Error> {
    let (mut scores, mut finished, mut data) = (Vec::new(), None, Vec::new());
    while let Some(event) = stream.message().await?.and_then(|m| m.event) {
        match event {
            Attributed::Started(_) => {}
            Attributed::Finished(event) => finished = Some(event),
            Attributed::Scores(part) => {
                data.extend_from_slice(&part.data);
                if (data.len() as u64) < part.size {
                    continue;
                }
                let values: Vec<f64> = std::mem::take(&mut data)
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|bytes| f64::from(f32::from_le_bytes(*bytes)))
                    .collect();
                scores.push(json!({"point": part.point, "tokens": part.tokens, "shape": part.shape, "values": values}));
            }
        }
    }
    Ok(json!({"scores": scores, "finished": finished}))
}

/// Every kind of intervention by its helper; messages where one has more to say.
fn every_helper() -> Value {
    let resid = || at("language_model.blocks.{l}.hook_resid_post").layers([5]);
    let z = at("language_model.blocks.{l}.attn.hook_z").layers([5]);
    let mlp = at("language_model.blocks.{l}.hook_mlp_out").layers(3..5);
    let built: [Intervention; 20] = [
        v1::PermuteTokens {
            source: Some(v1::permute_tokens::Source::Seed(7)),
            scope: v1::permute_tokens::Scope::WithinBlocks.into(),
            blocks: 2,
        }
        .into(),
        v1::OccludePatches {
            choice: Some(v1::occlude_patches::Choice::Salient(v1::SalientPatches {
                amount: Some(v1::salient_patches::Amount::Share(0.25)),
                head: Some(1),
                ..Default::default()
            })),
            grid: 6,
            fill: v1::occlude_patches::Fill::Blur.into(),
            blur_sigma: 2.0,
            ..Default::default()
        }
        .into(),
        drop_tower_layers([1]),
        swap_projector_by_identity(),
        blank_image_of([1, 2, 3]),
        shuffle_patches(3, 1),
        v1::SelectTokens {
            tokens: Some(tokens::block(2, [3]).into()),
            mode: v1::select_tokens::Mode::Merge.into(),
            positions: v1::select_tokens::Positions::Compact.into(),
            merge: Some(v1::MergeTokens {
                amount: Some(v1::merge_tokens::Amount::Count(4)),
                ..Default::default()
            }),
        }
        .into(),
        replace_tokens_by_noise(
            tokens::measured_by(v1::MeasuredTokens {
                point: "language_model.blocks.3.hook_resid_post".into(),
                measure: v1::measured_tokens::Measure::Norm.into(),
                amount: Some(v1::measured_tokens::Amount::Count(2)),
                among: v1::tokens::Named::Visual.into(),
                ..Default::default()
            }),
            3,
        ),
        repeat_layers(2, 3, 1),
        exit_early(6),
        v1::AddNoise {
            target: Some(resid().tokens(tokens::visual()).into()),
            geometry: v1::add_noise::Geometry::Keskar.into(),
            scale: 0.5,
            seed: Some(1),
            ..Default::default()
        }
        .into(),
        steer(resid().tokens(tokens::last()).steps(0, 0), [1.0, 2.0], 2.0),
        project_out(resid(), [[1.0, 0.0], [0.0, 1.0]]),
        scale(z.heads([1]).dimensions([2]), 0.5),
        ablate(
            mlp.tokens(!(tokens::text() | tokens::last())),
            v1::Constant::Mean,
        ),
        patch(resid().tokens(tokens::last()), &[[1.0, 2.0]]),
        v1::KnockOutAttention {
            layers: vec![2],
            heads: vec![1],
            from: Some(tokens::last().into()),
            to: Some(tokens::visual().into()),
            steps: Some(v1::Steps {
                first: 1,
                last: None,
            }),
            ..Default::default()
        }
        .into(),
        v1::PruneTokens {
            layer: 2,
            amount: Some(v1::prune_tokens::Amount::KeepShare(0.5)),
            ranking: Some(v1::prune_tokens::Ranking::ReceivedFrom(
                tokens::question().into(),
            )),
        }
        .into(),
        clamp_norm(at("projector.hook_tokens"), 1.0),
        set_feature(at("projector.hook_tokens"), "shapes", [3, 7], 2.5),
    ];
    let named = built.iter().map(|own| {
        let json = serde_json::to_value(own).unwrap();
        let name = json.as_object().unwrap().keys().next().unwrap().clone();
        (name, json)
    });
    Value::Object(named.collect())
}
