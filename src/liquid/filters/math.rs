//! Arithmetic.

use super::super::budget::Fault;
use super::super::number::Number;
use super::super::run::Shared;
use super::super::value::Value;
use super::{Arguments, Result, list, pick};

type Input<'a, 'v> = &'a Value<'v>;

pub(super) fn abs<'v>(input: Input<'_, 'v>, _: &Arguments<'v>, _: &mut Shared<'v>) -> Result<'v> {
    Ok(Value::number(input.to_number().abs()))
}

pub(super) fn ceil<'v>(input: Input<'_, 'v>, _: &Arguments<'v>, _: &mut Shared<'v>) -> Result<'v> {
    Ok(Value::number(input.to_number().ceil()))
}

pub(super) fn floor<'v>(input: Input<'_, 'v>, _: &Arguments<'v>, _: &mut Shared<'v>) -> Result<'v> {
    Ok(Value::number(input.to_number().floor()))
}

pub(super) fn round<'v>(input: Input<'_, 'v>, arguments: &Arguments<'v>, _: &mut Shared<'v>) -> Result<'v> {
    let places = i128::from(arguments.get(0).to_bound());
    Ok(Value::number(input.to_number().round(places)))
}

pub(super) fn plus<'v>(input: Input<'_, 'v>, arguments: &Arguments<'v>, _: &mut Shared<'v>) -> Result<'v> {
    finite(input.to_number().plus(arguments.get(0).to_number()))
}

pub(super) fn minus<'v>(input: Input<'_, 'v>, arguments: &Arguments<'v>, _: &mut Shared<'v>) -> Result<'v> {
    finite(input.to_number().minus(arguments.get(0).to_number()))
}

pub(super) fn times<'v>(input: Input<'_, 'v>, arguments: &Arguments<'v>, _: &mut Shared<'v>) -> Result<'v> {
    finite(input.to_number().times(arguments.get(0).to_number()))
}

pub(super) fn divided_by<'v>(
    input: Input<'_, 'v>,
    arguments: &Arguments<'v>,
    _: &mut Shared<'v>,
) -> Result<'v> {
    finite(input.to_number().divided_by(arguments.get(0).to_number())?)
}

pub(super) fn modulo<'v>(input: Input<'_, 'v>, arguments: &Arguments<'v>, _: &mut Shared<'v>) -> Result<'v> {
    finite(input.to_number().modulo(arguments.get(0).to_number())?)
}

pub(super) fn at_least<'v>(
    input: Input<'_, 'v>,
    arguments: &Arguments<'v>,
    _: &mut Shared<'v>,
) -> Result<'v> {
    let (value, least) = (input.to_number(), arguments.get(0).to_number());
    Ok(Value::number(if value.less_than(least) { least } else { value }))
}

pub(super) fn at_most<'v>(input: Input<'_, 'v>, arguments: &Arguments<'v>, _: &mut Shared<'v>) -> Result<'v> {
    let (value, most) = (input.to_number(), arguments.get(0).to_number());
    Ok(Value::number(if most.less_than(value) { most } else { value }))
}

pub(super) fn sum<'v>(
    input: Input<'_, 'v>,
    arguments: &Arguments<'v>,
    shared: &mut Shared<'v>,
) -> Result<'v> {
    let property = arguments.get(0);
    let mut total = Number::Int(0);
    for item in list::items(input, shared)? {
        let value = if property.is_nil() {
            item
        } else {
            pick::property(&item, property, shared)?.unwrap_or(Value::Nil)
        };
        total = total.plus(value.to_number());
    }
    finite(total)
}

fn finite<'v>(number: Number) -> Result<'v> {
    if number.to_f64().is_finite() {
        Ok(Value::number(number))
    } else {
        Fault::value("the number is too large")
    }
}
