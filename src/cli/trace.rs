//! `scotoma trace`: activation patching over a grid, as a table and a heat map.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use scotoma_client::v1::metric::Kind;
use scotoma_client::v1::tokens::Named;
use scotoma_client::v1::trace_patches::By;
use scotoma_client::v1::trace_positions::Set;
use scotoma_client::v1::trace_response::Event;
use scotoma_client::v1::{
    Contrast, Divergence, Metric, Prompt, TraceCell, TraceDirection, TraceGrid, TraceGroup,
    TraceInput, TracePatches, TracePositions, TraceResponse, TraceStarted,
};
use scotoma_client::{Client, PreviewRequest, TraceRequest};
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

use super::error::{Failure, Usage};
use super::files;
use super::intervention_args::InterventionArgs;
use super::json_output::print_line;
use super::model_args::ModelArgs;
use super::progress::Progress;
use super::prompt_args::{PromptArgs, pictures};
use super::replay::write_record;
use super::trace_page::{self, Traced};

/// The points of the language model that have short names.
const SITES: [(&str, &str); 7] = [
    ("resid_pre", "hook_resid_pre"),
    ("resid_mid", "hook_resid_mid"),
    ("resid_post", "hook_resid_post"),
    ("attn_out", "hook_attn_out"),
    ("mlp_out", "hook_mlp_out"),
    ("z", "attn.hook_z"),
    ("v", "attn.hook_v"),
];

/// Says what is measured of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MetricArg {
    Logprob,
    Probability,
    Divergence,
}

/// The positions of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PositionsArg {
    /// Each token
    Each,
    /// Each visual token, each by itself
    Visual,
    /// Each word of the text
    Words,
    /// Rows of patches
    Rows,
    /// Columns of patches
    Columns,
    /// Visual tokens and text, each together
    Modalities,
    /// The last token
    Last,
}

/// Flags of `trace`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct Trace {
    #[command(flatten)]
    prompt: PromptArgs,
    /// Picture of the corrupted input. Default: that of the clean one
    #[arg(long, value_name = "FILE")]
    corrupted_image: Option<PathBuf>,
    /// Question of the corrupted input. Default: that of the clean one
    #[arg(long, value_name = "TEXT")]
    corrupted_question: Option<String>,
    /// Answer that is measured, such as ' red'
    ///
    /// No space is added before it: write ' red' where the model would write a space first.
    #[arg(short, long, value_name = "TEXT")]
    answer: Option<String>,
    /// Answer that counts against it: the difference of log-probabilities is measured
    #[arg(
        long,
        value_name = "TEXT",
        requires = "answer",
        conflicts_with = "metric"
    )]
    other: Option<String>,
    /// Measure: of the answer its log-probability or probability, or the divergence from the clean
    /// run
    #[arg(long, value_enum, default_value = "logprob")]
    metric: MetricArg,
    /// Point: resid_pre, resid_mid, resid_post, attn_out, mlp_out, z, v, or the name of a hook point
    /// with {l}. Repeat for several
    #[arg(long, value_name = "POINT", default_value = "resid_pre")]
    point: Vec<String>,
    /// Layers, such as 0,4,8. Default: all
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    layers: Vec<u32>,
    /// Positions of the grid
    #[arg(long, value_enum, default_value = "each", conflicts_with = "blocks")]
    positions: PositionsArg,
    /// Blocks of patches in place of them: so many along each side
    #[arg(long, value_name = "SIDE")]
    blocks: Option<u32>,
    /// Make each head a cell of its own; at z, v and other points with heads
    #[arg(long)]
    each_head: bool,
    /// Write corrupted activations into the clean run, not clean ones into the corrupted run
    #[arg(long)]
    noise: bool,
    /// Print what visual tokens and text each carry: total, direct and indirect effects by layer
    #[arg(
        long,
        conflicts_with_all = ["noise", "positions", "blocks", "each_head", "out", "record", "json"]
    )]
    mediation: bool,
    /// Files to write: .html (a page with the heat map over the picture), .png, .svg or .csv. Repeat
    /// for several
    #[arg(short, long, value_name = "FILE", value_parser = out_file)]
    out: Vec<PathBuf>,
    /// Print JSON, one message of the stream a line
    #[arg(long)]
    json: bool,
    /// Write the record, with its pictures, to this file, for `scotoma replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    /// The interventions corrupt the corrupted input.
    #[command(flatten)]
    interventions: InterventionArgs,
}

