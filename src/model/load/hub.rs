//! Models of the Hugging Face hub: fetched once to the cache that all of its tools share, then read
//! as a folder.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::api::{Progress, RepoInfo};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::source::Source;
use super::unsupported::{self, Purpose};
use crate::field_path::shown;
use crate::model::error::Error;

/// `ORGANISATION/NAME`, or `ORGANISATION/NAME@REVISION` with a branch, a tag or a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubId {
    /// Organisation and name.
    pub name: String,
    /// `main` where none is said.
    pub revision: String,
}

impl HubId {
    /// Returns the repository at a revision of it.
    fn at(&self, revision: &str) -> Repo {
        Repo::with_revision(self.name.clone(), RepoType::Model, revision.to_owned())
    }
}

impl FromStr for HubId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, revision) = text.split_once('@').unwrap_or((text, "main"));
        match name.split_once('/') {
            Some((organisation, model))
                // A revision may have parts: `refs/pr/7`.
                if plain(organisation) && plain(model) && revision.split('/').all(plain) =>
            {
                Ok(Self {
                    name: name.into(),
                    revision: revision.into(),
                })
            }
            _ => Err(format!(
                "{} is no hub id; ORGANISATION/NAME or ORGANISATION/NAME@REVISION is",
                shown(text)
            )),
        }
    }
}

/// Tells whether a part of an id is one: no path leads out of the cache by it.
fn plain(part: &str) -> bool {
    // The characters that the hub itself allows in a name.
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !part.is_empty() && part.chars().all(allowed) && !part.starts_with('.')
}

/// A hub, and the cache of what was fetched from it.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Address of the hub.
    pub endpoint: String,
    /// The folder of the cache.
    pub cache: PathBuf,
    /// Key for gated models.
    pub token: Option<String>,
    /// Ask nobody; what is cached has to do.
    pub offline: bool,
}

