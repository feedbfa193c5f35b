/** Streams to Unix sockets on a host: forwarded by sshd, else through `socat` or `nc -U` in a session. */

import type { Duplex } from "node:stream";
import { isOurs, messageOf, UnreachableError, UserError } from "../core/errors.js";
import { ChannelStream } from "./channel-stream.js";
import type { Finished } from "./host.js";
import { socatWord } from "./quoting.js";
import { type Account, ScriptSession } from "./script-session.js";
import { refusal } from "./ssh-connection.js";

/** A program in between tells nobody that it has connected. It has failed within this time, or it stands. */
const settledSeconds = 1;

/** Of a Unix socket's address. @see unix(7) */
const addressBytesAtMost = 107;

export interface SocketRoad {
  account: Account;
  run(script: string, args: readonly string[]): Promise<Finished>;
  /** What we have learnt of sshd on this connection. */
  forwarding: "untried" | "works" | "forbidden";
}

/**
 * @throws UserError if there is no socket, nobody listens, or it may not be used
 * @throws UnreachableError if the host does not answer
 */
export async function connectSocket(road: SocketRoad, path: string): Promise<Duplex> {
  if (road.account.privilege === "sudo" || road.forwarding === "forbidden") return throughProgram(road, path);
  const { connection } = road.account;
  try {
    const channel = await connection.forwardSocket(path);
    road.forwarding = "works";
    return new ChannelStream(channel, () => connection.waits.broken);
  } catch (cause) {
    // sshd answers "connect failed" to a forbidden forwarding too (OpenSSH 9.2, serverloop.c server_input_channel_open).
    // A server that is no OpenSSH is not even asked by ssh2: that error has no reason and is none of ours.
    if (refusal(cause) === undefined && isOurs(cause)) throw cause;
    const stream = await throughProgram(road, path, cause);
    // A path that is too long for sshd is a reason of its own.
    if (road.forwarding === "untried" && Buffer.byteLength(path) <= addressBytesAtMost) road.forwarding = "forbidden";
    return stream;
  }
}

/**
 * @host ls, grep, nc
 * @for monitor
 * @does looks whether a monitor's socket can be used, and which of `socat` and `nc` is there; reads /proc/net/unix
 * @changes nothing
 * @as the account
 * @why sshd does not forward the socket, or `privilege` is `sudo`
 */
const look = `
listening() {
  while read -r number references protocol flags type state inode name; do
    [ "$flags $name" = "00010000 $1" ] && return 0
  done </proc/net/unix
  return 1
}
if [ -S "$1" ]; then
  if [ ! -w "$1" ]; then echo denied
  elif command -v socat >/dev/null; then echo socat
  elif command -v nc >/dev/null && nc -h 2>&1 | grep -q -e -U; then
    if nc -h 2>&1 | grep -q -w -e -N; then echo nc-N; else echo nc; fi
  elif listening "$1"; then echo no-program
  else echo nobody
  fi
elif [ -e "$1" ] || [ -L "$1" ]; then echo no-socket
elif ls -d -- "$1" 2>&1 >/dev/null | grep -q 'Permission denied'; then echo denied
else echo missing
fi`;

type Program = "socat" | "nc-N" | "nc";

async function throughProgram(road: SocketRoad, path: string, cause?: unknown): Promise<Duplex> {
  const { stdout } = await road.run(look, [path]);
  const found = stdout.trim();
  if (found !== "socat" && found !== "nc-N" && found !== "nc") throw noWay(road, path, found, cause);
  const session = await startProgram(road, path, found);
  await settled(road, session, path);
  const { waits } = road.account.connection;
  return new ChannelStream(session.channel, () => waits.broken ?? (session.exitStatus ? programFailed(road, path, session) : undefined));
}

/**
 * From its own directory: so long paths fit into an address. `-t`, `-N`: when we close, it closes, and the monitor comes free.
 *
 * @host socat, nc
 * @for monitor
 * @does joins our session with the monitor's socket as long as the session lasts
 * @changes nothing by itself
 * @as the account
 * @why a forwarded socket is opened by the account that signs in, and some sshd forbid forwarding
 */
const programs: Readonly<Record<Program, string>> = {
  socat: `cd -- "$1" && exec socat -t 2 - "UNIX-CONNECT:./$3"`,
  "nc-N": `cd -- "$1" && exec nc -N -U "./$2"`,
  nc: `cd -- "$1" && exec nc -U "./$2"`,
};

function startProgram(road: SocketRoad, path: string, program: Program): Promise<ScriptSession> {
  const cut = path.lastIndexOf("/");
  const name = path.slice(cut + 1);
  return ScriptSession.start(road.account, programs[program], [path.slice(0, cut) || "/", name, socatWord(name)]);
}

/** @throws UserError if the program ends before anything came through it */
function settled(road: SocketRoad, session: ScriptSession, path: string): Promise<void> {
  const { channel } = session;
  let stopListening = () => {};
  return road.account.connection.waits
    .wait<void>(
      settledSeconds + 1,
      () => programFailed(road, path, session),
      ({ resolve, reject }) => {
        const over = () => reject(programFailed(road, path, session));
        const timer = setTimeout(resolve, settledSeconds * 1000);
        // "readable" and not "data": what has come stays in the stream. It is also said at the end, which read(0) then makes known.
        const spoke = () => (channel.readableLength > 0 ? resolve() : channel.read(0));
        channel.once("close", over).on("readable", spoke);
        stopListening = () => {
          clearTimeout(timer);
          channel.off("close", over).off("readable", spoke);
        };
      },
    )
    .finally(() => stopListening());
}

function programFailed(road: SocketRoad, path: string, session: ScriptSession): Error {
  const words = session.complaints.trim();
  // connect(2)'s own words, by socat and nc alike; LC_ALL is C there.
  if (words.endsWith("Connection refused")) return noWay(road, path, "nobody", new Error(words));
  if (words.endsWith("Permission denied")) return noWay(road, path, "denied", new Error(words));
  const said = words === "" ? `the program in between ended with status ${session.exitStatus ?? "unknown"}` : words;
  return new UserError(`${unable(road, path)}: ${said}. Check that the guest runs and that its monitor is at this path.`);
}

function noWay(road: SocketRoad, path: string, found: string, cause: unknown): Error {
  const { user, connection } = road.account;
  const refuse = (why: string) => new UserError(`${unable(road, path)}: ${why}`, cause === undefined ? {} : { cause });
  switch (found) {
    case "missing":
      return refuse("there is no such socket. Check the path, and that the guest runs.");
    case "no-socket":
      return refuse("it is not a socket. Give the path of the guest's QMP socket (-qmp unix:…,server=on,wait=off).");
    case "nobody":
      return refuse("nobody listens there, the socket is left from a guest that has ended. Start the guest.");
    case "denied":
      return refuse(`${user} may not use it. Give the account access to it, or set \`privilege: "sudo"\`.`);
    case "no-program": {
      const why = cause === undefined ? "" : `its sshd does not forward it (${messageOf(cause)}), and `;
      const advice = `Install socat on ${connection.name}, or set AllowStreamLocalForwarding yes in its sshd_config.`;
      return refuse(`${why}there is neither \`socat\` nor \`nc -U\`. ${advice}`);
    }
    default:
      return new UnreachableError(`${unable(road, path)}: what is there could not be found out, the host said "${found}".`, { cause });
  }
}

function unable(road: SocketRoad, path: string): string {
  return `Unable to connect to ${path} on ${road.account.connection.name}`;
}
