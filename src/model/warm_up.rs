//! A first pass, so that no request waits for what a GPU does once.

use candle_core::Tensor;

use super::{Error, Model};
use crate::nn::{DecodeSlots, Layout, MemoryTracker, NoHooks, SequenceCache, likeliest};
use crate::vision::{MAX_PIXELS, Rgb};

/// Tokens of the prompt.
const PROMPT: usize = 8;

impl Model {
    /// Reads a grey picture, a short prompt, and decodes a token: the driver compiles kernels when
    /// they are first used, which takes seconds, and products choose theirs.
    pub fn warm_up(&self) -> Result<(), Error> {
        self.encode_grey()?;
        let kv = MemoryTracker::default();
        // A meter of its own: these keys and values are gone before a request could be refused for
        // them.
        let mut cache = SequenceCache::new(PROMPT, 1, &kv, &kv);
        // Decoding together has kernels of its own, which must be compiled too.
        cache.use_slots(&DecodeSlots::new(&kv));
        for (first, rows) in [(0, PROMPT), (PROMPT, 1)] {
            let numbers: Vec<u32> = (first as u32..(first + rows) as u32).collect();
            let mut layout = Layout::default();
            layout.push_rows(0, 0, numbers.clone().into(), numbers.into());
            // Any token does: what counts is that every kernel runs once.
            let x = self.decoder.embed(&vec![0; rows])?;
            let mut own = [Some(&mut cache)];
            let (hidden, _) = self.decoder.forward(x, &layout, &mut own, &mut NoHooks)?;
            let last = hidden.narrow(0, rows - 1, 1)?;
            let logits = self
                .decoder
                .logits(&last, &Layout::default(), &mut NoHooks)?;
            // Waits for the device; launches alone return before anything is compiled.
            likeliest(&logits)?.to_vec2::<f32>()?;
        }
        Ok(())
    }

    fn encode_grey(&self) -> Result<Tensor, Error> {
        let side = self.tower.info().image_size;
        let grey = Rgb {
            width: side,
            height: side,
            data: vec![128; 3 * side * side],
        };
        let picture = self.processor.picture(&grey, 1, MAX_PIXELS)?;
        self.encode_image(&self.pixels(&picture)?, &self.tokens(&picture))
    }
}
