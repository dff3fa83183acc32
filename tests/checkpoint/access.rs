//! Owner, group and permissions of files that are replaced.

use std::fs::{self, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use fdckpt::checkpoint::Writer;
use fdckpt::{AtomicFile, SyncMode};

/// Another user and group, which only root can give a file to.
const NOBODY: u32 = 65_534;

/// Returns owner, group and all mode bits.
fn access(path: &Path) -> (u32, u32, u32) {
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
}

#[test]
fn replacing_keeps_owner_group_and_permissions_without_set_id_bits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.ckpt");
    for mode in [0o600, 0o640, 0o6777, 0o4711] {
        fs::write(&path, "old").unwrap();
        // Fails unless the test runs as root; then the file keeps its owner, which must be kept too.
        _ = chown(&path, Some(NOBODY), Some(NOBODY));
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let (owner, group, _) = access(&path);

        let mut writer = Writer::create(&path).unwrap();
        writer.add("region", b"data").unwrap();
        writer.commit().unwrap();
        assert_eq!(access(&path), (owner, group, mode & 0o777), "{mode:o}");

        // The access is complete before the first byte of data.
        let file = AtomicFile::begin(&path, SyncMode::None).unwrap();
        let metadata = fs::File::from(file.as_fd().try_clone_to_owned().unwrap()).metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (owner, group, mode & 0o777), "{mode:o}");
    }
}

#[test]
fn new_file_and_replaced_link_have_the_permissions_of_new_files() {
    let dir = tempfile::tempdir().unwrap();
    let [path, link, like_any] = ["state.ckpt", "link.ckpt", "any"].map(|name| dir.path().join(name));
    fs::write(&like_any, "").unwrap();
    let expected = access(&like_any);
    fs::set_permissions(&like_any, Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("any", &link).unwrap();
    for path in [&path, &link] {
        Writer::create(path).unwrap().commit().unwrap();
        assert_eq!(access(path), expected, "{}", path.display());
    }
    assert_eq!(access(&like_any).2, 0o600, "the target of the link is unchanged");
}
