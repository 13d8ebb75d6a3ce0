//! Expressions, with jinja2's precedence.

use std::sync::Arc;

use super::{CHAIN, HEIGHT, Parsed, Parser};
use crate::model::jinja::ast::{Arguments, Comparison, Expr, Literal, Operator};
use crate::model::jinja::budget::Failure;
use crate::model::jinja::checks;
use crate::model::jinja::filter_names;
use crate::model::jinja::lexer::Token;

impl Parser {
    pub(super) fn is_tuple_end(&self, ends: &[&str]) -> bool {
        matches!(
            self.peek(),
            Token::PrintEnd | Token::BlockEnd | Token::Operator(")")
        ) || matches!(self.peek(), Token::Name(name) if ends.contains(&&**name))
    }

    /// Parses an expression, or several with commas as a tuple. `conditional` says whether `a if b
    /// else c` may stand there.
    pub(super) fn tuple(&mut self, conditional: bool, ends: &[&str]) -> Parsed<Expr> {
        let mut items = Vec::new();
        let mut several = false;
        loop {
            // Behind a comma that ends the tuple.
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
        let around = self.enter()?;
        let parsed = self.or()?;
        self.leave(around);
        Ok(parsed)
    }

    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        let around = self.enter()?;
        let mut value = self.or()?;
        let mut links = 0;
        while self.skip_word("if") {
            let test = self.operand(&mut links, Self::or)?;
            let otherwise = if self.skip_word("else") {
                Some(Box::new(self.expression()?))
            } else {
                None
            };
            value = Expr::Conditional(test, Box::new(value), otherwise);
        }
        self.leave(around);
        Ok(value)
    }

    /// Counts what stands in a row, since each wraps the one before.
    fn link(&mut self, links: &mut usize) -> Parsed<()> {
        *links += 1;
        self.height += 1;
        if *links > CHAIN {
            return self.fail(format!("more than {CHAIN} operators or filters in a row"));
        }
        if self.height > HEIGHT {
            return self.fail(format!(
                "more than {HEIGHT} operators, subscripts, filters and blocks inside one another"
            ));
        }
        Ok(())
    }

    /// Parses what stands beside something else, and is no higher by it.
    fn beside(&mut self, parse: fn(&mut Self) -> Parsed<Expr>) -> Parsed<Expr> {
        let left = std::mem::take(&mut self.height);
        let right = parse(self)?;
        self.height = self.height.max(left);
        Ok(right)
    }

    /// Parses what stands behind an operator, which is one more link.
    fn operand(
        &mut self,
        links: &mut usize,
        parse: fn(&mut Self) -> Parsed<Expr>,
    ) -> Parsed<Box<Expr>> {
        let right = self.beside(parse)?;
        self.link(links)?;
        Ok(Box::new(right))
    }

    fn or(&mut self) -> Parsed<Expr> {
        let mut left = self.and()?;
        let mut links = 0;
        while self.skip_word("or") {
            left = Expr::Or(Box::new(left), self.operand(&mut links, Self::and)?);
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed<Expr> {
        let mut left = self.not()?;
        let mut links = 0;
        while self.skip_word("and") {
            left = Expr::And(Box::new(left), self.operand(&mut links, Self::not)?);
        }
        Ok(left)
    }

    fn not(&mut self) -> Parsed<Expr> {
        // Counted rather than nested: `not not not ..` would go as deep as it is long.
        let mut negations = 0;
        while self.skip_word("not") {
            negations += 1;
        }
        let mut value = self.compare()?;
        let mut links = 0;
        for _ in 0..negations {
            self.link(&mut links)?;
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
            rest.push((comparison, self.beside(Self::sum)?));
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
            let right = self.operand(&mut links, Self::concat)?;
            left = Expr::Binary(operator, Box::new(left), right);
        }
    }

    fn concat(&mut self) -> Parsed<Expr> {
        let first = self.product()?;
        if !self.is("~") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.skip("~") {
            parts.push(self.beside(Self::product)?);
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
            let right = self.operand(&mut links, Self::power)?;
            left = Expr::Binary(operator, Box::new(left), right);
        }
    }

    fn power(&mut self) -> Parsed<Expr> {
        // Of signed operands: `-2 ** 2` is 4 in jinja2, other than in Python.
        let mut left = self.unary(true)?;
        let mut links = 0;
        // To the left, as jinja2 has it.
        while self.skip("**") {
            let right = self.operand(&mut links, |parser| parser.unary(true))?;
            left = Expr::Binary(Operator::Power, Box::new(left), right);
        }
        Ok(left)
    }

    fn unary(&mut self, with_filters: bool) -> Parsed<Expr> {
        let around = self.enter()?;
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
        self.leave(around);
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
                        // Whether they are read decides how a loop runs, and which arguments a
                        // macro takes.
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
            // Brackets make no tuple, but for an empty pair; commas do.
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

    /// Parses items with commas between them up to `close`, which is passed.
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
            // jinja2 calls what a filter or a test has made.
            } else if self.is("(") {
                value = Expr::Call(Box::new(value), self.arguments()?);
            } else {
                return Ok(value);
            }
            self.link(&mut links)?;
        }
    }

    pub(super) fn filter(&mut self, value: Option<Expr>) -> Parsed<Expr> {
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

    /// Parses the filters of a block, whose first has no bar.
    pub(super) fn filters(&mut self, value: Option<Expr>) -> Parsed<Expr> {
        let around = self.enter()?;
        let mut filtered = self.filter(value)?;
        let mut links = 0;
        while self.skip("|") {
            filtered = self.filter(Some(filtered))?;
            self.link(&mut links)?;
        }
        self.leave(around);
        Ok(filtered)
    }

    pub(super) fn piped(&mut self) -> Parsed<Expr> {
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
            let around = self.enter()?;
            let primary = self.primary()?;
            let argument = self.postfix(primary)?;
            self.leave(around);
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
