//! The command line. Talks to a server through the Rust client, as any other program would.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line prints"
)]

mod alignment;
mod bench;
mod capture;
mod classify;
mod connection;
mod dataset;
mod demo;
mod device;
mod eval;
mod experiment;
mod generate;
mod intervention_args;
mod items;
mod judge;
mod messages;
mod paper;
mod parity;
mod replay;
mod sample;
mod sampling;
mod serve;
mod served;
mod usage;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio::task::JoinHandle;

use crate::server::{Config, Server};
use scotoma_client::Client;

/// A gRPC server that runs LLaVA-family models under composable interventions.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    /// Threads of a forward pass on the CPU. Default: the physical cores. Lower it on a machine
    /// that others share
    #[arg(long, global = true, env = "SCOTOMA_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keep models resident and answer requests.
    Serve(Box<serve::Serve>),
    /// Ask a question about a picture, with or without interventions.
    Generate(generate::Generate),
    /// Write the picture as the model will see it.
    Preview(generate::Preview),
    /// Write activations at hook points to a file that NumPy or safetensors reads.
    Capture(capture::Capture),
    /// Run a recorded answer again; exits with 0 if the bits agree.
    Replay(replay::Replay),
    /// List the resident models.
    Models(generate::Models),
    /// Compare every hook point of a model with Hugging Face transformers, by its golden set.
    Parity(parity::Parity),
    /// Measure a model on a device: every stage, its share of what the device can do, sweeps,
    /// memory.
    Bench(Box<bench::Bench>),
    /// Ask a model the questions of a benchmark, with or without interventions, and say what the
    /// answers come to.
    Eval(Box<eval::Eval>),
    /// Run an experiment on a benchmark and write its report.
    Experiment(Box<experiment::Run>),
    /// Zero-shot classification, beside a CLIP's own.
    Classify(Box<classify::Classify>),
    /// Whether the model's pictures have the neighbours that texts about them have: mutual nearest
    /// neighbours, layer by layer.
    Alignment(Box<alignment::Alignment>),
    /// Every experiment of Lee et al. 2024 on whatever data there is, with one report.
    Paper(Box<paper::Paper>),
    /// Say of every item how hard it is, whether it needs its picture and how stable its answer is;
    /// keep those that serve.
    Items(Box<items::Items>),
    /// Say what is in a benchmark's file and what is wrong with it.
    #[command(subcommand)]
    Dataset(dataset::Dataset),
    /// Start a server on the embedded model, run its benchmark under six conditions, print the
    /// table.
    Demo(demo::Demo),
    /// Draw a key for a client, and print the line that the server's --api-keys file needs.
    Key(connection::Draw),
    /// Ask a server's health service, that of http://127.0.0.1:7878 by default; exits with 0 if it
    /// serves. For container health checks.
    Health(generate::Health),
}

/// Anything that ends a command.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The command was called as it cannot be: the program ends with 2, as it does where clap says so.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

const USAGE: u8 = 2;

/// Returns the commands and their flags, for tests and tools that walk them.
#[doc(hidden)]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line, or ends the program and says why.
fn parse() -> Cli {
    let mut command = Cli::command();
    let matches = command.get_matches_mut();
    let checked = usage::check(&mut command, &matches);
    checked
        .and_then(|()| Cli::from_arg_matches(&matches))
        .unwrap_or_else(|error| error.exit())
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = parse();
    fix_threads(cli.threads);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error: {e}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(serve) => serve.run().await,
            Command::Generate(generate) => generate.run().await,
            Command::Preview(preview) => preview.run().await,
            Command::Capture(capture) => capture.run().await,
            Command::Replay(replay) => replay.run().await,
            Command::Models(models) => models.run().await,
            Command::Parity(parity) => parity.run().await,
            Command::Bench(bench) => bench.run().await,
            Command::Eval(eval) => eval.run().await,
            Command::Experiment(run) => run.run().await,
            Command::Classify(classify) => Box::pin(classify.run()).await,
            Command::Alignment(alignment) => alignment.run().await,
            Command::Paper(paper) => Box::pin(paper.run()).await,
            Command::Items(items) => items.run().await,
            Command::Dataset(dataset) => dataset.run(),
            Command::Demo(demo) => demo.run().await,
            Command::Key(key) => key.run(),
            Command::Health(health) => health.run().await,
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            if e.is::<Usage>() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Tells candle how many threads to use. Left to itself it counts the cores at every matmul, by
/// reading /proc/cpuinfo, which takes two thirds of a small model's time; and its threads of
/// element-wise operations spin so long for work that they take a quarter of it from those that
/// have some (both measured).
fn fix_threads(threads: Option<u16>) {
    const THREADS: &str = "RAYON_NUM_THREADS";
    const SPINS: &str = "CANDLE_BARRIER_POOL_SPIN_LIMIT";
    let unset = |name: &str| std::env::var_os(name).is_none();
    let threads = match threads {
        Some(threads) => Some(threads.into()),
        None => unset(THREADS).then(candle_core::utils::get_num_threads),
    };
    let values = [(THREADS, threads), (SPINS, unset(SPINS).then_some(200))];
    for (name, value) in values
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    {
        #[expect(
            unsafe_code,
            reason = "no other thread runs yet that could read the environment"
        )]
        // SAFETY: called first thing in main, before the runtime starts.
        unsafe {
            std::env::set_var(name, value.to_string());
        }
    }
}

/// A server in this process on a free port, for commands that are given none.
struct Local {
    stop: tokio::sync::oneshot::Sender<()>,
    task: JoinHandle<Result<(), crate::server::Error>>,
}

impl Local {
    async fn start(config: Config) -> Result<(Self, Client), Failure> {
        let server = tokio::task::spawn_blocking(move || Server::load(&config)).await??;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(server.run(listener, async {
            let _ = stopped.await;
        }));
        Ok((Self { stop, task }, Client::connect(&address).await?))
    }

    async fn stop(self) -> Result<(), Failure> {
        let _ = self.stop.send(());
        Ok(self.task.await??)
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
