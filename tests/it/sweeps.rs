//! Sweeps: what variants share changes no bit of them, and every cell of every variant is computed
//! once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::common::{Running, goldens, model, model_on, picture, square, variant};
use candle_core::DType;
use scotoma::api::interventions_from_json;
use scotoma::engine::parity::{GoldenSet, Resident};
use scotoma::engine::reuse::{Program, Row, checkpoint_rows, schedule};
use scotoma::engine::{
    ClientId, Deadline, Engine, Event, Events, Limits, Request, Sampling, Task, Variant,
};
use scotoma::intervention::Draws;
use scotoma::model::{LoadTo, Model};
use scotoma::nn::{DeviceGroup, DeviceId, Stack};
use scotoma::server::ServerConfig;
use scotoma_client::v1::{self, sweep_request::Input, sweep_response, sweep_result::Outcome};
use scotoma_client::{
    GenerateRequest, ScoreRequest, SweepRequest, VerifyRequest, drop_layers, permute_tokens, prompt,
};
use serde_json::{Value, json};
use tonic::Code;

/// All that a variant is told, as text: tokens and scores to the bit, digests, effects. Not what it
/// has cost.
type Told = Vec<String>;

struct Bench {
    model: Arc<Model>,
    goldens: GoldenSet,
}

impl Bench {
    fn new(set: &str) -> Self {
        Self {
            model: Arc::new(model(set)),
            goldens: goldens(set),
        }
    }

    fn spread(set: &str, devices: usize) -> Self {
        let devices = DeviceGroup::new(DeviceId::Cpu, vec![DeviceId::Cpu; devices - 1]);
        Self {
            model: Arc::new(model_on(set, DType::F32, &devices)),
            goldens: goldens(set),
        }
    }

    /// The variant of these interventions, or `None` where they do not fit the model.
    fn variant(&self, list: &Value, work: Task) -> Option<Variant> {
        let list = interventions_from_json(list).ok()?;
        let case = &self.goldens.cases[0];
        let prepared = self
            .goldens
            .prepare_under(&self.model, case, &list, &Resident::default())
            .ok()?;
        (!prepared.prompt.ids.is_empty()).then(|| variant(prepared, work))
    }

    /// Runs variants as one job, and counts the (row, layer) pairs.
    fn run(&self, limits: Limits, variants: Vec<Variant>) -> (Vec<Told>, u64) {
        let engine = Engine::start(limits).unwrap();
        run(&engine, &self.model, variants)
    }
}

fn run(engine: &Engine, model: &Arc<Model>, variants: Vec<Variant>) -> (Vec<Told>, u64) {
    let count = variants.len();
    let job = Request {
        model: model.clone(),
        client: ClientId::default(),
        variants,
        deadline: Deadline::default(),
    };
    told_of(engine.submit(job).unwrap(), count)
}

/// What `count` variants are told, and the (row, layer) pairs of all of them.
fn told_of(mut events: Events, count: usize) -> (Vec<Told>, u64) {
    let mut told = vec![Told::new(); count];
    let mut rows = vec![0; count];
    while let Some(one) = events.blocking_recv() {
        told[one.variant].push(match one.event {
            Ok(Event::Token(t)) => {
                rows[one.variant] = t.timing.cost.rows;
                format!(
                    "{} {:x} {:?} {:?}",
                    t.id,
                    t.logprob.to_bits(),
                    t.finish,
                    t.effects
                )
            }
            Ok(Event::Prefilled(p)) => format!("{p:?}"),
            Ok(Event::Scored {
                scores,
                effects,
                timing,
            }) => {
                rows[one.variant] = timing.cost.rows;
                let bits: Vec<Vec<u64>> = scores
                    .iter()
                    .map(|s| s.iter().map(|v| v.to_bits()).collect())
                    .collect();
                format!("{bits:x?} {effects:?}")
            }
            Ok(Event::Captured(_) | Event::Measured(_)) => panic!("not asked for"),
            Err(error) => error.to_string(),
        });
    }
    (told, rows.iter().sum())
}

/// Draws that make up a sweep.
struct Dice(Draws);

