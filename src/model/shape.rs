//! Sizes of the rows at hook points.

use super::llava::Model;
use crate::nn::{Point, Site, Stack};

/// The sizes of one row at a hook point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Heads, where it has them.
    pub heads: Option<usize>,
    /// Length of the last dimension; at attention scores and patterns that of the prompt or of a
    /// view.
    pub width: usize,
}

impl Shape {
    /// Returns how many numbers one row has.
    pub fn numbers(self) -> usize {
        self.heads.unwrap_or(1) * self.width
    }

    /// Returns the shape of `rows` rows.
    pub fn of_rows(self, rows: usize) -> Vec<usize> {
        [Some(rows), self.heads, Some(self.width)]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Returns the sizes of one row at `point` of a model; attention scores and patterns are `keys`
/// wide.
pub fn shape_of(model: &Model, point: Point, keys: usize) -> Shape {
    let (tower, decoder) = (model.tower.info(), model.decoder.config());
    let (width, inner, heads, kv_heads, head) = match point.stack {
        // Towers have as many heads for keys and values as for queries.
        Stack::VisionTower => (
            tower.width,
            tower.inner,
            tower.heads,
            tower.heads,
            tower.head_width(),
        ),
        // What leaves the projector is as wide as the language model's rows; what enters it is
        // `Site::In` below.
        Stack::Projector | Stack::LanguageModel => (
            decoder.hidden_size,
            decoder.intermediate_size,
            decoder.num_attention_heads,
            decoder.kv_heads(),
            decoder.head_width(),
        ),
    };
    let plain = |width| Shape { heads: None, width };
    match point.site {
        Site::In => plain(tower.feature_width),
        Site::Q | Site::RotQ | Site::Z => Shape {
            heads: Some(heads),
            width: head,
        },
        // Fewer than queries have, where groups of them share keys (Ainslie et al. 2023).
        Site::K | Site::V | Site::RotK => Shape {
            heads: Some(kv_heads),
            width: head,
        },
        Site::Scores | Site::Pattern => Shape {
            heads: Some(heads),
            width: keys,
        },
        Site::MlpPre | Site::MlpPreLinear | Site::MlpPost => plain(inner),
        Site::Logits => plain(decoder.vocab_size),
        Site::Pre
        | Site::Post
        | Site::Out
        | Site::Tokens
        | Site::Embed
        | Site::ResidPre
        | Site::Ln1Normalized
        | Site::AttnOut
        | Site::ResidMid
        | Site::Ln2Normalized
        | Site::MlpOut
        | Site::ResidPost
        | Site::LnFinalNormalized => plain(width),
    }
}
