//! Single passages of a document: finding one in it, what stands around it in the document's text, and what a person does
//! to it.

use crate::{
    Error, Result, Services, keys,
    ports::{ChunkChange, EmbedError, PageQuery, StoreError, Written},
};
use domain::{
    Chunk, ChunkId, Document, DocumentId, FieldErrors, TurnId, UserId,
    chat::Source,
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
    /// There is no such passage any more, since its document was indexed anew: this is what the answer had of it.
    pub is_gone: bool,
}

/// A passage as it was found.
struct Found {
    document: Document,
    chunk: Chunk,
    is_gone: bool,
    /// Where it stands in the text is known.
    has_place: bool,
}

/// What an answer kept of a passage that is gone. No search finds it, and its number among the others is not known any more.
fn kept(source: Source) -> Chunk {
    Chunk {
        id: source.chunk_id,
        document_id: source.document_id,
        ordinal: 0,
        text: source.text,
        page: source.page,
        heading: None,
        char_start: source.char_start.unwrap_or_default(),
        char_end: source.char_end.unwrap_or_default(),
        token_count: 0,
        enabled: false,
        edited: false,
        version: source.document_version,
    }
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
        let words = words.map(|words| crate::composed(words.trim().to_owned()));
        let words = words.filter(|words| !words.is_empty());
        if words.is_some() && version.is_some() {
            let sentence = "Leave out the version: only the present one is looked through.";
            return Err(Error::Invalid(FieldErrors::one("q", sentence)));
        }
        match words {
            None => self.list_chunks(user, document, version, page).await,
            Some(words) => {
                let found = self.documents.document(user, document).await?;
                found.ok_or(Error::NotFound("document"))?;
                Ok(self.passages.passages_with(user, document, &words, page).await?)
            }
        }
    }

    /// A passage with what stands before and behind it in the version of the document that it is of. Where it is gone, since
    /// its document was indexed anew, `turn` is one whose answer named it: then it is told as it was.
    ///
    /// # Errors
    /// `NotFound` also when the text of the document is not there any more.
    pub async fn chunk_in_text(
        &self,
        user: UserId,
        document: DocumentId,
        id: ChunkId,
        turn: Option<TurnId>,
    ) -> Result<InText> {
        let Found { chunk, is_gone, has_place, .. } = self.found(user, document, id, turn).await?;
        let stored = match has_place {
            true => self.blobs.get(&keys::text(user, document, chunk.version)).await.map_err(Error::from),
            false => Err(Error::NotFound("file")),
        };
        let text = match stored {
            Ok(stored) => self.chunker.text(stored).await?,
            Err(Error::NotFound(_)) if is_gone => {
                let (before, passage, behind) = (String::new(), chunk.text.clone(), String::new());
                return Ok(InText {
                    chunk,
                    is_start: false,
                    before,
                    passage,
                    behind,
                    is_end: false,
                    is_gone,
                });
            }
            Err(e) => return Err(e),
        };
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
            is_gone,
            chunk,
        })
    }

    /// A passage with its document, and the ids of those before and behind it while searches find them. `turn` as above.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn chunk_with_neighbours(
        &self,
        user: UserId,
        document: DocumentId,
        id: ChunkId,
        turn: Option<TurnId>,
    ) -> Result<(Document, Chunk, (Option<ChunkId>, Option<ChunkId>))> {
        let Found { document: of, chunk, is_gone, .. } = self.found(user, document, id, turn).await?;
        let around = match is_gone || chunk.version != of.version {
            true => (None, None),
            false => self.passages.neighbours(user, document, chunk.ordinal).await?,
        };
        Ok((of, chunk, around))
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

    /// A passage that searches find, or would.
    async fn passage(&self, user: UserId, document: DocumentId, id: ChunkId) -> Result<(Document, Chunk)> {
        let found = self.documents.document(user, document).await?.ok_or(Error::NotFound("document"))?;
        let chunk = self.passages.passage(user, document, id).await?.ok_or(Error::NotFound("passage"))?;
        Ok((found, chunk))
    }

    /// The same, or one of a version that was replaced, or what is kept of one that is gone in the answer of that turn.
    async fn found(
        &self,
        user: UserId,
        id: DocumentId,
        passage: ChunkId,
        turn: Option<TurnId>,
    ) -> Result<Found> {
        let document = self.documents.document(user, id).await?.ok_or(Error::NotFound("document"))?;
        let present = match self.passages.passage(user, id, passage).await? {
            Some(chunk) => Some(chunk),
            None => self.passages.old_passage(user, id, passage).await?,
        };
        if let Some(chunk) = present {
            return Ok(Found { document, chunk, is_gone: false, has_place: true });
        }
        let turn = match turn {
            Some(turn) => self.chats.turn_without_text(user, turn).await?,
            None => None,
        };
        let sources = turn.map(|turn| turn.sources).unwrap_or_default();
        let source = sources.into_iter().find(|s| (s.document_id, s.chunk_id) == (id, passage));
        let source = source.ok_or(Error::NotFound("passage"))?;
        let has_place = source.char_start.is_some() && source.char_end.is_some();
        Ok(Found { document, chunk: kept(source), is_gone: true, has_place })
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
