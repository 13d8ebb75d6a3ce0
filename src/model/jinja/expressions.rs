//! Evaluates expressions, and calls what can be called.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::arguments::{Passed, needed, whole};
use super::ast::{Arguments, Comparison, Expr};
use super::budget::{Budget, Failure};
use super::interpreter::Interpreter;
use super::value::{NAME, Namespace, Object, Scope, Sequence, Value, range_length};
use super::{access, arguments, checks, filters, format, methods, operators};

type Made = Result<Value, Failure>;

/// Numbers in a range, as the sandbox limits them.
const MAX_RANGE: usize = 100_000;

const FUNCTIONS: [&str; 9] = [
    "range",
    "dict",
    "namespace",
    "cycler",
    "joiner",
    "raise_exception",
    "strftime_now",
    // Known by name, so that a template which calls it is told so, rather than that it is
    // undefined.
    "lipsum",
    "self",
];

fn unfiltered(filter: &str) -> Failure {
    Failure::new(format!("the filter {filter} has nothing to filter"))
}

impl Interpreter<'_> {
    pub(super) fn eval(&mut self, expr: &Expr, scope: &Rc<Scope>) -> Made {
        self.budget.enter()?;
        let value = self.evaluated(expr, scope)?;
        self.budget.leave();
        Ok(value)
    }

    fn evaluated(&mut self, expr: &Expr, scope: &Rc<Scope>) -> Made {
        match expr {
            Expr::Const(literal) => Ok(literal.into()),
            Expr::Name(name) => named(name, scope, &mut self.budget),
            Expr::List(items) => Value::list(self.all(items, scope)?),
            Expr::Tuple(items) => Value::tuple(self.all(items, scope)?),
            Expr::Dict(entries) => self.dict(entries, scope),
            Expr::Attribute(value, name) => {
                let value = self.eval(value, scope)?;
                access::attribute(&value, name, &mut self.budget)
            }
            Expr::Item(value, key) => {
                let value = self.eval(value, scope)?;
                let key = self.eval(key, scope)?;
                access::item(&value, &key, &mut self.budget)
            }
            Expr::Slice(value, parts) => self.slice(value, parts, scope),
            Expr::Call(callee, arguments) => {
                let callee = self.eval(callee, scope)?;
                let passed = self.pass(arguments, scope)?;
                self.call(&callee, passed)
            }
            Expr::Filter(Some(value), name, arguments) => {
                let value = self.eval(value, scope)?;
                let passed = self.pass(arguments, scope)?;
                filters::call(name, value, passed, &mut self.budget)
            }
            Expr::Filter(None, name, _) => Err(unfiltered(name)),
            Expr::Test(value, name, arguments) => {
                let value = self.eval(value, scope)?;
                let passed = self.pass(arguments, scope)?;
                checks::call(name, &value, passed, &mut self.budget).map(Value::Bool)
            }
            Expr::Negative(value) => operators::negative(&self.eval(value, scope)?),
            Expr::Positive(value) => operators::positive(&self.eval(value, scope)?),
            Expr::Not(value) => Ok(Value::Bool(!self.eval(value, scope)?.is_true())),
            Expr::Binary(operator, left, right) => {
                let left = self.eval(left, scope)?;
                let right = self.eval(right, scope)?;
                operators::binary(*operator, &left, &right, &mut self.budget)
            }
            Expr::Concat(parts) => self.concatenated(parts, scope),
            Expr::Compare(first, rest) => self.compared(first, rest, scope),
            // As in Python, the operand itself is what comes of it, not its truth.
            Expr::And(left, right) => match self.eval(left, scope)? {
                left if left.is_true() => self.eval(right, scope),
                left => Ok(left),
            },
            Expr::Or(left, right) => match self.eval(left, scope)? {
                left if left.is_true() => Ok(left),
                _ => self.eval(right, scope),
            },
            Expr::Conditional(test, value, _) if self.eval(test, scope)?.is_true() => {
                self.eval(value, scope)
            }
            Expr::Conditional(_, _, otherwise) => self.otherwise(otherwise.as_deref(), scope),
        }
    }

    fn otherwise(&mut self, otherwise: Option<&Expr>, scope: &Rc<Scope>) -> Made {
        match otherwise {
            Some(otherwise) => self.eval(otherwise, scope),
            None => Ok(Value::undefined(
                "the inline if-expression evaluated to false and no else was given",
            )),
        }
    }

    fn slice(&mut self, value: &Expr, parts: &[Option<Expr>; 3], scope: &Rc<Scope>) -> Made {
        let value = self.eval(value, scope)?;
        let mut made = [Value::None, Value::None, Value::None];
        for (slot, part) in made.iter_mut().zip(parts) {
            if let Some(part) = part {
                *slot = self.eval(part, scope)?;
            }
        }
        access::slice(&value, made, &mut self.budget)
    }

    fn concatenated(&mut self, parts: &[Expr], scope: &Rc<Scope>) -> Made {
        let mut out = String::new();
        for part in parts {
            let part = self.eval(part, scope)?;
            // Whatever it is; an undefined value is empty.
            part.write_text(&mut out, &mut self.budget)?;
        }
        Ok(Value::Str(out.into()))
    }

    /// Compares as `a < b < c`: each operand is evaluated once, and none behind the first that fails.
    fn compared(&mut self, first: &Expr, rest: &[(Comparison, Expr)], scope: &Rc<Scope>) -> Made {
        let mut left = self.eval(first, scope)?;
        for (comparison, right) in rest {
            let right = self.eval(right, scope)?;
            if !operators::compare(*comparison, &left, &right, &mut self.budget)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    fn all(&mut self, items: &[Expr], scope: &Rc<Scope>) -> Result<Vec<Value>, Failure> {
        self.budget.items(items.len())?;
        items.iter().map(|item| self.eval(item, scope)).collect()
    }

    fn dict(&mut self, entries: &[(Expr, Expr)], scope: &Rc<Scope>) -> Made {
        let mut made = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key = self.eval(key, scope)?;
            let value = self.eval(value, scope)?;
            self.insert(&mut made, key, value)?;
        }
        Value::dict(made)
    }

    /// Adds an entry, or puts another value under its key.
    fn insert(
        &mut self,
        entries: &mut Vec<(Value, Value)>,
        key: Value,
        value: Value,
    ) -> Result<(), Failure> {
        if !key.is_hashable(&mut self.budget)? {
            return Err(Failure::new(format!("unhashable type: {:?}", key.kind())));
        }
        // A list, not a map: order is that of insertion, and equality is Python's (1, 1.0 and True
        // are one key).
        for (known, old) in entries.iter_mut() {
            if known.equals(&key, &mut self.budget)? {
                *old = value;
                return Ok(());
            }
        }
        entries.push((key, value));
        Ok(())
    }

    pub(super) fn pass(
        &mut self,
        arguments: &Arguments,
        scope: &Rc<Scope>,
    ) -> Result<Passed, Failure> {
        let mut passed = Passed::of(self.all(&arguments.positional, scope)?);
        for (name, value) in &arguments.named {
            passed.named.push((name.clone(), self.eval(value, scope)?));
        }
        // Anything that has items; `**rest` below is a dict whose keys are texts.
        if let Some(rest) = &arguments.rest {
            let rest = self.eval(rest, scope)?;
            passed.positional.extend(rest.items(&mut self.budget)?);
        }
        if let Some(rest) = &arguments.named_rest {
            let Value::Dict(dict) = self.eval(rest, scope)? else {
                return Err(Failure::new("what follows ** must be a dict"));
            };
            self.budget.items(dict.entries.len())?;
            for (key, value) in &dict.entries {
                passed.named.push((
                    arguments::text(key.clone(), "a name after **")?,
                    value.clone(),
                ));
            }
        }
        Ok(passed)
    }

    /// Puts a block's or a set's text through its filters, the innermost of which has no value of
    /// its own.
    pub(super) fn filtered(&mut self, filter: &Expr, text: Value, scope: &Rc<Scope>) -> Made {
        let Expr::Filter(inner, name, arguments) = filter else {
            return Err(Failure::new("a filter is needed"));
        };
        let value = match inner {
            Some(inner) => self.filtered(inner, text, scope)?,
            None => text,
        };
        let passed = self.pass(arguments, scope)?;
        filters::call(name, value, passed, &mut self.budget)
    }

    pub(super) fn call(&mut self, callee: &Value, passed: Passed) -> Made {
        let object = match callee {
            Value::Undefined(message) => return Err(Failure::new(&**message)),
            Value::Object(object) => object,
            other => {
                return Err(Failure::new(format!(
                    "{:?} object is not callable",
                    other.kind()
                )));
            }
        };
        match &**object {
            Object::Macro(made, scope) => self.call_macro(made, scope, passed),
            Object::Loop(this) => self.recurse(this, passed),
            Object::Function(name) => self.function(name, passed),
            Object::Method(value, name) => self.method(value, name, passed),
            Object::Joiner(between, used) => {
                let [] = passed.positional("joiner")?;
                // Nothing at the first call, which has nothing before it to be parted from.
                Ok(if used.replace(true) {
                    between.clone()
                } else {
                    Value::str("")
                })
            }
            Object::Namespace(_) | Object::Cycler(..) => Err(Failure::new(format!(
                "{:?} object is not callable",
                callee.kind()
            ))),
        }
    }

    fn method(&mut self, value: &Value, name: &Arc<str>, passed: Passed) -> Made {
        match (value, &**name) {
            (Value::Str(pattern), "format") => self.format(pattern, passed),
            (Value::Object(object), _) => match (&**object, &**name) {
                (Object::Cycler(items, at), "next") => {
                    let [] = passed.positional("next")?;
                    let value = items.items.get(at.get()).cloned();
                    // Never without items: the function `cycler` refuses that.
                    at.set((at.get() + 1) % items.items.len().max(1));
                    value.ok_or_else(|| Failure::new("a cycler without items"))
                }
                (Object::Cycler(_, at), "reset") => {
                    let [] = passed.positional("reset")?;
                    at.set(0);
                    Ok(Value::None)
                }
                (Object::Loop(this), "cycle") => {
                    if passed.positional.is_empty() {
                        return Err(Failure::new("no items for cycling given"));
                    }
                    let at = this.index.get() % passed.positional.len();
                    Ok(passed.positional[at].clone())
                }
                (Object::Loop(_), "changed") => {
                    let now = Value::tuple(passed.positional)?;
                    self.has_changed(object, now).map(Value::Bool)
                }
                _ => Err(Failure::new(format!("no method {name}"))),
            },
            _ => methods::call(value, name, passed, &mut self.budget),
        }
    }

    /// Python's `str.format`.
    fn format(&mut self, pattern: &str, passed: Passed) -> Made {
        self.budget.charge(pattern.len())?;
        let mut out = String::new();
        let (mut next, mut numbered) = (0, None);
        for piece in format::pieces(pattern)? {
            let field = match piece {
                format::Piece::Text(text) => {
                    self.budget.text(text.len())?;
                    out.push_str(text);
                    continue;
                }
                format::Piece::Field(field) => field,
            };
            // `{user.name}` and `{parts[0]}`: the argument, then attributes and items of it.
            let end = field.name.find(['.', '[']).unwrap_or(field.name.len());
            let (first, mut rest) = field.name.split_at(end);
            if (first.is_empty() || first.bytes().all(|b| b.is_ascii_digit()))
                // Python refuses to mix `{}` and `{0}` in one pattern.
                && *numbered.get_or_insert(first.is_empty()) != first.is_empty()
            {
                return Err(Failure::new(
                    "fields with and without numbers in one format",
                ));
            }
            let mut value = if let Some(index) = if first.is_empty() {
                Some(next)
            } else {
                first.parse().ok()
            } {
                next += usize::from(first.is_empty());
                let missing = || Failure::new("a field of the format has no argument");
                passed.positional.get(index).cloned().ok_or_else(missing)?
            } else {
                self.budget.charge(passed.named.len() * NAME)?;
                let named = passed.named.iter().find(|(name, _)| **name == *first);
                named
                    .map(|(_, value)| value.clone())
                    .ok_or_else(|| Failure::new(format!("no argument {first}")))?
            };
            while !rest.is_empty() {
                if let Some(after) = rest.strip_prefix('.') {
                    let end = after.find(['.', '[']).unwrap_or(after.len());
                    value = access::attribute(&value, &after[..end].into(), &mut self.budget)?;
                    rest = &after[end..];
                } else {
                    let (key, after) = rest[1..]
                        .split_once(']')
                        .ok_or_else(|| Failure::new("missing ']' in format"))?;
                    // `{0[1]}` is an index and `{0[a]}` a key, without quotation marks, as in
                    // `str.format`.
                    let key = key.parse().map_or_else(|_| Value::str(key), Value::Int);
                    value = access::item(&value, &key, &mut self.budget)?;
                    rest = after;
                }
            }
            field.write(&value, &mut out, &mut self.budget)?;
        }
        Ok(Value::Str(out.into()))
    }

    fn function(&mut self, name: &str, passed: Passed) -> Made {
        match name {
            "range" => range(passed),
            "dict" => Value::dict(self.entries(name, passed)?),
            "namespace" => {
                let namespace = Namespace::default();
                for (key, value) in self.entries(name, passed)? {
                    let name = arguments::text(key, "an attribute of a namespace")?;
                    namespace.set(&name, value, &mut self.budget)?;
                }
                // Known to the interpreter, which empties it at the end: it may hold itself.
                Ok(self.namespace(namespace))
            }
            "cycler" => {
                if passed.positional.is_empty() || !passed.named.is_empty() {
                    return Err(Failure::new("at least one item has to be provided"));
                }
                let items = Sequence::new(passed.positional)?;
                Ok(Value::Object(Object::Cycler(items, Cell::new(0)).into()))
            }
            "joiner" => {
                let [between] = passed.bind("joiner", ["sep"])?;
                let between = between.unwrap_or_else(|| Value::str(", "));
                Ok(Value::Object(
                    Object::Joiner(between, Cell::new(false)).into(),
                ))
            }
            // How templates refuse a conversation: its words are the error of the request.
            "raise_exception" => {
                let [message] = passed.bind(name, ["message"])?;
                let message = needed(message, name, "message")?.text(&mut self.budget)?;
                Err(Failure {
                    line: 0,
                    // A template may raise with a whole conversation in its words; some gRPC
                    // clients lose the code of a status that is longer than 4,000 characters.
                    message: message.chars().take(1000).collect(),
                    raised: true,
                })
            }
            "strftime_now" => {
                let [format] = passed.bind(name, ["format"])?;
                let format = arguments::text(needed(format, name, "format")?, name)?;
                // What strftime makes may be 256 times as long, and no budget is asked for that.
                if format.len() > 1000 {
                    return Err(Failure::new(
                        "strftime_now: a format of at most 1000 bytes is taken",
                    ));
                }
                let now = (self.now)(&format).map_err(Failure::new)?;
                Ok(Value::Str(now.into()))
            }
            _ => Err(Failure::new(format!(
                "the function {name} is not supported in a chat template"
            ))),
        }
    }

    /// Returns the keys and values that Python's `dict` makes of its arguments; those by name come
    /// last, and replace others.
    fn entries(&mut self, name: &str, passed: Passed) -> Result<Vec<(Value, Value)>, Failure> {
        let mut entries = Vec::new();
        match &passed.positional[..] {
            [] => {}
            // A copy, since values never change: what is named replaces entries of it alone.
            [Value::Dict(dict)] => {
                self.budget.items(dict.entries.len())?;
                entries.clone_from(&dict.entries);
            }
            [pairs] => {
                for pair in pairs.items(&mut self.budget)? {
                    let pair = pair.items(&mut self.budget)?;
                    let [key, value] = &pair[..] else {
                        return Err(Failure::new(format!(
                            "{name} needs pairs of keys and values"
                        )));
                    };
                    self.insert(&mut entries, key.clone(), value.clone())?;
                }
            }
            _ => {
                return Err(Failure::new(format!(
                    "{name} takes at most 1 argument by place"
                )));
            }
        }
        for (key, value) in passed.named {
            self.insert(&mut entries, Value::Str(key), value)?;
        }
        Ok(entries)
    }
}

