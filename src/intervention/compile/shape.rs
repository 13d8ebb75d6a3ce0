//! Given values as rows at hook points.

use super::entry::Entry;
use crate::intervention::error::Error;
use crate::model::{self, Shape};
use crate::nn::HostTensor;

impl Shape {
    /// Returns `values` as one row: as wide as the point, or as one head, or (`whole`) as all heads
    /// end to end.
    pub(crate) fn row(
        self,
        entry: Entry,
        field: &str,
        values: &[f32],
        whole: bool,
    ) -> Result<HostTensor, Error> {
        let given = values.len();
        let sizes = match self.heads {
            None if given == self.width => vec![1, self.width],
            // One head's values go to every head.
            Some(_) if given == self.width => vec![1, 1, self.width],
            Some(heads) if whole && given == heads * self.width => vec![1, heads, self.width],
            heads => {
                let all = heads
                    .filter(|_| whole)
                    .map_or(String::new(), |h| format!(" or {}", h * self.width));
                let message = format!("{given} numbers; the point is {}{all} wide", self.width);
                return Err(entry.invalid(field, message));
            }
        };
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            let message = format!("number {i} is {}, which is not finite", values[i]);
            return Err(entry.invalid(field, message));
        }
        Ok(HostTensor::from_vec(values.to_vec(), sizes).map_err(model::Error::from)?)
    }
}
