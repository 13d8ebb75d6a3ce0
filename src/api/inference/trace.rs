//! Trace on the wire.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::api::rpc::ResponseSender;
use crate::api::v1::{self, trace_response::Event};
use crate::api::{Error, State, convert};
use crate::pipeline::{RequestContext, Trace, TraceCell, TraceEvent, TraceFinished, TraceRequest};

/// Prepares and plans a trace.
pub(super) async fn begin(
    state: &State,
    context: &RequestContext,
    message: v1::TraceRequest,
) -> Result<Trace, Error> {
    let request = request(state, context, message)?;
    Ok(state.runtime.trace(request).await?)
}

/// Returns the request that a message makes.
pub(super) fn request(
    state: &State,
    context: &RequestContext,
    message: v1::TraceRequest,
) -> Result<TraceRequest, Error> {
    let model = state.models.resident(context, &message.model)?;
    // Copied before the message is taken apart.
    let sample_key = message.sample_key.clone();
    let parts = convert::trace(message)?;
    Ok(TraceRequest {
        model,
        context: context.clone(),
        clean: parts.clean,
        corrupted: parts.corrupted,
        metric: parts.metric,
        grid: parts.grid,
        direction: parts.direction,
        path: parts.path,
        sample_key,
        canonical: parts.canonical,
    })
}

/// Sends what comes, until the end.
pub(super) async fn stream(
    state: Arc<State>,
    context: RequestContext,
    trace: Trace,
    sender: ResponseSender<v1::TraceResponse>,
) -> Result<(), Error> {
    let response = |event| v1::TraceResponse { event: Some(event) };
    let started = response(Event::Started(started(&context.id, &trace)));
    sender.send(started).await?;
    let (events, mut received) = mpsc::channel(64);
    let forward = async {
        while let Some(event) = received.recv().await {
            let event = match event {
                TraceEvent::Baseline(clean, corrupted) => {
                    Event::Baseline(v1::TraceBaseline { clean, corrupted })
                }
                TraceEvent::Cell(cell) => Event::Cell(self::cell(&state, &context, cell)),
            };
            sender.send(response(event)).await?;
        }
        Ok::<_, Error>(())
    };
    let run = async { Ok(trace.run(&state.runtime, events).await?) };
    // Whichever fails ends the other: a client that left, or an engine that stopped.
    let (done, ()) = tokio::try_join!(run, forward)?;
    let finished = finished(&trace, done)?;
    sender.send(response(Event::Finished(finished))).await
}

fn started(id: &str, trace: &Trace) -> v1::TraceStarted {
    let (axes, started) = (trace.axes(), trace.started());
    v1::TraceStarted {
        request_id: id.to_owned(),
        cells: started.cells as u32,
        points: axes.points.iter().map(|point| point.name.clone()).collect(),
        layers: axes.layers.iter().map(|&layer| layer as u32).collect(),
        positions: convert::trace_positions(axes),
        heads: axes.heads.clone(),
        rows: started.rows,
        rows_naive: started.rows_naive,
        flops: started.flops,
        cells_unchanged: started.unchanged as u32,
    }
}

fn cell(state: &State, context: &RequestContext, cell: TraceCell) -> v1::TraceCell {
    // Places on the axes that `started` lists.
    let [point, layer, position, head] = cell.places.map(|place| place as u32);
    let error = cell.value.as_ref().err();
    v1::TraceCell {
        point,
        layer,
        position,
        head,
        error: error.map(|error| state.part_error(context, error)),
        // 0 beside an error, which says that it is none.
        value: cell.value.unwrap_or_default(),
        effect: cell.effect,
        rows_computed: cell.rows,
    }
}

fn finished(trace: &Trace, done: TraceFinished) -> Result<v1::TraceFinished, Error> {
    Ok(v1::TraceFinished {
        cells: done.cells,
        failed: done.failed,
        rows_computed: done.rows_computed,
        rows_reused: done.rows_reused,
        flops: done.flops,
        total_seconds: trace.elapsed().as_secs_f64(),
        provenance: Some(convert::provenance(done.provenance)?),
    })
}
