//! Laws, bit for bit on the CPU: what must not change an answer does not change one bit of it.

use std::sync::Arc;

use crate::common::{goldens, job, model, square};
use candle_core::{DType, Device, Tensor};
use scotoma::api::interventions_from_json;
use scotoma::engine::parity::{Prepared, Resident};
use scotoma::engine::{Engine, Event, Events, Limits, Sampling, Task};
use scotoma::intervention::{
    Amount, Choice, Draws, DropLayers, Effect, EffectLog, Fill, Intervention, OccludePatches,
    Order, Patch, PatchSource, PermuteTokens, Plan, PlanHooks, SaliencySource, Salient, Scope,
    Steps, SwapProjector, Target,
};
use scotoma::model::{DEFAULT_PROJECTOR, Model, Place, ViewBatch, shape_of};
use scotoma::nn::{
    Hooks, HostTensor, Layout, Linear, MemoryTracker, NoHooks, Point, Result as TensorResult,
    SequenceCache, Span, Stack,
};
use serde_json::json;

/// Token ids with the bits of the 20 highest log-probabilities.
type Answer = Vec<(u32, Vec<u64>)>;

struct Bench {
    model: Arc<Model>,
    engine: Engine,
}

impl Bench {
    fn new(set: &str) -> Self {
        Self {
            model: Arc::new(model(set)),
            engine: Engine::start(Limits::default()).unwrap(),
        }
    }

    fn plan(&self, list: &[Intervention]) -> Plan {
        Plan::clone(&self.under(list).plan)
    }

    fn prepared(&self) -> Prepared {
        self.under(&[])
    }

    fn under(&self, list: &[Intervention]) -> Prepared {
        let goldens = goldens(&self.model.name);
        goldens
            .prepare_under(&self.model, &goldens.cases[0], list, &Resident::default())
            .unwrap()
    }

    fn submit(&self, list: &[Intervention], sampling: Sampling, max_tokens: usize) -> Events {
        let work = Task::Generate {
            sampling,
            max_tokens,
            top_logprobs: 20,
        };
        self.engine
            .submit(job(self.under(list), &self.model, work))
            .unwrap()
    }

    fn answer(&self, list: &[Intervention]) -> Answer {
        self.answer_with_effects(list).0
    }

    fn answer_with_effects(&self, list: &[Intervention]) -> (Answer, Vec<Effect>) {
        collect(self.submit(list, Sampling::greedy(), 12))
    }

    fn tokens(&self) -> usize {
        self.prepared().images[0].len()
    }
}

fn collect(mut events: Events) -> (Answer, Vec<Effect>) {
    let mut answer = Vec::new();
    while let Some(told) = events.blocking_recv() {
        let token = match told.event.unwrap() {
            Event::Token(token) => token,
            Event::Prefilled(_) => continue,
            Event::Captured(_) | Event::Scored { .. } | Event::Measured(_) => {
                panic!("not asked for")
            }
        };
        answer.push((token.id, token.top.iter().map(|t| t.1.to_bits()).collect()));
        if token.finish.is_some() {
            return (answer, token.effects);
        }
    }
    panic!("the answer has no end")
}

fn permute(order: Order) -> Intervention {
    Intervention::PermuteTokens(PermuteTokens {
        order,
        scope: Scope::All,
    })
}

fn occlude(choice: Choice) -> Intervention {
    Intervention::OccludePatches(OccludePatches {
        choice,
        grid: 0,
        fill: Fill::BLACK,
        fill_seed: 0,
    })
}

fn salient(amount: Amount) -> Salient {
    Salient {
        amount,
        source: SaliencySource::Tower,
        head: None,
    }
}

fn drop_layers(stack: Stack, layers: &[u32]) -> Intervention {
    Intervention::DropLayers(DropLayers {
        stack,
        layers: layers.to_vec(),
    })
}

/// An intervention in canonical JSON.
fn change(json: serde_json::Value) -> Intervention {
    interventions_from_json(&json!([json]))
        .unwrap()
        .swap_remove(0)
}

