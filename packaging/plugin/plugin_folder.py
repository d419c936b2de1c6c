"""Assembles dist/, the folder that Grafana loads, from what the frontend's build and PyInstaller left in build/.

Programs for other platforms are included if they were copied into build/program. So are the texts that Grafana shows
about the plugin.
"""

import json
import shutil
import sys
from pathlib import Path

from plugin_facts import BUILD, DIST, FRONTEND, PROGRAMS, package_date, program_name, read_plugin_json

from ceems_grpc.version import VERSION
from plugin.plugin_page import CHANGELOG, PAGE, absolute_links, add_links, dated_changelog, repository_url
from plugin.plugin_rules import problems


def make_plugin_folder(folder: Path, *, frontend: Path, programs: Path, date: str) -> None:
    """Fill an empty or new folder with the plugin.

    ``frontend`` contains module.js and the files beside it; ``programs`` contains one folder per platform, with the
    program and its libraries. ``date`` has the form 2026-11-23. Raises `SystemExit` with a sentence if one is missing.
    """
    if not (frontend / "module.js").is_file():
        raise SystemExit(f"The frontend was not built into {frontend}: run make dist.")
    if not (programs / program_name() / program_name()).is_file():
        raise SystemExit(f"The program was not built into {programs / program_name()}: run make dist.")
    shutil.copytree(frontend, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))  # make's stamp
    (folder / "README.md").write_text(absolute_links(PAGE.read_text("utf-8"), PAGE, repository_url()), "utf-8")
    changelog = dated_changelog(CHANGELOG.read_text("utf-8"), VERSION, date)
    (folder / "CHANGELOG.md").write_text(absolute_links(changelog, CHANGELOG, repository_url()), "utf-8")
    for program in sorted(programs.glob(f"{read_plugin_json()['executable']}_*")):
        shutil.copytree(program, folder, dirs_exist_ok=True)
    _write_plugin_json(folder, date)


def _write_plugin_json(folder: Path, date: str) -> None:
    plugin = read_plugin_json(folder)
    plugin["info"] |= {"version": VERSION, "updated": date}
    add_links(plugin["info"], repository_url())
    includes = plugin.setdefault("includes", [])
    named = {include.get("path") for include in includes}
    for path in sorted(folder.glob("dashboards/*.json")):
        if f"dashboards/{path.name}" not in named:
            title = json.loads(path.read_text("utf-8"))["title"]
            includes.append({"type": "dashboard", "name": title, "path": f"dashboards/{path.name}"})
    (folder / "plugin.json").write_text(json.dumps(plugin, indent=2, ensure_ascii=False) + "\n", "utf-8")


def main() -> int:
    """Replace dist/ with a new one; keep the old one if that fails."""
    unfinished = BUILD / "dist.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    make_plugin_folder(unfinished, frontend=FRONTEND, programs=PROGRAMS, date=f"{package_date():%Y-%m-%d}")
    broken = problems(unfinished)
    if broken:
        sys.stderr.write("The plugin breaks Grafana's rules:\n" + "".join(f"  {problem}\n" for problem in broken))
        return 1
    shutil.rmtree(DIST, ignore_errors=True)
    unfinished.rename(DIST)
    size = sum(path.stat().st_size for path in DIST.rglob("*") if path.is_file())
    sys.stdout.write(f"{DIST}: {size / 1e6:.0f} MB.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
