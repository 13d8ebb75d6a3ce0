//! BenchmarkService on the wire: messages to inputs of a run, what it reports to messages.

use std::sync::Arc;

use futures::StreamExt as _;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::convert::evaluation::{self, PreparedEvaluation};
use super::rpc::{self, ResponseSender, ResponseStream};
use super::v1::benchmark_service_server::BenchmarkService;
use super::v1::{self, evaluate_request, evaluate_response::Event};
use super::{Error, State};
use crate::benchmark::data::ColumnMapping;
use crate::benchmark::{RULES, Rule};
use crate::engine;
use crate::evaluate::{Evaluation, EvaluationInput, Question};
use crate::pipeline::{self, RequestContext, Reservation};
use crate::telemetry;

/// Answers the rpcs of benchmarks.
#[derive(Debug, Clone)]
pub struct Benchmarks(pub Arc<State>);

#[tonic::async_trait]
impl BenchmarkService for Benchmarks {
    type EvaluateStream = ResponseStream<v1::EvaluateResponse>;

    async fn evaluate(
        &self,
        request: Request<Streaming<v1::EvaluateRequest>>,
    ) -> Result<Response<Self::EvaluateStream>, Status> {
        let (state, context) = (&self.0, rpc::context(&request));
        let mut inbound = request.into_inner();
        // The layers refuse what comes to a server that goes down; this one was open before.
        let begun = tokio::select! {
            begun = begin(state, &context, &mut inbound) => begun,
            // A client that sends no header is not waited for.
            () = state.drained() => Err(engine::Error::Draining.into()),
        };
        let prepared = begun.map_err(|e| state.status(&context, &e))?;
        Ok(state.respond_with_stream(context.clone(), 16, |sender| {
            run(state.clone(), context, prepared, inbound, sender)
        }))
    }

    async fn describe(
        &self,
        _: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        let rules = RULES.iter().map(rule_info).collect();
        Ok(Response::new(v1::DescribeResponse { rules }))
    }
}

fn rule_info(rule: &Rule) -> v1::RuleInfo {
    v1::RuleInfo {
        name: rule.name(),
        about: rule.about.into(),
        max_tokens: rule.max_tokens,
        compared: rule.compared,
        judged: rule.judge_prompt.map_or("", |task| task.name()).into(),
    }
}

/// Reads the header, which comes first.
async fn begin(
    state: &State,
    context: &RequestContext,
    inbound: &mut Streaming<v1::EvaluateRequest>,
) -> Result<PreparedEvaluation, Error> {
    let first = inbound.message().await.map_err(Error::from_client)?;
    // What the header holds is let go.
    drop(context.arrived.next());
    match first.and_then(|message| message.event) {
        Some(evaluate_request::Event::Header(header)) => {
            evaluation::prepare(state, context, header)
        }
        _ => Err(Error::invalid("header", "unset; it comes first")),
    }
}

/// Sends results until the last one, and what they come to.
async fn run(
    state: Arc<State>,
    context: RequestContext,
    prepared: PreparedEvaluation,
    inbound: Streaming<v1::EvaluateRequest>,
    sender: ResponseSender<v1::EvaluateResponse>,
) -> Result<(), Error> {
    let response = |event| v1::EvaluateResponse { event: Some(event) };
    let PreparedEvaluation {
        spec,
        reading,
        header,
        model_digest,
    } = prepared;
    let judge = spec.judge.as_ref().zip(spec.rule.judge_prompt);
    let started = v1::EvaluateStarted {
        request_id: context.id.clone(),
        rule: spec.rule.name(),
        model_digest,
        header: Some(header),
        judge: judge.map(|(judge, task)| v1::Judge {
            model: judge.name().into(),
            prompt: judge.template(task).into(),
        }),
        server_version: telemetry::VERSION.into(),
    };
    sender.send(response(Event::Started(started))).await?;

    // No buffer of its own: the response has one.
    let (events, received) = mpsc::channel(1);
    let forward = async {
        // Moved in here, so that the run ends where this does.
        let mut received = received;
        while let Some(event) = received.recv().await {
            let error = |error: &pipeline::Error| state.part_error(&context, error);
            let event = evaluation::event(&spec, event, error);
            sender.send(response(event)).await?;
        }
        Ok(())
    };
    let inputs = inbound.map(|message| {
        // Whether it is a question or not, so that each takes its own.
        let held = context.arrived.next();
        input(message.map_err(Error::from_client)?, held, &reading)
    });
    let run = Evaluation::new(spec.clone()).run(
        &state.runtime,
        &context,
        inputs,
        state.drained(),
        events,
    );
    // Both to the end: what was computed before an error is sent before it.
    let (ran, forwarded): (Result<(), Error>, Result<(), Error>) = tokio::join!(run, forward);
    // A client that has left comes first: the run then fails for no other reason.
    forwarded.and(ran)
}

/// Converts a message after the header; a question keeps what the message holds.
fn input(
    message: v1::EvaluateRequest,
    held: Option<Reservation>,
    reading: &ColumnMapping,
) -> Result<EvaluationInput, Error> {
    let holding = |question| Question { held, ..question };
    match message.event {
        Some(evaluate_request::Event::Sample(sample)) => Ok(EvaluationInput::Question {
            id: sample.id.clone(),
            question: evaluation::question(sample)
                .map(holding)
                .map_err(Error::into_pipeline),
        }),
        Some(evaluate_request::Event::Row(row)) => {
            let (id, question) = evaluation::row(row, reading);
            Ok(EvaluationInput::Question {
                id,
                question: question.map(holding).map_err(Error::into_pipeline),
            })
        }
        Some(evaluate_request::Event::Known(result)) => {
            Ok(EvaluationInput::Known(evaluation::known(result)))
        }
        Some(evaluate_request::Event::Header(_)) => {
            Err(Error::invalid("header", "there was one already"))
        }
        None => Err(Error::invalid(
            "event",
            "unset; sample, row or known is needed",
        )),
    }
}
