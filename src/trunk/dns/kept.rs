//! Where trunks were when DNS last said so, over a restart: one small file, written whole and renamed. It is a hint
//! for a day without DNS, so that a file that cannot be read or written costs a warning and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::sip::transaction::{Hop, Transport};
use crate::trunk::config::Reach;

/// The file's form.
#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    #[serde(default)]
    good: Vec<Row>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    host: String,
    port: Option<u16>,
    over: Option<String>,
    hops: Vec<(String, core::net::SocketAddr)>,
}

/// What was good last.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    path: Option<PathBuf>,
    good: BTreeMap<(String, Option<u16>, Option<Transport>), Vec<Hop>>,
}

impl Kept {
    /// Reads the file, if there is to be one.
    pub(crate) fn open(path: Option<PathBuf>) -> Self {
        let mut kept = Self { path, good: BTreeMap::new() };
        let Some(path) = &kept.path else { return kept };
        let file = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice::<File>(&bytes).map_err(|why| why.to_string()),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
            Err(why) => Err(why.to_string()),
        };
        match file {
            Ok(file) => {
                for row in file.good {
                    let hops: Vec<Hop> = row
                        .hops
                        .iter()
                        .filter_map(|(over, addr)| Some(Hop { addr: *addr, transport: transport(over)? }))
                        .collect();
                    kept.good.insert((row.host, row.port, row.over.as_deref().and_then(transport)), hops);
                }
            }
            Err(why) => {
                tracing::warn!(path = %path.display(), why, "the addresses of trunks that were kept cannot be read")
            }
        }
        kept
    }

    /// What was good last.
    pub(crate) fn good(&self, reach: &Reach) -> Option<&Vec<Hop>> {
        self.good.get(&key(reach)).filter(|hops| !hops.is_empty())
    }

    /// This is good now.
    pub(crate) fn keep(&mut self, reach: &Reach, hops: &[Hop]) {
        if self.good.get(&key(reach)).is_some_and(|known| known == hops) {
            return;
        }
        self.good.insert(key(reach), hops.to_vec());
        self.write();
    }

    fn write(&self) {
        let Some(path) = &self.path else { return };
        let rows = self.good.iter().map(|((host, port, over), hops)| Row {
            host: host.clone(),
            port: *port,
            over: over.map(|t| t.as_str().to_owned()),
            hops: hops.iter().map(|h| (h.transport.as_str().to_owned(), h.addr)).collect(),
        });
        let file = File { good: rows.collect() };
        let fresh = path.with_extension("new");
        let written = serde_json::to_vec(&file)
            .map_err(std::io::Error::other)
            .and_then(|bytes| std::fs::write(&fresh, bytes))
            .and_then(|()| std::fs::rename(&fresh, path));
        if let Err(why) = written {
            tracing::warn!(path = %path.display(), %why, "the addresses of trunks cannot be kept for a restart");
        }
    }
}

fn key(reach: &Reach) -> (String, Option<u16>, Option<Transport>) {
    (reach.host.to_ascii_lowercase(), reach.port, reach.transport)
}

fn transport(text: &str) -> Option<Transport> {
    [Transport::Udp, Transport::Tcp, Transport::Tls].into_iter().find(|t| t.as_str() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_good_is_known_after_a_restart_and_rubbish_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trunks.json");
        let reach =
            Reach { host: "Sip.Example".into(), port: None, transport: Some(Transport::Tls), ca: None };
        let hop = Hop { addr: "[2001:db8::1]:5061".parse().unwrap(), transport: Transport::Tls };
        Kept::open(Some(path.clone())).keep(&reach, &[hop]);
        assert_eq!(Kept::open(Some(path.clone())).good(&reach), Some(&vec![hop]));
        assert_eq!(Kept::open(Some(path.clone())).good(&Reach { port: Some(5061), ..reach.clone() }), None);
        std::fs::write(&path, "{").unwrap();
        assert_eq!(Kept::open(Some(path)).good(&reach), None);
    }
}
