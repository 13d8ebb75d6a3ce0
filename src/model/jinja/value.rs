//! Values of a template, with Python's truth, equality and order; `repr.rs` writes their text.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use super::ast::{For, Literal, Macro};
use super::budget::{Budget, Failure};

/// Values that may stand inside one another.
const NESTING: u32 = 64;

/// Units of work for a name that a search passes, as [`Value::equals`] takes for a key.
pub(super) const NAME: usize = 4;

/// A value. Lists and dicts are never changed: the sandbox of transformers forbids it.
#[derive(Debug, Clone)]
pub(in crate::model) enum Value {
    /// An undefined value, with the message of the error that using it is.
    Undefined(Arc<str>),
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    // `Arc`, since constants belong to the template, which threads share; the rest lives and dies
    // in one rendering.
    Str(Arc<str>),
    List(Rc<Sequence>),
    Tuple(Rc<Sequence>),
    Dict(Rc<Dict>),
    /// `dict.keys()`, `.values()` or `.items()`.
    View(View, Rc<Dict>),
    /// First, end, step.
    Range(i64, i64, i64),
    /// A generator: it can be read once.
    Iterator(Rc<Queue>),
    Object(Rc<Object>),
}

/// The items of a list or a tuple.
#[derive(Debug)]
pub(in crate::model) struct Sequence {
    pub(super) items: Vec<Value>,
    depth: u32,
}

/// Keys and values in the order of insertion.
#[derive(Debug, Default)]
pub(in crate::model) struct Dict {
    pub(super) entries: Vec<(Value, Value)>,
    depth: u32,
}

/// The rest of a generator.
#[derive(Debug)]
pub(in crate::model) struct Queue {
    pub(super) items: RefCell<VecDeque<Value>>,
    depth: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model) enum View {
    Keys,
    Values,
    Items,
}

/// A value that is neither data nor text.
#[derive(Debug)]
pub(in crate::model) enum Object {
    Namespace(Namespace),
    /// A macro with the scope that it was written in.
    Macro(Arc<Macro>, Rc<Scope>),
    /// A function by its name.
    Function(&'static str),
    /// A method of a value, by name.
    Method(Value, Arc<str>),
    Loop(Loop),
    Cycler(Sequence, Cell<usize>),
    Joiner(Value, Cell<bool>),
}

/// The one thing with attributes that can be set.
#[derive(Debug, Default)]
pub(in crate::model) struct Namespace {
    pub(super) attributes: RefCell<Vec<(Arc<str>, Value)>>,
    depth: Cell<u32>,
}

/// The variable `loop`.
#[derive(Debug)]
pub(in crate::model) struct Loop {
    pub(super) index: Cell<usize>,
    pub(super) items: Sequence,
    pub(super) depth: usize,
    /// A recursive loop's own statement, and the scope around it.
    pub(super) recursive: Option<(Arc<For>, Rc<Scope>)>,
    pub(super) changed: RefCell<Option<Value>>,
}

impl Namespace {
    pub(super) fn set(
        &self,
        name: &Arc<str>,
        value: Value,
        budget: &mut Budget,
    ) -> Result<(), Failure> {
        self.depth.set(self.depth.get().max(deeper([&value])?));
        set_among(&mut self.attributes.borrow_mut(), name, value, budget)
    }

    pub(super) fn get(&self, name: &str, budget: &mut Budget) -> Result<Option<Value>, Failure> {
        among(&self.attributes.borrow(), name, budget)
    }
}

impl Sequence {
    pub(super) fn new(items: Vec<Value>) -> Result<Self, Failure> {
        let depth = deeper(&items)?;
        Ok(Self { items, depth })
    }
}

/// Looks a name up, and pays for those before it: a template may make thousands.
fn among(
    named: &[(Arc<str>, Value)],
    name: &str,
    budget: &mut Budget,
) -> Result<Option<Value>, Failure> {
    let at = named.iter().position(|(known, _)| **known == *name);
    budget.charge(at.unwrap_or(named.len()) * NAME)?;
    Ok(at.map(|at| named[at].1.clone()))
}

/// Sets a name to a value, and pays for those before it.
fn set_among(
    named: &mut Vec<(Arc<str>, Value)>,
    name: &Arc<str>,
    value: Value,
    budget: &mut Budget,
) -> Result<(), Failure> {
    let at = named.iter().position(|(known, _)| known == name);
    budget.charge(at.unwrap_or(named.len()) * NAME)?;
    match at {
        Some(at) => named[at].1 = value,
        None => named.push((name.clone(), value)),
    }
    Ok(())
}

/// Returns one more than the deepest of `values`.
fn deeper<'a>(values: impl IntoIterator<Item = &'a Value>) -> Result<u32, Failure> {
    let depth = 1 + values.into_iter().map(Value::depth).max().unwrap_or(0);
    // What is nested deeply is also dropped and printed recursively.
    if depth > NESTING {
        return Err(Failure::new(format!(
            "more than {NESTING} lists, dicts and namespaces inside one another"
        )));
    }
    Ok(depth)
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text.into())
    }
}

