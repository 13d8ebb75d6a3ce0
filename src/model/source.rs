//! Where a model's files are: a folder, or the binary.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::DeserializeOwned;

use super::embedded::{SHAPES, shapes, sized, sizes};
use super::{Error, Hub, HubId};
use crate::weights::Checkpoint;

/// The files of one model.
#[derive(Debug, Clone)]
pub enum Source {
    /// A folder as `save_pretrained` writes it.
    Folder(PathBuf),
    /// Files that stand in the binary, by name; those whose name begins with the prefix.
    Embedded(&'static [(&'static str, &'static [u8])], String),
    /// The files of another, but weights that are drawn at random.
    Random(Box<Source>),
}

impl Source {
    fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(name),
            Self::Embedded(_, prefix) => PathBuf::from(format!("embedded/{prefix}{name}")),
            Self::Random(files) => files.path(name),
        }
    }

    /// Whether it is a folder that exists.
    pub fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(path) if path.is_dir())
    }

    /// A folder within.
    pub fn within(&self, folder: &str) -> Self {
        match self {
            Self::Folder(path) => Self::Folder(path.join(folder)),
            Self::Embedded(files, prefix) => Self::Embedded(files, format!("{prefix}{folder}/")),
            Self::Random(files) => files.within(folder),
        }
    }

    /// The bytes of file `name`, or `None` where there is none.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Folder(_) => match std::fs::read(self.path(name)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(Error::File { path: self.path(name), reason: e.to_string() }),
            },
            Self::Embedded(files, prefix) => {
                let file = files.iter().find(|f| f.0.strip_prefix(prefix.as_str()) == Some(name));
                Ok(file.map(|f| f.1.to_vec()))
            }
            Self::Random(files) => files.read(name),
        }
    }

    /// The bytes of file `name`, which must be there.
    pub fn require(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.read(name)?.ok_or_else(|| self.missing(name))
    }

    /// The error that file `name` is not there.
    pub fn missing(&self, name: &str) -> Error {
        Error::File { path: self.path(name), reason: "not found".into() }
    }

    /// File `name` read as JSON, or `None` where there is none.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let parse = |bytes: Vec<u8>| {
            serde_json::from_slice(&bytes).map_err(|e| Error::File { path: self.path(name), reason: e.to_string() })
        };
        self.read(name)?.map(parse).transpose()
    }

    /// The tensors.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        match self {
            Self::Folder(folder) => Ok(Checkpoint::open_folder(folder)?),
            Self::Embedded(files, _) => {
                let weights = files.iter().find(|f| f.0 == "model.safetensors");
                let Some((_, bytes)) = weights else { return Err(Error::Config("no weights in the binary".into())) };
                Ok(Checkpoint::embedded(bytes)?)
            }
            Self::Random(_) => Ok(Checkpoint::random()),
        }
    }
}

/// Before the place of a model whose weights are to be drawn at random.
pub const RANDOM: &str = "random:";

/// Where a model is said to be: the embedded one, a folder, or the hub.
#[derive(Debug, Clone)]
pub enum Origin {
    /// Its files are at hand.
    Here(Source),
    /// They have to be fetched, or are cached.
    Hub(HubId),
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(place: &str) -> Result<Self, String> {
        if place == SHAPES {
            return Ok(Self::Here(shapes()));
        }
        if let Some(files) = place.strip_prefix(RANDOM) {
            let folder = || Some(Source::Folder(files.into())).filter(Source::is_folder);
            let files = sized(files).or_else(folder).ok_or_else(|| {
                format!("{files:?} is no folder and none of {}", sizes().collect::<Vec<_>>().join(", "))
            })?;
            return Ok(Self::Here(Source::Random(Box::new(files))));
        }
        let folder = Source::Folder(place.into());
        if folder.is_folder() {
            return Ok(Self::Here(folder));
        }
        place.parse().map(Self::Hub).map_err(|e| format!("{place:?} is no folder, not `{SHAPES}`, and {e}"))
    }
}

impl Origin {
    /// The name of a model at `place` that is given none: its folder's, or that on the hub without the revision.
    pub fn default_name(place: &str) -> String {
        let place = place.strip_prefix(RANDOM).unwrap_or(place);
        let path = Path::new(place.split('@').next().unwrap_or(place));
        path.file_name().map_or_else(|| "model".into(), |n| n.to_string_lossy().into_owned())
    }

    /// Its files; fetches them where they are not at hand, see [`Hub::fetch`].
    pub fn fetch(self, progress: &mut dyn FnMut(&str, u64, u64)) -> Result<Source, Error> {
        match self {
            Self::Here(source) => Ok(source),
            Self::Hub(id) => Hub::from_env().fetch(&id, progress).map(Source::Folder),
        }
    }
}
