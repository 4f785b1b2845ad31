"""Settings of the stages in YAML: read and checked to the last key, written, told apart."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import field, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import click
import yaml
from pydantic import TypeAdapter, ValidationError

from meatus_phantom.windows.settings import LATER
from meatus_training.errors import TrainingError

PRESETS = Path(__file__).parent / "presets"
SUFFIXES = (".yaml", ".yml")
BASE = "based_on"  # in a file: the preset or file whose other values it keeps
SHOWN = 60  # characters of a wrong value that its line repeats

# YAML 1.2 and every reader of numbers take 2e-4 for one; YAML 1.1, PyYAML's, wants 2.0e-4.
EXPONENT = re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$")

Settings = TypeVar("Settings")


class SettingsError(TrainingError):
    """A preset or a settings file that cannot be used; one line per mistake."""


def preset_names(stage: str) -> tuple[str, ...]:
    """The presets that come with the project and say something of the ``stage``."""
    return tuple(sorted(file.parent.name for file in PRESETS.glob(f"*/{stage}.yaml")))


def load_settings(
    stage: str,
    preset_or_file: str,
    model: type[Settings],
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> Settings:
    """The ``stage``'s settings, as the frozen dataclass ``model``; what is not said is default.

    ``preset_or_file`` is a preset's name, a YAML file with this stage's settings, or a folder
    of one's own that holds ``<stage>.yaml`` as a preset's folder does. A file that is ``based_on``
    another one says only what differs; ``changes`` take the place of what either says.

    Raises ``SettingsError`` with one line per mistake: the file, the key, what is wrong.
    """
    file = settings_file(stage, preset_or_file)
    given = _read_with_base(stage, file)
    if changes:
        given = merged(given or {}, changes)
    try:
        # As JSON, so that lists may become tuples and yet "3" is no number.
        present = _with_present_keys(file, given, model)
        text = json.dumps({} if present is None else present, default=str)
        return TypeAdapter(model).validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        raise SettingsError("\n".join(_lines(file, error))) from error


def settings_file(stage: str, preset_or_file: str) -> Path:
    """Where the ``stage``'s settings lie. Raises ``SettingsError`` where there are none."""
    path, presets = Path(preset_or_file), preset_names(stage)
    if path.suffix in SUFFIXES:
        file = path
    elif preset_or_file in presets:
        file = PRESETS / preset_or_file / f"{stage}.yaml"
    elif path.is_dir():
        file = path / f"{stage}.yaml"
    else:
        raise SettingsError(
            f"{preset_or_file}: no preset of '{stage}'; expected {', '.join(presets)}, "
            f"a YAML file, or a folder with {stage}.yaml."
        )
    if not file.is_file():
        raise SettingsError(f"{file}: no such file; expected the settings of '{stage}'.")
    return file


def merged(one: Any, other: Any) -> Any:
    """``one`` with the values of ``other``, key by key where both are mappings."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return other
    return {**one, **{key: merged(one.get(key), value) for key, value in other.items()}}


def save_settings(settings: object) -> str:
    """The YAML text from which ``load_settings`` makes equal settings."""
    return str(yaml.safe_dump(_plain(settings), sort_keys=False, allow_unicode=True, width=100))


def settings_hash(settings: object) -> str:
    """Sixteen hexadecimal digits that change with any value, and with nothing else.

    Keys count by the names that they had first, and ``later`` ones only where they are not as
    they were before there was a choice, so that what is done stays done.
    """
    first = {new: old for old, new in former_keys(type(settings)).items()}
    told = {first.get(key, key): value for key, value in _told(settings).items()}
    text = json.dumps([type(settings).__name__, told], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def later(default: Any) -> Any:
    """A field that settings got when some had been trained with; ``default`` is as those were."""
    return field(default=default, metadata={LATER: True})


def settings_from(given: Mapping[str, Any], model: type[Settings]) -> Settings:
    """What a checkpoint of any version has as the settings of ``model``.

    Raises pydantic's ``ValidationError`` where it is none of those.
    """
    return TypeAdapter(model).validate_python(present_keys(given, model))


def former_keys(model: type[Any]) -> Mapping[str, str]:
    """The present name of each key of ``model`` that had another one, by that one."""
    return getattr(model, "FORMER_KEYS", {})


def present_keys(given: Mapping[str, Any], model: type[Any]) -> dict[str, Any]:
    """``given`` with the keys of before by the names that they have now."""
    names = former_keys(model)
    return {names.get(key, key): value for key, value in given.items()}


def _with_present_keys(file: Path, given: Any, model: type[Any]) -> Any:
    """The same, told in one line. Raises ``SettingsError`` for a key that has both its names."""
    names = former_keys(model)
    old = [key for key in given if key in names] if isinstance(given, dict) else []
    if not old:
        return given
    if twice := [key for key in old if names[key] in given]:
        raise SettingsError(
            f"{file}: {twice[0]}: is {names[twice[0]]} by its former name; keep one"
        )
    told = ", ".join(f"{key} {names[key]}" for key in old)
    click.echo(f"note: {file}: rename, before the next version, {told}", err=True)
    return present_keys(given, model)


def _told(settings: Any) -> dict[str, Any]:
    """``settings`` without the ``later`` fields that are as they always were."""
    values = {part.name: (part, getattr(settings, part.name)) for part in fields(settings)}
    return {
        name: _told(value) if is_dataclass(value) else _plain(value)
        for name, (part, value) in values.items()
        if not (part.metadata.get(LATER) and value == part.default)
    }


def _plain(settings: object) -> Any:
    """Dictionaries, lists and numbers."""
    return TypeAdapter[Any](type(settings)).dump_python(settings, mode="json")


class _Yaml(yaml.SafeLoader):  # type: ignore[misc]
    """The safe loader without two traps: ``2e-4`` as a text, and keys that stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [str(key) for key in keys if keys.count(key) > 1]:
            problem = f"'{twice[0]}' stands twice"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)


_Yaml.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789."))


def _read_with_base(stage: str, file: Path, above: tuple[Path, ...] = ()) -> Any:
    """What ``file`` says, and of the file that it is ``based_on`` the rest."""
    given = read_yaml(file)
    if not isinstance(given, dict) or BASE not in given:
        return given
    base = settings_file(stage, str(given.pop(BASE)))
    if base in (*above, file):
        raise SettingsError(f"{file}: {BASE}: leads back to {base}; name another preset.")
    return merged(_read_with_base(stage, base, (*above, file)), given)


def read_yaml(file: Path) -> Any:
    """What ``file`` holds. Raises ``SettingsError``, with the place, where it is not YAML."""
    try:
        return yaml.load(file.read_text(encoding="utf-8"), _Yaml)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        raise SettingsError(f"{where}: not YAML ({error.problem}); correct the line.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not YAML in UTF-8 ({str(error).splitlines()[0]}).") from error
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror}).") from error


def _lines(file: Path, error: ValidationError) -> list[str]:
    lines = []
    for mistake in error.errors():
        where = ".".join(str(part) for part in mistake["loc"]) or "the whole file"
        what = mistake["msg"]
        if mistake["type"] == "unexpected_keyword_argument":
            what = "no such key"
        elif mistake["type"] == "union_tag_not_found":
            what = f"say which with {mistake['ctx']['discriminator']}"
        found = mistake["input"]
        shown = "" if isinstance(found, dict) else f", found {found!r}"[:SHOWN]
        lines.append(f"{file}: {where}: {what}{shown}")
    return lines
