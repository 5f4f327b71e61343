//! What a browser is, in plain words. User agents lie by tradition (nearly all say "Mozilla", "Safari" and "like
//! Gecko"), so the marks are tried from the particular to the general.

/// Marks of programs; the first one that is found names it.
const PROGRAMS: &[(&str, &str)] = &[
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edg/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
    ("Trident/", "Internet Explorer"),
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("python-requests/", "Python"),
    ("python-httpx/", "Python"),
    ("aiohttp/", "Python"),
    ("Python-urllib/", "Python"),
    ("node", "Node.js"),
    ("Go-http-client/", "Go"),
    ("okhttp/", "OkHttp"),
    ("PostmanRuntime/", "Postman"),
];

/// Marks of systems. Android says Linux too, and an iPhone says Mac OS X.
const SYSTEMS: &[(&str, &str)] = &[
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
    ("Linux", "Linux"),
    ("X11", "Unix"),
];

/// Longest unknown name that is shown, in characters.
const LONGEST: usize = 40;

/// Such as "Firefox on Linux"; of an unknown program, what it calls itself first.
pub(super) fn device_name(user_agent: &str) -> String {
    let find = |marks: &[(&str, &'static str)]| {
        marks.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    let system = find(SYSTEMS);
    let program = match find(PROGRAMS) {
        // The mark of Safari's version also stands in the built-in browsers of Android.
        Some("Safari") if system == Some("Android") => Some("Built-in browser"),
        found => found,
    };
    match (program, system) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(program), None) => program.to_owned(),
        (None, Some(system)) => format!("A browser on {system}"),
        (None, None) => {
            let own = user_agent.split(['/', ' ', '(', ';']).next().unwrap_or_default();
            let own: String = own.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
            if own.is_empty() || own == "Mozilla" { "An unknown program".to_owned() } else { own }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_and_programs_are_named_in_plain_words() {
        let windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)";
        let iphone =
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";
        for (agent, name) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (&format!("{windows} Chrome/139.0.0.0 Safari/537.36"), "Chrome on Windows"),
            (&format!("{windows} Chrome/139.0.0.0 Safari/537.36 Edg/139.0.0.0"), "Edge on Windows"),
            (&format!("{windows} Chrome/139.0.0.0 Safari/537.36 OPR/121.0.0.0"), "Opera on Windows"),
            (&format!("{windows} HeadlessChrome/139.0.0.0 Safari/537.36"), "Chrome on Windows"),
            (&format!("{iphone} Version/18.1 Mobile/15E148 Safari/604.1"), "Safari on iPhone"),
            (&format!("{iphone} CriOS/139.0 Mobile/15E148 Safari/604.1"), "Chrome on iPhone"),
            (&format!("{iphone} FxiOS/140.0 Mobile/15E148 Safari/605.1.15"), "Firefox on iPhone"),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (Linux; U; Android 4.0) AppleWebKit/534.30 Version/4.0 Mobile Safari/534.30",
                "Built-in browser on Android",
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/139.0.0.0 Safari/537.36",
                "Chrome on ChromeOS",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64) Something/1", "A browser on Linux"),
            ("curl/8.5.0", "curl"),
            ("python-requests/2.32.3", "Python"),
            ("node", "Node.js"),
            ("my-script/1.2 (by me)", "my-script"),
            ("Mozilla/5.0", "An unknown program"),
            ("", "An unknown program"),
        ] {
            assert_eq!(device_name(agent), name, "{agent}");
        }
    }

    #[test]
    fn an_unknown_name_is_short_and_has_no_odd_characters() {
        let name = device_name(&format!("x\u{7}{}", "y".repeat(200)));
        assert_eq!((name.chars().count(), name.contains('\u{7}')), (LONGEST, false));
    }
}