impl Hub {
    /// Returns what HF_ENDPOINT, HF_HOME, HF_TOKEN (or the token that `hf auth login` keeps) and
    /// HF_HUB_OFFLINE say.
    pub fn from_env() -> Self {
        let cache = Cache::from_env();
        // An empty variable is how a shell or a container file unsets one.
        let set = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        Self {
            endpoint: set("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into()),
            token: set("HF_TOKEN").or_else(|| cache.token()),
            cache: cache.path().clone(),
            offline: set("HF_HUB_OFFLINE")
                // The words that huggingface_hub takes for true.
                .is_some_and(|v| ["1", "true", "yes", "on"].contains(&v.to_lowercase().as_str())),
        }
    }

    /// Returns the folder with the files of a model, fetched where they are not cached; `progress`
    /// hears of a file's name, its bytes so far and its bytes in all. A download that was broken
    /// off goes on where it ended. A file whose SHA-256 is not the one that the hub names is an
    /// error, and is not kept. All files are of one commit; where the hub cannot be reached, of the
    /// one that is cached.
    ///
    /// config.json comes first: a repository that does not serve `purpose` is an error before
    /// anything else is fetched.
    pub fn fetch(
        &self,
        id: &HubId,
        purpose: Purpose,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<PathBuf, Error> {
        self.fetch_files(id, Some(purpose), progress)
    }

    /// Does the same without its weights.
    pub fn fetch_text(
        &self,
        id: &HubId,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<PathBuf, Error> {
        self.fetch_files(id, None, progress)
    }

    fn fetch_files(
        &self,
        id: &HubId,
        purpose: Option<Purpose>,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<PathBuf, Error> {
        if self.offline {
            let missing = || format!("not in {} (offline)", self.cache.display());
            return self.cached(id).ok_or_else(|| failed(id, missing()));
        }
        let api = self.api().map_err(|e| failed(id, e.to_string()))?;
        // The list of files decides between safetensors and pickles, and refuses repositories by
        // name.
        let info = match api.repo(id.at(&id.revision)).info() {
            Ok(info) => info,
            Err(e) => {
                let reason = format!("{}: {e}", self.endpoint);
                let known = self.cached(id).filter(|_| is_unreachable(&e));
                let known = known.ok_or_else(|| failed(id, reason.clone()))?;
                let model = &id.name;
                tracing::warn!(model, reason, "the hub is not reached; the cache serves");
                return Ok(known);
            }
        };
        self.fetch_commit(id, purpose, (api, info), progress)
    }

    fn api(&self) -> Result<Api, ApiError> {
        ApiBuilder::from_cache(Cache::new(self.cache.clone()))
            .with_endpoint(self.endpoint.clone())
            .with_token(self.token.clone())
            .with_user_agent("scotoma", crate::telemetry::VERSION)
            .with_retries(3)
            .build()
    }

    /// Fetches the files of one commit, that of `info`.
    fn fetch_commit(
        &self,
        id: &HubId,
        purpose: Option<Purpose>,
        (api, info): (Api, RepoInfo),
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<PathBuf, Error> {
        // It becomes the name of a folder.
        if !plain(&info.sha) {
            let reason = format!("its commit is called {}", shown(&info.sha));
            return Err(failed(id, reason));
        }
        let names: Vec<&str> = info.siblings.iter().map(|s| s.rfilename.as_str()).collect();
        let cache = Cache::new(self.cache.clone());
        let mut files = Files {
            id,
            names: &names,
            commit: &info.sha,
            cached: cache.repo(id.at(&info.sha)),
            repo: api.repo(id.at(&info.sha)),
            api,
            progress,
        };
        let config = files.json("config.json")?;
        let adapter = files.json("adapter_config.json")?;
        if let Some(purpose) = purpose {
            // A tower, CLIP or an adapter has other files than a model, which name themselves.
            if purpose != Purpose::Part {
                unsupported::check_names(&names, &adapter.unwrap_or_default(), &id.name)?;
            }
            config.map_or(Ok(()), |config| unsupported::check_config(&config, purpose))?;
        }
        let mut folder = None;
        for name in wanted(&names)
            .into_iter()
            .filter(|name| purpose.is_some() || is_text(name))
        {
            let file = files.get(name)?;
            // Files within folders (chat templates) are in the cache below the one that is
            // returned.
            if !name.contains('/') {
                folder = file.parent().map(Path::to_owned);
            }
        }
        let none = || failed(id, "the repository has no files of a model".into());
        let folder = folder.ok_or_else(none)?;
        // Last, and not for texts alone: until then the revision means a commit whose weights are
        // here. A cache that is only read has the name already.
        let known = self.cached(id);
        if known.is_none() || purpose.is_some() && known.as_ref() != Some(&folder) {
            let named = cache.repo(id.at(&id.revision)).create_ref(&info.sha);
            named.map_err(|e| failed(id, format!("{}: {e}", self.cache.display())))?;
        }
        Ok(folder)
    }

    /// Returns the folder of a revision that is in the cache, which keeps one for each commit;
    /// loading names what is missing in it.
    fn cached(&self, id: &HubId) -> Option<PathBuf> {
        let cached = Cache::new(self.cache.clone()).repo(id.at(&id.revision));
        // A revision may be a commit, which other tools keep without a name of its own.
        let own = cached.pointer_path(&id.revision);
        let known = CONFIGS.iter().find_map(|name| {
            let path = own.join(name);
            cached.get(name).or_else(|| path.exists().then_some(path))
        });
        known.and_then(|path| path.parent().map(Path::to_owned))
    }
}

/// Tells whether nobody answered, rather than that the hub refused: it may be down or asked too
/// much, or the machine may have no network.
fn is_unreachable(error: &ApiError) -> bool {
    let ApiError::RequestError(error) = error else {
        return false;
    };
    matches!(
        **error,
        ureq::Error::StatusCode(429 | 500..)
            | ureq::Error::Protocol(_)
            | ureq::Error::Io(_)
            | ureq::Error::Timeout(_)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
    )
}

/// The files of one commit, in the cache and on the hub.
// Not of a branch, which may move between two files.
struct Files<'a> {
    id: &'a HubId,
    names: &'a [&'a str],
    commit: &'a str,
    cached: CacheRepo,
    repo: ApiRepo,
    api: Api,
    progress: &'a mut dyn FnMut(&str, u64, u64),
}

impl Files<'_> {
    /// Returns where a file is, downloaded if it has to be.
    fn get(&mut self, name: &str) -> Result<PathBuf, Error> {
        let path = self.cached.pointer_path(self.commit).join(name);
        if path.exists() {
            return Ok(path);
        }
        self.fetch(name, &path)
            .map_err(|e| failed(self.id, format!("{name}: {e}")))?;
        Ok(path)
    }

    /// Makes a file of the commit that is not in its folder, `path`: of the content that another
    /// commit has already, or by a download.
    fn fetch(&mut self, name: &str, path: &Path) -> Result<(), String> {
        let metadata = self.api.metadata(&self.repo.url(name));
        let metadata = metadata.map_err(|e| e.to_string())?;
        let (commit, etag) = (metadata.commit_hash(), metadata.etag());
        if commit != self.commit {
            let commit = shown(commit);
            return Err(format!("of commit {commit}, not of {}", self.commit));
        }
        // The cache calls a file by it.
        if !plain(etag) {
            return Err(format!("its etag is {}", shown(etag)));
        }
        let blob = self.cached.blob_path(etag);
        if blob.exists() {
            // Weights seldom change with the files around them.
            let folder = path.parent().unwrap_or(path);
            let made = std::fs::create_dir_all(folder);
            let linked = made.and_then(|()| link(&content(name, etag), path));
            linked.map_err(|e| e.to_string())?;
        } else {
            download(&self.repo, name, self.progress)?;
        }
        check_digest(path)
    }

    /// Reads a file of JSON, where the repository has it.
    fn json(&mut self, name: &str) -> Result<Option<Value>, Error> {
        if !self.names.contains(&name) {
            return Ok(None);
        }
        let path = self.get(name)?;
        let folder = path.parent().unwrap_or(&path).to_owned();
        Source::Folder(folder).json(name)
    }
}

fn failed(id: &HubId, reason: String) -> Error {
    Error::Hub {
        id: format!("{}@{}", id.name, id.revision),
        reason,
    }
}

/// Returns where the content `etag` is, from the folder that the file `name` of a commit is in.
fn content(name: &str, etag: &str) -> PathBuf {
    // Relative, as other tools link it: a cache may be moved. `snapshots/COMMIT` is two deep.
    let up = "../".repeat(2 + name.matches('/').count());
    Path::new(&up).join("blobs").join(etag)
}

/// Lets `path` be the file at `content`, which is relative to its folder.
#[cfg(unix)]
fn link(content: &Path, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(content, path)
}

#[cfg(not(unix))]
fn link(content: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::copy(path.with_file_name(content), path).map(drop)
}

/// One of these is in every repository of a model or an adapter.
const CONFIGS: [&str; 2] = ["config.json", "adapter_config.json"];

fn ends(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|e| e == ending)
}

/// Configurations, tokenizer and template.
fn is_text(name: &str) -> bool {
    let is_vocabulary = ["tokenizer.model", "spiece.model"].contains(&name);
    ends(name, "json") || ends(name, "jinja") || is_vocabulary
}

/// The files that loading reads: configurations, tokenizer, template, and weights as safetensors,
/// or else as pickles.
fn wanted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    // Many repositories hold both, for readers of their time.
    let is_weights = if names.iter().any(|name| is_safetensors(name)) {
        is_safetensors
    } else {
        is_pickle
    };
    // What the original LLaVA trains beside an adapter.
    let beside = |name: &str| name == "non_lora_trainables.bin";
    let template = |name: &str| {
        // The hub says the names: none may lead out of the cache.
        let file = name.strip_prefix("additional_chat_templates/");
        file.is_some_and(plain) && ends(name, "jinja")
    };
    let top = |name: &str| plain(name) && (is_text(name) || is_weights(name) || beside(name));
    names
        .iter()
        .copied()
        .filter(|n| top(n) || template(n))
        .collect()
}

