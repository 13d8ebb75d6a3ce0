//! The command line: one file a command. Commands talk to a server through the Rust client, as any
//! other program would; without one they start a server in this process.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line prints"
)]

mod access_args;
mod alignment;
mod bench;
mod benchmark_args;
mod benchmark_run;
mod bounds_args;
mod capture;
mod certificate;
mod classify;
mod clip_baseline;
mod config_file;
mod connection;
mod dataset;
mod demo;
mod device;
mod error;
mod eval;
mod experiment;
mod experiment_report;
mod files;
mod forecast;
mod generate;
mod health;
mod intervention_args;
mod items;
mod judge_args;
mod key;
mod lifecycle_args;
mod local_server;
mod merge;
mod messages;
mod model_args;
mod models;
mod openai_args;
mod origin;
mod paper;
mod parity;
mod preview;
mod progress;
mod replay;
mod sample;
mod sampling_args;
mod serve;
mod settings;
mod shard_file;
mod signals;
mod tenancy_args;
mod threads;
mod usage;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use settings::Settings;

/// The end of the help text.
const EXIT_STATUS: &str = "\
Exit status: 0 if all went well; 1 if something failed, or a check says no (replay, parity, \
health, dataset check); 2 if the command line cannot be carried out as it stands, and nothing was \
begun. An empty variable of the environment counts as unset.";

/// A gRPC server that runs LLaVA-family models under composable interventions.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_STATUS)]
struct Cli {
    /// Threads of a forward pass on the CPU. Default: the number of physical cores. Lower it on a
    /// shared machine
    #[arg(
        long,
        global = true,
        env = "SCOTOMA_THREADS",
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    threads: Option<u16>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load models and answer requests.
    Serve(Box<serve::Serve>),
    /// Ask a question about a picture, with or without interventions.
    Generate(generate::Generate),
    /// Write the picture as the model will see it.
    Preview(preview::Preview),
    /// Write activations at hook points to a file for NumPy or safetensors.
    Capture(capture::Capture),
    /// Run a recorded answer again; exits with 0 if the bits agree.
    Replay(replay::Replay),
    /// List the loaded models.
    Models(models::Models),
    /// Compare every hook point of a model with Hugging Face transformers, by its golden set.
    Parity(parity::Parity),
    /// Measure a model on a device: every stage, its share of the device's peak, sweeps, memory.
    Bench(Box<bench::Bench>),
    /// Ask a model the questions of a benchmark, with or without interventions, and print the
    /// metrics.
    Eval(Box<eval::Eval>),
    /// Run an experiment on a benchmark and write its report.
    Experiment(Box<experiment::RunExperiment>),
    /// Classify pictures zero-shot, beside a CLIP.
    Classify(Box<classify::Classify>),
    /// Measure whether the model's pictures have the same neighbours as texts about them: mutual
    /// nearest neighbours, layer by layer.
    Alignment(Box<alignment::Alignment>),
    /// Run every experiment of Lee et al. 2024 on the data that is there, with one report.
    Paper(Box<paper::Paper>),
    /// Analyse the items of a benchmark: how hard each is, whether it needs its picture, how stable
    /// its answer is; keep those that pass.
    Items(Box<items::Items>),
    /// Put the results of shards (eval, experiment or paper with --shard) together: checks that
    /// they are of one run, that no answer is missing and none is there twice.
    Merge(merge::Merge),
    /// Check a benchmark's file, or print its questions.
    #[command(subcommand)]
    Dataset(dataset::Dataset),
    /// Run the benchmark of the embedded model under six conditions and print the table.
    Demo(demo::Demo),
    /// Draw an API key for a client, and print its line for the server's --api-keys file.
    Key(key::DrawKey),
    /// Make certificates for a server and its clients, and the authority that signs them.
    Certificate(certificate::MakeCertificate),
    /// Check the health of a server, by default http://127.0.0.1:7878; exits with 0 if it serves.
    /// For container health checks.
    Health(health::Health),
}

