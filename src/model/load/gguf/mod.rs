//! A language model, with its `mmproj` file or by itself, as llama.cpp writes them, read as a
//! folder of Hugging Face's: their keys become config.json, tokenizer.model and what else stands
//! there.

mod config;
mod vocabulary;

use std::path::{Path, PathBuf};

use serde_json::Value;

use self::vocabulary::Vocabulary;
use crate::model::error::Error;
use crate::weights::{Changes, Checkpoint, Gguf};

/// The files of a model, with the texts that their keys make.
#[derive(Debug)]
pub struct GgufFiles {
    language: PathBuf,
    /// Is missing where a language model is read by itself.
    tower: Option<PathBuf>,
    changes: Changes,
    /// Holds files by the names that they have in a folder.
    texts: Vec<(&'static str, Vec<u8>)>,
}

/// Joins the two files of a place.
const AND: char = '+';

/// `general.architecture` of a tower.
const TOWER: &str = "clip";

impl GgufFiles {
    /// Opens the pair at `place`: `MODEL.gguf+MMPROJ.gguf`, one of them with the other beside it, or
    /// a folder with both and no config.json. `None` where it is none of these.
    pub fn at(place: &str) -> Option<Result<Self, Error>> {
        if let Some((one, other)) = pair(place) {
            let (one, mut other) = (PathBuf::from(one), PathBuf::from(other));
            // A bare name is that of a file beside the first one.
            if !other.exists() && other.file_name() == Some(other.as_os_str()) {
                other = one.with_file_name(&other);
            }
            return Some(open([one, other]).and_then(Self::of));
        }
        let path = Path::new(place);
        if is_gguf(place) && !path.is_dir() {
            // Also where there is no file: no hub has a repository that ends so.
            return Some(beside(path).and_then(Self::of));
        }
        if !path.is_dir() || path.join("config.json").exists() {
            return None;
        }
        match within(path) {
            Ok(files) if files.is_empty() => None,
            Ok(files) => Some(open(files).and_then(Self::of)),
            Err(error) => Some(Err(error)),
        }
    }

    /// Reads the language model and the tower among `files`.
    fn of(files: Vec<Gguf>) -> Result<Self, Error> {
        let (mut models, mut towers) = (Vec::new(), Vec::new());
        for file in &files {
            let part = if is_tower(file)? {
                &mut towers
            } else {
                &mut models
            };
            part.push(file);
        }
        match (&models[..], &towers[..]) {
            ([language], [tower]) => Self::read(language, tower),
            _ => Err(not_a_pair(&files, (models.len(), towers.len()))),
        }
    }

    /// Reads a language model by itself.
    pub(in crate::model) fn of_language(language: &Gguf) -> Result<Self, Error> {
        // First, since a file of another kind has no vocabulary either.
        let config = config::language(language)?;
        Self::with(language, None, &Vocabulary::read(language)?, config)
    }

    fn read(language: &Gguf, tower: &Gguf) -> Result<Self, Error> {
        let vocabulary = Vocabulary::read(language)?;
        let model = config::model(language, tower, &vocabulary)?;
        let mut files = Self::with(language, Some(tower), &vocabulary, model)?;
        let processor = config::processor(tower)?;
        files
            .texts
            .push(("preprocessor_config.json", json(&processor)));
        Ok(files)
    }

    fn with(
        language: &Gguf,
        tower: Option<&Gguf>,
        vocabulary: &Vocabulary<'_>,
        config: Value,
    ) -> Result<Self, Error> {
        let mut texts = vec![
            ("config.json", json(&config)),
            ("generation_config.json", json(&vocabulary.generation())),
            ("tokenizer_config.json", json(&vocabulary.config()?)),
            vocabulary.file()?,
        ];
        if let Some(template) = language.text("tokenizer.chat_template")? {
            texts.push(("chat_template.jinja", template.as_bytes().to_vec()));
        }
        Ok(Self {
            language: language.path().to_owned(),
            tower: tower.map(|tower| tower.path().to_owned()),
            changes: config::changes(language)?,
            texts,
        })
    }

