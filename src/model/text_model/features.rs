//! What the layers make of a text.

use candle_core::{DType, Result as TensorResult, Tensor};

use super::TextModel;
use crate::model::error::Error;
use crate::nn::{Hooks, Point, Site, Span, Stack};

impl TextModel {
    /// Returns the mean over the tokens of a text, those that the tokenizer adds among them, of
    /// what each layer puts out, `(D,)`, with the name of its hook point.
    ///
    /// # Errors
    ///
    /// A text of no token, or of more than the model reads.
    pub fn features(&self, text: &str) -> Result<Vec<(String, Vec<f32>)>, Error> {
        let ids = self.text.encode(text)?;
        if !(1..=self.context).contains(&ids.len()) {
            return Err(Error::Text(format!(
                "a text of {} tokens; 1 to {} are read",
                ids.len(),
                self.context
            )));
        }
        let mut means = Means::default();
        // Means over tokens need all rows at once, and no reply comes after them.
        self.pass(&ids, 0, &mut Self::cache(ids.len(), 0), &mut means)?;
        Ok(means.0)
    }
}

/// Keeps the means of what layers put out.
#[derive(Default)]
struct Means(Vec<(String, Vec<f32>)>);

impl Hooks for Means {
    fn on(&mut self, point: Point, _: &[Span], value: Tensor) -> TensorResult<Tensor> {
        // Hooks are called at every point; `wants` alone does not keep them away.
        if self.wants(point, 0) {
            let mean = value.to_dtype(DType::F32)?.mean(0)?; // (D,)
            self.0.push((point.to_string(), mean.to_vec1()?));
        }
        Ok(value)
    }

    fn wants(&self, point: Point, _: usize) -> bool {
        (point.stack, point.site) == (Stack::LanguageModel, Site::ResidPost)
    }
}
