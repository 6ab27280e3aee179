//! What a line says: final results, unsolicited result codes, headers of messages, and the fields of an answer.
//! Decides nothing.

use crate::types::{Mem, Registration, Slot};

/// A refusal as the modem worded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `ERROR`, `COMMAND NOT SUPPORT` (Huawei), `4` (ATV0).
    Plain,
    /// `+CMS ERROR: <n>` (3GPP TS 27.005 §3.2.5).
    Cms(u16),
    /// `+CME ERROR: <n>` (3GPP TS 27.007 §9.2).
    Cme(u16),
    /// The same in words (`+CMEE=2`, or a code that is no number).
    Words(String),
}

impl Refusal {
    /// As received, for logs and the staff.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Plain => "ERROR".to_owned(),
            Self::Cms(code) => format!("+CMS ERROR: {code}"),
            Self::Cme(code) => format!("+CME ERROR: {code}"),
            Self::Words(words) => words.clone(),
        }
    }
}

/// The end of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Final {
    Ok,
    Refused(Refusal),
}

impl Final {
    /// Reads a final result code (ITU-T V.250 §5.7.1). `terse` also takes the numbers of ATV0, which could be
    /// anything else later. Results of calls (`NO CARRIER`, `BUSY`) end none of our commands.
    pub(super) fn parse(line: &str, terse: bool) -> Option<Self> {
        match line {
            "OK" => return Some(Self::Ok),
            "ERROR" | "COMMAND NOT SUPPORT" | "TOO MANY PARAMETERS" => {
                return Some(Self::Refused(Refusal::Plain));
            }
            "0" if terse => return Some(Self::Ok),
            "4" if terse => return Some(Self::Refused(Refusal::Plain)),
            _ => {}
        }
        let refusal = if let Some(code) = line.strip_prefix("+CMS ERROR:") {
            code.trim().parse().map_or_else(|_| Refusal::Words(line.to_owned()), Refusal::Cms)
        } else {
            let code = line.strip_prefix("+CME ERROR:")?;
            code.trim().parse().map_or_else(|_| Refusal::Words(line.to_owned()), Refusal::Cme)
        };
        Some(Self::Refused(refusal))
    }
}

/// Unsolicited result codes that mean something to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Urc {
    /// `+CMTI` or `+CDSI`: a message or a report lies in this slot.
    Stored(Slot),
    /// `+CMT` or `+CDS`: its PDU is the next line. Length in octets without the SMSC address.
    Direct { length: Option<usize> },
    /// The modem has started anew and forgot its settings.
    Started,
    /// A part of the modem is ready; may or may not mean that it started anew.
    SomethingReady,
    /// No room for further messages, or something came and it was not understood where.
    LookEverywhere,
}

impl Urc {
    pub(super) fn parse(line: &str) -> Option<Self> {
        if let Some(rest) = line.strip_prefix("+CMTI:").or_else(|| line.strip_prefix("+CDSI:")) {
            let fields = fields(rest);
            let mem =
                fields.first().and_then(|name| Mem::parse(name.text())).filter(|mem| *mem != Mem::Direct);
            let index = fields.get(1).and_then(Field::number);
            // Half a line, or a memory of the vendor's own: something has come, and it is looked for.
            return Some(
                mem.zip(index).map_or(Self::LookEverywhere, |(mem, index)| Self::Stored(Slot { mem, index })),
            );
        }
        if let Some(rest) = line.strip_prefix("+CMT:").or_else(|| line.strip_prefix("+CDS:")) {
            return Some(Self::Direct { length: fields(rest).last().and_then(Field::number) });
        }
        match line {
            // RDY: Quectel, SIMCom; ^SYSSTART: Cinterion; START: SIMCom.
            "RDY" | "^SYSSTART" | "START" => Some(Self::Started),
            "+CPIN: READY" | "SMS DONE" | "SMS READY" | "SMS Ready" | "PB DONE" | "Call Ready"
            | "CALL READY" => Some(Self::SomethingReady),
            // ^SMMEMFULL: Huawei; +SMS FULL: SIMCom; +QIND: "smsfull",…: Quectel; +QIND: SMS DONE is another matter.
            _ if line.starts_with("^SMMEMFULL") || line.starts_with("+SMS FULL") => {
                Some(Self::LookEverywhere)
            }
            _ if line.starts_with("+QIND:") => {
                let lower = line.to_ascii_lowercase();
                if lower.contains("smsfull") {
                    Some(Self::LookEverywhere)
                } else if lower.contains("sms done") || lower.contains("pb done") {
                    Some(Self::SomethingReady)
                } else {
                    None
                }
            }
            _ => None,
        }
    }
}

