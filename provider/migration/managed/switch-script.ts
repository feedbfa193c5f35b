/**
 * The switch of a guest that libvirt manages, as one script on the host: once told to go, it needs nobody. So a run that is cut,
 * killed or disconnected in the switch changes nothing about how it ends.
 *
 * Arguments: libvirt's URI, the domain's UUID, `running` or `paused`; then for every disk its target (`vda`), the two manifests, the
 * active image, its quarantine name, the mirror's target, and a file with its persistent definition at the destination (or nothing).
 * Beside each manifest lie `.next`, what it shall say, and `.back`, what it says now.
 *
 * It says `armed`; understands `go`; answers `switched <ms>` or `failed <ms> <words>`. The guest's writes wait while it is suspended:
 * until it is let go again, the source and the target hold the same. If that takes 10 s, the watchdog lets it go where it is, and
 * no pivot is begun after that.
 */

export const managedSwitchScript = `
trap '' HUP INT TERM PIPE
uri=$1 domain=$2 was=$3
shift 3
LC_ALL=C.UTF-8 COLUMNS=65000 TERM=dumb INPUTRC=/dev/null
export LC_ALL COLUMNS TERM INPUTRC
unset LANGUAGE
room=$(mktemp -d) && mkfifo "$room/in" "$room/out" || exit 1
virsh -q -c "$uri" <"$room/in" >"$room/out" 2>&1 &
exec 7>"$room/in" 8<"$room/out"

# one command of virsh; sets words to what libvirt refuses it with, and path to the source that it lists for disk $2
ask() {
  printf '%s\\necho livedisk-over\\n\\n' "$1" >&7
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
  ask "domblklist '$domain'" "$1"
  if [ "$path" != "$6" ]; then failed="$failed $1:$refused;"; set_back "$@"; return; fi
  if [ -n "$7" ]; then
    ask "domblklist --inactive '$domain'" "$1"
    if [ "$path" != "$6" ]; then
      ask "update-device --config '$domain' '$7'" || failed="$failed the persistent definition of $1:$words;"
    fi
  fi
  [ -e "$5" ] || mv -n -T -- "$4" "$5"
}

ask "dominfo '$domain'" || { echo "failed 0 $words"; rm -rf -- "$room"; exit 0; }
echo armed
IFS= read -r word || word=
[ "$word" = go ] || { rm -rf -- "$room"; exit 0; }
began=$(now) failed=
(trap - TERM; trap 'kill $nap; exit' TERM; sleep 10 & nap=$!; wait $nap
  mkdir "$room/over" 2>/dev/null; [ "$was" != running ] || timeout 60 virsh -q -c "$uri" resume "$domain") </dev/null >/dev/null 2>&1 7>&- 8<&- &
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
if [ "$was" = running ]; then ask "resume '$domain'" || failed="$failed it could not be resumed:$words;"; fi
if [ -z "$failed" ]; then end switched; else end failed "$failed"; fi
`;