impl Dice {
    fn of(&mut self, sides: usize) -> usize {
        (self.0.unit() * sides as f64) as usize
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.of(from.len())].clone()
    }

    /// One intervention, of few kinds and few values, so that variants have much in common.
    fn intervention(&mut self) -> Value {
        let layer = self.of(3);
        let seed = self.of(2).to_string();
        let tokens = self.pick(&[
            json!({}),
            json!({"anyOf": [{"named": "NAMED_VISUAL"}]}),
            json!({"anyOf": [{"named": "NAMED_QUESTION"}]}),
            json!({"anyOf": [{"named": "NAMED_LAST"}]}),
            json!({"anyOf": [{"random": {"ratio": 0.5, "seed": seed}}]}),
        ]);
        let steps = self.pick(&[
            json!({}),
            json!({"first": 0, "last": 0}),
            json!({"first": 1}),
        ]);
        let at = |point: &str| json!({"point": format!("language_model.blocks.{layer}.{point}"), "tokens": tokens, "steps": steps});
        let tower = json!({"point": format!("vision_tower.blocks.{}.hook_attn_out", layer % 2)});
        let all = [
            json!({"dropLayers": {"layers": [layer]}}),
            json!({"dropLayers": {"layers": [layer % 2], "stack": "STACK_VISION_TOWER"}}),
            json!({"repeatLayers": {"first": layer, "last": layer, "times": 1}}),
            json!({"exitEarly": {"layer": layer}}),
            json!({"permuteTokens": {"seed": seed}}),
            json!({"selectTokens": {"tokens": {"anyOf": [{"random": {"ratio": 0.5, "seed": seed}}]}}}),
            json!({"occludePatches": {"random": {"ratio": 0.4, "seed": seed}}}),
            json!({"swapProjector": {"randomSeed": seed}}),
            json!({"replaceTokens": {"constant": "CONSTANT_MEAN"}}),
            json!({"scale": {"target": tower, "factor": 0.5}}),
            json!({"scale": {"target": at("hook_resid_pre"), "factor": 0.9}}),
            json!({"scale": {"target": at("hook_mlp_out"), "factor": 0.5}}),
            json!({"addNoise": {"target": at("hook_resid_mid"), "scale": 0.2, "seed": seed}}),
            json!({"addNoise": {"target": at("attn.hook_attn_scores"), "scale": 0.2, "seed": seed}}),
            json!({"clampNorm": {"target": at("hook_resid_post"), "maxNorm": 1.5}}),
            json!({"clampNorm": {"target": at("attn.hook_q"), "maxNorm": 0.5}}),
            json!({"ablate": {"target": at("attn.hook_z"), "value": "CONSTANT_ZERO"}}),
            json!({"ablate": {"target": at("hook_attn_out"), "value": "CONSTANT_MEAN"}}),
            json!({"scale": {"target": {"point": "language_model.hook_embed", "tokens": tokens}, "factor": 1.1}}),
            json!({"scale": {"target": {"point": "language_model.ln_final.hook_normalized"}, "factor": 1.2}}),
            json!({"scale": {"target": {"point": "language_model.hook_logits"}, "factor": 1.3}}),
            json!({"knockOutAttention": {"layers": [layer], "to": {"anyOf": [{"named": "NAMED_VISUAL"}]}}}),
            json!({"pruneTokens": {"layer": layer, "keepShare": 0.5}}),
            json!({"pruneTokens": {"layer": layer, "keepShare": 0.5, "randomSeed": seed}}),
        ];
        self.pick(&all)
    }

    fn list(&mut self) -> Value {
        let count = self.of(3);
        Value::Array((0..count).map(|_| self.intervention()).collect())
    }

    fn work(&mut self) -> Task {
        match self.of(3) {
            0 => Task::Score(vec![vec![30, 31, 32], vec![33], vec![30, 34]]),
            kind => {
                let temperature = if kind == 1 { 0.0 } else { 1.5 };
                let draws = Draws::new(7, "", 0, 0);
                let sampling = Sampling {
                    temperature,
                    draws,
                    ..Sampling::greedy()
                };
                Task::Generate {
                    sampling,
                    max_tokens: 4,
                    top_logprobs: 0,
                }
            }
        }
    }
}

