// Which Chromium, and how it is started: one answer for the tests and for the benches.
import { existsSync } from "node:fs";

/** The system's browser, where there is one, without a window's frame if it can be had so; otherwise Playwright's own. */
export function executablePath() {
  const places = [process.env.INSIGHTHUB_CHROMIUM, "/usr/bin/chromium-headless-shell", "/usr/bin/chromium"];
  return places.find((path) => path && existsSync(path));
}

/** Nothing but the pages under test: no updates, no look-ups of its own, which a closed network would refuse. */
export function launchOptions() {
  const quiet = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
  ];
  // Chromium's sandbox refuses to run as root.
  const asRoot = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return { executablePath: executablePath(), args: [...quiet, ...asRoot] };
}
