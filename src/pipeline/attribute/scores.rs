//! Makes what is sent of the gradients that were found.

use candle_core::DType;

use super::maps;
use super::request::AttributionMethod;
use super::run::Attribution;
use crate::model::{self, Gradients, TapGradient};
use crate::nn::{HostTensor, Span};
use crate::pipeline::error::Error;
use crate::pipeline::output::CapturedActivation;
use crate::pipeline::tensor_bytes::tensor_bytes;

impl Attribution {
    pub(super) fn scores(&self, found: &Gradients) -> Result<Vec<CapturedActivation>, Error> {
        let mut all = Vec::new();
        let through = match self.request.method {
            AttributionMethod::AttentionRelevance => Some(("attention_relevance", 1.0)),
            AttributionMethod::AttentionRollout => Some(("attention_rollout", 0.5)),
            _ => None,
        };
        if let Some((name, share)) = through {
            let taps: Vec<&TapGradient> = found.taps.iter().collect();
            // The row that the answer's first token is read from.
            let row = self.compiled.prompt.ids.len() - 1;
            let reached = maps::relevance(&taps, row, share).map_err(model::Error::from)?;
            if let (Some(reached), Some(tap)) = (reached, taps.first()) {
                all.push(self.activation(tap, &reached, name, 0)?);
            }
            return Ok(all);
        }
        // From the pixels up, as the values of a run come.
        for tap in found.taps.iter().rev() {
            let lead = usize::from(self.compiled.input.model.tower.info().has_class);
            if self.request.method == AttributionMethod::GradCam {
                let map = maps::grad_cam(tap, lead).map_err(model::Error::from)?;
                all.push(self.activation(tap, &map, &tap.point.to_string(), lead)?);
            } else {
                let values = maps::rows_first(tap).map_err(model::Error::from)?;
                all.push(self.activation(tap, &values, &tap.point.to_string(), 0)?);
            }
        }
        if self.places.pixels {
            all.extend(self.pixel_scores(found)?);
        }
        Ok(all)
    }

    pub(super) fn activation(
        &self,
        tap: &TapGradient,
        values: &HostTensor,
        point: &str,
        lead: usize,
    ) -> Result<CapturedActivation, Error> {
        // By the place in the resolved list, layers counted one by one.
        let target = self.places.points.iter().position(|p| *p == tap.point);
        let Span {
            image,
            view,
            tokens,
            ..
        } = &tap.span;
        Ok(CapturedActivation {
            target: target.unwrap_or_default(),
            point: point.to_owned(),
            image: *image,
            view: *view,
            tokens: tokens[lead..].to_vec(),
            shape: values.dims().iter().map(|&d| d as u32).collect(),
            data: tensor_bytes(values, DType::F32)?,
            ..CapturedActivation::default()
        })
    }

    /// Returns `(H, W)` of each view, or `(3, H, W)` where gradients themselves are asked for.
    fn pixel_scores(&self, found: &Gradients) -> Result<Vec<CapturedActivation>, Error> {
        let ways = match self.request.method {
            AttributionMethod::GradientTimesInput => {
                let own = self.compiled.pixels().iter();
                let own = own.map(|p| p.views.to_dtype(DType::F32).map(|t| (*t).clone()));
                let own: Result<Vec<_>, _> = own.collect();
                Some(own.map_err(model::Error::from)?)
            }
            AttributionMethod::IntegratedGradients => Some(self.pixel_ways()?),
            _ => None,
        };
        let mut all = Vec::new();
        for (image, gradient) in found.pixels.iter().enumerate() {
            let whole = self.request.method == AttributionMethod::GradientValues;
            let way = ways.as_ref().and_then(|ways| ways.get(image));
            let scores = if whole {
                Ok(gradient.clone())
            } else {
                maps::of_pixels(gradient, way)
            };
            let scores = scores.map_err(model::Error::from)?;
            for view in 0..scores.dims()[0] {
                // `(1, ...)`, whose first dimension is left out of the shape below.
                let own = scores.rows(&[view as u32]).map_err(model::Error::from)?;
                all.push(CapturedActivation {
                    target: self.places.points.len(),
                    point: "pixels".into(),
                    image,
                    view,
                    shape: own.dims()[1..].iter().map(|&d| d as u32).collect(),
                    data: tensor_bytes(&own, DType::F32)?,
                    ..CapturedActivation::default()
                });
            }
        }
        Ok(all)
    }
}
