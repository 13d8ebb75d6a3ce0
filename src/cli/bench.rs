//! `scotoma bench`: how fast a model is on a device, and how close to what the device can do.

#[cfg(feature = "cuda")]
mod card_copy;
mod ceilings;
mod report;
mod rows;
mod serving;
mod warm_median;

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use clap::Args;

use report::{BenchReport, scaled};

use super::device::DeviceArgs;
use super::error::Failure;
use super::origin::{AdapterArgs, named_origin};
use crate::engine::{Cost, Engine, Limits};
use crate::intervention::{Plan, RowsProcessed};
use crate::model::{self, Load, LoadTo, Model, ResidentTower, Source, ViewBatch};
use crate::nn::{
    Backend, DecodeSlots, Layout, MemoryTracker, NoHooks, SequenceCache, Stack, likeliest,
};
use crate::pipeline;
use crate::server::ServerConfig;
use crate::telemetry::memory_used;
use crate::vision::{MAX_PIXELS, Picture, Rgb};

/// Words after a picture, about as many tokens as a benchmark's question has.
const QUESTION_TOKENS: usize = 50;
/// Rows that one prefill step of the decode measurement reads.
const CHUNK: usize = 8;
/// Steps of decoding that are timed, after two that are not.
const STEPS: usize = 16;

/// Flags of `bench`.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// The model, as `serve --model` takes it
    #[arg(default_value = model::SHAPES)]
    model: String,
    #[command(flatten)]
    adapter: AdapterArgs,
    /// A model of real size with random weights, as `serve --random-weights` takes it
    #[arg(long, value_name = "MODEL", conflicts_with = "model")]
    random_weights: Option<String>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Sequences that decode together, such as 1,8,32
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = [1, 8, 32],
        value_parser = clap::value_parser!(u32).range(1..=4096)
    )]
    batch: Vec<u32>,
    /// Repetitions of each measurement; the median is printed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    repeat: u16,
    /// Measure these parts alone, and the ceilings of the device unless it is rows alone
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = BenchPart::ALL)]
    parts: Vec<BenchPart>,
    /// Prompts that are read together and their tokens, such as 8x626
    ///
    /// Default: 1 and 8 prompts of a picture and a question. Repeat for several.
    #[arg(long, value_name = "PROMPTSxTOKENS", value_delimiter = ',')]
    prefill: Vec<PrefillShape>,
    /// Most rows of a product in which the bits of a row are compared with the row alone
    ///
    /// Default: 8192 on a GPU, 626 on a CPU.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    most_rows: Option<u32>,
    /// Serve this many requests afterwards, and fail if memory grows; 0 serves none
    #[arg(long, default_value_t = 0)]
    soak: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Names the parts that `--parts` chooses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum BenchPart {
    /// Tower, projector and prefill
    Stages,
    /// Decoding of several sequences together
    Decode,
    /// Sweeps, beside their variants one by one
    Sweeps,
    /// The numbers of rows in a call that change the bits of a row
    Rows,
}

impl BenchPart {
    const ALL: [Self; 4] = [Self::Stages, Self::Decode, Self::Sweeps, Self::Rows];
}

/// Prompts that are read together, and the tokens of each.
#[derive(Debug, Clone, Copy)]
struct PrefillShape {
    prompts: usize,
    tokens: usize,
}

impl FromStr for PrefillShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const MOST: usize = 1 << 20;
        let number = |text: &str| text.parse().ok().filter(|n| (1..=MOST).contains(n));
        let both = text.split_once('x');
        both.and_then(|(prompts, tokens)| {
            Some(Self {
                prompts: number(prompts)?,
                tokens: number(tokens)?,
            })
        })
        .ok_or_else(|| format!("{text}: PROMPTSxTOKENS is needed, such as 8x626, each 1 to {MOST}"))
    }
}

impl Bench {
    pub(super) async fn run(self) -> Result<(), Failure> {
        tokio::task::spawn_blocking(move || self.measure()).await?
    }

