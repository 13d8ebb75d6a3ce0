//! Runs the statements of a template.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::arguments::Passed;
use super::ast::{Arguments, Expr, For, Kind, Macro, Statement, Target};
use super::budget::{Budget, Failure};
use super::value::{Loop, NAME, Namespace, Object, Scope, Sequence, Value};

/// Says how a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// One rendering.
pub(super) struct Interpreter<'a> {
    pub(super) budget: Budget,
    /// Formats the time for `strftime_now`.
    pub(super) now: &'a dyn Fn(&str) -> Result<String, String>,
    /// Scopes, namespaces and loops that may hold themselves; emptied at the end.
    held: Vec<Rc<Scope>>,
    objects: Vec<Rc<Object>>,
    line: usize,
}

impl<'a> Interpreter<'a> {
    pub(super) fn new(now: &'a dyn Fn(&str) -> Result<String, String>) -> Self {
        Self {
            budget: Budget::new(),
            now,
            held: Vec::new(),
            objects: Vec::new(),
            line: 0,
        }
    }

    /// Returns the text of a whole template.
    pub(super) fn render(
        &mut self,
        body: &[Statement],
        variables: Vec<(Arc<str>, Value)>,
    ) -> Result<String, Failure> {
        let context = Rc::new(Scope {
            variables: RefCell::new(variables),
            parent: None,
        });
        // Assignments at the top go here; the context keeps what was passed in.
        let scope = Scope::inside(&context);
        self.held.push(scope.clone());
        let mut out = String::new();
        let done = self
            .run(body, &scope, &mut out)
            .map_err(|e| e.or_at(self.line));
        // A macro holds its scope, which holds the macro: reference counts alone would leak every
        // rendering.
        for scope in self.held.drain(..) {
            scope.variables.borrow_mut().clear();
        }
        for object in self.objects.drain(..) {
            match &*object {
                Object::Namespace(namespace) => namespace.attributes.borrow_mut().clear(),
                Object::Loop(this) => *this.changed.borrow_mut() = None,
                _ => {}
            }
        }
        done.map(|_| out)
    }

    pub(super) fn namespace(&mut self, namespace: Namespace) -> Value {
        let object = Rc::new(Object::Namespace(namespace));
        self.objects.push(object.clone());
        Value::Object(object)
    }

    /// Tells whether the values of a loop's `changed` are others than at its last call.
    pub(super) fn has_changed(&mut self, object: &Rc<Object>, now: Value) -> Result<bool, Failure> {
        let Object::Loop(this) = &**object else {
            return Ok(false);
        };
        let before = this.changed.borrow().clone();
        let same = if let Some(before) = &before {
            before.equals(&now, &mut self.budget)?
        } else {
            // It may be told itself.
            self.objects.push(object.clone());
            // Nothing to compare with: the first call counts as a change.
            false
        };
        *this.changed.borrow_mut() = Some(now);
        Ok(!same)
    }

