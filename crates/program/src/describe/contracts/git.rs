//! What git knows of the files below the current folder. Nothing is changed.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use anyhow::Context as _;

/// How much of a commit's id is shown to people.
const SHORT: usize = 10;

/// The repository that the current folder is in.
pub struct Repository(());

/// A file as a commit left it.
pub struct Change {
    /// The commit, in short.
    pub commit: String,
    /// The file, from the current folder on.
    pub path: String,
    /// What is in it.
    pub blob: String,
}

impl Repository {
    /// Fails where there is no git, or no repository.
    pub fn here() -> anyhow::Result<Self> {
        let output = git(&["rev-parse", "--is-inside-work-tree"])?;
        anyhow::ensure!(
            output.status.success(),
            "git finds no repository here: {}",
            complaint(&output)
        );
        Ok(Self(()))
    }

    /// The id of a commit, by any name that git knows it by.
    pub fn commit(&self, reference: &str) -> anyhow::Result<Option<String>> {
        if reference.starts_with('-') {
            return Ok(None);
        }
        let commit = format!("{reference}^{{commit}}");
        let output = git(&["rev-parse", "--verify", "--quiet", &commit])?;
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(output.status.success().then_some(id))
    }

    /// The files of a folder at a commit, each with the id of what is in it.
    pub fn files(&self, commit: &str, folder: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let listed = told(&["ls-tree", "-r", commit, "--", folder])?;
        // <mode> blob <id>\t<path>
        let entry = |line: &str| {
            let (entry, path) = line.split_once('\t')?;
            Some((path.to_owned(), entry.split(' ').nth(2)?.to_owned()))
        };
        Ok(listed.lines().filter_map(entry).collect())
    }

    /// The last commit, up to this one, that changed a file which is there.
    pub fn last_change(&self, commit: &str, file: &str) -> anyhow::Result<String> {
        let listed = told(&["log", "-1", "--format=%H", commit, "--", file])?;
        Ok(listed.trim().to_owned())
    }

    /// How the files of a folder came to be as they are at a commit, the last change first; merges
    /// compared with each of their parents. With `after`, only what followed that commit: a branch
    /// that left before it does not count until it is merged. What a shallow clone lacks is not there.
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
        let listed = told(&[&log[..], path, &[&range, "--", folder]].concat())?;
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

    /// What is in a file.
    pub fn blob(&self, id: &str) -> anyhow::Result<Vec<u8>> {
        Ok(answered(&["cat-file", "blob", id])?.stdout)
    }
}

/// A commit's id as people are shown it.
pub fn short(commit: &str) -> String {
    commit.chars().take(SHORT).collect()
}

fn told(arguments: &[&str]) -> anyhow::Result<String> {
    String::from_utf8(answered(arguments)?.stdout).context("git names a file that is not UTF-8")
}

fn answered(arguments: &[&str]) -> anyhow::Result<Output> {
    let output = git(arguments)?;
    let command = arguments.first().copied().unwrap_or_default();
    anyhow::ensure!(output.status.success(), "git {command} failed: {}", complaint(&output));
    Ok(output)
}

fn git(arguments: &[&str]) -> anyhow::Result<Output> {
    let mut git = Command::new("git");
    // Names as they are, and complaints in one language.
    git.args(["-c", "core.quotePath=false"]).args(arguments).env("LC_ALL", "C");
    git.output().context("git cannot be run; without it, name a folder of schemas")
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}
