//! Tokens to statements and expressions, with jinja2's grammar and precedence.
//!
//! Here are the tokens and the place among them; `statements.rs` and `expressions.rs` read them.

mod expressions;
mod statements;

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::jinja::ast::Statement;
use crate::model::jinja::budget::Failure;
use crate::model::jinja::filter_names;
use crate::model::jinja::lexer::{self, Token};

/// Expressions and blocks inside one another.
const DEPTH: u32 = 100;

/// Operators, subscripts and filters in a row.
// Each wraps the one before, so that a row is as deep as it is long.
const CHAIN: usize = 400;

/// Nodes of a tree from its root to the deepest of its leaves.
// A few rows in as many brackets multiply, and a tree is also dropped by threads whose stack is
// small. Running one that is deeper would fail, see the budget's own depth.
const HEIGHT: u32 = 600;

/// Parses the statements of a template.
pub(super) fn parse(source: &str) -> Result<Vec<Statement>, Failure> {
    let tokens = lexer::tokens(source)?;
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
        height: 0,
        loops: 0,
        fors: 0,
        reads: vec![HashSet::new()],
        markup: Vec::new(),
    };
    let body = parser.body(&[])?;
    // Those that ended a print have been taken from the list.
    match parser.markup.first() {
        Some(line) => Err(Failure::at(
            *line,
            "safe and escape are supported at the end of a {{ }} alone",
        )),
        None => Ok(body),
    }
}

fn makes_markup(filter: &str) -> bool {
    filter_names::MARKUP.contains(&filter)
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: u32,
    /// Height of what was parsed since the last [`Parser::enter`] that was not left.
    height: u32,
    /// Loops around this place that `break` can end.
    loops: u32,
    /// Loops around this place, whatever else is between.
    fors: u32,
    /// The special names that are read in each loop or macro around this place.
    reads: Vec<HashSet<Arc<str>>>,
    /// Lines of filters that make HTML-safe text where it could be added to: it would escape what
    /// is added.
    markup: Vec<usize>,
}

type Parsed<T> = Result<T, Failure>;

impl Parser {
    fn peek(&self) -> &Token {
        self.ahead(0)
    }

    fn ahead(&self, count: usize) -> &Token {
        self.tokens
            .get(self.at + count)
            .map_or(&Token::End, |(token, _)| token)
    }

    fn line(&self) -> usize {
        let last = self.tokens.len().saturating_sub(1);
        self.tokens
            .get(self.at.min(last))
            .map_or(0, |(_, line)| *line)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(Failure::at(self.line(), message))
    }

    fn is(&self, operator: &str) -> bool {
        matches!(self.peek(), Token::Operator(o) if *o == operator)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(name) if **name == *word)
    }

    fn skip(&mut self, operator: &str) -> bool {
        let found = self.is(operator);
        self.at += usize::from(found);
        found
    }

    fn skip_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, operator: &str) -> Parsed<()> {
        if self.skip(operator) {
            Ok(())
        } else {
            self.fail(format!("{operator} is needed before {}", self.peek()))
        }
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.skip_word(word) {
            Ok(())
        } else {
            self.fail(format!("{word} is needed before {}", self.peek()))
        }
    }

    fn name(&mut self) -> Parsed<Arc<str>> {
        let Token::Name(name) = self.peek() else {
            return self.fail(format!("a name is needed before {}", self.peek()));
        };
        if name.starts_with(|c: char| c.is_numeric()) {
            return self.fail(format!("{name} is no name"));
        }
        let name = name.clone();
        self.at += 1;
        Ok(name)
    }

    /// Goes into an expression or a block; returns the height around it, for [`Parser::leave`].
    fn enter(&mut self) -> Parsed<u32> {
        self.depth += 1;
        // Parsing, running and dropping a template recurse: an overflow of the stack would end the
        // process.
        if self.depth > DEPTH {
            return self.fail(format!(
                "more than {DEPTH} expressions and blocks inside one another"
            ));
        }
        Ok(std::mem::take(&mut self.height))
    }

    fn leave(&mut self, around: u32) {
        // Not reached where something fails: a failure ends the whole parsing.
        self.depth -= 1;
        self.height = around.max(self.height + 1);
    }
}