    /// Returns a file of a folder, by its name.
    pub(super) fn text(&self, name: &str) -> Option<&[u8]> {
        let found = self.texts.iter().find(|(own, _)| *own == name);
        found.map(|(_, text)| text.as_slice())
    }

    /// Returns the names of those files.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.texts.iter().map(|(name, _)| *name)
    }

    /// Returns the place that it is opened at.
    pub(super) fn place(&self) -> String {
        let language = self.language.display();
        match &self.tower {
            Some(tower) => format!("{language}{AND}{}", tower.display()),
            None => language.to_string(),
        }
    }

    /// Returns the folder of the language model.
    pub(super) fn folder(&self) -> &Path {
        self.language.parent().unwrap_or(Path::new(""))
    }

    /// Returns the file that errors of `name` are about.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        // No such path exists; it tells the GGUF file, and which part of its content.
        self.language.join(name)
    }

    /// Opens the tensors. Headers are read once more: kept since [`at`](Self::at), their vocabularies
    /// would be in memory as long as the model is.
    pub(super) fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let tower = self.tower.as_deref().map(Gguf::open).transpose()?;
        let language = Gguf::open(&self.language)?;
        Ok(Checkpoint::of_gguf(language, tower, self.changes)?)
    }
}

fn json(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Splits `MODEL.gguf+MMPROJ.gguf`; `None` where the place is no such pair.
pub(super) fn pair(place: &str) -> Option<(&str, &str)> {
    // Behind an ending: a folder's name may have a + of its own.
    let ands = place.match_indices(AND);
    let mut pairs = ands.map(|(at, and)| (&place[..at], &place[at + and.len()..]));
    pairs.find(|(one, other)| is_gguf(one) && is_gguf(other))
}

fn is_gguf(name: &str) -> bool {
    let extension = Path::new(name).extension();
    extension.is_some_and(|e| e.eq_ignore_ascii_case("gguf"))
}

/// Returns the GGUF files of a folder.
fn within(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.map_err(|e| Error::File {
        path: folder.to_owned(),
        reason: e.to_string(),
    })?;
    let paths = entries.into_iter().map(|entry| entry.path());
    let is_named = |path: &PathBuf| path.to_str().is_some_and(is_gguf);
    let mut files: Vec<PathBuf> = paths.filter(is_named).collect();
    // `read_dir` has no order, and an error must not depend on the file system.
    files.sort();
    Ok(files)
}

fn open(paths: impl IntoIterator<Item = PathBuf>) -> Result<Vec<Gguf>, Error> {
    let files = paths.into_iter().map(|path| Ok(Gguf::open(&path)?));
    files.collect()
}

/// Opens `path` and the files beside it that could complete the pair: towers for a language model,
/// all others for a tower.
fn beside(path: &Path) -> Result<Vec<Gguf>, Error> {
    let file = Gguf::open(path)?;
    let own = is_tower(&file)?;
    let mut files = vec![file];
    for other in within(
        path.parent()
            .filter(|p| *p != Path::new(""))
            .unwrap_or(Path::new(".")),
    )? {
        if other.file_name() == path.file_name() {
            continue;
        }
        // A neighbour that cannot be read is nobody's other half.
        if let Ok(other) = Gguf::open(&other)
            && is_tower(&other).is_ok_and(|other| other != own)
        {
            files.push(other);
        }
    }
    Ok(files)
}

fn is_tower(file: &Gguf) -> Result<bool, Error> {
    Ok(file.text("general.architecture")? == Some(TOWER))
}

fn not_a_pair(files: &[Gguf], (models, towers): (usize, usize)) -> Error {
    let names = files.iter().map(|file| file.path().display().to_string());
    let names: Vec<String> = names.collect();
    let reason = format!(
        "{models} language models and {towers} towers (mmproj); one of each is needed, as \
         MODEL.gguf{AND}MMPROJ.gguf where a folder has several"
    );
    Error::Unsupported {
        place: names.join(", "),
        reason,
    }
}
