//! Reads files of lines, plain or compressed with gzip, in constant memory, and recognises a file that
//! was read before, even if it has grown since.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Crc;
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::debezium::LineError;

/// The two bytes every gzip file begins with (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Number of bytes at the beginning of a file that identify it.
const HEAD: usize = 64 << 10;
/// Maximum length of a line. Debezium records are shorter.
const LONGEST_LINE: u64 = 64 << 20;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system returned an error.
    #[error("cannot read {file}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a regular file; an import must be able to resume where it stopped.
    #[error(
        "{file} is not a regular file, so the import could not be resumed: write its output to a file first"
    )]
    NoFile {
        /// The file.
        file: PathBuf,
    },
    /// The file is compressed or encoded in a way that is not supported.
    #[error("{file} {problem}")]
    Format {
        /// The file.
        file: PathBuf,
        /// What it is, and what to do.
        problem: &'static str,
    },
    /// The compressed data is damaged or ends early.
    #[error("{file}: after line {line} the compressed data is damaged or cut off")]
    Compressed {
        /// The file.
        file: PathBuf,
        /// The last good line.
        line: u64,
    },
    /// A line cannot be imported. Everything before it was imported.
    #[error("{file}, line {line}: {problem}")]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it. Part of the text above, so it is not also the source.
        problem: LineError,
    },
}

/// How far a file was read. Offsets refer to the uncompressed content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FilePosition {
    /// Bytes before the next line.
    pub(crate) offset: u64,
    /// Lines before it.
    pub(crate) line: u64,
    /// Length and checksum of the line before it: they show whether a file with the same beginning is
    /// still the same file at this place.
    pub(crate) tail_length: u64,
    pub(crate) tail_checksum: u32,
    /// The highest position in the source's log before it; not a property of the file.
    pub(crate) position: i64,
}

/// The identity of a file: a digest of its first bytes, uncompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) length: usize,
    pub(crate) digest: String,
}

/// The beginning of a file's content.
#[derive(Debug)]
pub(crate) struct Beginning(Vec<u8>);

/// Returns an error if a file cannot be read at all.
pub(crate) fn readable(path: &Path) -> Result<(), ReadError> {
    open(path, &Arc::default()).map(drop)
}

impl Beginning {
    pub(crate) fn read(path: &Path) -> Result<Self, ReadError> {
        let (mut content, _) = open(path, &Arc::default())?;
        let mut bytes = Vec::new();
        // A damaged or short file gets its error when it is read.
        drop(content.by_ref().take(HEAD as u64).read_to_end(&mut bytes));
        Ok(Self(bytes))
    }

    /// Returns the digest of the part of the beginning that was read, so that a broken line after it
    /// may be corrected.
    pub(crate) fn head(&self, read_to: u64) -> Head {
        let length = usize::try_from(read_to).unwrap_or(usize::MAX).min(self.0.len());
        Head { length, digest: digest(&self.0[..length]) }
    }

