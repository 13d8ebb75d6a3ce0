//! Traces, from messages and to messages.

use serde_json::Value;

use super::super::{Error, v1};
use super::interventions::request_interventions;
use super::request::prompt;
use super::target::{selector, target};
use super::values::{unknown, unset};
use crate::intervention::{GridSpec, GridToken, Patches, Positions, Seeds, Target};
use crate::pipeline::{AnswerMetric, Axes, Direction, TraceInput, TracePath, TracePosition, Via};

/// Everything of a trace but who asks, and of which model.
pub(in crate::api) struct TraceParts {
    pub(in crate::api) clean: TraceInput,
    pub(in crate::api) corrupted: TraceInput,
    pub(in crate::api) metric: AnswerMetric,
    pub(in crate::api) grid: GridSpec,
    pub(in crate::api) direction: Direction,
    pub(in crate::api) path: Option<TracePath>,
    /// The message without prompts and the model's name, seeds filled in.
    pub(in crate::api) canonical: Value,
}

/// Converts a trace.
pub(in crate::api) fn trace(mut message: v1::TraceRequest) -> Result<TraceParts, Error> {
    let seeds = Seeds::Drawn;
    let clean = input("clean", message.clean.as_mut())?;
    let corrupted = input("corrupted", message.corrupted.as_mut())?;
    let metric = metric(message.metric.clone())?;
    // The receiver has a field of its own, and is resolved with the grid: both are of one prompt.
    let mut grid = grid(message.grid.as_mut(), seeds)?;
    let direction = direction(message.direction)?;
    let path = message.path.as_mut().map(|path| self::path(path, seeds));
    let (receiver, path) = path.transpose()?.unzip();
    grid.receiver = receiver;
    // Known elsewhere, and spelled there.
    message.model.clear();
    let canonical = serde_json::to_value(&message).map_err(Error::fault)?;
    Ok(TraceParts {
        clean,
        corrupted,
        metric,
        grid,
        direction,
        path,
        canonical,
    })
}

/// Converts an input; its prompt is taken out of the message.
fn input(name: &str, message: Option<&mut v1::TraceInput>) -> Result<TraceInput, Error> {
    let Some(message) = message else {
        return Ok(TraceInput {
            prompt: None,
            interventions: crate::pipeline::Interventions::default(),
        });
    };
    // Taken out: the record spells it anew, with pictures by their handles.
    let sent = message.prompt.take();
    let sent = sent.map(|sent| prompt(Some(sent))).transpose();
    let interventions = request_interventions(&mut message.interventions);
    Ok(TraceInput {
        prompt: sent.map_err(|e| e.within(name))?,
        interventions: interventions.map_err(|e| e.within(name))?,
    })
}

/// Converts a metric.
pub(super) fn metric(message: Option<v1::Metric>) -> Result<AnswerMetric, Error> {
    use v1::metric::Kind;
    Ok(match message.and_then(|message| message.kind) {
        Some(Kind::Logprob(answer)) => AnswerMetric::Logprob(answer),
        Some(Kind::LogprobDifference(contrast)) => AnswerMetric::LogprobDifference {
            answer: contrast.answer,
            other: contrast.other,
        },
        Some(Kind::Probability(answer)) => AnswerMetric::Probability(answer),
        Some(Kind::Divergence(divergence)) => AnswerMetric::Divergence(divergence.answer),
        None => {
            let valid = "logprob, logprob_difference, probability, divergence";
            return Err(unset("metric.kind", valid));
        }
    })
}

fn direction(number: i32) -> Result<Direction, Error> {
    match v1::TraceDirection::try_from(number) {
        Ok(v1::TraceDirection::Unspecified | v1::TraceDirection::Denoise) => Ok(Direction::Denoise),
        Ok(v1::TraceDirection::Noise) => Ok(Direction::Noise),
        Err(_) => {
            let valid = ["TRACE_DIRECTION_DENOISE", "TRACE_DIRECTION_NOISE"];
            Err(unknown("direction".into(), number, &valid))
        }
    }
}

