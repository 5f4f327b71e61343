//! A link to the broker that goes dead without a word, as when a cable is pulled: nothing comes, and nothing says so.

use crate::{broken::Watcher, broker, node::Installation, soon};
use lapin::uri::AMQPUri;
use services::ports::{Bus, EventLog};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::Notify,
};

/// Carries connections to the broker, until it is told to carry nothing.
struct Cable {
    port: u16,
    pulled: Arc<AtomicBool>,
    plugged: Arc<Notify>,
}

impl Cable {
    async fn to(url: &AMQPUri) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (pulled, plugged) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let there = format!("{}:{}", url.authority.host, url.authority.port);
        let (is_pulled, is_plugged) = (pulled.clone(), plugged.clone());
        tokio::spawn(async move {
            loop {
                let (from, _) = listener.accept().await.unwrap();
                let Ok(to) = TcpStream::connect(&there).await else { continue };
                let ((from_in, from_out), (to_in, to_out)) = (from.into_split(), to.into_split());
                for (read, write) in [(from_in, to_out), (to_in, from_out)] {
                    tokio::spawn(carry(read, write, is_pulled.clone(), is_plugged.clone()));
                }
            }
        });
        Self { port, pulled, plugged }
    }

    fn pull(&self) {
        self.pulled.store(true, Ordering::SeqCst);
    }

    fn plug(&self) {
        self.pulled.store(false, Ordering::SeqCst);
        self.plugged.notify_waiters();
    }
}

async fn carry(
    mut read: OwnedReadHalf,
    mut write: OwnedWriteHalf,
    pulled: Arc<AtomicBool>,
    plugged: Arc<Notify>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = read.read(&mut buffer).await {
        let again = plugged.notified();
        if pulled.load(Ordering::SeqCst) {
            again.await;
        }
        if write.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_link_that_goes_dead_without_a_word_is_noticed_and_nothing_is_missed() {
    let mut installation = Installation::at(broker());
    let there = installation.node().up().await;
    let url: AMQPUri = installation.url.parse().unwrap();
    let cable = Cable::to(&url).await;
    let who = &url.authority.userinfo;
    installation.url = format!("amqp://{}:{}@127.0.0.1:{}/%2f", who.username, who.password, cable.port);
    let here = installation.node().up().await;
    let user = installation.user();
    let mut watcher = Watcher::at(&here, user).await;
    there.commit(user, 3).await;
    watcher.until(3).await;

    cable.pull();
    there.commit(user, 5).await;
    // Told by the log, once the silence was noticed.
    watcher.until(8).await;
    assert!(here.bus.outage().is_some(), "and an operator is told");
    here.commit(user, 2).await;
    cable.plug();
    soon("it is connected again", async {
        while here.bus.outage().is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    there.commit(user, 1).await;
    let head = installation.store.head(user).await.unwrap();
    assert_eq!(watcher.until(head).await, (1..=head).collect::<Vec<_>>());
    assert_eq!(head, 11);
    let mut at_there = Watcher::at(&there, user).await;
    here.commit(user, 1).await;
    at_there.until(head + 1).await;
}