/// 90 random sweeps: over two and three devices, in micro-batches, every row has the bits that it
/// has on one.
#[test]
fn spread_over_devices_is_on_one() {
    let mut cut = 0;
    for (i, set) in FAMILIES.into_iter().enumerate() {
        let (one, several) = (Bench::new(set), Bench::spread(set, 2 + i % 2));
        assert_eq!(one.model.digest, several.model.digest);
        let mut dice = Dice(Draws::new(6, set, 0, 0));
        for _ in 0..10 {
            let seed = dice.of(1 << 20);
            let drawn = |bench: &Bench| {
                let mut dice = Dice(Draws::new(seed as u64, set, 0, 0));
                let limits = Limits {
                    step_rows: 20 + dice.of(200),
                    ..Limits::default()
                };
                let count = 2 + dice.of(7);
                let lists: Vec<Value> = (0..count).map(|_| dice.list()).collect();
                let work = dice.work();
                let variants = lists.iter().filter_map(|l| bench.variant(l, again(&work)));
                let variants: Vec<Variant> = variants.collect();
                let count = variants.len();
                (count, (count > 0).then(|| bench.run(limits, variants)))
            };
            let (found, expected) = (drawn(&several), drawn(&one));
            assert_eq!(found, expected, "{set}, seed {seed}");
            cut += usize::from(found.0 > 1);
        }
    }
    assert!(cut > 50, "{cut} sweeps of several sequences");
}

/// The same work once more.
fn again(work: &Task) -> Task {
    match work {
        Task::Score(all) => Task::Score(all.clone()),
        Task::Measure(measure) => Task::Measure(measure.clone()),
        Task::Generate {
            sampling,
            max_tokens,
            top_logprobs,
        } => Task::Generate {
            sampling: sampling.clone(),
            max_tokens: *max_tokens,
            top_logprobs: *top_logprobs,
        },
    }
}

const FAMILIES: [&str; 9] = [
    "tiny-gqa-tied",
    "tiny-full-old-names",
    "tiny-next-mistral",
    "tiny-onevision",
    "tiny-phi3",
    "tiny-gemma2",
    "tiny-vipllava",
    "tiny-internvl",
    "shapes",
];

/// 360 random sweeps: what is reused, batched, cut in chunks or computed anew for want of memory
/// has the bits of a run alone.
#[test]
fn reused_is_recomputed() {
    for set in FAMILIES {
        let bench = Bench::new(set);
        let shared = Engine::start(Limits::default()).unwrap();
        let mut dice = Dice(Draws::new(5, set, 0, 0));
        let mut alone: BTreeMap<String, (Told, u64)> = BTreeMap::new();
        let (mut computed, mut naive) = (0, 0);
        for sweep in 0..40 {
            let work = dice.work();
            let again = || again(&work);
            let count = 2 + dice.of(7);
            let lists: Vec<Value> = (0..count).map(|_| dice.list()).collect();
            let lists: Vec<&Value> = lists
                .iter()
                .filter(|l| bench.variant(l, again()).is_some())
                .collect();
            let variants = || {
                lists
                    .iter()
                    .filter_map(|l| bench.variant(l, again()))
                    .collect::<Vec<_>>()
            };
            if lists.is_empty() {
                continue;
            }
            let tight = Limits {
                step_rows: 1 + dice.of(60),
                running: 1 + dice.of(8),
                ..Limits::default()
            };
            let poor = Limits {
                checkpoint_bytes: 4096 * dice.of(8) as u64,
                kv_bytes: 1 << 19,
                ..tight
            };
            let poor = Limits {
                picture_bytes: 0,
                ..poor
            };
            let (together, rows) = bench.run(tight, variants());
            computed += rows;
            for (i, list) in lists.iter().enumerate() {
                let key = format!("{list} {work:?}");
                let one = || {
                    bench.run(
                        Limits::default(),
                        bench.variant(list, again()).into_iter().collect(),
                    )
                };
                let (expected, cost) = alone.entry(key).or_insert_with(|| {
                    let (told, rows) = one();
                    (told[0].clone(), rows)
                });
                naive += *cost;
                assert_eq!(
                    together[i], *expected,
                    "{set}, sweep {sweep}, variant {i}: {list}"
                );
            }
            assert_eq!(
                bench.run(poor, variants()).0,
                together,
                "{set}, sweep {sweep}: with little memory"
            );
            assert_eq!(
                run(&shared, &bench.model, variants()).0,
                together,
                "{set}, sweep {sweep}: with earlier ones"
            );
        }
        assert!(
            computed * 10 < naive * 9,
            "{set}: {computed} of {naive} rows"
        );
    }
}

