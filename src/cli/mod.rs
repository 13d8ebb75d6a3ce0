//! The command line: one file a command. Commands talk to a server through the Rust client, as any
//! other program would; without one they start a server in this process.

// Before all others, which print with its macros.
#[macro_use]
mod print;

mod access_args;
mod alignment;
mod attribute;
mod bench;
mod benchmark_args;
mod benchmark_run;
mod bounds_args;
mod capture;
mod certificate;
mod classify;
mod clip_baseline;
mod completions;
mod config_file;
mod connection;
mod csv_file;
mod dataset;
mod demo;
mod device;
mod error;
mod eval;
mod examples;
mod experiment;
mod experiment_report;
mod failures;
mod feature_table;
mod features;
mod features_page;
mod files;
mod forecast;
mod generate;
mod health;
mod help;
mod hooks;
mod intervention_args;
mod items;
mod items_page;
mod json_output;
mod judge_args;
mod key;
mod lens_args;
mod lifecycle_args;
mod local_server;
mod man;
mod merge;
mod messages;
mod model_args;
mod models;
mod named;
mod npz_file;
mod openai_args;
mod origin;
mod overview;
mod paper;
mod parity;
mod parity_formats;
mod preview;
mod progress;
mod prompt_args;
mod replay;
mod sae_args;
mod sample;
mod sampling_args;
mod score;
mod serve;
mod settings;
mod shard_file;
mod signals;
mod sweep;
mod sweep_variants;
mod table_one;
mod tenancy_args;
mod threads;
mod trace;
mod trace_page;
mod usage;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use settings::Settings;

/// A gRPC server that runs LLaVA-family models under composable interventions.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// Threads of a forward pass on the CPU. Default: the number of physical cores
    ///
    /// Lower it on a shared machine.
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
    /// Ask a question about a picture, with or without interventions
    Generate(Box<generate::Generate>),
    /// Say how likely given answers are
    Score(Box<score::Score>),
    /// Ask one question under many variants, computed together
    ///
    /// What variants have in common is computed once, and each gets the bits of a request of its
    /// own. Rows come as variants are done, in no fixed order.
    Sweep(Box<sweep::Sweep>),
    /// Patch activations of one input into the run of another
    ///
    /// Which activations carry the answer: a cell of the grid writes those of the clean run over
    /// those of the corrupted run, and the answer is measured. What cells have in common is computed
    /// once.
    Trace(Box<trace::Trace>),
    /// Say how much each row matters for an answer, by its gradient
    ///
    /// One call costs a few passes, however many rows there are; `trace`, which tries each of them,
    /// is exact.
    Attribute(Box<attribute::Attribute>),
    /// Write activations at hook points to a file
    ///
    /// For NumPy, or safetensors.
    Capture(Box<capture::Capture>),
    /// Write the picture as the model will see it
    Preview(Box<preview::Preview>),
    /// Run a recorded answer again, and compare the bits
    ///
    /// It exits with 0 if they agree, and else says which stage differs first.
    Replay(replay::Replay),
    /// List a model's hook points, and what a target can name
    Hooks(hooks::Hooks),
    /// Ask the questions of a benchmark, and print the metrics
    Eval(Box<eval::Eval>),
    /// Run an experiment on a benchmark, and write its report
    Experiment(Box<experiment::RunExperiment>),
    /// Run every experiment of Lee et al. 2024, with one report
    ///
    /// What runs depends on the data that is there.
    Paper(Box<paper::Paper>),
    /// Analyse the items of a benchmark, and keep those that pass
    ///
    /// How hard each is, whether it needs its picture, how stable its answer is.
    Items(Box<items::Items>),
    /// Make Table 1 of Lee et al. 2024 of several results
    ///
    /// Benchmarks with and without permuted visual tokens, of several benchmarks and models.
    Table1(table_one::Table1),
    /// Classify pictures zero-shot, beside a CLIP or SigLIP
    Classify(Box<classify::Classify>),
    /// Compare neighbours of pictures and of texts, layer by layer
    ///
    /// Measures whether the model's pictures have the same neighbours as texts about them: mutual
    /// nearest neighbours.
    Alignment(Box<alignment::Alignment>),
    /// Show what the features of a sparse autoencoder fire on
    ///
    /// Over a file of questions: how often each fires, and the pictures where it is strongest, with
    /// the place marked.
    Features(Box<features::Features>),
    /// Check a benchmark's file, or print its questions
    #[command(subcommand)]
    Dataset(dataset::Dataset),
    /// Put the results of shards together
    ///
    /// Shards are runs of eval, experiment or paper with --shard. Checks that they are of one run,
    /// that no answer is missing and none is there twice.
    Merge(merge::Merge),
    /// Load models and answer requests
    Serve(Box<serve::Serve>),
    /// List the loaded models
    Models(models::Models),
    /// Ask a server whether it serves; the exit status says it
    ///
    /// For health checks of containers. It exits with 0 if the server serves.
    Health(health::Health),
    /// Draw an API key for a client
    ///
    /// Prints the key, and its line for the server's --api-keys file.
    Key(key::DrawKey),
    /// Make certificates, and the authority that signs them
    ///
    /// For a server and its clients.
    Certificate(certificate::MakeCertificate),
    /// Run the embedded benchmark under six conditions
    Demo(demo::Demo),
    /// Compare every hook point with Hugging Face transformers
    ///
    /// By the golden set of the model; it exits with 0 if all agree.
    Parity(parity::Parity),
    /// Measure a model on a device: stages, sweeps, memory
    ///
    /// Every stage beside the floor of what the device can do.
    Bench(Box<bench::Bench>),
    /// Print what a shell needs to complete commands and flags
    Completions(completions::Completions),
    /// Write the manual pages
    Man(man::WriteManual),
}