/// Returns the commands and their flags, for tests and tools that walk them.
#[doc(hidden)]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Takes the variables that are empty from the flags of `command` and of those within. Containers
/// often can set a variable, but not unset it.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    command
        .mut_args(without_empty_variable)
        .mut_subcommands(without_empty_variables)
}

fn without_empty_variable(arg: clap::Arg) -> clap::Arg {
    let value = arg.get_env().and_then(std::env::var_os);
    if value.is_some_and(|value| value.is_empty()) {
        // clap would take the empty text for a value, and refuse it as a number or a device.
        arg.env(clap::builder::Resettable::Reset)
    } else {
        arg
    }
}

/// Parses the command line with the configuration file that it names. Returns the settings of the
/// command, too.
fn parse() -> Result<(Cli, Settings), clap::Error> {
    let mut command = without_empty_variables(Cli::command());
    command.build();
    let expanded = config_file::expand(&command, std::env::args_os().collect())
        .map_err(|message| command.error(clap::error::ErrorKind::ValueValidation, message))?;
    let matches = command.try_get_matches_from_mut(&expanded.arguments)?;
    usage::check(&mut command, &matches)?;
    let settings = match matches.subcommand() {
        Some((name, own)) => {
            let own_command = command.find_subcommand(name);
            own_command.map(|command| Settings::new(command, own, &expanded.from_file))
        }
        None => None,
    };
    Ok((
        Cli::from_arg_matches(&matches)?,
        settings.unwrap_or_default(),
    ))
}

/// Parses the command line of `serve` again, whose configuration file may have changed.
fn parse_serve() -> Result<(serve::Serve, Settings), String> {
    let (cli, settings) = parse().map_err(|error| error.to_string())?;
    match cli.command {
        Command::Serve(serve) => Ok((*serve, settings)),
        _ => Err("the command is not serve".into()),
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let (cli, settings) = parse().unwrap_or_else(|error| error.exit());
    // Before the runtime: it sets variables of the environment, which no other thread may read
    // meanwhile.
    threads::configure(cli.threads);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(run(cli.command, settings));
            // What still blocks a thread, such as a file that is never there, keeps no program.
            runtime.shutdown_background();
            result
        }
        Err(e) => Err(e.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            error::exit_code(&failure)
        }
    }
}

async fn run(command: Command, settings: Settings) -> Result<(), error::Failure> {
    match command {
        Command::Serve(serve) => Box::pin(serve.run(settings, parse_serve)).await,
        Command::Generate(generate) => generate.run().await,
        Command::Preview(preview) => preview.run().await,
        Command::Capture(capture) => capture.run().await,
        Command::Replay(replay) => replay.run().await,
        Command::Models(models) => models.run().await,
        Command::Parity(parity) => parity.run().await,
        Command::Bench(bench) => bench.run().await,
        // The largest futures; the others would take their size on the stack.
        Command::Eval(eval) => Box::pin(eval.run()).await,
        Command::Experiment(run) => Box::pin(run.run()).await,
        Command::Classify(classify) => Box::pin(classify.run()).await,
        Command::Alignment(alignment) => alignment.run().await,
        Command::Paper(paper) => Box::pin(paper.run()).await,
        Command::Items(items) => Box::pin(items.run()).await,
        Command::Merge(merge) => merge.run(),
        Command::Dataset(dataset) => dataset.run(),
        Command::Demo(demo) => demo.run().await,
        Command::Key(key) => key.run(),
        Command::Certificate(certificate) => certificate.run(),
        Command::Health(health) => health.run().await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn help() {
        let mut cli = Cli::command().term_width(100);
        cli.build();
        let mut text = cli.render_long_help().to_string();
        for command in cli.get_subcommands().filter(|c| c.get_name() != "help") {
            let help = command
                .clone()
                .mut_args(|a| a.hide_env_values(true))
                .render_long_help()
                .to_string();
            text.extend(["\n=== ", command.get_name(), "\n\n", &help]);
        }
        insta::assert_snapshot!(text);
    }
}
