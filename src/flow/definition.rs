//! Studio JSON to a checked definition, or all its problems.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The definition cannot be published.
    Error,
    /// It can, and somebody should look.
    Warning,
}

/// One fault of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// As Twilio's FlowValidate: `#/states/3/properties/body`.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Error or warning.
    pub severity: Severity,
}

/// A flow that can run.
#[derive(Clone, Debug)]
pub struct Definition {}

/// One widget.
#[derive(Clone, Debug)]
pub struct State {}

/// Its type.
#[derive(Clone, Debug)]
pub enum StateKind {}

/// One way out of a widget.
#[derive(Clone, Debug)]
pub struct Transition {}

impl Definition {
    /// Parses and checks. Warnings come beside a definition, errors instead of it.
    ///
    /// # Errors
    /// All problems, errors and warnings, in the order of the file.
    pub fn parse(_json: &Value) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        unimplemented!()
    }
}
