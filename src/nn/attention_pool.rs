//! Attention of one learned query to all rows of a view, which pools them (Zhai et al. 2022,
//! "Scaling Vision Transformers").

use candle_core::{Result, Tensor};

use super::attention::softmax;
use super::linear::Linear;

/// Pools rows by attention.
#[derive(Debug, Clone)]
pub struct AttentionPool {
    /// `(H, 1, Dh)`, scaled.
    query: Tensor,
    /// `(D, D)`.
    k: Linear,
    /// `(D, D)`.
    v: Linear,
    /// `(D, D)`.
    o: Linear,
    /// Heads.
    heads: usize,
}

impl AttentionPool {
    /// Creates one whose query is `probe (1, D)`, as `q` projects it.
    pub fn new(probe: &Tensor, q: &Linear, [k, v, o]: [Linear; 3], heads: usize) -> Result<Self> {
        let query = q.forward(probe)?; // (1, D)
        let head_dim = query.dim(1)? / heads;
        let query = (query * (head_dim as f64).sqrt().recip())?;
        let query = query.reshape((heads, 1, head_dim))?;
        Ok(Self {
            query,
            k,
            v,
            o,
            heads,
        })
    }

    /// Maps the rows of views `x (V, R, D)` to one each, `(V, D)`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (views, rows, width) = x.dims3()?;
        let flat = x.flatten_to(1)?; // (V R, D)
        let sizes = (views, rows, self.heads, width / self.heads);
        let k = self.k.forward(&flat)?.reshape(sizes)?; // (V, R, H, Dh)
        let v = self.v.forward(&flat)?.reshape(sizes)?;
        let mut pooled = Vec::with_capacity(views);
        for view in 0..views {
            let k = k.get(view)?.permute((1, 2, 0))?.contiguous()?; // (H, Dh, R)
            let v = v.get(view)?.transpose(0, 1)?.contiguous()?; // (H, R, Dh)
            let pattern = softmax(&self.query.matmul(&k)?)?; // (H, 1, R)
            pooled.push(pattern.matmul(&v)?.reshape((1, width))?);
        }
        self.o.forward(&Tensor::cat(&pooled, 0)?)
    }
}
