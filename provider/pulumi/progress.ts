/** Lines to the engine: how far long work has come, and warnings, each on its resource's own line. A lost line never fails a lifecycle. */

import { createRequire } from "node:module";
import type * as Grpc from "@grpc/grpc-js";
import { EngineClient } from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb.js";
import { plainLine } from "./plain-text.js";

export interface Line {
  severity: "debug" | "info" | "warning";
  text: string;
  urn: string;
  /** An ephemeral line shows the present and is not kept. */
  lasting: "ephemeral" | "kept";
}

/** Takes one line; resolves when it has arrived or is lost, and never rejects. */
export type Sink = (line: Line) => Promise<void>;

/**
 * The engine, whose address is the last argument of a provider process (flags may precede it); else standard error.
 * Standard output is not ours: its first line is the provider's port.
 */
export function engineSink(argv: readonly string[]): Sink {
  const address = argv.at(-1) ?? "";
  return /^[^\s/]+:\d+$/.test(address) ? logTo(address) : printLine;
}

const lostAfterMs = 5000;

function logTo(address: string): Sink {
  // grpc-js is the SDK's dependency, not ours: strict package managers let only the SDK find it.
  const grpc: typeof Grpc = createRequire(require.resolve("@pulumi/pulumi"))("@grpc/grpc-js");
  const client = new EngineClient(address, grpc.credentials.createInsecure());
  return (line) =>
    new Promise((resolve) => {
      client.log(requestFor(line), new grpc.Metadata(), { deadline: Date.now() + lostAfterMs }, () => resolve());
    });
}

const severities = { debug: LogSeverity.DEBUG, info: LogSeverity.INFO, warning: LogSeverity.WARNING } as const;

function requestFor(line: Line): LogRequest {
  return new LogRequest()
    .setSeverity(severities[line.severity])
    .setMessage(line.text)
    .setUrn(line.urn)
    .setEphemeral(line.lasting === "ephemeral");
}

async function printLine(line: Line): Promise<void> {
  if (line.severity !== "debug") console.error(`${line.urn.split("::").at(-1)}: ${line.text}`);
}

const minimumGapMs = 500;
const farewellMs = 500;

/** The lines of one call on one resource. */
export class ResourceLog {
  #waiting: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sentAt = Number.NEGATIVE_INFINITY;
  readonly #underWay = new Set<Promise<void>>();

  constructor(
    readonly sink: Sink,
    readonly urn: string,
  ) {}

  /** Shows `text` on the resource's line, at most twice a second; the latest wins. */
  progress(text: string): void {
    this.#waiting = text;
    const dueMs = this.#sentAt + minimumGapMs - performance.now();
    if (dueMs <= 0) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), dueMs).unref();
  }

  /** Writes a line that stays. */
  say(severity: Line["severity"], text: string): void {
    this.#send({ severity, text, urn: this.urn, lasting: "kept" });
  }

  /** Sends the last progress, and gives lines under way half a second to arrive: the answer may be the process's last act. */
  async settle(): Promise<void> {
    this.#flush();
    if (this.#underWay.size === 0) return;
    const farewell = Promise.withResolvers<void>();
    const timer = setTimeout(farewell.resolve, farewellMs);
    await Promise.race([Promise.all(this.#underWay), farewell.promise]);
    clearTimeout(timer);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting === undefined) return;
    this.#sentAt = performance.now();
    this.#send({ severity: "info", text: this.#waiting, urn: this.urn, lasting: "ephemeral" });
    this.#waiting = undefined;
  }

  #send(line: Line): void {
    const sent = this.sink({ ...line, text: plainLine(line.text) }).finally(() => this.#underWay.delete(sent));
    this.#underWay.add(sent);
  }
}