    fn measure(&self) -> Result<(), Failure> {
        let mut report = BenchReport::default();
        let bench = self.load(&mut report)?;
        for part in BenchPart::ALL {
            if self.parts.contains(&part) {
                report = self.part(part, &bench, report)?;
            }
        }
        // Last, since what they allocate a GPU's pool keeps, which would hide what stages take.
        if self.parts != [BenchPart::Rows] {
            report = bench.at_home(report, Measured::ceilings)?;
        }
        report.set_floors();
        report.remember("at the end", &bench.engine)?;
        let grown = if self.soak > 0 {
            bench.soak(&mut report, self.soak)?
        } else {
            0
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            report.print();
        }
        // An allocator may round up what it holds.
        if grown > 64 << 20 {
            Err(format!("memory grew by {grown} bytes while serving").into())
        } else {
            Ok(())
        }
    }

    /// Loads the model on a device of its own, and reports what that takes.
    fn load(&self, report: &mut BenchReport) -> Result<Measured, Failure> {
        let mut config = ServerConfig {
            models: Vec::new(),
            ..ServerConfig::shapes()
        };
        self.device.apply(&mut config)?;
        // `--device` of this command is one group.
        let device = config.devices.swap_remove(0);
        let (dtype, matrices) = pipeline::format_on(&device, config.dtype)?;
        let (name, source) = self.source()?;
        let mut limits = Limits::for_devices(std::slice::from_ref(&device));
        if self.soak > 0 {
            // Caches are small, so that they are full after the first tenth.
            (limits.kv_bytes, limits.picture_bytes) = (2 << 30, 32 << 20);
        }
        let engine = Engine::on(device.clone(), limits)?;
        report.remember("before loading", &engine)?;
        let start = Instant::now();
        let options = Load {
            matrices,
            keys_and_values: limits.kv_bytes as u64,
            image_processor: self.device.image_processor(&name)?,
            ..Load::new(dtype, device.clone())
        };
        let prepared = Model::prepare(&name, &source, &options)?;
        let loaded = engine.load(
            move |to: &LoadTo<'_>| {
                let model = prepared.load(to)?;
                // Copies to a card are queued: without this the clock would stop before they are
                // done.
                to.devices.iter().try_for_each(Device::synchronize)?;
                Ok(model)
            },
            &|_, _| {},
        )?;
        let model = Arc::new(loaded?);
        let loading = start.elapsed();
        report.remember("with the model", &engine)?;
        report.model = name;
        report.device = device.to_string();
        report.dtype = model.weight_format().name().into();
        report.parameters = model.parameters;
        let bench = Measured {
            engine,
            repeat: self.repeat.into(),
            model,
        };
        report.push("load", loading, |row| {
            row.rate = Some(bench.model.resident_bytes as f64 / loading.as_secs_f64());
            row.note = format!("{}B", scaled(bench.model.resident_bytes as f64));
        });
        Ok(bench)
    }

    /// Returns the name of the model and its files, which are fetched where they are on the hub.
    fn source(&self) -> Result<(String, Source), Failure> {
        let place = match &self.random_weights {
            Some(name) => format!("{}{name}", model::RANDOM),
            None => self.model.clone(),
        };
        let (name, origin) = named_origin(&place)?;
        let wrong = self.device.wrong_processors(std::iter::once(name.as_str()));
        if let Some(first) = wrong.into_iter().next() {
            return Err(first.into());
        }
        // This thread is the pool's for what blocks, so that it may wait.
        let source = tokio::runtime::Handle::current().block_on(self.adapter.fetch(origin))?;
        Ok((name, source))
    }

    fn batches(&self) -> Vec<usize> {
        self.batch.iter().map(|&batch| batch as usize).collect()
    }

    fn part(
        &self,
        part: BenchPart,
        bench: &Measured,
        mut report: BenchReport,
    ) -> Result<BenchReport, Failure> {
        match part {
            BenchPart::Stages => {
                let prefills = self.prefill.clone();
                bench.at_home(report, move |bench, report| {
                    bench.prefills(report, &prefills)?;
                    bench.stages(report)
                })
            }
            BenchPart::Decode => {
                let batches = self.batches();
                bench.at_home(report, move |bench, report| {
                    let mut batches = batches.iter();
                    batches.try_for_each(|&batch| bench.decode(report, batch))
                })
            }
            BenchPart::Sweeps => {
                bench.sweeps(&mut report)?;
                Ok(report)
            }
            BenchPart::Rows => {
                let most = self.most_rows.map(|rows| rows as usize);
                let batches = self.batches();
                bench.at_home(report, move |bench, report| {
                    bench.row_laws(report, most, &batches)
                })
            }
        }
    }
}

