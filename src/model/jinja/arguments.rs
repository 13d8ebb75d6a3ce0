//! Arguments of calls, filters and tests, matched to parameters as Python does.

use std::sync::Arc;

use super::budget::Failure;
use super::value::Value;

/// Values by place and by name.
#[derive(Debug, Default, Clone)]
pub(super) struct Passed {
    pub(super) positional: Vec<Value>,
    pub(super) named: Vec<(Arc<str>, Value)>,
}

impl Passed {
    pub(super) fn of(positional: Vec<Value>) -> Self {
        Self {
            positional,
            named: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.positional.len() + self.named.len()
    }

    /// Returns the values of `parameters`, which `what` takes.
    pub(super) fn bind<const N: usize>(
        self,
        what: &str,
        parameters: [&str; N],
    ) -> Result<[Option<Value>; N], Failure> {
        let count = self.positional.len();
        if count > N {
            return Err(Failure::new(format!(
                "{what} takes at most {N} arguments, {count} are given"
            )));
        }
        let mut bound = [const { None }; N];
        for (slot, value) in bound.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value) in self.named {
            let Some(at) = parameters.iter().position(|p| *p == &*name) else {
                return Err(Failure::new(format!("{what} has no argument {name}")));
            };
            if bound[at].replace(value).is_some() {
                return Err(Failure::new(format!("{what} is given {name} twice")));
            }
        }
        Ok(bound)
    }

    /// Does the same for what takes no names.
    pub(super) fn positional<const N: usize>(
        self,
        what: &str,
    ) -> Result<[Option<Value>; N], Failure> {
        if let Some((name, _)) = self.named.first() {
            return Err(Failure::new(format!(
                "{what} takes no argument by name, {name} is given"
            )));
        }
        // No argument has an empty name, so that none can be given by name.
        self.bind(what, [""; N])
    }
}

/// Returns the argument, which must be given.
pub(super) fn needed(value: Option<Value>, what: &str, parameter: &str) -> Result<Value, Failure> {
    value.ok_or_else(|| Failure::new(format!("{what} needs the argument {parameter}")))
}

/// Returns the whole number of an argument.
pub(super) fn whole(value: Option<Value>, what: &str, usual: i64) -> Result<i64, Failure> {
    match value {
        None => Ok(usual),
        // True and False count as 1 and 0.
        Some(value) => value.as_int().ok_or_else(|| {
            Failure::new(format!(
                "{what} needs a whole number, not a {:?}",
                value.kind()
            ))
        }),
    }
}

/// Returns the text of an argument, which must be a string.
pub(super) fn text(value: Value, what: &str) -> Result<Arc<str>, Failure> {
    match value {
        Value::Str(text) => Ok(text),
        other => Err(Failure::new(format!(
            "{what} needs a string, not a {:?}",
            other.kind()
        ))),
    }
}
