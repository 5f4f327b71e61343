//! One question with its answer, as the page shows it.

use super::ShownTurn;
use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::TurnId;
use leptos::prelude::*;

#[server(prefix = "/_fn", endpoint = "chat/turn", output = Answer)]
pub async fn read_turn(id: TurnId) -> Result<Wire<ShownTurn>, AppError> {
    use crate::ssr::{self, told};
    let (services, who) = ssr::signed_in()?;
    let turn = services.turn(who.user.id, id).await.map_err(told)?;
    let steps = services.chat_status(who.user.id, &turn.conversation_id).await.map_err(told)?;
    Ok(Wire(shown(&services, turn, &steps)))
}

/// Words a turn; `steps` are those of its conversation.
#[cfg(feature = "ssr")]
pub(super) fn shown(
    services: &services::Services,
    turn: domain::chat::Turn,
    steps: &[domain::chat::StatusEntry],
) -> ShownTurn {
    use super::{ShownSource, ShownStep};
    use crate::paths;
    use domain::chat::{AnswerKind, TurnStatus};
    let is_over = turn.status.is_final();
    let own: Vec<&domain::chat::StatusEntry> = steps.iter().filter(|s| s.turn_id == turn.turn_id).collect();
    let ends = own.iter().skip(1).map(|s| Some(s.created_at)).chain([turn.completed_at.filter(|_| is_over)]);
    let step = |(entry, end): (&&domain::chat::StatusEntry, Option<domain::Timestamp>)| ShownStep {
        title: entry.step.title().to_owned(),
        took: end.map_or_else(String::new, |end| {
            crate::components::words::duration(end.micros() - entry.created_at.micros())
        }),
    };
    // The end of one that failed or was stopped is told beside the step in which it was.
    let shown_steps =
        own.iter().zip(ends).filter(|(s, _)| !matches!(s.status, TurnStatus::Failed | TurnStatus::Stopped));
    let anchor = format!("s-{}", turn.turn_id);
    let sources = (1..).zip(&turn.sources).map(|(number, source)| ShownSource {
        number,
        href: paths::cited(source.document_id, source.chunk_id, turn.turn_id),
        filename: source.filename.clone(),
        place: place_of(source),
        text: plain(&source.text),
        cited: source.cited,
    });
    let metadata = &turn.metadata;
    let mut note = vec![];
    match (metadata.kind, &metadata.model) {
        (Some(AnswerKind::Extract), _) => note.push("Extract of the sources".to_owned()),
        (Some(AnswerKind::Model), Some(model)) => note.push(model.clone()),
        _ => {}
    }
    if is_over {
        note.push(crate::components::words::duration(
            i64::try_from(metadata.latency_ms).unwrap_or(i64::MAX).saturating_mul(1_000),
        ));
    }
    if let Some(tokens) = metadata.completion_tokens {
        note.push(domain::message::count(tokens, "token", "tokens"));
    }
    if turn.status == TurnStatus::Stopped {
        note.push("stopped".to_owned());
    }
    note.extend(metadata.warnings.iter().map(|w| w.message.clone()));
    let html = services.answer_html(&turn, &anchor);
    ShownTurn {
        id: turn.turn_id.to_string(),
        status: turn.status.to_string(),
        html,
        steps: shown_steps.map(step).collect(),
        sources: sources.collect(),
        note: note.join(" · "),
        error: turn.error.as_ref().map(|e| e.message.clone()).unwrap_or_default(),
        hint: turn.error.as_ref().and_then(|e| e.hint.clone()).unwrap_or_default(),
        found_nothing: turn.found_nothing(),
        unsearched: metadata.documents_processing,
        searched: metadata.documents_ready,
        may_repeat: turn.may_be_asked_again(),
        is_replaced: turn.again_as.is_some(),
        again_as: turn.again_as.map(|id| id.to_string()).unwrap_or_default(),
        last_event: turn.last_event,
        query: turn.query,
    }
}

#[cfg(feature = "ssr")]
fn place_of(source: &domain::chat::Source) -> String {
    let page = source.page.map(|page| format!("page {page}, ")).unwrap_or_default();
    format!("{page}version {}", source.document_version)
}

/// A passage on one line, without the signs that Markdown has for headings, weight and code.
#[cfg(feature = "ssr")]
fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches('#').replace(['`', '|'], " "));
    let text = lines.collect::<Vec<_>>().join(" ").replace("**", "");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
