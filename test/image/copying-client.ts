/**
 * A program that copies one layer and prints how far it is, to be killed:
 * `copying-client <host arguments as JSON> <source> <destination> <bytes per second> <disk>`.
 */

import { closeAllHosts } from "../../provider/host/connection.js";
import { hostArgs } from "../../provider/host/target.js";
import { copyLayer } from "../../provider/storage/directory/copy.js";
import { connectHost } from "../world.js";
import { copyOptions } from "./files.js";

const [, , host = "", source = "", destination = "", rate = "0", user = ""] = process.argv;

async function main(): Promise<void> {
  const connected = await connectHost(hostArgs.parse(JSON.parse(host)), {});
  const progress = (done: number) => console.log(done);
  const outcome = await copyLayer(connected, copyOptions(source, destination, { progress, user, maxBytesPerSecond: () => Number(rate) }));
  console.log(outcome);
  await closeAllHosts();
}

void main();
