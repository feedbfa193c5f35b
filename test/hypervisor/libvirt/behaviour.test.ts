import { behavesInMoves, type Subject } from "../behaviour.js";
import { LibvirtStage } from "./stage.js";

behavesInMoves("a guest that libvirt manages", async (): Promise<Subject> => {
  const stage = await LibvirtStage.open();
  const { destination: _, ...args } = stage.arguments;
  return {
    at: (...names) => stage.at(...names),
    arguments: { ...args, afterwards: "delete" },
    active: async () => (await stage.places()).live ?? "",
    waitForRecords: (more) => stage.guest.waitForRecords(more),
    async restart() {
      await stage.guest.destroy();
      await stage.guest.boot();
    },
    async endsWithAll(image) {
      await stage.guest.destroy();
      await stage.holdsAll(image);
    },
    [Symbol.asyncDispose]: () => stage[Symbol.asyncDispose](),
  };
});
