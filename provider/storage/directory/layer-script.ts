/**
 * The script behind {@link LayerShell}: it does one small thing for each line it reads, holds the lock for its whole life,
 * and ends by itself when its input ends. Arguments: the layer, its source, the backing name to write and its format.
 *
 * Answers are `ok …`, `failed <words>`, or lines up to a single `.`.
 */

import { identityPart } from "./file-seen.js";

// dash's echo reads backslashes: only printf prints what it is given
const preludePart = `
set -u
export LC_ALL=C
umask 022
layer=$1 source=$2 backing=$3 backing_format=$4
record=$layer.lm-layer folder=\${layer%/*}/ partial= from= to=

failed() { printf 'failed %s\\n' "$(printf %s "$1" | tr '\\n' ' ')"; }
try() { if words=$("$@" 2>&1 </dev/null); then printf 'ok\\n'; else failed "$words"; fi; }
# of a link it is the link's own, so that a planted one is seen
${identityPart}`;

// fd 7 is a try, fd 9 the lock. Every dd inherits fd 9: one that outlives this shell still holds the lock.
const lockingPart = `
# either its holder has just removed it, or nobody can open it: a storage that turned read-only takes no lock
unopened() {
  words=$( (exec 7<>"$record") 2>&1 ) || [ ! -e "$record" ] || { failed "it cannot be opened (\${words##*: }); mend that"; return; }
  printf 'busy\\n'
}
lock() {
  command -v flock >/dev/null || { failed 'flock is missing: install the package util-linux'; return; }
  if [ ! -e "$record" ] && [ ! -L "$record" ]; then
    [ "$1" = make ] || { printf 'absent\\n'; return; }
    words=$(dd if=/dev/null of="$record" conv=excl status=none 2>&1) || [ -e "$record" ] || { failed "$words"; return; }
  fi
  [ -f "$record" ] && [ ! -L "$record" ] || { printf 'foreign\\n'; return; }
  [ -r "$record" ] || { failed 'it cannot be read'; return; }
  # NFS locks want a file that is open for writing
  if [ -w "$record" ]; then command exec 7<>"$record"; else command exec 7<"$record"; fi || { unopened; return; }
  # the file may have been replaced or removed between its opening and its locking
  flock -n 7
  case $? in 0) ;; 1) exec 7<&-; printf 'busy\\n'; return ;; *) exec 7<&-; failed 'the file system there has no locks (flock)'; return ;; esac
  if [ "$(stat -L -c %d:%i /dev/fd/7)" = "$(stat -c %d:%i -- "$record" 2>/dev/null)" ]; then
    exec 9<&7 7<&-
    printf 'locked\\n'
  else
    exec 7<&-
    printf 'busy\\n'
  fi
}

replace_record() {
  rm -f -- "$record.new"
  printf %s "$1" | dd of="$record.new" conv=excl,fsync status=none || { rm -f -- "$record.new"; return 1; }
  # locked before it gets the name: whoever opens it there finds it taken
  command exec 7<>"$record.new" && flock -n 7 && mv -f -T -- "$record.new" "$record" || return 1
  exec 9<&7 7<&-
  sync "$folder"
}
write_record() {
  text=
  while IFS= read -r line || exit; do
    [ "$line" = . ] && break
    text="$text$line
"
  done
  # not in a subshell: the new lock has to stay with this one
  errors=$(mktemp) || { failed 'no temporary file can be made'; return; }
  if replace_record "$text" 2>"$errors"; then printf 'ok\\n'; else failed "$(cat "$errors")"; fi
  rm -f "$errors"
}

look() {
  printf 'layer '; identity -- "$layer"
  printf 'source '; identity -L -- "$source"
  [ ! -s "$record" ] || head -c 65536 -- "$record" | awk '{ print "| " $0 }'
  printf '.\\n'
}
`;

/**
 * Prints offset and length of each run of data in file `$1`, holes shorter than `$2` bytes included, then a dot. An answer that does not
 * tell of the whole file fails: what it leaves out would pass for a hole, and be zeros in the copy.
 */
export const mapData = `
map_data() {
  command -v qemu-img >/dev/null || { printf 'failed qemu-img is missing: install the package qemu-utils\\n'; return; }
  { qemu-img map -U -f raw --output=json -- "$1" 2>&1 || printf 'status %s\\n' $?; } | awk -v gap="$2" -v size="$(stat -L -c %s -- "$1")" '
    function number(key) { match($0, "\\"" key "\\": *[0-9]+"); s = substr($0, RSTART, RLENGTH); sub(/.*: */, "", s); return s + 0 }
    function flush() { if (end > 0) printf "%.0f %.0f\\n", start, end - start }
    /"start":/ {
      told += number("length")
      if ($0 !~ /"data": *true/) next
      at = number("start"); upto = at + number("length")
      if (end > 0 && at - end < gap) { end = upto; next }
      flush(); start = at; end = upto; next
    }
    { words = words " " $0 }
    /^status/ { broken = 1 }
    END {
      if (broken) print "failed" words
      else if (size == "" || told < size + 0) printf "failed qemu-img tells of %.0f of %s bytes:%s\\n", told, size, substr(words, 1, 200)
      else { flush(); print "." }
    }'
}
`;

