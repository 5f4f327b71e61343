// A language model for the browser tests: it speaks the interface of OpenAI and says what the test tells it to, when the test
// lets it.
import { type IncomingMessage, type Server as Http, type ServerResponse, createServer } from "node:http";
import { type AddressInfo } from "node:net";

/** A piece of an answer: words, or a gate that the test opens. */
export type Piece = string | { gate: number };

export class Model {
  private gates = 0;
  private waiting: { gate: number; go: () => void }[] = [];
  /** What was asked, newest last. */
  readonly asked: { messages: { role: string; content: string }[] }[] = [];
  /** What is said to the next question; the last one is kept. */
  answers: Piece[][] = [["On the quay."]];

  private constructor(private readonly http: Http) {}

  static async start(): Promise<Model> {
    const http = createServer();
    const model = new Model(http);
    http.on("request", (request: IncomingMessage, response: ServerResponse) => void model.answer(request, response));
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    return model;
  }

  get env(): Record<string, string> {
    const { port } = this.http.address() as AddressInfo;
    return { LLM_URL: `http://127.0.0.1:${port}`, LLM_MODEL: "words" };
  }

  /** Opens the first gates up to that number. */
  open(gates: number): void {
    this.gates = gates;
    this.waiting.filter(({ gate }) => gate <= gates).forEach(({ go }) => go());
    this.waiting = this.waiting.filter(({ gate }) => gate > gates);
  }

  stop(): void {
    this.http.closeAllConnections();
    this.http.close();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    for await (const part of request) body += part;
    this.asked.push(JSON.parse(body));
    const pieces = this.answers.length > 1 ? this.answers.shift()! : this.answers[0]!;
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const piece of pieces) {
      if (typeof piece === "string") {
        response.write(`data: ${JSON.stringify({ choices: [{ delta: { content: piece } }] })}\n\n`);
      } else if (this.gates < piece.gate) {
        await new Promise<void>((go) => this.waiting.push({ gate: piece.gate, go }));
      }
      if (response.destroyed) return;
    }
    response.end("data: [DONE]\n\n");
  }
}
