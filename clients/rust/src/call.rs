//! Prepares calls, whichever server answers them: their names, their pictures, and how long they
//! may wait.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use tonic::metadata::{AsciiMetadataKey, MetadataMap};

use crate::Error;
use crate::v1::image::Source;
use crate::v1::sweep_request::Input;
use crate::v1::{
    AttributeRequest, CaptureRequest, CheckParityRequest, DescribeRequest, EvaluateHeader,
    GenerateRequest, GetModelRequest, Image, Intervention, ListHookPointsRequest,
    ListModelsRequest, LoadModelRequest, LoadProjectorRequest, PreviewRequest, Prompt, Sample,
    ScoreRequest, SweepRequest, TraceRequest, UnloadModelRequest, UploadImageRequest,
    VerifyRequest, chat_part, intervention, patch,
};

// Waits double from about the first to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A year, so that any duration can be given.
const LONGEST_PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Tells of a request what choosing a server needs.
pub(crate) trait Asks {
    /// Tells whether it is answered by one message. Then a key is drawn for it; a stream that has one
    /// goes on for a while where its reader leaves.
    const IS_UNARY: bool = true;

    /// Returns its pictures in their order.
    fn images(&self) -> Vec<&Image> {
        Vec::new()
    }

    /// Returns the handles of kept activations that it names.
    fn kept(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Returns the BLAKE3 (hex) of its first picture.
    fn picture(&self) -> Option<String> {
        self.images().first().map(|image| digest(image))
    }

    /// Returns all handles that it names.
    fn handles(&self) -> Vec<String> {
        let images = self.images().into_iter().filter_map(handle);
        images.chain(self.kept()).map(str::to_owned).collect()
    }
}

// A connection, or the end of a benchmark.
impl Asks for () {
    const IS_UNARY: bool = false;
}
impl Asks for CheckParityRequest {
    const IS_UNARY: bool = false;
}
impl Asks for DescribeRequest {}
impl Asks for GetModelRequest {}
impl Asks for ListHookPointsRequest {}
impl Asks for ListModelsRequest {}
impl Asks for LoadModelRequest {
    const IS_UNARY: bool = false;
}
impl Asks for LoadProjectorRequest {}
impl Asks for UnloadModelRequest {}

impl Asks for UploadImageRequest {
    fn picture(&self) -> Option<String> {
        Some(blake3::hash(&self.data).to_string())
    }
}

impl Asks for GenerateRequest {
    const IS_UNARY: bool = false;

    fn images(&self) -> Vec<&Image> {
        of_prompt(self.prompt.as_ref())
    }

    fn kept(&self) -> Vec<&str> {
        patched(&self.interventions)
    }
}

impl Asks for ScoreRequest {
    fn images(&self) -> Vec<&Image> {
        of_prompt(self.prompt.as_ref())
    }

    fn kept(&self) -> Vec<&str> {
        patched(&self.interventions)
    }
}

impl Asks for TraceRequest {
    const IS_UNARY: bool = false;

    fn images(&self) -> Vec<&Image> {
        let inputs = [&self.clean, &self.corrupted].into_iter().flatten();
        inputs
            .flat_map(|input| of_prompt(input.prompt.as_ref()))
            .collect()
    }

    fn kept(&self) -> Vec<&str> {
        let inputs = [&self.clean, &self.corrupted].into_iter().flatten();
        inputs
            .flat_map(|input| patched(&input.interventions))
            .collect()
    }
}

impl Asks for AttributeRequest {
    const IS_UNARY: bool = false;

    fn images(&self) -> Vec<&Image> {
        let source = self.source.as_ref().and_then(|own| own.prompt.as_ref());
        [self.prompt.as_ref(), source]
            .into_iter()
            .flat_map(of_prompt)
            .collect()
    }

    fn kept(&self) -> Vec<&str> {
        let source = self.source.iter();
        let lists = source.map(|source| source.interventions.as_slice());
        std::iter::once(self.interventions.as_slice())
            .chain(lists)
            .flat_map(patched)
            .collect()
    }
}

// The stream of a benchmark, whose questions are placed one by one.
impl Asks for EvaluateHeader {
    const IS_UNARY: bool = false;

    fn kept(&self) -> Vec<&str> {
        let variants = self.variants.iter();
        variants.flat_map(|v| patched(&v.interventions)).collect()
    }
}

impl Asks for CaptureRequest {
    const IS_UNARY: bool = false;

