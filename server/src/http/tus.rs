//! What the headers of the tus protocol say: lengths, `Upload-Metadata` and `Upload-Checksum`. Texts in, plain data out:
//! nothing of HTTP's own is needed, and the fuzz targets take this file in as it is.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use domain::{FieldErrors, OnDuplicate};
use services::Announced;

/// Why a file cannot be announced so.
#[derive(Debug)]
pub enum Refused {
    /// By header.
    Fields(FieldErrors),
    /// The workspace that it is for is none.
    NoWorkspace,
}

/// What a checksum is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha1,
    Sha256,
}

/// The keys that mean something here. A client may send others, with whatever bytes.
const KEYS: [&str; 6] = ["filename", "name", "workspace_id", "sha256", "wait", "on_duplicate"];

pub fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Reads `Upload-Length` and `Upload-Metadata`: pairs of a key and a value in Base64, with commas between.
///
/// # Errors
/// What of it is wrong.
pub fn announced(length: Option<&str>, metadata: Option<&str>) -> Result<Announced, Refused> {
    let mut errors = FieldErrors::default();
    let size = length.and_then(number);
    if size.is_none() {
        errors.add("Upload-Length", "Say how many bytes the file has.");
    }
    let mut announced = Announced {
        filename: String::new(),
        size_bytes: size.unwrap_or_default(),
        workspace: None,
        sha256: None,
        alone: true,
        on_duplicate: OnDuplicate::default(),
        metadata: metadata.map(str::to_owned),
    };
    for pair in metadata.unwrap_or_default().split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        if !KEYS.contains(&key) {
            continue;
        }
        let value = BASE64.decode(value.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(value) = value else {
            errors.add("Upload-Metadata", format!("The value of {key:?} is no Base64 of a text."));
            continue;
        };
        match key {
            "filename" | "name" => announced.filename = value,
            "workspace_id" => match value.parse() {
                Ok(id) => announced.workspace = Some(id),
                Err(_) => return Err(Refused::NoWorkspace),
            },
            "sha256" if value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit()) => {
                announced.sha256 = Some(value);
            }
            "sha256" => errors.add("Upload-Metadata", "sha256 has 64 hexadecimal digits."),
            "wait" => announced.alone = false,
            "on_duplicate" => match value.parse() {
                Ok(way) => announced.on_duplicate = way,
                Err(_) => errors.add("Upload-Metadata", "on_duplicate is skip, replace or keep_both."),
            },
            _ => {}
        }
    }
    errors.check().map_err(Refused::Fields)?;
    Ok(announced)
}

/// Reads `Upload-Checksum`: the name of the algorithm, a space, and the digest in Base64.
pub fn checksum(text: &str) -> Option<(Algorithm, Vec<u8>)> {
    let (name, value) = text.trim().split_once(' ')?;
    let algorithm = match name {
        "sha1" => Algorithm::Sha1,
        "sha256" => Algorithm::Sha256,
        _ => return None,
    };
    Some((algorithm, BASE64.decode(value.trim()).ok()?))
}
