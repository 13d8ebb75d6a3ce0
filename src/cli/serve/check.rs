//! `serve --check`: what would be served, or what is wrong.

use super::Serve;
use crate::cli::error::{Failure, Usage};
use crate::cli::settings::Settings;
use crate::model::Origin;
use crate::server::ServerConfig;
use crate::telemetry;

impl Serve {
    /// Says what would be served, or what is wrong.
    pub(super) fn check(&self, settings: &Settings) -> Result<(), Failure> {
        let mut mistakes = Vec::new();
        let log = telemetry::check_log_filter(&self.logs.log);
        mistakes.extend(log.err().map(|e| format!("--log {e}")));
        mistakes.extend(self.lifecycle.check_state().err());
        mistakes.extend(self.models.wrong_saliency());
        let planned = self.config().and_then(|(config, origins)| {
            let adapters = self.models.adapters(&origins)?;
            Ok((config, origins, adapters))
        });
        let planned = planned.map_err(|e| mistakes.push(e.to_string())).ok();
        if let Some((_, origins, adapters)) = &planned {
            let places = origins.iter().map(|(name, origin)| (name, origin, false));
            let parts = adapters.iter().map(|(name, origin)| (name, origin, true));
            for (name, origin, is_adapter) in places.chain(parts) {
                let wrong = check_files(origin, is_adapter).err();
                mistakes.extend(wrong.map(|e| format!("model {name}: {e}")));
            }
        }
        match planned.filter(|_| mistakes.is_empty()) {
            Some((config, origins, adapters)) => {
                self.print_plan(&config, &origins, &adapters, settings);
                Ok(())
            }
            None => Err(Usage(mistakes.join("\nerror: ")).into()),
        }
    }

    fn print_plan(
        &self,
        config: &ServerConfig,
        origins: &[(String, Origin)],
        adapters: &[(String, Origin)],
        settings: &Settings,
    ) {
        let scheme = if config.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let listen = self.connections.listen;
        println!(
            "scotoma {} would serve on {scheme}://{listen}",
            telemetry::VERSION
        );
        for (name, origin) in origins {
            println!("model {name}: {}", place(origin));
        }
        for (name, origin) in adapters {
            println!("adapter of {name}: {}", place(origin));
        }
        let devices: Vec<String> = config.devices.iter().map(ToString::to_string).collect();
        println!("devices: {}", devices.join(", "));
        match &config.tls {
            None => println!("encryption: none"),
            Some(tls) if tls.asks_clients() => {
                println!(
                    "encryption: until {}, clients need a certificate",
                    tls.expires()
                );
            }
            Some(tls) => println!("encryption: until {}", tls.expires()),
        }
        match config.keys.len() {
            0 => println!("keys: none, whoever reaches the port may ask"),
            keys => println!("keys: {keys}"),
        }
        println!("settings:");
        settings
            .lines()
            .iter()
            .for_each(|line| println!("  {line}"));
    }
}

/// Checks that the first file of a model or an adapter is there and is JSON. What the hub has is
/// seen when it is fetched.
fn check_files(origin: &Origin, is_adapter: bool) -> Result<(), String> {
    let Origin::Here(source) = origin else {
        return Ok(());
    };
    let name = if is_adapter {
        "adapter_config.json"
    } else {
        "config.json"
    };
    let read = source.json::<serde_json::Value>(name);
    match read.map_err(|e| e.to_string())? {
        Some(_) => Ok(()),
        None => Err(source.missing(name).to_string()),
    }
}

/// Returns a place in words.
fn place(origin: &Origin) -> String {
    match origin {
        Origin::Here(source) => source.place(),
        Origin::Hub(id) => format!(
            "{}@{} of the hub, fetched at the start",
            id.name, id.revision
        ),
    }
}
