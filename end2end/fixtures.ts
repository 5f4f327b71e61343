// What every browser test stands on: a real server of its own worker with its own data, and a page that tolerates no
// error. Tests import `test` and `expect` from here, never from Playwright.
import { test as base, expect, type BrowserContext, type ConsoleMessage, type Page } from "@playwright/test";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** Hosts of servers that went with their tests. A page may outlive its server by a moment, and miss it. */
const removed = new Set<string>();

/** One `insighthub serve`, with a port and a data folder that stay the same over restarts. */
export class Server {
  private child: ChildProcess | null = null;

  private constructor(
    readonly port: number,
    readonly dir: string,
    private readonly env: Record<string, string>,
    private readonly args: string[],
  ) {}

  static async make(env: Record<string, string> = {}, args = ["serve"]): Promise<Server> {
    return new Server(await freePort(), await mkdtemp(join(tmpdir(), "insighthub-e2e-")), env, args);
  }

  private get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  get url(): string {
    return `http://${this.host}`;
  }

  get isRunning(): boolean {
    return this.child !== null && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Starts it and waits until it says that it is ready. With other arguments it is, this once, another kind of server. */
  async start(args = this.args): Promise<void> {
    if (this.isRunning) throw new Error("the server runs already");
    const binary = process.env.INSIGHTHUB_BIN;
    if (!binary) throw new Error("INSIGHTHUB_BIN is not set: run `cargo xtask test --only e2e`");
    removed.delete(this.host);
    const log = await open(this.logFile, "a");
    const child = spawn(binary, args, {
      cwd: this.dir,
      env: {
        ...process.env,
        INSIGHTHUB_ADDR: this.host,
        INSIGHTHUB_DATA_DIR: join(this.dir, "data"),
        ...this.env,
      },
      stdio: ["ignore", log.fd, log.fd],
    });
    await log.close();
    this.child = child;
    const begun = Date.now();
    for (;;) {
      if (child.exitCode !== null || child.signalCode !== null) {
        this.child = null;
        throw new Error(`the server ended at its start (${child.exitCode ?? child.signalCode}):\n${await this.log()}`);
      }
      if (await this.isReady()) return;
      if (Date.now() - begun > 60_000) throw new Error(`the server was not ready after 60 s:\n${await this.log()}`);
      await delay(50);
    }
  }

  /** SIGKILL: what a power cut or the kernel's memory killer does. Returns when the process is gone. */
  async kill(): Promise<void> {
    await this.end("SIGKILL");
  }

  /** SIGTERM: what an operator does. Returns the exit code. */
  async stop(): Promise<number | null> {
    return this.end("SIGTERM");
  }

  /** The same port and the same data, after `kill` or `stop`. */
  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  /** Ends it for good and removes its data. */
  async remove(): Promise<void> {
    removed.add(this.host);
    await this.end("SIGKILL");
    await rm(this.dir, { recursive: true, force: true });
  }

  /** Everything that it printed, over all its lives. */
  async log(): Promise<string> {
    return readFile(this.logFile, "utf8").catch(() => "");
  }

  private get logFile(): string {
    return join(this.dir, "server.log");
  }

  private async isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.url}/health/ready`)).ok;
    } catch {
      return false; // It does not listen yet.
    }
  }

  private async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.child;
    this.child = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const gone = new Promise<number | null>((resolve) => child.once("exit", resolve));
    child.kill(signal);
    return gone;
  }
}

/** The addresses of the requests that a test barred itself, by the page that made them. */
const barred = new WeakMap<Page, Set<string>>();

/** Lets no such request of the page through while `isBarred`. The browser complains of each, and whether the page comes to make
 * any goes by the time that it has: that these fail is no complaint, that any other does is one. */
export async function bar(page: Page, what: RegExp, isBarred: () => boolean = () => true): Promise<void> {
  const addresses = barred.get(page) ?? new Set<string>();
  barred.set(page, addresses);
  await page.route(what, (route) => {
    if (!isBarred()) return route.continue();
    addresses.add(route.request().url());
    return route.abort();
  });
}

/** Whether all that the browser says is that a request failed which the test barred. */
function isOfBarred(page: Page, message: ConsoleMessage): boolean {
  return message.text().includes("net::ERR_FAILED") && barred.get(page)?.has(message.location().url) === true;
}

/** What the browser complained about on the pages of a test. */
export class Complaints {
  private readonly found: string[] = [];
  private readonly allowed: RegExp[] = [];
  private readonly watched = new WeakSet<Page>();

  /** A complaint that this test provokes on purpose, such as a request that must be refused. */
  allow(pattern: RegExp): void {
    this.allowed.push(pattern);
  }

  watch(page: Page): void {
    if (this.watched.has(page)) return;
    this.watched.add(page);
    page.on("console", (message) => {
      if (message.type() !== "error" || isOfBarred(page, message)) return;
      this.note(`console: ${message.text()} (${message.location().url})`);
    });
    page.on("pageerror", (error) => this.note(`page error: ${error.stack ?? error.message}`));
    page.on("crash", () => this.note(`the page crashed: ${page.url()}`));
  }

  private note(line: string): void {
    if (![...removed].some((host) => line.includes(host))) this.found.push(line);
  }

  /** All pages of a context: a second tab and a pop-up may complain as well. */
  watchAll(context: BrowserContext): void {
    context.on("page", (page) => this.watch(page));
    for (const page of context.pages()) this.watch(page);
  }

  get unexpected(): string[] {
    return this.found.filter((line) => !this.allowed.some((pattern) => pattern.test(line)));
  }
}

type WorkerFixtures = { workerServer: Server };
type TestFixtures = { server: Server; ownServer: Server; complaints: Complaints };

export const test = base.extend<TestFixtures, WorkerFixtures>({
  workerServer: [
    async ({}, use) => {
      const server = await Server.make();
      await server.start();
      await use(server);
      await server.remove();
    },
    { scope: "worker", timeout: 90_000 },
  ],

  // A test that failed between `kill` and `restart` must not take the next one with it.
  server: async ({ workerServer }, use, testInfo) => {
    if (!workerServer.isRunning) await workerServer.restart();
    await use(workerServer);
    if (testInfo.status !== testInfo.expectedStatus) {
      await testInfo.attach("server.log", { body: await workerServer.log(), contentType: "text/plain" });
    }
  },

  /** A server of this test alone, for what would trouble the tests after it. */
  ownServer: async ({}, use) => {
    const server = await Server.make();
    await server.start();
    await use(server);
    await server.remove();
  },

  baseURL: async ({ server }, use) => use(server.url),

  // Every context of the test: its own, and those that it makes in the browser for somebody else.
  complaints: [
    async ({ browser, context }, use) => {
      const complaints = new Complaints();
      complaints.watchAll(context);
      const watch = (made: BrowserContext) => complaints.watchAll(made);
      browser.on("context", watch);
      await use(complaints);
      browser.off("context", watch);
      expect(complaints.unexpected, "the browser's console").toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

/** A name and an address that no other test has. */
export function person(prefix = "reader") {
  const mark = `${Date.now().toString(36)}${Math.floor(Math.random() * 1e6).toString(36)}`;
  return {
    username: `${prefix}-${mark}`,
    email: `${prefix}-${mark}@example.com`,
    password: "Correct-horse-1",
    full_name: "Test Reader",
  };
}

/** Looks in every frame whether it is there. `expect` looks twice a second after its first tries, which adds up over all that
 * nearly every test waits for; it has the last word, and the better words when something is never there. */
export async function soon(page: Page, selector: string, timeout = 30_000): Promise<void> {
  const look = page.waitForFunction((what) => document.querySelector(what) !== null, selector, { timeout });
  const isThere = await look.then(() => true, () => false);
  if (!isThere) await expect(page.locator(selector).first()).toBeAttached({ timeout: 1_000 });
}

/** Waits until the WASM has taken the page over: before that, a click may reach nobody. */
export async function hydrated(page: Page): Promise<void> {
  await soon(page, "html[data-hydrated]");
}

/** Ports that this worker gave out: a server that is down comes back to its own. */
const given = new Set<number>();

/** A port below those that the system hands out, to whoever listens or connects: one of these might be taken while its server
 * is down for a moment. Each worker has a range of its own. */
async function freePort(): Promise<number> {
  const first = 20_000 + 1_000 * Number(process.env.TEST_PARALLEL_INDEX ?? 0);
  for (let tries = 0; tries < 1_000; tries++) {
    const port = first + Math.floor(Math.random() * 1_000);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error("no port");
}

async function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
