"""What a domain's XML says of its disks, as a switch needs it (https://libvirt.org/formatdomain.html)."""

import copy
from typing import Dict, List, NamedTuple, Optional
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from worker.errors import Failure

#: Of the element that records that a switch has suspended the guest: the client's suspension.ts has the same.
NAMESPACE = "urn:pulumi-livedisk:switch"
SUSPENDED = "{%s}suspended" % NAMESPACE


class Image(NamedTuple):
    path: str
    format: str


class Job(NamedTuple):
    kind: str
    path: str
    is_ready: bool


class DiskXml(NamedTuple):
    target: str
    #: None: its source is none, or no file.
    image: Optional[Image]
    #: Top first, with the active image; None where the XML leaves what is below to the headers.
    chain: Optional[List[Image]]
    job: Optional[Job]
    element: Element


class DomainXml(NamedTuple):
    #: None: it does not run.
    number: Optional[int]
    is_recorded: bool
    disks: Dict[str, DiskXml]


def read_domain(text: str) -> DomainXml:
    """libvirt declares no document type: one could make entities without end."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Failure("bug", "libvirt's XML of a domain declares a document type")
    try:
        root = ElementTree.fromstring(text[text.find("<"):])
    except ElementTree.ParseError as error:
        raise Failure("bug", "libvirt's XML of a domain cannot be read: %s" % error) from None
    number = root.get("id")
    disks = [disk_in(element) for element in root.findall("devices/disk")]
    return DomainXml(
        None if number is None or not number.isdigit() else int(number),
        root.find("metadata/" + SUSPENDED) is not None,
        {disk.target: disk for disk in disks},
    )


def disk_in(element: Element) -> DiskXml:
    target = element.find("target")
    driver = element.find("driver")
    path = file_of(element)
    image = None if path is None else Image(path, "raw" if driver is None else driver.get("type", "raw"))
    below = layers_below(element)
    return DiskXml(
        "" if target is None else target.get("dev", ""),
        image,
        None if image is None or below is None else [image] + below,
        job_in(element.find("mirror")),
        element,
    )


def job_in(mirror: Optional[Element]) -> Optional[Job]:
    if mirror is None:
        return None
    path = file_of(mirror) or mirror.get("file") or ""
    return Job(mirror.get("job", "copy"), path, mirror.get("ready") == "yes")


def file_of(element: Element) -> Optional[str]:
    source = element.find("source")
    return None if source is None else source.get("file")


def layers_below(element: Element) -> Optional[List[Image]]:
    """An empty `<backingStore/>` ends a chain; none at all leaves it open."""
    layers: List[Image] = []
    below = element.find("backingStore")
    while below is not None and len(below) > 0:
        path = file_of(below)
        kind = below.find("format")
        if path is None or kind is None:
            return None
        layers.append(Image(path, kind.get("type", "")))
        below = below.find("backingStore")
    return None if below is None else layers


def disk_at(disk: DiskXml, image: Image) -> str:
    """Its definition with another source, and all else as it stands. What it says of the layers below goes with the old source."""
    changed = copy.deepcopy(disk.element)
    for name in ("backingStore", "mirror"):
        for child in changed.findall(name):
            changed.remove(child)
    source, driver = changed.find("source"), changed.find("driver")
    if source is not None:
        source.set("file", image.path)
    if driver is not None:
        driver.set("type", image.format)
    return ElementTree.tostring(changed, encoding="unicode")
