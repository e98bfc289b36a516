"""One model of `laionet.yaml` and the environment: everything a user can choose, checked in one place.

Belongs here: the keys, their defaults, their checks, and where the file is found. Does not belong here: what a key
makes happen.

A key of the file can be overridden by an environment variable, `LAIONET_` + the key's path in capitals joined by two
underscores (`LAIONET_WAREHOUSE`, `LAIONET_DUCKDB__THREADS`). Relative paths are relative to the folder of the file.
"""

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as PydanticSettingsError

from laionet_assets.errors import UserError
from laionet_assets.references import masked, url_without_password, without_secrets
from laionet_assets.yaml_file import YamlFileError, read_yaml

CONFIG_NAME = "laionet.yaml"
CONFIG_VARIABLE = "LAIONET_CONFIG"
OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "LAIONET_REAL_DATA", "LAIONET_SCREENSHOTS"})
"""Variables of the environment that are no keys: the last two are the tests'."""

TAXONOMIES = ("imagenet-1k", "imagenet-21k")
"""Taxonomies that come with the project."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Matching = Literal["paper", "corrected"]
StorageOptions = Annotated[dict[str, Any], AfterValidator(without_secrets)]
Location = Annotated[str, AfterValidator(url_without_password)]
Count = Annotated[int, Field(ge=1, le=2_147_483_647)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Port = Annotated[int, Field(ge=1, le=65_535)]
NsfwTag = Literal["UNLIKELY", "UNSURE", "NSFW", "UNKNOWN"]
QueryTemplate = Literal[
    "name",
    "name_def",
    "lemmas",
    "a_photo_of_name",
    "a_photo_of_name_def",
    "a_clear_photo_of_name_def",
    "a_photo_of_lemmas",
]


class SettingsError(UserError):
    """The settings cannot be used. The message names every wrong key by its path."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SourceSettings(_Strict):
    """Web image-text metadata: files of one format under one path."""

    name: Name = Field(description="Short name; the first half of every partition key.")
    adapter: str = Field("auto", description="Format of the files, or `auto` to detect it from the columns.")
    path: Location | tuple[Location, ...] = Field(
        min_length=1,
        description="Local glob, folder or file, URL of a filesystem (s3://...), or a list of them; braces are written "
        "out ({a,b}, {0..9}). sample://web, or a synthetic web of another size: sample://web?parts=1&rows=300. "
        "`effect`, from 0 to 1, is how much of what makes pictures of a class alike or not is drawn: "
        "sample://web?effect=0.",
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Columns of the files that are read whatever the adapter says: {caption: re_caption, url: "
        "image_url}. Keys are columns of raw.pairs.",
    )
    storage_options: StorageOptions = Field(
        default_factory=dict, description="Options of the fsspec filesystem of a URL; secrets as references: ${NAME}."
    )
    when_removed: Literal["keep", "drop"] = Field(
        "keep", description="What happens to the rows of a part whose file is gone: kept, or retired by the sensor."
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """The path, or each of the list."""
        return (self.path,) if isinstance(self.path, str) else self.path


class ModelSettings(_Strict):
    """A model: `provider:name[@revision]`, with `weights` when they come from a local file."""

    name: Name
    model: str = Field(description="`provider:name[@revision]`, such as sentence-transformers:all-MiniLM-L6-v2.")
    weights: Path | None = Field(None, description="Local file or folder of weights.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps.")
    allow_torchscript: bool = Field(
        False,
        description="open_clip and timm: weights may be a TorchScript archive, which holds code that is run. Without "
        "it, only files of tensors are read.",
    )


class TextEncoderSettings(ModelSettings):
    """A text encoder and the template of the class query that it compares captions with."""

    query_template: QueryTemplate = Field("name_def", description="Published template; the paper's is name_def.")


class PictureModelSettings(ModelSettings):
    """A model that sees pictures, and who decodes them for it."""

    decode_on: Literal["cpu", "card"] = Field(
        "cpu",
        description="card: JPEG files are decoded and resized by the CUDA device that the model computes on, faster "
        "and with other rounding: rows of both ways are kept apart.",
    )


class PredictorSettings(PictureModelSettings):
    """An ImageNet classifier, or the towers of open_clip for zero-shot prediction."""

    prompts: Literal["query", "templates"] = Field(
        "query", description="Zero-shot only: the paper's one query a class, or OpenAI's 80 templates."
    )
    baseline: bool | None = Field(
        None,
        description="Whether it makes the line that effective robustness is measured from; default: all but zero-shot.",
    )


class ComparedSettings(_Strict):
    """An image set that stands beside LAIONet: which of its classes count, and whose frequencies weight them."""

    name: Name
    classes: Path | None = Field(
        None, description="Label list (.json, .pkl) of the classes that count; all of the set's own without it."
    )
    weighted_by: Name | None = Field(
        None, description="Recipe or published result set whose class frequencies weight it; default: the first recipe."
    )


class ImageSetSettings(ComparedSettings):
    """A local set of labelled images."""

    layout: Literal["imagefolder", "ilsvrc2012-val", "imagenetv2", "img2dataset", "webdataset"]
    path: str = Field(
        description="Local folder, or sample://curated; ?per_class=5&selection_frequency=0.73 for one like ImageNet-V2."
    )
    devkit: Path | None = Field(
        None,
        description="ilsvrc2012-val: the development kit or Kaggle's LOC_val_solution.csv, if not near the images.",
    )
    label_column: str | None = Field(None, description="webdataset, img2dataset: column with the class of a picture.")
    profile: Matching = Field(
        "corrected", description="Which pictures take part: paper (RGB only) or corrected (other modes are converted)."
    )
    selection_frequency: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How often people chose its pictures when asked; of ImageNet-V2 0.73, 0.85 and 0.93.",
    )
    captions: str | None = Field(
        None,
        description="File of captions of its pictures (.json as ImageNet-Captions, .csv, .tsv, .parquet), or "
        "sample://curated for those of the drawn set.",
    )


class PublishedResultsSettings(ComparedSettings):
    """A published result file: whether the top k predictions of models are right, image by image."""

    path: str = Field(description="Parquet file with columns top_{k}_is_correct_{model}.")
    labels: Path | None = Field(None, description="Label list (.json, .pkl) of its images, if the file has no classes.")
    zero_shot_missing: Literal["missing", "wrong"] = Field(
        "missing",
        description="False values of zero-shot models where no other model has one: unknown, or wrong as published.",
    )


class OcrSettings(_Strict):
    """What reads the text in pictures."""

    model: str = Field("rapidocr:default", description="rapidocr:default, rapidocr:fast or trocr:<hub id>[@revision].")
    weights: Path | None = Field(None, description="Local folder of TrOCR's weights.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps (TrOCR).")


class FetchSettings(_Strict):
    """How images are fetched. Times are seconds."""

    enabled: bool = Field(
        False, description="Whether images are fetched from the web. sample://web is served by this project itself."
    )
    contact: str | None = Field(None, description="E-mail address or URL where you can be reached: in the User-Agent.")
    concurrency: Count = Field(128, description="Requests in flight over all hosts.")
    per_host: Count = Field(4, description="Requests in flight at one host.")
    min_interval: float = Field(0.05, ge=0, le=86_400, description="Least time between two requests to one host.")
    total_timeout: Seconds = Field(30, description="Limit of one attempt, redirects included.")
    max_bytes: ByteSize = Field(ByteSize(20 * 2**20), gt=0, description="Largest picture, such as 20MiB.")
    max_pixels: Count = Field(64_000_000, description="Largest width x height; beyond it nothing is decoded.")
    retries: int = Field(2, ge=0, le=100, description="Further attempts within a run after what may pass.")
    robots: bool = Field(True, description="Ask robots.txt of every host (RFC 9309).")
    allowed_private: tuple[str, ...] = Field((), description="Private networks (CIDR) that may be connected to.")
    allowed_ports: tuple[Port, ...] = Field(
        (80, 443, 8000, 8008, 8080, 8081, 8088, 8443, 8888), min_length=1, description="Ports that an address may name."
    )
    allow_hosts: dict[str, str] = Field(default_factory=dict, description="Host name to ip:port, instead of DNS.")
    cleared_by: str | None = Field(
        None, description="Parquet files with a column url (Re-LAION): original LAION-400M rows must be among them."
    )
    uncleared: bool = Field(
        False, description="Fetch original LAION-400M rows without such a list: an override that is recorded."
    )
    blocked_urls: Path | None = Field(None, description="Text file: sha256 or md5 of a URL a line.")
    blocked_contents: Path | None = Field(None, description="Text file: sha256 or md5 of a content a line.")

    @model_validator(mode="after")
    def _says_who_fetches(self) -> "FetchSettings":
        if self.enabled and not self.contact:
            raise ValueError("enabled: true needs `contact`, an e-mail address or URL where hosts can reach you")
        return self


class ImagesSettings(_Strict):
    """Where pictures are kept, and how they are fetched."""

    location: Location | None = Field(
        None, description="Folder or URL of the image store; default: images/ in the warehouse."
    )
    storage_options: StorageOptions = Field(default_factory=dict, description="Options of its fsspec filesystem.")
    quota: ByteSize | None = Field(None, gt=0, description="Most bytes that the pictures may take, such as 50GB.")
    removals: Path | None = Field(None, description="CSV file (kind, value, reason) of what must go and stay away.")
    downloaded: tuple[str, ...] = Field(
        (),
        description="Folders of img2dataset output: pictures found there by their URL are taken over, not "
        "fetched again.",
    )
    fetch: FetchSettings = FetchSettings()


class ImageSimilaritySettings(_Strict):
    """What tells how near a picture is to its class."""

    encoder: Name = Field(description="Name of one of `image_encoders`.")
    kind: Literal["query", "head", "prototype"] | None = Field(
        None,
        description="query: to the class's query, by the text tower that belongs to the encoder; head: to the class's "
        "row of the encoder's own classification head; prototype: to the mean picture of the class in the image set "
        "that `prototypes` names. Without it: head for timm's models, query for others.",
    )


class PicturesSettings(_Strict):
    """Which pictures of its rows a recipe asks for, and what is done with them."""

    predict: bool = Field(True, description="Whether `predictors` see pictures that this recipe alone asks for.")
    per_class: Count | None = Field(
        None, description="Pictures of at most so many rows of a class in each part, drawn with a seed; all without it."
    )


class RecipeSettings(_Strict):
    """How LAIONet is chosen from the candidates: a row of settings, never code.

    With `image_similarity` and without `image_threshold` it is a pool: what choosing by caption, by picture or blindly
    makes of its pictures is compared (docs/method.md, 19).
    """

    name: Name
    matching: Matching = Field("paper", description="Profile of the caption match.")
    encoder: Name = Field(description="Name of one of `text_encoders`.")
    text_threshold: float = Field(ge=-1, le=1, description="Caption-to-query cosine must be strictly above this.")
    image_threshold: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Cosine of picture and class must be strictly above this; rows without a picture are dropped.",
    )
    image_similarity: ImageSimilaritySettings | None = Field(
        None, description="Which cosine of picture and class; with a threshold alone it is the first image encoder's."
    )
    pictures: PicturesSettings = PicturesSettings()
    multi_label: Literal["drop", "keep"] = Field("drop", description="Captions that name several classes.")
    nsfw: tuple[NsfwTag, ...] = Field(
        ("UNLIKELY",), min_length=1, description="Tags allowed; UNKNOWN admits rows without a tag."
    )
    max_punsafe: float = Field(0.45, ge=0, le=1, description="Highest allowed probability of unsafe, where published.")
    top_k: Count | None = Field(None, description="At most this many captions a class, the most similar first.")
    drop_text_in_image: bool = Field(False, description="Drop images that have the name of the class written in them.")
    duplicates: Literal["keep", "drop"] = Field(
        "keep",
        description="Rows with the address and caption of another row: all stay, or the first of each (the smallest "
        "source and sample_id, over all parts and sources). Dropped before top_k counts.",
    )


