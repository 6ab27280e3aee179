//! What AT commands set and a reset forgets.

use super::storage::Mem;

/// `<te_chset>` of +CSCS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    Gsm,
    Ira,
    Ucs2,
    Hex,
}

impl Charset {
    pub(super) const ALL: [Charset; 4] = [Charset::Gsm, Charset::Ira, Charset::Ucs2, Charset::Hex];

    pub(super) fn name(self) -> &'static str {
        match self {
            Charset::Gsm => "GSM",
            Charset::Ira => "IRA",
            Charset::Ucs2 => "UCS2",
            Charset::Hex => "HEX",
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) echo: bool,
    pub(super) verbose: bool,
    pub(super) quiet: bool,
    pub(super) cmee: u8,
    pub(super) cmgf: u8,
    pub(super) csms: u8,
    /// mode, mt, bm, ds, bfr
    pub(super) cnmi: [u8; 5],
    pub(super) cscs: Charset,
    /// fo, vp, pid, dcs
    pub(super) csmp: [u8; 4],
    pub(super) csdh: bool,
    pub(super) cpms: [Mem; 3],
    pub(super) cmms: u8,
    /// +CREG, +CGREG, +CEREG
    pub(super) registration: [u8; 3],
    pub(super) cops_format: u8,
    pub(super) clip: bool,
    pub(super) crc: bool,
    pub(super) cusd: bool,
    pub(super) service_centre: Option<String>,
    /// Commands that are remembered and change nothing, with what was last set.
    pub(super) inert: std::collections::BTreeMap<&'static str, String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            echo: true,
            verbose: true,
            quiet: false,
            cmee: 0,
            cmgf: 0,
            csms: 0,
            cnmi: [0; 5],
            cscs: Charset::Gsm,
            csmp: [17, 167, 0, 0],
            csdh: false,
            cpms: [Mem::Sm; 3],
            cmms: 0,
            registration: [0; 3],
            cops_format: 0,
            clip: false,
            crc: false,
            cusd: false,
            service_centre: None,
            inert: std::collections::BTreeMap::new(),
        }
    }
}
