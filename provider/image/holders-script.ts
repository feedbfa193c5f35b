/**
 * The script that {@link holdersOf} runs on the host. It prints `file DEVICE INODE` for each path, `open DEVICE INODE PID MODE PROGRAM` for
 * each descriptor, `lock FILE FROM TO` for each lock, and `complete` at its end. Whatever could hide a process is a failure.
 *
 * It touches no file system but the wanted files' own. A stat of a foreign descriptor would: on a dead mount (NFS, FUSE) it hangs. So it reads
 * first what the kernel answers by itself, the links of `/proc/PID/fd` and `ino:` of fdinfo (Linux 5.14: `seq_show`, fs/proc/fd.c), and looks
 * closely, by device too, only at links that begin with `/` (sockets, eventfds and the like all share one inode) and that
 * - have a wanted file's path, as it is given or resolved, also with ` (deleted)` behind it, or
 * - have a wanted inode by `ino:`. That may be another than stat tells, so it is learned from a descriptor of the script's own; or
 * - belong to a program with QEMU's name, where `ino:` is not known of the descriptor or of a wanted file. There, another
 *   program that has the file open by another of its names (a hard link, another mount namespace's) is not found.
 *
 * coreutils 8.30 and dash are enough, awk may be mawk. A process that ends meanwhile, or that this account may not see, gives one of three
 * errors; every other one counts. find, stat and grep flush what they have printed before an error (error(3)), so one pipe takes both; `%l` comes first, since
 * what precedes it would stand before the error.
 * xargs ends with 123 where one of its programs failed (1 to 125); the programs' own ends are judged one by one. The last digit of fdinfo's
 * flags holds the access mode (open(2): O_RDONLY is 0).
 *
 * @host awk, find, grep, readlink, sh, stat, timeout, tr, xargs
 * @for reading
 * @does looks who has image files open: /proc of all processes that the account may see, and /proc/locks
 * @changes nothing
 * @as the account
 * @why an image that another guest or process has open is not moved
 */
