"""`sources`: where captions and addresses of pictures come from."""

from typing import Annotated, Literal

from pydantic import Field

from laionet_assets.settings.values import InWords, Location, Name, Section, StorageOptions


class SourceSettings(Section):
    """Web image-text metadata: files of one format under one path."""

    name: Name = Field(description="Short name; the first half of every partition key.")
    adapter: str = Field("auto", description="Format of the files, or `auto` to detect it from the columns.")
    path: Annotated[Location | tuple[Location, ...], InWords("path or URL, or a list of them")] = Field(
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