    fn images(&self) -> Vec<&Image> {
        of_prompt(self.prompt.as_ref())
    }

    fn kept(&self) -> Vec<&str> {
        patched(&self.interventions)
    }
}

impl Asks for SweepRequest {
    const IS_UNARY: bool = false;

    fn images(&self) -> Vec<&Image> {
        match &self.input {
            Some(Input::Generate(request)) => request.images(),
            Some(Input::Score(request)) => request.images(),
            None => Vec::new(),
        }
    }

    fn kept(&self) -> Vec<&str> {
        let mut all = match &self.input {
            Some(Input::Generate(request)) => request.kept(),
            Some(Input::Score(request)) => request.kept(),
            None => Vec::new(),
        };
        all.extend(self.variants.iter().flat_map(|v| patched(&v.interventions)));
        all.extend(self.grid.iter().flat_map(|g| patched(&g.interventions)));
        all
    }
}

impl Asks for PreviewRequest {
    fn images(&self) -> Vec<&Image> {
        self.image.iter().collect()
    }
}

impl Asks for VerifyRequest {
    fn images(&self) -> Vec<&Image> {
        self.images.iter().collect()
    }
}

impl Asks for Sample {
    fn images(&self) -> Vec<&Image> {
        self.images.iter().collect()
    }
}

fn of_prompt(prompt: Option<&Prompt>) -> Vec<&Image> {
    let Some(prompt) = prompt else {
        return Vec::new();
    };
    let parts = prompt.messages.iter().flat_map(|message| &message.parts);
    let in_turns = parts.filter_map(|part| match &part.part {
        Some(chat_part::Part::Image(image)) => Some(image),
        _ => None,
    });
    prompt.images.iter().chain(in_turns).collect()
}

fn patched(interventions: &[Intervention]) -> Vec<&str> {
    let handles = interventions.iter().filter_map(|one| match &one.kind {
        Some(intervention::Kind::Patch(patch)) => match &patch.source {
            Some(patch::Source::Handle(handle)) => Some(handle.as_str()),
            _ => None,
        },
        _ => None,
    });
    handles.collect()
}

fn handle(image: &Image) -> Option<&str> {
    match &image.source {
        Some(Source::Handle(handle)) => Some(handle),
        _ => None,
    }
}

/// Returns the BLAKE3 (hex) of a picture's bytes, which is its handle, too.
pub(crate) fn digest(image: &Image) -> String {
    match &image.source {
        Some(Source::Handle(handle)) => handle.clone(),
        Some(Source::Data(data)) => blake3::hash(data).to_string(),
        None => String::new(),
    }
}

/// Returns the rendezvous weight of a server for a picture; the greatest one has it, in every
/// client.
pub(crate) fn weight(address: &str, picture: &str) -> [u8; 32] {
    blake3::hash(format!("{address} {picture}").as_bytes()).into()
}

/// Adds to the metadata of a call what its caller has not set.
pub(crate) fn complete(metadata: &mut MetadataMap, picture: Option<&str>, is_unary: bool) {
    for (name, is_drawn) in [("idempotency-key", is_unary), ("x-request-id", true)] {
        if is_drawn && !metadata.contains_key(name) {
            set(metadata, name, &drawn());
        }
    }
    if let Some(picture) = picture.filter(|_| !metadata.contains_key("x-scotoma-picture")) {
        set(metadata, "x-scotoma-picture", picture);
    }
    #[cfg(feature = "opentelemetry")]
    if !metadata.contains_key("traceparent") {
        crate::trace::inject(metadata);
    }
}

/// Sets a value, if it can be one.
pub(crate) fn set(metadata: &mut MetadataMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (name.parse::<AsciiMetadataKey>(), value.parse()) {
        metadata.insert(name, value);
    }
}

/// Draws a name that no other call has.
fn drawn() -> String {
    // Seeded by the system; two hashes of one state are 128 bits.
    let state = RandomState::new();
    format!("{:016x}{:016x}", state.hash_one(0), state.hash_one(1))
}

/// Draws a number of 0 to 1.
fn share() -> f64 {
    let drawn = u32::try_from(RandomState::new().hash_one(0) >> 32).unwrap_or_default();
    f64::from(drawn) / f64::from(u32::MAX)
}

/// Measures how long what is lost is waited for, from the first loss on.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    whole: Duration,
    until: Option<Instant>,
    tries: u32,
    deadline: Option<Instant>,
}

