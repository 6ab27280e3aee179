//! `[web]`: where the upstream's webhooks come in. It speaks plain HTTP: TLS and the way in from the Internet are a
//! tunnel's or a proxy's, so an address that the whole Internet can reach is refused.

use core::net::{IpAddr, SocketAddr};

use super::reader::{Item, Reader, place};

/// `[web]`: what listens for an upstream's webhooks. Nothing does without `listen`.
#[derive(Clone, Debug)]
pub struct WebSection {
    /// `listen`: `127.0.0.1:8080`.
    pub listen: Option<SocketAddr>,
    /// `max_body_kib`; default 256.
    pub max_body: usize,
}

impl Default for WebSection {
    fn default() -> Self {
        Self { listen: None, max_body: 256 << 10 }
    }
}

impl Reader<'_> {
    pub(super) fn web(&mut self, item: Option<&Item<'_>>) -> WebSection {
        let mut web = WebSection::default();
        let Some(item) = item else { return web };
        let Some(table) = item.get_ref().as_table() else {
            self.bad(item, "web", "a table");
            return web;
        };
        self.known(table, "[web]", &["listen", "max_body_kib"]);
        if let Some(text) = self.string(table, "listen") {
            let at = place(item.span().start, table, "listen");
            match text.parse::<SocketAddr>() {
                Ok(address) if address.port() == 0 => {
                    self.fault(at, "`listen` needs a port other than 0: the tunnel must know it".to_owned());
                }
                Ok(address) if is_public(address.ip()) => {
                    let text = format!(
                        "`listen`: {} can be reached from the Internet, and [web] speaks plain HTTP: listen on \
                         127.0.0.1 or in the shop's network, and put a tunnel or a proxy with TLS in front",
                        address.ip()
                    );
                    self.fault(at, text);
                }
                Ok(address) => web.listen = Some(address),
                Err(_) => {
                    let text =
                        format!("`listen` takes an address with a port, as 127.0.0.1:8080, not {text:?}");
                    self.fault(at, text);
                }
            }
        }
        // What Twilio sends of a text stays far below the default.
        web.max_body =
            self.integer(table, "max_body_kib", 4, 16 << 10).map_or(web.max_body, |n| n as usize * 1024);
        web
    }
}

/// An address of one's own that is none of this machine's or of a private network (RFC 1918, 3927, 4193, 4291, 6598).
/// `0.0.0.0` and `::` stand for all that the machine has, whatever these are.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() || shared)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;
    use super::*;

    fn read(text: &str) -> Result<WebSection, Vec<(usize, String)>> {
        let text = format!("[[shop]]\nid = \"main\"\n{text}");
        match parse(&text, None) {
            Ok(config) => Ok(config.web),
            Err(faults) => Err(faults.into_iter().map(|f| (f.line, f.message)).collect()),
        }
    }

    #[test]
    fn nothing_listens_unless_it_is_said() {
        assert_eq!(read("").unwrap().listen, None);
        assert_eq!(read("[web]").unwrap().listen, None);
        let web = read("[web]\nlisten = \"127.0.0.1:8080\"\nmax_body_kib = 64").unwrap();
        assert_eq!((web.listen, web.max_body), ("127.0.0.1:8080".parse().ok(), 64 << 10));
        assert_eq!(read("").unwrap().max_body, 256 << 10);
    }

    #[test]
    fn the_shops_own_networks_and_all_of_them_are_fine() {
        for address in [
            "[::1]:1",
            "10.1.2.3:80",
            "172.20.0.1:80",
            "192.168.1.5:8080",
            "169.254.1.1:80",
            "100.100.1.1:80",
            "[fd00::1]:80",
            "[fe80::1]:80",
            "0.0.0.0:80",
            "[::]:80",
            "[::ffff:10.0.0.1]:80",
        ] {
            assert_eq!(read(&format!("[web]\nlisten = \"{address}\"")).unwrap().listen, address.parse().ok());
        }
    }

    #[test]
    fn a_public_address_and_other_mistakes_are_said_with_their_lines() {
        for (address, what) in [
            ("203.0.113.5:80", "203.0.113.5 can be reached from the Internet"),
            ("[2001:db8::5]:80", "2001:db8::5 can be reached from the Internet"),
            ("[::ffff:203.0.113.5]:80", "can be reached from the Internet"),
            ("100.128.0.1:80", "can be reached from the Internet"),
            ("127.0.0.1:0", "a port other than 0"),
            ("127.0.0.1", "an address with a port"),
            ("localhost:80", "an address with a port"),
        ] {
            let faults = read(&format!("[web]\nlisten = \"{address}\"")).unwrap_err();
            assert_eq!((faults.len(), faults[0].0), (1, 4), "{faults:?}");
            assert!(faults[0].1.contains(what), "{faults:?}");
        }
        let faults = read("[web]\nmax_body_kib = 1\nlisten = 80\nport = 3").unwrap_err();
        assert_eq!(faults.iter().map(|f| f.0).collect::<Vec<_>>(), [4, 5, 6], "{faults:?}");
        assert_eq!(read("web = 3").unwrap_err().len(), 1);
    }
}