    /// Returns whether the file begins like this one did, perhaps when it was shorter.
    pub(crate) fn was(&self, head: &Head) -> bool {
        head.length > 0
            && self.0.get(..head.length).is_some_and(|begin| digest(begin) == head.digest)
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Counts the bytes read from the disk, for progress.
struct Counted(File, Arc<AtomicU64>);

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

type Content = Box<dyn BufRead + Send>;

/// Maximum length of the signatures by which formats are recognised.
const LONGEST_MAGIC: u64 = 16;

/// Signatures of unsupported formats, and what to do about them. Longer ones come first.
const FORMATS: [(&[u8], &str); 16] = [
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd: uncompress it first, such as with `zstd -d`"),
    (b"BZh", "is compressed with bzip2: uncompress it first, such as with `bunzip2`"),
    (b"\xfd7zXZ\0", "is compressed with xz: uncompress it first, such as with `unxz`"),
    (b"\x5d\0\0", "is compressed with lzma: uncompress it first, such as with `unlzma`"),
    (b"\x1f\x9d", "is compressed with compress: uncompress it first, such as with `uncompress`"),
    (b"\x04\x22\x4d\x18", "is compressed with lz4: uncompress it first, such as with `unlz4`"),
    (
        b"\xff\x06\0\0sNaPpY",
        "is compressed with snappy: uncompress it first, such as with `snzip -d`",
    ),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it first, such as with `7z x`"),
    (b"PK\x03\x04", "is a zip archive: unpack it first, such as with `unzip`"),
    (b"PAR1", "is a Parquet file: write its records as JSON, one a line"),
    (
        b"Obj\x01",
        "is an Avro file: write its records as JSON, one a line, such as with `avro-tools tojson`",
    ),
    (b"\xff\xfe\0\0", "is UTF-32: convert it first, such as with `iconv -f UTF-32 -t UTF-8`"),
    (b"\0\0\xfe\xff", "is UTF-32: convert it first, such as with `iconv -f UTF-32 -t UTF-8`"),
    (b"\xff\xfe", "is UTF-16: convert it first, such as with `iconv -f UTF-16 -t UTF-8`"),
    (b"\xfe\xff", "is UTF-16: convert it first, such as with `iconv -f UTF-16 -t UTF-8`"),
    (&GZIP_MAGIC, "is compressed twice: uncompress it once, such as with `gunzip`"),
];

/// Returns the problem of a content with this beginning. Content compressed with gzip is supported,
/// unless it is compressed twice.
fn format_of(begin: &[u8], compressed: bool) -> Option<&'static str> {
    let read = |magic: &[u8]| magic == GZIP_MAGIC && !compressed;
    let known = FORMATS.iter().find(|(magic, _)| begin.starts_with(magic) && !read(magic));
    if let Some((_, problem)) = known {
        return Some(problem);
    }
    // The first letters of a JSON text without a byte order mark.
    match begin {
        [b'{' | b'[', 0, 0, 0, ..] => {
            Some("is UTF-32: convert it first, such as with `iconv -f UTF-32LE -t UTF-8`")
        }
        [0, 0, 0, b'{' | b'[', ..] => {
            Some("is UTF-32: convert it first, such as with `iconv -f UTF-32BE -t UTF-8`")
        }
        [b'{' | b'[', 0, _, _, ..] => {
            Some("is UTF-16: convert it first, such as with `iconv -f UTF-16LE -t UTF-8`")
        }
        [0, b'{' | b'[', ..] => {
            Some("is UTF-16: convert it first, such as with `iconv -f UTF-16BE -t UTF-8`")
        }
        _ => None,
    }
}

/// Returns whether a file contains no record: empty, or only blank lines or a byte order mark.
pub(crate) fn holds_nothing(path: &Path) -> Result<bool, ReadError> {
    let mut lines = Lines::open(path, None, &Arc::default())?;
    loop {
        match lines.next()? {
            None => return Ok(true),
            Some(("", _)) => {}
            Some(_) => return Ok(false),
        }
    }
}

/// The byte order mark that some tools write at the beginning of a UTF-8 text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Opens a file's content; the flag is whether it is compressed.
fn open(path: &Path, count: &Arc<AtomicU64>) -> Result<(Content, bool), ReadError> {
    let unreadable = |source| ReadError::Unreadable { file: path.to_owned(), source };
    if path == Path::new("-") {
        return Err(ReadError::NoFile { file: path.to_owned() });
    }
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(ReadError::NoFile { file: path.to_owned() });
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let mut begin = Vec::new();
    file.by_ref().take(LONGEST_MAGIC).read_to_end(&mut begin).map_err(unreadable)?;
    let compressed = begin.starts_with(&GZIP_MAGIC);
    let format = |problem| ReadError::Format { file: path.to_owned(), problem };
    if let Some(problem) = format_of(&begin, false) {
        return Err(format(problem));
    }
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let bytes = BufReader::with_capacity(256 << 10, Counted(file, count.clone()));
    if !compressed {
        return Ok((Box::new(bytes), false));
    }
    let mut content = BufReader::with_capacity(256 << 10, MultiGzDecoder::new(bytes));
    // Damaged content gets its error when it is read.
    let begin = content.fill_buf().unwrap_or_default();
    match format_of(begin, true) {
        Some(problem) => Err(format(problem)),
        None => Ok((Box::new(content), true)),
    }
}

/// The lines of a file.
pub(crate) struct Lines {
    path: PathBuf,
    content: Content,
    compressed: bool,
    place: FilePosition,
    buffer: Vec<u8>,
}

/// A line, and whether it ended with a line break.
pub(crate) type Line<'l> = (&'l str, bool);

