//! Errors of the engine.

/// Why the engine refused a request, or stopped running it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The queue has no room.
    #[error("the queue is full: {limit} requests wait already")]
    QueueFull {
        /// Requests that may wait.
        limit: usize,
    },
    /// Too much work is admitted and not done.
    #[error(
        "too much is to be done already: {admitted} (row, layer) pairs; \
         at most {limit} are admitted"
    )]
    Backlog {
        /// (row, layer) pairs that are admitted and not done.
        admitted: u64,
        /// (row, layer) pairs that may be.
        limit: u64,
    },
    /// The keys and values of one sequence exceed the cache.
    #[error("keys and values of one sequence would take {needed} bytes; the cache holds {limit}")]
    KvBudget {
        /// Bytes of the sequence.
        needed: usize,
        /// Bytes of the cache.
        limit: usize,
    },
    /// The server is going down.
    #[error("the server is draining")]
    Draining,
    /// The device has failed, and is restarted.
    #[error("the device failed and is being restarted; its models are loaded again")]
    Restarting,
    /// The deadline has passed.
    #[error("the deadline passed after {tokens} tokens")]
    Deadline {
        /// Tokens generated until then.
        tokens: usize,
    },
    /// The forward pass made no numbers.
    #[error("the logits are not finite")]
    NotFinite,
    /// The processors of a request suppress all tokens.
    #[error("no token is left to choose: penalties and suppressed tokens leave none")]
    NothingLeft,
    /// A fault of the server: shapes, dtypes, the device.
    #[error("the forward pass failed: {0}")]
    Fault(String),
}

impl Error {
    /// Reports whether no request is taken, whatever it asks: the server goes down, or the device
    /// is being restarted.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Draining | Self::Restarting)
    }
}
