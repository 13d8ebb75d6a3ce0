//! Weights of sparse autoencoders, under the names of three libraries.

use candle_core::{DType, Device, Tensor};

use super::autoencoder::{SparseAutoencoder, norm};
use super::config::{Layout, SaeActivation, SaeConfig};
use crate::model::beside::finite;
use crate::model::hosted_linear::HostedLinear;
use crate::nn::{HostTensor, Linear, Point};
use crate::weights::{self, Checkpoint, Tensors};

/// Files that hold the weights, by layout.
pub(super) fn file_names(layout: Layout) -> &'static [&'static str] {
    match layout {
        Layout::SaeLens => &["sae_weights.safetensors"],
        Layout::DictionaryLearning => &["ae.safetensors", "ae.pt"],
        Layout::Sparsify => &["sae.safetensors"],
    }
}

/// Returns the autoencoder that a configuration describes; every tensor is read, and none is left.
pub(super) fn load(
    config: &SaeConfig,
    checkpoint: &Checkpoint,
    (point, digest): (Point, String),
) -> Result<SparseAutoencoder, weights::Error> {
    let tensors = checkpoint.tensors(DType::F32, &Device::Cpu, &|_, _| {});
    // Two classes of dictionary_learning keep matrices as SAELens does, in place of layers.
    let parts = match config.layout {
        Layout::DictionaryLearning
            if !config.class.starts_with("JumpRelu") && !config.class.starts_with("Matryoshka") =>
        {
            of_layers(config, &tensors)
        }
        Layout::Sparsify => of_layers(config, &tensors),
        _ => of_matrices(config, &tensors),
    }?;
    tensors.finish()?;
    parts
        .put_together(config, point, (digest, checkpoint.floats_bytes()))
        .map_err(weights::Error::of_device("of the autoencoder"))
}

/// The tensors, in one spelling.
struct Parts {
    /// `(F, W)`.
    encoder: Tensor,
    /// `(F)`.
    encoder_bias: Option<Tensor>,
    /// `(F, W)`: the direction of each feature.
    decoder: Tensor,
    /// `(W)`.
    decoder_bias: Tensor,
    threshold: Option<Tensor>,
    /// `r` and the bias of the magnitudes of a gated one.
    magnitude: Option<(Tensor, Tensor)>,
}

/// Reads `W_enc (W, F)` and `W_dec (F, W)`: SAELens, and two classes of dictionary_learning.
fn of_matrices(config: &SaeConfig, tensors: &Tensors<'_>) -> Result<Parts, weights::Error> {
    let (width, features) = (config.width, config.features);
    let written = config.writes.unwrap_or(width);
    let get = |name: &str| finite(tensors, name, &[features]);
    let is_gated = config.rule == SaeActivation::Gated;
    if config.skips {
        // It passes the features by, whose values alone are read of a transcoder.
        finite(tensors, "W_skip", &[written, width])?;
    }
    let threshold = match config.rule {
        SaeActivation::JumpRelu => Some(get("threshold")?),
        SaeActivation::Gated => Some(get("b_gate")?),
        // A number without dimensions: one threshold for all features.
        SaeActivation::BatchTopK => Some(finite(tensors, "threshold", &[])?),
        SaeActivation::Relu | SaeActivation::TopK(_) => None,
    };
    // Written in the configuration, too.
    for name in ["k", "group_sizes"] {
        tensors.ignore(name);
    }
    Ok(Parts {
        // (W, F) -> (F, W), as a linear layer keeps it.
        encoder: turned("W_enc", &finite(tensors, "W_enc", &[width, features])?)?,
        encoder_bias: (!is_gated).then(|| get("b_enc")).transpose()?,
        decoder: finite(tensors, "W_dec", &[features, written])?,
        decoder_bias: finite(tensors, "b_dec", &[written])?,
        threshold,
        magnitude: if is_gated {
            Some((get("r_mag")?, get("b_mag")?))
        } else {
            None
        },
    })
}

