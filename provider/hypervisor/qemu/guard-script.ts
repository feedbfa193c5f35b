/**
 * The switch's guard: one shell on the host that writes down the switch while the guest's I/O waits, and that ends the switch
 * alone when we cannot (decisions/0003).
 *
 * Arguments: the monitor's socket, and its name as a word of socat's; the link, its next and its former form (each empty where there is no link); then for every
 * disk the job's id, the two manifests, the image that goes stale and its quarantine name (each empty where there is none), and
 * the target. Beside each manifest lie `.next`, what it shall say but for the target's size and time at its end, and `.back`,
 * what it says now; beside a quarantine name perhaps `.link`, which takes the image's old name.
 *
 * It says `armed <tool>`; understands `begin`, `still`, `record`, `end`; answers `begin` with `begun`, `record` with `recorded`, or with
 * `failed …` after setting everything back. At the end of its input in a begun switch it lets the guest go on by itself: job-finalize
 * where `current` is written for all disks, else job-cancel. After 5 s of silence in a begun switch it ends the sshd process
 * that serves us, so that the monitor comes free and its own input ends.
 */

import { handsScript } from "./hands-script.js";

/** How long the guard bears silence. */
export const guardSilenceSeconds = 5;

/**
 * @host mv, sync, stat, rm, perl, mktemp, mkfifo, readlink, cat, sed, tr, sleep, renice
 * @for switching
 * @does writes the switch down: completes the manifests' next texts, puts them, the link and the former image's new name in place, syncs;
 *   sets all back if one of them fails
 * @changes manifests, `link`, the name of the former image; its own priority (`renice -n -15`, as far as it may); a temporary directory,
 *   removed at once
 * @as the account
 * @why the guest's I/O waits meanwhile, and a run that is cut then must not leave it so
 * @host socat, nc, QMP qmp_capabilities, QMP job-finalize, QMP job-cancel
 * @does if our run is cut in the switch, ends the jobs by itself: finalizes them where the switch is written down, else cancels them;
 *   after 5 s of silence in a switch it ends (`kill -KILL`) the sshd process that serves this session
 * @changes which image takes the guest's writes; the sshd process of our own session
 * @as the account; QEMU does what the monitor is told
 * @why the monitor comes free only when that process is gone
 */
