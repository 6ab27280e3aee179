//! `for` and `tablerow`.

use std::rc::Rc;

use super::ast::{Loop, Offset};
use super::budget::Fault;
use super::run::{Flow, Run};
use super::value::{LoopState, Value};
use super::{Mode, NoteKind, RenderError, Weight};

impl<'v> Run<'v, '_> {
    pub(super) fn for_loop(&mut self, it: &'v Loop) -> Result<Flow, RenderError> {
        let items = self.slice(it)?;
        if items.is_empty() {
            return self.block(&it.otherwise);
        }
        let mut state = LoopState {
            name: it.name.as_str().into(),
            length: items.len(),
            index0: 0,
            parent: self.scope.loops.last().cloned(),
            cols: None,
        };
        let base = self.scope.inner.len();
        for item in items {
            let now =
                Rc::new(LoopState { parent: state.parent.clone(), name: Rc::clone(&state.name), ..state });
            self.scope.inner.push(("forloop", Value::Loop(Rc::clone(&now))));
            self.scope.inner.push((&it.variable, item));
            self.scope.loops.push(now);
            let flow = self.block(&it.body);
            self.scope.loops.pop();
            self.scope.inner.truncate(base);
            if flow? == Flow::Break {
                break;
            }
            state.index0 += 1;
        }
        // `break` and `continue` end here: they are this loop's.
        Ok(Flow::Next)
    }

    pub(super) fn table_row(&mut self, it: &'v Loop) -> Result<(), RenderError> {
        let items = self.slice(it)?;
        let length = items.len();
        let cols = match &it.cols {
            None => length,
            Some(cols) => self.whole(cols)?.unwrap_or(length),
        };
        let name: Rc<str> = it.name.as_str().into();
        let base = self.scope.inner.len();
        self.print("<tr class=\"row1\">\n")?;
        for (index0, item) in items.into_iter().enumerate() {
            let state = LoopState { name: Rc::clone(&name), length, index0, parent: None, cols: Some(cols) };
            let column = index0.checked_rem(cols).unwrap_or(index0);
            let is_row_end = column + 1 == cols && index0 + 1 < length;
            self.scope.inner.push(("tablerowloop", Value::Loop(Rc::new(state))));
            self.scope.inner.push((&it.variable, item));
            self.print(&format!("<td class=\"col{}\">", column + 1))?;
            let flow = self.block(&it.body);
            self.scope.inner.truncate(base);
            let flow = flow?;
            self.print("</td>")?;
            if flow == Flow::Break {
                break;
            }
            if is_row_end {
                let row = (index0 + 1).checked_div(cols).unwrap_or(0) + 1;
                self.print(&format!("</tr>\n<tr class=\"row{row}\">"))?;
            }
        }
        self.print("</tr>\n")
    }

    /// The items of this run of the loop: after offset, limit, ceiling and `reversed`.
    fn slice(&mut self, it: &'v Loop) -> Result<Vec<Value<'v>>, RenderError> {
        let over = self.filtered(&it.over)?;
        let count = match &over {
            Value::Str(_) | Value::Text(_) => usize::from(!over.is_empty()),
            _ => over.item_count().unwrap_or(0),
        };
        let from = match &it.offset {
            None => 0,
            Some(Offset::Continue) => self.scope.resume.get(it.name.as_str()).copied().unwrap_or(0),
            Some(Offset::Of(expr)) => self.whole(expr)?.unwrap_or(0),
        };
        let from = from.min(count);
        let limit = match &it.limit {
            None => None,
            Some(expr) => self.whole(expr)?,
        };
        let length = (count - from).min(limit.unwrap_or(usize::MAX));
        self.scope.resume.insert(&it.name, from + length);
        let length = self.within_ceiling(length)?;
        let mut items = take(&over, from, length);
        if it.reversed {
            items.reverse();
        }
        Ok(items)
    }

    fn within_ceiling(&mut self, length: usize) -> Result<usize, RenderError> {
        let limits = self.shared.budget.limits;
        if length > limits.loop_iterations {
            let message = format!("a loop of {length} iterations is too long");
            let mut cut = self.settle(Fault::value(message), limits.loop_iterations)?;
            cut = cut.min(length);
            let charged = self.shared.budget.charge(cut);
            return self.settle(charged.map(|()| cut), 0);
        }
        if length > limits.loop_note && self.shared.mode == Mode::Lax {
            let message =
                format!("a loop of more than {} iterations stops early in Studio", limits.loop_note);
            self.shared.note(self.line, Weight::Warning, NoteKind::Limit, message);
        }
        let charged = self.shared.budget.charge(length);
        self.settle(charged.map(|()| length), 0)
    }

    /// A limit, offset or number of columns: `None` for nil; negative counts as zero.
    fn whole(&mut self, expr: &'v super::ast::Expr) -> Result<Option<usize>, RenderError> {
        let value = self.value(expr)?;
        self.charge_steps(value.weight())?;
        let number = match &value {
            Value::Nil => return Ok(None),
            Value::Float(_) => Ok(i128::from(value.to_bound())),
            other => other.to_integer(),
        };
        let number = number.map(|number| Some(usize::try_from(number.max(0)).unwrap_or(usize::MAX)));
        self.settle(number, None)
    }
}

fn take<'v>(over: &Value<'v>, from: usize, length: usize) -> Vec<Value<'v>> {
    match over {
        Value::Str(_) | Value::Text(_) => (0..length).map(|_| over.clone()).collect(),
        Value::Object(map) => map
            .iter()
            .skip(from)
            .take(length)
            .map(|(key, value)| Value::list(vec![Value::Str(key), Value::from_json(value)]))
            .collect(),
        _ => (from..from.saturating_add(length)).filter_map(|index| over.item(index)).collect(),
    }
}
