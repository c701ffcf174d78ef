"""data.yaml or Darknet's obj.data, the file in which a YOLO data set names its classes and the folders of its splits.

Of YAML it is read what such files are made of: keys at the margin with texts, lists and tables of texts, in one line or over
several, with quotes and comments. Everything else in the file is passed over. Darknet's has lines `key = value`; its paths
count from where Darknet was started, so that they are looked for by as much of their end as is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from gsnet.data.text_files import names_in, text_of
from gsnet.detection.image_files import is_image
from gsnet.interface.options import InputError

Value = str | list[str] | dict[str, str]
SPLITS = ("train", "val", "test")
DARKNET_SUFFIX = ".data"
DESCRIPTION_SUFFIXES = (".yaml", ".yml", DARKNET_SUFFIX)
_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[\[\]{},])|(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')"""
    r"""|(?P<plain>(?:[^\[\]{},"'\s]|\s+(?!["'])|(?<=\S)["'])+))"""
)


@dataclass(frozen=True)
class DataYaml:
    """What a data.yaml or obj.data says: the file, names by label (empty where it has none), where the images of each split
    are, and whether its rows have keypoints behind the box."""

    file: Path
    names: tuple[str, ...]
    splits: dict[str, list[str]]
    root: str = ""
    keypoints: bool = False

    def places(self, split: str) -> list[Path]:
        """The folders, lists and images of a split. Raises InputError, which says where they were looked for."""
        if split not in self.splits:
            raise InputError(
                f"{self.file} names no images for {split!r}, only for {', '.join(self.splits) or 'nothing'}"
            )
        return [self._place(text) for text in self.splits[split]]

    def _place(self, text: str) -> Path:
        """`path` may be another machine's, and Roboflow writes ../train/images where train/images is meant."""
        name = Path(text.replace("\\", "/")).expanduser()
        here, root = self.file.parent, Path(self.root).expanduser()
        inside = Path(*[part for part in name.parts if part != ".."])
        candidates = [here / root / name, here / name, root / name, here / root / inside, here / inside]
        if self.file.suffix.lower() == DARKNET_SUFFIX:
            candidates = [name, *_tails(here, name)]
        for place in candidates:
            if place.exists():
                return place
        raise InputError(f"{self.file} names {text!r}, and there is no {candidates[0]} and no {candidates[1]}")

    def with_listed_names(self, text: str) -> DataYaml:
        """The same with the names of a file that it names, one a line. Raises InputError."""
        return replace(self, names=tuple(names_in(self._place(text))))


def read_data_yaml(file: Path) -> DataYaml:
    """Read a data.yaml or obj.data. Raises InputError where it is no text or its names are neither a list nor a table by
    label."""
    if file.suffix.lower() == DARKNET_SUFFIX:
        return _read_darknet(file)
    values = parsed(text_of(file))
    splits = {}
    for split in SPLITS:
        value = values.get(split) or (values.get("valid") if split == "val" else None)
        if value:
            splits[split] = [value] if isinstance(value, str) else list(value)
    root = values.get("path")
    return DataYaml(
        file,
        _names(file, values.get("names")),
        splits,
        root if isinstance(root, str) else "",
        bool(values.get("kpt_shape")),
    )


def _read_darknet(file: Path) -> DataYaml:
    rows = (line.partition("#")[0].partition("=") for line in text_of(file).splitlines())
    values = {key.strip(): value.strip() for key, sign, value in rows if sign and value.strip()}
    keys = {"train": "train", "val": "valid", "test": "test"}
    found = DataYaml(file, (), {split: [values[key]] for split, key in keys.items() if key in values})
    return found.with_listed_names(values["names"]) if "names" in values else found


def _names(file: Path, value: Value | None) -> tuple[str, ...]:
    if not value:
        return ()
    if isinstance(value, str):
        raise InputError(f"{file}: names is a list of classes, or a table of them by label, not {value!r}")
    if isinstance(value, list):
        return tuple(value)
    labels = [key for key in value if key.isdecimal()]
    if len(labels) < len(value) or sorted(map(int, labels)) != list(range(len(labels))):
        raise InputError(f"{file}: the labels of names are the whole numbers from 0 on, not {', '.join(value)}")
    return tuple(value[label] for label in sorted(labels, key=int))


