//! What a file is, told by its content.

use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    FileKind,
    files::{OLE_MARK, ZIP_MARK},
};
use services::ports::{FileTypes, LocalFile};

pub struct ByContent;

#[async_trait]
impl FileTypes for ByContent {
    fn wants_whole(&self, head: &[u8]) -> bool {
        // What a container holds stands at its end, or anywhere.
        head.starts_with(ZIP_MARK) || head.starts_with(OLE_MARK)
    }

    async fn detect(&self, head: &Bytes, whole: Option<LocalFile>, filename: &str) -> Result<String, String> {
        let (head, name) = (head.clone(), filename.to_owned());
        let looked = tokio::task::spawn_blocking(move || {
            let whole = whole.map(|mut whole| ingest::extract::detect_file(&mut whole.file, &name));
            // The head alone decides nearly as well, should the file be out of reach.
            match whole {
                Some(Ok(kind)) => kind,
                _ => ingest::extract::detect(&head, &name),
            }
        });
        let kind = looked.await.map_err(|_| "This file could not be looked at.".to_owned())?;
        kind.map(|kind| kind.mime().to_owned()).map_err(|refused| refused.to_string())
    }

    fn structure(&self, kind: FileKind, text: &str) -> Option<String> {
        ingest::show::structure(kind, text)
    }
}