/// Sets whose decoder, rotary embedding, features or tower are others than LLaVA-1.5's.
const DECODERS: [&str; 6] = [
    "tiny-phi3",
    "tiny-gemma",
    "tiny-gemma2",
    "tiny-qwen3",
    "tiny-vipllava",
    "tiny-internvl",
];

const RESID: &str = "language_model.blocks.{l}.hook_resid_pre";

#[test]
fn what_changes_nothing_changes_no_bit() {
    for set in [
        "tiny-gqa-tied",
        "tiny-full-old-names",
        "tiny-next-mistral",
        "tiny-onevision",
        "tiny-gemma2",
        "shapes",
    ] {
        let bench = Bench::new(set);
        let baseline = bench.answer(&[]);
        let identity: Vec<u32> = (0..bench.tokens() as u32).collect();
        let layers = bench.model.decoder.config().num_hidden_layers;
        let width = bench.model.decoder.config().hidden_size;
        let all = json!({"point": RESID});
        let same = [
            json!({"permuteTokens": {"order": {"indices": identity}}}),
            json!({"occludePatches": {"random": {"ratio": 0.0, "seed": "1"}}}),
            json!({"occludePatches": {"salient": {"mass": 0.0}}}),
            json!({"occludePatches": {"indices": {}}}),
            json!({"dropLayers": {}}),
            json!({"dropLayers": {"stack": "STACK_VISION_TOWER"}}),
            json!({"swapProjector": {"name": DEFAULT_PROJECTOR}}),
            json!({"shufflePatches": {"grid": 1, "seed": "3"}}),
            json!({"selectTokens": {}}),
            json!({"repeatLayers": {"first": 0, "last": 1}}),
            json!({"exitEarly": {"layer": layers - 1}}),
            json!({"addNoise": {"target": all, "scale": 0.0, "seed": "1"}}),
            json!({"addNoise": {"target": {"point": "vision_tower.blocks.{l}.attn.hook_q"}, "geometry": "GEOMETRY_KESKAR", "seed": "1"}}),
            json!({"steer": {"target": all, "vector": vec![1.0; width], "scale": 0.0}}),
            json!({"scale": {"target": all, "factor": 1.0}}),
            json!({"scale": {"target": {"point": "language_model.blocks.0.attn.hook_pattern"}, "factor": 1.0}}),
            json!({"pruneTokens": {"layer": 0, "keepShare": 1.0}}),
        ];
        for json in same {
            let list = [change(json.clone())];
            let (answer, effects) = bench.answer_with_effects(&list);
            assert!(answer == baseline, "{set}: {json}");
            let resolved = &bench.plan(&list).resolved[0];
            let unchanged = resolved.changed_nothing
                || effects[0].sums.is_some_and(|(changed, _)| changed == 0.0);
            assert!(unchanged, "{set}: {json} is not flagged");
        }
        assert_ne!(
            bench.answer(&[drop_layers(Stack::LanguageModel, &[1])]),
            baseline,
            "{set}: dropping must matter"
        );
    }
}

#[test]
fn a_runs_own_activations_change_nothing() {
    for set in ["tiny-gqa-tied", "tiny-onevision"] {
        let bench = Bench::new(set);
        let baseline = bench.answer(&[]);
        let points = [
            "language_model.blocks.1.hook_resid_pre",
            "language_model.blocks.2.attn.hook_z",
            "vision_tower.blocks.0.hook_mlp_out",
        ];
        let values = bench.prepared().values(&bench.model).unwrap();
        for point in points {
            let parsed: Point = point.parse().unwrap();
            let shape = shape_of(&bench.model, parsed, 0);
            let rows = values[point].len() / shape.numbers();
            let own = &values[point];
            let doubled: Vec<f32> = own.iter().map(|value| value * 2.0).collect();
            let mut target = Target::at(point);
            target.steps = Steps { first: 0, last: 0 };
            let patch = |values: &[f32]| {
                let values = HostTensor::from_vec(values.to_vec(), shape.of_rows(rows)).unwrap();
                [Intervention::Patch(Patch {
                    target: target.clone(),
                    source: PatchSource::Inline(values),
                })]
            };
            let (answer, effects) = bench.answer_with_effects(&patch(own));
            assert!(answer == baseline, "{set}: {point}");
            assert_eq!(
                (effects[0].fired > 0, effects[0].relative_change()),
                (true, Some(0.0))
            );
            assert_ne!(
                bench.answer(&patch(&doubled)),
                baseline,
                "{set}: {point}: patching must matter"
            );
        }
    }
}

