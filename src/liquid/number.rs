//! Numbers as Liquid reckons with them: whole numbers stay whole, fractions are decimal (10.1 + 2.2 is 12.3),
//! and whatever grows out of 128 bits becomes binary floating point.

use super::budget::Fault;

/// A number inside an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i128),
    /// `mantissa / 10^scale`.
    Decimal {
        mantissa: i128,
        scale: u32,
    },
    Float(f64),
}

/// Longer numbers are past every float anyway.
const MAX_DIGITS: usize = 400;

/// Powers of ten beyond this do not fit beside a mantissa worth keeping.
const MAX_SCALE: u32 = 28;

impl Number {
    /// As Ruby's `to_number`: a decimal text is a decimal, anything else its leading whole number, else 0.
    pub(super) fn from_text(text: &str) -> Self {
        let text = text.trim();
        let (negative, body) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let whole = leading_digits(body);
        let fraction = body.get(whole.len()..).and_then(|rest| rest.strip_prefix('.'));
        if let Some(fraction) = fraction
            && !whole.is_empty()
            && !fraction.is_empty()
            && fraction.bytes().all(|b| b.is_ascii_digit())
        {
            return Self::decimal(negative, whole, fraction);
        }
        Self::whole(negative, whole)
    }

    pub(super) fn from_float(value: f64) -> Self {
        let text = format!("{value}");
        let (negative, body) = text.strip_prefix('-').map_or((false, text.as_str()), |rest| (true, rest));
        match body.split_once('.') {
            Some((whole, fraction)) => Self::decimal(negative, whole, fraction),
            None => Self::decimal(negative, body, "0"),
        }
    }

    fn whole(negative: bool, digits: &str) -> Self {
        if digits.is_empty() {
            return Self::Int(0);
        }
        match digits.parse::<i128>() {
            Ok(value) => Self::Int(if negative { -value } else { value }),
            Err(_) => Self::Float(signed(negative, float(digits))),
        }
    }

    fn decimal(negative: bool, whole: &str, fraction: &str) -> Self {
        let exact =
            u32::try_from(fraction.len()).ok().filter(|scale| *scale <= MAX_SCALE).and_then(|scale| {
                let mantissa = format!("{whole}{fraction}").parse::<i128>().ok()?;
                Some(Self::Decimal { mantissa: if negative { -mantissa } else { mantissa }, scale })
            });
        exact.unwrap_or_else(|| Self::Float(signed(negative, float(&format!("{whole}.{fraction}")))))
    }

