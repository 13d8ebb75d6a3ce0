//! The settings of `serve` as text: what each is, and where it was said.

use std::collections::{BTreeMap, BTreeSet};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

/// Holds what was said of the flags of a command, by their long names; those with their
/// defaults are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings(BTreeMap<String, Setting>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    values: Vec<String>,
    place: &'static str,
    is_secret: bool,
}

impl Settings {
    /// Reads what `matches` has for `command`; `from_file` names the flags that its configuration
    /// file has set.
    pub(super) fn new(
        command: &Command,
        matches: &ArgMatches,
        from_file: &BTreeSet<String>,
    ) -> Self {
        let mut settings = BTreeMap::new();
        for flag in command.get_arguments() {
            let Some(long) = flag.get_long() else {
                continue;
            };
            let is_in_file = from_file.contains(long);
            if let Some(setting) = setting(flag, matches, is_in_file) {
                settings.insert(long.to_owned(), setting);
            }
        }
        Self(settings)
    }

    /// Names the flags that differ from those of `other`.
    pub(super) fn changed<'a>(&'a self, other: &'a Self) -> BTreeSet<&'a str> {
        let names = self.0.keys().chain(other.0.keys()).map(String::as_str);
        // Values alone: a flag that has moved from the command line to the file is the same.
        let values = |of: &Self, name: &str| of.0.get(name).map(|s| s.values.clone());
        names
            .filter(|name| values(self, name) != values(other, name))
            .collect()
    }

    /// Returns a line for each flag: its name, its value and where it was said.
    pub(super) fn lines(&self) -> Vec<String> {
        let lines = self.0.iter().map(|(name, setting)| {
            let value = if setting.is_secret {
                "(not shown)".into()
            } else {
                setting.values.join(", ")
            };
            format!("{name} = {value} ({})", setting.place)
        });
        lines.collect()
    }
}

fn setting(flag: &Arg, matches: &ArgMatches, is_in_file: bool) -> Option<Setting> {
    let id = flag.get_id().as_str();
    // Help and version have no values.
    matches.try_contains_id(id).ok()?;
    // What the file says stands among the arguments by now: `config_file::expand` put it there.
    let place = match matches.value_source(id)? {
        ValueSource::CommandLine if is_in_file => "file",
        ValueSource::CommandLine => "command line",
        ValueSource::EnvVariable => "environment",
        _ => return None,
    };
    let values = matches.get_raw(id).unwrap_or_default();
    Some(Setting {
        values: values
            .map(|value| value.to_string_lossy().into_owned())
            .collect(),
        place,
        // A flag whose variable the help hides is a secret; the two are marked as one.
        is_secret: flag.is_hide_env_values_set(),
    })
}
