//! Word documents and Excel workbooks: XML in a ZIP archive. [`package`] and [`xml`] are the guarded ways in.

pub mod docx;
mod package;
pub mod xlsx;
mod xml;
