//! Two kinds of settings: the technician's one TOML file ([`file`]) and the registry of the owner's ([`settings`]).

#[cfg(test)]
mod calls_tests;
pub mod file;
mod modem;
mod phone;
mod reader;
mod secret;
pub mod settings;
mod sip;
mod template;
mod trunk;
mod upstream;
#[cfg(test)]
mod upstream_tests;
mod web;
mod webhook;

pub use file::{Config, DealerSection, ShopConfig, Storage};
pub use modem::{LineConfig, Port};
pub use phone::{PASSWORD_LEAST, PhoneConfig, weakness};
pub use reader::Fault;
pub use secret::Secret;
pub use settings::ShopSettings;
pub use sip::{Certificate, DigestChoice, MediaSection, SipSection};
pub use template::{SHOP, TEXT, TemplateConfig, TemplatePurpose};
pub use trunk::{CallerStyle, SipTransport, TrunkLine};
pub use upstream::UpstreamLine;
pub use web::WebSection;
pub use webhook::{EVENT_KINDS, Endpoint, matches_kind, secret_bytes};
