use super::*;
use AddressError::*;

fn checked(text: &str) -> Result<(), AddressError> {
    check(&parse(text)?, &Allowed::default())
}

/// Hosts that are nobody's to ask from here, in every notation that a browser would take.
const NOT_PUBLIC: &[&str] = &[
    // This machine, as a name.
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "a.b.localhost",
    "localhost.localdomain",
    "x.localdomain",
    "ip6-localhost",
    "ip6-loopback",
    "lOcAlHoSt",
    "%6c%6f%63alhost",
    "ｌｏｃａｌｈｏｓｔ",
    "app.localhost.",
    "metadata",
    "metadata.google.internal",
    "METADATA.google.internal.",
    "instance-data",
    // This machine, as numbers.
    "127.0.0.1",
    "127.0.0.2",
    "127.1.2.3",
    "127.255.255.254",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0x7F.0x0.0x0.0x1",
    "017700000001",
    "0177.0.0.1",
    "0177.1",
    "127.0x0.0.01",
    "0x7f.0.1",
    "0177.0x0.1",
    "127.000.000.001",
    "0x000000007f000001",
    "１２７.０.０.１",
    "127。0。0。1",
    "①②⑦.⓪.⓪.①",
    "%31%32%37.0.0.1",
    "0.0.0.0",
    "0",
    "0.0.0.1",
    "0x0",
    "00",
    "0.1.2.3",
    "0.255.255.255",
    "2130706432",
    "2130706434",
    // Private networks.
    "10.0.0.0",
    "10.0.0.1",
    "10.1.2.3",
    "10.255.255.255",
    "10.1",
    "0xa.1",
    "012.0.0.1",
    "167772161",
    "0x0a000001",
    "172.16.0.1",
    "172.16.0.0",
    "172.20.1.1",
    "172.31.255.255",
    "0xac.0x10.0.1",
    "2886729729",
    "0254.16.0.1",
    "192.168.0.1",
    "192.168.1.1",
    "192.168.255.255",
    "192.168.257",
    "3232235521",
    "0xc0a80001",
    "0300.0250.0.1",
    "0xc0.0xa8.1.1",
    "192.168.0.0x1",
    // Shared by the customers of a provider.
    "100.64.0.0",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "0x64.0x40.0.1",
    "1681915905",
    // Link-local: where clouds answer for their machines.
    "169.254.0.1",
    "169.254.169.254",
    "169.254.255.255",
    "169.254.43518",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "0xa9.0xfe.0xa9.0xfe",
    "169.16689662",
    "169.254.170.2",
    "169.254.169.253",
    // Protocols, documentation, benchmarks, relays.
    "192.0.0.0",
    "192.0.0.1",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.0.192",
    "192.0.2.1",
    "192.0.2.255",
    "192.88.99.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "203.0.113.255",
    // Multicast, kept back, broadcast.
    "224.0.0.1",
    "224.0.0.251",
    "232.1.1.1",
    "239.255.255.250",
    "240.0.0.1",
    "250.1.1.1",
    "254.255.255.255",
    "255.255.255.255",
    "4294967295",
    "0xffffffff",
    "3758096385",
    "4026531841",
    "0377.0377.0377.0377",
    // IPv6: this machine and nothing.
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::0:1]",
    "[0::1]",
    "[::2]",
    "[0:0:0:0:0:0:0:0]",
    "[::0.0.0.1]",
    "[::7f]",
    // IPv4 within, mapped.
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::FFFF:7F00:0001]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:a00:1]",
    "[::ffff:192.168.1.1]",
    "[::ffff:172.16.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::ffff:100.64.0.1]",
    "[::ffff:0.0.0.0]",
    "[::ffff:0:0]",
    "[::ffff:224.0.0.1]",
    "[::ffff:255.255.255.255]",
    "[::ffff:192.0.2.1]",
    "[::ffff:198.18.0.1]",
    // IPv4 within, compatible, also of public ones: nobody answers there.
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::10.0.0.1]",
    "[::192.168.0.1]",
    "[::169.254.169.254]",
    "[::8.8.8.8]",
    "[::808:808]",
    "[::ffff:0:127.0.0.1]",
    "[::ffff:0:7f00:1]",
    // IPv4 within, behind a translator.
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b::192.168.1.1]",
    "[64:ff9b::172.16.0.1]",
    "[64:ff9b::100.64.0.1]",
    "[64:ff9b::0.0.0.0]",
    "[64:ff9b:1::10.0.0.1]",
    "[64:ff9b:1::8.8.8.8]",
    "[64:ff9b:0:0:1::7f00:1]",
    // IPv4 within, 6to4.
    "[2002:7f00:1::]",
    "[2002:7f00:1::1]",
    "[2002:a00:1::1]",
    "[2002:c0a8:101::1]",
    "[2002:a9fe:a9fe::1]",
    "[2002:ac10:1::1]",
    "[2002:808:808::1]",
    "[2002:6440:1::1]",
    // IPv4 within, Teredo and ISATAP.
    "[2001::1]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[2001:0:7f00:1::]",
    "[2001:0:a9fe:a9fe:0:0:80ff:fffe]",
    "[2001:0000::f5ff:fffe]",
    "[2a00:1450::5efe:7f00:1]",
    "[2a00:1450::5efe:10.0.0.1]",
    "[fe80::5efe:192.168.0.1]",
    // Link-local, site-local, unique local.
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[febf::1]",
    "[fec0::1]",
    "[feff::1]",
    "[fc00::1]",
    "[fd00::1]",
    "[fd00:ec2::254]",
    "[fdff:ffff::1]",
    "[fd20:ce::254]",
    // Multicast.
    "[ff00::1]",
    "[ff01::1]",
    "[ff02::1]",
    "[ff02::fb]",
    "[ff05::1:3]",
    "[ff0e::1]",
    "[ffff::1]",
    // Documentation, benchmarks, discarding, names of services.
    "[2001:db8::1]",
    "[2001:db8:ffff::1]",
    "[2001:2::1]",
    "[2001:10::1]",
    "[2001:20::1]",
    "[2001:1::1]",
    "[2001:1ff::1]",
    "[2001:4:112::1]",
    "[3fff::1]",
    "[3fff:fff::1]",
    "[100::1]",
    "[100:0:0:1::1]",
    "[5f00::1]",
    "[2620:4f:8000::1]",
    // What is handed out to nobody.
    "[1::1]",
    "[200::1]",
    "[400::1]",
    "[800::1]",
    "[1000::1]",
    "[4000::1]",
    "[6000::1]",
    "[8000::1]",
    "[a000::1]",
    "[c000::1]",
    "[e000::1]",
    "[f000::1]",
    "[f800::1]",
];

