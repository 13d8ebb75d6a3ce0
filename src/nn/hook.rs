//! Hook points: the named places in the forward pass, each defined once, by an equation and a
//! shape.
//!
//! Names are those of [TransformerLens](https://github.com/TransformerLensOrg/TransformerLens),
//! prefixed by the stack.

use std::fmt;

use candle_core::{Result, Tensor};

use super::layout::Span;

/// A part of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stack {
    /// The vision transformer.
    VisionTower,
    /// The map from the tower's width to the language model's.
    Projector,
    /// The decoder.
    LanguageModel,
}

impl Stack {
    /// Returns the prefix of its hook points, which is also Hugging Face's module name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VisionTower => "vision_tower",
            Self::Projector => "projector",
            Self::LanguageModel => "language_model",
        }
    }
}

/// A place within a stack.
#[expect(missing_docs, reason = "HOOK_TABLE defines each by its equation")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    In,
    Pre,
    Post,
    Out,
    Tokens,
    Embed,
    ResidPre,
    Ln1Normalized,
    Q,
    K,
    V,
    RotQ,
    RotK,
    Scores,
    Pattern,
    Z,
    AttnOut,
    ResidMid,
    Ln2Normalized,
    MlpPre,
    MlpPreLinear,
    MlpPost,
    MlpOut,
    ResidPost,
    LnFinalNormalized,
    Logits,
}

/// One hook point of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point {
    /// The part of the model.
    pub stack: Stack,
    /// The layer, for the sites that every layer has.
    pub layer: Option<usize>,
    /// The place.
    pub site: Site,
}

impl Point {
    /// Names a point outside the layers.
    pub const fn of(stack: Stack, site: Site) -> Self {
        Self {
            stack,
            layer: None,
            site,
        }
    }

    /// Names a point of layer `layer`.
    pub const fn at(stack: Stack, layer: usize, site: Site) -> Self {
        Self {
            stack,
            layer: Some(layer),
            site,
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = HOOK_TABLE
            .iter()
            .find(|row| row.stack == self.stack && row.site == self.site)
            // A site that the stack has not, such as the logits of a tower.
            .map_or("unlisted", |row| row.name);
        match self.layer {
            Some(layer) => f.write_str(&name.replace("{l}", &layer.to_string())),
            None => f.write_str(name),
        }
    }
}

impl std::str::FromStr for Point {
    type Err = ();

