//! The threads that candle computes with.

/// Threads of a matmul.
const THREADS: &str = "RAYON_NUM_THREADS";
/// Rounds that a thread of element-wise operations spins for work before it sleeps.
const SPIN_LIMIT: &str = "CANDLE_BARRIER_POOL_SPIN_LIMIT";

/// Tells candle how many threads to use, unless the environment does.
///
/// Left to itself candle counts the cores at every matmul, by reading /proc/cpuinfo, which takes
/// two thirds of a small model's time; and its idle threads spin so long that they take a quarter
/// of the time of those that have work (both measured).
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
    if !is_set(SPIN_LIMIT) {
        set(SPIN_LIMIT, 200);
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