export const holdersScript = `
export LC_ALL=C
fail() { printf '%s\\n' "$1" >&2; exit 1; }
for tool in awk find grep readlink stat timeout tr xargs; do
  command -v "$tool" >/dev/null || fail "$tool is not there"
done

known=yes inodes=
for path do
  identity=$(timeout 10 stat -L -c '%d %i' -- "$path")
  case $? in 0) ;; 124) fail "$path does not answer within 10 s" ;; *) exit 1 ;; esac
  printf 'file %s\\n' "$identity"
  own=
  [ ! -f "$path" ] && [ ! -b "$path" ] || own=$(grep '^ino:' /proc/self/fdinfo/3 2>/dev/null 3<"$path")
  own=\${own##*[!0-9]}
  [ -n "$own" ] || known=no
  inodes="$inodes \${identity#* } $own"
done

listed=$({
  for path do
    real=$(readlink -f -- "$path") || exit
    printf '= %s\\0' "$path" "$real"
  done
  printf '%s\\0' /proc/[0-9]*/exe /proc/[0-9]*/fd | xargs -0 sh -c '
    find "$@" -maxdepth 1 -type l -printf "%l %p\\\\0" 2>&1
    [ $? -le 1 ] || exit 255' sh
  case $? in 0 | 123) printf 'end\\0' ;; esac
} | tr '\\n\\0' '\\1\\n' | self=$$ awk '
  { while (index($0, "find: ") == 1) {
      cut = index($0, "\\001")
      error = cut ? substr($0, 1, cut - 1) : $0
      if (error !~ /: (No such file or directory|No such process|Permission denied)$/) trouble = error
      $0 = cut ? substr($0, cut + 1) : ""
  } }
  $0 == "" { next }
  index($0, "= ") == 1 { text = substr($0, 3); wanted[text]; wanted[text " (deleted)"]; next }
  $0 == "end" { end = 1; next }
  !/ \\/proc\\/[0-9]+\\/(exe|fd\\/[0-9]+)$/ { trouble = $0; next }
  { text = substr($0, 1, length($0) - length($NF) - 1); name = $NF; split(name, part, "/") }
  part[4] == "exe" { if (part[3] == ENVIRON["self"]) seen = 1; sub(/.*\\//, "", text); if (text ~ /qemu|kvm/) qemu[part[3]]; next }
  index(text, "/") == 1 { print (text in wanted ? "path" : part[3] in qemu ? "qemu" : "other"), name }
  END { print trouble == "" && end && seen ? "end" : "trouble " trouble }')
case $listed in *end) ;; *) fail "unable to list /proc: \${listed##*trouble}" ;; esac

close=$({
  printf '%s\\n' "$listed"
  printf '%s\\n' "$listed" | awk '/fd/ { sub("/fd/", "/fdinfo/", $2); print $2 }' | xargs -r sh -c '
    grep -H "^ino:" "$@" 2>&1
    [ $? -le 2 ] || exit 255' sh
  case $? in 0 | 123) echo end ;; esac
} | known=$known inodes=$inodes awk '
  BEGIN { count = split(ENVIRON["inodes"], list, " "); for (each = 1; each <= count; each++) wanted[list[each]] }
  /^(path|qemu|other) / { kind[$2] = $1; next }
  /^\\/proc\\/[0-9]+\\/fdinfo\\/[0-9]+:ino:/ { split($0, part, ":"); sub("/fdinfo/", "/fd/", part[1]); gsub(/[^0-9]/, "", part[3]); ino[part[1]] = part[3]; next }
  $0 == "end" { ends++; next }
  !/^grep: .*: (No such file or directory|No such process|Permission denied)$/ { trouble = $0 }
  END {
    for (name in kind)
      if (kind[name] == "path" || (name in ino && ino[name] in wanted) || (kind[name] == "qemu" && !(name in ino && ENVIRON["known"] == "yes"))) print name
    print trouble == "" && ends == 2 ? "end" : "trouble " trouble
  }')
case $close in *end) ;; *) fail "unable to read fdinfo in /proc: \${close##*trouble}" ;; esac

looked=$({
  printf '%s\\n' "\${close%end}" | xargs -r -n 64 sh -c '
    timeout 10 stat -L -c "%d %i %n" -- "$@" 2>&1
    status=$?
    [ $status -le 1 ] || { echo "ended $status"; exit 255; }' sh
  case $? in 0 | 123) echo end ;; esac
})
case $looked in
  *'ended 124'*) fail 'the file system of a file that a process has open does not answer within 10 s' ;;
  *end) ;;
  *) fail "unable to look at open files: $looked" ;;
esac
printf '%s\\n' "\${looked%end}" | while read -r device inode name; do
  case $device$name in
    '') continue ;;
    stat:*': No such file or directory' | stat:*': No such process' | stat:*': Permission denied') continue ;;
    stat:*) fail "$device $inode $name" ;;
  esac
  case " $inodes " in *" $inode "*) ;; *) continue ;; esac
  process=\${name%/fd/*}
  program=$(readlink "$process/exe")
  case $? in 0) ;; 1) continue ;; *) fail "unable to read $process/exe" ;; esac
  flags=
  { while read -r key value; do [ "$key" != flags: ] || flags=$value; done <"$process/fdinfo/\${name##*/}"; } 2>/dev/null
  [ -z "$flags" ] || printf 'open %s %s %s %s %s\\n' "$device" "$inode" "\${process##*/}" "\${flags#"\${flags%?}"}" "\${program##*/}"
done || exit 1

[ ! -r /proc/locks ] || inodes=$inodes awk '
  BEGIN { count = split(ENVIRON["inodes"], list, " "); for (each = 1; each <= count; each++) wanted[list[each]] }
  $2 == "OFDLCK" { split($6, part, ":"); if (part[3] in wanted) print "lock", $6, $7, $8 }' /proc/locks || fail 'unable to read /proc/locks'
echo complete`;
