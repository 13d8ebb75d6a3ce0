//! Runs one target for its time and holds its properties.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::mutate::{Random, mutated};

/// Inputs of a target where no time is given.
const INPUTS: u64 = 200;

/// MiB that the process may hold at most above what it held when the target began, unless
/// FUZZ_MEMORY says otherwise.
const MEMORY: u64 = 512;
/// Seconds of the processor that no input may take more of.
const PATIENCE: f64 = 30.0;
/// Ticks of a second in /proc, which is so on every Linux.
const TICKS: f64 = 100.0;

/// Held by the target that runs: memory and the panic hook belong to the process.
static ALONE: Mutex<()> = Mutex::new(());

/// The last panic of our own code, which a border may have caught.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

fn remember(panic: &std::panic::PanicHookInfo<'_>) {
    let own = panic.location().filter(|at| at.file().starts_with("src/"));
    if let (Some(_), Ok(mut last)) = (own, PANIC.lock()) {
        *last = Some(panic.to_string());
    }
}

/// Runs `check` on mutations of `seeds`; it returns what is wrong with how an input was refused.
pub fn fuzz(target: &str, seeds: &[Vec<u8>], check: impl Fn(&[u8]) -> Result<(), String>) {
    let only = std::env::var("FUZZ_TARGET").unwrap_or_default();
    if !only.is_empty() && only != target {
        return;
    }
    let _alone = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    // A panic is reported with its input; those of libraries that a border catches are no news.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(remember));
    let failure = match std::env::var("FUZZ_INPUT") {
        Ok(file) => {
            let input = std::fs::read(file).unwrap();
            let broken = run(&input, memory("VmRSS:"), &check).err();
            broken.map(|reason| (input, reason))
        }
        Err(_) => explore(target, seeds, &check),
    };
    std::panic::set_hook(hook);
    if let Some((input, reason)) = failure {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{target}.bin"));
        std::fs::write(&file, &input).unwrap();
        panic!("{target}: {reason}; the input is {}", file.display());
    }
}

/// Looks for an input that breaks a property until the time is over.
fn explore(
    target: &str,
    seeds: &[Vec<u8>],
    check: &impl Fn(&[u8]) -> Result<(), String>,
) -> Option<(Vec<u8>, String)> {
    // Without a time, a fixed number of inputs: a test must not depend on the machine's speed.
    let seconds = number("FUZZ_SECONDS", 0);
    let more = |start: Instant, inputs| match seconds {
        0 => inputs < INPUTS,
        _ => start.elapsed() < Duration::from_secs(seconds),
    };
    let mut random = Random(number("FUZZ_SEED", 0));
    // The peak is counted from here; where the kernel does not allow that, the limit is stricter.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = memory("VmRSS:");
    let (start, mut inputs) = (Instant::now(), 0_u64);
    for seed in seeds {
        if let Err(reason) = run(seed, before, check) {
            return Some((seed.clone(), format!("a seed: {reason}")));
        }
    }
    while more(start, inputs) {
        let seed = &seeds[random.below(seeds.len())];
        let other = &seeds[random.below(seeds.len())];
        let input = mutated(seed, other, &mut random);
        inputs += 1;
        if let Err(reason) = run(&input, before, check) {
            return Some((input, reason));
        }
    }
    let peak = memory("VmHWM:").saturating_sub(before) >> 20;
    println!("{target:<14} {inputs:>9} inputs, {peak:>5} MiB at most");
    None
}

fn run(
    input: &[u8],
    before: u64,
    check: &impl Fn(&[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let start = busy();
    match catch_unwind(AssertUnwindSafe(|| check(input))) {
        Ok(done) => done?,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            return Err(format!("panicked: {}", text.unwrap_or_default()));
        }
    }
    let caught = PANIC.lock().ok().and_then(|mut last| last.take());
    if let Some(panic) = caught {
        return Err(panic);
    }
    let took = busy() - start;
    if took > PATIENCE {
        return Err(format!("took {took:.1} s"));
    }
    let held = memory("VmHWM:").saturating_sub(before);
    if held >> 20 > number("FUZZ_MEMORY", MEMORY) {
        return Err(format!("held {} MiB", held >> 20));
    }
    Ok(())
}

/// Reads a number of the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Returns how long the process has computed, in seconds: on a machine that does other work as well,
/// the clock says little. 0 where that is not said.
fn busy() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name before them may have spaces in it.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = times.filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS
}

/// Reads a line of /proc/self/status, in bytes; 0 where there is none.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(line));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}
