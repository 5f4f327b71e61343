//! Reads the model folder: the JSON files and the tensors of a safetensors file, every claim of the file
//! checked before it is used. What the tensors mean is not known here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::ModelError;

/// A header larger than this is not one of a model of ours; the limit keeps a broken length from
/// allocating the machine's memory.
const MAX_HEADER: u64 = 16 << 20;

fn damaged(file: &Path, reason: impl Into<String>) -> ModelError {
    ModelError::Damaged { file: file.to_owned(), reason: reason.into() }
}

fn unreadable(file: &Path, error: &std::io::Error) -> ModelError {
    match error.kind() {
        ErrorKind::NotFound => ModelError::Missing { file: file.to_owned() },
        ErrorKind::UnexpectedEof => damaged(file, "it ends too early"),
        _ => damaged(file, format!("it cannot be read ({error})")),
    }
}

/// Reads a JSON file of the model folder.
pub(crate) fn read_json(file: &Path) -> Result<Value, ModelError> {
    let bytes = std::fs::read(file).map_err(|error| unreadable(file, &error))?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(file, format!("it is not valid JSON ({error})")))
}

struct Entry {
    dtype: String,
    shape: Vec<u64>,
    begin: u64,
    end: u64,
}

/// An open safetensors file: eight bytes of header length, a JSON header, then the tensors' raw bytes.
pub(crate) struct Tensors {
    path: PathBuf,
    file: File,
    data_start: u64,
    entries: BTreeMap<String, Entry>,
}

impl Tensors {
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        let mut file = File::open(path).map_err(|error| unreadable(path, &error))?;
        let size = file.metadata().map_err(|error| unreadable(path, &error))?.len();
        let mut length = [0u8; 8];
        file.read_exact(&mut length).map_err(|error| unreadable(path, &error))?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || length + 8 > size {
            return Err(damaged(path, "its header is longer than the file allows"));
        }
        let mut header = vec![0u8; length as usize];
        file.read_exact(&mut header).map_err(|error| unreadable(path, &error))?;
        let header: Value = serde_json::from_slice(&header)
            .map_err(|error| damaged(path, format!("its header is not valid JSON ({error})")))?;
        let header = header.as_object().ok_or_else(|| damaged(path, "its header is not a JSON object"))?;
        let mut entries = BTreeMap::new();
        for (name, value) in header.iter().filter(|(name, _)| *name != "__metadata__") {
            let entry = read_entry(value)
                .filter(|entry| entry.begin <= entry.end && entry.end <= size - 8 - length)
                .ok_or_else(|| damaged(path, format!("its header describes the tensor {name} wrongly")))?;
            entries.insert(name.clone(), entry);
        }
        Ok(Self { path: path.to_owned(), file, data_start: 8 + length, entries })
    }

    /// The values of a 32-bit tensor that must have exactly this shape.
    pub(crate) fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let entry = self
            .entries
            .get(name)
            .ok_or_else(|| damaged(&self.path, format!("the tensor {name} is not in it")))?;
        let count: usize = shape.iter().product();
        let same = entry.shape.iter().copied().eq(shape.iter().map(|&side| side as u64));
        if entry.dtype != "F32" || !same || entry.end - entry.begin != 4 * count as u64 {
            return Err(damaged(
                &self.path,
                format!("the tensor {name} is {} {:?} instead of F32 {shape:?}", entry.dtype, entry.shape),
            ));
        }
        let mut bytes = vec![0u8; 4 * count];
        self.file
            .seek(SeekFrom::Start(self.data_start + entry.begin))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|error| unreadable(&self.path, &error))?;
        let (values, _) = bytes.as_chunks::<4>();
        Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }
}

fn read_entry(value: &Value) -> Option<Entry> {
    let shape = value.get("shape")?.as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<_>>>()?;
    let offsets = value.get("data_offsets")?.as_array()?;
    let [begin, end] = offsets.as_slice() else { return None };
    Some(Entry {
        dtype: value.get("dtype")?.as_str()?.to_owned(),
        shape,
        begin: begin.as_u64()?,
        end: end.as_u64()?,
    })
}
