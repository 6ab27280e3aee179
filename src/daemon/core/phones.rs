//! Where the shop's phones are registered: kept as rows, so that a phone rings also right after a restart, when it
//! does not know yet that there was one.

use core::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Cx;
use super::shop::Shop;
use crate::sip::agent::{Binding, Route};
use crate::sip::transaction::{Hop, Transport};
use crate::store::{BindingsRow, Op, Snapshot};
use crate::types::{DeviceId, Wall};

/// The stored form of a contact.
#[derive(Debug, Serialize, Deserialize)]
struct Contact {
    contact: String,
    transport: String,
    remote: SocketAddr,
    local: SocketAddr,
    call_id: String,
    cseq: u32,
    expires: Wall,
    q: u16,
    #[serde(default)]
    path: Vec<String>,
    #[serde(default)]
    instance: Option<String>,
    #[serde(default)]
    reg_id: Option<u32>,
    #[serde(default)]
    agent: Option<String>,
}

impl From<&Binding> for Contact {
    fn from(binding: &Binding) -> Self {
        Self {
            contact: binding.contact.to_string(),
            transport: binding.route.hop.transport.as_str().to_owned(),
            remote: binding.route.hop.addr,
            local: binding.route.local,
            call_id: binding.call_id.clone(),
            cseq: binding.cseq,
            expires: binding.expires,
            q: binding.q,
            path: binding.path.clone(),
            instance: binding.instance.clone(),
            reg_id: binding.reg_id,
            agent: binding.agent.clone(),
        }
    }
}

impl Contact {
    /// `None` when it is of a form that this version does not know.
    fn binding(self) -> Option<Binding> {
        let transport = [Transport::Udp, Transport::Tcp, Transport::Tls]
            .into_iter()
            .find(|t| t.as_str() == self.transport)?;
        Some(Binding {
            contact: self.contact.parse().ok()?,
            route: Route { hop: Hop { addr: self.remote, transport }, local: self.local },
            call_id: self.call_id,
            cseq: self.cseq,
            expires: self.expires,
            q: self.q,
            path: self.path,
            instance: self.instance,
            reg_id: self.reg_id,
            agent: self.agent,
        })
    }
}

fn read(contacts: &Value) -> Option<Vec<Binding>> {
    let contacts: Vec<Contact> = serde_json::from_value(contacts.clone()).ok()?;
    contacts.into_iter().map(Contact::binding).collect()
}

impl Shop {
    pub(super) fn load_bindings(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        for row in snapshot.bindings.iter().filter(|r| r.shop == self.id) {
            match read(&row.contacts) {
                Some(bindings) if self.has_device(&row.device) => {
                    self.bindings.insert(row.device.clone(), bindings);
                }
                // The phone is not in the configuration any more.
                Some(_) => self.put_bindings(cx, &row.device, &[]),
                None => cx.alarm(format!(
                    "where phone {} was registered cannot be read: it rings once it registers again",
                    row.device
                )),
            }
        }
    }

    fn devices(&self) -> impl Iterator<Item = &DeviceId> {
        self.setup.calls.iter().flat_map(|ground| &ground.extensions).flat_map(|e| &e.devices)
    }

    fn has_device(&self, device: &DeviceId) -> bool {
        self.devices().any(|own| own == device)
    }

    /// The edge says where a phone is reached now.
    pub(super) fn registered(&mut self, cx: &mut Cx<'_>, device: &DeviceId, bindings: Vec<Binding>) {
        if self.bindings.get(device).map_or(&[][..], Vec::as_slice) == bindings {
            return;
        }
        self.put_bindings(cx, device, &bindings);
        match self.bindings.get_mut(device) {
            Some(held) if held.len() == bindings.len() => {
                held.iter_mut().zip(&bindings).for_each(|(held, newer)| held.renew(newer));
            }
            _ => {
                self.bindings.insert(device.clone(), bindings);
            }
        }
    }

    fn put_bindings(&self, cx: &mut Cx<'_>, device: &DeviceId, bindings: &[Binding]) {
        let contacts: Vec<Contact> = bindings.iter().map(Contact::from).collect();
        match serde_json::to_value(contacts) {
            Ok(contacts) => cx.put(Op::PutBindings(BindingsRow {
                shop: self.id.clone(),
                device: device.clone(),
                contacts,
                updated: cx.now.wall,
            })),
            Err(error) => cx.alarm(format!("where phone {device} is registered cannot be kept: {error}")),
        }
    }

    /// Each phone of the shop and where it is reached.
    pub(super) fn phone_status(&self) -> Value {
        let phones = self.devices().map(|device| {
            let contacts = self.bindings.get(device).map_or(&[][..], Vec::as_slice).iter().map(|b| {
                json!({
                    "address": b.route.hop.addr.to_string(),
                    "transport": b.route.hop.transport.as_str(),
                    "agent": b.agent,
                    "expires": b.expires.rfc3339(),
                })
            });
            (device.to_string(), Value::Array(contacts.collect()))
        });
        Value::Object(phones.collect::<Map<String, Value>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_the_same_after_a_restart() {
        let binding = Binding {
            contact: "sip:front@192.168.1.20:5062;transport=tcp".parse().unwrap(),
            route: Route {
                hop: Hop { addr: "192.168.1.20:49152".parse().unwrap(), transport: Transport::Tcp },
                local: "192.168.1.2:5060".parse().unwrap(),
            },
            call_id: "a84b4c76e66710".to_owned(),
            cseq: 7,
            expires: Wall(1_795_197_600_000),
            q: 1000,
            path: vec!["<sip:edge.example;lr>".to_owned()],
            instance: Some("<urn:uuid:00000000-0000-1000-8000-000a95a0e128>".to_owned()),
            reg_id: Some(1),
            agent: Some("Yealink SIP-T46U".to_owned()),
        };
        let json = serde_json::to_value(vec![Contact::from(&binding)]).unwrap();
        assert_eq!(read(&json), Some(vec![binding]));
        assert_eq!(read(&json!([{"contact": "nothing"}])), None);
    }
}
