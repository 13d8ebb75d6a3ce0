//! Devices, dtypes and image processors of models, as flags.

use candle_core::utils::cuda_is_available;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::nn::{DeviceGroup, DeviceId};
use crate::server::ServerConfig;
use crate::vision::ProcessorBackend;
use crate::weights::WeightFormat;

/// Returns what `--dtype` takes.
pub(super) fn formats() -> impl TypedValueParser<Value = WeightFormat> {
    let names = WeightFormat::NAMES.map(|(name, _)| name);
    PossibleValuesParser::new(names).try_map(|name| WeightFormat::parse(&name).ok_or(name))
}

/// Heading of the flags that say which model answers, and where it runs.
pub(super) const MODEL: &str = "Model";

/// The device and dtype of the model that a command runs.
#[derive(Debug, Clone, Args)]
pub(super) struct DeviceArgs {
    /// Device: cpu, cuda:N, or auto, the first GPU if there can be one
    ///
    /// auto is the first GPU if the binary was built with CUDA, else the CPU. Several joined by +
    /// hold a model that is too large for one, each some of its layers: cuda:0+cuda:1.
    #[arg(help_heading = MODEL, long, env = "SCOTOMA_DEVICE", default_value = "auto")]
    device: String,
    /// Format of the weights. Default: f32 on the CPU, bf16 on a GPU
    ///
    /// q8_0, q6_k, q5_k, q4_k and q4_0 quantise the matrices of the language model while they are
    /// loaded, on a CPU, as llama.cpp does; all else is f32.
    #[arg(help_heading = MODEL, long, env = "SCOTOMA_DTYPE", value_parser = formats())]
    dtype: Option<WeightFormat>,
    /// Library whose arithmetic resizes pictures: pillow, pillow-12, torchvision or auto
    ///
    /// pillow is Pillow 13; pillow-12 is Pillow 12 and older, with which LLaVA's published results
    /// were made; torchvision is AutoProcessor's choice in transformers 5. auto is torchvision if
    /// the checkpoint names a class that ends in Fast, else pillow.
    #[arg(
        help_heading = MODEL,
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

    /// Returns the device: the first one where the environment lists those of `serve`.
    fn device(&self) -> &str {
        self.device.split(',').next().unwrap_or_default()
    }

    /// Returns the device and the format of the weights, where one is named.
    pub(super) fn placed(&self) -> Result<(DeviceGroup, Option<WeightFormat>), String> {
        Ok((device_groups(&[self.device()])?.swap_remove(0), self.dtype))
    }

    /// Sets devices, dtype and the models' image processors in `config`.
    pub(super) fn apply(&self, config: &mut ServerConfig) -> Result<(), String> {
        config.devices = device_groups(&[self.device()])?;
        config.dtype = self.dtype;
        apply_processors(&self.image_processor, config)
    }
}

/// Heading of the flags of a server's devices.
pub(super) const DEVICES: &str = "Devices";

/// The devices of a server, and the dtype of its models.
#[derive(Debug, Clone, Args)]
pub(super) struct ServerDeviceArgs {
    /// Device: cpu, cuda:N, or auto, the first GPU if there can be one
    ///
    /// auto is the first GPU if the binary was built with CUDA, else the CPU. Several joined by +
    /// hold a model that is too large for one, each some of its layers: cuda:0+cuda:1. Several
    /// separated by commas have an engine each; a model goes to the one on which models take the
    /// least memory.
    #[arg(
        help_heading = DEVICES,
        long,
        env = "SCOTOMA_DEVICE",
        value_delimiter = ',',
        default_value = "auto"
    )]
    device: Vec<String>,
    /// Format of the weights. Default: f32 on the CPU, bf16 on a GPU
    ///
    /// q8_0, q6_k, q5_k, q4_k and q4_0 quantise the matrices of the language model while they are
    /// loaded, on a CPU, as llama.cpp does; all else is f32.
    #[arg(help_heading = DEVICES, long, env = "SCOTOMA_DTYPE", value_parser = formats())]
    dtype: Option<WeightFormat>,
    /// Library whose arithmetic resizes pictures: pillow, pillow-12, torchvision or auto
    ///
    /// pillow is Pillow 13; pillow-12 is Pillow 12 and older, with which LLaVA's published results
    /// were made; torchvision is AutoProcessor's choice in transformers 5. auto is torchvision if
    /// the checkpoint names a class that ends in Fast, else pillow. NAME=KIND sets it for one model.
    /// Repeat for several.
    #[arg(
        help_heading = DEVICES,
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
        let texts: Vec<&str> = self.device.iter().map(String::as_str).collect();
        config.devices = device_groups(&texts)?;
        config.dtype = self.dtype;
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
    // Without models this is the early check of `model_args`, in which names cannot be known yet.
    if !config.models.is_empty() && !wrong.is_empty() {
        return Err(wrong.join("\nerror: "));
    }
    for model in &mut config.models {
        model.options.image_processor = image_processor(texts, &model.name)?;
    }
    Ok(())
}