impl From<&Literal> for Value {
    fn from(literal: &Literal) -> Self {
        match literal {
            Literal::None => Self::None,
            Literal::Bool(b) => Self::Bool(*b),
            Literal::Int(i) => Self::Int(*i),
            Literal::Float(f) => Self::Float(*f),
            Literal::Str(s) => Self::Str(s.clone()),
        }
    }
}

/// Variables, and the scope around them.
#[derive(Debug, Default)]
pub(in crate::model) struct Scope {
    pub(super) variables: RefCell<Vec<(Arc<str>, Value)>>,
    pub(super) parent: Option<Rc<Scope>>,
}

impl Scope {
    /// Creates a scope inside `parent`.
    pub(super) fn inside(parent: &Rc<Self>) -> Rc<Self> {
        Rc::new(Self {
            variables: RefCell::default(),
            parent: Some(parent.clone()),
        })
    }

    pub(super) fn set(
        &self,
        name: &Arc<str>,
        value: Value,
        budget: &mut Budget,
    ) -> Result<(), Failure> {
        set_among(&mut self.variables.borrow_mut(), name, value, budget)
    }

    pub(super) fn get(&self, name: &str, budget: &mut Budget) -> Result<Option<Value>, Failure> {
        let mut scope = Some(self);
        // Innermost first: a name that is set inside hides that of a scope around.
        while let Some(at) = scope {
            if let Some(value) = among(&at.variables.borrow(), name, budget)? {
                return Ok(Some(value));
            }
            scope = at.parent.as_deref();
        }
        Ok(None)
    }
}

impl Value {
    pub(in crate::model) fn str(text: &str) -> Self {
        Self::Str(text.into())
    }

    pub(super) fn undefined(message: impl Into<String>) -> Self {
        Self::Undefined(message.into().into())
    }

    pub(in crate::model) fn list(items: Vec<Self>) -> Result<Self, Failure> {
        Ok(Self::List(Rc::new(Sequence::new(items)?)))
    }

    pub(super) fn tuple(items: Vec<Self>) -> Result<Self, Failure> {
        Ok(Self::Tuple(Rc::new(Sequence::new(items)?)))
    }

    /// Keys must be hashable, and there is one of each.
    pub(in crate::model) fn dict(entries: Vec<(Self, Self)>) -> Result<Self, Failure> {
        let depth = deeper(entries.iter().flat_map(|(k, v)| [k, v]))?;
        Ok(Self::Dict(Rc::new(Dict { entries, depth })))
    }

    pub(super) fn iterator(items: Vec<Self>) -> Result<Self, Failure> {
        let depth = deeper(&items)?;
        Ok(Self::Iterator(Rc::new(Queue {
            items: RefCell::new(items.into()),
            depth,
        })))
    }

    fn depth(&self) -> u32 {
        match self {
            Self::List(s) | Self::Tuple(s) => s.depth,
            Self::Dict(d) | Self::View(_, d) => d.depth,
            Self::Iterator(q) => q.depth,
            Self::Object(object) => match &**object {
                // The deepest that it ever had: attributes may be replaced by shallower ones, which
                // need not be counted again.
                Object::Namespace(n) => n.depth.get(),
                Object::Method(value, _) | Object::Joiner(value, _) => 1 + value.depth(),
                Object::Cycler(items, _) => items.depth,
                Object::Loop(l) => l.items.depth,
                Object::Macro(..) | Object::Function(_) => 1,
            },
            _ => 0,
        }
    }

