//! What apt's own configuration says about this machine's mirrors: sources.list(5), in the
//! one-line form and the deb822 form.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::process;

/// The keyring of Debian's archive, which holds the keys of its other suites too.
const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A source of packages that apt is configured with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
    /// Keyrings or fingerprints, or a key in ASCII armour.
    signed_by: String,
    trusted: bool,
}

/// Whose archive a mirror carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    Debian,
    Ubuntu,
    Other,
}

/// A mirror of the archive this machine's system comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mirror {
    pub(super) family: Family,
    pub(super) uri: String,
    /// The component that MicroPython is in.
    pub(super) component: String,
    signed_by: String,
    trusted: bool,
}

impl Mirror {
    /// The address without a password.
    pub(super) fn shown(&self) -> String {
        match self.uri.split_once("://") {
            Some((scheme, rest)) => match rest.split_once('@') {
                Some((user, host)) if !user.contains('/') => format!("{scheme}://{host}"),
                _ => self.uri.clone(),
            },
            None => self.uri.clone(),
        }
    }

    /// Writes an apt configuration into `directory` that knows this mirror's sources of `suite` and
    /// nothing else, keeps everything it makes in that directory, and runs none of this machine's
    /// hooks. Proxies, credentials and certificates stay this machine's.
    pub(super) fn configure(&self, directory: &Path, suite: &str) -> Result<PathBuf> {
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            fs::write(&path, text)
                .map(|()| path.clone())
                .map_err(|error| Error::io("write", &path, &error))
        };
        for name in ["state/lists/partial", "cache/archives/partial", "download"] {
            let path = directory.join(name);
            fs::create_dir_all(&path).map_err(|error| Error::io("create", &path, &error))?;
        }
        let status = write("status", "")?;
        let options = match self.keys() {
            _ if self.trusted => "[trusted=yes] ".to_owned(),
            Keys::None => String::new(),
            Keys::Files(files) => format!("[signed-by={files}] "),
            Keys::Inline(key) => format!("[signed-by={}] ", write("key.asc", &key)?.display()),
        };
        let line = format!("deb-src {options}{} {suite} {}\n", self.uri, self.component);
        let sources = write("sources.list", &line)?;
        let text = format!(
            "Dir::State \"{state}\";\n\
             Dir::State::status \"{status}\";\n\
             Dir::Cache \"{cache}\";\n\
             Dir::Cache::pkgcache \"\";\n\
             Dir::Cache::srcpkgcache \"\";\n\
             Dir::Etc::sourcelist \"{sources}\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::preferences \"/dev/null\";\n\
             Dir::Etc::preferencesparts \"/dev/null\";\n\
             #clear APT::Update::Pre-Invoke;\n\
             #clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n\
             APT::Update::Error-Mode \"any\";\n\
             APT::Default-Release \"\";\n\
             Acquire::AllowInsecureRepositories \"false\";\n\
             Acquire::Retries \"3\";\n",
            state = directory.join("state").display(),
            status = status.display(),
            cache = directory.join("cache").display(),
            sources = sources.display(),
        );
        write("apt.conf", &text)
    }

    fn keys(&self) -> Keys {
        if self.signed_by.contains("BEGIN PGP") {
            return Keys::Inline(self.signed_by.clone());
        }
        let mut files: Vec<&str> =
            self.signed_by.split([' ', ',', '\n']).filter(|word| !word.is_empty()).collect();
        // A machine's own entry may name the keys of its own suite only.
        let debian = self.family == Family::Debian && Path::new(DEBIAN_KEYRING).is_file();
        if debian && !files.contains(&DEBIAN_KEYRING) {
            files.push(DEBIAN_KEYRING);
        }
        if files.is_empty() { Keys::None } else { Keys::Files(files.join(",")) }
    }
}

enum Keys {
    None,
    Files(String),
    Inline(String),
}

