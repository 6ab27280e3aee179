//! Filters that look into items by property: `where`, `reject`, `find`, `find_index`, `has`.

use super::super::budget::Fault;
use super::super::run::Shared;
use super::super::value::Value;
use super::{Arguments, Result, list};

/// `item[key]` as Ruby has it: an object's value, the text if it contains the key, a bit of a number. `None`
/// when the item cannot be asked at all, which ends the whole filter with nil.
pub(super) fn property<'v>(
    item: &Value<'v>,
    key: &Value<'v>,
    shared: &mut Shared<'v>,
) -> std::result::Result<Option<Value<'v>>, Fault> {
    shared.budget.charge(1)?;
    Ok(match item {
        Value::Object(_) | Value::Loop(_) => Some(item.at(key)),
        Value::Str(_) | Value::Text(_) => match key {
            Value::Str(_) | Value::Text(_) => {
                shared.budget.charge(item.weight())?;
                let found = item.contains(key, &mut shared.budget)?;
                Some(if found { key.clone() } else { Value::Nil })
            }
            Value::Int(_) => Some(item.first()),
            _ => None,
        },
        Value::Int(_) => match key {
            Value::Int(_) => Some(Value::Int(0)),
            _ => return Fault::value("the items have no such property"),
        },
        Value::Array(_) | Value::List(_) | Value::Range(..) => match key {
            Value::Int(_) => Some(item.at(key)),
            _ => return Fault::value("the items have no such property"),
        },
        Value::Nil | Value::Bool(_) | Value::Float(_) | Value::Blank | Value::Empty => None,
    })
}

/// Calls `visit` with each item and whether it matches, until it answers false. `None` when an item cannot be
/// asked.
fn each<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
    mut visit: impl FnMut(usize, Value<'v>, bool) -> bool,
) -> std::result::Result<Option<()>, Fault> {
    let (key, target) = (arguments.get(0), arguments.get(1));
    for (index, item) in list::items(input, shared)?.into_iter().enumerate() {
        let Some(value) = property(&item, key, shared)? else { return Ok(None) };
        let matches =
            if target.is_nil() { value.is_true() } else { value.equals(target, &mut shared.budget)? };
        if !visit(index, item, matches) {
            break;
        }
    }
    Ok(Some(()))
}

fn keep<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
    wanted: bool,
) -> Result<'v> {
    if input.is_nil() {
        return Ok(Value::Nil);
    }
    let mut kept = Vec::new();
    let asked = each(input, arguments, shared, |_, item, matches| {
        if matches == wanted {
            kept.push(item);
        }
        true
    })?;
    Ok(asked.map_or(Value::Nil, |()| Value::list(kept)))
}

pub(super) fn where_<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    keep(input, arguments, shared, true)
}

pub(super) fn reject<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    keep(input, arguments, shared, false)
}

fn first_match<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> std::result::Result<Option<Option<(usize, Value<'v>)>>, Fault> {
    let mut found = None;
    let asked = each(input, arguments, shared, |index, item, matches| {
        if matches {
            found = Some((index, item));
        }
        !matches
    })?;
    Ok(asked.map(|()| found))
}

pub(super) fn find<'v>(input: &Value<'v>, arguments: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    let found = first_match(input, arguments, shared)?.flatten();
    Ok(found.map_or(Value::Nil, |(_, item)| item))
}

pub(super) fn find_index<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    let found = first_match(input, arguments, shared)?.flatten();
    Ok(found.map_or(Value::Nil, |(index, _)| Value::count(index)))
}

pub(super) fn has<'v>(input: &Value<'v>, arguments: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    let asked = first_match(input, arguments, shared)?;
    Ok(asked.map_or(Value::Nil, |found| Value::Bool(found.is_some())))
}
