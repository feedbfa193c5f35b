/**
 * One resource in one real provider process that lives over all operations: refreshed, checked, compared and updated as an engine does it.
 * A real engine starts a new process for each operation; one that stays shows what it does not give back.
 */

import type { Properties } from "../../provider/core/lifecycle.js";
import { serveEngineLog } from "../engine/engine-log.js";
import { ProviderProcess } from "../engine/provider-process.js";

const type = "pulumi-nodejs:dynamic/livedisk:StorageMigration";
const urn = `urn:pulumi:soak::livedisk-soak::${type}::web`;
/** What the class of a program sends along (provider/resources/storage-migration/resource.ts). */
const __provider = 'exports.handler = () => require("pulumi-livedisk/dynamic").providerFor("StorageMigration")';

export class LastingResource implements AsyncDisposable {
  #state: { id: string; inputs: Properties; outputs: Properties } | undefined;

  private constructor(
    readonly provider: ProviderProcess,
    private readonly close: () => Promise<void>,
  ) {}

  /** @param folder from where `pulumi-livedisk` is found */
  static async start(folder: string, say: (line: string) => void): Promise<LastingResource> {
    const log = await serveEngineLog(({ severity, message }) => severity === "warning" && say(message));
    const provider = await ProviderProcess.start({
      engineAddress: log.address,
      folder,
      project: "livedisk-soak",
      config: {},
      onOutput: say,
    });
    return new LastingResource(provider, async () => {
      await provider.close();
      log.close();
    });
  }

  /** One `up`. @returns the outputs @throws Error of the provider; also if it sees no difference where there is one */
  async up(news: Properties): Promise<Properties> {
    const wanted = { ...news, __provider, __urn: urn };
    const old = await this.#refreshed();
    const { inputs, failures } = await this.provider.check(urn, old?.inputs ?? {}, wanted);
    if (failures.length > 0) throw new Error(failures.map(({ reason }) => reason).join("\n"));
    if (old === undefined) {
      this.#state = { inputs, ...(await this.provider.create(urn, inputs)) };
    } else {
      const { changes, replaces } = await this.provider.diff(urn, old.id, old.outputs, inputs);
      if (changes === "none" || replaces.length > 0) throw new Error(`The difference is "${changes}", and replaces ${replaces}.`);
      this.#state = { id: old.id, inputs, outputs: await this.provider.update(urn, old.id, old.outputs, inputs) };
    }
    return this.#state.outputs;
  }

  async #refreshed() {
    const old = this.#state;
    if (old === undefined) return undefined;
    const { id, outputs, inputs } = await this.provider.read(urn, old.id, { properties: old.outputs, inputs: old.inputs });
    if (id === "") throw new Error("The provider says that the resource is gone.");
    return { id, outputs, inputs: inputs ?? old.inputs };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
