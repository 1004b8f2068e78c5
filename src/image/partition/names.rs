//! The names of partition types and subtypes, as ESP-IDF's `gen_esp32part.py` and `esp_partition.h`
//! give them.

use crate::error::{Error, Result};

/// An application.
pub const APP: u8 = 0x00;
/// Data.
pub const DATA: u8 = 0x01;
/// A bootloader, the primary one, a second one for updates, or one for recovery.
pub const BOOTLOADER: u8 = 0x02;
/// A partition table, the primary one or a second one for updates.
pub const PARTITION_TABLE: u8 = 0x03;

/// The subtype of the primary bootloader or partition table.
pub const PRIMARY: u8 = 0x00;
/// The subtype of a recovery bootloader.
pub const RECOVERY: u8 = 0x02;

pub(super) const DATA_OTA: u8 = 0x00;
pub(super) const DATA_NVS: u8 = 0x02;
pub(super) const DATA_COREDUMP: u8 = 0x03;
pub(super) const DATA_UNDEFINED: u8 = 0x06;
pub(super) const DATA_TEE_OTA: u8 = 0x90;

const FIRST_OTA: u8 = 0x10;
const FIRST_TEE: u8 = 0x30;

/// In the order in which upstream looks them up.
const TYPES: &[(&str, u8)] = &[
    ("bootloader", BOOTLOADER),
    ("partition_table", PARTITION_TABLE),
    ("app", APP),
    ("data", DATA),
];

const OTA: [&str; 16] = [
    "ota_0", "ota_1", "ota_2", "ota_3", "ota_4", "ota_5", "ota_6", "ota_7", "ota_8", "ota_9",
    "ota_10", "ota_11", "ota_12", "ota_13", "ota_14", "ota_15",
];

const SUBTYPES: &[(u8, &[(&str, u8)])] = &[
    (BOOTLOADER, &[("primary", PRIMARY), ("ota", 0x01), ("recovery", RECOVERY)]),
    (PARTITION_TABLE, &[("primary", PRIMARY), ("ota", 0x01)]),
    (APP, &[("factory", 0x00), ("test", 0x20), ("tee_0", FIRST_TEE), ("tee_1", FIRST_TEE + 1)]),
    (
        DATA,
        &[
            ("ota", DATA_OTA),
            ("phy", 0x01),
            ("nvs", DATA_NVS),
            ("coredump", DATA_COREDUMP),
            ("nvs_keys", 0x04),
            ("efuse", 0x05),
            ("undefined", DATA_UNDEFINED),
            ("esphttpd", 0x80),
            ("fat", 0x81),
            ("spiffs", 0x82),
            ("littlefs", 0x83),
            ("tee_ota", DATA_TEE_OTA),
        ],
    ),
];

/// A subtype that a project adds, as ESP-IDF's `extra_partition_subtypes` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraSubtype {
    /// The type it belongs to.
    pub kind: u8,
    /// Its name.
    pub name: String,
    /// Its number.
    pub value: u8,
}

impl ExtraSubtype {
    /// Reads `type, name, value`, the value in hexadecimal, as upstream's option takes it.
    ///
    /// # Errors
    /// When it has another form, or when the type has a subtype with that number.
    pub fn parse(text: &str) -> Result<ExtraSubtype> {
        let wrong = || {
            Error::usage(format!(
                "{text:?} is no subtype: expected type, name and hexadecimal value"
            ))
            .hint("for example --extra-subtype app,my_app,0x40")
        };
        let fields: Vec<&str> = text.split(',').map(str::trim).collect();
        let [kind, name, value] = fields.as_slice() else { return Err(wrong()) };
        let kind = named_type(kind).ok_or_else(wrong)?;
        let digits = value.strip_prefix("0x").or(value.strip_prefix("0X")).unwrap_or(value);
        let value = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        if let Some(taken) = builtin_subtypes(kind).find(|(_, number)| *number == value) {
            return Err(Error::usage(format!(
                "the subtype {name:?} has the number 0x{value:02x}, which is that of {:?}",
                taken.0
            ))
            .hint("choose a number that is free, 0x40 to 0xfe for applications"));
        }
        Ok(ExtraSubtype { kind, name: (*name).to_owned(), value })
    }
}

/// The number of a type with a name. Names are compared without regard to case.
pub(super) fn named_type(name: &str) -> Option<u8> {
    let name = name.to_ascii_lowercase();
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The names of all types.
pub(super) fn type_names() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|(name, _)| *name)
}

/// The name of a type, when it has one.
pub fn type_name(number: u8) -> Option<&'static str> {
    TYPES.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

fn builtin_subtypes(kind: u8) -> impl Iterator<Item = (&'static str, u8)> {
    let fixed = SUBTYPES.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, list)| list);
    let ota: &[&str] = if kind == APP { &OTA } else { &[] };
    fixed.iter().copied().chain(ota.iter().zip(FIRST_OTA..).map(|(name, number)| (*name, number)))
}

/// The names and numbers of a type's subtypes.
pub(super) fn subtypes(kind: u8, extra: &[ExtraSubtype]) -> impl Iterator<Item = (&str, u8)> {
    let extra = extra.iter().filter(move |subtype| subtype.kind == kind);
    let builtin = builtin_subtypes(kind).map(|(name, value)| -> (&str, u8) { (name, value) });
    builtin.chain(extra.map(|subtype| (subtype.name.as_str(), subtype.value)))
}

/// The name of a type's subtype, when it has one.
pub fn subtype_name(kind: u8, subtype: u8) -> Option<&'static str> {
    builtin_subtypes(kind).find(|(_, number)| *number == subtype).map(|(name, _)| name)
}

/// Whether a partition's name is that of a type or subtype which the partition has not: mostly two
/// columns that were swapped.
pub(super) fn is_misleading(name: &str, kind: u8, subtype: u8, extra: &[ExtraSubtype]) -> bool {
    let type_of_name = TYPES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    let names_other_type = type_of_name.is_some_and(|number| number != kind);
    let names_subtype =
        TYPES.iter().any(|(_, kind)| subtypes(*kind, extra).any(|(known, _)| known == name));
    let is_own = subtypes(kind, extra).any(|known| known == (name, subtype));
    names_other_type || (names_subtype && !is_own)
}
