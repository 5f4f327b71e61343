//! Conversations and turns: what was committed is read as it was told, only its server writes to a turn, and after its end
//! nobody does.

mod conversations;
mod deletion;
mod turns;

use crate::{
    subject::{Database, Memory, Postgres, Sqlite, Subject},
    support::World,
};
use async_trait::async_trait;
use domain::{
    Event, TurnId, UserId, Workspace, WorkspaceId, WorkspaceStatus,
    chat::{ConversationId, Opening, Source, Turn, TurnChange, TurnEvent},
    rag::RagConfig,
};
use services::ports::{
    Begun, Chats, History, NewTurn, NewWorkspace, PageQuery, StoreError, TurnWrite, Workspaces,
};

const LONG: u32 = 600;

/// A subject that keeps chats.
#[async_trait]
pub trait ChatSubject: Subject {
    fn chats(&self) -> &dyn Chats;
    fn history(&self) -> &dyn History;
    /// A new workspace in that status.
    async fn workspace_in(&self, user: UserId, status: WorkspaceStatus) -> WorkspaceId;
}

#[async_trait]
impl ChatSubject for Memory {
    fn chats(&self) -> &dyn Chats {
        &self.store
    }

    fn history(&self) -> &dyn History {
        &self.store
    }

    async fn workspace_in(&self, user: UserId, status: WorkspaceStatus) -> WorkspaceId {
        let id = WorkspaceId::new(self.world().uuid());
        self.store.add_workspace(user, id, status, RagConfig::default(), self.world().now()).id
    }
}

macro_rules! in_a_database {
    ($($name:ident),+) => {
        $(#[async_trait]
        impl ChatSubject for $name {
            fn chats(&self) -> &dyn Chats {
                let database: &Database = self;
                &database.store
            }

            fn history(&self) -> &dyn History {
                let database: &Database = self;
                &database.store
            }

            async fn workspace_in(&self, user: UserId, status: WorkspaceStatus) -> WorkspaceId {
                make_workspace(self, user, status).await
            }
        })+
    };
}

in_a_database!(Sqlite, Postgres);

async fn make_workspace(database: &Database, user: UserId, status: WorkspaceStatus) -> WorkspaceId {
    let new = NewWorkspace { status, ..database.new_workspace(user, "Workspace") };
    database.store.create_workspace(new).await.unwrap().id
}

pub fn asked(
    world: &World,
    user_id: UserId,
    workspace_id: WorkspaceId,
    conversation: &str,
    query: &str,
) -> NewTurn {
    NewTurn {
        opening: Opening {
            turn_id: TurnId::new(world.uuid()),
            conversation_id: conversation.parse().unwrap(),
            workspace_id,
            user_id,
            query: query.to_owned(),
            again_of: None,
        },
        title: query.to_owned(),
        owner: "here".to_owned(),
        lease_seconds: LONG,
        command_id: None,
        command_print: None,
        most: 100,
        now: world.now(),
    }
}

/// Somebody who works on a turn.
struct Worker<'a, S> {
    s: &'a S,
    turn: Turn,
    told: Vec<TurnEvent>,
}

impl<'a, S: ChatSubject> Worker<'a, S> {
    async fn begin(s: &'a S, new: NewTurn) -> Self {
        let Begun { turn, events } = s.chats().begin_turn(new).await.unwrap();
        Self { s, turn, told: events }
    }

    /// Commits what the change tells.
    async fn note(&mut self, change: TurnChange) -> Result<(), StoreError> {
        let is_text = matches!(change, TurnChange::Text(_));
        let mut turn = self.turn.clone();
        let events = turn.advance(change, self.s.world().now()).unwrap();
        let write = TurnWrite {
            owner: "here".to_owned(),
            user: turn.user_id,
            turn_id: turn.turn_id,
            after: self.turn.last_event,
            events: events.clone(),
            turn: (!is_text).then(|| Box::new(turn.clone())),
            lease_seconds: LONG,
        };
        if !events.is_empty() {
            self.s.chats().write_turn(write).await?;
        }
        self.turn = turn;
        self.told.extend(events);
        Ok(())
    }

    async fn go_to_text(&mut self) {
        self.note(TurnChange::Step(None)).await.unwrap();
        let source = Source {
            document_id: domain::DocumentId::new(self.s.world().uuid()),
            chunk_id: domain::ChunkId::new(self.s.world().uuid()),
            filename: "a.txt".to_owned(),
            page: Some(3),
            text: "The lantern.".to_owned(),
            score: 0.625,
            document_version: 2,
            char_start: Some(5),
            char_end: None,
            cited: false,
        };
        self.note(TurnChange::Found(vec![source])).await.unwrap();
        for _ in 0..2 {
            self.note(TurnChange::Step(None)).await.unwrap();
        }
        for text in ["On the ", "ä\"\n\\ ", "quay. [1]"] {
            self.note(TurnChange::Text(text.to_owned())).await.unwrap();
        }
    }

    /// What stands in the store is what was told.
    async fn check(&self) {
        let (user, id) = (self.turn.user_id, self.turn.turn_id);
        assert_eq!(self.s.chats().turn(user, id).await.unwrap().as_ref(), Some(&self.turn));
        let bare = self.s.chats().turn_without_text(user, id).await.unwrap().unwrap();
        let answer = if bare.status.is_final() { self.turn.answer.clone() } else { String::new() };
        assert_eq!(bare, Turn { answer, ..self.turn.clone() });
        for after in [0, 2, self.turn.last_event] {
            let events = self.s.chats().turn_events(user, id, after, 100).await.unwrap();
            assert_eq!(events, self.told[usize::try_from(after).unwrap()..]);
        }
        assert_eq!(self.s.chats().turn_events(user, id, 1, 2).await.unwrap(), self.told[1..3]);
        let page =
            self.s.chats().turns(user, &self.turn.conversation_id, PageQuery::first(10)).await.unwrap();
        assert!(page.items.contains(&self.turn));
    }
}

async fn home<S: ChatSubject>(s: &S) -> (UserId, WorkspaceId) {
    let user = s.user().await;
    (user, s.workspace(user, RagConfig::default()).await)
}

fn named(text: &str) -> ConversationId {
    text.parse().unwrap()
}

/// The newest word about the user's workspace.
async fn workspace_told<S: ChatSubject>(s: &S, user: UserId) -> Workspace {
    let told = s.log().after(user, 0, 100).await.unwrap();
    let of_workspace = told.iter().rev().find_map(|e| match e.event() {
        Some(Event::WorkspaceStatus(workspace)) => Some(workspace),
        _ => None,
    });
    of_workspace.expect("the workspace was told")
}