/// The mirrors of this machine's distribution, the most certain first.
///
/// # Errors
/// When apt is not installed, its configuration cannot be read, or it names no such mirror.
pub(super) fn mirrors() -> Result<Vec<Mirror>> {
    let mut command = Command::new("apt-config");
    command.args(["shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"]);
    let output = process::output(&mut command, Duration::from_secs(30)).map_err(|error| {
        error.hint("Debian's package needs apt; a version such as `v1.28.0` gets the release")
    })?;
    let variable = |name: &str| {
        let line = output.stdout.lines().find_map(|line| line.strip_prefix(name))?;
        Some(PathBuf::from(line.strip_prefix("='")?.strip_suffix('\'')?))
    };
    let list = variable("LIST").unwrap_or_else(|| "/etc/apt/sources.list".into());
    let parts = variable("PARTS").unwrap_or_else(|| "/etc/apt/sources.list.d".into());
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let mut mirrors = choose(&entries(&list, &parts), codename(&release));
    mirrors.sort_by_key(|mirror| mirror.family);
    if mirrors.is_empty() {
        return Err(Error::source(format!(
            "apt's configuration ({} and {}) names no mirror of Debian or Ubuntu",
            list.display(),
            parts.display()
        ))
        .hint("a version such as `v1.28.0` gets the release itself"));
    }
    Ok(mirrors)
}

fn entries(list: &Path, parts: &Path) -> Vec<Entry> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(parts).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut entries = Vec::new();
    for path in std::iter::once(list.to_owned()).chain(files) {
        let deb822 = path.extension().is_some_and(|extension| extension == "sources");
        let one_line = path.extension().is_some_and(|extension| extension == "list");
        // One that cannot be read is one that apt cannot read for this user either.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if deb822 {
            entries.extend(parse_deb822(&text));
        } else if one_line || path == list {
            entries.extend(text.lines().filter_map(parse_line));
        }
    }
    entries
}

/// `deb [option=value …] uri suite component…`.
fn parse_line(line: &str) -> Option<Entry> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb-src").or_else(|| line.strip_prefix("deb"))?;
    if !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let mut rest = rest.trim_start();
    let mut entry = Entry::default();
    if let Some(inner) = rest.strip_prefix('[') {
        let (options, after) = inner.split_once(']')?;
        for option in options.split_whitespace() {
            match option.split_once('=') {
                Some(("signed-by", value)) => entry.signed_by = value.to_owned(),
                Some(("trusted", value)) => entry.trusted = is_true(value),
                _ => {}
            }
        }
        rest = after;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    entry.uri = words.next()?;
    entry.suites = vec![words.next()?];
    entry.components = words.collect();
    Some(entry)
}

