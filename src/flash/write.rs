//! Comparing, writing and verifying: the same for every device.

use std::ops::Range;
use std::time::Instant;

use serde::Serialize;

use super::checks;
use super::device::Device;
use super::firmware::{self, Firmware, PartRole};
use super::plan::{self, digest};
use crate::error::{Error, Kind, Result};
use crate::image::partition::{APP, DEFAULT_OFFSET, RawTable, Table};
use crate::interrupt;
use crate::report::Report;

/// What is to be done besides writing what differs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Write the application only.
    pub app_only: bool,
    /// Erase all of the flash first.
    pub erase: bool,
    /// Erase the user's files.
    pub erase_filesystem: bool,
}

/// What a device needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The firmware, as far as it is written.
    pub firmware: Firmware,
    /// For each of its parts, the ranges that are written, in bytes from the part's start.
    pub ranges: Vec<Vec<Range<u32>>>,
    /// Whether all of the flash is erased first.
    pub erase: bool,
    /// The partition of the user's files, when it is erased.
    pub erase_filesystem: Option<Range<u32>>,
}

/// What was, or would be, done to a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartSummary {
    /// What it is called.
    pub name: String,
    /// Where it lies in flash, in bytes.
    pub offset: u32,
    /// How many bytes it has.
    pub size: u64,
    /// How many of them are written.
    pub written: u64,
    /// How many were there already.
    pub skipped: u64,
}

impl Plan {
    /// Checks a firmware against a device, and compares.
    ///
    /// # Errors
    /// When the firmware cannot work there, or the device does not answer.
    pub fn new(
        mut firmware: Firmware,
        options: &Options,
        device: &mut dyn Device,
        report: &dyn Report,
    ) -> Result<Plan> {
        checks::device(&firmware, device.found())?;
        if device.found().security.is_none() {
            report.warn("the chip does not tell whether secure boot or flash encryption is on");
        }
        if device.found().flash_size.is_none() {
            report.warn("the flash chip's identification is unknown, and so is its size");
        }
        let mut table = firmware.table.clone();
        if options.app_only {
            let found = device_table(&firmware, device)?;
            if firmware.is_application_alone() {
                firmware.place(&found)?;
            } else {
                check_place(&firmware, &found)?;
                firmware.keep_application();
            }
            table = Some(found);
        }
        checks::firmware(&firmware)?;
        checks::device(&firmware, device.found())?;
        let erase_filesystem = match table.filter(|_| options.erase_filesystem) {
            Some(table) => Some(filesystem(&table)?),
            None => None,
        };
        let mut ranges = Vec::new();
        for part in &firmware.parts {
            ranges.push(if options.erase {
                let all = 0..u32::try_from(part.data.len()).unwrap_or(u32::MAX);
                let blank = part.data.iter().all(|byte| *byte == 0xff);
                if blank { Vec::new() } else { vec![all] }
            } else {
                report.step(&format!("comparing the {}", part.name));
                plan::differences(&part.data, part.offset, &mut |range| device.md5(range))?
            });
        }
        Ok(Plan { firmware, ranges, erase: options.erase, erase_filesystem })
    }

    /// What it comes to, part by part.
    pub fn summary(&self) -> Vec<PartSummary> {
        let summary = |(part, ranges): (&firmware::Part, &Vec<Range<u32>>)| {
            let size = part.data.len() as u64;
            let written = length(ranges);
            PartSummary {
                name: part.name.clone(),
                offset: part.offset,
                size,
                written,
                skipped: size - written,
            }
        };
        self.firmware.parts.iter().zip(&self.ranges).map(summary).collect()
    }

    /// Whether the device already is as it should be.
    pub fn is_empty(&self) -> bool {
        !self.erase && self.erase_filesystem.is_none() && self.ranges.iter().all(Vec::is_empty)
    }

    /// Writes, and verifies all of it, also what was not written.
    ///
    /// # Errors
    /// When the device fails or differs afterwards, or the user interrupts. The error says in what state
    /// the device is.
    pub fn carry_out(&self, device: &mut dyn Device, report: &dyn Report) -> Result<()> {
        let mut begun = None;
        self.write(device, report, &mut begun)
            .and_then(|()| self.verify(device, report))
            .map_err(|error| state(error, begun.as_deref()))
    }

    fn write(
        &self,
        device: &mut dyn Device,
        report: &dyn Report,
        begun: &mut Option<String>,
    ) -> Result<()> {
        interrupt::check()?;
        if self.erase {
            report.step("erasing the flash");
            *begun = Some("erasing the flash".to_owned());
            device.erase_all()?;
        } else if let Some(range) = &self.erase_filesystem {
            report.step("erasing the filesystem");
            *begun = Some("erasing the filesystem".to_owned());
            device.erase(range.clone())?;
        }
        for (part, ranges) in self.firmware.parts.iter().zip(&self.ranges) {
            if ranges.is_empty() {
                continue;
            }
            interrupt::check()?;
            let gauge = report.bytes(&format!("writing the {}", part.name), Some(length(ranges)));
            *begun = Some(format!("writing the {}", part.name));
            let mut before = 0;
            for range in ranges {
                let data = part.data.get(range.start as usize..range.end as usize);
                let data = data.unwrap_or_default();
                device.write(part.offset + range.start, data, &mut |done| {
                    gauge.set(before + done);
                    interrupt::check()
                })?;
                before += data.len() as u64;
            }
        }
        Ok(())
    }

