//! Places that a model comes from: a folder, the binary, or the hub.

use std::path::Path;
use std::str::FromStr;

use super::embedded::{SHAPES, shapes, sized, sizes};
use super::gguf;
use super::hub::{Hub, HubId};
use super::source::{Source, last_part};
use super::unsupported::Purpose;
use crate::field_path::shown;
use crate::model::error::Error;

pub use super::source::RANDOM;

/// A place named by a person: the embedded model, a folder, or an id of the hub.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A place whose files are present.
    Here(Source),
    /// They have to be fetched, or are cached.
    Hub(HubId),
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(place: &str) -> Result<Self, String> {
        // Before folders: the default model must not depend on what the working directory holds.
        if place == SHAPES {
            return Ok(Self::Here(shapes()));
        }
        if let Some(files) = place.strip_prefix(RANDOM) {
            let folder = || Some(Source::Folder(files.into())).filter(Source::is_folder);
            let files = sized(files).or_else(folder).ok_or_else(|| {
                format!(
                    "{} is no folder and none of {}",
                    shown(files),
                    sizes().collect::<Vec<_>>().join(", ")
                )
            })?;
            return Ok(Self::Here(Source::Random(Box::new(files))));
        }
        // A folder `org/name` below the working directory wins over the hub, as in
        // `from_pretrained`.
        if let Some(source) = Source::open(place).map_err(|e| e.to_string())? {
            return Ok(Self::Here(source));
        }
        if Path::new(place).exists() {
            return Err(format!(
                "{} is a file; a folder with config.json and safetensors weights is needed, or \
                 GGUF files",
                shown(place)
            ));
        }
        place
            .parse()
            .map(Self::Hub)
            .map_err(|e| format!("{} is no folder, not `{SHAPES}`, and {e}", shown(place)))
    }
}

impl Origin {
    /// Returns the name of a model at `place`, where nobody gives it one: its folder's, that on the
    /// hub without the revision, or that of the first file of a pair.
    pub fn default_name(place: &str) -> String {
        let place = place.strip_prefix(RANDOM).unwrap_or(place);
        // As that file alone is called, beside which the other one is found.
        let place = gguf::pair(place).map_or(place, |(first, _)| first);
        match place.parse::<HubId>() {
            Ok(id) if !Path::new(place).exists() => last_part(&id.name),
            // A folder's name may have an @ of its own.
            _ => last_part(place),
        }
    }

    /// Returns its files; downloads those that are missing, see [`Hub::fetch`].
    pub fn fetch(
        self,
        purpose: Purpose,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<Source, Error> {
        match self {
            Self::Here(source) => Ok(source),
            Self::Hub(id) => Hub::from_env()
                .fetch(&id, purpose, progress)
                .map(Source::Folder),
        }
    }

    /// Returns the files of a model, with an adapter merged into its weights where there is one.
    pub fn fetch_with(
        self,
        adapter: Option<Self>,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<Source, Error> {
        let Some(adapter) = adapter else {
            return self.fetch(Purpose::Model, progress);
        };
        // The adapter first: it is small, and may be none.
        let adapter = adapter.fetch(Purpose::Part, progress)?;
        Source::check_adapter(&adapter)?;
        Source::adapted(self.fetch(Purpose::Base, progress)?, adapter)
    }

    /// Does the same without its weights.
    pub(super) fn fetch_text(
        self,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<Source, Error> {
        match self {
            Self::Here(source) => Ok(source),
            Self::Hub(id) => Hub::from_env()
                .fetch_text(&id, progress)
                .map(Source::Folder),
        }
    }
}
