//! `serve`'s flags of what all requests may hold together.

use std::time::Duration;

use clap::Args;

use crate::pipeline::Share;
use crate::server::ServerConfig;

/// Heading of these flags in help texts.
const HEADING: &str = "Budgets";

/// What all requests may hold together before and while they run, and what those of one client may:
/// of one key, or without keys of one connection. What has no room is refused with
/// RESOURCE_EXHAUSTED and a delay after which to try again.
#[derive(Debug, Clone, Args)]
pub(super) struct BoundsArgs {
    /// Most MiB of messages that are on their way in or not yet decoded
    ///
    /// Raise it for many clients that send pictures of many MiB.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_PENDING_MIB",
        default_value_t = 512,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    pending_mib: u32,
    /// Most MiB of such messages of one client
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_PENDING_MIB_PER_KEY",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    pending_mib_per_key: u32,
    /// Most pixels of pictures that are decoded at once, each up to 16 bytes; others wait
    ///
    /// One picture of --max-image-pixels is decoded in any case.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_DECODING_PIXELS",
        default_value_t = 96 << 20,
        value_parser = clap::value_parser!(u64).range(1..=1 << 36)
    )]
    decoding_pixels: u64,
    /// Most such pixels of one client
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_DECODING_PIXELS_PER_KEY",
        default_value_t = 64 << 20,
        value_parser = clap::value_parser!(u64).range(1..=1 << 36)
    )]
    decoding_pixels_per_key: u64,
    /// Most MiB of captured activations that clients have not read
    ///
    /// One Capture of --max-capture-mib runs in any case.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_UNREAD_MIB",
        default_value_t = 512,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    unread_mib: u32,
    /// Most MiB of such activations of one client
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_UNREAD_MIB_PER_KEY",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    unread_mib_per_key: u32,
    /// Seconds that a client may leave ready answers unread; then its stream is ended
    ///
    /// Raise it for readers that stop to think.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_READ_TIMEOUT",
        default_value_t = 300,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    read_timeout: u64,
    /// Most connections that are open at once; more are closed as they come
    ///
    /// Each takes one file descriptor.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_MAX_CONNECTIONS",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    max_connections: u32,
}

impl BoundsArgs {
    /// Sets the budgets in `config`.
    pub(super) fn apply(&self, config: &mut ServerConfig) {
        let mib = |all: u32, one: u32| Share {
            all: u64::from(all) << 20,
            one: u64::from(one) << 20,
        };
        config.limits.pending_bytes = mib(self.pending_mib, self.pending_mib_per_key);
        config.limits.unread_bytes = mib(self.unread_mib, self.unread_mib_per_key);
        config.limits.decoding_pixels = Share {
            all: self.decoding_pixels,
            one: self.decoding_pixels_per_key,
        };
        config.read_timeout = Duration::from_secs(self.read_timeout);
        config.connections = self.max_connections.into();
    }
}
