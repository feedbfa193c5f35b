"""Which image a device has, below the filters that lie above it: by QEMU's graph, or by driver and file name."""

from typing import List, Optional

from worker.errors import Details


def below_by_graph(root: Details, nodes: List[Details], graph: Details, filters: List[str]) -> Optional[str]:
    drivers = {node["node-name"]: node["drv"] for node in nodes}
    names = {node["id"]: node["name"] for node in graph["nodes"]}
    edges = [edge for edge in graph["edges"] if edge["name"] in ("file", "backing", "image")]
    children = {names[edge["parent"]]: names[edge["child"]] for edge in edges}
    node: Optional[str] = root.get("node-name")
    while node is not None and drivers.get(node) in filters:
        node = children.get(node)
    return node


def below_by_name(root: Details, nodes: List[Details], filters: List[str]) -> Optional[str]:
    """Driver and file name come from one node (block/qapi.c: bdrv_block_device_info(), QEMU 7.2), so the one node that has both is it.

    None: it is not told.
    """
    if root.get("drv") not in filters:
        return root.get("node-name")
    image: Optional[Details] = root.get("image")
    while image is not None and image["format"] in filters:
        image = image.get("backing-image")
    found = [node["node-name"] for node in nodes if image and (node["drv"], node["file"]) == (image["format"], image["filename"])]
    return found[0] if len(found) == 1 else None
