//! Pausing all work of a workspace, and the banner while it stands.

use crate::{
    components::{ButtonKind, Icon, IconName},
    forms::Deed,
    server_fns::workspaces::{PauseWorkspace, ResumeWorkspace},
    view,
};
use domain::{Workspace, WorkspaceId, WorkspaceStatus, ingest::control::Stop};
use leptos::{prelude::*, server_fn::ServerFn};
use serde_json::Value;

/// What it shows of the workspace.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shows {
    Nothing,
    /// It stands.
    Banner,
    /// Something is in work that could be paused.
    Offer,
}

fn shows(workspace: &Workspace) -> Shows {
    match workspace.status {
        WorkspaceStatus::Deleting => Shows::Nothing,
        _ if workspace.paused => Shows::Banner,
        _ if workspace.counts.processing > 0 => Shows::Offer,
        _ => Shows::Nothing,
    }
}

#[component]
pub fn Standing(id: WorkspaceId, workspace: RwSignal<Option<Workspace>>) -> impl IntoView {
    let shown = Memo::new(move |_| workspace.with(|w| w.as_ref().map_or(Shows::Nothing, shows)));
    let fields = move |stop: Option<Stop>| {
        let mut fields = vec![("id", id.to_string())];
        fields.extend(stop.map(|stop| ("stop", stop.as_str().to_owned())));
        fields
    };
    // The stream tells what came of it.
    let done = Callback::new(|_: Value| {});
    move || match shown.get() {
        Shows::Nothing => ().into_any(),
        Shows::Banner => view! {
            <div class="panel row" data-standing="" data-status="paused">
                <Icon name=IconName::Pause />
                <p class="grow" role="status">
                    <strong>"Processing is paused"</strong>
                    ": new files are taken, and wait until it goes on."
                </p>
                <Deed
                    action=ResumeWorkspace::url()
                    words="Resume"
                    name=Some("Resume processing".to_owned())
                    fields=fields(None)
                    kind=ButtonKind::Primary
                    steers=true
                    done
                />
            </div>
        },
        Shows::Offer => view! {
            <details class="details" data-standing="">
                <summary class="meta">"Pause all work here…"</summary>
                <div class="row">
                    <Deed
                        action=PauseWorkspace::url()
                        words="Finish what runs"
                        fields=fields(Some(Stop::FinishRunning))
                        steers=true
                        done
                    />
                    <Deed action=PauseWorkspace::url() words="Stop now" fields=fields(Some(Stop::Now)) steers=true done />
                </div>
            </details>
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::workspace;
    use domain::resource::Counts;

    #[test]
    fn pausing_is_offered_while_something_is_in_work_and_the_banner_stands_as_long_as_it_does() {
        let mut w = workspace(1, 1);
        assert_eq!(shows(&w), Shows::Nothing);
        w.counts = Counts { processing: 1, ..Counts::default() };
        assert_eq!(shows(&w), Shows::Offer);
        w.paused = true;
        assert_eq!(shows(&w), Shows::Banner);
        w.status = WorkspaceStatus::Deleting;
        assert_eq!(shows(&w), Shows::Nothing);
    }
}
