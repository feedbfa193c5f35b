import { mkdir, realpath, symlink } from "node:fs/promises";
import { Stage } from "../../storage-migration/stage.js";
import { behavesInMoves, type Subject } from "../behaviour.js";

behavesInMoves("a guest with a monitor of its own", async (): Promise<Subject> => {
  const stage = await Stage.open({
    disks: async (at) => {
      await symlink(at("path1"), at("disks"));
      return [{ storage: at("path1"), through: at("disks") }];
    },
  });
  await mkdir(stage.at("path2"), { recursive: true });
  const { destination: _, ...args } = stage.arguments;
  return {
    at: (...names) => stage.at(...names),
    arguments: { ...args, link: stage.at("disks"), afterwards: "delete" },
    active: async () => realpath(await stage.operator.activeImage("vda")),
    waitForRecords: (more) => stage.guest.waitForRecords(more),
    restart: () => stage.reboot(),
    async endsWithAll(image) {
      await stage.guest.stop();
      await stage.holdsAll(image);
    },
    [Symbol.asyncDispose]: () => stage[Symbol.asyncDispose](),
  };
});
