//! A results file: one result a line in canonical JSON, with the run's header beside it, so that a run that was cut off goes on as the
//! same run. All clients and the command line read and write the same files.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::v1::{EvaluateHeader, EvaluateStarted, SampleResult};

/// What stands beside results.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Run {
    /// As it was asked for.
    asked: EvaluateHeader,
    /// The same with all seeds drawn.
    ran: EvaluateHeader,
    /// The model's digest.
    model: String,
}

/// A results file that is written to.
#[derive(Debug)]
pub(crate) struct Results {
    path: PathBuf,
    asked: EvaluateHeader,
    earlier: Option<Run>,
    file: File,
}

/// The file of the header beside `results`.
fn beside(results: &Path) -> PathBuf {
    let mut name = results.as_os_str().to_owned();
    name.push(".run.json");
    name.into()
}

impl Results {
    /// Opens `path` for `header`; the results that are there, and the header with the seeds that were drawn then.
    pub(crate) fn open(
        path: &Path,
        header: EvaluateHeader,
    ) -> Result<(Self, EvaluateHeader, Vec<SampleResult>), Error> {
        let about = beside(path);
        // How often metrics come makes no other run.
        let asked = EvaluateHeader { progress_every: 0, ..header.clone() };
        let earlier: Option<Run> = match std::fs::read(&about) {
            Ok(text) => Some(serde_json::from_slice(&text).map_err(|e| Error::file(&about, None, e))?),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(Error::file(&about, None, e)),
        };
        let header = match &earlier {
            Some(run) if run.asked != asked => return Err(Error::file(path, None, "it is of another run")),
            Some(run) => EvaluateHeader { progress_every: header.progress_every, ..run.ran.clone() },
            None => header,
        };
        let known = read(path, true)?;
        let named = |name: &str| header.variants.iter().any(|v| v.name == name) || header.variants.is_empty();
        if let Some(other) = known.iter().find(|r| !named(&r.variant)) {
            let message = format!("it is of another run: it has a variant {:?} that this one has not", other.variant);
            return Err(Error::file(path, None, message));
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(|e| Error::file(path, None, e))?;
        Ok((Self { path: path.to_owned(), asked, earlier, file }, header, known))
    }

    /// The run has begun.
    pub(crate) fn begun(&mut self, started: &EvaluateStarted) -> Result<(), Error> {
        if let Some(run) = &self.earlier {
            let same = run.model == started.model_digest;
            return if same { Ok(()) } else { Err(Error::file(&self.path, None, "it is of another model")) };
        }
        let ran = started.header.clone().unwrap_or_default();
        let run = Run {
            asked: self.asked.clone(),
            ran: EvaluateHeader { progress_every: 0, ..ran },
            model: started.model_digest.clone(),
        };
        let (about, failed) = (beside(&self.path), |e: std::io::Error| Error::file(&self.path, None, e));
        let text = serde_json::to_string(&run).map_err(|e| Error::file(&about, None, e))?;
        // At once or not at all: a run may be killed here, too.
        let part = about.with_extension("part");
        std::fs::write(&part, text).map_err(failed)?;
        std::fs::rename(&part, &about).map_err(failed)?;
        self.earlier = Some(run);
        Ok(())
    }

    /// Writes a result down.
    pub(crate) fn add(&mut self, result: &SampleResult) -> Result<(), Error> {
        let line = serde_json::to_string(result).map_err(|e| Error::file(&self.path, None, e))? + "\n";
        self.file.write_all(line.as_bytes()).map_err(|e| Error::file(&self.path, None, e))
    }
}

/// All results in the file that a run has left, without errors; of two of the same sample and variant the later one.
pub fn read_results(path: impl AsRef<Path>) -> Result<Vec<SampleResult>, Error> {
    read(path.as_ref(), false)
}

/// `mend`: nothing for no file, and a last line that was cut off by a kill is cut away.
fn read(path: &Path, mend: bool) -> Result<Vec<SampleResult>, Error> {
    let failed = |e: std::io::Error| Error::file(path, None, e);
    let file = match File::open(path) {
        Err(e) if mend && e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.map_err(failed)?,
    };
    let (mut known, mut places) = (Vec::<SampleResult>::new(), HashMap::new());
    let (mut reader, mut line, mut whole) = (BufReader::new(file), Vec::new(), 0);
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        // Only the last line has no end.
        if !line.ends_with(b"\n") {
            if mend {
                OpenOptions::new().write(true).open(path).and_then(|f| f.set_len(whole)).map_err(failed)?;
            }
            break;
        }
        let result: SampleResult = serde_json::from_slice(&line).map_err(|e| Error::file(path, Some(number), e))?;
        whole += line.len() as u64;
        if result.error.is_none() {
            let place = *places.entry((result.id.clone(), result.variant.clone())).or_insert(known.len());
            if place == known.len() { known.push(result) } else { known[place] = result }
        }
    }
    Ok(known)
}
