//! The families that UF2 files name: numbers and short names from Microsoft's list, MicroPython's
//! `tools/uf2families.json`, esptool's `targets/` and the Pico SDK's `uf2.h`.

/// The family of blocks that are written at their address on every Raspberry Pi chip.
pub(super) const ABSOLUTE: u32 = 0xe48b_ff57;

const FAMILIES: &[(u32, &str)] = &[
    (0x00ff_6919, "STM32L4"),
    (0x0424_0bdf, "STM32L5"),
    (0x1657_3617, "ATMEGA32"),
    (0x1851_780a, "SAML21"),
    (0x1b57_745f, "NRF52"),
    (0x1c5f_21b0, "ESP32"),
    (0x1e1f_432d, "STM32L1"),
    (0x202e_3a91, "STM32L0"),
    (0x2146_0ff0, "STM32WL"),
    (0x2abc_77ec, "LPC55"),
    (0x2b88_d29c, "ESP32C2"),
    (0x300f_5633, "STM32G0"),
    (0x3101_f7c1, "ESP32S31"),
    (0x31d2_28c6, "GD32F350"),
    (0x3327_26f6, "ESP32H2"),
    (0x3d30_8e94, "ESP32P4"),
    (0x4c71_240a, "STM32G4"),
    (0x4fb2_d5bd, "MIMXRT10XX"),
    (0x53b8_0f00, "STM32F7"),
    (0x540d_df62, "ESP32C6"),
    (0x5511_4460, "SAMD51"),
    (0x5775_5a57, "STM32F4"),
    (0x5a18_069b, "FX2"),
    (0x5d1a_0a2e, "STM32F2"),
    (0x5ee2_1072, "STM32F1"),
    (0x621e_937a, "NRF52833"),
    (0x6478_24b6, "STM32F0"),
    (0x68ed_2b88, "SAMD21"),
    (0x6b84_6188, "STM32F3"),
    (0x6d09_22fa, "STM32F407"),
    (0x6db6_6082, "STM32H7"),
    (0x70d1_6653, "STM32WB"),
    (0x77d8_50c4, "ESP32C61"),
    (0x7eab_61ed, "ESP8266"),
    (0x7f83_e793, "KL32L2"),
    (0x8fb0_60fe, "STM32F407VG"),
    (0x9af0_3e33, "GD32VF103"),
    (0x9e0b_aa8a, "ESP32H4"),
    (0xada5_2840, "NRF52840"),
    (0xb6dd_00af, "ESP32H21"),
    (0xbfdd_4eee, "ESP32S2"),
    (0xc47e_5767, "ESP32S3"),
    (0xd42b_a06c, "ESP32C3"),
    (0xe48b_ff56, "RP2040"),
    (ABSOLUTE, "RP2XXX_ABSOLUTE"),
    (0xe48b_ff58, "RP2XXX_DATA"),
    (0xe48b_ff59, "RP2350_ARM_S"),
    (0xe48b_ff5a, "RP2350_RISCV"),
    (0xe48b_ff5b, "RP2350_ARM_NS"),
    (0xf71c_0343, "ESP32C5"),
];

/// The short name of a family.
pub(super) fn name(id: u32) -> Option<&'static str> {
    FAMILIES.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
}
