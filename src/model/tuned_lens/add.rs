//! Makes tuned lenses resident: reads a folder, and checks it against the model.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device};
use serde_json::Value;

use super::lens::TunedLens;
use crate::model::beside;
use crate::model::error::Error;
use crate::model::hosted_linear::HostedLinear;
use crate::model::llava::Model;
use crate::model::load::source::Source;
use crate::nn::{Linear, for_host};
use crate::weights::{self, Checkpoint};

/// Files that hold the translators; the first one that is there is read.
const FILES: [&str; 2] = ["params.safetensors", "params.pt"];
/// Fields of the configuration that are read, or that say where a lens comes from.
const FIELDS: [&str; 7] = [
    "base_model_name_or_path",
    "d_model",
    "num_hidden_layers",
    "bias",
    "base_model_revision",
    "unembed_hash",
    "lens_type",
];
/// The type of lens that is read.
const LINEAR: &str = "linear_tuned_lens";

impl Model {
    /// Makes the tuned lens of a folder resident under `name`, in at most `budget` bytes. One of that
    /// name is replaced.
    pub fn add_lens(&self, name: &str, folder: &Path, budget: u64) -> Result<(), Error> {
        let decoder = self.decoder.config();
        let sizes = (decoder.num_hidden_layers, decoder.hidden_size);
        // Kept by the model, which any thread may be the last to hold.
        let lens = for_host(|| read(folder, sizes, budget))?;
        self.lenses.insert(name, Arc::new(lens));
        Ok(())
    }

    /// Returns a resident tuned lens.
    pub fn lens(&self, name: &str) -> Option<Arc<TunedLens>> {
        self.lenses.get(name)
    }

    /// Returns the resident tuned lenses, sorted by name.
    pub fn tuned_lenses(&self) -> Vec<(String, Arc<TunedLens>)> {
        self.lenses.all()
    }

    /// Takes over those of an earlier load of the same model.
    pub fn adopt_lenses(&self, earlier: &Self) {
        self.lenses.adopt(&earlier.lenses);
    }
}

/// Reads the lens of a folder for a model of these (layers, width).
fn read(folder: &Path, sizes: (usize, usize), budget: u64) -> Result<TunedLens, Error> {
    let shown = folder.display().to_string();
    let wrong = |reason: String| Error::unsupported(&shown, reason);
    let json: Option<Value> = Source::Folder(folder.to_owned()).json("config.json")?;
    let json = json.ok_or_else(|| wrong("config.json is not there".into()))?;
    // Before the weights are opened: those of another model may be large.
    let has_bias = check(&json, sizes).map_err(wrong)?;
    let file = beside::file_in(folder, &FILES).map_err(wrong)?;
    let checkpoint = Checkpoint::open(&[file]).map_err(|error| wrong(error.to_string()))?;
    beside::check_budget(&checkpoint, budget)?;
    let translators = translators(&checkpoint, sizes, has_bias);
    let translators = translators.map_err(|error| wrong(error.to_string()))?;
    Ok(TunedLens {
        translators,
        digest: beside::digest(&checkpoint, &json),
        bytes: checkpoint.floats_bytes(),
    })
}

/// Checks a configuration; returns whether translators have biases.
fn check(json: &Value, (layers, width): (usize, usize)) -> Result<bool, String> {
    let fields = json.as_object().ok_or("config.json is not an object")?;
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(format!(
            "{name} is not a field of tuned-lens's configurations; {} are",
            FIELDS.join(", ")
        ));
    }
    // Where it is absent, the default of `TunedLensConfig`.
    let kind = fields.get("lens_type").map_or(Some(LINEAR), Value::as_str);
    if kind != Some(LINEAR) {
        let kind = &fields["lens_type"];
        return Err(format!("lens_type {kind} is not read; {LINEAR} is"));
    }
    for (name, own) in [("d_model", width), ("num_hidden_layers", layers)] {
        let found = fields
            .get(name)
            .ok_or_else(|| format!("{name} is missing"))?;
        if found.as_u64() != Some(own as u64) {
            return Err(format!("{name} is {found}, and the model's is {own}"));
        }
    }
    match fields.get("bias") {
        // The default of the package's `TunedLensConfig`.
        None => Ok(true),
        Some(Value::Bool(bias)) => Ok(*bias),
        Some(other) => Err(format!("bias is {other}; true and false are read")),
    }
}

/// Reads the translators; every tensor is read, and none is left.
fn translators(
    checkpoint: &Checkpoint,
    (layers, width): (usize, usize),
    has_bias: bool,
) -> Result<Vec<HostedLinear>, weights::Error> {
    let tensors = checkpoint.tensors(DType::F32, &Device::Cpu, &|_, _| {});
    let mut translators = Vec::with_capacity(layers);
    for layer in 0..layers {
        // (D, D): what is added to a row is as wide as the row.
        let weight = beside::finite(&tensors, &format!("{layer}.weight"), &[width, width])?;
        let bias = has_bias.then(|| beside::finite(&tensors, &format!("{layer}.bias"), &[width]));
        let linear = Linear::new(weight, bias.transpose()?);
        let linear = linear.map_err(weights::Error::of_device(&format!("{layer}.weight")))?;
        translators.push(HostedLinear::new(linear));
    }
    tensors.finish()?;
    Ok(translators)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::check;

    #[test]
    fn what_is_wrong_with_a_configuration_is_named() {
        let whole = json!({
            "base_model_name_or_path": "x", "d_model": 8, "num_hidden_layers": 2, "bias": true,
            "base_model_revision": null, "unembed_hash": "00", "lens_type": "linear_tuned_lens",
        });
        assert_eq!(check(&whole, (2, 8)), Ok(true));
        for (name, value, says) in [
            ("d_model", json!(9), "d_model is 9, and the model's is 8"),
            ("d_model", json!("8"), "d_model is \"8\""),
            ("num_hidden_layers", json!(3), "the model's is 2"),
            ("bias", json!(1), "bias is 1; true and false are read"),
            ("lens_type", json!("mlp"), "lens_type \"mlp\" is not read"),
            ("lens_type", json!(null), "lens_type null is not read"),
            ("rank", json!(4), "rank is not a field"),
        ] {
            let mut config = whole.clone();
            config[name] = value;
            let error = check(&config, (2, 8)).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let mut config = whole.clone();
        config.as_object_mut().unwrap().remove("num_hidden_layers");
        let error = check(&config, (2, 8)).unwrap_err();
        assert_eq!(error, "num_hidden_layers is missing");
        assert!(check(&json!([]), (2, 8)).is_err());
    }
}