/// Reads the values of `--device`, each one device or several joined by `+`, and sees that all are
/// there. All mistakes are reported together.
fn device_groups(texts: &[&str]) -> Result<Vec<DeviceGroup>, String> {
    let mut mistakes = Vec::new();
    let mut groups = Vec::new();
    for text in texts {
        match device_group(text) {
            Ok(group) => groups.push(group),
            Err(message) => mistakes.push(format!("--device {text}: {message}")),
        }
    }
    if mistakes.is_empty() {
        // Before any is opened: a context on a card takes time, and memory of the card.
        mistakes.extend(shared_card(texts, &groups));
    }
    if mistakes.is_empty() {
        for (text, group) in texts.iter().zip(&groups) {
            let missing = group.ids().iter().find_map(|id| find(*id).err());
            mistakes.extend(missing.map(|message| format!("--device {text}: {message}")));
        }
    }
    if mistakes.is_empty() {
        Ok(groups)
    } else {
        Err(mistakes.join("\nerror: "))
    }
}

/// Parses one value of `--device`.
fn device_group(text: &str) -> Result<DeviceGroup, String> {
    if text == "auto" {
        // Whether the binary was built for CUDA; whether a card is there, `find` says.
        let first = if cuda_is_available() {
            DeviceId::Cuda(0)
        } else {
            DeviceId::Cpu
        };
        return Ok(first.into());
    }
    let mut ids = Vec::new();
    for part in text.split('+') {
        let id = match part {
            "cpu" => Some(DeviceId::Cpu),
            "auto" => {
                return Err("auto stands alone; name the devices, such as cuda:0+cuda:1".into());
            }
            other => {
                let number = other.strip_prefix("cuda:").and_then(|n| n.parse().ok());
                number.map(DeviceId::Cuda)
            }
        };
        match id {
            // A CPU may be there more than once: `cpu+cpu` splits a model without a card.
            Some(id) if !id.is_cpu() && ids.contains(&id) => {
                return Err(format!("{part} is there twice; each card once"));
            }
            Some(id) => ids.push(id),
            None if part == text => {
                let message = "cpu, cuda:N or auto is needed, or several joined by +, such as \
                               cuda:0+cuda:1";
                return Err(message.into());
            }
            None => return Err(format!("{part:?} is no device; cpu or cuda:N, joined by +")),
        }
    }
    let mut ids = ids.into_iter();
    let first = ids.next().ok_or("a device is needed")?;
    Ok(DeviceGroup::new(first, ids))
}

/// Finds a card that two different values of `--device` name: each has an engine, and a card belongs
/// to one.
fn shared_card(texts: &[&str], groups: &[DeviceGroup]) -> Option<String> {
    for (i, own) in groups.iter().enumerate() {
        for (text, before) in texts.iter().zip(&groups[..i]) {
            let is_shared = |id: &&DeviceId| !id.is_cpu() && before.ids().contains(id);
            // The same group twice is two names for one engine, which is harmless.
            if own != before
                && let Some(card) = own.ids().iter().find(is_shared)
            {
                let own = texts[i];
                return Some(format!(
                    "--device {own}: {card} is in --device {text}, too; it can be in one"
                ));
            }
        }
    }
    None
}

/// Opens a device to see that it is there; an engine opens it for itself.
fn find(id: DeviceId) -> Result<(), String> {
    if !id.is_cpu() && !cfg!(feature = "cuda") {
        return Err("this binary was built without the cuda feature".into());
    }
    id.open().map(drop).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(texts: &[&str]) -> String {
        device_groups(texts).unwrap_err()
    }

    #[test]
    fn groups_are_named_by_their_devices() {
        let names = |texts: &[&str]| -> Vec<String> {
            let groups = device_groups(texts).unwrap();
            groups.iter().map(ToString::to_string).collect()
        };
        assert_eq!(names(&["cpu"]), ["cpu"]);
        assert_eq!(names(&["cpu+cpu", "cpu"]), ["cpu+cpu", "cpu"]);
    }

    #[test]
    fn mistakes_name_the_device() {
        for (text, says) in [
            ("gpu", "--device gpu: cpu, cuda:N or auto"),
            ("cpu+gpu", "\"gpu\" is no device"),
            ("cuda:0+", "\"\" is no device"),
            ("cuda:-1", "--device cuda:-1: cpu, cuda:N or auto"),
            ("auto+cpu", "auto stands alone"),
            ("cuda:1+cuda:0+cuda:1", "cuda:1 is there twice"),
        ] {
            let found = error(&[text]);
            assert!(found.starts_with(&format!("--device {text}: ")), "{found}");
            assert!(found.contains(says), "{found}");
        }
        let found = error(&["cuda:0+cuda:1", "cuda:2+cuda:1"]);
        assert!(
            found.contains("--device cuda:2+cuda:1: cuda:1 is in --device cuda:0+cuda:1"),
            "{found}"
        );
        let found = error(&["gpu", "cpu", "tpu"]);
        assert!(
            found.contains("gpu") && found.contains("\nerror: --device tpu"),
            "{found}"
        );
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cards_need_the_feature() {
        let found = error(&["cuda:0+cuda:1"]);
        assert_eq!(
            found,
            "--device cuda:0+cuda:1: this binary was built without the cuda feature"
        );
    }
}
