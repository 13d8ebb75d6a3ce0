//! Auxiliary requests (parity, saliency, donor pictures) are admitted and scheduled as others are:
//! a stream goes on beside them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::{goldens, interventions_from_json, job, model};
use scotoma::engine::parity::{GoldenSet, Prepared, Resident};
use scotoma::engine::{
    ClientId, Deadline, Engine, Error, Event, Events, Limits, Sampling, StepCheck, Task,
};
use scotoma::model::{ImageTokens, Model};
use scotoma::nn::{DeviceId, HostTensor};
use serde_json::json;

const SET: &str = "tiny-next-llama";
const TOKENS: usize = 400;

struct Stream {
    model: Arc<Model>,
    goldens: Arc<GoldenSet>,
    pixels: HostTensor,
    image: ImageTokens,
    engine: Engine,
    events: Events,
}

impl Stream {
    /// Starts a stream that no end token ends, and waits for its first token.
    async fn start(limits: Limits) -> Self {
        let mut model = model(SET);
        model.eos.clear();
        let (model, goldens) = (Arc::new(model), Arc::new(goldens(SET)));
        let engine = Engine::start(limits).unwrap();
        let task = Task::Generate {
            sampling: Sampling::greedy(),
            max_tokens: TOKENS,
            top_logprobs: 0,
        };
        let case = prepared(&model, &goldens);
        let (pixels, image) = (case.pixels[0].clone(), case.images[0].clone());
        let request = job(case, &model, task);
        let mut events = engine.submit(request).unwrap();
        loop {
            let told = events.recv().await.unwrap();
            if let Event::Token(_) = told.event.unwrap() {
                break;
            }
        }
        Self {
            model,
            goldens,
            pixels,
            image,
            engine,
            events,
        }
    }

    /// Counts the tokens that have come since the last count.
    fn tokens(&mut self) -> usize {
        let mut tokens = 0;
        while let Ok(told) = self.events.try_recv() {
            tokens += usize::from(matches!(told.event.unwrap(), Event::Token(_)));
        }
        tokens
    }
}

fn prepared(model: &Model, goldens: &GoldenSet) -> Prepared {
    let case = &goldens.cases[0];
    assert!(!case.images.is_empty());
    goldens.prepare(model, case).unwrap()
}

#[tokio::test]
async fn a_stream_goes_on_beside_a_parity_check() {
    let mut stream = Stream::start(Limits::default()).await;
    stream.tokens();
    let check = stream
        .engine
        .parity(stream.model.clone(), stream.goldens.clone(), 0);
    let found = check.await.unwrap().unwrap();
    assert_eq!(found.answer, found.expected);
    let advanced = stream.tokens();
    // One step each for the hook points and for every token of the answer.
    let steps = found.expected.len().min(TOKENS / 2);
    assert!(advanced >= steps, "{advanced} tokens beside {steps} steps");
}

#[tokio::test]
async fn a_stream_goes_on_beside_saliency_and_donors() {
    let mut stream = Stream::start(Limits::default()).await;
    let pixels = vec![stream.pixels.clone(); 8];
    stream.tokens();
    let found = stream
        .engine
        .attention(stream.model.clone(), pixels, None)
        .await
        .unwrap();
    let advanced = stream.tokens();
    assert!(advanced >= 7, "{advanced} tokens beside 8 pictures");
    let alone = stream
        .model
        .tower
        .attention(&stream.pixels, None)
        .unwrap()
        .to_vec2::<f32>()
        .unwrap();
    assert_eq!(found, vec![alone; 8]);
    let (pixels, image) = (stream.pixels.clone(), stream.image.clone());
    let encoded = stream
        .engine
        .encode(stream.model.clone(), pixels, image)
        .await
        .unwrap();
    assert_eq!(encoded.dim(0).unwrap(), stream.image.len());
}

#[tokio::test]
async fn auxiliary_requests_have_a_price_and_a_deadline() {
    let limits = Limits {
        queue_rows: 1,
        ..Limits::default()
    };
    let stream = Stream::start(limits).await;
    let pixels = vec![stream.pixels.clone()];
    let attend = |engine: Engine| {
        let (model, pixels) = (stream.model.clone(), pixels.clone());
        async move { engine.attention(model, pixels, None).await }
    };
    let refused = attend(stream.engine.clone()).await.unwrap_err();
    assert!(matches!(refused, Error::Backlog { .. }), "{refused}");

    let engine = Engine::start(Limits::default()).unwrap();
    let late = engine.on_behalf_of(&ClientId::default(), &Deadline::at(Instant::now()));
    let refused = attend(late).await.unwrap_err();
    assert!(matches!(refused, Error::Deadline { .. }), "{refused}");
    assert!(attend(engine).await.is_ok());
}

