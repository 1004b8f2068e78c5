# Downloads: fixed-output derivations with the names and hash modes of nixpkgs' fetchers. What
# ../prefill has put into the store under the pinned hash is taken from there; otherwise curl asks
# the address, which succeeds for servers on this machine only.
pkgs:
let
  inherit (pkgs) lib stdenvNoCC;

  get = { name, urls, hash, recursive ? false, unpack ? "", passthru ? { } }:
    stdenvNoCC.mkDerivation {
      inherit name urls passthru;
      outputHash = hash;
      outputHashAlgo = if lib.hasInfix "-" hash || lib.hasInfix ":" hash then null else "sha256";
      outputHashMode = if recursive then "recursive" else "flat";
      nativeBuildInputs = [ pkgs.curl ];
      preferLocalBuild = true;
      buildCommand = ''
        for url in $urls; do
            echo "trying $url"
            if curl --silent --show-error --fail --location --max-time 60 --output download "$url"; then
                ${if unpack == "" then ''mv download "$out"'' else unpack}
                exit 0
            fi
        done
        echo "error: cannot download $name from any mirror; it is not in the store with hash $outputHash either" >&2
        exit 1
      '';
    };
  hashOf = { hash ? "", sha256 ? "", ... }: if hash != "" then hash else if sha256 != "" then sha256 else throw "fetcher: no hash is given";
  oneDirectory = ''
    mkdir unpacked
    tar xf download -C unpacked
    mv unpacked/* "$out"
  '';
in
{
  fetchurl = { url ? "", urls ? [ url ], name ? baseNameOf (lib.head urls), passthru ? { }, ... }@arguments:
    get { inherit name urls passthru; hash = hashOf arguments; };
  fetchzip = { url, name ? "source", ... }@arguments:
    get { inherit name; urls = [ url ]; hash = hashOf arguments; recursive = true; unpack = oneDirectory; };
  fetchFromGitHub = { owner, repo, rev ? tag, tag ? null, name ? "source", fetchSubmodules ? false, ... }@arguments:
    get
      {
        inherit name;
        urls = lib.optional (!fetchSubmodules) "https://github.com/${owner}/${repo}/archive/${rev}.tar.gz";
        hash = hashOf arguments;
        recursive = true;
        unpack = oneDirectory;
        passthru = { inherit owner repo rev; gitRepoUrl = "https://github.com/${owner}/${repo}.git"; };
      } // { inherit rev; };
  fetchPypi = { pname, version, format ? "setuptools", extension ? "tar.gz", ... }@arguments:
    get {
      name = "${pname}-${version}.${extension}";
      urls = [ "mirror://pypi/${lib.substring 0 1 pname}/${pname}/${pname}-${version}.${extension}" ];
      hash = hashOf arguments;
    };
  fetchCrate = { name, version, checksum }:
    get { name = "crate-${name}-${version}.tar.gz"; urls = [ "mirror://crates/${name}/${version}" ]; hash = checksum; };
}