#[derive(Clone)]
struct Measured {
    /// Owns the device, and has the model there.
    engine: Engine,
    model: Arc<Model>,
    repeat: usize,
}

impl Measured {
    /// Does `work` on the thread that owns the device; returns the report that it adds to.
    fn at_home(
        &self,
        mut report: BenchReport,
        work: impl FnOnce(&Self, &mut BenchReport) -> Result<(), Failure> + Send + 'static,
    ) -> Result<BenchReport, Failure> {
        let own = self.clone();
        let work = move || work(&own, &mut report).map(|()| report);
        self.engine.load(move |_| Ok(work()), &|_, _| {})??
    }

    /// Returns the median time of `work`, after one run that is not counted.
    fn time<T>(&self, mut work: impl FnMut() -> Result<T, Failure>) -> Result<Duration, Failure> {
        let device = self.model.on_device()?;
        time_once(&device, &mut work)?;
        let mut times = (0..self.repeat)
            .map(|_| time_once(&device, &mut work))
            .collect::<Result<Vec<_>, _>>()?;
        times.sort_unstable();
        Ok(times[times.len() / 2])
    }

    fn random(&self, rows: usize, width: usize) -> Result<Tensor, Failure> {
        let values = Tensor::rand(-1f32, 1f32, (rows, width), &*self.model.on_device()?)?;
        Ok(values.to_dtype(self.model.dtype)?)
    }

    fn picture(&self, seed: usize) -> Result<Picture, Failure> {
        let side = self.model.tower.info().image_size;
        let pixels = (0..3 * side * side)
            // Any pixels do, as long as seeds differ: equal pictures would be encoded once and then
            // found in a cache.
            .map(|i| (i * 31 + seed * 97 + i / 977) as u8)
            .collect();
        let picture = Rgb {
            width: side,
            height: side,
            data: pixels,
        };
        Ok(self.model.processor.picture(&picture, 1, MAX_PIXELS)?)
    }

    /// Counts the tokens of a picture and a question.
    fn prompt(&self) -> Result<usize, Failure> {
        Ok(self.model.tokens(&self.picture(0)?).len() + QUESTION_TOKENS)
    }

    fn stages(&self, report: &mut BenchReport) -> Result<(), Failure> {
        // On a CPU eight views take about eight times as long as one, and show nothing more.
        let (model, repeat) = (&self.model, if self.model.device.is_cpu() { 1 } else { 8 });
        let tokens = model.tokens(&self.picture(0)?);
        let (views, view) = (tokens.views, tokens.view);
        let pixels = model
            .pixels(&self.picture(0)?)?
            .upload(&*model.on_device()?)?;
        // Once, where both are 1.
        for count in [1, repeat].into_iter().take(repeat.min(2)) {
            let all = Tensor::cat(&vec![pixels.clone(); count], 0)?;
            let mut batch = ViewBatch::default();
            for image in 0..count {
                batch.push_picture(model.tower.info(), (0, image), views, view);
            }
            let (features, layout) = encoded(&model.tower, &all, &batch)?;
            let time = self.time(|| encoded(&model.tower, &all, &batch))?;
            let layers = model.tower.info().layers_run();
            let rows = (count * views * view.rows * layers) as u64;
            // Every row of a view attends to all rows of that view.
            let passed = RowsProcessed {
                rows,
                keys: rows * view.rows as u64,
            };
            let patches = Cost::of_patches(model, &tokens).times(count as u64);
            let cost = patches + Cost::of_passed(model, Stack::VisionTower, passed);
            let weights = layers * model.tower.info().layer_weights;
            report.product(
                format!("vision tower, {} views", count * views),
                time,
                (cost, self.bytes(weights)),
                (count * views) as f64,
            );
            let time = self.time(|| {
                Ok(model
                    .own_projector()
                    .forward(&features, &layout, &mut NoHooks)?)
            })?;
            let cost = Cost::of_projector(model.own_projector(), &tokens).times(count as u64);
            report.product(
                format!("projector, {} views", count * views),
                time,
                (cost, 0.0),
                (count * views) as f64,
            );
        }
        Ok(())
    }

