"""A virsh that plays one domain. Each file of the folder FACTS is a fact; `refuse-…` makes it refuse, `hang-…` wait until that is gone."""

import os
import re
import sys
import time
from typing import List

SLOT = "<disk type='file' device='disk'><driver name='qemu' type='%s'%s/><source file='%s'/>%s<target dev='%s' bus='virtio'/></disk>"


def fact(name: str, absent: str = "") -> str:
    try:
        with open(name) as file:
            return file.read().strip()
    except FileNotFoundError:
        return absent


def put(name: str, text: str) -> None:
    with open(name + ".new", "w") as file:
        file.write(text)
    os.rename(name + ".new", name)


def is_set(name: str) -> bool:
    return os.path.exists(name)


def disks() -> List[str]:
    return fact("disks", "vda").split()


def live_xml() -> str:
    number = fact("number", "1")
    slots = []
    for disk in disks():
        below = "<backingStore type='file'><format type='raw'/><source file='%s'/><backingStore/></backingStore>"
        chain = below % fact("below-" + disk) if is_set("below-" + disk) else "<backingStore/>"
        ready = "<mirror type='file' job='%s' ready='%s'><source file='%s'/></mirror>"
        job = ready % (fact("job-" + disk, "copy"), fact("ready-" + disk, "yes"), fact("target-" + disk))
        more = chain + (job if is_set("target-" + disk) else "")
        slots.append(SLOT % (fact("format-" + disk, "raw"), "", fact("source-" + disk), more, disk))
    record = "<l:suspended xmlns:l='urn:pulumi-livedisk:switch' switchLock='x'/>" if is_set("recorded") else ""
    running = "" if number == "-" else " id='%s'" % number
    return "<domain%s><metadata>%s</metadata><devices>%s</devices></domain>" % (running, record, "".join(slots))


def defined_xml() -> str:
    there = [disk for disk in disks() if is_set("defined-" + disk)]
    slots = [SLOT % ("raw", " " + fact("attribute-" + disk), fact("defined-" + disk), "", disk) for disk in there]
    return "<domain><devices>%s</devices></domain>" % "".join(slots)


def update(path: str) -> None:
    with open(path) as file:
        text = file.read()
    target = re.search(r"<target [^>]*dev=\"(\w+)\"", text)
    source = re.search(r"<source [^>]*file=\"([^\"]*)\"", text)
    assert target and source
    put("defined-" + target.group(1), source.group(1))
    put("update-" + target.group(1), text)


def pivot(disk: str) -> None:
    if is_set("stays-" + disk):
        return
    put("source-" + disk, fact("target-" + disk))
    os.unlink("target-" + disk)
    if is_set("after-pivot"):  # lines of facts: a name and its text
        for line in fact("after-pivot").splitlines():
            name, _, text = line.partition(" ")
            put(name, text)


def verb_of(line: str) -> str:
    kinds = {"--set": "record", "--remove": "end", "--pivot": "pivot", "--inactive": "inactive"}
    return next((kind for word, kind in kinds.items() if word in line), line.split(" ")[0])


def answer(line: str) -> str:
    verb = verb_of(line)
    with open("log", "a") as log:
        log.write(line + "\n")
    while is_set("hang-" + verb):
        time.sleep(0.01)
    for refusal in ("refuse-all", "refuse-" + verb, "refuse-%s-once" % verb):
        if is_set(refusal):
            words = fact(refusal)
            if refusal.endswith("-once"):
                os.unlink(refusal)
            return "error: %s\n" % words
    words = re.findall(r"'([^']*)'", line)
    if verb == "suspend":
        put("state", "paused (user)")
    elif verb == "resume":
        put("state", "running (unpaused)")
    elif verb == "record":
        put("recorded", "")
        if is_set("paused-then"):
            put("state", fact("paused-then"))
    elif verb == "end":
        if is_set("recorded"):
            os.unlink("recorded")
    elif verb == "pivot":
        pivot(words[1])
    elif verb == "update-device":
        update(words[1])
    known = {
        "domstate": lambda: fact("state") + "\n\n",
        "domjobinfo": lambda: fact("job", "Job type:         None") + "\n",
        "dumpxml": lambda: live_xml() + "\n",
        "inactive": lambda: defined_xml() + "\n",
        "list": lambda: "" if is_set("transient") else "domain\n",
    }
    return known[verb]() if verb in known else ""


def main() -> None:
    os.chdir(os.environ["FACTS"])
    for line in sys.stdin:
        line = line.rstrip("\n")
        sys.stdout.write("virsh # %s\n" % line)
        if line.startswith("echo "):
            sys.stdout.write(line[len("echo "):])  # without an end of its own
        elif line:
            sys.stdout.write(answer(line))
        sys.stdout.flush()


main()