const PUBLIC: &[&str] = &[
    "example.org",
    "www.example.org",
    "localhost.example.org",
    "mylocalhost",
    "8.8.8.8",
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "126.255.255.255",
    "128.0.0.1",
    "134744072",
    "0x08080808",
    "169.253.255.255",
    "169.255.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "192.167.255.255",
    "192.169.0.1",
    "198.17.255.255",
    "198.20.0.1",
    "198.51.99.1",
    "203.0.112.1",
    "203.0.114.1",
    "223.255.255.255",
    "[2606:4700:4700::1111]",
    "[2a00:1450:4001::1]",
    "[2001:200::1]",
    "[2001:4860:4860::8888]",
    "[2003::1]",
    "[2400:cb00::1]",
    "[2620:0:2d0::1]",
    "[::ffff:8.8.8.8]",
    "[64:ff9b::8.8.8.8]",
    "[3ffe::1]",
    "bücher.example",
];

#[test]
fn no_address_that_is_not_public_passes_in_any_notation() {
    assert!(NOT_PUBLIC.len() >= 200, "{}", NOT_PUBLIC.len());
    let mut wrong = vec![];
    for host in NOT_PUBLIC {
        for scheme in ["http", "https"] {
            let found = checked(&format!("{scheme}://{host}/latest/meta-data"));
            // What is no address of a host at all cannot be asked either.
            if !matches!(found, Err(NotPublic | NoAddress)) {
                wrong.push(format!("{scheme}://{host}: {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn public_addresses_pass() {
    for host in PUBLIC {
        assert_eq!(checked(&format!("https://{host}/")), Ok(()), "{host}");
    }
}

#[test]
fn only_the_web_is_asked_without_a_name_and_at_its_ports() {
    for (text, wrong) in [
        ("ftp://example.org/", Scheme),
        ("file:///etc/passwd", Scheme),
        ("gopher://example.org:70/_x", Scheme),
        ("data:text/html,x", Scheme),
        ("javascript:alert(1)", Scheme),
        ("blob:https://example.org/x", Scheme),
        ("ws://example.org/", Scheme),
        ("//example.org/", NoAddress),
        ("example.org", NoAddress),
        ("http://", NoAddress),
        ("https://[::1", NoAddress),
        ("https://1.2.3.4.5/", NoAddress),
        ("https://256.1.1.1/", NoAddress),
        ("https://ada@example.org/", User),
        ("https://ada:secret@example.org/", User),
        ("https://example.org@127.0.0.1/", User),
        ("https://127.0.0.1#@example.org/", NotPublic),
        ("https://127.0.0.1\\@example.org/", NotPublic),
        ("https:\\\\127.0.0.1\\", NotPublic),
        ("http:127.0.0.1/", NotPublic),
        ("http:///127.0.0.1/", NotPublic),
        ("http://127.0.0.1:80/", NotPublic),
        ("https://127.0.0.1:8443/", NotPublic),
        ("https://12\t7.0.0.\n1/", NotPublic),
        ("https://example.org:22/", Port),
        ("https://example.org:25/", Port),
        ("http://example.org:53/", Port),
        ("http://example.org:0/", Port),
        ("http://example.org:6379/", Port),
        ("http://example.org:5432/", Port),
        ("http://example.org:11211/", Port),
        ("https://example.org:99999/", NoAddress),
    ] {
        assert_eq!(checked(text), Err(wrong), "{text}");
    }
    for fine in ["http://example.org:8080/", "https://example.org:8443/a?b#c", "HTTPS://EXAMPLE.ORG:443"] {
        assert_eq!(checked(fine), Ok(()), "{fine}");
    }
    assert_eq!(checked(&format!("https://example.org/{}", "a".repeat(2_000))), Err(TooLong));
}

#[test]
fn what_the_operator_allows_is_asked_and_nothing_beside_it() {
    let allowed: Allowed = "127.0.0.0/8,10.1.0.0/16,fd00::/8".parse().expect("networks");
    let found = |text: &str| check(&parse(text).expect("an address"), &allowed);
    for fine in [
        "http://127.0.0.1:9999/",
        "http://localhost:9999/",
        "http://10.1.2.3/",
        "http://[fd00::1]/",
        "http://[::ffff:127.0.0.1]:9999/",
    ] {
        assert_eq!(found(fine), Ok(()), "{fine}");
    }
    for wrong in [
        "http://10.2.0.1/",
        "http://192.168.0.1/",
        "http://[::1]/",
        "http://169.254.169.254/",
        "http://[fe80::1]/",
    ] {
        assert_eq!(found(wrong), Err(NotPublic), "{wrong}");
    }
    assert_eq!(found("http://127.0.0.1:22/"), Err(Port));
    assert_eq!(found("http://a:b@127.0.0.1:9999/"), Err(User));
}

#[test]
fn one_page_has_one_form() {
    for (text, form) in [
        ("HTTP://Example.ORG", "http://example.org/"),
        ("https://example.org:443/a/../b/./c#part", "https://example.org/b/c"),
        ("https://example.org/a?", "https://example.org/a"),
        ("https://example.org/a?b=1#c", "https://example.org/a?b=1"),
        (" https://example.org/ä ", "https://example.org/%C3%A4"),
    ] {
        assert_eq!(parse(text).expect(text).as_str(), form);
    }
    let base = parse("https://example.org/docs/a.html").expect("an address");
    for (link, to) in [
        ("b.html", "https://example.org/docs/b.html"),
        ("/c", "https://example.org/c"),
        ("//other.org/d", "https://other.org/d"),
        ("?q=1", "https://example.org/docs/a.html?q=1"),
        ("#part", "https://example.org/docs/a.html"),
        ("", "https://example.org/docs/a.html"),
    ] {
        assert_eq!(join(&base, link).expect(link).as_str(), to);
    }
    assert_eq!(join(&base, "mailto:ada@example.org"), Err(Scheme));
    assert_eq!(join(&base, "javascript:x"), Err(Scheme));
}

#[test]
fn a_crawl_keeps_to_its_part_of_the_site() {
    let url = |text: &str| parse(text).expect(text);
    assert_eq!(folder(&url("https://example.org/docs/a.html?x=1")), "https://example.org/docs/");
    assert_eq!(folder(&url("https://example.org/docs/")), "https://example.org/docs/");
    assert_eq!(folder(&url("https://example.org")), "https://example.org/");
    let prefix = "https://example.org/docs/";
    for (text, inside) in [
        ("https://example.org/docs/", true),
        ("https://example.org/docs/a/b?c", true),
        ("http://example.org/docs/a", true),
        ("https://example.org/", false),
        ("https://example.org/docs", false),
        ("https://example.org.evil.org/docs/", false),
        ("https://evil.org/https://example.org/docs/", false),
        ("https://example.org:8443/docs/", false),
        ("https://www.example.org/docs/", false),
    ] {
        assert_eq!(lies_in(&url(text), prefix), inside, "{text}");
    }
}

#[test]
fn a_page_gets_a_name_that_tells_where_it_is_from() {
    for (text, is_page, name) in [
        ("https://example.org/", true, "example.org.html"),
        ("https://example.org/docs/intro", true, "example.org/docs/intro.html"),
        ("https://example.org/docs/a.HTML", true, "example.org/docs/a.HTML"),
        ("https://example.org/a.pdf", false, "example.org/a.pdf"),
        ("https://example.org/ports.csv?v=1.2", false, "example.org/ports.csv?v=1.2.csv"),
        ("https://example.org/ports.csv?of=all.CSV", false, "example.org/ports.csv?of=all.CSV"),
        ("https://example.org/read.md?raw=1", false, "example.org/read.md?raw=1.md"),
        ("https://example.org/read.md?raw=1", true, "example.org/read.md?raw=1.html"),
        ("https://example.org/%C3%A4?p=%201", true, "example.org/ä?p= 1.html"),
        ("https://example.org/%ff%00", false, "example.org/%ff%00"),
    ] {
        assert_eq!(filename(&parse(text).expect(text), is_page), name);
    }
    let long = format!("https://example.org/{}.md", "a".repeat(300));
    let name = filename(&parse(&long).expect("an address"), false);
    assert!(name.ends_with("aaa.md") && name.chars().count() <= 200, "{name}");
}
