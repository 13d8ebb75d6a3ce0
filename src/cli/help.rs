//! The help of the program as a whole: its commands, in groups.

use std::fmt::Write as _;

use clap::Command;
use clap::builder::StyledStr;
use clap::builder::styling::Styles;

use super::examples;

/// The commands by what somebody wants to do.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Ask a model",
        &[
            "generate",
            "score",
            "sweep",
            "trace",
            "attribute",
            "capture",
            "preview",
            "replay",
            "hooks",
        ],
    ),
    (
        "Run benchmarks",
        &[
            "eval",
            "experiment",
            "paper",
            "table1",
            "items",
            "classify",
            "alignment",
            "features",
            "dataset",
            "merge",
        ],
    ),
    (
        "Serve others",
        &["serve", "models", "health", "key", "certificate"],
    ),
    ("Check and measure", &["demo", "parity", "bench"]),
    ("Shell", &["completions", "man", "help"]),
];

/// Explains the exit status.
const EXIT_STATUS: &str = "\
Exit status: 0 if all went well; 1 if something failed, or a check says no (replay, parity,
health, dataset check); 2 if the command line cannot be carried out as it stands, and nothing was
begun. An empty variable of the environment counts as unset.";

/// Says how flags of `serve` are called in the environment.
const VARIABLES: &str = "\
Every flag but --check and --json can be set in the environment, --max-running by
SCOTOMA_MAX_RUNNING, and by its name in the file of --config. -h is short, --help has all.";

/// Says once of all flags of `serve` what their variables are: in a list of sixty, the variable of
/// each is half of the text.
fn with_variables(serve: Command) -> Command {
    // clap has one text behind the flags, and the examples are in it by now.
    let examples = serve.get_after_help().map(ToString::to_string);
    serve
        .mut_args(|arg| arg.hide_env(true))
        .after_help(format!("{}\n\n{VARIABLES}", examples.unwrap_or_default()))
}

/// Lays out the help of `program`: commands in groups, of which clap has none.
pub(super) fn in_groups(program: Command) -> Command {
    let program = program.mut_subcommand("serve", with_variables);
    let commands = groups(&program);
    // A template colours `{usage-heading}` by itself; our own headings have to do as clap does.
    let header = Styles::styled();
    let header = header.get_header();
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{commands}\
         {header}Options:{header:#}\n{{options}}{{after-help}}"
    );
    let end = format!("{}\n\n{EXIT_STATUS}", examples::section(examples::of("")));
    program
        .help_template(StyledStr::from(template))
        .after_help(end)
}

fn groups(program: &Command) -> String {
    let styles = Styles::styled();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut text = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(text, "{header}{title}:{header:#}");
        for name in names {
            let about = program.find_subcommand(name).and_then(Command::get_about);
            // clap makes `help` itself, and only when the command is built.
            let about =
                about.map_or_else(|| "Print the help of a command".into(), ToString::to_string);
            // As wide as `certificate` and `completions`, the longest names.
            let _ = writeln!(text, "  {literal}{name:<11}{literal:#}  {about}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn variables_of_serve_are_called_like_its_flags() {
        let program = crate::cli::command();
        let serve = program.find_subcommand("serve").unwrap();
        for flag in serve.get_arguments() {
            let long = flag.get_long().unwrap();
            let name = format!("SCOTOMA_{}", long.to_uppercase().replace('-', "_"));
            let is_named = flag.get_env().is_some_and(|env| *env == *name);
            assert!(is_named || ["check", "json"].contains(&long), "{long}");
        }
    }

    #[test]
    fn every_command_is_in_one_group_on_one_line() {
        let mut program = crate::cli::command();
        program.build();
        let there = program.get_subcommands().map(Command::get_name);
        let there: BTreeSet<&str> = there.collect();
        let listed: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        assert_eq!(listed.len(), there.len());
        assert_eq!(there, listed.into_iter().collect());
        for line in program.render_help().to_string().lines() {
            assert!(
                line.starts_with("    ") || line.chars().count() <= 100,
                "{line}"
            );
        }
        for command in program.get_subcommands() {
            let about = command.get_about().unwrap().to_string();
            // Two blanks, eleven letters and two blanks stand before it.
            assert!(about.chars().count() <= 65, "{about}");
        }
    }
}
