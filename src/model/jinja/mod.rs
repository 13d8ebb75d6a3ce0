//! Chat templates as transformers 5.17 renders them: jinja2 3.1's language in
//! `ImmutableSandboxedEnvironment(trim_blocks, lstrip_blocks)` with loop controls,
//! `{% generation %}`, `tojson`, `raise_exception` and `strftime_now`.
//!
//! An interpreter of our own, since the values of a template are Python's: text of lists and dicts,
//! tuples, generators, chained comparisons, methods before keys, `%` of strings. It knows jinja2's
//! language and Python's values, and nothing of messages, tokens or pictures. Work and memory are
//! limited: every text and list is priced before it is made. What is not supported is an error
//! where the template is read, or where it is reached, never another text.
//!
//! The reference is <https://jinja.palletsprojects.com/en/stable/templates/> and transformers'
//! `utils/chat_template_utils.py`.

mod access;
mod arguments;
mod ast;
mod budget;
mod checks;
mod expressions;
mod filter_names;
mod filters;
mod format;
mod interpreter;
mod json;
mod lexer;
mod methods;
mod operators;
mod parser;
mod repr;
mod sort;
mod value;

use std::sync::Arc;

pub(super) use budget::Failure;
use interpreter::Interpreter;
pub(super) use value::Value;

/// Bytes of a template's source.
const SOURCE: usize = 1 << 20;

/// Bytes of the stack that a template is read and run on: nesting is limited to what fits in it.
const STACK: usize = 64 << 20;

/// A template, parsed.
#[derive(Debug)]
pub(super) struct Template {
    body: Vec<ast::Statement>,
}

impl Template {
    /// Parses a template; unknown tags, filters and tests are errors.
    pub(super) fn parse(source: &str) -> Result<Self, Failure> {
        if source.len() > SOURCE {
            return Err(Failure::at(
                1,
                format!("{} bytes; a template has at most {SOURCE}", source.len()),
            ));
        }
        on_large_stack(|| parser::parse(source)).map(|body| Self { body })
    }

    /// Renders the template. `variables` makes what it can read; `now` makes a text of the time by
    /// a format of strftime's.
    pub(super) fn render(
        &self,
        variables: impl FnOnce() -> Result<Vec<(Arc<str>, Value)>, Failure> + Send,
        now: &(dyn Fn(&str) -> Result<String, String> + Sync),
    ) -> Result<String, Failure> {
        on_large_stack(|| Interpreter::new(&|format| now(format)).render(&self.body, variables()?))
    }
}

/// Runs `work` where deep nesting does not overflow the stack.
fn on_large_stack<T: Send>(work: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        // A thread's stack is reserved, not written: what a shallow template does not use costs no
        // memory.
        let thread = std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, work);
        let fault = |e: String| Failure::new(format!("the template's thread: {e}"));
        thread
            .map_err(|e| fault(e.to_string()))?
            .join()
            // A panic ends that thread alone, and becomes an error of the request.
            .unwrap_or_else(|_| Err(fault("panicked".into())))
    })
}
