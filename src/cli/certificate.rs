//! `scotoma certificate`: certificates for a server and its clients, and the authority that signs
//! them.
//!
//! What is written is for people who run their own machines: one authority in a folder, whose
//! certificate clients name as `--server-ca`. An organisation that has an authority uses that.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};

use super::error::{Failure, Usage};
use super::files;
use super::json_output::print_line;

/// Name of every authority made here; certificates refer to their authority by it and by its key.
const AUTHORITY: &str = "Scotoma CA";
/// Days that an authority is valid; a new one has to reach every client.
const AUTHORITY_DAYS: u32 = 3650;
/// Clocks of other machines may be behind.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// Flags of `certificate`.
#[derive(Debug, Args)]
pub(super) struct MakeCertificate {
    /// Names and addresses under which clients reach the server
    ///
    /// Such as lab.example.org or 10.0.0.7; the certificate is good for these alone.
    #[arg(required_unless_present = "client", value_parser = host)]
    host: Vec<String>,
    /// Name of a client that gets a certificate of its own, for servers with --tls-client-ca
    ///
    /// Repeat for several.
    #[arg(long, value_name = "NAME", value_parser = client_name)]
    client: Vec<String>,
    /// Folder for ca.pem, ca.key, server.pem, server.key, and NAME.pem, NAME.key of each client
    ///
    /// An authority that is there already signs the new ones; nothing is overwritten.
    #[arg(long, value_name = "FOLDER", default_value = "certificates")]
    out: PathBuf,
    /// Days that the certificates are valid; the authority is for ten years
    #[arg(
        long,
        default_value_t = 365,
        value_parser = clap::value_parser!(u32).range(1..=AUTHORITY_DAYS as i64)
    )]
    days: u32,
    /// Print JSON: `files`, each with `path` and whether it is `secret`
    #[arg(long)]
    json: bool,
}

/// Takes a name or an address, as a certificate holds it.
fn host(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = text.strip_prefix("*.").unwrap_or(text);
    // A name of the DNS has at most 253 characters.
    let is_name = !name.is_empty() && name.len() <= 253 && name.chars().all(allowed);
    if is_name || text.parse::<IpAddr>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err(
            "a name such as lab.example.org or an address such as 10.0.0.7 is needed, without \
             scheme and port"
                .into(),
        )
    }
}

/// Takes a name that is a file's as well.
fn client_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    // 64 is the most that a common name may have (RFC 5280, ub-common-name).
    if text.is_empty() || text.len() > 64 || text.starts_with('.') || !text.chars().all(allowed) {
        return Err("1 to 64 letters, digits, '-', '_' and '.' are allowed, no '.' first".into());
    }
    if matches!(text, "ca" | "server") {
        return Err("the name is taken by the files of the authority and of the server".into());
    }
    Ok(text.to_owned())
}

/// Holds a file that is to be written.
struct NewFile {
    path: PathBuf,
    text: String,
    mode: u32,
}

impl NewFile {
    fn json(&self) -> Value {
        json!({"path": self.path.display().to_string(), "secret": self.mode == SECRET})
    }
}

impl MakeCertificate {
    /// Makes the certificates and prints how they are used.
    pub(super) fn run(self) -> Result<(), Failure> {
        // All are made before one is written: a mistake in the last leaves nothing behind.
        let mut new = Vec::new();
        let issuer = self.authority(&mut new)?;
        if !self.host.is_empty() {
            let mut params = CertificateParams::new(self.host.clone())
                .map_err(|e| Usage(format!("HOST {}: {e}", self.host.join(" "))))?;
            params
                .distinguished_name
                .push(DnType::CommonName, &self.host[0]);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            self.sign("server", params, &issuer, &mut new)?;
        }
        for name in &self.client {
            // Without names of hosts, which only a server has.
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            self.sign(name, params, &issuer, &mut new)?;
        }
        self.write(&new)?;
        if self.json {
            let files = new.iter().map(NewFile::json);
            return print_line(&json!({"files": files.collect::<Vec<_>>()}));
        }
        self.explain(&new);
        Ok(())
    }

    fn path(&self, name: &str, extension: &str) -> PathBuf {
        // Not `with_extension`, which would cut the name of a client at its last dot.
        self.out.join(format!("{name}.{extension}"))
    }