export const guardScript = `
trap '' HUP INT TERM PIPE
socket=$1 address=$2 link=$3 next=$4 back=$5
shift 5
LC_ALL=C export LC_ALL
renice -n -15 -p $$ >/dev/null 2>&1 # as far as we may: guest I/O waits for the few processes that are started here
if command -v socat >/dev/null 2>&1; then tool=socat; elif command -v nc >/dev/null 2>&1; then tool=nc; else tool=none; fi

# the sshd process that serves this session: the nearest ancestor of that name
sshd= above=$PPID
while [ "\${above:-0}" -gt 1 ]; do
  case $(cat "/proc/$above/comm" 2>/dev/null) in sshd*) sshd=$above; break ;; esac
  above=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$above/status" 2>/dev/null)
done

# speaks to the monitor until it was heard: the monitor comes free only when our own channel is gone
speak() {
  for try in 1 2 3 4 5 6 7 8 9 10; do
    heard=$(printf '{"execute":"qmp_capabilities"}\\n%s\\n' "$1" | case $tool in
      socat) (cd "\${socket%/*}/" && socat -T 1 -,ignoreeof "UNIX-CONNECT:./$address") ;;
      nc) nc -U -w 1 "$socket" ;;
    esac 2>/dev/null)
    case $heard in *'"return"'*) return 0 ;; esac
  done
  return 1
}

every() { # a job command for every disk
  words=$1; shift
  while [ $# -gt 0 ]; do
    printf '{"execute":"%s","arguments":{"id":"%s"}}\\n' "$words" "$1"
    shift 6
  done
}

${handsScript}
settle_records() { # manifests and targets, and the directories of manifests and link
  left=$#
  while [ $left -gt 0 ]; do
    set -- "$@" "$2" "$3" "\${2%/*}/" "\${3%/*}/" "$6"
    shift 6
    left=$((left - 6))
  done
  [ -z "$link" ] || set -- "$@" "\${link%/*}/"
  do_all settle "$@"
}
settle_names() { # the directories of the images that go stale
  left=$#
  while [ $left -gt 0 ]; do
    [ -z "$4" ] || set -- "$@" "\${4%/*}/"
    shift 6
    left=$((left - 6))
  done
  do_all settle "$@"
}

set_back() { # names first, then the link, then what the manifests say; with the shell's own hands, whatever has failed
  hands=shell
  disks=$#
  for part in names manifests; do
    [ $part = names ] || [ -z "$link" ] || { [ -L "$back" ] && mv -T -- "$back" "$link"; }
    turn=0
    while [ $turn -lt $disks ]; do
      if [ $part = names ]; then
        [ ! -L "$4" ] || [ "$(readlink -- "$4")" != "\${5##*/}.empty" ] || rm -f -- "$4"
        [ -z "$4" ] || [ -e "$4" ] || mv -n -T -- "$5" "$4"
      else
        [ ! -e "$2.back" ] || mv -T -- "$2.back" "$2"
        [ ! -e "$3.back" ] || mv -T -- "$3.back" "$3"
      fi
      one=$1 two=$2 three=$3 four=$4 five=$5 six=$6
      shift 6
      set -- "$@" "$one" "$two" "$three" "$four" "$five" "$six"
      turn=$((turn + 6))
    done
  done 2>/dev/null
  settle_names "$@"
  settle_records "$@"
}

identities() { # size and time of each target; in a shell of its own
  left=$#
  while [ $left -gt 0 ]; do set -- "$@" "$6"; shift 6; left=$((left - 6)); done
  exec stat -L -c '%s %.9Y' -- "$@"
}
complete_next() { # the targets as they are now, while their guest I/O waits: nobody may have written to them when this is read again
  now=$(identities "$@" 2>&1) || { wrong=$now; return 1; }
  while read -r size modified; do
    for half in "$2.next" "$3.next"; do
      { printf '"sizeBytes": %s,\\n    "modified": "%s"\\n  }\\n}\\n' "$size" "$modified" >>"$half"; } 2>/dev/null ||
        { wrong="$half cannot be written"; return 1; }
    done
    shift 6
  done <<END
$now
END
}
write_current() { # whichever of them a power cut leaves undone, both sides are still right
  left=$#
  while [ $left -gt 0 ]; do
    set -- "$@" "$2.next" "$2" "$3.next" "$3"
    shift 6
    left=$((left - 6))
  done
  [ -z "$link" ] || set -- "$@" "$next" "$link"
  do_all replace "$@"
}
quarantine() { # and what takes an image's old name, if need be
  left=$#
  while [ $left -gt 0 ]; do
    [ -z "$4" ] || set -- "$@" "$4" "$5"
    [ -z "$4" ] || [ ! -L "$5.link" ] || set -- "$@" "$5.link" "$4"
    shift 6
    left=$((left - 6))
  done
  do_all set_aside "$@"
}
record() { # what could not be done is in \`wrong\`; a tail that a power cut takes from a manifest is no harm: its .back stands beside it, and until now both sides are right
  complete_next "$@" && write_current "$@" && settle_records "$@" && quarantine "$@" && settle_names "$@"
}

# Called off by USR1, which this shell does not ignore: another signal would be lost between the dog's birth and its own trap, and the
# watchdog would kill a connection that was reused 5 s later.
dog=
watch() {
  [ -z "$dog" ] || kill -USR1 "$dog" 2>/dev/null
  dog=
  [ "$1" = no ] || [ -z "$sshd" ] || {
    (none=$!; trap - TERM; trap '[ "$!" = "$none" ] || kill $!; exit' USR1; sleep ${guardSilenceSeconds} & wait $! && kill -KILL "$sshd") </dev/null >/dev/null 2>&1 7>&- 8<&- &
    dog=$!
  }
}

begun=no current=source
echo "armed $tool"
while IFS= read -r word; do
  case $word in
    begin) begun=yes; watch yes; echo begun ;;
    still) watch yes ;;
    record)
      # a client that writes it down has begun it: then the end of the input must let the guest go on. A dog that watches already will do: another
      # one would be a process more while the guest waits
      begun=yes; [ -n "$dog" ] || watch yes
      if record "$@"; then current=destination; echo recorded
      else words=$wrong; set_back "$@"; echo "failed $(printf %s "$words" | tr '\\n' ' ')"; fi ;;
    end) watch no; exit 0 ;;
  esac
done
watch no
[ $begun = yes ] || exit 0
if [ $current = destination ]; then speak "$(every job-finalize "$@")"; else speak "$(every job-cancel "$@")"; fi
`;
