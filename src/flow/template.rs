//! Liquid source as a widget's property holds it.

use jiff::tz::TimeZone;
use serde_json::Value;

use super::Severity;
use crate::types::Wall;

/// What templates may know beside their context: the time of the event and the shop's zone.
#[derive(Clone, Debug)]
pub(crate) struct Templates {
    zone: TimeZone,
    now: Wall,
}

impl Templates {
    pub(crate) fn new(zone: TimeZone, now: Wall) -> Self {
        Self { zone, now }
    }

    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self::new(TimeZone::UTC, Wall(0))
    }
}

/// Liquid source of one property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    pub(crate) fn new(source: impl Into<String>) -> Self {
        Self(source.into())
    }

    /// As it stands in the definition.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0
    }

    /// True when rendering may change the text.
    pub(crate) fn is_dynamic(source: &str) -> bool {
        source.contains("{{") || source.contains("{%")
    }

    /// Renders over the context. Lax: what is missing is blank.
    pub(crate) fn render(&self, globals: &Value, _templates: &Templates) -> String {
        let mut out = String::new();
        let mut rest = self.0.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            out.push_str(before);
            let Some((inner, tail)) = after.split_once("}}") else { break };
            let path = inner.split('|').next().unwrap_or_default().trim().replace('.', "/");
            match globals.pointer(&format!("/{path}")) {
                Some(Value::String(text)) => out.push_str(text),
                None | Some(Value::Null) => {}
                Some(other) => out.push_str(&other.to_string()),
            }
            rest = tail;
        }
        out.push_str(rest);
        out
    }

    /// What is wrong with a source.
    pub(crate) fn problems(_source: &str) -> Vec<(Severity, String)> {
        Vec::new()
    }
}
