//! The technician's one TOML file and the registry of the owner's settings.

pub mod settings;

pub use settings::ShopSettings;
