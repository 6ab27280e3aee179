//! `[[line]]` of a modem with its SIM.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeTable;

use super::file::ShopConfig;
use super::reader::{Reader, place};
use super::secret::Secret;
use crate::types::{LineId, ShopId};

/// How a modem is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// `port`: a stable name below `/dev`.
    Path(PathBuf),
    /// `imei`: probed for.
    Imei(String),
    /// Neither: the first that answers.
    Any,
}

/// `[[line]]` of kind `modem`, the default.
#[derive(Clone, Debug)]
pub struct LineConfig {
    /// `id`.
    pub id: LineId,
    /// `shop`; may be left out when there is one.
    pub shop: ShopId,
    /// `port`, `imei`, or neither.
    pub port: Port,
    /// `candidates`: names and `*` patterns that are probed when no port is named.
    pub candidates: Vec<String>,
    /// `baud`; default 115200.
    pub baud: u32,
    /// From `pin_file` or `pin_credential`.
    pub pin: Option<Secret>,
    /// `[line.timing]`: the engine's time-outs by name, in seconds.
    pub timing: Vec<(String, Duration)>,
}

impl Reader<'_> {
    pub(super) fn modem(&mut self, at: usize, table: &DeTable<'_>, shops: &[ShopConfig]) -> LineConfig {
        let keys = [
            "id",
            "shop",
            "kind",
            "port",
            "imei",
            "candidates",
            "baud",
            "pin_file",
            "pin_credential",
            "timing",
        ];
        self.known(table, "[[line]]", &keys);
        let id = LineId(self.id(at, table, "[[line]]"));
        if let Some(kind) = self.string(table, "kind").filter(|k| k != "modem") {
            let at = place(at, table, "kind");
            self.fault(at, format!("`kind` takes \"modem\", \"sip\" or \"twilio\", not {kind:?}"));
        }
        let shop = self.shop_of(at, table, shops, "[[line]]");
        let path = self.string(table, "port").map(PathBuf::from);
        let imei = self.string(table, "imei");
        if let Some(bad) = imei.as_ref().filter(|i| i.len() != 15 || !i.bytes().all(|b| b.is_ascii_digit())) {
            let at = place(at, table, "imei");
            self.fault(at, format!("`imei` takes 15 digits, not {bad:?}"));
        }
        let port = match (path, imei) {
            (Some(_), Some(_)) => {
                self.fault(at, format!("line `{id}` has `port` and `imei`: write one of them"));
                Port::Any
            }
            (Some(path), None) => Port::Path(path),
            (None, Some(imei)) => Port::Imei(imei),
            (None, None) => Port::Any,
        };
        let candidates = match table.get("candidates") {
            Some(item) => self.strings(item, "candidates"),
            None => ["/dev/ttyUSB*", "/dev/ttyACM*", "/dev/ttyAMA*"].map(str::to_owned).to_vec(),
        };
        let mut timing = Vec::new();
        if let Some(item) = table.get("timing") {
            match item.get_ref().as_table() {
                Some(entries) => {
                    for key in entries.keys() {
                        let name: &str = key.get_ref();
                        if let Some(duration) = self.seconds(entries, name) {
                            timing.push((name.to_owned(), duration));
                        }
                    }
                }
                None => self.bad(item, "timing", "a table"),
            }
        }
        LineConfig {
            id,
            shop,
            port,
            candidates,
            baud: self.integer(table, "baud", 300, 4_000_000).unwrap_or(115_200),
            pin: self.secret(table, "pin"),
            timing,
        }
    }
}
