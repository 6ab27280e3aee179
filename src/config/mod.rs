//! Two kinds of settings: the technician's one TOML file ([`file`]) and the registry of the owner's ([`settings`]).

pub mod file;
pub mod settings;

pub use file::{Config, DealerSection, Fault, LineConfig, Port, Secret, ShopConfig};
pub use settings::ShopSettings;