    pub(super) fn to_f64(self) -> f64 {
        match self {
            // Decimal to binary through text: correctly rounded whatever the size.
            Self::Int(value) => float(&value.to_string()),
            Self::Decimal { mantissa, scale } => float(&format!("{mantissa}e-{scale}")),
            Self::Float(value) => value,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        self.combine(other, i128::checked_add, |a, b| a + b)
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.combine(other, i128::checked_sub, |a, b| a - b)
    }

    pub(super) fn times(self, other: Self) -> Self {
        let exact = match (self.parts(), other.parts()) {
            (Some((a, s)), Some((b, t))) => a.checked_mul(b).map(|mantissa| (mantissa, s + t)),
            _ => None,
        };
        match exact {
            Some((value, _)) if self.is_int() && other.is_int() => Self::Int(value),
            Some((mantissa, scale)) if scale <= MAX_SCALE => Self::Decimal { mantissa, scale },
            Some(_) | None => Self::Float(self.to_f64() * other.to_f64()),
        }
    }

    pub(super) fn divided_by(self, other: Self) -> Result<Self, Fault> {
        other.refuse_zero()?;
        if let (Self::Int(a), Self::Int(b)) = (self, other) {
            return Ok(floor_div(a, b).map_or_else(|| Self::Float(self.to_f64() / other.to_f64()), Self::Int));
        }
        let (a, b) = self.aligned(other).map_or((self.to_f64(), other.to_f64()), |(a, b, _)| {
            (Self::Int(a).to_f64(), Self::Int(b).to_f64())
        });
        Ok(Self::Float(a / b))
    }

    pub(super) fn modulo(self, other: Self) -> Result<Self, Fault> {
        other.refuse_zero()?;
        let floored = |a: i128, b: i128| {
            let rest = a.checked_rem(b)?;
            Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
        };
        Ok(self.combine(other, floored, |a, b| a - b * (a / b).floor()))
    }

    fn refuse_zero(self) -> Result<(), Fault> {
        if self.to_f64() == 0.0 { Fault::value("division by zero") } else { Ok(()) }
    }

    pub(super) fn abs(self) -> Self {
        match self {
            Self::Int(value) => Self::Int(value.saturating_abs()),
            Self::Decimal { mantissa, scale } => Self::Decimal { mantissa: mantissa.saturating_abs(), scale },
            Self::Float(value) => Self::Float(value.abs()),
        }
    }

    pub(super) fn less_than(self, other: Self) -> bool {
        self.aligned(other).map_or_else(|| self.to_f64() < other.to_f64(), |(a, b, _)| a < b)
    }

    pub(super) fn floor(self) -> Self {
        match self {
            Self::Int(_) => self,
            Self::Decimal { mantissa, scale } => Self::Int(mantissa.div_euclid(power(scale))),
            Self::Float(value) => whole_float(value.floor()),
        }
    }

    pub(super) fn ceil(self) -> Self {
        match self {
            Self::Int(_) => self,
            Self::Decimal { mantissa, scale } => {
                let unit = power(scale);
                Self::Int(mantissa.div_euclid(unit) + i128::from(mantissa.rem_euclid(unit) != 0))
            }
            Self::Float(value) => whole_float(value.ceil()),
        }
    }

    /// Half away from zero. Zero or fewer places give a whole number.
    pub(super) fn round(self, places: i128) -> Self {
        let Some((mantissa, scale)) = self.parts() else {
            return match self {
                Self::Float(value) if places <= 0 => whole_float(value.round()),
                Self::Float(_) | Self::Int(_) | Self::Decimal { .. } => self,
            };
        };
        let drop = i128::from(scale) - places;
        if drop <= 0 {
            return self;
        }
        let Some(unit) = u32::try_from(drop).ok().and_then(|drop| 10_i128.checked_pow(drop)) else {
            return Self::Int(0);
        };
        let half = unit / 2;
        let away = if mantissa < 0 { mantissa.saturating_sub(half) } else { mantissa.saturating_add(half) };
        let kept = away / unit;
        if places > 0 {
            return Self::Decimal { mantissa: kept, scale: u32::try_from(places).unwrap_or(0) };
        }
        let scale_up = u32::try_from(-places).ok().and_then(|up| 10_i128.checked_pow(up));
        Self::Int(scale_up.and_then(|up| kept.checked_mul(up)).unwrap_or(0))
    }

    fn is_int(self) -> bool {
        matches!(self, Self::Int(_))
    }

    fn parts(self) -> Option<(i128, u32)> {
        match self {
            Self::Int(value) => Some((value, 0)),
            Self::Decimal { mantissa, scale } => Some((mantissa, scale)),
            Self::Float(_) => None,
        }
    }

    /// Both mantissas at one scale.
    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let ((a, s), (b, t)) = (self.parts()?, other.parts()?);
        let scale = s.max(t);
        Some((a.checked_mul(power(scale - s))?, b.checked_mul(power(scale - t))?, scale))
    }

    fn combine(
        self,
        other: Self,
        exact: impl Fn(i128, i128) -> Option<i128>,
        float: impl Fn(f64, f64) -> f64,
    ) -> Self {
        let result = self.aligned(other).and_then(|(a, b, scale)| Some((exact(a, b)?, scale)));
        match result {
            Some((value, _)) if self.is_int() && other.is_int() => Self::Int(value),
            Some((mantissa, scale)) => Self::Decimal { mantissa, scale },
            None => Self::Float(float(self.to_f64(), other.to_f64())),
        }
    }
}

fn power(scale: u32) -> i128 {
    10_i128.saturating_pow(scale)
}

/// Never infinite: nothing later has to ask.
fn float(text: &str) -> f64 {
    text.parse::<f64>().unwrap_or(f64::MAX).clamp(f64::MIN, f64::MAX)
}

fn signed(negative: bool, value: f64) -> f64 {
    if negative { -value } else { value }
}

fn floor_div(a: i128, b: i128) -> Option<i128> {
    let quotient = a.checked_div(b)?;
    Some(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
}

fn leading_digits(text: &str) -> &str {
    let end = text.bytes().take(MAX_DIGITS).take_while(u8::is_ascii_digit).count();
    text.get(..end).unwrap_or("")
}

/// A whole float as a whole number, when it is one that 128 bits hold.
fn whole_float(value: f64) -> Number {
    format!("{value:.0}").parse().map_or(Number::Float(value), Number::Int)
}

/// As Ruby prints it: `5.0`, `2.857142857142857`, `1.0e+20`, `1.0e-05`.
pub(super) fn float_text(value: f64) -> String {
    if !value.is_finite() {
        return String::new();
    }
    let size = value.abs();
    if size == 0.0 || (1e-4..1e16).contains(&size) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}{point}e{sign}{digits:0>2}")
}
