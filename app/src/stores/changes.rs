//! What an event or a page that was read changes, and whom that is told: the reducer decides, then each signal that has
//! something new is set.

use super::{Inner, JobState, News, known::Known, listing::place, shelf::set_if_new};
use domain::{
    DocumentId, EntityKey, Event, Job, JobId, Workspace, WorkspaceId,
    chat::ConversationChange,
    event::{SessionsChanged, SettingsChanged},
    pages::{DocumentPage, JobPage, Shell, WorkspacePage},
};
use leptos::prelude::*;

impl Inner {
    pub(super) fn apply(&mut self, event: &Event) {
        let had_stalled = matches!(event, Event::DocumentStatus(d) if self.is_stalled(d.id));
        let ends = match event {
            Event::JobUpdate(job) | Event::JobComplete(job) | Event::JobError(job) => {
                let known = self.known.job(job.job_id);
                job.status.is_final() && known.is_some_and(|known| !known.status.is_final())
            }
            _ => false,
        };
        let Some(changed) = self.known.apply(event) else {
            return;
        };
        self.tell_newest(event);
        match changed {
            EntityKey::Document(id) => {
                self.tell_document(id);
                if let Event::DocumentStatus(document) = event
                    && !had_stalled
                    && document.stalled().is_some()
                {
                    self.tell_news(News::Stalled(document.clone()));
                }
            }
            EntityKey::FileStep(id, _) => {
                self.steps.tell(id, || self.known.known_steps(id));
                self.tell_document(id);
            }
            EntityKey::Workspace(id) => {
                self.tell_workspaces(id);
                if self.known.workspace(id).is_none() {
                    self.listings.entry(id).or_default().clear();
                }
            }
            EntityKey::Job(id) => {
                self.tell_job(id);
                if let Event::JobComplete(job) | Event::JobError(job) = event {
                    self.tell_news(News::Ended(job.clone()));
                }
                if ends && let Some(job) = self.known.job(id).cloned() {
                    self.ends.update(|all| all.push(job));
                }
            }
            EntityKey::Settings(_) => {
                set_if_new(&self.user, self.known.user().cloned());
                set_if_new(&self.look, self.known.user().map(|u| (u.theme, u.density)));
                if let Event::SettingsChanged(SettingsChanged {
                    export,
                    rag_config,
                    sessions,
                    rev,
                    user,
                    ..
                }) = event
                {
                    if export.is_some() {
                        set_if_new(&self.export, export.clone());
                    }
                    if rag_config.is_some() {
                        set_if_new(&self.rag_rev, *rev);
                    }
                    if let Some(SessionsChanged { signed_in }) = sessions {
                        set_if_new(&self.sessions_rev, *rev);
                        if let Some(device) = signed_in.clone() {
                            self.tell_news(News::SignedIn { user: user.id, device, rev: *rev });
                        }
                    }
                }
            }
            EntityKey::Conversation(id) => {
                let at = self.next_talk();
                self.talks_gone.retain(|gone| *gone != id);
                if matches!(event, Event::ConversationChanged(c) if c.status == ConversationChange::Deleted) {
                    self.talks_gone.push(id.clone());
                }
                self.talks_of.insert(id, at);
            }
            EntityKey::Session(_) => {}
        }
    }

    /// Tells whoever looks at the history of a workspace that there is more of it.
    fn tell_newest(&self, event: &Event) {
        let (place, rev) = (event.about().workspace, event.rev());
        let is_step = matches!(event, Event::FileProgress(_));
        for ((id, with_steps), newest) in self.newest.iter() {
            let is_meant = place == Some(*id) && (*with_steps || !is_step);
            if is_meant && newest.get_untracked() < rev {
                newest.set(rev);
            }
        }
    }

    /// One more change of a conversation.
    pub(super) fn next_talk(&self) -> u64 {
        let next = self.talks.get_untracked() + 1;
        self.talks.set(next);
        next
    }

    fn is_stalled(&self, id: DocumentId) -> bool {
        self.known.document(id).is_some_and(|known| known.stalled().is_some())
    }

    pub(super) fn tell_news(&self, news: News) {
        self.news.update(|all| all.push(news));
    }

    pub(super) fn put_shell(&mut self, shell: &Shell) {
        if self.known.user().is_none() {
            set_if_new(&self.user, Some(shell.user.clone()));
            set_if_new(&self.look, Some((shell.user.theme, shell.user.density)));
        }
        self.max_file_bytes = shell.max_file_bytes;
        for workspace in &shell.workspaces {
            self.put_workspace(workspace);
        }
        for job in &shell.jobs {
            self.put_job(job);
        }
    }

