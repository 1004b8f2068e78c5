# Shells with what a build by hand wants: for work on the helper, and for each family of ports.
{ pkgs, library }:
let
  inherit (pkgs) lib mkShell;
  shell = packages: variables: mkShell ({ inherit packages; } // variables);
  builds = [ library.helper pkgs.gnumake pkgs.python3 ];
  esp32 = library.buildMicroPythonFirmware { board = "ESP32_GENERIC"; };
  esp32c3 = library.buildMicroPythonFirmware { board = "ESP32_GENERIC_C3"; };
in
{
  # The helper itself, and what its tests want.
  default = shell
    [ pkgs.cargo pkgs.clippy pkgs.rustc pkgs.rustfmt pkgs.nixpkgs-fmt pkgs.cmake pkgs.ninja pkgs.gnumake pkgs.pkg-config pkgs.libffi pkgs.python3 pkgs.qemu pkgs.gcc-arm-embedded ]
    { };
  unix = shell (builds ++ [ pkgs.pkg-config pkgs.libffi ]) { };
  qemu = shell (builds ++ [ pkgs.qemu pkgs.gcc-arm-embedded (library.toolchains.forMachine "riscv32") ]) { hardeningDisable = [ "all" ]; };
  esp32 = shell (builds ++ [ pkgs.cmake pkgs.ninja library.espPython esp32.toolchain esp32c3.toolchain ]) {
    IDF_PATH = "${esp32.espIdf}";
    hardeningDisable = [ "all" ];
  };
}
