//! Encoders that see the pictures beside the served model.

use crate::benchmark::alignment::Features;
use crate::cli::benchmark_run::Items;
use crate::cli::error::{Failure, Usage};
use crate::cli::origin::{fetch, named_origin};
use crate::cli::progress::Progress;
use crate::model::{ImageEncoder, Origin, Purpose, Source};
use crate::nn::DeviceId;
use crate::vision::{self, Rgb};

/// Pictures that are decoded before they are seen together.
const BATCH: usize = 16;

/// A value of `--vision`.
pub(super) struct EncoderFlag {
    name: String,
    origin: Origin,
}

/// An encoder whose files are here.
pub(super) struct FetchedEncoder {
    name: String,
    source: Source,
}

impl EncoderFlag {
    /// Parses `PLACE` or `NAME=PLACE`.
    pub(super) fn parse(text: &str) -> Result<Self, Usage> {
        let named = named_origin(text).map_err(|e| Usage(format!("--vision {text}: {e}")));
        let (name, origin) = named?;
        // It is part of a feature's name, behind which the hook point stands.
        if name.is_empty() || name.contains('/') {
            let message = format!("--vision {text}: {name:?} is no name; NAME=PLACE gives one");
            return Err(Usage(message));
        }
        Ok(Self { name, origin })
    }

    /// Returns its name in the report.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Fetches its files, and checks what can be told without its weights.
    pub(super) async fn fetch(self) -> Result<FetchedEncoder, Failure> {
        let Self { name, origin } = self;
        let source = fetch(origin, Purpose::Part).await?;
        ImageEncoder::check(&source).map_err(|e| format!("--vision {}: {e}", source.place()))?;
        Ok(FetchedEncoder { name, source })
    }
}

impl FetchedEncoder {
    /// Sees the pictures of items: its name, features, and what the report says of it. The encoder
    /// is let go of with the last picture.
    pub(super) async fn see(
        self,
        items: Items,
        device: DeviceId,
    ) -> Result<(String, Vec<Features>, String), Failure> {
        let task = tokio::task::spawn_blocking(move || {
            let Self { name, source } = self;
            let named = |e| format!("--vision {}: {e}", source.place());
            // Opened here: all of its tensors stay on this thread.
            let encoder = ImageEncoder::load(&source, &device.open()?).map_err(named)?;
            let features = see_all(&encoder, &name, items)?;
            let (kind, side, digest) = (encoder.kind(), encoder.side(), encoder.digest());
            let fact = format!("{kind}, {side} x {side} pixels, BLAKE3 {digest}");
            Ok::<_, Failure>((name, features, fact))
        });
        task.await?
    }
}

fn see_all(encoder: &ImageEncoder, name: &str, items: Items) -> Result<Vec<Features>, Failure> {
    let progress = Progress::new(None, "pictures");
    progress.note(name.to_owned());
    let mut all: Vec<Features> = Vec::new();
    let mut batch: Vec<Rgb> = Vec::new();
    for item in items {
        let item = item?;
        // One picture is one item.
        let Some(bytes) = item.images.first() else {
            continue;
        };
        let picture = vision::decode(bytes, vision::MAX_PIXELS);
        batch.push(picture.map_err(|e| format!("{}: {e}", item.id))?);
        if batch.len() == BATCH {
            see(encoder, name, &batch, &mut all)?;
            batch.clear();
        }
        progress.advance();
    }
    if !batch.is_empty() {
        see(encoder, name, &batch, &mut all)?;
    }
    progress.finish();
    Ok(all)
}

fn see(
    encoder: &ImageEncoder,
    name: &str,
    batch: &[Rgb],
    all: &mut Vec<Features>,
) -> Result<(), Failure> {
    for (i, (point, rows)) in encoder.features(batch)?.into_iter().enumerate() {
        match all.get_mut(i) {
            Some(known) => known.rows.extend(rows),
            None => all.push(Features {
                name: format!("{name}/{point}"),
                rows,
            }),
        }
    }
    Ok(())
}
