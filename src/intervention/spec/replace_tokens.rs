//! Replace tokens: visual tokens get other values, as a control that leaves their number and their
//! positions alone.
//!
//! Law: a picture's own tokens in their own place change nothing.

use std::sync::Arc;

use crate::intervention::compile::{Compiler, Context, Entry, Spec, TokenMap, TokenSelector};
use crate::intervention::error::Error;
use crate::intervention::plan::{Noise, Operation, Resolution, Resolved, Rows};
use crate::model;
use crate::nn::HostTensor;

/// Writes other values over visual tokens of every picture.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplaceTokens {
    /// The tokens of each picture that are replaced.
    pub tokens: TokenSelector,
    /// The new values.
    pub source: Replacement,
}

/// Values of a replaced token.
#[derive(Debug, Clone, PartialEq)]
pub enum Replacement {
    /// Zeros.
    Zero,
    /// The mean of the picture's tokens.
    Mean,
    /// Gaussian noise with the mean and deviation of the picture's tokens, by seed.
    Noise(u64),
    /// The tokens of another picture: the bytes of its file.
    Donor(Vec<u8>),
}

impl Spec for ReplaceTokens {
    fn selectors(&self) -> Vec<&TokenSelector> {
        vec![&self.tokens]
    }

    fn donor(&self) -> Option<&[u8]> {
        match &self.source {
            Replacement::Donor(data) => Some(data),
            _ => None,
        }
    }

    fn compile(&self, entry: Entry, compiler: &mut Compiler<'_>) -> Result<Resolved, Error> {
        let context = compiler.context;
        entry.needs_image(context)?;
        let mut resolved = Resolved::default();
        for image in 0..compiler.images.len() {
            let map = TokenMap::of_picture(image, &compiler.images[image]);
            let picked = self.tokens.pick(entry, "tokens", &map, context)?;
            if !picked.rows.contains(&true) {
                return Err(entry.never_fired(format!("no token of picture {image} is chosen")));
            }
            // Mean and deviation are those of the whole picture, chosen tokens or not.
            let all = Arc::new(Rows::of_picture(image, vec![true; map.tokens.len()]));
            let indices = picked.indices();
            let mut digest = String::new();
            let operation = match &self.source {
                Replacement::Zero => Operation::Scale(0.0),
                Replacement::Mean => Operation::Like {
                    over: all,
                    value: None,
                },
                Replacement::Noise(seed) => Operation::Like {
                    over: all,
                    value: Some(Noise {
                        draws: entry.streams(*seed, context, ""),
                        gaussian: true,
                        // Behind the projector a picture is one run of tokens, which is view 0.
                        per_view: map.tokens.len(),
                        width: context.model.decoder.config().hidden_size,
                    }),
                },
                Replacement::Donor(data) => {
                    digest = blake3::hash(data).to_hex().to_string();
                    let count = map.tokens.len();
                    Operation::Write(donor_rows(entry, context, image, count, &indices)?)
                }
            };
            let rows = Rows::of_picture(image, picked.rows);
            compiler.edit_rows(entry, rows.into(), operation);
            resolved.resolutions.push(Resolution {
                digest,
                ..Resolution::of(image, indices)
            });
        }
        Ok(resolved)
    }
}

/// Returns the rows `indices` of the donor's visual tokens, of which there must be `count`.
fn donor_rows(
    entry: Entry,
    context: &Context<'_>,
    image: usize,
    count: usize,
    indices: &[u32],
) -> Result<HostTensor, Error> {
    let Some(donor) = context.donors.get(&entry.index) else {
        return Err(entry.invalid("donor", "its tokens were not computed"));
    };
    let has = donor.dim(0).map_err(model::Error::from)?;
    if has != count {
        let message =
            format!("it has {has} visual tokens, picture {image} of the request has {count}");
        return Err(entry.invalid("donor", message));
    }
    // `(n, D)`, one row for each chosen token, in their order.
    Ok(donor.rows(indices).map_err(model::Error::from)?)
}
