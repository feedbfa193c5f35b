/**
 * A guest without a processor: its IDE disks are written through QEMU's qtest protocol (docs/devel/testing.rst in QEMU's sources), one sector
 * and one cache flush after the other, as a guest would. What QEMU has answered is acknowledged, and must never be lost.
 */

import { connect, type Socket } from "node:net";
import { until } from "../sandbox/command.js";

export const sectorBytes = 512;
/** Of the first record: the sectors before it may hold an image's header in a raw disk. */
const firstSector = 64;

/** Command block and control register of a PC's two IDE channels. */
const channels = [
  { command: 0x1f0, control: 0x3f6 },
  { command: 0x170, control: 0x376 },
] as const;

const statusBusy = 0x80;
const statusDataRequest = 0x08;
const commandWrite = 0x30;
const commandFlush = 0xe7;

class Ended extends Error {}

/** Answers come in the order of the commands. */
export class Qtest {
  readonly #waiting: { resolve(answer: string): void; reject(reason: Error): void }[] = [];
  #partial = "";
  #isOver = false;

  static open(path: string): Promise<Qtest> {
    return new Promise((resolve, reject) => {
      const socket = connect(path, () => resolve(new Qtest(socket))).once("error", reject);
    });
  }

  private constructor(private readonly socket: Socket) {
    socket.on("error", () => {});
    socket.on("close", () => this.#end());
    socket.on("data", (piece) => {
      const lines = (this.#partial + piece.toString()).split("\n");
      this.#partial = lines.pop() ?? "";
      for (const line of lines) if (!line.startsWith("IRQ")) this.#waiting.shift()?.resolve(line);
    });
  }

  ask(line: string): Promise<string> {
    if (this.#isOver) return Promise.reject(new Ended("QEMU has ended."));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.socket.write(`${line}\n`);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  #end(): void {
    this.#isOver = true;
    for (const { reject } of this.#waiting.splice(0)) reject(new Ended("QEMU has ended."));
  }
}

/** Writes one record after the other into one disk, until it is stopped or QEMU ends. */
export class DiskWriter {
  /** Records 0 to this one, without it, are acknowledged. */
  acknowledged = 0;
  #isStopped = false;
  #running: Promise<void>;
  readonly #ports: (typeof channels)[number];

  constructor(
    private readonly qtest: Qtest,
    private readonly disk: number,
  ) {
    const ports = channels[disk];
    if (!ports) throw new Error(`There is no IDE channel ${disk}.`);
    this.#ports = ports;
    this.#running = this.#run();
  }

  /** That many more are acknowledged. */
  async more(count: number): Promise<void> {
    const wanted = this.acknowledged + count;
    await until(
      20,
      () => (this.acknowledged >= wanted ? "yes" : undefined),
      () => `Disk ${this.disk} writes no more: ${this.acknowledged} records.`,
    );
  }

  /** Where it was stopped. */
  go(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    this.#running = this.#run();
  }

  /** After the record that is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      await this.#out(this.#ports.control, 2); // no interrupts
      while (!this.#isStopped) {
        await this.#record(this.acknowledged);
        this.acknowledged++;
      }
    } catch (thrown) {
      if (!(thrown instanceof Ended)) throw thrown;
    }
  }

  async #record(number: number): Promise<void> {
    const { command } = this.#ports;
    const sector = firstSector + number;
    const address = [1, sector, sector >> 8, sector >> 16].map((byte, register) => this.#out(command + 2 + register, byte & 0xff));
    await Promise.all([...address, this.#out(command + 6, 0xe0), this.#out(command + 7, commandWrite)]);
    await this.#status(statusDataRequest);
    const word = wordOf(this.disk, number);
    await Promise.all(Array.from({ length: sectorBytes / 2 }, () => this.qtest.ask(`outw ${command} ${word}`)));
    await this.#status(0);
    await this.#out(command + 7, commandFlush);
    await this.#status(0);
  }

  /** Waits until the drive is not busy, and asks for data or does not. */
  async #status(request: number): Promise<void> {
    for (;;) {
      const [, value = "0"] = (await this.qtest.ask(`inb ${this.#ports.command + 7}`)).split(" ");
      const status = Number(value);
      if ((status & 1) !== 0 && (status & statusBusy) === 0) throw new Error(`Disk ${this.disk} failed a request: status ${value}.`);
      if ((status & (statusBusy | statusDataRequest)) === request) return;
      await new Promise((wake) => setTimeout(wake, 1));
    }
  }

  #out(port: number, value: number): Promise<string> {
    return this.qtest.ask(`outb ${port} ${value}`);
  }
}

/** What a record holds, over and over: no two records of two disks alike. */
function wordOf(disk: number, number: number): number {
  return ((number + 1) * 2 + disk) & 0xffff;
}

/** The acknowledged records that a disk's content does not have. */
export function lostRecords(content: Buffer, disk: number, acknowledged: number): number[] {
  const isThere = (number: number) => {
    const begin = (firstSector + number) * sectorBytes;
    return (
      content.length >= begin + sectorBytes &&
      content.readUInt16LE(begin) === wordOf(disk, number) &&
      content.readUInt16LE(begin + sectorBytes - 2) === wordOf(disk, number)
    );
  };
  return Array.from({ length: acknowledged }, (_, number) => number).filter((number) => !isThere(number));
}
