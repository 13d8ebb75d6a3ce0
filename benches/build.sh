#!/bin/bash
# Measures the processor time of builds at each commit given (default: HEAD), in clones of their own:
# a clean `make demo`, then a test that is built anew after one line of src/api changed.
#     benches/build.sh [COMMIT ...]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
TIMEFORMAT='%R s on the clock, %U + %S s of processor time'
for commit in "${@:-HEAD}"; do
    clone=$(mktemp -d)
    git clone -q "$root" "$clone"
    git -C "$clone" checkout -q "$(git -C "$root" rev-parse "$commit")"
    cd "$clone"
    cargo fetch -q --locked
    echo "$commit, a clean make demo:"
    time make demo > /dev/null 2>&1
    # Before the profile `quick` every file of tests/ was a crate of its own.
    if grep -q '^\[profile.quick\]' Cargo.toml; then build="--profile quick --test it"; else build="--release --test wire"; fi
    cargo test -q --locked $build --no-run > /dev/null 2>&1
    # A statement, not a comment: the crate's code has to change.
    line='pub fn changed(x: u64) -> u64 { x.wrapping_mul(3) }'
    printf '\n#[doc(hidden)]\n%s\n' "$line" >> src/api/mod.rs
    echo "$commit, a changed line of src/api to a test ($build):"
    time cargo test -q --locked $build --no-run > /dev/null 2>&1
    cd "$root"
    rm -rf "$clone"
done
