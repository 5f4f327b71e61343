//! The stores under test, each with its world.

use crate::support::{Place, World};
use async_trait::async_trait;
use domain::{
    Epoch, UserId, WorkspaceId, WorkspaceStatus,
    rag::RagConfig,
    status::Processor,
    validate::{Description, Email, Username, WorkspaceName},
};
use services::ports::{Accounts, EventLog, NewUser, NewWorkspace, Outbox, WorkspaceEdit, Workspaces};
use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};
use storage::{OpenOptions, Store, memory::MemoryStore};

/// A fresh, empty store and what surrounds it.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    async fn fresh() -> Self;
    fn world(&self) -> &World;
    fn log(&self) -> Arc<dyn EventLog>;
    fn outbox(&self) -> Arc<dyn Outbox>;
    /// A new user.
    async fn user(&self) -> UserId;
    /// A new workspace that is ready, with the built-in workers as its processor.
    async fn workspace(&self, user: UserId, rag_config: RagConfig) -> WorkspaceId;
    /// Changes who works on its documents.
    async fn set_processor(&self, user: UserId, id: WorkspaceId, processor: Processor);
}

pub struct Memory {
    world: World,
    pub store: MemoryStore,
}

#[async_trait]
impl Subject for Memory {
    async fn fresh() -> Self {
        let world = World::new();
        let store = MemoryStore::new(Epoch("memory".into()), world.bus.clone(), world.clock.clone());
        Self { world, store }
    }

    fn world(&self) -> &World {
        &self.world
    }

    fn log(&self) -> Arc<dyn EventLog> {
        Arc::new(self.store.clone())
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        Arc::new(self.store.clone())
    }

    async fn user(&self) -> UserId {
        let user = UserId::new(self.world.uuid());
        self.store.add_user(user);
        user
    }

    async fn workspace(&self, user: UserId, rag_config: RagConfig) -> WorkspaceId {
        let id = WorkspaceId::new(self.world.uuid());
        self.store.add_workspace(user, id, WorkspaceStatus::Ready, rag_config, self.world.now());
        id
    }

    async fn set_processor(&self, user: UserId, id: WorkspaceId, processor: Processor) {
        self.store.set_processor(user, id, processor, self.world.now()).unwrap();
    }
}

/// A store in a database.
pub struct Database {
    pub store: Store,
    world: World,
    // Behind the store, so that the store is gone before its database is.
    pub place: Place,
}

impl Database {
    async fn at(place: Place) -> Self {
        Self::of(place, World::new()).await
    }

    /// What is in that place, for those who know this world.
    pub async fn of(place: Place, world: World) -> Self {
        let store = open(&place, &world).await;
        Self { store, world, place }
    }

    pub fn world(&self) -> &World {
        &self.world
    }

    pub fn into_world(self) -> World {
        self.world
    }

    /// Lets go of the store in an orderly way and opens it again.
    pub async fn reopen(&mut self) {
        self.store.close().await;
        self.store = open(&self.place, &self.world).await;
    }

    /// Opens a second store on the same database, as another process would.
    pub async fn open_another(&self) -> Store {
        open(&self.place, &self.world).await
    }

    /// The same of a server on which pgvector is switched off.
    pub async fn open_without_pgvector(&self) -> Store {
        open_with(&self.place, &self.world, false).await
    }

    pub fn new_workspace(&self, user_id: UserId, name: &str) -> NewWorkspace {
        NewWorkspace {
            id: WorkspaceId::new(self.world.uuid()),
            user_id,
            name: WorkspaceName::parse(name).unwrap(),
            description: Description::parse("").unwrap(),
            status: WorkspaceStatus::Ready,
            processor: Processor::Builtin,
            rag_config: RagConfig::default(),
            command_id: None,
            command_print: None,
            created_at: self.world.now(),
        }
    }

    pub fn new_user(&self, username: &str, email: &str) -> (NewUser, NewWorkspace) {
        let id = UserId::new(self.world.uuid());
        let user = NewUser {
            id,
            username: Username::parse(username).unwrap(),
            email: Email::parse(email).unwrap(),
            full_name: None,
            password_hash: "hash".into(),
            created_at: self.world.now(),
        };
        (user, self.new_workspace(id, "My documents"))
    }

    pub async fn make_user(&self) -> UserId {
        let name = format!("user-{}", self.world.uuid().simple());
        let (user, first) = self.new_user(&name, &format!("{name}@example.org"));
        self.store.create_user(user, first).await.unwrap().id
    }
}

pub async fn open(place: &Place, world: &World) -> Store {
    open_with(place, world, true).await
}

async fn open_with(place: &Place, world: &World, pgvector: bool) -> Store {
    Store::open(OpenOptions {
        url: place.url(),
        bus: world.bus.clone(),
        clock: world.clock.clone(),
        secrets: world.secrets.clone(),
        high_water: Some(place.high_water()),
        readers: 4,
        pgvector,
    })
    .await
    .unwrap()
}

/// One type an engine, so that a case knows which one it runs on.
macro_rules! database {
    ($name:ident, $place:expr) => {
        pub struct $name(pub Database);

        impl Deref for $name {
            type Target = Database;

            fn deref(&self) -> &Database {
                &self.0
            }
        }

        impl DerefMut for $name {
            fn deref_mut(&mut self) -> &mut Database {
                &mut self.0
            }
        }

        #[async_trait]
        impl Subject for $name {
            async fn fresh() -> Self {
                Self(Database::at($place).await)
            }

            fn world(&self) -> &World {
                &self.0.world
            }

            fn log(&self) -> Arc<dyn EventLog> {
                Arc::new(self.0.store.clone())
            }

            fn outbox(&self) -> Arc<dyn Outbox> {
                Arc::new(self.0.store.clone())
            }

            async fn user(&self) -> UserId {
                self.0.make_user().await
            }

            async fn workspace(&self, user: UserId, rag_config: RagConfig) -> WorkspaceId {
                let new = NewWorkspace { rag_config, ..self.0.new_workspace(user, "Workspace") };
                self.0.store.create_workspace(new).await.unwrap().id
            }

            async fn set_processor(&self, user: UserId, id: WorkspaceId, processor: Processor) {
                let edit = WorkspaceEdit { processor: Some(processor), ..WorkspaceEdit::default() };
                self.0.store.edit_workspace(user, id, edit, self.0.world.now()).await.unwrap();
            }
        }
    };
}

database!(Sqlite, Place::sqlite().await);
database!(Postgres, Place::postgres().await);
