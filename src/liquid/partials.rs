//! `render` and `include`, from the partials that the caller handed in.

use std::rc::Rc;

use super::RenderError;
use super::ast::Partial;
use super::budget::{Bounded, Fault};
use super::run::{Flow, Run, Scope};
use super::value::{LoopState, Value};

impl<'v> Run<'v, '_> {
    /// `render`: the partial sees its arguments and nothing else.
    pub(super) fn render_partial(&mut self, it: &'v Partial) -> Result<(), RenderError> {
        let Some((name, template)) = self.find_partial(it)? else { return Ok(()) };
        let alias = it.alias.as_deref().unwrap_or_else(|| base_name(name));
        let arguments = self.arguments(it)?;
        let Some(bound) = &it.bound else {
            return self.isolated(template, arguments);
        };
        let bound = self.value(bound)?;
        let Some(count) = bound.item_count().filter(|_| it.each && !matches!(bound, Value::Object(_))) else {
            let mut arguments = arguments;
            arguments.push((alias, bound));
            return self.isolated(template, arguments);
        };
        let count = count.min(self.shared.budget.limits.loop_iterations);
        let loop_name: Rc<str> = alias.into();
        for index0 in 0..count {
            let state =
                LoopState { name: Rc::clone(&loop_name), length: count, index0, parent: None, cols: None };
            let mut arguments = arguments.clone();
            arguments.push(("forloop", Value::Loop(Rc::new(state))));
            arguments.push((alias, bound.item(index0).unwrap_or(Value::Nil)));
            self.isolated(template, arguments)?;
        }
        Ok(())
    }

    fn isolated(
        &mut self,
        template: &'v super::Template,
        arguments: Vec<(&'v str, Value<'v>)>,
    ) -> Result<(), RenderError> {
        let room = Bounded::new(0);
        let out = std::mem::replace(&mut self.out, room);
        // Its arguments are its own variables: it may assign to them.
        let scope = Scope { locals: arguments.into_iter().collect(), isolated: true, ..Scope::default() };
        let mut inner = Run { shared: &mut *self.shared, scope, out, line: self.line };
        let result = inner.block(&template.root);
        self.out = inner.out;
        result.map(|_| ())
    }

    /// `include`: the partial sees and changes what surrounds it.
    pub(super) fn include_partial(&mut self, it: &'v Partial) -> Result<Flow, RenderError> {
        if self.scope.isolated {
            return self.settle(Fault::value("`include` does not work inside `render`"), Flow::Next);
        }
        let Some((name, template)) = self.find_partial(it)? else { return Ok(Flow::Next) };
        let alias = it.alias.as_deref().unwrap_or_else(|| base_name(name));
        let base = self.scope.inner.len();
        let arguments = self.arguments(it)?;
        self.scope.inner.extend(arguments);
        // Without `with`, the variable of the partial's own name stays what it is.
        let bound = match &it.bound {
            None => self.lookup(alias),
            Some(expr) => self.value(expr)?,
        };
        let count = bound.item_count().filter(|_| it.bound.is_some() && !matches!(bound, Value::Object(_)));
        let mut flow = Flow::Next;
        match count {
            None => {
                self.scope.inner.push((alias, bound));
                flow = self.block(&template.root)?;
            }
            Some(count) => {
                for index in 0..count.min(self.shared.budget.limits.loop_iterations) {
                    let item = bound.item(index).unwrap_or(Value::Nil);
                    self.scope.inner.push((alias, item));
                    flow = self.block(&template.root)?;
                    self.scope.inner.pop();
                    if flow != Flow::Next {
                        break;
                    }
                }
            }
        }
        self.scope.inner.truncate(base);
        Ok(flow)
    }

    fn arguments(&mut self, it: &'v Partial) -> Result<Vec<(&'v str, Value<'v>)>, RenderError> {
        let mut arguments = Vec::with_capacity(it.arguments.len());
        for (name, expr) in &it.arguments {
            arguments.push((name.as_str(), self.value(expr)?));
        }
        Ok(arguments)
    }

    fn find_partial(
        &mut self,
        it: &'v Partial,
    ) -> Result<Option<(&'v str, &'v super::Template)>, RenderError> {
        let name = self.value(&it.name)?;
        self.charge_steps(1 + name.weight())?;
        let wanted = name.as_str().unwrap_or("");
        let found = self.shared.partials.and_then(|partials| partials.0.get_key_value(wanted));
        let found = match found {
            Some((name, Ok(template))) => Ok(Some((name.as_str(), template))),
            Some((name, Err(error))) => Fault::value(format!("partial `{name}`: {error}")),
            None => Fault::value(format!("there is no partial `{wanted}`")),
        };
        self.settle(found, None)
    }
}

/// `shop/greeting` is seen as `greeting`.
fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
