//! The groups of failures, and what they can be narrowed down to.

use crate::{
    error::AppError,
    wire::{Answer, Wire},
};
use domain::{PhaseName, Timestamp, WorkspaceId};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// Documents that failed in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorLine {
    pub code: String,
    pub phase: PhaseName,
    /// The type of the files.
    pub mime_type: String,
    /// "12 documents in 2 workspaces"
    pub count: String,
    /// "Embedding · PDF"
    pub about: String,
    pub message: String,
    pub hint: Option<String>,
    pub newest_at: Timestamp,
    /// Where they are listed.
    pub page: Option<String>,
}

/// What could not be had or renewed, though no document failed by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftLine {
    /// "3 pages of docs.example.org could not be had."
    pub text: String,
    /// The name of its workspace.
    pub place: String,
    pub newest_at: Timestamp,
    /// Where it is seen to.
    pub page: String,
    /// What the link there says.
    pub link: String,
}

/// Of one thing that the list can be narrowed down by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorChoices {
    pub name: String,
    pub choices: Vec<ErrorChoice>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorChoice {
    pub words: String,
    pub href: String,
    pub is_chosen: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorsPage {
    pub narrow: Vec<ErrorChoices>,
    pub lines: Vec<ErrorLine>,
    pub left: Vec<LeftLine>,
    /// "37 documents failed"
    pub note: String,
}

#[server(prefix = "/_fn", endpoint = "errors/list", output = Answer)]
pub async fn list_errors(
    #[server(default)] workspace: Option<WorkspaceId>,
    #[server(default)] phase: Option<PhaseName>,
    #[server(default)] kind: String,
    #[server(default)] days: u32,
    #[server(default)] resolved: bool,
) -> Result<Wire<ErrorsPage>, AppError> {
    use crate::ssr;
    use narrow::Narrow;
    use services::ports::{ErrorFilter, PageQuery};
    let (services, who) = ssr::signed_in()?;
    let user = who.user.id;
    let chosen = Narrow { workspace, phase, kind, days, resolved };
    let wide = ErrorFilter {
        resolved,
        ..super::filter((String::new(), String::new()), None, None, days, services.clock.now())
    };
    let filter = ErrorFilter {
        workspace,
        phase,
        mime_type: (!chosen.kind.is_empty()).then(|| chosen.kind.clone()),
        ..wide.clone()
    };
    let all = services.errors(user, &wide).await.map_err(ssr::told)?;
    let groups = services.errors(user, &filter).await.map_err(ssr::told)?;
    let left = services.left_over(user, &filter).await.map_err(ssr::told)?;
    let page = PageQuery::first(PageQuery::MAX);
    let workspaces = services.list_workspaces(user, page).await.map_err(ssr::told)?.items;
    Ok(Wire(narrow::page(&chosen, &all, groups, left, &workspaces)))
}

/// What the page says, put together on the server.
#[cfg(feature = "ssr")]
mod narrow {
    use super::{ErrorChoice, ErrorChoices, ErrorLine, ErrorsPage, LeftLine};
    use crate::paths;
    use domain::{
        FileKind, PhaseName, Workspace, WorkspaceId,
        errors::{ErrorGroup, Left, LeftOver},
        message::count,
    };
    use std::collections::BTreeSet;

    const DAYS: [(u32, &str); 4] = [(0, "Any time"), (1, "1 day"), (7, "7 days"), (30, "30 days")];

    /// What the address says.
    #[derive(Clone, Default, PartialEq)]
    pub struct Narrow {
        pub workspace: Option<WorkspaceId>,
        pub phase: Option<PhaseName>,
        pub kind: String,
        pub days: u32,
        pub resolved: bool,
    }

    impl Narrow {
        fn href(&self) -> String {
            let mut pairs = vec![];
            pairs.extend(self.workspace.map(|id| format!("workspace={id}")));
            pairs.extend(self.phase.map(|phase| format!("phase={phase}")));
            if !self.kind.is_empty() {
                pairs.push(format!("type={}", paths::encode(&self.kind)));
            }
            if self.days > 0 {
                pairs.push(format!("days={}", self.days));
            }
            if self.resolved {
                pairs.push("resolved=true".to_owned());
            }
            if pairs.is_empty() {
                paths::ERRORS.to_owned()
            } else {
                format!("{}?{}", paths::ERRORS, pairs.join("&"))
            }
        }

        fn choice(&self, words: impl Into<String>, other: Self) -> ErrorChoice {
            ErrorChoice { words: words.into(), href: other.href(), is_chosen: *self == other }
        }
    }

    fn label(mime: &str) -> String {
        let kind = FileKind::ALL.into_iter().find(|kind| kind.mime() == mime);
        kind.map_or_else(|| mime.to_owned(), |kind| kind.label().to_owned())
    }

    pub fn page(
        chosen: &Narrow,
        all: &[ErrorGroup],
        groups: Vec<ErrorGroup>,
        left: Vec<LeftOver>,
        workspaces: &[Workspace],
    ) -> ErrorsPage {
        let with = |change: &dyn Fn(&mut Narrow)| {
            let mut other = chosen.clone();
            change(&mut other);
            other
        };
        let mut kinds: BTreeSet<&str> = all.iter().map(|group| group.mime_type.as_str()).collect();
        if !chosen.kind.is_empty() {
            kinds.insert(&chosen.kind);
        }
        let standing = [(false, "Open"), (true, "Resolved")]
            .map(|(resolved, words)| chosen.choice(words, with(&|n| n.resolved = resolved)));
        let mut phases = vec![chosen.choice("Any phase", with(&|n| n.phase = None))];
        phases.extend(
            PhaseName::ALL
                .iter()
                .map(|phase| chosen.choice(phase.title(), with(&|n| n.phase = Some(*phase)))),
        );
        let mut types = vec![chosen.choice("Any type", with(&|n| n.kind.clear()))];
        types.extend(
            kinds.iter().map(|kind| chosen.choice(label(kind), with(&|n| n.kind = (*kind).to_owned()))),
        );
        let times = DAYS.map(|(days, words)| chosen.choice(words, with(&|n| n.days = days)));
        let mut places = vec![chosen.choice("All workspaces", with(&|n| n.workspace = None))];
        places.extend(
            workspaces.iter().map(|w| chosen.choice(w.name.clone(), with(&|n| n.workspace = Some(w.id)))),
        );
        let row = |name: &str, choices: Vec<ErrorChoice>| ErrorChoices { name: name.to_owned(), choices };
        let total: u64 = groups.iter().map(|group| group.count).sum();
        let documents = count(total, "document", "documents");
        ErrorsPage {
            narrow: vec![
                row("Standing", standing.to_vec()),
                row("Phase", phases),
                row("Type", types),
                row("Time", times.to_vec()),
                row("Workspace", places),
            ],
            note: if chosen.resolved {
                format!("{documents} resolved")
            } else {
                format!("{documents} failed")
            },
            lines: groups.into_iter().map(line).collect(),
            left: left.into_iter().map(|left| left_line(left, workspaces)).collect(),
        }
    }

    fn left_line(left: LeftOver, workspaces: &[Workspace]) -> LeftLine {
        let LeftOver { what, workspace_id, count: n, newest_at } = left;
        let place = workspaces.iter().find(|w| w.id == workspace_id).map(|w| w.name.clone());
        let (text, page, link) = match what {
            Left::Pages { job, url } => {
                let site = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).trim_end_matches('/');
                let pages = count(n, "page", "pages");
                (
                    format!("{pages} of {site} could not be had."),
                    paths::job(workspace_id, job),
                    "Open the crawl",
                )
            }
            Left::Documents => (
                format!(
                    "{} found as before: what was to take their place could not be indexed.",
                    count(n, "document is", "documents are")
                ),
                paths::workspace(workspace_id),
                "Open the workspace",
            ),
        };
        LeftLine { text, place: place.unwrap_or_default(), newest_at, page, link: link.to_owned() }
    }

    fn line(group: ErrorGroup) -> ErrorLine {
        let documents = count(group.count, "document", "documents");
        ErrorLine {
            about: format!("{} · {}", group.phase.title(), label(&group.mime_type)),
            count: match group.workspaces {
                1 => documents,
                n => format!("{documents} in {}", count(n, "workspace", "workspaces")),
            },
            page: group.workspace_id.map(paths::workspace),
            code: group.code,
            phase: group.phase,
            mime_type: group.mime_type,
            message: group.message,
            hint: group.hint,
            newest_at: group.newest_at,
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use domain::Timestamp;

        #[test]
        fn every_choice_is_an_address_that_keeps_the_others() {
            let chosen = Narrow { phase: Some(PhaseName::Embedding), days: 7, ..Narrow::default() };
            let group = ErrorGroup {
                code: "pdf_encrypted".into(),
                phase: PhaseName::Loading,
                mime_type: "application/pdf".into(),
                count: 12,
                workspaces: 2,
                workspace_id: None,
                message: "It is encrypted.".into(),
                hint: None,
                oldest_at: Timestamp::default(),
                newest_at: Timestamp::default(),
            };
            let (workspace, job) = (crate::samples::id(1), crate::samples::id(2));
            let left = |what, count| LeftOver {
                what,
                workspace_id: workspace,
                count,
                newest_at: Timestamp::default(),
            };
            let lefts = vec![
                left(Left::Pages { job, url: "https://docs.example.org/guide/".into() }, 3),
                left(Left::Documents, 1),
            ];
            let page = page(&chosen, std::slice::from_ref(&group), vec![group.clone()], lefts, &[]);
            assert_eq!(page.left[0].text, "3 pages of docs.example.org/guide could not be had.");
            assert_eq!(page.left[0].page, paths::job(workspace, job));
            assert_eq!(
                page.left[1].text,
                "1 document is found as before: what was to take their place could not be indexed."
            );
            assert_eq!(page.left[1].page, paths::workspace(workspace));
            assert_eq!(page.note, "12 documents failed");
            assert_eq!(
                (page.lines[0].count.as_str(), page.lines[0].about.as_str()),
                ("12 documents in 2 workspaces", "Loading · PDF")
            );
            let hrefs =
                |row: usize| page.narrow[row].choices.iter().map(|c| c.href.as_str()).collect::<Vec<_>>();
            assert_eq!(
                hrefs(0),
                ["/errors?phase=embedding&days=7", "/errors?phase=embedding&days=7&resolved=true"]
            );
            assert_eq!(hrefs(1)[..2], ["/errors?days=7", "/errors?phase=loading&days=7"]);
            assert_eq!(hrefs(2)[1], "/errors?phase=embedding&type=application%2Fpdf&days=7");
            let chosen: Vec<&str> = page
                .narrow
                .iter()
                .flat_map(|row| row.choices.iter().filter(|c| c.is_chosen))
                .map(|c| c.words.as_str())
                .collect();
            assert_eq!(chosen, ["Open", "Embedding", "Any type", "7 days", "All workspaces"]);
        }
    }
}
