//! Tokens to statements and expressions, with jinja2's grammar and precedence.

use std::collections::HashSet;
use std::sync::Arc;

use super::ast::{
    Arguments, Comparison, Expr, For, Kind, Literal, Macro, Operator, Statement, Target,
};
use super::budget::Failure;
use super::lexer::{self, Token};
use super::{checks, filter_names};

/// Expressions and blocks inside one another.
const DEPTH: u32 = 100;

/// Operators, subscripts and filters in a row.
const CHAIN: usize = 400;

/// The statements of a template.
pub(super) fn parse(source: &str) -> Result<Vec<Statement>, Failure> {
    let tokens = lexer::tokens(source)?;
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
        loops: 0,
        reads: vec![HashSet::new()],
        markup: Vec::new(),
    };
    let body = parser.body(&[])?;
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
    /// Loops around this place that `break` can end.
    loops: u32,
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

    fn enter(&mut self) -> Parsed<()> {
        self.depth += 1;
        // Parsing, running and dropping a template recurse: an overflow of the stack would end the
        // process.
        if self.depth > DEPTH {
            return self.fail(format!(
                "more than {DEPTH} expressions and blocks inside one another"
            ));
        }
        Ok(())
    }

    /// Text, prints and statements up to a tag that begins with one of `ends`, which is left.
    fn body(&mut self, ends: &[&str]) -> Parsed<Vec<Statement>> {
        self.enter()?;
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
                    if matches!(self.peek(), Token::Name(name) if ends.contains(&&**name)) {
                        self.depth -= 1;
                        return Ok(statements);
                    }
                    let kind = self.statement()?;
                    self.expect_token(&Token::BlockEnd)?;
                    kind
                }
                Token::End if ends.is_empty() => {
                    self.depth -= 1;
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

    /// The body of a statement: its tag ends here. The tag that ends the body is left.
    fn statements(&mut self, ends: &[&str]) -> Parsed<Vec<Statement>> {
        // jinja2 takes a colon there, as Python has one.
        self.skip(":");
        self.expect_token(&Token::BlockEnd)?;
        self.body(ends)
    }

    /// The same, and the one word that ends it is passed.
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
        let target = self.target(false, &["in"])?;
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
    fn pass_on(&mut self, names: impl Iterator<Item = Arc<str>>) {
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
        let target = self.target(true, &[])?;
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
            let target = self.target(false, &[])?;
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
    fn target(&mut self, namespaces: bool, ends: &[&str]) -> Parsed<Target> {
        let mut targets = Vec::new();
        let mut several = false;
        loop {
            // A comma may stand behind the last name.
            if several && self.is_tuple_end(ends) {
                break;
            }
            targets.push(self.one_target(namespaces)?);
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

    fn one_target(&mut self, namespaces: bool) -> Parsed<Target> {
        let close = if self.skip("(") {
            ")"
        } else if self.skip("[") {
            "]"
        } else {
            let name = self.name()?;
            if namespaces && self.skip(".") {
                return Ok(Target::Attribute(name, self.name()?));
            }
            if matches!(
                &*name,
                "true" | "True" | "false" | "False" | "none" | "None" | "loop"
            ) {
                return self.fail(format!("{name} cannot be assigned to"));
            }
            return Ok(Target::Name(name));
        };
        self.enter()?;
        let mut inside = Vec::new();
        while !self.is(close) {
            inside.push(self.one_target(false)?);
            if !self.skip(",") {
                break;
            }
        }
        self.expect(close)?;
        self.depth -= 1;
        Ok(Target::Tuple(inside))
    }

    fn is_tuple_end(&self, ends: &[&str]) -> bool {
        matches!(
            self.peek(),
            Token::PrintEnd | Token::BlockEnd | Token::Operator(")")
        ) || matches!(self.peek(), Token::Name(name) if ends.contains(&&**name))
    }

    /// An expression, or several with commas as a tuple. `conditional` says whether `a if b else c`
    /// may stand there.
    fn tuple(&mut self, conditional: bool, ends: &[&str]) -> Parsed<Expr> {
        let mut items = Vec::new();
        let mut several = false;
        loop {
            if self.is_tuple_end(ends) {
                break;
            }
            items.push(if conditional {
                self.expression()?
            } else {
                self.or_without_condition()?
            });
            if !self.skip(",") {
                break;
            }
            several = true;
        }
        match items.pop() {
            Some(only) if !several => Ok(only),
            Some(last) => {
                items.push(last);
                Ok(Expr::Tuple(items))
            }
            None => self.fail(format!("an expression is needed before {}", self.peek())),
        }
    }

    fn or_without_condition(&mut self) -> Parsed<Expr> {
        self.enter()?;
        let parsed = self.or()?;
        self.depth -= 1;
        Ok(parsed)
    }

    fn expression(&mut self) -> Parsed<Expr> {
        self.enter()?;
        let mut value = self.or()?;
        let mut links = 0;
        while self.skip_word("if") {
            self.link(&mut links)?;
            let test = self.or()?;
            let otherwise = if self.skip_word("else") {
                Some(Box::new(self.expression()?))
            } else {
                None
            };
            value = Expr::Conditional(Box::new(test), Box::new(value), otherwise);
        }
        self.depth -= 1;
        Ok(value)
    }

    /// Counts what stands in a row, since each wraps the one before.
    fn link(&self, links: &mut usize) -> Parsed<()> {
        *links += 1;
        if *links > CHAIN {
            self.fail(format!("more than {CHAIN} operators or filters in a row"))
        } else {
            Ok(())
        }
    }

    fn or(&mut self) -> Parsed<Expr> {
        let mut left = self.and()?;
        let mut links = 0;
        while self.skip_word("or") {
            self.link(&mut links)?;
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed<Expr> {
        let mut left = self.not()?;
        let mut links = 0;
        while self.skip_word("and") {
            self.link(&mut links)?;
            left = Expr::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Parsed<Expr> {
        // Counted rather than nested: `not not not ..` would go as deep as it is long.
        let mut negations = 0;
        while self.skip_word("not") {
            self.link(&mut negations)?;
        }
        let mut value = self.compare()?;
        for _ in 0..negations {
            value = Expr::Not(Box::new(value));
        }
        Ok(value)
    }

    fn compare(&mut self) -> Parsed<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let symbol = match self.peek() {
                Token::Operator("==") => Some(Comparison::Equal),
                Token::Operator("!=") => Some(Comparison::NotEqual),
                Token::Operator("<") => Some(Comparison::Less),
                Token::Operator("<=") => Some(Comparison::LessEqual),
                Token::Operator(">") => Some(Comparison::Greater),
                Token::Operator(">=") => Some(Comparison::GreaterEqual),
                Token::Name(name) if &**name == "in" => Some(Comparison::In),
                _ => None,
            };
            let comparison = if let Some(comparison) = symbol {
                self.at += 1;
                comparison
            } else if self.is_word("not")
                && matches!(self.ahead(1), Token::Name(name) if &**name == "in")
            {
                self.at += 2;
                Comparison::NotIn
            } else {
                break;
            };
            rest.push((comparison, self.sum()?));
        }
        Ok(if rest.is_empty() {
            first
        } else {
            Expr::Compare(Box::new(first), rest)
        })
    }

    fn sum(&mut self) -> Parsed<Expr> {
        // `~` binds more tightly than + and -: `1 ~ 2 + 3` is an error in jinja2, too.
        let mut left = self.concat()?;
        let mut links = 0;
        loop {
            let operator = match self.peek() {
                Token::Operator("+") => Operator::Add,
                Token::Operator("-") => Operator::Subtract,
                _ => return Ok(left),
            };
            self.at += 1;
            self.link(&mut links)?;
            left = Expr::Binary(operator, Box::new(left), Box::new(self.concat()?));
        }
    }

    fn concat(&mut self) -> Parsed<Expr> {
        let first = self.product()?;
        if !self.is("~") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.skip("~") {
            parts.push(self.product()?);
        }
        Ok(Expr::Concat(parts))
    }

    fn product(&mut self) -> Parsed<Expr> {
        let mut left = self.power()?;
        let mut links = 0;
        loop {
            let operator = match self.peek() {
                Token::Operator("*") => Operator::Multiply,
                Token::Operator("/") => Operator::Divide,
                Token::Operator("//") => Operator::FloorDivide,
                Token::Operator("%") => Operator::Modulo,
                _ => return Ok(left),
            };
            self.at += 1;
            self.link(&mut links)?;
            left = Expr::Binary(operator, Box::new(left), Box::new(self.power()?));
        }
    }

    fn power(&mut self) -> Parsed<Expr> {
        // Of signed operands: `-2 ** 2` is 4 in jinja2, other than in Python.
        let mut left = self.unary(true)?;
        let mut links = 0;
        // To the left, as jinja2 has it.
        while self.skip("**") {
            self.link(&mut links)?;
            left = Expr::Binary(Operator::Power, Box::new(left), Box::new(self.unary(true)?));
        }
        Ok(left)
    }

    fn unary(&mut self, with_filters: bool) -> Parsed<Expr> {
        self.enter()?;
        let value = if self.skip("-") {
            // `-x|abs` is `(-x)|abs` in jinja2: filters bind to the whole.
            Expr::Negative(Box::new(self.unary(false)?))
        } else if self.skip("+") {
            Expr::Positive(Box::new(self.unary(false)?))
        } else {
            self.primary()?
        };
        let value = self.postfix(value)?;
        let value = if with_filters {
            self.filters_and_tests(value)?
        } else {
            value
        };
        self.depth -= 1;
        Ok(value)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        Ok(match self.peek().clone() {
            Token::Name(_) => {
                let name = self.name()?;
                match &*name {
                    "true" | "True" => Expr::Const(Literal::Bool(true)),
                    "false" | "False" => Expr::Const(Literal::Bool(false)),
                    "none" | "None" => Expr::Const(Literal::None),
                    _ => {
                        if matches!(&*name, "loop" | "varargs" | "kwargs" | "caller") {
                            self.pass_on(std::iter::once(name.clone()));
                        }
                        Expr::Name(name)
                    }
                }
            }
            Token::Str(first) => {
                self.at += 1;
                let mut text = first.to_string();
                // Strings side by side are one, as in Python.
                while let Token::Str(more) = self.peek() {
                    text.push_str(more);
                    self.at += 1;
                }
                Expr::Const(Literal::Str(text.into()))
            }
            Token::Int(number) => {
                self.at += 1;
                Expr::Const(Literal::Int(number))
            }
            Token::Float(number) => {
                self.at += 1;
                Expr::Const(Literal::Float(number))
            }
            Token::Operator("(") => {
                self.at += 1;
                if self.skip(")") {
                    return Ok(Expr::Tuple(Vec::new()));
                }
                let inside = self.tuple(true, &[])?;
                self.expect(")")?;
                inside
            }
            Token::Operator("[") => {
                self.at += 1;
                Expr::List(self.until("]", Self::expression)?)
            }
            Token::Operator("{") => {
                self.at += 1;
                Expr::Dict(self.until("}", |parser| {
                    let key = parser.expression()?;
                    parser.expect(":")?;
                    Ok((key, parser.expression()?))
                })?)
            }
            other => return self.fail(format!("unexpected {other}")),
        })
    }

    /// Items with commas between them up to `close`, which is passed.
    fn until<T>(
        &mut self,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        while !self.is(close) {
            if !items.is_empty() {
                self.expect(",")?;
                if self.is(close) {
                    break;
                }
            }
            items.push(item(self)?);
        }
        self.expect(close)?;
        Ok(items)
    }

    fn postfix(&mut self, mut value: Expr) -> Parsed<Expr> {
        let mut links = 0;
        loop {
            if self.skip(".") {
                value = match self.next() {
                    Token::Name(name) => Expr::Attribute(Box::new(value), name),
                    // `x.0` is `x[0]` in Django's manner, which jinja2 keeps.
                    Token::Int(i) => {
                        Expr::Item(Box::new(value), Box::new(Expr::Const(Literal::Int(i))))
                    }
                    _ => return self.fail("a name or a number is needed after the dot"),
                };
            } else if self.skip("[") {
                value = self.subscript(value)?;
            } else if self.is("(") {
                value = Expr::Call(Box::new(value), self.arguments()?);
            } else {
                return Ok(value);
            }
            self.link(&mut links)?;
        }
    }

    fn subscript(&mut self, value: Expr) -> Parsed<Expr> {
        if !self.is(":") {
            let index = self.expression()?;
            if self.is(",") {
                return self.fail("several subscripts in one pair of brackets are not supported");
            }
            if self.skip("]") {
                return Ok(Expr::Item(Box::new(value), Box::new(index)));
            }
            return self.slice(value, Some(index));
        }
        self.slice(value, None)
    }

    fn slice(&mut self, value: Expr, start: Option<Expr>) -> Parsed<Expr> {
        self.expect(":")?;
        let stop = if self.is(":") || self.is("]") {
            None
        } else {
            Some(self.expression()?)
        };
        let step = if self.skip(":") && !self.is("]") {
            Some(self.expression()?)
        } else {
            None
        };
        self.expect("]")?;
        Ok(Expr::Slice(Box::new(value), Box::new([start, stop, step])))
    }

    fn arguments(&mut self) -> Parsed<Arguments> {
        self.expect("(")?;
        let mut arguments = Arguments::default();
        let mut first = true;
        let wrong = "arguments by place come first, then named ones, *rest and **rest";
        while !self.is(")") {
            if !first {
                self.expect(",")?;
                if self.is(")") {
                    break;
                }
            }
            first = false;
            let named = matches!(self.peek(), Token::Name(_))
                && matches!(self.ahead(1), Token::Operator("="));
            if self.skip("*") {
                if arguments.rest.is_some() || arguments.named_rest.is_some() {
                    return self.fail(wrong);
                }
                arguments.rest = Some(Box::new(self.expression()?));
            } else if self.skip("**") {
                if arguments.named_rest.is_some() {
                    return self.fail(wrong);
                }
                arguments.named_rest = Some(Box::new(self.expression()?));
            } else if named {
                let name = self.name()?;
                self.expect("=")?;
                if arguments.named_rest.is_some() {
                    return self.fail(wrong);
                }
                arguments.named.push((name, self.expression()?));
            } else {
                if arguments.rest.is_some()
                    || arguments.named_rest.is_some()
                    || !arguments.named.is_empty()
                {
                    return self.fail(wrong);
                }
                arguments.positional.push(self.expression()?);
            }
        }
        self.expect(")")?;
        Ok(arguments)
    }

    fn filters_and_tests(&mut self, mut value: Expr) -> Parsed<Expr> {
        let mut links = 0;
        loop {
            if self.is("|") {
                self.at += 1;
                value = self.filter(Some(value))?;
            } else if self.skip_word("is") {
                value = self.test(value)?;
            } else if self.is("(") {
                value = Expr::Call(Box::new(value), self.arguments()?);
            } else {
                return Ok(value);
            }
            self.link(&mut links)?;
        }
    }

    fn filter(&mut self, value: Option<Expr>) -> Parsed<Expr> {
        let name = self.dotted()?;
        filter_names::check(&name).map_err(|e| Failure::at(self.line(), e))?;
        if filter_names::MARKUP.contains(&&*name) {
            self.markup.push(self.line());
        }
        let arguments = if self.is("(") {
            self.arguments()?
        } else {
            Arguments::default()
        };
        Ok(Expr::Filter(value.map(Box::new), name, arguments))
    }

    /// The filters of a block, whose first has no bar.
    fn filters(&mut self, value: Option<Expr>) -> Parsed<Expr> {
        let mut filtered = self.filter(value)?;
        let mut links = 0;
        while self.skip("|") {
            self.link(&mut links)?;
            filtered = self.filter(Some(filtered))?;
        }
        Ok(filtered)
    }

    fn piped(&mut self) -> Parsed<Expr> {
        self.expect("|")?;
        self.filters(None)
    }

    fn dotted(&mut self) -> Parsed<Arc<str>> {
        let mut name = self.name()?.to_string();
        while self.skip(".") {
            name.push('.');
            name.push_str(&self.name()?);
        }
        Ok(name.into())
    }

    fn test(&mut self, value: Expr) -> Parsed<Expr> {
        let negated = self.skip_word("not");
        let name = self.dotted()?;
        checks::check(&name).map_err(|e| Failure::at(self.line(), e))?;
        let starts = match self.peek() {
            // These go on with the expression around the test; any other name is its argument.
            Token::Name(next) => !matches!(&**next, "else" | "or" | "and"),
            Token::Str(_) | Token::Int(_) | Token::Float(_) | Token::Operator("[" | "{") => true,
            _ => false,
        };
        let arguments = if self.is("(") {
            self.arguments()?
        } else if starts {
            if self.is_word("is") {
                return self.fail("tests cannot be chained with is");
            }
            self.enter()?;
            let primary = self.primary()?;
            let argument = self.postfix(primary)?;
            self.depth -= 1;
            Arguments {
                positional: vec![argument],
                ..Arguments::default()
            }
        } else {
            Arguments::default()
        };
        let test = Expr::Test(Box::new(value), name, arguments);
        Ok(if negated {
            Expr::Not(Box::new(test))
        } else {
            test
        })
    }
}
