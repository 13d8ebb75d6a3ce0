//! The configuration file of `serve`: TOML, in which each flag stands under its long name.
//!
//! What the file says is added to the command line, where the command line and the environment do
//! not say it themselves. So a setting means the same wherever it stands, and every flag can stand
//! in the file.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};
use toml::de::{DeTable, DeValue};

use super::files;

/// The command that has a configuration file.
const SERVE: &str = "serve";
/// The flag that names it.
const CONFIG: &str = "config";
/// Flags that are of one call, and no configuration.
const OF_A_CALL: [&str; 5] = [CONFIG, "check", "json", "help", "version"];

/// The arguments of the program, those of its configuration file included.
#[derive(Debug)]
pub(super) struct Expanded {
    pub(super) arguments: Vec<OsString>,
    /// Names the flags that the file has set.
    pub(super) from_file: BTreeSet<String>,
}

/// Adds to `arguments` what the configuration file says that they or the environment name.
/// `program` must be built.
///
/// # Errors
/// A file that cannot be read, and all mistakes in it, each with its line.
pub(super) fn expand(program: &Command, arguments: Vec<OsString>) -> Result<Expanded, String> {
    let mut expanded = Expanded {
        arguments,
        from_file: BTreeSet::new(),
    };
    let Some((path, at)) = named_file(program, &expanded.arguments) else {
        return Ok(expanded);
    };
    let text = files::read_text(&path).map_err(|e| format!("--config {e}"))?;
    let serve = program
        .find_subcommand(SERVE)
        .ok_or("there is no such command")?;
    let file = File {
        program,
        serve,
        text: &text,
    };
    let settings = file.settings().map_err(|mistakes| {
        let place = path.display();
        let lines = mistakes.iter().map(|mistake| format!("{place}, {mistake}"));
        lines.collect::<Vec<_>>().join("\nerror: ")
    })?;
    let mut added = Vec::new();
    for (flag, words) in settings {
        // The command line and the environment go before the file.
        if !is_set(flag, &expanded.arguments) {
            expanded.from_file.insert(name(flag).to_owned());
            added.extend(words.into_iter().map(OsString::from));
        }
    }
    expanded.arguments.splice(at..at, added);
    Ok(expanded)
}

/// Finds the file that the arguments or the environment name, and where its flags are to stand.
///
/// Read without clap, which would refuse a line whose missing half is in the file.
fn named_file(program: &Command, arguments: &[OsString]) -> Option<(PathBuf, usize)> {
    let at = 1 + arguments.iter().position(|argument| argument == SERVE)?;
    // Before the command only flags of all commands stand; else the word is somebody's value.
    let is_command = arguments.get(1..at - 1)?.iter().all(is_global);
    let flag = format!("--{CONFIG}");
    let own = arguments.get(at..)?;
    let spoken = own.iter().enumerate().find_map(|(i, argument)| {
        if *argument == *flag {
            return own.get(i + 1).map(PathBuf::from);
        }
        let text = argument.to_str()?.strip_prefix(&flag)?;
        text.strip_prefix('=').map(PathBuf::from)
    });
    let path = spoken
        .or_else(|| in_environment(program))
        .filter(|_| is_command)?;
    Some((path, at))
}

/// Returns the file that the environment names.
fn in_environment(program: &Command) -> Option<PathBuf> {
    let serve = program.find_subcommand(SERVE)?;
    let mut flags = serve.get_arguments();
    let variable = flags.find(|flag| name(flag) == CONFIG)?.get_env()?;
    let value = std::env::var_os(variable).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}

