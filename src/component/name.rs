//! Names of components, and the directories they become.

use crate::error::{Error, Result};

/// The namespace of a name that has none.
const NAMESPACE: &str = "espressif";

/// Checks a name as the component manager does: `namespace/name` or `name`, of letters, digits, and
/// single hyphens and underscores between them.
///
/// # Errors
/// When it is none: such a name must not become a directory.
pub fn check(name: &str) -> Result<()> {
    let slug = |slug: &str| {
        slug.len() >= 2
            && slug.split(['-', '_']).all(|word| {
                !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
            })
    };
    let mut parts = name.split('/');
    let fits = parts.by_ref().take(2).all(slug) && parts.next().is_none();
    if fits {
        return Ok(());
    }
    Err(Error::input(format!(
        "{name:?} is not a component's name, one like espressif/mdns was expected"
    )))
}

/// The name with its namespace.
pub fn with_namespace(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("{NAMESPACE}/{name}") }
}

/// The directory of a component in `managed_components`, which is also its name in the build.
pub fn directory(name: &str) -> String {
    name.replace('/', "__")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_lead_out_of_a_directory() {
        for name in ["espressif/mdns", "mdns", "a1/b-c_d", "zorxx/neopixel"] {
            assert!(check(name).is_ok(), "{name:?}");
        }
        for name in [
            "", "a", "a/b", "../x", "..", "a/../b", "/ab", "ab/", "ab/cd/ef", "a__b", "-ab", "ab_",
            "ab.c", "ab\0c", "äb",
        ] {
            assert!(check(name).is_err(), "{name:?}");
        }
        assert_eq!(directory(&with_namespace("mdns")), "espressif__mdns");
    }
}
