//! Requests in the server's own terms: prepared, compiled, run and recorded.
//!
//! The way of a request: the api makes a [`GenerateRequest`] or another request of a message; its
//! pictures and words become a [`PreparedInput`], which variants share; its interventions are
//! compiled against that to a [`CompiledRequest`]; the engine runs it, and its events become
//! outputs with a [`Provenance`]. This folder must not know protobuf, tonic or streams of messages.

mod account;
mod attribute;
mod budget;
mod canonical;
mod capture;
mod compile;
mod donors;
mod error;
mod generate;
mod grid;
mod in_flight;
mod input;
mod interventions;
mod load_model;
mod measure;
mod metric;
mod model_registry;
mod output;
mod owned_store;
mod parity;
mod patterns;
mod places;
mod preview;
mod provenance;
mod record;
mod request;
mod request_context;
mod runtime;
mod sampling;
mod score;
mod state_folder;
mod state_index;
mod stores;
mod submit;
mod sweep;
mod tensor_bytes;
mod token_labels;
mod trace;
mod turns;
mod upload;
mod verify;

pub use account::{Account, Grant};
pub use attribute::{
    AttributeRequest, Attribution, AttributionEvent, AttributionFinished, AttributionInput,
    AttributionMethod,
};
pub use budget::{Arrived, Budget, Flags, OverBudget, Reservation, Share};
pub use capture::CaptureRun;
pub use compile::{CompiledRequest, MAX_INTERVENTIONS};
pub use error::Error;
pub use generate::{Generation, MAX_TOP_LOGPROBS};
pub use grid::{AxisValues, MAX_VARIANTS, ParseInterventions, SweepGrid, numbers_of_range};
pub use in_flight::{InFlight, InFlightGuard, Phase};
pub use input::{MAX_TEXT_BYTES, PreparedInput};
pub use interventions::Interventions;
pub use load_model::{LoadProgress, LoadRequest, Unloading};
pub use metric::AnswerMetric;
pub use model_registry::{LoadOptions, ModelRegistry, Placement, format_on};
pub use output::{
    CaptureEvent, CaptureFinished, CapturedActivation, ContinuationScore, Difference, FinishReason,
    Finished, GenerateEvent, GeneratedToken, KeptActivation, Preview, Scored, Started, SweepResult,
    SweepTotals, TokenLogprob, Usage, VariantOutcome, Verified,
};
pub use owned_store::{OwnedStore, Shares, TooLarge};
pub use parity::{ParityCase, ParityCheck, ParityReport, PointParity};
pub use patterns::Patterns;
pub use places::Places;
pub use record::{
    Provenance, Recorded, ResolvedChoice, ResolvedIntervention, SpanKind, Stage, TokenSpan,
};
pub use request::{
    CaptureRequest, CaptureSpec, GenerateRequest, Image, ImageSource, MultiImage, PreviewRequest,
    PromptInput, PromptText, ScoreRequest, SweepInput, SweepRequest, VariantSource, Variants,
};
pub use request_context::{RequestContext, RequestMetrics};
pub use runtime::{RequestLimits, Runtime};
pub use sampling::SamplingParams;
pub use state_folder::{
    StateEntry, StateFolder, StateFolderError, StateKind, StateLimits, StateValue,
};
pub use stores::{Activations, Bytes, Uploads, digest};
pub use submit::RequestHandle;
pub use sweep::{Sweep, sweep_all};
pub use trace::{
    Axes, Direction, Trace, TraceCell, TraceEvent, TraceFinished, TraceInput, TracePath,
    TracePosition, TraceRequest, TraceStarted, Via,
};
pub use turns::{Price, QueuePlace, Turns};
pub use upload::Uploaded;
pub use verify::{Replay, VerifyRequest};