/// One comma-separated field of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    text: String,
    quoted: bool,
}

impl Field {
    /// Without its quotes.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn quoted(&self) -> bool {
        self.quoted
    }

    /// The number in it, when it is one and fits.
    pub(super) fn number<N: std::str::FromStr>(&self) -> Option<N> {
        self.text.parse().ok()
    }
}

/// Splits at commas outside quotes and parentheses; blanks around a field go.
pub(super) fn fields(text: &str) -> Vec<Field> {
    let mut all = Vec::new();
    let mut current = Field { text: String::new(), quoted: false };
    let (mut in_quotes, mut depth) = (false, 0u32);
    for c in text.trim().chars() {
        match c {
            '"' if depth == 0 => {
                in_quotes = !in_quotes;
                current.quoted = true;
            }
            ',' if !in_quotes && depth == 0 => {
                all.push(std::mem::replace(&mut current, Field { text: String::new(), quoted: false }));
            }
            ' ' if !in_quotes && current.text.is_empty() => {}
            _ => {
                if !in_quotes && c == '(' {
                    depth += 1;
                } else if !in_quotes && c == ')' {
                    depth = depth.saturating_sub(1);
                }
                current.text.push(c);
            }
        }
    }
    all.push(current);
    for field in &mut all {
        if !field.quoted {
            field.text.truncate(field.text.trim_end().len());
        }
    }
    all
}

/// The values that a test answer allows, a set for each parameter: `(0-2),(0,1,3)` or `("SM","ME"),("SM")`.
pub(super) fn value_sets(text: &str) -> Vec<Vec<String>> {
    fields(text)
        .iter()
        .map(|field| {
            let inside = field.text.trim_start_matches('(').trim_end_matches(')');
            let mut values = Vec::new();
            for one in fields(inside) {
                let range = one.text.split_once('-').and_then(|(from, to)| {
                    Some((from.trim().parse::<u8>().ok()?, to.trim().parse::<u8>().ok()?))
                });
                match range {
                    Some((from, to)) => values.extend((from..=to).map(|n| n.to_string())),
                    None if one.text.is_empty() => {}
                    None => values.push(one.text),
                }
            }
            values
        })
        .collect()
}

/// True for a line that can only be a PDU: pairs of hex digits, at least the shortest that means anything.
pub(super) fn is_hex(line: &str) -> bool {
    line.len() >= 4 && line.len().is_multiple_of(2) && line.bytes().all(|b| b.is_ascii_hexdigit())
}

/// True when a hex PDU holds as many octets as its header promised: the SMSC address and `length` more
/// (3GPP TS 27.005 §3.1 `<length>`).
pub(super) fn has_length(pdu: &str, length: usize) -> bool {
    let smsc = pdu.get(..2).and_then(|head| usize::from_str_radix(head, 16).ok());
    smsc.is_some_and(|smsc| pdu.len() == 2 * (1 + smsc + length))
}

/// True for a line that begins as vendors' unsolicited lines do: it may stand between a header and its PDU.
pub(super) fn looks_unsolicited(line: &str) -> bool {
    line.starts_with(['+', '^', '*', '$', '%', '#'])
        || matches!(line, "RING" | "NO CARRIER" | "BUSY" | "NO ANSWER" | "NO DIALTONE")
        || line.starts_with("VOICE CALL:")
        || line.starts_with("MISSED_CALL:")
}