    pub(super) fn put_workspace(&mut self, workspace: &Workspace) {
        if self.known.put_workspace(workspace) {
            self.tell_workspaces(workspace.id);
        }
    }

    pub(super) fn put_job(&mut self, job: &Job) {
        if self.known.put_job(job) {
            self.tell_job(job.job_id);
        }
    }

    pub(super) fn put_workspace_page(&mut self, page: &WorkspacePage) {
        self.put_workspace(&page.workspace);
        for job in &page.jobs {
            self.put_job(job);
        }
        for document in &page.documents.items {
            if self.known.put_document(document) {
                self.documents.tell(document.id, || self.known.live_document(document.id));
            }
        }
        // What was deleted meanwhile is not listed.
        let alive = page.documents.items.iter().filter(|d| self.known.document(d.id).is_some());
        let places: Vec<_> = alive.map(place).collect();
        let id = page.workspace.id;
        let is_first = !self.listings.contains_key(&id);
        let listing = self.listings.entry(id).or_default();
        listing.extend(places.into_iter(), page.documents.next.clone());
        // What was told between the reading of the page and now came before there was a list that it could come into.
        if is_first {
            let known = self.known.documents().filter(|d| d.workspace_id == id);
            known.map(place).for_each(|place| listing.add(place));
        }
    }

    pub(super) fn put_document_page(&mut self, page: &DocumentPage) {
        self.put_workspace(&page.workspace);
        if let Some(job) = &page.job {
            self.put_job(job);
        }
        let id = page.document.id;
        self.known.put_document(&page.document);
        for step in &page.steps {
            self.known.put_step(step);
        }
        self.steps.tell(id, || self.known.known_steps(id));
        self.tell_document(id);
    }

    pub(super) fn put_job_page(&mut self, page: &JobPage) {
        self.put_workspace(&page.workspace);
        self.put_job(&page.job);
    }

    fn tell_document(&mut self, id: DocumentId) {
        let document = self.known.live_document(id);
        match &document {
            Some(d) => {
                if let Some(listing) = self.listings.get_mut(&d.workspace_id) {
                    listing.add(place(d));
                }
            }
            None => self.listings.iter_mut().for_each(|(_, listing)| listing.remove(id)),
        }
        self.documents.tell(id, || document);
    }

    fn tell_workspaces(&mut self, id: WorkspaceId) {
        self.workspaces.tell(id, || self.known.workspace(id).cloned());
        set_if_new(&self.workspace_ids, self.known.newest_workspaces());
    }

    fn tell_job(&mut self, id: JobId) {
        let Some(job) = self.known.job(id).cloned() else {
            return;
        };
        let (workspace, place) = (job.kb_id, (job.created_at, id));
        let state = self.job_states.watch(id, || None);
        if !state.with_untracked(|s| s.as_ref().is_some_and(|s| s.same_as(&job))) {
            state.set(Some(JobState(job.clone())));
        }
        self.jobs.tell(id, || Some(job));
        self.panels.tell(workspace, || self.known.panel_job(workspace));
        if let Some(list) = self.job_lists.get(&workspace)
            && list.with_untracked(|places| !places.contains(&place))
        {
            list.update(|places| places.push(place));
        }
        set_if_new(&self.active, self.known.unfinished());
    }

    /// After everything was replaced: what is not known any more is told so too.
    pub(super) fn tell_all(&mut self) {
        for ((id, with_steps), newest) in self.newest.iter() {
            set_if_new(newest, self.known.newest_in(*id, *with_steps));
        }
        let Inner { known, documents, steps, workspaces, jobs, job_states, panels, job_lists, .. } = self;
        documents.retell(|id| known.live_document(*id));
        steps.retell(|id| known.known_steps(*id));
        workspaces.retell(|id| known.workspace(*id).cloned());
        jobs.retell(|id| known.job(*id).cloned());
        job_states.retell(|id| known.job(*id).cloned().map(JobState));
        panels.retell(|id| known.panel_job(*id));
        for (id, list) in job_lists.iter() {
            set_if_new(list, known.jobs_of(*id));
        }
        set_if_new(&self.workspace_ids, self.known.newest_workspaces());
        set_if_new(&self.active, self.known.unfinished());
    }
}
