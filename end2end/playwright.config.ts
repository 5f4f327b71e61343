// The browser tests: two workers, each with a server of its own, Chromium only, no second try. A test that passes only at a second try is a failure that
// somebody will meet. `cargo xtask test --only e2e` builds what they need and runs them.
import { defineConfig } from "@playwright/test";
import { launchOptions } from "./chromium.mjs";

export default defineConfig({
  testDir: "./tests",
  // Specs that need no JavaScript run with and without it; those that do are named `*.hydrate.spec.ts`.
  projects: [
    { name: "hydrated" },
    { name: "no-js", testIgnore: "**/*.hydrate.spec.ts", use: { javaScriptEnabled: false } },
  ],
  forbidOnly: !!process.env.CI,
  // By the test and not by the file, or one worker would wait for the other's longest file.
  fullyParallel: true,
  workers: 2,
  retries: 0,
  // The model is loaded and real documents are embedded on two cores. These are limits and no goals: what a test waits for is
  // there long before, and a machine with other work on it may take its time.
  timeout: 240_000,
  expect: { timeout: 30_000 },
  reporter: [["list"], ["json"]],
  outputDir: "./test-results",
  use: {
    locale: "en-GB",
    timezoneId: "UTC",
    viewport: { width: 1280, height: 800 },
    // A trace takes a picture of the whole page at each step, whether or not the test fails: a third of the time of a run.
    trace: process.env.INSIGHTHUB_TRACE ? "retain-on-failure" : "off",
    screenshot: "only-on-failure",
    launchOptions: launchOptions(),
  },
});