    fn run(
        &mut self,
        body: &[Statement],
        scope: &Rc<Scope>,
        out: &mut String,
    ) -> Result<Flow, Failure> {
        for statement in body {
            self.line = statement.line;
            self.budget.enter()?;
            let flow = self
                .statement(&statement.kind, scope, out)
                .map_err(|e| e.or_at(statement.line))?;
            self.budget.leave();
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn statement(
        &mut self,
        kind: &Kind,
        scope: &Rc<Scope>,
        out: &mut String,
    ) -> Result<Flow, Failure> {
        match kind {
            Kind::Text(text) => {
                self.budget.fits(out.len() + text.len())?;
                self.budget.charge(text.len())?;
                out.push_str(text);
            }
            Kind::Print(value) => {
                // An undefined value prints nothing.
                let value = self.eval(value, scope)?;
                value.write_text(out, &mut self.budget)?;
            }
            Kind::If(branches, otherwise) => {
                for (test, body) in branches {
                    if self.eval(test, scope)?.is_true() {
                        // No scope of its own: what an `if` sets is set around it.
                        return self.run(body, scope, out);
                    }
                }
                return self.run(otherwise, scope, out);
            }
            Kind::For(looped) => {
                // In the scope around the loop, where the target's name may still mean something
                // else.
                let iterable = self.eval(&looped.iterable, scope)?;
                self.repeat(looped, &iterable, 0, scope, out)?;
            }
            Kind::Set(target, value) => {
                let value = self.eval(value, scope)?;
                self.assign(target, value, scope)?;
            }
            Kind::SetBlock(target, filter, body) => {
                return self.set_block(target, filter.as_ref(), body, scope);
            }
            Kind::With(values, body) => {
                let inside = self.with(values, scope)?;
                return self.run(body, &inside, out);
            }
            Kind::Macro(made) => {
                let value = self.made_here(made, scope);
                scope.set(&made.name, value, &mut self.budget)?;
            }
            Kind::CallBlock(callee, arguments, body) => {
                let made = self.call_block(callee, arguments, body, scope)?;
                made.write_text(out, &mut self.budget)?;
            }
            Kind::FilterBlock(filter, body) => {
                return self.filter_block(filter, body, scope, out);
            }
            Kind::Scoped(body) => return self.run(body, &Scope::inside(scope), out),
            Kind::Break => return Ok(Flow::Break),
            Kind::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    /// Lets `target` be the text of a block, put through `filter`.
    fn set_block(
        &mut self,
        target: &Target,
        filter: Option<&Expr>,
        body: &[Statement],
        scope: &Rc<Scope>,
    ) -> Result<Flow, Failure> {
        let (flow, text) = self.captured(body, scope)?;
        // A `break` within ends the loop around, and the text is lost with it.
        if flow != Flow::Next {
            return Ok(flow);
        }
        let value = match filter {
            Some(filter) => self.filtered(filter, text, scope)?,
            None => text,
        };
        self.assign(target, value, scope)?;
        Ok(Flow::Next)
    }

    /// Writes the text of a block, put through `filter`.
    fn filter_block(
        &mut self,
        filter: &Expr,
        body: &[Statement],
        scope: &Rc<Scope>,
        out: &mut String,
    ) -> Result<Flow, Failure> {
        let (flow, text) = self.captured(body, scope)?;
        if flow != Flow::Next {
            return Ok(flow);
        }
        let made = self.filtered(filter, text, scope)?;
        made.write_text(out, &mut self.budget)?;
        Ok(Flow::Next)
    }

    /// Returns a scope inside of this one that has `values`.
    fn with(&mut self, values: &[(Target, Expr)], scope: &Rc<Scope>) -> Result<Rc<Scope>, Failure> {
        let inside = Scope::inside(scope);
        // All values before the first name: they see what is around the block.
        let made = values
            .iter()
            .map(|(target, value)| Ok((target, self.eval(value, scope)?)));
        for (target, value) in made.collect::<Result<Vec<_>, Failure>>()? {
            self.assign(target, value, &inside)?;
        }
        Ok(inside)
    }

    /// Calls a macro, to which `body` is known as `caller`.
    fn call_block(
        &mut self,
        callee: &Expr,
        arguments: &Arguments,
        body: &Arc<Macro>,
        scope: &Rc<Scope>,
    ) -> Result<Value, Failure> {
        let caller = self.made_here(body, scope);
        let callee = self.eval(callee, scope)?;
        let mut passed = self.pass(arguments, scope)?;
        passed.named.push(("caller".into(), caller));
        self.call(&callee, passed)
    }

    /// Runs a block whose text is a value.
    fn captured(
        &mut self,
        body: &[Statement],
        scope: &Rc<Scope>,
    ) -> Result<(Flow, Value), Failure> {
        let mut text = String::new();
        // What the block sets is not seen behind it.
        let flow = self.run(body, &Scope::inside(scope), &mut text)?;
        Ok((flow, Value::Str(text.into())))
    }

    /// Makes the value of a macro, which holds the scope that may hold it in turn.
    fn made_here(&mut self, body: &Arc<Macro>, scope: &Rc<Scope>) -> Value {
        self.held.push(scope.clone());
        Value::Object(Object::Macro(body.clone(), scope.clone()).into())
    }

    fn assign(&mut self, target: &Target, value: Value, scope: &Rc<Scope>) -> Result<(), Failure> {
        match target {
            Target::Name(name) => scope.set(name, value, &mut self.budget)?,
            Target::Attribute(name, attribute) => match scope.get(name, &mut self.budget)? {
                Some(Value::Object(object)) if matches!(*object, Object::Namespace(_)) => {
                    let Object::Namespace(namespace) = &*object else {
                        return Ok(());
                    };
                    namespace.set(attribute, value, &mut self.budget)?;
                }
                _ => {
                    return Err(Failure::new(
                        "cannot assign attribute on non-namespace object",
                    ));
                }
            },
            Target::Tuple(targets) => {
                // As Python unpacks: a text into its characters, a generator until it is used up.
                let items = value.items(&mut self.budget)?;
                if items.len() != targets.len() {
                    let (needed, given) = (targets.len(), items.len());
                    return Err(Failure::new(format!(
                        "{needed} values are needed for as many names, there are {given}"
                    )));
                }
                for (target, item) in targets.iter().zip(items) {
                    self.assign(target, item, scope)?;
                }
            }
        }
        Ok(())
    }

    /// Tells whether an item passes the test of a loop.
    fn passes(&mut self, looped: &For, item: &Value, scope: &Rc<Scope>) -> Result<bool, Failure> {
        let Some(test) = &looped.test else {
            return Ok(true);
        };
        let inside = Scope::inside(scope);
        self.assign(&looped.target, item.clone(), &inside)?;
        Ok(self.eval(test, &inside)?.is_true())
    }

    /// Runs a loop; `depth` counts how often a recursive one is inside itself.
    fn repeat(
        &mut self,
        looped: &Arc<For>,
        iterable: &Value,
        depth: usize,
        scope: &Rc<Scope>,
        out: &mut String,
    ) -> Result<(), Failure> {
        let mut items = iterable.items(&mut self.budget)?;
        // jinja2 tests each item when its turn comes, unless `loop` looks ahead.
        let ahead = looped.reads_loop || looped.recursive;
        if ahead && looped.test.is_some() {
            let mut passing = Vec::new();
            for item in items {
                if self.passes(looped, &item, scope)? {
                    passing.push(item);
                }
            }
            items = passing;
        }
        // One value for all turns: a template that keeps `loop` sees it go on, as in jinja2.
        let state = Rc::new(Object::Loop(Loop {
            index: Cell::new(0),
            items: Sequence::new(items)?,
            depth,
            recursive: looped.recursive.then(|| (looped.clone(), scope.clone())),
            changed: RefCell::new(None),
        }));
        // Always: it is one by the lines above.
        let Object::Loop(this) = &*state else {
            return Ok(());
        };
        let mut ran = false;
        for (i, item) in this.items.items.iter().enumerate() {
            if !ahead && !self.passes(looped, item, scope)? {
                continue;
            }
            ran = true;
            this.index.set(i);
            // A scope for each turn: what one sets, the next does not see. Namespaces are the way
            // around it.
            let inside = Scope::inside(scope);
            self.budget.enter()?;
            self.assign(&looped.target, item.clone(), &inside)?;
            if ahead {
                let state = Value::Object(state.clone());
                inside.set(&"loop".into(), state, &mut self.budget)?;
            }
            let flow = self.run(&looped.body, &inside, out)?;
            self.budget.leave();
            if flow == Flow::Break {
                break;
            }
        }
        // Also where no item passed the test.
        if !ran {
            self.run(&looped.otherwise, &Scope::inside(scope), out)?;
        }
        Ok(())
    }

    /// Returns the text of a recursive loop that is called by its own body.
    pub(super) fn recurse(&mut self, this: &Loop, passed: Passed) -> Result<Value, Failure> {
        let [iterable] = passed.positional("loop")?;
        let iterable = super::arguments::needed(iterable, "loop", "iterable")?;
        let Some((looped, scope)) = &this.recursive else {
            return Err(Failure::new(
                "The loop must have the 'recursive' marker to be called recursively.",
            ));
        };
        let mut out = String::new();
        self.budget.enter()?;
        self.repeat(looped, &iterable, this.depth + 1, scope, &mut out)?;
        self.budget.leave();
        Ok(Value::Str(out.into()))
    }

    /// Calls a macro; returns its text.
    pub(super) fn call_macro(
        &mut self,
        made: &Arc<Macro>,
        around: &Rc<Scope>,
        passed: Passed,
    ) -> Result<Value, Failure> {
        // Around it is where it was written, not where it is called.
        let scope = Scope::inside(around);
        let Passed {
            mut positional,
            mut named,
        } = passed;
        let count = made.parameters.len();
        let more = positional.split_off(count.min(positional.len()));
        let mut taken = positional.into_iter();
        for (name, default) in &made.parameters {
            // Names are looked for one by one.
            self.budget.charge(named.len() * NAME)?;
            let value = match taken.next() {
                Some(value) => value,
                None => match (take_named(&mut named, name), default) {
                    (Some(value), _) => value,
                    // Evaluated anew by each call, and inside: a default may read the parameters
                    // before it.
                    (None, Some(default)) => self.eval(default, &scope)?,
                    (None, None) => {
                        // An error only where the body uses it, as in jinja2.
                        Value::undefined(format!("parameter '{name}' was not provided"))
                    }
                },
            };
            scope.set(name, value, &mut self.budget)?;
        }
        set_special(made, &scope, &mut named, &mut self.budget)?;
        if let Some((name, _)) = named.first() {
            return Err(Failure::new(format!(
                "macro '{}' takes no keyword argument '{name}'",
                made.name
            )));
        }
        if made.reads_varargs {
            let more = Value::tuple(more)?;
            scope.set(&"varargs".into(), more, &mut self.budget)?;
        } else if !more.is_empty() {
            return Err(Failure::new(format!(
                "macro '{}' takes not more than {count} argument(s)",
                made.name
            )));
        }
        let mut out = String::new();
        let line = self.line;
        self.run(&made.body, &scope, &mut out)?;
        // The body may be far from the call, and what fails next is behind the call.
        self.line = line;
        Ok(Value::Str(out.into()))
    }
}

/// Sets `caller` and `kwargs` where a macro reads them: an argument that it does not read is one
/// that it does not take.
fn set_special(
    made: &Macro,
    scope: &Scope,
    named: &mut Vec<(Arc<str>, Value)>,
    budget: &mut Budget,
) -> Result<(), Failure> {
    if made.reads_caller && !made.takes("caller") {
        let caller =
            take_named(named, "caller").unwrap_or_else(|| Value::undefined("No caller defined"));
        scope.set(&"caller".into(), caller, budget)?;
    }
    if made.reads_kwargs {
        let rest = named.drain(..);
        let entries = rest.map(|(name, value)| (Value::Str(name), value));
        let entries = Value::dict(entries.collect())?;
        scope.set(&"kwargs".into(), entries, budget)?;
    }
    Ok(())
}

/// Takes a named argument, if it was passed.
fn take_named(named: &mut Vec<(Arc<str>, Value)>, name: &str) -> Option<Value> {
    let at = named.iter().position(|(known, _)| **known == *name)?;
    Some(named.remove(at).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::jinja::parser::parse;

    /// What a loop is told may be the loop itself.
    #[test]
    fn a_rendering_leaves_nothing_behind() {
        for template in [
            "{% for x in [messages] %}{{ loop.changed(loop) }}{% endfor %}",
            "{% set ns = namespace(x=messages) %}{% set ns.ns = ns %}",
            "{% set x = messages %}{% macro m() %}{{ x }}{% endmacro %}",
        ] {
            let Value::List(messages) = Value::list(vec![Value::None]).unwrap() else {
                panic!("a list")
            };
            let variables = vec![("messages".into(), Value::List(messages.clone()))];
            let now = |_: &str| Ok(String::new());
            let body = parse(template).unwrap();
            Interpreter::new(&now).render(&body, variables).unwrap();
            assert_eq!(Rc::strong_count(&messages), 1, "{template}");
        }
    }
}