/// Tells whether an argument is `--threads` or its value.
fn is_global(argument: &OsString) -> bool {
    let text = argument.to_string_lossy();
    text.starts_with("--threads") || text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Tells whether the command line or the environment sets a flag.
fn is_set(flag: &Arg, arguments: &[OsString]) -> bool {
    // An empty variable counts as unset, as in `without_empty_variable`.
    let in_environment = flag.get_env().and_then(std::env::var_os);
    in_environment.is_some_and(|value| !value.is_empty())
        || arguments.iter().any(|argument| names(flag, argument))
}

fn names(flag: &Arg, argument: &OsStr) -> bool {
    let text = argument.to_string_lossy();
    let Some(long) = text.strip_prefix("--") else {
        return false;
    };
    let long = long.split_once('=').map_or(long, |(long, _)| long);
    // Else the flag would stand on the line twice, once by its alias, which clap refuses.
    let aliases = flag.get_all_aliases().unwrap_or_default();
    long == name(flag) || aliases.contains(&long)
}

fn name(flag: &Arg) -> &str {
    flag.get_long().unwrap_or_default()
}

/// A configuration file that is read.
struct File<'a> {
    program: &'a Command,
    serve: &'a Command,
    text: &'a str,
}

impl<'a> File<'a> {
    /// Returns the flags of the file with the words that set each, in the file's order; or all
    /// mistakes, each behind its line.
    fn settings(&self) -> Result<Vec<(&'a Arg, Vec<String>)>, Vec<String>> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let line = error.span().map_or(1, |span| self.line(&span));
            vec![format!("line {line}: {}", error.message())]
        })?;
        let (mut settings, mut mistakes) = (Vec::new(), Vec::new());
        for (key, value) in table.get_ref() {
            match self.setting(key.get_ref(), value.get_ref()) {
                Ok(setting) => settings.push((key.span().start, setting)),
                Err(mistake) => mistakes.push((self.line(&key.span()), mistake)),
            }
        }
        if mistakes.is_empty() {
            // The table is sorted by keys; flags go in the order of the file.
            settings.sort_by_key(|(place, _)| *place);
            return Ok(settings.into_iter().map(|(_, setting)| setting).collect());
        }
        mistakes.sort();
        let lines = mistakes.into_iter();
        Err(lines
            .map(|(line, mistake)| format!("line {line}: {mistake}"))
            .collect())
    }

    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.get(..span.start).unwrap_or_default();
        1 + before.matches('\n').count()
    }

    fn setting(&self, key: &str, value: &DeValue<'_>) -> Result<(&'a Arg, Vec<String>), String> {
        let flag = self.flag(key)?;
        let words = words(flag, value).map_err(|e| format!("{key}: {e}"))?;
        self.check(flag, &words)
            .map_err(|e| format!("{key}: {e}"))?;
        Ok((flag, words))
    }

    fn flag(&self, key: &str) -> Result<&'a Arg, String> {
        let known = || self.serve.get_arguments().filter(|flag| is_setting(flag));
        if let Some(flag) = known().find(|flag| name(flag) == key) {
            return Ok(flag);
        }
        if OF_A_CALL.contains(&key) {
            return Err(format!("{key}: it belongs on the command line"));
        }
        let distance = |flag: &&Arg| strsim::damerau_levenshtein(name(flag), key);
        let nearest = known().min_by_key(distance).map_or("", |flag| name(flag));
        Err(format!(
            "{key}: no such key; the nearest is {nearest}, and `scotoma serve --help` has all, \
             without their dashes"
        ))
    }

    /// Checks the value of one flag by itself, so that its mistake is said with its line.
    fn check(&self, flag: &Arg, words: &[String]) -> Result<(), String> {
        // The smallest call that has the flag.
        let call = ["scotoma", SERVE].map(String::from);
        let call = call.iter().chain(words);
        let Err(error) = self.program.clone().try_get_matches_from(call) else {
            return Ok(());
        };
        // Another flag, of the environment for instance, or one that is missing beside this one:
        // what the whole comes to is seen later.
        let own = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(of)) => {
                let long = of.trim_start_matches('-').split([' ', '=', '[']).next();
                long == flag.get_long()
            }
            _ => false,
        };
        if !own || error.get(ContextKind::InvalidValue).is_none() {
            return Ok(());
        }
        let text = error.to_string();
        let text = text.split("\n\nFor more information").next();
        let lines = text
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .lines();
        let lines: Vec<&str> = lines
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        Err(lines.join(" "))
    }
}

