//! Measures what the process and its devices take, whenever somebody looks.

use metrics_process::Collector;
#[cfg(feature = "cuda")]
use {super::names, metrics::gauge, nvml_wrapper::Nvml, std::sync::Arc};

/// Reads the process's own figures, and on machines with NVIDIA's driver those of the GPUs.
#[derive(Debug, Clone, Default)]
pub struct ProcessMetrics {
    process: Collector,
    #[cfg(feature = "cuda")]
    gpus: Gpus,
}

impl ProcessMetrics {
    /// Sets the gauges to what is so now.
    pub fn collect(&self) {
        self.process.collect();
        #[cfg(feature = "cuda")]
        self.gpus.collect();
    }
}

/// Reads GPUs through the driver's library; without one there is nothing to read.
#[cfg(feature = "cuda")]
#[derive(Debug, Clone)]
struct Gpus(Option<Arc<Nvml>>);

#[cfg(feature = "cuda")]
impl Default for Gpus {
    fn default() -> Self {
        // Fails where the driver is not installed, which is no fault of a server on a CPU.
        Self(Nvml::init().ok().map(Arc::new))
    }
}

#[cfg(feature = "cuda")]
impl Gpus {
    fn collect(&self) {
        let Some(nvml) = &self.0 else { return };
        for index in 0..nvml.device_count().unwrap_or(0) {
            let Ok(device) = nvml.device_by_index(index) else {
                continue;
            };
            // By the driver's number, which CUDA_VISIBLE_DEVICES does not change.
            let name = format!("nvidia:{index}");
            if let Ok(memory) = device.memory_info() {
                let used = gauge!(names::DEVICE_MEMORY_USED, "device" => name.clone());
                used.set(memory.used as f64);
                gauge!(names::DEVICE_MEMORY, "device" => name.clone()).set(memory.total as f64);
            }
            if let Ok(utilization) = device.utilization_rates() {
                let share = f64::from(utilization.gpu) / 100.0;
                gauge!(names::DEVICE_UTILIZATION, "device" => name).set(share);
            }
        }
    }
}
