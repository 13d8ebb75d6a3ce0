//! Statements: text, blocks, and what stands between their tags.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Parsed, Parser, makes_markup};
use crate::model::jinja::ast::{Expr, For, Kind, Macro, Statement, Target};
use crate::model::jinja::lexer::Token;

/// Statements that assign to names, as far as their rules differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Assigns {
    Set,
    For,
    With,
}

impl Parser {
    /// Parses text, prints and statements up to a tag that begins with one of `ends`, which is
    /// left.
    pub(super) fn body(&mut self, ends: &[&str]) -> Parsed<Vec<Statement>> {
        let around = self.enter()?;
        let mut statements = Vec::new();
        loop {
            let line = self.line();
            let kind = match self.peek().clone() {
                Token::Text(text) => {
                    self.at += 1;
                    Kind::Text(text)
                }
                Token::PrintBegin => {
                    self.at += 1;
                    let before = self.markup.len();
                    let value = self.tuple(true, &[])?;
                    self.expect_token(&Token::PrintEnd)?;
                    // What makes markup may end a print, whose text is then all that is left of it.
                    if matches!(&value, Expr::Filter(_, name, _) if makes_markup(name)) {
                        self.markup.truncate(before.max(self.markup.len() - 1));
                    }
                    Kind::Print(value)
                }
                Token::BlockBegin => {
                    self.at += 1;
                    // Left for whoever asked for this body, which may go on with it: `elif`,
                    // `else`.
                    if matches!(self.peek(), Token::Name(name) if ends.contains(&&**name)) {
                        self.leave(around);
                        return Ok(statements);
                    }
                    let kind = self.statement()?;
                    self.expect_token(&Token::BlockEnd)?;
                    kind
                }
                Token::End if ends.is_empty() => {
                    self.leave(around);
                    return Ok(statements);
                }
                Token::End => {
                    return self.fail(format!("{{% {} %}} is missing", ends.last().unwrap_or(&"")));
                }
                other => return self.fail(format!("unexpected {other}")),
            };
            statements.push(Statement { line, kind });
        }
    }

    fn expect_token(&mut self, token: &Token) -> Parsed<()> {
        if self.peek() != token {
            return self.fail(format!("{token} is needed before {}", self.peek()));
        }
        self.at += 1;
        Ok(())
    }

    /// Parses the body of a statement: its tag ends here. The tag that ends the body is left.
    fn statements(&mut self, ends: &[&str]) -> Parsed<Vec<Statement>> {
        // jinja2 takes a colon there, as Python has one.
        self.skip(":");
        self.expect_token(&Token::BlockEnd)?;
        self.body(ends)
    }

    /// Does the same, and the one word that ends it is passed.
    fn block(&mut self, end: &str) -> Parsed<Vec<Statement>> {
        let body = self.statements(&[end])?;
        self.at += 1;
        Ok(body)
    }

    fn statement(&mut self) -> Parsed<Kind> {
        let word = self.name()?;
        match &*word {
            "for" => self.for_loop(),
            "if" => self.condition(),
            "set" => self.set(),
            "with" => self.with(),
            "print" => {
                let mut parts = vec![self.expression()?];
                while self.skip(",") {
                    parts.push(self.expression()?);
                }
                // jinja2 prints them one after the other, as `~` joins them.
                Ok(Kind::Print(Expr::Concat(parts)))
            }
            "macro" => {
                let name = self.name()?;
                let parameters = self.parameters()?;
                Ok(Kind::Macro(self.macro_body(name, parameters, "endmacro")?))
            }
            "call" => {
                let parameters = if self.is("(") {
                    self.parameters()?
                } else {
                    Vec::new()
                };
                let Expr::Call(callee, arguments) = self.expression()? else {
                    return self.fail("{% call %} needs a call");
                };
                // Without a name, as in jinja2, which prints it as `<Macro anonymous>`.
                let body = self.macro_body("".into(), parameters, "endcall")?;
                Ok(Kind::CallBlock(*callee, arguments, body))
            }
            "filter" => {
                let filter = self.filters(None)?;
                Ok(Kind::FilterBlock(filter, self.block("endfilter")?))
            }
            // transformers runs the body as a macro that is called at once.
            "generation" => Ok(Kind::Scoped(
                self.outside_loops(|parser| parser.block("endgeneration"))?,
            )),
            // jinja2 leaves this to Python's compiler, which fails when the template is compiled.
            "break" | "continue" if self.loops == 0 => {
                self.fail(format!("{word} stands outside of a loop"))
            }
            "break" => Ok(Kind::Break),
            "continue" => Ok(Kind::Continue),
            "block" | "extends" | "include" | "import" | "from" | "autoescape" => self.fail(
                format!("{{% {word} %}} is not supported in a chat template"),
            ),
            _ => self.fail(format!("unknown tag {word}")),
        }
    }

