//! Lists: order, parts, joining.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::super::budget::{Bounded, Fault};
use super::super::run::Shared;
use super::super::value::{Style, Value};
use super::{Arguments, Result, built, pick, text_of};

type Items<'v> = std::result::Result<Vec<Value<'v>>, Fault>;

/// What a list filter sees: nested lists flat, ranges written out, nil as nothing, anything else as one item.
pub(super) fn items<'v>(input: &Value<'v>, shared: &mut Shared<'v>) -> Items<'v> {
    let mut flat = Vec::new();
    match input {
        Value::Nil | Value::Blank | Value::Empty => {}
        Value::Array(_) | Value::List(_) => flatten(input, &mut flat, shared)?,
        Value::Range(..) => {
            let count = input.item_count().unwrap_or(0);
            shared.budget.list(count)?;
            flat.extend((0..count).filter_map(|index| input.item(index)));
        }
        other => flat.push(other.clone()),
    }
    Ok(flat)
}

fn flatten<'v>(
    list: &Value<'v>,
    flat: &mut Vec<Value<'v>>,
    shared: &mut Shared<'v>,
) -> std::result::Result<(), Fault> {
    let count = list.item_count().unwrap_or(0);
    shared.budget.list(flat.len().saturating_add(count))?;
    for item in (0..count).filter_map(|index| list.item(index)) {
        match item {
            Value::Array(_) | Value::List(_) => flatten(&item, flat, shared)?,
            _ => flat.push(item),
        }
    }
    Ok(())
}

pub(super) fn first<'v>(input: &Value<'v>, _: &Arguments<'v>, _: &mut Shared<'v>) -> Result<'v> {
    Ok(input.first())
}

pub(super) fn last<'v>(input: &Value<'v>, _: &Arguments<'v>, _: &mut Shared<'v>) -> Result<'v> {
    Ok(input.last())
}

pub(super) fn size<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    shared.budget.charge(input.weight())?;
    Ok(Value::count(input.size().unwrap_or(0)))
}

pub(super) fn join<'v>(input: &Value<'v>, arguments: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    let glue = if arguments.has(0) { text_of(arguments.get(0), shared)? } else { " ".into() };
    let items = items(input, shared)?;
    let mut out = Bounded::new(shared.budget.limits.output_bytes);
    let mut write = || {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(&glue)?;
            }
            item.write(Style::Json, &mut out)?;
        }
        Ok(())
    };
    write().or_else(|_: Fault| Fault::value("the joined text is too long"))?;
    built(out.into_text(), shared)
}

pub(super) fn reverse<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    listed(input, shared, |mut items, _| {
        items.reverse();
        Ok(items)
    })
}

pub(super) fn concat<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    let other = arguments.get(0);
    if !matches!(other, Value::Array(_) | Value::List(_) | Value::Range(..)) {
        return Fault::value("the argument is no list");
    }
    let mut all = items(input, shared)?;
    let count = other.item_count().unwrap_or(0);
    shared.budget.list(all.len().saturating_add(count))?;
    all.extend((0..count).filter_map(|index| other.item(index)));
    Ok(Value::list(all))
}

pub(super) fn map<'v>(input: &Value<'v>, arguments: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    let key = arguments.get(0).clone();
    listed(input, shared, |items, shared| {
        if key.is_nil() {
            return Ok(vec![Value::Nil; items.len()]);
        }
        keys_of(&items, &key, shared)
    })
}

pub(super) fn compact<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    let key = arguments.get(0).clone();
    listed(input, shared, |items, shared| {
        let keys = keys_of(&items, &key, shared)?;
        Ok(items.into_iter().zip(keys).filter(|(_, key)| !key.is_nil()).map(|(item, _)| item).collect())
    })
}

pub(super) fn uniq<'v>(input: &Value<'v>, arguments: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    let key = arguments.get(0).clone();
    listed(input, shared, |items, shared| {
        let keys = keys_of(&items, &key, shared)?;
        let mut seen = BTreeSet::new();
        let mut kept = Vec::new();
        for (item, key) in items.into_iter().zip(keys) {
            let mut print = Bounded::new(shared.budget.limits.output_bytes);
            key.write_json(&mut print)?;
            shared.budget.text(print.len())?;
            if seen.insert(print.into_text()) {
                kept.push(item);
            }
        }
        Ok(kept)
    })
}