    /// Parses what `Display` writes.
    fn from_str(name: &str) -> std::result::Result<Self, ()> {
        let layer = name.split('.').find_map(|part| part.parse().ok());
        let general = match layer {
            // With its dots: a number that is written otherwise, such as 07, is then no name of the
            // table.
            Some(layer) => name.replacen(&format!(".{layer}."), ".{l}.", 1),
            None => name.to_owned(),
        };
        let row = HOOK_TABLE
            .iter()
            // `{l}` itself is no layer.
            .find(|row| row.name == general && row.per_layer() == layer.is_some())
            .ok_or(())?;
        Ok(Self {
            stack: row.stack,
            layer,
            site: row.site,
        })
    }
}

/// One line of the hook table.
#[derive(Debug)]
pub struct HookRow {
    /// The part of the model.
    pub stack: Stack,
    /// The place.
    pub site: Site,
    /// The name; `{l}` stands for a layer number.
    pub name: &'static str,
    /// The value, as an equation.
    pub equation: &'static str,
    /// R rows, D width, H heads, K key-value heads, Dh width of a head, F width of the MLP, T
    /// queries, S keys, V vocabulary.
    pub shape: &'static str,
}

impl HookRow {
    /// Says whether every layer has this point.
    pub fn per_layer(&self) -> bool {
        self.name.contains("{l}")
    }
}

const fn row(
    stack: Stack,
    site: Site,
    name: &'static str,
    equation: &'static str,
    shape: &'static str,
) -> HookRow {
    HookRow {
        stack,
        site,
        name,
        equation,
        shape,
    }
}

/// Every hook point, in data-path order. Only Pixtral's tower rotates queries and keys and has a gate
/// in its MLP.
pub const HOOK_TABLE: &[HookRow] = &{
    use Site::{
        AttnOut, Embed, In, K, Ln1Normalized, Ln2Normalized, LnFinalNormalized, Logits, MlpOut,
        MlpPost, MlpPre, MlpPreLinear, Out, Pattern, Post, Pre, Q, ResidMid, ResidPost, ResidPre,
        RotK, RotQ, Scores, Tokens, V, Z,
    };
    use Stack::{LanguageModel as L, Projector as P, VisionTower as T};
    [
        row(
            T,
            Embed,
            "vision_tower.hook_embed",
            "pre_layrnorm([class; patches W] + position)",
            "(R, D)",
        ),
        row(
            T,
            ResidPre,
            "vision_tower.blocks.{l}.hook_resid_pre",
            "x",
            "(R, D)",
        ),
        row(
            T,
            Ln1Normalized,
            "vision_tower.blocks.{l}.ln1.hook_normalized",
            "n = layer_norm1(x)",
            "(R, D)",
        ),
        row(
            T,
            Q,
            "vision_tower.blocks.{l}.attn.hook_q",
            "q = n Wq + bq",
            "(R, H, Dh)",
        ),
        row(
            T,
            K,
            "vision_tower.blocks.{l}.attn.hook_k",
            "k = n Wk + bk",
            "(R, H, Dh)",
        ),
        row(
            T,
            V,
            "vision_tower.blocks.{l}.attn.hook_v",
            "v = n Wv + bv",
            "(R, H, Dh)",
        ),
        row(
            T,
            RotQ,
            "vision_tower.blocks.{l}.attn.hook_rot_q",
            "q, rotated by row and column (Pixtral)",
            "(R, H, Dh)",
        ),
        row(
            T,
            RotK,
            "vision_tower.blocks.{l}.attn.hook_rot_k",
            "k, rotated by row and column (Pixtral)",
            "(R, H, Dh)",
        ),
        row(
            T,
            Scores,
            "vision_tower.blocks.{l}.attn.hook_attn_scores",
            "s = q k^T / sqrt(Dh)",
            "(H, T, S)",
        ),
        row(
            T,
            Pattern,
            "vision_tower.blocks.{l}.attn.hook_pattern",
            "a = softmax(s)",
            "(H, T, S)",
        ),
        row(
            T,
            Z,
            "vision_tower.blocks.{l}.attn.hook_z",
            "z = a v",
            "(R, H, Dh)",
        ),
        row(
            T,
            AttnOut,
            "vision_tower.blocks.{l}.hook_attn_out",
            "z Wo + bo",
            "(R, D)",
        ),
        row(
            T,
            ResidMid,
            "vision_tower.blocks.{l}.hook_resid_mid",
            "m = x + attn_out",
            "(R, D)",
        ),
        row(
            T,
            Ln2Normalized,
            "vision_tower.blocks.{l}.ln2.hook_normalized",
            "u = layer_norm2(m)",
            "(R, D)",
        ),
        row(
            T,
            MlpPre,
            "vision_tower.blocks.{l}.mlp.hook_pre",
            "h = u W1 + b1",
            "(R, F)",
        ),
        row(
            T,
            MlpPreLinear,
            "vision_tower.blocks.{l}.mlp.hook_pre_linear",
            "u W3 (Pixtral)",
            "(R, F)",
        ),
        row(
            T,
            MlpPost,
            "vision_tower.blocks.{l}.mlp.hook_post",
            "act(h)",
            "(R, F)",
        ),
        row(
            T,
            MlpOut,
            "vision_tower.blocks.{l}.hook_mlp_out",
            "act(h) W2 + b2",
            "(R, D)",
        ),
        row(
            T,
            ResidPost,
            "vision_tower.blocks.{l}.hook_resid_post",
            "m + mlp_out",
            "(R, D)",
        ),
        row(
            P,
            In,
            "projector.hook_in",
            "the selected layers of the tower side by side, CLS dropped by \"default\"",
            "(R, n D)",
        ),
        row(
            P,
            Pre,
            "projector.hook_pre",
            "h = x W1 + b1; ViP-LLaVA: of projector_layernorm(x)",
            "(R, F)",
        ),
        row(P, Post, "projector.hook_post", "gelu(h)", "(R, F)"),
        row(P, Out, "projector.hook_out", "gelu(h) W2 + b2", "(R, D)"),
        row(
            P,
            Tokens,
            "projector.hook_tokens",
            "a picture's visual tokens: views packed, newlines set in",
            "(R, D)",
        ),
        row(
            L,
            Embed,
            "language_model.hook_embed",
            "embed_tokens(ids), visual tokens spliced in; Gemma: sqrt(D) embed_tokens(ids)",
            "(R, D)",
        ),
        row(
            L,
            ResidPre,
            "language_model.blocks.{l}.hook_resid_pre",
            "x",
            "(R, D)",
        ),
        row(
            L,
            Ln1Normalized,
            "language_model.blocks.{l}.ln1.hook_normalized",
            "n = input_layernorm(x)",
            "(R, D)",
        ),
        row(
            L,
            Q,
            "language_model.blocks.{l}.attn.hook_q",
            "q = n Wq",
            "(R, H, Dh)",
        ),
        row(
            L,
            K,
            "language_model.blocks.{l}.attn.hook_k",
            "k = n Wk",
            "(R, K, Dh)",
        ),
        row(
            L,
            V,
            "language_model.blocks.{l}.attn.hook_v",
            "v = n Wv",
            "(R, K, Dh)",
        ),
        row(
            L,
            RotQ,
            "language_model.blocks.{l}.attn.hook_rot_q",
            "rope(q, position); Qwen3: rope(q_norm(q), position)",
            "(R, H, Dh)",
        ),
        row(
            L,
            RotK,
            "language_model.blocks.{l}.attn.hook_rot_k",
            "rope(k, position); Qwen3: rope(k_norm(k), position)",
            "(R, K, Dh)",
        ),
        row(
            L,
            Scores,
            "language_model.blocks.{l}.attn.hook_attn_scores",
            "s = rot_q rot_k^T / sqrt(Dh), minus infinity where the causal mask hides; \
             Gemma 2: c tanh(rot_q rot_k^T / sqrt(query_pre_attn_scalar) / c)",
            "(H, T, S)",
        ),
        row(
            L,
            Pattern,
            "language_model.blocks.{l}.attn.hook_pattern",
            "a = softmax(s)",
            "(H, T, S)",
        ),
        row(
            L,
            Z,
            "language_model.blocks.{l}.attn.hook_z",
            "z = a v",
            "(R, H, Dh)",
        ),
        row(
            L,
            AttnOut,
            "language_model.blocks.{l}.hook_attn_out",
            "z Wo; Gemma 2: post_attention_layernorm(z Wo)",
            "(R, D)",
        ),
        row(
            L,
            ResidMid,
            "language_model.blocks.{l}.hook_resid_mid",
            "m = x + attn_out",
            "(R, D)",
        ),
        row(
            L,
            Ln2Normalized,
            "language_model.blocks.{l}.ln2.hook_normalized",
            "u = post_attention_layernorm(m); Gemma 2: pre_feedforward_layernorm(m)",
            "(R, D)",
        ),
        row(
            L,
            MlpPre,
            "language_model.blocks.{l}.mlp.hook_pre",
            "g = u Wgate",
            "(R, F)",
        ),
        row(
            L,
            MlpPreLinear,
            "language_model.blocks.{l}.mlp.hook_pre_linear",
            "h = u Wup",
            "(R, F)",
        ),
        row(
            L,
            MlpPost,
            "language_model.blocks.{l}.mlp.hook_post",
            "act(g) * h",
            "(R, F)",
        ),
        row(
            L,
            MlpOut,
            "language_model.blocks.{l}.hook_mlp_out",
            "(act(g) * h) Wdown; Gemma 2: post_feedforward_layernorm of it",
            "(R, D)",
        ),
        row(
            L,
            ResidPost,
            "language_model.blocks.{l}.hook_resid_post",
            "m + mlp_out",
            "(R, D)",
        ),
        row(
            L,
            LnFinalNormalized,
            "language_model.ln_final.hook_normalized",
            "norm(x)",
            "(R, D)",
        ),
        row(
            L,
            Logits,
            "language_model.hook_logits",
            "norm(x) Wu at the rows that are asked for",
            "(R, V)",
        ),
    ]
};

/// Called by the forward pass at every hook point. The model knows nothing of the implementation.
pub trait Hooks {
    /// Takes the value at `point`, returns what the forward pass goes on with: the same shape, but
    /// for [`Site::Tokens`], where a picture may come to have fewer rows. `spans` says whose rows
    /// these are; at [`Site::Scores`] and [`Site::Pattern`] it holds the one sequence whose
    /// `(H, T, S)` this is, with its keys.
    fn on(&mut self, point: Point, spans: &[Span], value: Tensor) -> Result<Tensor>;