    /// Reads prompts: those of `shapes`, or 1 and 8 of a picture and a question.
    fn prefills(&self, report: &mut BenchReport, shapes: &[PrefillShape]) -> Result<(), Failure> {
        let tokens = self.prompt()?;
        let usual = [1, 8].map(|prompts| PrefillShape { prompts, tokens });
        for &PrefillShape { prompts, tokens } in if shapes.is_empty() { &usual } else { shapes } {
            let before = self.memory_used()?;
            let time =
                self.time(|| Ok(self.prefill(prompts, tokens, &MemoryTracker::default())?.1))?;
            // A GPU's pool keeps what it was given: the growth is the most that was in use, beyond
            // what rows before have needed.
            let grown = self.memory_used()?.saturating_sub(before);
            let one = Cost::of_prompt(&self.model, &Plan::default(), &[], tokens, &[0]);
            report.product(
                format!("prefill, {prompts} x {tokens} tokens"),
                time,
                (one.times(prompts as u64), self.bytes(self.weights())),
                (prompts * tokens) as f64,
            );
            // `product` has just added it.
            if let Some(row) = report.rows.last_mut() {
                row.note = format!("{}, memory grew by {}B", row.note, scaled(grown as f64));
            }
        }
        Ok(())
    }

    /// Counts the numbers in the language model's matrices, its head among them.
    fn weights(&self) -> usize {
        // A number of a matrix is two operations: a product and a sum. With no key there is no
        // attention in it.
        Cost::of_step(&self.model, &Plan::default(), 0, 0).flops as usize / 2
    }

    /// Returns the bytes that so many numbers of the model take.
    fn bytes(&self, numbers: usize) -> f64 {
        (numbers * self.model.dtype.size_in_bytes()) as f64
    }

    /// Returns the bytes in use on the device.
    fn memory_used(&self) -> Result<u64, Failure> {
        Ok(memory_used(self.random(1, 1)?.device()).unwrap_or(0))
    }

    /// Reads `batch` prompts of `prompt` tokens. Returns the logits of their last rows.
    fn prefill(
        &self,
        batch: usize,
        prompt: usize,
        kv: &MemoryTracker,
    ) -> Result<(Vec<SequenceCache>, Tensor), Failure> {
        let model = &self.model;
        // Time does not depend on which words are read.
        let ids = vec![4u32; batch * prompt];
        let mut layout = Layout::default();
        (0..batch).for_each(|sequence| layout.push_sequence(sequence, (0, 0), prompt));
        let mut caches: Vec<SequenceCache> = (0..batch)
            // Room for the steps that are timed, and for those before them.
            .map(|_| SequenceCache::new(prompt, STEPS + 4, kv, kv))
            .collect();
        let mut own: Vec<Option<&mut SequenceCache>> = caches.iter_mut().map(Some).collect();
        let (hidden, _) =
            model
                .decoder
                .forward(model.decoder.embed(&ids)?, &layout, &mut own, &mut NoHooks)?;
        // The rows of the prompts lie one after the other: the last of each.
        let last: Vec<u32> = (1..=batch).map(|i| (i * prompt - 1) as u32).collect();
        let last = Tensor::from_vec(last, batch, hidden.device())?;
        // (batch, vocabulary)
        let logits = model.decoder.logits(
            &hidden.index_select(&last, 0)?,
            &Layout::default(),
            &mut NoHooks,
        )?;
        Ok((caches, logits))
    }

