//! Laws, bit for bit on the CPU: what must not change an answer does not change one bit of it.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use common::{goldens, job, model};
use scotoma::engine::parity::{Prepared, Resident};
use scotoma::engine::{Engine, Event, Events, Limits, Sampling, Work};
use scotoma::intervention::{
    Amount, Applied, Choice, Draws, DropLayers, Fill, Intervention, Observed, OccludePatches, Order, PermuteTokens,
    Plan, SaliencySource, Salient, Scope, SwapProjector,
};
use scotoma::model::{DEFAULT_PROJECTOR, Model, Place};
use scotoma::nn::{KvCache, Layout, Linear, NoHooks, Stack};

/// Token ids with the bits of the 20 highest log-probabilities.
type Answer = Vec<(u32, Vec<u64>)>;

struct Bench {
    model: Arc<Model>,
    engine: Engine,
}

impl Bench {
    fn new(set: &str) -> Self {
        Self { model: Arc::new(model(set)), engine: Engine::start(Limits::default()).unwrap() }
    }

    fn plan(&self, list: &[Intervention]) -> Plan {
        Plan::clone(&self.under(list).plan)
    }

    fn prepared(&self) -> Prepared {
        self.under(&[])
    }

    fn under(&self, list: &[Intervention]) -> Prepared {
        let goldens = goldens(&self.model.name);
        goldens.prepare_under(&self.model, &goldens.cases[0], list, &Resident::default()).unwrap()
    }

    fn submit(&self, list: &[Intervention], sampling: Sampling, max_tokens: usize) -> Events {
        let work = Work::Generate { sampling, max_tokens, top_logprobs: 20 };
        self.engine.submit(job(self.under(list), &self.model, work)).unwrap()
    }

    fn answer(&self, list: &[Intervention]) -> Answer {
        collect(self.submit(list, Sampling::greedy(), 12))
    }

    fn tokens(&self) -> usize {
        self.prepared().images[0].len()
    }
}

fn collect(mut events: Events) -> Answer {
    let mut answer = Vec::new();
    while let Some(event) = events.blocking_recv() {
        let token = match event.unwrap() {
            Event::Token(token) => token,
            Event::Prefilled(_) => continue,
            Event::Captured(_) | Event::Scored { .. } => panic!("not asked for"),
        };
        answer.push((token.id, token.top.iter().map(|t| t.1.to_bits()).collect()));
        if token.finish.is_some() {
            break;
        }
    }
    answer
}

fn permute(order: Order) -> Intervention {
    Intervention::PermuteTokens(PermuteTokens { order, scope: Scope::All })
}

fn occlude(choice: Choice) -> Intervention {
    Intervention::OccludePatches(OccludePatches { choice, grid: 0, fill: Fill::BLACK, fill_seed: 0 })
}

fn salient(amount: Amount) -> Salient {
    Salient { amount, source: SaliencySource::Tower, head: None }
}

fn drop_layers(stack: Stack, layers: &[u32]) -> Intervention {
    Intervention::DropLayers(DropLayers { stack, layers: layers.to_vec() })
}

#[test]
fn what_changes_nothing_changes_no_bit() {
    for set in ["tiny-gqa-tied", "tiny-full-old-names", "tiny-next-mistral", "tiny-onevision", "shapes"] {
        let bench = Bench::new(set);
        let baseline = bench.answer(&[]);
        let identity = (0..bench.tokens() as u32).collect();
        let same: [(&str, Vec<Intervention>); 7] = [
            ("identity permutation", vec![permute(Order::Given(identity))]),
            ("ratio 0", vec![occlude(Choice::Random { ratio: 0.0, seed: 1 })]),
            ("no salient mass", vec![occlude(Choice::Salient(salient(Amount::Mass(0.0))))]),
            ("no cells", vec![occlude(Choice::Indices(Vec::new()))]),
            ("no layers", vec![drop_layers(Stack::LanguageModel, &[])]),
            ("no tower layers", vec![drop_layers(Stack::VisionTower, &[])]),
            ("own projector", vec![Intervention::SwapProjector(SwapProjector::Named(DEFAULT_PROJECTOR.into()))]),
        ];
        for (name, list) in same {
            assert_eq!(bench.answer(&list), baseline, "{set}: {name}");
            assert!(bench.plan(&list).resolved[0].changed_nothing, "{set}: {name} is not flagged");
        }
        assert_ne!(bench.answer(&[drop_layers(Stack::LanguageModel, &[1])]), baseline, "{set}: dropping must matter");
    }
}

#[test]
fn a_permutation_and_its_inverse_cancel() {
    let bench = Bench::new("tiny-gqa-tied");
    let order = Draws::new(5, "", 0, 0).permutation(bench.tokens());
    let mut inverse = vec![0; order.len()];
    order.iter().enumerate().for_each(|(i, &o)| inverse[o as usize] = i as u32);
    let permuted = [permute(Order::Given(order)), permute(Order::Given(inverse))];
    assert_eq!(bench.answer(&permuted), bench.answer(&[]));
    assert_ne!(bench.answer(&permuted[..1]), bench.answer(&[]));
}

