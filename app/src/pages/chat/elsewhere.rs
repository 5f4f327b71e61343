//! What changes in conversations elsewhere, in another tab or by a program: the live link tells that there is something to
//! read, and it is read from the server then. What this page follows itself goes on as it is.

use super::Here;
use crate::{
    effect::effect,
    live::Live,
    server_fns::chat::{ChatPage, ShownTurn, read_chat},
    stores::Stores,
    wire::Wire,
};
use leptos::{prelude::*, task::spawn_local};

/// Reads the list of conversations anew whenever one of them changed, and the open one when it was that. `since`: what
/// [`Stores::talks`] was before the page was read.
pub fn keep_up(here: Here, since: u64) {
    let (stores, live) = (Stores::expect(), Live::expect());
    let talks = stores.talks();
    let seen = StoredValue::new(since);
    let is_reading = StoredValue::new(false);
    effect(move || {
        // While it is deleted here it stays on the page, where the answer to that finds the way back that it offers.
        if here.is_deleting.get() || talks.get() == seen.get_value() || is_reading.get_value() {
            return;
        }
        is_reading.set_value(true);
        let talks = talks.clone();
        spawn_local(async move {
            // The page may be left meanwhile.
            while let Some(before) = seen.try_get_value() {
                let now = talks.get_untracked();
                if now == before || is_deleting(here) {
                    break;
                }
                let Some(open) = here.conversation.try_get_untracked() else { return };
                if stores.is_talk_gone(&open) {
                    here.leave.try_run(());
                    continue;
                }
                let is_open_one = !open.is_empty() && !here.is_past && stores.talk(&open) > before;
                let asked = if is_open_one { open.clone() } else { String::new() };
                let list = here.search.try_get_value().zip(here.behind.try_get_value());
                let Some((search, behind)) = list else { return };
                match read_chat(here.workspace, asked, search, String::new(), behind).await {
                    _ if is_deleting(here) => break,
                    Ok(Wire(read)) if here.title.try_get_untracked().is_some() => take(here, &open, read),
                    Ok(_) => return,
                    Err(error) if error.status() == 401 => return live.signed_out(),
                    // Deleted, and it was not told.
                    Err(error) if error.status() == 404 && is_open_one => {
                        here.leave.try_run(());
                        continue;
                    }
                    // The next change has it read again.
                    Err(_) => break,
                }
                seen.try_set_value(now);
            }
            is_reading.try_set_value(false);
        });
    });
}

/// Whether it is being deleted on this page.
fn is_deleting(here: Here) -> bool {
    here.is_deleting.try_get_untracked().unwrap_or(false)
}

fn take(here: Here, open: &str, read: ChatPage) {
    let ChatPage { conversation, title, talks, turns, .. } = read;
    if here.talks.with_untracked(|old| *old != talks) {
        here.talks.set(talks);
    }
    if conversation.is_empty() || here.conversation.with_untracked(|now| now != open) {
        return;
    }
    if here.title.with_untracked(|old| *old != title) {
        here.title.set(title);
    }
    let news: Vec<ShownTurn> = turns.into_iter().filter_map(|turn| kept(here, turn)).collect();
    if !news.is_empty() {
        here.rows
            .update(|rows| rows.extend(news.into_iter().map(|turn| (turn.id.clone(), RwSignal::new(turn)))));
        here.follow_end();
    }
}

/// Puts the turn into its row; answers one that has none yet.
fn kept(here: Here, new: ShownTurn) -> Option<ShownTurn> {
    let row = here.rows.with_untracked(|rows| rows.iter().find(|(id, _)| *id == new.id).map(|(_, row)| *row));
    let Some(row) = row else { return Some(new) };
    let is_news = row.with_untracked(|old| {
        let is_followed = old.status == "processing" && new.status == "processing";
        !is_followed && (&old.status, old.is_replaced) != (&new.status, new.is_replaced)
    });
    if is_news {
        row.set(new);
    }
    None
}