/// Checks the schedule without running it: each cell of each variant is computed by exactly one
/// run, which comes earlier and has the same input there.
#[test]
fn tenants_share_no_picture_of_one_step() {
    let bench = Bench::new("tiny-next-llama");
    let score = || {
        bench
            .variant(&json!([]), Task::Score(vec![vec![5]]))
            .unwrap()
    };
    let alone = bench.run(Limits::default(), vec![score()]);
    let engine = Engine::start(Limits::default()).unwrap();
    let (begun, begins) = std::sync::mpsc::channel();
    let (go, waits) = std::sync::mpsc::channel::<()>();
    let events = std::thread::scope(|scope| {
        // The engine's thread is held until both requests are there, so that one step has both.
        scope.spawn(|| {
            let hold = move |_: &LoadTo<'_>| {
                begun.send(()).unwrap();
                waits.recv().unwrap();
                Ok(())
            };
            engine.load(hold, &|_, _| {}).unwrap().unwrap();
        });
        begins.recv().unwrap();
        let events = ["one", "another"].map(|tenant| {
            let job = Request {
                model: bench.model.clone(),
                client: ClientId {
                    tenant: tenant.into(),
                    connection: 0,
                },
                variants: vec![score()],
                deadline: Deadline::default(),
            };
            engine.submit(job).unwrap()
        });
        go.send(()).unwrap();
        events
    });
    for events in events {
        assert_eq!(told_of(events, 1), alone);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_picture_stays_while_others_are_encoded() {
    let other = scotoma::benchmark::shapes().unwrap();
    let other = other.into_iter().find(|item| item.images[0] != picture());
    let both = [picture(), other.unwrap().images.swap_remove(0)];
    // Another program, so that the prompt before brings no picture along.
    let changed = json!([{"scale": {"target": {"point": "language_model.hook_embed"},
                                    "factor": 0.9}}]);
    let asked = |images: &[Vec<u8>], interventions: Value| ScoreRequest {
        prompt: Some(prompt("Is there a red circle?", images.iter().cloned())),
        interventions: serde_json::from_value(interventions).unwrap(),
        continuations: vec![" yes".into()],
        ..Default::default()
    };
    let mut found = Vec::new();
    // Room for all of both pictures; and for one of them, 36 tokens of 128 numbers.
    for bytes in [1 << 30, 2 * 28_000] {
        let mut config = ServerConfig::shapes();
        config.engine.picture_bytes = bytes;
        let server = Running::start(config).await;
        let mut client = server.client().await;
        client.score(asked(&both[..1], json!([]))).await.unwrap();
        let scored = client.score(asked(&both, changed.clone())).await.unwrap();
        found.push(scored.scores);
        server.end().await;
    }
    assert_eq!(found[0], found[1]);
}

#[test]
fn each_model_remembers_its_own_prompts() {
    let (one, other) = (Bench::new("tiny-next-llama"), Bench::new("tiny-next-llama"));
    let engine = Engine::start(Limits::default()).unwrap();
    let ask = |bench: &Bench| {
        let score = bench.variant(&json!([]), Task::Score(vec![vec![5]]));
        run(&engine, &bench.model, vec![score.unwrap()])
    };
    let (first, again) = (ask(&one), ask(&one));
    assert!(again.1 < first.1);
    ask(&other);
    assert_eq!(ask(&other), again);
}

#[test]
fn every_cell_is_computed_once() {
    let bench = Bench::new("tiny-gqa-tied");
    let layers = bench.model.decoder.config().num_hidden_layers;
    let mut dice = Dice(Draws::new(6, "", 0, 0));
    for _ in 0..300 {
        let mut programs = Vec::new();
        for _ in 0..=dice.of(12) {
            let work = Task::Score(Vec::new());
            let Some(variant) = bench.variant(&dice.list(), work) else {
                continue;
            };
            // Now and then another question.
            let other = dice.of(3) as u128;
            let end = variant.prompt.ids.len() - 3;
            let content =
                |(i, id): (usize, u32)| u128::from(id) + if i < end { 0 } else { other << 40 };
            let rows = variant.prompt.ids.iter().copied().enumerate().map(content);
            let rows: Vec<Row> = rows
                .zip(&variant.prompt.positions)
                .map(|(content, &position)| Row { content, position })
                .collect();
            let wanted = rows.len() as u32 - 1;
            let program = Program::of(
                &variant.plan,
                &variant.plan.edit_keys().unwrap(),
                Stack::LanguageModel,
                layers,
                rows.into(),
                wanted,
            );
            programs.push(Arc::new(program));
        }
        let most = dice.of(200) as u64;
        let starts = schedule(&programs, |i| i.checked_sub(1), most);
        assert!(checkpoint_rows(&programs, &starts) <= most);
        for (i, program) in programs.iter().enumerate() {
            for depth in 0..program.layers.len() {
                for token in 0..program.rows.len() as u32 {
                    let (mut owner, mut seen) = (i, 0);
                    loop {
                        let own = starts[owner].own;
                        if depth >= own.depth && token >= own.position {
                            seen += 1;
                            break;
                        }
                        let parent = starts[owner].parent.unwrap();
                        assert!(parent < owner);
                        owner = parent;
                    }
                    assert_eq!(seen, 1);
                    let there = &programs[owner];
                    assert_eq!(
                        there.rows[..=token as usize],
                        program.rows[..=token as usize]
                    );
                    let path = |p: &Program| {
                        p.layers[..=depth]
                            .iter()
                            .map(|s| s.layer)
                            .collect::<Vec<_>>()
                    };
                    assert_eq!(path(there), path(program));
                }
            }
            // Who starts above the bottom finds there the rows that it needs.
            let start = starts[i];
            if let Some(parent) = start.parent.filter(|_| start.own.depth > 0) {
                assert!(
                    starts[parent].own.depth <= start.own.depth
                        && starts[parent].own.position <= start.own.position
                );
            }
        }
    }
}

/// Prunes the last token of a prompt that ends with its picture; the last row that survives then
/// predicts the next token.
#[test]
fn the_last_row_that_is_left_predicts() {
    for set in ["shapes", "tiny-gqa-tied"] {
        let bench = Bench::new(set);
        let mut case = bench.goldens.cases[0].clone();
        (case.text, case.question) = ("USER: <image>".into(), String::new());
        let prepared = |list: &Value| {
            let list = interventions_from_json(list).unwrap();
            bench
                .goldens
                .prepare_under(&bench.model, &case, &list, &Resident::default())
                .unwrap()
        };
        let work = || Task::Generate {
            sampling: Sampling::greedy(),
            max_tokens: 2,
            top_logprobs: 0,
        };
        let score = || Task::Score(vec![vec![30, 31], vec![32]]);
        let prune = |keep: usize| json!({"pruneTokens": {"layer": 0, "keepCount": keep, "randomSeed": "4"}});
        let last = json!({"scale": {"target": {"point": "language_model.ln_final.hook_normalized"}, "factor": 1.5}});
        let lists = [
            json!([prune(1)]),
            json!([prune(1), last]),
            json!([prune(3)]),
        ];
        let (together, _) = bench.run(
            Limits::default(),
            lists.iter().map(|l| variant(prepared(l), work())).collect(),
        );
        let (scored, _) = bench.run(
            Limits::default(),
            lists
                .iter()
                .map(|l| variant(prepared(l), score()))
                .collect(),
        );
        for (i, list) in lists.iter().enumerate() {
            let values = prepared(list).values(&bench.model).unwrap();
            let logits = values["language_model.hook_logits"]
                .rchunks(bench.model.decoder.config().vocab_size)
                .next();
            let best = logits
                .unwrap()
                .iter()
                .enumerate()
                .max_by(|a, b| a.1.total_cmp(b.1))
                .unwrap()
                .0;
            assert!(
                together[i][1].starts_with(&format!("{best} ")),
                "{set} {list}: {best}, {:?}",
                together[i]
            );
            assert_eq!(
                together[i],
                bench
                    .run(Limits::default(), vec![variant(prepared(list), work())])
                    .0[0]
            );
            assert_eq!(
                scored[i],
                bench
                    .run(Limits::default(), vec![variant(prepared(list), score())])
                    .0[0]
            );
            assert_eq!(scored[i].len(), 2, "{:?}", scored[i]);
        }
    }
}

/// The sum of `layers` choose "from here on": dropping one layer after the other computes each
/// variant from its layer on.
#[test]
fn dropping_each_layer_computes_the_triangle() {
    let bench = Bench::new("shapes");
    let config = bench.model.decoder.config();
    let (layers, work) = (config.num_hidden_layers, || Task::Score(vec![vec![30]]));
    let drop = |l: usize| {
        bench
            .variant(&json!([{"dropLayers": {"layers": [l]}}]), work())
            .unwrap()
    };
    let rows = bench.variant(&json!([]), work()).unwrap().prompt.ids.len() as u64 + 1;
    let tower = (square(&bench.model).rows * bench.model.tower.info().layers_run()) as u64;
    let (_, computed) = bench.run(Limits::default(), (0..layers).map(drop).collect());
    // A variant without layer l shares l layers with the one without layer l + 1; the last one has
    // all it runs to itself.
    let expected: u64 = (0..layers).map(|l| (layers - 1 - l) as u64).sum::<u64>() * rows
        + (layers as u64 - 1) * rows;
    assert_eq!(computed, expected + tower);
}

fn question(interventions: Vec<v1::Intervention>) -> GenerateRequest {
    let prompt = Some(prompt("Is there a red circle?", [picture()]));
    GenerateRequest {
        prompt,
        interventions,
        max_tokens: 6,
        ..Default::default()
    }
}

fn axis(field: &str, first: f64, last: f64) -> v1::SweepAxis {
    let range = v1::SweepRange {
        first,
        last,
        step: 0.0,
    };
    v1::SweepAxis {
        field: field.into(),
        values: Some(v1::sweep_axis::Values::Range(range)),
    }
}

/// Layers by seeds.
pub(crate) fn grid(layers: u32, seeds: u32) -> v1::SweepGrid {
    v1::SweepGrid {
        interventions: vec![drop_layers([0]), permute_tokens(0)],
        axes: vec![
            axis(
                "interventions[0].drop_layers.layers[0]",
                0.0,
                f64::from(layers - 1),
            ),
            axis(
                "interventions[1].permute_tokens.seed",
                0.0,
                f64::from(seeds - 1),
            ),
        ],
    }
}

pub(crate) async fn sweep(
    client: &mut scotoma_client::Client,
    request: SweepRequest,
) -> Result<(Vec<v1::SweepResult>, v1::SweepFinished), scotoma_client::Error> {
    let mut stream = client.sweep(request).await?;
    let mut results = Vec::new();
    loop {
        match stream.message().await?.and_then(|m| m.event) {
            Some(sweep_response::Event::Started(_)) => {}
            Some(sweep_response::Event::Result(result)) => results.push(result),
            Some(sweep_response::Event::Finished(finished)) => return Ok((results, finished)),
            None => panic!("the sweep has no end"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_are_requests_of_their_own() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let request = SweepRequest {
        input: Some(Input::Generate(question(vec![]))),
        grid: Some(grid(8, 10)),
        ..Default::default()
    };
    let (results, finished) = sweep(&mut client, request).await.unwrap();
    assert_eq!(
        (results.len(), finished.variants, finished.failed),
        (80, 80, 0)
    );
    assert!(finished.rows_computed < finished.rows_naive, "{finished:?}");
    let mut seen = vec![0; 80];
    for result in results {
        seen[result.variant as usize] += 1;
        assert_eq!(result.places, [result.variant / 10, result.variant % 10]);
        let Some(Outcome::Generated(swept)) = result.outcome else {
            panic!("no answer")
        };
        if result.variant % 9 == 0 {
            let list = vec![
                drop_layers([result.variant / 10]),
                permute_tokens(u64::from(result.variant % 10)),
            ];
            let other = Running::start(ServerConfig::shapes()).await;
            let alone = other
                .client()
                .await
                .generate(question(list))
                .await
                .unwrap()
                .finish()
                .await
                .unwrap();
            assert_eq!(
                swept.provenance, alone.provenance,
                "the record of a request of its own, from another server"
            );
            let record = VerifyRequest {
                provenance: swept.provenance,
                images: question(vec![]).prompt.unwrap().images,
            };
            assert!(client.verify(record).await.unwrap().agrees);
        }
    }
    assert_eq!(seen, [1; 80]);
    // Options, with variants one by one; one of them cannot be.
    let score = ScoreRequest {
        prompt: Some(prompt("Is there a red circle?", [picture()])),
        continuations: vec!["yes".into(), "no".into()],
        ..Default::default()
    };
    let variants = [vec![], vec![drop_layers([99])], vec![drop_layers([3])]];
    let variants = variants
        .map(|interventions| v1::SweepVariant { interventions })
        .to_vec();
    let request = SweepRequest {
        input: Some(Input::Score(score.clone())),
        variants,
        ..Default::default()
    };
    let (results, finished) = sweep(&mut client, request).await.unwrap();
    assert_eq!((results.len(), finished.failed), (3, 1));
    for result in results {
        match (result.variant, result.outcome) {
            (1, Some(Outcome::Error(error))) => {
                assert_eq!(
                    (error.code, error.reason.as_str()),
                    (Code::InvalidArgument as i32, "INVALID_INTERVENTION")
                );
                assert_eq!(error.field, "interventions[0].drop_layers.layers[0]");
            }
            (0, Some(Outcome::Scored(scored))) => {
                assert_eq!(
                    scored.provenance,
                    client.score(score.clone()).await.unwrap().provenance
                );
            }
            (2, Some(Outcome::Scored(scored))) => assert_eq!(scored.scores.len(), 2),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_sweep_names_its_field() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let generate = || Some(Input::Generate(question(vec![])));
    let with = |field: &str, first, last| {
        let mut grid = grid(2, 2);
        grid.axes[0] = axis(field, first, last);
        SweepRequest {
            input: generate(),
            grid: Some(grid),
            ..Default::default()
        }
    };
    let layers = "interventions[0].drop_layers.layers[0]";
    let stop = GenerateRequest {
        stop: vec![String::new()],
        ..question(vec![])
    };
    let cases = [
        (
            SweepRequest {
                input: generate(),
                ..Default::default()
            },
            "variants",
        ),
        (
            SweepRequest {
                grid: Some(grid(2, 2)),
                ..Default::default()
            },
            "input",
        ),
        (
            SweepRequest {
                input: Some(Input::Generate(stop)),
                grid: Some(grid(2, 2)),
                ..Default::default()
            },
            "generate.stop[0]",
        ),
        (with("layers", 0.0, 1.0), "grid.axes[0].field"),
        (
            with("interventions[7].drop_layers.layers[0]", 0.0, 1.0),
            "grid.axes[0].field",
        ),
        (
            with("interventions[0].drop_layers.nonsense", 0.0, 1.0),
            "grid.axes",
        ),
        (with(layers, 0.0, 1e7), "grid.axes[0].range"),
        (with(layers, 0.0, 900_000.0), "variants"),
        (with(layers, 2.0, 1.0), "grid.axes[0].range"),
        (with(layers, f64::NAN, 1.0), "grid.axes[0].range"),
    ];
    for (request, field) in cases {
        let error = sweep(&mut client, request).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::InvalidArgument), "{error}");
        let scotoma_client::Error::Server { fields, .. } = &error else {
            panic!("{error}")
        };
        assert!(
            fields.iter().any(|v| v.field == field),
            "{field}: {error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_named_by_its_handle() {
    let server = Running::start(ServerConfig::shapes()).await;
    let mut client = server.client().await;
    let sent = client
        .generate(question(vec![]))
        .await
        .unwrap()
        .finish()
        .await
        .unwrap();
    let named = client.upload_image(picture()).await.unwrap();
    let mut request = question(vec![]);
    request.prompt.as_mut().unwrap().images = vec![named];
    let by_name = client
        .generate(request.clone())
        .await
        .unwrap()
        .finish()
        .await
        .unwrap();
    assert_eq!(by_name.provenance, sent.provenance);
    // Nor does the record need its picture again.
    let record = VerifyRequest {
        provenance: by_name.provenance,
        images: Vec::new(),
    };
    assert!(client.verify(record).await.unwrap().agrees);
    // Of another tenant it is not known.
    let mut stranger = tonic::Request::new(request);
    stranger
        .metadata_mut()
        .insert("scotoma-tenant", "another".parse().unwrap());
    assert_eq!(
        client.generate(stranger).await.err().unwrap().code(),
        Some(Code::NotFound)
    );
    assert_eq!(
        client
            .upload_image(b"no picture".to_vec())
            .await
            .unwrap_err()
            .code(),
        Some(Code::InvalidArgument)
    );
}
