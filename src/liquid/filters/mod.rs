//! The filters, by name. A filter takes its input, its arguments and what the rendering shares, and answers
//! with a value or a fault; it charges the budget for what it builds.

mod list;
mod math;
mod pick;
mod text;
mod web;

use std::borrow::Cow;
use std::fmt;

use super::Mode;
use super::budget::{Bounded, Fault};
use super::date;
use super::run::Shared;
use super::value::{Style, Value};

/// What a filter is given beside its input.
#[derive(Debug, Default)]
pub(super) struct Arguments<'v> {
    pub(super) positional: Vec<Value<'v>>,
    pub(super) named: Vec<(&'v str, Value<'v>)>,
}

impl<'v> Arguments<'v> {
    /// The argument, or nil.
    fn get(&self, index: usize) -> &Value<'v> {
        const NIL: &Value<'static> = &Value::Nil;
        self.positional.get(index).unwrap_or(NIL)
    }

    fn has(&self, index: usize) -> bool {
        index < self.positional.len()
    }

    fn named(&self, name: &str) -> bool {
        self.named.iter().any(|(key, value)| *key == name && value.is_true())
    }
}

type Result<'v> = std::result::Result<Value<'v>, Fault>;
type Body = for<'v> fn(&Value<'v>, &Arguments<'v>, &mut Shared<'v>) -> Result<'v>;

/// One filter.
pub(super) struct Filter {
    name: &'static str,
    least: usize,
    most: usize,
    body: Body,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Filter {
    /// Whether it takes so many arguments.
    pub(super) fn check_count(&self, given: usize) -> std::result::Result<(), String> {
        let Self { name, least, most, body: _ } = self;
        if given < *least {
            return Err(format!("`{name}` wants at least {least} argument(s), {given} given"));
        }
        if given > *most {
            return Err(format!("`{name}` takes at most {most} argument(s), {given} given"));
        }
        Ok(())
    }
}

/// The filter of that name.
pub(super) fn find(name: &str) -> Option<&'static Filter> {
    FILTERS.iter().find(|filter| filter.name == name)
}

/// Runs a filter. Too many arguments are a fault in strict mode only.
pub(super) fn apply<'v>(
    filter: &Filter,
    input: &Value<'v>,
    arguments: &mut Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    if shared.mode == Mode::Lax {
        arguments.positional.truncate(filter.most);
    }
    filter.check_count(arguments.positional.len()).map_err(Fault::Arguments)?;
    (filter.body)(input, arguments, shared)
}

const fn filter(name: &'static str, least: usize, most: usize, body: Body) -> Filter {
    Filter { name, least, most, body }
}