#[test]
fn kept_and_removed_tokens_partition_a_picture() {
    for set in ["tiny-gqa-tied", "tiny-next-llama", "tiny-onevision"] {
        let bench = Bench::new(set);
        let kept = |mode: &str, index: u32| {
            let blocks = json!({"anyOf": [{"blocks": {"grid": 2, "indices": [index]}}]});
            let plan = bench.plan(&[change(
                json!({"selectTokens": {"tokens": blocks, "mode": mode}}),
            )]);
            assert_eq!(
                plan.images[0].len(),
                plan.resolved[0].resolutions[0].indices.len()
            );
            plan.resolved[0].resolutions[0].indices.clone()
        };
        let mut covered = Vec::new();
        for block in 0..4 {
            let mut both = kept("MODE_KEEP", block);
            covered.extend(both.clone());
            both.extend(kept("MODE_REMOVE", block));
            both.sort_unstable();
            assert_eq!(
                both,
                (0..bench.tokens() as u32).collect::<Vec<_>>(),
                "{set}: block {block}"
            );
        }
        covered.sort_unstable();
        let places = bench.prepared().images.swap_remove(0).places;
        let patches = (0..)
            .zip(&places)
            .filter(|(_, p)| matches!(p, Place::Base { .. } | Place::Canvas { .. }));
        assert_eq!(
            covered,
            patches.map(|(i, _)| i).collect::<Vec<u32>>(),
            "{set}: the blocks cover all patches once"
        );
    }
}

#[test]
fn edits_of_different_tokens_commute() {
    let bench = Bench::new("tiny-gqa-tied");
    let scale = |name: &str, factor: f64| {
        let tokens = json!({"anyOf": [{"named": name}]});
        change(json!({"scale": {"target": {"point": RESID, "tokens": tokens}, "factor": factor}}))
    };
    let (a, b) = (scale("NAMED_VISUAL", 0.5), scale("NAMED_TEXT", 2.0));
    assert_eq!(bench.answer(&[a.clone(), b.clone()]), bench.answer(&[b, a]));
    // A batch of sixteen plans is in company_changes_no_bit.
}

#[test]
fn hiding_what_is_not_seen_changes_nothing() {
    let bench = Bench::new("tiny-gqa-tied");
    let first = json!({"anyOf": [{"indices": {"indices": [0]}}]});
    let rest = json!({"anyOf": [{"indices": {"indices": [0]}}], "complement": true});
    let hide = |from, to| change(json!({"knockOutAttention": {"from": from, "to": to}}));
    let (answer, effects) = bench.answer_with_effects(&[hide(first.clone(), rest.clone())]);
    assert_eq!(
        (answer, effects[0].relative_change()),
        (bench.answer(&[]), Some(0.0))
    );
    assert_ne!(bench.answer(&[hide(rest, first)]), bench.answer(&[]));
}

