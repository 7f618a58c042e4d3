//! The files of a backup: written with a checksum, and on disk before the manifest names them; read line by
//! line. It refuses to hold more than one line and one block in memory, and knows nothing of what lines say.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use chroma_ha_core::backup::{self, Manifest};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use crate::failure::Failure;

const MANIFEST: &str = "manifest.json";
const BUFFER: usize = 1 << 20;

/// A backup's folder.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A new one: it must not be there, or be empty.
    pub(super) fn create(path: &Path) -> Result<Folder, String> {
        let folder = Folder(path.to_owned());
        fs::create_dir_all(path).map_err(|error| folder.failed("cannot be made", &error))?;
        let mut found = fs::read_dir(path).map_err(|error| folder.failed("cannot be read", &error))?;
        if found.next().is_some() {
            let name = path.display();
            return Err(format!(
                "{name} is not empty: a backup needs a folder of its own; delete it if a backup broke off there"
            ));
        }
        for inner in ["records", "log"] {
            fs::create_dir(path.join(inner)).map_err(|error| folder.failed("cannot be written", &error))?;
        }
        Ok(folder)
    }

    pub(super) fn open(path: &Path) -> Result<(Folder, Manifest), String> {
        let folder = Folder(path.to_owned());
        let text = fs::read_to_string(path.join(MANIFEST)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                format!("{} holds no finished backup: there is no {MANIFEST}", path.display())
            }
            _ => folder.failed("cannot be read", &error),
        })?;
        let manifest = Manifest::open(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok((folder, manifest))
    }

    fn failed(&self, what: &str, error: &io::Error) -> String {
        format!("{} {what}: {error}", self.0.display())
    }

    /// For as long as the value lives nobody else writes here.
    pub(super) fn lock(&self) -> Result<Flock<File>, Failure> {
        let file = File::open(&self.0).map_err(|error| self.failed("cannot be read", &error))?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, fault)| match fault {
            Errno::EWOULDBLOCK => Failure::Later(format!(
                "{} is being written by another chroma-ha; try again",
                self.0.display()
            )),
            other => Failure::Problem(self.failed("cannot be locked", &other.into())),
        })
    }

    /// From here on the backup is what the manifest says; before, it is what the last one said.
    pub(super) fn finish(&self, manifest: &Manifest) -> Result<(), String> {
        let text = manifest.seal().map_err(|error| error.to_string())?;
        let (new, old) = (self.0.join("manifest.json.new"), self.0.join(MANIFEST));
        let written = || -> io::Result<()> {
            for folder in ["records", "log", "."] {
                File::open(self.0.join(folder))?.sync_all()?;
            }
            let mut file = File::create(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &old)?;
            File::open(&self.0)?.sync_all()
        };
        written().map_err(|error| self.failed("cannot be written", &error))
    }

    pub(super) fn writer(&self, path: &str) -> Result<Writer, String> {
        let full = self.0.join(path);
        // What a run that broke off left under this name is nobody's.
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&full);
        let file = file.map_err(|error| self.failed("cannot be written", &error))?;
        let counted = Hashed { file, hash: Sha256::new(), bytes: 0 };
        let writer = GzEncoder::new(BufWriter::with_capacity(BUFFER, counted), Compression::new(4));
        Ok(Writer { path: path.to_owned(), full, writer, lines: 0, plain: 0 })
    }

    /// Calls for each line, after the file's size and checksum were found right.
    pub(super) fn lines(
        &self,
        file: &backup::File,
        mut each: impl FnMut(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut reader = self.reader(file)?;
        while let Some(line) = reader.next()? {
            each(line)?;
        }
        Ok(())
    }

    pub(super) fn reader(&self, file: &backup::File) -> Result<Reader, String> {
        let full = self.0.join(&file.path);
        let opened = File::open(&full).map_err(|error| format!("{}: {error}", full.display()))?;
        let plain =
            BufReader::with_capacity(BUFFER, MultiGzDecoder::new(BufReader::with_capacity(BUFFER, opened)));
        Ok(Reader { full, plain, line: String::new() })
    }

    /// Size and checksum of the file as it lies there.
    pub(super) fn check(&self, file: &backup::File) -> Result<(), String> {
        let full = self.0.join(&file.path);
        let broken = |why: &str| format!("{} {why}: the backup is damaged", full.display());
        let mut opened = File::open(&full).map_err(|error| broken(&format!("cannot be read ({error})")))?;
        let (mut hash, mut bytes, mut block) = (Sha256::new(), 0_u64, vec![0; BUFFER]);
        loop {
            let read =
                opened.read(&mut block).map_err(|error| broken(&format!("cannot be read ({error})")))?;
            if read == 0 {
                break;
            }
            hash.update(&block[..read]);
            bytes += super::count(read);
        }
        if bytes != file.bytes {
            return Err(broken(&format!("has {bytes} bytes instead of {}", file.bytes)));
        }
        if hex(hash) != file.sha256 {
            return Err(broken("does not have the checksum that the manifest says"));
        }
        Ok(())
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What goes into the file, on its way.
struct Hashed {
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.file.write(data)?;
        self.hash.update(&data[..written]);
        self.bytes += super::count(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// One file that is being written.
pub(super) struct Writer {
    path: String,
    full: PathBuf,
    writer: GzEncoder<BufWriter<Hashed>>,
    lines: u64,
    plain: usize,
}

impl Writer {
    pub(super) fn line(&mut self, text: &str) -> Result<(), String> {
        self.lines += 1;
        self.plain += text.len() + 1;
        let written = self.writer.write_all(text.as_bytes()).and_then(|()| self.writer.write_all(b"\n"));
        written.map_err(|error| format!("{}: {error}", self.full.display()))
    }

    /// Bytes so far, before they were compressed.
    pub(super) fn plain(&self) -> usize {
        self.plain
    }

    /// On disk, with what the manifest says of it.
    pub(super) fn end(self) -> Result<backup::File, String> {
        let failed = |error: io::Error| format!("{}: {error}", self.full.display());
        let buffered = self.writer.finish().map_err(failed)?;
        let hashed = buffered.into_inner().map_err(|error| failed(error.into_error()))?;
        hashed.file.sync_all().map_err(failed)?;
        Ok(backup::File { path: self.path, bytes: hashed.bytes, sha256: hex(hashed.hash), lines: self.lines })
    }
}

/// One file that is being read.
pub(super) struct Reader {
    full: PathBuf,
    plain: BufReader<MultiGzDecoder<BufReader<File>>>,
    line: String,
}

impl Reader {
    pub(super) fn next(&mut self) -> Result<Option<&str>, String> {
        self.line.clear();
        let read = self.plain.read_line(&mut self.line);
        let read = read.map_err(|error| format!("{}: {error}", self.full.display()))?;
        Ok((read > 0).then(|| self.line.trim_end_matches('\n')))
    }
}
