//! What a file is, told by its content.

use async_trait::async_trait;
use services::ports::FileTypes;
use std::path::Path;

pub struct ByContent;

#[async_trait]
impl FileTypes for ByContent {
    async fn detect(&self, path: &Path, head: &[u8], filename: &str) -> Result<String, String> {
        let (path, name) = (path.to_owned(), filename.to_owned());
        let looked = tokio::task::spawn_blocking(move || {
            ingest::extract::detect_file(&mut std::fs::File::open(path)?, &name)
        });
        // The head alone decides nearly as well, should the file be out of reach.
        let kind = match looked.await {
            Ok(Ok(kind)) => kind,
            _ => ingest::extract::detect(head, filename),
        };
        kind.map(|kind| kind.mime().to_owned()).map_err(|refused| refused.to_string())
    }

    fn markdown(&self, text: &str) -> String {
        ingest::show::markdown(text)
    }
}
