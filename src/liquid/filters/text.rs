//! Texts.

use super::super::budget::Fault;
use super::super::run::Shared;
use super::super::value::Value;
use super::{Arguments, Result, built, text_of};

fn changed<'v>(
    input: &Value<'v>,
    shared: &mut Shared<'v>,
    change: impl FnOnce(&str) -> String,
) -> Result<'v> {
    let text = text_of(input, shared)?;
    shared.budget.text(text.len())?;
    built(change(&text), shared)
}

pub(super) fn append<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    let (head, tail) = (text_of(input, shared)?, text_of(arguments.get(0), shared)?);
    shared.budget.text(head.len() + tail.len())?;
    Ok(Value::text([head.as_ref(), tail.as_ref()].concat()))
}

pub(super) fn prepend<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    let (tail, head) = (text_of(input, shared)?, text_of(arguments.get(0), shared)?);
    shared.budget.text(head.len() + tail.len())?;
    Ok(Value::text([head.as_ref(), tail.as_ref()].concat()))
}

pub(super) fn capitalize<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    changed(input, shared, |text| {
        let mut chars = text.chars();
        let head: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
        head + &chars.as_str().to_lowercase()
    })
}

pub(super) fn upcase<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    changed(input, shared, str::to_uppercase)
}

pub(super) fn downcase<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    changed(input, shared, str::to_lowercase)
}

pub(super) fn strip<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    changed(input, shared, |text| text.trim().to_owned())
}

pub(super) fn lstrip<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    changed(input, shared, |text| text.trim_start().to_owned())
}

pub(super) fn rstrip<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    changed(input, shared, |text| text.trim_end().to_owned())
}

pub(super) fn squish<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    changed(input, shared, |text| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

pub(super) fn strip_newlines<'v>(
    input: &Value<'v>,
    _: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    changed(input, shared, |text| text.replace("\r\n", "").replace('\n', ""))
}

pub(super) fn newline_to_br<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    changed(input, shared, |text| text.replace("\r\n", "\n").replace('\n', "<br />\n"))
}

pub(super) fn replace<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    let text = text_of(input, shared)?;
    let (from, to) = (text_of(arguments.get(0), shared)?, text_of(arguments.get(1), shared)?);
    // Asked before it is built: a short text and a long replacement make a very long one.
    let found = text.matches(from.as_ref()).count();
    shared.budget.text(text.len().saturating_add(found.saturating_mul(to.len())))?;
    Ok(Value::text(text.replace(from.as_ref(), &to)))
}

pub(super) fn remove<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    replace(input, arguments, shared)
}

/// Puts `to` over the occurrence of `from` that `find` chooses.
fn replace_one<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
    find: fn(&str, &str) -> Option<usize>,
) -> Result<'v> {
    let text = text_of(input, shared)?;
    let (from, to) = (text_of(arguments.get(0), shared)?, text_of(arguments.get(1), shared)?);
    shared.budget.text(text.len() + to.len())?;
    let parts = find(&text, &from).and_then(|at| Some((text.get(..at)?, text.get(at + from.len()..)?)));
    Ok(match parts {
        Some((before, after)) => Value::text([before, to.as_ref(), after].concat()),
        None => Value::text(text.as_ref()),
    })
}

pub(super) fn replace_first<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    replace_one(input, arguments, shared, |text, from| text.find(from))
}

pub(super) fn replace_last<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    replace_one(input, arguments, shared, |text, from| text.rfind(from))
}

pub(super) fn remove_first<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    replace_first(input, arguments, shared)
}

pub(super) fn remove_last<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    replace_last(input, arguments, shared)
}

/// By a space: at any white space. By nothing: into characters. Empty parts at the end are dropped.
pub(super) fn split<'v>(input: &Value<'v>, arguments: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    if input.is_nil() {
        return Ok(Value::Nil);
    }
    let text = text_of(input, shared)?;
    let at = text_of(arguments.get(0), shared)?;
    shared.budget.text(text.len())?;
    let most = shared.budget.limits.list_items.saturating_add(1);
    let mut parts: Vec<Value<'v>> = match at.as_ref() {
        "" => text.chars().take(most).map(|c| Value::text(c.to_string())).collect(),
        " " => text.split_whitespace().take(most).map(Value::text).collect(),
        at => text.split(at).take(most).map(Value::text).collect(),
    };
    shared.budget.list(parts.len())?;
    while parts.last().is_some_and(Value::is_empty) {
        parts.pop();
    }
    Ok(Value::list(parts))
}

/// Characters with the ellipsis counted in.
pub(super) fn truncate<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    if input.is_nil() {
        return Ok(Value::Nil);
    }
    let length = length_argument(arguments, 50)?;
    let ellipsis = if arguments.has(1) { text_of(arguments.get(1), shared)? } else { "...".into() };
    let text = text_of(input, shared)?;
    if text.chars().count() <= length {
        return built(text.into_owned(), shared);
    }
    let kept = length.saturating_sub(ellipsis.chars().count());
    let mut cut: String = text.chars().take(kept).collect();
    cut.push_str(&ellipsis);
    built(cut, shared)
}

pub(super) fn truncate_words<'v>(
    input: &Value<'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    if input.is_nil() {
        return Ok(Value::Nil);
    }
    let length = length_argument(arguments, 15)?.max(1);
    let ellipsis = if arguments.has(1) { text_of(arguments.get(1), shared)? } else { "...".into() };
    let text = text_of(input, shared)?;
    if text.split_whitespace().nth(length).is_none() {
        return built(text.into_owned(), shared);
    }
    let mut cut = text.split_whitespace().take(length).collect::<Vec<_>>().join(" ");
    cut.push_str(&ellipsis);
    built(cut, shared)
}

fn length_argument(arguments: &Arguments<'_>, default: usize) -> std::result::Result<usize, Fault> {
    if !arguments.has(0) {
        return Ok(default);
    }
    let length = arguments.get(0).to_integer()?;
    Ok(usize::try_from(length.max(0)).unwrap_or(usize::MAX))
}
