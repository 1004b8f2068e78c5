//! `board.json`: what upstream publishes about a board.
//!
//! The schema is the one that MicroPython's `tools/autobuild/build-downloads.py` reads and the
//! README files of `ports/` describe. Only what is there is taken: no field is required, and
//! fields that are not known are left alone.

use std::fmt;
use std::path::Path;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// What a `board.json` says. Texts that upstream leaves empty are `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// The product's name.
    #[serde(deserialize_with = "text")]
    pub product: Option<String>,
    /// Who makes it.
    #[serde(deserialize_with = "text")]
    pub vendor: Option<String>,
    /// The microcontroller's family, in upstream's words (`esp32s3`, `rp2040`, `stm32f4`).
    #[serde(deserialize_with = "text", skip_serializing)]
    pub(super) mcu: Option<String>,
    /// What the board has, in the words that MicroPython's download page filters by.
    pub features: Vec<String>,
    /// More of what the board has, in free words.
    pub features_non_filterable: Vec<String>,
    /// The product's page.
    #[serde(deserialize_with = "text")]
    pub url: Option<String>,
    /// The board's documentation elsewhere.
    #[serde(deserialize_with = "text")]
    pub docs: Option<String>,
    /// Pages on how to flash the board, relative to the board's directory.
    #[serde(skip_serializing)]
    pub(super) deploy: Vec<String>,
    /// Values for the text of those pages. `flash_offset` is among them; it was wrong for some
    /// boards and is never used as an offset.
    pub deploy_options: serde_json::Map<String, serde_json::Value>,
    /// Names of pictures in upstream's media repository.
    pub images: Vec<String>,
    /// The address of a small picture.
    #[serde(deserialize_with = "text")]
    pub thumbnail: Option<String>,
    /// Variants that upstream publishes downloads for, and what they are, in its order.
    #[serde(deserialize_with = "pairs", skip_serializing)]
    pub(super) variants: Vec<(String, String)>,
}

/// Reads a `board.json`; the error names the file (`shown`) and what is wrong in it.
pub(super) fn read(path: &Path, shown: &str) -> Result<Metadata, String> {
    let text = std::fs::read(path)
        .map_err(|error| format!("cannot read {shown}: {}", crate::error::describe(&error)))?;
    // serde would also take the fields from an array.
    if text.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(format!("{shown} is malformed: expected an object"));
    }
    serde_json::from_slice(&text).map_err(|error| format!("{shown} is malformed: {error}"))
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
}

fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    struct Pairs;

    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of variants and their descriptions")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }

    deserializer.deserialize_map(Pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Metadata, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("board.json");
        std::fs::write(&path, text).unwrap();
        read(&path, "board.json")
    }

    #[test]
    fn empty_texts_are_absent_and_variants_keep_their_order() {
        let metadata = parse(
            r#"{"docs": "", "url": " x ", "variants": {"B": "two", "A": "one"}, "id": "old", "new": [1]}"#,
        )
        .unwrap();
        assert_eq!((metadata.docs, metadata.url.as_deref()), (None, Some("x")));
        assert_eq!(metadata.variants.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["B", "A"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("", "board.json is malformed: EOF while parsing a value at line 1 column 0"),
            ("[]", "board.json is malformed: expected an object"),
            (
                "{\"features\":\n \"WiFi\"}",
                "board.json is malformed: invalid type: string \"WiFi\", expected a sequence at line 2 column 7",
            ),
            (
                "{\"variants\": []}",
                "board.json is malformed: invalid type: sequence, expected an object of variants and \
                 their descriptions at line 1 column 13",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected);
        }
    }
}