const copyingPart = `
create() { (umask 077; exec dd if=/dev/null of="$partial" conv=excl status=none) && truncate -c -s "$1" "$partial"; }
# what a step that answers \`ok\` made
show() { case $1 in ok) identity -- "$2" ;; *) printf '%s\\n' "$1" ;; esac; }

# nocreat, and truncate -c: where the folder's file system was unmounted, nothing may come into being in what lies below it
# the same bytes that are copied anyway, so a partial that is continued keeps what it has
probe() {
  dd if="$source" of=/dev/null bs=4096 count=1 iflag=direct status=none 2>/dev/null && from=direct,
  dd if="$source" of="$partial" bs=4096 count=1 oflag=direct conv=nocreat,notrunc status=none 2>/dev/null && to=direct,
  printf 'ok\\n'
}

# dd's buffer in huge pages, where the kernel gives them to who asks (glibc 2.35 and later): a direct transfer is then a few long segments
# for the device, not one a page of 4 KiB
huge=\${GLIBC_TUNABLES:+$GLIBC_TUNABLES:}glibc.malloc.hugetlb=1
copy() { # how much is read and how much is written at a time, then offset and length of each piece
  reads=$1 writes=$2; shift 2
  while [ $# -gt 1 ]; do
    read=$reads write=$writes in=$from out=$to
    [ "$2" -ge "$read" ] || read=$2
    [ "$2" -ge "$write" ] || write=$2
    [ $(($2 % 4096)) -eq 0 ] || in= out=
    GLIBC_TUNABLES=$huge dd if="$source" of="$partial" ibs="$read" obs="$write" iflag="\${in}fullblock,skip_bytes,count_bytes" \\
      oflag="\${out}seek_bytes" skip="$1" count="$2" seek="$1" conv=nocreat,notrunc,sparse status=none || return 1
    shift 2
  done
}

# gives back what a piece that found no room has taken, so that the record can be written
cut_off() { truncate -c -s "$1" "$partial" && truncate -c -s "$2" "$partial"; }

dress() {
  truncate -c -s "$1" "$partial" &&
  { [ -z "$backing" ] || qemu-img rebase -u -f qcow2 -F "$backing_format" -b "$backing" -- "$partial"; } &&
  cp --attributes-only --preserve=mode,ownership -- "$source" "$partial" &&
  # a label or an ACL that the file system cannot hold is found out by QEMU's own probe of the folder
  { cp --attributes-only --preserve=xattr -- "$source" "$partial"
    cp --attributes-only --preserve=context -- "$source" "$partial"
    sync "$partial"; } 2>/dev/null
}

place() {
  if ! ln -T -- "$partial" "$layer"; then
    # a file system without hard links
    [ ! -L "$layer" ] && [ ! -e "$layer" ] && mv -n -T -- "$partial" "$layer" && [ ! -e "$partial" ] || return 1
  fi
  rm -f -- "$partial"
  sync "$folder"
}

remove() {
  identity -- "$1" >/dev/null
  case $seen in
    none) ;;
    "unknown "*) printf '%s\\n' "$seen"; return 1 ;;
    *) set -- "$1" "$2" $seen; [ "$4" != "$2" ] || rm -f -- "$1" ;;
  esac
}
`;

const loopPart = `
while IFS= read -r line; do
  set -f; set -- $line
  verb=$1; shift
  case $verb in
    lock) lock "$1" ;;
    look) look ;;
    record) write_record ;;
    partial) partial=$layer.lm-partial-$1; identity -- "$partial" ;;
    create) show "$(try create "$1")" "$partial" ;;
    clone) try cp --reflink=always -- "$source" "$partial" ;;
    map) map_data "$source" "$1" ;;
    probe) probe ;;
    copy) try copy "$@" ;;
    cut-off) try cut_off "$1" "$2" ;;
    sync) try sync "$partial" ;;
    dress) try dress "$1" ;;
    place) show "$(try place)" "$layer" ;;
    free) words=$(stat -f -c '%a %S' -- "$folder" 2>&1) && printf '%s\\n' "$words" || failed "$words" ;;
    discard) try remove "$partial" "$1" ;;
    remove) try remove "$layer" "$1" ;;
    forget) try rm -f -- "$record" "$record.new" ;;
    settle) try sync "$folder" ;;
    *) failed "the verb $verb is unknown" ;;
  esac
done
`;

/**
 * @host flock, dd, mktemp, mv, cat, rm, sync, stat, head, awk, tr
 * @for locks
 * @does locks the sidecar of a layer for as long as it is copied, and writes into it how far the copy is
 * @changes the sidecar (`.lm-layer`) beside the copied layer
 * @as the account
 * @why several disks may stand on one layer, and a copy that was cut goes on where it stopped
 * @host qemu-img, awk, stat, dd, truncate, cp, sync
 * @for copying
 * @does copies a layer: `qemu-img map` of its data, then `cp --reflink`, or `dd` piece by piece, past the cache where it can; then its
 *   size, its backing name (`qemu-img rebase -u`), owner, mode and attributes
 * @changes a partial file (`.lm-partial-…`), made exclusively with mode 0600; the source is only read
 * @why layers that no guest writes to need no job of QEMU
 * @host ln, mv, rm, sync
 * @does gives the finished copy its name, never over another file
 * @changes the copied layer
 * @why a name that is there is a copy that is complete
 * @host stat, rm, sync
 * @for clean-up
 * @does removes a partial or a layer, if it is the inode that the sidecar records as ours; and the sidecar
 * @changes files that a copy made, when the last move that stands on them is undone
 * @why an undone move leaves nothing
 */
export const layerScript = preludePart + lockingPart + mapData + copyingPart + loopPart;
