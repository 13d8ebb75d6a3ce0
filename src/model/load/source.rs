//! The files of a model: in a folder, or in the binary.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::gguf::GgufFiles;
use crate::model::error::Error;
use crate::model::fields;
use crate::weights::{Checkpoint, LFS_POINTER, Quantization, is_lfs_pointer};

/// The files of one model.
#[derive(Debug, Clone)]
pub enum Source {
    /// A folder as `save_pretrained` writes it.
    Folder(PathBuf),
    /// Files that stand in the binary, by name; those whose name begins with the prefix.
    Embedded(&'static [(&'static str, &'static [u8])], String),
    /// A language model in a GGUF file, with its tower in another or by itself.
    Gguf(Arc<GgufFiles>),
    /// The files of another, but weights that are drawn at random.
    Random(Box<Source>),
    /// The files of the first, with the second, an adapter, merged into its weights.
    Adapted(Box<Source>, Box<Source>),
}

/// Before the place of a model whose weights are to be drawn at random.
pub const RANDOM: &str = "random:";

impl Source {
    fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(name),
            Self::Embedded(_, prefix) => PathBuf::from(format!("embedded/{prefix}{name}")),
            Self::Gguf(pair) => pair.path_of(name),
            Self::Random(files) => files.path(name),
            Self::Adapted(base, _) => base.path(name),
        }
    }

    /// Opens what stands at `place`, a folder or the files of a GGUF pair; `None` where there is
    /// nothing.
    pub fn open(place: &str) -> Result<Option<Self>, Error> {
        if let Some(pair) = GgufFiles::at(place) {
            return Ok(Some(Self::Gguf(Arc::new(pair?))));
        }
        let folder = Self::Folder(place.into());
        Ok(folder.is_folder().then_some(folder))
    }

    /// Returns `base` with `adapter` merged into its weights.
    pub fn adapted(base: Self, adapter: Self) -> Result<Self, Error> {
        // An adapter of drawn weights means nothing, and the binary's are shared with whoever else
        // loads them.
        if matches!(base, Self::Random(_) | Self::Embedded(..) | Self::Gguf(_)) {
            let reason = "an adapter is merged onto a folder or a model of the hub".into();
            return Err(Error::Unsupported {
                place: adapter.place(),
                reason,
            });
        }
        Self::check_adapter(&adapter)?;
        Ok(Self::Adapted(Box::new(base), Box::new(adapter)))
    }

    /// Fails on what is no adapter.
    pub(super) fn check_adapter(adapter: &Self) -> Result<(), Error> {
        let reason = || "no adapter: adapter_config.json is not there".into();
        match adapter.read("adapter_config.json")? {
            Some(_) => Ok(()),
            None => Err(Error::Unsupported {
                place: adapter.place(),
                reason: reason(),
            }),
        }
    }

    /// Returns the names of the adapters that are merged into its weights.
    pub fn adapters(&self) -> Vec<String> {
        let Self::Adapted(base, adapter) = self else {
            return Vec::new();
        };
        let mut names = base.adapters();
        names.push(last_part(&adapter.place()));
        names
    }

    /// Returns the config.json of an adapter of the original LLaVA, which says all that its base, a
    /// language model, does not.
    fn own_config(adapter: &Self) -> Result<Option<Vec<u8>>, Error> {
        let json: Option<serde_json::Value> = adapter.json("config.json")?;
        if json.is_some_and(|json| is_original(&json)) {
            adapter.read("config.json")
        } else {
            Ok(None)
        }
    }

    /// Returns the place, for messages.
    pub fn place(&self) -> String {
        match self {
            Self::Folder(path) => path.display().to_string(),
            Self::Gguf(pair) => pair.place(),
            _ => self.path("").display().to_string(),
        }
    }

    /// Returns the names of its files.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Folder(path) => {
                let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
                let mut names: Vec<String> = entries
                    // No file that is read has a name beyond UTF-8.
                    .filter_map(|e| e.file_name().into_string().ok())
                    .collect();
                // `read_dir` has no order, and an error must not depend on the file system.
                names.sort();
                names
            }
            Self::Embedded(files, prefix) => files
                .iter()
                .filter_map(|(name, _)| name.strip_prefix(prefix.as_str()))
                .map(str::to_owned)
                .collect(),
            Self::Gguf(pair) => pair.names().map(str::to_owned).collect(),
            Self::Random(files) => files.names(),
            Self::Adapted(base, _) => base.names(),
        }
    }

    /// Returns the path of file `name`, for messages.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path(name)
    }

    /// Returns the error that file `name` is not what it should be.
    pub fn wrong(&self, name: &str, reason: String) -> Error {
        Error::File {
            path: self.path(name),
            reason,
        }
    }

    /// Tells whether it is a folder that exists.
    pub fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(path) if path.is_dir())
    }

    /// Returns a folder within.
    pub fn within(&self, folder: &str) -> Self {
        match self {
            Self::Folder(path) => Self::Folder(path.join(folder)),
            Self::Embedded(files, prefix) => Self::Embedded(files, format!("{prefix}{folder}/")),
            // What stands beside the file: its keys make files, no folders.
            Self::Gguf(pair) => Self::Folder(pair.folder().join(folder)),
            Self::Random(files) => files.within(folder),
            Self::Adapted(base, adapter) => {
                let own = adapter.within(folder);
                // An adapter may bring its tower or its goldens; what it has not is the base's.
                if own.is_folder() {
                    own
                } else {
                    base.within(folder)
                }
            }
        }
    }

    /// Returns the bytes of file `name`, or `None` where there is none.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Folder(_) => read_regular(&self.path(name)),
            Self::Embedded(files, prefix) => {
                let file = files
                    .iter()
                    .find(|f| f.0.strip_prefix(prefix.as_str()) == Some(name));
                Ok(file.map(|f| f.1.to_vec()))
            }
            Self::Gguf(pair) => Ok(pair.text(name).map(<[u8]>::to_vec)),
            Self::Random(files) => files.read(name),
            Self::Adapted(base, adapter) => {
                // Of the rest the base's count: trainers save copies of its tokenizer and template
                // beside an adapter.
                let own = if name == "config.json" {
                    Self::own_config(adapter)?
                } else {
                    None
                };
                own.map_or_else(|| base.read(name), |own| Ok(Some(own)))
            }
        }
    }

    /// Returns the bytes of file `name` where they stand in the binary.
    pub(in crate::model) fn embedded(&self, name: &str) -> Option<&'static [u8]> {
        let Self::Embedded(files, prefix) = self else {
            return None;
        };
        let file = files
            .iter()
            .find(|f| f.0.strip_prefix(prefix.as_str()) == Some(name));
        file.map(|f| f.1)
    }

    /// Returns the bytes of file `name`, which must be there.
    pub fn require(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.read(name)?.ok_or_else(|| self.missing(name))
    }

    /// Returns the error that file `name` is not there.
    pub fn missing(&self, name: &str) -> Error {
        Error::File {
            path: self.path(name),
            reason: "not found".into(),
        }
    }

    /// Reads file `name` as a JSON object, or `None` where there is none.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let Some(bytes) = self.read(name)? else {
            return Ok(None);
        };
        let fail = |reason| Error::file(&self.path(name), reason);
        let value: Value = serde_json::from_slice(&bytes).map_err(|e| fail(e.to_string()))?;
        fields::parse("", &value).map(Some).map_err(fail)
    }

    /// Opens the tensors.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        match self {
            Self::Folder(folder) => {
                let mut checkpoint = Checkpoint::open_folder(folder)?;
                // Before anything else: adapters ask for the matrices, not for their codes.
                if let Some(quantization) = quantization(self.json("config.json")?.as_ref())? {
                    checkpoint.unpack(quantization)?;
                }
                Ok(checkpoint)
            }
            Self::Embedded(files, _) => {
                let weights = files.iter().find(|f| f.0 == "model.safetensors");
                let Some((_, bytes)) = weights else {
                    return Err(Error::Config("no weights in the binary".into()));
                };
                Ok(Checkpoint::embedded(bytes)?)
            }
            Self::Gguf(pair) => pair.checkpoint(),
            Self::Random(_) => Ok(Checkpoint::random()),
            Self::Adapted(base, adapter) => {
                let Self::Folder(folder) = adapter.as_ref() else {
                    return Err(adapter.missing("adapter_config.json"));
                };
                let config = adapter.require("adapter_config.json")?;
                let mut whole = base.checkpoint()?;
                whole.adapt(
                    &config,
                    Checkpoint::open_adapter(folder)?,
                    Checkpoint::open_beside(folder)?,
                )?;
                Ok(whole)
            }
        }
    }
}

