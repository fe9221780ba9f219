//! Reads the git history of files below the current folder, without changing anything.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use anyhow::Context as _;

/// Number of digits of an abbreviated commit id.
const SHORT: usize = 10;

/// The git repository of the current folder.
pub struct Repository(());

/// The version of a file that a commit introduced.
pub struct Change {
    /// Abbreviated id of the commit.
    pub commit: String,
    /// Path of the file, relative to the current folder.
    pub path: String,
    /// Id of the blob with the content.
    pub blob: String,
}

impl Repository {
    /// Opens the repository of the current folder. Fails if git is not installed or finds no repository.
    pub fn here() -> anyhow::Result<Self> {
        let output = git(&["rev-parse", "--is-inside-work-tree"])?;
        anyhow::ensure!(
            output.status.success(),
            "git finds no repository in the current folder: {}",
            complaint(&output)
        );
        Ok(Self(()))
    }

    /// Returns the id of a commit, given any name that git accepts for it.
    pub fn commit(&self, reference: &str) -> anyhow::Result<Option<String>> {
        if reference.starts_with('-') {
            return Ok(None);
        }
        let commit = format!("{reference}^{{commit}}");
        let output = git(&["rev-parse", "--verify", "--quiet", &commit])?;
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(output.status.success().then_some(id))
    }

    /// Returns the files of a folder at a commit, with the ids of their blobs.
    pub fn files(&self, commit: &str, folder: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let listed = stdout_of(&["ls-tree", "-r", commit, "--", folder])?;
        // <mode> blob <id>\t<path>
        let entry = |line: &str| {
            let (entry, path) = line.split_once('\t')?;
            Some((path.to_owned(), entry.split(' ').nth(2)?.to_owned()))
        };
        Ok(listed.lines().filter_map(entry).collect())
    }

    /// Returns the last commit, up to the given one, that changed an existing file.
    pub fn last_change(&self, commit: &str, file: &str) -> anyhow::Result<String> {
        let listed = stdout_of(&["log", "-1", "--format=%H", commit, "--", file])?;
        Ok(listed.trim().to_owned())
    }

    /// Returns the changes of the files of a folder up to a commit, newest first. Merges are compared
    /// with each of their parents. With `after`, returns only changes that follow that commit: a branch
    /// that forked before it does not count until it is merged. A shallow clone returns only the
    /// changes that it has.
    pub fn changes(
        &self,
        commit: &str,
        after: Option<&str>,
        folder: &str,
    ) -> anyhow::Result<Vec<Change>> {
        let log =
            ["log", "--raw", "--no-abbrev", "--no-renames", "-m", "--relative", "--format=%H"];
        let range = after.map_or_else(|| commit.to_owned(), |after| format!("{after}..{commit}"));
        let path = if after.is_some() { &["--ancestry-path"][..] } else { &[] };
        let listed = stdout_of(&[&log[..], path, &[&range, "--", folder]].concat())?;
        let (mut changes, mut commit) = (Vec::new(), "");
        for line in listed.lines().filter(|line| !line.is_empty()) {
            // :<mode> <mode> <id before> <id> <status>\t<path>
            let Some((change, path)) = line.strip_prefix(':').and_then(|it| it.split_once('\t'))
            else {
                commit = line;
                continue;
            };
            let mut words = change.split(' ').skip(3);
            if let (Some(blob), Some(status)) = (words.next(), words.next())
                && status != "D"
            {
                let commit = short(commit);
                let (path, blob) = (path.to_owned(), blob.to_owned());
                changes.push(Change { commit, path, blob });
            }
        }
        Ok(changes)
    }

    /// Returns the content of a blob.
    pub fn blob(&self, id: &str) -> anyhow::Result<Vec<u8>> {
        Ok(answered(&["cat-file", "blob", id])?.stdout)
    }
}

/// Returns the abbreviated id of a commit.
pub fn short(commit: &str) -> String {
    commit.chars().take(SHORT).collect()
}

fn stdout_of(arguments: &[&str]) -> anyhow::Result<String> {
    String::from_utf8(answered(arguments)?.stdout).context("the output of git is not UTF-8")
}

fn answered(arguments: &[&str]) -> anyhow::Result<Output> {
    let output = git(arguments)?;
    let command = arguments.first().copied().unwrap_or_default();
    anyhow::ensure!(output.status.success(), "git {command} failed: {}", complaint(&output));
    Ok(output)
}

fn git(arguments: &[&str]) -> anyhow::Result<Output> {
    let mut git = Command::new("git");
    // File names unescaped, and messages in English.
    git.args(["-c", "core.quotePath=false"]).args(arguments).env("LC_ALL", "C");
    git.output().context("cannot run git; to compare without git, name a folder of schemas")
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}
