//! Plans which layers go to which device of a group, and what memory that takes, before anything
//! is loaded.
//!
//! A plan is arithmetic on bytes: it knows sizes and budgets, no tensors and no files. Layers stay
//! in their order, as in the pipeline parallelism of GPipe (Huang et al. 2019); the device that is
//! fullest decides how good a plan is.

use std::fmt;
use std::ops::Range;

/// The most bytes that a device keeps free of weights, keys and values: activations of a step,
/// workspaces of kernels, the driver's own.
const RESERVE: u64 = 2 << 30;

/// Returns what is for weights, keys and values of `free` bytes.
fn usable(free: u64) -> u64 {
    // A sixteenth, so that a small card is not all reserve.
    free - RESERVE.min(free / 16)
}

/// Bytes of a model, by where they go.
#[derive(Debug, Clone, Default)]
pub(super) struct ModelBytes {
    /// Tower, projector and embeddings, on the first device.
    pub(super) first: u64,
    /// Each layer of the decoder.
    pub(super) layers: Vec<u64>,
    /// Final norm and head, on the last device.
    pub(super) last: u64,
    /// Keys and values of all layers, at most.
    pub(super) keys_and_values: u64,
}

/// A device to plan for.
#[derive(Debug, Clone)]
pub(super) struct DeviceMemory {
    /// Such as `cuda:0`.
    pub(super) name: String,
    /// Bytes that are free; `None` where nobody knows, as on a CPU, whose share is as large as a
    /// card's.
    pub(super) free: Option<u64>,
}

/// The part of a model that goes to one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeviceShare {
    name: String,
    free: Option<u64>,
    /// The layers of the decoder.
    pub(super) layers: Range<usize>,
    /// Bytes of all weights.
    pub(super) weights: u64,
    /// Bytes of keys and values of these layers, at most.
    keys_and_values: u64,
}

/// The shares of all devices, in the order of the layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemoryPlan(Vec<DeviceShare>);

impl MemoryPlan {
    /// Spreads a model over `devices`, at most as many as it has layers.
    pub(super) fn new(model: &ModelBytes, devices: &[DeviceMemory]) -> Self {
        // Every layer keeps keys and values of the same rows, so that they weigh on the cut as
        // weights do.
        let each = model.keys_and_values / (model.layers.len() as u64).max(1);
        let layer_bytes: Vec<u64> = model
            .layers
            .iter()
            .map(|l| l.saturating_add(each))
            .collect();
        let mut fixed = vec![0; devices.len()];
        if let Some(first) = fixed.first_mut() {
            *first += model.first;
        }
        if let Some(last) = fixed.last_mut() {
            *last += model.last;
        }
        let free: Vec<Option<u64>> = devices.iter().map(|d| d.free).collect();
        let shares = plan_devices(&layer_bytes, &fixed, &free)
            .into_iter()
            .zip(devices.iter().zip(fixed))
            .map(|(layers, (device, fixed))| DeviceShare {
                name: device.name.clone(),
                free: device.free,
                weights: fixed + model.layers[layers.clone()].iter().sum::<u64>(),
                keys_and_values: each * layers.len() as u64,
                layers,
            });
        Self(shares.collect())
    }

    /// Returns the share of each device.
    pub(super) fn shares(&self) -> &[DeviceShare] {
        &self.0
    }

    /// Returns whether the weights fit on every device of which the free memory is known, beside
    /// what is kept free for the work.
    pub(super) fn fits(&self) -> bool {
        // No room at all for keys and values is as bad as weights that do not fit: nothing could
        // run.
        self.0.iter().all(|share| share.room() != Some(0))
    }

    /// Returns the most bytes of keys and values, of all layers together, that fit beside the
    /// weights, where fewer do than are allowed.
    pub(super) fn scarce_keys_and_values(&self) -> Option<u64> {
        let layers: u64 = self.0.iter().map(|share| share.layers.len() as u64).sum();
        let scarce = self.0.iter().filter_map(|share| {
            let room = share.room().filter(|room| *room < share.keys_and_values)?;
            // A sequence has keys and values in every layer; the tightest device bounds all.
            Some(room / (share.layers.len() as u64).max(1) * layers)
        });
        scarce.min()
    }
}

impl DeviceShare {
    /// Returns the bytes that are left for keys and values; `None` where nobody knows.
    fn room(&self) -> Option<u64> {
        self.free
            .map(|free| usable(free).saturating_sub(self.weights))
    }
}