    /// Returns whether `point` of `sequence` is read or changed. Attention scores and patterns are
    /// made only where they are.
    fn wants(&self, point: Point, sequence: usize) -> bool {
        // True: hooks that do not say are shown everything.
        let _ = (point, sequence);
        true
    }

    /// Returns the layers that `sequence` runs, in order; `None` for all of them.
    fn path(&self, stack: Stack, sequence: usize) -> Option<&[usize]> {
        let _ = (stack, sequence);
        None
    }

    /// Returns, after a layer, the rows of `span` (counted within it, ascending) that go on; `None`
    /// for all of them.
    fn survivors(&mut self, stack: Stack, layer: usize, span: &Span) -> Result<Option<Vec<u32>>> {
        let _ = (stack, layer, span);
        Ok(None)
    }
}

/// Returns whether `point` of any of `spans` is read or changed.
pub(super) fn wanted(hooks: &dyn Hooks, point: Point, spans: &[Span]) -> bool {
    spans.iter().any(|span| hooks.wants(point, span.sequence))
}

/// Changes nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoHooks;

impl Hooks for NoHooks {
    fn on(&mut self, _: Point, _: &[Span], value: Tensor) -> Result<Tensor> {
        Ok(value)
    }

    fn wants(&self, _: Point, _: usize) -> bool {
        false
    }
}

/// Returns the hook point whose name is most like one that was asked for, which may be the end of
/// a name, such as `logits`; `None` where none is like it.
pub fn nearest_hook(asked: &str) -> Option<String> {
    // Spelled with the layer that was asked for, so that it can be copied. Comparing takes memory
    // by the product of the lengths.
    let asked: String = asked.chars().take(64).collect();
    let layer = asked
        .split('.')
        .find(|part| part.parse::<usize>().is_ok())
        .unwrap_or("{l}");
    let all = HOOK_TABLE
        .iter()
        .map(|row| row.name.replacen("{l}", layer, 1));
    let (distance, name) = all
        .map(|name| (distance(&name, &asked), name))
        .min_by_key(|(distance, _)| *distance)?;
    // Further off it is another word.
    (3 * distance <= asked.chars().count()).then_some(name)
}

/// Returns by how many letters `asked` differs from `name`, or from its last word.
fn distance(name: &str, asked: &str) -> usize {
    let last = name.rsplit_once("hook_").map_or(name, |(_, last)| last);
    [name, last]
        .map(|own| strsim::damerau_levenshtein(own, asked))
        .into_iter()
        .min()
        .unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_is_like_it_is_suggested() {
        assert_eq!(nearest_hook("nonsense"), None);
        for (asked, name) in [
            ("logits", "language_model.hook_logits"),
            (
                "language_model.blocks.3.hook_resid_per",
                "language_model.blocks.3.hook_resid_pre",
            ),
            ("projecter.hook_in", "projector.hook_in"),
        ] {
            assert_eq!(nearest_hook(asked).as_deref(), Some(name));
        }
    }
}