/// Parses the name of a file to write.
fn out_file(text: &str) -> Result<PathBuf, String> {
    files::of_kind(text, &["html", "png", "svg", "csv"])
}

impl Trace {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let request = self.request()?;
        self.model
            .with_client(async |client| {
                if self.mediation {
                    return mediate(client, request).await;
                }
                self.trace(client, request).await
            })
            .await
    }

    fn request(&self) -> Result<TraceRequest, Failure> {
        let clean = self.prompt.prompt()?;
        let corrupted = self.corrupted()?;
        let interventions = self.interventions.interventions();
        // Both runs would be the same, and no effect a share of anything.
        if corrupted.is_none() && interventions.is_empty() {
            let message = "nothing is corrupted: --corrupted-image, --corrupted-question or an \
                           intervention, such as --occlude, is needed";
            return Err(Usage(message.into()).into());
        }
        let direction = if self.noise {
            TraceDirection::Noise
        } else {
            TraceDirection::Denoise
        };
        Ok(TraceRequest {
            model: self.model.name(),
            clean: Some(TraceInput {
                prompt: Some(clean),
                interventions: Vec::new(),
            }),
            corrupted: Some(TraceInput {
                prompt: corrupted,
                interventions,
            }),
            metric: Some(self.metric()?),
            grid: Some(self.grid()),
            direction: direction.into(),
            path: None,
            sample_key: self.prompt.sample_key.clone(),
        })
    }

    /// Returns the prompt of the corrupted input, where it is another one.
    fn corrupted(&self) -> Result<Option<Prompt>, Failure> {
        let (image, question) = (&self.corrupted_image, &self.corrupted_question);
        if image.is_none() && question.is_none() {
            return Ok(None);
        }
        let other = self
            .prompt
            .with_other(image.as_deref(), question.as_deref())?;
        if other.is_none() {
            let message = "--corrupted-image and --corrupted-question replace a picture and a \
                           question; a conversation is corrupted by interventions";
            return Err(Usage(message.into()).into());
        }
        Ok(other)
    }

    fn metric(&self) -> Result<Metric, Failure> {
        let answer = self.answer.clone();
        let kind = match (answer, &self.other, self.metric) {
            // clap has seen to it that --other stands beside --answer, and without --metric.
            (Some(answer), Some(other), _) => Kind::LogprobDifference(Contrast {
                answer,
                other: other.clone(),
            }),
            (answer, None, MetricArg::Divergence) => Kind::Divergence(Divergence {
                answer: answer.unwrap_or_default(),
            }),
            (Some(answer), None, MetricArg::Logprob) => Kind::Logprob(answer),
            (Some(answer), None, MetricArg::Probability) => Kind::Probability(answer),
            (None, ..) => {
                let message = "--answer is needed, or --metric divergence";
                return Err(Usage(message.into()).into());
            }
        };
        Ok(Metric { kind: Some(kind) })
    }

    fn grid(&self) -> TraceGrid {
        TraceGrid {
            points: self.point.iter().map(|point| full_name(point)).collect(),
            layers: self.layers.clone(),
            positions: if self.mediation {
                modalities()
            } else {
                self.positions()
            },
            heads: Vec::new(),
            each_head: self.each_head,
        }
    }

    fn positions(&self) -> Vec<TracePositions> {
        // clap lets --blocks stand in place of --positions, never beside it.
        if let Some(side) = self.blocks {
            return vec![patches(By::Block, side)];
        }
        match self.positions {
            // A grid without positions has each token.
            PositionsArg::Each => Vec::new(),
            PositionsArg::Visual => vec![positions(Set::Each([Named::Visual].into()))],
            PositionsArg::Last => vec![positions(Set::Each([Named::Last].into()))],
            PositionsArg::Words => vec![positions(Set::Words([Named::Text].into()))],
            PositionsArg::Rows => vec![patches(By::Row, 0)],
            PositionsArg::Columns => vec![patches(By::Column, 0)],
            PositionsArg::Modalities => modalities(),
        }
    }

    async fn trace(&self, mut client: Client, request: TraceRequest) -> Result<(), Failure> {
        let images = all_pictures(&request);
        let traced = run(&mut client, request, self.json).await?;
        if !self.json {
            traced.print();
        }
        // As the model sees it, which is what its patches lie on.
        let picture = match images.first().filter(|_| !self.out.is_empty()) {
            Some(image) => {
                let request = PreviewRequest {
                    model: self.model.name(),
                    image: Some(image.clone()),
                    ..Default::default()
                };
                Some(client.preview(request).await?.png)
            }
            None => None,
        };
        for path in &self.out {
            trace_page::write(path, &traced, picture.as_deref())?;
            eprintln!("{}", path.display());
        }
        let record = traced.finished.provenance.clone().unwrap_or_default();
        if let Some(file) = &self.record {
            write_record(file, &record, images)?;
        }
        traced.check_any()
    }
}

