//! The values of a rendering and their rules: truth, equality, order, properties, printing. Borrowed JSON
//! stays borrowed; what templates make themselves is shared by count, never copied deep.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::budget::{BYTES_PER_STEP, Bounded, Budget, Fault};
use super::number::{Number, float_text};

/// A value. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum Value<'v> {
    Nil,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(&'v str),
    Text(Rc<str>),
    Array(&'v [Json]),
    List(Rc<[Value<'v>]>),
    Object(&'v Map<String, Json>),
    Range(i64, i64),
    Loop(Rc<LoopState>),
    /// The word `blank`.
    Blank,
    /// The word `empty`.
    Empty,
}

/// `forloop` and `tablerowloop`.
#[derive(Debug)]
pub(super) struct LoopState {
    pub(super) name: Rc<str>,
    pub(super) length: usize,
    pub(super) index0: usize,
    pub(super) parent: Option<Rc<LoopState>>,
    /// Columns of a `tablerow`.
    pub(super) cols: Option<usize>,
}

/// How lists print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Items without separators, as Shopify prints them.
    Joined,
    /// As JSON.
    Json,
}

impl<'v> Value<'v> {
    pub(super) fn from_json(json: &'v Json) -> Self {
        match json {
            Json::Null => Self::Nil,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => number
                .as_i128()
                .map(Self::Int)
                .or_else(|| number.as_f64().map(Self::Float))
                .unwrap_or(Self::Nil),
            Json::String(text) => Self::Str(text),
            Json::Array(items) => Self::Array(items),
            Json::Object(map) => Self::Object(map),
        }
    }

    pub(super) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(items.into())
    }

    pub(super) fn number(number: Number) -> Self {
        match number {
            Number::Int(value) => Self::Int(value),
            Number::Decimal { .. } | Number::Float(_) => Self::Float(number.to_f64()),
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Units of work that reading it once costs.
    pub(super) fn weight(&self) -> usize {
        self.as_str().map_or(0, |text| text.len() / BYTES_PER_STEP)
    }

    pub(super) fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// Only nil and false are not true.
    pub(super) fn is_true(&self) -> bool {
        !matches!(self, Self::Nil | Self::Bool(false))
    }

    /// What `== empty` asks.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Array(items) => items.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Object(map) => map.is_empty(),
            Self::Str(_) | Self::Text(_) => self.as_str() == Some(""),
            Self::Nil
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Range(..)
            | Self::Loop(_)
            | Self::Blank
            | Self::Empty => false,
        }
    }

    /// What `== blank` asks.
    fn is_blank(&self) -> bool {
        match self.as_str() {
            Some(text) => text.chars().all(char::is_whitespace),
            None => !self.is_true() || self.is_empty(),
        }
    }

    /// The number that arithmetic takes it for; 0 where it is none.
    pub(super) fn to_number(&self) -> Number {
        match self {
            Self::Int(value) => Number::Int(*value),
            Self::Float(value) => Number::from_float(*value),
            Self::Str(_) | Self::Text(_) => Number::from_text(self.as_str().unwrap_or("")),
            _ => Number::Int(0),
        }
    }

    /// A whole number, or a fault: what positions and lengths must be.
    pub(super) fn to_integer(&self) -> Result<i128, Fault> {
        let parsed = match self {
            Self::Int(value) => Some(*value),
            Self::Str(_) | Self::Text(_) => self.as_str().and_then(|text| text.trim().parse().ok()),
            _ => None,
        };
        parsed.ok_or_else(|| Fault::Value("a whole number is needed".to_owned()))
    }

    /// One end of a range; 0 where it is no number.
    pub(super) fn to_bound(&self) -> i64 {
        let whole = match self.to_number() {
            Number::Int(value) => value,
            other => match other.floor() {
                Number::Int(value) => value,
                Number::Decimal { .. } | Number::Float(_) => 0,
            },
        };
        i64::try_from(whole.clamp(i128::from(i64::MIN), i128::from(i64::MAX))).unwrap_or(0)
    }

    /// Number of items, where it has items.
    pub(super) fn item_count(&self) -> Option<usize> {
        match self {
            Self::Array(items) => Some(items.len()),
            Self::List(items) => Some(items.len()),
            Self::Range(from, to) => Some(range_length(*from, *to)),
            Self::Object(map) => Some(map.len()),
            _ => None,
        }
    }

    /// Item by position; an object's items are its pairs.
    pub(super) fn item(&self, index: usize) -> Option<Self> {
        match self {
            Self::Array(items) => items.get(index).map(Self::from_json),
            Self::List(items) => items.get(index).cloned(),
            Self::Range(from, to) if index < range_length(*from, *to) => {
                let offset = i64::try_from(index).ok()?;
                from.checked_add(offset).map(|value| Self::Int(i128::from(value)))
            }
            Self::Object(map) => map
                .iter()
                .nth(index)
                .map(|(key, value)| Self::list(vec![Self::Str(key), Self::from_json(value)])),
            _ => None,
        }
    }

    /// `.name`.
    pub(super) fn property(&self, name: &str) -> Self {
        if let Self::Object(map) = self
            && let Some(value) = map.get(name)
        {
            return Self::from_json(value);
        }
        if let Self::Loop(state) = self {
            return state.property(name);
        }
        match name {
            "size" => self.size().map_or(Self::Nil, Self::count),
            "first" => self.first(),
            "last" => self.last(),
            // Only the lax parser lets a number follow a dot.
            _ => name.parse().map_or(Self::Nil, |index| self.at(&Self::Int(index))),
        }
    }

    /// `[key]`.
    pub(super) fn at(&self, key: &Self) -> Self {
        match (self, key) {
            (Self::Object(map), _) => {
                key.as_str().and_then(|key| map.get(key)).map_or(Self::Nil, Self::from_json)
            }
            (Self::Loop(state), _) => key.as_str().map_or(Self::Nil, |key| state.property(key)),
            (Self::Array(_) | Self::List(_) | Self::Range(..), Self::Int(index)) => {
                let length = i128::try_from(self.item_count().unwrap_or(0)).unwrap_or(0);
                let index = if *index < 0 { index.saturating_add(length) } else { *index };
                usize::try_from(index).ok().and_then(|index| self.item(index)).unwrap_or(Self::Nil)
            }
            _ => Self::Nil,
        }
    }

    pub(super) fn count(count: usize) -> Self {
        Self::Int(i128::try_from(count).unwrap_or(i128::MAX))
    }

    /// Characters of a text, items of the rest; `None` where size means nothing.
    pub(super) fn size(&self) -> Option<usize> {
        match self.as_str() {
            Some(text) => Some(text.chars().count()),
            None => self.item_count(),
        }
    }

    pub(super) fn first(&self) -> Self {
        match self.as_str() {
            Some(text) => text.chars().next().map_or(Self::Nil, |c| Self::text(c.to_string())),
            None => self.item(0).unwrap_or(Self::Nil),
        }
    }

    /// Objects have no last pair: Liquid gives nothing.
    pub(super) fn last(&self) -> Self {
        match self {
            Self::Object(_) => Self::Nil,
            Self::Str(_) | Self::Text(_) => self
                .as_str()
                .and_then(|text| text.chars().next_back())
                .map_or(Self::Nil, |c| Self::text(c.to_string())),
            _ => self
                .item_count()
                .and_then(|count| count.checked_sub(1))
                .and_then(|last| self.item(last))
                .unwrap_or(Self::Nil),
        }
    }

    /// `==`.
    pub(super) fn equals(&self, other: &Self, budget: &mut Budget) -> Result<bool, Fault> {
        budget.charge(1 + self.weight().min(other.weight()))?;
        Ok(match (self, other) {
            (Self::Blank, Self::Blank) | (Self::Empty, Self::Empty) | (Self::Nil, Self::Nil) => true,
            (Self::Blank, Self::Empty) | (Self::Empty, Self::Blank) => false,
            (Self::Blank, value) | (value, Self::Blank) => {
                budget.charge(value.weight())?;
                value.is_blank()
            }
            (Self::Empty, value) | (value, Self::Empty) => value.is_empty(),
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(_) | Self::Float(_), Self::Int(_) | Self::Float(_)) => {
                self.compare_numbers(other) == Some(Ordering::Equal)
            }
            (Self::Str(_) | Self::Text(_), Self::Str(_) | Self::Text(_)) => self.as_str() == other.as_str(),
            (Self::Range(a, b), Self::Range(c, d)) => (a, b) == (c, d),
            (Self::Array(_) | Self::List(_), Self::Array(_) | Self::List(_)) => {
                return self.lists_equal(other, budget);
            }
            (Self::Object(a), Self::Object(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, value) in *a {
                    let Some(twin) = b.get(key) else { return Ok(false) };
                    if !Value::from_json(value).equals(&Value::from_json(twin), budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Loop(a), Self::Loop(b)) => Rc::ptr_eq(a, b),
            _ => false,
        })
    }

    fn lists_equal(&self, other: &Self, budget: &mut Budget) -> Result<bool, Fault> {
        let count = self.item_count().unwrap_or(0);
        if Some(count) != other.item_count() {
            return Ok(false);
        }
        for index in 0..count {
            let (a, b) = (self.item(index).unwrap_or(Self::Nil), other.item(index).unwrap_or(Self::Nil));
            if !a.equals(&b, budget)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn compare_numbers(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Int(_) | Self::Float(_), Self::Int(_) | Self::Float(_)) => {
                self.to_number().to_f64().partial_cmp(&other.to_number().to_f64())
            }
            _ => None,
        }
    }

    /// Order of two numbers or two texts; `None` where there is none.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self.as_str(), other.as_str()) {
            (Some(a), Some(b)) => Some(a.cmp(b)),
            _ => self.compare_numbers(other),
        }
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Float(_))
    }

    /// `contains`.
    pub(super) fn contains(&self, needle: &Self, budget: &mut Budget) -> Result<bool, Fault> {
        if !self.is_true() || !needle.is_true() {
            return Ok(false);
        }
        if let Some(text) = self.as_str() {
            budget.charge(self.weight())?;
            let needle = needle.to_text(Style::Json, budget)?;
            return Ok(text.contains(needle.as_ref()));
        }
        if let Self::Object(map) = self {
            return Ok(needle.as_str().is_some_and(|key| map.contains_key(key)));
        }
        if let (Self::Range(from, to), Self::Int(value)) = (self, needle) {
            return Ok((i128::from(*from)..=i128::from(*to)).contains(value));
        }
        for index in 0..self.item_count().unwrap_or(0) {
            if self.item(index).unwrap_or(Self::Nil).equals(needle, budget)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// As text. Charged and bounded.
    pub(super) fn to_text(&self, style: Style, budget: &mut Budget) -> Result<Cow<'_, str>, Fault> {
        if let Some(text) = self.as_str() {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = Bounded::new(budget.limits.output_bytes);
        self.write(style, &mut out)?;
        budget.text(out.len())?;
        Ok(Cow::Owned(out.into_text()))
    }

    /// Prints it.
    pub(super) fn write(&self, style: Style, out: &mut Bounded) -> Result<(), Fault> {
        match self {
            Self::Nil | Self::Blank | Self::Empty => Ok(()),
            Self::Bool(value) => out.push(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push(&value.to_string()),
            Self::Float(value) => out.push(&float_text(*value)),
            Self::Str(text) => out.push(text),
            Self::Text(text) => out.push(text),
            Self::Range(from, to) => out.push(&format!("{from}..{to}")),
            Self::Loop(_) => out.push("forloop"),
            Self::Object(_) => self.write_json(out),
            Self::Array(_) | Self::List(_) if style == Style::Json => self.write_json(out),
            Self::Array(items) => items.iter().try_for_each(|item| Value::from_json(item).write(style, out)),
            Self::List(items) => items.iter().try_for_each(|item| item.write(style, out)),
        }
    }

    /// Prints it as JSON.
    pub(super) fn write_json(&self, out: &mut Bounded) -> Result<(), Fault> {
        match self {
            Self::Nil | Self::Blank | Self::Empty | Self::Loop(_) => out.push("null"),
            Self::Bool(_) | Self::Int(_) | Self::Float(_) => self.write(Style::Json, out),
            Self::Str(_) | Self::Text(_) => to_writer(out, self.as_str().unwrap_or("")),
            Self::Array(items) => to_writer(out, items),
            Self::Object(map) => to_writer(out, map),
            Self::Range(from, to) => out.push(&format!("\"{from}..{to}\"")),
            Self::List(items) => {
                out.push("[")?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(",")?;
                    }
                    item.write_json(out)?;
                }
                out.push("]")
            }
        }
    }
}

fn to_writer<T: serde::Serialize + ?Sized>(out: &mut Bounded, value: &T) -> Result<(), Fault> {
    serde_json::to_writer(out, value).map_err(|_| Fault::Output)
}

fn range_length(from: i64, to: i64) -> usize {
    let length = i128::from(to) - i128::from(from) + 1;
    usize::try_from(length.max(0)).unwrap_or(usize::MAX)
}

impl LoopState {
    fn property<'v>(&self, name: &str) -> Value<'v> {
        let rest = self.length.saturating_sub(self.index0);
        let column = self.cols.map(|cols| self.index0.checked_rem(cols).unwrap_or(self.index0));
        match (name, column) {
            ("name", None) => Value::Text(Rc::clone(&self.name)),
            ("length", _) => Value::count(self.length),
            ("index", _) => Value::count(self.index0 + 1),
            ("index0", _) => Value::count(self.index0),
            ("rindex", _) => Value::count(rest),
            ("rindex0", _) => Value::count(rest.saturating_sub(1)),
            ("first", _) => Value::Bool(self.index0 == 0),
            ("last", _) => Value::Bool(rest <= 1),
            ("parentloop", None) => {
                self.parent.as_ref().map_or(Value::Nil, |parent| Value::Loop(Rc::clone(parent)))
            }
            ("col", Some(column)) => Value::count(column + 1),
            ("col0", Some(column)) => Value::count(column),
            ("col_first", Some(column)) => Value::Bool(column == 0),
            ("col_last", Some(column)) => Value::Bool(Some(column + 1) == self.cols),
            ("row", Some(_)) => Value::count(
                self.cols.and_then(|cols| self.index0.checked_div(cols)).map_or(1, |row| row + 1),
            ),
            _ => Value::Nil,
        }
    }
}