/// Reads layers as torch.nn.Linear keeps them: `encoder.weight (F, W)`.
fn of_layers(config: &SaeConfig, tensors: &Tensors<'_>) -> Result<Parts, weights::Error> {
    let (width, features) = (config.width, config.features);
    let get = |name: &str| finite(tensors, name, &[features]);
    let is_gated = config.rule == SaeActivation::Gated;
    let is_sparsify = config.layout == Layout::Sparsify;
    if config.skips {
        finite(tensors, "W_skip", &[width, width])?;
    }
    // Written in the configuration, too.
    tensors.ignore("k");
    let bias = match config.class.as_str() {
        "AutoEncoder" => "bias",
        "AutoEncoderNew" => "decoder.bias",
        "GatedAutoEncoder" => "decoder_bias",
        _ => "b_dec",
    };
    let threshold = match config.rule {
        SaeActivation::BatchTopK => Some(finite(tensors, "threshold", &[])?),
        SaeActivation::Gated => Some(get("gate_bias")?),
        // One that its users may choose in place of the k largest, which are read here.
        _ => {
            tensors.ignore("threshold");
            None
        }
    };
    Ok(Parts {
        encoder: finite(tensors, "encoder.weight", &[features, width])?,
        encoder_bias: (!is_gated).then(|| get("encoder.bias")).transpose()?,
        // sparsify keeps a direction as a row, torch's linear layers keep it as a column.
        decoder: if is_sparsify {
            finite(tensors, "W_dec", &[features, width])?
        } else {
            turned(
                "decoder.weight",
                &finite(tensors, "decoder.weight", &[width, features])?,
            )?
        },
        decoder_bias: finite(tensors, bias, &[width])?,
        threshold,
        magnitude: if is_gated {
            Some((get("r_mag")?, get("mag_bias")?))
        } else {
            None
        },
    })
}

fn turned(name: &str, matrix: &Tensor) -> Result<Tensor, weights::Error> {
    let turned = matrix.t().and_then(|t| t.contiguous());
    turned.map_err(weights::Error::of_device(name))
}

impl Parts {
    /// Lays them out for computing.
    fn put_together(
        mut self,
        config: &SaeConfig,
        point: Point,
        (digest, bytes): (String, u64),
    ) -> candle_core::Result<SparseAutoencoder> {
        if config.class == "AutoEncoder" {
            self.normalise()?;
        }
        let norms = if config.by_norm {
            // A feature is told in units of its direction's norm, so that its direction has norm 1.
            let norms = norm(&self.decoder)?; // (F, 1)
            self.decoder = self.decoder.broadcast_div(&norms)?;
            Some(host(&norms.flatten_all()?)?)
        } else {
            None
        };
        let threshold = self.threshold.as_ref().map(|t| host(&t.flatten_all()?));
        let magnitude = self
            .magnitude
            .as_ref()
            .map(|(r, bias)| Ok::<_, candle_core::Error>((host(&r.exp()?)?, host(bias)?)));
        Ok(SparseAutoencoder {
            point,
            class: config.class.clone(),
            width: config.width,
            rule: config.rule,
            normalize: config.normalize,
            prefixes: config.prefixes.clone(),
            digest,
            bytes,
            encoder: HostedLinear::new(Linear::new(self.encoder, self.encoder_bias)?),
            centre: config
                .centres
                .then(|| host(&self.decoder_bias))
                .transpose()?,
            threshold: threshold.transpose()?,
            magnitude: magnitude.transpose()?,
            norms,
            // Of a transcoder the values alone are of use: it writes where no row is read.
            decoder: config
                .writes
                .is_none()
                .then(|| host(&self.decoder))
                .transpose()?,
        })
    }

    /// Gives every direction the norm 1 and its feature the norm instead, as dictionary_learning
    /// does when it loads this class.
    fn normalise(&mut self) -> candle_core::Result<()> {
        let norms = norm(&self.decoder)?; // (F, 1)
        let off = (&norms - 1.0)?
            .abs()?
            .flatten_all()?
            .max(0)?
            .to_scalar::<f32>()?;
        // `torch.allclose`: those that are 1 to rounding keep their bits.
        if off <= 1e-5 + 1e-8 {
            return Ok(());
        }
        self.decoder = self.decoder.broadcast_div(&norms)?;
        // Features grow as their directions shrink: the sum that they write stays what it was.
        self.encoder = self.encoder.broadcast_mul(&norms)?;
        let bias = self.encoder_bias.as_ref();
        let bias = bias.map(|bias| bias.mul(&norms.flatten_all()?));
        self.encoder_bias = bias.transpose()?;
        Ok(())
    }
}

fn host(tensor: &Tensor) -> candle_core::Result<HostTensor> {
    HostTensor::download(tensor)
}