    fn outside_loops<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        // A macro is a function of its own: `break` inside cannot end a loop around it.
        let loops = std::mem::take(&mut self.loops);
        let parsed = parse(self);
        self.loops = loops;
        parsed
    }

    fn for_loop(&mut self) -> Parsed<Kind> {
        self.fors += 1;
        let parsed = self.for_parts();
        self.fors -= 1;
        parsed
    }

    fn for_parts(&mut self) -> Parsed<Kind> {
        let target = self.target(Assigns::For, &["in"])?;
        self.expect_word("in")?;
        // Without `a if b`: the `if` behind it is the loop's test.
        let iterable = self.tuple(false, &["recursive"])?;
        let test = if self.skip_word("if") {
            Some(self.expression()?)
        } else {
            None
        };
        let recursive = self.skip_word("recursive");
        self.reads.push(HashSet::new());
        self.loops += 1;
        let body = self.statements(&["endfor", "else"]);
        self.loops -= 1;
        let reads = self.reads.pop().unwrap_or_default();
        // After `reads` is as it was, so that a failure leaves no level behind.
        let body = body?;
        let reads_loop = reads.contains("loop");
        // `loop` within belongs to this loop; other special names belong to the macro around it.
        self.pass_on(reads.into_iter().filter(|name| &**name != "loop"));
        let otherwise = if self.skip_word("else") {
            self.statements(&["endfor"])?
        } else {
            Vec::new()
        };
        // The tag that ended the body: `endfor`, which `body` has found and left.
        self.at += 1;
        Ok(Kind::For(Arc::new(For {
            target,
            iterable,
            test,
            recursive,
            reads_loop,
            body,
            otherwise,
        })))
    }

    /// Names that were read inside are read by what is around it too.
    pub(super) fn pass_on(&mut self, names: impl Iterator<Item = Arc<str>>) {
        if let Some(outer) = self.reads.last_mut() {
            outer.extend(names);
        }
    }

    fn condition(&mut self) -> Parsed<Kind> {
        let mut branches = Vec::new();
        loop {
            // jinja2 takes no `a if b else c` here.
            let test = self.tuple(false, &[])?;
            branches.push((test, self.statements(&["elif", "else", "endif"])?));
            if self.skip_word("elif") {
                continue;
            }
            let otherwise = if self.skip_word("else") {
                self.statements(&["endif"])?
            } else {
                Vec::new()
            };
            self.at += 1;
            return Ok(Kind::If(branches, otherwise));
        }
    }

    fn set(&mut self) -> Parsed<Kind> {
        let target = self.target(Assigns::Set, &[])?;
        // Without it the value is a block, up to {% endset %}.
        if self.skip("=") {
            return Ok(Kind::Set(target, self.tuple(true, &[])?));
        }
        let filter = if self.is("|") {
            Some(self.piped()?)
        } else {
            None
        };
        Ok(Kind::SetBlock(target, filter, self.block("endset")?))
    }

    fn with(&mut self) -> Parsed<Kind> {
        let mut values = Vec::new();
        while *self.peek() != Token::BlockEnd {
            if !values.is_empty() {
                self.expect(",")?;
            }
            let target = self.target(Assigns::With, &[])?;
            self.expect("=")?;
            values.push((target, self.expression()?));
        }
        Ok(Kind::With(values, self.block("endwith")?))
    }

    fn parameters(&mut self) -> Parsed<Vec<(Arc<str>, Option<Expr>)>> {
        self.expect("(")?;
        let mut parameters: Vec<(Arc<str>, Option<Expr>)> = Vec::new();
        while !self.is(")") {
            if !parameters.is_empty() {
                self.expect(",")?;
            }
            let name = self.name()?;
            let default = if self.skip("=") {
                Some(self.expression()?)
            } else {
                None
            };
            if default.is_none()
                && parameters
                    .last()
                    .is_some_and(|(_, default)| default.is_some())
            {
                return self.fail("a parameter without a default follows one with a default");
            }
            parameters.push((name, default));
        }
        self.expect(")")?;
        Ok(parameters)
    }

    fn macro_body(
        &mut self,
        name: Arc<str>,
        parameters: Vec<(Arc<str>, Option<Expr>)>,
        end: &str,
    ) -> Parsed<Arc<Macro>> {
        self.reads.push(HashSet::new());
        let body = self.outside_loops(|parser| parser.block(end));
        let reads = self.reads.pop().unwrap_or_default();
        let takes = |name: &str| parameters.iter().any(|(own, _)| &**own == name);
        let [reads_varargs, reads_kwargs] =
            ["varargs", "kwargs"].map(|special| reads.contains(special) && !takes(special));
        let reads_caller = reads.contains("caller");
        // jinja2 looks into the macros within a macro, too.
        self.pass_on(reads.into_iter());
        let body = body?;
        Ok(Arc::new(Macro {
            name,
            parameters,
            reads_varargs,
            reads_kwargs,
            reads_caller,
            body,
        }))
    }

    /// Parses the target of an assignment: a name, an attribute of a namespace, or several.
    fn target(&mut self, assigns: Assigns, ends: &[&str]) -> Parsed<Target> {
        let mut targets = Vec::new();
        let mut several = false;
        loop {
            // A comma may stand behind the last name.
            if several && self.is_tuple_end(ends) {
                break;
            }
            // Of a namespace; none stands within brackets.
            let is_attribute = self.ahead(1) == &Token::Operator(".");
            targets.push(if assigns == Assigns::Set && is_attribute {
                self.attribute()?
            } else {
                self.one_target(assigns)?
            });
            if !self.skip(",") {
                break;
            }
            several = true;
        }
        match targets.pop() {
            Some(only) if !several => Ok(only),
            Some(last) => {
                targets.push(last);
                Ok(Target::Tuple(targets))
            }
            None => self.fail("a name is needed"),
        }
    }

    fn attribute(&mut self) -> Parsed<Target> {
        let namespace = self.name()?;
        self.expect(".")?;
        Ok(Target::Attribute(namespace, self.name()?))
    }

    fn one_target(&mut self, assigns: Assigns) -> Parsed<Target> {
        let close = if self.skip("(") {
            ")"
        } else if self.skip("[") {
            "]"
        } else {
            let name = self.name()?;
            let is_constant = matches!(
                &*name,
                "true" | "True" | "false" | "False" | "none" | "None"
            );
            // jinja2 looks for such names through all of a loop, macros and `else` included, but
            // not among those of a `with`.
            let is_loop = &*name == "loop" && self.fors > 0 && assigns != Assigns::With;
            if is_constant || is_loop {
                return self.fail(format!("{name} cannot be assigned to"));
            }
            return Ok(Target::Name(name));
        };
        let around = self.enter()?;
        let mut inside = Vec::new();
        while !self.is(close) {
            inside.push(self.one_target(assigns)?);
            if !self.skip(",") {
                break;
            }
        }
        self.expect(close)?;
        self.leave(around);
        Ok(Target::Tuple(inside))
    }
}
