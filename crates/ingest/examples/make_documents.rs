//! Writes the sample PDFs into `tests/documents`.

#[path = "../tests/support/pdf.rs"]
mod pdf;
#[path = "../tests/support/samples.rs"]
mod samples;

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    fs::write(folder.join("how-it-works.pdf"), samples::how_it_works())?;
    fs::write(folder.join("handbook.pdf"), samples::handbook())
}