/// A prompt that prunes is read in one piece, which exceeds what rows that decode leave of a step.
#[tokio::test]
async fn a_prompt_that_cannot_be_cut_is_read_beside_a_stream() {
    let limits = Limits {
        step_rows: 16,
        ..Limits::default()
    };
    let mut stream = Stream::start(limits).await;
    let prune = json!([{"pruneTokens": {
        "layer": 0, "keepCount": 2, "receivedFrom": {"anyOf": [{"named": "NAMED_LAST"}]},
    }}]);
    let (list, goldens) = (interventions_from_json(&prune).unwrap(), &stream.goldens);
    let case = &goldens.cases[0];
    let case = goldens.prepare_under(&stream.model, case, &list, &Resident::default());
    let request = job(case.unwrap(), &stream.model, Task::Score(vec![vec![5]]));
    assert!(request.variants[0].prompt.ids.len() > limits.step_rows);
    let mut events = stream.engine.submit(request).unwrap();
    stream.tokens();
    while let Some(told) = events.recv().await {
        told.event.unwrap();
    }
    let advanced = stream.tokens();
    assert!(
        advanced < TOKENS / 2,
        "{advanced} tokens before the prompt was read"
    );
}

#[tokio::test]
async fn a_request_that_waits_ends_at_its_deadline_and_not_before() {
    let (model, goldens) = (Arc::new(model(SET)), goldens(SET));
    let first = AtomicBool::new(true);
    // A first step that is slow says nothing about those that follow.
    let check = StepCheck::new(move |_| {
        if first.swap(false, Ordering::Relaxed) {
            std::thread::sleep(Duration::from_secs(3));
        }
        Ok(())
    });
    let engine = Engine::with_check(DeviceId::Cpu, Limits::default(), check).unwrap();
    let ask = async |deadline: Deadline| {
        let mut request = job(
            prepared(&model, &goldens),
            &model,
            Task::Score(vec![vec![5]]),
        );
        request.deadline = deadline;
        let mut events = engine.submit(request).unwrap();
        while let Some(told) = events.recv().await {
            told.event?;
        }
        Ok::<(), Error>(())
    };
    ask(Deadline::default()).await.unwrap();
    let soon = Instant::now() + Duration::from_millis(2500);
    ask(Deadline::at(soon)).await.unwrap();
    let late = ask(Deadline::at(Instant::now())).await.unwrap_err();
    assert!(matches!(late, Error::Deadline { tokens: 0 }), "{late}");
}

/// Parts of what has begun are not refused midway.
#[tokio::test]
async fn whoever_is_patient_waits_for_room() {
    let limits = Limits {
        queue_rows: 1,
        ..Limits::default()
    };
    let mut stream = Stream::start(limits).await;
    let (model, pixels) = (stream.model.clone(), vec![stream.pixels.clone()]);
    let case = prepared(&stream.model, &stream.goldens);
    let score = job(case, &stream.model, Task::Score(vec![vec![5]]));
    let engine = stream.engine.clone();
    let planned = engine.plan(score).unwrap();
    let refused = engine.attention(model.clone(), pixels.clone(), None).await;
    assert!(matches!(refused, Err(Error::Backlog { .. })), "{refused:?}");
    // Both wait for the end of the stream, and one of them for that of the other.
    let patient = engine.patiently();
    let (looked, scored) = tokio::join!(
        patient.attention(model, pixels, None),
        engine.admit_patiently(planned),
    );
    looked.unwrap();
    let mut scored = scored.unwrap();
    while let Some(told) = scored.recv().await {
        told.event.unwrap();
    }
    stream.tokens();
    assert!(stream.events.recv().await.is_none());
}

#[tokio::test]
async fn room_is_waited_for() {
    let limits = Limits {
        queue_rows: 2,
        ..Limits::default()
    };
    let mut stream = Stream::start(limits).await;
    assert!(!stream.engine.has_room(&ClientId::default()));
    stream.engine.room(&ClientId::default()).await;
    assert!(stream.engine.has_room(&ClientId::default()));
    stream.tokens();
    assert!(stream.events.recv().await.is_none());
}
