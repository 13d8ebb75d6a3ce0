//! The one place where random choices are drawn.
//!
//! Key:
//! `blake3::derive_key("scotoma v1 random choice", seed || index || image || length || sample_key || point)`
//! with `seed` as 8, `index`, `image` and `length` as 4 little-endian bytes, the sample key as
//! UTF-8, `length` its bytes, and `point` the name of the hook point for noise at one, empty
//! elsewhere. It seeds ChaCha8 (64-bit counter from 0, nonce 0), read as little-endian words.
//!
//! - u64: two words, low first.
//! - Integers below n: a u64 is drawn until it is below `2^64 - 2^64 mod n`, then taken modulo n.
//! - Permutations: Fisher-Yates from the top, `for i in n-1 down to 1: swap(i, below(i + 1))`.
//! - Uniform in `[0, 1)`: the top 53 bits of a u64.
//! - Standard normal: two uniforms u, v: `sqrt(-2 ln(1 - u)) cos(2 pi v)`.
//! - Noise: number k of row r of a tensor whose rows hold n numbers is drawn at word `(r n + k) w`
//!   of the stream, w = 4 where it is normal and 2 where it is uniform in `[-1, 1)` (twice a
//!   uniform, less 1). Rows are numbered within a sequence or, view after view, within a picture.
//!
//! tests/vectors/random.json holds draws that any language can check.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A stream of random choices.
#[derive(Debug, Clone)]
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// Opens the stream of intervention `index` on picture `image`.
    pub fn new(seed: u64, sample_key: &str, index: usize, image: usize) -> Self {
        Self::at_point(seed, sample_key, index, image, "")
    }

    /// Returns the key of the stream.
    pub(super) fn key(&self) -> [u8; 32] {
        self.0.get_seed()
    }

    /// Opens the same at one hook point.
    pub fn at_point(seed: u64, sample_key: &str, index: usize, image: usize, point: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("scotoma v1 random choice");
        hasher.update(&seed.to_le_bytes());
        hasher.update(&(index as u32).to_le_bytes());
        hasher.update(&(image as u32).to_le_bytes());
        // Its length first, or a key could end in what reads as the beginning of a point.
        hasher.update(&(sample_key.len() as u32).to_le_bytes());
        hasher.update(sample_key.as_bytes());
        hasher.update(point.as_bytes());
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// Draws a number uniform in `0..n`; `n` at least 1.
    pub fn below(&mut self, n: u64) -> u64 {
        // Draws from the last, incomplete run of n numbers are drawn again: a bare remainder would
        // favour small ones.
        let rest = (u64::MAX % n + 1) % n; // 2^64 mod n
        loop {
            let draw = self.0.next_u64();
            // The bound is 2^64 - rest, which no u64 holds where the rest is 0.
            if rest == 0 || draw < u64::MAX - rest + 1 {
                return draw % n;
            }
        }
    }

    /// Draws a uniform permutation of `0..n`.
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i as u64 + 1) as usize);
        }
        order
    }

    /// Draws `count` of `0..n` without replacement: the first `count` of a permutation, ascending.
    pub fn subset(&mut self, n: usize, count: usize) -> Vec<u32> {
        let mut chosen = self.permutation(n);
        chosen.truncate(count);
        chosen.sort_unstable();
        chosen
    }

    /// Draws a number uniform in `[0, 1)`: the top 53 bits of a u64.
    pub fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns the numbers of row `row` of noise whose rows hold `count` of them, f32.
    pub fn noise(&self, row: usize, count: usize, gaussian: bool) -> Vec<f32> {
        let mut draws = self.clone();
        draws
            .0
            // In words of 32 bits, of which a Gaussian number takes four and a uniform one two: a
            // row's numbers do not depend on which rows were drawn before.
            .set_word_pos((row * count * if gaussian { 4 } else { 2 }) as u128);
        (0..count)
            .map(|_| {
                let number = if gaussian {
                    draws.gaussian()
                } else {
                    2.0 * draws.unit() - 1.0
                };
                number as f32
            })
            .collect()
    }

    /// Draws a standard normal number (Box-Muller, the cosine of each pair):
    /// `sqrt(-2 ln(1 - u)) cos(2 pi v)`.
    pub fn gaussian(&mut self) -> f64 {
        let (u, v) = (self.unit(), self.unit());
        // 1 - u, since u may be 0 and is never 1: the logarithm stays finite.
        (-2.0 * (1.0 - u).ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }
}

/// Fills in the seeds that a request leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeds {
    /// Draws each.
    Drawn,
    /// Makes each 0, where a list is only looked at.
    Zero,
}

impl Seeds {
    /// Returns a seed.
    pub fn next(self) -> u64 {
        match self {
            Self::Drawn => fresh_seed(),
            Self::Zero => 0,
        }
    }

    /// Returns the seed of a message, and writes it there where it is open.
    pub fn fill(self, seed: &mut Option<u64>) -> u64 {
        *seed.get_or_insert_with(|| self.next())
    }
}

/// Draws a seed from the operating system, for requests that leave it open.
pub fn fresh_seed() -> u64 {
    // The standard library draws a hasher's key from the operating system's entropy once in each
    // thread, and adds 1 for each further hasher. SipHash makes unrelated numbers of such keys.
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::time::SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::Draws;

    #[test]
    fn first_draws_are_pinned() {
        let mut draws = Draws::new(7, "", 0, 0);
        insta::assert_debug_snapshot!((
            draws.permutation(8),
            draws.subset(10, 3),
            draws.below(1000)
        ));
    }

    #[test]
    fn keys_tell_choices_apart() {
        let order = |seed, key, index, image| Draws::new(seed, key, index, image).permutation(64);
        let base = order(7, "a", 0, 0);
        assert_eq!(base, order(7, "a", 0, 0));
        for other in [
            order(8, "a", 0, 0),
            order(7, "b", 0, 0),
            order(7, "a", 1, 0),
            order(7, "a", 0, 1),
        ] {
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
        assert!(
            counts.values().all(|&c: &i32| (c - 1000).abs() < 145),
            "{counts:?}"
        );
    }
}