#[test]
fn company_changes_no_bit() {
    for set in ["tiny-gqa-tied", "tiny-next-mistral", "tiny-onevision", "shapes"] {
        let bench = Bench::new(set);
        let lists: Vec<Vec<Intervention>> = vec![
            vec![],
            vec![permute(Order::Seed(1))],
            vec![drop_layers(Stack::LanguageModel, &[0])],
            vec![drop_layers(Stack::VisionTower, &[1]), permute(Order::Seed(2))],
            vec![Intervention::SwapProjector(SwapProjector::Random(3))],
            vec![occlude(Choice::Random { ratio: 0.5, seed: 4 })],
            vec![occlude(Choice::NonSalient(salient(Amount::Share(0.3)))), drop_layers(Stack::LanguageModel, &[1, 2])],
            vec![permute(Order::Seed(9)), drop_layers(Stack::LanguageModel, &[0, 2])],
        ];
        let alone: Vec<Answer> = lists.iter().map(|list| bench.answer(list)).collect();
        // Three rounds at once: they prefill and decode beside each other in ever other company.
        let together: Vec<Events> =
            (0..3).flat_map(|_| &lists).map(|list| bench.submit(list, Sampling::greedy(), 12)).collect();
        for (i, events) in together.into_iter().enumerate() {
            assert_eq!(collect(events), alone[i % lists.len()], "{set}: request {i}");
        }
    }
}

/// The same in one packed tensor, so that the company is certain: two prompts and two decode rows against each alone.
#[test]
fn packed_rows_equal_rows_alone() {
    let model = model("tiny-gqa-tied");
    let ids: Vec<Vec<u32>> = vec![vec![5, 60, 61, 62, 63, 64, 65], vec![9, 80], vec![7, 90, 91, 92], vec![8, 95, 96]];
    // Each runs another choice of layers; one of them some twice.
    let paths: [&[usize]; 4] = [&[1, 2], &[0, 1, 0, 1, 2], &[0, 1], &[0, 1, 2]];
    let plans = paths.map(|path| {
        Arc::new(Plan { paths: [(Stack::LanguageModel, path.into())].into_iter().collect(), ..Plan::default() })
    });
    let run = |sequences: &[usize], prefill: usize, caches: &mut [Option<&mut KvCache>]| {
        let mut layout = Layout::default();
        let mut rows = Vec::new();
        for (i, &sequence) in sequences.iter().enumerate() {
            if i < prefill {
                layout.prefill(sequence, (0, 0), ids[sequence].len());
                rows.extend(&ids[sequence]);
            } else {
                let token = ids[sequence].len() as u32;
                layout.decode(sequence, token, token);
                rows.push(101);
            }
        }
        let x = model.decoder.embed(&rows).unwrap();
        let runs = plans.iter().map(|plan| (plan.clone(), Observed::default())).collect();
        let (hidden, layout) = model.decoder.forward(x, &layout, caches, &mut Applied::new(runs)).unwrap();
        let parts: Vec<Vec<f32>> = layout
            .spans
            .iter()
            .map(|s| hidden.narrow(0, s.rows.start, s.rows.len()).unwrap().flatten_all().unwrap().to_vec1().unwrap())
            .collect();
        parts
    };
    let mut alone = Vec::new();
    for sequence in 0..4 {
        let mut cache = KvCache::new(16);
        let prefilled = run(&[sequence], 1, &mut [Some(&mut cache)]);
        let decoded = run(&[sequence], 0, &mut [Some(&mut cache)]);
        alone.push((prefilled[0].clone(), decoded[0].clone()));
    }
    let mut caches: Vec<KvCache> = (0..4).map(|_| KvCache::new(16)).collect();
    let [a, b, c, d] = &mut caches[..] else { unreachable!() };
    let first = run(&[2, 3], 2, &mut [Some(c), Some(d)]);
    assert_eq!(first, [alone[2].0.clone(), alone[3].0.clone()]);
    let mixed = run(&[0, 1, 2, 3], 2, &mut [Some(a), Some(b), Some(c), Some(d)]);
    assert_eq!(mixed, [alone[0].0.clone(), alone[1].0.clone(), alone[2].1.clone(), alone[3].1.clone()]);
}

