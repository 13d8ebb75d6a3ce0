//! Makes sparse autoencoders resident: reads a folder, and checks it against the model.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::autoencoder::SparseAutoencoder;
use super::config::{Layout, SaeConfig};
use super::load::{file_names, load};
use crate::field_path::shown;
use crate::model::beside;
use crate::model::error::Error;
use crate::model::llava::Model;
use crate::model::load::source::Source;
use crate::model::shape::shape_of;
use crate::nn::{HOOK_TABLE, Point, Site, Stack, for_host};
use crate::weights::Checkpoint;

/// Names the place of a sparse autoencoder, and whose rows it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaePlace {
    /// The folder.
    pub folder: PathBuf,
    /// The hook point, in place of the one that its configuration names.
    pub point: Option<String>,
}

impl std::str::FromStr for SaePlace {
    type Err = String;

    /// Reads `FOLDER` or `FOLDER@HOOK_POINT`.
    fn from_str(text: &str) -> Result<Self, String> {
        // A folder's name may have an @ of its own, but no hook point behind it.
        let (folder, point) = match text.rsplit_once('@') {
            // A name of ours that is spelled wrong is told as such, not as a folder.
            Some((folder, named)) if named.contains("hook_") || point(named).is_some() => {
                (folder, Some(named.to_owned()))
            }
            _ => (text, None),
        };
        if folder.is_empty() {
            return Err("FOLDER or FOLDER@HOOK_POINT is needed".into());
        }
        Ok(Self {
            folder: folder.into(),
            point,
        })
    }
}

/// Files of a folder with their weights opened, and the hook point that they are for.
struct Files {
    place: String,
    json: Value,
    config: SaeConfig,
    weights: Checkpoint,
    point: Point,
}

impl SparseAutoencoder {
    /// Reads the autoencoder of a folder, whichever model it is for.
    pub fn read(place: &SaePlace) -> Result<Self, Error> {
        Files::open(place)?.load()
    }
}

impl Model {
    /// Makes the sparse autoencoder of a folder resident under `name`, in the layout of SAELens,
    /// dictionary_learning or sparsify, in at most `budget` bytes. One of that name is replaced.
    pub fn add_sae(&self, name: &str, place: &SaePlace, budget: u64) -> Result<(), Error> {
        let files = Files::open(place)?;
        beside::check_budget(&files.weights, budget)?;
        self.keep_sae(name, files)
    }

    /// Makes the one that is in the binary beside an embedded model resident under `name`.
    pub(in crate::model) fn add_embedded_sae(
        &self,
        name: &str,
        source: &Source,
    ) -> Result<(), Error> {
        // First: a model's folder may have a folder of this name, which is none of ours.
        let Some(weights) = source.embedded("sae_weights.safetensors") else {
            return Ok(());
        };
        let json: Option<Value> = source.json("cfg.json")?;
        let json = json.ok_or_else(|| source.missing("cfg.json"))?;
        let files = Files::new(
            source.place(),
            json,
            Checkpoint::embedded(weights)?,
            (None, None),
        )?;
        self.keep_sae(name, files)
    }

    fn keep_sae(&self, name: &str, files: Files) -> Result<(), Error> {
        // Before the weights are read: those of another model may be large.
        let checked = self.check_point(files.point, files.config.width);
        checked.map_err(|reason| Error::unsupported(&files.place, reason))?;
        // Kept by the model, which any thread may be the last to hold.
        let sae = for_host(|| files.load())?;
        self.saes.insert(name, Arc::new(sae));
        Ok(())
    }

    fn check_point(&self, point: Point, width: usize) -> Result<(), String> {
        if !self.has_point(point.stack, point.site) {
            return Err(self.no_point(point.stack, point));
        }
        if matches!(point.site, Site::Scores | Site::Pattern) {
            return Err(format!(
                "{point}: attention has no rows that an autoencoder could read"
            ));
        }
        let layers = match point.stack {
            Stack::VisionTower => self.tower.info().layers_run(),
            // Points of the projector have no layer.
            _ => self.decoder.config().num_hidden_layers,
        };
        if let Some(layer) = point.layer.filter(|layer| *layer >= layers) {
            return Err(match layers.checked_sub(1) {
                Some(last) => format!("{point}: layer {layer} is not in 0 to {last}"),
                // A tower whose embeddings are read (vision_feature_layer 0).
                None => format!("{point}: no layer of {} runs there", self.name),
            });
        }
        // No keys: attention is refused above. Heads count end to end.
        let found = shape_of(self, point, 0).numbers();
        if found != width {
            return Err(format!(
                "it reads rows of {width} numbers, and {point} of {} has {found}",
                self.name
            ));
        }
        Ok(())
    }

    /// Returns a resident sparse autoencoder.
    pub fn sae(&self, name: &str) -> Option<Arc<SparseAutoencoder>> {
        self.saes.get(name)
    }

    /// Returns the resident sparse autoencoders, sorted by name.
    pub fn sparse_autoencoders(&self) -> Vec<(String, Arc<SparseAutoencoder>)> {
        self.saes.all()
    }

    /// Takes over those of an earlier load of the same model.
    pub fn adopt_saes(&self, earlier: &Self) {
        self.saes.adopt(&earlier.saes);
    }
}

