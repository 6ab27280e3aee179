//! Delays and what is told of them.

use serde_json::{Value, json};

/// Nanoseconds from a packet's sending to its arrival in the receiver's kernel.
#[derive(Debug, Default)]
pub(super) struct Delays(Vec<u32>);

impl Delays {
    pub(super) fn with_capacity(packets: usize) -> Self {
        Self(Vec::with_capacity(packets))
    }

    /// Four seconds and more count as four seconds.
    pub(super) fn add(&mut self, nanoseconds: u64) {
        self.0.push(u32::try_from(nanoseconds).unwrap_or(u32::MAX));
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Percentiles in µs; nothing of nothing.
    pub(super) fn figures(mut self) -> Value {
        self.0.sort_unstable();
        let at = |thousandths: usize| {
            let place = (self.0.len() * thousandths / 1000).min(self.0.len().saturating_sub(1));
            self.0.get(place).map(|ns| f64::from(*ns) / 1e3)
        };
        json!({ "p50": at(500), "p90": at(900), "p99": at(990), "p999": at(999), "max": at(1000) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_delays() {
        let mut delays = Delays::default();
        (1..=1000_u64).rev().for_each(|us| delays.add(us * 1000));
        let figures = delays.figures();
        assert_eq!(
            (figures["p50"].as_f64(), figures["p99"].as_f64(), figures["max"].as_f64()),
            (Some(501.0), Some(991.0), Some(1000.0))
        );
        assert!(Delays::default().figures()["p50"].is_null());
    }
}