#[test]
fn a_row_of_a_linear_layer_depends_on_itself_alone() {
    let draw = |seed: u64, count: usize| {
        let mut draws = Draws::new(seed, "", 0, 0);
        (0..count).map(|_| draws.gaussian() as f32).collect::<Vec<_>>()
    };
    let shapes =
        [(8, 8), (32, 32), (32, 48), (56, 32), (128, 128), (128, 192), (160, 96), (588, 128), (128, 452), (1024, 96)];
    for (dtype, (k, n)) in [DType::F32, DType::BF16].into_iter().flat_map(|d| shapes.map(|s| (d, s))) {
        let tensor = |seed, rows: usize, columns: usize| {
            Tensor::from_vec(draw(seed, rows * columns), (rows, columns), &Device::Cpu)
                .unwrap()
                .to_dtype(dtype)
                .unwrap()
        };
        let linear = Linear::new(tensor(1, n, k), None);
        let x = tensor(2, 40, k);
        let bits = |t: Tensor| t.to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
        let whole = bits(linear.forward_rows(&x, 40).unwrap());
        for start in [0, 1, 3, 17, 39] {
            for rows in [1, 2, 3, 4, 5, 8, 23] {
                let rows = rows.min(40 - start);
                let part = bits(linear.forward_rows(&x.narrow(0, start, rows).unwrap(), rows).unwrap());
                assert!(part == whole[start..start + rows], "{dtype:?} {k} -> {n}: rows {start}..{}", start + rows);
            }
        }
        let decoded = bits(linear.forward_rows(&x.narrow(0, 0, 1).unwrap(), 0).unwrap());
        let mixed = bits(linear.forward_rows(&Tensor::cat(&[x.clone(), x.clone()], 0).unwrap(), 40).unwrap());
        assert_eq!(mixed[..40], whole[..]);
        assert_eq!(mixed[40], decoded[0], "{dtype:?}: a decode row beside prefill rows");
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let bench = Bench::new("tiny-gqa-tied");
    let sample = |seed| {
        let draws = Draws::new(seed, "", 0, 0);
        let sampling = Sampling { temperature: 1.5, top_k: 0, top_p: 0.95, draws };
        collect(bench.submit(&[permute(Order::Seed(seed))], sampling, 12))
    };
    assert_eq!(sample(1), sample(1));
    assert_ne!(sample(1), sample(2));
}

#[test]
fn permuting_before_the_projector_is_permuting_after_it() {
    let model = model("tiny-gqa-tied");
    let goldens = goldens("tiny-gqa-tied");
    let pixels = goldens.prepare(&model, &goldens.cases[0]).unwrap().pixels;
    let (features, layout) =
        model.tower.forward(&Tensor::cat(&pixels, 0).unwrap(), &[(0, (0, 0))], &mut NoHooks).unwrap();
    let order = Draws::new(3, "", 0, 0).permutation(model.tower.tokens());
    let index = Tensor::from_vec(order.clone(), order.len(), &Device::Cpu).unwrap();
    let project = |x: &Tensor| model.own_projector().forward(x, &layout, &mut NoHooks).unwrap();
    let before = project(&features.index_select(&index, 0).unwrap());
    let after = project(&features).index_select(&index, 0).unwrap();
    let difference = (before - after).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(difference <= 1e-6, "{difference}");
}

#[test]
fn salient_and_non_salient_patches_partition_the_picture() {
    let bench = Bench::new("shapes");
    for step in 0..=10 {
        let share = f64::from(step) / 10.0;
        for amount in [Amount::Mass(share), Amount::Share(share)] {
            let cells = |choice| bench.plan(&[occlude(choice)]).resolved[0].resolutions[0].indices.clone();
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
    let scoped = PermuteTokens { order: Order::Seed(3), scope: Scope::WithinBlocks(3) };
    let plan = bench.plan(&[Intervention::PermuteTokens(scoped)]);
    let order = &plan.resolved[0].resolutions[0].indices;
    let block = |i: u32| ((i / 6) / 2, (i % 6) / 2);
    assert!(order.iter().enumerate().all(|(i, &o)| block(i as u32) == block(o)));
    assert!(order.iter().enumerate().any(|(i, &o)| i as u32 != o));
}

#[test]
fn scopes_keep_tokens_where_they_belong() {
    for set in ["tiny-next-llama", "tiny-onevision"] {
        let bench = Bench::new(set);
        let places = bench.prepared().images.swap_remove(0).places;
        let order = |scope| {
            let plan = bench.plan(&[Intervention::PermuteTokens(PermuteTokens { order: Order::Seed(3), scope })]);
            plan.resolved[0].resolutions[0].indices.clone()
        };
        let tile = |place: Place| match place {
            Place::Class | Place::Newline | Place::Pooled => None,
            Place::Base { .. } => Some(0),
            Place::Canvas { tile, .. } => Some(1 + tile),
        };
        for scope in [Scope::All, Scope::WithinTiles, Scope::BaseView, Scope::WithinBlocks(2)] {
            let order = order(scope);
            assert!(!order.is_sorted(), "{set} {scope:?}");
            for (i, &o) in order.iter().enumerate() {
                let (from, to) = (tile(places[o as usize]), tile(places[i]));
                assert_eq!(from.is_none(), to.is_none(), "newlines stay");
                assert!(to.is_some() || o as usize == i, "newlines stay");
                match scope {
                    Scope::WithinTiles => assert_eq!(from, to, "{set}"),
                    Scope::BaseView => assert!(to == Some(0) || o as usize == i, "{set}: tiles stay"),
                    Scope::All | Scope::WithinBlocks(_) => {}
                }
            }
        }
    }
}