    fn decode(&self, report: &mut BenchReport, batch: usize) -> Result<(), Failure> {
        let (model, prompt, kv) = (&self.model, self.prompt()?, MemoryTracker::default());
        let lanes = DecodeSlots::new(&kv);
        let mut caches = Vec::with_capacity(batch);
        while caches.len() < batch {
            caches.extend(
                self.prefill(CHUNK.min(batch - caches.len()), prompt, &kv)?
                    .0,
            );
        }
        // A CPU's own kernels decode from each sequence's cache; slots are for batched products on
        // a GPU.
        if model.device.backend() == Backend::Candle {
            caches.iter_mut().for_each(|cache| cache.use_slots(&lanes));
        }
        let mut ids = vec![4u32; batch];
        // Two steps that are not counted: the first moves keys into slots, the second is the first
        // to find them there.
        for number in 0..2 {
            ids = next_tokens(&self.decode_step(&mut caches, &ids, prompt + number)?)?;
        }
        // Nothing to synchronise: the tokens of each step come back to the CPU, which waits for
        // them.
        let start = Instant::now();
        for number in 2..STEPS + 2 {
            ids = next_tokens(&self.decode_step(&mut caches, &ids, prompt + number)?)?;
        }
        let time = start.elapsed() / STEPS as u32;
        // A step reads all matrices once, and all keys and values.
        let config = model.decoder.config();
        // Keys and values that one token leaves in all layers, in numbers.
        let row = 2 * config.num_hidden_layers * config.kv_heads() * config.head_width();
        // The mean over the steps that are timed: each reads one key more than the one before.
        let seen = prompt + STEPS / 2;
        let read = self.bytes(self.weights() + batch * seen * row);
        let cost = Cost::of_step(model, &Plan::default(), prompt, STEPS / 2).times(batch as u64);
        report.push(&format!("decode, {batch} at once"), time, |row| {
            row.rate = Some(batch as f64 / time.as_secs_f64());
            (row.flops, row.bytes) = (Some(cost.flops as f64), Some(read));
            row.note = format!(
                "{}B read a step, keys and values take {}B",
                scaled(read),
                scaled(kv.bytes() as f64)
            );
        });
        Ok(())
    }

    /// Runs one step of sequences that read one token each, all as number `place`. Returns their
    /// logits.
    fn decode_step(
        &self,
        caches: &mut [SequenceCache],
        ids: &[u32],
        place: usize,
    ) -> Result<Tensor, Failure> {
        let model = &self.model;
        let mut layout = Layout::default();
        for sequence in 0..caches.len() {
            layout.push_rows(sequence, 0, [place as u32].into(), [place as u32].into());
        }
        let mut own: Vec<Option<&mut SequenceCache>> = caches.iter_mut().map(Some).collect();
        let rows = model.decoder.embed(ids)?;
        let (hidden, layout) = model
            .decoder
            .forward(rows, &layout, &mut own, &mut NoHooks)?;
        Ok(model.decoder.logits(&hidden, &layout, &mut NoHooks)?)
    }
}

/// Returns the likeliest token of each row. As in the engine, that is all that comes back.
fn next_tokens(logits: &Tensor) -> Result<Vec<u32>, Failure> {
    let found = likeliest(logits)?.to_device(&Device::Cpu)?;
    let found = found.to_vec2::<f32>()?;
    Ok(found.iter().map(|f| f[0] as u32).collect())
}

/// Returns the time of `work` on a device, which is done when the device is.
fn time_once<T>(
    device: &Device,
    work: &mut impl FnMut() -> Result<T, Failure>,
) -> Result<Duration, Failure> {
    device.synchronize()?;
    let start = Instant::now();
    let result = work()?;
    device.synchronize()?;
    // Freed after the clock has stopped.
    let time = start.elapsed();
    drop(result);
    Ok(time)
}

/// Returns the features of pictures, and how their rows lie.
fn encoded(
    tower: &ResidentTower,
    pixels: &Tensor,
    batch: &ViewBatch,
) -> Result<(Tensor, Layout), Failure> {
    let x = tower.embed(pixels, batch, &mut NoHooks)?;
    Ok(tower.forward(x, batch, &mut NoHooks)?)
}
