//! The threads that candle computes with.

/// Threads of a matmul.
const THREADS: &str = "RAYON_NUM_THREADS";
/// Threads of candle's element-wise operations.
const ELEMENTWISE: &str = "CANDLE_NUM_THREADS";

/// Tells candle how many threads to use, unless the environment does.
///
/// Left to itself candle counts the cores at every matmul, by reading /proc/cpuinfo, which takes
/// two thirds of a small model's time (measured). Its element-wise operations, sums of the residual
/// stream for the most part, wait for one another's threads by spinning, on a machine that others
/// use for a third of a small model's time (measured); at rest one thread is as fast.
pub(super) fn configure(threads: Option<u16>) {
    let threads = match threads {
        // The flag wins over the environment, as everywhere.
        Some(threads) => Some(threads.into()),
        None if is_set(THREADS) => None,
        None => Some(candle_core::utils::get_num_threads()),
    };
    if let Some(threads) = threads {
        set(THREADS, threads);
    }
    if !is_set(ELEMENTWISE) {
        set(ELEMENTWISE, 1);
    }
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some()
}

fn set(name: &str, value: usize) {
    #[expect(
        unsafe_code,
        reason = "no other thread runs yet that could read the environment"
    )]
    // SAFETY: called first thing in main, before the runtime starts.
    unsafe {
        std::env::set_var(name, value.to_string());
    }
}
