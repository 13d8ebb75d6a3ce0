//! The syntax tree of a template.

use std::sync::Arc;

/// A constant.
#[derive(Debug, Clone)]
pub(super) enum Literal {
    None,
    Bool(bool),
    // Python's have no end; a number beyond 64 bits is an error where it is read.
    Int(i64),
    Float(f64),
    Str(Arc<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn,
}

#[derive(Debug)]
pub(super) enum Expr {
    Const(Literal),
    Name(Arc<str>),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    Attribute(Box<Expr>, Arc<str>),
    Item(Box<Expr>, Box<Expr>),
    /// `[start:stop:step]`.
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    Call(Box<Expr>, Arguments),
    /// The value is `None` where a block is filtered.
    Filter(Option<Box<Expr>>, Arc<str>, Arguments),
    Test(Box<Expr>, Arc<str>, Arguments),
    Negative(Box<Expr>),
    Positive(Box<Expr>),
    Not(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    Concat(Vec<Expr>),
    // A chain, `a < b < c`, in which `b` is evaluated once.
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    /// Test, value, else.
    // Without an else the value is undefined, and prints nothing.
    Conditional(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
}

/// Arguments of a call, a filter or a test.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) positional: Vec<Expr>,
    pub(super) named: Vec<(Arc<str>, Expr)>,
    /// `*rest`.
    pub(super) rest: Option<Box<Expr>>,
    /// `**rest`.
    pub(super) named_rest: Option<Box<Expr>>,
}

/// The target of an assignment.
#[derive(Debug)]
pub(super) enum Target {
    Name(Arc<str>),
    /// A namespace and its attribute.
    Attribute(Arc<str>, Arc<str>),
    Tuple(Vec<Target>),
}

#[derive(Debug)]
pub(in crate::model) struct For {
    pub(super) target: Target,
    pub(super) iterable: Expr,
    pub(super) test: Option<Expr>,
    pub(super) recursive: bool,
    /// Tells whether the body reads `loop`.
    pub(super) reads_loop: bool,
    pub(super) body: Vec<Statement>,
    pub(super) otherwise: Vec<Statement>,
}

#[derive(Debug)]
pub(in crate::model) struct Macro {
    /// Empty for the body of a `{% call %}`.
    pub(super) name: Arc<str>,
    pub(super) parameters: Vec<(Arc<str>, Option<Expr>)>,
    pub(super) reads_varargs: bool,
    pub(super) reads_kwargs: bool,
    pub(super) reads_caller: bool,
    pub(super) body: Vec<Statement>,
}

impl Macro {
    /// Tells whether it is the body of a `{% call %}`, which has no name.
    pub(super) fn is_caller(&self) -> bool {
        self.name.is_empty()
    }

    /// Tells whether it has a parameter of this name.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.parameters.iter().any(|(own, _)| &**own == name)
    }
}

/// A statement and the line that it begins at.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Text(Arc<str>),
    Print(Expr),
    /// Tests with their bodies, then else.
    If(Vec<(Expr, Vec<Statement>)>, Vec<Statement>),
    // Shared with the `loop` of a recursive one, which runs the statement again.
    For(Arc<For>),
    Set(Target, Expr),
    /// `{% set x | filter %}..{% endset %}`.
    SetBlock(Target, Option<Expr>, Vec<Statement>),
    With(Vec<(Target, Expr)>, Vec<Statement>),
    // Shared with the value that the statement makes.
    Macro(Arc<Macro>),
    /// The macro that is called, its arguments, and the body as `caller`.
    CallBlock(Expr, Arguments, Arc<Macro>),
    FilterBlock(Expr, Vec<Statement>),
    /// A body with a scope of its own: `{% generation %}`.
    Scoped(Vec<Statement>),
    Break,
    Continue,
}
