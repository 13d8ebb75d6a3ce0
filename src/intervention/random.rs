//! The one place where random choices are drawn.
//!
//! Key: `blake3::derive_key("scotoma v1 random choice", seed || index || image || sample_key)` with `seed` as 8, `index` and
//! `image` as 4 little-endian bytes and the sample key as UTF-8; it seeds ChaCha8 (64-bit counter from 0, nonce 0), read as
//! little-endian words. Integers below n: a u64 (two words, low first) is drawn until it is below `2^64 - 2^64 mod n`, then
//! taken modulo n. Permutations: Fisher-Yates from the top, `for i in n-1 down to 1: swap(i, below(i + 1))`.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A stream of random choices.
#[derive(Debug, Clone)]
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// The stream of intervention `index` on picture `image`.
    pub fn new(seed: u64, sample_key: &str, index: usize, image: usize) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("scotoma v1 random choice");
        hasher.update(&seed.to_le_bytes());
        hasher.update(&(index as u32).to_le_bytes());
        hasher.update(&(image as u32).to_le_bytes());
        hasher.update(sample_key.as_bytes());
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// Uniform in `0..n`; `n` at least 1.
    pub fn below(&mut self, n: u64) -> u64 {
        let rest = (u64::MAX % n + 1) % n; // 2^64 mod n
        loop {
            let draw = self.0.next_u64();
            if rest == 0 || draw < u64::MAX - rest + 1 {
                return draw % n;
            }
        }
    }

    /// A uniform permutation of `0..n`.
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i as u64 + 1) as usize);
        }
        order
    }

    /// `count` of `0..n` without replacement: the first `count` of a permutation, ascending.
    pub fn subset(&mut self, n: usize, count: usize) -> Vec<u32> {
        let mut chosen = self.permutation(n);
        chosen.truncate(count);
        chosen.sort_unstable();
        chosen
    }

    /// Uniform in `[0, 1)`: the top 53 bits of a u64.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box-Muller, the cosine of each pair): `sqrt(-2 ln(1 - u)) cos(2 pi v)`.
    pub fn gaussian(&mut self) -> f64 {
        let (u, v) = (self.unit(), self.unit());
        (-2.0 * (1.0 - u).ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }
}

/// A seed from the operating system, for requests that leave it open.
pub fn fresh_seed() -> u64 {
    // A new hasher's key is drawn from the operating system's entropy.
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::time::SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::Draws;

    #[test]
    fn first_draws_are_pinned() {
        let mut draws = Draws::new(7, "", 0, 0);
        insta::assert_debug_snapshot!((draws.permutation(8), draws.subset(10, 3), draws.below(1000)));
    }

    #[test]
    fn keys_tell_choices_apart() {
        let order = |seed, key, index, image| Draws::new(seed, key, index, image).permutation(64);
        let base = order(7, "a", 0, 0);
        assert_eq!(base, order(7, "a", 0, 0));
        for other in [order(8, "a", 0, 0), order(7, "b", 0, 0), order(7, "a", 1, 0), order(7, "a", 0, 1)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn permutations_are_uniform() {
        let mut counts = std::collections::BTreeMap::new();
        let mut draws = Draws::new(1, "", 0, 0);
        for _ in 0..6000 {
            *counts.entry(draws.permutation(3)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        // Five standard deviations of a binomial with n = 6000, p = 1/6.
        assert!(counts.values().all(|&c: &i32| (c - 1000).abs() < 145), "{counts:?}");
    }
}