def parsed(text: str) -> dict[str, Value]:
    """The keys at the margin with their values; what is neither text, list nor table of texts is left out."""
    blocks: dict[str, list[str]] = {}
    current: list[str] = []
    for line in map(_without_comment, text.splitlines()):
        key = re.match(r"""["']?([\w-]+)["']?\s*:(?:\s+|$)(.*)""", line)
        if key:
            current = blocks.setdefault(key[1], [])
            current.clear()
            current.append(key[2])
        elif line.strip() and not line.startswith(("---", "...")):
            current.append(line)
    return {key: value for key, lines in blocks.items() if (value := _value(lines)) is not None}


def _without_comment(line: str) -> str:
    """A comment begins with # after white space, outside quotes."""
    quote = ""
    for place, sign in enumerate(line):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'" and (not place or line[place - 1] in " \t[{,:-"):
            quote = sign
        elif sign == "#" and (not place or line[place - 1] in " \t"):
            return line[:place].rstrip()
    return line.rstrip()


def _value(lines: list[str]) -> Value | None:
    first = lines[0].strip()
    if first.startswith(("[", "{")):
        return _flow(" ".join(lines))
    if first:
        return None if first.startswith(("|", ">", "&", "*", "!")) else _plain(first)
    rows = [line.strip() for line in lines[1:]]
    if rows and all(row == "-" or row.startswith("- ") for row in rows):
        return [_plain(row[1:].strip()) for row in rows]
    pairs = [re.match(r"""("[^"]*"|'[^']*'|[^:]+?)\s*:(?:\s+|$)(.*)""", row) for row in rows]
    if not rows or not all(pairs):
        return None
    return {_plain(pair[1]): _plain(pair[2]) for pair in pairs if pair}


def _plain(text: str) -> str:
    """A text without its quotes."""
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return _unescaped(text[1:-1])
    return text


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _flow(text: str) -> Value | None:
    """[a, b] or {0: a, 1: b}."""
    table, items, pending = text.lstrip().startswith("{"), [], ""
    for token in _TOKEN.finditer(text.strip()[1:]):
        if token["mark"] in (",", "]", "}"):
            if pending.strip():
                items.append(pending.strip())
            pending = ""
            if token["mark"] != ",":
                break
        elif token["mark"]:
            return None
        else:
            pending += token["quoted"] or token["plain"]
    if not table:
        return [_plain(item) for item in items]
    pairs = [re.match(r"""("[^"]*"|'[^']*'|[^:]+?)\s*:\s*(.*)""", item) for item in items]
    return {_plain(pair[1]): _plain(pair[2]) for pair in pairs if pair} if all(pairs) else None


def find_data_yaml(folder: Path) -> DataYaml | None:
    """The first file *.yaml of a folder that has names or splits, or Darknet's obj.data."""
    for file in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"), *folder.glob("obj.data"))):
        found = read_data_yaml(file)
        if found.names or found.splits:
            return found
    return None


def listed(file: Path) -> list[Path]:
    """The images that a list names, one a line, relative to its folder or to where the program runs. Raises InputError."""
    names = names_in(file)
    paths = [Path(name.replace("\\", "/")).expanduser() for name in names]
    if not paths or not is_image(paths[0]):
        raise InputError(f"{file} is no list of images, one a line")
    return [_listed(file.parent, path) for path in paths]


def _listed(folder: Path, path: Path) -> Path:
    """Darknet's lists count from where it was started, as in data/obj_train_data/a.jpg."""
    return next((place for place in (path, *_tails(folder, path)) if place.is_file()), folder / path)


def _tails(folder: Path, path: Path) -> list[Path]:
    """Where the path would be if the folder were one of those that it leads through."""
    return [folder.joinpath(*path.parts[begin:]) for begin in range(len(path.parts))]