impl Lines {
    /// Opens a file at a place, or at its beginning if it is another file.
    pub(crate) fn open(
        path: &Path,
        from: Option<FilePosition>,
        count: &Arc<AtomicU64>,
    ) -> Result<Self, ReadError> {
        let (content, compressed) = open(path, count)?;
        let mut lines = Self {
            path: path.to_owned(),
            content,
            compressed,
            place: FilePosition::default(),
            buffer: Vec::new(),
        };
        let Some(from) = from.filter(|from| from.offset > 0) else {
            return Ok(lines);
        };
        if lines.skip_to(from)? {
            lines.place = from;
            return Ok(lines);
        }
        tracing::info!(file = %path.display(), "the file is not the one that was read before; reading it from its beginning");
        Self::open(path, None, count)
    }

    /// Skips the part that was read; returns `false` if the last line read is not there.
    fn skip_to(&mut self, from: FilePosition) -> Result<bool, ReadError> {
        let before = from.offset.saturating_sub(from.tail_length);
        let skipped = std::io::copy(&mut self.content.by_ref().take(before), &mut std::io::sink());
        let mut tail = Vec::new();
        let read = self.content.by_ref().take(from.tail_length).read_to_end(&mut tail);
        match (skipped, read) {
            (Ok(skipped), Ok(_)) => {
                let whole = skipped == before && tail.len() as u64 == from.tail_length;
                Ok(whole && checksum(&tail) == from.tail_checksum)
            }
            (Err(error), _) | (_, Err(error)) => Err(self.failure(error)),
        }
    }

    fn failure(&self, source: std::io::Error) -> ReadError {
        if self.compressed {
            return ReadError::Compressed { file: self.path.clone(), line: self.place.line };
        }
        ReadError::Unreadable { file: self.path.clone(), source }
    }

    /// Returns an error for the line just read.
    pub(crate) fn broken(&self, problem: LineError) -> ReadError {
        ReadError::Line { file: self.path.clone(), line: self.place.line, problem }
    }

    /// Returns the place of the next line.
    pub(crate) fn place(&self) -> FilePosition {
        self.place
    }

