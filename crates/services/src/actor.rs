//! Who is acting, for the history. Known where a request, or a worker, comes in, and asked for where an event is stored:
//! between the two it travels with the task, so that no use case has to hand it on.

use crate::{Caller, Pass};
use domain::Actor;
use tokio::task::JoinHandle;

tokio::task_local! {
    static ACTOR: Actor;
}

/// Does the work as that actor.
pub async fn acting<T>(actor: Actor, work: impl Future<Output = T>) -> T {
    ACTOR.scope(actor, work).await
}

/// Who acts here; the server by itself, where nobody said.
pub fn current() -> Actor {
    ACTOR.try_with(Actor::clone).unwrap_or(Actor::SYSTEM)
}

/// Does the work on a task of its own, as the same actor.
pub fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(acting(current(), work))
}

impl Caller {
    /// How the history names the one who asks.
    pub fn actor(&self) -> Actor {
        let user = Actor::user(self.user.id, &self.user.username);
        match &self.pass {
            Pass::Session(_) => user,
            Pass::Key { name, .. } => user.through(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_actor_goes_along_into_spawned_tasks_and_no_further() {
        assert_eq!(current(), Actor::SYSTEM);
        let ada = Actor::user(1, "ada");
        let seen = acting(ada.clone(), async { spawn(async { current() }).await }).await;
        assert_eq!(seen.ok(), Some(ada));
        assert_eq!(current(), Actor::SYSTEM);
    }
}
