//! On what models run.

use candle_core::{DType, Device};
use clap::Args;

use crate::server::Config;

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
}

impl Hardware {
    /// Writes it into `config`, or says what is wrong with it.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), String> {
        let found: Vec<Result<Device, String>> = self.device.iter().map(|d| device(d)).collect();
        let mistakes: Vec<&str> = found.iter().filter_map(|d| d.as_ref().err().map(String::as_str)).collect();
        if !mistakes.is_empty() {
            return Err(mistakes.join("\nerror: "));
        }
        config.devices = found.into_iter().flatten().collect();
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
