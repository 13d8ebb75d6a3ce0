//! Bounds what `serve` computes at once and keeps, and what one request may hold.

use clap::Args;

use crate::engine::Limits;
use crate::pipeline::RequestLimits;
use crate::server::ServerConfig;
use crate::vision;

/// Headings of these flags in help texts.
const BATCHES: &str = "Batches and caches";
const REQUEST: &str = "Limits of a request";
const KEPT: &str = "Kept for clients";

/// The engine's batches and caches.
#[derive(Debug, Args)]
pub(super) struct BatchArgs {
    /// Most requests that wait; more are refused with RESOURCE_EXHAUSTED
    ///
    /// Raise it for bursts.
    #[arg(
        help_heading = BATCHES,
        long,
        env = "SCOTOMA_QUEUE",
        value_name = "REQUESTS",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    queue: u32,
    /// Most requests that share a batch. Default: 64 on a CPU, 256 on a GPU
    ///
    /// Lower it if memory for keys and values is short.
    #[arg(
        help_heading = BATCHES,
        long,
        env = "SCOTOMA_MAX_RUNNING",
        value_name = "REQUESTS",
        value_parser = clap::value_parser!(u32).range(1..=4096)
    )]
    max_running: Option<u32>,
    /// Most prefill rows of one step. Default: 1024 on a CPU, 8192 on a GPU
    ///
    /// Lower it for steadier token latency, raise it for throughput.
    #[arg(
        help_heading = BATCHES,
        long,
        env = "SCOTOMA_MAX_STEP_ROWS",
        value_name = "ROWS",
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    max_step_rows: Option<u32>,
    /// Most admitted work that is not done, in (row, layer) pairs; more is refused
    ///
    /// Raise it for large sweeps.
    #[arg(
        help_heading = BATCHES,
        long,
        env = "SCOTOMA_MAX_QUEUE_ROWS",
        value_name = "ROWS",
        default_value_t = 1 << 28,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    max_queue_rows: u64,
    /// MiB of keys and values. Default: 4096 on a CPU, two fifths of the free memory on a GPU
    ///
    /// Prompts are kept for reuse as long as there is room.
    #[arg(
        help_heading = BATCHES,
        long,
        env = "SCOTOMA_KV_CACHE_MIB",
        value_name = "MIB",
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    kv_cache_mib: Option<u32>,
    /// MiB of encoded pictures that are kept for reuse
    #[arg(
        help_heading = BATCHES,
        long,
        env = "SCOTOMA_IMAGE_CACHE_MIB",
        value_name = "MIB",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    image_cache_mib: u32,
    /// MiB of residual-stream checkpoints from which the variants of a sweep start
    ///
    /// With fewer the sweep computes more.
    #[arg(
        help_heading = BATCHES,
        long,
        env = "SCOTOMA_CHECKPOINT_MIB",
        value_name = "MIB",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(0..=1_048_576)
    )]
    checkpoint_mib: u32,
}

impl BatchArgs {
    /// Sets the limits of the engines on the devices of `config`.
    pub(super) fn apply(&self, config: &mut ServerConfig) {
        let default = Limits::for_devices(&config.devices);
        let or = |given: Option<u32>, default: usize| given.map_or(default, |n| n as usize);
        config.engine = Limits {
            queue: self.queue as usize,
            running: or(self.max_running, default.running),
            step_rows: or(self.max_step_rows, default.step_rows),
            queue_rows: self.max_queue_rows,
            kv_bytes: self
                .kv_cache_mib
                .map_or(default.kv_bytes, |mib| (mib as usize) << 20),
            picture_bytes: u64::from(self.image_cache_mib) << 20,
            checkpoint_bytes: u64::from(self.checkpoint_mib) << 20,
        };
    }
}

/// The bounds of one request, and of what clients leave with the server.
#[derive(Debug, Args)]
pub(super) struct RequestLimitArgs {
    /// Most pictures of one request
    #[arg(
        help_heading = REQUEST,
        long,
        env = "SCOTOMA_MAX_IMAGES",
        value_name = "PICTURES",
        default_value_t = 16,
        value_parser = clap::value_parser!(u32).range(1..=1024)
    )]
    max_images: u32,
    /// Most pixels of one picture, checked before it is decoded
    #[arg(
        help_heading = REQUEST,
        long,
        env = "SCOTOMA_MAX_IMAGE_PIXELS",
        value_name = "PIXELS",
        default_value_t = vision::MAX_PIXELS,
        value_parser = clap::value_parser!(u64).range(1..=1 << 32)
    )]
    max_image_pixels: u64,
    /// Most MiB of one message
    #[arg(
        help_heading = REQUEST,
        long,
        env = "SCOTOMA_MAX_MESSAGE_MIB",
        value_name = "MIB",
        default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=1024)
    )]
    max_message_mib: u32,
    /// Most MiB of all activations of one Capture
    #[arg(
        help_heading = REQUEST,
        long,
        env = "SCOTOMA_MAX_CAPTURE_MIB",
        value_name = "MIB",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    max_capture_mib: u32,
    /// MiB of activations that are kept for Patch; the least recently used make room
    #[arg(
        help_heading = KEPT,
        long,
        env = "SCOTOMA_KEEP_MIB",
        value_name = "MIB",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    keep_mib: u32,
    /// MiB of uploaded pictures that are kept; the least recently used make room
    #[arg(
        help_heading = KEPT,
        long,
        env = "SCOTOMA_UPLOAD_MIB",
        value_name = "MIB",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    upload_mib: u32,
    /// MiB of answers that are kept for calls that come again with the same idempotency-key
    ///
    /// Each API key has an equal part. 0 keeps none, and runs every call anew.
    #[arg(
        help_heading = KEPT,
        long,
        env = "SCOTOMA_REPLAY_MIB",
        value_name = "MIB",
        default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(0..=1_048_576)
    )]
    replay_mib: u32,
}

impl RequestLimitArgs {
    /// Sets the bounds in `config`.
    pub(super) fn apply(&self, config: &mut ServerConfig) {
        config.limits = RequestLimits {
            images: self.max_images as usize,
            image_pixels: self.max_image_pixels,
            message_bytes: (self.max_message_mib as usize) << 20,
            capture_bytes: u64::from(self.max_capture_mib) << 20,
            kept_bytes: u64::from(self.keep_mib) << 20,
            upload_bytes: u64::from(self.upload_mib) << 20,
            // The shares of all requests and of one client are for `BoundsArgs`.
            ..config.limits
        };
        config.replay_bytes = u64::from(self.replay_mib) << 20;
    }
}
