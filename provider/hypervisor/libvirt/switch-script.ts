/**
 * The switch of a guest that libvirt manages, as one script on the host: once told to go, it needs nobody. So a run that is cut,
 * killed or disconnected in the switch changes nothing about how it ends.
 *
 * Arguments: libvirt's URI, the domain's UUID as a word of virsh's, the commands of virsh that record that the guest is suspended, that
 * end the record, and that ask for it, the UUID itself; then for every disk its target (`vda`), the two manifests, the image that goes stale, its quarantine name (or nothing: it
 * keeps its name), the image that the job ends on as virsh lists it, the command that makes its persistent definition name that (or nothing),
 * and its target as a word of virsh's.
 * Beside each manifest lie `.next`, what it shall say, and `.back`, what it says now; beside the first `.turn`, which is locked as long
 * as the script or its watchdog runs: so that a later run does not act before it is over.
 *
 * It says `armed`; understands `go` for 30 s; answers `switched <ms>` or `failed <ms> <words>`. The guest's writes wait while it is suspended:
 * until it is let go again, the source and the target hold the same. If that takes 10 s, the watchdog lets it go where it is, and
 * no pivot is begun after that. Script and watchdog each try, for at most a day, until libvirt says that the guest runs: also if the other has seen
 * that already, for the suspend may come late, and after the watchdog's resume. If libvirtd ends meanwhile, nobody can let the guest go, and
 * nobody but libvirtd knows whether its pivot happened: then the script waits for it, looks, and only then puts the records right and lets the
 * guest go. If both are killed, the guest stays suspended, and its record tells the next run.
 */

import { virshTalk } from "./virsh-talk.js";

/**
 * @host virsh, virsh domstate, virsh domjobinfo, virsh metadata, virsh suspend, virsh blockjob, virsh domblklist, virsh resume, virsh
 *   hostname
 * @for switching
 * @does suspends the guest, pivots its jobs, looks where each disk is, corrects the persistent definition (`update-device --config`),
 *   resumes the guest; goes on to its end also if our run is killed, with a watchdog, for at most a day
 * @changes the guest is suspended for a moment; which image takes its writes; an element in the running domain's metadata as long as it
 *   is suspended; the persistent definition
 * @as the account; libvirtd does what virsh asks
 * @why while the guest is suspended both sides are the same, so that the manifests can say which one is right
 * @host mv, sync, mktemp, mkfifo, mkdir, rmdir, rm, flock, sh, cat, date, sleep, timeout, tr
 * @does holds locks, writes the manifests down, renames the former image, syncs; pipes in a temporary directory join it with virsh
 * @changes manifests, the name of the former image; a lock file in /run, or in ~/.pulumi-livedisk, which stays; a temporary directory,
 *   removed at the end
 * @as the account
 * @why a run that is cut in a switch changes nothing about how it ends; two switches of one guest would take each other's suspended guest
 *   for somebody else's
 */