impl Files {
    /// Opens the files of a folder.
    fn open(place: &SaePlace) -> Result<Self, Error> {
        let folder = &place.folder;
        let shown = folder.display().to_string();
        let source = Source::Folder(folder.clone());
        // SAELens and sparsify write cfg.json, dictionary_learning config.json.
        let json = match source.json::<Value>("cfg.json")? {
            Some(json) => json,
            None => source.json("config.json")?.ok_or_else(|| {
                Error::unsupported(&shown, "neither cfg.json nor config.json is there".into())
            })?,
        };
        // For the layout alone, which names the file of weights; `new` reads all of it.
        let layout = SaeConfig::read(&json);
        let layout = layout
            .map_err(|reason| Error::unsupported(&shown, reason))?
            .layout;
        let file = beside::file_in(folder, file_names(layout))
            .map_err(|reason| Error::unsupported(&shown, reason))?;
        let weights = Checkpoint::open(&[file])
            .map_err(|error| Error::unsupported(&shown, error.to_string()))?;
        // sparsify calls the folder after the module that was read.
        let named = folder.file_name().filter(|_| layout == Layout::Sparsify);
        let named = named.map(|name| name.to_string_lossy().into_owned());
        Self::new(shown, json, weights, (place.point.clone(), named))
    }

    /// Finds the hook point: `given`, the one that the configuration names, or that of the folder's
    /// name, `named`.
    fn new(
        place: String,
        json: Value,
        weights: Checkpoint,
        (given, named): (Option<String>, Option<String>),
    ) -> Result<Self, Error> {
        let config = SaeConfig::read(&json).map_err(|reason| Error::unsupported(&place, reason))?;
        let hook = given.or_else(|| config.hook.clone()).or(named);
        let Some(point) = hook.as_deref().and_then(point) else {
            let found = hook.map_or("its configuration names no hook point".into(), |hook| {
                format!("{} is no hook point of one layer", shown(&hook))
            });
            let mend = "name one behind the folder: FOLDER@language_model.blocks.3.hook_resid_post";
            return Err(Error::unsupported(&place, format!("{found}; {mend}")));
        };
        Ok(Self {
            place,
            json,
            config,
            weights,
            point,
        })
    }

    fn load(self) -> Result<SparseAutoencoder, Error> {
        let digest = beside::digest(&self.weights, &self.json);
        let sae = load(&self.config, &self.weights, (self.point, digest));
        sae.map_err(|error| Error::unsupported(&self.place, error.to_string()))
    }
}

/// Returns the hook point that libraries call `name`: ours, those of TransformerLens for the
/// language model (`blocks.5.hook_resid_post`), modules of Hugging Face whose output is the residual
/// stream (`model.layers.5`), and dictionary_learning's `resid_post_layer_5`.
fn point(name: &str) -> Option<Point> {
    if let Some(point) = known(name).or_else(|| known(&format!("language_model.{name}"))) {
        return Some(point);
    }
    let layer = name.strip_prefix("resid_post_layer_").or_else(|| {
        // Whatever stands before: the path of `layers` depends on the class around the decoder.
        let (modules, layer) = name.rsplit_once('.')?;
        modules.ends_with("layers").then_some(layer)
    });
    let layer = layer
        .or_else(|| name.strip_prefix("layers."))?
        .parse()
        .ok()?;
    Some(Point::at(Stack::LanguageModel, layer, Site::ResidPost))
}

/// Returns the hook point that we call `name`.
fn known(name: &str) -> Option<Point> {
    let point: Point = name.parse().ok()?;
    let row = HOOK_TABLE
        .iter()
        .find(|row| (row.stack, row.site) == (point.stack, point.site))?;
    (row.per_layer() == point.layer.is_some()).then_some(point)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Files, SaePlace, point};

    #[test]
    fn the_hook_point_is_the_one_given_then_the_configurations_then_the_folders() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/saes/sparsify");
        let from = folder.join("layers.0");
        let temporary = tempfile::tempdir().unwrap();
        let to = temporary.path().join("mine");
        std::fs::create_dir(&to).unwrap();
        std::fs::copy(from.join("sae.safetensors"), to.join("sae.safetensors")).unwrap();
        let json = std::fs::read_to_string(from.join("cfg.json")).unwrap();
        let json = json.replacen('{', "{\"hookpoint\": \"layers.3\",", 1);
        std::fs::write(to.join("cfg.json"), json).unwrap();
        let point_of = |text: String| {
            let files = Files::open(&text.parse::<SaePlace>().unwrap()).unwrap();
            files.point.to_string()
        };
        let mine = to.display();
        let name = |layer| format!("language_model.blocks.{layer}.hook_resid_post");
        assert_eq!(point_of(from.display().to_string()), name(0));
        assert_eq!(point_of(mine.to_string()), name(3));
        assert_eq!(point_of(format!("{mine}@model.layers.5")), name(5));
        assert_eq!(
            point_of(format!("{mine}@blocks.6.hook_resid_post")),
            name(6)
        );
    }

    #[test]
    fn hook_points_are_read_as_libraries_spell_them() {
        for name in [
            "language_model.blocks.5.hook_resid_post",
            "blocks.5.hook_resid_post",
            "model.layers.5",
            "language_model.model.layers.5",
            "layers.5",
            "resid_post_layer_5",
        ] {
            let found = point(name).map(|point| point.to_string());
            assert_eq!(
                found.as_deref(),
                Some("language_model.blocks.5.hook_resid_post"),
                "{name}"
            );
        }
        for name in [
            "",
            "blocks.{l}.hook_resid_post",
            "layers.x",
            "model.layers.5.mlp",
        ] {
            assert_eq!(point(name), None, "{name}");
        }
        assert!(point("vision_tower.blocks.0.hook_resid_post").is_some());
        assert!(point("projector.hook_out").is_some());
    }
}
