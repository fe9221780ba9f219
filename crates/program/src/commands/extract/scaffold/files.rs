//! Files on their way from a checkout to a workspace.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ignore::WalkBuilder;

/// What everybody may do with a folder, if only its owner may write to it.
const READABLE: u32 = 0o755;

/// The files of a folder and the folders below it, less what git ignores and less packages within;
/// none where there is no such folder.
pub fn of_folder(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut walk = WalkBuilder::new(folder);
    // Where the checkout is no git repository, too.
    walk.hidden(false).require_git(false).sort_by_file_path(Path::cmp);
    walk.filter_entry(|entry| {
        let is_package = entry.depth() > 0 && entry.path().join("Cargo.toml").is_file();
        entry.file_name() != ".git" && !is_package
    });
    let mut files = Vec::new();
    for entry in walk.build() {
        let entry = entry.with_context(|| format!("{} cannot be read", folder.display()))?;
        // Also through a link.
        if entry.path().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// Copies a file, or a folder with what is in it, to the same place in another workspace.
pub fn copy(root: &Path, from: &Path, workspace: &Path) -> anyhow::Result<()> {
    if from.is_dir() {
        return of_folder(from)?.iter().try_for_each(|file| copy(root, file, workspace));
    }
    let to = workspace.join(from.strip_prefix(root)?);
    make_folder_of(&to)?;
    std::fs::copy(from, &to).with_context(|| format!("{} cannot be copied", from.display()))?;
    Ok(())
}

/// Writes a new file.
pub fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    make_folder_of(file)?;
    std::fs::write(file, text).with_context(|| format!("{} cannot be written", file.display()))
}

fn make_folder_of(file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().context("a file is in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))
}

/// Gives a temporary folder, which is its owner's alone, the rights of an ordinary one.
pub fn open_to_others(folder: &Path) -> anyhow::Result<()> {
    std::fs::set_permissions(folder, Permissions::from_mode(READABLE))
        .with_context(|| format!("the rights of {} cannot be changed", folder.display()))
}
