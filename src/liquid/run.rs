//! Walks the tree and prints. Owns the scopes; loops are in `loops`, `render` and `include` in `partials`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::ast::{Block, Call, Expr, Filtered, Join, Node, NodeKind, Operator, Path, Root, Step, Test};
use super::budget::{BYTES_PER_STEP, Bounded, Budget, Fault};
use super::filters::{self, Arguments};
use super::value::{LoopState, Style, Value};
use super::{Mode, Note, NoteKind, Partials, RenderContext, RenderError, Weight};

/// Notes of one rendering.
const MAX_NOTES: usize = 50;

/// Renders `root`; what was printed before an error is kept.
pub(super) fn render(
    root: &Block,
    mode: Mode,
    context: &RenderContext<'_>,
) -> (String, Vec<Note>, Result<(), RenderError>) {
    let mut shared = Shared {
        mode,
        zone: &context.zone,
        now: context.now,
        partials: context.partials,
        budget: Budget::new(context.limits),
        notes: Vec::new(),
        depth: 0,
    };
    let mut run = Run {
        shared: &mut shared,
        scope: Scope { globals: context.globals.as_object(), ..Scope::default() },
        out: Bounded::new(context.limits.output_bytes),
        line: 1,
    };
    let end = run.block(root).map(|_| ());
    let text = run.out.into_text();
    (text, shared.notes, end)
}

/// What all partials of one rendering share.
#[derive(Debug)]
pub(super) struct Shared<'v> {
    pub(super) mode: Mode,
    pub(super) zone: &'v jiff::tz::TimeZone,
    pub(super) now: crate::types::Wall,
    pub(super) partials: Option<&'v Partials>,
    pub(super) budget: Budget,
    pub(super) notes: Vec<Note>,
    pub(super) depth: usize,
}

impl Shared<'_> {
    pub(super) fn style(&self) -> Style {
        match self.mode {
            Mode::Lax => Style::Json,
            Mode::Strict => Style::Joined,
        }
    }

    pub(super) fn note(&mut self, line: u32, weight: Weight, kind: NoteKind, message: String) {
        let note = Note { line, weight, kind, message, rewrite: None };
        if self.notes.len() < MAX_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// What a template sees and changes; `render` gives its partial a fresh one.
#[derive(Debug, Default)]
pub(super) struct Scope<'v> {
    pub(super) globals: Option<&'v Map<String, Json>>,
    /// `assign` and `capture`.
    pub(super) locals: BTreeMap<&'v str, Value<'v>>,
    /// Loop variables and arguments of partials, innermost last.
    pub(super) inner: Vec<(&'v str, Value<'v>)>,
    /// `increment` and `decrement`.
    pub(super) counters: BTreeMap<&'v str, i128>,
    /// Position of each `cycle`.
    pub(super) cycles: BTreeMap<String, usize>,
    /// Where `offset: continue` goes on.
    pub(super) resume: BTreeMap<&'v str, usize>,
    /// What the last `ifchanged` printed.
    pub(super) changed: Option<String>,
    /// Loops around this point, innermost last.
    pub(super) loops: Vec<Rc<LoopState>>,
    /// Inside `render`: `include` is not allowed.
    pub(super) isolated: bool,
}

/// What a block asks of the loop around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
}

/// One rendering of one template.
pub(super) struct Run<'v, 's> {
    pub(super) shared: &'s mut Shared<'v>,
    pub(super) scope: Scope<'v>,
    pub(super) out: Bounded,
    pub(super) line: u32,
}

