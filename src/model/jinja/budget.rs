//! Limits on the work of one rendering, charged before anything is allocated.

/// Units of work of one rendering: one for a byte that is read or written, [`STEP`] for an
/// expression or a statement.
const WORK: u64 = 128 << 20;

/// Units of one expression or statement.
const STEP: u64 = 32;

/// Bytes of one text, the rendered prompt included.
const TEXT: usize = 8 << 20;

/// Expressions, statements and macros that may be under way inside one another.
// As many fit on the stack of the thread that renders, see `STACK`.
const DEPTH: u32 = 600;

/// Why a template cannot be read or rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model) struct Failure {
    /// Line of the template, from 1; 0 where it is not known.
    pub(in crate::model) line: usize,
    /// The reason.
    pub(in crate::model) message: String,
    /// The template itself refused the conversation, by `raise_exception`.
    pub(in crate::model) raised: bool,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            line: 0,
            message: message.into(),
            raised: false,
        }
    }

    pub(super) fn at(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
            raised: false,
        }
    }

    /// Returns the same, at `line` unless it has one.
    pub(super) fn or_at(mut self, line: usize) -> Self {
        if self.line == 0 {
            self.line = line;
        }
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// The rest of the limits.
#[derive(Debug)]
pub(super) struct Budget {
    work: u64,
    depth: u32,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            work: WORK,
            depth: 0,
        }
    }

    /// Pays for `bytes` that are about to be read or written.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), Failure> {
        let Some(work) = self.work.checked_sub(bytes as u64) else {
            return Err(Failure::new(format!(
                "the template takes more work than {WORK} bytes read and written"
            )));
        };
        self.work = work;
        Ok(())
    }

    /// Fails where a text of `bytes` is too long.
    #[expect(clippy::unused_self, reason = "a limit like the others")]
    pub(super) fn fits(&self, bytes: usize) -> Result<(), Failure> {
        if bytes > TEXT {
            return Err(Failure::new(format!(
                "a text of {bytes} bytes; at most {TEXT} are made"
            )));
        }
        Ok(())
    }

    /// Pays for a text of `bytes` that is about to be made.
    pub(super) fn text(&mut self, bytes: usize) -> Result<(), Failure> {
        self.fits(bytes)?;
        self.charge(bytes)
    }

    /// Pays for a list of `items` that is about to be made.
    pub(super) fn items(&mut self, items: usize) -> Result<(), Failure> {
        self.charge(items.saturating_mul(STEP as usize))
    }

    /// Pays for one step, and goes one deeper until [`Budget::leave`].
    pub(super) fn enter(&mut self) -> Result<(), Failure> {
        self.charge(STEP as usize)?;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Failure::new(format!(
                "more than {DEPTH} expressions, blocks and macros inside one another"
            )));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        // Not reached where a step fails: a failure ends the whole rendering.
        self.depth -= 1;
    }
}
