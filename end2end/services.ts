// A PostgreSQL and a RabbitMQ of a test's own: `cargo xtask services`, by the program that the test set-up names.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

/** What a server is told of them, as settings in its environment. */
type Addresses = { postgres: string; rabbitmq: string };

/** What is said of an order that was carried out. */
type Done = { done: string; python?: string };

export class Services {
  /** There are none without it. */
  static readonly program = process.env.INSIGHTHUB_TEST_SERVICES;

  private addresses: Addresses = { postgres: "", rabbitmq: "" };
  private readonly said: AsyncIterator<string>;

  private constructor(private readonly child: ChildProcessByStdio<Writable, Readable, null>) {
    this.said = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** Starts them; in some ten seconds. */
  static async start(): Promise<Services> {
    if (!Services.program) throw new Error("INSIGHTHUB_TEST_SERVICES is not set: run `cargo xtask test --only e2e`");
    const services = new Services(spawn(Services.program, ["services"], { stdio: ["pipe", "pipe", "inherit"] }));
    services.addresses = await services.answer<Addresses>();
    return services;
  }

  get env(): Record<string, string> {
    return { DATABASE_URL: this.addresses.postgres, RABBITMQ_URL: this.addresses.rabbitmq };
  }

  /** SIGKILL. Returns when nobody listens there any more. */
  async killBroker(): Promise<void> {
    await this.order("kill rabbitmq");
  }

  /** On the same port and with what it has kept. */
  async startBroker(): Promise<void> {
    await this.order("start rabbitmq");
  }

  /** A Python that runs the example of an outside worker; fetched when it is not there yet. */
  async python(): Promise<string> {
    return (await this.order("python")).python!;
  }

  async end(): Promise<void> {
    const gone = once(this.child, "exit");
    this.child.stdin.end();
    await gone;
  }

  private async order(order: string): Promise<Done> {
    this.child.stdin.write(`${order}\n`);
    const answer = await this.answer<Done>();
    if (answer.done !== order) throw new Error(`"${order}" was answered with "${answer.done}"`);
    return answer;
  }

  /** What it says for people stands between. */
  private async answer<T>(): Promise<T> {
    for (;;) {
      const line = await this.said.next();
      if (line.done) throw new Error("the services ended; their words are above");
      if (line.value.startsWith("{")) return JSON.parse(line.value);
    }
  }
}