/// Nil sorts last; a mix of texts and numbers has no order.
pub(super) fn sort<'v>(input: &Value<'v>, arguments: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    let key = arguments.get(0).clone();
    listed(input, shared, |items, shared| {
        let keys = keys_of(&items, &key, shared)?;
        let present = || keys.iter().filter(|key| !key.is_nil());
        let sortable = present().all(Value::is_number) || present().all(|key| key.as_str().is_some());
        if !sortable && present().count() > 1 {
            return Fault::value("the items have no common order");
        }
        Ok(sorted(items, keys, |a, b| match (a.is_nil(), b.is_nil()) {
            (false, false) => a.order(b).unwrap_or(Ordering::Equal),
            (a, b) => a.cmp(&b),
        }))
    })
}

/// As texts, without regard to case; nil last.
pub(super) fn sort_natural<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    let key = arguments.get(0).clone();
    listed(input, shared, |items, shared| {
        let mut texts = Vec::with_capacity(items.len());
        for key in keys_of(&items, &key, shared)? {
            let text = if key.is_nil() { None } else { Some(text_of(&key, shared)?.to_lowercase()) };
            // `None` would sort first.
            texts.push((text.is_none(), text));
        }
        Ok(sorted(items, texts, Ord::cmp))
    })
}

fn sorted<'v, K>(items: Vec<Value<'v>>, keys: Vec<K>, order: impl Fn(&K, &K) -> Ordering) -> Vec<Value<'v>> {
    let mut pairs: Vec<_> = keys.into_iter().zip(items).collect();
    pairs.sort_by(|(a, _), (b, _)| order(a, b));
    pairs.into_iter().map(|(_, item)| item).collect()
}

/// The items themselves when `key` is nil, else that property of each; nil for an item that cannot be asked.
fn keys_of<'v>(items: &[Value<'v>], key: &Value<'v>, shared: &mut Shared<'v>) -> Items<'v> {
    if key.is_nil() {
        return Ok(items.to_vec());
    }
    items.iter().map(|item| Ok(pick::property(item, key, shared)?.unwrap_or(Value::Nil))).collect()
}

/// A filter from list to list; of nil it makes nil.
fn listed<'v>(
    input: &Value<'v>,
    shared: &mut Shared<'v>,
    change: impl FnOnce(Vec<Value<'v>>, &mut Shared<'v>) -> Items<'v>,
) -> Result<'v> {
    if input.is_nil() {
        return Ok(Value::Nil);
    }
    let items = items(input, shared)?;
    change(items, shared).map(Value::list)
}

/// Items of a list, else characters of a text; a negative start counts from the end.
pub(super) fn slice<'v>(input: &Value<'v>, arguments: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    let start = arguments.get(0).to_integer()?;
    let length = if arguments.get(1).is_nil() { 1 } else { arguments.get(1).to_integer()? };
    let length = usize::try_from(length.max(0)).unwrap_or(usize::MAX);
    let begin = |count: usize| {
        let count = i128::try_from(count).unwrap_or(i128::MAX);
        let start = if start < 0 { start.saturating_add(count) } else { start };
        usize::try_from(start).ok().filter(|start| i128::try_from(*start).is_ok_and(|s| s <= count))
    };
    if matches!(input, Value::Array(_) | Value::List(_) | Value::Range(..)) {
        let count = input.item_count().unwrap_or(0);
        let begin = begin(count).unwrap_or(count);
        let end = begin.saturating_add(length).min(count);
        shared.budget.list(end - begin)?;
        return Ok(Value::list((begin..end).filter_map(|index| input.item(index)).collect()));
    }
    let text = text_of(input, shared)?;
    let count = text.chars().count();
    let begin = begin(count).unwrap_or(count);
    let part: String = text.chars().skip(begin).take(length).collect();
    built(part, shared)
}
