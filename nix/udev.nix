# A NixOS module: whoever is logged in at the machine may flash boards, and modems are not looked for on them.
{ self }:
{ pkgs, ... }:
{
  services.udev.packages = [ self.packages.${pkgs.stdenv.hostPlatform.system}.micropython-builder ];
}
