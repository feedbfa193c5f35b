/** A program that copies one layer and prints how far it is, to be killed: `copying-client <source> <destination> <bytes per second>`. */

import { copyLayer } from "../../provider/image/copy.js";
import { copyOptions } from "./files.js";
import { localHost } from "./local-host.js";

const [, , source = "", destination = "", rate = "0", user = "aaaaaaaa"] = process.argv;

async function main(): Promise<void> {
  const progress = (done: number) => console.log(done);
  const outcome = await copyLayer(localHost(), copyOptions(source, destination, { progress, user, maxBytesPerSecond: () => Number(rate) }));
  console.log(outcome);
}

void main();
