{
  description = "MicroPython firmware and native modules from pinned sources, offline and reproducibly";

  inputs.nixpkgs.url = "https://channels.nixos.org/nixos-26.05/nixexprs.tar.xz";

  outputs = { self, nixpkgs }: import ./nix/outputs.nix { inherit self nixpkgs; };
}
