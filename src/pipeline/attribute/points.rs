//! The places at which attributions are asked for.

use super::request::{AttributeRequest, AttributionMethod, MAX_POINTS};
use crate::nn::{Point, Site, Stack};
use crate::pipeline::error::Error;

/// The name that stands for the pixels, which are no hook point.
const PIXELS: &str = "pixels";

/// Holds where attributions are asked for.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Hook points.
    pub(super) points: Vec<Point>,
    /// Tells whether the pixels are among them.
    pub(super) pixels: bool,
}

impl Places {
    fn add(&mut self, point: Point) {
        // A point that is named twice is one all the same, wherever in the list.
        if !self.points.contains(&point) {
            self.points.push(point);
        }
    }
}

impl AttributeRequest {
    /// Returns the places that the request names, or those that its method looks at.
    pub(super) fn places(&self, paths: (&[usize], &[usize])) -> Result<Places, Error> {
        let names = self.names();
        let mut places = Places::default();
        // As named, repeats too: each is parsed, and short lists multiply to many.
        let mut count = 0;
        for (i, name) in names.iter().enumerate() {
            let field = format!("points[{i}]");
            // Without `{l}` a name is one point.
            let layers = name.contains("{l}").then(|| self.layers_of(name, paths));
            count += layers.as_ref().map_or(1, Vec::len);
            if count > MAX_POINTS {
                let message = format!(
                    "{count} and more with their layers; at most {MAX_POINTS} are taken, so \
                     choose fewer points, or fewer layers"
                );
                return Err(Error::invalid("points", message));
            }
            if name == PIXELS {
                places.pixels = true;
                continue;
            }
            let Some(layers) = layers else {
                places.add(self.point(&field, name, paths)?);
                continue;
            };
            for layer in layers {
                // Written out, since a point is parsed with its layer.
                let own = name.replace("{l}", &layer.to_string());
                places.add(self.point(&field, &own, paths)?);
            }
        }
        if !self.layers.is_empty() && !names.iter().any(|name| name.contains("{l}")) {
            let message = "set, but no point has {l} in the place of its layer";
            return Err(Error::invalid("layers", message));
        }
        self.check_method(&places)?;
        Ok(places)
    }

    fn names(&self) -> Vec<String> {
        if !self.points.is_empty() {
            return self.points.clone();
        }
        let name = match self.method {
            AttributionMethod::IntegratedGradients => PIXELS,
            AttributionMethod::GradCam => "vision_tower.blocks.{l}.hook_resid_post",
            AttributionMethod::AttentionRelevance
            | AttributionMethod::AttentionRollout
            | AttributionMethod::AttentionFlow => "language_model.blocks.{l}.attn.hook_pattern",
            _ => "language_model.blocks.{l}.hook_resid_pre",
        };
        vec![name.to_owned()]
    }

    /// Returns the layers that `{l}` of `name` stands for; of Grad-CAM the last one that runs.
    fn layers_of(&self, name: &str, (tower, decoder): (&[usize], &[usize])) -> Vec<usize> {
        if !self.layers.is_empty() {
            return self.layers.iter().map(|&layer| layer as usize).collect();
        }
        let path = if name.starts_with(Stack::VisionTower.name()) {
            tower
        } else {
            decoder
        };
        // Of the last layer, by its definition.
        let mut layers = if self.method == AttributionMethod::GradCam {
            path.last().copied().into_iter().collect()
        } else {
            path.to_vec()
        };
        // Under RepeatLayers a layer is in the path several times, and one point all the same.
        layers.sort_unstable();
        layers.dedup();
        layers
    }

    fn point(
        &self,
        field: &str,
        name: &str,
        (tower, decoder): (&[usize], &[usize]),
    ) -> Result<Point, Error> {
        let model = &self.model;
        let point: Option<Point> = name.parse().ok();
        let point = point.filter(|p| model.has_point(p.stack, p.site));
        let Some(point) = point else {
            let message = format!(
                "{} is no hook point of {}; ListHookPoints names them, and `{PIXELS}` are the \
                 views themselves",
                crate::field_path::shown(name),
                model.name
            );
            return Err(Error::invalid(field, message));
        };
        let path = if point.stack == Stack::VisionTower {
            tower
        } else {
            decoder
        };
        // A layer that does not run has no value to take a gradient at.
        match point.layer.filter(|layer| !path.contains(layer)) {
            Some(layer) => {
                let message = format!("layer {layer} does not run; these do: {path:?}");
                Err(Error::invalid(field, message))
            }
            None if point.site == Site::Scores => {
                let message = "hidden scores are minus infinity; hook_pattern has a gradient";
                Err(Error::invalid(field, message))
            }
            None => Ok(point),
        }
    }

    /// Fails where a method does not work at a place.
    fn check_method(&self, places: &Places) -> Result<(), Error> {
        let is_pattern = |p: &Point| p.site == Site::Pattern;
        let wrong = |message: &str| Err(Error::invalid("points", message));
        let count = places.points.len() + usize::from(places.pixels);
        match self.method {
            AttributionMethod::GradCam
                if places.pixels
                    || !places
                        .points
                        .iter()
                        .all(|p| p.stack == Stack::VisionTower && is_rows(p)) =>
            {
                wrong("Grad-CAM is of rows in the vision tower, such as its hook_resid_post")
            }
            AttributionMethod::AttentionRelevance
            | AttributionMethod::AttentionRollout
            | AttributionMethod::AttentionFlow
                if places.pixels
                    || !places
                        .points
                        .iter()
                        .all(|p| p.stack == Stack::LanguageModel && is_pattern(p)) =>
            {
                wrong("relevance, rollout and flow are of attn.hook_pattern in the language model")
            }
            // Patching of one step walks no path.
            AttributionMethod::IntegratedGradients | AttributionMethod::Patching
                if count != 1
                    && (self.steps() > 1
                        || self.method == AttributionMethod::IntegratedGradients) =>
            {
                wrong(
                    "several, but a path is walked at one point at a time; ask for each by itself",
                )
            }
            AttributionMethod::Patching if places.pixels => {
                wrong("pixels are not patched; integrated gradients compare them with a source")
            }
            AttributionMethod::Gradient
            | AttributionMethod::GradientTimesInput
            | AttributionMethod::IntegratedGradients
            | AttributionMethod::Patching
                if places.points.iter().any(is_pattern) =>
            {
                wrong(
                    "attention patterns are taken by relevance, rollout, flow and gradient values",
                )
            }
            _ => Ok(()),
        }
    }
}

/// Returns whether a point's values are `(R, D)`.
fn is_rows(point: &Point) -> bool {
    !matches!(
        point.site,
        Site::Q
            | Site::K
            | Site::V
            | Site::RotQ
            | Site::RotK
            | Site::Z
            | Site::Scores
            | Site::Pattern
    )
}
