# Programs: each package is a directory of links to Debian's, which a build sees under /debian.
pkgs:
let
  inherit (pkgs) lib system;

  words = lib.splitString " ";

  # A directory of links, made without stdenv, which is made of these. `programs` are Debian's names, and
  # `aliases` others for them: { gcc-ar = "x86_64-linux-gnu-gcc-ar"; }. `debian` is what to install where one is
  # missing. `more` are commands for a shell, with $out/bin there; `hook` is a setup hook for who uses the package.
  link =
    { name
    , version ? "0"
    , debian ? name
    , programs ? [ name ]
    , aliases ? { }
    , more ? ""
    , hook ? null
    , mainProgram ? builtins.head programs
    , passthru ? { }
    }:
    let
      drv = derivation {
        inherit system hook;
        name = "${name}-${version}";
        builder = "/debian/bin/bash";
        args = [ ./link.sh ];
        debianPackage = debian;
        programs = toString programs;
        aliases = toString (lib.mapAttrsToList (from: to: "${from}=${to}") aliases);
        commands = more;
      };
    in
    lib.asPackage drv ({ pname = name; meta = { inherit mainProgram; platforms = lib.platforms.all; }; } // passthru);

  binutilsTools = words "addr2line ar as c++filt cpp gcc-ar gcc-nm gcc-ranlib ld nm objcopy objdump ranlib readelf size strings strip";

  # A library's headers, archives and pkg-config file: found by who declares it.
  library = { name, debian, headers ? [ ], libraries, pc ? null }:
    link {
      inherit name debian;
      programs = [ ];
      mainProgram = "";
      more = ''
        debian mkdir -p "$out/include" "$out/lib/pkgconfig"
        found=
        for directory in /debian/lib/*-linux-gnu; do
            triple=''${directory##*/}
            for file in ${lib.concatMapStringsSep " " (name: "\"$directory\"/${name}.so* \"$directory\"/${name}.a") libraries}; do
                [ -e "$file" ] || continue
                found=1
                debian ln -s "$file" "$out/lib/"
            done
            for file in ${lib.concatMapStringsSep " " (name: "/debian/include/${name} \"/debian/include/$triple/${name}\"") headers}; do
                [ ! -e "$file" ] || debian ln -s "$file" "$out/include/"
            done
            ${lib.optionalString (pc != null) ''
              if [ -e "$directory/pkgconfig/${pc}.pc" ]; then
                  debian sed "s,^prefix=.*,prefix=$out,; s,^\(tool\|exec\)*libdir=.*,libdir=$out/lib,; s,^includedir=.*,includedir=$out/include," \
                      "$directory/pkgconfig/${pc}.pc" >"$out/lib/pkgconfig/${pc}.pc"
              fi
            ''}
        done
        [ -n "$found" ] || { echo "hint: apt-get install $debianPackage" >&2; exit 1; }
      '';
    };
in
{
  inherit link library binutilsTools;

  bash = link { name = "bash"; aliases.sh = "bash"; };
  coreutils = link {
    name = "coreutils";
    programs = words "[ b2sum base32 base64 basename basenc cat chcon chgrp chmod chown cksum comm cp csplit cut date dd df dir dircolors dirname du echo env expand expr factor false fmt fold groups head hostid id install join link ln logname ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc numfmt od paste pathchk pinky pr printenv printf ptx pwd readlink realpath rm rmdir runcon seq sha1sum sha224sum sha256sum sha384sum sha512sum shred shuf sleep sort split stat stdbuf stty sum sync tac tail tee test timeout touch tr true truncate tsort tty uname unexpand uniq unlink users vdir wc who whoami yes";
  };
  findutils = link { name = "findutils"; programs = [ "find" "xargs" ]; };
  diffutils = link { name = "diffutils"; programs = [ "cmp" "diff" "diff3" "sdiff" ]; };
  gnused = link { name = "gnused"; debian = "sed"; programs = [ "sed" ]; };
  gnugrep = link { name = "gnugrep"; debian = "grep"; programs = [ "grep" "egrep" "fgrep" ]; };
  gawk = link { name = "gawk"; programs = [ "gawk" ]; aliases.awk = "gawk"; };
  gnutar = link { name = "gnutar"; debian = "tar"; programs = [ "tar" ]; };
  gzip = link { name = "gzip"; programs = [ "gzip" "gunzip" "zcat" ]; };
  bzip2 = link { name = "bzip2"; programs = [ "bzip2" "bunzip2" ]; };
  xz = link { name = "xz"; debian = "xz-utils"; programs = [ "xz" "unxz" ]; };
  gnumake = link { name = "gnumake"; debian = "make"; programs = [ "make" ]; };
  gnupatch = link { name = "gnupatch"; debian = "patch"; programs = [ "patch" ]; };
  file = link { name = "file"; };
  git = link { name = "git"; };
  curl = link { name = "curl"; };
  binutils = link {
    name = "binutils";
    programs = words "addr2line ar as c++filt ld ld.bfd nm objcopy objdump ranlib readelf size strings strip";
  };
  cmake = link { name = "cmake"; programs = [ "cmake" "ctest" "cpack" ]; hook = ./hooks/cmake.sh; };
  ninja = link { name = "ninja"; debian = "ninja-build"; programs = [ "ninja" ]; hook = ./hooks/ninja.sh; };
  pkg-config = link { name = "pkg-config"; hook = ./hooks/pkg-config.sh; };

  gcc-arm-embedded = link {
    name = "gcc-arm-embedded";
    debian = "gcc-arm-none-eabi";
    programs = map (tool: "arm-none-eabi-${tool}") ([ "gcc" "g++" ] ++ binutilsTools);
    mainProgram = "arm-none-eabi-gcc";
  };
  qemu = link {
    name = "qemu";
    debian = "qemu-system-arm and qemu-system-misc";
    programs = [ "qemu-system-arm" "qemu-system-riscv32" "qemu-system-riscv64" ];
  };
  nixpkgs-fmt = link { name = "nixpkgs-fmt"; programs = [ ]; mainProgram = "nixpkgs-fmt"; more = ''debian ln -s /cargo/bin/nixpkgs-fmt "$out/bin/"''; };
  libffi = library { name = "libffi"; debian = "libffi-dev"; headers = [ "ffi.h" "ffitarget.h" ]; libraries = [ "libffi" ]; pc = "libffi"; };
  zlib = library { name = "zlib"; debian = "zlib1g-dev"; headers = [ "zlib.h" "zconf.h" ]; libraries = [ "libz" ]; pc = "zlib"; };
  cacert = link {
    name = "cacert";
    debian = "ca-certificates";
    programs = [ ];
    mainProgram = "";
    more = ''
      debian mkdir -p "$out/etc/ssl/certs"
      debian cat /debian/share/ca-certificates/mozilla/*.crt >"$out/etc/ssl/certs/ca-bundle.crt"
    '';
  };
  # Nothing needs patching where the machine's loader and libraries are seen.
  autoPatchelfHook = link { name = "auto-patchelf-hook"; programs = [ ]; mainProgram = ""; };
}