fn patches(by: By, grid: u32) -> TracePositions {
    positions(Set::Patches(TracePatches {
        by: by.into(),
        grid,
    }))
}

/// Returns the pictures of both inputs.
fn all_pictures(request: &TraceRequest) -> Vec<scotoma_client::v1::Image> {
    let sides = [&request.clean, &request.corrupted];
    let prompts = sides
        .into_iter()
        .flatten()
        .filter_map(|side| side.prompt.as_ref());
    prompts.flat_map(pictures).collect()
}

fn positions(set: Set) -> TracePositions {
    TracePositions { set: Some(set) }
}

fn modalities() -> Vec<TracePositions> {
    [(Named::Visual, "visual tokens"), (Named::Text, "text")]
        .map(|(named, label)| {
            positions(Set::Group(TraceGroup {
                tokens: Some([named].into()),
                label: label.to_owned(),
            }))
        })
        .into()
}

/// Returns the name of a hook point; a short one is of the language model.
fn full_name(point: &str) -> String {
    let found = SITES.iter().find(|(short, _)| *short == point);
    found.map_or_else(
        || point.to_owned(),
        |(_, site)| format!("language_model.blocks.{{l}}.{site}"),
    )
}

/// Runs a trace to its end; prints its messages where `json` is set.
async fn run(client: &mut Client, request: TraceRequest, json: bool) -> Result<Traced, Failure> {
    receive(client.trace(request).await?, json).await
}

/// Reads the messages of a trace to its end.
async fn receive(
    mut messages: impl Stream<Item = Result<TraceResponse, Status>> + Unpin,
    json: bool,
) -> Result<Traced, Failure> {
    let mut progress = Progress::new(None, "cells");
    let mut traced = Traced::default();
    let (mut baseline, mut finished) = (None, None);
    while let Some(message) = messages.next().await {
        let message = message.map_err(scotoma_client::Error::from)?;
        if json {
            progress.suspend(|| print_line(&message))?;
        }
        match message.event {
            Some(Event::Started(started)) => {
                progress = Progress::new(Some(started.cells as usize), "cells");
                if !json {
                    progress.suspend(|| say_size(&started));
                }
                traced.started = started;
            }
            Some(Event::Baseline(event)) => baseline = Some(event),
            Some(Event::Cell(cell)) => {
                progress.advance();
                traced.add(cell)?;
            }
            Some(Event::Finished(event)) => finished = Some(event),
            // A newer server may send events that this client does not know.
            None => {}
        }
    }
    progress.finish();
    // A stream that ends without them was cut off, and cells are missing.
    let (Some(baseline), Some(finished)) = (baseline, finished) else {
        return Err(scotoma_client::Error::Truncated.into());
    };
    (traced.baseline, traced.finished) = (baseline, finished);
    // In the order of the grid, whichever ended first.
    traced
        .cells
        .sort_by_key(|cell| (cell.point, cell.layer, cell.position, cell.head));
    Ok(traced)
}

fn say_size(started: &TraceStarted) {
    let TraceStarted {
        cells,
        rows,
        rows_naive,
        flops,
        ..
    } = started;
    eprintln!(
        "{cells} cells: {rows} (row, layer) pairs of {rows_naive}, {:.1e} operations",
        *flops as f64
    );
}

