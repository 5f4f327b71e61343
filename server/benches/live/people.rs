//! Our server with a source of changes inside (`--serve`): the whole of `insighthub serve`, with its store, its door, its
//! router and its hub, and a task that hands events to the bus on a schedule, as the writer does after a commit. So the
//! fan-out is measured and not the disk. The peer makes its changes within its process as well.

use crate::plan::{self, Plan};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{Timestamp, UserId};
use futures::{StreamExt, TryStreamExt, stream};
use measure::Failure;
use serde_json::json;
use server::{cli::Role, config::Raw, lifecycle, logging};
use services::{
    Client, Services, SignUp,
    ports::{LoggedEvent, PasswordHasher, Signal, StoreError},
};
use std::{io, sync::Arc, time::Duration};

/// A whole frame, in bytes.
pub const FRAME: usize = 200;

pub fn serve(people: usize) -> Result<String, Failure> {
    let config = Raw::read(|name| std::env::var(name).ok())?.check()?;
    logging::start(&config.log, config.log_format, None)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let beside = move |services| async move {
        if let Err(why) = produce(services, people).await {
            eprintln!("{why}");
            std::process::exit(1);
        }
    };
    runtime.block_on(lifecycle::serve_beside(config, Role::Web, false, beside))?;
    Ok("stopped".to_owned())
}

/// Makes the accounts, tells their tokens, and then carries out one plan for each line of standard input.
async fn produce(services: Services, people: usize) -> Result<(), Failure> {
    let services = Services { hasher: Arc::new(Unhashed), ..services };
    let made = stream::iter(0..people).map(|n| sign_up(&services, n)).buffered(64);
    let made: Vec<(UserId, String)> = made.try_collect().await?;
    let tokens: Vec<&String> = made.iter().map(|(_, token)| token).collect();
    println!("{}", json!({ "tokens": tokens }));
    let mut rooms = vec![];
    for (user, _) in &made {
        rooms.push((*user, services.events.head(*user).await?));
    }
    while let Some(line) = tokio::task::spawn_blocking(|| io::stdin().lines().next()).await? {
        let plan: Plan = serde_json::from_str(&line?)?;
        carry_out(&services, &rooms, plan).await;
        println!("{}", json!({ "sent": plan.count }));
    }
    Ok(())
}

async fn carry_out(services: &Services, rooms: &[(UserId, u64)], plan: Plan) {
    let mut next = 0;
    while next < plan.count {
        let due = plan.due(plan::now());
        // Not too many at once: the bus would have to drop what the hub could not take yet.
        let until = due.min(next + 256);
        for n in next..until {
            let (room, nth) = ((n % plan.rooms) as usize, n / plan.rooms);
            let Some((user, head)) = rooms.get(room) else { continue };
            let seq = head + nth + 1;
            services.bus.publish(Signal::Event(Arc::new(LoggedEvent {
                user_id: *user,
                seq,
                at: Timestamp::from_micros(0),
                name: if plan.entities > 0 { "file_progress" } else { "document_status" },
                key: nth.checked_rem(plan.entities).unwrap_or_default(),
                progress: plan.entities > 0,
                turning: None,
                frame: frame(seq),
            })));
        }
        next = until.max(next);
        if next == due {
            tokio::time::sleep(Duration::from_millis(1)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

fn frame(seq: u64) -> Bytes {
    let mut text = format!(
        r#"{{"type":"event","seq":{seq},"at":"2026-01-01T00:00:00Z","event":"file_progress","data":{{"message":""#
    );
    let end = "\"}}";
    while text.len() + end.len() < FRAME {
        text.push('x');
    }
    Bytes::from(text + end)
}

async fn sign_up(services: &Services, n: usize) -> Result<(UserId, String), Failure> {
    let form = SignUp {
        username: format!("person{n}"),
        email: format!("person{n}@example.org"),
        password: "Correct1horse".to_owned(),
        full_name: None,
    };
    let signed_in = services.sign_up(form, Client::default()).await.map_err(|e| format!("{e:?}"))?;
    Ok((signed_in.user.id, signed_in.token))
}

/// Thousands of accounts are made beforehand, and nobody signs in with a password: hashing them all would take minutes.
struct Unhashed;

#[async_trait]
impl PasswordHasher for Unhashed {
    async fn hash(&self, _: String) -> Result<String, StoreError> {
        Ok("no password opens this account".to_owned())
    }

    async fn verify(&self, _: String, _: Option<String>) -> Result<bool, StoreError> {
        Ok(false)
    }
}
