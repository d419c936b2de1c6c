"""Writes the SBOM of the package in CycloneDX form: all its software, with versions, licences and dependencies.

It lists Python and its libraries, the libraries of the system (on Linux), and the npm packages in module.js.
"""

import json
import platform
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from plugin_facts import (
    BUILD,
    FRONTEND,
    PROGRAMS,
    ROOT,
    libraries_name,
    package_date,
    platform_name,
    program_name,
    read_plugin_json,
)
from program.plugin_licences import needed_by
from program.system_licences import system_packages

from ceems_grpc.version import VERSION

_PACKAGE, _EXTRAS = "ceems-grpc", frozenset({"terminal"})
_NPM = re.compile(r"node_modules/((?:@[^/]+/)?[^/]+)/")
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "ceems-ceems-datasource")


def make_sbom(libraries: Path, source_map: Path) -> Bom:
    """Return the SBOM of the plugin for this machine's platform.

    ``libraries`` is the folder of the program's libraries. ``source_map`` is the source map of module.js, which names
    the packages in it.
    """
    plugin = _component(read_plugin_json()["id"], VERSION, None, "Apache-2.0", ComponentType.APPLICATION)
    bom = Bom(serial_number=uuid.uuid5(_NAMESPACE, f"{VERSION} {package_date():%Y-%m-%dT%H:%M:%SZ}"))
    bom.metadata.timestamp = package_date()
    bom.metadata.component = plugin
    python = _python_components()
    others = [*_interpreter(), *_system_components(libraries), *_npm_components(source_map)]
    direct = [python[name] for name in _needs(_PACKAGE, python)]
    for component in (*python.values(), *others):
        bom.components.add(component)
    bom.register_dependency(plugin, [*direct, *others])
    for name, component in python.items():
        bom.register_dependency(component, [python[other] for other in _needs(name, python)])
    return bom


def _component(
    name: str, version: str, url: PackageURL | None, licence: str, kind: ComponentType = ComponentType.LIBRARY
) -> Component:
    reference = str(url) if url is not None else f"{name}@{version}"
    licences = [LicenseFactory().make_from_string(licence)] if licence else []
    return Component(name=name, version=version, purl=url, type=kind, bom_ref=reference, licenses=licences)


def _python_components() -> dict[str, Component]:
    return {
        name: _component(
            name, found.version, PackageURL("pypi", name=name, version=found.version),
            str(found.metadata.json.get("license_expression", "")),
        )
        for name, found in sorted(needed_by(_PACKAGE, _EXTRAS).items())
        if name != _PACKAGE
    }  # fmt: skip


def _needs(name: str, known: dict[str, Component]) -> list[str]:
    """Return the names in ``known`` that a Python package requires."""
    required = needed_by(_PACKAGE, _EXTRAS)[name].requires or []
    return sorted({canonicalize_name(Requirement(text).name) for text in required} & set(known))


def _interpreter() -> Iterator[Component]:
    version = platform.python_version()
    yield _component("python", version, PackageURL("generic", name="python", version=version), "PSF-2.0")


def _system_components(libraries: Path) -> Iterator[Component]:
    packages = sorted(system_packages(libraries))
    if not packages:  # as on macOS
        return
    kind = "deb" if Path("/etc/debian_version").exists() else "rpm"
    distribution = platform.freedesktop_os_release()["ID"]
    for package in packages:
        name, version = package.split(maxsplit=1)
        yield _component(name, version, PackageURL(kind, distribution, name, version), "")


def _npm_components(source_map: Path) -> Iterator[Component]:
    sources = json.loads(source_map.read_text("utf-8"))["sources"]
    locked = json.loads((ROOT / "frontend" / "package-lock.json").read_text("utf-8"))["packages"]
    for name in sorted({match[1] for source in sources for match in _NPM.finditer(source)}):
        entry = locked[f"node_modules/{name}"]
        namespace, _, short = name.rpartition("/")
        url = PackageURL("npm", namespace=namespace or None, name=short, version=entry["version"])
        yield _component(name, entry["version"], url, entry.get("license", ""))


def main() -> int:
    """Write the SBOM for this machine's platform into build/sbom."""
    plugin = read_plugin_json()["id"]
    bom = make_sbom(PROGRAMS / program_name() / libraries_name(program_name()), FRONTEND / "module.js.map")
    target = BUILD / "sbom" / f"{plugin}-{VERSION}-{platform_name()}.cdx.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(JsonV1Dot6(bom).output_as_string(indent=2) + "\n", "utf-8")
    sys.stdout.write(f"{target}: {len(bom.components)} components.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
