//! `serve`'s flags of what all requests may hold together.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use crate::pipeline::Share;
use crate::server::ServerConfig;

/// Heading of these flags in help texts.
const HEADING: &str = "Budgets";

/// Bounds what all requests may hold together before and while they run, and what those of one
/// client may: of one key, or without keys of one connection. A request that has no room is refused
/// with RESOURCE_EXHAUSTED and a delay after which to try again.
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
    /// Most connections from one address (IPv6: one /64). Default: half of --max-connections
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_MAX_CONNECTIONS_PER_ADDRESS",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    max_connections_per_address: Option<u32>,
    /// Address or network whose connections count in all only. Default: this machine
    ///
    /// That of a proxy, through which many clients come, such as 10.0.0.7 or 10.0.0.0/8. Repeat
    /// for several.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_PROXY",
        value_name = "ADDRESS[/BITS]",
        value_delimiter = ',',
        value_parser = network
    )]
    proxy: Vec<IpNet>,
    /// Most requests that are open at once, each until its stream ends
    ///
    /// Raise it for many benchmarks at a time.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_MAX_STREAMS",
        default_value_t = 4096,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    max_streams: u32,
    /// Most such requests of one client
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_MAX_STREAMS_PER_KEY",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    max_streams_per_key: u32,
    /// Most MiB of ids, categories and verdicts that benchmarks keep until they end
    ///
    /// About 200 bytes a question, and 40 a variant of it. Raise it for benchmarks of millions.
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_EVALUATION_MIB",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    evaluation_mib: u32,
    /// Most such MiB of one client
    #[arg(
        help_heading = HEADING,
        long,
        env = "SCOTOMA_EVALUATION_MIB_PER_KEY",
        default_value_t = 512,
        value_parser = clap::value_parser!(u32).range(1..=1_048_576)
    )]
    evaluation_mib_per_key: u32,
}

fn mib(all: u32, one: u32) -> Share {
    Share {
        all: u64::from(all) << 20,
        one: u64::from(one) << 20,
    }
}

/// Parses a network, or an address alone.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address
        .or_else(|_| text.parse())
        .map_err(|_| "an address is needed, or a network such as 10.0.0.0/8".into())
}

impl BoundsArgs {
    /// Sets the budgets in `config`.
    pub(super) fn apply(&self, config: &mut ServerConfig) {
        config.limits.pending_bytes = mib(self.pending_mib, self.pending_mib_per_key);
        config.limits.unread_bytes = mib(self.unread_mib, self.unread_mib_per_key);
        config.limits.evaluation_bytes = mib(self.evaluation_mib, self.evaluation_mib_per_key);
        config.limits.decoding_pixels = Share {
            all: self.decoding_pixels,
            one: self.decoding_pixels_per_key,
        };
        config.read_timeout = Duration::from_secs(self.read_timeout);
        let from_one = self.max_connections_per_address;
        config.connections = Share {
            all: self.max_connections.into(),
            // Rounded up: one connection in all is one from an address.
            one: from_one.unwrap_or(self.max_connections.div_ceil(2)).into(),
        };
        // Without the flag those of this machine stay, which `ServerConfig` has.
        if !self.proxy.is_empty() {
            config.proxies.clone_from(&self.proxy);
        }
        config.limits.streams = Share {
            all: self.max_streams.into(),
            one: self.max_streams_per_key.into(),
        };
    }
}