export const managedSwitchScript = `
trap '' HUP INT TERM PIPE
uri=$1 domain=$2 begin_record=$3 end_record=$4 ask_record=$5 uuid=$6
shift 6
disk=$8 # the first one's word: any disk of the guest will do where virsh-talk.ts asks libvirt about a job, to wait for QEMU
room=$(mktemp -d) && mkfifo "$room/own-in" "$room/own-out" "$room/dog-in" "$room/dog-out" "$room/held" "$room/got" || exit 1
pipe=$room/own
exec 5<>"$room/got" 6<>"$room/held"
now() { date +%s%N; }
# as long as this script or its watchdog lives, whatever becomes of them, each lock is held by a cat that waits for what is never said
hold() {
  { flock -w 60 "$1" sh -c 'echo held >&5; exec cat "$1" 5>&-' sh "$room/held"; echo failed >&5; } 6>&- </dev/null >/dev/null 2>&1 &
  IFS= read -r got <&5
  [ "$got" = held ] || { echo "failed 0 $1 cannot be locked: another switch is under way"; rm -rf -- "$room"; exit 0; }
}
hold_turns() {
  while [ $# -gt 0 ]; do
    hold "$2.turn"
    shift 8
  done
}
# One switch of a domain at a time, whichever disks it is about: each would take the other's suspended guest for somebody else's, and there is one record.
hold_domain() {
  places=/run
  [ -w /run ] || { places=$HOME/.pulumi-livedisk; mkdir -m 700 "$places" 2>/dev/null; }
  place=$places/pulumi-livedisk-$uuid.switch
  if [ ! -O "$places" ] || [ -L "$places" ] || [ -L "$place" ]; then
    echo "failed 0 $place cannot be locked: that, or its folder, is a link or somebody else's"
    rm -rf -- "$room"
    exit 0
  fi
  hold "$place"
}
hold_turns "$@"
hold_domain
${virshTalk}
talk

end() { # the answer, in one line
  printf '%s %s %s\\n' "$1" "$(((\${resumed_at:-$(now)} - began) / 1000000))" "$(printf %s "$2" | tr '\\n' ' ')"
  mkdir "$room/let-go"
  # one that talks to libvirt already ends its round first: so none of its resumes arrives when the locks are free
  if mkdir "$room/over" 2>/dev/null; then kill "$dog"; else wait "$dog"; fi 2>/dev/null
  rm -rf -- "$room"
  exit 0
}

settle() ( # fsync of every manifest and its directory
  left=$#
  while [ $left -gt 0 ]; do
    set -- "$@" "$2" "$3" "\${2%/*}/" "\${3%/*}/" "\${4%/*}/"
    shift 8
    left=$((left - 8))
  done
  # libvirt writes definitions whole and synced; that their new name lasts is for us to see to
  for place in /etc/libvirt/qemu/ "$HOME/.config/libvirt/qemu/"; do [ ! -d "$place" ] || set -- "$@" "$place"; done
  exec sync -- "$@"
)

write_down() {
  while [ $# -gt 0 ]; do
    mv -T -- "$2.next" "$2" && mv -T -- "$3.next" "$3" || return 1
    shift 8
  done
}
set_back() {
  while [ $# -gt 0 ]; do
    [ ! -e "$2.back" ] || mv -T -- "$2.back" "$2"
    [ ! -e "$3.back" ] || mv -T -- "$3.back" "$3"
    shift 8
  done
}

# of a disk that has moved: where the next start finds it
define() {
  [ -n "$7" ] || return 0
  insist "domblklist --inactive $domain" "$1"
  [ "$path" = "$6" ] || ask "$7" || failed="$failed the persistent definition of $1:$words;"
}
# one disk: pivot, and what libvirt did is looked at, not believed; then the next start's definition, then the stale name
pivot() {
  if ! mkdir "$room/turn-$1" 2>/dev/null || [ -d "$room/over" ]; then failed="$failed $1: it took too long, the guest was let go before;"; set_back "$@"; return; fi
  ask "blockjob --pivot $domain $8"; refused=$words
  if ! insist "domblklist $domain" "$1"; then failed="$failed $1:$refused; libvirt does not say where it is:$words;"; return; fi
  if [ "$path" != "$6" ]; then failed="$failed $1:$refused;"; set_back "$@"; return; fi
  define "$@"
  [ -z "$5" ] || [ -e "$5" ] || mv -n -T -- "$4" "$5"
}

# after 10 s, or alone where the script was killed: then what has moved is defined there first
watchdog() {
  trap - TERM; trap 'kill $nap; exit' TERM; sleep 10 5>&- 6>&- 7>&- 8<&- & nap=$!; wait $nap
  trap - TERM
  while [ -d "$room/down" ] && kill -0 $$; do sleep 1 5>&- 6>&- 7>&- 8<&-; done # the script itself waits for libvirtd, and is not stuck
  mkdir "$room/over" || [ ! -d "$room/over" ] || exit
  [ -d "$room/suspended" ] || exit
  pipe=$room/dog
  talk
  if ! kill -0 $$; then
    while [ $# -ge 8 ]; do
      if insist "domblklist $domain" "$1" && [ "$path" = "$6" ]; then define "$@"; fi
      shift 8
    done
  fi
  let_go
  kill -0 $$ || rm -rf -- "$room"
}

fits || { echo "failed 0$words"; rm -rf -- "$room"; exit 0; }
echo armed
word=$(timeout 30 sh -c 'IFS= read -r word; echo "$word"') # a run that is asleep must not keep the locks
[ "$word" = go ] || { rm -rf -- "$room"; exit 0; }
began=$(now) failed= resumed_at=
# by exec: dash keeps what a function's own redirections close, and then the script's virsh would never see the script's end
{ exec </dev/null >/dev/null 2>&1 5>&- 7>&- 8<&-; watchdog "$@"; } &
dog=$!
if ! suspend; then
  failed=$words
elif [ -d "$room/over" ]; then
  set_back "$@"; settle "$@" 2>/dev/null
  failed=" it took too long, the guest was let go before"
elif ! said=$(write_down "$@" 2>&1 && settle "$@" 2>&1); then
  set_back "$@"; settle "$@" 2>/dev/null
  failed=" it could not be written down: $said"
else
  disks=$#
  while [ $disks -gt 0 ]; do
    pivot "$1" "$2" "$3" "$4" "$5" "$6" "$7" "$8"
    set -- "$@" "$1" "$2" "$3" "$4" "$5" "$6" "$7" "$8"
    shift 8
    disks=$((disks - 8))
  done
  settle "$@" 2>/dev/null
fi
if [ -d "$room/suspended" ]; then let_go || failed="$failed it could not be resumed:$words;"; fi
if [ -z "$failed" ]; then end switched; else end failed "$failed"; fi
`;