static FILTERS: [Filter; 63] = [
    filter("abs", 0, 0, math::abs),
    filter("append", 1, 1, text::append),
    filter("at_least", 1, 1, math::at_least),
    filter("at_most", 1, 1, math::at_most),
    filter("base64_decode", 0, 0, web::base64_decode),
    filter("base64_encode", 0, 0, web::base64_encode),
    filter("base64_url_safe_decode", 0, 0, web::base64_decode),
    filter("base64_url_safe_encode", 0, 0, web::base64_url_safe_encode),
    filter("capitalize", 0, 0, text::capitalize),
    filter("ceil", 0, 0, math::ceil),
    filter("compact", 0, 1, list::compact),
    filter("concat", 1, 1, list::concat),
    filter("date", 1, 1, date_filter),
    filter("default", 0, 1, default),
    filter("divided_by", 1, 1, math::divided_by),
    filter("downcase", 0, 0, text::downcase),
    filter("escape", 0, 0, web::escape),
    filter("escape_once", 0, 0, web::escape_once),
    filter("find", 1, 2, pick::find),
    filter("find_index", 1, 2, pick::find_index),
    filter("first", 0, 0, list::first),
    filter("floor", 0, 0, math::floor),
    filter("h", 0, 0, web::escape),
    filter("has", 1, 2, pick::has),
    filter("join", 0, 1, list::join),
    filter("json", 0, 0, to_json),
    filter("last", 0, 0, list::last),
    filter("lstrip", 0, 0, text::lstrip),
    filter("map", 1, 1, list::map),
    filter("minus", 1, 1, math::minus),
    filter("modulo", 1, 1, math::modulo),
    filter("newline_to_br", 0, 0, text::newline_to_br),
    filter("plus", 1, 1, math::plus),
    filter("prepend", 1, 1, text::prepend),
    filter("reject", 1, 2, pick::reject),
    filter("remove", 1, 1, text::remove),
    filter("remove_first", 1, 1, text::remove_first),
    filter("remove_last", 1, 1, text::remove_last),
    filter("replace", 1, 2, text::replace),
    filter("replace_first", 1, 2, text::replace_first),
    filter("replace_last", 2, 2, text::replace_last),
    filter("reverse", 0, 0, list::reverse),
    filter("round", 0, 1, math::round),
    filter("rstrip", 0, 0, text::rstrip),
    filter("size", 0, 0, list::size),
    filter("slice", 1, 2, list::slice),
    filter("sort", 0, 1, list::sort),
    filter("sort_natural", 0, 1, list::sort_natural),
    filter("split", 1, 1, text::split),
    filter("squish", 0, 0, text::squish),
    filter("strip", 0, 0, text::strip),
    filter("strip_html", 0, 0, web::strip_html),
    filter("strip_newlines", 0, 0, text::strip_newlines),
    filter("sum", 0, 1, math::sum),
    filter("times", 1, 1, math::times),
    filter("to_json", 0, 0, to_json),
    filter("truncate", 0, 2, text::truncate),
    filter("truncatewords", 0, 2, text::truncate_words),
    filter("uniq", 0, 1, list::uniq),
    filter("upcase", 0, 0, text::upcase),
    filter("url_decode", 0, 0, web::url_decode),
    filter("url_encode", 0, 0, web::url_encode),
    filter("where", 1, 2, pick::where_),
];

/// The value as the text that filters work on.
fn text_of<'a>(value: &'a Value<'_>, shared: &mut Shared<'_>) -> std::result::Result<Cow<'a, str>, Fault> {
    value.to_text(Style::Json, &mut shared.budget)
}

/// A text that a filter built: charged.
fn built<'v>(text: String, shared: &mut Shared<'_>) -> Result<'v> {
    shared.budget.text(text.len())?;
    Ok(Value::text(text))
}

fn default<'v>(input: &Value<'v>, arguments: &Arguments<'v>, _: &mut Shared<'v>) -> Result<'v> {
    let keeps_false = arguments.named("allow_false") && matches!(input, Value::Bool(false));
    let is_missing = !input.is_true() || input.is_empty() || matches!(input, Value::Empty | Value::Blank);
    Ok(if is_missing && !keeps_false { arguments.get(0).clone() } else { input.clone() })
}

/// Studio's `to_json`, Shopify's `json`.
fn to_json<'v>(input: &Value<'v>, _: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    let mut out = Bounded::new(shared.budget.limits.output_bytes);
    input.write_json(&mut out)?;
    built(out.into_text(), shared)
}

/// What cannot be read as a date, and any date without a format, passes through.
fn date_filter<'v>(input: &Value<'v>, arguments: &Arguments<'v>, shared: &mut Shared<'v>) -> Result<'v> {
    shared.budget.charge(8)?;
    let format = text_of(arguments.get(0), shared)?;
    if format.is_empty() {
        return Ok(input.clone());
    }
    let moment = match input {
        Value::Int(seconds) => date::from_epoch(*seconds, shared.zone),
        Value::Float(seconds) => date::from_epoch(i128::from(Value::Float(*seconds).to_bound()), shared.zone),
        Value::Str(_) | Value::Text(_) => {
            let text = input.as_str().unwrap_or("");
            date::read(text, shared.zone, shared.now)
        }
        _ => None,
    };
    match moment {
        Some(moment) => built(date::format(&moment, &format, shared.budget.limits.output_bytes), shared),
        None => Ok(input.clone()),
    }
}
