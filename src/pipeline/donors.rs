//! The visual tokens of donor pictures, remembered for the variants of an input.

use lru::LruCache;

use crate::nn::HostTensor;

/// Donors that are remembered of one input: a sweep over donors holds no more than its last ones,
/// each some tens of megabytes.
const MOST: usize = 8;

/// Remembers donors by their files, those that were asked for last.
#[derive(Debug)]
pub(super) struct Donors(LruCache<blake3::Hash, HostTensor>);

impl Default for Donors {
    fn default() -> Self {
        // Bounded below, by `MOST`.
        Self(LruCache::unbounded())
    }
}

impl Donors {
    /// Returns the visual tokens of the picture in `file`; `encode` makes them where they are not
    /// remembered, and is dropped elsewhere.
    pub(super) async fn tokens<E>(
        &mut self,
        file: &[u8],
        encode: impl Future<Output = Result<HostTensor, E>>,
    ) -> Result<HostTensor, E> {
        let key = blake3::hash(file);
        if let Some(known) = self.0.get(&key) {
            return Ok(known.clone());
        }
        let tokens = encode.await?;
        self.0.put(key, tokens.clone());
        if self.0.len() > MOST {
            self.0.pop_lru();
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_donor_is_encoded_once() {
        let (mut donors, mut passes) = (Donors::default(), Vec::new());
        let mut ask = async |file: u8| {
            let encode = async {
                passes.push(file);
                HostTensor::from_vec(vec![f32::from(file)], 1)
            };
            let tokens = donors.tokens(&[file], encode).await.unwrap();
            assert_eq!(tokens.to_vec1::<f32>().unwrap(), [f32::from(file)]);
        };
        for _ in 0..1000 {
            ask(0).await;
        }
        // One that stays in use outlives more of them than are remembered.
        for other in 1..20 {
            ask(other).await;
            ask(0).await;
        }
        ask(1).await;
        let expected: Vec<u8> = (0..20).chain([1]).collect();
        assert_eq!(passes, expected);
        assert_eq!(donors.0.len(), MOST);
    }
}
