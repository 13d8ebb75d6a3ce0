//! Refuses flags that a command would not use beside the others. clap knows which flags each command
//! has; how one flag makes another useless is here. Only flags of the command line are refused: a
//! variable of the environment, such as `SCOTOMA_DEVICE`, is set for all commands alike.

use std::path::PathBuf;

use clap::error::{Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use super::benchmark_args::{LIST, PRUNING, Scoring};
use super::files;
use crate::benchmark;

/// Groups of flags for a model of this process; clap names a group by its struct.
const OF_THIS_PROCESS: [&str; 7] = [
    "DeviceArgs",
    "LocalModelArgs",
    "AdapterArgs",
    "SaeArgs",
    "LensArgs",
    "ChatTemplateArgs",
    "JudgeArgs",
];
/// Flags of a connection to a server.
const OF_A_SERVER: [&str; 5] = [
    "api_key",
    "server_ca",
    "client_cert",
    "client_key",
    "patience",
];
/// The group of flags of an encrypted connection.
const TRUST: &str = "TlsArgs";

/// A command with its arguments.
struct Call<'a> {
    command: &'a Command,
    matches: &'a ArgMatches,
}

/// Commands whose --out is a folder, which they create, or may be one.
const OUT_IS_FOLDER: [&str; 3] = ["man", "certificate", "merge"];

/// Returns the command that is called, within `program`.
fn called<'a>(program: &'a Command, matches: &'a ArgMatches) -> Call<'a> {
    let (mut command, mut own) = (program, matches);
    // A command may stand within another one: `dataset check`.
    while let Some((name, inner)) = own.subcommand() {
        let Some(found) = command.find_subcommand(name) else {
            break;
        };
        (command, own) = (found, inner);
    }
    Call {
        command,
        matches: own,
    }
}

/// Says why a file of `--out` or `--record`, or the folder of `--report`, cannot be written, before
/// the work for it is done.
pub(super) fn unwritable(program: &Command, matches: &ArgMatches) -> Option<String> {
    let call = called(program, matches);
    // `paper --plan` writes nothing.
    if call.has("report") && !call.given("plan") {
        let folder = call.matches.try_get_one::<PathBuf>("report").ok().flatten();
        let error = folder.and_then(|folder| files::check_folder(folder).err());
        if let Some(error) = error {
            return Some(format!("--report {error}"));
        }
    }
    let ids = ["out", "record"].into_iter().filter(|id| call.has(id));
    ids.filter(|id| *id != "out" || !OUT_IS_FOLDER.contains(&call.command.get_name()))
        // `ok`: an `out` of another type than a path names no file.
        .filter_map(|id| Some((id, call.matches.try_get_many::<PathBuf>(id).ok()??)))
        .find_map(|(id, paths)| {
            let error = paths
                .into_iter()
                .find_map(|path| files::check_writable(path).err())?;
            Some(format!("{}: {error}", call.spelled(id)))
        })
}

/// Refuses flags that would change nothing.
pub(super) fn check(program: &mut Command, matches: &ArgMatches) -> Result<(), Error> {
    // clap propagates global flags and groups to subcommands only when a command is built.
    program.build();
    let call = called(program, matches);
    let checks = [
        call.repeated(),
        call.server(),
        call.device(),
        call.threads(),
        call.judge(),
        call.listing(),
        call.table(),
        call.lengths(),
        call.rule(),
        call.answering(),
        call.sampling(),
        call.serving(),
    ];
    match checks.into_iter().find_map(Result::err) {
        Some((kind, message)) => Err(call.command.clone().error(kind, message)),
        None => Ok(()),
    }
}

type Checked = Result<(), (ErrorKind, String)>;

fn unused(message: String) -> Checked {
    Err((ErrorKind::ArgumentConflict, message))
}