#[test]
fn no_visual_token_at_all_is_a_prompt_of_words() {
    for set in ["tiny-gqa-tied", "tiny-next-llama"] {
        let bench = Bench::new(set);
        let none = [change(
            json!({"selectTokens": {"mode": "MODE_REMOVE", "positions": "POSITIONS_COMPACT"}}),
        )];
        let answer = bench.answer(&none);
        let mut prepared = bench.under(&none);
        assert!(!prepared.prompt.ids.contains(&bench.model.image_token));
        prepared.pixels.clear();
        prepared.images.clear();
        let work = Task::Generate {
            sampling: Sampling::greedy(),
            max_tokens: 12,
            top_logprobs: 20,
        };
        prepared.plan = Arc::new(Plan::default());
        prepared.observed = EffectLog::default();
        let words = collect(
            bench
                .engine
                .submit(job(prepared, &bench.model, work))
                .unwrap(),
        )
        .0;
        assert_eq!(answer, words, "{set}");
    }
}

/// Pruning really leaves rows out; hiding the same tokens from all layers above comes to the same,
/// to rounding.
#[test]
fn pruned_tokens_are_hidden_tokens() {
    let bench = Bench::new("tiny-gqa-tied");
    let prune = [change(
        json!({"pruneTokens": {"layer": 0, "keepCount": 5, "randomSeed": "3"}}),
    )];
    let pruned = bench.under(&prune);
    let mut applied = PlanHooks::one(&pruned.plan);
    let values = pruned.values_with(&bench.model, &mut applied).unwrap();
    let left: Vec<u32> = applied
        .into_logs()
        .next()
        .unwrap()
        .pruned()
        .remove(&0)
        .unwrap();
    assert_eq!(left.len(), bench.tokens() - 5);
    let to = json!({"anyOf": [{"indices": {"indices": left}}]});
    let hide = [change(
        json!({"knockOutAttention": {"layers": [1, 2], "to": to}}),
    )];
    let hidden = bench.under(&hide).values(&bench.model).unwrap();
    let point = "language_model.ln_final.hook_normalized";
    let width = bench.model.decoder.config().hidden_size;
    let last = |values: &[f32]| values[values.len() - width..].to_vec();
    let difference = last(&values[point])
        .iter()
        .zip(last(&hidden[point]))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(difference < 1e-4, "{difference}");
    assert_eq!(
        values[point].len(),
        hidden[point].len() - left.len() * width,
        "rows are really fewer"
    );
}

#[test]
fn a_permutation_and_its_inverse_cancel() {
    let bench = Bench::new("tiny-gqa-tied");
    let order = Draws::new(5, "", 0, 0).permutation(bench.tokens());
    let mut inverse = vec![0; order.len()];
    order
        .iter()
        .enumerate()
        .for_each(|(i, &o)| inverse[o as usize] = i as u32);
    let permuted = [permute(Order::Given(order)), permute(Order::Given(inverse))];
    assert_eq!(bench.answer(&permuted), bench.answer(&[]));
    assert_ne!(bench.answer(&permuted[..1]), bench.answer(&[]));
}

