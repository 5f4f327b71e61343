//! Files that the workspace has already: found out before anything is sent, and asked about once for all that were added
//! together. What nobody asks about, since it is new, goes meanwhile.

use super::{
    Upload, Uploads,
    plan::{HeldFile, HeldFiles},
    send,
};
use crate::wire;
use domain::{OnDuplicate, WorkspaceId};
use leptos::prelude::*;

/// A file that is here already.
#[derive(Clone, Debug, PartialEq)]
pub struct Double {
    key: u64,
    pub name: String,
    /// What the document is called that has it, or has its name.
    pub document: String,
    /// Byte by byte; otherwise only the name is the same.
    pub same: bool,
}

/// What somebody is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    workspace: WorkspaceId,
    /// Files that were added together with these.
    pub of: usize,
    pub doubles: Vec<Double>,
}

impl Uploads {
    /// Sends new rows, but for those of which somebody is asked first.
    pub(super) async fn sort_out(self, workspace: WorkspaceId, rows: Vec<Upload>) {
        let doubles = self.doubles(workspace, &rows).await;
        let of = rows.len();
        let (waiting, free): (Vec<Upload>, Vec<Upload>) =
            rows.into_iter().partition(|row| doubles.iter().any(|double| double.key == row.key));
        if !waiting.is_empty() {
            self.questions.update(|all| all.push(Question { workspace, of, doubles }));
        }
        for row in free {
            self.look(&row).await;
        }
    }

    /// Those that the workspace has. Only a file that is as long as a document of it has its hash made. Where nobody
    /// answers, nobody is asked: the files go as they always did.
    async fn doubles(self, workspace: WorkspaceId, rows: &[Upload]) -> Vec<Double> {
        let mut asked: Vec<(String, u64, Option<String>)> =
            rows.iter().map(|row| (row.name.clone(), row.size, None)).collect();
        let Some(held) = self.held(workspace, &asked).await else { return vec![] };
        let mut hashed = false;
        for ((row, file), asked) in rows.iter().zip(&held).zip(&mut asked) {
            if file.same_size {
                asked.2 = send::hash(row.key).await;
                hashed |= asked.2.is_some();
            }
        }
        let held = match hashed {
            true => self.held(workspace, &asked).await.unwrap_or(held),
            false => held,
        };
        let double = |(row, file): (&Upload, HeldFile)| {
            let same = file.same.is_some();
            let document = file.same.or(file.namesake)?.filename;
            Some(Double { key: row.key, name: row.name.clone(), document, same })
        };
        rows.iter().zip(held).filter_map(double).collect()
    }

    async fn held(
        self,
        workspace: WorkspaceId,
        files: &[(String, u64, Option<String>)],
    ) -> Option<Vec<HeldFile>> {
        let (status, body) = send::held(workspace, files).await;
        if status == 401 {
            self.live.signed_out();
        }
        let answer = (200..=299).contains(&status).then(|| wire::from_json::<HeldFiles>(&body)).flatten()?;
        (answer.items.len() == files.len()).then_some(answer.items)
    }

    /// What is asked of a workspace just now.
    pub fn question(self, workspace: WorkspaceId) -> Memo<Option<Question>> {
        let questions = self.questions;
        Memo::new(move |_| questions.with(|all| all.iter().find(|q| q.workspace == workspace).cloned()))
    }

    /// The answer, for all of its files.
    pub fn answer(self, workspace: WorkspaceId, way: OnDuplicate) {
        let mut answered = None;
        self.questions.update(|all| {
            let place = all.iter().position(|q| q.workspace == workspace);
            answered = place.map(|place| all.remove(place));
        });
        let Some(question) = answered else { return };
        let keys = question.doubles.iter().map(|double| double.key);
        let rows: Vec<Upload> = keys.filter_map(|key| self.row(key)).collect();
        if way == OnDuplicate::Skip {
            return rows.iter().for_each(|row| self.dismiss(row.key));
        }
        leptos::task::spawn_local(async move {
            for row in rows {
                row.way.set_value(way);
                self.look(&row).await;
            }
        });
    }
}
