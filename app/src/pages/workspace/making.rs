//! The way of a workspace to being ready: its steps while it is made, the reason and another try when that failed.
use crate::{
    components::{Button, ErrorPanel, IconName, ProgressIndicator, ProgressStep, Reason},
    live::Live,
    server_fns::workspaces::{RetryWorkspace, retry_workspace},
    stores::Stores,
    view,
    wire::Wire,
};
use domain::{
    Workspace, WorkspaceId, WorkspaceStatus,
    provision::{ProvisionStatus, Provisioning},
};
use leptos::{ev::SubmitEvent, prelude::*, server_fn::ServerFn, task::spawn_local};

#[component]
pub fn Making(id: WorkspaceId, workspace: RwSignal<Option<Workspace>>) -> impl IntoView {
    let status = Memo::new(move |_| workspace.with(|w| w.as_ref().map(|w| w.status)));
    move || match status.get() {
        Some(WorkspaceStatus::Provisioning) => view! { <UnderWay workspace /> },
        Some(WorkspaceStatus::Error) => view! { <GoneWrong id workspace /> },
        Some(WorkspaceStatus::Ready | WorkspaceStatus::Deleting) | None => ().into_any(),
    }
}

#[component]
fn UnderWay(workspace: RwSignal<Option<Workspace>>) -> impl IntoView {
    let steps = Signal::derive(move || of(workspace, steps));
    view! {
        <div class="card">
            <div class="card-body">
                <ProgressIndicator
                    title="Making this workspace ready"
                    description="Files can be added as soon as it is."
                    steps
                />
            </div>
        </div>
    }
}

fn steps(provisioning: &Provisioning) -> Vec<ProgressStep> {
    let step =
        |s: &domain::provision::ProvisionDetail| ProgressStep::new(s.name.title(), s.status.is_through());
    provisioning.steps.iter().map(step).collect()
}

#[component]
fn GoneWrong(id: WorkspaceId, workspace: RwSignal<Option<Workspace>>) -> impl IntoView {
    let stores = Stores::expect();
    let paused_reason = Live::expect().paused_reason();
    let busy = RwSignal::new(false);
    let failed = RwSignal::new(None::<String>);
    let on_submit = move |ev: SubmitEvent| {
        ev.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        failed.set(None);
        spawn_local(async move {
            match retry_workspace(id).await {
                Ok(Wire(retried)) => retried.iter().for_each(|w| stores.put_workspace(w)),
                Err(e) => {
                    failed.try_set(Some(e.0.detail));
                }
            }
            busy.try_set(false);
        });
    };
    let reason = move || {
        let message = workspace.with(|w| w.as_ref().and_then(|w| w.status_message.clone()));
        let hint = of(workspace, |p| p.error_hint.clone());
        let parts: Vec<_> = [message, hint].into_iter().flatten().collect();
        Some(parts.join(" "))
    };
    view! {
        <ErrorPanel
            title="This workspace could not be made ready"
            detail=Signal::derive(reason)
            phase=Signal::derive(move || of(workspace, failed_step).map(|step| format!("Step: {step}")))
            // The lines of the log about a workspace bear its id.
            id=id.to_string()
            code=Signal::derive(move || of(workspace, |p| p.error_code.clone()))
        >
            <form method="post" action=RetryWorkspace::url() on:submit=on_submit>
                <input type="hidden" name="id" value=id.to_string() />
                <Button
                    submit=true
                    icon=IconName::Retry
                    busy
                    disabled=Signal::derive(move || paused_reason.get().is_some())
                    title=paused_reason
                >
                    "Retry"
                </Button>
            </form>
            <Reason text=paused_reason />
            <span class="text-status-failed" role="status">{move || failed.get()}</span>
        </ErrorPanel>
    }
}

fn failed_step(provisioning: &Provisioning) -> Option<&'static str> {
    provisioning.steps.iter().find(|s| s.status == ProvisionStatus::Failed).map(|s| s.name.title())
}

fn of<R: Default>(workspace: RwSignal<Option<Workspace>>, part: impl Fn(&Provisioning) -> R) -> R {
    workspace.with(|w| w.as_ref().and_then(|w| w.provisioning.as_ref()).map(part).unwrap_or_default())
}
