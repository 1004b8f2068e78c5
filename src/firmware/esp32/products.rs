//! What an esp32 build leaves behind, with the offsets that the build itself states.

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::idf::Idf;
use super::sizes;
use crate::error::{Error, Result};
use crate::firmware::job::{Job, Product};
use crate::firmware::record::{ArchiveSize, Partition, Role};
use crate::image::assemble::{assemble, write_uf2};
use crate::image::{BuildDir, FlashSettings, partition};

/// The images of a build, and what to record of them.
pub(super) struct Made {
    pub products: Vec<Product>,
    pub flash: FlashSettings,
    pub partitions: Vec<Partition>,
    pub sizes: Vec<ArchiveSize>,
}

/// Joins the parts into `firmware.bin`, and lists everything.
pub(super) fn make(job: &Job<'_>) -> Result<Made> {
    let build = job.workspace.build();
    let parts = BuildDir::read(&build)?;
    let firmware = build.join("firmware.bin");
    let assembled = assemble(&parts.clone().into(), &firmware, job.report)?;
    let application_offset = assembled
        .parts
        .iter()
        .find(|part| part.role == "application")
        .map_or(parts.application_offset, |part| part.offset);

    let product = |role: Role, built: &Path, name: &str, offset: Option<u32>| Product {
        role,
        built: built.to_owned(),
        name: name.to_owned(),
        offset: offset.map(u64::from),
    };
    let mut products = vec![
        product(Role::Firmware, &firmware, "firmware.bin", Some(assembled.offset)),
        product(
            Role::Bootloader,
            &parts.bootloader,
            "bootloader.bin",
            Some(parts.bootloader_offset),
        ),
        product(
            Role::PartitionTable,
            &parts.partition_table,
            "partition-table.bin",
            Some(parts.table_offset),
        ),
        product(Role::Application, &parts.application, "micropython.bin", Some(application_offset)),
        product(Role::Elf, &build.join("micropython.elf"), "micropython.elf", None),
        product(Role::Map, &build.join("micropython.map"), "micropython.map", None),
    ];
    if parts.chip.uf2_family().is_some() {
        let uf2 = build.join("micropython.uf2");
        write_uf2(&parts.application, parts.chip, &uf2)?;
        products.push(product(Role::Uf2, &uf2, "micropython.uf2", None));
    }
    let partitions = partitions(&parts, application_offset)?;
    let sizes = sizes::read(&build.join("micropython.map"))?;
    Ok(Made { products, flash: parts.flash, partitions, sizes })
}

fn partitions(parts: &BuildDir, application_offset: u32) -> Result<Vec<Partition>> {
    let path = &parts.partition_table;
    let bytes = fs::read(path).map_err(|error| Error::io("read", path, &error))?;
    let table = partition::Table::from_binary(&bytes, true)?;
    let application = fs::metadata(&parts.application)
        .map_err(|error| Error::io("read", &parts.application, &error))?
        .len();
    let row = |row: &partition::Partition| Partition {
        name: row.name.clone(),
        kind: row.type_text(),
        subtype: row.subtype_text(),
        offset: row.offset.into(),
        size: row.size.into(),
        used: (row.offset == application_offset).then_some(application),
    };
    Ok(table.partitions.iter().map(row).collect())
}

/// Replaces the places of this build in the linker's map, so that it too is the same everywhere.
pub(super) fn forget_places(job: &Job<'_>, idf: &Idf) -> Result<()> {
    let map = job.workspace.build().join("micropython.map");
    let fresh = job.workspace.build().join("micropython.map.new");
    let places: [(&[u8], &[u8]); 2] = [
        (job.workspace.path().as_os_str().as_bytes(), b"."),
        (idf.path.as_os_str().as_bytes(), b"/esp-idf"),
    ];
    let from = fs::File::open(&map).map_err(|error| Error::io("read", &map, &error))?;
    let to = fs::File::create(&fresh).map_err(|error| Error::io("write", &fresh, &error))?;
    let mut to = BufWriter::new(to);
    for line in BufReader::new(from).split(b'\n') {
        let mut line = line.map_err(|error| Error::io("read", &map, &error))?;
        for (place, name) in places {
            line = replace(&line, place, name);
        }
        line.push(b'\n');
        to.write_all(&line).map_err(|error| Error::io("write", &fresh, &error))?;
    }
    to.flush().map_err(|error| Error::io("write", &fresh, &error))?;
    fs::rename(&fresh, &map).map_err(|error| Error::io("write", &map, &error))
}

fn replace(line: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.windows(from.len().max(1)).position(|window| window == from) {
        let (before, after) = rest.split_at(at);
        replaced.extend_from_slice(before);
        replaced.extend_from_slice(to);
        rest = after.get(from.len()..).unwrap_or_default();
    }
    replaced.extend_from_slice(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::replace;

    #[test]
    fn every_occurrence_of_a_place_is_replaced() {
        assert_eq!(replace(b"/w/a.o(/w/b.o) x", b"/w", b"."), b"./a.o(./b.o) x");
        assert_eq!(replace(b"nothing", b"/w", b"."), b"nothing");
    }
}
