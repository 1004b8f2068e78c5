//! ESP-IDF's managed components: what the component manager would download while CMake configures,
//! had beforehand, verified, and laid out so that it asks for nothing.

mod catalog;
pub mod condition;
pub mod fetch;
pub mod files;
mod git;
pub mod glob;
pub mod hash;
pub mod lock;
pub mod manifest;
pub mod name;
pub mod pin;
pub mod plan;
pub mod registry;
pub mod resolve;
pub mod solve;
pub mod tree;
mod upload;
pub mod upstream;
pub mod vendor;
pub mod version;
pub mod yaml;

pub use hash::{ComponentHash, component_hash};
pub use lock::Lock;
pub use manifest::Manifest;