#[test]
fn company_changes_no_bit() {
    for set in [
        "tiny-gqa-tied",
        "tiny-next-mistral",
        "tiny-onevision",
        "shapes",
    ]
    .iter()
    .chain(&DECODERS)
    {
        let bench = Bench::new(set);
        let lists: Vec<Vec<Intervention>> = vec![
            vec![],
            vec![permute(Order::Seed(1))],
            vec![drop_layers(Stack::LanguageModel, &[0])],
            vec![
                drop_layers(Stack::VisionTower, &[1]),
                permute(Order::Seed(2)),
            ],
            vec![Intervention::SwapProjector(SwapProjector::Random(3))],
            vec![occlude(Choice::Random {
                ratio: 0.5,
                seed: 4,
            })],
            vec![
                occlude(Choice::NonSalient(salient(Amount::Share(0.3)))),
                drop_layers(Stack::LanguageModel, &[1, 2]),
            ],
            vec![
                permute(Order::Seed(9)),
                drop_layers(Stack::LanguageModel, &[0, 2]),
            ],
            vec![change(
                json!({"selectTokens": {"tokens": {"anyOf": [{"random": {"ratio": 0.5, "seed": "1"}}]}}}),
            )],
            vec![change(
                json!({"repeatLayers": {"first": 0, "last": 1, "times": 1}}),
            )],
            vec![change(json!({"exitEarly": {"layer": 1}}))],
            vec![change(
                json!({"addNoise": {"target": {"point": RESID}, "scale": 0.3, "seed": "2"}}),
            )],
            vec![change(
                json!({"ablate": {"target": {"point": "language_model.blocks.1.hook_mlp_out"}, "value": "CONSTANT_MEAN"}}),
            )],
            vec![change(
                json!({"knockOutAttention": {"layers": [1], "to": {"anyOf": [{"named": "NAMED_VISUAL"}]}}}),
            )],
            vec![change(
                json!({"pruneTokens": {"layer": 0, "keepShare": 0.4}}),
            )],
            vec![
                change(json!({"replaceTokens": {"noise": {"seed": "5"}}})),
                change(
                    json!({"scale": {"target": {"point": "vision_tower.blocks.0.hook_attn_out"}, "factor": 0.5}}),
                ),
            ],
        ];
        assert_eq!(lists.len(), 16);
        let alone: Vec<Answer> = lists.iter().map(|list| bench.answer(list)).collect();
        // Three rounds at once: they prefill and decode beside each other in ever other company.
        let together: Vec<Events> = (0..3)
            .flat_map(|_| &lists)
            .map(|list| bench.submit(list, Sampling::greedy(), 12))
            .collect();
        for (i, events) in together.into_iter().enumerate() {
            assert_eq!(
                collect(events).0,
                alone[i % lists.len()],
                "{set}: request {i}"
            );
        }
    }
}

/// The same in one packed tensor, so that the company is certain: two prompts and two decode rows
/// against each alone.
#[test]
fn packed_rows_equal_rows_alone() {
    let model = model("tiny-gqa-tied");
    let ids: Vec<Vec<u32>> = vec![
        vec![5, 60, 61, 62, 63, 64, 65],
        vec![9, 80],
        vec![7, 90, 91, 92],
        vec![8, 95, 96],
    ];
    // Each runs another choice of layers; one of them some twice.
    let paths: [&[usize]; 4] = [&[1, 2], &[0, 1, 0, 1, 2], &[0, 1], &[0, 1, 2]];
    let plans = paths.map(|path| {
        Arc::new(Plan {
            paths: [(Stack::LanguageModel, path.into())].into_iter().collect(),
            ..Plan::default()
        })
    });
    let run = |sequences: &[usize], prefill: usize, caches: &mut [Option<&mut SequenceCache>]| {
        let mut layout = Layout::default();
        let mut rows = Vec::new();
        for (i, &sequence) in sequences.iter().enumerate() {
            if i < prefill {
                layout.push_sequence(sequence, (0, 0), ids[sequence].len());
                rows.extend(&ids[sequence]);
            } else {
                let token = ids[sequence].len() as u32;
                layout.push_rows(sequence, 0, [token].into(), [token].into());
                rows.push(101);
            }
        }
        let x = model.decoder.embed(&rows).unwrap();
        let runs = plans
            .iter()
            .map(|plan| (plan.clone(), EffectLog::default()))
            .collect();
        let (hidden, layout) = model
            .decoder
            .forward(x, &layout, caches, &mut PlanHooks::new(runs))
            .unwrap();
        let parts: Vec<Vec<f32>> = layout
            .spans
            .iter()
            .map(|s| {
                hidden
                    .narrow(0, s.rows.start, s.rows.len())
                    .unwrap()
                    .flatten_all()
                    .unwrap()
                    .to_vec1()
                    .unwrap()
            })
            .collect();
        parts
    };
    let mut alone = Vec::new();
    for (sequence, own) in ids.iter().enumerate() {
        let mut cache = cache(own.len());
        let prefilled = run(&[sequence], 1, &mut [Some(&mut cache)]);
        let decoded = run(&[sequence], 0, &mut [Some(&mut cache)]);
        alone.push((prefilled[0].clone(), decoded[0].clone()));
    }
    let mut caches: Vec<SequenceCache> = ids.iter().map(|ids| cache(ids.len())).collect();
    let [a, b, c, d] = &mut caches[..] else {
        unreachable!()
    };
    let first = run(&[2, 3], 2, &mut [Some(c), Some(d)]);
    assert_eq!(first, [alone[2].0.clone(), alone[3].0.clone()]);
    let mixed = run(&[0, 1, 2, 3], 2, &mut [Some(a), Some(b), Some(c), Some(d)]);
    assert_eq!(
        mixed,
        [
            alone[0].0.clone(),
            alone[1].0.clone(),
            alone[2].1.clone(),
            alone[3].1.clone()
        ]
    );
}