/// Returns the commands and their flags, for tests and tools that walk them.
#[doc(hidden)]
pub fn command() -> clap::Command {
    // Examples first: those of `serve` get the sentence about its variables behind them.
    help::in_groups(examples::with_examples(Cli::command()))
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
/// command, too, and why a file that it would write cannot be written.
fn parse() -> Result<(Cli, Settings, Option<String>), clap::Error> {
    let mut command = without_empty_variables(command());
    // `expand` looks flags up in it, and a global flag reaches its commands only when they are
    // built.
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
        // Only told here: a folder that does not let us write is no mistake of the call, and the
        // status is 1, not clap's 2.
        usage::unwritable(&command, &matches),
    ))
}

/// Parses the command line of `serve` again, whose configuration file may have changed.
fn parse_serve() -> Result<(serve::Serve, Settings), String> {
    let (cli, settings, _) = parse().map_err(|error| error.to_string())?;
    match cli.command {
        Command::Serve(serve) => Ok((*serve, settings)),
        _ => Err("the command is not serve".into()),
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let (cli, settings, unwritable) = parse().unwrap_or_else(|error| error.exit());
    // Before the runtime: it sets variables of the environment, which no other thread may read
    // meanwhile.
    threads::configure(cli.threads);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = match runtime {
        // A file that cannot be written is told before a model is loaded for it.
        Ok(runtime) if unwritable.is_none() => {
            let result = runtime.block_on(run(cli.command, settings));
            // What still blocks a thread, such as a file that is never there, keeps no program.
            runtime.shutdown_background();
            result
        }
        Ok(_) => Err(unwritable.unwrap_or_default().into()),
        Err(e) => Err(e.into()),
    };
    // Only if all went well: else the failure says more than that nobody reads.
    match result.and_then(|()| Ok(print::printed()?)) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads on: `scotoma hooks | head` is no failure worth a word.
        // 141 is what shells report of SIGPIPE, which Rust ignores: the write fails in its place.
        Err(failure) if error::is_closed_pipe(&failure) => ExitCode::from(141),
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
        Command::Score(score) => score.run().await,
        Command::Sweep(sweep) => sweep.run().await,
        Command::Trace(trace) => Box::pin(trace.run()).await,
        Command::Attribute(attribute) => Box::pin(attribute.run()).await,
        Command::Hooks(hooks) => hooks.run().await,
        Command::Completions(completions) => completions.run(self::command()),
        Command::Man(manual) => manual.run(self::command()),
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
        Command::Features(features) => Box::pin(features.run()).await,
        Command::Paper(paper) => Box::pin(paper.run()).await,
        Command::Items(items) => Box::pin(items.run()).await,
        Command::Table1(table) => table.run(),
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
    #[test]
    fn help() {
        let mut cli = super::command().term_width(100);
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
