//! The scope flags of native code that say what comes with it (`MP_SCOPE_FLAG_VIPER…` of `py/runtime0.h`).

/// The loader adjusts it.
pub(crate) const RELOCATED: u64 = 0x10;
/// It brings read-only data.
pub(crate) const RODATA: u64 = 0x20;
/// It wants zeroed data.
pub(crate) const BSS: u64 = 0x40;
