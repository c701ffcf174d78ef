"""Options from a file: a TOML file that somebody wrote, or what a results folder records."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gsnet.interface.options import InputError
from gsnet.interface.result_files import CONFIG

# What a kind of record has under its key -> the options that do the same again. Raises InputError.
Records = Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]
# What a training did once, and need not do again: where it wrote, and how it was begun.
_ONCE = ("save_dir", "resume", "auto_resume", "evaluate_only", "dry_run", "retired")


# What a recipe is called in a file of options, and on the command line.
RECIPE = "recipe"


class Config(NamedTuple):
    """values: by option, without dashes. plugins: names and digests of those of a record; is_record: whether it is one.

    file: where they stand; None for what a program gives.
    """

    file: Path | None
    values: dict[str, Any]
    plugins: tuple[tuple[str, str], ...] = ()
    is_record: bool = False

    @property
    def prefix(self) -> str:
        """What a sentence about one of the options begins with."""
        return "" if self.file is None else f"{self.file}: "

    @property
    def recipe(self) -> str | None:
        """The recipe whose options these are given beside; a record has them among its own already."""
        return None if self.is_record else self.values.get(RECIPE)


def read_config(source: str, records: Records) -> Config:
    """The options of a TOML file, of a results folder, or of its config.json. Raises InputError.

    records: what the script can do again.
    """
    file = Path(source).expanduser()
    if file.is_dir():
        file = file / CONFIG
        if not file.is_file():
            raise InputError(f"{file.parent} holds no {CONFIG}: --config takes a TOML file or a results folder")
    if file.suffix not in (".toml", ".json"):
        raise InputError(f"--config {source} is neither a TOML file (.toml) nor a results folder or its {CONFIG}")
    try:
        text = file.read_text(encoding="utf-8-sig")
        found = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not a text file: {error.reason}") from error
    except ValueError as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    if file.suffix == ".toml":
        return Config(file, found)
    return _of_record(file, found, records)


def recipe_names(folder: Path) -> list[str]:
    """The recipes that a folder has, by name."""
    return sorted(file.stem for file in folder.glob("*.toml"))


def read_recipe(name: str, folder: Path) -> Config:
    """The options of a recipe of the folder, by its name, or of a TOML file of one's own. Raises InputError."""
    file = Path(name).expanduser()
    if file.suffix != ".toml":
        if name not in recipe_names(folder):
            known = ", ".join(recipe_names(folder))
            raise InputError(f"There is no recipe {name!r}: use one of {known}, or a TOML file (.toml) of your own")
        file = folder / f"{name}.toml"
    found = read_config(str(file), {})
    if RECIPE in found.values:
        raise InputError(f"{file} is a recipe and names another one: write its options into the file")
    return found


def options_of_training(record: dict[str, Any]) -> dict[str, Any]:
    """The options that train the same again, elsewhere: of its config.json."""
    return {name: value for name, value in record["options"].items() if name not in _ONCE}


def _of_record(file: Path, record: Any, records: Records) -> Config:
    kind = next((kind for kind in records if isinstance(record, dict) and isinstance(record.get(kind), dict)), None)
    if kind is None:
        does = " or ".join(_KINDS[kind] for kind in records)
        raise InputError(f"{file} records no {does or 'options'} that this script could do again: write a TOML file")
    settings = record.get("settings")
    listed = settings.get("plugins", ()) if isinstance(settings, dict) else record.get("plugins", ())
    return Config(file, records[kind](record), tuple((name, digest) for name, digest in listed), True)


_KINDS = {"settings": "search", "options": "training"}
