//! The `scotoma` program; see [`scotoma::cli`].

fn main() -> std::process::ExitCode {
    scotoma::cli::main()
}
