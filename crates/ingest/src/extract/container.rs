//! What kind of document a ZIP archive or an OLE container is. This runs in the server, before anything is unpacked:
//! only names are looked at, and every walk has a bound that does not depend on what the file says.

use super::kind::Refused;
use domain::files::{self, FileKind};
use std::io::{self, Read, Seek, SeekFrom};

/// The end of a ZIP archive: its record is 22 bytes, and a comment of at most 64 KiB may follow.
const TAIL: u64 = 22 + 65_535;
/// More of an archive's directory than this is not looked at.
const DIRECTORY: u64 = 2 << 20;
const END_MARK: &[u8] = b"PK\x05\x06";
const ENTRY_MARK: &[u8] = b"PK\x01\x02";

/// Word, Excel or something else, by the names of the entries. When the directory at the end is missing, the file was
/// cut off: the names in `head` and the file's own then decide, so that its row says what is wrong with it.
pub fn zip_kind<R: Read + Seek>(
    head: &[u8],
    file: &mut R,
    filename: &str,
) -> io::Result<Result<FileKind, Refused>> {
    let directory = zip_directory(file)?;
    let named = match FileKind::of_name(filename) {
        Some(kind @ (FileKind::Docx | FileKind::Xlsx))
            if directory.is_empty() && files::zip_names(head).any(files::is_package_part) =>
        {
            Some(Ok(kind))
        }
        _ => None,
    };
    let found = files::office_kind(directory_names(&directory))
        .or_else(|| files::office_kind(files::zip_names(head)))
        .or(named)
        .unwrap_or(Err("This is a ZIP archive."));
    Ok(found.map_err(Refused::unsupported))
}

fn zip_directory<R: Read + Seek>(file: &mut R) -> io::Result<Vec<u8>> {
    let size = file.seek(SeekFrom::End(0))?;
    let from = size.saturating_sub(TAIL);
    let tail = read_at(file, from, TAIL)?;
    let Some(end) = tail.windows(END_MARK.len()).rposition(|w| w == END_MARK) else {
        return Ok(Vec::new());
    };
    let Some(place) = tail.get(end + 16..end + 20) else { return Ok(Vec::new()) };
    let place = u64::from(u32::from_le_bytes([place[0], place[1], place[2], place[3]]));
    read_at(file, place, DIRECTORY)
}

fn directory_names(directory: &[u8]) -> impl Iterator<Item = &str> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let entry = directory.get(at..).filter(|d| d.starts_with(ENTRY_MARK))?;
        let length = |i: usize| Some(usize::from(u16::from_le_bytes([*entry.get(i)?, *entry.get(i + 1)?])));
        let name = length(28)?;
        at += 46 + name + length(30)? + length(32)?;
        // A name in another code is none that is asked for.
        Some(std::str::from_utf8(entry.get(46..46 + name)?).unwrap_or_default())
    })
}

/// Old Office files are named and refused. A protected new one is taken for what its name says, so that its row tells
/// of the password.
pub fn ole_kind<R: Read + Seek>(file: &mut R, filename: &str) -> io::Result<Result<FileKind, Refused>> {
    // The directory's entries are 128 bytes long, begin with their name in UTF-16 and stand at multiples of that; which
    // sectors they are in need not be known.
    const OLD: [(&str, &str); 5] = [
        ("WordDocument", "This is an old Word document (DOC); save it as DOCX."),
        ("Workbook", "This is an old Excel workbook (XLS); save it as XLSX."),
        ("Book", "This is an old Excel workbook (XLS); save it as XLSX."),
        ("PowerPoint Document", "This is an old PowerPoint presentation."),
        ("__properties_version1.0", "This is an Outlook message."),
    ];
    let old = OLD.map(|(name, sentence)| (utf16(name), sentence));
    let protected = utf16("EncryptedPackage");
    file.seek(SeekFrom::Start(0))?;
    let (mut block, mut encrypted) = (vec![0; 64 * 1024], false);
    loop {
        let read = fill(file, &mut block)?;
        if read == 0 {
            break;
        }
        for entry in block[..read].as_chunks::<128>().0 {
            if let Some((_, sentence)) = old.iter().find(|(name, _)| entry.starts_with(name)) {
                return Ok(Err(Refused::unsupported(*sentence)));
            }
            encrypted |= entry.starts_with(&protected);
        }
    }
    Ok(match FileKind::of_name(filename) {
        Some(FileKind::Xlsx) if encrypted => Ok(FileKind::Xlsx),
        _ if encrypted => Ok(FileKind::Docx),
        _ => Err(Refused::unsupported("This is a kind of container that is not known here.")),
    })
}

/// The name with the zero that ends it.
fn utf16(name: &str) -> Vec<u8> {
    name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn read_at<R: Read + Seek>(file: &mut R, place: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    file.seek(SeekFrom::Start(place))?;
    file.take(most).read_to_end(&mut out)?;
    Ok(out)
}

/// As many bytes as there are, so that entries never straddle two blocks.
fn fill(file: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while have < block.len() {
        match file.read(&mut block[have..])? {
            0 => break,
            n => have += n,
        }
    }
    Ok(have)
}