/// `+CREG: <stat>[,…]` said unasked, or `+CREG: <n>,<stat>[,…]` as an answer (3GPP TS 27.007 §7.2): the second
/// field of the first form, if any, is a quoted area code.
pub(super) fn registration(rest: &str) -> Option<Registration> {
    let fields = fields(rest);
    let stat = match fields.get(1) {
        Some(second) if !second.quoted() && second.text().len() == 1 => second,
        _ => fields.first()?,
    };
    Some(match stat.number::<u8>()? {
        0 => Registration::NotSearching,
        // 6: home, for texts only; 9: home, CSFB not preferred. Texts go.
        1 | 6 | 9 => Registration::Home,
        2 => Registration::Searching,
        3 => Registration::Denied,
        5 | 7 | 10 => Registration::Roaming,
        _ => Registration::Unknown,
    })
}

/// `+CSQ: <rssi>,<ber>` in dBm (3GPP TS 27.007 §8.5); the inner option is `None` for 99, not known.
pub(super) fn signal_dbm(rest: &str) -> Option<Option<i16>> {
    match fields(rest).first()?.number::<i16>()? {
        rssi @ 0..=31 => Some(Some(2 * rssi - 113)),
        // 100 to 191: TD-SCDMA and LTE scale of some vendors, 1 dB steps from -116.
        rssi @ 100..=191 => Some(Some(rssi - 216)),
        _ => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_read_from_urc_and_answer_alike() {
        for (line, want) in [
            (" 1", Registration::Home),
            (" 0,1", Registration::Home),
            (" 1,5", Registration::Roaming),
            (" 2,2,\"1A2B\",\"00C3\",7", Registration::Searching),
            (" 5,\"1A2B\",\"00C3\",7", Registration::Roaming),
            (" 1,1A2B,00C3", Registration::Home),
        ] {
            assert_eq!(registration(line), Some(want), "{line}");
        }
        assert_eq!(registration(" x"), None);
    }

    #[test]
    fn signal_is_in_dbm_or_unknown() {
        assert_eq!(signal_dbm(" 0,0"), Some(Some(-113)));
        assert_eq!(signal_dbm(" 31,99"), Some(Some(-51)));
        assert_eq!(signal_dbm("99,99"), Some(None));
        assert_eq!(signal_dbm("-"), None);
    }

    #[test]
    fn test_answers_list_values_and_ranges() {
        assert_eq!(value_sets("(0-2),(1,3)"), vec![vec!["0", "1", "2"], vec!["1", "3"]]);
        assert_eq!(value_sets("(\"SM\",\"ME\"),(\"SM\")"), vec![vec!["SM", "ME"], vec!["SM"]]);
        assert_eq!(value_sets("2"), vec![vec!["2"]]);
    }

    #[test]
    fn a_comma_in_a_name_does_not_split_it() {
        let all = fields(" 1,\"Smith, J\",23");
        assert_eq!(all.iter().map(Field::text).collect::<Vec<_>>(), ["1", "Smith, J", "23"]);
    }

    #[test]
    fn final_results_are_told_from_lookalikes() {
        assert_eq!(Final::parse("OK", false), Some(Final::Ok));
        assert_eq!(Final::parse("0", false), None);
        assert_eq!(Final::parse("0", true), Some(Final::Ok));
        assert_eq!(Final::parse("+CMS ERROR: 38", false), Some(Final::Refused(Refusal::Cms(38))));
        assert_eq!(
            Final::parse("+CME ERROR: SIM busy", false),
            Some(Final::Refused(Refusal::Words("+CME ERROR: SIM busy".into())))
        );
        assert_eq!(Final::parse("NO CARRIER", false), None);
    }
}
