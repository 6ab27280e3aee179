//! "Text Shop": a customer's texts go to the staff's own phones and their answers back. Staff tell customers apart
//! by a short ticket: `#12 We open at nine.`

/// What a member of staff wrote to the shop's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaffText {
    /// `#12 words`.
    Answer {
        /// Whom.
        ticket: u32,
        /// The words, without the ticket.
        words: String,
    },
    /// `#12 DONE`: the conversation goes back to the flows.
    Done {
        /// Whose.
        ticket: u32,
    },
    /// `DONE`: the same, for the only open one.
    DoneOnly,
    /// No ticket in front: for the only open one.
    Bare(String),
}

/// Reads a text from staff. `#12`, `# 12`, `12:` and `#12:` are all tickets; a number alone is not (it may be an
/// answer).
#[must_use]
pub fn parse_staff_text(body: &str) -> StaffText {
    let body = body.trim();
    if is_done(body) {
        return StaffText::DoneOnly;
    }
    let (marked, rest) = body.strip_prefix('#').map_or((false, body), |r| (true, r.trim_start()));
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, words) = rest.split_at(digits);
    let colon = words.trim_start().starts_with(':');
    if let (true, Ok(ticket)) = (marked || colon, number.parse::<u32>()) {
        let words = words.trim_start().trim_start_matches(':').trim().to_owned();
        return if is_done(&words) {
            StaffText::Done { ticket }
        } else {
            StaffText::Answer { ticket, words }
        };
    }
    StaffText::Bare(body.to_owned())
}

fn is_done(text: &str) -> bool {
    let text = text.trim_end_matches(['.', '!']).to_lowercase();
    // A customer's END is STOP; whoever answers customers ends a conversation with it.
    matches!(text.as_str(), "done" | "close" | "closed" | "end" | "quit")
}

/// What staff are told when the box cannot tell whom they mean. `open` are the tickets with names or numbers.
#[must_use]
pub fn staff_help(open: &[(u32, String)]) -> String {
    if open.is_empty() {
        return "No customer is waiting for an answer right now.".to_owned();
    }
    let list: Vec<String> = open.iter().map(|(ticket, who)| format!("#{ticket} {who}")).collect();
    format!(
        "Begin your answer with the customer's number:\n{}\n#{} DONE ends it.",
        list.join("\n"),
        open[0].0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staff_write_tickets_in_many_ways() {
        let answer = |ticket, words: &str| StaffText::Answer { ticket, words: words.into() };
        assert_eq!(parse_staff_text("#12 We open at 9"), answer(12, "We open at 9"));
        assert_eq!(parse_staff_text("# 12: yes"), answer(12, "yes"));
        assert_eq!(parse_staff_text("12: yes"), answer(12, "yes"));
        assert_eq!(parse_staff_text("12 dollars"), StaffText::Bare("12 dollars".into()));
        assert_eq!(parse_staff_text("#12 done"), StaffText::Done { ticket: 12 });
        assert_eq!(parse_staff_text("#12 END"), StaffText::Done { ticket: 12 }, "not the customer's STOP");
        assert_eq!(parse_staff_text("Done."), StaffText::DoneOnly);
        assert_eq!(parse_staff_text("#"), StaffText::Bare("#".into()));
        assert_eq!(parse_staff_text("#99999999999 x"), StaffText::Bare("#99999999999 x".into()));
    }
}
