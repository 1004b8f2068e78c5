# Downloads: fixed-output derivations with the names and hash modes of nixpkgs' fetchers. What
# ../prefill has put into the store under the pinned hash is taken from there; otherwise curl asks
# the address, which succeeds for servers on this machine only.
pkgs:
let
  inherit (pkgs) lib stdenvNoCC;

  download = { name, url, hash, outputHashAlgo ? null, outputHashMode ? "flat", unpack ? ''mv download "$out"'', more ? { } }:
    stdenvNoCC.mkDerivation ({
      inherit name url outputHashAlgo outputHashMode;
      outputHash = hash;
      nativeBuildInputs = [ pkgs.curl ];
      preferLocalBuild = true;
      buildCommand = ''
        if ! curl --silent --show-error --fail --location --max-time 60 --output download "$url"; then
            echo "error: cannot download $name; it is not in the store with hash $outputHash either" >&2
            exit 1
        fi
        ${unpack}
      '';
    } // more);
in
{
  fetchurl = { url, hash, name ? baseNameOf url }: download { inherit name url hash; };

  # The archive of a commit, unpacked. With submodules, nixpkgs clones: that is not done here.
  fetchFromGitHub = { owner, repo, rev, hash, name ? "source", fetchSubmodules ? false }:
    download {
      inherit name hash;
      url = if fetchSubmodules then "git-with-submodules" else "https://github.com/${owner}/${repo}/archive/${rev}.tar.gz";
      outputHashMode = "recursive";
      unpack = ''
        mkdir unpacked
        tar xf download -C unpacked
        mv unpacked/* "$out"
      '';
      more.passthru = { inherit owner repo rev; };
    };

  fetchPypi = { pname, version, hash }:
    let name = "${pname}-${version}.tar.gz"; in
    download { inherit name hash; url = "mirror://pypi/${name}"; };

  # What nixpkgs' importCargoLock fetches for a crate.
  fetchCrate = { name, version, checksum }:
    download { name = "crate-${name}-${version}.tar.gz"; url = "mirror://crates/${name}"; hash = checksum; outputHashAlgo = "sha256"; };
}