#[test]
fn a_row_of_a_linear_layer_depends_on_itself_alone() {
    let draw = |seed: u64, count: usize| {
        let mut draws = Draws::new(seed, "", 0, 0);
        (0..count)
            .map(|_| draws.gaussian() as f32)
            .collect::<Vec<_>>()
    };
    let shapes = [
        (8, 8),
        (32, 32),
        (32, 48),
        (56, 32),
        (128, 128),
        (128, 192),
        (160, 96),
        (588, 128),
        (128, 452),
        (1024, 96),
    ];
    for (dtype, (k, n)) in [DType::F32, DType::BF16]
        .into_iter()
        .flat_map(|d| shapes.map(|s| (d, s)))
    {
        let tensor = |seed, rows: usize, columns: usize| {
            Tensor::from_vec(draw(seed, rows * columns), (rows, columns), &Device::Cpu)
                .unwrap()
                .to_dtype(dtype)
                .unwrap()
        };
        let (weight, bias) = (tensor(1, n, k), tensor(3, 1, n).flatten_all().unwrap());
        let linear = Linear::new(weight.clone(), Some(bias.clone())).unwrap();
        let x = tensor(2, 40, k);
        let bits = |t: Tensor| t.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
        let whole = bits(linear.forward(&x).unwrap());
        for start in [0, 1, 3, 17, 39] {
            for rows in [1, 2, 3, 4, 5, 8, 23] {
                let rows = rows.min(40 - start);
                let part = bits(linear.forward(&x.narrow(0, start, rows).unwrap()).unwrap());
                assert!(
                    part == whole[start..start + rows],
                    "{dtype:?} {k} -> {n}: rows {start}..{}",
                    start + rows
                );
            }
        }
        assert_eq!(
            bits(linear.weight().unwrap()),
            bits(weight.clone()),
            "unpacking gives the weight back"
        );
        let double = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
        let exact = double(&x)
            .matmul(&double(&weight).t().unwrap())
            .unwrap()
            .broadcast_add(&double(&bias))
            .unwrap();
        let norm = |t: Tensor| {
            t.sqr()
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f64>()
                .unwrap()
                .sqrt()
        };
        let error = norm((double(&linear.forward(&x).unwrap()) - &exact).unwrap()) / norm(exact);
        assert!(
            error < if dtype == DType::F32 { 6e-7 } else { 4e-3 },
            "{dtype:?} {k} -> {n}: {error:e}"
        );
    }
}

fn cache(prompt: usize) -> SequenceCache {
    SequenceCache::new(
        prompt,
        16,
        &MemoryTracker::default(),
        &MemoryTracker::default(),
    )
}

/// Looks at everything and changes nothing: attention then goes step by step.
struct Onlooker;

impl Hooks for Onlooker {
    fn on(&mut self, _: Point, _: &[Span], value: Tensor) -> TensorResult<Tensor> {
        Ok(value)
    }
}