/// Makes a range. The sandbox of jinja2 limits its length, since a range costs nothing until it is
/// looped over.
fn range(passed: Passed) -> Made {
    let [first, second, step] = passed.positional("range")?;
    let first = whole(Some(needed(first, "range", "stop")?), "range", 0)?;
    let (first, end) = match second {
        // One argument is the end, two are the start and the end.
        Some(end) => (first, whole(Some(end), "range", 0)?),
        None => (0, first),
    };
    let step = whole(step, "range", 1)?;
    if step == 0 {
        return Err(Failure::new("range() arg 3 must not be zero"));
    }
    if range_length(first, end, step) > MAX_RANGE {
        return Err(Failure::new(format!(
            "a range of more than {MAX_RANGE} numbers"
        )));
    }
    Ok(Value::Range(first, end, step))
}

/// Returns the value of a variable, or the function of that name.
fn named(name: &Arc<str>, scope: &Rc<Scope>, budget: &mut Budget) -> Made {
    // Variables hide functions of their name, as globals of jinja2's environment are hidden.
    if let Some(value) = scope.get(name, budget)? {
        return Ok(value);
    }
    Ok(match FUNCTIONS.iter().find(|f| **f == &**name) {
        Some(function) => Value::Object(Object::Function(function).into()),
        None => Value::undefined(format!("'{name}' is undefined")),
    })
}