    /// Returns Python's name of the type.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::View(View::Keys, _) => "dict_keys",
            Self::View(View::Values, _) => "dict_values",
            Self::View(View::Items, _) => "dict_items",
            Self::Range(..) => "range",
            Self::Iterator(_) => "generator",
            Self::Object(object) => match &**object {
                Object::Namespace(_) => "Namespace",
                Object::Macro(..) => "Macro",
                Object::Function(_) => "function",
                Object::Method(..) => "builtin_function_or_method",
                Object::Loop(_) => "LoopContext",
                Object::Cycler(..) => "Cycler",
                Object::Joiner(..) => "Joiner",
            },
        }
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(b) => *b,
            Self::Int(i) => *i != 0,
            Self::Float(f) => *f != 0.0,
            Self::Str(s) => !s.is_empty(),
            Self::List(s) | Self::Tuple(s) => !s.items.is_empty(),
            Self::Dict(d) | Self::View(_, d) => !d.entries.is_empty(),
            Self::Range(first, end, step) => range_length(*first, *end, *step) > 0,
            // A generator is true in Python, whether or not anything is left in it.
            Self::Iterator(_) | Self::Object(_) => true,
        }
    }

    /// Returns an int, or a bool as one.
    pub(super) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(i) => Some(*i),
            Self::Bool(b) => Some(i64::from(*b)),
            _ => None,
        }
    }

    pub(super) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(f) => Some(*f),
            other => other.as_int().map(|i| i as f64),
        }
    }

    /// Says how many items it has; `None` where Python's `len` fails.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            // transformers' environment has jinja2's lenient `Undefined`, which is empty and prints
            // nothing.
            Self::Undefined(_) => Some(0),
            Self::Str(s) => Some(s.chars().count()),
            Self::List(s) | Self::Tuple(s) => Some(s.items.len()),
            Self::Dict(d) | Self::View(_, d) => Some(d.entries.len()),
            Self::Range(first, end, step) => Some(range_length(*first, *end, *step)),
            Self::Object(object) => match &**object {
                Object::Loop(l) => Some(l.items.items.len()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the items that a loop goes through; a generator's are used up.
    pub(super) fn items(&self, budget: &mut Budget) -> Result<Vec<Self>, Failure> {
        let count = match self {
            Self::Iterator(q) => q.items.borrow().len(),
            // Bytes, which are at least as many as its characters.
            Self::Str(s) => s.len(),
            other => other.length().unwrap_or(0),
        };
        // Before the list is made.
        budget.items(count)?;
        Ok(match self {
            Self::Undefined(_) => Vec::new(),
            Self::Str(s) => s
                .chars()
                .map(|c| Self::str(c.encode_utf8(&mut [0; 4])))
                .collect(),
            Self::List(s) | Self::Tuple(s) => s.items.clone(),
            Self::Dict(d) | Self::View(View::Keys, d) => {
                d.entries.iter().map(|(k, _)| k.clone()).collect()
            }
            Self::View(View::Values, d) => d.entries.iter().map(|(_, v)| v.clone()).collect(),
            Self::View(View::Items, d) => {
                let pair = |(k, v): &(Self, Self)| Self::tuple(vec![k.clone(), v.clone()]);
                d.entries.iter().map(pair).collect::<Result<_, _>>()?
            }
            Self::Range(first, end, step) => {
                let count = range_length(*first, *end, *step);
                (0..count as i64)
                    // Never wraps: all are between the ends of the range.
                    .map(|i| Self::Int(first.wrapping_add(i.wrapping_mul(*step))))
                    .collect()
            }
            // A second loop over it finds nothing, as in Python.
            Self::Iterator(q) => q.items.borrow_mut().drain(..).collect(),
            other => {
                return Err(Failure::new(format!(
                    "{:?} object is not iterable",
                    other.kind()
                )));
            }
        })
    }

    pub(super) fn equals(&self, other: &Self, budget: &mut Budget) -> Result<bool, Failure> {
        budget.charge(4)?;
        Ok(match (self, other) {
            // Undefined values are equal to one another, as jinja2's are.
            (Self::Undefined(_), Self::Undefined(_)) | (Self::None, Self::None) => true,
            (Self::Str(a), Self::Str(b)) => {
                budget.charge(a.len().min(b.len()))?;
                a == b
            }
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => {
                if a.items.len() != b.items.len() {
                    return Ok(false);
                }
                for (a, b) in a.items.iter().zip(&b.items) {
                    if !a.equals(b, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Dict(a), Self::Dict(b)) => {
                if a.entries.len() != b.entries.len() {
                    return Ok(false);
                }
                for (key, value) in &a.entries {
                    match b.get(key, budget)? {
                        Some(found) if value.equals(found, budget)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            // Python compares what they hold: `range(0)` equals `range(2, 1)`.
            (Self::Range(..), Self::Range(..)) => {
                let (a, b) = (self.items(budget)?, other.items(budget)?);
                Self::list(a)?.equals(&Self::list(b)?, budget)?
            }
            (Self::View(..), Self::View(..)) => {
                return Err(Failure::new("views of dicts are not compared; use |list"));
            }
            (Self::Iterator(a), Self::Iterator(b)) => Rc::ptr_eq(a, b),
            // By identity, as Python compares objects without an `__eq__`.
            (Self::Object(a), Self::Object(b)) => Rc::ptr_eq(a, b),
            // Numbers and booleans are equal by value; values of other kinds never are.
            (a, b) => match (a.as_int(), b.as_int()) {
                (Some(a), Some(b)) => a == b,
                _ => numbers(a, b) == Some(Ordering::Equal),
            },
        })
    }

    /// Returns the order of two values; an error where Python has none.
    pub(super) fn order(
        &self,
        other: &Self,
        budget: &mut Budget,
    ) -> Result<Option<Ordering>, Failure> {
        budget.charge(4)?;
        match (self, other) {
            // Using an undefined value is the error that it carries.
            (Self::Undefined(message), _) | (_, Self::Undefined(message)) => {
                Err(Failure::new(&**message))
            }
            (Self::Str(a), Self::Str(b)) => {
                budget.charge(a.len().min(b.len()))?;
                Ok(Some(a.cmp(b)))
            }
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => {
                for (a, b) in a.items.iter().zip(&b.items) {
                    // The first pair that differs decides.
                    if !a.equals(b, budget)? {
                        return a.order(b, budget);
                    }
                }
                Ok(Some(a.items.len().cmp(&b.items.len())))
            }
            (a, b) => match (a.as_int(), b.as_int()) {
                (Some(a), Some(b)) => Ok(Some(a.cmp(&b))),
                _ if a.as_float().is_some() && b.as_float().is_some() => Ok(numbers(a, b)),
                _ => Err(Failure::new(format!(
                    "{:?} and {:?} have no order",
                    a.kind(),
                    b.kind()
                ))),
            },
        }
    }

    /// Tells whether it can be a key.
    pub(super) fn is_hashable(&self, budget: &mut Budget) -> Result<bool, Failure> {
        match self {
            Self::List(_) | Self::Dict(_) | Self::View(..) => Ok(false),
            // A tuple is hashable as far as its items are, which may be one tuple many times.
            Self::Tuple(s) => {
                for item in &s.items {
                    budget.charge(4)?;
                    if !item.is_hashable(budget)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ => Ok(true),
        }
    }
}

/// Returns the order of two numbers of which one is a float; `None` where one is no number, or NaN,
/// of which every comparison is false.
fn numbers(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Float(a), b) => whole_and_float(b.as_int()?, *a).map(Ordering::reverse),
        (a, Value::Float(b)) => whole_and_float(a.as_int()?, *b),
        _ => None,
    }
}

/// Returns the order of a whole number and a float by what both are, as Python does: as floats,
/// 2^53 and 2^53 + 1 would be equal.
fn whole_and_float(a: i64, b: f64) -> Option<Ordering> {
    // The powers of two just outside of 64 bits are floats; the largest whole number is none.
    let outside = 2f64.powi(63);
    if b.is_nan() {
        None
    } else if b >= outside {
        Some(Ordering::Less)
    } else if b < -outside {
        Some(Ordering::Greater)
    } else {
        let fraction = 0.0.partial_cmp(&b.fract());
        Some(a.cmp(&(b.trunc() as i64)).then(fraction?))
    }
}

impl Dict {
    pub(super) fn get(&self, key: &Value, budget: &mut Budget) -> Result<Option<&Value>, Failure> {
        // One by one: keys are equal as Python has it (1, 1.0 and True are one), which no hash here
        // knows, and a template's dicts are small.
        for (known, value) in &self.entries {
            if known.equals(key, budget)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

pub(super) fn range_length(first: i64, end: i64, step: i64) -> usize {
    // Two numbers of 64 bits may be further apart than 64 bits can say.
    let (first, end, step) = (i128::from(first), i128::from(end), i128::from(step));
    let length = match step {
        0 => 0,
        1.. => (end - first + step - 1).div_euclid(step),
        _ => (first - end - step - 1).div_euclid(-step),
    };
    length.clamp(0, i64::MAX.into()) as usize
}
