//! Says from where clients may have models loaded.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::patterns::Patterns;
use crate::model;

/// Bounds the places that clients may name. What the server was started with is not bounded.
///
/// Without roots and ids every folder of the machine and every id of the hub is allowed, and with one
/// of them only what they list.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Folders, their symbolic links followed.
    roots: Vec<PathBuf>,
    /// Ids of the hub.
    hub: Option<Patterns>,
}

impl Places {
    /// Allows folders below `roots`, which have to be there, and ids that `hub` matches.
    pub fn new(roots: &[PathBuf], hub: Option<Patterns>) -> Result<Self, String> {
        // With links followed, as the folders are that are compared with them.
        let roots = roots.iter().map(|root| {
            let found = root.canonicalize();
            found.map_err(|e| format!("{}: {e}", root.display()))
        });
        let roots = roots.collect::<Result<Vec<PathBuf>, String>>()?;
        Ok(Self { roots, hub })
    }

    /// Returns whether everything is allowed.
    pub fn is_open(&self) -> bool {
        self.roots.is_empty() && self.hub.is_none()
    }

    /// Returns the place of a model or of an adapter as it is loaded: a folder by its true path.
    /// Fails in the same words where it is not there and where it is not allowed, so that nobody
    /// learns what else is on the machine.
    pub fn place(&self, field: &'static str, place: &str) -> Result<String, Error> {
        // The model inside the binary is nobody's file.
        if self.is_open() || place == model::SHAPES {
            return Ok(place.to_owned());
        }
        if let Some(files) = place.strip_prefix(model::RANDOM) {
            return match self.below_roots(files) {
                // A size by name comes from the program, and is nobody's file.
                _ if model::sizes().any(|size| size == files) => Ok(place.to_owned()),
                Some(path) => Ok(format!("{}{path}", model::RANDOM)),
                None => Err(self.refusal(field)),
            };
        }
        if let Some(path) = self.below_roots(place) {
            return Ok(path);
        }
        let id = place.split('@').next().unwrap_or_default();
        let listed = self.hub.as_ref().is_some_and(|hub| hub.contains(id));
        // A folder that is there goes before an id of that name.
        if listed && !Path::new(place).exists() {
            return Ok(place.to_owned());
        }
        Err(self.refusal(field))
    }

    /// Returns the true path of a file as it is loaded.
    pub fn file(&self, field: &'static str, file: &str) -> Result<String, Error> {
        if self.is_open() {
            return Ok(file.to_owned());
        }
        self.below_roots(file).ok_or_else(|| self.refusal(field))
    }

    /// Returns the true path of what is below a root.
    fn below_roots(&self, path: &str) -> Option<String> {
        // What is not there and what is elsewhere look alike, so that nobody learns what the server
        // has.
        let path = Path::new(path).canonicalize().ok()?;
        let is_below = self.roots.iter().any(|root| path.starts_with(root));
        is_below.then(|| path.to_str().map(str::to_owned)).flatten()
    }

    fn refusal(&self, field: &'static str) -> Error {
        let roots: Vec<String> = self
            .roots
            .iter()
            .map(|root| root.display().to_string())
            .collect();
        let hub = self.hub.as_ref().map(Patterns::to_string);
        Error::PlaceNotAllowed {
            field: field.into(),
            allowed: roots.into_iter().chain(hub).collect::<Vec<_>>().join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_outside_of_the_roots_are_refused_alike() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("models");
        let outside = folder.path().join("private");
        std::fs::create_dir_all(root.join("a")).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        let hub = Some("llava-hf/*".parse().unwrap());
        let places = Places::new(std::slice::from_ref(&root), hub).unwrap();
        let ask = |place: &str| places.place("place", place).map_err(|e| e.to_string());
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();

        let inside = text(root.canonicalize().unwrap().join("a"));
        assert_eq!(ask(&text(root.join("a"))), Ok(inside.clone()));
        assert_eq!(ask(&text(root.join("a/../a"))), Ok(inside));
        for place in [
            "shapes",
            "random:llava-1.5-7b",
            "llava-hf/x",
            "llava-hf/x@main",
        ] {
            assert_eq!(ask(place).as_deref(), Ok(place));
        }
        let refusals = [
            text(outside.clone()),
            text(root.join("link")),
            text(root.join("../private")),
            text(root.join("gone")),
            format!("random:{}", outside.display()),
            "other/x".to_owned(),
            "/etc".to_owned(),
        ];
        let mut texts: Vec<String> = refusals.iter().map(|p| ask(p).unwrap_err()).collect();
        texts.dedup();
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(texts[0].contains("models") && texts[0].contains("llava-hf/*"));
        assert!(places.file("file", "/etc/passwd").is_err());
        assert!(Places::default().place("place", "/etc").is_ok());
        assert!(Places::new(&["/no/such".into()], None).is_err());
    }
}