class NeighboursSettings(ComparedSettings):
    """An image set of the captions of the web that lie nearest to those of an image set."""

    name: Name = Field("neighbours", description="Name of the image set that is made of their pictures.")
    captions_of: Name | None = Field(
        None, description="One of `image_sets` that has captions; default: the first that has."
    )
    encoder: Name | None = Field(None, description="Name of one of `text_encoders`; default: the first.")
    over: Literal["all", "candidates"] = Field(
        "all", description="Captions that are searched: all of a source, or those alone that name a class."
    )
    threshold: float = Field(0.7, ge=-1, le=1, description="Cosine of both captions must be strictly above this.")
    fetch_above: float = Field(
        0.5, ge=-1, le=1, description="Pictures are asked for strictly above this; the sweep of thresholds begins here."
    )
    profile: Matching = Field("corrected", description="Which pictures take part, as of image sets.")
    nsfw: tuple[NsfwTag, ...] = Field(("UNLIKELY",), min_length=1, description="Tags allowed, as of recipes.")
    max_punsafe: float = Field(0.45, ge=0, le=1, description="Highest allowed probability of unsafe, as of recipes.")

    @model_validator(mode="after")
    def _fetches_what_it_keeps(self) -> "NeighboursSettings":
        if self.fetch_above > self.threshold:
            raise ValueError(
                f"fetch_above: {self.fetch_above} is above threshold: {self.threshold}; what is kept needs its picture"
            )
        return self