/// Tells whether a flag can stand in a file.
fn is_setting(flag: &Arg) -> bool {
    flag.get_long()
        .is_some_and(|long| !OF_A_CALL.contains(&long))
}

/// Returns the arguments by which a value sets `flag`.
fn words(flag: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let long = name(flag);
    if !flag.get_action().takes_values() {
        return match value {
            DeValue::Boolean(true) => Ok(vec![format!("--{long}")]),
            DeValue::Boolean(false) => Ok(Vec::new()),
            other => Err(format!("true or false is needed, not {}", kind(other))),
        };
    }
    let is_list = matches!(flag.get_action(), ArgAction::Append);
    match value {
        DeValue::Array(values) if is_list => values
            .iter()
            .map(|value| Ok(format!("--{long}={}", word(value.get_ref())?)))
            .collect(),
        DeValue::Array(_) => Err("one value is needed, not an array".into()),
        value => Ok(vec![format!("--{long}={}", word(value)?)]),
    }
}

/// Returns a value as the command line spells it.
fn word(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) => {
            let read = i128::from_str_radix(number.as_str(), number.radix());
            read.map(|number| number.to_string())
                .map_err(|e| e.to_string())
        }
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        other => Err(format!("a text or a number is needed, not {}", kind(other))),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::super::settings::Settings;
    use super::*;

    fn program() -> Command {
        let mut program = super::super::command();
        program.build();
        program
    }

    /// Expands a call with a configuration file of this text.
    fn with_file(text: &str, flags: &[&str]) -> Result<Expanded, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scotoma.toml");
        std::fs::write(&path, text).unwrap();
        let call = ["scotoma", "serve", "--config"].map(OsString::from);
        let call = call.into_iter().chain([path.clone().into_os_string()]);
        let call = call.chain(flags.iter().map(OsString::from)).collect();
        let place = format!("{}, ", path.display());
        expand(&program(), call).map_err(|error| error.replace(&place, ""))
    }

    fn settings(program: &Command, arguments: &[OsString]) -> Result<Settings, clap::Error> {
        let matches = program.clone().try_get_matches_from(arguments)?;
        let serve = program.find_subcommand(SERVE).unwrap();
        let own = matches.subcommand_matches(SERVE).unwrap();
        Ok(Settings::new(serve, own, &BTreeSet::new()))
    }

    /// Finds a value that a flag takes: one that it lists, or one of some that fit most.
    fn sample(file: &File<'_>, flag: &Arg) -> String {
        let listed = flag.get_possible_values();
        let listed = listed.iter().map(|value| value.get_name().to_owned());
        let others = ["7", "127.0.0.1:1", "a=b", "http://a", "warn", "10.0.0.0/8"];
        let others = others.map(String::from);
        let mut candidates = listed.chain(others);
        let taken = |value: &String| file.check(flag, &[format!("--{}={value}", name(flag))]);
        candidates
            .find(|value| taken(value).is_ok())
            .unwrap_or_else(|| panic!("say here what --{} takes", name(flag)))
    }

    /// Returns the arguments that set a flag, and the lines of a file that do, with all that it
    /// needs beside it.
    fn both_ways(file: &File<'_>, flag: &Arg) -> (Vec<String>, String) {
        if !flag.get_action().takes_values() {
            return (
                vec![format!("--{}", name(flag))],
                format!("{} = true\n", name(flag)),
            );
        }
        let value = sample(file, flag);
        let line = match flag.get_action() {
            ArgAction::Append => format!("{} = [\"{value}\"]\n", name(flag)),
            _ => format!("{} = \"{value}\"\n", name(flag)),
        };
        (vec![format!("--{}={value}", name(flag))], line)
    }

    /// Walks clap's own list, so that a new flag is in this test from its first day.
    #[test]
    fn every_flag_of_serve_can_stand_in_the_file() {
        let program = program();
        let serve = program.find_subcommand(SERVE).unwrap();
        let file = File {
            program: &program,
            serve,
            text: "",
        };
        let mut walked = 0;
        for flag in serve.get_arguments().filter(|flag| is_setting(flag)) {
            let (mut words, mut text) = both_ways(&file, flag);
            let call = |words: &[String]| -> Vec<OsString> {
                let call = ["scotoma", "serve"].map(OsString::from);
                call.into_iter()
                    .chain(words.iter().map(OsString::from))
                    .collect()
            };
            // What it requires is set as well.
            while let Err(error) = settings(&program, &call(&words)) {
                assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument, "{error}");
                let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg)
                else {
                    panic!("{error}")
                };
                for other in serve.get_arguments().filter(|other| {
                    let spelled = format!("--{} ", name(other));
                    missing.iter().any(|m| m.starts_with(&spelled))
                }) {
                    let (more, lines) = both_ways(&file, other);
                    words.extend(more);
                    text.push_str(&lines);
                }
            }
            let spoken = settings(&program, &call(&words)).unwrap();
            let expanded = with_file(&text, &[]).unwrap();
            let written = settings(&program, &expanded.arguments).unwrap();
            let differ = written.changed(&spoken);
            assert_eq!(differ, BTreeSet::from([CONFIG]), "{text}");
            assert!(expanded.from_file.contains(name(flag)));
            walked += 1;
        }
        assert!(walked > 40, "{walked}");
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let program = program();
        let text = "queue = 7\nmodel = [\"a\", \"b\"]\nallow-load = false\nkeep-mib = 0x10\n";
        let of = |flags: &[&str]| {
            let expanded = with_file(text, flags).unwrap();
            let lines = settings(&program, &expanded.arguments).unwrap().lines();
            let mut lines: Vec<String> = lines
                .into_iter()
                .map(|line| line.replace(" (command line)", ""))
                .collect();
            lines.retain(|line| !line.starts_with("config"));
            lines
        };
        assert_eq!(of(&[]), ["keep-mib = 16", "model = a, b", "queue = 7"]);
        assert_eq!(
            of(&["--queue", "8", "--model=c"]),
            ["keep-mib = 16", "model = c", "queue = 8"]
        );
    }

    #[test]
    fn mistakes_name_the_key_and_its_line() {
        let text = "# a comment\nqueue = 0\nkeep_mib = 3\nallow-load = 1\n\nlisten = [\"a\"]\n\
                    check = true\nmodel = [1.5, true]\n[table]\n";
        let error = with_file(text, &[]).unwrap_err();
        let lines: Vec<&str> = error.split("\nerror: ").collect();
        let expected = [
            ("line 2: queue: ", "1..=1000000"),
            ("line 3: keep_mib: no such key", "the nearest is keep-mib"),
            ("line 4: allow-load: ", "true or false"),
            ("line 6: listen: ", "not an array"),
            ("line 7: check: ", "command line"),
            ("line 8: model: ", "not true or false"),
            ("line 9: table: no such key", ""),
        ];
        assert_eq!(lines.len(), expected.len(), "{error}");
        for (line, (begins, holds)) in lines.iter().zip(expected) {
            assert!(line.starts_with(begins) && line.contains(holds), "{line}");
        }
        // What the command line needs may stand in the file.
        let text = "tls-key = \"key.pem\"\n";
        let expanded = with_file(text, &["--tls-cert", "cert.pem"]).unwrap();
        assert!(settings(&program(), &expanded.arguments).is_ok());
        let error = with_file("queue = \n", &[]).unwrap_err();
        assert!(error.starts_with("line 1: "), "{error}");
        let error = with_file("queue = 1\nqueue = 2\n", &[]).unwrap_err();
        assert!(error.starts_with("line 2: "), "{error}");
    }
}
