//! Devices, dtypes and image processors of models, as flags.

use candle_core::DType;
use candle_core::utils::cuda_is_available;
use clap::Args;

use crate::nn::DeviceId;
use crate::server::ServerConfig;
use crate::vision::ProcessorBackend;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Dtype {
    F32,
    Bf16,
    F16,
}

impl Dtype {
    fn tensor_dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }
}

/// The device and dtype of the model that a command runs.
#[derive(Debug, Clone, Args)]
pub(super) struct DeviceArgs {
    /// cpu, cuda:N, or auto: the first GPU if the binary was built with CUDA, else the CPU
    #[arg(long, env = "SCOTOMA_DEVICE", default_value = "auto")]
    device: String,
    /// Data type of the weights. Default: f32 on the CPU, bf16 on a GPU
    #[arg(long, env = "SCOTOMA_DTYPE", value_enum)]
    dtype: Option<Dtype>,
    /// Library whose arithmetic resizes pictures: pillow (Pillow 13), pillow-12 (Pillow 12 and
    /// older, with which LLaVA's published results were made), torchvision (AutoProcessor's choice
    /// in transformers 5), or auto: torchvision if the checkpoint names a class that ends in Fast,
    /// else pillow
    #[arg(
        long,
        env = "SCOTOMA_IMAGE_PROCESSOR",
        value_name = "KIND",
        value_delimiter = ','
    )]
    image_processor: Vec<String>,
}

impl DeviceArgs {
    /// Returns the image processor of the model `name`; `None` leaves it to the checkpoint.
    pub(super) fn image_processor(&self, name: &str) -> Result<Option<ProcessorBackend>, String> {
        image_processor(&self.image_processor, name)
    }

    /// Lists the mistakes in the flag, given the names of all models.
    pub(super) fn wrong_processors<'a>(
        &self,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Vec<String> {
        wrong_processors(&self.image_processor, names)
    }

    /// Sets devices, dtype and the models' image processors in `config`.
    pub(super) fn apply(&self, config: &mut ServerConfig) -> Result<(), String> {
        config.devices = vec![device(&self.device)?];
        config.dtype = self.dtype.map(Dtype::tensor_dtype);
        apply_processors(&self.image_processor, config)
    }
}

/// The devices of a server, and the dtype of its models.
#[derive(Debug, Clone, Args)]
pub(super) struct ServerDeviceArgs {
    /// cpu, cuda:N, or auto: the first GPU if the binary was built with CUDA, else the CPU. Several,
    /// separated by commas, have an engine each; a model goes to the device on which models take
    /// the least memory
    #[arg(
        long,
        env = "SCOTOMA_DEVICE",
        value_delimiter = ',',
        default_value = "auto"
    )]
    device: Vec<String>,
    /// Data type of the weights. Default: f32 on the CPU, bf16 on a GPU
    #[arg(long, env = "SCOTOMA_DTYPE", value_enum)]
    dtype: Option<Dtype>,
    /// Library whose arithmetic resizes pictures: pillow (Pillow 13), pillow-12 (Pillow 12 and
    /// older, with which LLaVA's published results were made), torchvision (AutoProcessor's choice
    /// in transformers 5), or auto: torchvision if the checkpoint names a class that ends in Fast,
    /// else pillow. NAME=KIND sets it for one model. Repeat for several
    #[arg(
        long,
        env = "SCOTOMA_IMAGE_PROCESSOR",
        value_name = "[NAME=]KIND",
        value_delimiter = ','
    )]
    image_processor: Vec<String>,
}

impl ServerDeviceArgs {
    /// Returns the image processor of the model `name`; `None` leaves it to the checkpoint.
    pub(super) fn image_processor(&self, name: &str) -> Result<Option<ProcessorBackend>, String> {
        image_processor(&self.image_processor, name)
    }

    /// Lists the mistakes in the flag, given the names of all models.
    pub(super) fn wrong_processors<'a>(
        &self,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Vec<String> {
        wrong_processors(&self.image_processor, names)
    }

    /// Sets devices, dtype and the models' image processors in `config`.
    pub(super) fn apply(&self, config: &mut ServerConfig) -> Result<(), String> {
        let found: Vec<Result<DeviceId, String>> = self.device.iter().map(|d| device(d)).collect();
        let mistakes: Vec<&str> = found
            .iter()
            .filter_map(|d| d.as_ref().err().map(String::as_str))
            .collect();
        if !mistakes.is_empty() {
            return Err(mistakes.join("\nerror: "));
        }
        config.devices = found.into_iter().flatten().collect();
        config.dtype = self.dtype.map(Dtype::tensor_dtype);
        apply_processors(&self.image_processor, config)
    }
}

/// Finds the image processor of the model `name` among `[NAME=]KIND`s. A named one wins over one
/// for all models.
fn image_processor(texts: &[String], name: &str) -> Result<Option<ProcessorBackend>, String> {
    let mut found = None;
    for text in texts {
        let (of, kind) = text
            .split_once('=')
            .map_or((None, text.as_str()), |(of, kind)| (Some(of), kind));
        let kind =
            ProcessorBackend::parse(kind).map_err(|e| format!("--image-processor {text}: {e}"))?;
        match of {
            Some(of) if of == name => return Ok(kind),
            None => found = kind,
            Some(_) => {}
        }
    }
    Ok(found)
}

fn wrong_processors<'a>(
    texts: &[String],
    names: impl Iterator<Item = &'a str> + Clone,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        let (name, kind) = text
            .split_once('=')
            .map_or((None, text.as_str()), |(name, kind)| (Some(name), kind));
        let same = |other: &String| other.split_once('=').map(|(name, _)| name) == name;
        if let Err(error) = ProcessorBackend::parse(kind) {
            wrong.push(format!("--image-processor {text}: {error}"));
        } else if let Some(name) = name.filter(|name| !names.clone().any(|known| known == *name)) {
            wrong.push(format!(
                "--image-processor {text}: no model is named {name}"
            ));
        } else if texts[..i].iter().any(same) {
            wrong.push(format!("--image-processor {text}: it is set twice"));
        }
    }
    wrong
}

fn apply_processors(texts: &[String], config: &mut ServerConfig) -> Result<(), String> {
    let wrong = wrong_processors(texts, config.models.iter().map(|model| model.name.as_str()));
    if !config.models.is_empty() && !wrong.is_empty() {
        return Err(wrong.join("\nerror: "));
    }
    for model in &mut config.models {
        model.options.image_processor = image_processor(texts, &model.name)?;
    }
    Ok(())
}

fn device(text: &str) -> Result<DeviceId, String> {
    let wrong = |e: candle_core::Error| format!("--device {text}: {e}");
    let number = match text {
        "cpu" => return Ok(DeviceId::Cpu),
        "auto" if !cuda_is_available() => return Ok(DeviceId::Cpu),
        "auto" => Some(0),
        other => other.strip_prefix("cuda:").and_then(|n| n.parse().ok()),
    };
    let Some(number) = number else {
        return Err(format!("--device {text}: cpu, cuda:N or auto is needed"));
    };
    if !cfg!(feature = "cuda") {
        return Err(format!(
            "--device {text}: this binary was built without the cuda feature"
        ));
    }
    let device = DeviceId::Cuda(number);
    // Opened to see that it is there; an engine opens it for itself.
    device.open().map_err(wrong)?;
    Ok(device)
}