    fn verify(&self, device: &mut dyn Device, report: &dyn Report) -> Result<()> {
        report.step("verifying");
        for part in &self.firmware.parts {
            if !agrees(device, part.offset..end(part), &part.data)? {
                return Err(Error::device(format!(
                    "the {} on the device is not what was written to it",
                    part.name
                ))
                .hint("its flash may be worn out, or smaller than it says"));
            }
        }
        for gap in self.erased(device.found().flash_size) {
            if !agrees(device, gap.clone(), &vec![0xff; gap.len()])? {
                return Err(Error::device(format!(
                    "the flash from 0x{:x} to 0x{:x} is not erased",
                    gap.start, gap.end
                )));
            }
        }
        self.verify_size(device)
    }

    /// What must be erased now, as far as nothing was written there.
    fn erased(&self, flash_size: Option<u64>) -> Vec<Range<u32>> {
        if !self.erase {
            return self.erase_filesystem.iter().cloned().collect();
        }
        let size = flash_size.and_then(|size| u32::try_from(size).ok()).unwrap_or(0);
        let mut gaps = Vec::new();
        let mut at = 0;
        for part in &self.firmware.parts {
            gaps.push(at..part.offset);
            at = end(part);
        }
        gaps.push(at..size);
        gaps.retain(|gap| gap.start < gap.end);
        gaps
    }

    /// A flash that is smaller than it says shows its beginning again in its upper half.
    fn verify_size(&self, device: &mut dyn Device) -> Result<()> {
        let (Some(size), Some(table)) = (device.found().flash_size, &self.firmware.table) else {
            return Ok(());
        };
        let half = u32::try_from(size / 2).unwrap_or(0);
        let Some(part) = self.firmware.part(PartRole::PartitionTable) else { return Ok(()) };
        if table.flash_end() <= u64::from(half) || part.end() > u64::from(half) {
            return Ok(());
        }
        if device.md5(part.offset + half..end(part) + half)? != digest(&part.data) {
            return Ok(());
        }
        Err(Error::device(format!(
            "the flash says that it has {}, but shows its beginning again at 0x{half:x}: it has half of that or less",
            checks::megabytes(size)
        ))
        .hint("build for a board or variant with the flash size that it has"))
    }
}

/// Whether a range of flash holds these bytes. Asked twice before it is denied: an answer may be damaged on
/// its way, and then it differs.
fn agrees(device: &mut dyn Device, range: Range<u32>, data: &[u8]) -> Result<bool> {
    let expected = digest(data);
    Ok(device.md5(range.clone())? == expected || device.md5(range)? == expected)
}

fn end(part: &firmware::Part) -> u32 {
    u32::try_from(part.end()).unwrap_or(u32::MAX)
}

fn length(ranges: &[Range<u32>]) -> u64 {
    ranges.iter().map(|range| u64::from(range.end - range.start)).sum()
}

/// The error of a run that ended early, with the state in which the device was left.
fn state(error: Error, begun: Option<&str>) -> Error {
    let interrupted = error.kind() == Kind::Interrupted;
    match begun {
        None if interrupted => Error::new(Kind::Interrupted, "interrupted; nothing was written"),
        None => error.hint("nothing was written"),
        Some(what) if interrupted => Error::new(
            Kind::Interrupted,
            format!("interrupted while {what}: the device is half written and may not start"),
        )
        .hint("run the same command again: it goes on where this one stopped"),
        Some(what) => error
            .context(what)
            .hint("the device is half written and may not start; run the same command again: it goes on where this one stopped"),
    }
}

/// The partition table that lies on a device.
fn device_table(firmware: &Firmware, device: &mut dyn Device) -> Result<Table> {
    let offset = firmware.part(PartRole::PartitionTable).map_or(DEFAULT_OFFSET, |part| part.offset);
    let raw = RawTable::parse(&device.read(offset, firmware::TABLE_LENGTH)?);
    if raw.is_plausible() && !raw.table.partitions.is_empty() {
        return Ok(raw.table);
    }
    Err(Error::device(format!(
        "the device has no partition table at 0x{offset:x}, and so no place for an application alone"
    ))
    .hint("flash all of a firmware once, without `--app-only`"))
}

/// Checks that an application may be written where it belongs without touching anything else.
fn check_place(firmware: &Firmware, found: &Table) -> Result<()> {
    let Some(part) = firmware.part(PartRole::Application) else { return Ok(()) };
    let place = found.partitions.iter().find(|it| it.kind == APP && it.offset == part.offset);
    if place.is_some_and(|place| part.end() <= place.end()) {
        return Ok(());
    }
    Err(Error::device(format!(
        "the application goes to 0x{:x} to 0x{:x}, where the device's partition table has no partition for it",
        part.offset,
        part.end()
    ))
    .hint("flash without `--app-only`; the other partition table may take the user's files along"))
}

fn filesystem(table: &Table) -> Result<Range<u32>> {
    let partition = firmware::filesystem(table).ok_or_else(|| {
        Error::input("the partition table has no partition for files (vfs or ffat)")
            .hint("leave `--erase-filesystem` out")
    })?;
    Ok(partition.offset..u32::try_from(partition.end()).unwrap_or(u32::MAX))
}

/// What was done to a device, in how long.
#[derive(Debug, Clone, Serialize)]
pub struct Done {
    /// The parts.
    pub parts: Vec<PartSummary>,
    /// How long it took, from the first word to the last, in seconds.
    pub seconds: f64,
}

impl Done {
    /// What a plan came to, when it was begun at `begun`.
    pub fn new(plan: &Plan, begun: Instant) -> Done {
        Done { parts: plan.summary(), seconds: begun.elapsed().as_secs_f64() }
    }

    /// How many bytes were written.
    pub fn written(&self) -> u64 {
        self.parts.iter().map(|part| part.written).sum()
    }

    /// How many bytes were there already.
    pub fn skipped(&self) -> u64 {
        self.parts.iter().map(|part| part.skipped).sum()
    }
}
