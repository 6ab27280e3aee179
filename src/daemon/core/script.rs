//! A flow's definition, and when it is read. One that the program carries is known to be good (its tests read it), so
//! it is read when it first runs: the patterns of all of them take a third of the box's start, and a megabyte.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::flow::{Definition, lizzy};

/// What executions of one revision of a flow run.
#[derive(Clone, Debug)]
pub(super) struct Script(Arc<When>);

#[derive(Debug)]
enum When {
    Read(Definition),
    Shipped { json: &'static str, read: OnceLock<Result<Definition, String>> },
}

impl Script {
    /// Of Studio JSON.
    ///
    /// # Errors
    /// The first problem.
    pub(super) fn new(name: &str, json: &str) -> Result<Self, String> {
        let shipped = lizzy::FLOWS.iter().find(|(own, text)| *own == name && *text == json);
        let when = match shipped {
            Some((_, json)) => When::Shipped { json, read: OnceLock::new() },
            None => When::Read(read(json)?),
        };
        Ok(Self(Arc::new(when)))
    }

    /// # Errors
    /// The first problem.
    pub(super) fn definition(&self) -> Result<&Definition, &str> {
        match &*self.0 {
            When::Read(definition) => Ok(definition),
            When::Shipped { json, read: kept } => {
                kept.get_or_init(|| read(json)).as_ref().map_err(String::as_str)
            }
        }
    }
}

fn read(json: &str) -> Result<Definition, String> {
    let json = serde_json::from_str::<Value>(json).map_err(|e| e.to_string())?;
    Definition::parse(&json).map(|(definition, _)| definition).map_err(|problems| {
        problems.first().map_or_else(String::new, |p| format!("{}: {}", p.path, p.message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shipped_flow_is_read_when_it_is_first_wanted_and_another_at_once() {
        let (name, json) = lizzy::FLOWS[0];
        let script = Script::new(name, json).unwrap();
        assert!(matches!(&*script.0, When::Shipped { read, .. } if read.get().is_none()));
        assert!(!script.definition().unwrap().states().is_empty());
        assert!(matches!(&*script.0, When::Shipped { read, .. } if read.get().is_some()));
        let changed = Script::new(name, &json.replacen("Main", "Other", 1)).unwrap();
        assert!(matches!(&*changed.0, When::Read(_)));
        assert!(Script::new(name, "{}").is_err());
    }

    #[test]
    fn every_shipped_flow_can_be_read() {
        for (name, json) in lizzy::FLOWS {
            assert!(Script::new(name, json).unwrap().definition().is_ok(), "{name}");
        }
    }
}
