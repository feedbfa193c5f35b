/** The envelopes of the protocol. @see QEMU QMP specification (docs/interop/qmp-spec) */

import { z } from "zod";
import { parseJson } from "../../core/json.js";

const greeting = z.object({ QMP: z.object({}) });
const answer = z.object({ id: z.number(), return: z.unknown() });
const refusal = z.object({ id: z.number().optional(), error: z.object({ class: z.string(), desc: z.string() }) });
const event = z.object({ event: z.string() });

export type Message =
  | { says: "greeting" | "event" }
  | { says: "answer"; id: number; reply: unknown }
  | { says: "refusal"; id: number | undefined; qmpClass: string; words: string }
  | { says: "something else"; start: string };

export function readMessage(text: string): Message {
  const value = parseJson(text);
  const answered = answer.safeParse(value);
  if (answered.success) return { says: "answer", id: answered.data.id, reply: answered.data.return };
  const refused = refusal.safeParse(value);
  if (refused.success) {
    return { says: "refusal", id: refused.data.id, qmpClass: refused.data.error.class, words: refused.data.error.desc };
  }
  if (event.safeParse(value).success) return { says: "event" };
  if (greeting.safeParse(value).success) return { says: "greeting" };
  return { says: "something else", start: JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text) };
}

export function writeCommand(command: string, args: string, id: number): string {
  return `{"execute":${JSON.stringify(command)},"arguments":${args},"id":${id}}\n`;
}

/** Whether QEMU changes nothing on this command, so that no answer leaves nothing behind. */
export function isQuestion(command: string): boolean {
  return /^(query-|qom-get$|qmp_capabilities$|x-debug-query-)/.test(command);
}
