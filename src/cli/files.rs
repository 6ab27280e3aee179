//! Files of texts at the command line: read to be sent, and those that are kept listed and written out. What may be sent is
//! the daemon's to say.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::store::{MediaRow, MediaState, Reader};
use crate::types::file::{FILES_LARGEST, ending_of, safe_name};
use crate::types::{MessageId, OwnFile, ShopId};

/// Reads files that are to be sent.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<OwnFile>, String> {
    let mut files = Vec::new();
    let mut total = 0_u64;
    for path in paths {
        let why = |e: io::Error| format!("{} cannot be read: {e}", path.display());
        // Before it is opened: nobody may be at the other end of a pipe.
        if !std::fs::metadata(path).map_err(why)?.is_file() {
            return Err(format!("{} is no file", path.display()));
        }
        let mut bytes = Vec::new();
        // No more than may go: it may be a film, or grow.
        let room = (FILES_LARGEST as u64 + 1).saturating_sub(total);
        let read = File::open(path).and_then(|file| file.take(room).read_to_end(&mut bytes)).map_err(why)?;
        total = total.saturating_add(read as u64);
        if total > FILES_LARGEST as u64 {
            return Err(format!(
                "the files have more than {FILES_LARGEST} bytes (5 MB) together: send a link"
            ));
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.push(OwnFile { name, bytes });
    }
    Ok(files)
}

/// A file of a text as people are shown it.
pub(super) struct Listed {
    row: MediaRow,
    size: u64,
}

/// The files of a text.
pub(super) fn listed(reader: &Reader, shop: &ShopId, message: &MessageId) -> Result<Vec<Listed>, String> {
    let rows = reader.media(shop, message).map_err(|e| e.to_string())?;
    let sizes = reader.media_sizes(shop, message).map_err(|e| e.to_string())?;
    let size = |number: u8| sizes.iter().find(|(n, _)| *n == number).map_or(0, |(_, size)| *size);
    Ok(rows.into_iter().map(|row| Listed { size: size(row.number), row }).collect())
}

impl Listed {
    /// What it is called when it is written: its own name, where there is one that is safe.
    fn name(&self) -> String {
        let MediaRow { message, number, content_type, url, .. } = &self.row;
        // The last part of an upstream's address is an id.
        let own = if url.contains("://") { String::new() } else { safe_name(url, content_type) };
        if own.is_empty() { format!("{message}-{number}.{}", ending_of(content_type)) } else { own }
    }

    pub(super) fn json(&self) -> Value {
        let MediaRow { number, content_type, state, note, url, .. } = &self.row;
        let mut value = json!({
            "number": number,
            "kind": Some(content_type).filter(|kind| !kind.is_empty()),
            "state": state.as_str(),
            "note": note,
        });
        match state {
            MediaState::Kept => {
                value["size"] = self.size.into();
                value["name"] = self.name().into();
            }
            MediaState::Linked => value["link"] = url.as_str().into(),
            MediaState::Wanted | MediaState::Gone => {}
        }
        value
    }
}

/// Lists the files of a text, and with `out` writes those that are kept into that directory.
pub(super) fn show(
    reader: &Reader,
    shop: &ShopId,
    message: &MessageId,
    out: Option<&Path>,
) -> Result<(), String> {
    for file in listed(reader, shop, message)? {
        let mut line = file.json();
        if let (Some(directory), MediaState::Kept) = (out, file.row.state) {
            let bytes = reader.media_bytes(shop, message, file.row.number).map_err(|e| e.to_string())?;
            let bytes = bytes.ok_or_else(|| format!("file {} of {message} is gone", file.row.number))?;
            let path = write(directory, &file.name(), &bytes)
                .map_err(|e| format!("{} cannot be written: {e}", directory.join(file.name()).display()))?;
            line["written"] = path.display().to_string().into();
        }
        println!("{line}");
    }
    Ok(())
}

/// Writes a file under its name, or with a number behind it: nothing that is there is written over.
fn write(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    std::fs::create_dir_all(directory)?;
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, "bin"));
    for number in 1..=1000_u32 {
        let name = if number == 1 { name.to_owned() } else { format!("{stem}-{number}.{ending}") };
        let path = directory.join(name);
        // Neither over a file nor through a link that somebody laid there.
        match File::options().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                file.write_all(bytes)?;
                file.sync_all()?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("a thousand files have this name already"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{LineId, Wall};

    fn listed(url: &str, content_type: &str) -> Listed {
        let row = MediaRow {
            shop: ShopId::from("main"),
            message: MessageId::from("SM1"),
            number: 2,
            line: LineId::from("up"),
            url: url.to_owned(),
            content_type: content_type.to_owned(),
            state: MediaState::Kept,
            note: None,
            bytes: None,
            updated: Wall(0),
        };
        Listed { row, size: 3 }
    }

    #[test]
    fn a_file_is_named_by_its_own_name_or_by_its_text() {
        assert_eq!(listed("https://api.twilio.com/Media/ME1", "image/png").name(), "SM1-2.png");
        assert_eq!(listed("../../my photo.jpeg", "image/jpeg").name(), "my_photo.jpg");
        assert_eq!(listed("..", "text/html").name(), "SM1-2.bin");
    }

    #[test]
    fn nothing_is_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("new");
        let first = write(&out, "a.jpg", b"one").unwrap();
        let second = write(&out, "a.jpg", b"two").unwrap();
        assert_eq!((first, second.clone()), (out.join("a.jpg"), out.join("a-2.jpg")));
        std::os::unix::fs::symlink(out.join("elsewhere"), out.join("b.jpg")).unwrap();
        assert_eq!(write(&out, "b.jpg", b"three").unwrap(), out.join("b-2.jpg"));
        assert_eq!(std::fs::read(out.join("a.jpg")).unwrap(), b"one");
        assert_eq!(std::fs::read(second).unwrap(), b"two");
        assert!(!out.join("elsewhere").exists());
    }

    #[test]
    fn too_large_a_file_is_not_read_to_its_end_and_a_device_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let film = directory.path().join("film.mp4");
        File::create(&film).unwrap().set_len(1 << 40).unwrap();
        assert!(read(&[film]).unwrap_err().contains("send a link"));
        for none in ["/dev/zero", "/tmp"] {
            assert!(read(&[PathBuf::from(none)]).unwrap_err().contains("is no file"), "{none}");
        }
        assert!(read(&[directory.path().join("none.jpg")]).unwrap_err().contains("cannot be read"));
    }
}
