//! A commit to which nothing is answered, ever, over a connection of which nobody says that it is broken, while new ones are
//! well: after a fail-over the old address is like that.

use super::{Place, Rig};
use std::{
    future::pending,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The way to a database on which one connection falls silent.
struct Line {
    url: String,
    /// The connection of the next commit falls silent with it.
    armed: Arc<AtomicBool>,
}

impl Line {
    /// Whether that commit still arrives is for `arrives` to say.
    async fn to(url: &str, arrives: bool) -> Self {
        let (front, rest) = url.split_once("@127.0.0.1:").unwrap();
        let (port, path) = rest.split_once('/').unwrap();
        let port: u16 = port.parse().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let armed = Arc::new(AtomicBool::new(false));
        let watched = armed.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, port, watched.clone(), arrives));
            }
        });
        Self { url: format!("{front}@127.0.0.1:{own}/{path}"), armed }
    }
}

async fn carry(mut near: TcpStream, port: u16, armed: Arc<AtomicBool>, arrives: bool) {
    let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let mut is_silent = false;
    loop {
        tokio::select! {
            read = near.read(&mut up) => match read {
                Ok(n) if n > 0 => {
                    let falls_silent = commits(&up[..n]) && armed.swap(false, Ordering::SeqCst);
                    let arrives_there = !is_silent && (!falls_silent || arrives);
                    is_silent |= falls_silent;
                    if arrives_there && far.write_all(&up[..n]).await.is_err() {
                        return;
                    }
                }
                // The database does not hear of that either.
                _ if is_silent => pending().await,
                _ => return,
            },
            read = far.read(&mut down) => match read {
                Ok(n) if n > 0 => if !is_silent && near.write_all(&down[..n]).await.is_err() { return },
                _ if is_silent => pending().await,
                _ => return,
            },
        }
    }
}

fn commits(bytes: &[u8]) -> bool {
    let word = b"COMMIT\0";
    bytes.windows(word.len()).any(|part| part == word)
}

async fn what_is_committed_in_silence_is_there_once(arrives: bool) {
    let place = Place::postgres().await;
    let line = Line::to(&place.url(), arrives).await;
    let rig = Rig::over(place, line.url.clone()).await;
    line.armed.store(true, Ordering::SeqCst);
    assert_eq!(rig.emit(2).await.unwrap(), [2, 3]);
    assert!(!line.armed.load(Ordering::SeqCst), "it was that commit");
    assert_eq!(rig.emit(1).await.unwrap(), [4]);
    let seqs: Vec<u64> = rig.log().await.iter().map(|e| e.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    let told: Vec<u64> = rig.world.bus.events_of(rig.user).iter().map(|e| e.seq).collect();
    assert_eq!(told, seqs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_swallowed_is_told_once() {
    what_is_committed_in_silence_is_there_once(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_swallowed_itself_is_done_over_another_connection() {
    what_is_committed_in_silence_is_there_once(false).await;
}