impl Patience {
    /// Waits for `whole` in all, and never beyond `timeout`.
    pub(crate) fn new(whole: Duration, timeout: Option<Duration>) -> Self {
        Self {
            whole,
            until: None,
            tries: 0,
            // A timeout beyond what an `Instant` holds is none.
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
        }
    }

    /// Returns the time until the deadline.
    pub(crate) fn left(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Tells whether the wait that was returned last is the first one.
    pub(crate) fn is_first(&self) -> bool {
        self.tries == 1
    }

    /// Starts anew: something has come.
    pub(crate) fn renew(&mut self) {
        (self.until, self.tries) = (None, 0);
    }

    /// Returns the time until the next try; `None` where there is none.
    pub(crate) fn wait(&mut self, error: &Error) -> Option<Duration> {
        let now = Instant::now();
        let until = *self
            .until
            .get_or_insert(now + self.whole.min(LONGEST_PATIENCE));
        if now >= until {
            return None;
        }
        self.tries += 1;
        let wait = if let Some(told) = error.retry_after() {
            // A little more, so that all who were told the same do not come at once.
            told.min(LONGEST_PATIENCE).mul_f64(1.0 + 0.2 * share())
        } else {
            // Bounded, so that the factor cannot overflow.
            let grown = FIRST_WAIT * (1 << self.tries.min(10));
            // Half of it or more, so that the clients of one server do not come back all at once.
            grown.min(LONGEST_WAIT).mul_f64(0.5 + 0.5 * share())
        };
        // The last try comes when the patience ends.
        let wait = wait.min(until - now);
        // Nor is there a wait from which the call would wake after its deadline.
        self.left().is_none_or(|left| left > wait).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;
    use tonic::Status;

    #[test]
    fn waits_grow_and_end_with_the_patience() {
        let lost = Error::from(Status::unavailable("lost"));
        let mut patience = Patience::new(Duration::from_secs(60), None);
        let waits: Vec<_> = (0..8).filter_map(|_| patience.wait(&lost)).collect();
        assert!(waits[0] >= FIRST_WAIT && waits[0] <= 2 * FIRST_WAIT);
        assert!(
            waits[6..]
                .iter()
                .all(|&w| w >= LONGEST_WAIT / 2 && w <= LONGEST_WAIT)
        );
        assert_eq!(Patience::new(Duration::ZERO, None).wait(&lost), None);
        let short = Some(Duration::from_millis(10));
        assert_eq!(
            Patience::new(Duration::from_secs(60), short).wait(&lost),
            None
        );
    }

    #[test]
    fn a_call_carries_its_names_and_its_picture() {
        let mut metadata = MetadataMap::new();
        set(&mut metadata, "x-request-id", "mine");
        complete(&mut metadata, Some("00ff"), true);
        assert_eq!(metadata.get("x-request-id").unwrap(), "mine");
        assert_eq!(metadata.get("x-scotoma-picture").unwrap(), "00ff");
        let key = metadata.get("idempotency-key").unwrap().clone();
        let mut other = MetadataMap::new();
        complete(&mut other, None, true);
        assert_ne!(other.get("idempotency-key").unwrap(), key);
        assert!(other.get("x-scotoma-picture").is_none());
        let mut stream = MetadataMap::new();
        complete(&mut stream, None, false);
        assert!(stream.get("idempotency-key").is_none());
    }

    #[test]
    fn requests_go_where_their_activations_are() {
        let patches = |handle: &str| {
            let patch = v1::Patch {
                source: Some(patch::Source::Handle(handle.into())),
                ..Default::default()
            };
            vec![Intervention {
                kind: Some(intervention::Kind::Patch(patch)),
            }]
        };
        let attribute = AttributeRequest {
            interventions: patches("a"),
            source: Some(v1::TraceInput {
                interventions: patches("b"),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(attribute.handles(), ["a", "b"]);
        let variant = |handle| v1::EvaluateVariant {
            interventions: patches(handle),
            ..Default::default()
        };
        let header = EvaluateHeader {
            variants: vec![variant("a"), v1::EvaluateVariant::default(), variant("c")],
            ..Default::default()
        };
        assert_eq!(header.handles(), ["a", "c"]);
    }

    #[test]
    fn the_weights_are_those_of_all_clients() {
        let first = |address| u32::from_be_bytes(*weight(address, "00ff").first_chunk().unwrap());
        assert_eq!((first("a:1"), first("b:1")), (0x9ead_cb83, 0x9494_4b58));
    }
}
