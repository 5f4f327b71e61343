//! The one who asks: a person by a session, or a program by an API key with its scopes.

use crate::{
    Error, Result, Services, Standing, Who,
    accounts::token_hash,
    live::{ConnectError, Connection, Opener, Resume},
    ports::StoreError,
};
use domain::{ApiKeyId, Scope, SessionId, Timestamp, User};
use std::time::Duration;

/// How somebody came in.
#[derive(Clone, Debug, PartialEq)]
pub enum Pass {
    Session(SessionId),
    Key { id: ApiKeyId, name: String, scopes: Vec<Scope>, expires_at: Option<Timestamp> },
}

/// Whoever may ask for data: a signed-in person or a key of theirs.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    pub user: User,
    pub pass: Pass,
}

impl From<Who> for Caller {
    fn from(who: Who) -> Self {
        Self { user: who.user, pass: Pass::Session(who.session_id) }
    }
}

impl Caller {
    /// Whether that may be done: a person may do everything, a key what its scopes name.
    ///
    /// # Errors
    /// 403 `missing_scope`, which names it.
    pub fn require(&self, scope: Scope) -> Result<()> {
        match &self.pass {
            Pass::Key { scopes, .. } if !scopes.contains(&scope) => {
                Err(Error::problem(403, "missing_scope", format!("This API key lacks the scope `{scope}`.")))
            }
            Pass::Session(_) | Pass::Key { .. } => Ok(()),
        }
    }

    /// # Errors
    /// 403 `session_required` for a key.
    pub fn require_session(&self) -> Result<()> {
        match self.pass {
            Pass::Session(_) => Ok(()),
            Pass::Key { .. } => {
                Err(Error::problem(403, "session_required", "An API key cannot do this. Sign in for it."))
            }
        }
    }

    const fn opener(&self) -> Opener {
        match self.pass {
            Pass::Session(id) => Opener::Session(id),
            Pass::Key { id, .. } => Opener::Key(id),
        }
    }
}

impl Services {
    /// Whoever holds that API key now; a session's token is none.
    ///
    /// # Errors
    /// 401, with the code `key_expired` for a key whose time is over.
    pub async fn key_caller(&self, key: &str) -> Result<Caller> {
        self.authenticate_key(key).await
    }

    pub(crate) async fn standing_of_key(&self, key: &str) -> Result<Standing> {
        match self.authenticate_key(key).await {
            Ok(_) => Ok(Standing::Good),
            Err(Error::Problem(p)) if p.status == 401 => Ok(Standing::Ended),
            Err(e) => Err(e),
        }
    }

    /// Opens a live stream, which ends with the session or the key that opened it. `token` is what the caller came
    /// with; it is looked up once more, since it may have ended after it was looked up first and before the hub knew of
    /// the stream.
    ///
    /// # Errors
    /// `Ended` then.
    pub async fn open_stream(
        &self,
        caller: &Caller,
        token: &str,
        resume: Resume,
    ) -> std::result::Result<Connection, ConnectError> {
        let mut connection = self.hub.connect(caller.user.id, caller.opener(), resume).await?;
        if let Pass::Session(_) = caller.pass {
            connection.opened_with(&token_hash(token));
        }
        match self.standing(caller, token).await {
            Ok(Standing::Good) => {}
            // A moment ago: its browser may not have the new token yet, and is sent back when it has.
            Ok(Standing::Renewed) => {
                if let Pass::Session(id) = caller.pass {
                    self.hub.doubt_renewed(caller.user.id, id);
                }
            }
            Ok(Standing::Ended) => return Err(ConnectError::Ended),
            Err(e) => return Err(ConnectError::Store(not_asked(e))),
        }
        if let Pass::Key { expires_at: Some(at), .. } = caller.pass {
            let left = at.micros().saturating_sub(self.clock.now().micros());
            connection.end_in(Duration::from_micros(u64::try_from(left).unwrap_or(0)));
        }
        Ok(connection)
    }
}

/// The session could not be looked up. A database that is away stays one: whoever asks is told that it passes.
fn not_asked(e: Error) -> StoreError {
    if e.takes_nothing() { StoreError::Away(Box::new(e)) } else { StoreError::backend(e) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_a_lost_database_keeps_from_opening_is_no_fault_of_the_server() {
        let told = |e: StoreError| Error::from(not_asked(Error::from(e))).to_problem().status;
        assert_eq!(told(StoreError::Away("cut off".into())), 503);
        assert_eq!(told(StoreError::backend("damaged")), 500);
    }
}
