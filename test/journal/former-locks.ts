/** What 0.1.0 knows of locks, word for word: its runs meet ours for one release. */

import { z } from "zod";

const holder = z.object({ run: z.string(), machine: z.string(), pid: z.int(), born: z.string(), name: z.string() });

/** What it takes for a lock; anything else it refuses as "not as we write it". */
export const schemaOf010 = holder.extend({ places: z.array(z.string()).default([]) });

/** Arguments: the lock, what it would say, what the lock of a run that is gone says. It answers the lock's age, then what it says. */
export const takeOf010 = `
exec 9<"\${1%/*}/" && flock 9 || exit 3
if [ -L "$1" ]; then echo "$1 is a symbolic link" >&2; exit 4; fi
if [ ! -e "$1" ] || { [ -n "$3" ] && [ "$(cat "$1")" = "$3" ]; } || [ "$(cat "$1")" = "$2" ]; then
  new=$(mktemp "$1.XXXXXX") && printf '%s\\n' "$2" >"$new" && sync -- "$new" && mv -f -T -- "$new" "$1" && sync -- "\${1%/*}/" || { rm -f "$new"; exit 5; }
fi
echo $(($(date +%s) - $(stat -c %Y -- "$1")))
cat "$1"`;
