//! Sweep on the wire.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc;

use super::{generate, score};
use crate::api::rpc::ResponseSender;
use crate::api::v1::{self, sweep_axis, sweep_request, sweep_response::Event, sweep_result};
use crate::api::{Error, State, convert};
use crate::field_path::shown;
use crate::pipeline::{
    self, AxisValues, Interventions, RequestContext, Sweep, SweepGrid, SweepInput, SweepRequest,
    SweepResult, VariantOutcome, Variants,
};

/// Prepares a sweep.
pub(super) async fn begin(
    state: &State,
    context: &RequestContext,
    message: v1::SweepRequest,
) -> Result<Sweep, Error> {
    let request = request(state, context, message)?;
    Ok(state.runtime.sweep(request).await?)
}

/// Returns the request that a message makes.
fn request(
    state: &State,
    context: &RequestContext,
    message: v1::SweepRequest,
) -> Result<SweepRequest, Error> {
    let input = match message.input {
        Some(sweep_request::Input::Generate(input)) => {
            let input = generate::request(state, context, input);
            SweepInput::Generate(input.map_err(|e| e.within("generate"))?)
        }
        Some(sweep_request::Input::Score(input)) => {
            let input = score::request(state, context, input);
            SweepInput::Score(input.map_err(|e| e.within("score"))?)
        }
        None => {
            return Err(Error::invalid(
                "input",
                "unset; generate or score is needed",
            ));
        }
    };
    let variants = match (message.variants, message.grid) {
        (listed, None) if !listed.is_empty() => Variants::Listed {
            count: listed.len(),
            // Variant by variant, as the sweep comes to them.
            source: Box::new(move |i| {
                // A copy, since the seeds that are drawn are written into it.
                let mut own = listed[i].interventions.clone();
                convert::request_interventions(&mut own).map_err(Error::into_pipeline)
            }),
        },
        // A list without elements counts as not sent: a message cannot tell the two apart.
        (listed, Some(grid)) if listed.is_empty() => Variants::Grid(grid_of(grid)?),
        _ => {
            return Err(Error::invalid(
                "variants",
                "either variants or a grid is needed",
            ));
        }
    };
    Ok(SweepRequest {
        input,
        variants,
        // A client is told that the queue is full, as of any other request.
        patient: false,
    })
}

fn grid_of(message: v1::SweepGrid) -> Result<SweepGrid, Error> {
    // An enum number that the contract does not have has no name in JSON.
    let template = serde_json::to_value(&message.interventions);
    let template = template
        .map_err(|e| Error::invalid("grid.interventions", shown(&e.to_string()).to_string()))?;
    let axes = message.axes.into_iter().map(|axis| {
        let values = match axis.values {
            Some(sweep_axis::Values::Range(range)) => AxisValues::Range {
                first: range.first,
                last: range.last,
                step: range.step,
            },
            Some(sweep_axis::Values::Numbers(numbers)) => AxisValues::Numbers(numbers.values),
            // Refused with its axis, as an empty list is.
            None => AxisValues::Numbers(Vec::new()),
        };
        (axis.field, values)
    });
    Ok(SweepGrid::new(template, axes.collect(), parse)?)
}

/// Reads interventions from canonical JSON.
fn parse(json: Value) -> serde_json::Result<Result<Interventions, pipeline::Error>> {
    let mut list: Vec<v1::Intervention> = serde_json::from_value(json)?;
    Ok(convert::request_interventions(&mut list).map_err(Error::into_pipeline))
}

/// Sends results as they come, until the last one.
pub(super) async fn stream(
    state: Arc<State>,
    request_id: String,
    sweep: Sweep,
    sender: ResponseSender<v1::SweepResponse>,
) -> Result<(), Error> {
    let response = |event| v1::SweepResponse { event: Some(event) };
    let started = v1::SweepStarted {
        request_id: request_id.clone(),
        variants: sweep.variants() as u32,
    };
    sender.send(response(Event::Started(started))).await?;
    let (results, mut received) = mpsc::channel(16);
    // Ends once `run` has dropped its sender, with the last result.
    let forward = async {
        while let Some(result) = received.recv().await {
            let result = sweep_result(&state, &request_id, result)?;
            sender.send(response(Event::Result(result))).await?;
        }
        Ok::<_, Error>(())
    };
    let run = async { Ok(sweep.run(&state.runtime, results).await?) };
    // Whichever fails ends the other: a client that left, or an engine that stopped.
    let (totals, ()) = tokio::try_join!(run, forward)?;
    let finished = v1::SweepFinished {
        variants: totals.variants,
        failed: totals.failed,
        rows_computed: totals.computed,
        rows_naive: totals.naive,
        total_seconds: sweep.elapsed().as_secs_f64(),
    };
    sender.send(response(Event::Finished(finished))).await
}

fn sweep_result(
    state: &State,
    request_id: &str,
    result: SweepResult,
) -> Result<v1::SweepResult, Error> {
    let outcome = match result.outcome {
        Ok(VariantOutcome::Generated(finished)) => {
            sweep_result::Outcome::Generated(convert::finished(finished)?)
        }
        Ok(VariantOutcome::Scored(scored)) => {
            sweep_result::Outcome::Scored(convert::scored(scored)?)
        }
        Err(error) => sweep_result::Outcome::Error(error.in_sweep(request_id, state.retry_after())),
    };
    Ok(v1::SweepResult {
        variant: result.variant as u32,
        places: result.places,
        outcome: Some(outcome),
    })
}
