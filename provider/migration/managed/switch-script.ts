/**
 * The switch of a guest that libvirt manages, as one script on the host: once told to go, it needs nobody. So a run that is cut,
 * killed or disconnected in the switch changes nothing about how it ends.
 *
 * Arguments: libvirt's URI, the domain's UUID, `running` or `paused`; then for every disk its target (`vda`), the two manifests, the
 * image that goes stale, its quarantine name (or nothing: it keeps its name), the image that the job ends on, and a file with its
 * persistent definition there (or nothing).
 * Beside each manifest lie `.next`, what it shall say, and `.back`, what it says now; beside the first `.turn`, which is locked as long
 * as the script runs: so that a later run does not act before it is over.
 *
 * It says `armed`; understands `go`; answers `switched <ms>` or `failed <ms> <words>`. The guest's writes wait while it is suspended:
 * until it is let go again, the source and the target hold the same. If that takes 10 s, the watchdog lets it go where it is, and
 * no pivot is begun after that. If libvirtd ends meanwhile, nobody can let the guest go, and nobody but libvirtd knows whether its
 * pivot happened: then the script waits for it, looks, and only then puts the records right and lets the guest go.
 */

export const managedSwitchScript = `
trap '' HUP INT TERM PIPE
uri=$1 domain=$2 was=$3
shift 3
LC_ALL=C.UTF-8 COLUMNS=65000 TERM=dumb INPUTRC=/dev/null
export LC_ALL COLUMNS TERM INPUTRC
unset LANGUAGE
room=$(mktemp -d) && mkfifo "$room/in" "$room/out" "$room/held" || exit 1
exec 6<>"$room/held"
talk() {
  virsh -q -c "$uri" <"$room/in" >"$room/out" 2>&1 6>&- &
  exec 7>"$room/in" 8<"$room/out"
}
# as long as this script lives, whatever becomes of it, each lock is held by a cat that waits for what is never said
hold() {
  while [ $# -gt 0 ]; do
    flock "$2.turn" cat "$room/held" 6>&- 7>&- 8<&- </dev/null >/dev/null 2>&1 &
    shift 7
  done
}
hold "$@"
talk

# one command of virsh; sets words to what libvirt refuses it with, and path to the source that it lists for disk $2
ask() {
  printf '%s\\necho livedisk-over\\n\\n' "$1" 2>/dev/null >&7
  words= path=
  while IFS= read -r line <&8; do
    case $line in
      livedisk-over*) [ -z "$words" ]; return ;;
      "error: "*) words="$words \${line#error: }" ;;
      " $2 "*) path=\${line#" $2 "}; while [ "\${path# }" != "$path" ]; do path=\${path# }; done ;;
    esac
  done
  words="virsh ended"
  return 1
}

# whether libvirtd answers, if need be after 20 minutes
answers() {
  tries=0
  while ! ask hostname; do
    case $words in *"virsh ended") talk ;; esac
    [ $tries -lt 600 ] || return 1
    tries=$((tries + 1))
    mkdir "$room/down" 2>/dev/null
    sleep 2
  done
  rmdir "$room/down" 2>/dev/null
  return 0
}
# what a command that only looks or lets go says; asked again if libvirtd was not there. A libvirtd that comes back knows where disk $2
# is only when it has found out about the jobs that ended meanwhile: a question about jobs waits for that (qemuProcessReconnect(), 9.0)
insist() {
  ask "$@" && return
  said_first=$words
  if answers; then
    [ $# -lt 2 ] || ask "blockjob --raw '$domain' '$2'"
    ask "$@" && return
  fi
  words=$said_first
  return 1
}

now() { date +%s%N; }

end() { # the answer, in one line
  kill "$dog" 2>/dev/null
  printf '%s %s %s\\n' "$1" "$((($(now) - began) / 1000000))" "$(printf %s "$2" | tr '\\n' ' ')"
  rm -rf -- "$room"
  exit 0
}

settle() ( # fsync of every manifest and its directory
  left=$#
  while [ $left -gt 0 ]; do
    set -- "$@" "$2" "$3" "\${2%/*}/" "\${3%/*}/" "\${4%/*}/"
    shift 7
    left=$((left - 7))
  done
  # libvirt writes definitions whole and synced; that their new name lasts is for us to see to
  for place in /etc/libvirt/qemu/ "$HOME/.config/libvirt/qemu/"; do [ ! -d "$place" ] || set -- "$@" "$place"; done
  exec sync -- "$@"
)

record() {
  while [ $# -gt 0 ]; do
    mv -T -- "$2.next" "$2" && mv -T -- "$3.next" "$3" || return 1
    shift 7
  done
}
set_back() {
  while [ $# -gt 0 ]; do
    [ ! -e "$2.back" ] || mv -T -- "$2.back" "$2"
    [ ! -e "$3.back" ] || mv -T -- "$3.back" "$3"
    shift 7
  done
}

# one disk: pivot, and what libvirt did is looked at, not believed; then the next start's definition, then the stale name
pivot() {
  if ! mkdir "$room/turn-$1" 2>/dev/null || [ -d "$room/over" ]; then failed="$failed $1: it took too long, the guest was let go before;"; set_back "$@"; return; fi
  ask "blockjob --pivot '$domain' '$1'"; refused=$words
  if ! insist "domblklist '$domain'" "$1"; then failed="$failed $1:$refused; libvirt does not say where it is:$words;"; return; fi
  if [ "$path" != "$6" ]; then failed="$failed $1:$refused;"; set_back "$@"; return; fi
  if [ -n "$7" ]; then
    insist "domblklist --inactive '$domain'" "$1"
    if [ "$path" != "$6" ]; then
      ask "update-device --config '$domain' '$7'" || failed="$failed the persistent definition of $1:$words;"
    fi
  fi
  [ -z "$5" ] || [ -e "$5" ] || mv -n -T -- "$4" "$5"
}

ask "dominfo '$domain'" || { echo "failed 0 $words"; rm -rf -- "$room"; exit 0; }
echo armed
IFS= read -r word || word=
[ "$word" = go ] || { rm -rf -- "$room"; exit 0; }
began=$(now) failed=
(trap - TERM; trap 'kill $nap; exit' TERM; sleep 10 & nap=$!; wait $nap
  while [ -d "$room/down" ] && kill -0 $$; do sleep 1; done # the script itself waits for libvirtd, and is not stuck
  mkdir "$room/over" 2>/dev/null; [ "$was" != running ] || timeout 60 virsh -q -c "$uri" resume "$domain") </dev/null >/dev/null 2>&1 6>&- 7>&- 8<&- &
dog=$!
if [ "$was" = running ]; then ask "suspend '$domain'" || end failed "$words"; fi
if [ -d "$room/over" ] || ! said=$(record "$@" 2>&1 && settle "$@" 2>&1); then
  set_back "$@"; settle "$@" 2>/dev/null
  failed=" it could not be written down: $said"
else
  disks=$#
  while [ $disks -gt 0 ]; do
    pivot "$1" "$2" "$3" "$4" "$5" "$6" "$7"
    set -- "$@" "$1" "$2" "$3" "$4" "$5" "$6" "$7"
    shift 7
    disks=$((disks - 7))
  done
  settle "$@" 2>/dev/null
fi
if [ "$was" = running ]; then insist "resume '$domain'" || failed="$failed it could not be resumed:$words;"; fi
if [ -z "$failed" ]; then end switched; else end failed "$failed"; fi
`;