    /// Returns the next line, `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, ReadError> {
        self.buffer.clear();
        let read = self.content.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.buffer);
        let read = read.map_err(|error| self.failure(error))? as u64;
        if read == 0 {
            return Ok(None);
        }
        self.place = FilePosition {
            offset: self.place.offset + read,
            line: self.place.line + 1,
            tail_length: read,
            tail_checksum: checksum(&self.buffer),
            position: self.place.position,
        };
        let terminated = self.buffer.last() == Some(&b'\n');
        if !terminated && read == LONGEST_LINE {
            return Err(self.broken(LineError::TooLong(LONGEST_LINE >> 20)));
        }
        // Also within a file, if files with byte order marks were concatenated.
        let text = self.buffer.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.buffer);
        match std::str::from_utf8(text) {
            Ok(line) => Ok(Some((line.trim_ascii(), terminated))),
            Err(error) if !terminated && error.error_len().is_none() => {
                Err(self.broken(LineError::CutOff))
            }
            Err(error) => Err(self.broken(LineError::NotUtf8(error.valid_up_to() + 1))),
        }
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn write(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn all(path: &Path, from: Option<FilePosition>) -> (Vec<String>, FilePosition) {
        let mut lines = Lines::open(path, from, &Arc::default()).unwrap();
        let mut read = Vec::new();
        while let Some((line, _)) = lines.next().unwrap() {
            read.push(line.to_owned());
        }
        (read, lines.place())
    }

    #[test]
    fn compressed_files_are_recognised_by_content_not_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "feed.jsonl", &gzip(b"one\ntwo\n"));
        assert_eq!(all(&path, None).0, ["one", "two"]);
        let path = write(folder.path(), "feed.gz", b"one\ntwo");
        assert_eq!(all(&path, None).0, ["one", "two"]);
    }

    #[test]
    fn reading_goes_on_where_it_stopped_also_in_a_grown_or_compressed_file() {
        let folder = tempfile::tempdir().unwrap();
        let short = write(folder.path(), "a", b"one\ntwo\n");
        let (_, place) = all(&short, None);
        let head = Beginning::read(&short).unwrap().head(place.offset);
        let grown = write(folder.path(), "b", b"one\ntwo\nthree\n");
        assert!(Beginning::read(&grown).unwrap().was(&head));
        assert_eq!(all(&grown, Some(place)).0, ["three"]);
        let packed = write(folder.path(), "c", &gzip(b"one\ntwo\nthree\n"));
        assert!(Beginning::read(&packed).unwrap().was(&head));
        assert_eq!(all(&packed, Some(place)).0, ["three"]);
    }

    #[test]
    fn another_file_with_the_same_beginning_is_read_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let (_, place) = all(&write(folder.path(), "a", b"one\ntwo\n"), None);
        let other = write(folder.path(), "b", b"one\n2\n3\n4\n5\n");
        assert_eq!(all(&other, Some(place)).0.len(), 5);
        let shorter = write(folder.path(), "c", b"one\n");
        assert_eq!(all(&shorter, Some(place)).0, ["one"]);
    }

    #[test]
    fn files_as_other_programs_write_them() {
        let folder = tempfile::tempdir().unwrap();
        let marked = write(folder.path(), "bom", b"\xef\xbb\xbfone\r\n\xef\xbb\xbftwo\r\n");
        assert_eq!(all(&marked, None).0, ["one", "two"]);
        assert_eq!(all(&write(folder.path(), "empty", b""), None).0.len(), 0);
        for (content, said) in [
            (&b"\x28\xb5\x2f\xfd...."[..], "compressed with zstd"),
            (b"\xfd7zXZ\0..", "compressed with xz"),
            (b"PK\x03\x04...", "a zip archive"),
            (b"\xff\xfe{\0\"\0", "is UTF-16"),
            (b"\xfe\xff\0{\0\"", "is UTF-16"),
            (b"{\0\"\0t\0", "UTF-16LE"),
            (b"\0{\0\"\0t", "UTF-16BE"),
            (b"\xff\xfe\0\0{\0\0\0", "is UTF-32"),
            (b"\0\0\0{\0\0\0\"", "is UTF-32"),
            (b"\x1f\x9d\x90{", "compressed with compress"),
            (b"7z\xbc\xaf\x27\x1c\0\x04", "a 7z archive"),
            (b"\x5d\0\0\x80\0\xff", "compressed with lzma"),
            (b"\xff\x06\0\0sNaPpY\0", "compressed with snappy"),
            (b"PAR1\x15\x04", "a Parquet file"),
            (b"Obj\x01\x04", "an Avro file"),
        ] {
            for content in [content.to_vec(), gzip(content)] {
                let path = write(folder.path(), "other", &content);
                let error = readable(&path).unwrap_err().to_string();
                assert!(error.contains(said), "{error}");
            }
        }
        let twice = write(folder.path(), "twice", &gzip(&gzip(b"one\n")));
        assert!(readable(&twice).unwrap_err().to_string().contains("compressed twice"));
        let latin = write(folder.path(), "latin", b"one\n{\"nom\":\"caf\xe9\"}\n");
        let mut lines = Lines::open(&latin, None, &Arc::default()).unwrap();
        lines.next().unwrap();
        let error = lines.next().unwrap_err().to_string();
        assert!(error.contains("line 2: the line is not UTF-8 (column 12)"), "{error}");
        let pipe = readable(Path::new("-")).unwrap_err().to_string();
        assert!(pipe.contains("write its output to a file"), "{pipe}");
        let device = readable(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(device.contains("write its output to a file"), "{device}");
    }

    #[test]
    fn a_file_without_a_record_is_told_from_others() {
        let folder = tempfile::tempdir().unwrap();
        for content in [&b""[..], b"\n \r\n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"] {
            for content in [content.to_vec(), gzip(content)] {
                assert!(holds_nothing(&write(folder.path(), "blank", &content)).unwrap());
            }
        }
        assert!(!holds_nothing(&write(folder.path(), "one", b"\n{}")).unwrap());
    }

    #[test]
    fn a_line_that_is_too_long_is_named_so() {
        let folder = tempfile::tempdir().unwrap();
        let long = vec![b'a'; LONGEST_LINE as usize + 10];
        let path = write(folder.path(), "long", &long);
        let mut lines = Lines::open(&path, None, &Arc::default()).unwrap();
        let error = lines.next().unwrap_err().to_string();
        assert!(error.contains("line 1: the line is longer than 64 MiB"), "{error}");
    }

    #[test]
    fn a_cut_archive_is_an_error_after_its_last_good_line() {
        let folder = tempfile::tempdir().unwrap();
        let content: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        let packed = gzip(content.as_bytes());
        let path = write(folder.path(), "a.gz", &packed[..packed.len() / 2]);
        let mut lines = Lines::open(&path, None, &Arc::default()).unwrap();
        let error = loop {
            match lines.next() {
                Ok(line) => assert!(line.is_some(), "the end came without an error"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ReadError::Compressed { line, .. } if line > 0), "{error}");
    }
}
