//! The log: one JSON line a write, a read or an event, on disk before the next thing happens. It is written
//! with one `write` a line and outlives whatever is killed on the other end of the port.

use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

pub(super) struct Log {
    file: Option<File>,
    /// Unix time of the start in milliseconds; later entries add monotonic time, so that order is never lost.
    started_unix_ms: f64,
    started: Instant,
}

impl Log {
    /// Appends to `path`; without one nothing is written.
    ///
    /// # Errors
    /// The file cannot be opened for appending.
    pub(super) fn open(path: Option<&Path>, started: Instant) -> io::Result<Log> {
        let file = path.map(|p| File::options().create(true).append(true).open(p)).transpose()?;
        let unix = jiff::Timestamp::now().as_microsecond();
        // Microseconds since 1970 fit a double's 53 bits until the year 2255.
        #[expect(clippy::cast_precision_loss, reason = "see above")]
        let started_unix_ms = unix as f64 / 1000.0;
        Ok(Log { file, started_unix_ms, started })
    }

    /// Bytes read from (`rx`) or written to (`tx`) the client, as characters U+0000 to U+00FF.
    pub(super) fn bytes(&mut self, direction: &str, bytes: &[u8], lost: bool) -> io::Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        let text: String = bytes.iter().map(|b| char::from(*b)).collect();
        let mut entry = json!({"dir": direction, "bytes": text});
        if let (true, Value::Object(fields)) = (lost, &mut entry) {
            fields.insert("lost".into(), Value::Bool(true));
        }
        self.entry(entry)
    }

    pub(super) fn entry(&mut self, entry: Value) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut line = Map::new();
        let now = self.started_unix_ms + self.started.elapsed().as_secs_f64() * 1000.0;
        line.insert("t_ms".into(), json!((now * 1000.0).round() / 1000.0));
        if let Value::Object(fields) = entry {
            line.extend(fields);
        }
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        file.write_all(text.as_bytes())
    }
}
