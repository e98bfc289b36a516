"""From `laionet.yaml` and the environment to `Settings`, or to one error that lists every problem."""

import os
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import SettingsError as PydanticSettingsError

from laionet_assets.errors import UserError
from laionet_assets.settings.configuration import TAXONOMIES, Settings
from laionet_assets.settings.messages import problems_of
from laionet_assets.yaml_file import YamlFileError, read_yaml

CONFIG_NAME = "laionet.yaml"
CONFIG_VARIABLE = "LAIONET_CONFIG"
OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "LAIONET_REAL_DATA", "LAIONET_SCREENSHOTS"})
"""Variables of the environment that are no keys: the last two are the tests'."""


class SettingsError(UserError):
    """The settings cannot be used. The message names every wrong key by its path."""


def find_config(path: str | Path | None = None) -> Path:
    """The configuration file: `path`, else the environment's LAIONET_CONFIG, else laionet.yaml in the working
    directory.

    Raises SettingsError if it does not exist.
    """
    if path is not None:
        found, origin = Path(path), "--config"
    elif os.environ.get(CONFIG_VARIABLE):
        found, origin = Path(os.environ[CONFIG_VARIABLE]), CONFIG_VARIABLE
    else:
        found, origin = Path.cwd() / CONFIG_NAME, "the working directory"
    found = found.expanduser().absolute()
    if not found.is_file():
        raise SettingsError(
            f"no configuration: {found} (from {origin}) is not a file. "
            f"Run where a {CONFIG_NAME} lies, or name one with --config or {CONFIG_VARIABLE}."
        )
    return found


def load_settings(path: str | Path | None = None, *, check_files: bool = True) -> Settings:
    """Read, check and freeze the settings. Raises SettingsError with every problem, each with its key's path.

    Without `check_files`, files and folders that they name need not be there: for who reads the warehouse alone.
    """
    config = find_config(path)
    try:
        data = read_yaml(config)
    except YamlFileError as error:
        raise SettingsError(f"{config}: {error}") from None
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        raise SettingsError(f"{config}: expected keys such as `sources:` at the top, found {type(data).__name__}")
    if "config_path" in data:
        raise SettingsError(f"{config}: config_path: unknown key")
    _assert_variables_are_known()
    try:
        settings = Settings(**{str(key): value for key, value in data.items()}, config_path=config)
    except PydanticSettingsError as error:
        raise SettingsError(f"environment: {error} (from the variable LAIONET_... of that key)") from None
    except ValidationError as error:
        raise SettingsError(_listing(config, problems_of(error))) from None
    missing = _missing_files(settings) if check_files else []
    if missing:
        raise SettingsError(_listing(config, missing))
    return settings


def _assert_variables_are_known() -> None:
    """Raise SettingsError naming every LAIONET_ variable that overrides no key."""
    known = {f"LAIONET_{name.upper()}" for name in Settings.model_fields if name != "config_path"}
    problems = []
    for variable in sorted(os.environ):
        if variable.startswith("LAIONET_") and variable not in OTHER_VARIABLES:
            key = variable.split("__")[0]
            if key not in known:
                close = get_close_matches(key, sorted(known | OTHER_VARIABLES), n=1)
                hint = f"did you mean {close[0]}? " if close else ""
                problems.append(
                    f"{variable}: overrides no key; {hint}unset it, or write LAIONET_ and the path of a key"
                )
    if problems:
        raise SettingsError(_listing("environment", problems))


def _missing_files(settings: Settings) -> list[str]:
    files: list[tuple[str, str | Path | None]] = []
    for key in ("text_encoders", "image_encoders", "predictors"):
        files += [(f"{key}[{i}].weights", model.weights) for i, model in enumerate(getattr(settings, key))]
    for i, image_set in enumerate(settings.image_sets):
        keys = ("path", "classes", "devkit", "captions")
        files += [(f"image_sets[{i}].{key}", getattr(image_set, key)) for key in keys]
    if settings.neighbours is not None:
        files += [("neighbours.classes", settings.neighbours.classes)]
    for i, results in enumerate(settings.published_results):
        files += [(f"published_results[{i}].{key}", getattr(results, key)) for key in ("path", "classes", "labels")]
    files += [(f"judgements[{i}]", path) for i, path in enumerate(settings.judgements)]
    fetch = settings.images.fetch
    files += [(f"images.fetch.{key}", getattr(fetch, key)) for key in ("blocked_urls", "blocked_contents")]
    files += [("images.removals", settings.images.removals)]
    files += [(f"images.downloaded[{i}]", path) for i, path in enumerate(settings.images.downloaded)]
    if settings.ocr is not None:
        files += [("ocr.weights", settings.ocr.weights)]
    problems = []
    if settings.taxonomy not in TAXONOMIES:
        wrong = _missing(settings, "taxonomy", settings.taxonomy, is_there=Path.is_file, else_it="is not a file")
        if wrong:
            problems.append(f"{wrong}; expected imagenet-1k, imagenet-21k or a file of wnids")
    looked_for = [_missing(settings, key, path) for key, path in files if path is not None and "://" not in str(path)]
    return [*problems, *filter(None, looked_for)]


def _missing(
    settings: Settings,
    key: str,
    path: str | Path,
    *,
    is_there: Callable[[Path], bool] = Path.exists,
    else_it: str = "does not exist",
) -> str | None:
    """What is wrong with a path under which a file, or a file or folder, is expected."""
    try:
        resolved = settings.resolve(path)
        return None if is_there(Path(resolved)) else f"{key}: {resolved} {else_it}"
    except (OSError, ValueError) as error:  # too long, or with a NUL
        return f"{key}: {str(path)!r} is the name of no file: {getattr(error, 'strerror', None) or error}"


def _listing(where: Path | str, problems: Sequence[str]) -> str:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return f"{where}: {count}\n" + "\n".join(f"  {problem}" for problem in problems)
