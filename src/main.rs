//! The `scotoma` program; see [`scotoma::cli`].

/// Replaces the C library's allocator: a forward pass allocates and frees large tensors at every
/// operation, which that hands back to the system each time: a tenth of the processor time with the
/// embedded model, and fifteen times the page faults (measured).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    scotoma::cli::main()
}
