"""The options that every script with gateways in it has."""

from __future__ import annotations

import argparse
from pathlib import Path


def parser(what: str | None, **options) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=what, **options)
    made.add_argument("--binaries", type=lambda text: Path(text).resolve(), help="use these programs instead of building")
    made.add_argument("--logs", type=Path, help="keep the programs' logs in this directory")
    made.add_argument("-o", "--output", choices=("table", "json"), default="table")
    return made