/// Prints how much of the total effect goes through visual tokens and through text, by layer.
async fn mediate(mut client: Client, request: TraceRequest) -> Result<(), Failure> {
    // Corrupted activations in the clean run: what they change goes through them, the indirect
    // effect.
    let noise = TraceRequest {
        direction: TraceDirection::Noise.into(),
        ..request.clone()
    };
    // Clean ones in the corrupted run: what is changed all the same goes past them, the direct
    // effect.
    let direct = run(&mut client, request, false).await?;
    let indirect = run(&mut client, noise, false).await?;
    let (clean, corrupted) = (direct.baseline.clean, direct.baseline.corrupted);
    println!(
        "clean {clean:.4}, corrupted {corrupted:.4}, total effect {:.4}",
        corrupted - clean
    );
    println!(
        "{:<14} {:>5} {:<14} {:>10} {:>10}",
        "point", "layer", "through", "indirect", "direct"
    );
    // Both grids are the same, and sorted alike: the cells pair up.
    for (through, held) in indirect.cells.iter().zip(&direct.cells) {
        let started = &direct.started;
        // The numbers of cells are places in the lists of the first event.
        let point = &started.points[held.point as usize];
        // As --point spells it.
        let point = point.rsplit("hook_").next().unwrap_or(point);
        let layer = started
            .layers
            .get(held.layer as usize)
            .map_or(String::new(), u32::to_string);
        let label = &started.positions[held.position as usize].label;
        println!(
            "{point:<14} {layer:>5} {label:<14} {:>10} {:>10}",
            change(through, clean),
            change(held, clean)
        );
    }
    direct.print_errors();
    indirect.print_errors();
    direct.check_any()?;
    indirect.check_any()
}

/// Returns what a cell has changed of the clean run's metric.
fn change(cell: &TraceCell, clean: f64) -> String {
    // A cell that failed has 0 for its value.
    if cell.error.is_some() {
        return "error".into();
    }
    format!("{:.4}", cell.value - clean)
}

#[cfg(test)]
mod tests {
    use scotoma_client::v1::{SweepError, TraceBaseline, TraceFinished, TracePosition};

    use super::*;

    /// Reads a trace of one layer and one position whose messages are `events`.
    async fn received(events: Vec<Event>) -> Result<Traced, Failure> {
        let started = TraceStarted {
            points: vec!["language_model.blocks.{l}.hook_resid_pre".into()],
            layers: vec![3],
            positions: vec![TracePosition::default()],
            ..Default::default()
        };
        let all = std::iter::once(Event::Started(started)).chain(events);
        let all = all.map(|event| Ok(TraceResponse { event: Some(event) }));
        receive(tokio_stream::iter(all), false).await
    }

    #[tokio::test]
    async fn a_trace_is_whole_or_an_error() {
        let baseline = Event::Baseline(TraceBaseline::default());
        let cell = Event::Cell(TraceCell::default());
        let finished = Event::Finished(TraceFinished::default());
        let whole = vec![baseline.clone(), cell.clone(), finished.clone()];
        assert_eq!(received(whole).await.unwrap().cells.len(), 1);
        for cut in [
            vec![baseline.clone(), cell.clone()],
            vec![cell, finished.clone()],
        ] {
            let error = received(cut).await.unwrap_err().to_string();
            assert_eq!(error, scotoma_client::Error::Truncated.to_string());
        }
        for (part, cell) in [
            (
                "point 1",
                TraceCell {
                    point: 1,
                    ..Default::default()
                },
            ),
            (
                "layer 1",
                TraceCell {
                    layer: 1,
                    ..Default::default()
                },
            ),
            (
                "position 7",
                TraceCell {
                    position: 7,
                    ..Default::default()
                },
            ),
            (
                "head 2",
                TraceCell {
                    head: 2,
                    ..Default::default()
                },
            ),
        ] {
            let events = vec![baseline.clone(), Event::Cell(cell), finished.clone()];
            let error = received(events).await.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[tokio::test]
    async fn cells_that_failed_are_no_numbers() {
        let failed = TraceCell {
            error: Some(SweepError {
                message: "too long".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(change(&failed, 0.5), "error");
        assert_eq!(change(&TraceCell::default(), 0.5), "-0.5000");
        let events = vec![
            Event::Baseline(TraceBaseline::default()),
            Event::Cell(failed),
            Event::Finished(TraceFinished::default()),
        ];
        let traced = received(events).await.unwrap();
        let error = traced.check_any().unwrap_err().to_string();
        assert!(error.contains("too long"), "{error}");
    }
}
