//! Single passages of a document: finding one in it, what stands around it in the document's text, and what a person does
//! to it.

use crate::{
    Error, Result, Services, keys,
    ports::{ChunkChange, EmbedError, PageQuery, StoreError, Written},
};
use domain::{
    Chunk, ChunkId, Document, DocumentId, FieldErrors, UserId,
    rag::{RagConfig, RetrieverType},
    resource::Page,
};

/// Longest text that a person may write for a passage, in characters: as long as the longest that is cut.
pub const MAX_PASSAGE: usize = 10_000;
/// Of the document's text that is shown before a passage, and behind it, in characters.
const AROUND: usize = 1_500;

/// A passage where it stands in its document's text. The three parts follow one another there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InText {
    pub chunk: Chunk,
    /// False: the text goes on before this.
    pub is_start: bool,
    pub before: String,
    /// The words of the document, also where somebody wrote others in their place.
    pub passage: String,
    pub behind: String,
    pub is_end: bool,
}

/// What a person wants of a passage; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct PassageForm {
    pub text: Option<String>,
    pub enabled: Option<bool>,
}

impl Services {
    /// Passages of a document, by ordinal, or of a version that was replaced; of the present one, with `words`, only those
    /// that have them.
    ///
    /// # Errors
    /// `Invalid` under `q` for words and a version; `NotFound`.
    pub async fn find_chunks(
        &self,
        user: UserId,
        document: DocumentId,
        version: Option<u32>,
        words: Option<&str>,
        page: PageQuery,
    ) -> Result<Page<Chunk>> {
        let words = words.map(str::trim).filter(|words| !words.is_empty());
        if words.is_some() && version.is_some() {
            let sentence = "Leave out the version: only the present one is looked through.";
            return Err(Error::Invalid(FieldErrors::one("q", sentence)));
        }
        match words {
            None => self.list_chunks(user, document, version, page).await,
            Some(words) => {
                let found = self.documents.document(user, document).await?;
                found.ok_or(Error::NotFound("document"))?;
                Ok(self.passages.passages_with(user, document, words, page).await?)
            }
        }
    }

    /// A passage with what stands before and behind it.
    ///
    /// # Errors
    /// `NotFound` also when the text of the document is not there any more.
    pub async fn chunk_in_text(&self, user: UserId, document: DocumentId, id: ChunkId) -> Result<InText> {
        let (found, chunk) = self.passage(user, document, id).await?;
        let stored = self.blobs.get(&keys::text(user, document, found.version)).await?;
        let text = self.chunker.text(stored).await?;
        let end = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let (start, stop) = (end(chunk.char_start), end(chunk.char_end));
        let (first, last) = (start.saturating_sub(AROUND), stop.saturating_add(AROUND));
        let part = |from: usize, to: usize| text.chars().skip(from).take(to.saturating_sub(from)).collect();
        Ok(InText {
            is_start: first == 0,
            before: part(first, start),
            passage: part(start, stop),
            behind: part(stop, last),
            is_end: text.chars().nth(last).is_none(),
            chunk,
        })
    }

    /// A passage, with the ids of those before and behind it.
    pub async fn chunk_with_neighbours(
        &self,
        user: UserId,
        document: DocumentId,
        id: ChunkId,
    ) -> Result<(Chunk, (Option<ChunkId>, Option<ChunkId>))> {
        let (_, chunk) = self.passage(user, document, id).await?;
        let around = self.passages.neighbours(user, document, chunk.ordinal).await?;
        Ok((chunk, around))
    }

    /// Writes other words in place of a passage's, or takes it out of what searches find, or back in. New words are
    /// embedded at once, alone. What is done here holds for whatever a later run cuts word for word like this passage.
    ///
    /// # Errors
    /// `Invalid` by field; 409 while the document is being worked on; 503 when the embedding model cannot be asked.
    pub async fn change_chunk(
        &self,
        user: UserId,
        document: DocumentId,
        id: ChunkId,
        form: PassageForm,
    ) -> Result<Chunk> {
        let (found, chunk) = self.passage(user, document, id).await?;
        let mut errors = FieldErrors::default();
        let text = form.text.map(|text| crate::composed(text.trim().to_owned()));
        match text.as_deref() {
            Some("") => errors.add("text", "Enter some text, or switch the passage off instead."),
            Some(text) if text.chars().count() > MAX_PASSAGE => {
                errors.add("text", format!("Use at most {MAX_PASSAGE} characters."));
            }
            _ => {}
        }
        errors.check()?;
        let words = match text.filter(|text| *text != chunk.text) {
            Some(text) => Some(self.written(user, &found, chunk.heading, text).await?),
            None => None,
        };
        let vector = match &words {
            Some(words) => self.vector_of(&found, &words.text).await?,
            None => None,
        };
        self.put_passage(user, document, id, words, form.enabled, vector).await
    }

    /// Embeds a passage anew, alone.
    ///
    /// # Errors
    /// 409 when its document has no vectors, or while it is being worked on; 503 when the embedding model cannot be asked.
    pub async fn embed_chunk(&self, user: UserId, document: DocumentId, id: ChunkId) -> Result<Chunk> {
        let (found, chunk) = self.passage(user, document, id).await?;
        let vector = self.vector_of(&found, &chunk.text).await?.ok_or_else(|| {
            Error::problem(
                409,
                "not_embedded",
                "This document has no vectors; it is found by its words alone.",
            )
        })?;
        self.put_passage(user, document, id, None, None, Some(vector)).await
    }

    async fn put_passage(
        &self,
        user: UserId,
        document: DocumentId,
        chunk: ChunkId,
        words: Option<Written>,
        enabled: Option<bool>,
        vector: Option<(String, Vec<f32>)>,
    ) -> Result<Chunk> {
        let now = self.clock.now();
        let change = ChunkChange { user, document, chunk, words, enabled, vector, now };
        self.passages.change_passage(change).await.map_err(|e| match e {
            StoreError::NotFound => Error::NotFound("passage"),
            other => other.into(),
        })
    }

    async fn passage(&self, user: UserId, document: DocumentId, id: ChunkId) -> Result<(Document, Chunk)> {
        let found = self.documents.document(user, document).await?.ok_or(Error::NotFound("document"))?;
        let chunk = self.passages.passage(user, document, id).await?.ok_or(Error::NotFound("passage"))?;
        Ok((found, chunk))
    }

    /// With the tokenizer that the document was cut with.
    async fn written(
        &self,
        user: UserId,
        document: &Document,
        heading: Option<String>,
        text: String,
    ) -> Result<Written> {
        let saved = self.workspaces.rag_config(user, document.workspace_id).await?;
        let saved = saved.ok_or(Error::NotFound("workspace"))?;
        let model = document.indexed_with.as_ref().and_then(|with| with.embedding_model.clone());
        let config = RagConfig {
            embedding_model: model.unwrap_or_else(|| saved.embedding_model.clone()),
            // Whether there is a graph, the store knows.
            retriever_type: RetrieverType::Graph,
            ..saved
        };
        Ok(self.chunker.written(&config, heading, text).await?)
    }

    /// `None` where the document has no vectors.
    async fn vector_of(&self, document: &Document, text: &str) -> Result<Option<(String, Vec<f32>)>> {
        let model = document.indexed_with.as_ref().and_then(|with| with.embedding_model.clone());
        let Some(model) = model else { return Ok(None) };
        let mut vectors = self.embedder.embed(&model, vec![text.to_owned()]).await?;
        let vector = vectors.pop().ok_or_else(|| EmbedError::Failed("no vector came".to_owned()))?;
        Ok(Some((model, vector)))
    }
}