class DuckDBSettings(_Strict):
    """Limits of the engine."""

    threads: int | None = Field(None, ge=1, le=1024, description="Threads of a connection; by default one a core.")
    memory_limit: str | None = Field(
        None,
        pattern=r"(?i)^\d+(\.\d+)?\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$",
        description="Of a run, such as 8GB; above it DuckDB spills to disk. Default: a quarter of the memory that the "
        "machine or container has, by the runs that may go at once (max_concurrent_runs in dagster.yaml).",
    )


class RefreshSettings(_Strict):
    """What runs by itself while `laionet ui` (or a Dagster daemon) is up, how long a run may take, and how long it is
    remembered.
    """

    enabled: bool = Field(False, description="Sensors and schedule start switched on.")
    interval_seconds: int = Field(
        30, ge=5, le=86_400, description="How often the sensor looks for what is out of date."
    )
    nightly_cron: str = Field(
        "*/15 3-5 * * *",
        description="When fetches that are due and what failed are tried again, one phase a tick (with the sensor "
        "switched off: all that is out of date).",
    )
    longest_run_hours: float = Field(
        24, gt=0, le=8_760, description="A run (a part, or the tables over all parts) that takes longer hangs: it ends."
    )
    keep_runs_days: float = Field(
        30,
        ge=1,
        le=36_500,
        description="How long Dagster remembers what a run logged. The history of materializations stays.",
    )