fn is_safetensors(name: &str) -> bool {
    let begins = name.starts_with("model") || name.starts_with("adapter_model");
    // Only names that transformers gives weights: repositories keep others' layouts
    // (consolidated.safetensors) beside them, as large again.
    begins && ends(name, "safetensors")
}

fn is_pickle(name: &str) -> bool {
    let begins = name.starts_with("pytorch_model") || name.starts_with("adapter_model");
    begins && ends(name, "bin")
}

struct Report<'a> {
    file: String,
    done: u64,
    total: u64,
    tell: &'a mut dyn FnMut(&str, u64, u64),
}

impl Progress for Report<'_> {
    fn init(&mut self, size: usize, filename: &str) {
        (self.file, self.done, self.total) = (filename.to_owned(), 0, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        (self.tell)(&self.file, self.done, self.total);
    }

    fn finish(&mut self) {}
}

fn download(
    repo: &ApiRepo,
    name: &str,
    tell: &mut dyn FnMut(&str, u64, u64),
) -> Result<(), String> {
    let report = Report {
        file: String::new(),
        done: 0,
        total: 0,
        tell,
    };
    let downloaded = repo.download_with_progress(name, report);
    downloaded.map(drop).map_err(|e| e.to_string())
}

/// Fails on a file whose content is not what its name in the cache says; removes it.
fn check_digest(path: &Path) -> Result<(), String> {
    // The cache calls a file by its etag, which for large files is the SHA-256 of its content.
    let blob = path.canonicalize().map_err(|e| e.to_string())?;
    let named = blob
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    // Small files are named by git's SHA-1 of a blob instead, of 40 digits; they are texts that
    // fail to parse where they are cut.
    if named.len() == 64 && named.chars().all(|c| c.is_ascii_hexdigit()) {
        let found = sha256(&blob).map_err(|e| e.to_string())?;
        let expected = (0..64)
            .step_by(2)
            .map(|i| u8::from_str_radix(&named[i..i + 2], 16).unwrap_or_default());
        if !expected.eq(found) {
            // The link first: it is what other tools look for, and must not point at nothing.
            let removed = std::fs::remove_file(path).and_then(|()| std::fs::remove_file(&blob));
            let kept = removed
                .err()
                .map(|e| format!(" and could not be removed: {e}"))
                .unwrap_or_default();
            return Err(format!("its SHA-256 is not {named}{kept}"));
        }
    }
    Ok(())
}

