//! Measures the server with the embedded model on the CPU: time to first token, tokens per
//! second, requests per second under 1, 8 and 32 clients, and the same answer from the engine
//! alone, without gRPC, picture decoding and tokenizing.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::sync::Arc;

use candle_core::{DType, Device};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::future::join_all;
use scotoma::engine::{self, Deadline, Engine, Event, Limits, Request, Sampling, Task, Variant};
use scotoma::intervention::{Draws, EffectLog, Plan};
use scotoma::model::{self, Message, MessagePart, Model, Pixels, Role};
use scotoma::server::{Server, ServerConfig};
use scotoma_client::v1::Sampling as WireSampling;
use scotoma_client::{Client, GenerateRequest, prompt};
use tokio::runtime::Runtime;

const QUESTION: &str = "Describe the picture.";
const TOKENS: usize = 64;
/// So hot that the end token is as likely as any other, from a seed that does not draw it.
const HOT: f64 = 100.0;
const SEED: u64 = 1;

fn picture() -> Vec<u8> {
    scotoma::benchmark::shapes()
        .unwrap()
        .swap_remove(0)
        .images
        .swap_remove(0)
}

fn request(max_tokens: usize) -> GenerateRequest {
    GenerateRequest {
        prompt: Some(prompt(QUESTION, [picture()])),
        sampling: Some(WireSampling {
            temperature: HOT,
            seed: Some(SEED),
            ..Default::default()
        }),
        max_tokens: max_tokens as u32,
        ..Default::default()
    }
}

async fn serve() -> Client {
    let server = tokio::task::spawn_blocking(|| Server::load(&ServerConfig::shapes()))
        .await
        .unwrap()
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(server.run(listener, std::future::pending()));
    Client::connect(&address).await.unwrap()
}

async fn ask(mut client: Client, max_tokens: usize) {
    let finished = client
        .generate(request(max_tokens))
        .await
        .unwrap()
        .finish()
        .await
        .unwrap();
    assert_eq!(
        finished.usage.unwrap().generation_tokens as usize,
        max_tokens
    );
}

fn wire(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let client = runtime.block_on(serve());
    let mut group = criterion.benchmark_group("server");
    group.bench_function("first_token", |b| {
        b.to_async(&runtime).iter(|| ask(client.clone(), 1));
    });
    group.throughput(Throughput::Elements(TOKENS as u64));
    group.bench_function("64_tokens", |b| {
        b.to_async(&runtime).iter(|| ask(client.clone(), TOKENS));
    });
    group.finish();
    let mut group = criterion.benchmark_group("requests_of_4_tokens");
    for clients in [1_usize, 8, 32] {
        group.throughput(Throughput::Elements(clients as u64));
        group.bench_function(format!("{clients}_clients"), |b| {
            b.to_async(&runtime)
                .iter(|| join_all((0..clients).map(|_| ask(client.clone(), 4))));
        });
    }
    group.finish();
}

fn engine(criterion: &mut Criterion) {
    let model =
        Arc::new(Model::load("shapes", &model::shapes(), DType::F32, &Device::Cpu).unwrap());
    let engine = Engine::start(Limits::default()).unwrap();
    let view = model
        .processor
        .picture(
            &scotoma::vision::decode(&picture(), 1 << 20).unwrap(),
            1,
            1 << 20,
        )
        .unwrap();
    let (pixels, image) = (
        Pixels::new(model.pixels(&view).unwrap()).unwrap(),
        model.tokens(&view),
    );
    let asks = Message {
        role: Role::User,
        parts: vec![MessagePart::Image, MessagePart::Text(QUESTION.into())],
    };
    let text = model.render(&[asks], None).unwrap();
    let prompt = model.expand(
        &model.text.encode_prompt(&text).unwrap(),
        std::slice::from_ref(&image),
    );
    let plan = Arc::new(Plan {
        images: vec![image.clone()],
        ..Plan::default()
    });
    let answer = |max_tokens| {
        let sampling = Sampling {
            temperature: HOT,
            draws: Draws::new(SEED, "", 0, 0),
            ..Sampling::greedy()
        };
        let job = Request {
            model: model.clone(),
            client: engine::ClientId::default(),
            variants: vec![Variant {
                plan: plan.clone(),
                edit_keys: plan.edit_keys().unwrap(),
                observed: EffectLog::default(),
                pixels: vec![pixels.clone()],
                images: vec![image.clone()],
                prompt: prompt.clone(),
                task: Task::Generate {
                    sampling,
                    max_tokens,
                    top_logprobs: 0,
                },
            }],
            deadline: Deadline::default(),
        };
        let mut events = engine.submit(job).unwrap();
        let mut tokens = 0;
        while let Some(told) = events.blocking_recv() {
            let Event::Token(token) = told.event.unwrap() else {
                continue;
            };
            tokens += 1;
            if token.finish.is_some() {
                break;
            }
        }
        assert_eq!(tokens, max_tokens);
    };
    let mut group = criterion.benchmark_group("engine");
    group.bench_function("first_token", |b| b.iter(|| answer(1)));
    group.throughput(Throughput::Elements(TOKENS as u64));
    group.bench_function("64_tokens", |b| b.iter(|| answer(TOKENS)));
    group.finish();
}

criterion_group!(benches, engine, wire);
criterion_main!(benches);
