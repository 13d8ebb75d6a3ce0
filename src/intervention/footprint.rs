//! Where a plan acts, so that two sequences can be compared without running them.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::plan::{Edit, Noise, Operation, Plan, Prune, Ranking, Rows, Value};
use crate::nn::{Point, Result, Site, Stack};

/// Something that a plan does at one hook point.
#[derive(Debug, Clone)]
pub struct Act {
    /// BLAKE3 of what it does, whose it is and at which point, but for its rows.
    what: blake3::Hash,
    /// On which rows.
    rows: Arc<Rows>,
    /// With which others.
    others: Option<Arc<Rows>>,
    /// Whether what a row gets depends on rows after it.
    ahead: bool,
}

impl Act {
    /// BLAKE3 of all of it.
    pub fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.what.as_bytes());
        for rows in [Some(&self.rows), self.others.as_ref()]
            .into_iter()
            .flatten()
        {
            rows.hash(&mut hasher);
        }
        hasher.finalize()
    }

    /// Whether what a row gets depends on rows after it; it can then be done only to all rows at
    /// once.
    pub fn looks_ahead(&self) -> bool {
        self.ahead
    }

    /// The first token of the sequence that it has to do with; `u32::MAX` for one that waits for
    /// what is generated.
    pub fn first(&self) -> u32 {
        let first = |rows: &Rows| {
            let view = rows
                .views
                .get(&(0, 0))
                .map(Vec::as_slice)
                .unwrap_or_default();
            view.iter().position(|p| *p).map_or(u32::MAX, |i| i as u32)
        };
        first(&self.rows).min(self.others.as_ref().map_or(u32::MAX, |o| first(o)))
    }

    /// The first token of the sequence for which two acts differ.
    pub fn difference(&self, other: &Self) -> Option<u32> {
        if self.what != other.what || self.others.is_some() != other.others.is_some() {
            return Some(self.first().min(other.first()));
        }
        let view = |rows: &Arc<Rows>| rows.views.get(&(0, 0)).cloned().unwrap_or_default();
        let apart = |a: &Arc<Rows>, b: &Arc<Rows>| {
            let (a, b) = (view(a), view(b));
            let shared = a.len().min(b.len());
            let within = (0..shared).find(|&i| a[i] != b[i]);
            within.or_else(|| {
                (shared..a.len().max(b.len())).find(|&i| a.get(i).or(b.get(i)) == Some(&true))
            })
        };
        let rows = apart(&self.rows, &other.rows);
        let others = self
            .others
            .as_ref()
            .zip(other.others.as_ref())
            .and_then(|(a, b)| apart(a, b));
        rows.into_iter().chain(others).min().map(|i| i as u32)
    }
}

impl Plan {
    /// All that it does at hook points, in order.
    pub fn acts(&self) -> Result<BTreeMap<Point, Vec<Act>>> {
        let mut acts = BTreeMap::<Point, Vec<Act>>::new();
        for (&point, edits) in &self.edits {
            for edit in edits {
                acts.entry(point).or_default().push(edit.act(point)?);
            }
        }
        for (&layer, prune) in &self.prunes {
            let point = Point::at(Stack::LanguageModel, layer, Site::ResidPost);
            acts.entry(point).or_default().push(prune.act(layer));
        }
        Ok(acts)
    }

    /// Whether rows are written down on the way, which are then all computed.
    pub fn captures_rows(&self) -> bool {
        !self.captures.is_empty()
    }
}

impl Rows {
    fn hash(&self, hasher: &mut blake3::Hasher) {
        for (view, rows) in &self.views {
            hasher.update(
                &[view.0, view.1, rows.len()]
                    .map(|n| (n as u64).to_le_bytes())
                    .concat(),
            );
            hasher.update(&rows.iter().map(|&r| u8::from(r)).collect::<Vec<_>>());
        }
        hasher.update(format!("{:?}", self.generated).as_bytes());
    }
}

impl Edit {
    fn act(&self, point: Point) -> Result<Act> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(
            format!(
                "{} {point} {:?} {:?} ",
                self.owner, self.heads, self.dimensions
            )
            .as_bytes(),
        );
        let others = self.operation.hash(&mut hasher)?;
        let ahead = matches!(
            self.operation,
            Operation::Like { .. } | Operation::Gather(_) | Operation::Pool(_)
        );
        Ok(Act {
            what: hasher.finalize(),
            rows: self.rows.clone(),
            others,
            ahead,
        })
    }
}

impl Prune {
    fn act(&self, layer: usize) -> Act {
        let (tokens, others): (&[u32], _) = match &self.ranking {
            Ranking::Fixed(ranked) => (ranked, None),
            Ranking::Received { from, visual } => (visual, Some(from.clone())),
        };
        let what = format!(
            "prune {} {layer} {} {} {tokens:?}",
            self.owner, self.keep, self.leave
        );
        let mut rows = vec![false; tokens.iter().max().map_or(0, |&t| t as usize + 1)];
        tokens.iter().for_each(|&t| rows[t as usize] = true);
        let rows = Rows {
            views: [((0, 0), rows)].into_iter().collect(),
            generated: None,
        };
        Act {
            what: blake3::hash(what.as_bytes()),
            rows: rows.into(),
            others,
            ahead: true,
        }
    }
}

impl Operation {
    /// Feeds what it is, but for rows, which are returned.
    fn hash(&self, hasher: &mut blake3::Hasher) -> Result<Option<Arc<Rows>>> {
        let mut others = None;
        match self {
            Self::Gather(order) => hasher.update(format!("gather {order:?}").as_bytes()),
            Self::Pool(groups) => hasher.update(format!("pool {groups:?}").as_bytes()),
            Self::Scale(factor) => hasher.update(b"scale").update(&factor.to_le_bytes()),
            Self::Add {
                value,
                constant,
                absolute,
                shift,
            } => {
                hasher.update(b"add");
                for factor in [constant, absolute, shift] {
                    hasher.update(&factor.to_le_bytes());
                }
                match value {
                    Value::Fixed(value) => hash_tensor(value, hasher)?,
                    Value::Noise(noise) => noise.hash(hasher),
                }
                hasher
            }
            Self::Write(values) => {
                hash_tensor(values, hasher.update(b"write"))?;
                hasher
            }
            Self::Like { over, value } => {
                others = Some(over.clone());
                if let Some(noise) = value {
                    noise.hash(hasher);
                }
                hasher.update(b"like")
            }
            Self::Project(basis) => {
                hash_tensor(basis, hasher.update(b"project"))?;
                hasher
            }
            Self::Hide(keys) => {
                others = Some(keys.clone());
                hasher.update(b"hide")
            }
        };
        Ok(others)
    }
}

impl Noise {
    fn hash(&self, hasher: &mut blake3::Hasher) {
        for draws in self.draws.iter() {
            hasher.update(&draws.key());
        }
        hasher
            .update(format!("noise {} {} {}", self.gaussian, self.per_view, self.width).as_bytes());
    }
}

fn hash_tensor(tensor: &Tensor, hasher: &mut blake3::Hasher) -> Result<()> {
    hasher.update(format!("{:?}", tensor.dims()).as_bytes());
    let values = tensor
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    values.iter().for_each(|v| {
        hasher.update(&v.to_le_bytes());
    });
    Ok(())
}