fn sha256(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = std::io::BufReader::with_capacity(1 << 20, std::fs::File::open(path)?);
    let mut hash = Sha256::new();
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(hash.finalize().to_vec());
        }
        hash.update(bytes);
        let length = bytes.len();
        file.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::{HubId, wanted};

    #[test]
    fn ids() {
        let id: HubId = "llava-hf/llava-1.5-7b-hf@v1".parse().unwrap();
        assert_eq!(
            (id.name.as_str(), id.revision.as_str()),
            ("llava-hf/llava-1.5-7b-hf", "v1")
        );
        for bad in [
            "", "llava", "a/b/c", "/b", "a/", "a/..", "../b", "a/b@", "a b/c",
        ] {
            assert!(bad.parse::<HubId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn safetensors_before_pickles() {
        let all = [
            "config.json",
            "README.md",
            "model.safetensors",
            "pytorch_model.bin",
            "original/params.json",
            "spiece.model",
        ];
        let expected = ["config.json", "model.safetensors", "spiece.model"];
        assert_eq!(wanted(&all), expected);
        assert_eq!(wanted(&all[3..]), ["pytorch_model.bin", "spiece.model"]);
    }

    #[test]
    fn no_name_leads_out_of_the_cache() {
        let all = [
            "additional_chat_templates/tool_use.jinja",
            "additional_chat_templates/../../tool_use.jinja",
            "additional_chat_templates//tool_use.jinja",
            "additional_chat_templates/a/tool_use.jinja",
            "..\\config.json",
            ".config.json",
        ];
        assert_eq!(wanted(&all), all[..1]);
    }
}