fn path(message: &mut v1::TracePath, seeds: Seeds) -> Result<(Target, TracePath), Error> {
    let via = match v1::TraceVia::try_from(message.via) {
        Ok(v1::TraceVia::Unspecified | v1::TraceVia::Residual) => Via::Residual,
        Ok(v1::TraceVia::Mlps) => Via::Mlps,
        Err(_) => {
            let valid = ["TRACE_VIA_RESIDUAL", "TRACE_VIA_MLPS"];
            return Err(unknown("path.via".into(), message.via, &valid));
        }
    };
    let receiver = target("path.receiver", message.receiver.as_mut(), seeds)?;
    Ok((receiver, TracePath { via }))
}

fn grid(message: Option<&mut v1::TraceGrid>, seeds: Seeds) -> Result<GridSpec, Error> {
    let Some(message) = message else {
        return Ok(GridSpec::default());
    };
    let listed = message.positions.iter_mut().enumerate();
    let positions = listed.map(|(i, set)| positions(&format!("grid.positions[{i}]"), set, seeds));
    Ok(GridSpec {
        points: message.points.clone(),
        layers: message.layers.clone(),
        positions: positions.collect::<Result<_, _>>()?,
        heads: message.heads.clone(),
        each_head: message.each_head,
        receiver: None,
    })
}

fn positions(
    path: &str,
    message: &mut v1::TracePositions,
    seeds: Seeds,
) -> Result<Positions, Error> {
    use v1::trace_positions::Set;
    let field = |name: &str| format!("{path}.{name}");
    Ok(match &mut message.set {
        Some(Set::Each(set)) => Positions::Each(selector(&field("each"), Some(set), seeds)?),
        Some(Set::Words(set)) => Positions::Words(selector(&field("words"), Some(set), seeds)?),
        Some(Set::Patches(patches)) => Positions::Patches(self::patches(path, *patches)?),
        Some(Set::Group(group)) => Positions::Group {
            tokens: selector(&field("group.tokens"), group.tokens.as_mut(), seeds)?,
            label: group.label.clone(),
        },
        None => return Err(unset(&format!("{path}.set"), "each, words, patches, group")),
    })
}

fn patches(path: &str, message: v1::TracePatches) -> Result<Patches, Error> {
    use v1::trace_patches::By;
    let by = match By::try_from(message.by) {
        Ok(By::Unspecified | By::Block) => return Ok(Patches::Blocks(message.grid)),
        Ok(By::Row) => Patches::Rows,
        Ok(By::Column) => Patches::Columns,
        Err(_) => {
            let valid = ["BY_BLOCK", "BY_ROW", "BY_COLUMN"];
            return Err(unknown(format!("{path}.patches.by"), message.by, &valid));
        }
    };
    if message.grid > 0 {
        let message = "only blocks have a grid; leave it out";
        return Err(Error::invalid(format!("{path}.patches.grid"), message));
    }
    Ok(by)
}

/// Returns the positions of a trace.
pub(in crate::api) fn trace_positions(axes: &Axes) -> Vec<v1::TracePosition> {
    axes.positions.iter().map(position).collect()
}

/// Converts the patch of a token; a token of text has none.
pub(super) fn patch(token: &GridToken) -> Option<v1::TracePatch> {
    let patch = token.patch?;
    Some(v1::TracePatch {
        token: token.token,
        image: patch.image as u32,
        view: token.view.1 as u32,
        row: patch.row as u32,
        column: patch.column as u32,
        grid_rows: patch.extent.0 as u32,
        grid_columns: patch.extent.1 as u32,
    })
}

fn position(position: &TracePosition) -> v1::TracePosition {
    let numbers = |tokens: &[GridToken]| tokens.iter().map(|token| token.token).collect();
    v1::TracePosition {
        label: position.label.clone(),
        tokens: numbers(&position.tokens),
        source_tokens: numbers(&position.source_tokens),
        patches: position.tokens.iter().filter_map(patch).collect(),
    }
}