    /// Returns the authority of the folder; one that has to be made is added to `new`.
    fn authority(&self, new: &mut Vec<NewFile>) -> Result<Issuer<'static, KeyPair>, Failure> {
        let (certificate, key) = (self.path("ca", "pem"), self.path("ca", "key"));
        let params = authority_params();
        match (certificate.exists(), key.exists()) {
            (true, true) => {
                let key_pair = KeyPair::from_pem(&files::read_text(&key)?)
                    .map_err(|e| files::named(&key, &e))?;
                if !is_ours(&files::read_text(&certificate)?, &key_pair) {
                    return Err(format!(
                        "{}: not the certificate of {} as this command makes it",
                        certificate.display(),
                        key.display()
                    )
                    .into());
                }
                // An issuer signs by name and key; both are the file's, as `is_ours` has seen.
                Ok(Issuer::new(params, key_pair))
            }
            (false, false) => {
                let key_pair = KeyPair::generate()?;
                new.push(NewFile {
                    path: certificate,
                    text: params.self_signed(&key_pair)?.pem(),
                    mode: PUBLIC,
                });
                new.push(NewFile {
                    path: key,
                    text: key_pair.serialize_pem(),
                    mode: SECRET,
                });
                Ok(Issuer::new(params, key_pair))
            }
            (has_certificate, _) => {
                let (there, missing) = if has_certificate {
                    (certificate, key)
                } else {
                    (key, certificate)
                };
                Err(format!(
                    "{} is there and {} is not; an authority needs both. Choose another --out",
                    there.display(),
                    missing.display()
                )
                .into())
            }
        }
    }

    /// Adds a certificate with the rights of `params`, and its key, to `new`.
    fn sign(
        &self,
        name: &str,
        mut params: CertificateParams,
        issuer: &Issuer<'_, KeyPair>,
        new: &mut Vec<NewFile>,
    ) -> Result<(), Failure> {
        (params.not_before, params.not_after) = validity(self.days);
        // Keys are of ECDSA, which only signs, in TLS as elsewhere.
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // All authorities that are made here have one name; by this a verifier finds the right one.
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        new.push(NewFile {
            path: self.path(name, "pem"),
            text: params.signed_by(&key, issuer)?.pem(),
            mode: PUBLIC,
        });
        new.push(NewFile {
            path: self.path(name, "key"),
            text: key.serialize_pem(),
            mode: SECRET,
        });
        Ok(())
    }

    /// Writes all files, or none where one of them exists.
    fn write(&self, new: &[NewFile]) -> Result<(), Failure> {
        let there: Vec<String> = new
            .iter()
            // Not `exists`, which passes over a link that leads nowhere.
            .filter(|file| file.path.symlink_metadata().is_ok())
            .map(|file| file.path.display().to_string())
            .collect();
        if !there.is_empty() {
            let there = there.join(", ");
            return Err(format!("{there}: there already; nothing was written").into());
        }
        // The folder may be read by all, its keys only by their owner.
        let mut folder = DirBuilder::new();
        let created = folder.recursive(true).mode(0o755).create(&self.out);
        created.map_err(|e| files::named(&self.out, &e))?;
        for (i, file) in new.iter().enumerate() {
            if let Err(error) = write_new(file) {
                // What was written by now goes again.
                for written in &new[..i] {
                    let _ = std::fs::remove_file(&written.path);
                }
                return Err(files::named(&file.path, &error).into());
            }
        }
        Ok(())
    }

    fn explain(&self, new: &[NewFile]) {
        for file in new {
            let about = if file.mode == SECRET {
                "  (secret)"
            } else {
                ""
            };
            println!("{}{about}", file.path.display());
        }
        let at = self.out.display();
        println!("\nKeep {at}/ca.key to yourself: who has it can be any server or client.");
        if let Some(host) = self.host.first() {
            let client_ca = if self.client.is_empty() {
                String::new()
            } else {
                format!(" --tls-client-ca {at}/ca.pem")
            };
            println!(
                "\nscotoma serve --listen 0.0.0.0:7878 --tls-cert {at}/server.pem --tls-key \
                 {at}/server.key{client_ca}"
            );
            let identity = self.client.first().map_or_else(String::new, |name| {
                format!(" --client-cert {at}/{name}.pem --client-key {at}/{name}.key")
            });
            println!(
                "scotoma models --server https://{}:7878 --server-ca {at}/ca.pem{identity}",
                in_address(host)
            );
        }
    }
}

/// Returns a host as it stands in an address: IPv6 in brackets.
fn in_address(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, AUTHORITY);
    // It signs servers and clients, and no further authority.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    (params.not_before, params.not_after) = validity(AUTHORITY_DAYS);
    params
}

/// Returns the first and the last moment of a certificate.
fn validity<T: From<SystemTime>>(days: u32) -> (T, T) {
    let now = SystemTime::now();
    ((now - CLOCK_SKEW).into(), (now + DAY * days).into())
}

/// Returns whether a certificate has the name and the key of an authority that was made here. Both
/// stand in its encoding as they are.
fn is_ours(certificate: &str, key: &KeyPair) -> bool {
    let base64: String = certificate
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .map(str::trim)
        .collect();
    let Ok(encoded) = STANDARD.decode(base64) else {
        return false;
    };
    let contains = |part: &[u8]| encoded.windows(part.len()).any(|window| window == part);
    contains(key.public_key_raw()) && contains(AUTHORITY.as_bytes())
}

/// Writes a file that must not exist, with its permissions from the first byte on.
fn write_new(file: &NewFile) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut opened = options
        .write(true)
        .create_new(true)
        .mode(file.mode)
        .open(&file.path)?;
    opened.write_all(file.text.as_bytes())?;
    opened.sync_all()
}
