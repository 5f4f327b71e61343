use super::*;
use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::atomic::{AtomicUsize, Ordering},
};

/// A server of a few lines, which counts who connects and answers everybody the same.
struct Site {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Site {
    fn at(host: &str, answer: Vec<u8>) -> Self {
        Self::maybe_at(host, answer).expect("a free port")
    }

    /// `None` where the machine has no such network.
    fn maybe_at(host: &str, answer: Vec<u8>) -> Option<Self> {
        let listener = TcpListener::bind((host, 0)).ok()?;
        let addr = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                counted.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                std::thread::spawn(move || {
                    let _ = stream.read(&mut [0; 4_096]);
                    let _ = stream.write_all(&answer);
                });
            }
        });
        Some(Self { addr, connections })
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let mut whole =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n{head}\r\n", body.len())
            .into_bytes();
    whole.extend_from_slice(body);
    whole
}

fn fetcher(allowed: &str) -> WebFetcher {
    crate::install_cryptography();
    WebFetcher::new(allowed.parse().expect("networks")).expect("a fetcher")
}

/// Names lead where the test says.
fn resolving(
    allowed: &str,
    look_up: impl Fn(usize) -> Vec<SocketAddr> + Send + Sync + 'static,
) -> WebFetcher {
    crate::install_cryptography();
    let asked = AtomicUsize::new(0);
    let look_up = move |_: String| {
        let found = look_up(asked.fetch_add(1, Ordering::SeqCst));
        Box::pin(async move { Ok(found) }) as Found
    };
    WebFetcher::with(allowed.parse().expect("networks"), Box::new(look_up)).expect("a fetcher")
}

fn request(url: &str) -> FetchRequest {
    FetchRequest {
        url: Url::parse(url).expect(url),
        etag: None,
        last_modified: None,
        most_bytes: 1 << 20,
        in_part: false,
    }
}

#[tokio::test]
async fn nobody_is_connected_to_who_is_not_public() {
    // Whatever reaches this machine reaches one of them.
    let sites: Vec<Site> =
        ["0.0.0.0", "::"].iter().filter_map(|host| Site::maybe_at(host, answer("", b"secret"))).collect();
    assert!(!sites.is_empty());
    let fetcher = fetcher("");
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::1]",
        "[2001:0:7f00:1::]",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "１２７.０.０.１",
        "127.8.9.10",
    ];
    for host in hosts {
        for site in &sites {
            let url = format!("http://{host}:{}/", site.addr.port());
            let refused = fetcher.fetch(request(&url)).await;
            assert!(matches!(refused, Err(FetchError::NotAllowed)), "{url}: {refused:?}");
        }
    }
    assert!(sites.iter().all(|site| site.connections() == 0), "somebody was asked");
}

