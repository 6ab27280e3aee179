//! Bytes to lines. Takes one byte at a time, so that no way of splitting the stream can matter. Knows neither
//! commands nor answers; only that a prompt has no line end.

/// Longest line that is kept: the longest legal one is a `+CMGR` PDU of about 360 characters, vendors' lists reach
/// a few thousand.
const LINE_MAX: usize = 8 * 1024;

/// What the stream is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A line that is not empty, without its end and without blanks around it.
    Line(String),
    /// `>` at the start of a line while a prompt was awaited (3GPP TS 27.005 §3.5.1); the blank after it may
    /// still come.
    Prompt,
}

/// Turns bytes into [`Token`]s.
#[derive(Debug, Default)]
pub(super) struct Digester {
    line: Vec<u8>,
    overflow: bool,
    /// NUL, control characters and stray high bytes that were dropped.
    pub(super) garbage: u64,
    /// Lines longer than [`LINE_MAX`], dropped whole.
    pub(super) overlong: u64,
}

impl Digester {
    /// Takes the next byte. `prompt` says whether a prompt is awaited.
    pub(super) fn feed(&mut self, byte: u8, prompt: bool) -> Option<Token> {
        match byte {
            b'\r' | b'\n' => return self.end_of_line(),
            b'>' if prompt && self.line.is_empty() && !self.overflow => return Some(Token::Prompt),
            b' ' | b'\t' if self.line.is_empty() => {}
            // Echoes of Ctrl-Z and ESC are expected, everything else of the kind is noise; none belongs to a line.
            0x1a | 0x1b => {}
            0..=0x08 | 0x0b..=0x1f | 0x7f => self.garbage += 1,
            // A line that begins with noise is the line after it; noise inside makes it unreadable, as it should.
            0x80..=0xff if self.line.is_empty() => self.garbage += 1,
            _ if self.overflow => {}
            _ if self.line.len() >= LINE_MAX => {
                self.overflow = true;
                self.overlong += 1;
                self.line.clear();
            }
            _ => self.line.push(byte),
        }
        None
    }

    /// Forgets a line that was begun: the port was opened anew.
    pub(super) fn reset(&mut self) {
        self.line.clear();
        self.overflow = false;
    }

    fn end_of_line(&mut self) -> Option<Token> {
        self.overflow = false;
        if self.line.is_empty() {
            return None;
        }
        let line = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
        Some(Token::Line(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(bytes: &[u8], prompt: bool) -> (Vec<Token>, Digester) {
        let mut digester = Digester::default();
        let tokens = bytes.iter().filter_map(|&b| digester.feed(b, prompt)).collect();
        (tokens, digester)
    }

    fn line(text: &str) -> Token {
        Token::Line(text.to_owned())
    }

    #[test]
    fn every_kind_of_line_end_makes_the_same_lines() {
        let want = vec![line("+CSQ: 7,0"), line("OK")];
        for stream in [
            "\r\n+CSQ: 7,0\r\n\r\nOK\r\n",
            "+CSQ: 7,0\rOK\r",
            "+CSQ: 7,0\n\nOK\n",
            "\r\r\n+CSQ: 7,0 \r\r\nOK\r\n",
        ] {
            assert_eq!(tokens(stream.as_bytes(), false).0, want, "{stream:?}");
        }
    }

    #[test]
    fn a_prompt_counts_only_at_the_start_of_a_line_and_when_awaited() {
        assert_eq!(tokens(b"\r\n> ", true).0, vec![Token::Prompt]);
        assert_eq!(tokens(b"\r\n> \r\n", false).0, vec![line(">")]);
        assert_eq!(tokens(b"a> \r\n", true).0, vec![line("a>")]);
    }

    #[test]
    fn noise_is_dropped_and_counted() {
        let (got, digester) = tokens(b"\0\x02\xff\xfe+CMTI: \0\"SM\",1\r\n", false);
        assert_eq!(got, vec![line("+CMTI: \"SM\",1")]);
        assert_eq!(digester.garbage, 5);
    }

    #[test]
    fn an_endless_line_is_dropped_and_the_next_one_is_read() {
        let mut stream = vec![b'A'; 3 * LINE_MAX];
        stream.extend_from_slice(b"\r\nOK\r\n");
        let (got, digester) = tokens(&stream, false);
        assert_eq!(got, vec![line("OK")]);
        assert_eq!(digester.overlong, 1);
    }
}
