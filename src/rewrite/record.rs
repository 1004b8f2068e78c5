//! What records and logs say of a rewrite.

use serde::{Deserialize, Serialize};

use super::{Changes, FileChanges};

/// An object that got a section of its own, in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Its file, below the directory that was rewritten: `triangle/triangle.c`.
    pub file: String,
    /// The line of its declaration, counted from one.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Its section.
    pub section: String,
}

impl Changes {
    /// The objects that got a section.
    pub fn record(&self) -> Vec<ObjectRecord> {
        let record = |(file, object): (&FileChanges, &super::Object)| ObjectRecord {
            file: file.relative.to_string_lossy().into_owned(),
            line: object.line,
            name: object.name.clone(),
            section: object.section.clone(),
        };
        self.objects().map(record).collect()
    }

    /// A line for each file that changed, and for each that could not be read as C.
    pub fn lines(&self) -> Vec<String> {
        self.files.iter().filter_map(line).collect()
    }
}

fn line(file: &FileChanges) -> Option<String> {
    let name = file.relative.display();
    if let Some(left) = file.rewritten.left {
        return Some(format!(
            "static const: {name} stays as it is: line {}: {}",
            left.line, left.why
        ));
    }
    let objects: Vec<&str> =
        file.rewritten.objects.iter().map(|object| object.name.as_str()).collect();
    (!objects.is_empty())
        .then(|| format!("static const: a section in {name} for {}", objects.join(", ")))
}