#[tokio::test]
async fn a_name_that_leads_home_connects_to_nobody() {
    let site = Site::at("127.0.0.1", answer("", b"secret"));
    let home = site.addr;
    let fetcher = resolving("", move |_| vec![home, SocketAddr::from(([10, 0, 0, 1], 0))]);
    let refused = fetcher.fetch(request(&format!("http://example.org:{}/", home.port()))).await;
    assert!(matches!(refused, Err(FetchError::NotAllowed)), "{refused:?}");
    assert_eq!(site.connections(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_answer_leads_only_where_it_may() {
    // The one may be asked; the other stands at the same port of an address that may not.
    let fine = Site::at("127.0.0.2", answer("", b"fine"));
    let port = fine.addr.port();
    let secret = TcpListener::bind(("127.0.0.1", port)).expect("the same port");
    secret.set_nonblocking(true).expect("a socket");
    let fetcher = resolving("127.0.0.2/32", |asked| {
        let last = if asked == 0 { 2 } else { 1 };
        vec![SocketAddr::from(([127, 0, 0, last], 0))]
    });
    let url = format!("http://example.org:{port}/");
    let first = fetcher.fetch(request(&url)).await.expect("it may be asked");
    assert_eq!(&first.body[..], b"fine");
    let second = fetcher.fetch(request(&url)).await;
    assert!(matches!(second, Err(FetchError::NotAllowed)), "{second:?}");
    assert!(secret.accept().is_err(), "somebody connected to what may not be asked");
    assert_eq!(fine.connections(), 1);
}

#[tokio::test]
async fn a_name_with_several_answers_leads_to_the_allowed_one() {
    let fine = Site::at("127.0.0.2", answer("", b"fine"));
    let port = fine.addr.port();
    let secret = TcpListener::bind(("127.0.0.1", port)).expect("the same port");
    secret.set_nonblocking(true).expect("a socket");
    let fetcher = resolving("127.0.0.2/32", |_| {
        vec![SocketAddr::from(([127, 0, 0, 1], 0)), SocketAddr::from(([127, 0, 0, 2], 0))]
    });
    let fetched =
        fetcher.fetch(request(&format!("http://example.org:{port}/"))).await.expect("one may be asked");
    assert_eq!(&fetched.body[..], b"fine");
    assert!(secret.accept().is_err());
}

fn packed(bytes: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    encoder.write_all(&vec![b'a'; bytes]).expect("memory");
    encoder.finish().expect("memory")
}

#[tokio::test]
async fn what_unpacks_to_more_than_is_taken_is_left() {
    let bomb = packed(64 << 20);
    assert!(bomb.len() < 100 << 10);
    let head = "content-type: text/html\r\ncontent-encoding: gzip\r\n";
    let site = Site::at("127.0.0.1", answer(head, &bomb));
    let small = Site::at("127.0.0.1", answer(head, &packed(1_000)));
    let long = Site::at("127.0.0.1", answer("", &vec![b'a'; 2 << 20]));
    let fetcher = fetcher("127.0.0.0/8");
    let url = |site: &Site| request(&format!("http://{}/", site.addr));
    let refused = fetcher.fetch(url(&site)).await;
    assert!(matches!(refused, Err(FetchError::TooLarge)), "{refused:?}");
    let refused = fetcher.fetch(url(&long)).await;
    assert!(matches!(refused, Err(FetchError::TooLarge)), "{refused:?}");
    for large in [&site, &long] {
        let begun = fetcher.fetch(FetchRequest { in_part: true, ..url(large) }).await.expect("its beginning");
        assert_eq!(begun.body.len(), 1 << 20);
        assert!(begun.body.iter().all(|byte| *byte == b'a'));
    }
    let fetched = fetcher.fetch(url(&small)).await.expect("a small one");
    assert_eq!(fetched.body.len(), 1_000);
    assert_eq!(fetched.content_type.as_deref(), Some("text/html"));
}

#[tokio::test]
async fn what_is_damaged_or_away_is_told_apart() {
    let damaged = Site::at("127.0.0.1", answer("content-encoding: gzip\r\n", b"no gzip at all"));
    let away = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("an address")
    };
    let fetcher = fetcher("127.0.0.0/8");
    let broken = fetcher.fetch(request(&format!("http://{}/", damaged.addr))).await;
    assert!(matches!(broken, Err(FetchError::Broken(_))), "{broken:?}");
    let nobody = fetcher.fetch(request(&format!("http://{away}/"))).await;
    assert!(matches!(nobody, Err(FetchError::Unreachable(_))), "{nobody:?}");
}

#[tokio::test]
async fn a_site_says_for_how_long_it_wants_to_be_left_alone() {
    let fetcher = fetcher("127.0.0.0/8");
    let date = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for (head, seconds) in [
        ("retry-after: 7\r\n".to_owned(), Some(7)),
        (format!("{date}retry-after: Sun, 06 Nov 1994 08:50:07 GMT\r\n"), Some(30)),
        (format!("{date}retry-after: Sun, 06 Nov 1994 08:00:00 GMT\r\n"), Some(0)),
        ("retry-after: Sun, 06 Nov 1994 08:50:07 GMT\r\n".to_owned(), None),
        ("retry-after: soon\r\n".to_owned(), None),
        ("retry-after: -1\r\n".to_owned(), None),
        (String::new(), None),
    ] {
        let site = Site::at("127.0.0.1", answer(&head, b"later"));
        let fetched = fetcher.fetch(request(&format!("http://{}/", site.addr))).await.expect(&head);
        assert_eq!(fetched.retry_after, seconds.map(Duration::from_secs), "{head}");
    }
}
