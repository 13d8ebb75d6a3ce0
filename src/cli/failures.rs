//! Answers of a benchmark that are errors, and which of them another try may heal.

use scotoma_client::v1::SampleResult;
use tonic::Code;

use super::error::Failure;

/// Errors of one kind that are printed.
pub(super) const SHOWN: usize = 10;

/// Counts the answers of a run that are errors.
#[derive(Default)]
pub(super) struct Failures {
    count: usize,
    first: String,
    /// Counts those that no other try changes.
    lasting: usize,
    first_lasting: String,
}

impl Failures {
    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Counts `result` if it is an error. Returns the line to print of it.
    pub(super) fn add(&mut self, result: &SampleResult) -> Option<String> {
        let error = result.error.as_ref()?;
        let variant = if result.variant.is_empty() {
            "all variants"
        } else {
            &result.variant
        };
        let line = format!("{} under {variant}: {}", result.id, error.message);
        self.count += 1;
        if self.count == 1 {
            self.first.clone_from(&line);
        }
        if is_lasting(error.code.into()) {
            self.lasting += 1;
            if self.lasting == 1 {
                self.first_lasting.clone_from(&line);
            }
        }
        match self.count {
            1..=SHOWN => Some(line),
            _ if self.count == SHOWN + 1 => Some("... and more".into()),
            _ => None,
        }
    }

    /// Reports them, of a run that knew `known` answers and has `seen` others; a run of nothing else
    /// is an error.
    pub(super) fn check(&self, known: usize, seen: usize) -> Result<(), Failure> {
        // Only of a run from the start: a resumed one may have nothing left but what fails.
        if known == 0 && seen > 0 && self.count == seen {
            let first = &self.first;
            return Err(format!("all {seen} answers are errors; the first: {first}").into());
        }
        if self.count > 0 {
            eprintln!("{}", self.summary());
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let Self { count, lasting, .. } = self;
        let head = format!("{count} answers are errors and count nowhere");
        if *lasting == 0 {
            return format!("{head}; the same command retries them");
        }
        let rest = match count - lasting {
            0 => String::new(),
            rest => format!("; the same command retries the other {rest}"),
        };
        let first = &self.first_lasting;
        format!(
            "{head}; {lasting} can never be given, as the variant or the question stands: \
             {first}{rest}"
        )
    }
}

/// Returns whether an error is of what is asked, so that it comes again whenever that is.
fn is_lasting(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange | Code::Unimplemented
    )
}

#[cfg(test)]
mod tests {
    use scotoma_client::v1::SweepError;

    use super::*;

    fn result(id: &str, code: Code, message: &str) -> SampleResult {
        SampleResult {
            id: id.into(),
            variant: "pyramiddrop".into(),
            error: Some(SweepError {
                code: code.into(),
                message: message.into(),
                ..SweepError::default()
            }),
            ..SampleResult::default()
        }
    }

    #[test]
    fn what_can_never_be_given_is_not_said_to_be_retried() {
        let mut failures = Failures::default();
        assert!(failures.add(&SampleResult::default()).is_none());
        failures.add(&result("1", Code::Unavailable, "lost"));
        assert_eq!(
            failures.summary(),
            "1 answers are errors and count nowhere; the same command retries them"
        );
        let line = failures.add(&result("2", Code::FailedPrecondition, "no token is left"));
        assert_eq!(line.unwrap(), "2 under pyramiddrop: no token is left");
        let both = failures.summary();
        assert!(both.contains("1 can never be given"), "{both}");
        assert!(
            both.contains("2 under pyramiddrop: no token is left"),
            "{both}"
        );
        assert!(both.ends_with("retries the other 1"), "{both}");
        let mut lasting = Failures::default();
        lasting.add(&result("2", Code::InvalidArgument, "wrong"));
        assert!(
            !lasting.summary().contains("retries"),
            "{}",
            lasting.summary()
        );
        // Known answers make a run of errors no failure; without any it is one.
        assert!(lasting.check(3, 1).is_ok());
        assert!(lasting.check(0, 1).is_err());
    }
}