class Settings(BaseSettings):
    """All of `laionet.yaml`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="LAIONET_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    warehouse: Location = Field("./warehouse", description="Folder or URL of the lake of Parquet files.")
    sources: tuple[SourceSettings, ...] = Field(min_length=1)
    taxonomy: str = Field("imagenet-1k", description="imagenet-1k, imagenet-21k, or a file of wnids.")
    text_encoders: tuple[TextEncoderSettings, ...] = Field(min_length=1)
    image_encoders: tuple[PictureModelSettings, ...] = ()
    predictors: tuple[PredictorSettings, ...] = ()
    image_sets: tuple[ImageSetSettings, ...] = ()
    prototypes: Name | None = Field(
        None, description="Name of one of `image_sets` whose mean picture of a class others are compared with."
    )
    published_results: tuple[PublishedResultsSettings, ...] = ()
    images: ImagesSettings = ImagesSettings()
    ocr: OcrSettings | None = OcrSettings()
    recipes: tuple[RecipeSettings, ...] = Field(min_length=1)
    neighbours: NeighboursSettings | None = Field(
        None, description="The captions of the web nearest to those of an image set; without it none are searched."
    )
    judgements: tuple[Path, ...] = Field(
        (), description="Files of verdicts: what people wrote into the verdicts.csv of `laionet judge`."
    )
    checks: dict[str, dict[str, Literal["critical", "warning"]]] = Field(
        default_factory=dict,
        description="Severity of checks, by table and name: {core.candidates: {grain_is_unique: warning}}. A critical "
        "one keeps its table from being published. Those that guard removals, block lists, clearance and opt-outs are "
        "fixed.",
    )
    duckdb: DuckDBSettings = DuckDBSettings()
    refresh: RefreshSettings = RefreshSettings()
    storage_options: StorageOptions = Field(
        default_factory=dict,
        description="Options of the fsspec filesystem of the warehouse's URL; secrets as references: ${NAME}.",
    )
    config_path: Path = Field(exclude=True, description="The file these settings were read from.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @field_validator("taxonomy")
    @classmethod
    def _taxonomy_is_known(cls, value: str) -> str:
        if value not in TAXONOMIES and "/" not in value and "." not in value:
            raise ValueError(f"found {value!r}, expected imagenet-1k, imagenet-21k or the path of a file of wnids")
        return value

    @model_validator(mode="after")
    def _names_are_consistent(self) -> "Settings":
        problems = []
        for key in ("sources", "text_encoders", "image_encoders", "predictors"):
            problems += [f"{key}: the name {name!r} is used twice" for name in _twice(getattr(self, key))]
        sets = (*self.recipes, *self.image_sets, *self.published_results, *self._neighbours)
        problems += [
            f"recipes, image_sets, published_results, neighbours: the name {name!r} is used twice; each names an image "
            "set"
            for name in _twice(sets)
        ]
        owners = [*(item.name for item in self.recipes), *(item.name for item in self.published_results)]
        problems += [
            f"{key}[{i}].weighted_by: found {item.weighted_by!r}, expected a recipe or one of published_results: "
            f"{', '.join(owners)}"
            for key in ("image_sets", "published_results")
            for i, item in enumerate(getattr(self, key))
            if item.weighted_by is not None and item.weighted_by not in owners
        ]
        problems += [problem for item in self._neighbours for problem in self._neighbours_problems(item, owners)]
        problems += [
            f"recipes[{i}].drop_text_in_image: needs `ocr`, which is switched off (ocr: null)"
            for i, recipe in enumerate(self.recipes)
            if recipe.drop_text_in_image and self.ocr is None
        ]
        encoders = [encoder.name for encoder in self.text_encoders]
        problems += [
            f"recipes[{i}].encoder: found {recipe.encoder!r}, expected one of text_encoders: {', '.join(encoders)}"
            for i, recipe in enumerate(self.recipes)
            if recipe.encoder not in encoders
        ]
        problems += self._problems_of_pictures()
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _problems_of_pictures(self) -> list[str]:
        """What is wrong with how pictures are compared with classes."""
        encoders = [encoder.name for encoder in self.image_encoders]
        local = [image_set.name for image_set in self.image_sets]
        problems = []
        if self.prototypes is not None and self.prototypes not in local:
            problems.append(
                f"prototypes: found {self.prototypes!r}, expected one of image_sets: {', '.join(local) or 'none'}"
            )
        for i, recipe in enumerate(self.recipes):
            by = recipe.image_similarity
            if recipe.image_threshold is not None and not encoders:
                problems.append(f"recipes[{i}].image_threshold: needs `image_encoders`, of which there are none")
            if by is not None and by.encoder not in encoders:
                problems.append(
                    f"recipes[{i}].image_similarity.encoder: found {by.encoder!r}, expected one of image_encoders: "
                    f"{', '.join(encoders) or 'none'}"
                )
            if by is not None and by.kind == "prototype" and self.prototypes is None:
                problems.append(
                    f"recipes[{i}].image_similarity.kind: prototype needs `prototypes`, the name of an image set"
                )
        return problems

    def image_similarity_of(self, recipe: RecipeSettings) -> tuple[ModelSettings, str] | None:
        """The image encoder and kind that tell how near the pictures of a recipe are to their classes, None where it
        has no use for that.
        """
        if recipe.image_similarity is None and recipe.image_threshold is None:
            return None
        by = recipe.image_similarity or ImageSimilaritySettings(encoder=self.image_encoders[0].name)
        (encoder,) = (each for each in self.image_encoders if each.name == by.encoder)
        return encoder, by.kind or ("head" if encoder.model.startswith("timm:") else "query")

    @property
    def _neighbours(self) -> tuple[NeighboursSettings, ...]:
        return (self.neighbours,) if self.neighbours is not None else ()

    def _neighbours_problems(self, item: NeighboursSettings, owners: Sequence[str]) -> list[str]:
        captioned = [image_set.name for image_set in self.image_sets if image_set.captions is not None]
        encoders = [encoder.name for encoder in self.text_encoders]
        problems = []
        if not captioned:
            problems.append("neighbours: needs an image set with captions: set image_sets[].captions, or take it away")
        elif item.captions_of is not None and item.captions_of not in captioned:
            problems.append(
                f"neighbours.captions_of: found {item.captions_of!r}, expected an image set with captions: "
                f"{', '.join(captioned)}"
            )
        if item.encoder is not None and item.encoder not in encoders:
            problems.append(
                f"neighbours.encoder: found {item.encoder!r}, expected one of text_encoders: {', '.join(encoders)}"
            )
        if item.weighted_by is not None and item.weighted_by not in owners:
            problems.append(
                f"neighbours.weighted_by: found {item.weighted_by!r}, expected a recipe or one of published_results: "
                f"{', '.join(owners)}"
            )
        return problems

    @property
    def compared(self) -> Sequence[ComparedSettings]:
        """The image sets beside LAIONet, in the order of the settings."""
        return (*self.image_sets, *self._neighbours, *self.published_results)

    @property
    def home(self) -> Path:
        """Folder of the configuration file: what relative paths are relative to."""
        return self.config_path.parent

    def resolve(self, path: str | Path) -> str:
        """`path` as given if it is a URL, otherwise absolute, relative to the configuration file."""
        text = str(path)
        return text if "://" in text else str((self.home / Path(text).expanduser()).resolve())

    @property
    def warehouse_root(self) -> str:
        """Absolute folder or URL of the warehouse, without a trailing slash."""
        return self.resolve(self.warehouse.removeprefix("file://")).rstrip("/")

    @property
    def image_location(self) -> str:
        """Absolute folder or URL of the image store."""
        return self.resolve(self.images.location) if self.images.location else f"{self.warehouse_root}/images"

    @property
    def taxonomy_source(self) -> str:
        """Name of a bundled taxonomy, or the absolute path of a file of wnids."""
        return self.taxonomy if self.taxonomy in TAXONOMIES else self.resolve(self.taxonomy)


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
        problems = [line for item in _root_causes(error.errors()) for line in _describe(item)]
        raise SettingsError(_listing(config, problems)) from None
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
    problems = []
    if settings.taxonomy not in TAXONOMIES and not Path(settings.taxonomy_source).is_file():
        problems.append(
            f"taxonomy: {settings.taxonomy_source} is not a file; expected imagenet-1k, imagenet-21k or a file of wnids"
        )
    for key in ("text_encoders", "image_encoders", "predictors"):
        for i, model in enumerate(getattr(settings, key)):
            if model.weights is not None and not Path(settings.resolve(model.weights)).exists():
                problems.append(f"{key}[{i}].weights: {settings.resolve(model.weights)} does not exist")
    files: list[tuple[str, str | Path | None]] = []
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
    return problems + [
        f"{key}: {settings.resolve(path)} does not exist"
        for key, path in files
        if path is not None and "://" not in str(path) and not Path(settings.resolve(path)).exists()
    ]


def _twice(items: Sequence[Any]) -> list[str]:
    """Names that several items have, sorted."""
    names = [item.name for item in items]
    return sorted({name for name in names if names.count(name) > 1})


def _listing(where: Path | str, problems: Sequence[str]) -> str:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return f"{where}: {count}\n" + "\n".join(f"  {problem}" for problem in problems)


def _root_causes(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without the errors of a list that is wrong only because an entry of it is."""
    locations = [item["loc"] for item in items]
    return [
        item
        for item in items
        if not any(len(loc) > len(item["loc"]) and loc[: len(item["loc"])] == item["loc"] for loc in locations)
    ]