/// Reads from config.json how the weights are quantised.
pub(super) fn quantization(config: Option<&Value>) -> Result<Option<Quantization>, Error> {
    let fail = |reason| Error::Config(format!("quantization_config: {reason}"));
    let found = config.map(Quantization::of).transpose();
    Ok(found.map_err(fail)?.flatten())
}

/// Bytes of a configuration or tokenizer; the largest known, Gemma's, has 35 million.
const MAX_TEXT_BYTES: u64 = 1 << 28;

/// Reads the bytes of a file, or `None` where there is none. Opening a named pipe would wait for a
/// writer, for ever.
fn read_regular(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let fail = |reason: String| Error::file(path, reason);
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fail(e.to_string())),
    };
    if !metadata.is_file() {
        return Err(fail("not a regular file".into()));
    }
    if metadata.len() > MAX_TEXT_BYTES {
        return Err(fail(format!(
            "{} bytes; at most {MAX_TEXT_BYTES} are read",
            metadata.len()
        )));
    }
    let bytes = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
    if is_lfs_pointer(&bytes) {
        return Err(fail(LFS_POINTER.into()));
    }
    Ok(Some(bytes))
}

/// Returns the last part of a path, which models and adapters are called by.
pub(super) fn last_part(place: &str) -> String {
    let last = Path::new(place).file_name();
    last.map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned())
}

/// Tells whether config.json was written by the original repository.
pub(super) fn is_original(config: &Value) -> bool {
    config.get("mm_vision_tower").is_some()
}
