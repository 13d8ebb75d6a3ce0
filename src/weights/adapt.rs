//! An adapter's files, put into the checkpoint of its base.

use std::collections::BTreeMap;
use std::path::Path;

use super::Error;
use super::adapter::{self, Config, Delta, Update};
use super::checkpoint::{Checkpoint, Entry};
use super::names::canonical;

fn fail<T>(reason: String) -> Result<T, Error> {
    Err(Error::Adapter { reason })
}

/// Takes tensors of an adapter out of its map, with the numbers of their files behind the base's.
struct Taken {
    entries: BTreeMap<String, Entry>,
    files: usize,
}

impl Taken {
    fn take(&mut self, name: Option<String>) -> Option<Entry> {
        let entry = name.and_then(|name| self.entries.remove(&name))?;
        Some(entry.behind(self.files))
    }
}

impl Checkpoint {
    /// Opens the weights of an adapter's folder.
    pub fn open_adapter(folder: &Path) -> Result<Self, Error> {
        let files =
            ["adapter_model.safetensors", "adapter_model.bin"].map(|name| folder.join(name));
        if let Some(path) = files.iter().find(|path| path.is_file()) {
            return Self::open(std::slice::from_ref(path));
        }
        fail(format!(
            "{}: neither adapter_model.safetensors nor adapter_model.bin",
            folder.display()
        ))
    }

    /// Opens the tensors that the original LLaVA trains whole beside an adapter, such as its
    /// projector; `None` where the folder has none.
    pub fn open_beside(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join("non_lora_trainables.bin");
        path.is_file().then(|| Self::open(&[path])).transpose()
    }

    /// Merges an adapter: `config` is the text of its adapter_config.json, and `beside` the tensors
    /// that were trained whole in a file of their own. Every tensor of both must find its place.
    pub fn adapt(
        &mut self,
        config: &[u8],
        adapter: Self,
        beside: Option<Self>,
    ) -> Result<(), Error> {
        let config = Config::parse(config)?;
        let (updates, replacements) = adapter::sort(adapter.entries.keys())?;
        let mut taken = Taken {
            entries: adapter.entries,
            files: self.files.len(),
        };
        // After `files` was taken: entries of the adapter count their files from there.
        self.files.extend(adapter.files);
        for (name, own) in replacements {
            let name = canonical(&name);
            // A tied base has no head of its own, and an adapter may bring one.
            if !self.entries.contains_key(&name) && name != "lm_head.weight" {
                return fail(format!(
                    "the base has no tensor {name}, which the adapter trained whole"
                ));
            }
            self.replaced.insert(name.clone());
            self.entries
                .extend(taken.take(Some(own)).map(|entry| (name, entry)));
        }
        for (module, update) in updates {
            let name = canonical(&format!("{module}.weight"));
            let Some(base) = self.entries.get(&name) else {
                return fail(format!("the base has no module {module}"));
            };
            self.deltas.insert(
                name,
                delta(&config, &module, update, &base.shape, &mut taken)?,
            );
        }
        let Some(beside) = beside else { return Ok(()) };
        let files = self.files.len();
        self.files.extend(beside.files);
        for (name, entry) in beside.entries {
            // A PEFT model of a model: base_model.model.model.mm_projector.
            let (name, _) = adapter::role(&name);
            // Whether the base has it or not: what the model does not ask for is told as unused.
            self.entries.insert(canonical(&name), entry.behind(files));
        }
        Ok(())
    }
}

/// Returns the adapter's addition to the weight of `module`, which has `shape`.
fn delta(
    config: &Config,
    module: &str,
    update: Update,
    shape: &[usize],
    taken: &mut Taken,
) -> Result<Delta<Entry>, Error> {
    config.check_target(module)?;
    let (rank, scale) = config.scale(module)?;
    let embedding = update.embedding;
    let (a, b, magnitude) = (
        taken.take(update.a),
        taken.take(update.b),
        taken.take(update.magnitude),
    );
    config.check_magnitude(module, magnitude.is_some())?;
    let (Some(a), Some(b)) = (a, b) else {
        return fail(format!("module {module} lacks lora_A or lora_B"));
    };
    let mut expected = flat(shape);
    if embedding {
        // PEFT keeps an embedding's factors turned over: A is (r, V), B is (D, r).
        expected.reverse();
    }
    // A is (r, in) and B (out, r), of the rank that the configuration gives to this module.
    if flat(&a.shape) != [rank, expected[1]] || flat(&b.shape) != [expected[0], rank] {
        let (a, b) = (a.shape, b.shape);
        return fail(format!(
            "module {module}: lora_A {a:?} and lora_B {b:?} of rank {rank} do not fit the base's \
             {shape:?}"
        ));
    }
    if magnitude
        .as_ref()
        .is_some_and(|m| embedding || m.shape.iter().product::<usize>() != expected[0])
    {
        return fail(format!(
            "module {module}: lora_magnitude_vector does not fit the base's {shape:?}"
        ));
    }
    Ok(Delta {
        a,
        b,
        magnitude,
        embedding,
        scale,
    })
}

/// Returns a shape as that of a matrix.
fn flat(shape: &[usize]) -> [usize; 2] {
    [
        shape.first().copied().unwrap_or(0),
        shape.iter().skip(1).product(),
    ]
}