impl<'v> Run<'v, '_> {
    /// In strict mode the fault ends the rendering; in lax mode it is noted and `instead` stands in.
    pub(super) fn settle<T>(&mut self, result: Result<T, Fault>, instead: T) -> Result<T, RenderError> {
        let fault = match result {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        match (fault, self.shared.mode) {
            (Fault::Value(message), Mode::Lax) => {
                self.shared.note(self.line, Weight::Error, NoteKind::Failed, message);
                Ok(instead)
            }
            (Fault::Arguments(message), Mode::Lax) => {
                self.shared.note(self.line, Weight::Error, NoteKind::Arguments, message);
                Ok(instead)
            }
            (fault, _) => Err(fault.into_error(self.line, &self.shared.budget.limits)),
        }
    }

    fn charge(&mut self) -> Result<(), RenderError> {
        self.charge_steps(1)
    }

    pub(super) fn charge_steps(&mut self, steps: usize) -> Result<(), RenderError> {
        let charged = self.shared.budget.charge(steps);
        self.settle(charged, ())
    }

    pub(super) fn print(&mut self, text: &str) -> Result<(), RenderError> {
        let printed =
            self.shared.budget.charge(text.len() / BYTES_PER_STEP).and_then(|()| self.out.push(text));
        self.settle(printed, ())
    }

    /// Everything in `block`, unless something in it leaves a loop.
    pub(super) fn block(&mut self, block: &'v Block) -> Result<Flow, RenderError> {
        self.shared.depth += 1;
        if self.shared.depth > self.shared.budget.limits.depth {
            return self.settle(Err(Fault::Depth), Flow::Next);
        }
        for node in &block.nodes {
            let flow = self.node(node)?;
            if flow != Flow::Next {
                self.shared.depth -= 1;
                return Ok(flow);
            }
        }
        self.shared.depth -= 1;
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &'v Node) -> Result<Flow, RenderError> {
        self.line = node.line;
        self.charge()?;
        match &node.kind {
            NodeKind::Text(text) | NodeKind::Raw(text) => self.print(text)?,
            NodeKind::Output(value) => self.output(value)?,
            NodeKind::Assign { name, value } => {
                let value = self.filtered(value)?;
                self.scope.locals.insert(name, value);
            }
            NodeKind::Capture { name, body } => {
                let (text, flow) = self.captured(body)?;
                self.scope.locals.insert(name, Value::text(text));
                return Ok(flow);
            }
            NodeKind::If(branches) => {
                for branch in branches {
                    if match &branch.test {
                        Some(test) => self.test(test)?,
                        None => true,
                    } {
                        return self.block(&branch.body);
                    }
                }
            }
            NodeKind::Case { subject, arms } => return self.case(subject, arms),
            NodeKind::For(it) => return self.for_loop(it),
            NodeKind::TableRow(it) => self.table_row(it)?,
            NodeKind::Cycle { name, items, key } => self.cycle(name.as_ref(), items, key)?,
            NodeKind::Increment(name) => {
                let value = self.counter(name);
                self.print(&value.to_string())?;
                self.scope.counters.insert(name, value.saturating_add(1));
            }
            NodeKind::Decrement(name) => {
                let value = self.counter(name).saturating_sub(1);
                self.print(&value.to_string())?;
                self.scope.counters.insert(name, value);
            }
            NodeKind::IfChanged(body) => {
                let (text, flow) = self.captured(body)?;
                if self.scope.changed.as_ref() != Some(&text) {
                    self.print(&text)?;
                    self.scope.changed = Some(text);
                }
                return Ok(flow);
            }
            NodeKind::Break => return Ok(Flow::Break),
            NodeKind::Continue => return Ok(Flow::Continue),
            NodeKind::Render(it) => self.render_partial(it)?,
            NodeKind::Include(it) => return self.include_partial(it),
        }
        Ok(Flow::Next)
    }

    fn output(&mut self, value: &'v Filtered) -> Result<(), RenderError> {
        let value = self.filtered(value)?;
        let before = self.out.len();
        let style = self.shared.style();
        let written = value.write(style, &mut self.out);
        let bytes = self.out.len().saturating_sub(before);
        let charged = written.and_then(|()| self.shared.budget.charge(bytes / BYTES_PER_STEP));
        self.settle(charged, ())
    }

    /// Renders `body` aside.
    fn captured(&mut self, body: &'v Block) -> Result<(String, Flow), RenderError> {
        let aside = Bounded::new(self.shared.budget.limits.output_bytes);
        let outer = std::mem::replace(&mut self.out, aside);
        let flow = self.block(body);
        let inner = std::mem::replace(&mut self.out, outer);
        Ok((inner.into_text(), flow?))
    }

    /// Every `when` that matches is rendered, once for each of its values that does; `else` when none before it
    /// did.
    fn case(&mut self, subject: &'v Expr, arms: &'v [super::ast::Arm]) -> Result<Flow, RenderError> {
        let subject = self.value(subject)?;
        let mut matched = false;
        for arm in arms {
            let mut times = 0_usize;
            match &arm.when {
                None => times = usize::from(!matched),
                Some(values) => {
                    for value in values {
                        let value = self.value(value)?;
                        let equal = subject.equals(&value, &mut self.shared.budget);
                        times += usize::from(self.settle(equal, false)?);
                    }
                    matched |= times > 0;
                }
            }
            for _ in 0..times {
                let flow = self.block(&arm.body)?;
                if flow != Flow::Next {
                    return Ok(flow);
                }
            }
        }
        Ok(Flow::Next)
    }

    fn cycle(&mut self, name: Option<&'v Expr>, items: &'v [Expr], key: &str) -> Result<(), RenderError> {
        let key = match name {
            None => format!("items {key}"),
            Some(name) => {
                let name = self.value(name)?;
                // Copied, compared and kept.
                self.charge_steps(name.weight().saturating_mul(4))?;
                let text = name.to_text(Style::Json, &mut self.shared.budget).map(Cow::into_owned);
                format!("name {}", self.settle(text, String::new())?)
            }
        };
        let at = self.scope.cycles.get(&key).copied().unwrap_or(0);
        if let Some(item) = items.get(at) {
            let value = self.value(item)?;
            let written = value.write(self.shared.style(), &mut self.out);
            self.settle(written, ())?;
        }
        self.scope.cycles.insert(key, if at + 1 >= items.len() { 0 } else { at + 1 });
        Ok(())
    }

    fn counter(&self, name: &str) -> i128 {
        let global = || {
            self.scope.globals.and_then(|globals| globals.get(name)).and_then(Json::as_i64).map(i128::from)
        };
        self.scope.counters.get(name).copied().or_else(global).unwrap_or(0)
    }

    /// Whether a condition holds. One without terms could not be read and does not.
    fn test(&mut self, test: &'v Test) -> Result<bool, RenderError> {
        let mut holds = false;
        for term in &test.terms {
            let left = self.value(&term.left)?;
            holds = match &term.right {
                None => left.is_true(),
                Some((operator, right)) => {
                    let right = self.value(right)?;
                    let compared = compare(&left, *operator, &right, self.shared);
                    self.settle(compared, false)?
                }
            };
            match (term.join, holds) {
                (Join::And, false) | (Join::Or, true) | (Join::End, _) => break,
                (Join::And, true) | (Join::Or, false) => {}
            }
        }
        Ok(holds != test.negated)
    }

    /// A value through its filters.
    pub(super) fn filtered(&mut self, filtered: &'v Filtered) -> Result<Value<'v>, RenderError> {
        let mut value = self.value(&filtered.head)?;
        for call in &filtered.filters {
            self.charge()?;
            value = self.call(value, call)?;
        }
        Ok(value)
    }

    fn call(&mut self, input: Value<'v>, call: &'v Call) -> Result<Value<'v>, RenderError> {
        let Some(filter) = call.filter else { return Ok(input) };
        let mut arguments = Arguments::default();
        self.charge_steps(input.weight())?;
        for argument in &call.arguments {
            let value = self.value(argument)?;
            self.charge_steps(value.weight())?;
            arguments.positional.push(value);
        }
        for (name, argument) in &call.named {
            arguments.named.push((name, self.value(argument)?));
        }
        let mut result = filters::apply(filter, &input, &mut arguments, self.shared);
        if let Err(Fault::Value(message)) = &mut result {
            *message = format!("{}: {message}", call.name);
        }
        let instead = if matches!(result, Err(Fault::Arguments(_))) { input } else { Value::Nil };
        self.settle(result, instead)
    }

    /// An expression without filters.
    pub(super) fn value(&mut self, expr: &'v Expr) -> Result<Value<'v>, RenderError> {
        Ok(match expr {
            Expr::Nil => Value::Nil,
            Expr::Bool(value) => Value::Bool(*value),
            Expr::Int(value) => Value::Int(*value),
            Expr::Float(value) => Value::Float(*value),
            Expr::Text(text) => Value::Str(text),
            Expr::Blank => Value::Blank,
            Expr::Empty => Value::Empty,
            Expr::Range(ends) => {
                let (from, to) = ends.as_ref();
                let (from, to) = (self.value(from)?, self.value(to)?);
                self.charge_steps(from.weight() + to.weight())?;
                Value::Range(from.to_bound(), to.to_bound())
            }
            Expr::Path(path) => self.path(path)?,
        })
    }

    fn path(&mut self, path: &'v Path) -> Result<Value<'v>, RenderError> {
        self.charge()?;
        let mut value = match &path.root {
            Root::Name(name) => self.lookup(name),
            Root::Named(expr) => {
                let name = self.value(expr)?;
                name.as_str().map_or(Value::Nil, |name| self.lookup(name))
            }
        };
        for step in &path.steps {
            self.charge_steps(value.weight())?;
            value = match step {
                Step::Name(name) => value.property(name),
                Step::Index(expr) => {
                    let key = self.value(expr)?;
                    value.at(&key)
                }
            };
        }
        Ok(value)
    }

    pub(super) fn lookup(&self, name: &str) -> Value<'v> {
        let inner =
            self.scope.inner.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
        inner
            .or_else(|| self.scope.locals.get(name).cloned())
            .or_else(|| self.scope.counters.get(name).map(|value| Value::Int(*value)))
            .or_else(|| self.scope.globals.and_then(|globals| globals.get(name)).map(Value::from_json))
            .unwrap_or(Value::Nil)
    }
}

fn compare<'v>(
    left: &Value<'v>,
    operator: Operator,
    right: &Value<'v>,
    shared: &mut Shared<'v>,
) -> Result<bool, Fault> {
    let holds: fn(std::cmp::Ordering) -> bool = match operator {
        Operator::Equal => return left.equals(right, &mut shared.budget),
        Operator::NotEqual => return left.equals(right, &mut shared.budget).map(|equal| !equal),
        Operator::Contains => return left.contains(right, &mut shared.budget),
        Operator::Less => std::cmp::Ordering::is_lt,
        Operator::LessOrEqual => std::cmp::Ordering::is_le,
        Operator::Greater => std::cmp::Ordering::is_gt,
        Operator::GreaterOrEqual => std::cmp::Ordering::is_ge,
    };
    shared.budget.charge(left.weight() + right.weight())?;
    if let Some(order) = left.order(right) {
        return Ok(holds(order));
    }
    let (text, number) = match (left.as_str(), right.as_str()) {
        (Some(text), None) if right.is_number() => (text, right),
        (None, Some(text)) if left.is_number() => (text, left),
        // Nil, lists and the rest have no order: nothing holds.
        _ => return Ok(false),
    };
    // What a customer types is text: `inbound.Body > 3` is meant as numbers.
    if shared.mode == Mode::Lax
        && let Ok(parsed) = text.trim().parse::<f64>()
        && let Some(order) = match left.as_str() {
            Some(_) => parsed.partial_cmp(&number.to_number().to_f64()),
            None => number.to_number().to_f64().partial_cmp(&parsed),
        }
    {
        return Ok(holds(order));
    }
    Fault::value("a text and a number cannot be compared")
}
