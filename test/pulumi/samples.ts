/** Small lifecycles, each for one thing that can go wrong, loaded by the real provider process through `providerText`. */

import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { setImmediate, setTimeout as wait } from "node:timers/promises";
import type { dynamic } from "@pulumi/pulumi";
import { UserError } from "../../provider/core/errors.js";
import { gone, type Lifecycle, type Run, Unfinished } from "../../provider/core/lifecycle.js";
import { adapt } from "../../provider/pulumi/adapter.js";

/** The text in `__provider` that makes the provider process load the sample `name`. */
export function providerText(name: string): string {
  return `exports.handler = () => require(${JSON.stringify(__filename)}).providerFor(${JSON.stringify(name)})`;
}

const providers = new Map<string, dynamic.ResourceProvider>();

export function providerFor(name: string): dynamic.ResourceProvider {
  const provider = providers.get(name) ?? adapt({ ...plainDisk, ...samples[name] });
  providers.set(name, provider);
  return provider;
}

/** What a host may say: it clears a terminal, goes back to the line's start, turns text around, and is a command of three CIs' logs. */
export const hostileWords = "\u001b[2J\r\n::error file=a::gone \u009b\u202edetrever ##[error]b ##vso[task.complete]c \u2028";

/** Does everything right. */
const plainDisk: Lifecycle = {
  check: (_olds, news) => ({ inputs: { storage: "/path1", ...news }, failures: [] }),
  diff: (_id, olds, news) => ({ changes: olds.storage === news.storage ? false : undefined, replaces: [] }),
  create: async (inputs) => ({ id: "d1", outputs: { seen: Object.keys(inputs) } }),
  read: async (id, outputs) => ({ id, outputs, inputs: { storage: "/path9" } }),
  update: async () => ({ outputs: { running: true } }),
  delete: async () => {},
};

const samples: Record<string, Partial<Lifecycle>> = {
  plain: {},
  numericCode: {
    read: () => Promise.reject(Object.assign(new Error("ssh ended with 5"), { code: 5, details: "leaked", metadata: {} })),
    delete: () => Promise.reject(new UserError("Unable to end the move of vda: the disk is full. Free space.")),
  },
  notAnError: {
    create: () => Promise.reject("a text"),
    check: () => {
      throw undefined;
    },
  },
  odd: { create: async () => ({ id: "d1", outputs: { absent: undefined, inner: [{ absent: undefined, kept: null }] } }) },
  date: { create: async () => ({ id: "d1", outputs: { inner: [{ at: new Date(0) }] } }) },
  gone: { read: async () => gone },
  unfinished: {
    create: () => Promise.reject(new Unfinished("d1", { phase: "copying", absent: undefined }, new UserError("Unable to finish."))),
    update: () => Promise.reject(new Unfinished("d1", { phase: "copying" }, new Error("an ssh exit status of 5"))),
  },
  hangs: { create: () => new Promise(() => {}) },
  repeatsItself: {
    create: (_inputs, run) =>
      new Promise(() => {
        setInterval(() => run.progress("vda copying 43 %"), 50).unref();
      }),
  },
  throwsElsewhere: {
    create: () =>
      new Promise(() => {
        setImmediate().then(() => {
          throw new Error("read ECONNRESET");
        });
      }),
  },
  untilStopped: {
    async create(inputs, run) {
      run.progress("waiting");
      await once(run.stop, "abort");
      writeFileSync(String(inputs.mark), "stopped");
      throw new Unfinished("d1", {}, new UserError("Unable to go on: stopped."));
    },
    /** Takes its time on a busy host before it sees that it may not begin. */
    async update(_id, _olds, _news, run) {
      await wait(700);
      throw new Unfinished("d1", {}, new UserError(run.stop.aborted ? "Stopped as asked." : "It goes on."));
    },
  },
  talkative: {
    async create(_inputs, run) {
      await countTo(1000, run);
      run.say("warning", "vda has bitmaps");
      return { id: "d1", outputs: {} };
    },
  },
  retells: {
    check: (_olds, news) => ({ inputs: news, failures: [{ property: "disk", reason: `It is ${hostileWords}.` }] }),
    async create(_inputs, run) {
      run.progress(`::group::${hostileWords}`);
      run.say("warning", `::set-output name=a::${hostileWords}`);
      throw new Unfinished("d1", {}, new UserError(`Unable to move vda: QEMU answered "${hostileWords}". Run again.`));
    },
    delete: () => Promise.reject(new UserError(`Unable to end the move of vda: ${hostileWords}. Free space.`)),
    update: () => Promise.reject(new TypeError(`no ${hostileWords}`)),
  },
  signsIn: { create: async (_inputs, run) => ({ id: "d1", outputs: { keyLength: run.credentials.privateKey?.length, urn: run.urn } }) },
};

async function countTo(last: number, run: Run): Promise<void> {
  for (let count = 1; count <= last; count++) {
    run.progress(`copied ${count}`);
    if (count % 100 === 0) await setImmediate();
  }
}
