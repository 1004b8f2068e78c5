//! The line with which MicroPython greets, found in whatever holds a firmware.
//!
//! `py/mpconfig.h` makes it of `MICROPY_BANNER_NAME_AND_VERSION` and `MICROPY_BANNER_MACHINE`:
//! `MicroPython v1.25.0 on 2025-04-15; Raspberry Pi Pico with RP2040`.

use serde::Serialize;

const NAME: &[u8] = b"MicroPython ";
/// More than a banner takes.
const REACH: usize = 256;
const LONGEST_MACHINE: usize = 128;

/// What a banner says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Banner {
    /// The version, as `git describe` wrote it.
    pub version: String,
    /// The day of the build, `YYYY-MM-DD`.
    pub date: String,
    /// The board and its processor, where that follows.
    pub machine: Option<String>,
}

/// Looks for a banner in bytes that come piece by piece.
///
/// `sys.version` holds name and version, too, so a banner with its machine wins over an earlier one
/// without. Where a linker has put the machine elsewhere it is found by its form, `; BOARD with CHIP`.
#[derive(Debug, Default)]
pub struct Finder {
    carry: Vec<u8>,
    banner: Option<Banner>,
    machine: Option<String>,
}

impl Finder {
    /// Takes the next bytes.
    pub fn feed(&mut self, piece: &[u8]) {
        if self.is_complete() {
            return;
        }
        self.carry.extend_from_slice(piece);
        let settled = self.carry.len().saturating_sub(REACH);
        self.search(settled);
        self.carry.drain(..settled);
    }

    /// The banner, once all bytes were given.
    pub fn finish(mut self) -> Option<Banner> {
        self.search(self.carry.len());
        let mut banner = self.banner?;
        if banner.machine.is_none() {
            banner.machine = self.machine;
        }
        Some(banner)
    }

    fn is_complete(&self) -> bool {
        self.banner.as_ref().is_some_and(|banner| banner.machine.is_some())
    }

    /// Looks at the places before `end`.
    fn search(&mut self, end: usize) {
        for at in 0..end {
            let Some(rest @ [first, ..]) = self.carry.get(at..) else { return };
            match first {
                b'M' => {
                    let better = parse(rest)
                        .filter(|found| self.banner.is_none() || found.machine.is_some());
                    if better.is_some() {
                        self.banner = better;
                    }
                    if self.is_complete() {
                        return;
                    }
                }
                0 if self.machine.is_none() => {
                    self.machine = machine(rest).filter(|machine| machine.contains(" with "));
                }
                _ => {}
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Banner> {
    let bytes = bytes.strip_prefix(NAME)?;
    let length = bytes.iter().position(|byte| !byte.is_ascii_graphic())?;
    let (version, rest) = bytes.split_at_checked(length)?;
    let (date, rest) = rest.strip_prefix(b" on ")?.split_at_checked(10)?;
    if version.is_empty() || !is_date(date) {
        return None;
    }
    Some(Banner {
        version: String::from_utf8_lossy(version).into_owned(),
        date: String::from_utf8_lossy(date).into_owned(),
        machine: machine(rest),
    })
}

fn is_date(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().all(|(index, byte)| match index {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    })
}

/// The machine follows in the same string, or in the next one, which compilers put right behind it.
fn machine(rest: &[u8]) -> Option<String> {
    let padding = rest.iter().take(4).take_while(|byte| **byte == 0).count();
    let rest = rest.get(padding..)?.strip_prefix(b"; ")?;
    let length = rest.iter().position(|byte| *byte < b' ')?;
    let text = std::str::from_utf8(rest.get(..length)?).ok()?.trim_end();
    (!text.is_empty() && text.len() < LONGEST_MACHINE).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(bytes: &[u8], piece: usize) -> Option<Banner> {
        let mut finder = Finder::default();
        bytes.chunks(piece).for_each(|piece| finder.feed(piece));
        finder.finish()
    }

    #[test]
    fn a_banner_is_found_however_the_bytes_come() {
        let mut bytes = b"MicroPython on MicroPython v1 on 2025-0x-01 \xffMicroPytho".to_vec();
        bytes.resize(700, 0);
        bytes.extend_from_slice(
            b"MicroPython v1.25.0-3.gabc on 2025-04-15\0\0; A board with a chip\r\n\0",
        );
        let expected = Banner {
            version: "v1.25.0-3.gabc".into(),
            date: "2025-04-15".into(),
            machine: Some("A board with a chip".into()),
        };
        for piece in [1, 7, 64, 256, 300, 10_000] {
            assert_eq!(find(&bytes, piece).as_ref(), Some(&expected), "{piece}");
        }
        bytes.extend_from_slice(&[0; 600]);
        assert_eq!(find(&bytes, 100).as_ref(), Some(&expected));
    }

    #[test]
    fn a_banner_may_lack_the_machine() {
        let banner = find(b"\0MicroPython v1.20.0 on 2023-04-26\0other", 5).unwrap();
        assert_eq!(banner.machine, None);
        assert_eq!(find(b"MicroPython v1.20.0 on 2023", 5), None);
    }

    #[test]
    fn the_machine_is_found_wherever_it_lies() {
        let machine = |bytes: &[u8]| find(bytes, 64).and_then(|banner| banner.machine);
        let version = "3.4.0; MicroPython v1.20.0 on 2023-04-26\0";
        let apart = format!("x\0; board with chip\0{}{version}", "-".repeat(500));
        assert_eq!(machine(apart.as_bytes()).as_deref(), Some("board with chip"));
        let later =
            format!("{version}{}MicroPython v1.20.0 on 2023-04-26; A on B\n", "-".repeat(99));
        assert_eq!(machine(later.as_bytes()).as_deref(), Some("A on B"));
        assert_eq!(machine(format!("{version}x\0; nothing of the kind\0").as_bytes()), None);
    }
}
