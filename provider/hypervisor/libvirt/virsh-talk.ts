/**
 * The part of the switch's script that talks to libvirt: one virsh that stays open, one command after the other. Every word of a command that
 * somebody else chose comes quoted for virsh (words.ts); the script itself quotes nothing.
 */

import { migratingOrRestored, pattern, restful, stoppedByItself } from "./states.js";

export const virshTalk = `\
LC_ALL=C.UTF-8 COLUMNS=65000 TERM=dumb INPUTRC=/dev/null
export LC_ALL COLUMNS TERM INPUTRC
unset LANGUAGE
talk() { # by the two pipes whose names begin with $pipe
  virsh -q -c "$uri" <"$pipe-in" >"$pipe-out" 2>&1 5>&- 6>&- 7>&- 8<&- &
  echo $! >"$pipe-pid"
  exec 7>"$pipe-in" 8<"$pipe-out"
}

# one command of virsh; sets words to what libvirt refuses it with, path to the source that it lists for disk $2, state to what domstate says,
# job to None where domjobinfo tells of none
ask() {
  printf '%s\\necho livedisk-over\\n\\n' "$1" 2>/dev/null >&7
  words= path= state= job=
  while IFS= read -r line <&8; do
    case $line in
      livedisk-over*) [ -z "$words" ]; return ;;
      "error: "*) words="$words \${line#error: }" ;;
      " \${2-/} "*) path=\${line#" $2 "}; while [ "\${path# }" != "$path" ]; do path=\${path# }; done ;;
      "Job type: "*None*) job=None ;;
      running*|paused*|"in shutdown"*|"shut off"*|crashed*|pmsuspended*|idle*|"no state"*) state=$line ;;
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
    sleep 2 5>&- 6>&- 7>&- 8<&-
  done
  rmdir "$room/down" 2>/dev/null
  return 0
}
# what a command that only looks or changes a definition says; asked again if libvirtd was not there. A libvirtd that comes back knows where
# disk $2 is only when it has found out about the jobs that ended meanwhile: a question about jobs waits for that (qemuProcessReconnect(), 9.0)
insist() {
  ask "$@" && return
  said_first=$words
  if answers; then
    [ $# -lt 2 ] || ask "blockjob --raw $domain $disk"
    ask "$@" && return
  fi
  words=$said_first
  return 1
}

# whether the state of the guest is one in which its disks can be switched; else words is why not
fits() {
  ask "domstate --reason $domain" || return 1
  case $state in
    running*|${pattern(restful)}) return 0 ;;
    "${migratingOrRestored}")
      ask "domjobinfo $domain" && [ "$job" = None ] && ask "domstate --reason $domain" && [ "$state" = "${migratingOrRestored}" ] && return
      state="${migratingOrRestored}" ;;
  esac
  words=" its domain is \${state:-in a state that libvirt does not tell}"
  return 1
}

stop() {
  began=$(now)
  mkdir "$room/sent" && mkdir "$room/suspended" || return
  if [ -d "$room/over" ]; then rmdir "$room/suspended"; words=" it took too long"; return 1; fi
  ask "suspend $domain" && stopped=yes || stopped=
  rmdir "$room/sent" # whatever it answers: no suspend of ours is on its way any more
  [ "$stopped" ]
}
# A suspend that is on its way may stop the guest after any resume. It is over once it has been answered. If the script was killed before, nobody
# hears the answer: then it is over 40 s after its virsh has ended, since libvirt lets a command wait 30 s for others (QEMU_JOB_WAIT_TIME, 9.0).
settled() {
  [ -d "$room/sent" ] || return 0
  if kill -0 $$ || [ -e "/proc/$(cat "$room/own-pid")/exe" ]; then gone_at=; return 1; fi 2>/dev/null
  [ "$gone_at" ] || gone_at=$(date +%s)
  [ $(($(date +%s) - gone_at)) -ge 40 ]
}

# whether a paused guest is, or may be, one that a switch has suspended; then words says so
recorded() {
  ask "$ask_record" && words=" a switch that is under way, or was cut, has suspended it" && return
  case $words in *"metadata element is not present"*) return 1 ;; esac
}

# Suspends a guest that runs. What is recorded first lasts until it runs again, so a later run knows who has suspended it. Its state is asked right
# before: one that somebody else has paused stays so. Of a suspend that fails nobody knows whether QEMU has stopped, or is about to.
suspend() {
  fits || return 1
  case $state in paused*) ! recorded; return ;; esac
  if ask "$begin_record" && fits; then
    case $state in paused*) ask "$end_record"; return 0 ;; esac
    stop && return
    [ ! -d "$room/suspended" ] || return
  fi
  why=$words
  ask "$end_record"
  words=$why
  return 1
}

# Lets the guest go until libvirt says that it runs, for a day if need be. A resume that fails is not a refusal: libvirtd may be down, or QEMU busy
# with somebody else's question, for whose answer libvirt waits 30 s. A state counts only after an answer for which libvirt has waited
# for QEMU: one that has just come up tells what its status file says; and only if the suspend was over before it was asked.
let_go() {
  found= gone_at= last=$(($(date +%s) + 86400))
  while :; do
    if [ -z "$found" ]; then
      settled && late= || late=yes
      ask "resume $domain" || { refused=$words; ask "blockjob --raw $domain $disk"; } && sure=yes || sure=no
      resumed_at=$(now)
      ask "domstate --reason $domain"
      case $sure/$state/$words in
        yes/*/*)
          case $state in
            running*|${pattern(stoppedByItself)}|crashed*) [ "$late" ] || found=$state ;;
            "shut off"*) words=" the guest has ended"; return 1 ;;
          esac ;;
        no/"shut off"*|*"failed to get domain"*) words=" the guest has ended"; return 1 ;;
      esac
    fi
    if [ -n "$found" ] && ask "$end_record"; then
      case $found in running*) return 0 ;; esac
      words=" its domain is $found"
      return 1
    fi
    [ "$(date +%s)" -lt $last ] || { words=$refused; return 1; }
    [ ! -d "$room/let-go" ] || return 0 # the script has seen to it meanwhile
    answers
    sleep 1 5>&- 6>&- 7>&- 8<&-
  done
}
`;