/// Says for each device its layers, the weights, what is free, and the room for keys and values.
impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, share) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            let (first, end) = (share.layers.start, share.layers.end);
            let weights = Gib(share.weights);
            write!(f, "{separator}{}: layers {first}..{end}, ", share.name)?;
            write!(f, "{weights} of weights")?;
            if let (Some(free), Some(room)) = (share.free, share.room()) {
                let (free, room, wanted) = (Gib(free), Gib(room), Gib(share.keys_and_values));
                write!(f, ", {free} free, room for {room} of keys and values")?;
                write!(f, " (at most {wanted})")?;
            }
        }
        Ok(())
    }
}

/// Prints bytes as `12.3 GiB`, fewer than a tenth of that as MiB.
struct Gib(u64);

impl fmt::Display for Gib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.0 as f64 / f64::from(1 << 20);
        if mib < 102.4 {
            write!(f, "{mib:.1} MiB")
        } else {
            write!(f, "{:.1} GiB", mib / 1024.0)
        }
    }
}

/// Cuts layers of `layer_bytes` into one run for each device so that the fullest device is as empty
/// as can be; `fixed` is what a device holds beside its layers, `free` what it has. A device of
/// which nobody knows what it has counts as the largest. Every device gets a layer as long as there
/// are enough; of equal cuts the one whose devices end first.
fn plan_devices(layer_bytes: &[u64], fixed: &[u64], free: &[Option<u64>]) -> Vec<Range<usize>> {
    let layers = layer_bytes.len();
    // Only ratios count: where nobody knows, any number spreads the layers evenly.
    let largest = free.iter().flatten().copied().max().unwrap_or(1);
    let room = |device: usize| usable(free[device].unwrap_or(largest)).max(1);
    // Sums from the start: the bytes of any run are one subtraction.
    let mut sums = vec![0u64; layers + 1];
    for (i, bytes) in layer_bytes.iter().enumerate() {
        sums[i + 1] = sums[i].saturating_add(*bytes);
    }
    let layers_of = |run: Range<usize>| sums[run.end] - sums[run.start];
    let bytes = |device: usize, run| fixed[device].saturating_add(layers_of(run));
    let fullness = |device: usize, run| bytes(device, run) as f64 / room(device) as f64;
    // best[end]: the fullest of the devices so far, which hold the layers before `end`, and where
    // the last of them begins.
    let mut best: Vec<Option<f64>> = vec![None; layers + 1];
    best[0] = Some(0.0);
    let mut begins: Vec<Vec<usize>> = Vec::with_capacity(fixed.len());
    for device in 0..fixed.len() {
        let mut next = vec![None; layers + 1];
        let mut begin = vec![0; layers + 1];
        // One layer or more, unless there are fewer layers than devices.
        let least = usize::from(layers >= fixed.len());
        // Downwards, and `<=` below: of equal cuts the last one seen wins, which has the earliest
        // start.
        for start in (0..=layers).rev() {
            let Some(so_far) = best[start] else { continue };
            for end in start + least..=layers {
                // The fullest decides, not the sum: a device that is too full fails, however empty
                // the others are.
                let full = fullness(device, start..end).max(so_far);
                if next[end].is_none_or(|known| full <= known) {
                    (next[end], begin[end]) = (Some(full), start);
                }
            }
        }
        best = next;
        begins.push(begin);
    }
    let mut runs = Vec::with_capacity(fixed.len());
    let mut end = layers;
    for begin in begins.iter().rev() {
        runs.push(begin[end]..end);
        end = begin[end];
    }
    runs.reverse();
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn cards(count: usize, free: u64) -> Vec<DeviceMemory> {
        let card = |i| DeviceMemory {
            name: format!("cuda:{i}"),
            free: Some(free),
        };
        (0..count).map(card).collect()
    }

    fn one(run: Range<usize>) -> Vec<Range<usize>> {
        std::iter::once(run).collect()
    }

    #[test]
    fn equal_layers_are_shared_equally() {
        let cut = |layers, devices| {
            plan_devices(&vec![7; layers], &vec![0; devices], &vec![None; devices])
        };
        assert_eq!(cut(4, 2), [0..2, 2..4]);
        assert_eq!(cut(5, 1), one(0..5));
        assert_eq!(cut(3, 3), [0..1, 1..2, 2..3]);
        assert_eq!(cut(80, 4), [0..20, 20..40, 40..60, 60..80]);
        // As loading refuses, but no panic.
        assert_eq!(cut(0, 2), [0..0, 0..0]);
        assert_eq!(
            cut(1, 3).iter().map(ExactSizeIterator::len).sum::<usize>(),
            1
        );
    }

    #[test]
    fn no_cut_is_better() {
        let layers = [3, 1, 4, 1, 5, 9, 2, 6].map(|b| b * GIB);
        let fixed = [4, 0, 2].map(|b| b * GIB);
        let free = [30, 12, 20].map(|b| Some(b * GIB));
        let fullest = |cuts: [usize; 4]| {
            (0..3)
                .map(|d| {
                    let own: u64 = layers[cuts[d]..cuts[d + 1]].iter().sum();
                    (own + fixed[d]) as f64 / usable(free[d].unwrap()) as f64
                })
                .fold(0.0, f64::max)
        };
        let runs = plan_devices(&layers, &fixed, &free);
        let found = fullest([0, runs[0].end, runs[1].end, 8]);
        for a in 1..7 {
            for b in a + 1..8 {
                assert!(found <= fullest([0, a, b, 8]), "{runs:?} against {a}, {b}");
            }
        }
        assert!((runs[0].start, runs[2].end) == (0, 8));
    }

    /// LLaVA-NeXT 34B (Yi 34B, CLIP) and LLaVA-OneVision 72B (Qwen2 72B, SigLIP) in bf16, with the
    /// sizes of their config.json.
    #[test]
    fn real_models_fit_where_they_should() {
        // q, k, v, o, the MLP, two norms, the biases of Qwen2.
        let layer = |d: u64, kv: u64, f: u64, bias: u64| {
            2 * (2 * d * d + 2 * d * kv + 3 * d * f + 2 * d + bias)
        };
        let yi = ModelBytes {
            first: 2 * (64_064 * 7168 + 304_000_000 + 1024 * 7168 + 7168 * 7168),
            layers: vec![layer(7168, 8 * 128, 20_480, 0); 60],
            last: 2 * (64_064 * 7168 + 7168),
            keys_and_values: 8 * GIB,
        };
        let qwen = ModelBytes {
            first: 2 * (152_064 * 8192 + 400_000_000 + 1152 * 8192 + 8192 * 8192),
            layers: vec![layer(8192, 8 * 128, 29_568, 8192 + 2 * 1024); 80],
            last: 2 * (152_064 * 8192 + 8192),
            keys_and_values: 24 * GIB,
        };
        let total = |m: &ModelBytes| m.first + m.last + m.layers.iter().sum::<u64>();
        assert!(
            (69.0..70.5).contains(&(total(&yi) as f64 / 1e9)),
            "{}",
            total(&yi)
        );
        assert!(
            (145.0..148.0).contains(&(total(&qwen) as f64 / 1e9)),
            "{}",
            total(&qwen)
        );

        let free = 79 * GIB; // an 80 GB card, less the driver's own
        let plan = MemoryPlan::new(&yi, &cards(1, free));
        assert!(plan.fits() && !MemoryPlan::new(&yi, &cards(1, 64 * GIB)).fits());
        let plan = MemoryPlan::new(&yi, &cards(2, free));
        assert!(
            plan.fits() && plan.scarce_keys_and_values().is_none(),
            "{plan}"
        );
        assert!(plan.shares().iter().all(|s| s.weights < 35 * GIB), "{plan}");
        for (count, fits, holds) in [
            (1, false, false),
            (2, true, false),
            (3, true, true),
            (4, true, true),
        ] {
            let plan = MemoryPlan::new(&qwen, &cards(count, free));
            let (f, h) = (plan.fits(), plan.scarce_keys_and_values().is_none());
            assert_eq!((f, h), (fits, holds), "{count} cards: {plan}");
            let given: usize = plan.shares().iter().map(|s| s.layers.len()).sum();
            assert_eq!(given, 80);
        }
        let plan = MemoryPlan::new(&qwen, &cards(4, free));
        let weights: Vec<u64> = plan.shares().iter().map(|s| s.weights / GIB).collect();
        assert!(weights.iter().all(|w| (32..37).contains(w)), "{plan}");
    }

    #[test]
    fn a_plan_says_its_figures() {
        let model = ModelBytes {
            first: GIB,
            layers: vec![2 * GIB; 4],
            last: GIB,
            keys_and_values: GIB,
        };
        let mut devices = cards(2, 7 * GIB + GIB / 2);
        devices[1].free = None;
        let plan = MemoryPlan::new(&model, &devices);
        assert_eq!(
            plan.to_string(),
            "cuda:0: layers 0..2, 5.0 GiB of weights, 7.5 GiB free, room for 2.0 GiB of keys and \
             values (at most 0.5 GiB); cpu: layers 2..4, 5.0 GiB of weights"
                .replace("cpu:", "cuda:1:")
        );
        assert!(plan.fits() && plan.scarce_keys_and_values().is_none());
        let model = ModelBytes {
            keys_and_values: 9 * GIB,
            ..model
        };
        // Two GiB are left for each device's half of the layers.
        let plan = MemoryPlan::new(&model, &cards(2, 7 * GIB + GIB / 2));
        let scarce = plan.scarce_keys_and_values().unwrap() as f64 / GIB as f64;
        assert!((4.0..4.1).contains(&scarce), "{scarce}");
    }
}
