//! `serve --check`: what would be served, or what is wrong.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::Serve;
use crate::cli::error::{Failure, Usage};
use crate::cli::json_output::print_line;
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
        mistakes.extend(self.logs.check_receiver().err());
        // Adapters are given by the names of models, and so can only be read behind them.
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
                let plan = ServePlan {
                    listen: self.connections.listen,
                    config: &config,
                    origins: &origins,
                    adapters: &adapters,
                    settings: settings.lines(),
                };
                if self.lifecycle.json {
                    return print_line(&plan.json());
                }
                plan.print();
                Ok(())
            }
            None => Err(Usage(mistakes.join("\nerror: ")).into()),
        }
    }
}

/// Says what would be served.
struct ServePlan<'a> {
    listen: SocketAddr,
    config: &'a ServerConfig,
    origins: &'a [(String, Origin)],
    adapters: &'a [(String, Origin)],
    settings: Vec<String>,
}

impl ServePlan<'_> {
    fn address(&self) -> String {
        let encrypted = self.config.tls.is_some();
        let scheme = if encrypted { "https" } else { "http" };
        format!("{scheme}://{}", self.listen)
    }

    fn devices(&self) -> Vec<String> {
        let devices = self.config.devices.iter();
        devices.map(ToString::to_string).collect()
    }

    fn json(&self) -> Value {
        let placed =
            |(name, origin): &(String, Origin)| json!({"name": name, "place": place(origin)});
        let encryption = self.config.tls.as_ref().map(
            |tls| json!({"until": tls.expires().to_string(), "asksClients": tls.asks_clients()}),
        );
        json!({
            "version": telemetry::VERSION, "address": self.address(),
            "models": self.origins.iter().map(placed).collect::<Vec<_>>(),
            "adapters": self.adapters.iter().map(placed).collect::<Vec<_>>(),
            "devices": self.devices(), "encryption": encryption,
            "keys": self.config.keys.len(), "settings": self.settings,
        })
    }

    fn print(&self) {
        println!(
            "scotoma {} would serve on {}",
            telemetry::VERSION,
            self.address()
        );
        for (name, origin) in self.origins {
            println!("model {name}: {}", place(origin));
        }
        for (name, origin) in self.adapters {
            println!("adapter of {name}: {}", place(origin));
        }
        println!("devices: {}", self.devices().join(", "));
        match &self.config.tls {
            None => println!("encryption: none"),
            Some(tls) if tls.asks_clients() => {
                println!(
                    "encryption: until {}, clients need a certificate",
                    tls.expires()
                );
            }
            Some(tls) => println!("encryption: until {}", tls.expires()),
        }
        match self.config.keys.len() {
            0 => println!("keys: none, whoever reaches the port may ask"),
            keys => println!("keys: {keys}"),
        }
        println!("settings:");
        for line in &self.settings {
            println!("  {line}");
        }
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
    let read = source.json::<Value>(name);
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
