/** Who else finds files through the link of a move. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { symlink } from "node:fs/promises";
import { isKind } from "../../../../provider/core/errors.js";
import { checkLink } from "../../../../provider/flows/move/steps/link.js";
import { mourn, watchOver } from "../../../sandbox/processes.js";
import { emptyView } from "../noting-guest.js";
import { MoveScene } from "../scene.js";

let scene: MoveScene;

/** A process that is called so and was started with these words. It does nothing. */
async function started(argv0: string, ...words: string[]): Promise<AsyncDisposable & { pid: number }> {
  const child = watchOver(spawn("sh", ["-c", "echo; read _", ...words], { argv0, stdio: ["pipe", "pipe", "ignore"] }), argv0);
  if (child.stdout) await once(child.stdout, "data");
  return { pid: child.pid ?? 0, [Symbol.asyncDispose]: () => mourn(child, "SIGKILL") };
}

describe("a link", () => {
  beforeEach(async () => {
    scene = await MoveScene.open();
    await symlink("path1", scene.at("link"));
    await scene.write("path1/other.raw");
  });
  afterEach(() => scene[Symbol.asyncDispose]());

  const check = (pid?: number) => {
    const process = pid === undefined ? undefined : { pid, workingDirectory: "/", openFiles: new Set<string>(), openPaths: [] };
    const { site } = scene.site({ process: () => process }, { link: scene.at("link") });
    return checkLink(site, emptyView, [scene.disk()]);
  };

  for (const word of ["file=LINK/other.raw,format=raw", '{"driver":"file","filename":"LINK/other.raw"}'])
    it(`is refused where another guest was started with ${word}`, async () => {
      await using other = await started("qemu-system-test", "-drive", word.replace("LINK", scene.at("link")));
      await assert.rejects(
        check(),
        (thrown) =>
          isKind(thrown, "user") &&
          thrown.message.includes(
            `another guest uses the link ${scene.at("link")} too (process ${other.pid} names ${scene.at("link/other.raw")})`,
          ),
      );
      await check(other.pid); // the guest's own process is asked about its disks
    });

  for (const [title, program, name] of [
    ["this guest's image, which moves", "qemu-system-test", "link/disk.qcow2"],
    ["an image by its own place", "qemu-system-test", "path1/other.raw"],
    ["an image that it reads for a moment", "qemu-img", "link/other.raw"],
    ["a file, and is no QEMU", "editor", "link/other.raw"],
  ] as const)
    it(`is taken where another process was started with ${title}`, async () => {
      await using _ = await started(program, scene.at(name));
      await check();
    });
});
