//! Shards of a run: the flag, and the file beside a shard's results that says which items are in it.
//!
//! A shard cannot tell an item that it has not asked yet from one that is another's. So its items
//! are written down before the first one is asked, and `scotoma merge` knows what is missing.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::error::{Failure, Usage};
use super::files;
use crate::benchmark::{Error, Item, Shard};

/// The end of the name of a shard's file, behind the name of its results.
pub(super) const SHARD_FILE: &str = ".shard.json";

/// The flag of a shard.
#[derive(Debug, Clone, Args)]
pub(super) struct ShardArgs {
    /// Ask one of N parts of the items, numbered from 0, so that N processes ask all: 0/8 to 7/8
    ///
    /// Items about one picture are in one part. `scotoma merge` puts the results together; each
    /// part needs a file (or a report folder) of its own.
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<Shard>,
}

/// The items of a shard.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ShardFile {
    /// The shard, as the flag spells it.
    pub(super) shard: String,
    /// The items of all shards.
    pub(super) rows: usize,
    /// The rows that could not be read.
    pub(super) left_out: usize,
    /// The ids of the shard's items, in the order of the data.
    pub(super) items: Vec<String>,
}

impl ShardFile {
    /// Reads all items, and notes which are the shard's.
    ///
    /// # Errors
    /// A row that cannot be read, unless such rows are to be skipped.
    pub(super) fn plan(
        shard: Shard,
        all: impl Iterator<Item = Result<Item, Error>>,
        skip_bad: bool,
    ) -> Result<Self, Failure> {
        let mut file = Self {
            shard: shard.to_string(),
            rows: 0,
            left_out: 0,
            items: Vec::new(),
        };
        for item in all {
            match item {
                Ok(item) => {
                    file.rows += 1;
                    if shard.holds(&item) {
                        file.items.push(item.id);
                    }
                }
                Err(_) if skip_bad => file.left_out += 1,
                Err(error) => return Err(format!("{error} (--skip-bad goes on without it)").into()),
            }
        }
        Ok(file)
    }

    /// Writes the file beside `results`.
    ///
    /// # Errors
    /// Results that are there and not this shard's.
    pub(super) fn write(&self, results: &Path) -> Result<(), Failure> {
        match Self::read(results)? {
            Some(there) if there.shard == self.shard => {}
            Some(there) => return Err(refused(results, &there.shard)),
            None if results.metadata().is_ok_and(|m| m.len() > 0) => {
                let message = format!(
                    "--shard {}: {} has the results of a run without --shard; take another file",
                    self.shard,
                    results.display()
                );
                return Err(Usage(message).into());
            }
            None => {}
        }
        // In one step: a run that is killed here leaves the old file or the new one.
        files::replace(&beside(results), &serde_json::to_vec(self)?)?;
        Ok(())
    }

    /// Reads the file beside `results`; `None` where they are no shard's.
    pub(super) fn read(results: &Path) -> Result<Option<Self>, Failure> {
        let path = beside(results);
        match std::fs::read(&path) {
            Ok(text) => {
                let file = serde_json::from_slice(&text);
                Ok(Some(file.map_err(|e| files::named(&path, &e))?))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(files::named(&path, &e).into()),
        }
    }
}

/// Refuses to write the results of all items to a file that has those of a shard.
pub(super) fn refuse_shard(results: &Path) -> Result<(), Failure> {
    match ShardFile::read(results)? {
        Some(there) => Err(refused(results, &there.shard)),
        None => Ok(()),
    }
}

fn refused(results: &Path, shard: &str) -> Failure {
    let results = results.display();
    Usage(format!(
        "{results} has the results of --shard {shard}; go on with that, or take another file"
    ))
    .into()
}

fn beside(results: &Path) -> PathBuf {
    let mut name = results.as_os_str().to_owned();
    name.push(SHARD_FILE);
    name.into()
}
