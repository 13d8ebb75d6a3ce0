//! On what models run.

use candle_core::{DType, Device};
use clap::Args;

use crate::server::Config;
use crate::vision::ProcessorBackend;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Dtype {
    F32,
    Bf16,
    F16,
}

impl Dtype {
    fn of_tensors(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }
}

/// The device of a command's own model, and what is kept on it.
#[derive(Debug, Clone, Args)]
pub(super) struct Hardware {
    /// cpu, cuda:N, or auto: the first GPU if the binary was built for one, else the CPU
    #[arg(long, env = "SCOTOMA_DEVICE", default_value = "auto")]
    device: String,
    /// What weights are kept as. Default: f32 on the CPU, bf16 on a GPU
    #[arg(long, env = "SCOTOMA_DTYPE", value_enum)]
    dtype: Option<Dtype>,
    /// Whose arithmetic makes pixels of pictures: pillow (Pillow 13), pillow-12 (12 and older: what
    /// published results of LLaVA were made with), torchvision (what AutoProcessor of transformers
    /// 5 takes), or auto: torchvision where the checkpoint names a class that ends in Fast, else
    /// pillow
    #[arg(
        long,
        env = "SCOTOMA_IMAGE_PROCESSOR",
        value_name = "KIND",
        value_delimiter = ','
    )]
    image_processor: Vec<String>,
}

impl Hardware {
    /// Returns the image processor of the model `name`; `None`: as its checkpoint says.
    pub(super) fn image_processor(&self, name: &str) -> Result<Option<ProcessorBackend>, String> {
        image_processor(&self.image_processor, name)
    }

    /// Lists what is wrong with the image processors, given the names of all models.
    pub(super) fn wrong_processors<'a>(
        &self,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Vec<String> {
        wrong_processors(&self.image_processor, names)
    }

    /// Writes it into `config`, its models included, or says what is wrong with it.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), String> {
        config.devices = vec![device(&self.device)?];
        config.dtype = self.dtype.map(Dtype::of_tensors);
        apply_processors(&self.image_processor, config)
    }
}

/// The devices of a server, and what is kept on them.
#[derive(Debug, Clone, Args)]
pub(super) struct ServerHardware {
    /// cpu, cuda:N, or auto: the first GPU if the binary was built for one, else the CPU. Several,
    /// separated by commas, each have an engine; a model goes to the one on which models hold least
    #[arg(
        long,
        env = "SCOTOMA_DEVICE",
        value_delimiter = ',',
        default_value = "auto"
    )]
    device: Vec<String>,
    /// What weights are kept as. Default: f32 on the CPU, bf16 on a GPU
    #[arg(long, env = "SCOTOMA_DTYPE", value_enum)]
    dtype: Option<Dtype>,
    /// Whose arithmetic makes pixels of pictures: pillow (Pillow 13), pillow-12 (12 and older: what
    /// published results of LLaVA were made with), torchvision (what AutoProcessor of transformers
    /// 5 takes), or auto: torchvision where the checkpoint names a class that ends in Fast, else
    /// pillow. For one model NAME=KIND; repeat for several
    #[arg(
        long,
        env = "SCOTOMA_IMAGE_PROCESSOR",
        value_name = "[NAME=]KIND",
        value_delimiter = ','
    )]
    image_processor: Vec<String>,
}

impl ServerHardware {
    /// Returns the image processor of the model `name`; `None`: as its checkpoint says.
    pub(super) fn image_processor(&self, name: &str) -> Result<Option<ProcessorBackend>, String> {
        image_processor(&self.image_processor, name)
    }

    /// Lists what is wrong with the image processors, given the names of all models.
    pub(super) fn wrong_processors<'a>(
        &self,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Vec<String> {
        wrong_processors(&self.image_processor, names)
    }

    /// Writes it into `config`, its models included, or says what is wrong with it.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), String> {
        let found: Vec<Result<Device, String>> = self.device.iter().map(|d| device(d)).collect();
        let mistakes: Vec<&str> = found
            .iter()
            .filter_map(|d| d.as_ref().err().map(String::as_str))
            .collect();
        if !mistakes.is_empty() {
            return Err(mistakes.join("\nerror: "));
        }
        config.devices = found.into_iter().flatten().collect();
        config.dtype = self.dtype.map(Dtype::of_tensors);
        apply_processors(&self.image_processor, config)
    }
}

/// The image processor of the model `name` among `[NAME=]KIND`s. One that is named wins over one
/// for all.
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
            wrong.push(format!(
                "--image-processor {text}: it is said already; one holds"
            ));
        }
    }
    wrong
}

fn apply_processors(texts: &[String], config: &mut Config) -> Result<(), String> {
    let wrong = wrong_processors(texts, config.models.iter().map(|model| model.name.as_str()));
    if !config.models.is_empty() && !wrong.is_empty() {
        return Err(wrong.join("\nerror: "));
    }
    for model in &mut config.models {
        model.options.image_processor = image_processor(texts, &model.name)?;
    }
    Ok(())
}

fn device(text: &str) -> Result<Device, String> {
    let number = match text {
        "cpu" => return Ok(Device::Cpu),
        "auto" => return Device::cuda_if_available(0).map_err(|e| format!("--device auto: {e}")),
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
    Device::new_cuda(number).map_err(|e| format!("--device {text}: {e}"))
}