/// Prefills in chunks, row by row, from another sequence's prefix and with every hook read: all give
/// the same bits.
#[test]
fn a_prefill_in_parts_is_a_prefill() {
    for set in [
        "tiny-gqa-tied",
        "tiny-next-mistral",
        "tiny-onevision",
        "shapes",
    ]
    .iter()
    .chain(&DECODERS)
    {
        let model = model(set);
        let ids: Vec<u32> = (0..40).map(|i| 5 + i * 7 % 90).collect();
        let layers = model.decoder.config().num_hidden_layers;
        let embedded = model.decoder.embed(&ids).unwrap();
        let run = |x: &Tensor,
                   slot: usize,
                   from: usize,
                   cache: Option<&mut SequenceCache>,
                   hooks: &mut dyn Hooks| {
            let tokens: Vec<u32> = (from..from + x.dim(0).unwrap()).map(|t| t as u32).collect();
            let mut layout = Layout::default();
            layout.push_rows(0, slot, tokens.clone().into(), tokens.into());
            let (hidden, _) = model
                .decoder
                .forward(x.clone(), &layout, &mut [cache], hooks)
                .unwrap();
            hidden.to_vec2::<f32>().unwrap()
        };
        let rows = |from: usize, count: usize| embedded.narrow(0, from, count).unwrap();
        let mut whole_cache = cache(40);
        (0..=layers).for_each(|slot| whole_cache.request_checkpoint(slot, 0));
        let whole = run(&embedded, 0, 0, Some(&mut whole_cache), &mut NoHooks);
        assert_eq!(
            run(&embedded, 0, 0, None, &mut Onlooker),
            whole,
            "{set}: looked at"
        );
        for chunk in [1, 3, 7, 16, 33] {
            let mut cache = cache(40);
            let mut parts = Vec::new();
            for from in (0..40).step_by(chunk) {
                parts.extend(run(
                    &rows(from, chunk.min(40 - from)),
                    0,
                    from,
                    Some(&mut cache),
                    &mut NoHooks,
                ));
            }
            assert_eq!(parts, whole, "{set}: chunks of {chunk}");
        }
        // As if its last rows had been generated.
        let mut cache = cache(30);
        run(&rows(0, 30), 0, 0, Some(&mut cache), &mut NoHooks);
        for (from, expected) in whole.iter().enumerate().skip(30) {
            assert_eq!(
                run(&rows(from, 1), 0, from, Some(&mut cache), &mut NoHooks)[0],
                *expected,
                "{set}: decoded"
            );
        }
        for (slot, position) in [(0, 0), (0, 17), (1, 17), (2, 0), (layers, 39)] {
            let mut fork = whole_cache.share_prefix(slot, position, 40, 1);
            let x = whole_cache.checkpoints(slot)[0]
                .rows
                .narrow(0, position as usize, 40 - position as usize)
                .unwrap();
            let hidden = run(&x, slot, position as usize, Some(&mut fork), &mut NoHooks);
            assert_eq!(
                hidden,
                whole[position as usize..],
                "{set}: from layer {slot}, token {position}"
            );
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let bench = Bench::new("tiny-gqa-tied");
    let sample = |seed| {
        let draws = Draws::new(seed, "", 0, 0);
        let sampling = Sampling {
            temperature: 1.5,
            top_k: 0,
            top_p: 0.95,
            draws,
            ..Sampling::greedy()
        };
        collect(bench.submit(&[permute(Order::Seed(seed))], sampling, 12)).0
    };
    assert_eq!(sample(1), sample(1));
    assert_ne!(sample(1), sample(2));
}

#[test]
fn permuting_before_the_projector_is_permuting_after_it() {
    let model = model("tiny-gqa-tied");
    let goldens = goldens("tiny-gqa-tied");
    let pixels = goldens.prepare(&model, &goldens.cases[0]).unwrap().pixels;
    let mut batch = ViewBatch::default();
    batch.push_picture(model.tower.info(), (0, 0), 1, square(&model));
    let x = model.tower.embed(&pixels[0], &batch, &mut NoHooks).unwrap();
    let (features, layout) = model.tower.forward(x, &batch, &mut NoHooks).unwrap();
    let order = Draws::new(3, "", 0, 0).permutation(square(&model).tokens);
    let index = Tensor::from_vec(order.clone(), order.len(), &Device::Cpu).unwrap();
    let project = |x: &Tensor| {
        model
            .own_projector()
            .forward(x, &layout, &mut NoHooks)
            .unwrap()
    };
    let before = project(&features.index_select(&index, 0).unwrap());
    let after = project(&features).index_select(&index, 0).unwrap();
    let difference = (before - after)
        .unwrap()
        .abs()
        .unwrap()
        .max_all()
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    assert!(difference <= 1e-6, "{difference}");
}

#[test]
fn salient_and_non_salient_patches_partition_the_picture() {
    let bench = Bench::new("shapes");
    for step in 0..=10 {
        let share = f64::from(step) / 10.0;
        for amount in [Amount::Mass(share), Amount::Share(share)] {
            let cells = |choice| {
                bench.plan(&[occlude(choice)]).resolved[0].resolutions[0]
                    .indices
                    .clone()
            };
            let mut both = cells(Choice::Salient(salient(amount)));
            both.extend(cells(Choice::NonSalient(salient(amount))));
            both.sort_unstable();
            assert_eq!(both, (0..36).collect::<Vec<u32>>(), "{amount:?}");
        }
    }
}

#[test]
fn blocks_keep_tokens_in_their_block() {
    let bench = Bench::new("shapes");
    let scoped = PermuteTokens {
        order: Order::Seed(3),
        scope: Scope::WithinBlocks(3),
    };
    let plan = bench.plan(&[Intervention::PermuteTokens(scoped)]);
    let order = &plan.resolved[0].resolutions[0].indices;
    let block = |i: u32| ((i / 6) / 2, (i % 6) / 2);
    assert!(
        order
            .iter()
            .enumerate()
            .all(|(i, &o)| block(i as u32) == block(o))
    );
    assert!(order.iter().enumerate().any(|(i, &o)| i as u32 != o));
}

#[test]
fn scopes_keep_tokens_where_they_belong() {
    for set in ["tiny-next-llama", "tiny-onevision"] {
        let bench = Bench::new(set);
        let places = bench.prepared().images.swap_remove(0).places;
        let order = |scope| {
            let plan = bench.plan(&[Intervention::PermuteTokens(PermuteTokens {
                order: Order::Seed(3),
                scope,
            })]);
            plan.resolved[0].resolutions[0].indices.clone()
        };
        let tile = |place: Place| match place {
            Place::Class | Place::Newline | Place::Pooled => None,
            Place::Base { .. } => Some(0),
            Place::Canvas { tile, .. } => Some(1 + tile),
        };
        for scope in [
            Scope::All,
            Scope::WithinTiles,
            Scope::BaseView,
            Scope::WithinBlocks(2),
        ] {
            let order = order(scope);
            assert!(!order.is_sorted(), "{set} {scope:?}");
            for (i, &o) in order.iter().enumerate() {
                let (from, to) = (tile(places[o as usize]), tile(places[i]));
                assert_eq!(from.is_none(), to.is_none(), "newlines stay");
                assert!(to.is_some() || o as usize == i, "newlines stay");
                match scope {
                    Scope::WithinTiles => assert_eq!(from, to, "{set}"),
                    Scope::BaseView => {
                        assert!(to == Some(0) || o as usize == i, "{set}: tiles stay");
                    }
                    Scope::All | Scope::WithinBlocks(_) => {}
                }
            }
        }
    }
}

/// A record is written as JSON and read again before it is verified.
#[test]
fn records_keep_every_bit_as_json() {
    let mut state = 1_u64;
    for _ in 0..10_000 {
        // A generator of Knuth's; any bits will do.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let change = (state >> 11) as f64 / (1_u64 << 53) as f64;
        let record = scotoma_client::v1::ResolvedIntervention {
            relative_change: Some(change),
            ..Default::default()
        };
        let text = serde_json::to_string(&record).unwrap();
        let read: scotoma_client::v1::ResolvedIntervention = serde_json::from_str(&text).unwrap();
        assert_eq!(
            read.relative_change.map(f64::to_bits),
            Some(change.to_bits()),
            "{text}"
        );
    }
}
