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

/// Devices and what is kept on them.
#[derive(Debug, Clone, Args)]
pub(super) struct Hardware {
    /// cpu, cuda:N, or auto: the first GPU if the binary was built for one, else the CPU. Several, separated by commas, each have an
    /// engine; a model goes to the one on which models hold least
    #[arg(long, env = "SCOTOMA_DEVICE", value_delimiter = ',', default_value = "auto")]
    device: Vec<String>,
    /// What weights are kept as. Default: f32 on the CPU, bf16 on a GPU
    #[arg(long, env = "SCOTOMA_DTYPE", value_enum)]
    dtype: Option<Dtype>,
    /// Whose arithmetic makes pixels of pictures: pillow (Pillow 13), pillow-12 (12 and older: what published results of LLaVA were
    /// made with), torchvision (what AutoProcessor of transformers 5 takes), or auto: torchvision where the checkpoint names a class
    /// that ends in Fast, else pillow. For one model NAME=KIND; repeat for several
    #[arg(long, env = "SCOTOMA_IMAGE_PROCESSOR", value_name = "[NAME=]KIND", value_delimiter = ',')]
    image_processor: Vec<String>,
}

impl Hardware {
    /// The image processor of the model `name`; `None`: as its checkpoint says. One that is named wins over one for all.
    pub(super) fn image_processor(&self, name: &str) -> Result<Option<ProcessorBackend>, String> {
        let mut found = None;
        for text in &self.image_processor {
            let (of, kind) = text.split_once('=').map_or((None, text.as_str()), |(of, kind)| (Some(of), kind));
            let kind = ProcessorBackend::parse(kind).map_err(|e| format!("--image-processor {text}: {e}"))?;
            match of {
                Some(of) if of == name => return Ok(kind),
                None => found = kind,
                Some(_) => {}
            }
        }
        Ok(found)
    }

    /// What is wrong with the image processors, given the names of all models.
    pub(super) fn wrong_processors<'a>(&self, names: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
        let wrong = |text: &String| {
            if let Err(error) = ProcessorBackend::parse(text.split_once('=').map_or(text.as_str(), |(_, kind)| kind)) {
                return Some(format!("--image-processor {text}: {error}"));
            }
            let (name, _) = text.split_once('=')?;
            let unknown = !names.clone().any(|known| known == name);
            unknown.then(|| format!("--image-processor {text}: no model is named {name}"))
        };
        self.image_processor.iter().filter_map(wrong).collect()
    }

    /// Writes it into `config`, its models included, or says what is wrong with it.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), String> {
        let found: Vec<Result<Device, String>> = self.device.iter().map(|d| device(d)).collect();
        let mistakes: Vec<&str> = found.iter().filter_map(|d| d.as_ref().err().map(String::as_str)).collect();
        if !mistakes.is_empty() {
            return Err(mistakes.join("\nerror: "));
        }
        config.devices = found.into_iter().flatten().collect();
        let wrong = self.wrong_processors(config.models.iter().map(|model| model.name.as_str()));
        if !config.models.is_empty() && !wrong.is_empty() {
            return Err(wrong.join("\nerror: "));
        }
        for model in &mut config.models {
            model.options.image_processor = self.image_processor(&model.name)?;
        }
        config.dtype = self.dtype.map(|dtype| match dtype {
            Dtype::F32 => DType::F32,
            Dtype::Bf16 => DType::BF16,
            Dtype::F16 => DType::F16,
        });
        Ok(())
    }
}

fn device(text: &str) -> Result<Device, String> {
    let number = match text {
        "cpu" => return Ok(Device::Cpu),
        "auto" => return Device::cuda_if_available(0).map_err(|e| format!("--device auto: {e}")),
        other => other.strip_prefix("cuda:").and_then(|n| n.parse().ok()),
    };
    let Some(number) = number else { return Err(format!("--device {text}: cpu, cuda:N or auto is needed")) };
    if !cfg!(feature = "cuda") {
        return Err(format!("--device {text}: this binary was built without the cuda feature"));
    }
    Device::new_cuda(number).map_err(|e| format!("--device {text}: {e}"))
}