_PATTERNS = {
    "name": "expected letters, digits, '_', '-' and '.', beginning with a letter or digit",
    "memory_limit": "expected a number and a unit, such as 8GB or 512MiB",
}
"""What the pattern of a key means, in words."""


def _describe(item: Mapping[str, Any]) -> list[str]:
    location = _key_path(item["loc"])
    kind, message = item["type"], item["msg"].removeprefix("Value error, ")
    if not item["loc"]:
        return message.split("\n")
    if kind == "extra_forbidden":
        known = _known_keys(item["loc"])
        close = get_close_matches(str(item["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return [f"{location}: unknown key; {hint}known keys here: {', '.join(known)}"]
    if kind == "missing":
        return [f"{location}: missing; it has no default"]
    if kind == "string_pattern_mismatch":
        message = _PATTERNS.get(str(item["loc"][-1]), _PATTERNS["name"])
    if "storage_options" in item["loc"] or "password" in message:  # what was found may be a secret
        return [f"{location}: {line}" for line in message.split("\n")]
    return [f"{location}: {message} (found {masked(repr(item.get('input')))[:80]})"]


def _key_path(location: Sequence[str | int]) -> str:
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else (f".{step}" if path else str(step))
    return path


def _known_keys(location: Sequence[str | int]) -> list[str]:
    """Keys that the model at the parent of `location` accepts."""
    model: Any = Settings
    for step in location[:-1]:
        if isinstance(step, int):
            continue
        annotation = model.model_fields[step].annotation
        arguments = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = arguments[0] if arguments else annotation
    return [name for name in model.model_fields if name != "config_path"]
