//! A conversation as a file.

use crate::{Result, Services, ports::PageQuery};
use domain::{
    UserId,
    chat::{Conversation, ConversationId, Turn, TurnStatus},
};
use serde::Serialize;
use std::fmt::Write;

/// How the file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Markdown,
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationFile {
    /// Without letters that a disk refuses.
    pub filename: String,
    pub text: String,
}

#[derive(Serialize)]
struct Whole<'a> {
    format: &'static str,
    version: u32,
    #[serde(flatten)]
    conversation: &'a Conversation,
    items: &'a [Turn],
}

impl Services {
    /// # Errors
    /// `NotFound` also when it is somebody else's.
    pub async fn export_conversation(
        &self,
        user: UserId,
        id: &ConversationId,
        format: Format,
    ) -> Result<ConversationFile> {
        let conversation = self.conversation(user, id).await?;
        let mut turns: Vec<Turn> = vec![];
        let mut after = None;
        loop {
            let page = PageQuery { limit: PageQuery::MAX, after };
            let mut page = self.chats.turns(user, id, page).await?;
            page.items.append(&mut turns);
            turns = page.items;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let name: String =
            conversation.title.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let name = name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
        let name = if name.is_empty() { "conversation".to_owned() } else { name };
        Ok(match format {
            Format::Markdown => {
                ConversationFile { filename: format!("{name}.md"), text: markdown(&conversation, &turns) }
            }
            Format::Json => {
                let whole = Whole {
                    format: "insighthub-conversation",
                    version: 1,
                    conversation: &conversation,
                    items: &turns,
                };
                let text = serde_json::to_string_pretty(&whole)
                    .map_err(|e| crate::Error::Internal { what: "export", cause: Box::new(e) })?;
                ConversationFile { filename: format!("{name}.json"), text }
            }
        })
    }
}

/// Questions as headings, answers as they are, sources as a list.
fn markdown(conversation: &Conversation, turns: &[Turn]) -> String {
    let mut out = format!("# {}\n", line(&conversation.title));
    // Writing into a string cannot fail.
    for turn in turns {
        let _ = write!(out, "\n## {}\n\n", line(&turn.query));
        if !turn.answer.is_empty() {
            let _ = writeln!(out, "{}", turn.answer.trim_end());
        }
        match (turn.status, &turn.error) {
            (TurnStatus::Stopped, _) => out.push_str("\n*Stopped before the end.*\n"),
            (TurnStatus::Processing, _) => out.push_str("\n*Being answered.*\n"),
            (_, Some(error)) => {
                let _ = write!(out, "\n*{}*\n", error.message);
            }
            _ => {}
        }
        if !turn.sources.is_empty() {
            out.push('\n');
        }
        for (number, source) in (1..).zip(&turn.sources) {
            let page = source.page.map(|page| format!(", page {page}")).unwrap_or_default();
            let _ = writeln!(
                out,
                "{number}. {}{page}, version {}",
                line(&source.filename),
                source.document_version
            );
        }
    }
    out
}

fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
