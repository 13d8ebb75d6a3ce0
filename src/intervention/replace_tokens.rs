//! Replace tokens: visual tokens get other values, as a control that leaves their number and their
//! positions alone.
//!
//! Law: a picture's own tokens in their own place change nothing.

use std::sync::Arc;

use super::plan::{Noise, Operation, Resolution, Resolved, Rows};
use super::selector::Universe;
use super::{Compiler, Error, Place, TokenSelector};

/// Writes other values over visual tokens of every picture.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplaceTokens {
    /// Which tokens of each picture.
    pub tokens: TokenSelector,
    /// The new values.
    pub source: Replacement,
}

/// What stands in a replaced token.
#[derive(Debug, Clone, PartialEq)]
pub enum Replacement {
    /// 0.
    Zero,
    /// The mean of the picture's tokens.
    Mean,
    /// Gaussian noise with the mean and deviation of the picture's tokens, by seed.
    Noise(u64),
    /// The tokens of another picture: the bytes of its file.
    Donor(Vec<u8>),
}

impl ReplaceTokens {
    pub(super) fn compile(
        &self,
        place: Place,
        compiler: &mut Compiler<'_>,
    ) -> Result<Resolved, Error> {
        let context = compiler.context;
        place.needs_image(context)?;
        let mut resolved = Resolved::default();
        for image in 0..compiler.images.len() {
            let tokens = &compiler.images[image];
            let count = tokens.len();
            let picked = self.tokens.pick(
                place,
                "tokens",
                &Universe::of_tokens(image, tokens),
                context,
            )?;
            if !picked.rows.contains(&true) {
                return Err(place.never_fired(format!("no token of picture {image} is chosen")));
            }
            let of_picture = |rows: Vec<bool>| {
                Arc::new(Rows {
                    views: [((image, 0), rows)].into_iter().collect(),
                    generated: None,
                })
            };
            let all = of_picture(vec![true; count]);
            let indices = picked.indices();
            let mut digest = String::new();
            let operation = match &self.source {
                Replacement::Zero => Operation::Scale(0.0),
                Replacement::Mean => Operation::Like {
                    over: all,
                    value: None,
                },
                Replacement::Noise(seed) => {
                    let width = context.model.decoder.config().hidden_size;
                    let noise = Noise {
                        draws: place.streams(*seed, context, ""),
                        gaussian: true,
                        per_view: count,
                        width,
                    };
                    Operation::Like {
                        over: all,
                        value: Some(noise),
                    }
                }
                Replacement::Donor(data) => {
                    digest = blake3::hash(data).to_hex().to_string();
                    let Some(donor) = context.donors.get(&place.index) else {
                        return Err(place.invalid("donor", "its tokens were not computed"));
                    };
                    let has = donor.dim(0).map_err(crate::model::Error::from)?;
                    if has != count {
                        let message = format!(
                            "it has {has} visual tokens, picture {image} of the request has {count}"
                        );
                        return Err(place.invalid("donor", message));
                    }
                    let chosen =
                        candle_core::Tensor::from_slice(&indices, indices.len(), donor.device());
                    let rows = chosen
                        .and_then(|index| donor.index_select(&index, 0))
                        .map_err(crate::model::Error::from)?;
                    Operation::Write(rows)
                }
            };
            compiler.edit_rows(place, of_picture(picked.rows), operation);
            resolved.resolutions.push(Resolution {
                digest,
                ..Resolution::of(image, indices)
            });
        }
        Ok(resolved)
    }
}