impl Call<'_> {
    fn has(&self, id: &str) -> bool {
        self.command.get_arguments().any(|a| a.get_id() == id)
    }

    fn positional(&self, id: &str) -> bool {
        self.command.get_positionals().any(|a| a.get_id() == id)
    }

    /// Tells whether a flag stands on the command line.
    fn given(&self, id: &str) -> bool {
        // `has` first: a debug build of clap panics at an id that the command does not have.
        self.has(id) && self.matches.value_source(id) == Some(ValueSource::CommandLine)
    }

    /// Tells whether a flag has a value of the command line or of the environment.
    fn set(&self, id: &str) -> bool {
        let source = if self.has(id) {
            self.matches.value_source(id)
        } else {
            None
        };
        source.is_some_and(|source| source != ValueSource::DefaultValue)
    }

    fn text(&self, id: &str) -> Option<&str> {
        if self.has(id) {
            self.matches
                .try_get_one::<String>(id)
                .ok()?
                .map(String::as_str)
        } else {
            None
        }
    }

    /// Lists the flags of the command line that belong to `groups`.
    fn given_of(&self, groups: &[&str]) -> Vec<String> {
        let groups = self
            .command
            .get_groups()
            .filter(|g| groups.contains(&g.get_id().as_str()));
        let given = groups
            .flat_map(clap::ArgGroup::get_args)
            .filter(|id| self.given(id.as_str()));
        given.map(|id| self.spelled(id.as_str())).collect()
    }

    fn spelled(&self, id: &str) -> String {
        let long = self
            .command
            .get_arguments()
            .find(|a| a.get_id() == id)
            .and_then(clap::Arg::get_long);
        long.map_or_else(|| id.to_uppercase(), |long| format!("--{long}"))
    }

    /// Refuses a file, a layer, a point or a client that is named twice.
    fn repeated(&self) -> Checked {
        for id in ["out", "layers", "point", "client"]
            .into_iter()
            .filter(|id| self.given(id))
        {
            // As they were typed: parsed, each flag has a type of its own.
            let mut values: Vec<_> = self.matches.get_raw(id).into_iter().flatten().collect();
            values.sort_unstable();
            if let Some(pair) = values.windows(2).find(|pair| pair[0] == pair[1]) {
                let (flag, value) = (self.spelled(id), pair[0].display());
                return unused(format!("{flag} {value}: named twice; once is enough"));
            }
        }
        Ok(())
    }

    /// Tells whether the command can run without a server, and so has flags for both.
    fn may_be_alone(&self) -> bool {
        self.command
            .get_groups()
            .any(|g| g.get_id() == "RemoteArgs")
    }

    /// Returns the addresses of `--server`.
    fn servers(&self) -> Vec<&str> {
        if !self.has("server") {
            return Vec::new();
        }
        let servers = self.matches.try_get_many::<String>("server");
        let servers = servers.ok().flatten().into_iter().flatten();
        servers.map(String::as_str).collect()
    }

    fn server(&self) -> Checked {
        let servers = self.servers();
        let trust = self.given_of(&[TRUST]);
        // One of several may be encrypted; `health` has one without being told.
        let encrypted = servers.iter().any(|server| server.starts_with("https://"));
        if !servers.is_empty() && !encrypted && !trust.is_empty() {
            return unused(format!(
                "{}: --server {} is not encrypted; https:// is",
                trust.join(", "),
                servers.join(",")
            ));
        }
        if !self.may_be_alone() {
            return Ok(());
        }
        if self.set("server") {
            let flags = self.given_of(&OF_THIS_PROCESS);
            if !flags.is_empty() {
                let (flags, servers) = (flags.join(", "), servers.join(","));
                return unused(format!(
                    "{flags}: for a model of this process; the server {servers} has its own"
                ));
            }
            return Ok(());
        }
        if self.given("adapter")
            && self.has("model")
            && !self.positional("model")
            && !self.set("model")
        {
            return unused("--adapter: --model is needed, which it is merged onto".into());
        }
        let flags = OF_A_SERVER
            .iter()
            .filter(|id| self.given(id))
            .map(|id| self.spelled(id));
        let flags: Vec<String> = flags.collect();
        if flags.is_empty() {
            Ok(())
        } else {
            unused(format!("{}: --server ADDRESS is needed", flags.join(", ")))
        }
    }

    /// Refuses several devices where one is used. A variable of the environment may list those of
    /// `serve`.
    fn device(&self) -> Checked {
        let groups = ["DeviceArgs"];
        let flags = self.given_of(&groups);
        let device = self.text("device").unwrap_or_default();
        if flags.iter().any(|flag| flag == "--device") && device.contains(',') {
            return unused(format!(
                "--device {device}: one is used; several with commas are for serve, several joined \
                 by + hold one model"
            ));
        }
        Ok(())
    }

    /// Refuses `--threads`, which every command has, for those that run no model.
    fn threads(&self) -> Checked {
        let runs = self
            .command
            .get_groups()
            .any(|g| ["DeviceArgs", "ServerDeviceArgs"].contains(&g.get_id().as_str()));
        // `demo` runs the embedded model, and has no flags for a device.
        let alone = runs || self.command.get_name() == "demo";
        let remote = self.may_be_alone() && self.set("server");
        if self.given("threads") && (!alone || remote) {
            let why = if remote {
                "the model runs on a server"
            } else {
                "the command runs no model"
            };
            return unused(format!("--threads: {why}"));
        }
        Ok(())
    }

    fn judge(&self) -> Checked {
        let flags: Vec<String> = self
            .given_of(&["JudgeArgs"])
            .into_iter()
            // The flag itself is one of the group.
            .filter(|flag| flag != "--judge")
            .collect();
        if flags.is_empty() || self.set("judge") {
            return Ok(());
        }
        unused(format!("{}: --judge is needed", flags.join(", ")))
    }

    /// Tells whether a text in place of a benchmark or an experiment is a word that lists. `eval`
    /// alone lists the ways of pruning: an experiment has that name.
    fn lists(&self, text: &str) -> bool {
        text == LIST || text == PRUNING && self.command.get_name() == "eval"
    }

    /// Refuses further flags of `eval list`, `eval pruning` and `experiment list`.
    fn listing(&self) -> Checked {
        // `experiment` has a rule as well, behind its own name.
        let first = ["experiment", "rule"].into_iter().find(|id| self.has(id));
        // `items` has a rule as well, but no list.
        let first = first.filter(|_| self.command.get_name() != "items");
        let words = first.and_then(|id| Some((id, self.text(id)?)));
        let Some((first, word)) = words.filter(|(_, word)| self.lists(word)) else {
            return Ok(());
        };
        let others = self.command.get_arguments().map(|a| a.get_id().as_str());
        // `experiment list RULE` stays allowed: earlier versions asked for a benchmark there.
        let other = others
            .filter(|id| ![first, "rule", "json"].contains(id))
            .find(|id| self.given(id));
        match other {
            Some(other) => unused(format!(
                "{}: {word} takes nothing else",
                self.spelled(other)
            )),
            None => Ok(()),
        }
    }

    /// Refuses flags of a table's rows where no table is read: the items inside the program can all
    /// be read.
    fn table(&self) -> Checked {
        if self.given("skip_bad") && self.has("data") && !self.set("data") {
            return unused("--skip-bad: rows of --data are skipped, and there is no --data".into());
        }
        Ok(())
    }

    /// Refuses an answer that must be longer than it may be; 0 is no limit.
    fn lengths(&self) -> Checked {
        let number = |id: &str| self.has(id).then(|| self.matches.get_one::<u32>(id))?;
        match (number("min_tokens"), number("max_tokens")) {
            (Some(least), Some(most)) if *most > 0 && least > most => Err((
                ErrorKind::InvalidValue,
                format!("--min-tokens {least}: more than --max-tokens {most}"),
            )),
            _ => Ok(()),
        }
    }

    /// Refuses a rule that is not known, and a judge for a rule that asks none.
    fn rule(&self) -> Checked {
        // The empty text is the default of `dataset check`: no benchmark is named.
        let Some(text) = self
            .text("rule")
            .filter(|text| !self.lists(text) && !text.is_empty())
        else {
            return Ok(());
        };
        let Some(rule) = benchmark::rule(text) else {
            // A server may know others.
            if self.set("server") {
                return Ok(());
            }
            let known: Vec<String> = benchmark::RULES.iter().map(benchmark::Rule::name).collect();
            let message = format!(
                "RULE {text:?}: no such benchmark; there are {}",
                known.join(", ")
            );
            return Err((ErrorKind::InvalidValue, message));
        };
        if self.given("judge") && rule.judge_prompt.is_none() {
            return unused(format!(
                "--judge: {} is read by rule, no judge is asked",
                rule.name()
            ));
        }
        Ok(())
    }

    /// Refuses flags of sampling for greedy decoding.
    fn sampling(&self) -> Checked {
        if !self.has("temperature") {
            return Ok(());
        }
        let greedy = self
            .matches
            .get_one::<f64>("temperature")
            .is_none_or(|temperature| *temperature == 0.0);
        if self.given("do_sample") {
            let refused = greedy && self.given("temperature");
            return if refused {
                unused("--temperature 0: with --do-sample tokens are drawn".into())
            } else {
                Ok(())
            };
        }
        let of_drawing = [
            "top_k",
            "top_p",
            "min_p",
            "typical_p",
            "top_h",
            "epsilon_cutoff",
            "eta_cutoff",
            "seed",
        ];
        match of_drawing.into_iter().find(|id| self.given(id)) {
            Some(flag) if greedy => {
                let flag = self.spelled(flag);
                unused(format!(
                    "{flag}: without --temperature above 0 or --do-sample the likeliest token is \
                     taken"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Refuses bounds of what is not allowed, and counts by keys that there are none of.
    fn serving(&self) -> Checked {
        // Only `serve` has it.
        if !self.has("allow_load") {
            return Ok(());
        }
        let places = ["model_root", "model_hub"];
        if let Some(flag) = places.into_iter().find(|id| self.given(id))
            // By the value: the environment or the configuration file may allow it, too.
            && !self.matches.get_flag("allow_load")
        {
            let flag = self.spelled(flag);
            return unused(format!("{flag}: clients load nothing without --allow-load"));
        }
        if self.given("metrics_by_key") && !self.set("api_keys") {
            return unused("--metrics-by-key: there are no keys without --api-keys".into());
        }
        Ok(())
    }

    /// Refuses flags of generation where options are scored, and no answer is written.
    fn answering(&self) -> Checked {
        let scored =
            self.has("scoring") && self.matches.get_one("scoring") != Some(&Scoring::Generation);
        if self.command.get_name() == "sweep" && self.given("continuation") {
            // clap's group of a struct that holds another one is empty.
            let own = ["max_tokens", "stop"]
                .into_iter()
                .filter(|id| self.given(id));
            let mut flags: Vec<String> = own.map(|id| self.spelled(id)).collect();
            flags.extend(self.given_of(&["SamplingArgs"]));
            return if flags.is_empty() {
                Ok(())
            } else {
                unused(format!(
                    "{}: with --continuation no answer is written",
                    flags.join(", ")
                ))
            };
        }
        let flag = ["max_tokens", "judge"]
            .into_iter()
            .find(|id| self.given(id));
        match flag {
            Some(flag) if scored => unused(format!(
                "{}: with --scoring letters and --scoring texts no answer is written",
                self.spelled(flag)
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    fn checked(line: &str) -> Result<(), Error> {
        let mut command = crate::cli::command();
        let words = std::iter::once("scotoma").chain(line.split_whitespace());
        let matches = command.clone().try_get_matches_from(words)?;
        check(&mut command, &matches)
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn flags_that_would_change_nothing_are_refused() {
        for (line, says) in [
            (
                "experiment permutation shapes --drop-layers 0,1",
                "--drop-layers",
            ),
            ("experiment permutation shapes --variant a=[]", "--variant"),
            ("experiment permutation shapes --out a", "--out"),
            ("items shapes --permute 1", "--permute"),
            ("items shapes --substitutes a", "--substitutes"),
            ("classify --data a --scoring letters", "--scoring"),
            ("classify --data a --template {}", "--clip"),
            ("alignment --judge http://a --judge-model b", "--judge"),
            ("preview a --permute 1", "--permute"),
            (
                "preview a --intervene {\"permuteTokens\":{}}",
                "does not change the picture",
            ),
            ("health --api-key a", "--api-key"),
            (
                "health --server-ca a",
                "--server-ca: --server http://127.0.0.1:7878 is not encrypted",
            ),
            (
                "generate a b --device cpu,cpu",
                "--device cpu,cpu: one is used",
            ),
            (
                "certificate a --client b --client b",
                "--client b: named twice",
            ),
            ("bench --batch 0", "0 is not in 1..=4096"),
            (
                "eval shapes --api-key a",
                "--api-key: --server ADDRESS is needed",
            ),
            (
                "models --server-ca a",
                "--server-ca: --server ADDRESS is needed",
            ),
            (
                "eval shapes --server http://a --server-ca b",
                "--server-ca: --server http://a is not encrypted",
            ),
            ("eval shapes --server http://a --dtype bf16", "--dtype"),
            (
                "generate a b --server http://a --device cpu",
                "--device: for a model of this process",
            ),
            (
                "replay a --server http://a --model b",
                "--model: for a model of this process",
            ),
            ("parity --server http://a --dtype bf16", "--dtype"),
            (
                "eval mmvet --data a --server http://a --judge http://b --judge-model c",
                "--judge, --judge-model",
            ),
            (
                "eval mmvet --data a --judge-model c",
                "--judge-model: --judge is needed",
            ),
            (
                "eval shapes --judge http://b --judge-model c",
                "no judge is asked",
            ),
            (
                "eval shapes --scoring letters --max-tokens 2",
                "--max-tokens",
            ),
            ("eval shapes --estimate --json", "--json"),
            ("generate a b --adapter c", "--adapter: --model is needed"),
            (
                "generate a b --server http://a --model c --adapter d",
                "--adapter: for a model of this process",
            ),
            (
                "generate a b --do-sample --temperature 0",
                "--temperature 0: with --do-sample",
            ),
            (
                "generate a b --top-p 0.5",
                "--top-p: without --temperature above 0 or --do-sample",
            ),
            (
                "generate a b --server http://a --sae c=d",
                "--sae: for a model of this process",
            ),
            (
                "generate a b --server http://a --lens c=d",
                "--lens: for a model of this process",
            ),
            ("eval list --limit 2", "--limit: list takes nothing else"),
            (
                "eval pruning --limit 2",
                "--limit: pruning takes nothing else",
            ),
            ("items pruning", "RULE \"pruning\": no such benchmark"),
            (
                "eval shapes --skip-bad",
                "--skip-bad: rows of --data are skipped",
            ),
            (
                "generate a b --min-tokens 9 --max-tokens 8",
                "--min-tokens 9: more than --max-tokens 8",
            ),
            ("preview a -o b.jpg", "a name that ends in .png is needed"),
            (
                "eval mmlu --data a",
                "RULE \"mmlu\": no such benchmark; there are mmvp/lmms-eval",
            ),
            ("--threads 2 key a", "--threads: the command runs no model"),
            (
                "serve --model-root a",
                "--model-root: clients load nothing without --allow-load",
            ),
            (
                "serve --metrics-by-key",
                "--metrics-by-key: there are no keys without --api-keys",
            ),
            (
                "sweep a b --axis permute=1 -c Yes --stop x",
                "--stop: with --continuation no answer is written",
            ),
            (
                "sweep a b --axis permute=1 --variant c=[]",
                "cannot be used with",
            ),
            ("trace a b -a c --layers 1,2,1", "--layers 1: named twice"),
            ("trace a b --point z --point z", "--point z: named twice"),
            ("trace a b -o c.png -o c.png", "--out c.png: named twice"),
            ("sweep a b", "--axis"),
            ("score a b", "--continuation"),
            (
                "--threads 2 eval shapes --server http://a",
                "--threads: the model runs on a server",
            ),
        ] {
            let error = checked(line).expect_err(line);
            assert!(error.to_string().contains(says), "{line}: {error}");
            assert_eq!(error.exit_code(), 2, "{line}");
        }
        for line in [
            "--threads 2 eval shapes --limit 3 --drop-layers 0",
            "eval mmvp --data a --skip-bad",
            "generate a b --min-tokens 8 --max-tokens 8",
            "generate a b --min-tokens 8",
            "preview a -o b.PNG",
            "preview a -o b",
            "eval mmvet --data a --judge http://b --judge-model c",
            "eval mmlu --data a --server http://a",
            "models --server https://a --server-ca b --api-key c",
            "models --server http://a,https://b --server-ca c",
            "health --server https://a --server-ca b",
            "serve --device cpu,cpu",
            "generate a b --model c --dtype bf16",
            "experiment list",
            "experiment list shapes",
            "experiment list --json",
            "experiment pruning shapes --limit 2",
            "eval pruning",
            "eval pruning --json",
            "parity --model a --device cpu",
            "serve --allow-load --model-root a --api-keys b --metrics-by-key",
            "sweep a b --axis permute=1 --max-tokens 3",
        ] {
            checked(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
        assert_eq!(
            checked("eval").unwrap_err().kind(),
            ErrorKind::MissingRequiredArgument
        );
    }

    /// clap forgets the flags of a struct's group as soon as the struct holds another one.
    #[test]
    fn groups_hold_their_flags() {
        let mut command = crate::cli::command();
        command.build();
        let mut found = Vec::new();
        for own in command.get_subcommands() {
            for group in own
                .get_groups()
                .filter(|g| OF_THIS_PROCESS.contains(&g.get_id().as_str()) || g.get_id() == TRUST)
            {
                assert!(
                    group.get_args().count() > 0,
                    "{}: {}",
                    own.get_name(),
                    group.get_id()
                );
                found.push(group.get_id().to_string());
            }
        }
        assert!(
            OF_THIS_PROCESS
                .iter()
                .chain([&TRUST])
                .all(|name| found.iter().any(|f| f == name)),
            "{found:?}"
        );
    }
}
