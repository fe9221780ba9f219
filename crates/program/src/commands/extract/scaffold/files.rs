//! Copies files from a checkout to a workspace.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ignore::WalkBuilder;

/// Permissions of a folder that everybody may read and only its owner may write.
const READABLE: u32 = 0o755;

/// Returns the files of a folder and its subfolders, without files that git ignores and without nested
/// packages; an empty list if the folder does not exist.
pub fn of_folder(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut walk = WalkBuilder::new(folder);
    // Respects .gitignore even if the checkout is not a git repository.
    walk.hidden(false).require_git(false).sort_by_file_path(Path::cmp);
    walk.filter_entry(|entry| {
        let is_package = entry.depth() > 0 && entry.path().join("Cargo.toml").is_file();
        entry.file_name() != ".git" && !is_package
    });
    let mut files = Vec::new();
    for entry in walk.build() {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        // Follows symbolic links.
        if entry.path().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// Copies a file, or a folder with its content, to the same path in another workspace.
pub fn copy(root: &Path, from: &Path, workspace: &Path) -> anyhow::Result<()> {
    if from.is_dir() {
        return of_folder(from)?.iter().try_for_each(|file| copy(root, file, workspace));
    }
    let to = workspace.join(from.strip_prefix(root)?);
    make_folder_of(&to)?;
    std::fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

/// Writes a new file.
pub fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    make_folder_of(file)?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn make_folder_of(file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().context("a file is in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

/// Gives a temporary folder, which only its owner may read, ordinary permissions.
pub fn open_to_others(folder: &Path) -> anyhow::Result<()> {
    std::fs::set_permissions(folder, Permissions::from_mode(READABLE))
        .with_context(|| format!("cannot change the permissions of {}", folder.display()))
}