/// Stanzas of `Field: value`, continued on lines that begin with a blank.
fn parse_deb822(text: &str) -> Vec<Entry> {
    let mut stanzas: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(stanza) = stanzas.last_mut() else { continue };
        if line.trim().is_empty() {
            stanzas.push(Vec::new());
        } else if line.starts_with([' ', '\t']) {
            let line = line.trim();
            if let Some((_, value)) = stanza.last_mut() {
                value.push('\n');
                value.push_str(if line == "." { "" } else { line });
            }
        } else if let Some((field, value)) = line.split_once(':') {
            stanza.push((field.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    stanzas.iter().flat_map(|stanza| stanza_entries(stanza)).collect()
}

fn stanza_entries(stanza: &[(String, String)]) -> Vec<Entry> {
    let field = |name: &str| {
        stanza.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.as_str())
    };
    let words = |name| field(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if !field("enabled").is_empty() && !is_true(field("enabled")) {
        return Vec::new();
    }
    let entry = |uri| Entry {
        uri,
        suites: words("suites"),
        components: words("components"),
        signed_by: field("signed-by").trim().to_owned(),
        trusted: is_true(field("trusted")),
    };
    words("uris").into_iter().map(entry).collect()
}

fn is_true(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "yes" | "true" | "with" | "on" | "1")
}

fn codename(os_release: &str) -> Option<&str> {
    let line = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(line.trim().trim_matches('"'))
}

fn choose(entries: &[Entry], codename: Option<&str>) -> Vec<Mirror> {
    let mut mirrors: Vec<Mirror> = Vec::new();
    for entry in entries {
        // Not `bookworm-security` or `bookworm-updates`, nor a repository without suites (`./`).
        let mut suites = entry.suites.iter().filter(|suite| !suite.contains(['-', '/']));
        let Some(suite) = suites.next() else { continue };
        let has = |name: &str| entry.components.iter().any(|component| component == name);
        let component = ["universe", "main"].into_iter().find(|name| has(name));
        let family = family(entry);
        // Others put their packages into a `main` of a suite named after the system's, too: they
        // are asked last.
        let likely = family != Family::Other || codename == Some(suite.as_str());
        let known = mirrors.iter().any(|mirror| mirror.uri == entry.uri);
        let remote = !entry.uri.starts_with("cdrom:");
        if let Some(component) = component.filter(|_| likely && remote && !known) {
            mirrors.push(Mirror {
                family,
                uri: entry.uri.clone(),
                component: component.to_owned(),
                signed_by: entry.signed_by.clone(),
                trusted: entry.trusted,
            });
        }
    }
    mirrors
}

/// By the keyring, which is certain, or else by the last part of the address.
fn family(entry: &Entry) -> Family {
    let last = entry.uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if entry.signed_by.contains("debian-archive") {
        Family::Debian
    } else if entry.signed_by.contains("ubuntu-archive") {
        Family::Ubuntu
    } else if last == "debian" {
        Family::Debian
    } else if last == "ubuntu" || last == "ubuntu-ports" {
        Family::Ubuntu
    } else {
        Family::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOKWORM: &str = "\
Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
";

    #[test]
    fn debian_is_found_among_its_own() {
        let found = choose(&parse_deb822(BOOKWORM), Some("bookworm"));
        assert_eq!(found.len(), 1);
        let mirror = &found[0];
        assert_eq!(
            (mirror.family, mirror.uri.as_str(), mirror.component.as_str()),
            (Family::Debian, "http://mirror.example/debian", "main")
        );
    }

    #[test]
    fn ubuntu_is_told_from_debian() {
        let text = "Types: deb deb-src\nURIs: http://mirror.example/ubuntu/\n\
            Suites: noble noble-updates noble-backports\nComponents: main universe restricted\n\
            Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n";
        let found = choose(&parse_deb822(text), Some("noble"));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].family, found[0].component.as_str()), (Family::Ubuntu, "universe"));
    }

    #[test]
    fn lines_are_read_with_their_options() {
        let line = "deb [ arch=amd64 signed-by=/a.gpg trusted=yes ] https://h/debian sid main # x";
        let entry = parse_line(line).unwrap();
        assert_eq!((entry.uri.as_str(), entry.signed_by.as_str()), ("https://h/debian", "/a.gpg"));
        assert!(entry.trusted);
        assert_eq!(entry.suites, ["sid"]);
        assert_eq!(entry.components, ["main"]);
        for line in ["", "# deb http://x sid main", "debian http://x sid main", "deb [x http://y"] {
            assert_eq!(parse_line(line), None, "{line}");
        }
    }

    #[test]
    fn others_are_asked_last_or_not_at_all() {
        let lines = "\
deb https://vendor.example/prod bookworm main
deb https://node.example/node_20.x nodistro main
deb https://docker.example/linux/debian bookworm stable
deb http://ftp.example/debian/ bookworm main contrib
deb cdrom:[Debian]/ bookworm main
deb file:/srv/packages ./
";
        let entries: Vec<Entry> = lines.lines().filter_map(parse_line).collect();
        let mut found = choose(&entries, Some("bookworm"));
        found.sort_by_key(|mirror| mirror.family);
        let uris: Vec<&str> = found.iter().map(|mirror| mirror.uri.as_str()).collect();
        assert_eq!(uris, ["http://ftp.example/debian/", "https://vendor.example/prod"]);
    }

    #[test]
    fn disabled_stanzas_and_keys_in_place() {
        let text = "Types: deb\nURIs: http://a/debian\nSuites: sid\nComponents: main\nEnabled: no\n\n\
            Types: deb\nURIs: http://b/debian\nSuites: sid\nComponents: main\nSigned-By:\n \
            -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQENBF\n -----END PGP PUBLIC KEY BLOCK-----\n";
        let found = choose(&parse_deb822(text), None);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].uri, "http://b/debian");
        let Keys::Inline(key) = found[0].keys() else { panic!("{:?}", found[0]) };
        assert!(key.contains("-----\n\nmQENBF\n-----"), "{key}");
    }

    #[test]
    fn passwords_are_not_shown() {
        let line = "deb http://user:secret@h/debian sid main";
        let mirror = &choose(&[parse_line(line).unwrap()], None)[0];
        assert_eq!(mirror.shown(), "http://h/debian");
    }
}
