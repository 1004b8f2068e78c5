//! Archives as servers have them: of a tree as git makes them, and such as nobody should make.

use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

/// The archive of a commit's tree, as git makes it.
pub fn of_tree(tree: &Path, commit: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    builder.follow_symlinks(false);
    // As git does it: an entry of the commit's, then everything below one directory.
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XGlobalHeader);
    let comment = format!("52 comment={commit}\n");
    header.set_size(comment.len() as u64);
    header.set_cksum();
    builder.append(&header, comment.as_bytes()).unwrap();
    builder.append_dir_all(format!("micropython-{commit}"), tree).unwrap();
    builder.into_inner().unwrap().finish().unwrap()
}

/// An archive of members by name, kind, content or target.
pub fn of_members(members: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, kind, content) in members {
        let mut header = Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        // Written as it stands: the library would refuse such names.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        let data = if kind.is_file() { content.as_bytes() } else { b"" };
        if !kind.is_file() {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder.append(&header, data).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}
