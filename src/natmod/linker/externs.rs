//! Symbols at fixed addresses, from linker scripts such as the ESP8266's list of what its ROM has.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// Symbols at fixed addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Externs {
    addresses: BTreeMap<String, u64>,
}

impl Externs {
    /// Reads the assignments `name = 0x4000df48;` and `PROVIDE ( name = 0x4000df48 );` of a linker script.
    /// Everything else in it is passed over, as upstream's linker does.
    ///
    /// # Errors
    /// When the script gives a symbol two addresses.
    pub fn parse(script: &str) -> Result<Externs> {
        let mut addresses = BTreeMap::new();
        for statement in without_comments(script).split(';') {
            let Some((name, address)) = assignment(statement) else { continue };
            let known = *addresses.entry(name.to_owned()).or_insert(address);
            if known != address {
                return Err(Error::input(format!(
                    "{name} is said to be at 0x{known:x} and at 0x{address:x}"
                )));
            }
        }
        Ok(Externs { addresses })
    }

    /// Adds the symbols of another script.
    pub fn extend(&mut self, other: Externs) {
        self.addresses.extend(other.addresses);
    }

    pub(super) fn get(&self, name: &str) -> Option<u64> {
        self.addresses.get(name).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.addresses.iter().map(|(name, address)| (name.as_str(), *address))
    }
}

/// The text of a linker script without what is in comments.
pub(super) fn without_comments(script: &str) -> String {
    let mut text = String::with_capacity(script.len());
    let mut rest = script;
    while let Some(start) = rest.find("/*") {
        text.push_str(rest.get(..start).unwrap_or(""));
        text.push(' ');
        rest = rest
            .get(start + 2..)
            .and_then(|rest| rest.split_once("*/"))
            .map_or("", |found| found.1);
    }
    text.push_str(rest);
    text.lines().flat_map(|line| [line.split("//").next().unwrap_or(line), "\n"]).collect()
}

fn assignment(statement: &str) -> Option<(&str, u64)> {
    let statement = statement.trim();
    let inner = match statement.strip_prefix("PROVIDE") {
        Some(rest) => rest.trim_start().strip_prefix('(')?.trim_end().strip_suffix(')')?,
        None => statement,
    };
    let (name, address) = inner.split_once('=')?;
    let name = name.trim();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(word) || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    let digits = address.trim().strip_prefix("0x")?;
    Some((name, u64::from_str_radix(digits, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_found_among_other_things() {
        let script = "/* a = 0x1; \n b = 0x2; */ PROVIDE ( memcpy = 0x4000df48 );\n\
            ets_putc=0x40001dcc; // c = 0x3;\nSECTIONS { x }\nd = e;\n\
            PROVIDE(two = 0x10); PROVIDE(two = 0x10);";
        let externs = Externs::parse(script).unwrap();
        let found: Vec<(&str, u64)> = externs.iter().collect();
        assert_eq!(found, [("ets_putc", 0x4000_1dcc), ("memcpy", 0x4000_df48), ("two", 0x10)]);
    }

    #[test]
    fn one_symbol_has_one_address() {
        let error = Externs::parse("a = 0x1; a = 0x2;").unwrap_err();
        assert_eq!(error.message(), "a is said to be at 0x1 and at 0x2");
    }
}
