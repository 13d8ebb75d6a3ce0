//! `scotoma parity --against`: a model in one format of weights against itself in another.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::Failure;
use super::json_output::print_line;
use super::progress::Progress;
use crate::benchmark::{self, Item};
use crate::engine::parity::{FormatComparison, compare_formats};
use crate::model::{ImageFiles, Load, LoadTo, Message, MessagePart, Model, Role, Source, Words};
use crate::nn::{DeviceGroup, Home};
use crate::pipeline;
use crate::vision::{self, ProcessorBackend};
use crate::weights::WeightFormat;

/// What is compared, and over how much.
pub(super) struct FormatParity {
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) device: DeviceGroup,
    pub(super) image_processor: Option<ProcessorBackend>,
    /// `None`: as the command would load it.
    pub(super) format: Option<WeightFormat>,
    pub(super) against: WeightFormat,
    pub(super) items: usize,
    pub(super) tokens: usize,
    pub(super) json: bool,
}

/// The certificate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FormatReport {
    model: String,
    model_digest: String,
    device: String,
    format: String,
    against: String,
    resident_bytes: u64,
    resident_bytes_against: u64,
    items: usize,
    /// The largest relative error of each kind of hook point.
    points: BTreeMap<String, f64>,
    mean_divergence: f64,
    max_divergence: f64,
    /// Items whose greedy tokens are all the same.
    same_answers: usize,
    /// Greedy tokens before the first that differs, of all items.
    same_tokens: usize,
    tokens: usize,
}

impl FormatParity {
    /// Loads both, asks both, and prints how far they are from each other.
    pub(super) fn run(self) -> Result<(), Failure> {
        // A card's tensors are this thread's alone; those in the memory of the process are
        // anybody's.
        let home = if self.device.is_cpu() {
            Home::host()
        } else {
            Home::here()
        };
        let reference = self.load(Some(self.against), &home)?;
        let model = self.load(self.format, &home)?;
        let items = benchmark::shapes()?;
        let items = &items[..self.items.min(items.len())];
        let mut report = FormatReport {
            model: self.name.clone(),
            model_digest: model.digest.clone(),
            device: self.device.to_string(),
            format: model.weight_format().name().into(),
            against: reference.weight_format().name().into(),
            resident_bytes: model.resident_bytes,
            resident_bytes_against: reference.resident_bytes,
            items: items.len(),
            points: BTreeMap::new(),
            mean_divergence: 0.0,
            max_divergence: 0.0,
            same_answers: 0,
            same_tokens: 0,
            tokens: 0,
        };
        let progress = Progress::new(Some(items.len()), "items");
        for item in items {
            let input = reference.read(&question(item), None, &pictures(item));
            let input = input.map_err(|e| e.source)?;
            report.add(&compare_formats(&reference, &model, &input, self.tokens)?);
            progress.advance();
        }
        progress.finish();
        if self.json {
            return print_line(&report);
        }
        report.print();
        Ok(())
    }

    fn load(&self, format: Option<WeightFormat>, home: &Home) -> Result<Model, Failure> {
        let (dtype, matrices) = pipeline::format_on(&self.device, format)?;
        let options = Load {
            matrices,
            image_processor: self.image_processor,
            // Parts are shared where both formats have the same ones: not here.
            ..Load::new(dtype, self.device.clone())
        };
        let to = LoadTo {
            devices: &self.device.open()?,
            home,
            progress: &|_, _| {},
        };
        let prepared = Model::prepare(&self.name, &self.source, &options)?;
        Ok(prepared.load(&to)?)
    }
}

impl FormatReport {
    fn add(&mut self, found: &FormatComparison) {
        for (point, error) in &found.points {
            let worst = self.points.entry(point.clone()).or_default();
            *worst = worst.max(*error);
        }
        self.mean_divergence += found.divergence / self.items as f64;
        self.max_divergence = self.max_divergence.max(found.divergence);
        self.same_answers += usize::from(found.same_tokens == found.tokens);
        self.same_tokens += found.same_tokens;
        self.tokens += found.tokens;
    }

    fn print(&self) {
        println!("{:<50} {:>10}", "hook point", "error");
        for (point, error) in &self.points {
            println!("{point:<50} {error:>10.2e}");
        }
        let (mean, max) = (self.mean_divergence, self.max_divergence);
        println!();
        println!(
            "model      {} {} against {} on {}, {}",
            self.model, self.format, self.against, self.device, self.model_digest
        );
        println!(
            "memory     {} MiB against {} MiB",
            self.resident_bytes >> 20,
            self.resident_bytes_against >> 20
        );
        println!("next token {mean:.2e} nats of divergence on average, {max:.2e} at most");
        println!(
            "answers    {} of {} are the same, {} of {} tokens before the first that differs",
            self.same_answers, self.items, self.same_tokens, self.tokens
        );
    }
}

/// Asks an item as a user would.
fn question(item: &Item) -> Words {
    let images = item.images.iter().map(|_| MessagePart::Image);
    let mut parts: Vec<MessagePart> = images.collect();
    parts.push(MessagePart::Text(item.question.clone()));
    let role = Role::User;
    Words::Messages(vec![Message { role, parts }])
}

fn pictures(item: &Item) -> ImageFiles<'_> {
    ImageFiles {
        files: item.images.iter().map(Vec::as_slice).collect(),
        together: item.images.len(),
        max_pixels: vision::MAX_PIXELS,
    }
}
